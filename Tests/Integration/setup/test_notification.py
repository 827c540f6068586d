"""Notifications of changes: recipient, program, and failures of the program."""

import json
import os
import re
from pathlib import Path

import pexpect
import pytest
from rig.clock import time_to_type
from rig.enrollment import Enrollment, twofactor, twofactor_json
from rig.machine import COMMAND
from rig.process import run
from rig.reachable import open_to_all

PROVISION = ("enable", "--no-confirm", "--yes", "--json", "--backup-codes", "1")


@pytest.fixture
def program(tmp_path):
    """Writes a program that every user can run, and a folder that it can write to."""
    open_to_all(tmp_path)
    (tmp_path / "mails").mkdir()
    (tmp_path / "mails").chmod(0o777)

    def make(text: str):
        path = tmp_path / "sendmail"
        path.write_text("#!/bin/sh\n" + text.replace("MAILS", str(tmp_path / "mails")))
        path.chmod(0o755)
        return path

    make.mails = tmp_path / "mails"
    return make


def test_the_user_is_notified_of_every_change(user, host_configuration, program):
    sendmail = program('{ id -un; echo "$@"; env; cat; } > MAILS/$(date +%s%N)\n')
    host_configuration(f"notify = {sendmail}", "require_password = no")
    made = json.loads(user.twofactor(*PROVISION).stdout)
    added = twofactor_json("device", "add", "tablet", "--no-confirm", "--user", user.name)
    code = Enrollment.of(added).authenticator.code_at
    now = time_to_type()
    twofactor(
        "device", "resync", "tablet", "--user", user.name, answers=f"{code(now)}\n{code(now, 1)}\n"
    )
    twofactor("device", "remove", "tablet", "--user", user.name)
    new = twofactor_json("backup-codes", "--user", user.name)
    twofactor("disable", "--user", user.name)
    told = [path.read_text() for path in sorted(program.mails.iterdir())]
    assert [re.search("^Change: (.*)$", mail, re.MULTILINE)[1] for mail in told] == [
        "switched on",
        "device added: tablet",
        "device resynchronized: tablet",
        "device removed: tablet",
        "new backup codes",
        "switched off",
    ]
    assert [re.search("^Made by: (.*)$", mail, re.MULTILINE)[1] for mail in told] == [user.name, *["root"] * 5]
    assert all(mail.startswith(f"{user.name}\n-i {user.name}\n") for mail in told)
    assert all(f"\nTo: {user.name}\nSubject: Two-factor login at sandbox: " in mail for mail in told)
    secrets = (made["secret"], added["secret"], *made["backup_codes"], *new["backup_codes"], "of-the-environment")
    assert not any(secret in mail for mail in told for secret in secrets)


FAILING = {
    "exit 3\n": "exit status 3",
    "kill -KILL $$\n": "exit status 137",
    "exec 0<&-\nexit 1\n": "exit status 1",
}


@pytest.mark.parametrize("text", FAILING, ids=FAILING.values())
def test_a_program_that_fails_causes_a_warning_and_the_change_stands(user, host_configuration, program, text):
    sendmail = program(text)
    host_configuration(f"notify = {sendmail}", "require_password = no")
    done = user.twofactor(*PROVISION, status=None)
    warning = f"twofactor: the change is made, but the notification failed: {sendmail}: {FAILING[text]}\n"
    assert (done.returncode, done.stderr) == (0, warning)
    assert user.status()["enabled"]


@pytest.mark.parametrize(
    ("path", "words"), [("/nonexistent", "no such file or directory"), ("/etc/passwd", "permission denied")]
)
def test_a_program_that_cannot_be_run_causes_a_warning(user, host_configuration, path, words):
    host_configuration(f"notify = {path}", "require_password = no")
    done = user.twofactor(*PROVISION, status=None)
    warning = f"twofactor: the change is made, but the notification failed: {path}: {words}\n"
    assert (done.returncode, done.stderr) == (0, warning)


def test_a_program_that_times_out_is_killed_and_causes_a_warning(user, host_configuration, program):
    sendmail = program("echo $$ > MAILS/process\nexec sleep 1000\n")
    host_configuration(f"notify = {sendmail}", "require_password = no")
    done = user.twofactor(*PROVISION, status=None)
    warning = f"twofactor: the change is made, but the notification failed: {sendmail}: timed out\n"
    assert (done.returncode, done.stderr) == (0, warning)
    assert user.status()["enabled"]
    process = (program.mails / "process").read_text().strip()
    assert process.isdigit() and not Path("/proc", process).exists()


