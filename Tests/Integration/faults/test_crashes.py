"""A process killed at any system call leaves the old state or the new one, whole, and blocks no later run.

The calls come from a trace, so new ones are tested too.
"""

import json
import os
import subprocess
import time

import pytest
from rig.clock import START
from rig.enrollment import Enrollment, enroll, twofactor_json
from rig.harness import Result
from rig.imports import APP, google_file
from rig.machine import COMMAND
from rig.place import at_home
from rig.process import run
from rig.snapshot import Snapshot
from rig.tracing import calls, tracing

WIDE = ("window=10", "max_failures=100")


@pytest.mark.parametrize("kind", ["code", "backup code"])
def test_a_login_killed_at_any_call_loses_nothing_and_accepts_no_code_twice(
    harness, user, service, tmp_path, place, kind
):
    enrolled = user.enroll(backup_codes=2)
    name = service(*WIDE)
    code = enrolled.authenticator.code_at
    used, following = code(START, steps=-1), code(START, steps=1)
    answer = code(START) if kind == "code" else enrolled.backup_codes[0]
    assert user.log_in(name, used, at=START).result == Result.SUCCESS
    before = Snapshot(user, tmp_path, place.folder)

    trace = tmp_path / "trace"
    login = user.log_in(name, answer, at=START, marks=True, under=tracing(trace))
    assert login.result == Result.SUCCESS
    found = calls(trace, "answer begins", "login returns")
    assert len(found) > 25 and {"pwrite64", "fdatasync"} <= {call.name for call in found}
    came_through = 0
    for call in found:
        before.restore()
        killed = harness.run(name, [(user.name, [answer])], at=START, marks=True, under=call.killed(), may_die=True)
        assert not killed, f"not killed at {call}"
        replies = [used, answer, answer, following, following]
        after = user.results(name, *replies, at=START)
        # If the killed login used up the code, the second of each pair equals the first.
        assert after[0] == Result.AUTH_ERR, f"a used code works again after {call}"
        assert after[1] in (Result.SUCCESS, Result.AUTH_ERR), f"{after} after {call}"
        came_through += after[1] == Result.AUTH_ERR
        assert after[2:] == [Result.AUTH_ERR, Result.SUCCESS, Result.AUTH_ERR], f"{after} after {call}"
        assert {path.name for path in enrolled.directory.iterdir()} == {"credential", "state"}
    assert 0 < came_through < len(found)


ENABLE = ("enable", "--no-confirm", "--yes", "--backup-codes", "1")


