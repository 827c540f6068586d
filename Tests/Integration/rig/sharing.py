"""Runs of pytest in several sandboxes share the tests: each run claims a file of tests at a time."""

import fcntl
import os
from collections.abc import Iterable, Iterator


class Claims:
    """The claimed names, one a line, in a file that all runs have open."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        os.set_inheritable(descriptor, False)

    def claim(self, name: str) -> bool:
        """Returns False if a run has claimed the name before."""
        line = f"{name}\n".encode()
        fcntl.flock(self.descriptor, fcntl.LOCK_EX)
        try:
            taken = os.pread(self.descriptor, os.fstat(self.descriptor).st_size, 0)
            if line in taken.splitlines(keepends=True):
                return False
            os.pwrite(self.descriptor, line, len(taken))
            return True
        finally:
            fcntl.flock(self.descriptor, fcntl.LOCK_UN)


def shared(items: Iterable, claims: Claims) -> Iterator:
    """The tests of this run. The slowest files come first, by the time limits of their tests."""
    files: dict[str, list] = {}
    for item in items:
        # Only one run may change a setting of the whole machine.
        name = "suid_dumpable" if "suid_dumpable" in item.fixturenames else item.location[0]
        files.setdefault(name, []).append(item)
    for name, tests in sorted(files.items(), key=lambda file: -seconds(file[1])):
        if claims.claim(name):
            yield from tests


def seconds(items: Iterable) -> int:
    return sum(marker.args[0] for item in items for marker in item.iter_markers("seconds"))
