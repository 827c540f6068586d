"""The memory of the setup command is closed to other processes of its user, and never dumped."""

import subprocess
from pathlib import Path

import pytest
from rig.machine import COMMAND
from rig.process import run


@pytest.fixture
def waiting_command(user):
    """The command at its first question, started by an account."""
    process = subprocess.Popen(
        [COMMAND, "enable"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/",
        user=user.uid, group=user.gid, extra_groups=[],
    )
    try:
        process.stdout.read(len("Password: "))
        yield process.pid
    finally:
        process.kill()
        process.wait()


def test_another_process_of_the_user_cannot_read_its_memory(user, waiting_command):
    for name in ("mem", "environ"):
        tried = run("dd", f"if=/proc/{waiting_command}/{name}", "count=0", user=user, status=None)
        assert tried.returncode != 0 and "Permission denied" in tried.stderr, name


def test_core_dumps_are_disabled(user, waiting_command):
    # PR_SET_DUMPABLE 0 gives the files in /proc to root (proc(5)); it also binds a handler in core_pattern, which
    # ignores the limit (core(5)).
    assert Path(f"/proc/{waiting_command}/environ").stat().st_uid == 0 != user.uid
    limits = Path(f"/proc/{waiting_command}/limits").read_text().splitlines()
    limit = next(line for line in limits if "core file size" in line)
    assert limit.split()[4:6] == ["0", "0"]
