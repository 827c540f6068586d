"""Concurrent logins: one code admits one of them, whatever else runs, and no login waits long."""

import concurrent.futures
import contextlib
import os
import signal
import statistics
import subprocess
import threading
import time
from pathlib import Path

import pytest
from rig.clock import START, standing_at, time_to_type
from rig.enrollment import twofactor_json
from rig.harness import Result, count
from rig.helper import (
    ask, ask_at_once, change, check, credential, device_line, enroll_through_helper, parse, show, start,
)
from rig.one_time_password import Authenticator
from rig.tracing import injecting

SESSIONS = 300


@pytest.mark.seconds(240)
@pytest.mark.parametrize("kind", ["code", "backup code"])
def test_one_of_three_hundred_sessions_with_one_code_is_accepted(harness, user, service, kind):
    enrolled = user.enroll(backup_codes=1)
    code = enrolled.authenticator.code_at(START) if kind == "code" else enrolled.backup_codes[0]
    logins = harness.run(service(), [(user.name, [code])], times=SESSIONS, at_once=True, at=START, timeout=200)
    assert (count(logins, Result.SUCCESS), count(logins, Result.AUTH_ERR)) == (1, SESSIONS - 1)


@pytest.mark.seconds(240)
def test_two_hundred_users_at_once_all_get_in_quickly(harness, new_user, service, figure):
    enrollments = [new_user().enroll() for _ in range(200)]
    pairs = [(enrolled.user, [enrolled.authenticator.code_at(START)]) for enrolled in enrollments]
    logins = harness.run(service(), pairs, at_once=True, at=START)
    assert [login.result for login in logins] == [Result.SUCCESS] * 200
    taken = sorted(login.microseconds for login in logins)
    median = statistics.median(taken)
    figure(f"200 users at once: median {median / 1000:.1f} ms, slowest {taken[-1] / 1000:.1f} ms")
    # All flush one disk; the bound allows for a slow moment of the machine.
    assert taken[-1] <= max(10 * median, 500_000), taken[-5:]


@pytest.mark.seconds(400)
@pytest.mark.parametrize("kind", ["code", "backup code"])
def test_one_of_three_hundred_sessions_of_module_and_helper_is_accepted(
    harness, user, service, host_store, host_configuration, tmp_path, kind, figure
):
    """Half of them through the module as root, half through the helper as the user, with the real clock."""
    host_configuration("store = host", "window = 10", "max_failures = 100")
    name, half = service(), SESSIONS // 2
    rounds, half = (20, half) if kind == "code" else (4, 30)
    enrolled = enroll_through_helper(user, backup_codes=rounds)
    through_helper = 0
    for number in range(rounds):
        if kind == "code":
            # Each round starts with an unused code, of another key.
            ticket = enrolled.check(enrolled.code(steps=9)).ticket
            enrolled = enroll_through_helper(user, ticket=ticket)
        code = enrolled.code() if kind == "code" else enrolled.backup_codes[number]
        gate = tmp_path / f"gate{number}"
        asked = gate.with_suffix(".asked")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            logins = pool.submit(
                harness.run, name, [(user.name, [code])], times=half, at_once=True, awaited=gate, timeout=200
            )
            while not asked.exists():
                assert not logins.done()
                time.sleep(0.01)
            answers = ask_at_once(user, [check(code)] * half, gate, before_gate=number % 4 * 2)
            results = logins.result()
        accepted = [answer.status for answer in answers].count("done")
        assert {answer.status for answer in answers} <= {"done", "refused"}
        assert {answer.checked.refusal for answer in answers} <= {"", "reused-code", "reused-backup-code"}
        assert {login.result for login in results} <= {Result.SUCCESS, Result.AUTH_ERR}
        assert accepted + count(results, Result.SUCCESS) == 1, (number, accepted)
        through_helper += accepted
    figure(f"{kind}: {through_helper} of {rounds} crowds were won by the helper")


def test_twelve_users_at_once_all_get_in_through_the_helper(new_user, host_store):
    time_to_type()
    enrollments = [enroll_through_helper(new_user()) for _ in range(12)]
    for steps in (0, 1):
        helpers = [(start(enrolled.user), enrolled.code(steps)) for enrolled in enrollments]
        for helper, code in helpers:
            helper.stdin.write(check(code))
            helper.stdin.flush()
        for helper, _ in helpers:
            assert parse(helper.communicate()[0], helper.returncode).status == "done"


