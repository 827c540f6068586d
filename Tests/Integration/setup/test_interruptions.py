"""Every way to stop `twofactor` at every question, and the files and the terminal afterwards."""

import os
import re
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from rig.clock import time_to_type
from rig.enrollment import twofactor_json
from rig.machine import COMMAND, Account
from rig.one_time_password import Authenticator
from rig.process import run
from rig.screen import Screen

PASSWORD, CODE, NEW_CODE, STORED = "Password: ", "Current code, or a backup code: ", "Code from the app: ", "[y/N] "
DEVICE_CODE = "Code from the device: "

pytestmark = pytest.mark.usefixtures("each_store")


@dataclass(frozen=True)
class Question:
    """A question of a command."""

    command: str
    questions: tuple[str, ...]
    number: int

    @property
    def text(self) -> str:
        return self.questions[self.number]

    @property
    def before(self) -> tuple[str, ...]:
        return self.questions[: self.number]


FILES = "--qr-file qr.png --backup-codes-file codes"
COMMANDS = {
    f"enable {FILES}": (PASSWORD, NEW_CODE, STORED),
    "enable --force": (PASSWORD, CODE, NEW_CODE, STORED),
    "disable": (PASSWORD, CODE),
    "backup-codes --backup-codes-file codes": (CODE,),
    "device add tablet --qr-file qr.png": (CODE, NEW_CODE),
    "device remove spare": (CODE,),
    "show --name spare --qr-file qr.png": (PASSWORD, CODE),
    "verify": ("Code: ",),
    "import key --backup-codes 2 --backup-codes-file codes": (PASSWORD, DEVICE_CODE, STORED),
    "import key --force": (PASSWORD, CODE, DEVICE_CODE),
}
KEY = "otpauth://totp/elsewhere:me?secret=ABCDEFGHIJKLMNOPQRSTUVWXYZ234567\n"
QUESTIONS = [
    Question(command, questions, number) for command, questions in COMMANDS.items() for number in range(len(questions))
]


def name(question: Question) -> str:
    return f"{question.command}: {question.text}".replace(FILES, "").replace(" ", "-")


class Sitting:
    """A person at a terminal, up to one question of a command."""

    def __init__(self, user: Account, question: Question) -> None:
        self.user, self.question = user, question
        self.codes: list[str] = []
        if question.command.startswith("import"):
            (user.home / "key").write_text(KEY)
            shutil.chown(user.home / "key", user.name)
        if CODE in question.questions or question.command == "verify":
            self.codes = user.enroll(backup_codes=2).backup_codes
            twofactor_json("device", "add", "spare", "--no-confirm", "--user", user.name)
        self.before = self.files()

    def sit_down(self, line: str = "trap : INT QUIT HUP TERM; {}; echo status $?; stty -a; echo the end") -> Screen:
        self.screen = Screen(self.user, "-c", line.format(f"twofactor {self.question.command}"), program="bash")
        self.reach()
        return self.screen

    def reach(self) -> None:
        for text in self.question.before:
            self.answer(text)
        self.screen.expect(self.question.text)

    def answer(self, text: str) -> None:
        """Waits for a question, and gives the correct answer."""
        self.screen.expect(text)
        self.give(text)

    def give(self, text: str) -> None:
        """Gives the correct answer to the current question."""
        if text == PASSWORD:
            self.screen.type(self.user.password)
        elif text == STORED:
            self.screen.type("y")
        elif text == DEVICE_CODE:
            self.screen.type(Authenticator.from_uri(KEY).code_at(time_to_type()))
        elif text == NEW_CODE:
            self.screen.type(Authenticator.from_uri(self.screen.uri).code_at(time.time()))
        else:
            self.screen.type(self.codes.pop(0))

    def files(self) -> dict[str, bytes]:
        """The files of the command in the home; without the state, which records used codes."""
        paths = [self.user.directory / "credential", self.user.home / "qr.png", self.user.home / "codes"]
        return {path.name: path.read_bytes() for path in paths if path.exists()}

    def nothing_happened(self) -> None:
        assert self.files() == self.before
        names = {path.name for folder in (self.user.home, self.user.directory.parent) for path in folder.iterdir()}
        leftovers = (f"{self.user.directory.name}.", "codes.", "qr.png.")
        assert not [name for name in names if name.startswith(leftovers)]


def terminal_is_as_it_was(sitting: Sitting, status: int) -> None:
    screen = sitting.screen
    screen.expect(f"status {status}").expect("the end")
    settings = screen.text[screen.text.index(f"status {status}") :]
    assert re.search(r"\sicanon\s", settings) and re.search(r"\secho\s", settings)
    assert not screen.is_covered
    assert sitting.user.password not in screen.received
    screen.ends()


KEYS = {"c": signal.SIGINT, "\\": signal.SIGQUIT}


@pytest.mark.parametrize("question", QUESTIONS, ids=name)
def test_interrupt_keys_restore_the_terminal_and_change_nothing(user, question):
    sitting = Sitting(user, question)
    for key, number in KEYS.items():
        screen = sitting.sit_down()
        screen.terminal.sendcontrol(key)
        terminal_is_as_it_was(sitting, 128 + number)
        sitting.nothing_happened()


@pytest.mark.parametrize("question", QUESTIONS, ids=name)
def test_the_end_of_the_input_changes_nothing(user, question):
    sitting = Sitting(user, question)
    screen = sitting.sit_down()
    screen.terminal.sendeof()
    terminal_is_as_it_was(sitting, 1)
    assert "twofactor: end of input at a question, nothing was changed" in screen.text
    sitting.nothing_happened()


