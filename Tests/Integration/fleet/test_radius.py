"""FreeRADIUS on two verifiers and pam_radius_auth on a host, with the configuration files of pam/radius."""

import concurrent.futures
import functools
import re
import time

import pytest
from rig import host_trees
from rig.clock import time_to_type
from rig.enrollment_at_login import Terminal
from rig.machine import PRODUCT
from rig.process import run
from rig.radius import FILES
from rig.radius_packet import (
    ACCESS_ACCEPT, ACCESS_CHALLENGE, ACCESS_REJECT, MESSAGE_AUTHENTICATOR, STATE, exchange, request,
)  # fmt: skip
from rig.ssh import Server
from rig.syslog import SystemLog

# Longer than a block of User-Password, and not ASCII.
PASSWORD = r'correct "hörse" \ battery'
CODE = r"Verification code \(none yet\? ssh verifier1\.example\.org\): "


@pytest.fixture
def add_user(add_radius_user):
    return functools.partial(add_radius_user, PASSWORD)


@pytest.fixture(scope="module")
def sshd(radius, tmp_path_factory):
    with radius["web01"].sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


def log_in(server: Server, user, password: str, code: str) -> bool:
    client = server.connect(user)
    client.answer("Password: ", password)
    client.answer(CODE, code)
    return client.is_let_in()


def code_of(enrolled) -> str:
    return enrolled.authenticator.code_at(time_to_type())


def two_questions(host, user, password: str, code: str, verifier: int = 1) -> int:
    """The code of the reply to the second question."""
    challenge = host.ask(user.name, password, verifier)
    assert challenge.code == ACCESS_CHALLENGE
    return host.ask(user.name, code, verifier, state=challenge.value(STATE)).code


def test_ssh_asks_for_password_and_code(sshd, add_user, log):
    user = add_user()
    enrolled = user.enroll()
    code = code_of(enrolled)
    assert not log_in(sshd, user, "wrong", code), "a wrong password was accepted"
    assert log_in(sshd, user, PASSWORD, code)
    (message,) = log.of_module(1)
    assert message.text == (
        f"pam_twofactor(radius-login:auth): accepted user={user.name} rhost=- method=totp device={enrolled.device}"
    )
    log.line_with(f"Login OK: [{user.name}] (from client radsecproxy ")


def test_a_single_field_takes_password_and_code(host, harness, add_user, log):
    user = add_user()
    enrolled = user.enroll(backup_codes=1)
    rules = (FILES / "host/pam.d/single-field").read_text().splitlines()
    name = harness.service("radius-program", *(rule for rule in rules if rule.startswith("auth")))
    code = code_of(enrolled)

    def is_let_in(text: str) -> bool:
        login = user.log_in(name, text, under=host.within)
        assert login.prompts == ["Password: "]
        return login.result == 0

    assert not is_let_in(PASSWORD)
    assert not is_let_in("wrong" + code)
    assert not is_let_in(PASSWORD + code), "a code with a wrong password stays used"
    assert is_let_in(PASSWORD + enrolled.backup_codes[0])
    assert [re.search(r"(?:method|reason)=(\S+)", each.text)[1] for each in log.of_module(4)][1:] == [
        "totp", "reused-code", "backup-code"
    ]


def test_a_state_is_of_one_user_one_verifier_and_one_reply(host, add_user):
    user, other = add_user(), add_user()
    enrolled = user.enroll(backup_codes=2)
    states = {
        "of another user": host.ask(other.name, PASSWORD).value(STATE),
        "of another verifier": host.ask(user.name, PASSWORD, 2).value(STATE),
        "after a wrong password": host.ask(user.name, "wrong").value(STATE),
        "invented": bytes(16),
    }
    state = host.ask(user.name, PASSWORD).value(STATE)
    assert host.ask(user.name, enrolled.backup_codes[0], state=state).code == ACCESS_ACCEPT
    states["used before"] = state
    code = enrolled.backup_codes[1]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        asked = {
            why: pool.submit(host.ask, user.name, code, state=state, identifier=number)
            for number, (why, state) in enumerate(states.items())
        }
        assert {why: answer.result().code for why, answer in asked.items()} == dict.fromkeys(states, ACCESS_REJECT)
    assert two_questions(host, user, PASSWORD, code) == ACCESS_ACCEPT


def test_a_wrong_password_and_a_wrong_or_empty_code_take_the_same_time(host, add_user):
    user = add_user()
    wrong = user.enroll().authenticator.wrong_code(time.time())

    def seconds(number: int) -> float:
        password = PASSWORD if number % 2 else f"wrong{number}"
        state = host.ask(user.name, password, identifier=number).value(STATE)
        began = time.monotonic()
        code = wrong if number < 4 else ""
        assert host.ask(user.name, code, state=state, identifier=100 + number).code == ACCESS_REJECT
        return time.monotonic() - began

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(seconds, range(8)))
    # libpam varies each delay by a quarter or more.
    assert 0.9 < min(taken) and max(taken) < 8, taken


