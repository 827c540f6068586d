"""Programs that are not root check codes in the host store through twofactor-helper."""

import re
import secrets
import shutil
import syslog
import time
from pathlib import Path

import pytest
from rig.clock import time_to_type
from rig.enrollment import Enrollment
from rig.harness import Result
from rig.machine import HELPER, PRODUCT
from rig.process import run
from rig.register import REGISTER, registered

UNLOCKED, REFUSED, UNAVAILABLE = Result.SUCCESS, Result.AUTH_ERR, Result.AUTHINFO_UNAVAIL


def enroll(user, *, backup_codes: int = 0, options: tuple[str, ...] = ()) -> Enrollment:
    """Enrolls a user as root, in the host store."""
    enrolled = user.enroll(*options, backup_codes=backup_codes)
    assert str(enrolled.directory) == f"/var/lib/twofactor/users/{user.uid}"
    return enrolled


def code(enrolled, steps: int = 0) -> str:
    return enrolled.authenticator.code_at(time_to_type(), steps=steps)


@pytest.fixture
def as_user(harness, user):
    """Runs the harness, a program that calls libpam, as the user."""
    return harness.running_as(user)


def outcome(log) -> str:
    """The last log line of the module."""
    mark = secrets.token_hex(8)
    syslog.syslog(syslog.LOG_INFO, mark)
    log.line_with(mark)
    return log.of_module()[-1].text.partition(":auth): ")[2]


def test_codes_are_accepted_once(host_store, user, service, as_user, log):
    enrolled = enroll(user)
    name, right = service(), code(enrolled)
    assert user.log_in(name, right, under=as_user).result == UNLOCKED
    assert outcome(log) == f"accepted user={user.name} rhost=- method=totp device={enrolled.device}"
    again = user.log_in(name, right, under=as_user)
    assert again.result == REFUSED
    assert again.messages == ["This code was already used. Wait for the next one."]
    assert outcome(log) == f"denied user={user.name} rhost=- reason=reused-code"
    # Root's module reads the same state.
    assert user.log_in(name, right).result == REFUSED
    assert user.log_in(name, code(enrolled, 1)).result == UNLOCKED
    assert user.log_in(name, code(enrolled, 1), under=as_user).result == REFUSED


def test_an_accepted_code_registers_the_user(host_store, user, service, as_user):
    enrolled = enroll(user)
    (REGISTER / str(user.uid)).unlink(missing_ok=True)
    assert user.log_in(service(), code(enrolled), under=as_user).result == UNLOCKED
    assert registered() == [user.uid]


def test_counters_and_backup_codes_are_accepted_once(host_store, user, service, as_user, log):
    enrolled = enroll(user, backup_codes=2)
    name = service()
    first = user.log_in(name, enrolled.backup_codes[0].lower(), under=as_user)
    assert first.result == UNLOCKED
    assert first.messages == ["1 backup codes left. Create new ones with: twofactor backup-codes"]
    assert outcome(log) == f"accepted user={user.name} rhost=- method=backup-code backup_codes_left=1"
    assert user.log_in(name, enrolled.backup_codes[0], under=as_user).messages == [
        "This backup code was already used. Use another one."
    ]
    told = user.log_in(name, code(enrolled), under=as_user)
    assert told.result == UNLOCKED and told.messages[0].startswith("A backup code was used on ")


def test_hotp(host_store, user, service, as_user, log):
    enrolled = enroll(user, options=("--type", "hotp"))
    name, codes = service(), [enrolled.authenticator.code_for_counter(counter) for counter in (0, 3)]
    assert user.log_in(name, codes[1], under=as_user).result == UNLOCKED
    assert outcome(log) == f"accepted user={user.name} rhost=- method=hotp device={enrolled.device}"
    assert user.log_in(name, codes[0], under=as_user).result == REFUSED


