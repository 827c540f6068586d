"""Who needs a code: groups, the start date, and when nullok exempts a user."""

import datetime
from pathlib import Path

import pytest
from rig.clock import START
from rig.harness import PAM_SILENT, SOURCES, Result, build
from rig.machine import modules_directory
from rig.mounts import covered
from rig.process import run

PERMIT = "pam_permit.so"


@pytest.fixture(scope="module")
def groups(products):
    names = ("tokens", "robots")
    for name in names:
        run("groupadd", name)
    yield names
    for name in names:
        run("groupdel", "-f", name)


def join(account, group: str, *, as_primary: bool = False) -> None:
    option = "--gid" if as_primary else "--groups"
    run("usermod", option, group, account.name)


def number_of(group: str) -> str:
    return run("getent", "group", group).stdout.split(":")[2]


def is_asked(user, service: str) -> bool:
    """Whether a prompt appears; asserts the matching result."""
    login = user.log_in(service, "letters", at=START)
    assert (login.result, len(login.prompts)) in ((Result.AUTH_ERR, 1), (Result.SUCCESS, 0))
    return login.result != Result.SUCCESS


@pytest.mark.parametrize("as_primary", [False, True], ids=["supplementary", "primary"])
def test_only_members_are_prompted(groups, new_user, service, log, as_primary):
    member, other = new_user(), new_user()
    join(member, "tokens", as_primary=as_primary)
    for word in ("tokens", number_of("tokens"), "robots,tokens", " robots , tokens "):
        name = service(f"[only_groups={word}]", then=PERMIT)
        assert is_asked(member, name), word
        assert not is_asked(other, name), word
    assert log.of_module(8)[1].text.endswith(f"accepted user={other.name} rhost=- method=exempt")


@pytest.mark.parametrize("as_primary", [False, True], ids=["supplementary", "primary"])
def test_members_of_exempt_groups_are_not_prompted(groups, new_user, service, log, as_primary):
    member, other = new_user(), new_user()
    join(member, "robots", as_primary=as_primary)
    for word in ("robots", number_of("robots"), "tokens,robots"):
        name = service(f"exempt_groups={word}", then=PERMIT)
        assert not is_asked(member, name), word
        assert is_asked(other, name), word
    assert log.of_module(6)[0].text.endswith(f"accepted user={member.name} rhost=- method=exempt")


def test_an_exempt_group_overrides_only_groups(groups, new_user, service):
    account = new_user()
    join(account, "tokens,robots")
    assert not is_asked(account, service("only_groups=tokens", "exempt_groups=robots", then=PERMIT))


def test_an_unknown_user_is_always_prompted(harness, groups, service):
    name = service("only_groups=tokens", "exempt_groups=robots", "nullok", then=PERMIT)
    login = harness.log_in(name, "no-such-user", "letters", at=START)
    assert (login.result, len(login.prompts)) == (Result.AUTH_ERR, 1)


@pytest.mark.parametrize("option", ["only_groups", "exempt_groups"])
@pytest.mark.parametrize("list_", ["no-such-group", "tokens,no-such-group", "4000000", "tokens,99999999999999"])
def test_a_group_that_does_not_exist_is_a_configuration_error(groups, new_user, service, log, option, list_):
    account = new_user()
    join(account, "tokens")
    login = account.log_in(service(f"{option}={list_}", "nullok", then=PERMIT), at=START)
    assert (login.result, login.prompts) == (Result.SERVICE_ERR, [])
    (message,) = log.of_module(1)
    assert message.priority == "authpriv.err" and " reason=configuration " in message.text
    problem = rf"there is no such group: {list_.split(',')[-1]}"
    assert message.text.endswith(rf'detail="argument \x22{option}\x22: {problem}"')


@pytest.mark.parametrize("option", ["only_groups", "exempt_groups"])
def test_the_line_of_a_group_that_does_not_exist_is_named(groups, new_user, service, log, option, host_configuration):
    path = host_configuration("# ours", "nullok = yes", f"{option} = tokens, no such group")
    login = new_user().log_in(service(then=PERMIT), at=START)
    assert (login.result, login.prompts) == (Result.SERVICE_ERR, [])
    problem = rf"{path}, line 3, \x22{option}\x22: there is no such group: no such group"
    assert log.of_module(1)[0].text.endswith(f' reason=configuration detail="{problem}"')


