"""scripts/release in throw-away clones, with GnuPG: what it refuses, and what it writes."""

import hashlib
import re
import shutil
from pathlib import Path

import pytest
from rig.machine import CHECKOUT
from rig.process import run
from rig.repository import DISTRIBUTION, POOL, Keys, indexes

pytestmark = pytest.mark.machinery

VERSION_FILE = "Sources/TwoFactorSetup/Commands/Version.swift"
CHANGELOG = ".github/CHANGELOG.md"
SECTION = "### Added\n\n- A thing.\n\n### Fixed\n\n- Another thing."


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    with Keys(tmp_path_factory.mktemp("keys") / "gnupg") as keys:
        keys.key = keys.create("archive")
        keys.other = keys.create("another")
        keys.expired = keys.create("expired", expires="1w")
        keys.certifying = keys.create("certifying", usage="cert")
        yield keys


def build_package(folder: Path, version: str = "9.8.7", content: str = "", architecture: str = "amd64") -> Path:
    """A package with nothing but an SBOM and a file."""
    tree = folder / "tree"
    documents = tree / "usr/share/doc/twofactor"
    documents.mkdir(parents=True)
    (documents / "twofactor.spdx.json").write_text(f'{{"name": "twofactor for {architecture}"}}\n')
    (documents / "content").write_text(content)
    (tree / "DEBIAN").mkdir()
    (tree / "DEBIAN/control").write_text(
        f"Package: twofactor\nVersion: {version}\nArchitecture: {architecture}\n"
        "Maintainer: Tests <tests@localhost>\nDescription: a package of the tests\n"
    )
    result = folder / f"twofactor_{version}_{architecture}.deb"
    run("dpkg-deb", "--root-owner-group", "-b", tree, result)
    shutil.rmtree(tree)
    return result


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    return build_package(tmp_path_factory.mktemp("package"))


class Clone:
    """A clone of version 9.8.7 with what the checkout has, committed or not."""

    def __init__(self, path: Path, keys: Keys) -> None:
        self.path, self.keys = path, keys
        self.output = path.parent / "output"
        for name in ("scripts", ".github", ".gitignore", VERSION_FILE):
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            run("cp", "-a", CHECKOUT / name, path / name)
        self.git("init", "-q", "-b", "main")
        self.write(VERSION_FILE, 'enum Version {\n  static let current = "9.8.7"\n}\n')
        self.write_changelog("## [9.8.7] - 2026-11-27\n\n" + SECTION)

    def git(self, *words: str) -> str:
        identity = ("-c", "user.name=Tests", "-c", "user.email=tests@localhost")
        return run("git", "-C", self.path, *identity, *words).stdout

    def write(self, name: str, text: str) -> None:
        (self.path / name).write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "change")

    def write_changelog(self, section: str) -> None:
        self.write(CHANGELOG, f"# Changelog\n\n## [Unreleased]\n\n{section}\n\n## [9.8.6] - 2026-01-02\n\n- Old.\n")

    def release(self, *words, status: int = 0, key: str | None = None) -> str:
        """Returns all output of scripts/release."""
        key = ("--key", key or self.keys.key) if key != "" else ()
        line = ("scripts/release", *key, "--no-build", "--output", self.output, *words)
        done = run(*line, cwd=self.path, environment=self.keys.environment, status=status)
        return done.stdout + done.stderr

    def refusal(self, *words, **options) -> str:
        said = self.release(*words, status=1, **options)
        assert not list(self.output.glob("twofactor*")), "a refused release wrote files"
        return said.splitlines()[-1]


@pytest.fixture
def clone(tmp_path, keys) -> Clone:
    (tmp_path / "clone").mkdir()
    return Clone(tmp_path / "clone", keys)


