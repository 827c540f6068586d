"""Logins on two hosts whose enrollments are in PostgreSQL, and the setup command on them."""

import grp
import json
import re
import shutil
import time
from pathlib import Path

import pexpect
import pytest
from rig.clock import time_to_type
from rig.enrollment import Enrollment, twofactor_json
from rig.enrollment_at_login import Applications, stack
from rig.exit_status import IO_ERROR, NOT_CONFIGURED, NOT_PERMITTED, REFUSED, UNUSABLE
from rig.fleet import Fleet
from rig.fleet_commands import WIDE, Codes, on
from rig.harness import Result
from rig.imports import APP, google_file
from rig.machine import COMMAND, STORE_PROGRAM
from rig.process import run
from rig.register import REGISTER, STORE, registered
from rig.ssh import Client as SSHClient
from rig.ssh import Server, make_key
from rig.state_file import CHECKSUM, FAILURES, checksum

SUCCESS, REFUSED_CODE = Result.SUCCESS, Result.AUTH_ERR
THROTTLED, UNAVAILABLE = Result.MAXTRIES, Result.AUTHINFO_UNAVAIL


@pytest.fixture
def system_service():
    """Writes services in /etc/pam.d for one test: `disable` evaluates all of them."""
    before: dict[Path, bytes | None] = {}

    def write(name: str, *lines: str) -> str:
        path = Path("/etc/pam.d", name)
        before[path] = path.read_bytes() if path.exists() else None
        path.write_text("".join(line + "\n" for line in lines))
        return name

    yield write
    for path, content in before.items():
        path.write_bytes(content) if content is not None else path.unlink()


@pytest.fixture
def enrolled(one, user) -> Enrollment:
    made = user.enroll(backup_codes=3)
    assert str(made.directory) == "postgresql" and not user.files()
    return made


@pytest.fixture
def codes(enrolled) -> Codes:
    return Codes(enrolled)


def outcomes(log, number: int) -> list[str]:
    return [message.text.partition(":auth): ")[2] for message in log.of_module(number)]


def set_failures(hosts: Fleet, user, failures: int) -> None:
    """Writes the number of failures into the user's row, as 100 wrong codes over hours would."""
    where = f"WHERE user_name = '{user.name}'"
    state = bytearray.fromhex(hosts.database.admin(f"SELECT encode(state, 'hex') FROM twofactor.enrollment {where}"))
    state[FAILURES : FAILURES + 8] = failures.to_bytes(8, "little")
    state[CHECKSUM:] = checksum(bytes(state)).to_bytes(8, "little")
    hosts.database.admin(f"UPDATE twofactor.enrollment SET state = '\\x{state.hex()}' {where}")


def test_a_code_is_accepted_once_over_both_hosts(one, two, user, enrolled, codes, service, log):
    name, first, second = service(*WIDE), codes.next(), codes.next()
    assert user.log_in(name, first, under=one).result == SUCCESS
    again = user.log_in(name, first, under=two)
    assert (again.result, again.messages) == (REFUSED_CODE, ["This code was already used. Wait for the next one."])
    assert user.log_in(name, second, under=two).result == SUCCESS
    assert user.log_in(name, second, under=one).result == REFUSED_CODE
    assert user.log_in(name, enrolled.authenticator.wrong_code(time.time()), under=one).result == REFUSED_CODE
    backup = enrolled.backup_codes[0]
    assert user.log_in(name, backup.lower(), under=two).messages == [
        "2 backup codes left. Create new ones with: twofactor backup-codes"
    ]
    assert user.log_in(name, backup, under=one).messages == ["This backup code was already used. Use another one."]
    start = f"user={user.name} rhost=-"
    assert outcomes(log, 7) == [
        f"accepted {start} method=totp device=phone",
        f"denied {start} reason=reused-code",
        f"accepted {start} method=totp device=phone",
        f"denied {start} reason=reused-code",
        f"denied {start} reason=wrong-code failures=1",
        f"accepted {start} method=backup-code backup_codes_left=2",
        f"denied {start} reason=reused-code",
    ]
    assert registered() == [] and not list(STORE.iterdir())


