"""Enrolments made by the real setup command, as a provisioning script would make them."""

import ctypes
import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .machine import COMMAND, Account
from .one_time_password import Authenticator


@dataclass(frozen=True)
class Enrollment:
    """What `twofactor enable --json` said."""

    user: str
    directory: Path
    device: str
    authenticator: Authenticator
    backup_codes: list[str]
    uri: str

    @classmethod
    def of(cls, answer: dict) -> "Enrollment":
        """What `enable --json` said."""
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


def command(*arguments: str, answers: str = "", environment: dict[str, str] | None = None) -> dict:
    """Runs the setup command as root and returns its JSON."""
    run = subprocess.run(
        [COMMAND, *arguments, "--json"],
        input=answers.encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        timeout=60,
    )
    assert run.returncode == 0, f"twofactor {arguments[0]} ended with {run.returncode}: {run.stderr.decode()[-1000:]}"
    return json.loads(run.stdout)


def enroll(account: Account, *options: str, backup_codes: int = 0, again: bool = False) -> Enrollment:
    """Switches two-factor on for `account` without asking anyone anything."""
    force = ("--force",) if again else ()
    answer = command(
        "enable", "--no-confirm", "--yes", "--user", account.name, "--backup-codes", str(backup_codes), *force, *options
    )
    return Enrollment.of(answer)


def turn_into_scratch_code(enrolled: Enrollment, code: str) -> None:
    """Puts an eight-digit code of another program in the place of the first backup code."""
    text = enrolled.credential.read_text()
    old = re.search(r"^backup-code (\S+)$", text, re.MULTILINE)
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    new = crypt(code.encode(), old[1].encode()).decode()
    enrolled.credential.write_text(text.replace(old[0], f"scratch-code {new}"))