@pytest.mark.parametrize("is_outside", [False, True], ids=["at home", "outside"])
def test_the_program_runs_as_the_user_even_for_root(user, host_configuration, program, is_outside):
    sendmail = program("{ id -u; id -G; id -ru; } > MAILS/who\ncat > /dev/null\n")
    outside = ["directory = /var/lib/notified/%u"] if is_outside else []
    host_configuration(f"notify = {sendmail}", *outside)
    twofactor(*PROVISION, "--user", user.name)
    assert (program.mails / "who").read_text() == f"{user.uid}\n{user.gid}\n{user.uid}\n"
    twofactor("disable", "--user", user.name)


def test_without_a_change_there_is_no_notification(user, host_configuration, program):
    sendmail = program("cat > MAILS/told\n")
    host_configuration(f"notify = {sendmail}", "require_password = no")
    for line in ("status", "device list", "disable", "backup-codes", "show", "verify"):
        user.twofactor(*line.split(), status=None)
    assert list(program.mails.iterdir()) == []


def test_the_program_cannot_reach_the_terminal_of_root(user, host_configuration, program):
    # The program runs as the user, who could trace it (ptrace(2)) and type into its terminal (TIOCSTI).
    sendmail = program(
        "if ( : > /dev/tty ) 2> /dev/null; then echo has; else echo none; fi > MAILS/tty\ncat > /dev/null\n"
    )
    host_configuration(f"notify = {sendmail}")
    terminal = pexpect.spawn(str(COMMAND), [*PROVISION, "--user", user.name], cwd="/", timeout=60)
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    assert (program.mails / "tty").read_text() == "none\n"


def test_the_program_inherits_only_the_mail(user, host_configuration, program, tmp_path):
    # A user must not hold open, or write to, a pipe that root waits for.
    users = tmp_path / "users.oath"
    users.write_text(f"HOTP/T30 {user.name} - {'3132' * 10}\n")
    sendmail = program("find /proc/self/fd -lname 'pipe:*' > MAILS/pipes\ncat > /dev/null\n")
    host_configuration(f"notify = {sendmail}")
    with users.open() as text:
        done = run(COMMAND, "import", "--all", stdin=text, status=None)
    assert done.returncode == 0, done.stderr
    assert (program.mails / "pipes").read_text() == "/proc/self/fd/0\n"


@pytest.mark.parametrize("is_root", [True, False], ids=["root", "user"])
def test_the_program_inherits_nothing(user, host_configuration, program, suid_dumpable, is_root, tmp_path):
    # With this setting, a process is dumpable after a change of its user ID.
    suid_dumpable("1")
    sendmail = program(
        "exec > MAILS/inherited\n"
        "pwd\numask\ntr '\\0' '\\n' < /proc/$$/environ\n"
        "grep -E '^Sig(Blk|Ign)' /proc/self/status\n"
        "find /proc/self/fd -lname '*secret*'\n"
        # Only a dumpable process of the user can be read by the user.
        "if cat /proc/$PPID/environ > /dev/null 2>&1; then echo readable; else echo closed; fi\n"
        "cat > /dev/null\n"
    )
    host_configuration(f"notify = {sendmail}", "require_password = no")
    secret = tmp_path / "secret"
    secret.write_text("of root")
    with secret.open() as file:
        os.dup2(file.fileno(), 77)
    try:
        who = ["--user", user.name] if is_root else []
        signals = ["env", "--ignore-signal=USR1,HUP", "--block-signal=USR2"]
        run(*signals, COMMAND, *PROVISION, *who, user=None if is_root else user, pass_fds=(77,), cwd="/etc",
            environment={"PATH": "/usr/bin", "LD_BIND_NOW": "1", "SECRET": "of-the-environment"})
    finally:
        os.close(77)
    # posix_spawn(3) ignores the two signals that the C library uses itself.
    text = (program.mails / "inherited").read_text().replace("0000000180000000", "0000000000000000")
    assert text.splitlines() == [
        "/", "0077", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C",
        "SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000", "closed",
    ]
