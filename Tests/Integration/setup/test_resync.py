"""`twofactor device resync`: two consecutive codes resynchronize a device, once."""

import os
import re
import shlex
import subprocess
import time

import pytest
from rig.clock import START, standing_at, time_to_type
from rig.enrollment import Enrollment, twofactor, twofactor_json
from rig.exit_status import DONE, NOT_PERMITTED, REFUSED, UNUSABLE
from rig.harness import Result
from rig.helper import Fields, ask, message, text_field
from rig.machine import COMMAND
from rig.register import is_host_store
from rig.snapshot import Snapshot
from rig.tracing import calls, tracing

RESYNC = ("device", "resync", "phone")
EACH_STORE = pytest.mark.usefixtures("each_store")


class Clock:
    """The codes of a device whose clock is this many time steps ahead of this host's."""

    def __init__(self, enrolled: Enrollment, ahead: int, at: float | None = None) -> None:
        self.code = enrolled.authenticator.code_for_counter
        self.step = enrolled.authenticator.step(at or time_to_type()) + ahead

    def __getitem__(self, later: int) -> str:
        return self.code(self.step + later)

    def pair(self, later: int = 0) -> str:
        """Two consecutive codes, the second of them this many steps later than the code that is shown."""
        return f"{self[later - 1]}\n{self[later]}\n"


def offset(user) -> int:
    return user.status()["devices"][0]["offset_steps"]


@EACH_STORE
@pytest.mark.parametrize("ahead", [-12, 12])
def test_a_clock_that_is_off_is_stored_and_its_codes_are_used_up(user, service, log, ahead):
    made, name = user.enroll(), service(*(["store=host"] if is_host_store() else []))
    device = Clock(made, ahead)
    assert user.log_in(name, device[0]).result == Result.AUTH_ERR
    done = user.twofactor(*RESYNC, answers=device.pair())
    assert done.stdout.endswith(
        "phone is in step again. Logins now allow for its clock, which is 6 minutes "
        f"{'behind' if ahead < 0 else 'ahead of'} this host's.\n"
        "Both codes are used up; the next login needs a new one.\n"
    )
    assert offset(user) in (ahead, ahead - 1)
    assert user.results(name, device[-1], device[0], device[1]) == [Result.AUTH_ERR] * 2 + [Result.SUCCESS]
    assert "reason=reused-code" in log.of_module(3)[2].text
    status = user.twofactor("status").stdout
    assert f"(time-based, clock 6 minutes {'behind' if ahead < 0 else 'ahead'})" in status
    assert " offset=" in made.credential.read_text()
    # The URI has no such field, but a copy of the device keeps the offset.
    shown = twofactor_json("show", "--user", user.name)
    assert shown["uri"] == made.uri and shown["device"]["offset_steps"] == offset(user)
    # The phone's clock is corrected.
    right = Clock(made, 0)
    again = user.twofactor(*RESYNC, answers=right.pair(), status=None)
    if ahead < 0:
        assert again.returncode == DONE and offset(user) in (0, -1)
        assert user.results(name, right[0], device[2], right[1]) == [Result.AUTH_ERR] * 2 + [Result.SUCCESS]
    else:
        # Its codes were used up when it was ahead.
        assert again.returncode == REFUSED and "both codes are right, but count as used" in again.stderr
        hint = r"hint: codes work again from \d\d:\d\d:\d\d UTC; then run: twofactor device resync phone\n"
        assert re.search(hint, again.stderr)
        assert offset(user) in (ahead, ahead - 1) and user.status()["failures"] == 0


