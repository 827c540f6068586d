"""The scripts with which hosted CI finds Swift, a Debian 12, the signing key and the draft of a release."""

import os
import re
import shutil
import subprocess

import pytest
from rig import release
from rig.machine import CHECKOUT
from rig.process import run
from rig.repository import Keys

CI = CHECKOUT / ".ci"
VERSIONS = (CI / "versions").read_text()
KEY = "a key of this test"
SCRIPTS = ("in-debian", "draft-release", "sign-release", "install-swift")


@pytest.fixture
def keys(tmp_path):
    with Keys(tmp_path / "gnupg") as keys:
        keys.create(KEY, created="")
        yield keys


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
    def server(self, tmp_path, keys):
        """The files of swift.org, signed by the key of the test."""
        folder = tmp_path / "server"
        (folder / "swift-6/usr/bin").mkdir(parents=True)
        (folder / "swift-6/usr/bin/swift").write_text("the compiler\n")
        run("tar", "-C", folder, "-czf", folder / "archive", "swift-6")
        keys.gpg("--output", folder / "signature", "--detach-sign", folder / "archive")
        keys.gpg("--output", folder / "keys.asc", "--armor", "--export")
        return folder

    @pytest.fixture
    def install(self, tmp_path, server, keys):
        """Runs a copy of the script that expects a signature of the given key, by default that of the server."""
        for name in (".ci", "scripts/support"):
            shutil.copytree(CHECKOUT / name, tmp_path / name)
        environment = stand_in(tmp_path, "curl", f'''
            echo "${{@: -1}}" >>{tmp_path}/asked
            cp "{server}/$(basename "${{@: -2:1}}")" "${{@: -2:1}}"''')

        def install(key: str | None = None, status: int = 0) -> subprocess.CompletedProcess:
            versions = re.sub(r"(?m)^swift_key=.*", f"swift_key={key or keys.fingerprint(KEY)}", VERSIONS)
            (tmp_path / ".ci/versions").write_text(versions)
            return run(tmp_path / ".ci/install-swift", tmp_path / "swift", environment=environment, status=status)

        return install

    def test_a_signed_archive_is_unpacked(self, install, tmp_path):
        install()
        assert (tmp_path / "swift/usr/bin/swift").read_text() == "the compiler\n"
        asked = (tmp_path / "asked").read_text().split()
        assert len(asked) == 3 and all(re.match(r"https://(www|download)\.swift\.org/", each) for each in asked)
        release = r"/swift-(6\.3\.\d)-release/debian12[\w-]*/swift-\1-RELEASE/swift-\1-RELEASE-debian12"
        assert re.search(release, asked[2])

    def test_a_key_that_expired_after_the_signature_counts(self, install, keys, server):
        keys.gpg("--quick-set-expire", keys.fingerprint(KEY), "seconds=1")
        (server / "keys.asc").unlink()
        keys.gpg("--output", server / "keys.asc", "--armor", "--export")
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
        assert re.search(r"(?m)^install-swift: cannot download https://\S+\.sig$", install(status=1).stderr)


@pytest.mark.machinery
def test_the_container_is_pinned_and_reads_standard_input(tmp_path):
    environment = stand_in(tmp_path, "docker", 'printf "%s\\n" "$@"; cat')
    given = [".ci/sign-release", "a folder"]
    done = run(CI / "in-debian", "--without-swift", *given, environment=environment, input="from outside")
    *words, image, script, inside, option, command, argument, text = done.stdout.splitlines()
    assert re.fullmatch(r"debian@sha256:[0-9a-f]{64}", image)
    # The tools that read packages and sign them do not mount anything.
    assert {"--interactive", "--rm"} <= set(words) and "--privileged" not in words
    assert [script, inside, option, command, argument] == [".ci/in-debian", "--inside", "--without-swift", *given]
    assert text == "from outside"
    assert "--privileged" in run(CI / "in-debian", ".ci/run", environment=environment).stdout.splitlines()


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
        return release.clone(tmp_path_factory.mktemp("sign") / "clone")

    def test_packages_are_signed_with_the_key_from_standard_input(self, checkout, tmp_path, keys):
        built = release.packages(tmp_path / "packages")
        key = keys.fingerprint(KEY)
        done = release.sign(checkout, tmp_path / "packages", keys, key)
        (folder,) = (checkout / ".build/release").glob("twofactor-*/")
        keys.gpg("--verify", folder / "SHA256SUMS.asc", folder / "SHA256SUMS")
        assert {path.name for path in built} < {path.name for path in folder.iterdir()}
        assert key in done.stdout and "PRIVATE KEY" not in done.stdout + done.stderr

    @pytest.mark.parametrize("given", ["", "not a key", "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nabcd\n"])
    def test_anything_else_is_refused_without_being_shown(self, checkout, tmp_path, given):
        (tmp_path / "a.deb").touch()
        done = run(checkout / ".ci/sign-release", tmp_path, input=given, status=1)
        assert re.fullmatch(r"sign-release: standard input .*SIGNING_KEY.*\n", done.stderr) and "abcd" not in done.stderr

    def test_a_public_key_is_refused(self, checkout, tmp_path, keys):
        (tmp_path / "a.deb").touch()
        done = run(checkout / ".ci/sign-release", tmp_path, input=keys.gpg("--armor", "--export"), status=1)
        assert "has no secret key" in done.stderr
