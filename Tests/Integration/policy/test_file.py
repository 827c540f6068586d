"""twofactor.conf: its path, its owner and mode, and the errors in its lines."""

import os

import pytest
from rig.clock import START
from rig.harness import Result


def detail_of(log) -> str:
    """The unescaped `detail=` of the only log line; asserts that the reason is the configuration."""
    (message,) = log.of_module(1)
    assert message.priority == "authpriv.err"
    before, _, detail = message.text.partition(" detail=")
    assert before.endswith(" reason=configuration")
    return detail.strip('"').replace("\\x22", '"')


def test_the_lines_of_the_file_take_effect(user, service, host_configuration):
    enrolled = user.enroll()
    code = enrolled.authenticator.code_at(START)
    host_configuration("# of this host", "", "  echo_code=yes", 'prompt = "Code of the app: "', "window\t=\t0")
    login = user.log_in(service(), enrolled.authenticator.code_at(START, steps=-1), at=START)
    assert (login.result, login.prompts, login.shown_prompts) == (Result.AUTH_ERR, ["Code of the app: "], 1)
    assert user.log_in(service(), code, at=START).result == Result.SUCCESS


def test_arguments_override_the_file(user, service, host_configuration):
    enrolled = user.enroll()
    early = enrolled.authenticator.code_at(START, steps=-1)
    host_configuration("window = 0", "prompt = from the file", "max_failures = 1", "nullok = yes")
    login = user.log_in(service("window=1", "nullok=no"), early, at=START)
    assert (login.result, login.prompts) == (Result.SUCCESS, ["from the file"])


def test_nullok_of_the_file_works_and_an_argument_overrides_it(user, service, host_configuration):
    host_configuration("nullok = yes")
    assert user.log_in(service(then="pam_permit.so")).result == Result.SUCCESS
    assert user.log_in(service("nullok=no", then="pam_permit.so"), "1").result == Result.AUTH_ERR


def test_conf_names_another_file(user, service, host_configuration, tmp_path):
    user.enroll()
    host_configuration("prompt = usual")
    other = tmp_path / "other.conf"
    other.write_text("prompt = other")
    login = user.log_in(service(f"conf={other}"), "", at=START)
    assert login.prompts == ["other"]


def test_options_of_the_setup_command_are_accepted(user, service, host_configuration):
    enrolled = user.enroll()
    host_configuration(
        "issuer = Example", "require_password = yes", "allow_disable = no", "notify = /usr/sbin/sendmail"
    )
    code = enrolled.authenticator.code_at(START)
    assert user.log_in(service(), code, at=START).result == Result.SUCCESS


@pytest.mark.parametrize(
    ("line", "word", "problem"),
    [
        ("windw = 1", "windw", "there is no such option"),
        ("window = 11", "window", "is not a number from 0 to 10"),
        ("echo_code = yes", "echo_code", "was given before"),
        ("nullok", "nullok", "has no value"),
        ("nullok = true", "nullok", "is neither yes nor no"),
        ("conf = /etc/other.conf", "conf", "is an argument of the module"),
        ("only_groups = a,,b", "only_groups", "is not a list of words with commas between them"),
        ("trusted_networks = localhost", "trusted_networks", "is not a list of networks such as"),
        ("required_from = tomorrow", "required_from", "is not a day such as"),
        ("debug = yes # more log", "debug", "has a comment after its value"),
        ("debug = yes\t# more log", "debug", "has a comment after its value"),
        ("directory = ~/.twofactor   # ours", "directory", "has a comment after its value"),
        ("directory = ~/.twofactor ; ours", "directory", "has a comment after its value"),
        ("prompt = Code // ours", "prompt", "has a comment after its value"),
        ("only_groups = # nobody", "only_groups", "has a comment after its value"),
        ("only_groups = wheel window = 2", "only_groups", "has another option after its value"),
        ('prompt = "Code: ', "prompt", "has no closing quotation mark"),
        ('prompt = "Code: " # ours', "prompt", "has text after the closing quotation mark"),
        ('directory = /var/lib/"two factor"/%u', "directory", "has a quotation mark that does not enclose"),
        ("issuer = 'Example'", "issuer", "is in single quotes"),
        ("only_groups = wheel,\\", "only_groups", "ends with a backslash"),
        ("= 1", "", "there is no such option"),
        ("prompt = a\x1b[2Jb", "prompt", "has control characters"),
        ("window = 3\r", "window", ""),
    ],
)
def test_a_wrong_line_denies_the_login_and_is_named(user, service, log, host_configuration, line, word, problem):
    enrolled = user.enroll()
    path = host_configuration("# a comment", "echo_code = no", "", "look_ahead = 5", line)
    login = user.log_in(service(then="pam_permit.so"), enrolled.authenticator.code_at(START), at=START)
    assert (login.result, login.prompts) == (Result.SERVICE_ERR, [])
    assert detail_of(log).startswith(f'{path}, line 5, "{word}": {problem}')


