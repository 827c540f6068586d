"""Clients with a single field: the code at the end of the password, as in the other modules."""

import pytest
from rig.clock import START
from rig.enrollment import turn_into_scratch_code, twofactor_json
from rig.harness import FAILURE, NO_ARRAY, NULL, Result
from rig.imports import google_file

PASSWORD_TOO = "Password & verification code: "
CODE = "Verification code: "


@pytest.fixture
def user(new_user):
    return new_user(password="correct horse 9")


@pytest.fixture
def stack(products, harness):
    """Writes a service of the module, with pam_unix before it and after it if requested."""

    def make(name: str, *arguments: str, before: bool = False, after: bool | str = False) -> str:
        lines = ["auth optional pam_unix.so nodelay"] if before else []
        lines.append(" ".join(("auth required pam_twofactor.so", *arguments)))
        option = "use_first_pass" if after is True else after
        lines += [f"auth required pam_unix.so nodelay {option}"] if after else []
        return harness.service(name, *lines)

    return make


def test_use_first_pass_takes_the_code_from_the_password_without_a_prompt(user, stack):
    enrolled = user.enroll()
    name = stack("use-first", "use_first_pass", before=True)
    code = enrolled.authenticator.code_at
    login = user.log_in(name, user.password + code(START), at=START)
    assert (login.result, login.prompts) == (Result.SUCCESS, ["Password: "])
    wrong = enrolled.authenticator.wrong_code(START)
    login = user.log_in(name, user.password + wrong, at=START)
    assert (login.result, login.prompts) == (Result.AUTH_ERR, ["Password: "])


def test_use_first_pass_without_a_password_does_not_prompt(user, stack, log):
    user.enroll()
    login = user.log_in(stack("use-first-alone", "use_first_pass"), at=START)
    assert (login.result, login.prompts) == (Result.AUTH_ERR, [])
    assert log.of_module(1)[0].text.endswith(" reason=no-reply")


def test_try_first_pass_prompts_without_a_correct_code(user, stack, log):
    enrolled = user.enroll()
    name = stack("try-first", "try_first_pass", before=True)
    code = enrolled.authenticator.code_at
    login = user.log_in(name, user.password + code(START), at=START)
    assert (login.result, login.prompts) == (Result.SUCCESS, ["Password: "])
    login = user.log_in(name, user.password, code(START + 60), at=START + 60)
    assert (login.result, login.prompts) == (Result.SUCCESS, ["Password: ", CODE])
    wrong = enrolled.authenticator.wrong_code(START)
    login = user.log_in(name, user.password + wrong, code(START + 120), at=START + 120)
    assert (login.result, login.prompts) == (Result.SUCCESS, ["Password: ", CODE])
    assert len(log.of_module(3)) == 3, "one log line for each reply"


def test_try_first_pass_does_not_prompt_if_files_are_untrusted(user, stack, log):
    enrolled = user.enroll()
    enrolled.credential.chmod(0o666)
    name = stack("try-first-broken", "try_first_pass", before=True)
    code = enrolled.authenticator.code_at(START)
    login = user.log_in(name, user.password + code, code, at=START)
    assert (login.result, login.prompts) == (Result.AUTHINFO_UNAVAIL, ["Password: "])
    assert len(log.of_module(1)) == 1


def test_try_first_pass_without_a_password_prompts(user, stack):
    enrolled = user.enroll()
    login = user.log_in(stack("try-first-alone", "try_first_pass"), enrolled.authenticator.code_at(START), at=START)
    assert (login.result, login.prompts) == (Result.SUCCESS, [CODE])


def test_forward_pass_asks_for_both_and_forwards_the_password(user, stack):
    enrolled = user.enroll()
    name = stack("forward", "forward_pass", after=True)
    code = enrolled.authenticator.code_at
    login = user.log_in(name, user.password + code(START), at=START)
    assert (login.result, login.prompts) == (Result.SUCCESS, [PASSWORD_TOO])
    login = user.log_in(name, "wrong" + code(START + 60), at=START + 60)
    assert (login.result, login.prompts) == (Result.AUTH_ERR, [PASSWORD_TOO])
    wrong = enrolled.authenticator.wrong_code(START + 120)
    assert user.log_in(name, user.password + wrong, at=START + 120).result == Result.AUTH_ERR


