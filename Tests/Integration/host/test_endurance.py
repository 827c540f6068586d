"""The module in a long-lived host: loaded repeatedly, used by threads, forked, and never growing."""

import pytest
from rig import machine
from rig.clock import START
from rig.endurance import QUIET, run_endurance
from rig.harness import Result


def assert_flat(memory) -> str:
    """Memory after the first tenth equals memory at the end, except for a few pages of the allocator."""
    (own, mapped), (own_later, mapped_later) = memory
    text = f"{own} kB of its own and {mapped} kB mapped after a tenth, {own_later} and {mapped_later} kB at the end"
    assert own_later - own <= 32 and mapped_later - mapped <= 16, text
    return text


def test_a_thousand_loads_and_unloads_leak_nothing(endurance):
    _, memory = run_endurance(endurance, "cycles", 1000, machine.modules_directory() / "pam_twofactor.so")
    assert_flat(memory)


def test_eight_threads_with_two_handles_each_get_their_results(endurance, harness, user, service):
    enrolled = user.enroll()
    name = service("max_failures=100")
    right = enrolled.authenticator.code_at(START)
    results, _ = run_endurance(endurance, "threads", 20, harness.services, name, user.name, right)
    assert results == {Result.SUCCESS: 1, Result.AUTH_ERR: 8 * 2 * 20 - 1}


@pytest.mark.seconds(240)
@pytest.mark.parametrize(
    "kind", ["right code", "wrong code", "used code", "locked", "malformed", "backup code", "unknown"]
)
def test_ten_thousand_logins_do_not_grow_the_process(endurance, harness, user, service, kind, figure):
    enrolled = user.enroll(backup_codes=10)
    name = service("max_failures=100")
    code, wrong = enrolled.authenticator.code_at(START), enrolled.authenticator.wrong_code(START)
    if kind == "used code":
        assert user.log_in(name, code, at=START).result == Result.SUCCESS
    answer, expected = {
        "right code": (code, Result.SUCCESS),
        "wrong code": (wrong, Result.AUTH_ERR),
        "used code": (code, Result.AUTH_ERR),
        "locked": (wrong, Result.MAXTRIES),
        "malformed": ("letters", Result.AUTH_ERR),
        "backup code": (enrolled.backup_codes[0], Result.SUCCESS),
        "unknown": (code, Result.AUTH_ERR),
    }[kind]
    # Each login hashes; two hundred take five seconds.
    times = 200 if kind == "backup code" else 10_000
    user = "no-such-user" if kind == "unknown" else user.name
    # The state is restored before each login, so that every login has the same result.
    state = () if kind in ("locked", "unknown") else (enrolled.state,)
    results, memory = run_endurance(
        endurance, "repeat", times, harness.services, name, user, answer, *state, under=QUIET
    )
    if kind == "locked":
        assert results == {Result.AUTH_ERR: 100, Result.MAXTRIES: times - 100}
    else:
        assert results == {expected: times}
    figure(f"{times} logins of one process, {kind}: {assert_flat(memory)}")


def test_valgrind_finds_no_error_and_no_leak(endurance, harness, user, service, tmp_path):
    enrolled = user.enroll(backup_codes=1)
    name = service()
    report = tmp_path / "valgrind"
    valgrind = (
        *("valgrind", "-q", "--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=definite,indirect"),
        *("--track-fds=no", f"--log-file={report}"),
    )
    code = enrolled.authenticator.code_at(START)
    for answer, expected in (
        (code, Result.SUCCESS),
        (code, Result.AUTH_ERR),
        (enrolled.authenticator.wrong_code(START), Result.AUTH_ERR),
        (enrolled.backup_codes[0], Result.SUCCESS),
        ("letters", Result.AUTH_ERR),
    ):
        results, _ = run_endurance(endurance, "repeat", 1, harness.services, name, user.name, answer, under=valgrind)
        assert results == {expected: 1}
        # Valgrind 3.19 does not know openat2(2), and says so between dashes.
        assert not [line for line in report.read_text().splitlines() if not line.startswith("--")]
