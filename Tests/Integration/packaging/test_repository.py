"""The repository for apt in clean roots: install, upgrade, and repositories that apt refuses."""

import contextlib
import http.server
import json
import shutil
import threading
from pathlib import Path

import pytest
from rig.clean_root import CleanRoot, require_root
from rig.process import run
from rig.repository import DISTRIBUTION, LATER, POOL, Keys, indexes, renumbered

RELEASES = {"bookworm": 22911, "trixie": 22912}
SOURCES = "etc/apt/sources.list.d/twofactor.sources"
KEYRING = "etc/apt/keyrings/twofactor-archive-keyring.asc"


class Repository:
    """Three versions of the repository: with the package as built, and with one and two later packages."""

    def __init__(self, keys: Keys, folder: Path, package: Path) -> None:
        self.keys, self.key = keys, keys.create("archive")
        self.other_key = keys.create("another")
        self.expired_key = keys.create("expired", expires="1w")
        version = run("dpkg-deb", "-f", package, "Version").stdout.strip()
        self.versions = [version, f"{version}.1", f"{version}.2"]
        packages = [package, *(renumbered(package, each, folder) for each in self.versions[1:])]
        self.trees = []
        for number, each in enumerate(packages):
            tree = folder / f"apt-{number}"
            if self.trees:
                run("cp", "-al", self.trees[-1], tree)
            keys.publish(tree, self.key, each)
            self.trees.append(tree)
        keys.export(self.key, folder / "keyring.asc")
        self.keyring = folder / "keyring.asc"


@pytest.fixture(scope="module")
def repository(package, tmp_path_factory):
    folder = tmp_path_factory.mktemp("repository")
    with Keys(folder / "gnupg") as keys:
        yield Repository(keys, folder, package)


