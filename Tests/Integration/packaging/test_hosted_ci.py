"""The scripts with which hosted CI finds Swift, a Debian 12, the signing key and the draft of a release."""

import os
import re
import shutil
import subprocess

import pytest
from rig.machine import CHECKOUT, PRODUCT
from rig.process import run

CI = CHECKOUT / ".ci"
VERSIONS = (CI / "versions").read_text()
SCRIPTS = ("debian", "draft-release", "sign", "swift")


@pytest.fixture
def gnupg(tmp_path):
    """A home directory of GnuPG with a key without a passphrase: a function that runs gpg there."""
    home = tmp_path / "gnupg"
    home.mkdir(mode=0o700)
    variables = {**os.environ, "GNUPGHOME": str(home)}

    def gpg(*words, **options) -> str:
        return run("gpg", "--batch", "--quiet", *words, environment=variables, **options).stdout

    gpg("--passphrase", "", "--quick-generate-key", "a key of this test", "ed25519", "sign", "1d")
    yield gpg
    run("gpgconf", "--kill", "all", environment=variables)


def fingerprint(gpg) -> str:
    return re.search(r"(?m)^fpr:+(\w+):", gpg("--with-colons", "--list-keys"))[1]


def stand_in(folder, name: str, text: str) -> dict[str, str]:
    """The environment in which a program is replaced by a script."""
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin" / name).write_text(f"#!/bin/bash\n{text}\n")
    (folder / "bin" / name).chmod(0o755)
    return {**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}"}


@pytest.mark.machinery
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_missing_argument_is_a_usage_error(script):
    done = run(CI / script, status=64)
    assert re.fullmatch(rf"{script}: .*: see \.ci/{script} --help\n", done.stderr)


@pytest.mark.machinery
class TestSwift:
    """A download from a server that is replaced by a folder."""

    @pytest.fixture
    def server(self, tmp_path, gnupg):
        """The files of swift.org, signed by the key of the test."""
        folder = tmp_path / "server"
        (folder / "swift-6/usr/bin").mkdir(parents=True)
        (folder / "swift-6/usr/bin/swift").write_text("the compiler\n")
        run("tar", "-C", folder, "-czf", folder / "archive", "swift-6")
        gnupg("--output", folder / "signature", "--detach-sign", folder / "archive")
        gnupg("--output", folder / "keys.asc", "--armor", "--export")
        return folder

    @pytest.fixture
    def install(self, tmp_path, server, gnupg):
        """Runs a copy of the script that expects a signature of the given key, by default that of the server."""
        for name in (".ci", "scripts/support"):
            shutil.copytree(CHECKOUT / name, tmp_path / name)
        environment = stand_in(tmp_path, "curl", f'''
            echo "${{@: -1}}" >>{tmp_path}/asked
            cp "{server}/$(basename "${{@: -2:1}}")" "${{@: -2:1}}"''')

        def install(key: str | None = None, status: int = 0) -> subprocess.CompletedProcess:
            versions = re.sub(r"(?m)^swift_key=.*", f"swift_key={key or fingerprint(gnupg)}", VERSIONS)
            (tmp_path / ".ci/versions").write_text(versions)
            return run(tmp_path / ".ci/swift", tmp_path / "swift", environment=environment, status=status)

        return install

    def test_a_signed_archive_is_unpacked(self, install, tmp_path):
        install()
        assert (tmp_path / "swift/usr/bin/swift").read_text() == "the compiler\n"
        asked = (tmp_path / "asked").read_text().split()
        assert [re.match(r"https://(www|download)\.swift\.org/", address) is not None for address in asked] == [True] * 3
        assert re.search(r"/swift-(6\.3\.\d)-release/debian12[\w-]*/swift-\1-RELEASE/swift-\1-RELEASE-debian12", asked[2])

    def test_a_key_that_expired_after_the_signature_counts(self, install, gnupg, server):
        gnupg("--quick-set-expire", fingerprint(gnupg), "seconds=1")
        (server / "keys.asc").unlink()
        gnupg("--output", server / "keys.asc", "--armor", "--export")
        run("sleep", "1.1")
        install()

    def test_another_key_of_the_server_does_not_count(self, install, tmp_path):
        pinned = re.search(r"(?m)^swift_key=(\w{40})$", VERSIONS)[1]
        assert f"has no valid signature of the key {pinned}" in install(pinned, status=1).stderr
        assert not (tmp_path / "swift").exists()

    def test_a_changed_archive_is_refused(self, install, server, tmp_path):
        with (server / "archive").open("ab") as archive:
            archive.write(b"x")
        assert "BAD signature" in install(status=1).stderr
        assert not (tmp_path / "swift").exists()

    def test_a_failing_download_is_named(self, install, server):
        (server / "signature").unlink()
        assert re.search(r"(?m)^swift: cannot download https://\S+\.sig$", install(status=1).stderr)


