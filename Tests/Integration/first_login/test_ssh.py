"""Enrollment at the first login through OpenSSH: its methods, its clients, and the QR code on their screens."""

import os
import re
import time
from pathlib import Path

import pytest
from rig.clock import time_to_type
from rig.enrollment_at_login import (
    AGAIN, CODE, OFFER, ON, PASSWORD, STORED, Terminal, leaves_nothing, shown_key, stack,
)  # fmt: skip
from rig.process import run
from rig.screen import DARK, LIGHT
from rig.ssh import Server, make_key

SERVICE = "first-login-sshd"
IN, REFUSED = "logged in", "Permission denied"
QUESTION = "Verification code: "

# The methods of a login by group; everyone else uses keyboard-interactive authentication.
GROUPS = {
    "first-both": "AuthenticationMethods publickey,keyboard-interactive:pam",
    "first-any": "AuthenticationMethods publickey keyboard-interactive:pam",
    "first-password": "AuthenticationMethods password\nPasswordAuthentication yes\nKbdInteractiveAuthentication no",
    "first-sftp": (
        "AuthenticationMethods publickey keyboard-interactive:pam\nChrootDirectory /srv\nForceCommand internal-sftp"
    ),
}


@pytest.fixture(scope="module")
def server(system_service, scratch):
    for group in GROUPS:
        run("groupadd", "--force", group)
    system_service(SERVICE, *stack("enroll=require"))
    match = "".join(f"Match Group {group}\n{lines}\n" for group, lines in GROUPS.items())
    settings = "Subsystem sftp internal-sftp"
    with Server(SERVICE, scratch / SERVICE, settings=settings, match=match) as running:
        yield running


@pytest.fixture(autouse=True)
def policy(server, system_service):
    """Writes the rules of the service; enroll=require at the beginning of each test."""

    def write(arguments: str) -> None:
        system_service(SERVICE, *stack(arguments))

    write("enroll=require")
    return write


@pytest.fixture
def member(new_user):
    """Adds a user of one of the groups."""

    def add(group: str):
        user = new_user()
        run("usermod", "--append", "--groups", group, user.name)
        return user

    return add


def connect(server: Server, user, key: Path | None = None, command: str = "echo logged in", **options) -> Terminal:
    return Terminal(*server.arguments(user, command, key), **options)


def log_in(server: Server, user, code: str, key: Path | None = None) -> bool:
    """A later login, with password and code."""
    terminal = connect(server, user, key)
    terminal.answer(PASSWORD, user.password)
    terminal.answer(QUESTION, code)
    return is_let_in(terminal)


def is_let_in(terminal: Terminal) -> bool:
    return terminal.ends_with(IN, REFUSED) == IN


def outcomes(log, count: int) -> list[str]:
    """The module's log lines without name and address; asserts that the address is that of the client."""
    return [re.sub(r"^pam_twofactor\([^:]+:|user=\S+ rhost=127.0.0.1 ", "", each.text) for each in log.of_module(count)]


def test_a_first_login_enrolls_and_the_next_asks_for_a_code(server, user, log):
    terminal = connect(server, user)
    shown = terminal.enroll(user.password)
    assert is_let_in(terminal)
    assert terminal.received.count(ON) == 1 and len(shown.backup_codes) == 10
    assert user.status()["enabled"] and user.status()["backup_codes_left"] == 10
    assert log.of_module(2)[-1].text == (
        f"pam_twofactor({SERVICE}:account): accepted user={user.name} rhost=127.0.0.1 method=enrolled"
    )
    assert log.of_module(2)[-1].priority == "authpriv.info"
    assert not log_in(server, user, shown.code), "the code of the enrollment is used up"
    assert log_in(server, user, shown.authenticator.code_at(time_to_type(), steps=1))
    assert log_in(server, user, shown.backup_codes[3])
    assert outcomes(log, 5)[2:] == [
        "auth): denied reason=reused-code",
        f"auth): accepted method=totp device={user.devices()[0]}",
        "auth): accepted method=backup-code backup_codes_left=9",
    ]


def test_a_key_and_then_the_password_lead_through_enrollment(server, member, scratch):
    user = member("first-both")
    key = make_key(user, scratch)
    terminal = connect(server, user, key)
    shown = terminal.enroll(user.password)
    assert is_let_in(terminal)
    assert log_in(server, user, shown.authenticator.code_at(time_to_type(), steps=1), key)


def test_a_key_alone_is_not_asked(server, member, scratch, log):
    user = member("first-any")
    assert is_let_in(connect(server, user, make_key(user, scratch)))
    leaves_nothing(user)
    assert not log.of_module()