def files(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_release_is_signed_and_complete(clone, package, keys, tmp_path):
    said = clone.release("--add", package)
    folder = clone.output / "twofactor-9.8.7"
    assert f"key: {keys.key}, expires: 2030-12-31" in said and f"built: {folder} {clone.output}/apt" in said
    sbom = package.with_suffix(".spdx.json").name
    assert {path.name for path in folder.iterdir()} == {package.name, sbom, "NOTES.md", "SHA256SUMS", "SHA256SUMS.asc"}
    assert (folder / "NOTES.md").read_text() == f"# twofactor 9.8.7 (2026-11-27)\n\n{SECTION}\n"
    assert (folder / package.name).read_bytes() == package.read_bytes()
    assert "URIs: ADDRESS\n" in (clone.output / "twofactor.sources").read_text()

    # The commands of the guide.
    keyring = tmp_path / "keyring.gpg"
    run("gpg", "--dearmor", "--output", keyring, clone.output / "twofactor-archive-keyring.asc")
    run("gpgv", "--keyring", keyring, folder / "SHA256SUMS.asc", folder / "SHA256SUMS")
    run("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=folder)
    named = set(re.findall(r"(?m)^\w+  (.*)$", (folder / "SHA256SUMS").read_text()))
    assert named == {package.name, sbom, "NOTES.md"}
    (folder / package.name).write_bytes(package.read_bytes() + b"x")
    assert run("sha256sum", "--check", "SHA256SUMS", cwd=folder, status=1).stdout.count("FAILED") == 1
    (folder / "SHA256SUMS").write_text((folder / "SHA256SUMS").read_text().replace("a", "b"))
    run("gpgv", "--keyring", keyring, folder / "SHA256SUMS.asc", folder / "SHA256SUMS", status=1)


def test_a_second_run_changes_nothing_or_adds_files(clone, package, tmp_path):
    clone.release("--add", package)
    folder = clone.output / "twofactor-9.8.7"
    first = files(folder)
    clone.release("--add", package)
    assert files(folder) == first
    other = tmp_path / "twofactor-9.8.7-1.x86_64.rpm"
    other.write_text("a package of another format\n")
    clone.release("--add", other, "--uri", "https://packages.invalid/apt")
    added = files(folder)
    assert set(added) == {*first, other.name} and added[package.name] == first[package.name]
    assert other.name not in " ".join(files(clone.output / "apt"))
    assert "\nURIs: https://packages.invalid/apt\n" in (clone.output / "twofactor.sources").read_text()
    assert "ADDRESS" not in (clone.output / "twofactor.sources").read_text()


def test_no_secret_key_is_written_or_printed(clone, package, keys, tmp_path):
    """Neither that of the user, nor that of --test-key, which is deleted."""
    said = clone.release("--add", package)
    said += clone.release("--test-key", "--add", package, "--output", tmp_path / "tried", key="")
    assert "PRIVATE KEY" not in said
    test_key = re.findall("key: ([0-9A-F]{40})", said)[1]
    assert test_key != keys.key and test_key not in keys.gpg("--list-keys", "--with-colons")
    for folder in (clone.output, tmp_path / "tried", clone.path):
        for path in folder.rglob("*"):
            assert path.parent.name != "private-keys-v1.d" and not path.name.startswith(("gnupg", "S.gpg", ".new"))
            if path.is_file() and path.suffix != ".deb" and ".git" not in path.parts:
                assert b"PRIVATE KEY BLOCK-----" not in path.read_bytes(), path
    assert list((clone.path / ".build").iterdir()) == [] and not list(Path("/tmp").glob("release.*"))
    exported = (tmp_path / "tried/twofactor-archive-keyring.asc").read_text()
    assert exported.startswith("-----BEGIN PGP PUBLIC KEY BLOCK-----")


def test_a_working_tree_with_changes_is_refused(clone, package):
    (clone.path / "stray").write_text("")
    assert "the working tree has changes, so no commit describes the release" in clone.refusal("--add", package)
    (clone.path / "stray").unlink()
    (clone.path / CHANGELOG).write_text("")
    assert f"M {CHANGELOG}" in clone.refusal("--add", package)


def test_a_folder_without_git_is_refused(clone, package):
    shutil.rmtree(clone.path / ".git")
    assert clone.refusal("--add", package) == "release: this is not a Git checkout: clone the project"


@pytest.mark.parametrize(
    "section, said",
    [
        ("## [9.8.5] - 2026-11-27\n\n- A thing.", "has no heading for this version: add ## [9.8.7] - 20"),
        ("## [9.8.7]\n\n- A thing.", "has no date: write ## [9.8.7] - 20"),
        ("## [9.8.7] - 2026-02-30\n\n- A thing.", "has no date"),
        ("## [9.8.7] - 2026-11-27\n", "says nothing about version 9.8.7: describe it"),
    ],
)
def test_a_version_that_the_changelog_does_not_describe_is_refused(clone, package, section, said):
    clone.write_changelog(section)
    assert said in clone.refusal("--add", package)


def test_a_tag_of_another_version_or_commit_is_refused(clone, package):
    clone.git("tag", "v9.8.6")
    assert "this commit has the tag v9.8.6, but its version is 9.8.7" in clone.refusal("--add", package)
    clone.git("tag", "-d", "v9.8.6")
    clone.git("tag", "v9.8.7")
    clone.write(CHANGELOG, (clone.path / CHANGELOG).read_text() + "\n")
    assert "the tag v9.8.7 is on commit " in clone.refusal("--add", package)
    clone.git("tag", "-f", "v9.8.7")
    clone.release("--add", package)


def test_a_key_that_cannot_sign_is_refused(clone, package, keys):
    absent = "0123456789ABCDEF0123456789ABCDEF01234567"
    assert f"GnuPG has no secret key {absent}" in clone.refusal("--add", package, key=absent)
    expired = f"the key {keys.expired} expired on 2026-01-08: gpg --quick-set-expire {keys.expired} 2y"
    assert expired in clone.refusal("--add", package, key=keys.expired)
    assert f"the key {keys.certifying} cannot sign" in clone.refusal("--add", package, key=keys.certifying)
    clone.release("--add", package, key="archive", status=64)


def test_other_bytes_of_a_released_version_are_refused(clone, package, tmp_path):
    clone.release("--add", package)
    before = files(clone.output)
    changed = build_package(tmp_path, content="another program")
    assert "version 9.8.7 was released with other bytes" in clone.release("--add", changed, status=1)
    assert files(clone.output) == before
    # The repository remembers the package, even if the folder is gone.
    shutil.rmtree(clone.output / "twofactor-9.8.7")
    assert "exists with other bytes" in clone.release("--add", changed, status=1)
    assert files(clone.output) == {name: each for name, each in before.items() if "-9.8.7/" not in name}


def test_a_damaged_or_foreign_repository_is_not_signed(clone, package, keys):
    clone.release("--add", package)
    before = files(clone.output)
    said = clone.release("--add", package, key=keys.other, status=1)
    assert "has no valid signature of " in said and files(clone.output) == before
    with (clone.output / "apt" / POOL / package.name).open("ab") as file:
        file.write(b"x")
    said = clone.release("--add", package, status=1)
    assert f"is not as it was signed: restore {POOL}/{package.name}" in said
    # A package that the signed index does not name is not taken over.
    shutil.copy(package, clone.output / "apt" / POOL / package.name)
    stray = clone.output / "apt" / POOL / "stray_1_all.deb"
    shutil.copy(package, stray)
    clone.release("--add", package)
    assert "stray" not in (clone.output / "apt" / DISTRIBUTION / "main/binary-amd64/Packages").read_text()


def test_a_run_that_was_killed_is_completed_by_the_next(clone, package):
    """InRelease, which is replaced last, is still the old one, and other files are new or cut."""
    clone.release("--add", package)
    tree = clone.output / "apt"
    before = files(tree)
    for path in indexes(tree):
        if "by-hash" not in path.parts:
            path.write_bytes(path.read_bytes()[:20])
    (tree / POOL / "twofactor_9.8.8_amd64.deb.new").write_text("")
    clone.release("--add", package)
    after = files(tree)
    for name in ("InRelease", "Release", "Release.gpg"):
        del before[f"{DISTRIBUTION}/{name}"], after[f"{DISTRIBUTION}/{name}"]
    assert after == before


def test_packages_of_another_architecture_and_version_are_added(clone, package, tmp_path):
    """All versions stay in the index of each architecture."""
    clone.release("--add", package)
    clone.write(VERSION_FILE, 'enum Version {\n  static let current = "9.8.8"\n}\n')
    clone.write_changelog("## [9.8.8] - 2026-11-28\n\n- Another.\n\n## [9.8.7] - 2026-11-27\n\n- A thing.")
    later = [build_package(tmp_path, "9.8.8", architecture=each) for each in ("amd64", "arm64")]
    clone.release("--add", later[0])
    clone.release("--add", later[1])
    for architecture, expected in (("amd64", ["9.8.7", "9.8.8"]), ("arm64", ["9.8.8"])):
        index = clone.output / "apt" / DISTRIBUTION / f"main/binary-{architecture}/Packages"
        assert sorted(re.findall(r"(?m)^Version: (.*)$", index.read_text())) == expected
    assert (clone.output / "twofactor-9.8.8/NOTES.md").read_text() == "# twofactor 9.8.8 (2026-11-28)\n\n- Another.\n"
    assert (clone.output / "twofactor-9.8.8/twofactor_9.8.8_arm64.spdx.json").read_text().count("arm64") == 1
    foreign = build_package(tmp_path, "9.8.8", architecture="riscv64")
    assert "is for riscv64: the repository has amd64 arm64" in clone.release("--add", foreign, status=1)


def build_source_package(folder: Path) -> Path:
    tree = folder / "twofactor-9.8.7"
    (tree / "debian/source").mkdir(parents=True)
    (tree / "debian/source/format").write_text("3.0 (native)\n")
    (tree / "debian/changelog").write_text(
        "twofactor (9.8.7) unstable; urgency=medium\n\n  * A thing.\n\n"
        " -- Tests <tests@localhost>  Fri, 27 Nov 2026 12:00:00 +0000\n"
    )
    (tree / "debian/control").write_text(
        "Source: twofactor\nMaintainer: Tests <tests@localhost>\n\nPackage: twofactor\nArchitecture: any\n"
    )
    run("dpkg-source", "--build", tree, cwd=folder)
    return folder / "twofactor_9.8.7.dsc"


def test_a_source_package_is_published_with_its_files(clone, package, tmp_path):
    source = build_source_package(tmp_path)
    archive = source.with_suffix(".tar.xz")
    content = archive.read_bytes()
    archive.write_bytes(content[:-1])
    assert "does not fit the files that it names" in clone.refusal("--add", source)
    archive.write_bytes(content)
    clone.release("--add", package, "--add", source)
    # The next run takes the source package from the signed index.
    clone.release("--add", package)
    assert (clone.output / "apt" / POOL / archive.name).read_bytes() == content
    assert archive.name in (clone.output / "apt" / DISTRIBUTION / "main/source/Sources").read_text()
    assert archive.name in (clone.output / "twofactor-9.8.7/SHA256SUMS").read_text()


def test_packages_that_do_not_belong_to_the_version_are_refused(clone, package, tmp_path):
    other = build_package(tmp_path, "9.8.6")
    assert "is of version 9.8.6, and this release 9.8.7" in clone.refusal("--add", other)
    assert "is absent or not a regular file" in clone.refusal("--add", tmp_path / "absent_9.8.7_amd64.deb")
    broken = tmp_path / package.name
    broken.write_bytes(package.read_bytes()[:-100])
    assert "is damaged or not a Debian package: build it again" in clone.refusal("--add", broken)
    clone.release(status=64)
