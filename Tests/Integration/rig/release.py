"""A release of the built packages, as hosted CI makes it."""

import shutil
from pathlib import Path

from .machine import CHECKOUT
from .package_builds import built_package
from .process import run
from .repository import Keys


def clone(folder: Path) -> Path:
    """A clone of the checkout, which is read-only here."""
    run("git", "-c", "safe.directory=*", "clone", "--quiet", "--no-tags", CHECKOUT, folder)
    return folder


def packages(folder: Path) -> list[Path]:
    """Copies of the Debian packages that were built last."""
    folder.mkdir()
    return [
        Path(shutil.copy(built_package(name), folder)) for name in ("twofactor", "twofactor-store-postgresql")
    ]


def sign(checkout: Path, folder: Path, keys: Keys, key: str, status: int = 0):
    """Signs the packages in a folder, and returns the messages; the release is in .build/release of the checkout."""
    secret = keys.gpg("--armor", "--export-secret-keys", key)
    return run(checkout / ".ci/sign-release", folder, input=secret, status=status)