def test_the_password_method_has_no_conversation(server, member, policy, log):
    user = member("first-password")
    terminal = connect(server, user)
    terminal.answer(PASSWORD, user.password)
    said = terminal.ends()
    assert IN not in said and "Two-factor login is required" in said
    policy("enroll=offer")
    terminal = connect(server, user)
    terminal.answer(PASSWORD, user.password)
    assert is_let_in(terminal)
    assert "twofactor enable" in terminal.received
    leaves_nothing(user)
    assert [line for line in outcomes(log, 4) if line.startswith("account")] == [
        'account): denied reason=not-enrolled detail="no conversation"',
        'account): accepted method=exempt detail="no conversation"',
    ]


def test_a_wrong_password_shows_no_key(server, user, log):
    terminal = connect(server, user)
    terminal.answer(PASSWORD, "wrong")
    assert not is_let_in(terminal)
    assert "otpauth:" not in terminal.received and "Two-factor" not in terminal.received
    leaves_nothing(user)
    assert not any(line.startswith("account") for line in outcomes(log, 1))


ASKPASS = """\
#!/usr/bin/python3
import sys, time
sys.path.insert(0, {rig!r})
from rig.one_time_password import Authenticator
prompt = sys.argv[1]
print(
    "y" if "[y/N]" in prompt
    else Authenticator.from_uri(prompt).code_at(time.time()) if "otpauth:" in prompt
    else {password!r}
)
"""


def test_a_command_without_a_terminal(server, user, scratch):
    askpass = scratch / "askpass"
    askpass.write_text(ASKPASS.format(rig=str(Path(__file__).parent.parent), password=user.password))
    askpass.chmod(0o755)
    time_to_type()
    run(
        *server.arguments(user, "true"),
        environment={**os.environ, "SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force"},
        start_new_session=True,
    )
    assert user.status()["enabled"]


def test_an_sftp_client_in_a_chroot(server, member, scratch, log):
    user = member("first-sftp")
    key = make_key(user, scratch)

    def sftp(key: Path | None = None) -> Terminal:
        words = server.arguments(user, key=key)[1:]
        words[words.index("-p")] = "-P"
        return Terminal("sftp", *words)

    terminal = sftp(key)
    terminal.answer("sftp> ", "bye")
    terminal.ends()
    leaves_nothing(user)
    assert not log.of_module()
    terminal = sftp()
    shown = terminal.enroll(user.password)
    terminal.answer("sftp> ", "bye")
    terminal.ends()
    terminal = sftp()
    terminal.answer(PASSWORD, user.password)
    terminal.answer(QUESTION, shown.backup_codes[0])
    terminal.answer("sftp> ", "bye")
    terminal.ends()


def test_a_declined_offer_lets_the_user_in(server, user, policy, log):
    policy("enroll=offer")
    for answer in ("n", "perhaps"):
        terminal = connect(server, user)
        terminal.answer(PASSWORD, user.password)
        terminal.answer(OFFER, answer)
        if answer == "perhaps":
            terminal.answer(OFFER, "no")
        assert is_let_in(terminal)
        assert "otpauth:" not in terminal.received
    leaves_nothing(user)
    terminal = connect(server, user)
    shown = terminal.enroll(user.password, is_offer=True)
    assert is_let_in(terminal)
    assert log_in(server, user, shown.authenticator.code_at(time_to_type(), steps=1))


def test_three_wrong_codes_refuse_the_login_if_enrollment_is_required(server, user, log):
    terminal = connect(server, user)
    terminal.reach(CODE, user.password)
    wrong = shown_key(terminal.received).authenticator.wrong_code(time.time())
    for _ in range(2):
        terminal.type(wrong)
        terminal.expect(AGAIN, CODE)
    terminal.type(wrong)
    assert not is_let_in(terminal)
    leaves_nothing(user)
    assert outcomes(log, 2)[-1] == "account): denied reason=enrollment-declined"


@pytest.mark.parametrize("mode", ["require", "offer"])
def test_enrollment_is_possible_only_from_enroll_networks(server, user, policy, log, mode):
    policy(f"enroll={mode} enroll_networks=192.0.2.0/24,2001:db8::/32")
    terminal = connect(server, user)
    terminal.answer(PASSWORD, user.password)
    assert is_let_in(terminal) == (mode == "offer")
    assert "otpauth:" not in terminal.received and OFFER not in terminal.received
    word = "denied reason=not-enrolled" if mode == "require" else "accepted method=exempt"
    assert outcomes(log, 2)[-1] == f'account): {word} detail="outside enroll_networks"'
    policy(f"enroll={mode} enroll_networks=192.0.2.0/24,127.0.0.0/8")
    terminal = connect(server, user)
    terminal.enroll(user.password, is_offer=mode == "offer")
    assert is_let_in(terminal)


