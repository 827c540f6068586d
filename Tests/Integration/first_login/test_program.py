"""`twofactor login-enrollment`, addressed directly with the protocol of `pam/enrollment-protocol.md`."""

import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest
from rig.enrollment import twofactor
from rig.exit_status import REFUSED, USAGE
from rig.harness import Result
from rig.machine import COMMAND, Account
from rig.mounts import covered
from rig.one_time_password import Authenticator
from rig.process import run
from rig.reachable import open_to_all

OFFER = "Set it up now? [y/N] "
CODE = "Code from the app (or i to swap light and dark in the QR code): "
PLAIN_CODE = "Code from the app: "
STORED = "Have you stored the backup codes in a safe place? [y/N] "
BACKUP_CODE = r"\b[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{5}\b"
BLOCKS = "█▀▄"
MEANWHILE = "failed two-factor was enabled meanwhile"

# Bytes of a text: the limits of the protocol.
LIMITS = {"messages": (512, 512), "questions": (512, 8181), "plain": (512, 512)}


class Dialogue:
    """The module's side of the protocol. Asserts that every line is valid."""

    def __init__(self, user: Account, *arguments: str, form: str = "messages", **options) -> None:
        self.form = form
        self.socket, end = socket.socketpair()
        self.socket.settimeout(30)
        ids = {"user": user.uid, "group": user.gid, "extra_groups": []}
        self.process = subprocess.Popen(
            [COMMAND, "login-enrollment", form, *arguments],
            stdin=end, stdout=end,
            **{"stderr": subprocess.DEVNULL, "env": {}, "cwd": "/", "start_new_session": True, **ids, **options},
            # The module starts it with blocked signals.
            preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals()),
        )  # fmt: skip
        end.close()
        self.lines = self.socket.makefile("rb")
        # All texts; those since the last answer; the question; and the result.
        self.said: list[str] = []
        self.new: list[str] = []
        self.question = self.result = ""
        self.echoes = False

    def __enter__(self) -> "Dialogue":
        return self

    def __exit__(self, *_) -> None:
        self.close()
        self.process.kill()
        self.process.wait()

    def listen(self) -> str:
        """Reads up to the next question, which it returns, or the result."""
        self.question = ""
        while line := self.lines.readline():
            assert line.endswith(b"\n") and len(line) <= 8192
            word, _, text = line[:-1].decode().partition(" ")
            assert all(character == "\t" or character.isprintable() for character in text), text
            if word == "done":
                assert re.fullmatch("enrolled|declined|failed [^\t]{1,500}", text)
                self.result = text
                assert not self.lines.read()
                break
            assert word in ("say", "ask", "ask-echo")
            assert 1 <= len(text.encode()) <= LIMITS[self.form][word != "say"]
            *messages, last = text.split("\t")
            assert all(len(each) <= 60 or each.startswith("URI: ") for each in messages)
            if word == "say":
                self.note(text.replace("\t", "\n"))
                assert len(last) <= 60 or last.startswith("URI: ")
                continue
            if messages:
                self.note("\n".join(messages))
            self.question, self.echoes = last, word == "ask-echo"
            break
        return self.question

    def note(self, text: str) -> None:
        self.said.append(text)
        self.new.append(text)

    def answer(self, text: str | bytes) -> str:
        self.new = []
        self.socket.sendall((text.encode() if isinstance(text, str) else text) + b"\n")
        return self.listen()

    def reach(self, *questions: str) -> "Dialogue":
        """Answers the questions correctly, up to the last one, which it leaves open."""
        assert self.listen() == questions[0], (self.said, self.result)
        for question, next in zip(questions, questions[1:]):
            assert self.answer(self.right_answer(question)) == next, (self.said, self.result)
        return self

    def right_answer(self, question: str) -> str:
        return "y" if question in (OFFER, STORED) else self.authenticator.code_at(time.time())

    def finish(self) -> str:
        """Answers the remaining questions correctly, and returns the result."""
        while self.question:
            self.answer(self.right_answer(self.question))
        assert self.process.wait(30) == 0
        return self.result

    @property
    def text(self) -> str:
        return "\n".join(self.said)

    @property
    def key(self) -> str:
        return re.search(r"^Key: ([A-Z2-7 ]+) \(", self.text, re.MULTILINE)[1].replace(" ", "")

    @property
    def authenticator(self) -> Authenticator:
        return Authenticator.from_base32(self.key)

    @property
    def backup_codes(self) -> list[str]:
        return list(dict.fromkeys(re.findall(BACKUP_CODE, self.text)))

    def close(self) -> None:
        self.lines.close()
        self.socket.close()


