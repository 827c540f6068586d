"""Each code is accepted once, in any order, and from any number of sessions."""

import pytest
from rig.clock import START
from rig.harness import Result, count
from rig.tracing import injecting

ROUNDS = 20
SESSIONS = 30


def test_a_code_is_accepted_once_within_its_window(user, service):
    enrolled = user.enroll()
    name = service()
    code = enrolled.authenticator.code_at(START)
    results = [user.log_in(name, code, at=START + late).result for late in (0, 1, 29, 31, 59)]
    assert results == [Result.SUCCESS] + [Result.AUTH_ERR] * 4


def test_an_older_code_is_rejected_after_a_newer_one(user, service):
    enrolled = user.enroll()
    name = service("window=3")
    code = enrolled.authenticator.code_at
    assert user.log_in(name, code(START, steps=1), at=START).result == Result.SUCCESS
    for steps in (1, 0, -1, -2, -3):
        assert user.log_in(name, code(START, steps=steps), at=START).result == Result.AUTH_ERR
    assert user.log_in(name, code(START, steps=2), at=START).result == Result.SUCCESS


def test_a_code_used_in_one_service_is_used_in_all(user, service):
    enrolled = user.enroll()
    code = enrolled.authenticator.code_at(START)
    assert user.log_in(service(), code, at=START).result == Result.SUCCESS
    assert user.log_in(service("window=10"), code, at=START).result == Result.AUTH_ERR


@pytest.mark.seconds(300)
def test_one_of_many_sessions_with_one_code_is_accepted(harness, user, service, log):
    enrolled = user.enroll()
    name = service()
    for number in range(ROUNDS):
        now = START + 90 * number
        code = enrolled.authenticator.code_at(now)
        logins = harness.run(name, [(user.name, [code])], times=SESSIONS, at_once=True, at=now)
        assert count(logins, Result.SUCCESS) == 1, f"round {number}: {[login.result for login in logins]}"
        assert count(logins, Result.AUTH_ERR) == SESSIONS - 1
    texts = [message.text for message in log.of_module(ROUNDS * SESSIONS, patience=20)]
    assert sum(": accepted " in text for text in texts) == ROUNDS
    assert sum(text.endswith("reason=reused-code") for text in texts) == ROUNDS * (SESSIONS - 1)


@pytest.mark.seconds(600)
def test_one_of_many_sessions_with_one_backup_code_is_accepted(harness, user, service):
    enrolled = user.enroll(backup_codes=ROUNDS)
    name = service()
    for number, code in enumerate(enrolled.backup_codes):
        now = START + 3600 * number
        logins = harness.run(name, [(user.name, [code])], times=SESSIONS, at_once=True, at=now, timeout=120)
        assert count(logins, Result.SUCCESS) == 1, f"round {number}: {[login.result for login in logins]}"


def test_one_of_many_sessions_with_one_counter_code_is_accepted(harness, user, service):
    enrolled = user.enroll("--type", "hotp")
    name = service()
    for counter in range(5):
        code = enrolled.authenticator.code_for_counter(counter)
        logins = harness.run(name, [(user.name, [code])], times=SESSIONS, at_once=True, at=START + counter)
        assert count(logins, Result.SUCCESS) == 1, [login.result for login in logins]


def test_a_code_and_a_backup_code_at_once_are_both_accepted(harness, user, service):
    enrolled = user.enroll(backup_codes=10)
    code = enrolled.authenticator.code_at(START)
    pair = [(user.name, [code]), (user.name, [enrolled.backup_codes[0]])]
    logins = harness.run(service(), pair, times=10, at_once=True, at=START)
    assert [count(logins[which::2], Result.SUCCESS) for which in (0, 1)] == [1, 1]


SLOW_DISK = injecting("pwrite64", "delay_enter=100000")


@pytest.mark.parametrize("kind", ["code", "backup code", "counter code"])
def test_a_slow_disk_opens_no_gap_between_check_and_update(harness, user, service, kind):
    # Each write is delayed by 0.1 s: without the lock, others would read the old state.
    enrolled = user.enroll("--type", "hotp" if kind == "counter code" else "totp", backup_codes=1)
    codes = {
        "code": enrolled.authenticator.code_at(START),
        "backup code": enrolled.backup_codes[0],
        "counter code": enrolled.authenticator.code_for_counter(0),
    }
    logins = harness.run(
        service(), [(user.name, [codes[kind]])], times=SESSIONS, at_once=True, at=START, under=SLOW_DISK
    )
    assert count(logins, Result.SUCCESS) == 1, [login.result for login in logins]


@pytest.mark.seconds(180)
def test_users_who_log_in_at_once_do_not_block_each_other(harness, new_user, service):
    enrollments = [new_user().enroll() for _ in range(12)]
    name = service()
    for number in range(5):
        now = START + 90 * number
        pairs = [(enrolled.user, [enrolled.authenticator.code_at(now)]) for enrolled in enrollments]
        logins = harness.run(name, pairs, at_once=True, at=now)
        assert [login.result for login in logins] == [Result.SUCCESS] * 12
