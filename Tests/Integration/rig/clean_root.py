"""A clean Debian root of a given release; its daemons listen on loopback."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from .machine import CHECKOUT, Account
from .one_time_password import Authenticator
from .process import run
from .ssh import Client

ROOTS = CHECKOUT / ".build/roots"

# Files that change on their own, and dpkg's bookkeeping.
VOLATILE = ("dev", "home", "proc", "run", "sys", "tmp", "var/cache", "var/lib/dpkg", "var/lib/pam", "var/log")


def require_root(name: str, request: pytest.FixtureRequest) -> None:
    """Skips the test, or with --clean-roots fails it, if scripts/clean-root could not build the root."""
    if (ROOTS / f"{name}.tar").exists():
        return
    reason = f"no clean root {name}: scripts/clean-root could not reach the archive of Debian"
    if request.config.getoption("--clean-roots"):
        pytest.fail(reason)
    pytest.skip(reason)


class CleanRoot:
    """One root, as a context manager."""

    def __init__(self, release: str, folder: Path, port: int) -> None:
        self.path = folder / release
        self.port = port
        self._archive = ROOTS / f"{release}.tar"
        self._server: subprocess.Popen | None = None

    def __enter__(self) -> "CleanRoot":
        self.path.mkdir(parents=True)
        run("tar", "-xf", self._archive, "-C", self.path, "--exclude=./dev/*", timeout=100)
        for name in ("proc", "dev"):
            run("mount", "--rbind", f"/{name}", self.path / name)
        run("mount", "--make-rslave", self.path / "dev")
        (self.path / "run/sshd").mkdir(exist_ok=True)
        return self

    def __exit__(self, *_) -> None:
        self.stop_server()
        for name in ("dev", "proc"):
            run("umount", "-R", "-l", self.path / name)
        shutil.rmtree(self.path)

    def run(self, *words: str, expect: int | None = 0, given: str = "") -> str:
        """Runs a program in the root and returns both output streams together."""
        done = run(
            "chroot", self.path, *words, input=given, stderr=subprocess.STDOUT, status=expect,
            environment={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
        )
        return done.stdout

    def install(self, package: Path) -> None:
        shutil.copy(package, self.path / "tmp/package.deb")
        self.run("dpkg", "-i", "/tmp/package.deb")

    def text(self, name: str) -> str:
        return (self.path / name).read_text()

    def files(self) -> dict[str, int]:
        """Every persistent path, with its mode."""
        found = {}
        for folder, directories, names in os.walk(self.path):
            relative = os.path.relpath(folder, self.path)
            directories[:] = [each for each in directories if os.path.normpath(f"{relative}/{each}") not in VOLATILE]
            for name in [*directories, *names]:
                path = os.path.normpath(f"{relative}/{name}")
                found[path] = os.lstat(self.path / path).st_mode
        return found

    def registered(self) -> list[int]:
        """The user IDs in the register of enrolled users."""
        return sorted(int(path.name) for path in (self.path / "var/lib/twofactor/enrolled").iterdir())

    def uid_of(self, account: Account) -> int:
        return int(self.run("id", "-u", account.name))

    def add_account(self, name: str, password: str) -> Account:
        self.run("useradd", "--create-home", "--shell", "/bin/sh", name)
        self.run("chpasswd", given=f"{name}:{password}\n")
        return Account(name, password)

    def enroll(self, account: Account) -> Authenticator:
        words = ["twofactor", "enable", "--user", account.name, "--no-confirm", "--yes", "--json"]
        return Authenticator.from_base32(json.loads(self.run(*words))["secret"])

    def doctor(self, *arguments: str, expect: int = 0) -> dict[str, set[str]]:
        """The statuses in the output of doctor, by check."""
        found: dict[str, set[str]] = {}
        for check in json.loads(self.run("twofactor", "doctor", "--json", *arguments, expect=expect))["checks"]:
            found.setdefault(check["name"], set()).add(check["status"])
        return found

    def start_server(self) -> None:
        """Starts the root's sshd with its own configuration, on loopback."""
        self.run("ssh-keygen", "-A")
        self._server = subprocess.Popen(
            ["chroot", self.path, "/usr/sbin/sshd", "-D", "-p", str(self.port), "-o", "ListenAddress=127.0.0.1"],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for _ in range(100):
            scan = run("ssh-keyscan", "-T", "2", "-p", str(self.port), "127.0.0.1", status=None)
            if scan.stdout:
                return
            assert self._server.poll() is None, "sshd ended before it listened"
            time.sleep(0.05)
        raise TimeoutError("sshd does not answer")

    @property
    def is_serving(self) -> bool:
        return self._server is not None and self._server.poll() is None

    def stop_server(self) -> None:
        if self.is_serving:
            os.killpg(self._server.pid, signal.SIGTERM)
            self._server.wait(timeout=10)
        self._server = None

    def connect(self, account: Account) -> Client:
        options = [
            *("-F", "none", "-p", str(self.port)),
            *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"),
            *("-o", "NumberOfPasswordPrompts=1", "-o", "PubkeyAuthentication=no", "-o", "ConnectTimeout=10"),
        ]
        return Client(["ssh", *options, f"{account.name}@127.0.0.1", "echo logged in"])
