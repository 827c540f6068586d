"""The register of enrolled users, as `enable`, `import`, `disable` and `users` keep it."""

import contextlib
import json
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pexpect
import pytest
from rig.enrollment import twofactor, twofactor_json
from rig.exit_status import IO_ERROR, NOT_PERMITTED, REFUSED
from rig.harness import Result
from rig.imports import google_file
from rig.machine import COMMAND, HELPER
from rig.mounts import covered
from rig.process import run
from rig.register import REGISTER, registered, remove_register

PERMIT = "pam_permit.so"


def enable(user, **options):
    """The user enrolls, and types the password."""
    return user.twofactor("enable", "--no-confirm", "--yes", "--json", answers=f"{user.password}\n", **options)


def disable(user, code: str, **options):
    return user.twofactor("disable", "--json", answers=f"{user.password}\n{code}\n", **options)


def backup_code(done) -> str:
    return json.loads(done.stdout)["backup_codes"][0]


@pytest.fixture
def nullok(service) -> str:
    return service("nullok", then=PERMIT)


@contextlib.contextmanager
def without_helper():
    away = HELPER.with_name("away")
    HELPER.rename(away)
    try:
        yield
    finally:
        away.rename(HELPER)


def test_a_user_who_enrolls_is_registered_at_once(user, register, nullok, log):
    code = backup_code(enable(user))
    assert registered() == [user.uid]
    assert log.line_with("registered uid=") == f"registered uid={user.uid}"
    with covered(user.home, owner=user, mode="700"):
        assert user.log_in(nullok).result == Result.AUTHINFO_UNAVAIL
    told = json.loads(disable(user, code).stdout)
    assert told["enabled"] is False and registered() == []
    assert log.line_with("unregistered uid=") == f"unregistered uid={user.uid}"
    assert user.log_in(nullok).result == Result.SUCCESS


def test_an_import_registers(user, register):
    user.twofactor("import", "--no-confirm", google_file(user, '" TOTP_AUTH'), "--json", answers=f"{user.password}\n")
    assert registered() == [user.uid]


def test_root_registers_the_user_of_the_option(user, register, log):
    """Without the helper: a process keeps root's privileges for that."""
    with without_helper():
        user.enroll()
        assert registered() == [user.uid]
        status = (REGISTER / str(user.uid)).stat()
        assert (status.st_uid, status.st_mode & 0o7777) == (user.uid, 0o600)
        twofactor("disable", "--user", user.name)
        assert registered() == []
    assert "twofactor-helper" not in "".join(log.lines())


def test_an_import_of_all_accounts_registers_each(new_user, register, users_file):
    users = [new_user() for _ in range(3)]
    users_file(*(f"HOTP {user.name} - 3132333435363738393031323334353637383930" for user in users))
    twofactor("import", "--all", "/etc/users.oath")
    assert registered() == [user.uid for user in users]


def test_root_registers_enrollments_outside_the_homes(user, register, host_configuration):
    host_configuration("directory = /var/lib/twofactor/%u")
    user.enroll()
    assert registered() == [user.uid]
    twofactor("disable", "--user", user.name)
    assert registered() == []


def test_without_the_helper_the_first_login_registers(user, register, service):
    with without_helper():
        code = backup_code(enable(user))
        assert registered() == []
    assert user.log_in(service(), code).result == Result.SUCCESS
    assert registered() == [user.uid]


