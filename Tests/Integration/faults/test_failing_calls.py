"""With every system call and allocation failing in turn, no code is accepted that is not marked as used on disk,
nothing crashes, the log has the reason, and the enrollment survives.

The calls come from a trace, so new ones are tested too.
"""

import contextlib
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from rig.clock import START
from rig.enrollment import Enrollment
from rig.harness import SOURCES, Result, build
from rig.machine import COMMAND
from rig.mounts import covered
from rig.process import run
from rig.snapshot import Snapshot
from rig.syslog import SystemLog
from rig.tracing import calls, faults, tracing

WIDE = ("window=10", "max_failures=100")
ACCEPTED, REFUSED = Result.SUCCESS, Result.AUTH_ERR

# The process exits if it cannot restore its own identity: it must not go on as another user.
IDENTITY = {"setfsuid", "setfsgid", "setgroups", "prctl"}

MEMORY = {"brk", "mmap", "mprotect", "munmap"}


class Attempts:
    """Logins with one reply, each from the same state of the enrollment, while something fails."""

    def __init__(self, user, name, answer, used, following, folder, place=None) -> None:
        self.user, self.name = user, name
        self.answer, self.used, self.following = answer, used, following
        assert self.result(used) == Result.SUCCESS
        self.before = Snapshot(user, folder, place and place.folder)
        self.passes = self.refusals = self.number = 0

    def result(self, reply):
        return self.user.log_in(self.name, reply, at=START).result

    def fail(self, what, under, *, may_end=False, has_log=True) -> None:
        """Runs one login under `under` and checks the result."""
        self.before.restore()
        log = SystemLog()
        self.number += 1
        from_here = f"attempt{self.number}"
        logins = self.user.harness.run(
            *(self.name, [(self.user.name, [self.answer])]),
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
            assert result != Result.PERM_DENIED, f"not asked after {what}"
            if has_log:
                assert result == Result.AUTHINFO_UNAVAIL, f"{result} after {what}"
                text = log.line_with(f" rhost={from_here} ")
                assert re.search('reason=io-error detail="[^"]', text), f"{text} after {what}"
        assert self.result(self.following) == Result.SUCCESS, f"the next code is refused after {what}"


@pytest.fixture
def attempts(user, service, tmp_path):
    def make(kind: str, *arguments: str, place=None) -> Attempts:
        enrolled = user.enroll(backup_codes=1)
        code = enrolled.authenticator.code_at
        return Attempts(
            user,
            # With `nullok` and pam_permit, an exemption would be a pass.
            service("nullok", *WIDE, *arguments, then="pam_permit.so"),
            code(START) if kind == "code" else enrolled.backup_codes[0],
            code(START, steps=-1),
            code(START, steps=1),
            tmp_path,
            place,
        )

    return make


@pytest.mark.seconds(400)
@pytest.mark.parametrize("kind", ["code", "backup code"])
def test_a_login_with_a_failing_system_call_accepts_only_a_code_marked_as_used(attempts, tmp_path, place, kind):
    attempts = attempts(kind, place=place)
    trace = tmp_path / "trace"
    attempts.user.log_in(attempts.name, attempts.answer, at=START, marks=True, under=tracing(trace))
    # After the decision, libpam writes to the audit system and may fail by itself.
    found = calls(trace, place.first_call, "NETLINK_AUDIT|login returns")
    assert len(found) > place.calls
    for call, error in faults(found):
        # libpam itself returns PAM_BUF_ERR if it runs out of memory.
        talks = call.name in ("sendto", "connect", "socket", "brk", "mmap") or "/dev/log" in call.text
        attempts.fail(f"{error} of {call}", call.failing(error), may_end=call.name in IDENTITY, has_log=not talks)
    assert attempts.passes > 5 and attempts.refusals > 40


@pytest.mark.seconds(400)
def test_a_missing_enrollment_never_passes_with_a_failing_system_call(user, service, register, tmp_path):
    """The home of a registered user is covered, and nothing that fails makes this a proof."""
    enrolled = user.enroll()
    name, trace = service("nullok", *WIDE, then="pam_permit.so"), tmp_path / "trace"
    assert user.log_in(name, enrolled.authenticator.code_at(START), at=START).result == Result.SUCCESS
    with covered(user.home, owner=user):
        user.log_in(name, at=START, marks=True, under=tracing(trace))
        found = calls(trace, str(user.home), "NETLINK_AUDIT|login returns")
        assert [call for call in found if "enrolled" in call.text]
        for call, error in faults(found):
            logins = user.harness.run(name, [(user.name, [])], at=START, under=call.failing(error), may_die=True)
            assert not logins or logins[0].result != Result.SUCCESS, f"a pass after {error} of {call}"


@pytest.mark.parametrize(
    "kind, arguments", [("code", ()), ("backup code", ()), ("code", ("directory=/home/%u/.twofactor", "prompt=Code:"))]
)
def test_a_login_with_a_failing_allocation_is_denied(attempts, scratch, tmp_path, kind, arguments):
    attempts = attempts(kind, *arguments)
    shim = build([SOURCES / "starved.c"], scratch / "starved.so", "-shared", "-fPIC")
    counts = tmp_path / "allocations"

    def starved(at: int, *more: str) -> tuple[str, ...]:
        preloaded = ["sh", "-c", f'LD_PRELOAD="{shim}:$LD_PRELOAD" exec "$@"', "sh"]
        return ("env", "STARVE_MODULE=pam_twofactor", f"STARVE_AT={at}", f"STARVE_COUNT={counts}", *more, *preloaded)

    attempts.fail("nothing", starved(0))
    assert (attempts.passes, attempts.refusals) == (1, 0)
    made = counts.stat().st_size
    assert made >= 3
    for number in range(1, made + 1):
        attempts.fail(f"allocation {number}", starved(number))
    assert attempts.refusals == made, "a login succeeded without memory"
    for number in range(1, made + 1):
        attempts.fail(f"allocation {number} and all behind it", starved(number, "STARVE_ON=1"))
    assert attempts.refusals == 2 * made, "a login succeeded without memory"


# Subcommands that print one sentence at the end, and how a trace shows it.
LAST_WORDS = {"disable": "Two-factor is off", "unlock": "is unlocked", "device remove": "is removed"}


IMPORTED = "otpauth://totp/user?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"


def name_of(arguments) -> str:
    """The subcommand, including that of `device`."""
    return " ".join(arguments[:2]) if arguments[0] == "device" else arguments[0]


def run_subcommand(arguments, user: str, under: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
    form = () if name_of(arguments) in LAST_WORDS else ("--json",)
    return run(*under, COMMAND, *arguments, "--user", user, *form, status=None)


def explains(ended: subprocess.CompletedProcess) -> bool:
    """Whether the command printed an error, as text or as JSON."""
    return ended.stderr.startswith(("twofactor: ", '{"error": "'))


def assert_no_crash(ended: subprocess.CompletedProcess, call, what: str) -> None:
    """Swift's runtime traps if it runs out of memory; that is allowed for the command, not for the module."""
    assert call.name in MEMORY or 0 <= ended.returncode < 128, f"{ended.returncode} after {what}"


class Changes:
    """A subcommand, always from the same enrollment: two devices, one with a used code, and a backup code."""

    def __init__(self, service, user, arguments, folder) -> None:
        self.user = user
        self.name = service(*WIDE)
        self.old = user.enroll(backup_codes=1)
        other = user.add_device("other").authenticator
        used, code = (self.old.authenticator.code_at(START, steps=steps) for steps in (0, 1))
        assert self.results(used) == [ACCEPTED]
        # The file to import is in the home, so that it is restored too.
        file = user.home / "uri"
        file.write_text(IMPORTED + "\n")
        file.chmod(0o600)
        os.chown(file, user.uid, user.gid)
        self.arguments = tuple(str(file) if word == IMPORTED else word for word in arguments)
        self.replies = [used, code, self.old.backup_codes[0], other.code_at(START)]
        self.before = Snapshot(user, folder)

    def results(self, *replies):
        return self.user.results(self.name, *replies, at=START)

    def run(self, under: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
        self.before.restore()
        return run_subcommand(self.arguments, self.user.name, under)

    # The results for the used code, the next code, the backup code and the other device's code, before and after.
    UNCHANGED = [REFUSED, ACCEPTED, ACCEPTED, ACCEPTED]
    CHANGED = {
        "enable": [REFUSED] * 4,
        "import": [REFUSED] * 4,
        "backup-codes": [REFUSED, ACCEPTED, REFUSED, ACCEPTED],
        "disable": [REFUSED] * 4,
        "device add": UNCHANGED,
        "device remove": [REFUSED, ACCEPTED, ACCEPTED, REFUSED],
        "unlock": UNCHANGED,
    }

    def is_unchanged(self) -> bool:
        return self.results(*self.replies) == self.UNCHANGED

    def is_done(self, output: bytes) -> bool:
        """Whether the subcommand did all of its work, and the printed codes are accepted."""
        if self.results(*self.replies) != self.CHANGED[name_of(self.arguments)]:
            return False
        if name_of(self.arguments) in LAST_WORDS:
            return True
        told = json.loads(output)
        codes = list(told.get("backup_codes") or [])
        codes += [Enrollment.of(told).authenticator.code_at(START)] if "secret" in told else []
        return codes != [] and self.results(*codes) == [ACCEPTED] * len(codes)


SUBCOMMANDS = [
    ("enable", "--no-confirm", "--yes", "--backup-codes", "1", "--force"),
    ("import", "--no-confirm", "--yes", "--force", IMPORTED),
    ("backup-codes", "--backup-codes", "1"),
    ("device", "add", "third", "--no-confirm"),
    ("device", "remove", "other"),
    ("disable",),
    ("unlock",),
]


@pytest.fixture
def changes(user, service, tmp_path):
    return lambda arguments: Changes(service, user, arguments, tmp_path)


@pytest.mark.seconds(400)
@pytest.mark.parametrize("arguments", SUBCOMMANDS, ids=name_of)
def test_a_subcommand_with_a_failing_system_call_does_all_or_nothing(changes, tmp_path, arguments):
    changes = changes(arguments)
    trace = tmp_path / "trace"
    assert changes.run(tracing(trace)).returncode == 0
    failed = 0
    # If printing the result fails, the command fails and changes nothing.
    found = calls(trace, str(changes.user.home), LAST_WORDS.get(name_of(arguments)))
    for call, error in faults(found):
        what = f"{error} of {call}"
        ended = changes.run(call.failing(error))
        assert_no_crash(ended, call, what)
        if ended.returncode == 0:
            assert changes.is_done(ended.stdout), what
            continue
        failed += 1
        if call.name not in IDENTITY | MEMORY:
            assert explains(ended), f"{ended.stderr} after {what}"
            assert changes.is_unchanged(), f"the old enrollment is gone after {what}"
        else:
            # A terminated program may have finished its work.
            results = changes.results(*changes.replies)
            assert results in (changes.UNCHANGED, changes.CHANGED[name_of(arguments)]), f"{results} after {what}"
    assert failed > 20


class CutShort:
    """Reads and writes of enrollment files that transfer one byte, as read(2) and write(2) may."""

    def __init__(self, folder, count: Path) -> None:
        self.library = build([SOURCES / "short.c"], folder / "short.so", "-shared", "-fPIC")
        # Processes with the user's IDs write it too.
        self.count = count
        self.count.touch()
        self.count.chmod(0o666)

    def at(self, number: int) -> tuple[str, ...]:
        """The prefix of a program whose call with this number is short; every call for 0."""
        preloaded = ["sh", "-c", f'LD_PRELOAD="{self.library}:$LD_PRELOAD" exec "$@"', "sh"]
        return ("env", "SHORT_PATH=twofactor", f"SHORT_AT={number}", f"SHORT_COUNT={self.count}", *preloaded)

    def counted(self) -> int:
        """The number of calls since the last time."""
        counted = self.count.stat().st_size
        os.truncate(self.count, 0)
        return counted


@pytest.fixture(scope="session")
def short(scratch):
    cut = CutShort(scratch, Path("/tmp/cut-short"))
    yield cut
    cut.count.unlink()


@pytest.mark.parametrize("kind", ["code", "backup code"])
def test_a_login_continues_short_reads_and_writes(attempts, short, kind):
    attempts = attempts(kind)
    attempts.fail("everything cut short", short.at(0))
    # Byte by byte: reads two slots and writes one.
    assert short.counted() > 5000
    attempts.fail("nothing cut short", short.at(-1))
    made = short.counted()
    # The credential, the state, and the write to the state.
    assert 2 < made < 20
    for number in range(1, made + 1):
        attempts.fail(f"call {number} cut short", short.at(number))
    assert (attempts.passes, attempts.refusals) == (made + 2, 0)


@pytest.mark.parametrize("arguments", SUBCOMMANDS, ids=name_of)
def test_a_subcommand_continues_short_reads_and_writes(changes, short, arguments):
    changes = changes(arguments)

    def count_of_run(number: int) -> int:
        ended = changes.run(short.at(number))
        counted = short.counted()
        assert ended.returncode == 0 and changes.is_done(ended.stdout), f"call {number}: {ended.stderr}"
        return counted

    assert count_of_run(0) > 5000
    made = count_of_run(-1)
    assert 3 < made < 100
    for number in range(1, made + 1):
        count_of_run(number)


@pytest.mark.seconds(240)
def test_enabling_with_a_failing_system_call_does_all_or_nothing(user, service, tmp_path):
    arguments = ("enable", "--no-confirm", "--yes", "--backup-codes", "1")
    name = service("nullok", *WIDE)
    before = Snapshot(user, tmp_path)
    trace = tmp_path / "trace"
    assert run_subcommand(arguments, user.name, tracing(trace)).returncode == 0
    failed = 0
    for call, error in faults(calls(trace, str(user.home))):
        what = f"{error} of {call}"
        before.restore()
        ended = run_subcommand(arguments, user.name, call.failing(error))
        assert_no_crash(ended, call, what)
        result = user.log_in(name, "letters", at=START).result
        if ended.returncode == 0:
            assert result == Result.AUTH_ERR, what
        else:
            failed += 1
            assert result == Result.PERM_DENIED, f"{result} after {what}"
    assert failed > 20


@contextlib.contextmanager
def full_disk(account):
    """No space on the file system of the homes, not even for root."""
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


def test_on_a_full_disk_a_code_is_accepted_once(user, service):
    enrolled = user.enroll(backup_codes=1)
    name = service()
    code = enrolled.authenticator.code_at(START)
    with full_disk(user):
        with pytest.raises(OSError, match="No space"):
            (user.home / "more").write_bytes(bytes(65536))
        replies = [code, code, enrolled.backup_codes[0], enrolled.backup_codes[0]]
        results = user.results(name, *replies, at=START)
        replaced = run_subcommand(("enable", "--no-confirm", "--yes", "--force"), user.name)
        assert replaced.returncode == 74 and explains(replaced)
        later = START + 60
        after = user.log_in(name, enrolled.authenticator.code_at(later), at=later)
    assert results == [ACCEPTED, REFUSED] * 2
    assert after.result == ACCEPTED, "a failed replacement removed the enrollment"


def test_on_a_read_only_disk_logins_are_denied_with_the_reason(user, service, log):
    enrolled = user.enroll()
    name = service("nullok", then="pam_permit.so")
    remount = ["mount", "-o", "remount,ro", user.home.parent]
    run(*remount)
    try:
        code = enrolled.authenticator.code_at(START)
        login = user.log_in(name, code, at=START)
    finally:
        run(*remount[:2], "remount,rw", remount[3])
    assert login.result == Result.AUTHINFO_UNAVAIL
    assert login.messages == ["Two-factor authentication could not be checked. Contact the administrator."]
    assert "reason=io-error" in log.of_module(1)[0].text.split()
    assert user.log_in(name, code, at=START).result == Result.SUCCESS
