"""The author of the last commit, whose name is in the packages, is anyone whose patch was taken."""

import os
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


def test_no_daemon_can_change_a_package_while_root_builds_it(commit, tmp_path_factory):
    """makepkg runs as a user without an account."""
    folder = commit("A B")
    tools = tmp_path_factory.mktemp("tools")
    record = tools / "record"
    (tools / "setpriv").write_text(f'#!/bin/sh\necho "$(stat -c %u:%g:%a .) $*" >{record}\nexit 1\n')
    (tools / "setpriv").chmod(0o755)
    line = ("scripts/support/arch-package", "9.8.7", folder / "output")
    run(*line, cwd=folder, environment={"PATH": f"{tools}:{os.environ['PATH']}"}, status=1)
    number, group, mode = record.read_text().split()[0].split(":")
    assert mode == "700" and number == group and f"--reuid {number} --regid {number} --clear-groups" in record.read_text()
    run("getent", "passwd", number, status=2)
