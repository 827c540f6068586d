"""Every system call and every allocation fails in turn: nobody passes whose code is not used up on the disk, nothing
crashes, the log says why, and what was enrolled stays enrolled.

The calls are found by tracing, so that one that is added is tested too.
"""

import contextlib
import json
import os
import subprocess

import pytest
from rig.clock import START
from rig.enrollment import enroll
from rig.harness import SOURCES, Result, build
from rig.machine import COMMAND
from rig.snapshot import Snapshot
from rig.syslog import SystemLog
from rig.tracing import calls, faults, tracing

WIDE = ("window=10", "max_failures=100")

# A process that cannot get its own identity back is ended: whatever it did next would be done as somebody else.
IDENTITY = {"setfsuid", "setfsgid", "setgroups"}

MEMORY = {"brk", "mmap", "mprotect", "munmap"}


class Attempts:
    """Logins with one answer, each from the same state of the enrolment, while something fails."""

    def __init__(self, harness, account, name, answer, used, following, folder) -> None:
        self.harness, self.account, self.name = harness, account, name
        self.answer, self.used, self.following = answer, used, following
        assert self.result(used) == Result.SUCCESS
        self.before = Snapshot(account, folder)
        self.passes = self.refusals = self.number = 0

    def result(self, *replies):
        (login,) = self.harness.run(self.name, [(self.account.name, list(replies))], at=START)
        return login.result

    def fail(self, what, under, *, may_end=False, has_log=True) -> None:
        """One login under `under`, and what must hold after it."""
        self.before.restore()
        log = SystemLog()
        self.number += 1
        from_here = f"attempt{self.number}"
        logins = self.harness.run(
            *(self.name, [(self.account.name, [self.answer])]),
            **dict(at=START, marks=True, rhost=from_here, under=under, may_die=True),
        )
        assert logins or may_end, f"the process ended after {what}"
        result = logins[0].result if logins else None
        assert self.result(self.used) == Result.AUTH_ERR, f"a used code works again after {what}"
        if result == Result.SUCCESS:
            self.passes += 1
            assert self.result(self.answer) == Result.AUTH_ERR, f"a pass without the state on the disk after {what}"
        elif result is not None:
            self.refusals += 1
            assert result != Result.NOBODY_DECIDED, f"not asked after {what}"
            if has_log:
                assert result == Result.AUTHINFO_UNAVAIL, f"{result} after {what}"
                text = log.line_with(f" rhost={from_here} ")
                assert "reason=io-error detail=" in text, f"{text} after {what}"
        assert self.result(self.following) == Result.SUCCESS, f"the next code is refused after {what}"


@pytest.fixture
def attempts(harness, products, account, service, tmp_path):
    def make(kind: str, *arguments: str) -> Attempts:
        enrolled = enroll(account, backup_codes=1)
        code = enrolled.authenticator.code_at
        return Attempts(
            harness,
            account,
            # With `nullok` and a module that lets everybody in behind it, "not asked" would be a pass.
            service("nullok", *WIDE, *arguments, then="pam_permit.so"),
            code(START) if kind == "code" else enrolled.backup_codes[0],
            code(START, steps=-1),
            code(START, steps=1),
            tmp_path,
        )

    return make


@pytest.mark.seconds(400)
@pytest.mark.parametrize("kind", ["code", "backup code"])
def test_a_login_with_a_failing_system_call_passes_only_with_its_code_used_up(attempts, harness, tmp_path, kind):
    attempts = attempts(kind)
    trace = tmp_path / "trace"
    user = attempts.account.name
    harness.log_in(attempts.name, user, attempts.answer, at=START, marks=True, under=tracing(trace))
    # When all is decided, libpam tells the kernel's audit system, and has reasons of its own to fail.
    found = calls(trace, str(attempts.account.home), "NETLINK_AUDIT|login returns")
    assert len(found) > 40
    for call, error in faults(found):
        # libpam itself gives up with PAM_BUF_ERR where the C library has no memory for it.
        talks = call.name in ("sendto", "connect", "socket", "brk", "mmap") or "/dev/log" in call.text
        attempts.fail(f"{error} of {call}", call.failing(error), may_end=call.name in IDENTITY, has_log=not talks)
    assert attempts.passes > 5 and attempts.refusals > 40


@pytest.mark.parametrize("kind", ["code", "backup code"])
def test_a_login_with_a_failing_allocation_is_refused(attempts, scratch, tmp_path, kind):
    attempts = attempts(kind)
    shim = build([SOURCES / "starved.c"], scratch / "starved.so", "-shared", "-fPIC")
    counts = tmp_path / "allocations"

    def starved(at: int) -> tuple[str, ...]:
        preloaded = ["sh", "-c", f'LD_PRELOAD="{shim}:$LD_PRELOAD" exec "$@"', "sh"]
        return ("env", "STARVE_MODULE=pam_twofactor", f"STARVE_AT={at}", f"STARVE_COUNT={counts}", *preloaded)

    attempts.fail("nothing", starved(0))
    assert (attempts.passes, attempts.refusals) == (1, 0)
    made = counts.stat().st_size
    assert made >= 3
    for number in range(1, made + 1):
        attempts.fail(f"allocation {number}", starved(number))
    assert attempts.refusals == made, "a login went on without memory"


