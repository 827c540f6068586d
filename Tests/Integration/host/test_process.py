"""The program that loads the module: unchanged, and hardly delayed."""

import os
import re
import shutil
import time

import pytest
from rig import machine
from rig.clock import START
from rig.harness import FAILURE, NULL, SOURCES, Answer, Result, build
from rig.process import run
from rig.tracing import injecting, tracing

MARKS = ("answer begins", "login returns")
FLUSHES = {"fsync", "fdatasync", "sync_file_range", "syncfs"}


def test_check_module_accepts_the_module(products):
    run(machine.CHECKOUT / "scripts/check-module")


def logins_of_every_outcome(harness, account, enrolled, service):
    """Yields (outcome, login), with each login in its own process."""
    right = enrolled.authenticator.code_at(START)
    wrong = enrolled.authenticator.wrong_code(START)
    states = {"at": START, "states": True}
    name = service()

    def log_in(*answers, user=enrolled.user, by=name, **options):
        return harness.log_in(by, user, *answers, **states, **options)

    here = {"rhost": "192.0.2.7"}
    yield "nothing may be written", log_in(right, under=("prlimit", "--fsize=100"))
    yield "accepted", log_in(right)
    yield "trusted network", log_in(by=service("trusted_networks=192.0.2.0/24"), **here)
    yield "exempt group", log_in(by=service(f"exempt_groups={account.gid}"))
    yield "unknown group", log_in(by=service("only_groups=no-such-group"))
    yield "outside the window", log_in(enrolled.authenticator.code_at(START, steps=15))
    later = enrolled.authenticator.code_at(START, steps=1)
    grace = service("grace_period=60")
    yield "accepted, remembered", log_in(later, by=grace, **here)
    yield "grace", log_in(by=grace, **here)
    yield "password and code", log_in("password" + right, by=service("forward_pass"))
    yield "reused", log_in(right)
    yield "wrong", log_in(wrong)
    yield "backup code", log_in(enrolled.backup_codes[0])
    yield "malformed", log_in("letters")
    yield "empty", log_in("")
    yield "null", log_in(NULL)
    yield "conversation failed", log_in(FAILURE)
    yield "user changed", log_in(Answer("text", right.encode(), become="root"))
    yield "unknown user", log_in("123456", user="no-such-user")
    yield "configuration", log_in(by=service("unknown"))
    os.rename(enrolled.directory, account.home / "aside")
    yield "not enrolled", log_in("123456")
    yield "not enrolled, nullok", log_in(by=service("nullok"))
    yield "not in the group", log_in(by=service("only_groups=0"))
    yield "not enrolled yet", log_in(by=service("required_from=2099-12-31"))
    os.rename(account.home / "aside", enrolled.directory)
    for _ in range(5):
        harness.log_in(name, enrolled.user, wrong, at=START)
    yield "throttled", log_in(right)
    many = service("max_failures=100")
    harness.run(many, [(enrolled.user, [wrong])], times=100, at=START + 3600)
    yield "locked", log_in(right, by=many)
    enrolled.state.write_bytes(b"")
    yield "damaged state", log_in(right)
    os.chmod(enrolled.credential, 0o666)
    yield "insecure file", log_in(right)
    account.home.chmod(0)
    yield "closed home", log_in(right)


def test_no_outcome_changes_the_process(harness, user, service, log):
    enrolled = user.enroll(backup_codes=10)
    outcomes = list(logins_of_every_outcome(harness, user, enrolled, service))
    results = {login.result for _, login in outcomes}
    assert results >= {0, 3, 7, 9, 11, 19}, "not every return value was reached"
    for outcome, login in outcomes:
        assert login.states["after"] == login.states["before"], outcome
        if "prompt" in login.states:
            unchanged = [line for line in login.states["before"].splitlines() if not line.startswith("Descriptor")]
            assert [
                line for line in login.states["prompt"].splitlines() if not line.startswith("Descriptor")
            ] == unchanged, outcome
            assert "/credential" not in login.states["prompt"] and "/state" not in login.states["prompt"], outcome
    said = [line for line in log.lines() if "the harness speaks for itself" in line]
    assert len(said) == len(outcomes) and all(" harness[" in line for line in said)


