"""Every log line and message, byte for byte, as /dev/log receives them."""

import datetime
import os
import re
from dataclasses import dataclass
from typing import Callable

import pytest
from rig.clock import START
from rig.enrollment import Enrollment
from rig.harness import FAILURE, NULL, PAM_SILENT, Result
from rig.syslog import fresh_log
from rig.user import User
from rig.tracing import injecting

HERE = "192.0.2.7"
UNCHECKED = "Two-factor authentication could not be checked. Contact the administrator."
TOMORROW = datetime.datetime.fromtimestamp(START, datetime.UTC).date() + datetime.timedelta(days=1)
INFO, NOTICE, ERROR = "authpriv.info", "authpriv.notice", "authpriv.err"
SUCCESS, AUTH_ERR, UNAVAILABLE = Result.SUCCESS, Result.AUTH_ERR, Result.AUTHINFO_UNAVAIL


@dataclass
class Stage:
    """A user, a service, and the logins before the tested one."""

    user: User
    enrolled: Enrollment
    service: str

    def log_in(self, *answers, **options):
        return self.user.log_in(self.service, *answers, at=START, rhost=HERE, **options)

    def fail(self, times: int) -> None:
        wrong = self.enrolled.authenticator.wrong_code(START)
        self.user.harness.run(self.service, [(self.user.name, [wrong])], times=times, at=START, rhost=HERE)


@dataclass(frozen=True)
class Case:
    """A reply and its outcome; `line` follows the user and the host."""

    result: Result
    line: str
    priority: str = NOTICE
    reply: Callable[[Enrollment], object] = lambda enrolled: enrolled.authenticator.code_at(START)
    messages: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    options: tuple[str, ...] = ("--name", "phone")
    before: Callable[[Stage], object] = lambda stage: None
    user: str | None = None
    is_asked: bool = True
    is_enrolled: bool = True
    under: tuple[str, ...] = ()


def wrong(enrolled: Enrollment) -> str:
    return enrolled.authenticator.wrong_code(START)


def once(stage: Stage) -> None:
    assert stage.log_in(stage.enrolled.authenticator.code_at(START)).result == SUCCESS


def open_to_all(stage: Stage) -> None:
    stage.enrolled.credential.chmod(0o666)


def damaged(stage: Stage) -> None:
    stage.enrolled.credential.write_text("twofactor-credential 1\n")


def without_state(stage: Stage) -> None:
    stage.enrolled.state.unlink()


def unreadable(stage: Stage) -> None:
    stage.enrolled.state.unlink()
    os.mkfifo(stage.enrolled.state, 0o600)
    os.chown(stage.enrolled.state, stage.enrolled.credential.stat().st_uid, stage.enrolled.credential.stat().st_gid)


CASES = {
    "a code of a clock": Case(SUCCESS, "method=totp device=phone", INFO),
    "a device with a blank in its name": Case(
        SUCCESS, r"method=totp device=my\x20\x22phone\x22", INFO, options=("--name", 'my "phone"')
    ),
    "a code of a counter": Case(
        SUCCESS,
        "method=hotp device=token",
        INFO,
        options=("--name", "token", "--type", "hotp"),
        reply=lambda enrolled: enrolled.authenticator.code_for_counter(0),
    ),
    "a backup code": Case(
        SUCCESS,
        "method=backup-code backup_codes_left=2",
        INFO,
        reply=lambda enrolled: enrolled.backup_codes[1],
        messages=("2 backup codes left. Create new ones with: twofactor backup-codes",),
    ),
    "a grace period": Case(SUCCESS, "method=grace", INFO, arguments=("grace_period=60",), before=once, is_asked=False),
    "a trusted network": Case(
        SUCCESS, "method=exempt", INFO, arguments=("trusted_networks=192.0.2.0/24",), is_asked=False
    ),
    "outside the groups": Case(
        SUCCESS, "method=exempt", INFO, arguments=("only_groups=root",), is_enrolled=False, is_asked=False
    ),
    "nullok": Case(SUCCESS, "method=exempt", INFO, arguments=("nullok",), is_enrolled=False, is_asked=False),
    "required_from": Case(
        SUCCESS,
        "method=exempt",
        INFO,
        arguments=(f"required_from={TOMORROW}",),
        is_enrolled=False,
        is_asked=False,
        messages=(f"Two-factor authentication will be required from {TOMORROW}. Switch it on with: twofactor enable",),
    ),
    "a wrong code": Case(AUTH_ERR, "reason=wrong-code failures=1", reply=wrong),
    "the fourth wrong code": Case(
        AUTH_ERR, "reason=wrong-code failures=4", reply=wrong, before=lambda stage: stage.fail(3)
    ),
    "a used code": Case(
        AUTH_ERR,
        "reason=reused-code",
        before=once,
        messages=("This code was already used. Wait for the next one.",),
    ),
    "a used backup code": Case(
        AUTH_ERR,
        "reason=reused-code",
        before=lambda stage: stage.log_in(stage.enrolled.backup_codes[0]),
        reply=lambda enrolled: enrolled.backup_codes[0],
        messages=("This backup code was already used. Use another one.",),
    ),
    "a method that is required": Case(
        AUTH_ERR, "reason=method-required", arguments=("require_method=publickey",), is_asked=False
    ),
    "a code of another time": Case(
        AUTH_ERR,
        'reason=outside-window offset_steps=3 device=phone detail="{detail}"',
        reply=lambda enrolled: enrolled.authenticator.code_at(START, steps=3),
    ),
    "throttling": Case(
        Result.MAXTRIES,
        "reason=throttled retry_after=30",
        before=lambda stage: stage.fail(6),
        arguments=("max_failures=6",),
        messages=("Too many failed codes. Try again in 30 seconds.",),
    ),
    "a lock": Case(
        Result.MAXTRIES,
        "reason=locked",
        before=lambda stage: stage.fail(100),
        arguments=("max_failures=100",),
        messages=(UNCHECKED,),
    ),
    "a user who is not enrolled": Case(AUTH_ERR, "reason=not-enrolled", reply=lambda _: "123456", is_enrolled=False),
    "a user who does not exist": Case(AUTH_ERR, "reason=unknown-user", reply=lambda _: "123456", user="no-such-user"),
    "an empty reply": Case(AUTH_ERR, "reason=no-reply", reply=lambda _: ""),
    "no reply": Case(AUTH_ERR, "reason=no-reply", reply=lambda _: NULL),
    "a failed conversation": Case(Result.CONV_ERR, "reason=no-reply", reply=lambda _: FAILURE),
    "letters": Case(AUTH_ERR, "reason=malformed-reply", reply=lambda _: "letters"),
    "a file that others can write": Case(
        UNAVAILABLE, 'reason=insecure-file detail="{detail}"', ERROR, before=open_to_all, messages=(UNCHECKED,)
    ),
    "a fifo": Case(
        UNAVAILABLE, 'reason=insecure-file detail="{detail}"', ERROR, before=unreadable, messages=(UNCHECKED,)
    ),
    "half a file": Case(
        UNAVAILABLE, 'reason=corrupt-file detail="{detail}"', ERROR, before=damaged, messages=(UNCHECKED,)
    ),
    "no state": Case(
        UNAVAILABLE, 'reason=corrupt-file detail="{detail}"', ERROR, before=without_state, messages=(UNCHECKED,)
    ),
    "a disk that fails": Case(
        UNAVAILABLE,
        'reason=io-error detail="{detail}"',
        ERROR,
        under=injecting("fdatasync", "error=EIO"),
        messages=(UNCHECKED,),
    ),
    "an unknown argument": Case(
        Result.SERVICE_ERR,
        r'reason=configuration detail="argument \\x22windw=1\\x22: there is no such option"',
        ERROR,
        arguments=("windw=1",),
        is_asked=False,
        messages=(UNCHECKED,),
    ),
}