def run(arguments, user: str, under: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
    form = () if arguments[0] == "disable" else ("--json",)
    return subprocess.run([*under, COMMAND, *arguments, "--user", user, *form], capture_output=True, timeout=60)


def explains(ended: subprocess.CompletedProcess) -> bool:
    """Whether the command said what is wrong, in words or as JSON."""
    return ended.stderr.startswith((b"twofactor: ", b'{"error": "'))


def assert_no_crash(ended: subprocess.CompletedProcess, call, what: str) -> None:
    """Swift's own library ends a program that is out of memory; that is for the command alone, not for the module."""
    assert call.name in MEMORY or 0 <= ended.returncode < 128, f"{ended.returncode} after {what}"


@pytest.mark.seconds(400)
@pytest.mark.parametrize(
    "arguments",
    [
        ("enable", "--no-confirm", "--yes", "--backup-codes", "1", "--force"),
        ("backup-codes", "--backup-codes", "1"),
        ("disable",),
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_subcommand_with_a_failing_system_call_does_all_or_nothing(
    harness, products, account, service, tmp_path, arguments
):
    old = enroll(account, backup_codes=1)
    name = service(*WIDE)

    def results(*replies):
        return [login.result for login in harness.run(name, [(account.name, [reply]) for reply in replies], at=START)]

    used, code = (old.authenticator.code_at(START, steps=steps) for steps in (0, 1))
    assert results(used) == [Result.SUCCESS]
    before = Snapshot(account, tmp_path)
    trace = tmp_path / "trace"
    assert run(arguments, account.name, tracing(trace)).returncode == 0
    failed = 0
    # Where all is done and telling it fails, that is an error too, and changes nothing.
    last = "Two-factor is off" if arguments[0] == "disable" else None
    for call, error in faults(calls(trace, str(account.home), last)):
        what = f"{error} of {call}"
        before.restore()
        ended = run(arguments, account.name, call.failing(error))
        assert_no_crash(ended, call, what)
        stands = [Result.AUTH_ERR, Result.SUCCESS, Result.SUCCESS]
        if ended.returncode != 0:
            failed += 1
            if call.name not in IDENTITY | MEMORY:
                assert explains(ended), f"{ended.stderr} after {what}"
            found = results(used, code, old.backup_codes[0])
            # A program that was ended may have done its work already.
            if call.name in IDENTITY | MEMORY and found != stands:
                stands = [Result.AUTH_ERR, stands[1] if arguments[0] == "backup-codes" else Result.AUTH_ERR, Result.AUTH_ERR]
            assert found == stands, f"the old enrolment is gone after {what}"
        elif arguments[0] == "backup-codes":
            (new,) = json.loads(ended.stdout)["backup_codes"]
            assert results(used, old.backup_codes[0], code, new) == [Result.AUTH_ERR, *stands], what
        else:
            assert results(used, code, old.backup_codes[0]) == [Result.AUTH_ERR] * 3, what
    assert failed > 20


@pytest.mark.seconds(240)
def test_enabling_with_a_failing_system_call_does_all_or_nothing(harness, products, account, service, tmp_path):
    arguments = ("enable", "--no-confirm", "--yes", "--backup-codes", "1")
    name = service("nullok", *WIDE)
    before = Snapshot(account, tmp_path)
    trace = tmp_path / "trace"
    assert run(arguments, account.name, tracing(trace)).returncode == 0
    failed = 0
    for call, error in faults(calls(trace, str(account.home))):
        what = f"{error} of {call}"
        before.restore()
        ended = run(arguments, account.name, call.failing(error))
        assert_no_crash(ended, call, what)
        result = harness.log_in(name, account.name, "letters", at=START).result
        if ended.returncode == 0:
            assert result == Result.AUTH_ERR, what
        else:
            failed += 1
            assert result == Result.NOBODY_DECIDED, f"{result} after {what}"
    assert failed > 20


@contextlib.contextmanager
def full_disk(account):
    """No room on the file system of the homes, for root neither."""
    filling = account.home.parent / "filling"
    with filling.open("wb") as file, contextlib.suppress(OSError):
        while True:
            os.write(file.fileno(), bytes(1 << 20))
    with filling.open("ab") as file, contextlib.suppress(OSError):
        while True:
            os.write(file.fileno(), bytes(512))
    try:
        yield
    finally:
        filling.unlink()


def test_on_a_full_disk_logins_work_and_codes_are_good_once(harness, products, account, service):
    enrolled = enroll(account, backup_codes=1)
    name = service()
    code = enrolled.authenticator.code_at(START)
    with full_disk(account):
        with pytest.raises(OSError, match="No space"):
            (account.home / "more").write_bytes(bytes(65536))
        replies = [code, code, enrolled.backup_codes[0], enrolled.backup_codes[0]]
        logins = harness.run(name, [(account.name, [reply]) for reply in replies], at=START)
        replaced = run(("enable", "--no-confirm", "--yes", "--force"), account.name)
        assert replaced.returncode == 74 and explains(replaced)
        later = START + 60
        after = harness.log_in(name, account.name, enrolled.authenticator.code_at(later), at=later)
    accepted, refused = Result.SUCCESS, Result.AUTH_ERR
    assert [login.result for login in logins] == [accepted, refused, accepted, refused]
    assert after.result == accepted, "a replacement that failed took the enrolment along"


def test_on_a_read_only_disk_logins_are_refused_and_told_why(harness, enrolled, account, service, log):
    name = service("nullok", then="pam_permit.so")
    remount = ["mount", "-o", "remount,ro", account.home.parent]
    subprocess.run(remount, check=True, timeout=20)
    try:
        code = enrolled.authenticator.code_at(START)
        login = harness.log_in(name, enrolled.user, code, at=START)
    finally:
        subprocess.run([*remount[:2], "remount,rw", remount[3]], check=True, timeout=20)
    assert login.result == Result.AUTHINFO_UNAVAIL
    assert login.messages == ["Two-factor authentication could not be checked. Contact the administrator."]
    assert "reason=io-error" in log.of_module(1)[0].text.split()
    assert harness.log_in(name, enrolled.user, code, at=START).result == Result.SUCCESS