def test_wrong_codes_are_counted_and_throttled(host_store, host_configuration, user, service, as_user, log):
    host_configuration("store = host", "max_failures = 2")
    enrolled = enroll(user, backup_codes=1)
    name, wrong = service(), enrolled.authenticator.wrong_code(time.time())
    for number in (1, 2):
        assert user.log_in(name, wrong, under=as_user).result == REFUSED
        assert outcome(log) == f"denied user={user.name} rhost=- reason=wrong-code failures={number}"
    throttled = user.log_in(name, code(enrolled), under=as_user)
    assert throttled.result == Result.MAXTRIES
    assert re.fullmatch(r"Too many failed codes\. Try again in \d+ seconds\.", throttled.messages[0])
    assert re.fullmatch(rf"denied user={user.name} rhost=- reason=throttled retry_after=\d+", outcome(log))
    assert user.log_in(name, code(enrolled)).result == Result.MAXTRIES
    assert user.log_in(name, enrolled.backup_codes[0], under=as_user).result == UNLOCKED


def test_replies_that_are_no_code_are_refused_without_counting(host_store, user, service, as_user, log):
    enrolled = enroll(user)
    name = service()
    for reply, reason in (("", "no-reply"), ("letters", "malformed-reply"), ("1234567", "malformed-reply")):
        assert user.log_in(name, reply, under=as_user).result == REFUSED
        assert outcome(log) == f"denied user={user.name} rhost=- reason={reason}"
    wrong = enrolled.authenticator.wrong_code(time.time())
    user.log_in(name, wrong, under=as_user)
    assert outcome(log).endswith("reason=wrong-code failures=1")


def test_a_code_at_the_end_of_a_password(host_store, harness, user, as_user, log):
    enrolled = enroll(user, backup_codes=1)
    name = harness.service(
        "locker", "auth required pam_twofactor.so forward_pass", "auth required pam_unix.so use_first_pass nodelay"
    )
    right = code(enrolled)
    for text, result, reason in (
        (user.password + enrolled.authenticator.wrong_code(time.time()), REFUSED, "reason=wrong-code failures=1"),
        ("wrong" + right, REFUSED, f"method=totp device={enrolled.device}"),
        (user.password + right, REFUSED, "reason=reused-code"),
        (user.password + code(enrolled, 1), UNLOCKED, f"method=totp device={enrolled.device}"),
        (user.password + enrolled.backup_codes[0], UNLOCKED, "method=backup-code backup_codes_left=0"),
        ("no code!", REFUSED, "reason=malformed-reply"),
        ("", REFUSED, "reason=no-reply"),
    ):
        assert user.log_in(name, text, under=as_user).result == result, reason
        assert outcome(log).endswith(reason)


@pytest.mark.parametrize("option", ["try_first_pass", "use_first_pass"])
def test_a_code_in_the_password_of_an_earlier_module(host_store, harness, user, as_user, option):
    enrolled = enroll(user)
    name = harness.service(
        "locker", "auth required pam_twofactor.so forward_pass",
        f"auth required pam_twofactor.so {option}",
    )  # fmt: skip
    # The first module removes the code, so the second finds none, and asks with try_first_pass.
    login = user.log_in(name, "123456" + code(enrolled), code(enrolled, 1), under=as_user)
    assert login.result == (UNLOCKED if option == "try_first_pass" else REFUSED)
    assert len(login.prompts) == (2 if option == "try_first_pass" else 1)


def test_the_password_of_an_exempt_user_is_not_counted(host_store, harness, user, as_user, log):
    enrolled = enroll(user)
    name = harness.service(
        "locker", f"auth required pam_twofactor.so forward_pass exempt_groups={user.gid}",
        "auth required pam_unix.so use_first_pass nodelay",
    )  # fmt: skip
    run("chpasswd", input=f"{user.name}:secret-123456\n")
    before = enrolled.state.read_bytes()
    assert user.log_in(name, "secret-123456", under=as_user).result == UNLOCKED
    assert outcome(log) == f"accepted user={user.name} rhost=- method=exempt"
    assert enrolled.state.read_bytes() == before
    # The code is not removed, because it is not checked.
    assert user.log_in(name, "secret-123456" + code(enrolled), under=as_user).result == REFUSED
    assert enrolled.state.read_bytes() == before


