"""On btrfs, another user who fills the disk locks no user out, and a crash while the state is marked is safe."""

import concurrent.futures
import contextlib
import json
import os
import shutil
import time
from pathlib import Path

import pytest
from rig.clock import START
from rig.copy_on_write import COMPRESSED, NO_COW, OtherDisk, btrfs_disk, flags, remove_mark
from rig.enrollment import twofactor, twofactor_json
from rig.harness import Result, count
from rig.process import run
from rig.snapshot import Snapshot
from rig.tracing import calls, injecting, tracing

WIDE = ("window=10", "max_failures=100")


@pytest.fixture
def btrfs(user, tmp_path):
    with contextlib.ExitStack() as stack:

        def make(mixed: bool = True, options: str = "loop") -> OtherDisk:
            return stack.enter_context(btrfs_disk(user, tmp_path, mixed, options).mounted())

        yield make


def logins(user, service: str, enrolled, times: int) -> list[int]:
    """Logins with one code each, a step apart."""
    code = enrolled.authenticator.code_at
    return [user.log_in(service, code(at), at=at).result for at in range(START, START + 30 * times, 30)]


@pytest.mark.parametrize("mixed, snapshot", [(True, False), (True, True), (False, False)])
def test_on_a_full_disk_logins_work(user, new_user, service, btrfs, mixed, snapshot):
    disk = btrfs(mixed)
    enrolled = user.enroll()
    assert flags(enrolled.state) & NO_COW
    if snapshot:
        disk.snapshot()
    disk.fill(new_user())
    assert logins(user, service(), enrolled, 20) == [Result.SUCCESS] * 20
    # A used code stays used.
    assert user.log_in(service(), enrolled.authenticator.code_at(START), at=START).result == Result.AUTH_ERR


@pytest.mark.parametrize("mixed", [True, False])
def test_without_the_mark_a_full_disk_refuses_every_login(user, new_user, service, btrfs, mixed):
    """Shows that the tests above can fail."""
    disk = btrfs(mixed)
    enrolled = user.enroll()
    remove_mark(enrolled.state)
    run("sync")
    disk.fill(new_user())
    assert logins(user, service("nullok", then="pam_permit.so"), enrolled, 3) == [Result.AUTHINFO_UNAVAIL] * 3


def test_a_snapshot_since_the_last_login_needs_room(user, new_user, service, btrfs):
    """A limit, which pam/hosts.md states: blocks that a snapshot shares are always copied."""
    disk = btrfs(mixed=False)
    enrolled = user.enroll()
    disk.snapshot()
    disk.fill(new_user())
    assert logins(user, service("nullok", then="pam_permit.so"), enrolled, 1) == [Result.AUTHINFO_UNAVAIL]
    for file in (disk.path / "shared").iterdir():
        file.unlink()
    run("sync")
    assert logins(user, service(), enrolled, 2) == [Result.SUCCESS] * 2


def test_logins_after_a_snapshot_need_no_more_room(user, new_user, service, btrfs):
    disk = btrfs(mixed=False)
    enrolled = user.enroll()
    disk.snapshot()
    assert logins(user, service(), enrolled, 2) == [Result.SUCCESS] * 2
    disk.fill(new_user())
    at = [START + 30 * number for number in range(2, 22)]
    results = [user.log_in(service(), enrolled.authenticator.code_at(moment), at=moment).result for moment in at]
    assert results == [Result.SUCCESS] * 20


@pytest.mark.parametrize("way", ["compressed by the mount", "a compressed directory"])
def test_the_mark_is_set_where_files_are_compressed(user, service, btrfs, way):
    disk = btrfs(options="loop,compress-force=zstd" if way.endswith("mount") else "loop")
    if way.endswith("directory"):
        run("chattr", "+c", disk.path)
    enrolled = user.enroll()
    assert flags(enrolled.state) & (NO_COW | COMPRESSED) == NO_COW
    assert logins(user, service(), enrolled, 2) == [Result.SUCCESS] * 2


