"""The places of an enrollment that root and the user's processes use: the home directory and the host store."""

from dataclasses import dataclass
from pathlib import Path

from .register import STORE


@dataclass(frozen=True)
class Place:
    folder: Path
    # A substring of the first traced system call that opens a part of the path.
    first_call: str
    # The same of a change by the setup command.
    first_change: str
    # The names of the leftovers of killed commands.
    leftovers: tuple[str, ...]
    # After `disable`, no name in the folder matches this.
    enrollment: str
    # Of a login or a change, at least so many system calls are tested.
    calls: int

    def litter(self) -> list[Path]:
        return sorted(path for pattern in self.leftovers for path in self.folder.glob(pattern))


def at_home(account) -> Place:
    return Place(account.home, str(account.home), str(account.home), (".twofactor.*",), "*twofactor*", 40)


def in_host_store() -> Place:
    return Place(STORE, '"users"', '"state"', ("*.new-*", "*.removed-*"), "*", 25)
