"""Doctor's findings about account stacks, against logins of users who must enroll but decline."""

import itertools
from pathlib import Path

import pytest
from rig.doctor import doctor
from rig.harness import Result
from rig.pam_oracle import admits
from rig.process import run

AUTH = ("auth requisite pam_unix.so", "auth required pam_twofactor.so enroll=require")
OURS = "account required pam_twofactor.so enroll=require"
UNIX = (
    "account [success=1 new_authtok_reqd=done default=ignore] pam_unix.so", "account requisite pam_deny.so",
    "account required pam_permit.so",
)
LOCAL = "account sufficient pam_localuser.so"

# Account stacks, and whether they let such a user in if the password is valid, and if it has expired.
STACKS = {
    "first": ((OURS, *UNIX), False, False),
    "absent": (UNIX, True, True),
    "last": ((*UNIX, OURS), False, True),
    "after the check of the account": (("account required pam_unix.so", OURS), False, False),
    "in the way of a jump": ((UNIX[0], OURS, *UNIX[1:]), False, True),
    "behind sufficient": ((LOCAL, OURS, *UNIX), True, True),
    "before sufficient": ((OURS, LOCAL, *UNIX), False, False),
    "sufficient": ((OURS.replace("required", "sufficient"), *UNIX), True, True),
    "optional": ((OURS.replace("required", "optional"), *UNIX), True, True),
    "requisite": ((OURS.replace("required", "requisite"), *UNIX), False, False),
    "refusal ignored": ((OURS.replace("required", "[default=ignore]"), *UNIX), True, True),
    "an offer": ((OURS.replace("=require", "=offer"), *UNIX), True, True),
    "no enrollment": ((OURS.replace("=require", "=no"), *UNIX), True, True),
}
NAMES = {"enrollment_bypass", "enrollment_control", "enrollment_options", "pam_account"}


@pytest.fixture
def expired(new_user):
    user = new_user()
    run("chage", "--lastday", "0", user.name)
    return user


def said(root: Path, lines: tuple[str, ...]) -> list[dict]:
    """Doctor's failures about the account stack of a host with this service."""
    (root / "etc/pam.d").mkdir(parents=True)
    (root / "etc/pam.d/login").write_text("".join(line + "\n" for line in lines))
    return [check for check in doctor(root)[1] if check["name"] in NAMES and check["status"] == "failed"]


@pytest.mark.parametrize("what", STACKS)
def test_doctor_names_the_stacks_that_let_in_users_who_should_enroll(what, harness, user, expired, tmp_path):
    accounts, *expected = STACKS[what]
    service = harness.service("enrolling", *AUTH, *accounts)
    # The conversation fails at the first question of the enrollment.
    logins = [each.log_in(service, each.password, account=True) for each in (user, expired)]
    assert {login.result for login in logins} == {Result.SUCCESS}
    assert [admits(login.account) for login in logins] == expected
    assert not any((each.home / ".twofactor").exists() for each in (user, expired))
    failures = said(tmp_path / "host", (*AUTH, *accounts))
    assert bool(failures) == any(expected), failures
    words = " ".join(check["detail"] for check in failures)
    assert ("if their password has expired" in words) == (expected == [False, True] and "jump" not in what), words
