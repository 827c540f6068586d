"""Verifiers that are down, forged replies, and hosts that may not ask: with the configuration files of pam/radius."""

import functools
import shutil
import ssl
import time

import pytest
from rig.harness import Result
from rig.process import run
from rig.radius import FILES, make_certificates
from rig.radius_packet import (
    ACCESS_ACCEPT, ACCESS_CHALLENGE, MESSAGE_AUTHENTICATOR, Packet, false_server, reply, request,
)  # fmt: skip
from rig.reachable import open_to_all

PASSWORD = "correct horse"


@pytest.fixture
def add_user(add_radius_user):
    return functools.partial(add_radius_user, PASSWORD)


@pytest.fixture
def log_in(host, harness):
    """Logs in on the host with the auth rule of sshd; returns the result and the seconds."""
    rules = (FILES / "host/pam.d/sshd").read_text().splitlines()
    service = harness.service("radius-sshd", *(rule for rule in rules if rule.startswith("auth")))

    def attempt(user, *replies: str) -> tuple[int, float]:
        began = time.monotonic()
        result = user.log_in(service, *replies, under=host.within).result
        return result, time.monotonic() - began

    return attempt


FAULTS = {
    "saslauthd stopped": (lambda each: each.stop_saslauthd(), lambda each: each.start_saslauthd()),
    "cable cut": (lambda each: each.machine.cut(), lambda each: each.machine.mend()),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_second_verifier_answers_if_the_first_does_not(radius, add_user, log_in, figure, fault):
    user, (break_it, mend_it) = add_user(), FAULTS[fault]
    codes = user.enroll(backup_codes=2).backup_codes
    break_it(radius["verifier1"])
    result, seconds = log_in(user, PASSWORD, codes[0])
    mend_it(radius["verifier1"])
    figure(f"RADIUS, login while verifier 1 is down ({fault}): {seconds:.1f} s")
    assert result == Result.SUCCESS and 5 <= seconds < 9
    result, seconds = log_in(user, PASSWORD, codes[1])
    assert result == Result.SUCCESS and seconds < 5, "the first verifier is not asked again"


def test_no_login_without_a_verifier(radius, add_user, log_in, figure):
    user = add_user()
    codes = user.enroll(backup_codes=1).backup_codes
    for name in ("verifier1", "verifier2"):
        radius[name].stop("freeradius")
    result, seconds = log_in(user, PASSWORD, codes[0])
    figure(f"RADIUS, refusal while both verifiers are down: {seconds:.1f} s")
    for name in ("verifier1", "verifier2"):
        radius[name].start_freeradius()
    assert result == Result.AUTHINFO_UNAVAIL and 10 <= seconds < 15


@pytest.fixture
def without_proxies(host):
    host.stop_all()
    yield
    host.start_host()


def test_a_reply_of_another_secret_is_refused(host, add_user, log_in, without_proxies):
    """The control shows why the network needs TLS: this version neither sends nor needs a Message-Authenticator."""
    user = add_user()
    secrets = {"of another secret": ("guessed", Result.AUTHINFO_UNAVAIL), "control": (host.secret, Result.SUCCESS)}
    for secret, expected in secrets.values():
        forge = functools.partial(reply, code=ACCESS_ACCEPT, secret=secret)
        first, second = (host.socket((f"127.0.0.{number}", 1812)) for number in (1, 2))
        with false_server(first, lambda asked: [forge(asked)]) as seen, false_server(second, lambda asked: [forge(asked)]):
            assert log_in(user, "wrong")[0] == expected
        assert seen[0].value(MESSAGE_AUTHENTICATOR) is None


@pytest.mark.parametrize("certificate", ["of another authority", "of verifier 1"])
def test_a_machine_with_the_address_of_a_verifier_needs_its_certificate(
    radius, host, add_user, log_in, tmp_path, certificate
):
    user, forger, verifier = add_user(), radius["forger"], radius["verifier1"]
    certificates = verifier.certificates
    if certificate == "of another authority":
        certificates = tmp_path / "certificates"
        make_certificates(certificates, "verifier1")
    forger.take_certificate("verifier1", certificates)
    shutil.copy(verifier.etc / "radsecproxy.conf", forger.etc)
    shutil.chown(forger.etc / "radsecproxy.conf", "radsecproxy")
    host.stop_all()
    verifier.machine.cut()
    address = f"{verifier.machine.address}/24"
    run("ip", "-n", "forger", "addr", "add", address, "dev", "eth0")
    run("ip", "-n", "web01", "neigh", "flush", "all")
    accept = functools.partial(reply, code=ACCESS_ACCEPT, secret=verifier.secret)
    try:
        with false_server(forger.socket(("127.0.0.1", 1812)), lambda asked: [accept(asked)]) as seen:
            forger.start("/usr/sbin/radsecproxy", "-f", "-c", "/etc/radsecproxy.conf")
            forger.wait_for(2083)
            host.start_host(connections=1 if certificate == "of another authority" else 2)
            result = log_in(user, "wrong", "123456")[0]
    finally:
        forger.stop_all()
        shutil.rmtree(forger.etc)
        run("ip", "-n", "forger", "addr", "del", address, "dev", "eth0")
        host.stop_all()
        verifier.machine.mend()
        run("ip", "-n", "web01", "neigh", "flush", "all")
        host.start_host()
    if certificate == "of another authority":
        assert (result, seen) == (Result.AUTH_ERR, []), "the forger was asked"
    else:
        assert result == Result.SUCCESS and seen, "the test proves nothing"


CLIENTS = {"no certificate": None, "verifier2": None, "of another authority": None, "web01": ACCESS_CHALLENGE}


def test_a_verifier_answers_the_hosts_of_its_list(radius, add_user, tmp_path):
    user, verifier, forger = add_user(), radius["verifier1"], radius["forger"]
    make_certificates(tmp_path / "other", "web01")

    def answer(client: str) -> int | None:
        context = ssl.create_default_context(cafile=verifier.certificates / "ca.pem")
        if client == "of another authority":
            context.load_cert_chain(tmp_path / "other/web01.pem", tmp_path / "other/web01.key")
        elif client != "no certificate":
            context.load_cert_chain(verifier.certificates / f"{client}.pem", verifier.certificates / f"{client}.key")
        with forger.socket(kind="tcp") as plain:
            plain.settimeout(10)
            plain.connect((verifier.machine.address, 2083))
            try:
                with context.wrap_socket(plain, server_hostname=verifier.machine.host_name) as secure:
                    secure.sendall(request(user.name, PASSWORD, "radsec").encode())
                    data = secure.recv(4096)
            except OSError:
                return None
        return Packet.parse(data).code if data else None

    assert {client: answer(client) for client in CLIENTS} == CLIENTS
    listening = run("ip", "netns", "exec", "verifier1", "ss", "-Hlnu", "sport = :1812").stdout
    assert "127.0.0.1:1812" in listening and listening.count("\n") == 1, "UDP is open to the network"


def test_freerad_cannot_read_the_enrollments(harness, add_user, log):
    """Why FreeRADIUS asks saslauthd."""
    user = add_user()
    code = user.enroll(backup_codes=1).backup_codes[0]
    rules = (FILES / "verifier/pam.d/radius-login").read_text().splitlines()
    name = harness.service("radius-login", *(rule for rule in rules if rule.startswith("auth")))
    open_to_all(harness.services)
    identity = ("setpriv", "--reuid=freerad", "--regid=freerad", "--init-groups")
    assert user.log_in(name, PASSWORD + code, under=identity).result == Result.AUTHINFO_UNAVAIL
    assert " reason=io-error " in log.of_module(1)[0].text
    assert user.log_in(name, PASSWORD + code).result == Result.SUCCESS