@pytest.mark.parametrize("question", QUESTIONS, ids=name)
def test_signals_undo_everything(user, question):
    sitting = Sitting(user, question)
    for number in (signal.SIGTERM, signal.SIGHUP):
        screen = sitting.sit_down()
        os.kill(screen.process("twofactor"), number)
        terminal_is_as_it_was(sitting, 128 + number)
        sitting.nothing_happened()


@pytest.mark.parametrize("question", QUESTIONS[:3], ids=name)
def test_an_ignored_signal_stays_ignored(user, question):
    sitting = Sitting(user, question)
    screen = sitting.sit_down("trap '' INT TSTP HUP; {}; echo status $?; echo the end")
    screen.terminal.sendintr()
    screen.terminal.sendcontrol("z")
    os.kill(screen.process("twofactor"), signal.SIGHUP)
    sitting.give(question.text)
    for text in question.questions[question.number + 1 :]:
        sitting.answer(text)
    screen.expect("status 0")


@pytest.mark.parametrize("question", QUESTIONS, ids=name)
def test_a_closed_terminal_changes_nothing(user, question):
    sitting = Sitting(user, question)
    screen = sitting.sit_down("exec {}")
    process = screen.process("twofactor")
    screen.hang_up()
    deadline = time.monotonic() + 10
    while is_running(process):
        assert time.monotonic() < deadline, "the command runs without a terminal"
        time.sleep(0.02)
    sitting.nothing_happened()


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(") ", 1)[1][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):  # gone, or gone since it was opened
        return False


@pytest.mark.parametrize("question", QUESTIONS, ids=name)
def test_a_stopped_command_restores_the_terminal_and_asks_again_when_it_continues(user, question):
    sitting = Sitting(user, question)
    environment = "TERM=xterm LC_ALL=C.UTF-8 PS1=ready\\>"
    # Wide enough that the shell does not break the typed lines.
    screen = sitting.screen = Screen(
        user, "--norc", "-i", program="bash", rows=40, columns=140, environment=environment
    )
    screen.expect("ready>").type(f"twofactor {question.command}")
    sitting.reach()
    covered = screen.is_covered
    screen.terminal.sendcontrol("z")
    screen.expect("Stopped").expect("ready>")
    assert not screen.is_covered
    screen.type("stty -a | grep -o ' echo '; echo seen")
    screen.expect(" echo ").expect("seen").expect("ready>").type("fg")
    for text in question.questions[question.number :]:
        sitting.answer(text)
    screen.expect("ready>").type("echo status $?; exit").expect("status 0")
    screen.ends()
    assert covered == (question.text == NEW_CODE)
    assert user.password not in screen.received
    if question.command != "verify":
        assert sitting.files() != sitting.before or not sitting.before


@pytest.mark.parametrize("question", [question for question in QUESTIONS if NEW_CODE not in question.before], ids=name)
def test_the_end_of_scripted_input_changes_nothing(user, question):
    sitting = Sitting(user, question)
    answers = {PASSWORD: user.password, CODE: sitting.codes[0] if sitting.codes else ""}
    answers[DEVICE_CODE] = Authenticator.from_uri(KEY).code_at(time_to_type())
    done = run(
        "runuser", "-u", user.name, "--", COMMAND, *question.command.split(),
        input="".join(answers[text] + "\n" for text in question.before), cwd=user.home, status=1,
    )
    assert done.stderr == "twofactor: end of input at a question, nothing was changed\n"
    assert question.text in done.stdout and "\x1b" not in done.stdout
    sitting.nothing_happened()


def test_a_command_in_the_background_does_not_cover_the_shell(user):
    sitting = Sitting(user, QUESTIONS[1])
    environment = "TERM=xterm LC_ALL=C.UTF-8 PS1=ready\\>"
    options = {"program": "bash", "rows": 40, "columns": 140, "environment": environment}
    screen = sitting.screen = Screen(user, "--norc", "-i", **options)
    screen.expect("ready>").type(f"twofactor {sitting.question.command}")
    sitting.reach()
    screen.terminal.sendcontrol("z")
    screen.expect("Stopped").expect("ready>").type("bg; sleep 0.5; jobs; echo seen")
    screen.expect("Stopped").expect("seen").expect("ready>")
    assert not screen.is_covered and "Scan the QR code" not in screen.text
    screen.type("fg")
    for text in sitting.question.questions[1:]:
        sitting.answer(text)
    screen.expect("Two-factor is on.")


@pytest.mark.parametrize("key", [*KEYS, "d"])
def test_interrupt_keys_at_a_test_of_a_service_restore_the_terminal(user, key):
    line = f"trap : INT QUIT; twofactor test --service twofactor --user {user.name}; echo status $?; stty -a; echo end"
    screen = Screen(Account("root", ""), "-c", line, program="bash").expect("assword: ")
    screen.terminal.sendcontrol(key)
    screen.expect(f"status {1 if key == 'd' else 128 + KEYS[key]}").expect("end")
    assert re.search(r"\sicanon\s", screen.text) and re.search(r"\secho\s", screen.text)


def test_ctrl_c_typed_ahead_leaves_all_or_nothing(user):
    # It arrives while the backup codes are hashed, or a moment later.
    sitting = Sitting(user, QUESTIONS[2])
    screen = sitting.sit_down()
    screen.terminal.send("y\r\x03")
    screen.expect("status ").expect("the end")
    made = (user.directory / "credential").exists()
    assert ("Two-factor is on." in screen.text) == made == (user.home / "codes").exists()