@EACH_STORE
def test_a_token_that_is_ahead_is_found_and_the_log_names_the_command(user, service, log):
    made = user.enroll("--type", "hotp", "--name", "my token", backup_codes=1)
    name, code = service(*(["store=host"] if is_host_store() else [])), made.authenticator.code_for_counter
    assert user.log_in(name, code(30)).result == Result.AUTH_ERR
    line = log.of_module(1)[0].text
    command = f"twofactor device resync --user {user.name} 'my token'"
    assert line.endswith(f'reason=outside-window offset_steps=30 device=my\\x20token detail="{command}"')
    refused = user.twofactor("verify", answers=code(30) + "\n", status=REFUSED).stderr
    own = "twofactor device resync 'my token'"
    if is_host_store():
        assert f"twofactor: wrong code\nhint: if the device is out of step: {own}\n" in refused
    else:
        ahead = "this code is 30 counters ahead of the expected one"
        assert f"twofactor: {ahead}\nhint: resynchronize the counter: {own}\n" in refused
        # Further ahead than a login searches.
        refused = user.twofactor("verify", answers=code(900) + "\n", status=REFUSED).stderr
        assert f"wrong code\nhint: if the device is out of step: {own}\n" in refused
    answers = f"{code(1000)}\n{code(1001)}\n"
    status = twofactor_json(*shlex.split(own)[1:], answers=answers, user=user)
    assert status == user.status() and status["failures"] == 0
    assert status["devices"][0]["offset_steps"] is None and status["devices"][0]["last_used_at"] is not None
    assert user.results(name, code(1001), code(1002)) == [Result.AUTH_ERR, Result.SUCCESS]
    far = user.twofactor(*shlex.split(own)[1:], answers=f"{code(2004)}\n{code(2005)}\n", status=REFUSED)
    assert "these are not two consecutive codes of my token" in far.stderr and "1000 counters" in far.stderr
    # The command of the log, as root.
    line = shlex.split(re.search(r'detail="(.*)"', log.of_module()[0].text)[1])[1:]
    twofactor(*line, answers=f"{code(1500)}\n{code(1501)}\n")
    assert user.log_in(name, code(1502)).result == Result.SUCCESS


@EACH_STORE
def test_failures_count_and_throttle_as_at_a_login(user, service):
    made = user.enroll()
    device = Clock(made, 15)
    wrong = f"{device[0]}\n{made.authenticator.wrong_code(time.time())}\n"
    for failures in range(1, 6):
        refused = user.twofactor(*RESYNC, answers=wrong, status=REFUSED)
        assert "these are not two consecutive codes of phone" in refused.stderr and "10 minutes" in refused.stderr
        assert user.status()["failures"] == failures
    refused = user.twofactor(*RESYNC, answers=device.pair(), status=REFUSED)
    assert "too many failed codes" in refused.stderr and "Code of phone" not in refused.stdout + refused.stderr
    name = service(*(["store=host"] if is_host_store() else []))
    assert user.log_in(name, Clock(made, 0)[0]).result == Result.MAXTRIES
    twofactor("unlock", "--user", user.name)
    assert "the second code comes before the first" in user.twofactor(
        *RESYNC, answers=f"{device[0]}\n{device[-1]}\n", status=REFUSED
    ).stderr
    assert user.status()["failures"] == 1
    user.twofactor(*RESYNC, answers=device.pair())
    assert user.status()["failures"] == 0


@EACH_STORE
def test_replies_that_are_not_two_codes_are_refused_and_not_counted(user):
    made = user.enroll()
    code = Clock(made, 15)[0]
    for answers, words in [
        ("", "end of input"),
        (f"{code}\n", "end of input"),
        ("12345\n123456\n", "this is not a code of phone\nhint: its codes have 6 digits\n"),
        (f"{code}\n12345678\n", "this is not a code of phone\nhint: its codes have 6 digits\n"),
        (f"{code}\n\n", "no code was typed"),
        (f"{code}\n{code}\n", "the two codes are the same"),
    ]:
        refused = user.twofactor(*RESYNC, answers=answers, status=REFUSED)
        assert words in refused.stderr, answers
    refused = user.twofactor("device", "resync", "tablet", answers=f"{code}\n{code}\n", status=REFUSED)
    assert "no device named tablet" in refused.stderr and refused.stdout == ""
    assert user.status()["failures"] == 0 and offset(user) == 0


@EACH_STORE
def test_root_is_asked_for_the_codes_of_one_of_two_devices(user):
    user.enroll()
    other = user.add_device("tablet", "--digits", "8", "--period", "60")
    device = Clock(other, -20, time.time())
    command = ("device", "resync", "tablet", "--user", user.name)
    status = twofactor_json(*command, answers=device.pair(1))
    assert status == twofactor_json("status", "--user", user.name)
    assert [found["offset_steps"] for found in status["devices"]] in ([0, -19], [0, -20])
    wrong = twofactor(*command, answers=device.pair(1), status=REFUSED)
    assert "both codes are right, but count as used" in wrong.stderr
    assert "no device named x" in twofactor("device", "resync", "x", "--user", user.name, status=REFUSED).stderr


