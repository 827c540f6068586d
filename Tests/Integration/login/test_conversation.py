"""Replies of every form: codes, and malformed replies that do not count as failures."""

import pytest
from rig.clock import START
from rig.harness import NO_ARRAY, NULL, Result
from rig.one_time_password import Authenticator


def moment_with_code(authenticator: Authenticator, wanted) -> int:
    """The first time from START on whose code matches."""
    return next(
        moment for step in range(100_000) if wanted(
            authenticator.code_at(moment := START + step * authenticator.period)
        )
    )


@pytest.mark.parametrize(
    "reply",
    ["{0}{1}", "{0} {1}", " {0}{1}", "{0}{1} ", "  {0}  {1}  "],
    ids=["plain", "blank-inside", "blank-before", "blank-after", "blanks-everywhere"],
)
def test_blanks_in_a_code_are_ignored(user, service, reply):
    enrolled = user.enroll()
    code = enrolled.authenticator.code_at(START)
    reply = reply.format(code[:3], code[3:])
    assert user.log_in(service(), reply, at=START).result == Result.SUCCESS


def test_leading_zeros_are_part_of_the_code(user, service):
    enrolled = user.enroll()
    moment = moment_with_code(enrolled.authenticator, lambda code: code.startswith("0") and not code.startswith("00"))
    code = enrolled.authenticator.code_at(moment)
    name = service()
    assert user.log_in(name, code[1:], at=moment).result == Result.AUTH_ERR
    assert user.log_in(name, "0" + code, at=moment).result == Result.AUTH_ERR
    assert user.log_in(name, code, at=moment).result == Result.SUCCESS


def shapes(code: str) -> dict[str, object]:
    full_width = "".join(chr(ord(digit) - ord("0") + 0xFF10) for digit in code)
    return {
        "letters": "abcdef",
        "too short": code[:5],
        "one digit too many": code + "1",
        "4 KiB of digits": "7" * 4096,
        "4 KiB of the code": code * 700,
        "control characters": b"\x01\x02\x1b[A\x7f",
        "a control character inside": f"{code[:3]}\x01{code[3:]}",
        "a control character behind": code + "\x08",
        "full-width digits": full_width,
        "one full-width digit": full_width[0] + code[1:],
        "not UTF-8": b"\xff\xfe\xfd\xfc\xfb\xfa",
        "a sign": "+" + code[1:],
        "a hexadecimal number": "0x" + code[:4],
        "blanks only": "      ",
        "a format": "%s%n%s",
        "another separator": f"{code[:3]}_{code[3:]}",
    }


@pytest.mark.parametrize("shape", shapes("123456"))
def test_a_malformed_reply_is_rejected_and_not_counted(user, service, log, shape):
    enrolled = user.enroll()
    code = enrolled.authenticator.code_at(START)
    name = service()
    for _ in range(6):
        login = user.log_in(name, shapes(code)[shape], at=START)
        assert login.result == Result.AUTH_ERR
    reasons = {"reason=malformed-reply"} | ({"reason=no-reply"} if shape == "blanks only" else set())
    assert all(reasons & set(message.text.split()) for message in log.of_module(6)), log.lines()
    assert user.log_in(name, code, at=START).result == Result.SUCCESS


@pytest.mark.parametrize("reply", ["", NULL, NO_ARRAY], ids=["empty", "null", "no array"])
def test_an_empty_reply_is_rejected_and_not_counted(user, service, log, reply):
    enrolled = user.enroll()
    name = service()
    for _ in range(6):
        login = user.log_in(name, reply, at=START)
        assert login.result in (Result.AUTH_ERR, Result.CONV_ERR)
        assert login.result == Result.AUTH_ERR or reply is NO_ARRAY
    assert all(message.text.endswith("reason=no-reply") for message in log.of_module(6)), log.lines()
    code = enrolled.authenticator.code_at(START)
    assert user.log_in(name, code, at=START).result == Result.SUCCESS


def test_the_prompt_is_configurable(user, service):
    user.enroll()
    login = user.log_in(service("[prompt=Code, please: ]"), "", at=START)
    assert (login.prompts, login.shown_prompts) == (["Code, please: "], 0)


def test_the_code_is_echoed_only_if_configured(user, service):
    user.enroll()
    assert user.log_in(service("echo_code"), "", at=START).shown_prompts == 1
    assert user.log_in(service("echo_code=no"), "", at=START).shown_prompts == 0


def test_a_login_prompts_once(user, service):
    enrolled = user.enroll()
    code = enrolled.authenticator.code_at(START)
    wrong = enrolled.authenticator.wrong_code(START)
    login = user.log_in(service(), wrong, code, at=START)
    assert (login.result, len(login.prompts)) == (Result.AUTH_ERR, 1)