@pytest.fixture
def stage(new_user, service):
    def make(case: Case) -> Stage:
        user = new_user()
        enrolled = user.enroll(*case.options, backup_codes=3)
        if not case.is_enrolled:
            enrolled.credential.unlink(), enrolled.state.unlink(), enrolled.directory.rmdir()
        made = Stage(user, enrolled, service(*case.arguments, then="pam_permit.so"))
        case.before(made)
        return made

    return make


def check(case: Case, stage: Stage, flags: int = 0) -> None:
    user = case.user or stage.user.name
    log = fresh_log()
    login = stage.user.harness.log_in(
        stage.service, user, case.reply(stage.enrolled), at=START, rhost=HERE, flags=flags, under=case.under
    )
    assert (login.result, login.messages) == (case.result, [] if flags & PAM_SILENT else list(case.messages))
    assert login.prompts == (["Verification code: "] if case.is_asked else [])
    (message,) = log.of_module(1)
    verb = "accepted" if "method=" in case.line else "denied"
    line = f"pam_twofactor({stage.service}:auth): {verb} user={user} rhost={HERE} {case.line}"
    expected = re.escape(line).replace(re.escape("{detail}"), r'[^"\\]+').replace(r"\\\\x22", r"\\x22")
    assert re.fullmatch(expected, message.text), (message.text, line)
    assert (message.priority, message.program) == (case.priority, "harness")


@pytest.mark.parametrize("name", CASES)
def test_every_log_line_and_message(stage, name):
    case = CASES[name]
    check(case, stage(case))


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.messages])
def test_pam_silent_suppresses_messages_but_not_the_log(stage, name):
    case = CASES[name]
    check(case, stage(case), flags=PAM_SILENT)


def test_debug_logs_the_reason_of_an_exemption(user, service, log):
    reasons = {
        "trusted network": ("trusted_networks=192.0.2.0/24",),
        "exempt group": (f"exempt_groups={user.gid}",),
        "not in the groups that are asked": ("only_groups=root",),
        "not enrolled": ("nullok",),
    }
    for reason, arguments in reasons.items():
        user.log_in(service(*arguments, "debug", then="pam_permit.so"), at=START, rhost=HERE)
        line = log.line_with(f": debug exempt: {reason}")
        assert line.startswith("pam_twofactor(")
    assert [message.text.rpartition(" ")[2] for message in log.of_module(4)] == ["method=exempt"] * 4


NAMES = {
    "two words": r"two\x20words",
    "line\nbreak": r"line\x0abreak",
    'quo"te': r"quo\x22te",
    "back\\slash": r"back\x5cslash",
    "esc\x1b[31m": r"esc\x1b[31m",
    "Jörg": r"J\xc3\xb6rg",
    "%s%n": "%s%n",
    "del\x7f": r"del\x7f",
    "h" * 200: "h" * 200,
}


@pytest.mark.parametrize("name", NAMES)
def test_names_and_hosts_are_escaped(harness, service, log, name):
    here = service()
    harness.log_in(here, name, "123456", at=START, rhost=name)
    (message,) = log.of_module(1)
    shown = NAMES[name]
    assert message.text == f"pam_twofactor({here}:auth): denied user={shown} rhost={shown} reason=unknown-user"
