"""Resource limits that the caller of su(1) sets: they bypass no code, and make no used code valid.

Limits survive the switch to root of a set-user-ID program. With `nullok` and pam_permit, an exemption would be a pass.
"""

import pytest
from rig.clock import START
from rig.harness import Result
from rig.process import run

KIB, MIB = 1 << 10, 1 << 20
LIMITS = {
    "nofile": range(3, 21),
    "fsize": (0, 1, 100, 4095, 4096, 8191, 8192),
    "as": [number * MIB for number in range(2, 12)] + [12 * MIB + number * 64 * KIB for number in range(16)],
    "data": (0, 64 * KIB, 128 * KIB, 256 * KIB, 512 * KIB, MIB, 2 * MIB),
    "stack": (16 * KIB, 32 * KIB, 48 * KIB, 64 * KIB, 128 * KIB, 256 * KIB),
    "nproc": (0, 1),
    "core": (0,),
    "memlock": (0,),
    "sigpending": (0,),
    "locks": (0,),
    "msgqueue": (0,),
    "rttime": (1,),
}


@pytest.fixture
def limited(harness):
    """One login under a limit; its result, or None if the process was terminated."""

    def log_in(limit: str, value: int, service: str, user: str, *answers: str) -> int | None:
        under = ("prlimit", f"--{limit}={value}", "--")
        try:
            logins = harness.run(service, [(user, list(answers))], at=START, under=under, may_die=True, timeout=30)
        except ValueError:
            return None
        return logins[0].result if logins else None

    return log_in


@pytest.mark.parametrize("limit", LIMITS)
def test_no_limit_bypasses_the_code(limited, user, service, limit):
    enrolled = user.enroll(backup_codes=1)
    run("groupadd", "--force", "asked")
    run("usermod", "--append", "--groups", "asked", user.name)
    names = [service(word, "max_failures=100", then="pam_permit.so") for word in ("nullok", "only_groups=asked")]
    wrong = enrolled.authenticator.wrong_code(START)
    results = [limited(limit, value, name, user.name, wrong) for name in names for value in LIMITS[limit]]
    assert not {Result.SUCCESS, Result.PERM_DENIED} & set(results), results


@pytest.mark.parametrize("limit", LIMITS)
def test_a_code_accepted_under_a_limit_is_used(limited, user, service, limit):
    enrolled = user.enroll()
    name = service("window=10")
    fresh = enrolled.state.read_bytes()
    code = enrolled.authenticator.code_at(START)
    passed = 0
    for value in LIMITS[limit]:
        enrolled.state.write_bytes(fresh)
        result = limited(limit, value, name, user.name, code)
        again = user.log_in(name, code, at=START).result
        if result == Result.SUCCESS:
            passed += 1
            assert again == Result.AUTH_ERR, f"accepted twice, {limit} {value}"
        else:
            # A denied code stays valid, unless the process was terminated after it had flushed the state.
            assert again == Result.SUCCESS or (result is None and again == Result.AUTH_ERR), f"{again}, {limit} {value}"
        following = enrolled.authenticator.code_at(START, steps=1)
        assert user.log_in(name, following, at=START).result == Result.SUCCESS
    assert passed or limit in ("rttime", "fsize")