@pytest.mark.parametrize("argument", ["use_first_pass", "try_first_pass"])
def test_an_earlier_password_is_split_and_forwarded(user, stack, argument):
    enrolled = user.enroll()
    name = stack(f"{argument}-forward", argument, "forward_pass", before=True, after=True)
    code = enrolled.authenticator.code_at
    login = user.log_in(name, user.password + code(START), at=START)
    assert (login.result, login.prompts) == (Result.SUCCESS, ["Password: "])


def test_a_configured_prompt_replaces_the_prompt_for_both(user, stack):
    user.enroll()
    login = user.log_in(stack("forward-prompt", "forward_pass", "[prompt=All: ]", "echo_code"), "", at=START)
    assert (login.prompts, login.shown_prompts) == (["All: "], 0), "a password is never echoed"


def test_eight_digits_are_tried_for_a_device_with_eight(user, stack):
    enrolled = user.enroll("--digits", "8")
    name = stack("eight", "forward_pass", after=True)
    code = enrolled.authenticator.code_at(START)
    assert user.log_in(name, user.password + code[2:], at=START).result == Result.AUTH_ERR
    assert user.log_in(name, user.password + code, at=START).result == Result.SUCCESS


@pytest.mark.parametrize(
    "spelling", [str, lambda code: code.replace("-", ""), str.lower], ids=["dash", "plain", "lower"]
)
def test_a_backup_code_works_at_the_end(user, stack, log, spelling):
    enrolled = user.enroll(backup_codes=2)
    name = stack("backup", "forward_pass", after=True)
    text = user.password + spelling(enrolled.backup_codes[0])
    login = user.log_in(name, text, at=START)
    assert login.result == Result.SUCCESS
    assert log.of_module(1)[0].text.endswith("method=backup-code backup_codes_left=1")
    assert user.log_in(name, text, at=START).result == Result.AUTH_ERR


@pytest.mark.parametrize("password", ["", "correct horse 9", "ends in 99", "12345678"])
def test_a_scratch_code_works_at_the_end(user, stack, log, password):
    enrolled = user.enroll(backup_codes=2)
    turn_into_scratch_code(enrolled, "31415926")
    name = stack("imported", "forward_pass")
    answers = ["31415926", enrolled.authenticator.code_at(START), "31415926", enrolled.authenticator.wrong_code(START)]
    for answer in answers:
        user.log_in(name, password + answer, at=START)
    said = [message.text.rpartition(" rhost=- ")[2] for message in log.of_module(4)]
    assert said == [
        "method=backup-code backup_codes_left=1",
        f"method=totp device={enrolled.device}",
        "reason=reused-code",
        "reason=wrong-code failures=1",
    ]


def test_backup_codes_can_be_forbidden(user, stack):
    enrolled = user.enroll(backup_codes=2)
    name = stack("no-backup", "forward_pass", "backup_codes=no", after=True)
    login = user.log_in(name, user.password + enrolled.backup_codes[0], at=START)
    assert login.result == Result.AUTH_ERR


@pytest.mark.parametrize("password", ["", "correct horse 9", "abcdefghjk", "ends in 99", "12345678", "0123456789"])
@pytest.mark.parametrize("argument", ["forward_pass", "use_first_pass"])
def test_a_wrong_code_counts_once_after_any_password(user, stack, log, argument, password):
    enrolled = user.enroll(backup_codes=2)
    name = stack(f"once-{argument}", argument, before=argument == "use_first_pass")
    wrong = enrolled.authenticator.wrong_code(START)
    for failures in (1, 2):
        assert user.log_in(name, password + wrong, at=START).result == Result.AUTH_ERR
        assert log.of_module(failures)[-1].text.endswith(f" reason=wrong-code failures={failures}")