def test_a_lost_state_is_created_with_the_mark(user, service, btrfs):
    btrfs()
    enrolled = user.enroll()
    for damage in (enrolled.state.unlink, lambda: os.truncate(enrolled.state, 0)):
        damage()
        assert logins(user, service(), enrolled, 1) == [Result.AUTHINFO_UNAVAIL]
        if damage == enrolled.state.unlink:
            assert flags(enrolled.state) & NO_COW


REWRITES = {
    "backup-codes": ("backup-codes", "--backup-codes", "1"),
    "device add": ("device", "add", "other", "--no-confirm"),
    "enable --force": ("enable", "--force", "--no-confirm", "--yes"),
}


@pytest.mark.parametrize("rewrite", REWRITES)
def test_doctor_names_a_state_without_the_mark_and_a_rewrite_adds_it(user, service, btrfs, rewrite):
    btrfs()
    enrolled = user.enroll(backup_codes=1)
    used, code = (enrolled.authenticator.code_at(START, steps=steps) for steps in (0, 1))
    name = service(*WIDE)
    assert user.results(name, used, at=START) == [Result.SUCCESS]

    def warnings() -> list[dict]:
        checks = json.loads(twofactor("doctor", "--json", "--user", user.name, status=None).stdout)["checks"]
        return [check for check in checks if "btrfs at each login" in check["detail"]]

    assert warnings() == []
    remove_mark(enrolled.state)
    (warning,) = warnings()
    assert (warning["name"], warning["status"]) == ("file_system", "warning")
    assert warning["remedy"] == f"ask {user.name} to run: twofactor backup-codes"
    twofactor_json(*REWRITES[rewrite], "--user", user.name)
    assert flags(enrolled.state) & NO_COW and warnings() == []
    assert {path.name for path in enrolled.directory.iterdir()} == {"credential", "state"}
    replies = [Result.AUTH_ERR] * 2 if rewrite == "enable --force" else [Result.AUTH_ERR, Result.SUCCESS]
    assert user.results(name, used, code, at=START) == replies


@pytest.mark.seconds(300)
def test_new_backup_codes_killed_at_any_call_keep_the_state(user, service, btrfs, tmp_path):
    btrfs()
    old = user.enroll(backup_codes=2)
    name = service(*WIDE)
    used, code = (old.authenticator.code_at(START, steps=steps) for steps in (0, 1))
    assert user.results(name, used, old.backup_codes[0], at=START) == [Result.SUCCESS] * 2
    remove_mark(old.state)
    before = Snapshot(user, tmp_path)
    arguments = (*REWRITES["backup-codes"], "--user", user.name, "--json")
    command = "/usr/local/bin/twofactor"

    def restore() -> None:
        before.restore()
        assert not flags(old.state) & NO_COW

    trace = tmp_path / "trace"
    run(*tracing(trace), command, *arguments)
    assert '"state.new"' in trace.read_text()
    found = [call for call in calls(trace, str(user.home)) if call.name not in ("mmap", "brk", "munmap", "mprotect")]
    replaced = marked = 0
    for call in found:
        restore()
        killed = run(*call.killed(), command, *arguments, status=None)
        assert killed.returncode != 0, f"not killed at {call}"
        marked += bool(flags(old.state) & NO_COW)
        *results, second_of_old = user.results(name, used, old.backup_codes[0], code, old.backup_codes[1], at=START)
        assert results == [Result.AUTH_ERR, Result.AUTH_ERR, Result.SUCCESS], f"{results} after {call}"
        if second_of_old == Result.AUTH_ERR:
            replaced += 1
            (new,) = json.loads(killed.stdout)["backup_codes"]
            assert user.results(name, new, new, at=START) == [Result.SUCCESS, Result.AUTH_ERR], str(call)
        # No leftover blocks the next change.
        twofactor_json("backup-codes", "--user", user.name)
        assert {path.name for path in old.directory.iterdir()} == {"credential", "state"}
        assert flags(old.state) & NO_COW
    assert 0 < replaced < marked < len(found)


