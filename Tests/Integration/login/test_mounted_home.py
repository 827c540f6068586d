"""A gocryptfs home that pam_mount mounts, at the console and in sshd, with the lines of pam/hosts.md."""

import io
import os
import re
from pathlib import Path

import pexpect
import pytest
from rig.clock import time_to_type
from rig.machine import CHECKOUT
from rig.process import run
from rig.register import registered
from rig.ssh import Client, Server


def section(heading: str) -> str:
    return (CHECKOUT / "pam/hosts.md").read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


PAGE = section("Encrypted and mounted homes")
SINGLE_FIELD = re.findall(r"(?m)^    (auth .*)$", section("Programs with a single password field"))
STACK = re.findall(r"(?m)^    ((?:auth|account|session) .*)$", PAGE)
OUTSIDE = re.findall(r"(?m)^    (store = .*)$", PAGE)
VOLUME = re.findall(r"(?m)^    (<volume .*/>)$", PAGE)

PASSWORD, CODE, SHELL, REFUSED = "[Pp]assword: ", "Verification code: ", r"\$ ", "Login incorrect"


@pytest.fixture(autouse=True)
def fuse() -> None:
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        pytest.skip(f"this kernel has no FUSE: {error.strerror}")


def test_the_lines_of_the_page_are_found():
    assert (len(STACK), len(OUTSIDE), len(VOLUME), len(SINGLE_FIELD)) == (6, 1, 1, 2)


def is_mounted(path: Path) -> bool:
    """As the kernel lists it: root cannot examine the file system itself."""
    return run("findmnt", "-rn", path, status=None).returncode == 0


@pytest.fixture
def user(new_user):
    """A user with a gocryptfs home that has the password of the account."""
    user = new_user()
    cipher = user.home.with_name(f"{user.name}.cipher")
    cipher.mkdir(mode=0o700)
    os.chown(cipher, user.uid, user.gid)
    words = ("gocryptfs", "-init", "-q", "-scryptn", "10", cipher)
    run(*words, user=user, input=f"{user.password}\n", environment={"PATH": "/usr/bin:/bin", "HOME": "/"})
    settings = Path("/etc/security/pam_mount.conf.xml")
    before = settings.read_text()
    settings.write_text(f'<?xml version="1.0" encoding="utf-8" ?>\n<pam_mount>\n{VOLUME[0]}\n</pam_mount>\n')
    yield user
    settings.write_text(before)
    assert not is_mounted(user.home)


class Console:
    """A login at the console, up to a shell or a refusal."""

    def __init__(self, user, authenticator=None) -> None:
        self.terminal = pexpect.spawn(
            "login", [user.name], timeout=20, encoding="utf-8", env={**os.environ, "TERM": "xterm"}
        )
        self.terminal.expect(PASSWORD)
        self.terminal.sendline(user.password)
        if authenticator:
            self.terminal.expect(CODE)
            self.terminal.sendline(authenticator.code_at(time_to_type()))
        self.is_in = self.terminal.expect([SHELL, REFUSED, CODE]) == 0

    def close(self) -> None:
        self.terminal.sendline("exit") if self.is_in else self.terminal.close(force=True)
        if self.is_in:
            self.terminal.expect(pexpect.EOF)
            self.terminal.close()


@pytest.fixture
def enrolled(user, system_service, register):
    """The user enrolled in a first session, in the mounted home, which is not mounted any more."""
    system_service("login", *STACK)
    session = Console(user)
    assert session.is_in and is_mounted(user.home)
    enrolled = user.enroll()
    session.close()
    assert not is_mounted(user.home) and registered() == [user.uid]
    return enrolled


@pytest.mark.parametrize("order", ["as on the page", "pam_mount first"])
def test_a_registered_user_is_refused_before_the_home_is_mounted(user, enrolled, system_service, log, order):
    """pam_mount mounts in the session phase: the order of the auth rules makes no difference."""
    if order == "pam_mount first":
        password, code, mount, *others = STACK
        system_service("login", password, mount, code, *others)
    session = Console(user)
    assert not session.is_in
    session.close()
    assert " reason=missing-enrollment detail=" in log.of_module()[-1].text


def test_without_a_register_the_password_alone_lets_in(user, enrolled, register):
    """The hole that the register closes."""
    (register / str(user.uid)).unlink()
    register.rmdir()
    register.parent.rmdir()
    session = Console(user)
    assert session.is_in
    session.close()


def test_an_enrollment_outside_the_home_works(user, system_service, host_configuration, host_store, log):
    host_configuration(OUTSIDE[0])
    system_service("login", *STACK)
    authenticator = user.enroll().authenticator
    for steps in (0, 1):
        session = Console(user, authenticator)
        assert session.is_in is (steps == 0)
        if session.is_in:
            session.terminal.sendline("findmnt -no FSTYPE ~")
            session.terminal.expect("fuse.gocryptfs")
            session.terminal.expect(SHELL)
        session.close()
    assert [" reason=reused-code" in message.text for message in log.of_module()] == [False, True]


@pytest.mark.parametrize("how", ["keyboard-interactive:pam", "password"])
def test_sshd_mounts_the_home_only_after_password_authentication(
    user, system_service, host_configuration, host_store, tmp_path, how
):
    host_configuration(OUTSIDE[0])
    authenticator = user.enroll().authenticator
    settings, auth = {
        "keyboard-interactive:pam": ("", STACK[:2]),
        "password": ("PasswordAuthentication yes\nKbdInteractiveAuthentication no\n", SINGLE_FIELD),
    }[how]
    service = system_service("sshd-mounts", *auth, *STACK[2:])
    output = io.StringIO()
    with Server(service, tmp_path / "sshd", methods=how, settings=settings) as server:
        client = Client(server.arguments(user, "findmnt -no FSTYPE ~; echo logged in"), log=output)
        code = authenticator.code_at(time_to_type())
        if how == "password":
            client.answer(client.PASSWORD, user.password + code)
        else:
            client.answer(client.PASSWORD, user.password)
            client.answer(client.CODE, code)
        assert client.is_let_in()
    assert ("fuse.gocryptfs" in output.getvalue()) is (how == "password")
