"""Invalid arguments deny every login, and the log says why."""

import pytest
from rig.clock import START
from rig.harness import Result

WRONG = [
    "unknown",
    "nulok",
    "nullok=perhaps",
    "nullok=",
    "window",
    "window=",
    "window=-1",
    "window=11",
    "window=1x",
    "window=0x1",
    "window= 1",
    "window=99999999999999999999",
    "look_ahead=0",
    "look_ahead=101",
    "max_failures=0",
    "max_failures=101",
    "backup_codes=maybe",
    "directory=",
    "directory=relative",
    "directory=./x",
    "directory=~other",
    "directory=/a/%z",
    "directory=/a/%",
    "prompt=",
    "prompt=" + "x" * 129,
    "conf=",
    "conf=relative",
    "=",
    "NULLOK",
    "x" * 900,
]


def refused_as_configuration(log, count=1):
    messages = log.of_module(count)
    assert len(messages) == count, log.lines()
    assert {message.priority for message in messages} == {"authpriv.err"}
    assert all("reason=configuration" in message.text.split() for message in messages)
    assert all("detail=" in message.text for message in messages)
    return True


@pytest.mark.parametrize("argument", WRONG, ids=lambda argument: argument[:24])
def test_an_invalid_argument_denies_the_login(user, service, log, argument):
    enrolled = user.enroll()
    name = service(f"[{argument}]", "nullok", then="pam_permit.so")
    code = enrolled.authenticator.code_at(START)
    login = user.log_in(name, code, at=START)
    assert (login.result, login.prompts) == (Result.SERVICE_ERR, [])
    assert refused_as_configuration(log)


@pytest.mark.parametrize("arguments", [("window=1", "window=1"), ("nullok", "nullok=no")])
def test_a_repeated_argument_denies_the_login(user, service, log, arguments):
    user.enroll()
    login = user.log_in(service(*arguments), "123456", at=START)
    assert login.result == Result.SERVICE_ERR and refused_as_configuration(log)


def test_too_many_arguments_deny_the_login(user, service, log):
    user.enroll()
    login = user.log_in(service(*["window=1"] * 100), "123456", at=START)
    assert login.result == Result.SERVICE_ERR and refused_as_configuration(log)


def test_a_wrong_configuration_denies_users_who_are_not_enrolled_too(harness, user, service, log):
    name = service("nullok", "unknown", then="pam_permit.so")
    assert user.log_in(name, at=START).result == Result.SERVICE_ERR
    assert harness.log_in(name, "no-such-user", at=START).result == Result.SERVICE_ERR
    assert refused_as_configuration(log, 2)


def test_every_argument_of_this_version_is_accepted(user, service):
    enrolled = user.enroll()
    arguments = "nullok window=2 look_ahead=20 max_failures=7 echo_code backup_codes=yes debug directory=~/.twofactor"
    name = service(*arguments.split(), "[prompt=Code: ]")
    login = user.log_in(name, enrolled.authenticator.code_at(START), at=START)
    assert (login.result, login.prompts) == (Result.SUCCESS, ["Code: "])


@pytest.mark.parametrize("directory", ["~/.twofactor", "%h/.twofactor", "/home/%u/.twofactor"])
def test_the_directory_template_is_expanded(user, service, directory):
    enrolled = user.enroll()
    login = user.log_in(service(f"directory={directory}"), enrolled.authenticator.code_at(START), at=START)
    assert login.result == Result.SUCCESS


def test_another_directory_is_another_enrollment(user, service):
    enrolled = user.enroll()
    name = service("directory=%h/.elsewhere%%")
    code = enrolled.authenticator.code_at(START)
    assert user.log_in(name, code, at=START).result == Result.AUTH_ERR
    enrolled.directory.rename(enrolled.directory.parent / ".elsewhere%")
    assert user.log_in(name, code, at=START).result == Result.SUCCESS


def test_setcred_succeeds(user, service):
    enrolled = user.enroll()
    code = enrolled.authenticator.code_at(START)
    assert user.log_in(service(), code, at=START, setcred=True).setcred == 0
