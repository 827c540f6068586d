"""Every kind of device that the setup command creates, alone and combined."""

import os

import pytest
from rig.clock import START
from rig.harness import Result
from rig.one_time_password import Authenticator


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize("digits", [6, 8])
@pytest.mark.parametrize("period", [15, 30, 60, 300])
def test_codes_of_every_algorithm_length_and_period(user, service, algorithm, digits, period):
    options = ["--algorithm", algorithm, "--digits", str(digits), "--period", str(period)]
    enrolled = user.enroll(*options)
    authenticator = enrolled.authenticator
    assert (authenticator.algorithm, authenticator.digits, authenticator.period) == (algorithm, digits, period)
    name = service()
    now = START + period - 1
    for steps, result in ((2, Result.AUTH_ERR), (0, Result.SUCCESS), (1, Result.SUCCESS)):
        code = authenticator.code_at(now, steps=steps)
        assert len(code) == digits
        assert user.log_in(name, code, at=now).result == result
    other = Authenticator(authenticator.secret, algorithm, 14 - digits, period).code_at(now + 3 * period)
    assert user.log_in(name, other, at=now + 3 * period).result == Result.AUTH_ERR


@pytest.mark.parametrize(
    "arguments", [("--period", "14"), ("--period", "301"), ("--digits", "7"), ("--algorithm", "md5")]
)
def test_other_kinds_are_rejected(user, arguments):
    with pytest.raises(AssertionError, match="ended with 64"):
        user.enroll(*arguments)
    assert not user.directory.exists()


def test_a_counter_code_is_accepted_once_and_in_order(user, service, log):
    enrolled = user.enroll("--type", "hotp")
    code = enrolled.authenticator.code_for_counter
    name = service()
    first = 0 if user.log_in(name, code(0), at=START).result == Result.SUCCESS else 1
    assert first == 0, "a new device does not begin with counter 0"
    steps = [(0, False), (1, True), (1, False), (4, True), (3, False), (2, False), (4, False), (5, True)]
    for counter, accepted in steps:
        login = user.log_in(name, code(counter), at=START)
        assert (login.result == Result.SUCCESS) == accepted, counter
    assert log.of_module(1)[0].text.endswith(f"method=hotp device={enrolled.device}")


@pytest.mark.parametrize("counter, accepted", [(9, True), (10, True), (11, False)])
def test_the_look_ahead_of_a_counter_is_ten(user, service, counter, accepted):
    enrolled = user.enroll("--type", "hotp")
    name = service()
    login = user.log_in(name, enrolled.authenticator.code_for_counter(counter), at=START)
    assert (login.result == Result.SUCCESS) == accepted
    if not accepted:
        wider = enrolled.authenticator.code_for_counter(counter)
        assert user.log_in(service("look_ahead=11"), wider, at=START).result == Result.SUCCESS


def add_device(enrolled, name: str, kind: str, authenticator: Authenticator) -> None:
    """Writes another device into the credential, in the documented format."""
    secret = authenticator.base32
    line = (
        f"device type={kind} algorithm={authenticator.algorithm} digits={authenticator.digits} "
        + (f"period={authenticator.period}" if kind == "totp" else "counter=0")
        + f" enabled=0 secret={secret} name={name}\n"
    )
    text = enrolled.credential.read_text()
    assert text.count("\nend\n") == 1
    enrolled.credential.write_text(text.replace("\nend\n", f"\n{line}end\n"))


def test_each_of_several_devices_is_accepted_and_has_its_own_counter(user, service, log):
    enrolled = user.enroll("--name", "phone")
    tablet = Authenticator(os.urandom(32), algorithm="sha256", digits=8, period=60)
    token = Authenticator(os.urandom(20))
    add_device(enrolled, "my tablet", "totp", tablet)
    add_device(enrolled, "token", "hotp", token)
    name = service()
    codes = [enrolled.authenticator.code_at(START), tablet.code_at(START), token.code_for_counter(3)]
    for code in codes:
        assert user.log_in(name, code, at=START).result == Result.SUCCESS
        assert user.log_in(name, code, at=START).result == Result.AUTH_ERR
    later = [enrolled.authenticator.code_at(START + 60), tablet.code_at(START + 60), token.code_for_counter(4)]
    for code in later:
        assert user.log_in(name, code, at=START + 60).result == Result.SUCCESS
    accepted = [message.text for message in log.of_module(9) if ": accepted " in message.text]
    named = ["totp device=phone", r"totp device=my\x20tablet", "hotp device=token"]
    assert [text.rpartition(" method=")[2] for text in accepted] == named * 2


def test_sixteen_devices_work_and_seventeen_do_not(user, service):
    enrolled = user.enroll("--name", "first")
    others = [Authenticator(os.urandom(20)) for _ in range(15)]
    for number, other in enumerate(others):
        add_device(enrolled, f"device{number}", "totp", other)
    name = service()
    for authenticator in (others[-1], others[0], enrolled.authenticator):
        code = authenticator.code_at(START)
        assert user.log_in(name, code, at=START).result == Result.SUCCESS
        assert user.log_in(name, code, at=START).result == Result.AUTH_ERR
    add_device(enrolled, "one-too-many", "totp", Authenticator(os.urandom(20)))
    code = others[1].code_at(START)
    assert user.log_in(name, code, at=START).result == Result.AUTHINFO_UNAVAIL
