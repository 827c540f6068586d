"""The fail2ban filter finds exactly the addresses of refusals."""

import shutil
from pathlib import Path

import pytest
from rig.clock import START
from rig.machine import CHECKOUT
from rig.process import run

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
    done = run("/usr/bin/fail2ban-regex", "--out", "ip", path, FILTER)
    return done.stdout.split()


def test_every_logged_refusal_is_found_with_its_address(harness, user, service, log, tmp_path):
    enrolled = user.enroll()
    name = service("max_failures=3")
    code = enrolled.authenticator.code_at
    wrong = enrolled.authenticator.wrong_code(START)
    refused = [
        (user.name, code(START, steps=-4)),
        (user.name, wrong),
        (user.name, "letters"),
        ("no such \x1b user", "123456"),
        ("root", "123456"),
        (user.name, wrong),
        (user.name, wrong),
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


def test_a_reused_code_is_found(user, service, log, tmp_path):
    enrolled = user.enroll()
    name = service()
    for _ in range(2):
        user.log_in(name, enrolled.authenticator.code_at(START), at=START, rhost="192.0.2.9")
    assert found([message.text for message in log.of_module(2)], tmp_path / "log") == ["192.0.2.9"]


def test_lines_that_are_no_attack_are_not_found(user, service, log, tmp_path):
    enrolled = user.enroll()
    name = service()
    for rhost in (None, "host.example.com", "localhost"):
        user.log_in(name, "letters", at=START, rhost=rhost)
    user.log_in(name, "", at=START, rhost="192.0.2.9")
    user.log_in(service("unknown"), at=START, rhost="192.0.2.9")
    enrolled.credential.chmod(0o666)
    user.log_in(name, enrolled.authenticator.code_at(START), at=START, rhost="192.0.2.9")
    lines = [message.text for message in log.of_module(6)]
    assert len(lines) == 6
    accepted = f"pam_twofactor(sshd:auth): accepted user={user.name} rhost=192.0.2.9 method=totp device=phone"
    assert found([*lines, accepted], tmp_path / "log") == []


def test_a_user_who_declines_the_enrollment_at_login_is_not_found(tmp_path):
    """The password was right."""
    start = "pam_twofactor(sshd:account): denied user=alice rhost=192.0.2.9 reason="
    reasons = ["enrollment-declined", 'not-enrolled detail="outside enroll_networks"', "no-reply"]
    assert found([start + reason for reason in reasons], tmp_path / "log") == []


def test_no_user_name_forges_an_address(harness, service, log, tmp_path):
    name = service()
    forged = "x rhost=203.0.113.1 reason=wrong-code failures=1"
    harness.log_in(name, forged, "123456", at=START, rhost="192.0.2.9")
    harness.log_in(name, "no-such-user", "123456", at=START, rhost="203.0.113.1 reason=wrong-code")
    assert found([message.text for message in log.of_module(2)], tmp_path / "log") == ["192.0.2.9"]


def test_fail2ban_accepts_the_example_jail(tmp_path):
    Path("/var/log/auth.log").touch()
    done = run("fail2ban-client", "-d")
    assert "['start', 'twofactor']" in done.stdout and "ERROR" not in done.stderr, done.stderr