def test_one_code_for_many_sessions_on_both_hosts(one, two, user, codes, service):
    name, code = service(*WIDE), codes.next()
    script = (
        f"for host in '{' '.join(one)}' '{' '.join(two)}'; do for n in 1 2 3 4; do "
        f"$host {user.harness.program} {user.harness.services} {name} < $0 & done; done; wait"
    )
    typed = REGISTER.parent / "script"
    typed.write_text(f"user {user.name.encode().hex()}\ntext {code.encode().hex()}\n")
    results = re.findall(r"^result (\d+)$", run("sh", "-c", script, typed).stdout, re.MULTILINE)
    assert sorted(map(int, results)) == [SUCCESS] + [REFUSED_CODE] * 7


def test_throttling_and_lockout_hold_on_every_host(hosts, one, two, user, enrolled, codes, service, log):
    strict, wide = service("max_failures=1"), service(*WIDE)
    wrong = enrolled.authenticator.wrong_code(time.time())
    assert user.log_in(strict, wrong, under=one).result == REFUSED_CODE
    throttled = user.log_in(strict, codes.next(), under=two)
    assert throttled.result == THROTTLED
    assert re.fullmatch(r"Too many failed codes. Try again in \d+ seconds.", throttled.messages[0])
    assert f"{user.name} is unlocked" in on(two, "unlock", "--user", user.name)
    assert user.log_in(strict, codes.next(), under=one).result == SUCCESS

    set_failures(hosts, user, 100)
    assert user.log_in(wide, codes.next(), under=one).result == THROTTLED
    assert "locked until a backup code is used" in on(one, "status", "--user", user.name)
    on(two, "unlock", "--user", user.name)
    assert user.log_in(wide, codes.next(), under=one).result == SUCCESS
    set_failures(hosts, user, 100)
    assert user.log_in(wide, enrolled.backup_codes[0], under=two).result == SUCCESS
    assert user.log_in(wide, codes.next(), under=one).result == SUCCESS


def test_a_grace_period_holds_on_every_host(one, two, user, codes, service, log):
    name = service(*WIDE, "grace_period=3600")
    near, far = {"rhost": "192.0.2.1"}, {"rhost": "192.0.2.2"}
    assert user.log_in(name, codes.next(), under=one, **near).result == SUCCESS
    passed = user.log_in(name, under=two, **near)
    assert (passed.result, passed.prompts) == (SUCCESS, [])
    assert outcomes(log, 2)[-1] == f"accepted user={user.name} rhost=192.0.2.1 method=grace"
    assert user.log_in(name, codes.next(), under=two, **far).prompts == ["Verification code: "]
    # A change of the enrollment ends the grace period.
    on(one, "backup-codes", "--user", user.name)
    assert user.log_in(name, codes.next(), under=two, **near).prompts == ["Verification code: "]


def test_a_code_at_the_end_of_the_password(hosts, one, two, user, enrolled, codes, harness, log):
    unix = "auth required pam_unix.so use_first_pass nodelay"
    lines = " ".join(("auth required pam_twofactor.so forward_pass", *WIDE))
    name = harness.service("single", lines, unix)
    typed = user.password + codes.next()
    assert user.log_in(name, typed, under=one).result == SUCCESS
    assert user.log_in(name, typed, under=two).result == REFUSED_CODE
    assert user.log_in(name, user.password + enrolled.backup_codes[0], under=two).result == SUCCESS
    assert user.log_in(name, user.password, under=two).result == REFUSED_CODE
    failures = user.status()["failures"]
    # An exempt user's code is used up and cut off; the end of the password alone is no failure.
    exempt = harness.service("exempt", lines + " trusted_networks=192.0.2.0/24", unix)
    typed = user.password + codes.next()
    assert user.log_in(exempt, typed, under=one, rhost="192.0.2.1").result == SUCCESS
    assert user.log_in(name, typed, under=one).result == REFUSED_CODE
    assert user.log_in(exempt, user.password, under=one, rhost="192.0.2.1").result == SUCCESS
    assert user.status()["failures"] <= max(failures, 1)