@pytest.fixture
def nothing_left(user, place, register):
    """A check that the user's files, the store and the register are as before."""

    def state():
        return user.files(), sorted(path.name for path in place.folder.iterdir()), sorted(register.iterdir())

    before = state()

    def check(dialogue: Dialogue) -> None:
        dialogue.process.wait(10)
        assert state() == before

    return check


@pytest.mark.parametrize("form", LIMITS)
def test_an_enrollment_is_enabled_and_registered(user, place, register, service, form):
    with Dialogue(user, "enroll=offer", "required_from=2099-12-01", form=form) as dialogue:
        dialogue.reach(OFFER)
        assert dialogue.echoes and "It is required from 2099-12-01 on." in dialogue.text
        code = PLAIN_CODE if form == "plain" else CODE
        assert dialogue.answer("y") == code and not dialogue.echoes
        used = dialogue.right_answer(code)
        assert dialogue.answer(used) == STORED
        assert dialogue.echoes and len(dialogue.backup_codes) == 10
        assert not user.directory.exists()
        assert dialogue.finish() == "enrolled"
    assert "Two-factor is on." in dialogue.said[-1]
    status = user.status()
    assert status["enabled"] and status["backup_codes_left"] == 10
    assert [device["name"] for device in status["devices"]] == ["phone"]
    assert (register / str(user.uid)).exists()
    assert place.litter() == []
    # The code of the enrollment is used up.
    alone = service()
    assert user.log_in(alone, used).result == Result.AUTH_ERR
    assert user.log_in(alone, dialogue.backup_codes[0]).result == Result.SUCCESS


def test_a_required_enrollment_begins_with_the_key(user):
    with Dialogue(user, "enroll=require") as dialogue:
        dialogue.reach(CODE)
        assert dialogue.said[0].startswith("Two-factor login is required on sandbox: ")
        assert dialogue.finish() == "enrolled"


@pytest.mark.parametrize(
    ("arguments", "question"),
    [
        ([], OFFER),
        (["enroll=offer", "required_from=2026-01-01"], CODE),
        (["enroll=require", "required_from=2099-12-01"], OFFER),
    ],
)
def test_the_day_decides_whether_the_user_may_decline(user, arguments, question):
    with Dialogue(user, *arguments) as dialogue:
        dialogue.reach(question)


def test_the_qr_code_is_behind_a_text_and_the_key_is_last(user):
    with Dialogue(user) as dialogue:
        dialogue.reach(OFFER, CODE)
        drawing = [line for text in dialogue.new for line in text.split("\n") if set(line) <= {*BLOCKS, " "}]
        assert dialogue.new[0].startswith("Scan the QR code") and set(dialogue.new[1]) <= {*BLOCKS, " ", "\n"}
        assert dialogue.new[-2] == f"URI: otpauth://totp/sandbox:{user.name}?secret={dialogue.key}&issuer=sandbox"
        assert dialogue.new[-1].startswith("Key: ")
        # Swapping light and dark is no try.
        for _ in range(4):
            assert dialogue.answer("i") == CODE
            again = [line for text in dialogue.new[1:-1] for line in text.split("\n")]
            assert dialogue.new[0] == "The QR code with light and dark swapped:"
            assert dialogue.new[-1].startswith("Key: ")
            inverse = str.maketrans("█▀▄ ", " ▄▀█")
            # The last line has only an upper half.
            assert [line.translate(inverse) for line in again[:-1]] == drawing[:-1]
            drawing = again
        assert dialogue.finish() == "enrolled"


def test_a_plain_program_gets_secrets_only_in_questions(user):
    with Dialogue(user, form="plain") as dialogue:
        dialogue.reach(OFFER, PLAIN_CODE)
        for text in dialogue.said:
            assert "otpauth:" not in text and not any(block in text for block in BLOCKS)
        # A greeter shows only the question.
        assert dialogue.answer("000 00") == PLAIN_CODE and dialogue.key in dialogue.new[0].replace(" ", "")
        assert dialogue.answer("i") == PLAIN_CODE and "This is not a code." in dialogue.new[0]
        assert dialogue.finish() == "enrolled"