def test_an_expired_password_is_changed_after_the_enrollment(server, user):
    run("chage", "-d", "0", user.name)
    terminal = connect(server, user)
    shown = terminal.enroll(user.password)
    terminal.answer("urrent password: ", user.password)
    new = user.password + "-new"
    terminal.answer("New password: ", new)
    terminal.answer("new password: ", new)
    assert is_let_in(terminal)
    terminal = connect(server, user)
    terminal.answer(PASSWORD, new)
    terminal.answer(QUESTION, shown.authenticator.code_at(time_to_type(), steps=1))
    assert is_let_in(terminal)


def test_an_expired_account_stays_refused(server, user):
    run("chage", "-E", "1", user.name)
    terminal = connect(server, user)
    terminal.enroll(user.password)
    assert not is_let_in(terminal)


def test_the_screen_of_the_ssh_client_has_a_qr_code_that_scans(server, user, tmp_path):
    terminal = connect(server, user, rows=45, columns=80)
    terminal.reach(CODE, user.password)
    shown = shown_key(terminal.received)
    assert terminal.qr_code(DARK, tmp_path) == shown.uri
    terminal.type("i")
    terminal.expect(CODE)
    assert terminal.qr_code(LIGHT, tmp_path) == shown.uri
    assert shown_key(terminal.received) == shown, "the key stays the same"
    terminal.type(shown.authenticator.code_at(time_to_type()))
    terminal.answer(STORED, "y")
    assert is_let_in(terminal)
    assert "\x1b" not in terminal.received
    drawn = [line.strip("\r") for line in terminal.received.split("\n") if re.search("[█▀▄]", line)]
    assert drawn and max(map(len, drawn)) <= 60
    words = [line for line in terminal.received.split("\r\n") if "://" not in line and line not in drawn]
    assert max(map(len, words)) <= 120


def test_putty_shows_a_qr_code_that_scans(server, user, tmp_path):
    """plink is PuTTY without its window; it marks each line of the server and wraps long ones."""
    fingerprint = run("ssh-keygen", "-lf", server.directory / "host_key.pub").stdout.split()[1]
    words = ["-ssh", "-P", str(server.port), "-noagent", "-hostkey", fingerprint, f"{user.name}@127.0.0.1"]
    terminal = Terminal(
        "plink", *words, "echo logged in", rows=60, columns=80, environment={"HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    )
    terminal.answer(PASSWORD, user.password)
    terminal.expect(CODE)
    shown = shown_key(re.sub(r"[\r\n]+> ", "", terminal.received))
    assert terminal.qr_code(DARK, tmp_path) == shown.uri
    terminal.type(shown.authenticator.code_at(time_to_type()))
    terminal.answer(STORED, "y")
    terminal.answer("begin session.", "")
    assert IN in terminal.ends()
    assert user.status()["enabled"]


def test_paramiko_enrolls_with_one_prompt_at_a_time(server, user, tmp_path):
    import paramiko

    transport = paramiko.Transport(("127.0.0.1", server.port))
    transport.connect()
    counts, questions, text = [], [], ""

    def answer(title: str, instructions: str, prompts: list[tuple[str, bool]]) -> list[str]:
        nonlocal text
        counts.append(len(prompts))
        replies = []
        for prompt, is_shown in prompts:
            text += prompt
            questions.append((prompt.rpartition("\n")[2], is_shown))
            if prompt.endswith(STORED):
                replies.append("y")
            elif prompt.endswith(CODE):
                replies.append(shown_key(prompt).authenticator.code_at(time_to_type()))
            else:
                replies.append(user.password)
        return replies

    transport.auth_interactive(user.name, answer)
    channel = transport.open_session()
    channel.exec_command("echo logged in")
    assert channel.makefile().read() == b"logged in\n"
    transport.close()
    assert max(counts) == 1
    assert [question for question, _ in questions] == ["Password: ", CODE, STORED]
    assert user.status()["enabled"]


def test_two_first_logins_make_one_enrollment(server, user):
    terminals = [connect(server, user) for _ in range(2)]
    keys = []
    for terminal in terminals:
        terminal.reach(STORED, user.password)
        keys.append(shown_key(terminal.received))
    for terminal in terminals:
        terminal.type("y")
    let_in = [is_let_in(terminal) for terminal in terminals]
    assert sorted(let_in) == [False, True]
    told = [ON in terminal.received for terminal in terminals]
    assert told == let_in
    winner = keys[let_in.index(True)]
    assert log_in(server, user, winner.authenticator.code_at(time_to_type(), steps=1))