def test_users_who_are_not_enrolled_and_unknown_users(one, two, user, new_user, service, harness, log):
    name, lenient = service(*WIDE), service("nullok", then="pam_permit.so")
    assert user.log_in(name, "123456", under=one).result == REFUSED_CODE
    assert user.log_in(lenient, under=one).result == SUCCESS
    assert harness.log_in(name, "nobody-here", "123456", under=one).result == REFUSED_CODE
    assert outcomes(log, 3) == [
        f"denied user={user.name} rhost=- reason=not-enrolled",
        f"accepted user={user.name} rhost=- method=exempt",
        "denied user=nobody-here rhost=- reason=unknown-user",
    ]
    # The register entry of files that were not moved yet: the absence of the row proves nothing.
    (REGISTER / str(user.uid)).touch()
    assert user.log_in(lenient, under=one).result == UNAVAILABLE
    assert "reason=missing-enrollment" in outcomes(log, 4)[-1]
    assert "missing: registered as enrolled" in on(one, "users")
    found = run(*one, COMMAND, "doctor", "--json", status=None).stdout
    assert f"{user.name} is registered as enrolled on this host, but not in the database" in found
    on(one, "disable", "--user", user.name)
    assert registered() == [] and user.log_in(lenient, under=one).result == SUCCESS


def test_an_enrollment_at_the_first_login_holds_on_every_host(one, two, user, harness, scratch, service, log):
    applications = Applications(harness, scratch)
    name = applications.service("required", *stack("enroll=require"))
    with applications.start(name, user, under=one) as login:
        shown = login.enroll(user.password)
    assert login.account == SUCCESS and login.authenticated == SUCCESS
    assert "method=enrolled" in log.of_module(2)[-1].text
    code = shown.authenticator.code_at(time_to_type(), steps=1)
    assert user.log_in(service(*WIDE), code, under=two).result == SUCCESS
    assert registered() == [] and user.status()["enabled"]
    # The other way round, and enrolled meanwhile on another host.
    again = on(two, "enable", "--user", user.name, "--no-confirm", "--yes", status=REFUSED)
    assert "two-factor is already on" in again


def test_disabled_on_one_host_is_disabled_on_the_other(one, two, user, enrolled, codes, service):
    lenient = service("nullok", *WIDE, then="pam_permit.so")
    assert user.log_in(lenient, under=two).prompts == ["Verification code: "]
    user.twofactor("disable", answers=f"{user.password}\n{codes.next()}\n")
    passed = user.log_in(lenient, under=two)
    assert (passed.result, passed.prompts) == (SUCCESS, [])
    assert "two-factor is not on" in on(two, "unlock", "--user", user.name, status=REFUSED)


def test_without_a_server_only_exempt_users_pass(hosts, one, user, enrolled, codes, service, log):
    services = {
        service(*WIDE): UNAVAILABLE,
        service("nullok"): UNAVAILABLE,
        service("grace_period=60"): UNAVAILABLE,
        service("trusted_networks=192.0.2.0/24", then="pam_permit.so"): SUCCESS,
        service(f"exempt_groups={user.name}", then="pam_permit.so"): SUCCESS,
    }
    code = codes.next()
    for server in hosts.database.servers:
        server.kill()
    try:
        for name, result in services.items():
            started = time.monotonic()
            login = user.log_in(name, code, under=one, rhost="192.0.2.1")
            assert login.result == result, name
            assert time.monotonic() - started < 12
            if result == UNAVAILABLE:
                assert login.messages == [
                    "Two-factor authentication could not be checked. Contact the administrator."
                ]
        for line in outcomes(log, 5)[:3]:
            assert re.search(r' reason=io-error detail="[^"]*(db1|server)[^"]*"$', line), line
        failed = on(one, "disable", "--user", user.name, status=IO_ERROR)
        assert "hint: see the state of the servers: twofactor fleet status" in failed
        refused = user.twofactor("status", status=IO_ERROR)
        assert "twofactor: " in refused.stderr
    finally:
        hosts.database.heal()
    assert user.log_in(service(*WIDE), code, under=one).result == SUCCESS


