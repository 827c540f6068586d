"""twofactor-helper killed or failing at any system call: it counts each guess that it answers, uses up each code that
it accepts, and makes each change completely or not at all.

The user may stop and kill the helper at any moment. Root traces it here, because the kernel ignores the setgid bit if
the user traces it.
"""

import contextlib
import os
import random
import shutil
import subprocess
import time

import pytest
from rig.clock import time_to_type
from rig.helper import (
    KEEP, STATUS, ask, ask_traced, change, check, credential, device_line, enroll_through_helper, remove, start,
)
from rig.machine import HELPER
from rig.one_time_password import Authenticator
from rig.power import make_nodes
from rig.process import run
from rig.register import PARENT, REGISTER, STORE, create_host_store, create_register, registered
from rig.tracing import Call, calls, errors, faults, injecting, tracing

NEW_KEY = Authenticator(bytes(range(20)))
FLAGS = pytest.mark.parametrize("flags", [0, KEEP], ids=["used", "kept"])


@pytest.fixture
def enrolled(user, host_store, host_configuration):
    host_configuration("store = host", "max_failures = 100", "window = 10")
    time_to_type()
    return enroll_through_helper(user, backup_codes=2)


class Copy:
    """Everything in the register and the host store, which a test restores repeatedly."""

    def __init__(self, folder) -> None:
        self.copy = folder / "twofactor"
        run("cp", "-a", PARENT, self.copy)

    def restore(self) -> None:
        for place in (REGISTER, STORE):
            for path in place.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        run("cp", "-a", f"{self.copy}/.", PARENT)


def traced(user, request: bytes, folder) -> list[Call]:
    """The system calls of a request, from the first one of the helper's own."""
    trace = folder / "trace"
    answer = ask_traced(user, request, *tracing(trace))
    assert answer.status in ("done", "refused"), answer
    return calls(trace, "PR_SET_DUMPABLE")


def killable(found: list[Call]) -> list[Call]:
    """Without most of the 64 calls that reset signals."""
    return [call for call in found if call.name != "rt_sigaction" or call.ordinal % 16 == 0]


def killed(user, request: bytes, call: Call):
    answer = ask_traced(user, request, *call.killed())
    assert answer.exit == -9, f"not killed at {call}"
    return answer


# ---- Guessing


@pytest.mark.seconds(300)
@FLAGS
def test_guesses_with_the_helper_killed_at_random_are_counted(enrolled, flags):
    """A killed helper shows no verdict that is not counted. In the end, codes are locked."""
    wrong, answers, rounds = enrolled.wrong(), 0, 0
    generator = random.Random(20)
    failures = 0
    while rounds < 200 and failures < 100:
        rounds += 1
        helper = start(enrolled.user)
        helper.stdin.write(check(wrong, flags))
        helper.stdin.close()
        time.sleep(generator.uniform(0, 0.012))
        run("kill", "-KILL", helper.pid, user=enrolled.user, status=None)
        answered = bool(helper.stdout.read())
        helper.wait()
        before, failures = failures, enrolled.failures()
        assert failures - before in ((1,) if answered else (0, 1)), (rounds, before, failures, answered)
        answers += answered
    assert 5 < answers <= failures
    while failures < 100:
        assert enrolled.check(wrong, flags).checked.number == (failures := failures + 1)
    assert enrolled.status()["throttling"][0] == 2
    for reply in (wrong, enrolled.code()):
        assert enrolled.check(reply, flags).checked.refusal == "locked"
    assert enrolled.check(enrolled.backup_codes[0]).status == "done" and enrolled.failures() == 0


@FLAGS
def test_throttling_holds_if_each_helper_is_killed(enrolled, host_configuration, tmp_path, flags):
    host_configuration("store = host")
    found = traced(enrolled.user, check(enrolled.wrong(), flags), tmp_path)
    first_flush = next(call for call in found if call.name == "fdatasync")
    for number in range(2, 6):
        killed(enrolled.user, check(enrolled.wrong(), flags), first_flush)
        assert enrolled.failures() == number
    for reply in (enrolled.code(), enrolled.wrong()):
        assert enrolled.check(reply, flags).checked.refusal == "throttled"


