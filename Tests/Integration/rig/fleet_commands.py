"""Logins and the setup command on the hosts of a fleet."""

from .clock import time_to_type
from .enrollment import Enrollment
from .machine import COMMAND
from .process import run

# So that codes of many steps are good at the same time.
WIDE = ("window=10", "max_failures=100")


class Codes:
    """The codes of consecutive time steps: each login needs a later one."""

    def __init__(self, enrolled: Enrollment) -> None:
        self.enrolled = enrolled
        self.step = -1
        self.now = time_to_type()

    def next(self) -> str:
        self.step += 1
        return self.enrolled.authenticator.code_at(self.now, steps=self.step)


def on(host: tuple[str, ...], *words: str, status: int = 0, answers: str = "") -> str:
    """Runs the command as root on a host."""
    done = run(*host, COMMAND, *words, input=answers, status=status)
    return done.stdout + done.stderr