@pytest.mark.parametrize("password", ["", "correct horse 9", "abcdefghjk"])
def test_a_reused_code_is_reported_after_any_password(user, stack, log, password):
    enrolled = user.enroll(backup_codes=2)
    name = stack("used", "forward_pass")
    text = password + enrolled.authenticator.code_at(START)
    assert user.log_in(name, text, at=START).result == Result.SUCCESS
    for _ in range(2):
        login = user.log_in(name, text, at=START)
        assert login.messages == ["This code was already used. Wait for the next one."]
    assert [line.text.endswith(" reason=reused-code") for line in log.of_module(3)] == [False, True, True]
    wrong = enrolled.authenticator.wrong_code(START)
    user.log_in(name, password + wrong, at=START)
    assert log.of_module(4)[-1].text.endswith(" reason=wrong-code failures=1"), "a used code was counted"


@pytest.mark.parametrize("password", ["", "abcdefghjk"])
def test_a_code_outside_the_window_is_reported_and_counted_once(user, stack, log, password):
    enrolled = user.enroll(backup_codes=2)
    name = stack("late", "forward_pass")
    late = enrolled.authenticator.code_at(START, steps=-4)
    user.log_in(name, password + late, at=START)
    assert " reason=outside-window offset_steps=-4" in log.of_module(1)[0].text
    wrong = enrolled.authenticator.wrong_code(START)
    user.log_in(name, password + wrong, at=START)
    assert log.of_module(2)[-1].text.endswith(" reason=wrong-code failures=2")


def test_a_password_of_letters_does_not_count_as_a_wrong_code(harness, new_user, stack, log):
    # Its last ten letters have the form of a backup code.
    account = new_user(password="correcthorsebattery")
    enrolled = account.enroll(backup_codes=2)
    name = stack("letters", "try_first_pass", before=True)
    wrong = enrolled.authenticator.wrong_code(START)
    for failures in (1, 2, 3):
        harness.log_in(name, enrolled.user, account.password, wrong, at=START)
        assert log.of_module(failures)[-1].text.endswith(f" reason=wrong-code failures={failures}")
    code = enrolled.authenticator.code_at(START)
    assert harness.log_in(name, enrolled.user, account.password, code, at=START).result == Result.SUCCESS


def test_a_wrong_code_counts_even_if_the_prompt_is_not_answered(user, stack, log):
    enrolled = user.enroll()
    name = stack("hang-up", "try_first_pass", before=True)
    wrong = enrolled.authenticator.wrong_code(START)
    for password in ("", "abcd", user.password):
        user.log_in(name, password + wrong, at=START)
    user.log_in(name, "", wrong, at=START)
    assert log.of_module(4)[-1].text.endswith(" reason=wrong-code failures=4")


@pytest.mark.parametrize("arguments", [("forward_pass",), ("use_first_pass",), ("try_first_pass", "forward_pass")])
def test_unenrolled_and_unknown_users_get_the_same_prompts(harness, user, stack, arguments):
    name = stack("strangers-" + "-".join(arguments), *arguments, before=arguments != ("forward_pass",), after=True)
    for text in ("letters", "correct horse 9123456", "", "\b\n\r\x7fINCORRECT"):
        logins = [harness.log_in(name, user, text, text, at=START) for user in (user.name, "no-such-user")]
        assert logins[0].result != Result.SUCCESS and logins[1].result != Result.SUCCESS
        assert logins[0].prompts == logins[1].prompts and logins[0].messages == logins[1].messages


# How a service exempts users: the arguments, and those that only users who are not enrolled pass with.
TRUSTED = "192.0.2.7"
UNENROLLED = {
    "nullok": "nullok",
    "required_from": "required_from=2999-12-31",
    "only_groups": "only_groups=daemon",
}
ENROLLED = {
    "trusted": f"trusted_networks={TRUSTED}/32",
    "exempt": "exempt_groups=GROUP",
}