@pytest.mark.seconds(300)
@pytest.mark.parametrize(
    "kind, flags", [("right", 0), ("wrong", 0), ("backup code", 0), ("right", KEEP), ("wrong", KEEP)]
)
def test_killed_at_any_call_a_check_is_counted_before_its_verdict(enrolled, tmp_path, kind, flags):
    reply = {"right": enrolled.code(), "wrong": enrolled.wrong(), "backup code": enrolled.backup_codes[0]}[kind]
    before = Copy(tmp_path)
    found = traced(enrolled.user, check(reply, flags), tmp_path)
    counts = set()
    for call in killable(found):
        before.restore()
        answer = killed(enrolled.user, check(reply, flags), call)
        failures, left = enrolled.failures(), enrolled.status()["backup_codes_left"]
        counts.add((failures, left))
        if answer.status:
            assert failures == (1 if kind == "wrong" else 0), call
        again = enrolled.check(reply).checked
        if answer.status == "done" and not flags:
            assert again.refusal.startswith("reused"), f"accepted twice after {call}"
        if kind == "wrong":
            assert (again.refusal, again.number) == ("wrong-code", failures + 1), call
        following = enrolled.check(enrolled.code(steps=5))
        assert following.status == "done", f"{following} after {call}"
        assert sorted(path.name for path in enrolled.directory.iterdir()) == ["credential", "state"]
    spent = {(0, 1)} if kind == "backup code" else set()
    assert counts == {(0, 2), (1, 2)} | spent, "a failure must be counted at some call, whatever the verdict"


def test_right_and_wrong_codes_differ_in_no_call_before_the_failure_is_counted(enrolled, tmp_path):
    """The first write does not differ either: the user could stop the helper there, and kill it for a wrong code."""
    before = Copy(tmp_path)
    seen = []
    for reply in (enrolled.code(), enrolled.wrong()):
        for flags in (0, KEEP):
            before.restore()
            found = traced(enrolled.user, check(reply, flags), tmp_path)
            names = [call.name for call in found]
            flushes = [index for index, name in enumerate(names) if name == "fdatasync"]
            assert len(flushes) == 2
            seen.append(names[: flushes[1]])
            before.restore()
            killed(enrolled.user, check(reply, flags), found[flushes[0]])
            assert enrolled.failures() == 1
    assert all(each == seen[0] for each in seen)


@pytest.mark.seconds(400)
@pytest.mark.parametrize("kind, flags", [("right", 0), ("wrong", KEEP)])
def test_with_any_call_failing_no_verdict_is_announced_that_is_not_saved(enrolled, tmp_path, kind, flags):
    reply = enrolled.code() if kind == "right" else enrolled.wrong()
    before = Copy(tmp_path)
    found = traced(enrolled.user, check(reply, flags), tmp_path)
    answered = failed = 0
    for call, error in faults(found):
        before.restore()
        answer = ask_traced(enrolled.user, check(reply, flags), *call.failing(error))
        what = f"{answer.status} after {error} of {call}"
        # If the request cannot be read, it is malformed.
        assert answer.status in ("done", "refused", "failed", "malformed", None), what
        failed += answer.status == "failed"
        assert answer.text or answer.status != "failed" or error == "ENOMEM", what
        if answer.status in ("done", "refused"):
            answered += 1
            assert answer.status == ("done" if kind == "right" else "refused"), what
            assert enrolled.failures() == (1 if kind == "wrong" else 0), what
        again = enrolled.check(reply).checked
        if answer.status == "done" and not flags:
            assert again.refusal == "reused-code", what
        if kind == "wrong":
            assert again.refusal == "wrong-code", what
        assert enrolled.check(enrolled.code(steps=5)).status == "done", what
    assert answered > 5 and failed > 20


