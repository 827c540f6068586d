"""Files that no commit describes, and packages of others, are not signed."""

import shutil
from pathlib import Path

import pytest
from rig.machine import CHECKOUT
from rig.process import run
from rig.repository import Keys

pytestmark = pytest.mark.machinery

VERSION = "9.8.7"


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    with Keys(tmp_path_factory.mktemp("keys") / "gnupg") as keys:
        keys.key = keys.create("archive")
        yield keys


@pytest.fixture
def release(tmp_path, keys):
    """A function that adds a file to a release of a clean clone, and returns the last line of what it says."""
    clone = tmp_path / "clone"
    for name in ("scripts", ".gitignore"):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        run("cp", "-a", CHECKOUT / name, clone / name)
    for name, text in (
        ("Sources/TwoFactorSetup/Commands/Version.swift", f'  static let current = "{VERSION}"\n'),
        (".github/CHANGELOG.md", f"# Changelog\n\n## [{VERSION}] - 2026-11-27\n\n- A thing.\n"),
    ):
        (clone / name).parent.mkdir(parents=True)
        (clone / name).write_text(text)
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "change")):
        run("git", "-C", clone, "-c", "user.name=Tests", "-c", "user.email=tests@localhost", *words)

    def add(file: Path, status: int = 1) -> str:
        output = tmp_path / "output"
        line = ("scripts/release", "--key", keys.key, "--no-build", "--output", output, "--add", file)
        done = run(*line, cwd=clone, environment=keys.environment, status=status)
        assert status == 0 or not list(output.glob("twofactor*")), "a refused release wrote files"
        return (done.stdout + done.stderr).splitlines()[-1]

    add.clone = clone
    return add


@pytest.fixture
def build(tmp_path):
    """A function that builds a package with an SBOM."""

    def make(package: str = "twofactor", sbom: str = "{}", file: str | None = None) -> Path:
        tree = tmp_path / "tree"
        documents = tree / f"usr/share/doc/{package}"
        documents.mkdir(parents=True)
        (documents / f"{package}.spdx.json").write_text(sbom)
        (tree / "DEBIAN").mkdir()
        (tree / "DEBIAN/control").write_text(
            f"Package: {package}\nVersion: {VERSION}\nArchitecture: amd64\n"
            "Maintainer: Tests <tests@localhost>\nDescription: a package of the tests\n"
        )
        result = tmp_path / (file or f"{package}_{VERSION}_amd64.deb")
        run("dpkg-deb", "--root-owner-group", "-b", tree, result)
        shutil.rmtree(tree)
        return result

    return make


@pytest.mark.parametrize(
    "name",
    [
        # Ignored: Package.swift would use this folder instead of the pinned library.
        "vendor/swift-argument-parser/Package.swift",
        # Ignored: it could name another address of the library.
        ".swiftpm/configuration/mirrors.json",
        # SwiftPM compiles all files of a folder, and the install list names all files of another.
        "Sources/TwoFactorSetup/stray.swift",
        "pam/radius/__pycache__/stray.pyc",
    ],
)
def test_files_that_git_hides_are_refused(release, build, name):
    run("git", "-C", release.clone, "config", "status.showUntrackedFiles", "no")
    (release.clone / ".git/info/exclude").write_text("stray.swift\n")
    path = release.clone / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    said = release(build())
    assert "so no commit describes the release: commit or remove" in said and name.split("/")[0] in said


@pytest.mark.parametrize("hide", ["--assume-unchanged", "--skip-worktree"])
def test_changes_that_git_does_not_look_for_are_refused(release, build, hide):
    run("git", "-C", release.clone, "update-index", hide, "scripts/package")
    (release.clone / "scripts/package").write_text("changed\n")
    assert "Git does not compare these files: git update-index" in release(build())


def test_a_changed_library_is_refused(release, build):
    library = release.clone / ".build/ordinary/checkouts/swift-argument-parser"
    library.mkdir(parents=True)
    run("git", "-C", library, "init", "-q")
    (library / "stray.swift").write_text("")
    assert f"{library.relative_to(release.clone)} was changed: remove .build/ordinary" in release(build())


def test_files_of_builds_and_tests_do_not_matter(release, build):
    for name in (".build/product/file", "Package.resolved", "scripts/support/__pycache__/a.pyc", "Tests/x/.pytest_cache/a"):
        (release.clone / name).parent.mkdir(parents=True, exist_ok=True)
        (release.clone / name).write_text("")
    assert release(build(), status=0).startswith("next: copy")


def test_packages_of_other_projects_or_with_other_names_are_refused(release, build, tmp_path):
    """A repository can replace each package of a host."""
    assert "is not a package of this project" in release(build("libpam0g"))
    named = build(file=f"twofactor_{VERSION}_arm64.deb")
    assert f"has another name than twofactor_{VERSION}_amd64.deb" in release(named)
    assert "contains no SBOM" in release(build(sbom=""))
    stray = tmp_path / f"stray-1{VERSION}.txt"
    stray.write_text("")
    assert "is of version another" in release(stray)


def test_a_source_package_names_no_file_elsewhere(release, build, tmp_path):
    (tmp_path / f"secret-{VERSION}").write_text("a file of the maintainer\n")
    (tmp_path / "packages").mkdir()
    description = tmp_path / f"packages/twofactor_{VERSION}.dsc"
    description.write_text(f"Version: {VERSION}\nFiles:\n 0 0 ../secret-{VERSION}\n")
    assert f"names the file ../secret-{VERSION}, which is none of this version" in release(description)