def test_real_logins_over_ssh(hosts, one, two, user, enrolled, codes, system_service, scratch, log):
    options = " ".join(WIDE)
    code_line = f"auth required pam_twofactor.so {options}"
    rest = ("account required pam_unix.so", "session required pam_permit.so")
    system_service("fleet-one-sshd", code_line, *rest)
    system_service("fleet-two-sshd", "auth required pam_unix.so nodelay", code_line, *rest)
    methods = "publickey,keyboard-interactive:pam"
    (scratch / "fleet-key").mkdir()
    key, first, second = make_key(user, scratch / "fleet-key"), codes.next(), codes.next()
    with (
        Server("fleet-one-sshd", scratch / "fleet-one", methods, within=list(one)) as with_key,
        Server("fleet-two-sshd", scratch / "fleet-two", within=list(two)) as with_password,
    ):
        client = with_key.connect(user, key=key)
        client.answer(SSHClient.CODE, first)
        assert client.is_let_in()
        for code, is_let_in in ((first, False), (second, True)):
            client = with_password.connect(user)
            client.answer(SSHClient.PASSWORD, user.password)
            client.answer(SSHClient.CODE, code)
            assert client.is_let_in() == is_let_in
    ends = [text.split(" rhost=127.0.0.1 ")[1] for text in outcomes(log, 3)]
    assert ends == ["method=totp device=phone", "reason=reused-code", "method=totp device=phone"]


NOTING = """\
#!/usr/bin/python3 -I
import os, sys
wanted = ("Uid", "Gid", "Groups", "NoNewPrivs")
status = [line for line in open("/proc/self/status") if line.partition(":")[0] in wanted]
owner = os.stat("/proc/self/environ").st_uid
environment = {name: value for name, value in os.environ.items() if name != "LC_CTYPE"}
with open("%s", "a") as file:
    file.write("".join(status) + f"{sys.argv[1:]} {environment} {os.getcwd()} {owner}\\n")
os.execv("%s", sys.argv)
"""


@pytest.fixture
def noted(one):
    """The identity with which the store program runs, its arguments, its environment and the owner of its /proc."""
    real, noted = STORE_PROGRAM.with_name("real"), REGISTER.parent / "noted"
    STORE_PROGRAM.rename(real)
    try:
        STORE_PROGRAM.write_text(NOTING % (noted, real))
        STORE_PROGRAM.chmod(0o755)
        noted.touch()
        noted.chmod(0o666)
        yield lambda: noted.read_text().splitlines()
    finally:
        real.rename(STORE_PROGRAM)


def test_the_helper_executes_the_program_with_its_group(user, enrolled, noted):
    """/proc shows that root owns the process, so the user cannot trace it."""
    before = len(noted())
    user.twofactor("status", environment={"PGPASSWORD": "x", "LD_LIBRARY_PATH": "/nowhere"})
    group = grp.getgrnam("_twofactor").gr_gid
    assert noted()[before:] == [
        f"Uid:\t{user.uid}\t{user.uid}\t{user.uid}\t{user.uid}",
        f"Gid:\t{user.gid}\t{group}\t{group}\t{group}",
        "Groups:\t ",
        "NoNewPrivs:\t0",
        "[] {} / 0",
    ]


def test_without_a_program_that_root_owns_users_are_refused(one, user, enrolled, codes, service, log):
    name, aside = service("nullok"), STORE_PROGRAM.with_name("aside")
    STORE_PROGRAM.rename(aside)
    try:
        assert user.log_in(name, under=one).result == UNAVAILABLE
        aside.rename(STORE_PROGRAM)
        STORE_PROGRAM.chmod(0o775)
        assert user.log_in(name, under=one).result == UNAVAILABLE
        failed = user.twofactor("status", status=IO_ERROR)
        assert "twofactor-store-postgresql: is not installed, or others can change it" in failed.stderr
        for subcommand in (("status", "--user", user.name), ("fleet", "status")):
            failed = on(one, *subcommand, status=NOT_CONFIGURED)
            assert "hint: the administrator can install the package twofactor-store-postgresql" in failed
    finally:
        aside.rename(STORE_PROGRAM) if aside.exists() else None
        STORE_PROGRAM.chmod(0o755)
    detail = 'detail="twofactor-store-postgresql: is not installed, or others can change it"'
    assert outcomes(log, 2) == [f"denied user={user.name} rhost=- reason=io-error {detail}"] * 2


