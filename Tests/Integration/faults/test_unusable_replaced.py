"""While an unusable enrollment is replaced, the user never counts as not enrolled."""

import ctypes
import json
import os
import shutil

import pytest
from rig.clock import START
from rig.enrollment import Enrollment, enroll, twofactor_json
from rig.fuse import fuse_home
from rig.harness import Result
from rig.imports import google_file
from rig.machine import COMMAND
from rig.process import run
from rig.snapshot import Snapshot
from rig.tracing import calls, faults, injecting, tracing

ENABLE = ("enable", "--no-confirm", "--yes", "--backup-codes", "1", "--force")
# As if the kernel or the file system could not exchange two directories.
CANNOT = "inject=renameat2:error=EINVAL"


def an_empty_credential(enrolled) -> None:
    enrolled.credential.write_bytes(b"")


def no_credential(enrolled) -> None:
    enrolled.credential.unlink()


class Replacing:
    """A subcommand that replaces an unusable enrollment, always from the same home."""

    def __init__(self, user, service, folder, arguments, damage, exchanges: bool) -> None:
        self.user, self.folder, self.arguments, self.exchanges = user, folder, arguments, exchanges
        self.name = service("nullok", "window=10", "max_failures=100")
        self.old = user.enroll()
        damage(self.old)
        self.before = Snapshot(user, folder)

    def run(self, under: tuple[str, ...] = ()):
        return run(*under, COMMAND, *self.arguments, "--user", self.user.name, "--json", status=None)

    def under(self, call: str, fault: str) -> tuple[str, ...]:
        under = injecting(call, fault)
        return under if self.exchanges else (*under[:-4], "-e", f"trace={call},renameat2", *under[-2:], "-e", CANNOT)

    def calls(self):
        """The system calls in the home."""
        self.before.restore()
        trace = self.folder / "trace"
        done = self.run(tracing(trace, *(() if self.exchanges else ("-e", CANNOT))))
        assert done.returncode == 0, done.stderr
        assert self.is_new(done.stdout)
        text = trace.read_text()
        assert "RENAME_EXCHANGE" in text
        found = calls(trace, str(self.user.home))
        # renameat2 already fails here, so no other fault is injected into it.
        return [call for call in found if self.exchanges or call.name != "renameat2"]

    def result(self, *replies: str) -> list[int]:
        return self.user.results(self.name, *replies, at=START)

    def is_new(self, output: str) -> bool:
        """Whether the new enrollment is in force; else the old one must be."""
        (result,) = self.result("000000")
        assert result != Result.PERM_DENIED, "the user passes without a code"
        if result == Result.AUTHINFO_UNAVAIL:
            return False
        assert result == Result.AUTH_ERR
        if self.arguments[0] == "enable":
            code = Enrollment.of(json.loads(output)).authenticator.code_at(START)
            assert self.result(code, code) == [Result.SUCCESS, Result.AUTH_ERR]
        return True

    def assert_a_fresh_start_works(self) -> None:
        for path in self.user.home.glob(".twofactor.*"):
            os.utime(path, (0, 0))
        fresh = enroll(self.user, again=True)
        code = fresh.authenticator.code_at(START)
        assert self.result(code, code) == [Result.SUCCESS, Result.AUTH_ERR]
        twofactor_json("disable", "--user", self.user.name)
        assert list(self.user.home.glob(".twofactor*")) == []


@pytest.fixture
def replacing(user, service, tmp_path):
    def make(arguments=ENABLE, damage=an_empty_credential, exchanges: bool = True) -> Replacing:
        return Replacing(user, service, tmp_path, arguments, damage, exchanges)

    return make


EXCHANGES = pytest.mark.parametrize("exchanges", [True, False], ids=["exchanged", "file by file"])


@pytest.mark.seconds(300)
@EXCHANGES
@pytest.mark.parametrize("damage", [an_empty_credential, no_credential], ids=lambda damage: damage.__name__)
def test_killed_at_any_call_it_never_lets_in(replacing, damage, exchanges):
    change = replacing(damage=damage, exchanges=exchanges)
    found = change.calls()
    assert len(found) > 40
    new = 0
    for call in found:
        change.before.restore()
        killed = change.run(change.under(call.name, f"signal=SIGKILL:when={call.ordinal}"))
        assert killed.returncode != 0, f"not killed at {call}"
        new += change.is_new(killed.stdout)
        change.assert_a_fresh_start_works()
    assert 0 < new < len(found)


