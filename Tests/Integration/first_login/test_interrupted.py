"""Every question of an enrollment at login, interrupted in every way: nothing remains."""

import os
import signal
from pathlib import Path

import pytest
from rig.enrollment_at_login import (
    CODE, OFFER, STORED, Applications, Terminal, leaves_nothing, processes, stack,
)  # fmt: skip
from rig.harness import Result
from rig.ssh import Server

SERVICE = "interrupted-sshd"
GRACE_SECONDS = 4
IN = "logged in"
QUESTIONS = {"offer": OFFER, "code": CODE, "stored": STORED}
GARBAGE = {"empty": "", "letters": "what?", "bytes": "\xfc\u20ac\x01\x02", "10,000 bytes": "7" * 10_000}

pytestmark = pytest.mark.usefixtures("register")


@pytest.fixture(scope="module")
def server(system_service, scratch):
    system_service(SERVICE, *stack("enroll=offer"))
    with Server(SERVICE, scratch / SERVICE, settings="LoginGraceTime 60") as running:
        yield running


@pytest.fixture(params=QUESTIONS)
def question(request) -> str:
    return QUESTIONS[request.param]


def reach(server: Server, user, question: str) -> Terminal:
    """An ssh client at a question of an enrollment that is offered."""
    terminal = Terminal(*server.arguments(user, "echo logged in"))
    terminal.reach(question, user.password, is_offer=True)
    return terminal


def process_of_session(user, kind: str) -> int:
    """The process ID of an sshd for a user, by the end of its title: its monitor (priv) or its PAM process (pam)."""
    for folder in Path("/proc").glob("[0-9]*"):
        title = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        if title.endswith(f": {user.name} [{kind}]"):
            return int(folder.name)
    raise LookupError(f"no sshd with [{kind}]")


def process_of_program(user) -> int:
    """The process ID of the setup command that enrolls a user."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if folder.stat().st_uid == user.uid and b"login-enrollment" in words:
                return int(folder.name)
        except FileNotFoundError:
            continue
    raise LookupError("no program enrolls the user")


@pytest.mark.usefixtures("each_store")
def test_the_client_disappears(server, user, question):
    terminal = reach(server, user, question)
    terminal.terminal.kill(signal.SIGKILL)
    leaves_nothing(user)


def test_the_terminal_of_the_client_closes(server, user, question):
    reach(server, user, question).hang_up()
    leaves_nothing(user)


@pytest.mark.parametrize("kind, number", [("priv", signal.SIGKILL), ("priv", signal.SIGTERM), ("pam", signal.SIGKILL)])
def test_a_process_of_the_session_ends(server, user, question, kind, number):
    terminal = reach(server, user, question)
    os.kill(process_of_session(user, kind), number)
    leaves_nothing(user)
    # The client notices the end when it sends the reply.
    terminal.type("y")
    assert IN not in terminal.ends()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_program_ends(server, user, question, number, log):
    terminal = reach(server, user, question)
    os.kill(process_of_program(user), number)
    # The offered enrollment failed, so the user gets in.
    terminal.type("y")
    assert terminal.ends_with(IN) == IN
    leaves_nothing(user)
    assert " method=exempt detail=" in log.of_module(2)[-1].text


def test_the_grace_time_of_sshd_ends(system_service, scratch, user, new_user):
    system_service("graceful-sshd", *stack("enroll=require"))
    with Server("graceful-sshd", scratch / "graceful-sshd", settings=f"LoginGraceTime {GRACE_SECONDS}") as running:
        users = {question: new_user() for question in (CODE, STORED)}
        terminals = []
        for question, each in users.items():
            terminals.append(Terminal(*running.arguments(each, "echo logged in")))
            terminals[-1].reach(question, each.password)
        assert all(processes(each) for each in users.values())
        for terminal, each in zip(terminals, users.values()):
            leaves_nothing(each)
            terminal.type("y")
            assert IN not in terminal.ends()


@pytest.fixture
def applications(harness, scratch) -> Applications:
    made = Applications(harness, scratch)
    made.service("garbage", *stack("enroll=require"))
    return made


def answered(applications: Applications, user, question: str, text: str | bytes | None) -> None:
    """Gives an answer to a question of a required enrollment until the login ends."""
    with applications.start("garbage", user) as running:
        running.reply(user.password)
        if question == STORED:
            running.prove()
        for _ in range(20):
            if running.account is not None:
                break
            running.reply(text)
        assert running.account == Result.PERM_DENIED
    leaves_nothing(user)


@pytest.mark.parametrize("question", [CODE, STORED], ids=["code", "stored"])
@pytest.mark.parametrize("text", GARBAGE.values(), ids=GARBAGE)
def test_garbage_is_not_taken_for_an_answer(applications, user, question, text):
    answered(applications, user, question, text)


@pytest.mark.parametrize("question", [CODE, STORED], ids=["code", "stored"])
def test_a_conversation_that_fails_ends_the_enrollment(applications, user, question, log):
    answered(applications, user, question, None)
    reason = 'not-enrolled detail="no conversation"' if question == CODE else "enrollment-declined"
    assert log.of_module(2)[-1].text.endswith(f" reason={reason}")


@pytest.mark.parametrize("text", ["7" * 10_000, "\x01\x02\x03"], ids=["10,000 bytes", "control characters"])
def test_long_and_odd_answers_of_a_client_of_ssh(server, user, text):
    """The ssh client itself sends at most 1,023 bytes."""
    import paramiko

    transport = paramiko.Transport(("127.0.0.1", server.port))
    transport.connect()
    asked = []

    def answer(title: str, instructions: str, prompts: list[tuple[str, bool]]) -> list[str]:
        asked.extend(prompt for prompt, _ in prompts)
        known = {"Password: ": user.password, OFFER: "y"}
        return [known.get(prompt.rpartition("\n")[2], text) for prompt, _ in prompts]

    transport.auth_interactive(user.name, answer)
    transport.close()
    assert any(prompt.endswith(CODE) for prompt in asked)
    leaves_nothing(user)