@pytest.mark.parametrize("form", ["questions", "plain"])
def test_messages_are_in_the_questions(user, form):
    with Dialogue(user, form=form) as dialogue:
        lines = b""
        for answer in ("y", "123", "123", "123"):
            line = dialogue.lines.readline()
            assert line.startswith((b"ask ", b"ask-echo "))
            lines += line
            dialogue.socket.sendall(answer.encode() + b"\n")
        reason, result = dialogue.lines.read().splitlines()
        assert reason.startswith(b"say No code was right") and result == b"done declined"


def test_a_code_can_be_tried_three_times(user, place, nothing_left):
    with Dialogue(user) as dialogue:
        dialogue.reach(OFFER, CODE)
        wrong = dialogue.authenticator.wrong_code(time.time())
        assert dialogue.answer(wrong) == CODE and dialogue.new[0].startswith("Wrong code. This host's clock says")
        late = dialogue.authenticator.code_at(time.time(), steps=-6)
        assert dialogue.answer(late) == CODE and re.match(r"This code is right, but \d minutes late\. ", dialogue.new[0])
        assert dialogue.answer(wrong) == "" and dialogue.result == "declined"
        assert "Delete the new entry in the app" in dialogue.new[0]
        nothing_left(dialogue)
        assert dialogue.process.returncode == 0


def test_no_at_the_offer_declines(user, place, nothing_left):
    for answers in (["n"], [""], ["NO"], ["perhaps", "n"], ["x", "x", "x"]):
        with Dialogue(user) as dialogue:
            dialogue.reach(OFFER)
            for answer in answers:
                assert dialogue.question == OFFER
                dialogue.answer(answer)
            assert dialogue.result == "declined"
            assert dialogue.new == ["Two-factor login stays off. To enable it: twofactor enable."]
            nothing_left(dialogue)


def test_backup_codes_that_are_not_stored_are_shown_three_times(user, place, nothing_left):
    with Dialogue(user) as dialogue:
        dialogue.reach(OFFER, CODE, STORED)
        for _ in range(2):
            assert dialogue.answer("n") == STORED
            assert re.findall(BACKUP_CODE, dialogue.new[-1]) == dialogue.backup_codes
        assert dialogue.answer("n") == "" and dialogue.result == "declined"
        assert "The backup codes are not stored" in dialogue.new[0]
        nothing_left(dialogue)


GARBAGE = [b"x" * 600, b"\xff\xfe", b"y\0", b"y" * 512 + b" y", "ｙ".encode(), b"done enrolled"]


def test_garbage_is_no_answer(user, place, nothing_left):
    for garbage in GARBAGE:
        with Dialogue(user) as dialogue:
            dialogue.reach(OFFER)
            assert dialogue.answer(garbage) == OFFER and dialogue.new == ["Please answer yes or no."]
            assert dialogue.answer("y") == CODE
            assert dialogue.answer(garbage) == CODE
            assert dialogue.answer(dialogue.right_answer(CODE)) == STORED
            assert dialogue.answer(garbage) == STORED and dialogue.new == ["Please answer yes or no."]
            assert dialogue.answer(garbage) == STORED
            # The third one means no.
            assert dialogue.answer(garbage) == STORED and dialogue.backup_codes
        nothing_left(dialogue)


def shut_down(dialogue: Dialogue) -> None:
    dialogue.socket.shutdown(socket.SHUT_WR)


def half_an_answer(dialogue: Dialogue) -> None:
    dialogue.socket.sendall(dialogue.right_answer(dialogue.question).encode())
    dialogue.close()


def killed_by(number: signal.Signals):
    def kill(dialogue: Dialogue) -> None:
        dialogue.process.send_signal(number)

    return kill


WAYS = {
    "closed": (Dialogue.close, REFUSED),
    "half closed": (shut_down, REFUSED),
    "half an answer": (half_an_answer, REFUSED),
    **{number.name: (killed_by(number), -number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)},
}
QUESTIONS = (OFFER, CODE, STORED)


