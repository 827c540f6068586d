"""The register of enrolled users, as a package creates it."""

import contextlib
import shutil
from pathlib import Path

PARENT = Path("/var/lib/twofactor")
REGISTER = PARENT / "enrolled"


def create_register() -> Path:
    """Creates an empty register. The tests' Debian has no group _twofactor, so the group is root's."""
    PARENT.mkdir(mode=0o755, exist_ok=True)
    PARENT.chmod(0o755)
    REGISTER.mkdir()
    REGISTER.chmod(0o1730)
    return REGISTER


def remove_register() -> None:
    """Removes the register and whatever stands in its place."""
    for path in (REGISTER, PARENT):
        with contextlib.suppress(FileNotFoundError):
            path.unlink() if path.is_symlink() or path.is_file() else shutil.rmtree(path)


def registered() -> list[int]:
    """The user IDs in the register."""
    return sorted(int(path.name) for path in REGISTER.iterdir())
