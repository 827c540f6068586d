"""A lost or damaged state costs one window and the backup codes, and makes no used code valid.

The login that finds the damage is denied and repairs it: every time step up to the end of the window counts as used,
and every backup code as spent.
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
    """Checks the logins after damage that a login at START finds first."""
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
def test_damage_is_repaired_at_the_cost_of_one_window(harness, user, service, log, damage):
    enrolled = user.enroll()
    name = service()
    use_up(harness, enrolled, name)
    enrolled.state.write_bytes(DAMAGES[damage](enrolled.state.read_bytes()))
    assert_mended(harness, enrolled, name, log, lines=2)


def test_a_lost_state_is_repaired_at_the_cost_of_one_window(harness, user, service, log):
    enrolled = user.enroll()
    name = service("nullok", then="pam_permit.so")
    use_up(harness, enrolled, name)
    enrolled.state.unlink()
    assert_mended(harness, enrolled, name, log, lines=2)
    found = enrolled.state.stat()
    assert (found.st_mode & 0o7777, found.st_uid, found.st_gid) == (0o600, user.uid, user.gid)


@pytest.mark.seconds(240)
def test_a_truncated_state_accepts_no_code(harness, endurance, user, service):
    enrolled = user.enroll()
    name = service()
    code = use_up(harness, enrolled, name)
    length = enrolled.state.stat().st_size
    arguments = (harness.services, name, user.name, code, enrolled.state)
    results, _ = run_endurance(endurance, "cut", length, *arguments, under=QUIET)
    assert results == {Result.AUTHINFO_UNAVAIL: length}
    for steps in (-1, 0, 1):
        login = user.log_in(name, enrolled.authenticator.code_at(START, steps=steps), at=START)
        assert login.result == Result.AUTH_ERR
    later = START + 60
    assert user.log_in(name, enrolled.authenticator.code_at(later), at=later).result == Result.SUCCESS


def test_after_damage_backup_codes_are_spent(user, service):
    enrolled = user.enroll(backup_codes=10)
    name = service("max_failures=100")
    assert user.log_in(name, enrolled.backup_codes[0], at=START).result == Result.SUCCESS
    enrolled.state.write_bytes(b"")
    for code in enrolled.backup_codes:
        assert user.log_in(name, code, at=START).result != Result.SUCCESS
    later = START + 3600
    code = enrolled.authenticator.code_at(later)
    assert user.log_in(name, code, at=later).result == Result.SUCCESS


def test_after_damage_a_counter_device_must_be_added_again(user, service):
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


def test_a_state_of_an_earlier_enrollment_is_rejected(harness, user, service):
    first = user.enroll()
    name = service()
    use_up(harness, first, name)
    old = first.state.read_bytes()
    second = user.enroll(again=True)
    code = use_up(harness, second, name)
    second.state.write_bytes(old)
    assert user.log_in(name, code, at=START).result == Result.AUTHINFO_UNAVAIL
    assert user.log_in(name, code, at=START).result == Result.AUTH_ERR


def test_a_state_restored_from_a_copy_is_accepted(harness, user, service):
    # A documented limit: who can write the owner's files can restore an old state.
    enrolled = user.enroll()
    name = service()
    fresh = enrolled.state.read_bytes()
    code = use_up(harness, enrolled, name)
    enrolled.state.write_bytes(fresh)
    assert user.log_in(name, code, at=START).result == Result.SUCCESS


# The offsets of both copies in each of the two slots.
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
def test_a_changed_bit_makes_no_used_code_valid(harness, endurance, user, service, changed, expected):
    enrolled = user.enroll(backup_codes=10)
    name = service("max_failures=100", "window=10")
    code = enrolled.authenticator.code_at
    used = [code(START), enrolled.backup_codes[0]]
    # Two more logins, so that both slots contain both used codes.
    for reply in (*used, code(START, steps=1)):
        assert user.log_in(name, reply, at=START).result == Result.SUCCESS
    # One copy is enough. If both copies are damaged, the slot is lost.
    results, _ = run_endurance(
        *(endurance, "flip", BITS, harness.services, name, user.name, used[0], enrolled.state, *changed), under=QUIET
    )
    assert results == {expected: BITS}
    # The last of these logins kept or repaired the current state.
    for reply in used:
        assert user.log_in(name, reply, at=START).result == Result.AUTH_ERR
    fresh = user.log_in(name, code(START, steps=5), at=START).result
    still_valid = expected == Result.AUTH_ERR
    assert fresh == (Result.SUCCESS if still_valid else Result.AUTH_ERR), "it costs more or less than a window"
    later = START + 11 * 30
    assert user.log_in(name, code(later), at=later).result == Result.SUCCESS