@pytest.mark.parametrize("number", range(len(QUESTIONS)), ids=["offer", "code", "stored"])
def test_an_interruption_leaves_nothing(user, place, nothing_left, number):
    for interrupt, status in WAYS.values():
        with Dialogue(user) as dialogue:
            dialogue.reach(*QUESTIONS[: number + 1])
            interrupt(dialogue)
            nothing_left(dialogue)
            assert dialogue.process.returncode == status
            assert status > 0 or dialogue.lines.read() == b""


@pytest.mark.parametrize("way", ["closed", "half closed", "SIGTERM"])
def test_an_interruption_behind_the_last_answer_leaves_nothing(user, place, nothing_left, way):
    interrupt, status = WAYS[way]
    with Dialogue(user) as dialogue:
        dialogue.reach(*QUESTIONS)
        # It arrives while the program hashes the backup codes.
        dialogue.socket.sendall(b"y\n")
        interrupt(dialogue)
        nothing_left(dialogue)
        assert dialogue.process.returncode == status


def test_of_two_enrollments_at_once_one_is_in_force(user, place):
    with Dialogue(user) as first, Dialogue(user) as second:
        both = [dialogue.reach(*QUESTIONS) for dialogue in (first, second)]
        for dialogue in both:
            dialogue.socket.sendall(b"y\n")
        for dialogue in both:
            dialogue.listen()
        assert sorted(dialogue.result for dialogue in both) == ["enrolled", MEANWHILE]
        winner, loser = sorted(both, key=lambda dialogue: dialogue.result)
        assert "the next login asks for a code" in loser.said[-1].replace("\n", " ")
    assert user.twofactor("verify", answers=winner.backup_codes[0] + "\n").returncode == 0
    assert place.litter() == []


def test_a_user_who_is_enrolled_is_asked_nothing(user, place):
    user.enroll()
    before = user.files()
    with Dialogue(user, "enroll=require") as dialogue:
        assert dialogue.listen() == "" and dialogue.result == MEANWHILE
    assert user.files() == before


def failure(user, *arguments: str, **options) -> str:
    """The reason of a failure before the first question; the user is told, too."""
    with Dialogue(user, *arguments, **options) as dialogue:
        assert dialogue.listen() == "" and dialogue.result.startswith("failed ")
        assert dialogue.process.wait(10) == 0
        reason = dialogue.result.removeprefix("failed ")
        assert reason in dialogue.text.replace("\n", " ") and dialogue.said[-1].endswith("Contact the administrator.")
        return reason


def test_a_home_that_cannot_be_written_fails_before_the_first_question(user):
    user.home.chmod(0o555)
    assert failure(user) == f"cannot create {user.home}/.twofactor: permission denied"
    shutil.chown(user.home, "root")
    user.home.chmod(0o755)
    assert f"{user.home}" in failure(user)


def test_a_read_only_or_missing_home_fails_before_the_first_question(user):
    with covered(user.home, user):
        run("mount", "-o", "remount,ro", user.home)
        assert failure(user) == f"cannot create {user.home}/.twofactor: read-only file system"
    user.home.rename(f"{user.home}.moved")
    assert str(user.home) in failure(user)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["enroll=perhaps"], "argument .*enroll=perhaps.*: is not no, offer or require"),
        (["windows=3"], "argument .*: there is no such option"),
        (["conf=/nowhere/twofactor.conf"], "/nowhere/twofactor.conf: cannot be opened: No such file or directory"),
        (["directory=/var/lib/elsewhere/%u"], "cannot create /var/lib/elsewhere/.*: permission denied"),
        (["owner=daemon", "directory=/var/lib/x/%u"], "the enrollments on this host belong to daemon"),
        (["store=host"], "/var/lib/twofactor/users does not exist"),
    ],
)
def test_a_policy_that_the_user_cannot_enroll_under_fails_before_the_first_question(user, arguments, reason):
    assert re.fullmatch(reason, failure(user, *arguments))


def test_the_helper_must_know_the_host_store(user, register, host_store, host_configuration):
    host_configuration("store = home")
    assert "only if /etc/security/twofactor.conf selects it" in failure(user, "store=host")


