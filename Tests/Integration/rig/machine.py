"""The sandbox: installs the products and adds accounts."""

import functools
import itertools
import os
import pwd
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from .process import run

CHECKOUT = Path(__file__).resolve().parents[3]
PRODUCT = CHECKOUT / ".build" / "product"
COMMAND = Path("/usr/local/bin/twofactor")
HELPER = Path("/usr/local/libexec/twofactor/twofactor-helper")
STORE_PROGRAM = HELPER.with_name("twofactor-store-postgresql")


def is_sandbox() -> bool:
    return Path("/run/sandbox/syslog").exists() and os.getuid() == 0


@functools.cache
def modules_directory() -> Path:
    """The directory that libpam searches for modules."""
    directories = [Path(name) for name in ("/lib", "/usr/lib")]
    candidates = itertools.chain.from_iterable(
        [*directory.glob("*/security/pam_unix.so"), *directory.glob("security/pam_unix.so")]
        for directory in directories
    )
    return next(candidates).parent


def install() -> None:
    """Installs the module, the setup command, its helper and its PAM service."""
    assert is_sandbox(), "run this inside scripts/sandbox"
    shutil.copy(PRODUCT / "pam_twofactor.so", modules_directory() / "pam_twofactor.so")
    shutil.copy(PRODUCT / "twofactor", COMMAND)
    COMMAND.chmod(0o711)
    run("groupadd", "--force", "--system", "_twofactor")
    HELPER.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    shutil.copy(PRODUCT / "twofactor-helper", HELPER)
    shutil.chown(HELPER, "root", "_twofactor")
    HELPER.chmod(0o2755)
    if (PRODUCT / STORE_PROGRAM.name).exists():
        shutil.copy(PRODUCT / STORE_PROGRAM.name, STORE_PROGRAM)
        STORE_PROGRAM.chmod(0o755)
    shutil.copy(CHECKOUT / "pam" / "service" / "twofactor", "/etc/pam.d/twofactor")


@dataclass(frozen=True)
class Account:
    """An account of the sandbox."""

    name: str
    password: str = field(repr=False)

    @property
    def home(self) -> Path:
        return Path(pwd.getpwnam(self.name).pw_dir)

    @property
    def uid(self) -> int:
        return pwd.getpwnam(self.name).pw_uid

    @property
    def gid(self) -> int:
        return pwd.getpwnam(self.name).pw_gid


def add_account(name: str, password: str | None = None, shell: str = "/bin/sh") -> Account:
    """Adds an account with a home of mode 0755; None as `password` leaves it locked."""
    run("useradd", "--create-home", "--shell", shell, "--user-group", name)
    if password is not None:
        # SHA-512 with few rounds is enough for a short-lived password.
        run("chpasswd", "--crypt-method", "SHA512", "--sha-rounds", "1000", input=f"{name}:{password}\n")
    account = Account(name, password or "")
    account.home.chmod(0o755)
    return account