def test_the_groups_and_umask_of_the_host_are_restored(user, service):
    # A host with its own groups, umask and working directory, like a session manager.
    enrolled = user.enroll()
    code = enrolled.authenticator.code_at(START)
    under = ("setpriv", "--groups=4,24,27", "sh", "-c", 'umask 027; cd /usr; exec "$@"', "sh")
    login = user.log_in(service(), code, at=START, states=True, under=under)
    assert login.result == Result.SUCCESS
    before = login.states["before"]
    assert login.states["after"] == before
    assert "Groups:\t4 24 27" in before and "Umask:\t0027" in before and "Directory: /usr" in before


@pytest.fixture(scope="module")
def attributes(scratch):
    """The program harness/attributes.c."""
    return build([SOURCES / "attributes.c"], scratch / "attributes", "-lpam", "-pthread")


@pytest.fixture
def compared(attributes, harness, user, service):
    """The lines of harness/attributes.c for logins with a wrong code."""
    wrong = user.enroll().authenticator.wrong_code(time.time())

    def compare(*options: str, under: tuple[str, ...] = ()) -> list[str]:
        done = run(*under, attributes, *options, harness.services, service(), user.name, wrong)
        return done.stdout.splitlines()

    return compare


@pytest.mark.parametrize("dumpable", ["0", "1", "2"])
@pytest.mark.parametrize(
    "words",
    [
        (),
        ("dropped",),
        ("ambient",),
        ("kept",),
        ("signal",),
        ("secret",),
        ("ambient", "kept", "dropped", "signal", "secret"),
    ],
    ids=" and ".join,
)
def test_capabilities_death_signal_and_dumpable_are_restored(compared, suid_dumpable, words, dumpable):
    suid_dumpable(dumpable)
    assert compared("-n3", *(f"-a{word}" for word in words)) == ["same", "alive"]


def test_each_of_several_threads_keeps_its_capabilities_and_death_signal(compared):
    assert compared("-t6", "-n20", "-adropped", "-asignal") == [*["same"] * 6, "alive"]
    assert compared("-t6", "-n20") == [*["same"] * 6, "alive"]


def test_threads_that_log_in_one_after_the_other_keep_the_process_dumpable(user, service):
    enrolled = user.enroll()
    first, second = (
        user.log_in(service(), enrolled.authenticator.code_at(START, steps=step), at=START, states=True)
        for step in (0, 1)
    )
    assert "Dumpable: 1" in first.states["after"] and "Dumpable: 1" in second.states["after"]


@pytest.mark.parametrize("lives", [True, False], ids=["living", "dead"])
def test_a_parent_that_dies_during_a_login_ends_the_process(compared, lives, tmp_path):
    # The parent exits while the state is flushed, with the identity of the user and without a parent-death signal.
    delayed = (*injecting("fdatasync", "delay_enter=2000000"), "-f")
    assert compared("-asignal", *([] if lives else ["-o"]), under=delayed) == (["same", "alive"] if lives else [])


def test_a_host_that_keeps_its_capabilities_opens_the_home_without_them(compared, user, log):
    # Root's capabilities would open a home that is closed to its owner.
    user.home.chmod(0)
    assert compared("-akept") == ["same", "alive"]
    assert "reason=io-error" in log.of_module(1)[0].text


WITH_GROUPS, WITHOUT_GROUPS = ("setpriv", "--groups=4,24,27"), ("setpriv", "--clear-groups")
HOSTS = pytest.mark.parametrize("host", [WITH_GROUPS, WITHOUT_GROUPS], ids=["with groups", "without groups"])


@HOSTS
@pytest.mark.parametrize("needs_groups", [False, True], ids=["open", "for a group"])
def test_the_home_is_accessed_with_only_the_groups_of_the_user(user, service, tmp_path, host, needs_groups):
    enrolled = user.enroll()
    if needs_groups:
        move_behind_a_group(user.name)
    trace = tmp_path / "trace"
    under = (*host, *tracing(trace))
    login = user.log_in(service(), enrolled.authenticator.code_at(START), at=START, states=True, under=under)
    assert login.result == Result.SUCCESS
    assert login.states["after"] == login.states["before"]
    groups, at_the_state = "4, 24, 27" if host == WITH_GROUPS else "", []
    for line in trace.read_text().splitlines():
        if found := re.search(r"setgroups\(\d+, (?:NULL|\[(.*)\])\) += 0", line):
            groups = found[1] or ""
        if '"state"' in line:
            at_the_state.append(set(groups.split(", ")) - {""})
    assert at_the_state and not any({"4", "24", "27"} & groups for groups in at_the_state)
    assert needs_groups == any(at_the_state)