EARLIER = ["nullok", "only_groups=_twofactor", "required_from=2099-12-31"]


@pytest.mark.parametrize("option", EARLIER)
def test_users_who_are_not_enrolled_pass_only_if_that_is_proved(host_store, user, service, as_user, log, option):
    name = service(option, then="pam_permit.so")
    login = user.log_in(name, under=as_user)
    assert login.result == UNLOCKED and not login.prompts
    assert outcome(log) == f"accepted user={user.name} rhost=- method=exempt"
    enrolled = enroll(user)
    assert user.log_in(name, "123456", under=as_user).result == REFUSED
    assert user.log_in(name, code(enrolled), under=as_user).result == UNLOCKED
    shutil.rmtree(enrolled.directory)
    assert registered() == [user.uid]
    assert user.log_in(name, under=as_user).result == UNAVAILABLE
    assert "reason=missing-enrollment detail=" in outcome(log)


def test_users_who_are_not_enrolled_are_asked_and_refused(host_store, user, service, as_user, log):
    login = user.log_in(service(), "123456", under=as_user)
    assert login.result == REFUSED and len(login.prompts) == 1
    assert outcome(log) == f"denied user={user.name} rhost=- reason=not-enrolled"


def test_no_grace_period_begins(host_store, user, service, as_user):
    enrolled = enroll(user)
    name, options = service("grace_period=600"), {"rhost": "192.0.2.7", "under": as_user}
    assert user.log_in(name, code(enrolled), **options).result == UNLOCKED
    again = user.log_in(name, code(enrolled, 1), **options)
    assert again.result == UNLOCKED and len(again.prompts) == 1


def test_only_root_checks_other_users(host_store, user, new_user, harness, service, log):
    enrolled = enroll(user)
    other = harness.running_as(new_user())
    for options in ((), ("nullok",)):
        assert user.log_in(service(*options), code(enrolled), under=other).result == UNAVAILABLE
        assert "reason=io-error" in outcome(log) and "must run as root" in outcome(log)
    # Not even if the effective user ID is that of the user.
    half = ("setpriv", f"--euid={user.uid}", f"--ruid={new_user().uid}", "--clear-groups")
    assert user.log_in(service(), code(enrolled), under=half).result == UNAVAILABLE


def test_corrupt_files_are_named(host_store, user, service, as_user, log):
    enrolled = enroll(user)
    enrolled.credential.chmod(0o644)
    assert user.log_in(service(), "123456", under=as_user).result == UNAVAILABLE
    assert 'reason=insecure-file detail="credential: is accessible by others"' in outcome(log)
    enrolled.credential.chmod(0o600)
    enrolled.credential.write_text("nonsense\n")
    assert user.log_in(service(), "123456", under=as_user).result == UNAVAILABLE
    assert "reason=corrupt-file" in outcome(log)


def test_an_invalid_policy_of_the_host(host_store, host_configuration, user, service, as_user, log):
    enrolled = enroll(user)
    own = Path("/etc/security/own.conf")
    own.write_text("store = host\n")
    host_configuration("store = host", "window = wide")
    assert user.log_in(service(f"conf={own}"), code(enrolled), under=as_user).result == Result.SERVICE_ERR
    assert "reason=configuration" in outcome(log) and "twofactor.conf" in outcome(log)
    # Otherwise, the helper would check an enrollment in the home.
    host_configuration("window = 1")
    for options in (("store=host",), ("store=host", "nullok")):
        assert user.log_in(service(*options), code(enrolled), under=as_user).result == UNAVAILABLE
        assert "set store in /etc/security/twofactor.conf" in outcome(log)
    own.unlink()


@pytest.fixture
def helper():
    """The helper's file; restored at the end."""
    yield HELPER
    HELPER.unlink(missing_ok=True)
    shutil.copy(PRODUCT / "twofactor-helper", HELPER)
    shutil.chown(HELPER, "root", "_twofactor")
    HELPER.chmod(0o2755)


