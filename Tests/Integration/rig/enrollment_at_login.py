"""Users who enroll while they log in: at a terminal, and in harness/application.c."""

import os
import re
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import pexpect

from .clock import time_to_type
from .harness import SOURCES, Harness, build
from .machine import Account
from .one_time_password import Authenticator
from .register import REGISTER, STORE
from .screen import Emulation, Screen

# A regular expression, unlike the others.
PASSWORD = r"assword[^:\n]*: "
OFFER = "Set it up now? [y/N] "
CODE = "Code from the app (or i to swap light and dark in the QR code): "
AGAIN = "Code from the app: "
STORED = "Have you stored the backup codes in a safe place? [y/N] "
ON = "Two-factor is on."
BACKUP_CODE = r"\b[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{5}\b"
URI = r"otpauth://\S+"


@dataclass
class Shown:
    """What an enrollment showed to the user, and the code that proved the app."""

    uri: str
    authenticator: Authenticator
    code: str = field(default="", repr=False)
    backup_codes: list[str] = field(default_factory=list, repr=False)


def shown_key(text: str) -> Shown:
    """The last key in a text; asserts that it is the secret in the URI."""
    uri = re.findall(URI, text)[-1]
    key = re.findall(r"Key: ((?:[A-Z2-7]{1,4} )+)", text)[-1].replace(" ", "")
    found = Authenticator.from_uri(uri)
    assert key == found.base32
    return Shown(uri, found)


def pattern(text: str) -> str:
    return text if text == PASSWORD else re.escape(text)


class Terminal(Screen):
    """A program at a terminal, up to the end of a first login."""

    def __init__(
        self,
        *command: str | Path,
        account: Account | None = None,
        rows: int = 60,
        columns: int = 100,
        environment: dict[str, str] | None = None,
    ) -> None:
        """account: the user who runs the program; None for root"""
        Emulation.__init__(self, rows, columns)
        before = ("setpriv", f"--reuid={account.uid}", f"--regid={account.gid}", "--init-groups") if account else ()
        words = [str(word) for word in (*before, *command)]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SSH_")}
        self.terminal = pexpect.spawn(
            words[0], words[1:], timeout=20, dimensions=(rows, columns),
            env={**inherited, "TERM": "xterm", **(environment or {})},
        )  # fmt: skip
        self.terminal.logfile_read = self

    def expect(self, *texts: str) -> str:
        """Waits for one of the texts, and returns it."""
        return texts[self.terminal.expect([pattern(text) for text in texts])]

    def answer(self, question: str, text: str) -> None:
        self.expect(question)
        self.type(text)

    def reach(self, question: str, password: str, is_offer: bool = False) -> None:
        """Answers correctly up to a question."""
        if question == PASSWORD:
            return self.expect(PASSWORD)
        self.answer(PASSWORD, password)
        if is_offer and question != OFFER:
            self.answer(OFFER, "y")
        if question == STORED:
            self.expect(CODE)
            self.type(shown_key(self.received).authenticator.code_at(time_to_type()))
        return self.expect(question)

    def enroll(self, password: str, is_offer: bool = False) -> Shown:
        """Enrolls, up to the last answer."""
        self.reach(CODE, password, is_offer)
        shown = shown_key(self.received)
        shown.code = shown.authenticator.code_at(time_to_type())
        self.type(shown.code)
        self.expect(STORED)
        shown.backup_codes = re.findall(BACKUP_CODE, self.received)
        self.type("y")
        return shown

    def ends_with(self, *texts: str) -> str:
        """The first of the texts in the rest of the output; waits for the end of the program."""
        found = self.expect(*texts)
        self.ends()
        return found

    def ends(self) -> str:
        """Waits for the end of the program, and returns all of its output."""
        self.terminal.expect(pexpect.EOF)
        self.terminal.close()
        return self.received