@pytest.mark.parametrize("after", ["use_first_pass", "try_first_pass"])
@pytest.mark.parametrize("way", [*UNENROLLED, *ENROLLED])
def test_a_user_who_is_not_enrolled_is_asked_for_the_password_which_is_forwarded(new_user, stack, log, way, after):
    user = new_user(password="ends in 123456")
    argument = {**UNENROLLED, **ENROLLED}[way].replace("GROUP", user.name)
    name = stack(f"unenrolled-{way}-{after}", argument, "forward_pass", after=after)
    login = user.log_in(name, user.password, at=START, rhost=TRUSTED)
    assert (login.result, login.prompts) == (Result.SUCCESS, [PASSWORD_TOO])
    assert log.of_module(1)[0].text.endswith(" method=exempt")
    for wrong in ("wrong", user.password[:-6], user.password + "654321", ""):
        assert user.log_in(name, wrong, wrong, at=START, rhost=TRUSTED).result == Result.AUTH_ERR


@pytest.mark.parametrize("way", ENROLLED)
def test_an_exempt_user_may_type_a_code_which_is_used_up_and_cut_off(new_user, stack, log, way):
    user = new_user(password="ends in 123456")
    enrolled = user.enroll(backup_codes=2)
    name = stack(f"exempt-{way}", ENROLLED[way].replace("GROUP", user.name), "forward_pass", after=True)
    asking = stack(f"asking-{way}", "forward_pass", after=True)
    code = enrolled.authenticator.code_at

    def log_in(service: str, text: str):
        login = user.log_in(service, text, at=START, rhost=TRUSTED)
        assert login.prompts == [PASSWORD_TOO]
        return login

    assert log_in(name, user.password).result == Result.SUCCESS
    assert log_in(name, user.password + code(START)).result == Result.SUCCESS
    assert log_in(name, user.password + code(START)).result == Result.AUTH_ERR, "a code was cut off twice"
    login = log_in(name, user.password + enrolled.backup_codes[0])
    assert (login.result, login.messages[0][:21]) == (Result.SUCCESS, "1 backup codes left. ")
    assert {line.text.rpartition(" ")[2] for line in log.of_module(4)} == {"method=exempt"}
    assert log_in(asking, user.password + code(START)).messages == [
        "This code was already used. Wait for the next one."
    ]
    assert log_in(asking, user.password + enrolled.backup_codes[0]).result == Result.AUTH_ERR


@pytest.mark.parametrize("way", ENROLLED)
def test_a_wrong_code_of_an_exempt_user_stays_in_the_password_and_does_not_count(new_user, stack, way):
    user = new_user(password="correct horse 9")
    enrolled = user.enroll(backup_codes=1)
    name = stack(f"uncounted-{way}", ENROLLED[way].replace("GROUP", user.name), "forward_pass", after=True)
    wrong = [enrolled.authenticator.wrong_code(START), enrolled.authenticator.code_at(START, steps=-5), "ABCDE-FGHJK"]
    for text in [user.password + end for end in wrong * 3] + ["wrong" + wrong[0]]:
        assert user.log_in(name, text, at=START, rhost=TRUSTED).result == Result.AUTH_ERR
    assert twofactor_json("status", "--user", user.name)["failures"] == 0
    assert user.log_in(name, user.password, at=START, rhost=TRUSTED).result == Result.SUCCESS


def test_an_exempt_user_needs_no_readable_enrollment(new_user, stack):
    user = new_user(password="ends in 123456")
    user.enroll().credential.write_bytes(b"damaged")
    name = stack("exempt-damaged", f"exempt_groups={user.name}", "forward_pass", after=True)
    assert user.log_in(name, user.password, at=START).result == Result.SUCCESS


