"""Failures are counted, guesses throttled, and the owner still gets in."""

import pytest
from rig.clock import START
from rig.enrollment import turn_into_scratch_code, twofactor_json
from rig.harness import Result


class Guessing:
    """Guesses at the code of one user, at chosen times."""

    def __init__(self, user, enrolled, service: str) -> None:
        self.user = user
        self.enrolled = enrolled
        self.service = service
        self.now = START

    def answer(self, reply):
        return self.user.log_in(self.service, reply, at=self.now)

    def right(self):
        return self.answer(self.enrolled.authenticator.code_at(self.now))

    def wrong(self):
        return self.answer(self.enrolled.authenticator.wrong_code(self.now))

    def fail(self, times: int) -> None:
        for number in range(times):
            assert self.wrong().result == Result.AUTH_ERR, f"failure {number + 1}"


@pytest.fixture
def guessing(user, service):
    enrolled = user.enroll()
    return Guessing(user, enrolled, service())


def test_after_five_failures_even_the_correct_code_has_to_wait(guessing, log):
    guessing.fail(5)
    login = guessing.right()
    assert (login.result, len(login.prompts)) == (Result.MAXTRIES, 1)
    assert login.messages == ["Too many failed codes. Try again in 30 seconds."]
    last = log.of_module(6)[-1]
    assert last.priority == "authpriv.notice"
    assert last.text.endswith(f"denied user={guessing.enrolled.user} rhost=- reason=throttled retry_after=30")
    guessing.now += 29
    assert guessing.right().result == Result.MAXTRIES
    guessing.now += 2
    assert guessing.right().result == Result.SUCCESS


def test_the_delay_doubles_up_to_fifteen_minutes(guessing):
    guessing.fail(5)
    for wait in (30, 60, 120, 240, 480, 900, 900):
        guessing.now += wait - 1
        assert guessing.wrong().result == Result.MAXTRIES, f"before {wait} s were over"
        guessing.now += 2
        guessing.fail(1)


def test_guesses_during_the_delay_do_not_extend_it(guessing):
    guessing.fail(5)
    for _ in range(10):
        guessing.now += 2
        assert guessing.wrong().result == Result.MAXTRIES
    guessing.now = START + 31
    assert guessing.right().result == Result.SUCCESS


def test_a_success_resets_the_failures(guessing):
    guessing.fail(4)
    assert guessing.right().result == Result.SUCCESS
    guessing.now += 60
    guessing.fail(4)
    assert guessing.right().result == Result.SUCCESS


@pytest.mark.parametrize("limit", [1, 3, 8])
def test_the_number_of_free_failures_is_configurable(user, service, limit):
    enrolled = user.enroll()
    guessing = Guessing(user, enrolled, service(f"max_failures={limit}"))
    guessing.fail(limit)
    assert guessing.right().result == Result.MAXTRIES


def test_reused_codes_malformed_and_empty_replies_do_not_count(guessing):
    assert guessing.right().result == Result.SUCCESS
    used = guessing.enrolled.authenticator.code_at(guessing.now)
    for reply in [used, "letters", ""] * 5:
        assert guessing.answer(reply).result == Result.AUTH_ERR
    guessing.now += 60
    assert guessing.right().result == Result.SUCCESS


def test_a_backup_code_works_during_throttling(user, service):
    enrolled = user.enroll(backup_codes=10)
    guessing = Guessing(user, enrolled, service())
    guessing.fail(5)
    assert guessing.right().result == Result.MAXTRIES
    assert guessing.answer(guessing.enrolled.backup_codes[0]).result == Result.SUCCESS
    assert guessing.answer(guessing.enrolled.backup_codes[0]).result != Result.SUCCESS
    guessing.now += 60
    assert guessing.right().result == Result.SUCCESS


@pytest.mark.seconds(240)
def test_a_hundred_failures_lock_the_devices_until_a_backup_code(user, service, log):
    enrolled = user.enroll(backup_codes=10)
    guessing = Guessing(user, enrolled, service())
    for _ in range(100):
        guessing.fail(1)
        guessing.now += 901
    log.of_module(100)
    guessing.now += 365 * 86400
    login = guessing.right()
    assert login.result == Result.MAXTRIES
    assert "reason=locked" in log.of_module(101)[-1].text.split()
    assert guessing.answer(guessing.enrolled.backup_codes[0]).result == Result.SUCCESS
    guessing.now += 60
    assert guessing.right().result == Result.SUCCESS


def test_guesses_at_once_get_no_more_tries_than_guesses_in_turn(harness, user, service):
    enrolled = user.enroll()
    wrong = enrolled.authenticator.wrong_code(START)
    logins = harness.run(service(), [(user.name, [wrong])], times=30, at_once=True, at=START)
    results = [login.result for login in logins]
    assert (results.count(Result.AUTH_ERR), results.count(Result.MAXTRIES)) == (5, 25)


def test_failures_of_one_user_do_not_throttle_another(guessing, new_user):
    guessing.fail(5)
    user = new_user()
    other = Guessing(user, user.enroll(), guessing.service)
    assert other.right().result == Result.SUCCESS


def test_a_clock_that_was_ahead_does_not_throttle_for_years(guessing):
    guessing.now = START + 20 * 365 * 86400
    guessing.fail(5)
    guessing.now = START
    assert guessing.right().result == Result.MAXTRIES
    guessing.now += 901
    assert guessing.right().result == Result.SUCCESS


SCRATCH = "31415926"


@pytest.fixture
def imported(user, service):
    """A user with one imported scratch code."""
    enrolled = user.enroll(backup_codes=2)
    turn_into_scratch_code(enrolled, SCRATCH)
    return Guessing(user, enrolled, service())


def test_a_scratch_code_works_during_throttling(imported, log):
    imported.fail(5)
    assert imported.right().result == Result.MAXTRIES
    assert imported.answer("27182818").result == Result.MAXTRIES
    login = imported.answer(SCRATCH)
    assert (login.result, login.messages[0][:21]) == (Result.SUCCESS, "1 backup codes left. ")
    assert log.of_module(8)[-1].text.endswith(" method=backup-code backup_codes_left=1")
    assert imported.right().result == Result.SUCCESS


def test_a_scratch_code_ends_a_lockout(harness, imported, service):
    imported.service = service("max_failures=100")
    wrong = imported.enrolled.authenticator.wrong_code(START)
    harness.run(imported.service, [(imported.enrolled.user, [wrong])], times=100, at=START)
    imported.now += 86400
    assert imported.right().result == Result.MAXTRIES
    assert imported.answer(SCRATCH).result == Result.SUCCESS
    assert imported.right().result == Result.SUCCESS


@pytest.mark.seconds(240)
def test_scratch_codes_allow_a_hundred_guesses(harness, imported, log):
    imported.fail(5)
    guesses = [(imported.enrolled.user, [f"{number:08}"]) for number in range(101)]
    assert {login.result for login in harness.run(imported.service, guesses, at=START)} == {Result.MAXTRIES}
    assert imported.answer(SCRATCH).result == Result.MAXTRIES, "guesses of a scratch code are not limited"
    assert log.of_module(107)[-1].text.endswith(" reason=throttled retry_after=30"), "the delay grew"
    assert imported.answer(imported.enrolled.backup_codes[1]).result == Result.SUCCESS
    imported.fail(5)
    harness.run(imported.service, guesses, at=START)
    twofactor_json("unlock", "--user", imported.enrolled.user)
    imported.fail(5)
    assert imported.answer(SCRATCH).result == Result.SUCCESS, "unlock does not reset the guesses"