def first_question(host, user, number: int) -> bytes:
    """The state for the second question. The identifiers of requests that run at the same time differ."""
    return host.ask(user.name, PASSWORD, 1 + number % 2, identifier=100 + number).value(STATE)


@pytest.mark.parametrize("questions", ["one question", "two questions"])
def test_of_twenty_sessions_on_two_verifiers_one_is_accepted(host, add_user, questions, figure):
    began, rounds = time.monotonic(), 2
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        for _ in range(rounds):
            user = add_user()
            code = code_of(user.enroll())

            def ask(number: int, user=user, code=code) -> int | None:
                to = {"verifier": 1 + number % 2, "identifier": number, "seconds": 20}
                if states is None:
                    answer = host.ask(user.name, PASSWORD + code, service="single-field", **to)
                else:
                    answer = host.ask(user.name, code, state=states[number], **to)
                return answer and answer.code

            states = None
            if questions == "two questions":
                ask_first = functools.partial(first_question, host, user)
                states = list(pool.map(ask_first, range(20)))
            log = SystemLog()
            replies = list(pool.map(ask, range(20)))
            assert len([line for line in log.of_module(20) if " accepted " in line.text]) == 1
            # Under load, radsecproxy may lose a late answer.
            assert replies.count(ACCESS_ACCEPT) <= 1 and replies.count(ACCESS_REJECT) >= 15
    figure(f"RADIUS, 20 sessions on two verifiers, {questions}: {rounds} rounds in {time.monotonic() - began:.1f} s")


def test_refusals_do_not_delay_others(host, add_user, figure):
    user, other = add_user(), add_user()
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        single = functools.partial(host.ask, other.name, "wrong", service="single-field")
        guesses = [pool.submit(single, identifier=number) for number in range(20)]
        time.sleep(0.3)
        began = time.monotonic()
        assert host.ask(user.name, PASSWORD, identifier=99).code == ACCESS_CHALLENGE
        taken = time.monotonic() - began
        assert not any(guess.done() for guess in guesses), "the refusals were not delayed"
        assert {guess.result().code for guess in guesses} == {ACCESS_REJECT}
    figure(f"RADIUS, a question during 20 refusals: {1000 * taken:.0f} ms")


def test_requests_without_message_authenticator_are_not_answered(radius, add_user):
    verifier, user = radius["verifier1"], add_user()
    with verifier.socket() as sock:
        asked = request(user.name, PASSWORD, verifier.secret, authentic=False)
        assert exchange(sock, ("127.0.0.1", 1812), asked, verifier.secret, 2) is None
        asked = request(user.name, PASSWORD, verifier.secret)
        answer = exchange(sock, ("127.0.0.1", 1812), asked, verifier.secret)
    assert answer.code == ACCESS_CHALLENGE and answer.value(MESSAGE_AUTHENTICATOR)


def test_users_who_are_not_enrolled_are_refused_and_enroll_on_a_verifier(radius, host, sshd, add_user, tmp_path, log):
    user = add_user()
    state = host.ask(user.name, PASSWORD).value(STATE)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for asked in (
            pool.submit(host.ask, user.name, "", state=state, identifier=1),
            pool.submit(host.ask, user.name, PASSWORD + "123456", service="single-field", identifier=2),
        ):
            assert asked.result().code == ACCESS_REJECT
            assert "set up two-factor yet: ssh verifier1.example.org" in asked.result().text
    assert all(" reason=not-enrolled" in message.text for message in log.of_module(2))
    settings = (FILES / "verifier/ssh/sshd_config.d/10-twofactor.conf").read_text()
    settings, _, match = settings.replace("/usr/bin/twofactor", "/usr/local/bin/twofactor").partition("Match")
    with radius["verifier1"].sshd(tmp_path / "sshd", settings=settings, match="Match" + match) as verifier:
        terminal = Terminal(*verifier.arguments(user))
        shown = terminal.enroll(PASSWORD)
        terminal.ends_with("/var/lib/twofactor/users/")
    assert log_in(sshd, user, PASSWORD, shown.backup_codes[0])


def test_doctor_accepts_a_verifier(tmp_path):
    folder = FILES / "verifier"
    files = {f"etc/{path.relative_to(folder)}": path.read_text() for path in folder.rglob("*") if path.is_file()}
    root = host_trees.build(tmp_path / "verifier", {**host_trees.DEBIAN_12, **files})
    run(PRODUCT / "twofactor", "doctor", "--root", root, "--strict")
