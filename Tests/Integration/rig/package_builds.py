"""Debian packages that were built, and RPM and Arch packages, built from the products under different conditions."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .machine import CHECKOUT, PRODUCT
from .process import run

MAINTAINER = {"DEBFULLNAME": "A B", "DEBEMAIL": "a@example.org", "SOURCE_DATE_EPOCH": "1700000000"}


def version() -> str:
    return run(PRODUCT / "twofactor", "--version").stdout.strip()


def built_package(name: str = "twofactor") -> Path:
    """The Debian package that scripts/package built last."""
    packages = sorted(PRODUCT.glob(f"{name}_*.deb"), key=lambda path: path.stat().st_mtime)
    assert packages, f"no package {name}: run scripts/package"
    return packages[-1]


def build(kind: str, output: Path, number: str | None = None) -> list[Path]:
    """The files that scripts/support/KIND-package makes."""
    environment = {"PATH": os.environ["PATH"], **MAINTAINER}
    script = CHECKOUT / f"scripts/support/{kind}-package"
    made = run(script, number or version(), output, environment=environment, timeout=110).stdout
    return [Path(line) for line in made.splitlines()]


def build_elsewhere(kind: str, folder: Path) -> list[Path]:
    """The same from another folder, by another user, with another home, time zone, locale, umask, times of files."""
    tree = folder / "another tree"
    tree.mkdir(mode=0o755)
    for name in ("LICENSE", "Package.swift", "Package.resolved", "pam", "scripts", ".github", ".build/product"):
        if (CHECKOUT / name).exists():
            (tree / name).parent.mkdir(exist_ok=True)
            run("cp", "-rL", "--no-preserve=timestamps", CHECKOUT / name, tree / name)
    run("chown", "-R", "games:games", folder)
    for parent in folder.parents:
        if parent != Path("/") and not parent.stat().st_mode & 1:
            parent.chmod(parent.stat().st_mode | 0o111)
    done = subprocess.run(
        [tree / f"scripts/support/{kind}-package", version(), folder / "output"],
        user="games", group="games", extra_groups=[], umask=0o077, cwd="/", timeout=110,
        env={"PATH": os.environ["PATH"], "HOME": "/none", "TZ": "Pacific/Auckland", "LC_ALL": "C.UTF-8", **MAINTAINER},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [Path(line) for line in done.stdout.splitlines()]


@dataclass(frozen=True)
class Listed:
    """A file of the install list."""

    kind: str
    mode: int
    source: Path


def install_list(family: str, package: str, modules: str) -> dict[str, Listed]:
    """The files of a package by path, with the documents that every package has."""
    if package == "twofactor":
        words = ["scripts/support/host-files", "/usr", modules, family]
    else:
        words = ["scripts/support/store-files", "/usr"]
    lines = run(CHECKOUT / words[0], *words[1:]).stdout.splitlines()
    doc, licenses = f"/usr/share/doc/{package}", f"/usr/share/licenses/{package}"
    lines.append(f"plain 644 .github/CHANGELOG.md {doc}/CHANGELOG.md")
    lines.append(f"plain 644 LICENSE {licenses}/LICENSE")
    lines.append(f"plain 644 pam/debian/copyright {licenses}/copyright")
    listed = {}
    for line in lines:
        kind, mode, source, destination = line.split()
        listed[destination] = Listed(kind, int(mode, 8), CHECKOUT / source)
    return listed
