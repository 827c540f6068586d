"""The log of the sandbox, as messages."""

import re
import secrets
import syslog
import time
from dataclasses import dataclass
from pathlib import Path

PATH = Path("/run/sandbox/syslog")

LINE = re.compile(
    r"(?P<priority>\S+) (?P<stamp>\w{3} [ \d]\d \d\d:\d\d:\d\d) "
    r"(?P<program>[^\s:\[]+)(?:\[(?P<pid>\d+)\])?: (?P<text>.*)"
)


@dataclass(frozen=True)
class Message:
    """One message: `priority` as in `authpriv.info`, `program` the sender's ident."""

    priority: str
    program: str
    text: str

    def __str__(self) -> str:
        return f"{self.priority} {self.program}: {self.text}"


def fresh_log() -> "SystemLog":
    """A log that contains only later messages; messages keep their order."""
    earlier, mark = SystemLog(), secrets.token_hex(8)
    syslog.syslog(syslog.LOG_INFO, mark)
    earlier.line_with(mark)
    return SystemLog()


class SystemLog:
    """Reads the messages since its creation."""

    def __init__(self) -> None:
        self._offset = PATH.stat().st_size

    def lines(self) -> list[str]:
        with PATH.open("rb") as file:
            file.seek(self._offset)
            return file.read().decode("utf-8", "backslashreplace").splitlines()

    def messages(self) -> list[Message]:
        found = (LINE.fullmatch(line) for line in self.lines())
        return [Message(match["priority"], match["program"], match["text"]) for match in found if match]

    def of_module(self, count: int | None = None, patience: float = 5.0) -> list[Message]:
        """The messages of `pam_twofactor` without debug messages; waits for `count` of them.

        A datagram arrives a moment after it was sent.
        """
        deadline = time.monotonic() + patience
        while True:
            found = [
                message
                for message in self.messages()
                if message.text.startswith("pam_twofactor(") and not message.priority.endswith(".debug")
            ]
            if count is None or len(found) >= count or time.monotonic() > deadline:
                return found
            time.sleep(0.01)

    def line_with(self, text: str, patience: float = 5.0) -> str:
        """Waits for the message that contains `text`."""
        deadline = time.monotonic() + patience
        while True:
            for message in self.messages():
                if text in message.text:
                    return message.text
            assert time.monotonic() < deadline, f"no log line has {text!r}"
            time.sleep(0.01)
