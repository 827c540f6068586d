"""A signed repository for apt, and keys of GnuPG in a home directory of their own."""

import os
import re
import shutil
from pathlib import Path

from .machine import CHECKOUT
from .process import run

DISTRIBUTION, POOL = "dists/stable", "pool/main/t/twofactor"

# Keys are as old as this, so that signatures can be made in the past.
CREATED, LATER = "20260101T000000", "20260103T000000"


class Keys:
    """A home directory of GnuPG, as a context manager."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        self.environment = {**os.environ, "GNUPGHOME": str(folder)}

    def __enter__(self) -> "Keys":
        return self

    def __exit__(self, *_) -> None:
        run("gpgconf", "--kill", "all", environment=self.environment)

    def gpg(self, *words) -> str:
        return run("gpg", "--batch", "--yes", *words, environment=self.environment).stdout

    def create(self, name: str, *, usage: str = "sign", expires: str = "5y", created: str = CREATED) -> str:
        """Returns the fingerprint of a new key without a passphrase."""
        when = ("--faked-system-time", created) if created else ()
        self.gpg(*when, "--passphrase", "", "--quick-generate-key", name, "ed25519", usage, expires)
        return self.fingerprint(name)

    def fingerprint(self, name: str) -> str:
        listing = self.gpg("--with-colons", "--list-secret-keys", name)
        return re.search(r"(?m)^fpr:::::::::([0-9A-F]{40}):", listing)[1]

    def export(self, key: str, file: Path) -> None:
        file.write_text(self.gpg("--armor", "--export", key))

    def clear_sign(self, tree: Path, key: str, *options: str) -> None:
        """Replaces the signatures of a repository by a new one."""
        folder = tree / DISTRIBUTION
        (folder / "Release.gpg").unlink(missing_ok=True)
        output = ("--digest-algo", "SHA512", "--output", folder / "InRelease")
        self.gpg("--local-user", key, *options, *output, "--clear-sign", folder / "Release")

    def publish(self, tree: Path, key: str, *files: Path, status: int = 0) -> str:
        """Adds packages to a repository and returns the messages."""
        done = run(
            CHECKOUT / "scripts/support/apt-repository", tree, key, *files, environment=self.environment, status=status
        )
        return done.stderr


def renumbered(package: Path, version: str, folder: Path) -> Path:
    """The same package with another version."""
    tree = folder / f"tree-{version}"
    run("dpkg-deb", "-R", package, tree)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*", f"Version: {version}", control.read_text()))
    result = folder / re.sub("_.*_", f"_{version}_", package.name)
    run("dpkg-deb", "--root-owner-group", "-Znone", "-b", tree, result)
    shutil.rmtree(tree)
    return result


def indexes(tree: Path) -> list[Path]:
    """The lists of packages in all their forms."""
    return [path for path in (tree / DISTRIBUTION / "main").rglob("*") if path.is_file()]
