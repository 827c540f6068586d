"""Runs the EXAMPLES of the manual pages."""

import datetime
import json
import re
import shlex
import time
from pathlib import Path

import pexpect
import pytest
from rig import machine
from rig.enrollment import enroll
from rig.harness import Result
from rig.machine import CHECKOUT, COMMAND
from rig.one_time_password import Authenticator
from rig.process import run
from rig.register import STORE, create_host_store, create_register, remove_register

PAGES = CHECKOUT / "pam/man"
GOOGLE = Path("/home/alice/.google_authenticator")
OATH = Path("/etc/users.oath")


def examples(name: str) -> str:
    return (PAGES / name).read_text().partition(".Sh EXAMPLES\n")[2].partition("\n.Sh ")[0]


def displays(name: str) -> list[str]:
    return re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", examples(name), re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """The command lines of twofactor(1), with their shell prompts."""
    lines = re.findall(r"^(?:\.Dl )?([$#] twofactor .*)$", examples("twofactor.1"), re.MULTILINE)
    assert len(lines) >= 7
    return lines


@pytest.fixture(scope="module")
def alice(products):
    """The user of the manual pages; no other test uses this name."""
    account = machine.add_account("alice", "correct horse")
    yield account
    run("userdel", "--remove", "alice", status=None)


def type_line(line: str, account, answers: list[tuple[str, str]] | None = None) -> str:
    """Runs a line at a terminal, as root or as the user by its shell prompt; returns the output of a success."""
    words = shlex.split(line[2:])
    if line.startswith("$"):
        words = ["runuser", "-l", account.name, "-c", f"exec {line[2:]}"]
    terminal = pexpect.spawn(words[0], words[1:], encoding="utf-8", timeout=30, dimensions=(50, 120))
    shown = ""
    for question, answer in answers or []:
        terminal.expect(question)
        shown += terminal.before
        terminal.sendline(answer(shown) if callable(answer) else answer)
    terminal.expect(pexpect.EOF)
    shown += terminal.before
    terminal.close()
    assert terminal.exitstatus == 0, (line, terminal.exitstatus, shown)
    return shown


def forget(account) -> None:
    run(COMMAND, "disable", "--user", account.name, status=None)


def code_of(shown: str) -> str:
    secret = re.search(r"secret=([A-Z2-7\s]+?)&", shown)[1]
    return Authenticator.from_base32(re.sub(r"\s", "", secret)).code_at(time.time())


def enables(line: str, account) -> None:
    forget(account)
    type_line(line, account, [("[Pp]assword.*: ", account.password), ("Code.*: ", code_of), ("[?].*", "y")])
    assert status(account)["enabled"] is True


def provisions(line: str, account) -> None:
    forget(account)
    answer = json.loads(type_line(line, account))
    assert {"secret", "uri", "backup_codes"} <= set(answer) and status(account)["enabled"] is True


def imports_one(line: str, account) -> None:
    forget(account)
    app = Authenticator(b"12345678901234567890")
    GOOGLE.write_text(f'{app.base32}\n" TOTP_AUTH\n12345678\n')
    GOOGLE.chmod(0o400)
    run("chown", "alice:", GOOGLE)
    answers = [("[Pp]assword.*: ", account.password), ("Code.*: ", lambda shown: app.code_at(time.time()))]
    type_line(line, account, answers)
    assert status(account)["enabled"] is True


def imports_all(line: str, account) -> None:
    forget(account)
    OATH.write_text("HOTP/T30/6 alice - 3132333435363738393031323334353637383930\n")
    OATH.chmod(0o600)
    type_line(line, account)
    OATH.unlink()
    assert status(account)["enabled"] is True


def adds_a_token(line: str, account) -> None:
    phone = enroll(account, again=status(account)["enabled"]).authenticator
    token = Authenticator(b"12345678901234567890")
    answers = [
        ("backup code: ", phone.code_at(time.time())),
        ("Base64: ", token.secret.hex()),
        ("Code.*: ", token.code_for_counter(0)),
    ]
    type_line(line, account, answers)
    assert [device["name"] for device in status(account)["devices"]] == ["phone", "token"]


def disables(line: str, account) -> None:
    enroll(account, again=status(account)["enabled"])
    type_line(line, account)
    assert status(account)["enabled"] is False


def moves(line: str, account) -> None:
    enroll(account, again=status(account)["enabled"])
    create_register()
    create_host_store()
    configuration = Path("/etc/security/twofactor.conf")
    configuration.write_text("store = host\n")
    try:
        # It reports homes that other tests broke.
        assert "alice: moved" in run(*shlex.split(line[2:]), status=None).stdout
        assert status(account)["directory"].startswith(str(STORE))
    finally:
        configuration.unlink()
        remove_register()


def examines(line: str, account) -> None:
    shown = run(*shlex.split(line[2:]), status=None)
    # Other tests may have left findings in the sandbox.
    assert shown.returncode in (0, 78) and "module:" in shown.stdout


def tries(line: str, account) -> None:
    stack = Path("/etc/pam.d/sshd")
    before = stack.read_text()
    enrolled = enroll(account, again=status(account)["enabled"])
    stack.write_text(
        before.replace("@include common-auth\n", "@include common-auth\nauth required pam_twofactor.so nullok\n")
    )
    try:
        code = enrolled.authenticator.code_at(time.time())
        shown = type_line(line, account, [("[Pp]assword.*: ", account.password), ("Verification code: ", code)])
    finally:
        stack.write_text(before)
    assert "The login would succeed." in shown


def tries_a_single_field(line: str, account) -> None:
    service = Path("/etc/pam.d/dovecot")
    before = service.read_bytes()
    enrolled = enroll(account, again=status(account)["enabled"])
    service.write_text((CHECKOUT / "pam/service/single-field").read_text())
    try:
        code = enrolled.authenticator.code_at(time.time())
        shown = type_line(line, account, [("Password: ", account.password), ("Code, .*: ", code)])
    finally:
        service.write_bytes(before)
    assert "The login would succeed." in shown


RUN = {
    "$ twofactor enable": enables,
    "# twofactor enable --user alice --no-confirm --yes --json": provisions,
    "$ twofactor import ~/.google_authenticator": imports_one,
    "# twofactor import --all /etc/users.oath": imports_all,
    "$ twofactor device add token --type hotp --ask-key": adds_a_token,
    "# twofactor disable --user alice": disables,
    "# twofactor move --all --from home": moves,
    "# twofactor doctor": examines,
    "# twofactor test --service sshd --user alice": tries,
    "# twofactor test --service dovecot --user alice --single-field": tries_a_single_field,
}


def status(account) -> dict:
    shown = run(COMMAND, "status", "--user", account.name, "--json", status=None)
    return json.loads(shown.stdout)


@pytest.mark.parametrize("line", commands())
def test_a_command_of_the_page_works(alice, line):
    RUN[line](line, alice)


@pytest.mark.parametrize("number", range(len(displays("pam_twofactor.8"))))
def test_a_stack_of_the_page_asks_for_password_and_code(alice, system_service, number):
    stack = displays("pam_twofactor.8")[number]
    if "pam_unix" not in stack and "@include" not in stack:
        stack = "auth requisite pam_unix.so\n" + stack
    system_service("page", *stack.splitlines(), "account required pam_unix.so")
    forget(alice)
    code = enroll(alice).authenticator.code_at(time.time())
    for expected in (0, 1):
        run(
            COMMAND, "test", "--service", "page", "--user", "alice", "--json", input=f"{alice.password}\n{code}\n",
            status=expected,
        )
    forget(alice)


def test_the_configuration_of_the_page_takes_effect(alice):
    text, _, _ = displays("twofactor.conf.5")
    forget(alice)
    path = Path("/etc/security/twofactor.conf")
    path.write_text(text)
    try:
        assert "issuer=Example%20Ltd" in enroll(alice).uri
        words = ["runuser", "-u", "alice", "--", COMMAND, "disable"]
        run(*words, input="x\n", status=77)
        assert status(alice)["enabled"] is True
    finally:
        path.unlink()
        forget(alice)


def test_the_rollout_of_the_page_works(harness, new_user, service, host_configuration):
    _, text, _ = displays("twofactor.conf.5")
    host_configuration(*text.splitlines())
    name = service(then="pam_permit.so")
    january, february = (int(datetime.datetime(2027, month, 15, tzinfo=datetime.UTC).timestamp()) for month in (1, 2))

    stranger, backup, enrolled = new_user(), new_user(), new_user().enroll()
    run("usermod", "--groups", "backup", backup.name)
    reminded = stranger.log_in(name, at=january)
    assert reminded.result == Result.SUCCESS and "will be required from 2027-02-01" in reminded.messages[0]
    assert stranger.log_in(name, "123456", at=february).result == Result.AUTH_ERR
    assert backup.log_in(name, at=february).result == Result.SUCCESS
    for later, asks in ((0, True), (28_799, False), (28_800, True)):
        at = february + later
        code = enrolled.authenticator.code_at(at)
        login = harness.log_in(name, enrolled.user, code, at=at, rhost="192.0.2.7")
        assert (login.result, bool(login.prompts)) == (Result.SUCCESS, asks)


def test_the_rollout_with_enrollment_at_login_is_valid(new_user, service, host_configuration):
    """See test_first_login_page for the enrollment."""
    _, _, text = displays("twofactor.conf.5")
    host_configuration(*text.splitlines())
    name, stranger = service(then="pam_permit.so"), new_user()
    # The service has no account rule, so nothing is asked, before the day and after it.
    for month in (1, 2):
        at = int(datetime.datetime(2027, month, 15, tzinfo=datetime.UTC).timestamp())
        login = stranger.log_in(name, at=at)
        assert (login.result, login.prompts) == (Result.SUCCESS, [])
