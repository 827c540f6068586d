"""A guessing attack: ten thousand guesses over many days, from parallel sessions, with every free trick.

The count is that of codes compared with the secret. NIST SP 800-63B section 5.2.2 allows 100 in a row.
"""

import os
import signal
import subprocess

import pytest
from rig.clock import START, standing_at
from rig.enrollment import twofactor_json
from rig.harness import FAILURE, Result
from rig.machine import CHECKOUT
from rig.tracing import injecting

GUESSES = 10_000
SESSIONS = 50
ALLOWED = 100


def tried(logins) -> int:
    """How many guesses were compared with the codes of the devices."""
    assert {login.result for login in logins} <= {Result.AUTH_ERR, Result.MAXTRIES}
    return sum(login.result == Result.AUTH_ERR for login in logins)


# The valid codes at one moment: the time steps of the window, or the counters of the look-ahead and the expected one.
KINDS = {"totp": (3, "0.03 %"), "hotp": (11, "0.11 %")}


def code_of(enrolled, now: float, kind: str) -> str:
    return enrolled.authenticator.code_at(now) if kind == "totp" else enrolled.authenticator.code_for_counter(0)


@pytest.mark.seconds(300)
@pytest.mark.parametrize("kind", KINDS)
def test_ten_thousand_guesses_are_a_hundred_tries(harness, user, new_user, service, figure, kind):
    enrolled = user.enroll("--type", kind, backup_codes=1)
    bystander = new_user().enroll()
    name = service()
    total, now, locked_after = 0, START, None
    hours = 2
    for _ in range(GUESSES // SESSIONS):
        wrong = enrolled.authenticator.wrong_code(now)
        found = tried(harness.run(name, [(user.name, [wrong])], times=SESSIONS, at_once=True, at=now))
        total += found
        if not found and locked_after is None:
            locked_after = now - START
        now += hours * 3600
    valid, stated = KINDS[kind]
    chance = total * valid / 10**6
    figure(
        f"{GUESSES} guesses at {kind.upper()} from {SESSIONS} sessions at once over {(now - START) // 86400} days:"
        f" {total} tried, chance {chance:.4%} (NIST SP 800-63B allows {ALLOWED} tries: {ALLOWED * valid / 10**6:.4%})"
    )
    assert total == ALLOWED and locked_after is not None
    assert f"{chance * 100:.2f} %" == stated
    assert stated in (CHECKOUT / "pam/security.md").read_text()
    assert user.log_in(name, code_of(enrolled, now, kind), at=now).result == Result.MAXTRIES
    others = bystander.authenticator.code_at(now)
    assert harness.log_in(name, bystander.user, others, at=now).result == Result.SUCCESS, "others are throttled"
    assert user.log_in(name, enrolled.backup_codes[0], at=now).result == Result.SUCCESS


def test_a_guess_at_a_counter_covers_the_whole_look_ahead(new_user, service):
    name = service()
    for counter, result in ((0, Result.SUCCESS), (10, Result.SUCCESS), (11, Result.AUTH_ERR)):
        user = new_user()
        code = user.enroll("--type", "hotp").authenticator.code_for_counter(counter)
        assert user.log_in(name, code, at=START).result == result, counter


def test_leaving_at_the_prompt_gains_no_guess(user, service):
    enrolled = user.enroll()
    name = service()
    wrong = enrolled.authenticator.wrong_code(START)
    for _ in range(5):
        assert user.log_in(name, FAILURE, at=START).result == Result.CONV_ERR
        assert user.log_in(name, wrong, at=START).result == Result.AUTH_ERR
    assert user.log_in(name, wrong, at=START).result == Result.MAXTRIES


def test_killing_the_login_gains_no_answer(harness, user, service, tmp_path):
    # A visible answer means a counted failure: the state is flushed before the answer.
    enrolled = user.enroll()
    name = service("max_failures=100")
    wrong = enrolled.authenticator.wrong_code(START)
    for call in ("pwrite64", "fdatasync", "setfsuid"):
        kill = injecting(call, "signal=SIGKILL:when=1")
        assert harness.run(name, [(user.name, [wrong])], at=START, under=kill, may_die=True) == []
    program = [harness.program, harness.services, name]
    script = f"user {user.name.encode().hex()}\ntext {wrong.encode().hex()}\n".encode()
    answered = 0
    for _ in range(20):
        login = subprocess.Popen(
            program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **standing_at(START)}
        )
        login.stdin.write(script)
        login.stdin.close()
        answered += b"result" in login.stdout.readline() + login.stdout.readline() + login.stdout.read(40)
        login.send_signal(signal.SIGKILL)
        login.wait()


    assert answered > 0 and twofactor_json("status", "--user", user.name)["failures"] >= answered


@pytest.mark.parametrize("jump", [-365 * 86400, -3600, -31, 0])
def test_a_clock_set_back_gains_no_guess(user, service, jump):
    enrolled = user.enroll()
    name = service()
    wrong = enrolled.authenticator.wrong_code(START)
    for _ in range(5):
        assert user.log_in(name, wrong, at=START).result == Result.AUTH_ERR
    for seconds in (0, 5, 10, 29):
        wrong = enrolled.authenticator.wrong_code(START + jump + seconds)
        login = user.log_in(name, wrong, at=START + jump + seconds)
        assert login.result == Result.MAXTRIES, f"{seconds} s after the clock was set back"


def test_a_clock_that_jumps_gains_at_most_one_guess_a_jump(user, service):
    # Setting the clock can end a delay, but not reset the failures.
    enrolled = user.enroll()
    name = service()
    total = 0
    for number in range(150):
        now = START + (number % 2) * 901 + number
        wrong = enrolled.authenticator.wrong_code(now)
        total += user.log_in(name, wrong, at=now).result == Result.AUTH_ERR
    assert total <= ALLOWED