def test_the_policy_is_that_of_the_arguments(user, tmp_path):
    open_to_all(tmp_path)
    configuration = tmp_path / "twofactor.conf"
    configuration.write_text('issuer = "Example; Ltd"\nenroll = offer\necho_code = yes\n')
    arguments = (f"conf={configuration}", "enroll=require", "backup_codes=no", "directory=~/.second-factor")
    with Dialogue(user, *arguments) as dialogue:
        dialogue.reach(CODE)
        assert dialogue.echoes
        assert dialogue.said[0].startswith("Two-factor login is required on sandbox (Example; Ltd): ")
        # Without backup codes, there is no further question.
        assert dialogue.answer(dialogue.right_answer(CODE)) == "" and dialogue.result == "enrolled"
    assert (user.home / ".second-factor/credential").exists() and not (user.home / ".twofactor").exists()


def test_a_code_that_is_too_wide_is_not_drawn(user, host_configuration):
    host_configuration(f"issuer = {'ü' * 64}")
    with Dialogue(user, "enroll=require") as dialogue:
        assert dialogue.listen() == PLAIN_CODE
        assert "The QR code is too wide to be shown here" in dialogue.text
        assert "URI: otpauth://" in dialogue.text and not any(block in dialogue.text for block in BLOCKS)
        assert dialogue.finish() == "enrolled"


@pytest.mark.parametrize("umask", [0, 0o777])
def test_the_environment_does_not_matter(user, umask):
    environment = {"HOME": "/nowhere", "LC_ALL": "de_DE.ISO-8859-1", "TERM": "xterm", "PATH": "/nowhere"}
    with Dialogue(user, umask=umask, env=environment) as dialogue:
        assert dialogue.reach(OFFER).finish() == "enrolled"
    assert user.directory.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in user.directory.iterdir()} == {0o600}


def test_root_enrolls_root():
    root = Account("root", "")
    directory = root.home / ".twofactor"
    with Dialogue(root) as dialogue:
        assert dialogue.reach(OFFER).finish() == "enrolled"
    assert (directory / "credential").stat().st_uid == 0
    shutil.rmtree(directory)


def test_the_user_is_notified_before_the_result(user, host_configuration, tmp_path):
    open_to_all(tmp_path)
    mail = user.home / "mail"
    program = tmp_path / "sendmail"
    program.write_text(f"#!/bin/sh\nsleep 0.3; cat >{mail}\n")
    program.chmod(0o755)
    host_configuration(f"notify = {program}")
    with Dialogue(user) as dialogue:
        assert dialogue.reach(OFFER).finish() == "enrolled"
    assert "Change: switched on\nMade by: " + user.name in mail.read_text()
    host_configuration("notify = /nowhere/sendmail")
    twofactor("disable", "--user", user.name)
    with Dialogue(user) as dialogue:
        assert dialogue.reach(OFFER).finish() == "enrolled"
        assert "the notification failed" in dialogue.said[-1].replace("\n", " ")


def test_without_the_module_it_is_a_usage_error(user):
    for words in ([], ["enroll=require"], ["message"], ["--help"]):
        done = user.twofactor("login-enrollment", *words, status=USAGE)
        assert done.stdout == "" and "only for pam_twofactor.so" in done.stderr
    primary, secondary = pty.openpty()
    done = user.twofactor("login-enrollment", "messages", status=USAGE, stdin=secondary)
    os.close(primary)
    os.close(secondary)
    assert done.stdout == "" and "hint: to enable two-factor, run: twofactor enable" in done.stderr
    assert user.files() == {}


# Opens the memory of a program that has executed no instruction yet.
LOOK_AT_THE_START = """\
import ctypes, os, sys
libc = ctypes.CDLL(None)
child = os.fork()
if child == 0:
    libc.ptrace(0, 0, None, None)  # PTRACE_TRACEME: stop after execve(2)
    os.execv(sys.argv[1], sys.argv[1:])
os.waitpid(child, 0)
try:
    open(f"/proc/{child}/mem", "rb").close()
    print("readable")
except PermissionError:
    print("not readable")
os.kill(child, 9)
"""


def test_other_programs_of_the_user_can_never_read_its_memory(user):
    """Nor can they take its connection to the module, which needs the same permission (pidfd_getfd(2))."""
    look = ("python3", "-c", LOOK_AT_THE_START)
    assert run(*look, "/bin/true", user=user).stdout == "readable\n"
    assert run(*look, COMMAND, "login-enrollment", "messages", user=user).stdout == "not readable\n"