@pytest.mark.parametrize("program", ["su", "sudo"])
def test_su_and_sudo_run_it_as_root_alone(program, one, user, new_user, enrolled, codes, system_service, noted):
    """The caller of su has its real user ID, and could kill a program with that ID before it counts a wrong code."""
    rest = ("account required pam_permit.so", "session required pam_permit.so")
    system_service(program, f"auth required pam_twofactor.so {' '.join(WIDE)}", *rest)
    rules = Path("/etc/sudoers.d/fleet")
    rules.write_text(f"{user.name} ALL=(ALL) ALL\n")
    rules.chmod(0o440)
    caller, words = (new_user(), ("-c", "id -un", user.name)) if program == "su" else (user, ("id", "-un"))
    before = len(noted())
    command = [*one[1:], "setpriv", f"--reuid={caller.uid}", "--clear-groups", program, *words]
    try:
        terminal = pexpect.spawn(one[0], command, cwd="/", timeout=20, encoding="utf-8")
        terminal.expect("Verification code: ")
        terminal.sendline(codes.next())
        terminal.expect(user.name if program == "su" else "root")
    finally:
        rules.unlink()
    assert noted()[before:] == [
        "Uid:\t0\t0\t0\t0", "Gid:\t0\t0\t0\t0", "Groups:\t ", "NoNewPrivs:\t1", f"['{user.name}'] {{}} / 0",
    ]  # fmt: skip


def test_a_program_of_the_user_asks_the_helper(one, user, enrolled, codes, service, harness, log):
    """A screen locker, for example."""
    locker = (*one, *harness.running_as(user))
    name, first = service(), codes.next()
    assert user.log_in(name, first, under=locker).result == SUCCESS
    assert user.log_in(name, first, under=one).result == REFUSED_CODE
    assert user.log_in(name, enrolled.authenticator.wrong_code(time.time()), under=locker).result == REFUSED_CODE
    assert user.status()["failures"] == 1
    assert user.log_in(name, enrolled.backup_codes[0], under=locker).result == SUCCESS
    assert outcomes(log, 1)[0] == f"accepted user={user.name} rhost=- method=totp device=phone"
    # It acts for its real user alone.
    other = (*one, *harness.running_as(user.__class__("nobody", "", harness)))
    assert user.log_in(name, codes.next(), under=other).result == UNAVAILABLE


def test_every_command_of_a_user(one, two, user, service):
    words = ("enable", "--no-confirm", "--yes", "--json", "--backup-codes", "6")
    made = Enrollment.of(json.loads(user.twofactor(*words, answers=user.password + "\n").stdout))
    typed = iter(made.backup_codes)
    status = user.twofactor("status").stdout
    assert f"Two-factor is on for {user.name} since" in status and "\nStore:         PostgreSQL\n" in status
    assert user.status() == json.loads(on(two, "status", "--user", user.name, "--json"))
    assert user.status()["directory"] == "postgresql"
    user.twofactor("verify", answers=made.authenticator.code_at(time_to_type()) + "\n")
    assert "wrong code" in user.twofactor("verify", answers="000000\n", status=REFUSED).stderr
    user.twofactor("device", "add", "tablet", "--no-confirm", answers=next(typed) + "\n")
    shown = user.twofactor("show", "--name", "phone", "--json", answers=f"{user.password}\n{next(typed)}\n")
    assert json.loads(shown.stdout)["uri"] == made.uri
    user.twofactor("device", "remove", "tablet", answers=next(typed) + "\n")
    assert "phone" in user.twofactor("device", "list").stdout and user.devices() == ["phone"]
    now = time_to_type()
    resync = "".join(made.authenticator.code_at(now, steps=steps) + "\n" for steps in (4, 5))
    user.twofactor("device", "resync", "phone", answers=resync)
    assert user.status()["devices"][0]["offset_steps"] in (3, 4, 5)
    used = next(typed)
    user.twofactor("backup-codes", answers=used + "\n")
    assert user.status()["backup_codes_left"] == 10
    assert user.log_in(service(*WIDE), used, under=two).result == REFUSED_CODE
    code = made.authenticator.code_at(now, steps=6)
    path = google_file(user, '" TOTP_AUTH', "12345678")
    user.twofactor("import", "--no-confirm", "--force", str(path), answers=f"{user.password}\n{code}\n")
    user.twofactor("disable", answers=f"{user.password}\n12345678\n")
    path.unlink()
    assert not user.status()["enabled"] and not user.files() and registered() == []
    for forbidden in (("users",), ("unlock",), ("move", "--all", "--from", "home")):
        user.twofactor(*forbidden, status=NOT_PERMITTED)