def test_without_room_for_a_new_state_the_old_one_is_kept(user, service, btrfs):
    """The new state is optional: the command changes the enrollment without it."""
    btrfs()
    old = user.enroll(backup_codes=1)
    remove_mark(old.state)
    under = ("strace", "-f", "-o", "/dev/null", "-P", old.directory / "state.new", "-e", "inject=pwrite64:error=ENOSPC")
    arguments = ("backup-codes", "--backup-codes", "1", "--user", user.name, "--json")
    made = json.loads(run(*under, "/usr/local/bin/twofactor", *arguments).stdout)
    assert not flags(old.state) & NO_COW
    assert {path.name for path in old.directory.iterdir()} == {"credential", "state"}
    (new,) = made["backup_codes"]
    replies = (old.backup_codes[0], new, new, old.authenticator.code_at(START))
    assert user.results(service(), *replies, at=START) == [Result.AUTH_ERR, Result.SUCCESS, Result.AUTH_ERR, 0]


@pytest.mark.seconds(240)
@pytest.mark.parametrize("kind", ["code", "backup code"])
def test_a_code_during_the_replacement_is_accepted_once(harness, user, service, btrfs, kind):
    """Sessions that wait for the lock of the old file go on with the new one."""
    btrfs()
    name = service("max_failures=100")
    accepted = 0
    for number in range(8):
        enrolled = user.enroll(backup_codes=1, again=number > 0)
        code = enrolled.authenticator.code_at(START) if kind == "code" else enrolled.backup_codes[0]
        remove_mark(enrolled.state)
        with concurrent.futures.ThreadPoolExecutor() as pool:

            def change() -> None:
                time.sleep(0.03 * number)
                twofactor_json("device", "add", "other", "--no-confirm", "--user", user.name)

            changing = pool.submit(change)
            sessions = harness.run(
                name, [(user.name, [code])], times=200 if kind == "code" else 30, at_once=True, at=START, timeout=100
            )
            changing.result()
        assert {login.result for login in sessions} <= {Result.SUCCESS, Result.AUTH_ERR}
        assert count(sessions, Result.SUCCESS) == 1
        accepted += 1
        assert flags(enrolled.state) & NO_COW
        assert user.log_in(name, code, at=START).result == Result.AUTH_ERR
    assert accepted == 8


def test_a_login_that_waits_for_a_replaced_state_uses_the_new_one(user, service, btrfs, tmp_path):
    """The command is stopped between the new state and the new credential, with a login at the lock of the old file."""
    btrfs()
    enrolled = user.enroll()
    name = service(*WIDE)
    remove_mark(enrolled.state)
    code = enrolled.authenticator.code_at(START)
    under = injecting("renameat", "delay_enter=3000000:when=2")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        command = ("/usr/local/bin/twofactor", "device", "add", "other", "--no-confirm", "--user", user.name, "--json")
        changing = pool.submit(run, *under, *command)
        inode = enrolled.state.stat().st_ino
        # These logins open the old state and wait for its lock, which the command holds until it ends.
        waiting = []
        while enrolled.state.stat().st_ino == inode:
            if len(waiting) < 3:
                waiting.append(pool.submit(user.log_in, name, code, at=START))
            time.sleep(0.05)
        late = pool.submit(user.log_in, name, code, at=START)
        results = [future.result().result for future in [*waiting, late]]
        changing.result()
    assert sorted(results) == [Result.SUCCESS, *[Result.AUTH_ERR] * (len(results) - 1)]
    assert user.log_in(name, code, at=START).result == Result.AUTH_ERR


@pytest.mark.parametrize("kind", ["xfs", "ext4", "f2fs"])
def test_on_another_full_file_system_logins_work(user, new_user, service, tmp_path, kind):
    """Skipped if this kernel cannot mount the file system."""
    if kind not in Path("/proc/filesystems").read_text() or not shutil.which(f"mkfs.{kind}"):
        pytest.skip(f"this machine has no {kind}")
    size, force = {"xfs": (320, "-f"), "ext4": (64, "-F"), "f2fs": (64, "-f")}[kind]
    with OtherDisk(user, tmp_path, [f"mkfs.{kind}", force], size).mounted() as disk:
        enrolled = user.enroll()
        disk.fill(new_user())
        assert logins(user, service(), enrolled, 20) == [Result.SUCCESS] * 20
