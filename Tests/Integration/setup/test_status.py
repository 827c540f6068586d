"""`twofactor` subcommands that only read: they never wait, and show a consistent state."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
import time

import pytest
from rig import state_file
from rig.clock import START
from rig.enrollment import Enrollment, enroll, twofactor
from rig.exit_status import DONE, REFUSED
from rig.harness import Result
from rig.machine import COMMAND, Account
from rig.process import run
from rig.reachable import open_to_all
from rig.screen import Screen


@pytest.fixture
def held(user):
    """An enrollment whose lock is held, as by a stopped login."""
    made = user.enroll(backup_codes=2)
    with open(made.state, "r+b") as file:
        whole_file = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, whole_file)
        yield made


@pytest.mark.parametrize("command", ["status", "device list", "users", "verify", "show"])
def test_reading_subcommands_do_not_wait_for_the_lock(user, held: Enrollment, command, tmp_path):
    before = held.state.read_bytes()
    line = [COMMAND, *command.split(), "--json", *(["--user", user.name] if command in ("users", "show") else [])]
    identity = {} if "--user" in line else {"user": user.uid, "group": user.gid, "extra_groups": []}
    answer = held.authenticator.code_at(time.time()) + "\n"
    open_to_all(tmp_path)
    tmp_path.chmod(0o777)
    trace = tmp_path / "trace"
    done = run(
        "strace", "-qq", "-f", "-o", trace, "-e", "trace=nanosleep,clock_nanosleep,fcntl", *line, input=answer,
        **{} if "--user" in line else {"preexec_fn": lambda: become(**identity)},
    )
    told = json.loads(done.stdout)
    told = told["users"][0] if command == "users" else told
    if command in ("status", "device list", "users"):
        assert (told["enabled"], told["backup_codes_left"]) == (True, 2)
    calls = trace.read_text()
    assert "nanosleep" not in calls and "F_OFD_SETLK, {l_type=F_WRLCK" not in calls
    assert held.state.read_bytes() == before


def become(user: int, group: int, extra_groups: list[int]) -> None:
    os.setgroups(extra_groups)
    os.setgid(group)
    os.setuid(user)


def test_status_during_a_change_is_consistent(user):
    user.enroll()
    replace = [COMMAND, "backup-codes", "--backup-codes", "1", "--user", user.name]
    changing = subprocess.Popen(
        ["sh", "-c", 'for n in $(seq 12); do "$@" || exit 1; done', "sh", *replace], stdout=subprocess.DEVNULL
    )
    looks = 0
    while changing.poll() is None:
        done = user.twofactor("status", "--json")
        told = json.loads(done.stdout)
        assert told["enabled"] and told["backup_codes_left"] in (0, 1)
        looks += 1
    assert changing.returncode == 0 and looks > 3


def test_a_lockout_after_a_hundred_failures_has_no_end(user):
    made = user.enroll(backup_codes=1)
    state_file.change(made.state, failures=100, throttled_until=int(time.time()) + 900)
    told = user.status()
    assert (told["failures"], told["locked_until"]) == (100, "9999-12-31T23:59:59Z")
    words = "Failed codes:  100, locked until a backup code is used or root runs twofactor unlock\n"
    assert words in user.twofactor("status").stdout
    user.twofactor(
        "device", "remove", "phone", answers=made.authenticator.code_at(time.time()) + "\n", status=REFUSED
    )
    user.twofactor("backup-codes", answers=made.backup_codes[0] + "\n")
    assert user.status()["locked_until"] is None


def test_throttling_is_shown_no_longer_than_it_lasts(user):
    # The clock was set back: a login waits no longer than the delay of its failures.
    made = user.enroll()
    state_file.change(made.state, failures=5, throttled_until=int(time.time()) + 10**6)
    told = user.status()["locked_until"]
    moment = time.mktime(time.strptime(told, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
    assert 0 < moment - time.time() <= 31
    state_file.change(made.state, failures=5, throttled_until=int(time.time()) - 1)
    assert user.status()["locked_until"] is None


def test_the_status_at_a_terminal(user):
    screen = Screen(user, "status")
    assert screen.ends() == DONE
    assert screen.text == f"Two-factor is off for {user.name}.\nSwitch it on with: twofactor enable"
    made = user.enroll("--algorithm", "sha256", backup_codes=2)
    state_file.change(made.state, failures=7, throttled_until=int(time.time()) + 1000)
    screen = Screen(user, "status")
    assert screen.ends() == DONE
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "DATE", screen.text)
    assert re.sub(r"in \d+ seconds", "in N seconds", text) == (
        f"Two-factor is on for {user.name} since DATE.\n"
        "\n"
        "Device:        phone (time-based, sha256), not used yet\n"
        "Backup codes:  2 of 2 left\n"
        "Last used:     never\n"
        "Failed codes:  7, try again in N seconds\n"
        "Services:      none asks for a code\n"
        f"Files:         {user.home}/.twofactor"
    )


def at_a_terminal(columns: int, *arguments: str) -> list[str]:
    """The lines of a command of root at a terminal of this width."""
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, columns))
    run = subprocess.Popen([COMMAND, *arguments], stdin=terminal, stdout=terminal, close_fds=True)
    os.close(terminal)
    said = b""
    try:
        while more := os.read(controller, 65536):
            said += more
    except OSError:
        pass
    os.close(controller)
    assert run.wait(30) == DONE
    return said.decode().splitlines()


def test_the_table_of_accounts_fits_the_terminal(new_user):
    long = Account("x" * 32, "")
    run("useradd", "--create-home", "--shell", "/bin/sh", "--user-group", long.name)
    damaged = new_user()
    damaged.enroll()
    (damaged.directory / "credential").write_text("garbage")
    made = enroll(long, backup_codes=3)
    try:
        for columns in (80, 60, 30):
            lines = at_a_terminal(columns, "users")
            assert max(map(len, lines)) <= columns
            assert any(line.startswith("xxxxxxx") for line in lines)
        at_80 = at_a_terminal(80, "users")
        assert re.fullmatch(r"USER +TWO-FACTOR  SINCE +BACKUP CODES  LAST USED", at_80[0])
        row = next(line for line in at_80 if line.startswith("xxx"))
        assert re.fullmatch(r"x+(~|x) +on +\d{4}-\d\d-\d\d +3 +never", row)
        row = next(line for line in at_80 if line.startswith(damaged.name + " "))
        assert re.fullmatch(rf"{damaged.name} +\?  +{damaged.home}/\.twofactor: .*~", row)
        # A pipe gets the full table.
        whole = twofactor("users").stdout
        assert long.name in whole and "credential" in whole and "~" not in whole
        assert made.user == long.name
    finally:
        run("userdel", "--remove", long.name)


def test_the_next_login_reports_a_used_backup_code(user, service):
    made = user.enroll(backup_codes=2)
    name, day = service(), time.strftime("%Y-%m-%d", time.gmtime(START))
    used = user.log_in(name, made.backup_codes[0], at=START)
    assert used.messages == ["1 backup codes left. Create new ones with: twofactor backup-codes"]
    user.twofactor("status")
    told = user.log_in(name, made.authenticator.code_at(START + 60), at=START + 60)
    assert (told.result, told.messages) == (Result.SUCCESS, [f"A backup code was used on {day}."])
    again = user.log_in(name, made.authenticator.code_at(START + 120), at=START + 120)
    assert (again.result, again.messages) == (Result.SUCCESS, [])
