"""The memory of the setup command is closed to other processes of its user, and never dumped."""

import subprocess
from pathlib import Path

import pytest
from rig.machine import COMMAND


@pytest.fixture
def waiting_command(products, new_account, password):
    """The command at its first question, started by an account."""
    account = new_account(password=password)
    run = subprocess.Popen(
        [COMMAND, "enable"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/",
        user=account.uid, group=account.gid, extra_groups=[],
    )
    try:
        run.stdout.read(len("Password: "))
        yield account, run
    finally:
        run.kill()
        run.wait()


def test_another_process_of_the_user_cannot_read_its_memory(waiting_command):
    account, run = waiting_command
    for name in ("mem", "environ"):
        reader = ["runuser", "-u", account.name, "--", "dd", f"if=/proc/{run.pid}/{name}", "count=0"]
        tried = subprocess.run(reader, capture_output=True)
        assert tried.returncode != 0 and b"Permission denied" in tried.stderr, name


def test_core_dumps_are_disabled(waiting_command):
    account, run = waiting_command
    # PR_SET_DUMPABLE 0 gives the files in /proc to root (proc(5)); it also binds a handler in core_pattern, which
    # ignores the limit (core(5)).
    assert Path(f"/proc/{run.pid}/environ").stat().st_uid == 0 != account.uid
    limit = next(line for line in Path(f"/proc/{run.pid}/limits").read_text().splitlines() if "core file size" in line)
    assert limit.split()[4:6] == ["0", "0"]
