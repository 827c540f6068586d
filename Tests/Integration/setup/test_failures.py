"""Failures, signals and concurrent commands: the old enrollment or the new one, complete."""

import itertools
import json
import os
import subprocess
import time

import pytest
from rig.enrollment import twofactor
from rig.exit_status import DONE, IO_ERROR, REFUSED, UNUSABLE
from rig.machine import COMMAND
from rig.process import run

PROVISION = ("enable", "--no-confirm", "--yes", "--json")


@pytest.mark.parametrize("json_option", [(), ("--json",)])
@pytest.mark.parametrize("command", [("enable", "--no-confirm", "--yes", "--force"), ("backup-codes",)])
def test_a_result_that_cannot_be_written_changes_nothing(user, command, json_option):
    user.enroll(backup_codes=2)
    before = user.files()
    with open("/dev/full", "wb") as full:
        done = twofactor(*command, *json_option, "--user", user.name, stdout=full, status=None)
    assert done.returncode == IO_ERROR and "cannot write to standard output" in done.stderr
    line = ["sh", "-c", '"$@" >&-', "sh", COMMAND, *command, "--user", user.name]
    run(*line, status=IO_ERROR)
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        twofactor(*command, *json_option, "--user", user.name, stdout=pipe, status=IO_ERROR)
    assert user.files() == before


@pytest.mark.parametrize("size", [0, 100])
@pytest.mark.parametrize("enrolled", [True, False], ids=["enrolled", "new"])
def test_a_limit_of_the_file_size_changes_nothing(user, enrolled, size):
    if enrolled:
        user.enroll()
    before = user.files()
    line = ["prlimit", f"--fsize={size}", COMMAND, *PROVISION, "--force", "--user", user.name]
    done = run(*line, status=IO_ERROR)
    reason = "RLIMIT_FSIZE" if enrolled else "File too large"
    assert reason in json.loads(done.stderr)["error"]
    assert user.files() == before and list(user.home.glob(".twofactor.*")) == []
    assert user.directory.exists() == enrolled


SYSTEM_CALLS = {
    "mkdirat": "ENOSPC",
    "openat": "EMFILE",
    "pwrite64": "ENOSPC",
    "fsync": "EIO",
    "fdatasync": "EIO",
    "fchmod": "EPERM",
    "ftruncate": "ENOSPC",
    "renameat": "EIO",
    "fcntl": "ENOLCK",
}


@pytest.mark.seconds(300)
@pytest.mark.parametrize("call", SYSTEM_CALLS)
@pytest.mark.parametrize("enrolled", [True, False], ids=["enrolled", "new"])
def test_a_failing_system_call_keeps_the_old_enrollment(user, enrolled, call, scratch):
    command = ["enable", "--no-confirm", "--yes", "--force", "--backup-codes", "0", "--user", user.name, "--json"]
    if enrolled:
        user.enroll(backup_codes=0)
    before = user.files()
    for occurrence in itertools.count(1):
        trace = scratch / "trace"
        inject = f"inject={call}:error={SYSTEM_CALLS[call]}:when={occurrence}"
        done = run(
            "strace", "-qq", "-f", "-o", trace, "-e", f"trace={call}", "-e", inject, COMMAND, *command, status=None
        )
        if "(INJECTED)" not in trace.read_text():
            assert done.returncode == DONE
            break
        after = user.files()
        if done.returncode == DONE:
            # The failed call was not essential; the new enrollment is complete.
            assert set(after) == {".twofactor/credential", ".twofactor/state"}, trace.read_text() + str(done)
            before = after
            if not enrolled:
                twofactor("disable", "--user", user.name)
                before = user.files()
            continue
        assert done.returncode > 0, f"ended by signal {-done.returncode}"
        if call == "fsync" and enrolled and after != before:
            # After the last flush the new enrollment is in place and complete.
            assert user.status()["enabled"]
            before = after
            continue
        assert set(after) == set(before), (occurrence, trace.read_text())
        if enrolled:
            assert after[".twofactor/credential"] == before[".twofactor/credential"]
            assert user.status()["enabled"]
            before = user.files()