class Application:
    """A running harness/application.c, up to its current prompt; a context manager."""

    def __init__(
        self,
        program: Path,
        services: Path,
        service: str,
        user: str,
        *options: str,
        terminal: str | None = "/dev/pts/7",
        under: tuple[str, ...] = (),
    ) -> None:
        self.prompts: list[str] = []
        self.messages: list[str] = []
        # Messages and prompts in order, and the styles of all of them.
        self.said: list[str] = []
        self.styles: list[str] = []
        # The results of the two phases.
        self.authenticated: int | None = None
        self.account: int | None = None
        self.process = subprocess.Popen(
            [*under, program, *(["-t", terminal] if terminal else []), *options, services, service, user],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.advance()

    def __enter__(self) -> "Application":
        return self

    def __exit__(self, *_) -> None:
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(timeout=30)

    @property
    def text(self) -> str:
        return "\n".join(self.said)

    def advance(self) -> "Application":
        """Reads up to the next prompt, or to the end."""
        for line in self.process.stdout:
            word, _, rest = line.strip().partition(" ")
            if word in ("authenticated", "account"):
                setattr(self, word, int(rest))
                continue
            self.said.append(bytes.fromhex(rest).decode())
            self.styles.append(word)
            if word.startswith("prompt"):
                self.prompts.append(self.said[-1])
                break
            self.messages.append(self.said[-1])
        return self

    def send(self, text: str | bytes | None) -> None:
        """Replies, and does not wait for what follows; None fails the conversation."""
        data = text.encode() if isinstance(text, str) else text
        self.process.stdin.write("failure\n" if data is None else f"text {data.hex()}\n")
        self.process.stdin.flush()

    def reply(self, *texts: str | bytes | None) -> "Application":
        for text in texts:
            self.send(text)
            self.advance()
        return self

    def prove(self) -> Shown:
        """Replies with the code of the key that was shown."""
        shown = shown_key(self.text)
        shown.code = shown.authenticator.code_at(time_to_type())
        self.reply(shown.code)
        shown.backup_codes = re.findall(BACKUP_CODE, self.text)
        return shown

    def enroll(self, password: str, is_offer: bool = False) -> Shown:
        """Enrolls, to the end."""
        self.reply(password, *(["y"] if is_offer else []))
        shown = self.prove()
        self.reply("y")
        return shown


class Applications:
    """Starts applications with the services of the harness."""

    def __init__(self, harness: Harness, folder: Path) -> None:
        self.harness = harness
        self.program = folder / "application"
        if not self.program.exists():
            build([SOURCES / "application.c"], self.program, "-lpam")

    def service(self, name: str, *lines: str) -> str:
        return self.harness.service(name, *lines)

    def start(self, service: str, account: Account, *options: str, **more) -> Application:
        return Application(self.program, self.harness.services, service, account.name, *options, **more)


def processes(account: Account) -> list[str]:
    """The programs that run as an account."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "status").read_text()
            is_zombie = re.search(r"^State:\s+Z", status, re.MULTILINE)
            if int(re.search(r"^Uid:\s+(\d+)", status, re.MULTILINE)[1]) == account.uid and not is_zombie:
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def traces(account: Account) -> list[str]:
    """Everything that an enrollment, or one that was interrupted, could leave behind."""
    skeleton = {path.name for path in Path("/etc/skel").iterdir()} | {".ssh"}
    found = [str(path) for path in account.home.iterdir() if path.name not in skeleton]
    for folder in (REGISTER, STORE):
        if folder.exists():
            found += [str(path) for path in folder.iterdir() if re.match(rf"\.?{account.uid}\b", path.name)]
    return found + processes(account)


def leaves_nothing(account: Account, patience: float = 8) -> None:
    """Waits until an interrupted enrollment has ended, and asserts that nothing of it remains."""
    end = time.monotonic() + patience
    while (found := traces(account)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not found, f"left: {found}"


def stack(arguments: str) -> list[str]:
    """A service whose users enroll at login, with passwords from the shadow file."""
    return [
        "auth required pam_unix.so nodelay",
        f"auth required pam_twofactor.so {arguments}",
        f"account required pam_twofactor.so {arguments}",
        "account required pam_unix.so",
        "password required pam_unix.so",
        "session required pam_permit.so",
    ]
