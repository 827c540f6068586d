"""Compares doctor's findings about Match blocks with logins through the real sshd."""

import itertools
from pathlib import Path

import pytest
from rig.clock import time_to_type
from rig.doctor import doctor, findings
from rig.enrollment_at_login import CODE, Terminal, leaves_nothing
from rig.ssh import Client, Server, make_key

NUMBERS = itertools.count(1)
SETTINGS = Path("/etc/ssh/sshd_config")
STACK = Path("/etc/pam.d/sshd")
MODULE = "auth required pam_twofactor.so"
PASSWORD = f"auth requisite pam_unix.so\n{MODULE} nullok\n"
KEY = f"{MODULE} nullok\nauth required pam_permit.so\n"
ACCOUNT = "account required pam_unix.so\nsession required pam_permit.so\n"
BOTH = "publickey,keyboard-interactive:pam"


@pytest.fixture
def host(register, products):
    before = STACK.read_text(), SETTINGS.read_text()
    yield
    STACK.write_text(before[0])
    SETTINGS.write_text(before[1])


@pytest.fixture
def server(host, tmp_path):
    """An sshd whose configuration is the host's, so that doctor examines it."""

    def make(stack: str, match: str, methods: str = "any") -> Server:
        STACK.write_text(stack + ACCOUNT)
        server = Server("sshd", tmp_path / f"server{next(NUMBERS)}", methods=methods, match=match)
        SETTINGS.write_text(server.configuration.read_text())
        return server

    return make


def of_sshd() -> list[dict]:
    return [check for check in findings(doctor(None)[1]) if check["name"].startswith(("ssh", "pam_", "require_"))]


def found(name: str) -> dict:
    """The only finding about sshd."""
    ours = of_sshd()
    assert [check["name"] for check in ours] == [name], ours
    return ours[0]


def place(words: str) -> str:
    """`FILE, line N` of the first line with these words."""
    lines = SETTINGS.read_text().splitlines()
    return f"{SETTINGS}, line {next(number for number, line in enumerate(lines, 1) if words in line)}"


def test_a_block_that_requires_nothing_is_named_and_fixed_by_the_remedy(server, user, tmp_path):
    here = server(KEY, f"Match User {user.name}\nAuthenticationMethods keyboard-interactive:pam", BOTH)
    check = found("pam_code_alone")
    assert check["status"] == "failed" and check["detail"].endswith("users who are not enrolled need nothing to log in")
    assert place("Match User") in check["detail"]
    with here:
        assert here.connect(user).is_let_in()
    stack, settings = check["remedy"].splitlines()
    assert settings == f"in {place('AuthenticationMethods keyboard-interactive:pam')}: AuthenticationMethods {BOTH}"
    assert stack == f"in {STACK}, line 1: {MODULE} require_method=publickey"
    key = make_key(user, tmp_path)
    repaired = KEY.replace("nullok", "require_method=publickey")
    closed = server(repaired, f"Match User {user.name}\nAuthenticationMethods {BOTH}", BOTH)
    assert of_sshd() == []
    enrolled = user.enroll()
    with closed:
        assert not closed.connect(user).is_let_in()
        client = closed.connect(user, key=key)
        client.answer(Client.CODE, enrolled.authenticator.code_at(time_to_type()))
        assert client.is_let_in()


def test_a_block_in_which_no_login_is_possible_is_named(server, user, tmp_path):
    key = make_key(user, tmp_path)
    here = server(PASSWORD, f"Match User {user.name}\nKbdInteractiveAuthentication no", BOTH)
    check = found("ssh_match")
    assert check["status"] == "failed" and "no login is possible" in check["detail"]
    assert place("KbdInteractiveAuthentication no") in check["detail"]
    with here:
        client = here.connect(user, key=key)
        assert client.expect(Client.IN, "Permission denied", "Connection closed", "Disconnected") != Client.IN


def test_a_block_that_lets_a_key_in_without_a_code_is_named(server, user, tmp_path):
    key = make_key(user, tmp_path)
    user.enroll()
    here = server(PASSWORD, f"Match User {user.name}\nKbdInteractiveAuthentication no")
    assert found("ssh_match")["status"] == "warning"
    with here:
        assert here.connect(user, key=key).is_let_in()


def test_a_block_that_offers_the_method_password_refuses_enrolled_users(server, user):
    user.enroll()
    here = server(PASSWORD, f"Match User {user.name}\nPasswordAuthentication yes\nAuthenticationMethods password")
    assert of_sshd() and all(place("Match User") in check["detail"] for check in of_sshd())
    with here:
        client = here.connect(user)
        client.answer(Client.PASSWORD, user.password)
        assert not client.is_let_in()


def test_a_block_without_the_required_method_refuses_right_codes(server, user):
    user.enroll()
    stack = f"{MODULE} require_method=publickey\nauth required pam_permit.so\n"
    here = server(stack, f"Match User {user.name}\nAuthenticationMethods keyboard-interactive:pam", BOTH)
    check = found("ssh_required_method")
    line = place("AuthenticationMethods keyboard-interactive:pam")
    assert check["remedy"] == f"in {line}: AuthenticationMethods {BOTH}"
    with here:
        assert not here.connect(user).is_let_in()


def test_a_block_that_enrolls_before_the_key_is_named_and_fixed_by_the_remedy(server, user, tmp_path):
    stack = PASSWORD.replace("nullok", "enroll=require") + "account required pam_twofactor.so enroll=require\n"
    early = "AuthenticationMethods keyboard-interactive:pam,publickey"
    here = server(stack, f"Match User {user.name}\n{early}", BOTH)
    check = found("ssh_match")
    assert check["status"] == "warning" and "without publickey" in check["detail"]
    assert check["remedy"] == f"in {place(early)}: AuthenticationMethods {BOTH}"
    with here:
        terminal = Terminal(*here.arguments(user, "true"))
        terminal.reach(CODE, user.password)
        terminal.terminal.close()
    leaves_nothing(user)
    closed = server(stack, f"Match User {user.name}\nAuthenticationMethods {BOTH}", BOTH)
    assert of_sshd() == []
    with closed:
        refused = Terminal(*closed.arguments(user, "true")).ends()
        assert "Permission denied" in refused and "assword:" not in refused
        terminal = Terminal(*closed.arguments(user, "true", make_key(user, tmp_path)))
        terminal.enroll(user.password)
        terminal.ends()
    assert user.status()["enabled"]