def move_behind_a_group(user: str) -> None:
    """Moves a user's home into a folder that only a group of the user can enter."""
    folder, group = f"/home/of-{user}", f"g{user}"
    os.mkdir(folder)
    run("groupadd", group)
    home = ["--home", f"{folder}/{user}", "--move-home"]
    run("usermod", "--append", "--groups", group, *home, user)
    os.chmod(folder, 0o750)
    shutil.chown(folder, "root", group)


@HOSTS
@pytest.mark.parametrize("call", ["capget", "getgroups", "setgroups", "setfsgid", "setfsuid"])
def test_a_host_that_cannot_become_the_user_opens_no_home(harness, user, service, tmp_path, host, call):
    enrolled = user.enroll()
    trace = tmp_path / "trace"
    # The first setfsuid only reads the identity.
    fault = f"inject={call}:error=EPERM:when={2 if call == 'setfsuid' else 1}"
    logins = harness.run(
        *(service("nullok", then="pam_permit.so"), [(user.name, [enrolled.authenticator.code_at(START)])]),
        **dict(at=START, states=True, under=(*host, *tracing(trace, "-e", fault)), may_die=True),
    )
    if host == WITHOUT_GROUPS and call == "setgroups":
        # There are no groups to drop, and the module does not try.
        assert "EPERM (Operation not permitted) (INJECTED)" not in trace.read_text()
        assert logins[0].result == Result.SUCCESS
        return
    assert "(INJECTED)" in trace.read_text() and ".twofactor" not in trace.read_text()
    # The process exits if it cannot restore its identity.
    assert logins or call == "setfsgid"
    for login in logins:
        assert login.result == Result.AUTHINFO_UNAVAIL and login.states["after"] == login.states["before"]


def test_a_process_of_the_user_itself_can_authenticate(harness, user, service):
    enrolled = user.enroll()
    code = enrolled.authenticator.code_at(time.time())
    login = user.log_in(service(), code, states=True, under=harness.running_as(user))
    assert login.result == Result.SUCCESS
    assert login.states["after"] == login.states["before"]
    assert user.log_in(service(), code).result == Result.AUTH_ERR


@pytest.mark.parametrize("groups", ["", "4,24,27"], ids=["without groups", "with groups"])
def test_a_process_of_another_user_cannot_authenticate(harness, user, new_user, service, groups):
    enrolled = user.enroll()
    code = enrolled.authenticator.code_at(time.time())
    login = user.log_in(service("nullok"), code, under=harness.running_as(new_user(), groups))
    assert login.result not in (Result.SUCCESS, Result.PERM_DENIED)


@pytest.mark.parametrize("variable", ["HOME", "TZ", "XDG_CONFIG_HOME", "OPENSSL_CONF", "OPENSSL_ia32cap", "LANG"])
def test_environment_variables_change_nothing(user, service, variable):
    enrolled = user.enroll()
    code = enrolled.authenticator.code_at(START)
    under = ("env", f"{variable}=/nonexistent")
    assert user.log_in(service(), code, at=START, under=under).result == Result.SUCCESS


@pytest.mark.seconds(240)
def test_one_process_logs_in_many_times(harness, user, service):
    enrolled = user.enroll()
    wrong = enrolled.authenticator.wrong_code(START)
    logins = [(user.name, [answer]) for answer in (enrolled.authenticator.code_at(START), wrong, "letters", "")]
    outcome = harness.run(service(), logins, times=250, at=START, states=True, timeout=200)
    assert len(outcome) == 1000
    assert sum(login.result == Result.SUCCESS for login in outcome) == 1
    assert {login.states["before"] for login in outcome} == {outcome[0].states["before"]}
    assert outcome[-1].states["after"] == outcome[0].states["before"]


def calls_of_an_answer(harness, service, enrolled, answer, trace, at=START) -> list[str]:
    """Names of the system calls between reply and return, without flushes."""
    under = tracing(trace)
    login = harness.log_in(service, enrolled.user, answer, at=at, marks=True, under=under)
    assert login.result is not None
    lines = trace.read_text().splitlines()
    first, last = (next(n for n, line in enumerate(lines) if f'write(-1, "{mark}"' in line) for mark in MARKS)
    names = [found[1] for line in lines[first + 1 : last] if (found := re.match(r"\d+ +(?:<\.\.\. )?(\w+)[( ]", line))]
    return [name for name in names if name not in FLUSHES]


