"""A lost or damaged state costs one window of time and the backup codes, and lets no code be used again.

The login that finds the damage is refused and mends it: every step up to the end of the window
counts as used, and every backup code as spent.
"""

import pytest
from rig.clock import START
from rig.endurance import QUIET, run_endurance
from rig.harness import Result


def use_up(harness, enrolled, name):
    code = enrolled.authenticator.code_at(START)
    assert harness.log_in(name, enrolled.user, code, at=START).result == Result.SUCCESS
    return code


def assert_mended(harness, enrolled, name, log, lines=1):
    """What follows damage that a login at START is the first to meet."""
    code = enrolled.authenticator.code_at
    login = harness.log_in(name, enrolled.user, code(START), at=START)
    assert (login.result, login.killed_by) == (Result.AUTHINFO_UNAVAIL, None)
    found = log.of_module(lines)[-1]
    assert found.priority == "authpriv.err"
    assert "reason=corrupt-file" in found.text.split() and "detail=" in found.text
    for steps in (-1, 0, 1):
        login = harness.log_in(name, enrolled.user, code(START, steps=steps), at=START)
        assert login.result == Result.AUTH_ERR, f"step {steps} after the damage"
    later = START + 60
    assert harness.log_in(name, enrolled.user, code(later), at=later).result == Result.SUCCESS
    assert harness.log_in(name, enrolled.user, code(later), at=later).result == Result.AUTH_ERR


def slots_overwritten(content: bytes) -> bytes:
    return b"\xa5" * len(content)


DAMAGES = {
    "empty": lambda content: b"",
    "nul bytes": lambda content: bytes(len(content)),
    "overwritten": slots_overwritten,
    "half": lambda content: content[: len(content) // 2],
    "one byte short": lambda content: content[:-1],
    "one byte more": lambda content: content + b"\0",
    "64 KiB": lambda content: content + bytes(65536 - len(content)),
    "text": lambda content: b"not a state\n" * 40,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_mended_at_the_cost_of_a_window(harness, user, service, log, damage):
    enrolled = user.enroll()
    name = service()
    use_up(harness, enrolled, name)
    enrolled.state.write_bytes(DAMAGES[damage](enrolled.state.read_bytes()))
    assert_mended(harness, enrolled, name, log, lines=2)


def test_a_lost_state_is_mended_at_the_cost_of_a_window(harness, user, service, log):
    enrolled = user.enroll()
    name = service("nullok", then="pam_permit.so")
    use_up(harness, enrolled, name)
    enrolled.state.unlink()
    assert_mended(harness, enrolled, name, log, lines=2)
    found = enrolled.state.stat()
    assert (found.st_mode & 0o7777, found.st_uid, found.st_gid) == (0o600, user.uid, user.gid)


@pytest.mark.seconds(240)
def test_a_state_cut_short_anywhere_lets_nobody_in(harness, endurance, user, service):
    enrolled = user.enroll()
    name = service()
    code = use_up(harness, enrolled, name)
    length = enrolled.state.stat().st_size
    arguments = (harness.services, name, enrolled.user, code, enrolled.state)
    results, _ = run_endurance(endurance, "cut", length, *arguments, under=QUIET)
    assert results == {Result.AUTHINFO_UNAVAIL: length}
    for steps in (-1, 0, 1):
        login = user.log_in(name, enrolled.authenticator.code_at(START, steps=steps), at=START)
        assert login.result == Result.AUTH_ERR
    later = START + 60
    assert user.log_in(name, enrolled.authenticator.code_at(later), at=later).result == Result.SUCCESS


def test_after_damage_no_backup_code_works_until_new_ones_are_made(user, service):
    enrolled = user.enroll(backup_codes=10)
    name = service("max_failures=100")
    assert user.log_in(name, enrolled.backup_codes[0], at=START).result == Result.SUCCESS
    enrolled.state.write_bytes(b"")
    for code in enrolled.backup_codes:
        assert user.log_in(name, code, at=START).result != Result.SUCCESS
    later = START + 3600
    code = enrolled.authenticator.code_at(later)
    assert user.log_in(name, code, at=later).result == Result.SUCCESS


def test_after_damage_a_counter_device_has_to_be_added_again(user, service):
    enrolled = user.enroll("--type", "hotp")
    name = service("max_failures=100")
    code = enrolled.authenticator.code_for_counter
    assert user.log_in(name, code(0), at=START).result == Result.SUCCESS
    enrolled.state.write_bytes(b"")
    for counter in (0, 1, 2, 12):
        assert user.log_in(name, code(counter), at=START).result != Result.SUCCESS
    again = user.enroll("--type", "hotp", again=True)
    login = user.log_in(name, again.authenticator.code_for_counter(0), at=START)
    assert login.result == Result.SUCCESS


def test_a_state_of_an_earlier_enrolment_is_no_state(harness, user, service):
    first = user.enroll()
    name = service()
    use_up(harness, first, name)
    old = first.state.read_bytes()
    second = user.enroll(again=True)
    code = use_up(harness, second, name)
    second.state.write_bytes(old)
    assert user.log_in(name, code, at=START).result == Result.AUTHINFO_UNAVAIL
    assert user.log_in(name, code, at=START).result == Result.AUTH_ERR


def test_a_state_put_back_from_a_copy_is_the_limit_of_what_can_be_known(harness, user, service):
    # Documented, not desired: whoever can write the owner's files can turn its clock back.
    enrolled = user.enroll()
    name = service()
    fresh = enrolled.state.read_bytes()
    code = use_up(harness, enrolled, name)
    enrolled.state.write_bytes(fresh)
    assert user.log_in(name, code, at=START).result == Result.SUCCESS


# Where each of the two copies of each of the two slots begins.
COPIES = ((0, 1024), (4096, 5120))
BITS = 1024 * 8


@pytest.mark.seconds(240)
@pytest.mark.parametrize(
    "changed, expected",
    [
        *[((copy,), Result.AUTH_ERR) for slot in COPIES for copy in slot],
        *[(slot, Result.AUTHINFO_UNAVAIL) for slot in COPIES],
        ((*COPIES[0], *COPIES[1]), Result.AUTHINFO_UNAVAIL),
    ],
    ids=lambda value: "+".join(map(str, value)) if isinstance(value, tuple) else None,
)
def test_each_bit_changed_in_turn_brings_no_code_back(harness, endurance, user, service, changed, expected):
    enrolled = user.enroll(backup_codes=10)
    name = service("max_failures=100", "window=10")
    code = enrolled.authenticator.code_at
    used = [code(START), enrolled.backup_codes[0]]
    # Twice, so that both slots know of both.
    for reply in (*used, code(START, steps=1)):
        assert user.log_in(name, reply, at=START).result == Result.SUCCESS
    # One copy is enough to know everything; where both are damaged, what the slot said is lost.
    results, _ = run_endurance(
        *(endurance, "flip", BITS, harness.services, name, enrolled.user, used[0], enrolled.state, *changed), under=QUIET
    )
    assert results == {expected: BITS}
    # What stands there now was made or kept by the last of these logins.
    for reply in used:
        assert user.log_in(name, reply, at=START).result == Result.AUTH_ERR
    fresh = user.log_in(name, code(START, steps=5), at=START).result
    assert fresh == (Result.SUCCESS if expected == Result.AUTH_ERR else Result.AUTH_ERR), "it costs the window, no more"
    later = START + 11 * 30
    assert user.log_in(name, code(later), at=later).result == Result.SUCCESS
