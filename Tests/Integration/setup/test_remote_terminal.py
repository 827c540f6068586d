"""`ssh host twofactor …` without a terminal, where the user's own terminal would show a password."""

import subprocess
import time
from pathlib import Path

import pytest
from rig.enrollment import twofactor
from rig.machine import add_account
from rig.one_time_password import Authenticator
from rig.ssh import Server, make_key

REFUSED = "twofactor: there is no terminal, so a password or code would be visible as you type it\n"


@pytest.fixture
def server(user, system_service, scratch):
    service = system_service("remote", "account required pam_permit.so")
    with Server(service, scratch / user.name, methods="publickey") as server:
        yield server


@pytest.fixture
def remote(server, user, scratch):
    """Starts a command at the server, without a terminal."""
    key = make_key(user, scratch)

    def start(command: str) -> subprocess.Popen:
        return subprocess.Popen(
            server.arguments(user, command, key),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def test_without_a_terminal_nothing_secret_is_asked(user, remote):
    user.enroll()
    hints = {
        "enable --force": "twofactor enable --force",
        "device add 'my phone'": "\"twofactor device add 'my phone'\"",
        "verify": "twofactor verify",
        "import --force": "twofactor import --force",
    }
    # Standard input stays open, as if a person were about to type.
    running = {line: remote(f"twofactor {line}") for line in hints}
    for line, process in running.items():
        said, error = process.stdout.read(), process.stderr.read()
        assert (process.wait(timeout=20), said, error) == (1, "", f"{REFUSED}hint: ssh -t HOST {hints[line]}\n")
        process.stdin.close()


def test_answers_from_a_program_are_accepted(user, remote):
    # The first answer arrives with the command; later ones may be computed.
    process = remote("twofactor enable --issuer Example")
    process.stdin.write(user.password + "\n")
    process.stdin.flush()
    said = ""
    while "Code from the app: " not in said:
        said += process.stdout.read(1)
    time.sleep(4)
    said, error = process.communicate(Authenticator.from_uri(said).code_at(time.time()) + "\ny\n", timeout=30)
    assert process.returncode == 0 and error == "" and "Two-factor is on." in said

    # An empty input is no person.
    process = remote("twofactor disable </dev/null")
    said, error = process.communicate(timeout=30)
    assert process.returncode == 1 and error.startswith("twofactor: end of input at a question")

    # With --json, a program answers, however late.
    process = remote("twofactor disable --json")
    time.sleep(4)
    said, error = process.communicate("wrong\n", timeout=30)
    assert process.returncode == 1 and '"wrong password"' in error


def test_subcommands_without_questions_need_no_terminal(user, remote):
    process = remote("twofactor status")
    assert process.stdout.read().startswith("Two-factor is off") and process.wait(timeout=20) == 0


def test_without_sshd_an_answer_may_be_late(user):
    # A pipe without sshd: a program answers.
    command = ["runuser", "-u", user.name, "--", "sh", "-c", f"(sleep 4; echo {user.password}x) | twofactor enable"]
    process = subprocess.run(command, capture_output=True, text=True)
    assert process.returncode == 1 and process.stderr == "twofactor: wrong password\n"


LOCKED = (
    "twofactor: {0} has a locked password, so there is no password to check\n"
    "hint: sudo twofactor {1} --user {0}, or the administrator sets require_password = no in "
    "/etc/security/twofactor.conf\n"
)


def test_an_account_without_a_password_is_reported_before_any_question(user):
    account = add_account(f"{user.name}key")
    for subcommand in ("enable", "disable"):
        done = twofactor(subcommand, user=account, answers="guess\n", status=1)
        assert (done.stdout, done.stderr) == ("", LOCKED.format(account.name, subcommand))
        # The command of the hint works for root.
        twofactor(subcommand, "--user", account.name, *(["--no-confirm"] if subcommand == "enable" else []))


def test_a_refused_password_has_a_hint_if_the_account_may_have_none(user):
    account = add_account(f"{user.name}key")
    service = Path("/etc/pam.d/twofactor")
    before = service.read_text()
    # Another module may know a password.
    service.write_text("auth sufficient pam_debug.so auth=auth_err\n" + before)
    try:
        done = twofactor("enable", user=account, answers="guess\n", status=1)
    finally:
        service.write_text(before)
    hint = f"hint: without a password: sudo twofactor enable --user {account.name}\n"
    assert done.stderr.endswith("twofactor: wrong password\n" + hint)