def test_an_enrollment_of_root_is_resynchronized_by_root(user, service, host_configuration, tmp_path):
    host_configuration("directory = /var/lib/codes/%u")
    os.makedirs("/var/lib/codes", mode=0o755, exist_ok=True)
    made = user.enroll()
    device = Clock(made, 10)
    refused = user.twofactor(*RESYNC, answers=device.pair(), status=None)
    assert refused.returncode in (NOT_PERMITTED, UNUSABLE)
    twofactor(*RESYNC, "--user", user.name, answers=device.pair())
    name = service()
    assert user.results(name, device[0], device[1]) == [Result.AUTH_ERR, Result.SUCCESS]
    assert made.credential.stat().st_uid == 0
    twofactor("disable", "--user", user.name)


def test_a_counter_that_was_lost_is_not_searched(user):
    made = user.enroll("--type", "hotp")
    made.state.unlink()
    code = made.authenticator.code_for_counter
    refused = user.twofactor(*RESYNC, answers=f"{code(5)}\n{code(6)}\n", status=REFUSED)
    assert "the counter of phone is unknown" in refused.stderr
    assert "remove the device and add it again: twofactor device remove phone" in refused.stderr


def test_a_late_code_is_explained_at_the_login(user, service, log):
    made, name = user.enroll(), service()
    for steps, said in ((-5, True), (5, False)):
        login = user.log_in(name, made.authenticator.code_at(START, steps), at=START)
        assert ("This code is late. Type a code as soon as it is shown" in str(login)) == said, login
    for line in log.of_module(2):
        assert f"device=phone detail=\"twofactor device resync --user {user.name} 'phone'\"" in line.text


@EACH_STORE
def test_of_a_login_and_a_resync_with_the_same_code_one_succeeds(user, service):
    name = service(*(["store=host"] if is_host_store() else []))
    for round in range(4):
        device = Clock(user.enroll(again=round > 0), 0)
        with subprocess.Popen(
            [COMMAND, *RESYNC, "--user", user.name], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as command:
            command.stdin.write(device.pair(1).encode())
            command.stdin.close()
            login = user.log_in(name, device[1])
            assert (login.result == Result.SUCCESS) + (command.wait(30) == DONE) == 1


def test_a_resync_killed_at_any_write_does_all_or_nothing(user, service, tmp_path):
    made, name = user.enroll(), service()
    device = Clock(made, 12, START)
    before = Snapshot(user, tmp_path)
    trace = tmp_path / "trace"

    def resync(under: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
        return subprocess.run(
            [*under, COMMAND, *RESYNC, "--user", user.name], input=device.pair(), capture_output=True, text=True,
            env={**os.environ, **standing_at(START)},
        )

    assert resync(tracing(trace)).returncode == DONE
    names = ("pwrite64", "fdatasync", "fsync", "renameat", "renameat2", "openat")
    found = [call for call in calls(trace, str(user.home)) if call.name in names]
    assert len(found) > 8
    ends = set()
    for call in found:
        before.restore()
        assert resync(call.killed()).returncode != DONE, call
        again = resync()
        ends.add(again.returncode)
        assert again.returncode == DONE or "count as used" in again.stderr, (call, again)
        assert user.results(name, device[0], device[1], at=START) == [Result.AUTH_ERR, Result.SUCCESS], call
    assert ends == {DONE, REFUSED}


def test_the_helper_counts_a_guess_and_needs_no_ticket(user, host_store):
    made = user.enroll()
    device = Clock(made, 15)

    def resync(name: str, first: str, second: str) -> tuple[int, int]:
        answer = ask(user, message(8, b"".join(text_field(text.encode()) for text in (name, first, second))))
        if answer.status == "done":
            assert answer.body == b""
            return 0, 0
        assert answer.status == "refused", answer
        fields = Fields(answer.body)
        return fields.byte(), fields.number()

    assert resync("phone", device[0], made.authenticator.wrong_code(time.time())) == (3, 1)
    assert resync("phone", device[1], device[0]) == (12, 2)
    assert resync("phone", device[0], device[0]) == (11, 0)
    assert resync("phone", "12345", device[0]) == (2, 0)
    assert resync("tablet", device[0], device[1]) == (10, 0)
    assert user.status()["failures"] == 2
    assert resync("phone", device[-1], device[0]) == (0, 0)
    code, until = resync("phone", device[-1], device[0])
    assert code == 13 and abs(until - 30 * (device.step + 1 - 15)) <= 30
    assert ask(user, message(8, text_field(b"phone") + text_field(b"1"))).status == "malformed"


def test_the_helper_serves_only_the_host_store(user):
    user.enroll()
    request = message(8, text_field(b"phone") + text_field(b"123456") + text_field(b"654321"))
    assert ask(user, request).status == "unavailable"