@pytest.mark.seconds(300)
@EXCHANGES
def test_with_any_call_failing_it_never_lets_in(replacing, exchanges):
    change = replacing(exchanges=exchanges)
    failed = 0
    for call, error in faults(change.calls()):
        change.before.restore()
        ended = change.run(change.under(call.name, f"error={error}:when={call.ordinal}"))
        is_new = change.is_new(ended.stdout)
        assert is_new or ended.returncode != 0, f"reported as done after {error} of {call}"
        if call.name not in ("setfsuid", "setfsgid", "setgroups", "mmap", "brk", "mprotect", "munmap"):
            assert is_new == (ended.returncode == 0), f"{ended.stderr} after {error} of {call}"
        failed += ended.returncode != 0
    assert failed > 20


def test_an_import_killed_at_the_exchange_never_lets_in(user, replacing):
    file = google_file(user, '" TOTP_AUTH')
    change = replacing(("import", "--no-confirm", "--yes", "--force", str(file)))
    at = [call for call in change.calls() if call.name in ("renameat", "renameat2", "unlinkat", "mkdirat", "fsync")]
    assert "renameat2" in {call.name for call in at}
    for call in at:
        change.before.restore()
        assert change.run(change.under(call.name, f"signal=SIGKILL:when={call.ordinal}")).returncode != 0
        change.is_new("")


def test_the_directory_exists_at_any_time(replacing):
    """It exists between any two system calls of the command."""
    change = replacing()
    change.calls()
    renamed = [line for line in (change.folder / "trace").read_text().splitlines() if '".twofactor"' in line]
    assert [line for line in renamed if "rename" in line] == [line for line in renamed if "RENAME_EXCHANGE" in line]
    assert not [line for line in renamed if "rmdir" in line or "unlink" in line]


@pytest.mark.parametrize("name", ["credential", "state"])
def test_a_directory_in_the_way_is_named(user, replacing, name):
    change = replacing(exchanges=False)
    shutil.rmtree(user.directory / name, ignore_errors=True)
    (user.directory / name).unlink(missing_ok=True)
    (user.directory / name).mkdir()
    os.chown(user.directory / name, user.uid, user.gid)
    refused = change.run(("strace", "-f", "-o", "/dev/null", "-e", CANNOT))
    error = json.loads(refused.stderr)
    assert refused.returncode == 65 and f"{name}: is not a file" in error["error"]
    assert error["hint"] == f"remove it: rm -r {user.directory}/{name}"
    run("rm", "-r", user.directory / name)
    assert change.run().returncode == 0


def test_on_a_file_system_that_cannot_exchange_the_new_one_is_in_force(user, service, tmp_path):
    with fuse_home(user, tmp_path):
        if can_exchange(user.home):
            pytest.skip("bindfs exchanges directories here")
        assert_replaced(user, service)


def can_exchange(folder) -> bool:
    """Whether the file system has RENAME_EXCHANGE (rename(2))."""
    paths = [os.fsencode(folder / name) for name in ("one", "other")]
    for path in paths:
        os.mkdir(path)
    try:
        return ctypes.CDLL(None).renameat2(-100, paths[0], -100, paths[1], 2) == 0
    finally:
        for path in paths:
            os.rmdir(path)


def assert_replaced(user, service) -> None:
    old = user.enroll()
    name = service("nullok")
    code = old.authenticator.code_at(START)
    assert user.log_in(name, code, at=START).result == Result.SUCCESS
    an_empty_credential(old)
    assert user.log_in(name, "000000", at=START).result == Result.AUTHINFO_UNAVAIL
    inode = user.directory.stat().st_ino
    new = user.enroll(again=True).authenticator.code_at(START)
    assert user.results(name, code, new, new, at=START) == [Result.AUTH_ERR, Result.SUCCESS, Result.AUTH_ERR]
    assert {path.name for path in user.directory.iterdir()} == {"credential", "state"}
    assert [path.name for path in user.home.glob(".twofactor*")] == [".twofactor"]
    assert user.directory.stat().st_ino == inode