@pytest.mark.parametrize("kind", ["right", "wrong", "reused"])
def test_a_reply_costs_at_most_sixty_system_calls(harness, user, service, tmp_path, kind):
    enrolled = user.enroll()
    name = service()
    code = enrolled.authenticator.code_at(START)
    if kind == "reused":
        user.log_in(name, code, at=START)
    answer = enrolled.authenticator.wrong_code(START) if kind == "wrong" else code
    calls = calls_of_an_answer(harness, name, enrolled, answer, tmp_path / "trace")
    assert 0 < len(calls) <= 60, " ".join(calls)


def test_a_code_is_flushed_before_it_is_accepted(user, service, tmp_path):
    enrolled = user.enroll()
    trace = tmp_path / "trace"
    under = tracing(trace, "-y")
    login = user.log_in(service(), enrolled.authenticator.code_at(START), at=START, marks=True, under=under)
    assert login.result == Result.SUCCESS
    lines = trace.read_text().splitlines()
    written = max(n for n, line in enumerate(lines) if re.search(r"pwrite64\(\d+<[^>]*/state>", line))
    flushed = max(n for n, line in enumerate(lines) if re.search(r"f(data)?sync\(\d+<[^>]*/state>", line))
    answered = next(n for n, line in enumerate(lines) if f'"{MARKS[1]}"' in line)
    assert written < flushed < answered


def test_every_descriptor_is_closed_on_exec(user, service, tmp_path):
    enrolled = user.enroll()
    trace = tmp_path / "trace"
    user.log_in(
        service(),
        enrolled.authenticator.code_at(START),
        at=START,
        under=tracing(trace, "-e", "trace=open,openat,openat2,memfd_create,socket,dup,pipe2"),
    )
    ours = r'open\w*\(.*"[^"]*(twofactor|state|credential)'
    opened = [line for line in trace.read_text().splitlines() if re.search(ours, line)]
    opened = [line for line in opened if ".so" not in line and "pam.d" not in line]
    assert opened and all("O_CLOEXEC" in line for line in opened), opened


def test_files_of_the_user_are_opened_only_as_the_user(user, service, tmp_path):
    enrolled = user.enroll()
    trace = tmp_path / "trace"
    user.log_in(service(), enrolled.authenticator.code_at(START), at=START, under=tracing(trace))
    lines = trace.read_text().splitlines()
    switched = next(n for n, line in enumerate(lines) if f"setfsuid({user.uid})" in line)
    touched = [n for n, line in enumerate(lines) if re.search(r'openat.*"(\.twofactor|credential|state)"', line)]
    assert touched and min(touched) > switched
    assert any("setfsuid(0)" in line for line in lines[max(touched) :])
    assert not [line for line in lines if re.search(r"\bset(res|re)?uid\(", line)]


def test_a_killed_login_blocks_no_other(user, service):
    enrolled = user.enroll()
    name = service()
    code = enrolled.authenticator.code_at(START)
    inject = injecting("pwrite64", "signal=SIGKILL:when=1")
    with pytest.raises(AssertionError, match="ended with"):
        user.log_in(name, code, at=START, under=inject)
    later = START + 60
    login = user.log_in(name, enrolled.authenticator.code_at(later), at=later)
    assert login.result == Result.SUCCESS


@pytest.mark.parametrize("error", ["EIO", "ENOSPC", "EDQUOT", "EROFS"])
@pytest.mark.parametrize("call", ["pwrite64", "fdatasync"])
def test_a_failed_write_of_the_state_denies_the_login(user, service, log, call, error):
    enrolled = user.enroll(backup_codes=1)
    name = service("nullok", then="pam_permit.so")
    inject = injecting(call, f"error={error}")
    for answer in (enrolled.authenticator.code_at(START), enrolled.backup_codes[0]):
        login = user.log_in(name, answer, at=START, under=inject)
        assert login.result == Result.AUTHINFO_UNAVAIL
    assert all("reason=io-error" in message.text.split() for message in log.of_module(2))
