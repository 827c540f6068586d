"""How often sshd prints the messages of PAM modules: the section "SSH" of pam/hosts.md."""

import io

import pexpect
import pytest
from rig.process import run
from rig.ssh import Client, Server

QUESTION, RESULT, ACCOUNT = "before the question", "after the reply", "of the account"


@pytest.fixture(scope="module", params=["keyboard-interactive:pam", "password"])
def server(request, system_service, scratch):
    """An sshd with messages before the question, after the reply, and in the account phase."""
    echo = {}
    for number, text in enumerate((QUESTION, RESULT, ACCOUNT)):
        path = scratch / f"message{number}"
        path.write_text(text + "\n")
        echo[text] = f"pam_echo.so file={path}"
    service = system_service(
        "sshd-messages",
        f"auth optional {echo[QUESTION]}", "auth required pam_unix.so", f"auth optional {echo[RESULT]}",
        f"account optional {echo[ACCOUNT]}", "account required pam_unix.so", "session required pam_permit.so",
    )  # fmt: skip
    settings = "PasswordAuthentication yes\nKbdInteractiveAuthentication no\n" if request.param == "password" else ""
    with Server(service, scratch / f"sshd-{request.param[:3]}", methods=request.param, settings=settings) as running:
        running.is_interactive = request.param != "password"
        yield running


def counts(server, user, command: str | None, *options: str, password: str | None = None) -> list[int]:
    """How often each message appears in a login, with a terminal."""
    words = server.arguments(user, command)
    output = io.StringIO()
    terminal = pexpect.spawn(words[0], ["-tt", *options, *words[1:]], timeout=20, encoding="utf-8")
    terminal.logfile_read = output
    terminal.expect(Client.PASSWORD)
    terminal.sendline(password or user.password)
    if command is None:
        terminal.expect(r"\$ ")
        terminal.sendline("exit")
    terminal.expect(pexpect.EOF)
    terminal.close()
    return [output.getvalue().count(text) for text in (QUESTION, RESULT, ACCOUNT)]


def test_a_command_prints_each_message_once(server, user):
    assert counts(server, user, "true") == [1, 1, 1]


def test_a_shell_prints_the_messages_after_the_last_reply_twice(server, user):
    # Password authentication asks before PAM runs.
    before = 1 if server.is_interactive else 2
    assert counts(server, user, None) == [before, 2, 2]
    assert counts(server, user, None, "-o", "LogLevel=ERROR") == [1, 1, 1]
    run("touch", user.home / ".hushlogin")
    assert counts(server, user, None) == [1, 1, 1]


def test_a_refused_login_prints_each_message_at_most_once(server, user):
    assert counts(server, user, "true", password="wrong") == (
        [1, 1, 0] if server.is_interactive else [0, 0, 0]
    )
