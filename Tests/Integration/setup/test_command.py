"""`twofactor` run by programs: options, exit statuses, JSON, and answers from standard input."""

import itertools
import json
import os
import re
import subprocess
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from rig.enrollment import twofactor, twofactor_json
from rig.machine import COMMAND
from rig.one_time_password import Authenticator
from rig.process import run

CONFIGURATION = Path("/etc/security/twofactor.conf")
DONE, REFUSED, USAGE, UNUSABLE, NO_ACCOUNT, IO_ERROR, NOT_PERMITTED, NOT_CONFIGURED = 0, 1, 64, 65, 67, 74, 77, 78
SKELETON = {path.name for path in Path("/etc/skel").iterdir()}
PROVISION = ("enable", "--no-confirm", "--yes", "--json")


@pytest.fixture
def configuration():
    """Writes twofactor.conf for one test."""

    def write(text: str, mode: int = 0o644) -> None:
        CONFIGURATION.write_text(text)
        CONFIGURATION.chmod(mode)

    yield write
    CONFIGURATION.unlink(missing_ok=True)


def files(user) -> dict[str, bytes]:
    """Everything in the home: paths and contents."""
    names = {str(path.relative_to(user.home)): path for path in user.home.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in names.items() if name not in SKELETON}


def start(user, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [COMMAND, *arguments],
        user=user.uid,
        group=user.gid,
        extra_groups=[],
        env={},
        cwd=user.home,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_json_of_enable_is_complete(user):
    done = twofactor(*PROVISION, "--user", user.name, "--issuer", "Big Corp", status=None)
    answer = json.loads(done.stdout)
    assert (done.returncode, done.stderr) == (DONE, "")
    assert list(answer) == ["user", "directory", "device", "secret", "uri", "backup_codes"]
    assert answer["user"] == user.name
    assert answer["directory"] == f"{user.home}/.twofactor"
    enabled_at = answer["device"].pop("enabled_at")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", enabled_at)
    assert answer["device"] == {
        "name": "phone",
        "type": "totp",
        "algorithm": "sha1",
        "digits": 6,
        "period": 30,
        "last_used_at": None,
    }
    assert len(set(answer["backup_codes"])) == 10
    assert answer["uri"] == f"otpauth://totp/Big%20Corp:{user.name}?secret={answer['secret']}&issuer=Big%20Corp"


@pytest.mark.parametrize(
    ("options", "device", "parameters", "length"),
    [
        (("--algorithm", "sha256"), {"algorithm": "sha256"}, {"algorithm": ["SHA256"]}, 52),
        (("--algorithm", "sha512", "--digits", "8"), {"digits": 8}, {"algorithm": ["SHA512"], "digits": ["8"]}, 103),
        (("--period", "60"), {"period": 60}, {"period": ["60"]}, 32),
        (("--type", "hotp"), {"type": "hotp", "period": None}, {"counter": ["0"]}, 32),
        (("--name", "my tablet"), {"name": "my tablet"}, {}, 32),
    ],
)
def test_every_kind_of_device_has_its_uri(user, options, device, parameters, length):
    answer = json.loads(twofactor(*PROVISION, "--user", user.name, *options).stdout)
    assert {key: answer["device"][key] for key in device} == device
    uri = urlsplit(answer["uri"])
    query = parse_qs(uri.query, strict_parsing=True)
    assert uri.netloc == answer["device"]["type"]
    assert len(answer["secret"]) == length and query.pop("secret") == [answer["secret"]]
    query.pop("issuer")
    assert query == parameters


@pytest.mark.parametrize("umask", [0, 0o022, 0o077, 0o777])
def test_files_are_private_under_every_umask(user, umask):
    twofactor(*PROVISION, "--user", user.name, umask=umask)
    directory = user.home / ".twofactor"
    for path, mode in [(directory, 0o40700), (directory / "credential", 0o100600), (directory / "state", 0o100600)]:
        status = path.stat()
        assert (status.st_mode, status.st_uid, status.st_gid) == (mode, user.uid, user.gid)
    assert sorted(path.name for path in directory.iterdir()) == ["credential", "state"]


def test_answers_are_read_one_line_for_a_question(user):
    command = start(user, "enable", "--json")
    command.stdin.write(user.password + "\n")
    command.stdin.flush()
    # The JSON comes before the question for a code, so that a program can answer it.
    answer = json.loads(command.stdout.readline())
    code = Authenticator.from_base32(answer["secret"]).code_at(time.time())
    rest, said = command.communicate(f"{code}\nyes\n", timeout=30)
    assert (command.returncode, rest) == (DONE, "")
    questions = re.findall(r"^(Password: |Code from the app|Have you stored)", said, re.MULTILINE)
    assert questions == ["Password: ", "Code from the app", "Have you stored"]
    assert user.status()["enabled"]


@pytest.mark.parametrize("answers", [[], ["password"], ["password", "code"], ["password", "code", "no"]])
def test_the_end_of_the_answers_changes_nothing(user, answers):
    before = files(user)
    command = start(user, "enable", "--qr-file", "code.png", "--backup-codes-file", "codes")
    lines = {"password": user.password, "no": "no"}
    if "code" in answers:
        command.stdin.write(user.password + "\n")
        command.stdin.flush()
        shown = next(line for line in command.stdout if line.startswith("URI: "))
        lines["code"] = Authenticator.from_uri(shown).code_at(time.time())
        answers = answers[1:]
    _, said = command.communicate("".join(lines[answer] + "\n" for answer in answers), timeout=30)
    assert command.returncode == REFUSED
    assert re.search("twofactor: the (input ended at a question|backup codes are not stored)", said)
    assert files(user) == before


def test_the_last_answer_needs_no_line_feed(user):
    user.enroll(backup_codes=1)
    done = user.twofactor("disable", answers=f"{user.password}\nwrong", status=REFUSED)
    assert "this is not a code" in done.stderr


def test_a_wrong_password_ends_the_command(user):
    for answers in ("wrong\n", "\n", "wr\0ng\n", "x" * 600 + "\n"):
        user.twofactor("enable", answers=answers, status=REFUSED)
    assert not (user.home / ".twofactor").exists()


def test_an_enrollment_is_replaced_only_with_force(user):
    user.enroll(backup_codes=2)
    before = files(user)
    refused = twofactor(*PROVISION, "--user", user.name, status=REFUSED)
    assert json.loads(refused.stderr)["hint"].endswith("--force")
    assert files(user) == before
    new = user.enroll(again=True)
    user.twofactor(
        "disable", answers=f"{user.password}\n{new.authenticator.code_at(time.time())}\n", status=None
    )


@pytest.mark.parametrize("json_option", [(), ("--json",)])
@pytest.mark.parametrize("command", [("enable", "--no-confirm", "--yes", "--force"), ("backup-codes",)])
def test_a_result_that_cannot_be_written_changes_nothing(user, command, json_option):
    user.enroll(backup_codes=2)
    before = files(user)
    with open("/dev/full", "wb") as full:
        done = twofactor(*command, *json_option, "--user", user.name, stdout=full, status=None)
    assert done.returncode == IO_ERROR and "cannot write to standard output" in done.stderr
    line = ["sh", "-c", '"$@" >&-', "sh", COMMAND, *command, "--user", user.name]
    run(*line, status=IO_ERROR)
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        twofactor(*command, *json_option, "--user", user.name, stdout=pipe, status=IO_ERROR)
    assert files(user) == before


SYSTEM_CALLS = {
    "mkdirat": "ENOSPC",
    "openat": "EMFILE",
    "pwrite64": "ENOSPC",
    "fsync": "EIO",
    "fdatasync": "EIO",
    "fchmod": "EPERM",
    "ftruncate": "ENOSPC",
    "renameat": "EIO",
    "fcntl": "ENOLCK",
}


@pytest.mark.seconds(300)
@pytest.mark.parametrize("call", SYSTEM_CALLS)
@pytest.mark.parametrize("enrolled", [True, False], ids=["enrolled", "new"])
def test_a_failing_system_call_keeps_the_old_enrollment(user, enrolled, call, scratch):
    command = ["enable", "--no-confirm", "--yes", "--force", "--backup-codes", "0", "--user", user.name, "--json"]
    if enrolled:
        user.enroll(backup_codes=0)
    before = files(user)
    for occurrence in itertools.count(1):
        trace = scratch / "trace"
        inject = f"inject={call}:error={SYSTEM_CALLS[call]}:when={occurrence}"
        done = run(
            "strace", "-qq", "-f", "-o", trace, "-e", f"trace={call}", "-e", inject, COMMAND, *command, status=None
        )
        if "(INJECTED)" not in trace.read_text():
            assert done.returncode == DONE
            break
        after = files(user)
        if done.returncode == DONE:
            # The failed call was not essential; the new enrollment is complete.
            assert set(after) == {".twofactor/credential", ".twofactor/state"}, trace.read_text() + str(done)
            before = after
            if not enrolled:
                twofactor("disable", "--user", user.name)
                before = files(user)
            continue
        assert done.returncode > 0, f"ended by signal {-done.returncode}"
        if call == "fsync" and enrolled and after != before:
            # After the last flush the new enrollment is in place and complete.
            assert user.status()["enabled"]
            before = after
            continue
        assert set(after) == set(before), (occurrence, trace.read_text())
        if enrolled:
            assert after[".twofactor/credential"] == before[".twofactor/credential"]
            assert user.status()["enabled"]
            before = files(user)


def test_a_full_disk_keeps_the_old_enrollment(user):
    user.enroll(backup_codes=1)
    before = files(user)
    small = user.home / "small"
    small.mkdir()
    size = f"size=32k,mode=755,uid={user.uid},gid={user.gid}"
    run("mount", "-t", "tmpfs", "-o", size, "none", small)
    try:
        run("cp", "-a", user.home / ".twofactor", small)
        run("usermod", "-d", small, user.name)
        (small / "filler").write_bytes(bytes(1 << 12))
        with open(small / "filler2", "wb", buffering=0) as filler, pytest.raises(OSError):
            while True:
                filler.write(bytes(4096))
        done = twofactor(*PROVISION, "--force", "--user", user.name, status=IO_ERROR)
        assert "No space left" in json.loads(done.stderr)["error"]
        assert (small / ".twofactor/credential").read_bytes() == before[".twofactor/credential"]
        assert user.status()["backup_codes_left"] == 1
    finally:
        run("umount", small)


@pytest.mark.parametrize("kind", ["link", "file", "others", "open"])
def test_a_directory_that_is_not_the_users_own_is_left_alone(user, kind, scratch):
    path = user.home / ".twofactor"
    elsewhere = user.home / "elsewhere"
    elsewhere.mkdir()
    os.chown(elsewhere, user.uid, user.gid)
    if kind == "link":
        path.symlink_to(elsewhere)
    elif kind == "file":
        path.write_text("mine")
    else:
        path.mkdir()
        os.chown(path, 65534 if kind == "others" else user.uid, user.gid)
        path.chmod(0o777)
    twofactor(*PROVISION, "--force", "--user", user.name, status=UNUSABLE)
    assert list(elsewhere.iterdir()) == []
    user.twofactor("status", status=UNUSABLE)


@pytest.mark.parametrize("damage", [b"", b"garbage\n", None])
def test_unusable_files_are_replaced_with_force_and_removed_by_root(user, damage):
    user.enroll()
    credential = user.home / ".twofactor/credential"
    if damage is None:
        credential.unlink()
    else:
        credential.write_bytes(damage)
    user.twofactor("status", status=UNUSABLE)
    twofactor(*PROVISION, "--user", user.name, status=UNUSABLE)
    twofactor(*PROVISION, "--force", "--user", user.name)
    user.twofactor("status")
    credential.write_bytes(b"garbage\n")
    twofactor("disable", "--user", user.name)
    assert files(user) == {}


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("enable", "--digits", "7"), USAGE),
        (("enable", "--backup-codes", "33"), USAGE),
        (("enable", "--frobnicate"), USAGE),
        (("enable", "extra"), USAGE),
        (("frobnicate",), USAGE),
        (("status", "--user"), USAGE),
        (("status", "--user", "no-such-user"), NO_ACCOUNT),
        (("enable", "--user", ""), NO_ACCOUNT),
        (("disable", "--user", "root"), REFUSED),
        (("backup-codes", "--user", "root"), REFUSED),
    ],
)
def test_errors_have_their_exit_status_and_are_json_on_request(products, arguments, status):
    plain = twofactor(*arguments, status=status)
    assert plain.stdout == ""
    assert plain.stderr.startswith("twofactor: ")
    done = twofactor(arguments[0], "--json", *arguments[1:], status=status)
    assert done.stdout == ""
    assert list(json.loads(done.stderr)) == ["error", "hint"]


