"""The result, log line and message of every outcome of a login."""

import os
import time

import pytest
from rig.clock import START
from rig.harness import FAILURE, NULL, PAM_SILENT, Answer, Result

PERMIT = "pam_permit.so"
REUSED = "This code was already used. Wait for the next one."


def only_line(log, priority):
    """The text of the only line that the module logged; asserts its priority."""
    (message,) = log.of_module(1)
    assert message.priority == priority and message.program == "harness"
    return message.text


def test_a_correct_code_is_accepted(user, service, log):
    enrolled = user.enroll()
    code = enrolled.authenticator.code_at(START)
    login = user.log_in(name := service(), code, at=START, rhost="192.0.2.7", setcred=True)
    assert (login.result, login.setcred, login.messages) == (Result.SUCCESS, 0, [])
    assert login.prompts == ["Verification code: "] and login.shown_prompts == 0
    assert only_line(log, "authpriv.info") == (
        f"pam_twofactor({name}:auth): accepted user={user.name} rhost=192.0.2.7 method=totp device={enrolled.device}"
    )


def test_a_correct_code_is_accepted_with_the_real_clock(user, service):
    enrolled = user.enroll()
    login = user.log_in(service(), enrolled.authenticator.code_at(time.time()))
    assert login.result == Result.SUCCESS


def test_a_wrong_code_is_rejected_and_counted(user, service, log):
    enrolled = user.enroll()
    wrong = enrolled.authenticator.wrong_code(START)
    name = service()
    for failures in (1, 2):
        login = user.log_in(name, wrong, at=START)
        assert (login.result, login.messages) == (Result.AUTH_ERR, [])
        assert log.of_module(failures)[-1].text == (
            f"pam_twofactor({name}:auth): denied user={user.name} rhost=- reason=wrong-code failures={failures}"
        )
    assert {message.priority for message in log.of_module()} == {"authpriv.notice"}


def test_a_reused_code_is_rejected_with_a_message(user, service, log):
    enrolled = user.enroll()
    code = enrolled.authenticator.code_at(START)
    name = service()
    assert user.log_in(name, code, at=START).result == Result.SUCCESS
    login = user.log_in(name, code, at=START + 1)
    assert (login.result, login.messages) == (Result.AUTH_ERR, [REUSED])
    assert log.of_module(2)[-1].text == (
        f"pam_twofactor({name}:auth): denied user={user.name} rhost=- reason=reused-code"
    )


def test_a_code_outside_the_window_is_logged_as_such(user, service, log):
    enrolled = user.enroll()
    late = enrolled.authenticator.code_at(START, steps=-4)
    assert user.log_in(name := service(), late, at=START).result == Result.AUTH_ERR
    line = only_line(log, "authpriv.notice")
    assert line.startswith(f"pam_twofactor({name}:auth): denied user={user.name} rhost=- reason=outside-window")
    assert "offset_steps=-4" in line.split()


def test_a_user_who_is_not_enrolled_is_prompted(user, service, log):
    login = user.log_in(name := service(), "123456", at=START)
    assert (login.result, login.prompts) == (Result.AUTH_ERR, ["Verification code: "])
    assert only_line(log, "authpriv.notice") == (
        f"pam_twofactor({name}:auth): denied user={user.name} rhost=- reason=not-enrolled"
    )


def test_an_unknown_user_is_prompted(harness, service, log):
    for arguments in ((), ("nullok",)):
        login = harness.log_in(service(*arguments), "no-such-user", "123456", at=START)
        assert (login.result, login.prompts) == (Result.AUTH_ERR, ["Verification code: "])
    assert all(message.text.endswith("reason=unknown-user") for message in log.of_module(2))


@pytest.mark.parametrize("length", [255, 256, 300, 1000])
def test_a_very_long_name_is_an_unknown_user(harness, service, log, length):
    login = harness.log_in(service(), "u" * length, "123456", at=START)
    assert (login.result, login.messages) == (Result.AUTH_ERR, [])
    line = only_line(log, "authpriv.notice")
    assert line.endswith(" rhost=- reason=unknown-user") and "u" * 90 in line


def test_unknown_and_unenrolled_users_get_the_same_answers(harness, user, service):
    name = service()
    for reply in ("123456", "", "abcdef", "A1B2C-D3E4F", NULL, FAILURE):
        unenrolled = user.log_in(name, reply, at=START)
        unknown = harness.log_in(name, "no-such-user", reply, at=START)
        for login in (unenrolled, unknown):
            assert login.result not in (Result.SUCCESS, Result.PERM_DENIED)
        assert (unenrolled.result, unenrolled.messages) == (unknown.result, unknown.messages)


def test_nullok_leaves_an_unenrolled_user_to_the_rest_of_the_stack(user, service):
    alone = user.log_in(service("nullok"))
    assert (alone.result, alone.prompts) == (Result.PERM_DENIED, [])
    assert user.log_in(service("nullok", then=PERMIT)).result == Result.SUCCESS
    assert user.log_in(service("nullok", then="pam_deny.so")).result == Result.AUTH_ERR
    assert user.log_in(service("nullok=no", then=PERMIT), "123456").result == Result.AUTH_ERR