@pytest.mark.machinery
def test_the_container_is_pinned_privileged_and_reads_standard_input(tmp_path):
    environment = stand_in(tmp_path, "docker", 'printf "%s\\n" "$@"; cat')
    done = run(CI / "debian", "--without-swift", ".ci/sign", "a folder", environment=environment, input="from outside")
    *words, image, script, inside, option, command, argument, given = done.stdout.splitlines()
    assert re.fullmatch(r"debian@sha256:[0-9a-f]{64}", image)
    assert {"--privileged", "--interactive", "--rm"} <= set(words)
    assert [script, inside, option, command, argument] == [
        ".ci/debian", "--inside", "--without-swift", ".ci/sign", "a folder",
    ]
    assert given == "from outside"


@pytest.mark.machinery
class TestDraft:
    @pytest.fixture
    def folder(self, tmp_path):
        folder = tmp_path / "release"
        (folder / "twofactor-1.2.3").mkdir(parents=True)
        for name in ("twofactor-1.2.3/a.deb", "twofactor-1.2.3/SHA256SUMS", "twofactor-1.2.3/SHA256SUMS.asc",
                     "twofactor-1.2.3/NOTES.md", "twofactor-archive-keyring.asc", "twofactor.sources"):
            (folder / name).touch()
        return folder

    def test_a_draft_has_the_signed_files_and_the_key(self, folder, tmp_path):
        environment = stand_in(tmp_path, "gh", 'printf "%s\\n" "$@"')
        words = run(CI / "draft-release", "v1.2.3", folder, environment=environment).stdout.splitlines()
        assert words[:3] == ["release", "create", "v1.2.3"] and {"--draft", "--verify-tag"} <= set(words)
        assert [os.path.basename(word) for word in words[words.index("--notes-file") + 1:]] == [
            "NOTES.md", "SHA256SUMS", "SHA256SUMS.asc", "a.deb", "twofactor-archive-keyring.asc", "twofactor.sources",
        ]

    def test_an_unsigned_release_is_refused(self, folder, tmp_path):
        environment = stand_in(tmp_path, "gh", "echo called")
        (folder / "twofactor-1.2.3/SHA256SUMS.asc").unlink()
        done = run(CI / "draft-release", "v1.2.3", folder, environment=environment, status=1)
        assert "SHA256SUMS.asc is absent" in done.stderr and done.stdout == ""


class TestSign:
    @pytest.fixture(scope="class")
    def checkout(self, tmp_path_factory):
        """A clone, because the checkout is read-only here."""
        clone = tmp_path_factory.mktemp("sign") / "clone"
        run("git", "-c", "safe.directory=*", "clone", "--quiet", "--no-tags", CHECKOUT, clone)
        return clone

    def test_packages_are_signed_with_the_key_from_standard_input(self, checkout, tmp_path, gnupg):
        packages = tmp_path / "packages"
        packages.mkdir()
        for name in ("twofactor_*.deb", "twofactor-store-postgresql_*.deb"):
            shutil.copy(max(PRODUCT.glob(name), key=lambda path: path.stat().st_mtime), packages)
        secret = gnupg("--armor", "--export-secret-keys")
        done = run(checkout / ".ci/sign", packages, input=secret)
        (folder,) = (checkout / ".build/release").glob("twofactor-*/")
        gnupg("--verify", folder / "SHA256SUMS.asc", folder / "SHA256SUMS")
        assert {path.name for path in packages.iterdir()} < {path.name for path in folder.iterdir()}
        assert fingerprint(gnupg) in done.stdout and "PRIVATE KEY" not in done.stdout + done.stderr

    @pytest.mark.parametrize("given", ["", "not a key", "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nabcd\n"])
    def test_anything_else_is_refused_without_being_shown(self, checkout, tmp_path, given):
        (tmp_path / "a.deb").touch()
        done = run(checkout / ".ci/sign", tmp_path, input=given, status=1)
        assert re.fullmatch(r"sign: standard input .*SIGNING_KEY.*\n", done.stderr) and "abcd" not in done.stderr

    def test_a_public_key_is_refused(self, checkout, tmp_path, gnupg):
        (tmp_path / "a.deb").touch()
        done = run(checkout / ".ci/sign", tmp_path, input=gnupg("--armor", "--export"), status=1)
        assert "has no secret key" in done.stderr
