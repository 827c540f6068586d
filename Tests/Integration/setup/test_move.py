"""`twofactor move`: one place is in force at any moment, and a used code stays used."""

import concurrent.futures
import json
import os
import pwd
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from rig.clock import START
from rig.enrollment import twofactor, twofactor_json
from rig.exit_status import IO_ERROR, NOT_PERMITTED, REFUSED, USAGE
from rig.fuse import silent_fuse
from rig.harness import Result, count
from rig.machine import COMMAND
from rig.process import run
from rig.register import STORE, create_host_store, registered
from rig.syslog import fresh_log
from rig.tracing import calls, tracing

OTHER = Path("/var/lib/twofactor-of-tests")
WIDE = ("window=10", "max_failures=100")


@dataclass(frozen=True)
class Place:
    """A place of enrollments: the line of twofactor.conf, the argument of the module, and the word of --from."""

    line: str
    argument: str
    origin: str

    def directory(self, user) -> Path:
        if self is HOME:
            return user.home / ".twofactor"
        return (STORE if self is HOST else OTHER) / str(user.uid)


# An argument `store` would not override a line `directory`.
HOME = Place("store = home", "directory=~/.twofactor", "home")
HOST = Place("store = host", "directory=/var/lib/twofactor/users/%U", "host")
TEMPLATE = Place(f"directory = {OTHER}/%U", f"directory={OTHER}/%U", f"{OTHER}/%U")
WAYS = {
    "home to host": (HOME, HOST),
    "host to home": (HOST, HOME),
    "home to template": (HOME, TEMPLATE),
    "template to home": (TEMPLATE, HOME),
    "template to host": (TEMPLATE, HOST),
}


@pytest.fixture
def configure(register, host_configuration):
    """Writes the place into twofactor.conf. Host store and register are empty."""
    create_host_store()
    yield lambda place: host_configuration(place.line)
    shutil.rmtree(OTHER, ignore_errors=True)


@pytest.fixture
def logins(configure, service):
    """The name of a PAM service for each place."""
    return {place: service(place.argument, *WIDE) for place in (HOME, HOST, TEMPLATE)}


@pytest.fixture
def move(configure):
    """Moves enrollments as an administrator does: writes the configuration, then runs the command."""

    def run_move(target: Place, source: Place, *options: str, **others):
        configure(target)
        return twofactor("move", "--from", source.origin, *options, **others)

    return run_move


def enroll_in(place: Place, user, configure, **options):
    configure(place)
    enrolled = user.enroll(**options)
    assert enrolled.directory == place.directory(user)
    return enrolled


@pytest.mark.parametrize("way", WAYS)
def test_codes_devices_and_failures_move_along(user, configure, logins, move, way):
    source, target = WAYS[way]
    enrolled = enroll_in(source, user, configure, backup_codes=3)
    token = user.add_device("token", "--type", "hotp").authenticator
    code = [enrolled.authenticator.code_at(START, steps=steps) for steps in range(3)]
    used = [code[0], token.code_for_counter(0), enrolled.backup_codes[0]]
    assert user.results(logins[source], *used, at=START) == [Result.SUCCESS] * 3
    assert user.results(logins[source], *["000000"] * 2, at=START) == [Result.AUTH_ERR] * 2
    before = twofactor_json("status", "--user", user.name)

    assert move(target, source, "--user", user.name).stdout == f"{user.name}: moved\n"
    after = twofactor_json("status", "--user", user.name)
    assert after.pop("directory") == str(target.directory(user))
    del before["directory"]
    assert after == before and before["failures"] == 2 and len(before["devices"]) == 2
    assert not source.directory(user).exists() and registered() == [user.uid]
    files = [target.directory(user), *target.directory(user).iterdir()]
    assert {path.name for path in files[1:]} == {"credential", "state"}
    owner = 0 if target is TEMPLATE else user.uid
    assert {(path.stat().st_uid, path.stat().st_mode & 0o777) for path in files} == {(owner, 0o700), (owner, 0o600)}

    fresh = [code[1], token.code_for_counter(1), enrolled.backup_codes[1]]
    assert Result.SUCCESS not in user.results(logins[source], *fresh, at=START)
    assert user.results(logins[target], *used, at=START) == [Result.AUTH_ERR] * 3
    assert user.results(logins[target], *fresh, at=START) == [Result.SUCCESS] * 3
    # A second move finds nothing; the move back finds everything.
    assert move(target, source, "--user", user.name).stdout == f"{user.name}: not moved: nothing to move\n"
    move(source, target, "--user", user.name)
    assert user.results(logins[source], *used, *fresh, at=START) == [Result.AUTH_ERR] * 6
    last = [code[2], token.code_for_counter(2), enrolled.backup_codes[2]]
    assert user.results(logins[source], *last, at=START) == [Result.SUCCESS] * 3