@contextlib.contextmanager
def served(folder: Path):
    """The address of an HTTP server with the files of a folder."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments) -> None:
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *_) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Host:
    """A root that uses the repository; alice is enrolled and logs in over SSH."""

    def __init__(self, root: CleanRoot, repository: Repository) -> None:
        self.root, self.repository = root, repository
        self.tree = root.path / "srv/apt"
        self.lists = root.path / "var/lib/apt/lists"

    def serve(self, tree: Path) -> Path:
        shutil.rmtree(self.tree, ignore_errors=True)
        shutil.copytree(tree, self.tree)
        return self.tree

    def forget(self) -> None:
        """Removes the indexes, as on a host that has never seen the repository."""
        shutil.rmtree(self.lists)
        (self.lists / "partial").mkdir(parents=True)

    def see(self, tree: Path) -> None:
        """Leaves the indexes of this repository on the host."""
        self.forget()
        self.serve(tree)
        self.root.run("apt-get", "-q", "update")

    def update(self) -> str:
        return self.root.run("apt-get", "-q", "update", expect=None)

    def upgrade(self) -> str:
        return self.root.run("apt-get", "-q", "-y", "install", "twofactor", expect=None)

    def version(self) -> str:
        return self.root.run("dpkg-query", "-W", "-f", "${Version} ${db:Status-Status}", "twofactor")

    def log_in(self, code: str | None = None) -> bool:
        client = self.root.connect(self.alice)
        client.answer(client.PASSWORD, self.alice.password)
        client.answer(client.CODE, code or self.codes.pop())
        return client.is_let_in()


@pytest.fixture(scope="module", params=RELEASES)
def host(request, repository, tmp_path_factory):
    """One root; the tests below use it one after the other."""
    require_root(request.param, request)
    with CleanRoot(request.param, tmp_path_factory.mktemp("repository-roots"), RELEASES[request.param]) as root:
        # The sandbox has no network.
        (root.path / "etc/apt/sources.list").unlink()
        host = Host(root, repository)
        host.release = request.param
        yield host


def test_apt_installs_the_package(host, repository, password):
    root = host.root
    host.serve(repository.trees[0])
    shutil.copy(repository.keyring, root.path / KEYRING)
    (root.path / SOURCES).write_text(
        "Types: deb\nURIs: file:/srv/apt\nSuites: stable\nComponents: main\nArchitectures: amd64 arm64\n"
        f"Signed-By: /{KEYRING}\n"
    )
    root.run("apt-get", "-q", "update")
    root.run("apt-get", "-q", "-y", "install", "twofactor")
    assert host.version() == f"{repository.versions[0]} installed"
    root.run("pam-auth-update", "--enable", "twofactor")
    drop_in = root.text("usr/share/doc/twofactor/examples/sshd_config.d/twofactor.conf")
    (root.path / "etc/ssh/sshd_config.d/twofactor.conf").write_text(drop_in)
    host.alice = root.add_account("alice", password)
    words = ["twofactor", "enable", "--user", "alice", "--no-confirm", "--yes", "--json", "--backup-codes", "32"]
    host.codes = json.loads(root.run(*words))["backup_codes"]
    root.start_server()
    assert host.log_in()
    assert not host.log_in("000000")


def test_apt_upgrades_to_a_later_version(host, repository):
    host.serve(repository.trees[1])
    host.root.run("apt-get", "-q", "update")
    host.root.run("apt-get", "-q", "-y", "upgrade")
    assert host.version() == f"{repository.versions[1]} installed"
    assert host.log_in()


# Each case changes the repository with the third version, which a host with the second then sees.


def package_of(tree: Path, repository) -> Path:
    (found,) = (tree / POOL).glob(f"twofactor_{repository.versions[2]}_*.deb")
    return found


def tampered_package(tree, repository):
    with package_of(tree, repository).open("r+b") as file:
        file.seek(3_000_000)
        file.write(b"another program")


def missing_package(tree, repository):
    package_of(tree, repository).unlink()


def tampered_index(tree, repository):
    for path in indexes(tree):
        path.write_bytes(path.read_bytes() + b"\n")


def truncated_index(tree, repository):
    for path in indexes(tree):
        path.write_bytes(path.read_bytes()[:100])


def missing_index(tree, repository):
    shutil.rmtree(tree / DISTRIBUTION / "main")


def tampered_release(tree, repository):
    for name in ("InRelease", "Release"):
        path = tree / DISTRIBUTION / name
        path.write_text(path.read_text().replace("Label: twofactor", "Label: two-factor"))


def truncated_release(tree, repository):
    path = tree / DISTRIBUTION / "InRelease"
    path.write_bytes(path.read_bytes()[:800])


def another_key(tree, repository):
    repository.keys.clear_sign(tree, repository.other_key)


def expired_signature(tree, repository):
    repository.keys.clear_sign(tree, repository.key, "--faked-system-time", LATER, "--default-sig-expire", "1w")


def no_signature(tree, repository):
    for name in ("InRelease", "Release.gpg"):
        (tree / DISTRIBUTION / name).unlink()


# What apt says in Debian 12 and in Debian 13.
SAID = {
    tampered_package: ("Hash Sum mismatch", "Hash Sum mismatch"),
    missing_package: ("File not found", "File not found"),
    tampered_index: ("Hash Sum mismatch", "Hash Sum mismatch"),
    truncated_index: ("Hash Sum mismatch", "Hash Sum mismatch"),
    missing_index: ("File not found", "File not found"),
    tampered_release: ("BADSIG", "Message has been manipulated"),
    truncated_release: ("Splitting up", "Splitting up"),
    another_key: ("public key is not available: NO_PUBKEY", "Missing key"),
    expired_signature: ("EXPSIG", "Expired on 2026-01-10"),
    no_signature: ("is no longer signed", "is no longer signed"),
}


@pytest.mark.parametrize("change", SAID, ids=lambda change: change.__name__)
def test_apt_refuses(host, repository, change):
    host.see(repository.trees[1])
    change(host.serve(repository.trees[2]), repository)
    said = host.update() + host.upgrade()
    assert SAID[change][list(RELEASES).index(host.release)] in said
    assert host.version() == f"{repository.versions[1]} installed"
    assert host.log_in()


def test_a_new_host_refuses_a_repository_without_its_key(host, repository):
    for change, said in ((no_signature, "is not signed"), (another_key, "is not signed")):
        host.forget()
        change(host.serve(repository.trees[2]), repository)
        assert said in host.update()
        host.upgrade()
        assert host.version() == f"{repository.versions[1]} installed"


@pytest.mark.parametrize("by_hash", [True, False])
def test_an_upload_in_the_documented_order_is_complete_at_each_moment(host, repository, by_hash):
    """Everything is new, except the signed files. Without by-hash, apt finds another index than was signed."""
    tree = host.serve(repository.trees[2])
    for name in ("Release", "Release.gpg", "InRelease"):
        shutil.copy(repository.trees[1] / DISTRIBUTION / name, tree / DISTRIBUTION)
    if not by_hash:
        for folder in list((tree / DISTRIBUTION).rglob("by-hash")):
            shutil.rmtree(folder)
    sources = host.root.path / SOURCES
    before = sources.read_text()
    # apt uses by-hash only over the network.
    with served(tree) as address:
        sources.write_text(before.replace("file:/srv/apt", address))
        host.forget()
        said = host.update()
        known = host.root.run("apt-cache", "madison", "twofactor")
    sources.write_text(before)
    assert ("Failed to fetch" in said) is not by_hash, said
    assert (f" {repository.versions[1]} | http" in known) is by_hash and repository.versions[2] not in known


def test_the_complete_repository_upgrades_after_all_that(host, repository):
    host.serve(repository.trees[2])
    host.root.run("apt-get", "-q", "update")
    host.root.run("apt-get", "-q", "-y", "upgrade")
    assert host.version() == f"{repository.versions[2]} installed"
    assert host.log_in()
