"""Runs harness/login.c: scripted logins through the real libpam."""

import enum
import os
from dataclasses import dataclass, field
from pathlib import Path

from .clock import standing_at
from .machine import Account
from .process import run
from .reachable import open_to_all

SOURCES = Path(__file__).parent.parent / "harness"


class Result(enum.IntEnum):
    """Results of `pam_authenticate` and `pam_acct_mgmt`, as in <security/_pam_types.h>."""

    SUCCESS = 0
    SERVICE_ERR = 3
    # libpam's result if every module returned PAM_IGNORE.
    PERM_DENIED = 6
    AUTH_ERR = 7
    AUTHINFO_UNAVAIL = 9
    MAXTRIES = 11
    CONV_ERR = 19


PAM_SILENT = 0x8000
PAM_DISALLOW_NULL_AUTHTOK = 1


@dataclass(frozen=True)
class Answer:
    """A reply of the application to one prompt; see harness/login.c."""

    kind: str
    text: bytes = b""
    become: str | None = None

    def script(self) -> str:
        lines = f"become {self.become.encode().hex()}\n" if self.become else ""
        return lines + f"{self.kind} {self.text.hex()}\n"


def as_answer(answer) -> Answer:
    if isinstance(answer, Answer):
        return answer
    return Answer("text", answer.encode() if isinstance(answer, str) else answer)


NULL = Answer("null")
NO_ARRAY = Answer("no-array")
FAILURE = Answer("failure")


@dataclass
class Login:
    """One login: its prompts, messages and results, in order."""

    number: int
    # Of pam_authenticate, and of pam_acct_mgmt.
    result: int | None = None
    account: int | None = None
    setcred: int | None = None
    killed_by: int | None = None
    delay: int = 0
    # From reply to return, by the monotonic clock.
    microseconds: int = 0
    prompts: list[str] = field(default_factory=list)
    shown_prompts: int = 0
    messages: list[str] = field(default_factory=list)
    # Prompts and messages, each with its kind: prompt-hidden, prompt-shown, info or error.
    texts: list[tuple[str, bytes]] = field(default_factory=list)
    unanswered: int = 0
    states: dict[str, str] = field(default_factory=dict)


def count(logins: list[Login], result: Result) -> int:
    return sum(login.result == result for login in logins)


def build(sources: list[Path], output: Path, *flags: str, compiler: str = "gcc") -> Path:
    run(compiler, "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-o", output, *sources, *flags)
    return output


def parse(output: str) -> list[Login]:
    logins: dict[int, Login] = {}
    current = None
    for line in output.splitlines():
        word, _, rest = line.partition(" ")
        if word == "login":
            current = logins.setdefault(int(rest), Login(int(rest)))
        elif word == "killed":
            number, signal = map(int, rest.split())
            logins.setdefault(number, Login(number)).killed_by = signal
        elif word == "state":
            when, _, hexadecimal = rest.partition(" ")
            # Only the state at the first prompt counts.
            current.states.setdefault(when, bytes.fromhex(hexadecimal).decode("utf-8", "backslashreplace"))
        elif word in ("prompt-hidden", "prompt-shown", "info", "error"):
            text = bytes.fromhex(rest)
            current.texts.append((word, text))
            is_prompt = word.startswith("prompt")
            (current.prompts if is_prompt else current.messages).append(text.decode("utf-8", "surrogateescape"))
            current.shown_prompts += word == "prompt-shown"
        elif word == "unanswered":
            current.unanswered += 1
        elif word in ("result", "account", "setcred", "delay", "microseconds"):
            setattr(current, word, int(rest))
        else:
            raise ValueError(f"the harness says {line!r}")
    return [logins[number] for number in sorted(logins)]


class Harness:
    """The compiled program, with a folder of PAM services."""

    def __init__(self, program: Path, services: Path) -> None:
        self.program = program
        self.services = services
        # libpam falls back to this service.
        self.service("other", "auth required pam_deny.so")

    def service(self, name: str, *lines: str) -> str:
        (self.services / name).write_text("".join(line + "\n" for line in lines))
        return name

    def run(
        self,
        service: str,
        logins: list[tuple[str, list]],
        *,
        at: float | None = None,
        rhost: str | None = None,
        tty: str | None = None,
        flags: int = 0,
        account: bool = False,
        authenticate: bool = True,
        times: int = 1,
        at_once: bool = False,
        setcred: bool = False,
        states: bool = False,
        marks: bool = False,
        messages_fail: bool = False,
        awaited: Path | None = None,
        under: tuple[str, ...] = (),
        may_die: bool = False,
        timeout: float = 60,
    ) -> list[Login]:
        """Runs logins, each a user and replies.

        account: whether the account phase follows a successful authentication
        authenticate: if false, the account phase runs without one
        under: a command prefix
        """
        options = [f"-f{flags}", f"-n{times}"]
        options += [f"-r{rhost}"] if rhost is not None else []
        options += ["-t", tty] if tty is not None else []
        options += [f"-w{awaited}"] if awaited is not None else []
        options += [
            option
            for option, wanted in (
                ("-a", account),
                ("-A", not authenticate),
                ("-o", at_once),
                ("-c", setcred),
                ("-s", states),
                ("-m", marks),
                ("-x", messages_fail),
            )
            if wanted
        ]
        script = "".join(
            f"user {user.encode().hex()}\n" + "".join(as_answer(answer).script() for answer in answers)
            for user, answers in logins
        )
        done = run(
            *under, self.program, *options, self.services, service, input=script,
            environment={**os.environ, **standing_at(at)}, timeout=timeout, status=None if may_die else 0,
        )
        return parse(done.stdout)

    def running_as(self, account: Account, groups: str = "") -> tuple[str, ...]:
        """The prefix that runs the harness as an account, which cannot change the clock; opens the way to the program.

        groups: the IDs of the supplementary groups, with commas
        """
        open_to_all(self.program.parent)
        groups = f"--groups={groups}" if groups else "--clear-groups"
        return ("setpriv", f"--reuid={account.uid}", f"--regid={account.gid}", groups)

    def log_in(self, service: str, user: str, *answers, **options) -> Login:
        """One login."""
        (login,) = self.run(service, [(user, list(answers))], **options)
        return login
