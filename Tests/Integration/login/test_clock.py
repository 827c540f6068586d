"""The window, wrong clocks, clocks set back, and the years in which counters of seconds overflow."""

import pytest
from rig.clock import START
from rig.harness import Result


@pytest.mark.parametrize("window", [0, 1, 2, 3])
@pytest.mark.parametrize("steps", range(-3, 4))
def test_a_code_is_accepted_only_within_the_window(user, service, log, window, steps):
    enrolled = user.enroll()
    now = START + 17
    code = enrolled.authenticator.code_at(now, steps=steps)
    login = user.log_in(service(f"window={window}"), code, at=now)
    within = abs(steps) <= window
    assert login.result == (Result.SUCCESS if within else Result.AUTH_ERR)
    if not within:
        (message,) = log.of_module(1)
        assert {"reason=outside-window", f"offset_steps={steps}"} <= set(message.text.split())


@pytest.mark.parametrize("steps, accepted", [(-11, False), (-10, True), (-4, True), (7, True), (10, True), (11, False)])
def test_the_widest_window_ends_at_ten_steps(user, service, steps, accepted):
    enrolled = user.enroll()
    code = enrolled.authenticator.code_at(START, steps=steps)
    login = user.log_in(service("window=10"), code, at=START)
    assert (login.result == Result.SUCCESS) == accepted


@pytest.mark.parametrize("second, steps, accepted", [(0, -1, True), (29, 1, True), (0, -2, False), (29, 2, False)])
def test_time_steps_begin_and_end_on_the_second(user, service, second, steps, accepted):
    enrolled = user.enroll()
    now = START + second
    login = user.log_in(service(), enrolled.authenticator.code_at(now, steps=steps), at=now)
    assert (login.result == Result.SUCCESS) == accepted


def test_a_clock_set_back_makes_no_used_code_valid(user, service):
    enrolled = user.enroll()
    name = service()
    code = enrolled.authenticator.code_at
    assert user.log_in(name, code(START), at=START).result == Result.SUCCESS
    for back in (30, 60, 300, 86400, 20 * 365 * 86400):
        login = user.log_in(name, code(START - back), at=START - back)
        assert login.result == Result.AUTH_ERR, f"{back} s back"
    assert user.log_in(name, code(START), at=START).result == Result.AUTH_ERR
    assert user.log_in(name, code(START + 30), at=START + 30).result == Result.SUCCESS


@pytest.mark.parametrize("overflow", [1 << 31, 1 << 32], ids=["2038", "2106"])
def test_codes_work_when_a_counter_of_seconds_overflows(user, service, overflow):
    enrolled = user.enroll()
    name = service()
    code = enrolled.authenticator.code_at
    for moment in (overflow - 61, overflow - 1, overflow + 59, overflow + 86400):
        assert user.log_in(name, code(moment), at=moment).result == Result.SUCCESS
        assert user.log_in(name, code(moment), at=moment).result == Result.AUTH_ERR


def test_codes_before_and_after_2038_keep_their_order(user, service):
    enrolled = user.enroll()
    name = service("window=3")
    moment = 1 << 31
    code = enrolled.authenticator.code_at
    assert user.log_in(name, code(moment, steps=1), at=moment).result == Result.SUCCESS
    assert user.log_in(name, code(moment, steps=-1), at=moment).result == Result.AUTH_ERR


@pytest.mark.parametrize("moment", [59, 1_111_111_109])
def test_codes_work_in_1970(user, service, moment):
    # A machine without a clock battery starts in 1970; the first time step has no predecessor.
    enrolled = user.enroll()
    code = enrolled.authenticator.code_at(moment)
    login = user.log_in(service("window=10"), code, at=moment)
    assert (login.result, login.killed_by) == (Result.SUCCESS, None)