SUBCOMMANDS = [
    "enable", "disable", "status", "backup-codes", "device add tablet", "device list", "device remove phone", "show",
    "verify", "import", "users", "unlock", "test --service sshd",
]  # fmt: skip


@pytest.mark.parametrize("subcommand", SUBCOMMANDS)
def test_every_error_is_valid_json(user, configuration, subcommand):
    def fails(who, *more: str, answers: str = "") -> None:
        done = twofactor(*subcommand.split(), *more, "--json", answers=answers, user=who, status=None)
        assert done.returncode != DONE, done.stdout
        if '"valid"' in done.stdout:
            # The result of `verify` is no error.
            assert list(json.loads(done.stdout)) == ["valid", "method", "reason", "offset_steps"]
            return
        said = done.stderr.splitlines()[-1]
        assert list(json.loads(said)) == ["error", "hint"] and json.loads(said)["error"], said
        assert done.stdout == "" or json.loads(done.stdout)

    fails(None, "--user", "no-such-user")
    fails(user, "--user", "root")
    fails(user, "--frobnicate")
    if subcommand not in ("status", "device list", "users"):
        fails(user)
        user.enroll(backup_codes=1)
        fails(user)
        # A wrong password costs seconds and has its own test.
        if subcommand in ("backup-codes", "device remove phone", "verify"):
            fails(user, answers="wrong\n")
        (user.home / ".twofactor/credential").write_text("garbage")
        fails(user, answers=f"{user.password}\n")
    if subcommand != "test --service sshd":
        configuration("window = wide\n")
        fails(None, "--user", user.name)