def replace(helper: Path, *lines: str) -> None:
    helper.unlink()
    helper.write_text("#!/bin/sh\n" + "".join(line + "\n" for line in lines))
    helper.chmod(0o755)


def refused_with(detail: str, user, name: str, as_user, log, *, reason: str = "io-error") -> None:
    login = user.log_in(name, "123456", under=as_user)
    assert login.result == UNAVAILABLE
    assert login.messages == ["Two-factor authentication could not be checked. Contact the administrator."]
    found = outcome(log)
    assert f"reason={reason} " in found and detail in found, found


def test_a_helper_that_is_missing_or_not_roots(host_store, helper, user, service, as_user, log):
    enroll(user)
    name = service("nullok")
    helper.chmod(0o2775)
    refused_with("is not in /usr/libexec/twofactor", user, name, as_user, log)
    helper.chmod(0o2755)
    shutil.chown(helper, user.name)
    refused_with("is not in /usr/libexec/twofactor", user, name, as_user, log)
    helper.unlink()
    refused_with("is not in /usr/libexec/twofactor", user, name, as_user, log)
    helper.mkdir()
    refused_with("is not in /usr/libexec/twofactor", user, name, as_user, log)
    helper.rmdir()


def test_a_helper_without_its_group(host_store, helper, user, service, as_user, log):
    enroll(user)
    name = service("nullok")
    refused_with("without its group", user, name, (*as_user, "--no-new-privs"), log)
    helper.chmod(0o755)
    refused_with("without its group", user, name, as_user, log)


def test_a_helper_that_answers_nonsense(host_store, helper, user, service, as_user, log):
    enroll(user)
    name = service("nullok")
    # The second claims to accept a code, but is cut short; the third has an unknown method; the fourth is too long.
    for line in (
        "exit 1", r"printf '\002\000\000\000\001'", r"printf '\002\000\000\000\001\000'", "echo nonsense",
        r"head -c 1024 /dev/zero",
    ):
        replace(helper, line)
        refused_with("gave no valid answer", user, name, as_user, log)
    replace(helper, "head -c 1025 /dev/zero")
    refused_with("did not answer: Message too long", user, name, as_user, log)


@pytest.mark.seconds(60)
def test_a_helper_that_hangs(host_store, helper, user, service, as_user, log):
    enroll(user)
    replace(helper, "exec sleep 50")
    start = time.monotonic()
    refused_with("did not answer: Connection timed out", user, service(), as_user, log)
    assert 9 < time.monotonic() - start < 15


def test_the_helper_changes_nothing_in_the_program(host_store, user, service, as_user):
    enrolled = enroll(user)
    for reply in (code(enrolled), "123456"):
        login = user.log_in(service(), reply, under=as_user, states=True)
        assert login.states["after"] == login.states["before"]


@pytest.mark.parametrize(
    "before", ["trap '' CHLD PIPE TERM ALRM", "exec 2<&-", "ulimit -n 8", "umask 0; cd /tmp; ulimit -c unlimited"]
)
def test_odd_programs(host_store, user, service, as_user, before):
    enrolled = enroll(user)
    odd = (*as_user, "sh", "-c", f'{before}; exec "$@"', "sh")
    assert user.log_in(service(), code(enrolled), under=odd).result == UNLOCKED


def test_root_starts_no_helper(host_store, helper, user, service):
    enrolled = enroll(user)
    helper.unlink()
    assert user.log_in(service(), code(enrolled)).result == UNLOCKED
    assert user.log_in(service("nullok"), code(enrolled, 1)).result == UNLOCKED


def test_only_one_of_many_programs_at_once_accepts_a_code(host_store, harness, user, service, as_user):
    enrolled = enroll(user)
    name, right = service(), code(enrolled)
    through_helper = harness.run(name, [(user.name, [right])] * 20, at_once=True, under=as_user)
    results = [login.result for login in through_helper]
    results += [user.log_in(name, right).result]
    assert results.count(UNLOCKED) == 1 and set(results) <= {UNLOCKED, REFUSED}