# ---- Changes


def whole(enrolled) -> str:
    """Which credential is in place."""
    text = (enrolled.directory / "credential").read_text()
    assert text.endswith("end\n")
    return "new" if NEW_KEY.base32 in text else "old"


def disturbances(found: list[Call], how: str):
    if how == "killed":
        return [(call, call.killed()) for call in killable(found)]
    faulty = dict.fromkeys(call for call, _ in faults(found))
    # The code that changes files is that of root's command, which is tested with all errors.
    pairs = [(call, error) for call in faulty for error in errors(call)[:2]]
    return [(f"{error} of {call}", call.failing(error)) for call, error in pairs]


HOW = pytest.mark.parametrize("how", ["killed", "failing"])


@pytest.mark.seconds(400)
@HOW
def test_a_replacement_is_made_whole_or_not_at_all(enrolled, tmp_path, how):
    used = enrolled.code()
    request = change(credential(device_line(NEW_KEY)), enrolled.check(used).ticket)
    before = Copy(tmp_path)
    found, replaced = traced(enrolled.user, request, tmp_path), 0
    for what, under in disturbances(found, how):
        before.restore()
        answer = ask_traced(enrolled.user, request, *under)
        place = whole(enrolled)
        replaced += place == "new"
        if how == "failing" and answer.status:
            assert (answer.status == "done") == (place == "new"), f"{answer} after {what}"
        if place == "new":
            assert enrolled.check(NEW_KEY.code_at(time.time())).status == "done", what
            assert enrolled.check(used).checked.refusal == "wrong-code"
        else:
            assert enrolled.check(used).checked.refusal == "reused-code", what
            assert enrolled.ask(request).status == "done", f"the change is blocked after {what}"
        assert sorted(path.name for path in enrolled.directory.iterdir()) == ["credential", "state"], what
    assert replaced > 0


@pytest.mark.seconds(400)
@HOW
def test_an_enrollment_is_made_whole_or_not_at_all(user, host_store, tmp_path, how):
    request = change(credential(device_line(NEW_KEY)))
    before = Copy(tmp_path)
    found, made = traced(user, request, tmp_path), 0
    for what, under in disturbances(found, how):
        before.restore()
        answer = ask_traced(user, request, *under)
        now = ask(user, STATUS)
        assert now.status in ("done", "absent"), f"{now} after {what}"
        made += now.status == "done"
        if how == "failing" and answer.status:
            assert (answer.status == "done") == (now.status == "done"), f"{answer} after {what}"
        if now.status == "absent":
            for path in STORE.iterdir():
                os.utime(path, (time.time() - 700,) * 2)
            assert ask(user, request).status == "done", f"enrolling is blocked after {what}"
        assert ask(user, check(NEW_KEY.code_at(time.time()))).status == "done", what
        assert registered() == [user.uid] and {path.name for path in STORE.iterdir()} == {str(user.uid)}, what
    assert made > 0


@pytest.mark.seconds(400)
@HOW
def test_a_removal_is_made_whole_or_not_at_all(enrolled, tmp_path, how):
    used = enrolled.code()
    request = remove(enrolled.check(used).ticket)
    before = Copy(tmp_path)
    found, removed = traced(enrolled.user, request, tmp_path), 0
    for what, under in disturbances(found, how):
        before.restore()
        answer = ask_traced(enrolled.user, request, *under)
        now = enrolled.ask(STATUS).status
        assert now in ("done", "absent"), f"{now} after {what}"
        removed += now == "absent"
        if how == "failing" and answer.status:
            assert (answer.status == "done") == (now == "absent"), f"{answer} after {what}"
        if now == "done":
            assert enrolled.check(used).checked.refusal == "reused-code", what
            assert enrolled.ask(request).status == "done", f"removing is blocked after {what}"
        assert registered() == []
    assert removed > 0


# ---- Disks


