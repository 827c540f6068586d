"""The author of the last commit, whose name is in the packages, is anyone whose patch was taken."""

import subprocess

import pytest
from rig.machine import CHECKOUT
from rig.process import run

pytestmark = pytest.mark.machinery

FORMATS = {
    "deb": ("x|;e touch hacked #", ("scripts/package", "--no-build", "--version", "9.8.7", "deb")),
    "rpm": ("%(touch hacked)", ("scripts/support/rpm-package", "9.8.7", "output")),
    "arch": ("$(touch hacked)`touch hacked`", ("scripts/support/arch-package", "9.8.7", "output")),
}


@pytest.fixture
def commit(tmp_path):
    """A clone in which a function commits as an author."""
    run("cp", "-a", CHECKOUT / "scripts", CHECKOUT / "pam", CHECKOUT / "LICENSE", tmp_path)
    product = tmp_path / ".build/product"
    (product / "completions").mkdir(parents=True)
    names = ("pam_twofactor.so", "twofactor", "twofactor-helper", "twofactor-store-postgresql", "completions/twofactor.bash")
    for name in names:
        (product / name).write_text("#!/bin/sh\n")
        (product / name).chmod(0o755)
    run("git", "-C", tmp_path, "init", "-q")

    def as_author(name: str, address: str = "a@b.invalid"):
        run("git", "-C", tmp_path, "-c", f"user.name={name}", "-c", f"user.email={address}",
            "commit", "-q", "--allow-empty", "-m", "change")  # fmt: skip
        return tmp_path

    return as_author


@pytest.mark.parametrize("kind", FORMATS)
def test_the_name_of_an_author_is_never_run(commit, kind):
    name, line = FORMATS[kind]
    folder = commit(name)
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=60)
    assert not list(folder.rglob("hacked")), f"the author's name was run: {done.stdout}{done.stderr}"
    assert done.returncode == 1 and "packages cannot contain: set DEBFULLNAME and DEBEMAIL" in done.stderr


@pytest.mark.parametrize("name", ["Zoë O'Brien", "A. B-C, Jr", "dependabot[bot]"])
def test_names_of_people_and_programs_are_accepted(commit, name):
    folder = commit(name, "1+dependabot[bot]@users.invalid")
    said = run("scripts/support/package-metadata", "maintainer", cwd=folder).stdout
    assert said == f"{name} <1+dependabot[bot]@users.invalid>\n"
    run("scripts/support/package-metadata", "--wrong", cwd=folder, status=64)