def test_throttling_and_lockout_move_along(user, configure, service, move):
    enrolled = enroll_in(HOME, user, configure)
    home, host = (service(place.argument, "max_failures=1") for place in (HOME, HOST))
    wrong, code = enrolled.authenticator.wrong_code(START), enrolled.authenticator.code_at(START)
    assert user.results(home, wrong, code, at=START) == [Result.AUTH_ERR, Result.MAXTRIES]
    move(HOST, HOME, "--user", user.name)
    assert user.results(host, code, at=START) == [Result.MAXTRIES]
    twofactor("unlock", "--user", user.name)
    assert user.results(host, code, at=START) == [Result.SUCCESS]


def test_logins_between_the_line_and_the_move_are_refused(user, configure, service, move):
    enrolled = enroll_in(HOME, user, configure)
    configure(HOST)
    name = service("nullok", *WIDE)
    log = fresh_log()
    assert user.log_in(name, at=START).result == Result.AUTHINFO_UNAVAIL
    assert "reason=missing-enrollment" in log.of_module(1)[0].text
    move(HOST, HOME, "--user", user.name)
    assert user.results(name, enrolled.authenticator.code_at(START), at=START) == [Result.SUCCESS]


@pytest.mark.parametrize("place", [HOME, TEMPLATE], ids=["home", "template"])
@pytest.mark.parametrize("is_registered", [True, False], ids=["registered", "not registered"])
def test_an_enrollment_in_the_host_store_overrides_all_others(user, configure, service, logins, place, is_registered):
    enrolled = enroll_in(place, user, configure)
    run("cp", "-a", place.directory(user), HOST.directory(user))
    if place is TEMPLATE:
        run("chown", "-R", f"{user.uid}:{user.gid}", HOST.directory(user))
    if not is_registered:
        shutil.rmtree(STORE.parent / "enrolled")
    code = [enrolled.authenticator.code_at(START, steps=steps) for steps in range(2)]
    log = fresh_log()
    assert user.results(logins[place], code[0], at=START) == [Result.AUTHINFO_UNAVAIL]
    line = log.of_module(1)[0].text
    assert "reason=missing-enrollment" in line and "the host store has an enrollment of the user" in line
    # The command reports it, too, if root runs it.
    for subcommand in ("status", "disable", "unlock"):
        done = twofactor(subcommand, "--user", user.name, status=REFUSED)
        assert "the host store has an enrollment of" in done.stderr and "move --user" in done.stderr
    shutil.rmtree(place.directory(user))
    lenient = service(place.argument, "nullok")
    assert user.log_in(lenient, at=START).result == Result.AUTHINFO_UNAVAIL
    assert user.results(logins[HOST], code[0], code[1], at=START) == [Result.SUCCESS] * 2


def snapshot(user, folder: Path) -> dict[Path, Path]:
    """Copies of all places."""
    OTHER.mkdir(mode=0o700, exist_ok=True)
    copies = {path: folder / str(number) for number, path in enumerate((user.home, STORE, OTHER))}
    for path, copy in copies.items():
        run("cp", "-a", path, copy)
    return copies


def restore(copies: dict[Path, Path]) -> None:
    for path, copy in copies.items():
        for entry in path.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        run("cp", "-a", f"{copy}/.", path)


FAULTS = [(way, "killed") for way in WAYS] + [(way, "EIO") for way in list(WAYS)[:3]]