def test_a_full_disk_keeps_the_old_enrollment(user):
    user.enroll(backup_codes=1)
    before = user.files()
    home, small = user.home, user.home / "small"
    small.mkdir()
    size = f"size=32k,mode=755,uid={user.uid},gid={user.gid}"
    run("mount", "-t", "tmpfs", "-o", size, "none", small)
    try:
        run("cp", "-a", user.directory, small)
        run("usermod", "-d", small, user.name)
        (small / "filler").write_bytes(bytes(1 << 12))
        with open(small / "filler2", "wb", buffering=0) as filler, pytest.raises(OSError):
            while True:
                filler.write(bytes(4096))
        done = twofactor(*PROVISION, "--force", "--user", user.name, status=IO_ERROR)
        assert "No space left" in json.loads(done.stderr)["error"]
        assert (small / ".twofactor/credential").read_bytes() == before[".twofactor/credential"]
        assert user.status()["backup_codes_left"] == 1
    finally:
        run("usermod", "-d", home, user.name)
        run("umount", small)


@pytest.mark.parametrize("kind", ["link", "file", "others", "open"])
def test_a_directory_that_is_not_the_users_own_is_left_alone(user, kind, scratch):
    path = user.directory
    elsewhere = user.home / "elsewhere"
    elsewhere.mkdir()
    os.chown(elsewhere, user.uid, user.gid)
    if kind == "link":
        path.symlink_to(elsewhere)
    elif kind == "file":
        path.write_text("mine")
    else:
        path.mkdir()
        os.chown(path, 65534 if kind == "others" else user.uid, user.gid)
        path.chmod(0o777)
    twofactor(*PROVISION, "--force", "--user", user.name, status=UNUSABLE)
    assert list(elsewhere.iterdir()) == []
    user.twofactor("status", status=UNUSABLE)


@pytest.mark.parametrize("damage", [b"", b"garbage\n", None])
def test_unusable_files_are_replaced_with_force_and_removed_by_root(user, damage):
    user.enroll()
    credential = user.directory / "credential"
    if damage is None:
        credential.unlink()
    else:
        credential.write_bytes(damage)
    user.twofactor("status", status=UNUSABLE)
    twofactor(*PROVISION, "--user", user.name, status=UNUSABLE)
    twofactor(*PROVISION, "--force", "--user", user.name)
    user.twofactor("status")
    credential.write_bytes(b"garbage\n")
    twofactor("disable", "--user", user.name)
    assert user.files() == {}


# --force replaces only files that the command wrote.
OLD_CODES = "Backup codes of user at host, each good for one login:\n\nold codes\n"


def test_an_existing_file_is_restored_if_enabling_fails(user):
    path = user.home / "codes"
    path.write_text(OLD_CODES)
    os.chown(path, user.uid, user.gid)
    with open("/dev/full", "wb") as full:
        options = ("--backup-codes-file", str(path), "--force")
        done = twofactor("enable", "--no-confirm", "--yes", "--user", user.name, *options, stdout=full, status=None)
    assert done.returncode == IO_ERROR
    assert user.files() == {"codes": OLD_CODES.encode()}


@pytest.mark.parametrize("milliseconds", range(0, 200, 20))
def test_a_signal_at_any_moment_leaves_all_or_nothing(user, milliseconds):
    files_asked = ("--qr-file", "code.png", "--backup-codes-file", "codes", "--force")
    (user.home / "codes").write_text(OLD_CODES)
    os.chown(user.home / "codes", user.uid, user.gid)
    before = user.files()
    command = subprocess.Popen(
        [COMMAND, *PROVISION, "--user", user.name, *files_asked],
        cwd=user.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    time.sleep(milliseconds / 1000)
    command.terminate()
    command.communicate(timeout=30)
    if command.returncode == DONE:
        assert sorted(user.files()) == [".twofactor/credential", ".twofactor/state", "code.png", "codes"]
    else:
        assert command.returncode == -15 and user.files() == before


def test_two_commands_at_once_leave_one_complete_enrollment(user):
    user.enroll()
    for _ in range(5):
        commands = [
            subprocess.Popen(
                [COMMAND, *PROVISION, "--force", "--user", user.name, "--backup-codes", "0"],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            for _ in range(6)
        ]
        answers = [json.loads(command.communicate(timeout=60)[0]) for command in commands]
        assert [command.returncode for command in commands] == [DONE] * 6
        credential = (user.directory / "credential").read_text()
        assert sum(answer["secret"] in credential for answer in answers) == 1
        assert sorted(path.name for path in user.directory.iterdir()) == ["credential", "state"]
    user.twofactor("status")


def test_two_first_enrollments_at_once_leave_one(user):
    line = [COMMAND, *PROVISION, "--user", user.name, "--backup-codes", "0"]
    commands = [subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(8)]
    for command in commands:
        command.communicate(timeout=60)
    assert sorted(command.returncode for command in commands) == [DONE] + [REFUSED] * 7
    assert sorted(user.files()) == [".twofactor/credential", ".twofactor/state"]