def run_subcommand(*arguments: str, user: str, under: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
    return run(*under, COMMAND, *arguments, "--user", user, "--json", status=None)


class Logins:
    """The results of logins with the codes of enrollments."""

    def __init__(self, service, user) -> None:
        self.user = user
        self.strict = service(*WIDE)
        self.lenient = service("nullok", *WIDE)

    def results(self, *replies: str) -> list[int]:
        return self.user.results(self.strict, *replies, at=START)

    def is_enrolled(self) -> bool:
        """Also asserts that the enrollment is complete or absent."""
        result = self.user.log_in(self.lenient, "letters", at=START).result
        assert result in (Result.PERM_DENIED, Result.AUTH_ERR)
        return result == Result.AUTH_ERR


def new_enrollment(output: str) -> Enrollment | None:
    """The enrollment that a killed command printed; None if the output is incomplete."""
    try:
        return Enrollment.of(json.loads(output))
    except json.JSONDecodeError:
        return None


def assert_nothing_is_in_the_way(logins, account, directory):
    """Leftover files do not prevent a new enrollment."""
    if {path.name for path in directory.iterdir()} != {"credential", "state"}:
        assert_a_fresh_start_works(logins, account)


def killed_at_each_call(arguments, user, folder, place=None):
    """Yields each system call of a subcommand, and the output up to the call; always starts from the same files."""
    place = place or at_home(user)
    before = Snapshot(user, folder, place.folder)
    trace = folder / "trace"
    assert run_subcommand(*arguments, user=user.name, under=tracing(trace)).returncode == 0
    found = calls(trace, place.first_change)
    assert len(found) > place.calls
    for call in found:
        before.restore()
        killed = run_subcommand(*arguments, user=user.name, under=call.killed())
        assert killed.returncode != 0, f"not killed at {call}"
        yield call, killed.stdout


def assert_a_fresh_start_works(logins, account, place=None):
    """Leftover files block nothing, and the next command erases them once they are old."""
    place = place or at_home(account)
    for path in place.litter():
        os.utime(path, (time.time() - 3600,) * 2)
    fresh = enroll(account, again=True)
    code = fresh.authenticator.code_at(START)
    assert logins.results(code, code) == [Result.SUCCESS, Result.AUTH_ERR]
    twofactor_json("disable", "--user", account.name)
    left = [path.name for path in place.folder.glob(place.enrollment)]
    assert left == [], left


@pytest.mark.seconds(240)
def test_enabling_killed_at_any_call_does_all_or_nothing(user, service, tmp_path):
    logins = Logins(service, user)
    enabled = 0
    for call, output in killed_at_each_call(ENABLE, user, tmp_path):
        if logins.is_enrolled():
            enabled += 1
            new = new_enrollment(output)
            assert new is not None, f"enabled before the key was printed, killed at {call}"
            code = new.authenticator.code_at(START)
            assert logins.results(code, code, new.backup_codes[0]) == [
                Result.SUCCESS,
                Result.AUTH_ERR,
                Result.SUCCESS,
            ], str(call)
        assert_a_fresh_start_works(logins, user)
    assert enabled > 0


@pytest.mark.seconds(240)
def test_importing_killed_at_any_call_does_all_or_nothing(user, service, tmp_path):
    file = google_file(user, f'" DISALLOW_REUSE {APP.step(START)}', '" TOTP_AUTH', "12345678")
    text = file.read_text()
    logins = Logins(service, user)
    used, code = (APP.code_at(START, steps=steps) for steps in (0, 1))
    arguments = ("import", "--no-confirm", "--yes", str(file))
    enabled = 0
    for call, _ in killed_at_each_call(arguments, user, tmp_path):
        if logins.is_enrolled():
            enabled += 1
            results = logins.results(used, code, code, "12345678", "12345678")
            expected = [Result.AUTH_ERR, *[Result.SUCCESS, Result.AUTH_ERR] * 2]
            assert results == expected, f"{results} after {call}"
        assert file.read_text() == text, f"the file changed after {call}"
        assert_a_fresh_start_works(logins, user)
    assert enabled > 0


@pytest.mark.seconds(240)
def test_replacing_killed_at_any_call_leaves_the_old_or_the_new_enrollment(user, service, tmp_path, place):
    old = user.enroll(backup_codes=1)
    logins = Logins(service, user)
    used, code = (old.authenticator.code_at(START, steps=steps) for steps in (0, 1))
    assert logins.results(used) == [Result.SUCCESS]
    replaced = 0
    for call, output in killed_at_each_call((*ENABLE, "--force"), user, tmp_path, place):
        results = logins.results(used, code, old.backup_codes[0])
        if results == [Result.AUTH_ERR, Result.SUCCESS, Result.SUCCESS]:
            pass
        else:
            replaced += 1
            assert results == [Result.AUTH_ERR] * 3, f"{results} after {call}"
            new = new_enrollment(output)
            assert new is not None, f"replaced before the key was printed, killed at {call}"
            code_of_new = new.authenticator.code_at(START, steps=2)
            assert logins.results(code_of_new, code_of_new) == [Result.SUCCESS, Result.AUTH_ERR], str(call)
        assert_a_fresh_start_works(logins, user, place)
    assert replaced > 0


@pytest.mark.seconds(240)
def test_new_backup_codes_killed_at_any_call_leave_all_old_or_all_new_ones(user, service, tmp_path):
    old = user.enroll(backup_codes=2)
    logins = Logins(service, user)
    used, code = (old.authenticator.code_at(START, steps=steps) for steps in (0, 1))
    assert logins.results(used, old.backup_codes[0]) == [Result.SUCCESS] * 2
    replaced = 0
    for call, output in killed_at_each_call(("backup-codes", "--backup-codes", "1"), user, tmp_path):
        *results, second_of_old = logins.results(used, old.backup_codes[0], code, old.backup_codes[1])
        assert results == [Result.AUTH_ERR, Result.AUTH_ERR, Result.SUCCESS], f"{results} after {call}"
        if second_of_old == Result.AUTH_ERR:
            replaced += 1
            (new,) = json.loads(output)["backup_codes"]
            assert logins.results(new, new) == [Result.SUCCESS, Result.AUTH_ERR], str(call)
        assert_a_fresh_start_works(logins, user)
    assert replaced > 0


@pytest.mark.seconds(240)
def test_disabling_killed_at_any_call_does_all_or_nothing(user, service, tmp_path, place):
    old = user.enroll(backup_codes=1)
    logins = Logins(service, user)
    used, code = (old.authenticator.code_at(START, steps=steps) for steps in (0, 1))
    assert logins.results(used) == [Result.SUCCESS]
    ended = 0
    for call, output in killed_at_each_call(("disable",), user, tmp_path, place):
        if logins.is_enrolled():
            assert logins.results(used, code) == [Result.AUTH_ERR, Result.SUCCESS], str(call)
        else:
            ended += 1
            assert logins.results(used, code) == [Result.AUTH_ERR] * 2, str(call)
        assert_a_fresh_start_works(logins, user, place)
    assert ended > 0


@pytest.mark.seconds(240)
def test_adding_a_device_killed_at_any_call_does_all_or_nothing(user, service, tmp_path):
    old = user.enroll(backup_codes=1)
    logins = Logins(service, user)
    used, code = (old.authenticator.code_at(START, steps=steps) for steps in (0, 1))
    assert logins.results(used) == [Result.SUCCESS]
    arguments = ("device", "add", "other", "--no-confirm")
    added = 0
    for call, output in killed_at_each_call(arguments, user, tmp_path):
        devices = twofactor_json("device", "list", "--user", user.name)["devices"]
        if len(devices) > 1:
            added += 1
            new = new_enrollment(output)
            assert new is not None, f"added before the key was printed, killed at {call}"
            code_of_new = new.authenticator.code_at(START)
            assert logins.results(code_of_new, code_of_new) == [Result.SUCCESS, Result.AUTH_ERR], str(call)
        # The first device, its used codes and the backup codes are unchanged.
        results = logins.results(used, code, code, old.backup_codes[0])
        assert results == [Result.AUTH_ERR, Result.SUCCESS, Result.AUTH_ERR, Result.SUCCESS], f"{results} after {call}"
        assert_nothing_is_in_the_way(logins, user, old.directory)
    assert added > 0


@pytest.mark.seconds(240)
def test_removing_a_device_killed_at_any_call_does_all_or_nothing(user, service, tmp_path):
    old = user.enroll(backup_codes=1)
    other = user.add_device("other").authenticator
    logins = Logins(service, user)
    used, code = (old.authenticator.code_at(START, steps=steps) for steps in (0, 1))
    used_of_other, code_of_other = (other.code_at(START, steps=steps) for steps in (0, 1))
    assert logins.results(used, used_of_other) == [Result.SUCCESS] * 2
    # The removed device comes first, so the state of the other one moves.
    arguments = ("device", "remove", "phone")
    removed = 0
    for call, _ in killed_at_each_call(arguments, user, tmp_path):
        results = logins.results(used, code, used_of_other, code_of_other, old.backup_codes[0])
        stays = [Result.AUTH_ERR, Result.SUCCESS, Result.AUTH_ERR, Result.SUCCESS, Result.SUCCESS]
        goes = [Result.AUTH_ERR, Result.AUTH_ERR, *stays[2:]]
        assert results in (stays, goes), f"{results} after {call}"
        removed += results == goes
        assert_nothing_is_in_the_way(logins, user, old.directory)
    assert removed > 0


def test_unlocking_killed_at_any_call_does_all_or_nothing(user, service, tmp_path):
    old = user.enroll(backup_codes=1)
    name = service("max_failures=1")
    used, code = (old.authenticator.code_at(START, steps=steps) for steps in (0, 1))
    wrong = old.authenticator.wrong_code(START)
    results = user.results(name, used, wrong, code, at=START)
    assert results == [Result.SUCCESS, Result.AUTH_ERR, Result.MAXTRIES]
    unlocked = 0
    for call, _ in killed_at_each_call(("unlock",), user, tmp_path):
        results = user.results(name, code, old.backup_codes[0], used, code, at=START)
        locked = [Result.MAXTRIES, Result.SUCCESS, Result.AUTH_ERR, Result.SUCCESS]
        free = [Result.SUCCESS, Result.SUCCESS, Result.AUTH_ERR, Result.AUTH_ERR]
        assert results in (locked, free), f"{results} after {call}"
        unlocked += results == free
        assert {path.name for path in old.directory.iterdir()} == {"credential", "state"}
    assert unlocked > 0