@pytest.mark.seconds(600)
@pytest.mark.parametrize(("way", "fault"), FAULTS, ids=[", ".join(fault) for fault in FAULTS])
def test_after_a_fault_at_any_call_one_place_is_in_force_and_the_next_run_completes(
    user, configure, logins, way, fault, tmp_path
):
    source, target = WAYS[way]
    enrolled = enroll_in(source, user, configure, backup_codes=1)
    code = [enrolled.authenticator.code_at(START, steps=steps) for steps in range(3)]
    assert user.results(logins[source], code[0], at=START) == [Result.SUCCESS]
    configure(target)
    copies = snapshot(user, tmp_path)
    line = (COMMAND, "move", "--user", user.name, "--from", source.origin)
    trace = tmp_path / "trace"
    run(*tracing(trace), *line)
    found = calls(trace, str(user.home) if source is HOME else '"twofactor"' if source is HOST else OTHER.name)
    assert len(found) > 60 and {"mkdirat", "renameat", "unlinkat"} <= {call.name for call in found}
    # These cannot fail (setfsuid(2)).
    found = [call for call in found if fault == "killed" or call.name not in ("setfsuid", "setfsgid")]
    limbo = 0
    for number, call in enumerate(found):
        restore(copies)
        under = call.killed() if fault == "killed" else call.failing(fault)
        done = run(*under, *line, status=None)
        assert fault != "killed" or done.returncode != 0, f"not killed at {call}"
        order = [source, target][:: -1 if number % 2 else 1]
        for place in order:
            assert Result.SUCCESS not in user.results(logins[place], code[0], at=START), f"{place} after {call}"
        results = [user.results(logins[place], code[1], at=START)[0] for place in order]
        accepted = results.count(Result.SUCCESS)
        # Only a command that is killed between two places outside the host store leaves neither in force. It also exits
        # without a message if it cannot restore its identity.
        may_be_neither = not done.stderr and HOST not in (source, target)
        assert accepted == 1 or not accepted and may_be_neither, f"{results} after {call}"
        limbo += not accepted
        if done.returncode == 0:
            assert not source.directory(user).exists(), f"not moved after {call}"
        twofactor("move", "--user", user.name, "--from", source.origin)
        assert not source.directory(user).exists() and registered() == [user.uid]
        fresh = code[2] if accepted else code[1]
        results = user.results(logins[target], code[0], fresh, *code[: 3 if accepted else 2], at=START)
        assert results[:2] == [Result.AUTH_ERR, Result.SUCCESS], f"{results} after {call}"
        assert set(results[2:]) == {Result.AUTH_ERR}, f"{results} after {call}"
    assert limbo < len(found) / 2


def wait_until(condition) -> None:
    """Waits ten seconds at most."""
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    pytest.fail("it did not happen")


