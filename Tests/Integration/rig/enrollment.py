"""The setup command, and enrollments that it makes without questions."""

import ctypes
import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .clock import standing_at
from .machine import COMMAND, Account
from .one_time_password import Authenticator
from .process import run


@dataclass(frozen=True)
class Enrollment:
    """An enrollment with one device."""

    user: str
    directory: Path
    device: str
    authenticator: Authenticator
    backup_codes: list[str]
    uri: str

    @classmethod
    def of(cls, answer: dict) -> "Enrollment":
        """Parses the JSON of `twofactor enable` and `twofactor device add`."""
        device = answer["device"]
        return cls(
            user=answer["user"],
            directory=Path(answer["directory"]),
            device=device["name"],
            authenticator=Authenticator.from_base32(
                answer["secret"],
                algorithm=device["algorithm"],
                digits=device["digits"],
                period=device["period"] or 30,
            ),
            backup_codes=answer.get("backup_codes") or [],
            uri=answer["uri"],
        )

    @property
    def credential(self) -> Path:
        return self.directory / "credential"

    @property
    def state(self) -> Path:
        return self.directory / "state"


def twofactor(
    *arguments: str,
    user: Account | None = None,
    answers: str | bytes = "",
    at: float | None = None,
    environment: dict[str, str] | None = None,
    **options,
) -> subprocess.CompletedProcess[str]:
    """Runs the setup command as a user, in the user's home, or as root; `options` as for `run`.

    answers: standard input, one line for each question
    at: the time of the clock; None for the time of this machine
    """
    environment = {**standing_at(at), **(environment or {})}
    cwd = "/" if user is None else user.home
    return run(COMMAND, *arguments, input=answers, user=user, environment=environment, **{"cwd": cwd, **options})


def twofactor_json(*arguments: str, **options) -> dict:
    return json.loads(twofactor(*arguments, "--json", **options).stdout)


def enroll(account: Account, *options: str, backup_codes: int = 0, again: bool = False) -> Enrollment:
    """Enrolls an account as root, without questions; `again` replaces an enrollment."""
    force = ("--force",) if again else ()
    words = ("enable", "--no-confirm", "--yes", "--user", account.name, "--backup-codes", str(backup_codes))
    return Enrollment.of(twofactor_json(*words, *force, *options))


def turn_into_scratch_code(enrolled: Enrollment, code: str) -> None:
    """Replaces the first backup code with an imported eight-digit code."""
    text = enrolled.credential.read_text()
    old = re.search(r"^backup-code (\S+)$", text, re.MULTILINE)
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    new = crypt(code.encode(), old[1].encode()).decode()
    enrolled.credential.write_text(text.replace(old[0], f"scratch-code {new}"))
