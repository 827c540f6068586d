"""The register of enrolled users and the host store, as a package creates them."""

import contextlib
import shutil
from pathlib import Path

from .process import run

PARENT = Path("/var/lib/twofactor")
REGISTER = PARENT / "enrolled"
STORE = PARENT / "users"


def create_register() -> Path:
    """Creates an empty register, and its group."""
    run("groupadd", "--force", "--system", "_twofactor")
    PARENT.mkdir(mode=0o755, exist_ok=True)
    PARENT.chmod(0o755)
    REGISTER.mkdir()
    shutil.chown(REGISTER, "root", "_twofactor")
    REGISTER.chmod(0o1730)
    return REGISTER


def create_host_store() -> Path:
    """Creates an empty host store, beside the register."""
    STORE.mkdir()
    shutil.chown(STORE, "root", "_twofactor")
    STORE.chmod(0o1730)
    return STORE


def is_host_store() -> bool:
    """Whether the host's twofactor.conf chooses the host store."""
    path = Path("/etc/security/twofactor.conf")
    return path.exists() and "store = host" in path.read_text()


def remove_register() -> None:
    """Removes the register and the host store, or a file or symlink in the place of the register."""
    for path in (REGISTER, PARENT):
        with contextlib.suppress(FileNotFoundError):
            path.unlink() if path.is_symlink() or path.is_file() else shutil.rmtree(path)


def registered() -> list[int]:
    """The user IDs in the register."""
    return sorted(int(path.name) for path in REGISTER.iterdir())