def children(process: subprocess.Popen) -> list[int]:
    return [int(word) for word in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


@pytest.mark.parametrize("way", ["home to host", "host to home", "template to host"])
def test_a_login_that_waited_for_a_killed_move_accepts_no_code(user, configure, logins, way):
    """The move is killed after its rename. The waiting login then gets the lock of the old place."""
    source, target = WAYS[way]
    enrolled = enroll_in(source, user, configure)
    code = enrolled.authenticator.code_at(START)
    configure(target)
    rename = f"renameat:delay_enter=4s:when={1 if target is HOST else 2}"
    faults = [word for fault in (rename, "syncfs:delay_enter=60s:when=1") for word in ("-e", f"inject={fault}")]
    line = [COMMAND, "move", "--user", user.name, "--from", source.origin]
    moving = subprocess.Popen(["strace", "-o", "/dev/null", "-e", "trace=renameat,syncfs", *faults, *line])
    before = (lambda: [*STORE.glob("*.new-*")]) if target is HOST else HOME.directory(user).exists
    wait_until(before)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        result = pool.submit(user.results, logins[source], code, at=START)
        wait_until(lambda: HOST.directory(user).exists() == (target is HOST))
        assert not result.done()
        for process in children(moving):
            os.kill(process, signal.SIGKILL)
        moving.kill()
        moving.wait()
        assert result.result(timeout=30) == [Result.AUTHINFO_UNAVAIL]
    assert user.results(logins[target], code, at=START) == [Result.SUCCESS]
    twofactor("move", "--user", user.name, "--from", source.origin)
    assert user.results(logins[target], code, at=START) == [Result.AUTH_ERR]


def test_an_aborted_move_loses_no_codes_that_were_used_since(user, configure, logins, move, tmp_path):
    """A login uses a code after the killed move, so its copy is outdated at the next move."""
    enrolled = enroll_in(HOST, user, configure, backup_codes=1)
    stale = tmp_path / "stale"
    run("cp", "-a", HOST.directory(user), stale)
    code = enrolled.authenticator.code_at(START)
    used = [code, enrolled.backup_codes[0]]
    assert user.results(logins[HOST], *used, at=START) == [Result.SUCCESS] * 2
    run("cp", "-a", stale, HOME.directory(user))
    move(HOME, HOST, "--user", user.name)
    assert user.results(logins[HOME], *used, at=START) == [Result.AUTH_ERR] * 2
    # Then the reverse.
    run("cp", "-a", stale, HOST.directory(user))
    move(HOME, HOST, "--user", user.name)
    assert user.results(logins[HOME], *used, at=START) == [Result.AUTH_ERR] * 2


@pytest.mark.parametrize("way", ["home to host", "host to home", "home to template"])
def test_one_of_many_sessions_with_one_code_during_a_move_is_accepted(harness, user, configure, logins, way):
    source, target = WAYS[way]
    accepted = []
    for number in range(6):
        configure(source)
        enrolled = user.enroll(again=number > 0)
        code = enrolled.authenticator.code_at(START)
        configure(target)
        line = ("move", "--user", user.name, "--from", source.origin)
        # Each round starts the move later: before, between and after the sessions.
        moving = threading.Timer(0.02 * number, twofactor, line)
        moving.start()
        pairs = [(user.name, [code])]
        with concurrent.futures.ThreadPoolExecutor() as pool:
            runs = [
                pool.submit(harness.run, logins[place], pairs, times=20, at_once=True, at=START)
                for place in (source, target)
            ]
            sessions = [login for each in runs for login in each.result()]
        moving.join()
        accepted.append(count(sessions, Result.SUCCESS))
        late = user.results(logins[target], code, code, at=START)
        assert accepted[-1] + late.count(Result.SUCCESS) <= 1, (accepted, late)
        following = enrolled.authenticator.code_at(START, steps=1)
        assert user.results(logins[target], following, at=START) == [Result.SUCCESS]
        assert not source.directory(user).exists()
        move_back = ("move", "--user", user.name, "--from", target.origin)
        configure(source)
        twofactor(*move_back)
    assert sum(accepted) > 0


def test_all_moves_those_who_can_be_moved(new_user, configure, logins, move):
    for account in pwd.getpwall():
        for leftover in Path(account.pw_dir).glob(".twofactor*"):
            run("rm", "-r", leftover)
    users = [new_user() for _ in range(4)]
    enrolled = [enroll_in(HOME, user, configure) for user in users[:3]]
    enrolled[1].directory.chmod(0o777)
    done = move(HOST, HOME, "--all", status=REFUSED)
    lines = done.stdout.splitlines()
    assert lines[0] == f"{users[0].name}: moved"
    assert lines[2:] == [f"{users[2].name}: moved", "2 of 3 enrollments moved."]
    assert lines[1].startswith(f"{users[1].name}: not moved: {enrolled[1].directory}: directory: ")
    assert enrolled[1].directory.exists() and not HOST.directory(users[1]).exists()
    for user, each in zip(users[::2], enrolled[::2]):
        assert user.results(logins[HOST], each.authenticator.code_at(START), at=START) == [Result.SUCCESS]
    enrolled[1].directory.chmod(0o700)
    answer = json.loads(move(HOST, HOME, "--all", "--json").stdout)
    assert answer == {"users": [{"user": users[1].name, "moved": True, "reason": None}]}
    assert move(HOST, HOME, "--all").stdout == "Nothing to move.\n"
    assert json.loads(move(HOST, HOME, "--all", "--json").stdout) == {"users": []}


def test_all_does_not_wait_for_a_home_that_does_not_answer(new_user, configure, logins, move):
    silent, other = new_user(), new_user()
    enroll_in(HOME, silent, configure)
    enrolled = enroll_in(HOME, other, configure)
    with silent_fuse(silent.home, silent):
        lines = move(HOST, HOME, "--all", status=REFUSED, timeout=30).stdout.splitlines()
    assert f"{silent.name}: not moved: its file system did not answer within 5 seconds" in lines
    assert f"{other.name}: moved" in lines
    assert other.results(logins[HOST], enrolled.authenticator.code_at(START), at=START) == [Result.SUCCESS]
    assert f"{silent.name}: moved" in move(HOST, HOME, "--user", silent.name).stdout


def test_all_from_the_host_store_names_orphans(new_user, configure, logins, move):
    staying, leaving = new_user(), new_user()
    enrolled = enroll_in(HOST, staying, configure)
    enroll_in(HOST, leaving, configure)
    orphan = leaving.uid
    run("userdel", leaving.name)
    done = move(HOME, HOST, "--all", status=REFUSED)
    assert done.stdout.splitlines() == [
        f"{staying.name}: moved", f"#{orphan}: not moved: no account has this user id", "1 of 2 enrollments moved.",
    ]
    assert (STORE / str(orphan) / "credential").exists()
    assert staying.results(logins[HOME], enrolled.authenticator.code_at(START), at=START) == [Result.SUCCESS]


def test_a_renamed_account_keeps_its_enrollment(user, harness, configure, logins, move):
    enrolled = enroll_in(HOME, user, configure)
    move(HOST, HOME, "--user", user.name)
    name = user.name + "x"
    run("usermod", "--login", name, user.name)
    code = [enrolled.authenticator.code_at(START, steps=steps) for steps in range(2)]
    assert harness.log_in(logins[HOST], name, code[0], at=START).result == Result.SUCCESS
    move(HOME, HOST, "--user", name)
    login = harness.run(logins[HOME], [(name, [code[0]]), (name, [code[1]])], at=START)
    assert [each.result for each in login] == [Result.AUTH_ERR, Result.SUCCESS]
    run("usermod", "--login", user.name, name)


def test_two_different_enrollments_stay(user, configure, logins, move):
    old = enroll_in(HOME, user, configure)
    kept = user.home / "kept"
    run("mv", old.directory, kept)
    new = enroll_in(HOST, user, configure, again=True)
    run("mv", kept, old.directory)
    done = twofactor("move", "--user", user.name, "--from", "home", status=REFUSED)
    assert done.stderr.splitlines()[0] == (
        f"twofactor: {old.directory} and {new.directory} are different enrollments"
    )
    assert old.credential.exists() and new.credential.exists()
    assert user.results(logins[HOST], new.authenticator.code_at(START), at=START) == [Result.SUCCESS]


def test_one_directory_under_two_names_is_not_erased(user, configure, move):
    enrolled = enroll_in(HOME, user, configure)
    target = OTHER / str(user.uid)
    target.mkdir(parents=True)
    run("mount", "--bind", enrolled.directory, target)
    try:
        done = move(TEMPLATE, HOME, "--user", user.name, status=REFUSED)
    finally:
        run("umount", target)
    assert "are the same directory" in done.stderr and enrolled.credential.exists()


def test_a_full_disk_leaves_the_enrollment_where_it_was(user, configure, logins, move):
    enrolled = enroll_in(HOME, user, configure)
    OTHER.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=4k,mode=755", "tmpfs", OTHER)
    try:
        done = move(TEMPLATE, HOME, "--user", user.name, status=IO_ERROR)
    finally:
        run("umount", OTHER)
    assert "no space left" in done.stderr.lower()
    assert [path.name for path in user.home.glob(".twofactor*")] == [".twofactor"]
    assert user.results(logins[HOME], enrolled.authenticator.code_at(START), at=START) == [Result.SUCCESS]


def test_an_interrupted_move_does_not_bring_a_disabled_enrollment_back(user, configure, move):
    enrolled = enroll_in(HOME, user, configure)
    run("cp", "-a", enrolled.directory, user.home / ".twofactor.removed-0")
    move(TEMPLATE, HOME, "--user", user.name)
    run("cp", "-a", TEMPLATE.directory(user), user.home / ".twofactor.removed-0")
    run("chown", "-R", f"{user.uid}:{user.gid}", user.home / ".twofactor.removed-0")
    twofactor("disable", "--user", user.name)
    done = move(TEMPLATE, HOME, "--user", user.name, status=REFUSED)
    assert "two-factor was disabled since" in done.stderr and not TEMPLATE.directory(user).exists()


@pytest.mark.parametrize(
    "line",
    [("--from", "home"), ("--from", "home", "--all", "--user", "x"), ("--all",), ("--from", "somewhere", "--all")],
    ids=" ".join,
)
def test_wrong_usage(configure, line):
    configure(HOST)
    assert twofactor("move", *line, status=USAGE).stdout == ""


@pytest.mark.parametrize("place", [HOME, HOST, TEMPLATE], ids=["home", "host", "template"])
def test_the_configured_place_is_no_source(configure, move, place):
    done = move(place, place, "--all", status=USAGE)
    assert done.stderr.startswith(f"twofactor: --from {place.origin} is the configured place\nhint: ")


def test_only_root_moves(user, configure):
    done = user.twofactor("move", "--all", "--from", "home", status=NOT_PERMITTED)
    assert done.stderr.startswith("twofactor: only root may move enrollments\n")