def test_one_of_many_changes_at_once_is_made(user, host_store):
    """First enrollments, replacements with one ticket, and checks during a replacement."""
    time_to_type()
    keys = [Authenticator(bytes([number] * 20)) for number in range(1, 21)]
    changes = [credential(device_line(key)) for key in keys]
    answers = ask_at_once(user, [change(text) for text in changes])
    made = [number for number, answer in enumerate(answers) if answer.status == "done"]
    assert len(made) == 1 and {answer.status for answer in answers} <= {"done", "failed", "no ticket"}
    assert [path.name for path in host_store.iterdir()] == [str(user.uid)]
    for _ in range(5):
        key = keys[made[0]]
        ticket = ask(user, check(key.code_at(time.time()))).ticket
        others = [number for number in range(20) if number != made[0]]
        following = check(key.code_at(time.time(), steps=1))
        answers = ask_at_once(user, [*(change(changes[number], ticket) for number in others[:9]), following])
        assert [answer.status for answer in answers[:9]].count("done") == 1
        assert {answer.status for answer in answers[:9]} == {"done", "no ticket"}
        made = [others[number] for number in range(9) if answers[number].status == "done"]
        # A ticket that was given for the old credential, after the change, is void.
        if answers[9].status == "done":
            assert ask(user, show(answers[9].ticket)).status == "no ticket"


CHANGES = {
    "backup-codes": ("backup-codes",),
    "enable --force": ("enable", "--force", "--no-confirm", "--yes"),
    "disable": ("disable",),
}


def after(seconds: float, *arguments: str) -> threading.Timer:
    """Runs the setup command after a delay; `join` waits for its end."""
    timer = threading.Timer(seconds, twofactor_json, arguments)
    timer.start()
    return timer


@pytest.mark.seconds(240)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", ["code", "backup code"])
def test_a_code_during_a_change_is_accepted_once_and_not_after_it(harness, user, service, change, kind):
    name = service("max_failures=100")
    accepted = []
    for number in range(5):
        enrolled = user.enroll(backup_codes=1, again=number > 0 and change != "disable")
        code = enrolled.authenticator.code_at(START) if kind == "code" else enrolled.backup_codes[0]
        # Each round starts the change later: before, between and after the sessions.
        changing = after(0.04 * number, *CHANGES[change], "--user", user.name)
        # Three hundred yescrypt hashes would take nine seconds a round.
        times = SESSIONS if kind == "code" else 30
        logins = harness.run(name, [(user.name, [code])], times=times, at_once=True, at=START)
        changing.join()
        assert {login.result for login in logins} <= {Result.SUCCESS, Result.AUTH_ERR}, change
        assert count(logins, Result.SUCCESS) <= 1
        accepted.append(count(logins, Result.SUCCESS))
        # New backup codes leave an unused code of a device valid.
        lives_on = (change, kind) == ("backup-codes", "code") and not accepted[-1]
        late = user.log_in(name, code, at=START).result
        assert late == (Result.SUCCESS if lives_on else Result.AUTH_ERR)
        if change == "disable":
            assert not enrolled.directory.exists()


def test_a_code_of_a_removed_device_is_rejected_at_once(harness, user, service):
    enrolled = user.enroll()
    name = service("window=10")
    for number in range(5):
        other = user.add_device("other").authenticator
        assert user.log_in(name, other.code_at(START, steps=-1), at=START).result == Result.SUCCESS
        removing = after(0.04 * number, "device", "remove", "other", "--user", user.name)
        code = other.code_at(START)
        logins = harness.run(name, [(user.name, [code])], times=SESSIONS, at_once=True, at=START)
        removing.join()
        assert {login.result for login in logins} <= {Result.SUCCESS, Result.AUTH_ERR, Result.MAXTRIES}
        assert count(logins, Result.SUCCESS) <= 1
        twofactor_json("unlock", "--user", user.name)
        for steps in (0, 1, 2):
            code = other.code_at(START, steps=steps)
            assert user.log_in(name, code, at=START).result == Result.AUTH_ERR
        code = enrolled.authenticator.code_at(START, steps=number)
        assert user.log_in(name, code, at=START).result == Result.SUCCESS


# The change, and whether a code of the first device is valid afterwards.
WHILE_ASKED = {
    ("backup-codes",): True,
    ("enable", "--force", "--no-confirm", "--yes"): False,
    ("device", "remove", "phone"): False,
    ("disable",): False,
}


@pytest.mark.parametrize("change", WHILE_ASKED, ids=lambda change: " ".join(change[:2]))
def test_a_change_during_the_prompt_decides_the_login(harness, user, service, tmp_path, change):
    enrolled = user.enroll(backup_codes=1)
    other = user.add_device("other").authenticator
    name = service()
    replies = {
        enrolled.authenticator.code_at(START): WHILE_ASKED[change],
        enrolled.backup_codes[0]: change[0] == "device",
        other.code_at(START): change[0] in ("device", "backup-codes"),
    }
    for number, reply in enumerate(replies):
        gate = tmp_path / f"gate{number}"
        asked = gate.with_suffix(".asked")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            login = pool.submit(harness.log_in, name, user.name, reply, at=START, awaited=gate)
            while not asked.exists():
                assert not login.done()
                time.sleep(0.01)
            if number == 0:
                twofactor_json(*change, "--user", user.name)
            gate.touch()
            accepted = login.result().result == Result.SUCCESS
        assert accepted == replies[reply], f"the {('code', 'backup code', 'code of the other device')[number]}"