def test_nullok_exempts_no_enrolled_user(user, service):
    enrolled = user.enroll()
    name = service("nullok", then=PERMIT)
    assert user.log_in(name, "", at=START).result == Result.AUTH_ERR
    wrong = enrolled.authenticator.wrong_code(START)
    assert user.log_in(name, wrong, at=START).result == Result.AUTH_ERR


def test_a_failed_conversation_is_a_conversation_error(user, service, log):
    enrolled = user.enroll()
    right = enrolled.authenticator.code_at(START).encode()
    name = service(then=PERMIT)
    for answer in (FAILURE, Answer("text-and-failure", right)):
        assert user.log_in(name, answer, at=START).result == Result.CONV_ERR
    assert all("reason=no-reply" in message.text.split() for message in log.of_module(2))
    assert user.log_in(name, right, at=START).result == Result.SUCCESS, "the code was used up"


def test_a_user_changed_during_the_conversation_is_denied(harness, user, new_user, service):
    enrolled = user.enroll()
    other = new_user()
    right = enrolled.authenticator.code_at(START).encode()
    name = service(then=PERMIT)
    changes = [(enrolled.user, other.name), (other.name, enrolled.user), (enrolled.user, "no-such-user")]
    for user, become in changes:
        login = harness.log_in(name, user, Answer("text", right, become=become), at=START)
        assert login.result not in (Result.SUCCESS, Result.PERM_DENIED), (user, become)


def test_pam_silent_suppresses_messages(user, service):
    enrolled = user.enroll(backup_codes=10)
    name = service()
    code = enrolled.authenticator.code_at(START)
    silent = {"at": START, "flags": PAM_SILENT}
    assert user.log_in(name, code, **silent).result == Result.SUCCESS
    reused = user.log_in(name, code, **silent)
    assert (reused.result, reused.messages, len(reused.prompts)) == (Result.AUTH_ERR, [], 1)
    backup = user.log_in(name, enrolled.backup_codes[0], **silent)
    assert (backup.result, backup.messages) == (Result.SUCCESS, [])
    os.chmod(enrolled.credential, 0o666)
    broken = user.log_in(name, code, **silent)
    assert (broken.result, broken.messages) == (Result.AUTHINFO_UNAVAIL, [])


def test_a_message_that_fails_changes_nothing(user, service):
    enrolled = user.enroll(backup_codes=10)
    name = service()
    results = [
        user.log_in(name, code, at=START, messages_fail=True).result
        for code in (enrolled.backup_codes[0], enrolled.backup_codes[0], enrolled.authenticator.code_at(START))
    ]
    assert results == [Result.SUCCESS, Result.AUTH_ERR, Result.SUCCESS]


def test_untrusted_files_are_reported_to_user_and_log(user, service, log):
    enrolled = user.enroll()
    os.chmod(enrolled.credential, 0o666)
    login = user.log_in(name := service(), enrolled.authenticator.code_at(START), at=START)
    assert login.result == Result.AUTHINFO_UNAVAIL
    assert login.messages == ["Two-factor authentication could not be checked. Contact the administrator."]
    line = only_line(log, "authpriv.err")
    prefix = f"pam_twofactor({name}:auth): denied user={user.name} rhost=- reason=insecure-file detail="
    assert line.startswith(prefix) and len(line) > len(prefix)


@pytest.mark.parametrize(
    "name", ["two words", "line\nbreak", 'quote"d', "back\\slash", "tab\there", "esc\x1b[31m", "=x"]
)
def test_values_in_the_log_cannot_forge_a_line(harness, service, log, name):
    harness.log_in(service(), name, "123456", at=START, rhost=f"{name} user=root")
    line = only_line(log, "authpriv.notice")
    assert "<" not in line, "a control character reached the log"
    fields = line.split(" ")[1:]
    assert fields[0] == "denied" and len(fields) == 4, line
    assert [field.partition("=")[0] for field in fields[1:]] == ["user", "rhost", "reason"]


def test_secrets_codes_and_replies_are_never_logged(user, service, log):
    enrolled = user.enroll(backup_codes=10)
    name = service("debug")
    right, wrong = enrolled.authenticator.code_at(START), enrolled.authenticator.wrong_code(START)
    replies = [wrong, right, right, "not-a-code", enrolled.backup_codes[0], enrolled.backup_codes[0]]
    for reply in replies:
        user.log_in(name, reply, at=START)
    log.of_module(len(replies))
    text = "\n".join(log.lines())
    secret = enrolled.authenticator.secret
    for kept in {*replies, enrolled.backup_codes[0].replace("-", ""), secret.hex(), secret.hex().upper()}:
        assert kept not in text.replace(user.name, "")