DAMAGES = {
    "seal": "credential = overlay(credential placing '\\x5555555555555555' from 40)",
    "key of another host": "credential = overlay(credential placing '\\xffffffff' from 2)",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_root_erases_a_row_that_cannot_be_opened(damage, hosts, one, user, enrolled, service, log):
    where = f"WHERE user_name = '{user.name}'"
    hosts.database.admin(f"UPDATE twofactor.enrollment SET {DAMAGES[damage]} {where}")
    reason = "corrupt-file" if damage == "seal" else "configuration"
    assert user.log_in(service("nullok"), "123456", under=one).result in (UNAVAILABLE, Result.SERVICE_ERR)
    assert f"reason={reason} " in outcomes(log, 1)[0]
    assert re.search(rf"^{user.name} +\? +its row in the database cannot be opened", on(one, "users"), re.MULTILINE)
    status = UNUSABLE if damage == "seal" else NOT_CONFIGURED
    on(one, "enable", "--user", user.name, "--no-confirm", "--yes", status=status)
    if damage == "seal":
        on(one, "enable", "--force", "--user", user.name, "--no-confirm", "--yes")
        assert user.status()["enabled"]
    assert "Two-factor is off." in on(one, "disable", "--user", user.name)
    assert not user.status()["enabled"]


def test_every_command_of_root(hosts, one, two, user, new_user, service, system_service):
    made = user.enroll("--type", "hotp", backup_codes=1)
    code = made.authenticator.code_for_counter
    assert "The code is right: phone." in on(one, "verify", "--user", user.name, answers=code(0) + "\n")
    user.add_device("tablet")
    assert twofactor_json("show", "--user", user.name, "--name", "phone")["uri"] == made.uri
    on(two, "device", "remove", "tablet", "--user", user.name)
    assert "no device named" in on(two, "device", "remove", "tablet", "--user", user.name, status=REFUSED)
    on(one, "device", "resync", "phone", "--user", user.name, answers=f"{code(50)}\n{code(51)}\n")
    assert user.log_in(service(*WIDE), code(52), under=two).result == SUCCESS
    system_service("fleet-test", "auth required pam_twofactor.so", "account required pam_permit.so")
    on(one, "test", "--service", "fleet-test", "--user", user.name, answers=code(53) + "\n")
    listed = {entry["user"]: entry for entry in json.loads(on(one, "users", "--json"))["users"]}
    assert listed[user.name]["enabled"] and listed[user.name]["backup_codes_left"] == 1
    other = new_user()
    hosts.database.admin(
        "INSERT INTO twofactor.enrollment (host_group, user_name, credential, state, generation) SELECT host_group, "
        f"'not-on-this-host', credential, state, generation FROM twofactor.enrollment WHERE user_name = '{user.name}'"
    )
    table = on(two, "users")
    assert re.search(rf"^{user.name} +on ", table, re.MULTILINE)
    assert re.search(rf"^not-on-this-host +", table, re.MULTILINE)
    assert "\nEnrolled, but without an account on this host: not-on-this-host\n" in table
    hosts.database.admin("DELETE FROM twofactor.enrollment WHERE user_name = 'not-on-this-host'")
    # A tree of files, for every account at once; again, nothing is changed.
    tree = REGISTER.parent / "files"
    (tree / other.name).mkdir(parents=True)
    shutil.move(google_file(other, '" TOTP_AUTH'), tree / other.name)
    assert f"{other.name}: imported" in on(one, "import", "--all", str(tree))
    assert f"{other.name}: unchanged" in on(two, "import", "--all", str(tree))
    assert other.log_in(service(*WIDE), APP.code_at(time_to_type()), under=two).result == SUCCESS
    assert twofactor_json("enable", "--force", "--no-confirm", "--yes", "--user", other.name)["user"] == other.name
    on(one, "disable", "--user", other.name)
    on(two, "disable", "--user", user.name)
    assert not user.status()["enabled"]