def test_a_comment_after_the_directory_does_not_hide_the_enrollments(user, service, host_configuration):
    # Read as a part of the path, it named a directory that does not exist, and `nullok` let every user pass.
    enrolled = user.enroll()
    name = service(then="pam_permit.so")
    for line in ("directory = ~/.twofactor # ours", "directory = ~/.twofactor\u00a0# ours"):
        host_configuration("nullok = yes", line)
        assert user.log_in(name, at=START).result == Result.SERVICE_ERR
    host_configuration("nullok = yes", 'directory = "~/.twofactor"')
    assert user.log_in(name, "", at=START).result == Result.AUTH_ERR
    assert user.log_in(name, enrolled.authenticator.code_at(START), at=START).result == Result.SUCCESS


def test_a_quoted_value_may_contain_what_looks_like_a_comment(user, service, host_configuration):
    user.enroll()
    host_configuration('prompt = "Code # ; // window = 2: "', "issuer = Team#1")
    assert user.log_in(service(), "", at=START).prompts == ["Code # ; // window = 2: "]


def test_a_contradiction_denies_the_login(user, service, log, host_configuration):
    user.enroll()
    host_configuration("try_first_pass = yes")
    assert user.log_in(service("use_first_pass"), at=START).result == Result.SERVICE_ERR
    assert detail_of(log) == 'argument "use_first_pass": contradicts try_first_pass'


def test_a_contradiction_within_the_file_is_named_by_its_line(user, service, log, host_configuration):
    user.enroll()
    path = host_configuration("use_first_pass = yes", "", "try_first_pass = yes", "window = 2")
    assert user.log_in(service(), at=START).result == Result.SERVICE_ERR
    assert detail_of(log) == f'{path}, line 3, "try_first_pass": contradicts use_first_pass'


def test_without_the_file_the_defaults_apply(user, service):
    enrolled = user.enroll()
    assert not os.path.lexists("/etc/security/twofactor.conf")
    code = enrolled.authenticator.code_at(START)
    assert user.log_in(service(), code, at=START).result == Result.SUCCESS


def missing(path):
    pass


def dangling_link(path):
    path.symlink_to("/nonexistent")


def directory(path):
    path.mkdir()


def fifo(path):
    os.mkfifo(path)


def device(path):
    path.symlink_to("/dev/zero")


def of_another_user(path):
    path.write_text("nullok = yes\n")
    os.chown(path, 1, 0)


def writable_by_its_group(path):
    path.write_text("nullok = yes\n")
    path.chmod(0o664)


def writable_by_all(path):
    path.write_text("nullok = yes\n")
    path.chmod(0o646)


def too_long(path):
    path.write_text("#" * 65_537)


def with_a_nul(path):
    path.write_bytes(b"nullok = yes\0\n")


REFUSED = [
    (missing, "cannot be opened"),
    (dangling_link, "cannot be opened"),
    (directory, "is not a regular file"),
    (fifo, "is not a regular file"),
    (device, "is not a regular file"),
    (of_another_user, "must be owned by root"),
    (writable_by_its_group, "must be owned by root"),
    (writable_by_all, "must be owned by root"),
    (too_long, "is too long"),
    (with_a_nul, 'line 1, "nullok": has control characters'),
]


@pytest.mark.parametrize(("make", "problem"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
def test_an_unreadable_or_untrusted_file_denies_the_login(
    harness, user, new_user, service, log, tmp_path, make, problem
):
    user.enroll()
    path = tmp_path / "host.conf"
    make(path)
    name = service("nullok", f"conf={path}", then="pam_permit.so")
    login = harness.log_in(name, new_user().name, at=START, timeout=10)
    assert (login.result, login.prompts) == (Result.SERVICE_ERR, [])
    assert detail_of(log).startswith(str(path)) and problem in detail_of(log)


def test_a_file_that_root_does_not_own_denies_the_login(user, service, log, host_configuration):
    enrolled = user.enroll()
    os.chown(host_configuration("# nothing"), 1, 1)
    code = enrolled.authenticator.code_at(START)
    assert user.log_in(service(then="pam_permit.so"), code, at=START).result == Result.SERVICE_ERR
    assert "must be owned by root" in detail_of(log)


def test_a_user_process_is_denied_if_only_root_can_read_the_file(
    harness, user, service, host_configuration, log
):
    host_configuration("nullok = yes").chmod(0o600)
    under = harness.running_as(user)
    login = user.log_in(service(then="pam_permit.so"), under=under)
    assert login.result == Result.SERVICE_ERR
    assert "cannot be opened: Permission denied" in detail_of(log)


def test_the_user_is_told_that_the_check_failed(user, service, host_configuration):
    user.enroll()
    host_configuration("unknown = 1")
    login = user.log_in(service(), at=START)
    assert login.messages == ["Two-factor authentication could not be checked. Contact the administrator."]