def test_the_password_is_forwarded_during_the_grace_period(user, stack, log):
    enrolled = user.enroll()
    name = stack("forward-grace", "grace_period=3600", "forward_pass", after=True)
    code = enrolled.authenticator.code_at
    for at, text, result in (
        (0, user.password + code(START), Result.SUCCESS),
        (10, user.password, Result.SUCCESS),
        (20, "wrong", Result.AUTH_ERR),
        (60, user.password + code(START + 60), Result.SUCCESS),
        (70, user.password + code(START + 60), Result.AUTH_ERR),
    ):
        login = user.log_in(name, text, at=START + at, rhost=TRUSTED)
        assert (login.result, login.prompts) == (result, [PASSWORD_TOO]), at
    methods = [line.text.partition(" method=")[2].split()[0] for line in log.of_module(5)]
    assert methods == ["totp", "grace", "grace", "grace", "grace"]


@pytest.mark.parametrize("argument", ["use_first_pass", "try_first_pass"])
def test_an_earlier_password_of_an_exempt_user_is_split(new_user, stack, argument):
    user, other = new_user(password="ends in 123456"), new_user(password="ends in 654321")
    enrolled = user.enroll()
    groups = f"exempt_groups={user.name},{other.name}"
    name = stack(f"exempt-{argument}", argument, groups, "forward_pass", before=True, after=True)
    for login in (
        user.log_in(name, user.password, at=START),
        user.log_in(name, user.password + enrolled.authenticator.code_at(START), at=START),
        other.log_in(name, other.password, at=START),
    ):
        assert (login.result, login.prompts) == (Result.SUCCESS, ["Password: "])
    alone = stack(f"exempt-alone-{argument}", argument, groups, "forward_pass", after=True)
    login = user.log_in(alone, user.password, at=START)
    if argument == "use_first_pass":
        assert (login.result, login.prompts) == (Result.AUTH_ERR, []), "use_first_pass never asks"
    else:
        assert (login.result, login.prompts) == (Result.SUCCESS, [PASSWORD_TOO])


@pytest.mark.parametrize("argument", [*UNENROLLED.values(), ENROLLED["trusted"]])
def test_a_stranger_cannot_tell_an_unknown_user_from_an_exempt_one(harness, user, stack, argument):
    name = stack(f"exempt-strangers-{argument.partition('=')[0]}", argument, "forward_pass", after=True)
    for text in ("letters", "correct horse 9123456", "wrong ABCDE-FGHJK", ""):
        logins = [
            harness.log_in(name, user, text, at=START, rhost=TRUSTED) for user in (user.name, "no-such-user")
        ]
        if "trusted" not in argument:
            # pam_unix itself reports unknown users, if it is the only module that refuses.
            assert logins[0].result == logins[1].result == Result.AUTH_ERR
        assert logins[0].prompts == logins[1].prompts == [PASSWORD_TOO]
        if "required_from" not in argument:
            # Its reminder is only for users who have to enroll.
            assert logins[0].messages == logins[1].messages
        assert min(login.delay for login in logins) >= 2_000_000, "the time would reveal who is enrolled"


@pytest.mark.parametrize("answer", [FAILURE, NULL, NO_ARRAY])
def test_an_exempt_user_who_gives_no_password_is_refused(user, stack, answer):
    name = stack("exempt-silent", "nullok", "forward_pass", after=True)
    assert user.log_in(name, answer, at=START).result in (Result.CONV_ERR, Result.AUTH_ERR)


def test_a_client_that_polls_with_a_password_of_ten_characters_does_not_throttle_its_user(new_user, stack):
    # Without a code the login is refused, but the owner can still log in elsewhere.
    user = new_user(password="correcthor")
    enrolled = user.enroll(backup_codes=2)
    names = [
        stack("polling", "forward_pass", after=True),
        stack("polling-earlier", "use_first_pass", before=True),
        stack("polling-try", "try_first_pass", before=True),
        stack("polling-question", before=False),
    ]
    for name in names:
        for _ in range(10):
            login = user.log_in(name, user.password, user.password, at=START)
            assert login.result == Result.AUTH_ERR
    assert twofactor_json("status", "--user", user.name)["failures"] == 0
    code = enrolled.authenticator.code_at(START)
    assert user.log_in(names[0], user.password + code, at=START).result == Result.SUCCESS
    assert user.log_in(names[0], user.password + enrolled.backup_codes[1], at=START).result == Result.SUCCESS