@pytest.mark.parametrize("subcommand", ["enable", "disable", "status", "backup-codes"])
def test_only_root_names_another_account(user, subcommand):
    user.twofactor(subcommand, "--user", "root", status=NOT_PERMITTED)
    user.twofactor(subcommand, "--user", user.name, status=NOT_PERMITTED)
    twofactor(subcommand, "--help")


def test_root_without_a_name_acts_for_root_and_is_told_so(products):
    done = twofactor("status")
    assert done.stdout.startswith("Two-factor is off for root")
    assert done.stderr.startswith("twofactor: acting for root\nhint: ")
    assert twofactor("status", "--json").stderr == ""


def test_users_see_their_own_status(user):
    done = user.twofactor("status", "--json")
    assert json.loads(done.stdout) == {
        "user": user.name,
        "enabled": False,
        "directory": f"{user.home}/.twofactor",
        "devices": [],
        "backup_codes_left": 0,
        "failures": 0,
        "locked_until": None,
    }
    assert user.twofactor("status").stdout.startswith(f"Two-factor is off for {user.name}.\n")
    user.enroll(backup_codes=3)
    for answer in ("111-11111-11", "22222-22222"):
        user.twofactor("backup-codes", answers=answer + "\n", status=REFUSED)
    status = user.status()
    assert (status["enabled"], status["backup_codes_left"], status["failures"]) == (True, 3, 2)
    assert status["locked_until"] is None
    for _ in range(4):
        user.twofactor("backup-codes", answers="22222-22222\n", status=REFUSED)
    locked_until = user.status()["locked_until"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", locked_until)
    done = user.twofactor("backup-codes", answers="123456\n", status=REFUSED)
    assert "too many failed codes" in done.stderr


def test_only_the_backup_codes_are_replaced(user):
    old = user.enroll(backup_codes=3)
    code = old.authenticator.code_at(time.time())
    done = user.twofactor("backup-codes", "--json", answers=code + "\n")
    answer = json.loads(done.stdout)
    assert list(answer) == ["user", "backup_codes"] and len(answer["backup_codes"]) == 10
    assert not set(answer["backup_codes"]) & set(old.backup_codes)
    user.twofactor("backup-codes", answers=old.backup_codes[0] + "\n", status=REFUSED)
    reused = user.twofactor("backup-codes", answers=code + "\n", status=REFUSED)
    assert "already used" in reused.stderr
    spelled = answer["backup_codes"][0].lower().replace("0", "o").replace("1", "l").replace("-", " ")
    user.twofactor("backup-codes", answers=spelled + "\n")


def test_a_backup_codes_file_is_private(user):
    path = user.home / "codes"
    done = twofactor("enable", "--no-confirm", "--yes", "--user", user.name, "--backup-codes-file", str(path), umask=0)
    codes = re.findall(r"\b[0-9A-Z]{5}-[0-9A-Z]{5}\b", path.read_text())
    assert len(codes) == 10 and codes[0] not in done.stdout
    assert (path.stat().st_mode, path.stat().st_uid) == (0o100600, user.uid)
    before = files(user)
    again = twofactor("backup-codes", "--user", user.name, "--backup-codes-file", str(path), status=REFUSED)
    assert "--force" in again.stderr
    assert files(user) == before
    twofactor("backup-codes", "--user", user.name, "--backup-codes-file", str(path), "--force")
    assert codes[0] not in path.read_text()
    assert sorted(files(user)) == [".twofactor/credential", ".twofactor/state", "codes"]


def test_an_existing_file_is_restored_if_enabling_fails(user):
    path = user.home / "codes"
    path.write_text("old codes")
    os.chown(path, user.uid, user.gid)
    with open("/dev/full", "wb") as full:
        options = ("--backup-codes-file", str(path), "--force")
        done = twofactor("enable", "--no-confirm", "--yes", "--user", user.name, *options, stdout=full, status=None)
    assert done.returncode == IO_ERROR
    assert files(user) == {"codes": b"old codes"}


@pytest.mark.parametrize("home", ["/nonexistent", "relative", "/root", ""])
def test_the_home_comes_from_the_account_not_from_the_environment(user, home):
    done = user.twofactor("status", "--json", environment={"HOME": home, "USER": "root", "LOGNAME": "root"})
    assert json.loads(done.stdout)["directory"] == f"{user.home}/.twofactor"


def test_without_its_pam_service_the_command_checks_no_password(user):
    service = Path("/etc/pam.d/twofactor")
    text = service.read_text()
    service.unlink()
    try:
        done = user.twofactor("enable", answers=user.password + "\n", status=NOT_CONFIGURED)
        assert "/etc/pam.d/twofactor" in done.stderr
        twofactor(*PROVISION, "--user", user.name)
    finally:
        service.write_text(text)


def test_the_configuration_of_the_host_takes_effect(user, configuration):
    configuration("require_password = no\nissuer = Example Ltd\n# a comment\nallow_disable = no\n")
    done = user.twofactor(*PROVISION)
    assert "issuer=Example%20Ltd" in json.loads(done.stdout)["uri"]
    code = json.loads(done.stdout)["backup_codes"][0]
    user.twofactor("disable", answers=code + "\n", status=NOT_PERMITTED)
    assert (user.home / ".twofactor").exists()
    twofactor("disable", "--user", user.name)


def test_a_user_who_is_required_to_enroll_cannot_disable(user, configuration):
    configuration("required_from = 2999-12-31\nrequire_password = no\n")
    code = json.loads(user.twofactor(*PROVISION).stdout)["backup_codes"][0]
    user.twofactor("disable", answers=code + "\n")
    user.twofactor(*PROVISION)
    configuration("required_from = 2020-01-01\nrequire_password = no\n")
    refused = user.twofactor("disable", status=NOT_PERMITTED)
    assert "does not allow" in refused.stderr
    assert (user.home / ".twofactor").exists()
    twofactor("disable", "--user", user.name)


def test_a_host_without_backup_codes_creates_none(user, configuration):
    configuration("backup_codes = no\n")
    assert json.loads(twofactor(*PROVISION, "--user", user.name).stdout)["backup_codes"] == []
    twofactor("backup-codes", "--user", user.name, status=REFUSED)


@pytest.mark.parametrize(
    ("text", "mode"),
    [("windows = 1\n", 0o644), ("window\n", 0o644), ("window = 1\nwindow = 2\n", 0o644), ("window = 1\n", 0o666)],
)
def test_an_invalid_or_untrusted_configuration_stops_the_command(user, configuration, text, mode):
    configuration(text, mode)
    done = user.twofactor(*PROVISION, status=NOT_CONFIGURED)
    assert json.loads(done.stderr)["error"].startswith(str(CONFIGURATION))


def test_a_directory_outside_the_homes_belongs_to_root(user, configuration, tmp_path):
    store = Path("/var/lib/twofactor")
    store.mkdir(mode=0o755, exist_ok=True)
    configuration("directory = /var/lib/twofactor/%u\n")
    done = twofactor(*PROVISION, "--user", user.name)
    directory = Path(json.loads(done.stdout)["directory"])
    assert directory == store / user.name and directory.stat().st_uid == 0
    assert not (user.home / ".twofactor").exists()
    user.twofactor("status", status=NOT_PERMITTED)
    assert twofactor_json("disable", "--user", user.name)["enabled"] is False


@pytest.mark.parametrize("milliseconds", range(0, 200, 20))
def test_a_signal_at_any_moment_leaves_all_or_nothing(user, milliseconds):
    files_asked = ("--qr-file", "code.png", "--backup-codes-file", "codes", "--force")
    (user.home / "codes").write_text("old codes")
    os.chown(user.home / "codes", user.uid, user.gid)
    before = files(user)
    command = subprocess.Popen(
        [COMMAND, *PROVISION, "--user", user.name, *files_asked],
        cwd=user.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    time.sleep(milliseconds / 1000)
    command.terminate()
    command.communicate(timeout=30)
    if command.returncode == DONE:
        assert sorted(files(user)) == [".twofactor/credential", ".twofactor/state", "code.png", "codes"]
    else:
        assert command.returncode == -15 and files(user) == before


def test_two_commands_at_once_leave_one_complete_enrollment(user):
    user.enroll()
    for _ in range(5):
        commands = [
            subprocess.Popen(
                [COMMAND, *PROVISION, "--force", "--user", user.name, "--backup-codes", "0"],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            for _ in range(6)
        ]
        answers = [json.loads(command.communicate(timeout=60)[0]) for command in commands]
        assert [command.returncode for command in commands] == [DONE] * 6
        credential = (user.home / ".twofactor/credential").read_text()
        assert sum(answer["secret"] in credential for answer in answers) == 1
        assert sorted(path.name for path in (user.home / ".twofactor").iterdir()) == ["credential", "state"]
    user.twofactor("status")


def test_two_first_enrollments_at_once_leave_one(user):
    line = [COMMAND, *PROVISION, "--user", user.name, "--backup-codes", "0"]
    commands = [subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(8)]
    for command in commands:
        command.communicate(timeout=60)
    assert sorted(command.returncode for command in commands) == [DONE] + [REFUSED] * 7
    assert sorted(files(user)) == [".twofactor/credential", ".twofactor/state"]


def test_secrets_are_not_logged_or_passed_to_programs(user, log, scratch):
    trace = scratch / "exec"
    done = run(
        "strace", "-qq", "-f", "-e", "trace=execve", "-o", trace, COMMAND, *PROVISION, "--user", user.name, status=None
    )
    answer = json.loads(done.stdout)
    assert trace.read_text().count("execve(") == 1
    user.twofactor("disable", answers=f"{user.password}\n{answer['backup_codes'][0]}\n")
    said = "\n".join(log.lines())
    for secret in (answer["secret"], user.password, *answer["backup_codes"]):
        assert secret not in said


def test_status_is_cheap(user):
    user.enroll()
    before = os.times()
    for _ in range(10):
        user.twofactor("status")
    after = os.times()
    spent = after.children_user - before.children_user + after.children_system - before.children_system
    # The figure includes the fork of this interpreter; the build may be unoptimized.
    assert spent / 10 < 0.05