@pytest.fixture
def small_disk(host_store, tmp_path):
    """A small ext4 in the place of /var/lib/twofactor."""
    make_nodes()
    image = tmp_path / "disk"
    with image.open("wb") as file:
        file.truncate(4 << 20)
    run("mkfs.ext4", "-q", "-F", "-m", "0", image)
    run("mount", "-o", "loop", image, PARENT)
    shutil.rmtree(PARENT / "lost+found")
    create_register()
    create_host_store()
    yield PARENT
    run("umount", PARENT)


@contextlib.contextmanager
def full(folder):
    filling = folder / "filling"
    for size in (1 << 16, 512):
        with filling.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                os.write(file.fileno(), bytes(size))
    try:
        yield
    finally:
        filling.unlink()


def test_on_a_full_disk_codes_are_checked_and_nothing_is_lost(small_disk, user, new_user):
    time_to_type()
    enrolled = enroll_through_helper(user, backup_codes=1)
    newcomer, code = new_user(), enrolled.code()
    with full(small_disk):
        ticket = enrolled.check(code).ticket
        assert enrolled.check(code).checked.refusal == "reused-code"
        assert enrolled.check(enrolled.wrong()).checked.number == 1
        for asking, proof in ((user, ticket), (newcomer, b"")):
            answer = ask(asking, change(credential(device_line(NEW_KEY)), proof))
            assert (answer.status, answer.reason) == ("failed", "io") and "No space left" in answer.text
        assert whole(enrolled) == "old" and [path.name for path in STORE.iterdir()] == [str(user.uid)]
        assert ask(newcomer, STATUS).status == "absent"
        assert enrolled.check(code).checked.refusal == "reused-code"
    assert enrolled.ask(change(credential(device_line(NEW_KEY)), ticket)).status == "done"


def test_on_a_read_only_disk_right_and_wrong_codes_have_the_same_answer(small_disk, user):
    time_to_type()
    enrolled = enroll_through_helper(user, backup_codes=1)
    ticket = enrolled.check(enrolled.code()).ticket
    run("mount", "-o", "remount,ro", small_disk)
    try:
        for flags in (0, KEEP):
            replies = (enrolled.code(steps=1), enrolled.wrong(), enrolled.backup_codes[0])
            answers = {enrolled.check(reply, flags) for reply in replies}
            assert len(answers) == 1, answers
            (answer,) = answers
            assert (answer.status, answer.reason) == ("failed", "io") and "Read-only" in answer.text
        for request in (remove(ticket), change(credential(device_line(NEW_KEY)), ticket)):
            assert enrolled.ask(request).status == "failed"
        assert enrolled.ask(STATUS).status == "done"
    finally:
        run("mount", "-o", "remount,rw", small_disk)
    assert enrolled.ask(remove(ticket)).status == "done"


# ---- A stopped helper


def test_a_helper_stopped_with_the_lock_costs_its_user_ten_seconds_and_others_nothing(enrolled, new_user, service):
    other = enroll_through_helper(new_user())
    stopping = injecting("fdatasync", "signal=SIGSTOP:when=1")
    words = [*stopping, "setpriv", f"--reuid={enrolled.user.uid}", f"--regid={enrolled.user.gid}", "--clear-groups"]
    stopped = subprocess.Popen([*words, HELPER], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        stopped.stdin.write(check(enrolled.wrong()))
        stopped.stdin.close()
        end = time.monotonic() + 5
        while enrolled.failures() == 0:
            assert time.monotonic() < end
        # Without the lock: the user's status, and all of other users.
        assert enrolled.ask(STATUS).status == "done"
        assert other.check(other.code()).status == "done"
        began = time.monotonic()
        answer = enrolled.check(enrolled.code())
        assert answer.status in (None, "failed") and 8 < time.monotonic() - began < 14
    finally:
        (child,) = run("pgrep", "-P", stopped.pid).stdout.split()
        run("kill", "-KILL", child)
        stopped.wait()
    assert enrolled.check(enrolled.code()).status == "done"