def test_a_very_long_password_is_denied(user, stack):
    enrolled = user.enroll()
    name = stack("long", "forward_pass", after=True)
    text = "x" * 505 + enrolled.authenticator.code_at(START)
    assert user.log_in(name, text, at=START).result == Result.AUTH_ERR


SHAPES = ("{password}{code}", "{password}", "{code}", "{password}{wrong}", "wrong{code}", "")


def compare(harness, account, enrolled, modules, second: str) -> dict[str, list[tuple[bool, int]]]:
    """For each form of the first reply, whether each module accepts and how often it prompts.

    `second` is the form of the second reply.
    """
    outcomes = {}
    for number, shape in enumerate(SHAPES):
        # Several time steps apart, so that no code repeats.
        at = START + 300 * number
        words = {
            "password": account.password,
            "code": enrolled.authenticator.code_at(at),
            "wrong": enrolled.authenticator.wrong_code(at),
        }
        answers = [text.format(**words) for text in (shape, second)]
        logins = [harness.log_in(module, account.name, *answers, at=at) for module in modules]
        outcomes[shape] = [(login.result == Result.SUCCESS, len(login.prompts)) for login in logins]
    return outcomes


@pytest.mark.parametrize(
    "arguments",
    [
        *("", "use_first_pass", "try_first_pass", "forward_pass"),
        *("use_first_pass forward_pass", "try_first_pass forward_pass"),
    ],
)
def test_prompts_and_results_match_google_authenticator(harness, user, arguments):
    enrolled = user.enroll()
    google_file(user, '" TOTP_AUTH', '" DISALLOW_REUSE', key=enrolled.authenticator.base32)
    before = [] if arguments in ("", "forward_pass") else ["auth optional pam_unix.so nodelay"]
    after = ["auth required pam_unix.so nodelay use_first_pass"] if "forward" in arguments else []
    modules = ("pam_twofactor", "pam_google_authenticator")
    for module in modules:
        harness.service(module, *before, f"auth required {module}.so {arguments}", *after)
    # Modules that ask for both in one field expect both in the second reply, too.
    second = "{password}{code}" if "forward" in arguments else "{code}"
    for shape, outcomes in compare(harness, user, enrolled, modules, second).items():
        assert outcomes[0] == outcomes[1], shape


# The arguments of pam_oath, ours, and the first replies for which the modules differ.
OATH = {
    "alone": ("", "", set()),
    "digits": ("digits=6", "forward_pass", set()),
    "use_first_pass": ("use_first_pass digits=6", "use_first_pass", set()),
    "use_first_pass, handed on": ("use_first_pass digits=6", "use_first_pass forward_pass", set()),
    # pam_oath prompts only without any password, so a wrong one gets no second chance.
    "try_first_pass": ("try_first_pass digits=6", "try_first_pass", {"{password}", "{password}{wrong}", ""}),
}


@pytest.mark.parametrize("name", OATH)
def test_prompts_and_results_match_pam_oath(harness, user, users_file, name):
    enrolled = user.enroll()
    its, ours, different = OATH[name]
    # pam_oath leaves the password to another module.
    users_file(f"HOTP/T30/6 {user.name} + {enrolled.authenticator.secret.hex()}")
    before = ["auth optional pam_unix.so nodelay"] if "first" in its else []
    after = ["auth required pam_unix.so nodelay use_first_pass"] if "forward" in ours else []
    harness.service("pam_twofactor", *before, f"auth required pam_twofactor.so {ours}", *after)
    harness.service("pam_oath", *before, f"auth required pam_oath.so usersfile=/etc/users.oath window=1 {its}", *after)
    found = compare(harness, user, enrolled, ("pam_twofactor", "pam_oath"), "{code}")
    assert {shape for shape, outcomes in found.items() if outcomes[0] != outcomes[1]} == different, found