@pytest.mark.parametrize("option", ["only_groups", "exempt_groups"])
def test_unreadable_groups_deny_the_login(groups, new_user, service, log, option):
    account = new_user()
    join(account, "tokens")
    under = ("strace", "-f", "-o", "/dev/null", "-P", "/etc/group", "-e", "inject=openat:error=EACCES")
    name = service(f"{option}=tokens", "nullok", then=PERMIT)
    login = account.log_in(name, at=START, under=under)
    # Only on some hosts does the C library tell an unreadable group from a missing one.
    assert login.result in (Result.AUTHINFO_UNAVAIL, Result.SERVICE_ERR) and login.prompts == []
    assert log.of_module(1)[0].priority == "authpriv.err"


@pytest.mark.parametrize("turn", [1, 2, 3, 4])
def test_groups_that_fail_once_exempt_no_member(groups, new_user, service, turn):
    account = new_user()
    join(account, "tokens")
    inject = f"inject=openat:error=EMFILE:when={turn}"
    under = ("strace", "-f", "-o", "/dev/null", "-P", "/etc/group", "-e", inject)
    login = account.log_in(service("only_groups=tokens", then=PERMIT), "letters", at=START, under=under)
    assert login.result != Result.SUCCESS, "an unreadable group exempted a member"


def test_an_enrolled_user_is_prompted_whatever_the_groups(groups, user, service, log):
    enrolled = user.enroll()
    name = service("only_groups=tokens", "grace_period=600", then=PERMIT)
    assert is_asked(user, name)
    here = {"at": START, "rhost": "192.0.2.1"}
    assert user.log_in(name, enrolled.authenticator.code_at(START), **here).result == Result.SUCCESS
    assert user.log_in(name, **here).result == Result.SUCCESS
    assert log.of_module(3)[2].text.endswith("method=grace")


@pytest.fixture
def half_names(products, scratch):
    """A name service that finds the group `remote` without its members, and fails to list the groups of a user."""
    configuration = Path("/etc/nsswitch.conf")
    kept = configuration.read_text() if configuration.exists() else None
    library = modules_directory().parent / "libnss_half.so.2"
    build([SOURCES / "half_names.c"], library, "-shared", "-fPIC", f"-Wl,-soname,{library.name}")
    configuration.write_text("passwd: files\ngroup: files half\n")
    assert "remote" in run("getent", "group", "remote").stdout
    yield
    if kept is None:
        configuration.unlink()
    else:
        configuration.write_text(kept)
    library.unlink()


def test_a_name_service_that_answers_half_exempts_no_enrolled_user(half_names, register, user, service, log):
    """Nothing says that the user is no member, although nothing says that the user is one."""
    enrolled = user.enroll()
    name = service("only_groups=remote", then=PERMIT)
    assert is_asked(user, name)
    assert user.log_in(name, enrolled.authenticator.code_at(START), at=START).result == Result.SUCCESS
    with covered(user.home, owner=user):
        login = user.log_in(name, at=START)
    assert (login.result, login.prompts) == (Result.AUTHINFO_UNAVAIL, [])
    assert " reason=missing-enrollment " in log.of_module(3)[2].text


def test_a_name_service_that_answers_half_exempts_a_user_who_is_not_enrolled(half_names, register, user, service):
    assert not is_asked(user, service("only_groups=remote", then=PERMIT))


def test_an_exemption_alone_is_not_a_pass(groups, new_user, service):
    account = new_user()
    join(account, "robots")
    assert account.log_in(service("exempt_groups=robots")).result == Result.PERM_DENIED


DAY = datetime.datetime.fromtimestamp(START, datetime.UTC).date()
REMINDER = "Two-factor authentication will be required from {}. Switch it on with: twofactor enable"


def test_before_the_date_an_unenrolled_user_passes_with_a_reminder(user, service, log):
    name = service(f"required_from={DAY}", then=PERMIT)
    login = user.log_in(name, at=START - 1)
    assert (login.result, login.prompts, login.messages) == (Result.SUCCESS, [], [REMINDER.format(DAY)])
    (message,) = log.of_module(1)
    assert message.text.endswith(f"accepted user={user.name} rhost=- method=exempt")
    silent = user.log_in(name, at=START - 1, flags=PAM_SILENT)
    assert (silent.result, silent.messages) == (Result.SUCCESS, [])


