"""After a power loss at any moment, the disk has the old state or the new one.

Every block that an update writes is recorded. The disk is rebuilt as of each write, with the last write torn, and
without unflushed writes. A result that was reported before the power loss is on all of them.
"""

import json

import pytest
from rig.clock import START
from rig.enrollment import Enrollment
from rig.harness import Result
from rig.machine import COMMAND
from rig.power import RecordedDisk, obstacle
from rig.process import run
from rig.register import REGISTER
from rig.tracing import tracing

WIDE = ("window=10", "max_failures=100")
ACCEPTED, REFUSED = Result.SUCCESS, Result.AUTH_ERR


class Cuts:
    """A change of an enrollment on a recorded disk, and logins after a power loss at each moment."""

    def __init__(self, service, user, folder, figure, place) -> None:
        self.user, self.figure = user, figure
        self.name = service(*WIDE)
        self.disk = RecordedDisk(folder, place.folder, self._enroll)
        self.old = self.disk.made

    def _enroll(self) -> Enrollment:
        enrolled = self.user.enroll(backup_codes=1)
        used = enrolled.authenticator.code_at(START, steps=-1)
        assert self.results(used) == [ACCEPTED]
        return enrolled

    def results(self, *replies: str) -> list[int]:
        # The register is on another disk: it would name a user whose enrollment this disk never had.
        for entry in REGISTER.glob("*"):
            entry.unlink()
        return self.user.results(self.name, *replies, at=START)

    def after_each(self, name, change):
        """Makes the change, and yields each power loss with the resulting disk mounted."""
        writes = self.disk.record(change)
        assert any(write.is_flush for write in writes[: self.disk.answered]), "nothing was flushed before the answer"
        number = 0
        for cut in self.disk.cuts(writes):
            number += 1
            with self.disk.as_cut(cut):
                yield cut
        self.figure(
            f"power lost during {name}: {number} different disks of {len(writes)} writes and flushes,"
            f" {self.disk.answered} of them before the answer"
        )
        assert number > len(writes) > 3


@pytest.fixture
def cuts(user, service, tmp_path, figure, place):
    if reason := obstacle():
        pytest.skip(f"no disk can be recorded here: {reason}")
    return Cuts(service, user, tmp_path, figure, place)


@pytest.mark.seconds(240)
@pytest.mark.parametrize("kind", ["code", "backup code"])
def test_a_login_that_loses_power_accepts_no_code_twice(cuts, kind):
    old = cuts.old
    code = old.authenticator.code_at
    used, following = code(START, steps=-1), code(START, steps=1)
    answer = code(START) if kind == "code" else old.backup_codes[0]

    def log_in() -> None:
        assert cuts.results(answer) == [ACCEPTED]

    seen = set()
    for cut in cuts.after_each(f"a login with a {kind}", log_in):
        results = cuts.results(used, answer, answer, following, following)
        assert results[0] != ACCEPTED, f"a used code works again {cut.what}"
        assert results[2] != ACCEPTED, f"accepted twice {cut.what}"
        if cut.is_scrambled and results[0] == Result.AUTHINFO_UNAVAIL:
            # No known disk reorders sectors within a block; if one did, it may cost a window.
            assert results[1:3] == [REFUSED, REFUSED], f"{results} {cut.what}"
            continue
        assert results[3:] == [ACCEPTED, REFUSED], f"{results} {cut.what}"
        if cut.is_after_answer:
            assert results[1] == REFUSED, f"an accepted code is accepted again {cut.what}"
        assert results[1] in (ACCEPTED, REFUSED), f"{results} {cut.what}"
        seen.add(results[1])
        assert {path.name for path in old.directory.iterdir()} == {"credential", "state"}
    assert seen == {ACCEPTED, REFUSED}, "no power loss before the update, or none after it"


ENABLE = ("enable", "--no-confirm", "--yes", "--backup-codes", "1", "--force")
BACKUP_CODES = ("backup-codes", "--backup-codes", "1")


@pytest.mark.seconds(240)
@pytest.mark.parametrize("arguments", [ENABLE, BACKUP_CODES, ("disable",)], ids=lambda arguments: arguments[0])
def test_a_subcommand_that_loses_power_does_all_or_nothing(cuts, arguments):
    old, told = cuts.old, {}
    kept = cuts.user.home / "kept"
    if arguments == ENABLE:
        arguments = (*ENABLE, "--backup-codes-file", str(kept))
    used, code, following = (old.authenticator.code_at(START, steps=steps) for steps in (-1, 0, 1))

    def change() -> None:
        done = run(COMMAND, *arguments, "--user", cuts.user.name, "--json")
        told.update(json.loads(done.stdout))

    done = set()
    for cut in cuts.after_each(arguments[0], change):
        new = Enrollment.of(told) if arguments[0] == "enable" else None
        new_codes = told.get("backup_codes") or ["00000-00000"]
        results = cuts.results(used, code, code, old.backup_codes[0], new_codes[0])
        before = [REFUSED, ACCEPTED, REFUSED, ACCEPTED, REFUSED]
        after = {
            "enable": [REFUSED] * 4 + [ACCEPTED],
            "backup-codes": [REFUSED, ACCEPTED, REFUSED, REFUSED, ACCEPTED],
            "disable": [REFUSED] * 5,
        }[arguments[0]]
        if cut.is_scrambled and results[0] == Result.AUTHINFO_UNAVAIL:
            assert ACCEPTED not in results, f"{results} {cut.what}"
            continue
        assert results in ((after,) if cut.is_after_answer else (before, after)), f"{results} {cut.what}"
        done.add(results == after)
        if results == before:
            assert cuts.results(following) == [ACCEPTED], cut.what
        elif new:
            assert new.backup_codes[0] in kept.read_text(), f"enabled without the requested file {cut.what}"
            code_of_new = new.authenticator.code_at(START)
            assert cuts.results(code_of_new, code_of_new) == [ACCEPTED, REFUSED], cut.what
    assert done == {True, False}, "no power loss before the change, or none after it"


def test_a_backup_codes_file_is_flushed_before_the_enrollment_is_enabled(user, tmp_path):
    trace = tmp_path / "trace"
    kept = user.home / "kept"
    arguments = (*ENABLE, "--backup-codes-file", str(kept), "--user", user.name, "--json")
    under = tracing(trace, "-y", "-e", "trace=fsync,renameat,renameat2,openat,open")
    run(*under, COMMAND, *arguments)
    lines = trace.read_text().splitlines()
    file, name = (
        next(number for number, line in enumerate(lines) if "fsync(" in line and f"<{path}>" in line)
        for path in (kept, user.home)
    )
    switched_on = next(number for number, line in enumerate(lines) if "rename" in line and ".twofactor" in line)
    assert file < name < switched_on