# Takes the lock as a login does, reports it, and keeps it.
HOLDER = """
import fcntl, os, struct, sys, time
file = os.open(sys.argv[1], os.O_RDWR)
F_OFD_SETLKW = 38
fcntl.fcntl(file, F_OFD_SETLKW, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
print("held", flush=True)
time.sleep(120)
"""


@contextlib.contextmanager
def holder_of_the_lock(path: Path):
    process = subprocess.Popen(["python3", "-c", HOLDER, path], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_stopped_lock_holder_costs_ten_seconds_and_a_killed_one_nothing(harness, user, service, log):
    enrolled = user.enroll()
    name = service("nullok", then="pam_permit.so")
    code = enrolled.authenticator.code_at(START)
    with holder_of_the_lock(enrolled.state) as holder:
        os.kill(holder.pid, signal.SIGSTOP)
        began = time.monotonic()
        logins = harness.run(name, [(user.name, [code])], times=20, at_once=True, at=START, timeout=60)
        taken = time.monotonic() - began
        assert {login.result for login in logins} == {Result.AUTHINFO_UNAVAIL}
        assert 9 < taken < 15, f"{taken:.1f} s"
        texts = [message.text for message in log.of_module(20)]
        assert len(texts) == 20
        assert all('reason=io-error detail="state: timed out waiting for the lock"' in text for text in texts), texts[0]

        # A waiting login continues when the holder dies, stopped or not.
        killing = threading.Timer(1.0, holder.kill)
        killing.start()
        began = time.monotonic()
        login = user.log_in(name, code, at=START)
        taken = time.monotonic() - began
        killing.join()
    assert login.result == Result.SUCCESS and 0.9 < taken < 3, f"{login.result} after {taken:.1f} s"


def test_a_stopped_lock_holder_does_not_block_reading_subcommands(user):
    user.enroll(backup_codes=1)
    with holder_of_the_lock(user.directory / "state") as holder:
        os.kill(holder.pid, signal.SIGSTOP)
        began = time.monotonic()
        for arguments in (("status",), ("device", "list"), ("users",)):
            answer = twofactor_json(*arguments, "--user", user.name)
            assert (answer["users"][0] if arguments == ("users",) else answer)["backup_codes_left"] == 1
        # An unreadable state blocks nothing either, and root leaves it unchanged.
        (user.directory / "state").write_bytes(b"")
        (entry,) = twofactor_json("users", "--user", user.name)["users"]
        assert entry["enabled"] is None and "state" in entry["error"]
        assert (user.directory / "state").read_bytes() == b""
        # Each wait would take ten seconds.
        assert time.monotonic() - began < 9, "a subcommand waited"


def test_status_during_three_hundred_logins_is_correct(harness, user, service):
    enrolled = user.enroll()
    code = enrolled.authenticator.code_at(START)
    arguments = (service(), [(user.name, [code])])
    options = dict(times=SESSIONS, at_once=True, at=START)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        logins = pool.submit(harness.run, *arguments, **options)
        seen = []
        while not logins.done():
            seen.append(twofactor_json("status", "--user", user.name)["devices"][0]["last_used_at"])
    assert count(logins.result(), Result.SUCCESS) == 1 and seen
    used = twofactor_json("status", "--user", user.name)["devices"][0]["last_used_at"]
    # A use that was visible once stays visible.
    assert seen == sorted(seen, key=lambda at: at is not None) and set(seen) <= {None, used}


def test_a_login_stopped_in_its_update_blocks_others_until_it_is_killed(harness, user, service, tmp_path):
    enrolled = user.enroll()
    name = service("window=10")
    script = f"user {user.name.encode().hex()}\ntext {enrolled.authenticator.code_at(START).encode().hex()}\n"
    stop = injecting("pwrite64", "signal=SIGSTOP:when=1")
    stopped = subprocess.Popen(
        [*stop, harness.program, harness.services, name],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **standing_at(START)}, start_new_session=True,
    )
    stopped.stdin.write(script.encode())
    stopped.stdin.close()
    time.sleep(1)
    following = enrolled.authenticator.code_at(START, steps=1)
    killing = threading.Timer(1.0, lambda: os.killpg(stopped.pid, signal.SIGKILL))
    killing.start()
    began = time.monotonic()
    login = user.log_in(name, following, at=START)
    taken = time.monotonic() - began
    killing.join()
    assert (stopped.wait(), stopped.stdout.read()) == (-signal.SIGKILL, b"")
    assert login.result == Result.SUCCESS and taken > 0.5, "the stopped login did not hold the lock"
    assert user.log_in(name, following, at=START).result == Result.AUTH_ERR
