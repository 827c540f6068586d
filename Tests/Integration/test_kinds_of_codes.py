"""Every kind of authenticator the setup command can make, and several of them together."""

import pytest
from rig.clock import START
from rig.enrollment import command, enroll
from rig.harness import Result
from rig.one_time_password import Authenticator


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize("digits", [6, 8])
@pytest.mark.parametrize("period", [15, 30, 60, 300])
def test_codes_of_every_algorithm_length_and_period(harness, products, account, service, algorithm, digits, period):
    options = ["--algorithm", algorithm, "--digits", str(digits), "--period", str(period)]
    enrolled = enroll(account, *options)
    authenticator = enrolled.authenticator
    assert (authenticator.algorithm, authenticator.digits, authenticator.period) == (algorithm, digits, period)
    name = service()
    now = START + period - 1
    for steps, result in ((2, Result.AUTH_ERR), (0, Result.SUCCESS), (1, Result.SUCCESS)):
        code = authenticator.code_at(now, steps=steps)
        assert len(code) == digits
        assert harness.log_in(name, account.name, code, at=now).result == result
    other = Authenticator(authenticator.secret, algorithm, 14 - digits, period).code_at(now + 3 * period)
    assert harness.log_in(name, account.name, other, at=now + 3 * period).result == Result.AUTH_ERR


@pytest.mark.parametrize("arguments", [("--period", "14"), ("--period", "301"), ("--digits", "7"), ("--algorithm", "md5")])
def test_no_other_kind_can_be_made(products, account, arguments):
    with pytest.raises(AssertionError, match="ended with 64"):
        enroll(account, *arguments)
    assert not (account.home / ".twofactor").exists()


def test_a_counter_code_is_accepted_once_and_in_order(harness, products, account, service, log):
    enrolled = enroll(account, "--type", "hotp")
    code = enrolled.authenticator.code_for_counter
    name = service()
    first = 0 if harness.log_in(name, account.name, code(0), at=START).result == Result.SUCCESS else 1
    assert first == 0, "the first counter of a new device is 0"
    steps = [(0, False), (1, True), (1, False), (4, True), (3, False), (2, False), (4, False), (5, True)]
    for counter, accepted in steps:
        login = harness.log_in(name, account.name, code(counter), at=START)
        assert (login.result == Result.SUCCESS) == accepted, counter
    assert log.of_module(1)[0].text.endswith(f"method=hotp device={enrolled.device}")


@pytest.mark.parametrize("counter, accepted", [(9, True), (10, True), (11, False)])
def test_the_look_ahead_of_a_counter_is_ten(harness, products, account, service, counter, accepted):
    enrolled = enroll(account, "--type", "hotp")
    name = service()
    login = harness.log_in(name, account.name, enrolled.authenticator.code_for_counter(counter), at=START)
    assert (login.result == Result.SUCCESS) == accepted
    if not accepted:
        wider = enrolled.authenticator.code_for_counter(counter)
        assert harness.log_in(service("look_ahead=11"), account.name, wider, at=START).result == Result.SUCCESS


def add_device(account, name: str, *options: str) -> Authenticator:
    """A further device of the account, made by the setup command; skips where it cannot make one yet."""
    try:
        answer = command("device", "add", "--name", name, "--no-confirm", "--yes", "--user", account.name, *options)
    except AssertionError as refused:
        if "ended with 64" in str(refused):
            pytest.skip("this setup command has no `device add`")
        raise
    device = answer["device"]
    return Authenticator.from_base32(
        answer["secret"], algorithm=device["algorithm"], digits=device["digits"], period=device["period"] or 30
    )


def test_each_of_several_devices_is_accepted_and_keeps_its_own_count(harness, products, account, service, log):
    enrolled = enroll(account, "--name", "phone")
    tablet = add_device(account, "tablet", "--algorithm", "sha256", "--digits", "8")
    name = service()
    for authenticator in (enrolled.authenticator, tablet):
        code = authenticator.code_at(START)
        assert harness.log_in(name, account.name, code, at=START).result == Result.SUCCESS
        assert harness.log_in(name, account.name, code, at=START).result == Result.AUTH_ERR
    accepted = [message.text for message in log.of_module(4) if ": accepted " in message.text]
    assert [text.rpartition("device=")[2] for text in accepted] == ["phone", "tablet"]