@pytest.mark.parametrize("nullok", [(), ("nullok",)], ids=["", "nullok"])
def test_from_the_date_on_an_unenrolled_user_is_denied(user, service, nullok):
    name = service(f"required_from={DAY}", *nullok, then=PERMIT)
    assert user.log_in(name, at=START - 1).result == Result.SUCCESS
    login = user.log_in(name, "123456", at=START)
    assert (login.result, login.prompts, login.messages) == (Result.AUTH_ERR, ["Verification code: "], [])


def test_before_the_date_an_enrolled_user_is_prompted_without_a_reminder(user, service):
    enrolled = user.enroll()
    name = service(f"required_from={DAY}", then=PERMIT)
    at = START - 60
    login = user.log_in(name, enrolled.authenticator.code_at(at), at=at)
    assert (login.result, login.messages) == (Result.SUCCESS, [])
    assert user.log_in(name, "", at=at).result == Result.AUTH_ERR


def test_before_the_date_an_unknown_user_is_prompted(harness, service):
    login = harness.log_in(service(f"required_from={DAY}", then=PERMIT), "no-such-user", "1", at=START - 1)
    assert (login.result, len(login.prompts), login.messages) == (Result.AUTH_ERR, 1, [])


def home_is_missing(account):
    account.home.rename(account.home.with_suffix(".away"))


def home_is_somebody_elses(account):
    run("chown", "1:1", account.home)


def home_is_closed(account):
    account.home.chmod(0)


def folder_is_a_file(account):
    (account.home / ".twofactor").write_text("")


def folder_is_a_dangling_link(account):
    (account.home / ".twofactor").symlink_to("/nonexistent")


def folder_is_empty(account):
    run("install", "-d", "-m", "700", "-o", account.name, account.home / ".twofactor")


NO_HOME = [home_is_missing, home_is_somebody_elses, home_is_closed]
NO_PROOF = [*NO_HOME, folder_is_a_file, folder_is_a_dangling_link, folder_is_empty]


def function_name(function) -> str:
    return function.__name__


@pytest.mark.parametrize("option", ["nullok", "required_from", "only_groups"])
@pytest.mark.parametrize("damage", NO_PROOF, ids=function_name)
def test_a_user_who_may_be_enrolled_is_not_exempt(user, service, log, register, damage, option):
    if option == "only_groups" and damage in NO_HOME:
        (register / str(user.uid)).touch()
    damage(user)
    argument = {"nullok": "nullok", "required_from": f"required_from={DAY}", "only_groups": "only_groups=root"}[option]
    login = user.log_in(service(argument, then=PERMIT), "123456", at=START - 60)
    assert login.result in (Result.AUTH_ERR, Result.AUTHINFO_UNAVAIL), login
    assert not [message for message in log.of_module(1) if " accepted " in message.text]


@pytest.mark.parametrize("damage", NO_HOME, ids=function_name)
def test_the_groups_exempt_an_unregistered_user_without_a_usable_home(user, service, register, damage):
    """Otherwise the option would refuse service accounts, and users whose homes root cannot read."""
    damage(user)
    assert not is_asked(user, service("only_groups=root", then=PERMIT))


@pytest.mark.parametrize("error", ["EIO", "ESTALE", "ETIMEDOUT", "ENOMEM"])
def test_the_groups_exempt_no_user_whose_home_failed(user, service, register, error):
    """As if the server of the home did not answer, on a host that the user has not logged in to."""
    user.enroll()
    (register / str(user.uid)).unlink()
    under = ("strace", "-f", "-o", "/dev/null", "-P", str(user.home), "-e", f"inject=openat:error={error}")
    login = user.log_in(service("only_groups=root", then=PERMIT), at=START, under=under)
    assert (login.result, login.prompts) == (Result.AUTHINFO_UNAVAIL, [])


def test_a_nullok_exemption_is_logged(user, service, log):
    assert user.log_in(service("nullok", then=PERMIT)).result == Result.SUCCESS
    (message,) = log.of_module(1)
    assert message.priority == "authpriv.info"
    assert message.text.endswith(f"accepted user={user.name} rhost=- method=exempt")
