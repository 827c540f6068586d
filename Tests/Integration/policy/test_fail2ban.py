"""The fail2ban filter finds the addresses in what the module logs, and nothing in anything else."""

import shutil
import subprocess
from pathlib import Path

import pytest
from rig.clock import START
from rig.enrollment import enroll
from rig.machine import CHECKOUT

FILES = CHECKOUT / "pam" / "fail2ban"
FILTER = Path("/etc/fail2ban/filter.d/twofactor.conf")


@pytest.fixture(scope="module", autouse=True)
def installed():
    jail = Path("/etc/fail2ban/jail.d/twofactor.local")
    shutil.copy(FILES / "twofactor.conf", FILTER)
    shutil.copy(FILES / "twofactor.local", jail)
    yield
    FILTER.unlink()
    jail.unlink()


def found(lines: list[str], path: Path) -> list[str]:
    """The addresses that the filter finds, line by line."""
    path.write_text("".join(f"Nov 21 01:02:03 host sshd[77]: {line}\n" for line in lines))
    run = subprocess.run(
        ["/usr/bin/fail2ban-regex", "--out", "ip", path, FILTER], capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout.split()


def test_every_refusal_that_is_logged_is_found_with_its_address(
    harness, account, service, products, log, tmp_path
):
    enrolled = enroll(account)
    name = service("max_failures=3")
    code = enrolled.authenticator.code_at
    wrong = enrolled.authenticator.wrong_code(START)
    refused = [
        (account.name, code(START, steps=-4)),
        (account.name, wrong),
        (account.name, "letters"),
        ("nobody of \x1b this name", "123456"),
        ("root", "123456"),
        (account.name, wrong),
        (account.name, wrong),
    ]
    addresses = [f"192.0.2.{number}" for number in range(1, 6)] + ["2001:db8::7", "2001:db8::8"]
    for (user, answer), address in zip(refused, addresses, strict=True):
        harness.log_in(name, user, answer, at=START, rhost=address)
    lines = [message.text for message in log.of_module(len(refused))]
    reasons = [line.partition("reason=")[2].split()[0] for line in lines]
    assert reasons == [
        "outside-window", "wrong-code", "malformed-reply", "unknown-user", "not-enrolled", "wrong-code", "throttled",
    ]
    assert found(lines, tmp_path / "log") == addresses


def test_a_used_code_is_found(harness, enrolled, service, log, tmp_path):
    name = service()
    for _ in range(2):
        harness.log_in(name, enrolled.user, enrolled.authenticator.code_at(START), at=START, rhost="192.0.2.9")
    assert found([message.text for message in log.of_module(2)], tmp_path / "log") == ["192.0.2.9"]


def test_what_is_nobodys_attack_is_not_found(harness, enrolled, service, log, tmp_path):
    name = service()
    for rhost in (None, "host.example.com", "localhost"):
        harness.log_in(name, enrolled.user, "letters", at=START, rhost=rhost)
    harness.log_in(name, enrolled.user, "", at=START, rhost="192.0.2.9")
    harness.log_in(service("unknown"), enrolled.user, at=START, rhost="192.0.2.9")
    enrolled.credential.chmod(0o666)
    harness.log_in(name, enrolled.user, enrolled.authenticator.code_at(START), at=START, rhost="192.0.2.9")
    lines = [message.text for message in log.of_module(6)]
    assert len(lines) == 6
    accepted = f"pam_twofactor(sshd:auth): accepted user={enrolled.user} rhost=192.0.2.9 method=totp device=phone"
    assert found([*lines, accepted], tmp_path / "log") == []


def test_no_name_makes_another_address_be_found(harness, products, service, log, tmp_path):
    name = service()
    forged = "x rhost=203.0.113.1 reason=wrong-code failures=1"
    harness.log_in(name, forged, "123456", at=START, rhost="192.0.2.9")
    harness.log_in(name, "nobody-of-this-name", "123456", at=START, rhost="203.0.113.1 reason=wrong-code")
    assert found([message.text for message in log.of_module(2)], tmp_path / "log") == ["192.0.2.9"]


def test_fail2ban_takes_the_example_of_a_jail(tmp_path):
    Path("/var/log/auth.log").touch()
    run = subprocess.run(["fail2ban-client", "-d"], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert "['start', 'twofactor']" in run.stdout and "ERROR" not in run.stderr, run.stderr