PROBLEMS = {
    "missing": "twofactor-helper is not installed",
    "not root's": "twofactor-helper is not installed",
    "writable": "twofactor-helper is not installed",
    "without its group": "register: cannot be written: Permission denied",
    "broken": f"{HELPER} gave no valid answer",
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_disabling_is_refused_if_the_user_would_stay_registered(user, register, nullok, problem):
    """Logins would be refused: the user stays enrolled, and hears what the administrator can do."""
    codes = json.loads(enable(user).stdout)["backup_codes"]
    before = HELPER.read_bytes()
    with contextlib.ExitStack() as stack:
        match problem:
            case "missing":
                stack.enter_context(without_helper())
            case "not root's":
                os.chown(HELPER, user.uid, -1)
            case "writable":
                HELPER.chmod(0o2775)
            case "without its group":
                HELPER.chmod(0o755)
            case "broken":
                shutil.copy("/bin/false", HELPER)
        stack.callback(restore_helper, before) if problem != "missing" else None
        refused = disable(user, codes[0], status=IO_ERROR)
    told = json.loads(refused.stderr.splitlines()[-1])
    assert told["error"] == f"{user.name} stays in the register of enrolled users: {PROBLEMS[problem]}"
    assert told["hint"] == f"ask the administrator to run: twofactor disable --user {user.name}"
    assert registered() == [user.uid] and user.status()["enabled"]
    assert user.log_in(nullok, codes[1]).result == Result.SUCCESS
    disable(user, codes[2])
    assert registered() == []


def restore_helper(content: bytes) -> None:
    HELPER.unlink()
    HELPER.write_bytes(content)
    shutil.chown(HELPER, "root", "_twofactor")
    HELPER.chmod(0o2755)


def test_a_login_while_two_factor_is_disabled_leaves_no_entry(user, register, nullok):
    """It would refuse the user from then on. The helper's stand-in waits for the login."""
    codes = json.loads(enable(user).stdout)["backup_codes"]
    before, real = HELPER.read_bytes(), HELPER.with_name("real")
    unregistered, done = (Path("/run", name) for name in ("unregistered", "logged-in"))
    HELPER.rename(real)
    try:
        unregistered.touch()
        unregistered.chmod(0o666)
        HELPER.write_text(f"#!/bin/sh\n{real}\necho >{unregistered}\nwhile [ ! -e {done} ]; do sleep 0.05; done\n")
        HELPER.chmod(0o755)
        with ThreadPoolExecutor() as pool:
            disabling = pool.submit(disable, user, codes[0])
            while not unregistered.stat().st_size and not disabling.done():
                time.sleep(0.05)
            assert user.log_in(nullok, codes[1]).result == Result.SUCCESS and registered() == [user.uid]
            done.touch()
            assert json.loads(disabling.result().stdout)["enabled"] is False
    finally:
        done.touch()
        real.unlink()
        restore_helper(before)
        unregistered.unlink()
        done.unlink()
    assert registered() == [] and user.log_in(nullok).result == Result.SUCCESS


def test_without_a_register_nothing_changes(user, nullok):
    remove_register()
    with without_helper():
        code = backup_code(enable(user))
        disable(user, code)
    assert user.log_in(nullok).result == Result.SUCCESS


def test_a_command_killed_while_it_disables_loses_nobody(user, register, service, tmp_path):
    """Killed after the entry is removed: the user is still enrolled, and the next login adds it again."""
    codes = json.loads(enable(user).stdout)["backup_codes"]
    trace = tmp_path / "trace"
    words = (COMMAND, "disable", "--user", user.name)
    killed = 0
    for number in range(1, 12):
        done = run(
            "strace", "-f", "-qq", "-o", trace, "-e", f"inject=renameat,renameat2,unlinkat:signal=KILL:when={number}",
            *words, status=None,
        )
        if not user.status()["enabled"]:
            break
        killed += done.returncode != 0
        name = service("nullok", "max_failures=100", then=PERMIT)
        assert user.log_in(name, "123456").result != Result.SUCCESS
        assert user.log_in(name, codes.pop()).result == Result.SUCCESS
        assert registered() == [user.uid]
    assert killed >= 1 and not user.status()["enabled"]


def test_a_change_that_fails_registers_the_user_again(user, register):
    enable(user)
    run("chattr", "+i", user.directory)
    try:
        twofactor("disable", "--user", user.name, status=NOT_PERMITTED)
    finally:
        run("chattr", "-i", user.directory)
    assert registered() == [user.uid] and user.status()["enabled"]


@pytest.mark.parametrize("json_wanted", [False, True])
def test_root_resets_a_user_who_is_registered_but_not_enrolled(user, register, nullok, json_wanted):
    enable(user)
    shutil.rmtree(user.directory)
    assert user.log_in(nullok).result == Result.AUTHINFO_UNAVAIL
    # The user alone cannot clear the entry: without an enrollment, no code can be verified.
    assert disable(user, "123456", status=REFUSED)
    assert registered() == [user.uid]
    if json_wanted:
        assert twofactor_json("disable", "--user", user.name)["enabled"] is False
    else:
        said = twofactor("disable", "--user", user.name).stdout
        assert said.startswith(f"{user.name} was registered as enrolled, but has no enrollment.")
        assert said.endswith(f"To enroll again: twofactor enable --user {user.name}\n")
    assert registered() == [] and user.log_in(nullok).result == Result.SUCCESS
    again = twofactor("disable", "--user", user.name, status=REFUSED)
    assert f"two-factor is not on for {user.name}" in again.stderr


def test_root_resets_a_registered_user_without_a_home(user, register):
    enable(user)
    shutil.rmtree(user.home)
    refused = twofactor("disable", "--user", user.name, status=IO_ERROR)
    assert f"; the register no longer names {user.name}\n" in refused.stderr
    assert registered() == []
    refused = twofactor("disable", "--user", user.name, status=IO_ERROR)
    assert "register" not in refused.stderr


def test_an_account_that_inherits_the_user_id_is_refused_until_root_decides(user, new_user, register, nullok):
    enable(user)
    uid = user.uid
    run("userdel", "--remove", user.name)
    assert registered() == [uid]
    orphan = next(each for each in twofactor_json("users")["users"] if each["user"] == f"#{uid}")
    assert (orphan["enabled"], orphan["registered"]) == (None, True)
    assert orphan["error"] == "registered as enrolled, but no account has this user id"
    assert f"#{uid}" in twofactor("users").stdout

    heir = new_user()
    run("usermod", "--uid", uid, heir.name)
    run("chown", "-R", f"{uid}:{heir.gid}", heir.home)
    assert heir.uid == uid and heir.log_in(nullok).result == Result.AUTHINFO_UNAVAIL
    twofactor("disable", "--user", heir.name)
    assert heir.log_in(nullok).result == Result.SUCCESS


def test_users_names_who_is_registered_and_missing(user, new_user, register):
    enable(user)
    off, unlisted = new_user(), new_user()
    enable(unlisted)
    run("usermod", "--shell", "/usr/sbin/nologin", unlisted.name)
    with covered(user.home, owner=user):
        entries = {each["user"]: each for each in twofactor_json("users")["users"]}
        table = twofactor("users").stdout
    assert (entries[user.name]["enabled"], entries[user.name]["registered"]) == (False, True)
    assert (entries[off.name]["enabled"], entries[off.name]["registered"]) == (False, False)
    # This account has no login shell, but is listed because it is registered.
    assert (entries[unlisted.name]["enabled"], entries[unlisted.name]["registered"]) == (True, True)
    rows = {line.split()[0]: line.split()[1] for line in table.splitlines() if line}
    assert (rows[user.name], rows[off.name], rows[unlisted.name]) == ("missing", "off", "on")
    assert "\nmissing: registered as enrolled" in table
    assert "\nmissing: registered as enrolled" not in twofactor("users").stdout
    assert "registered" not in user.status()
    remove_register()
    assert {each["registered"] for each in twofactor_json("users")["users"]} == {None}


def test_enabling_warns_of_a_home_that_may_come_later(user, register):
    """The exit status is as without the warning, and so is the output with --json."""
    run("mount", "-t", "tmpfs", "-o", f"mode=755,uid={user.uid},gid={user.gid}", "own", user.home)
    try:
        assert "mount" not in enable(user).stderr
        done = twofactor("enable", "--user", user.name, "--no-confirm", "--yes", "--force")
        assert done.stderr.splitlines()[0].startswith(f"twofactor: {user.name}: {user.home} is a mount of its own")
        assert "hint: " in done.stderr
        assert registered() == [user.uid]
    finally:
        run("umount", user.home)
    # The enrollment was on the mount that is now gone.
    assert json.loads(user.twofactor("status", "--json").stdout)["enabled"] is False


def test_no_warning_for_a_plain_home(user, register):
    done = user.twofactor("enable", "--no-confirm", "--yes", answers=f"{user.password}\n")
    assert "mount" not in done.stderr


def test_su_refuses_a_user_whose_home_was_moved_away(user, new_user, register, system_service):
    """The shipped profile and a real program: the user enrolls, moves the enrollment away, and logs in again."""
    system_service(
        "su", "auth requisite pam_unix.so nodelay", "auth required pam_twofactor.so nullok",
        "account required pam_unix.so", "session required pam_permit.so",
    )
    other = new_user()
    code = backup_code(enable(user))

    def su(*replies: str) -> str:
        words = [f"--reuid={other.uid}", f"--regid={other.gid}", "--init-groups", "su", user.name, "-c", "id -un"]
        terminal = pexpect.spawn("setpriv", words, timeout=20, encoding="utf-8", env={**os.environ, "TERM": "xterm"})
        for reply in replies:
            terminal.expect(": ")
            terminal.sendline(reply)
        terminal.expect(pexpect.EOF)
        terminal.close()
        return terminal.before

    assert user.name in su(user.password, code)
    run("mv", user.home / ".twofactor", user.home / "elsewhere", user=user)
    assert "could not be checked" in su(user.password)
    twofactor("disable", "--user", user.name)
    assert user.name in su(user.password)


def test_the_keeper_of_roots_privileges_ends_with_the_command(user, register):
    """It serves one user, and a stopped command leaves no process of root behind."""
    terminal = pexpect.spawn(
        str(COMMAND), ["enable", "--user", user.name, "--qr", "none"], timeout=20, encoding="utf-8",
        env={"TERM": "xterm", "PATH": "/usr/bin:/bin"},
    )
    terminal.expect("[Cc]ode")
    (keeper,) = Path(f"/proc/{terminal.pid}/task/{terminal.pid}/children").read_text().split()
    status = Path(f"/proc/{keeper}/status").read_text()
    assert "Uid:\t0\t0\t0\t0" in status
    assert sorted(os.listdir(f"/proc/{keeper}/fd"))[0] not in ("0", "1", "2")
    terminal.kill(9)
    terminal.wait()
    for _ in range(100):
        if not Path(f"/proc/{keeper}").exists():
            break
        time.sleep(0.02)
    assert not Path(f"/proc/{keeper}/exe").exists()
    assert registered() == []
