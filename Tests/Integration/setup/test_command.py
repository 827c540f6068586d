"""`twofactor` run by programs: options, exit statuses, JSON, and answers from standard input."""

import json
import os
import re
import subprocess
import time
from urllib.parse import parse_qs, urlsplit

import pytest
from rig.enrollment import twofactor
from rig.exit_status import DONE, NOT_PERMITTED, NO_ACCOUNT, NO_FILE, REFUSED, USAGE
from rig.machine import COMMAND
from rig.one_time_password import Authenticator
from rig.process import run
from rig.register import STORE, is_host_store

PROVISION = ("enable", "--no-confirm", "--yes", "--json")

pytestmark = pytest.mark.usefixtures("each_store")


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
    assert list(answer) == ["user", "directory", "device", "secret", "uri", "backup_codes", "services"]
    assert answer["user"] == user.name
    assert answer["directory"] == str(user.directory)
    enabled_at = answer["device"].pop("enabled_at")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", enabled_at)
    assert answer["device"] == {
        "name": "phone",
        "type": "totp",
        "algorithm": "sha1",
        "digits": 6,
        "period": 30,
        "last_used_at": None,
        "offset_steps": 0,
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
    directory = user.directory
    for path, mode in [(directory, 0o40700), (directory / "credential", 0o100600), (directory / "state", 0o100600)]:
        status = path.stat()
        group = STORE.stat().st_gid if is_host_store() else user.gid
        assert (status.st_mode, status.st_uid, status.st_gid) == (mode, user.uid, group)
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
    before = user.files()
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
    assert "twofactor: end of input at a question, nothing was changed\n" in said
    assert ("hint: delete the new entry in the app\n" in said) == ("code" in lines)
    assert user.files() == before


def test_the_last_answer_needs_no_line_feed(user):
    user.enroll(backup_codes=1)
    done = user.twofactor("disable", answers=f"{user.password}\nwrong", status=REFUSED)
    assert "this is not a code" in done.stderr


def test_a_wrong_password_ends_the_command(user):
    for answers in ("wrong\n", "\n", "wr\0ng\n", "x" * 600 + "\n"):
        user.twofactor("enable", answers=answers, status=REFUSED)
    assert not user.directory.exists()


def test_an_enrollment_is_replaced_only_with_force(user):
    user.enroll(backup_codes=2)
    before = user.files()
    refused = twofactor(*PROVISION, "--user", user.name, status=REFUSED)
    assert json.loads(refused.stderr)["hint"].endswith("--force")
    assert user.files() == before
    new = user.enroll(again=True)
    user.twofactor(
        "disable", answers=f"{user.password}\n{new.authenticator.code_at(time.time())}\n", status=None
    )


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


KEY = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
URI = f"otpauth://totp/x?secret={KEY}"


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("import", URI), USAGE),
        (("enable", f"--issuer={URI.upper()}"), USAGE),
        (("device", "add", KEY), USAGE),
        (("enable", "--ask-key", KEY), USAGE),
        (("import", KEY), NO_FILE),
        (("device", "remove", KEY), REFUSED),
        (("---completion", "import", "--", "--user", "1", "0", "twofactor", URI), DONE),
    ],
)
def test_an_argument_that_is_a_key_is_repeated_nowhere(user, log, arguments, status):
    user.enroll()
    for options in ((), ("--json",)):
        force = ("--force",) if arguments[0] == "import" else ()
        done = user.twofactor(*arguments, *force, *options, answers="\n", status=status)
        said = done.stdout + done.stderr + "".join(log.lines())
        assert KEY not in said.upper() and "otpauth:" not in said
        if status in (USAGE, NO_FILE):
            assert "history" in done.stderr


SUBCOMMANDS = [
    "enable", "disable", "status", "backup-codes", "device add tablet", "device list", "device remove phone", "show",
    "verify", "import", "users", "unlock", "move --from host", "test --service sshd",
]  # fmt: skip


@pytest.mark.parametrize("subcommand", SUBCOMMANDS)
def test_every_error_is_valid_json(user, host_configuration, subcommand):
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
        (user.directory / "credential").write_text("garbage")
        fails(user, answers=f"{user.password}\n")
    if subcommand != "test --service sshd":
        host_configuration("window = wide")
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
        "directory": str(user.directory),
        "devices": [],
        "backup_codes_left": 0,
        "failures": 0,
        "locked_until": None,
        "services": [],
    }
    assert user.twofactor("status").stdout.startswith(f"Two-factor is off for {user.name}.\n")
    user.enroll(backup_codes=3)
    # Ten characters do not count; no device has codes of eight digits.
    for answer in ("111-11111-11", "11111111", "2222 2222"):
        user.twofactor("backup-codes", answers=answer + "\n", status=REFUSED)
    status = user.status()
    assert (status["enabled"], status["backup_codes_left"], status["failures"]) == (True, 3, 2)
    assert status["locked_until"] is None
    for _ in range(4):
        user.twofactor("backup-codes", answers="22222222\n", status=REFUSED)
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
    before = user.files()
    again = twofactor("backup-codes", "--user", user.name, "--backup-codes-file", str(path), status=REFUSED)
    assert "--force" in again.stderr
    assert user.files() == before
    twofactor("backup-codes", "--user", user.name, "--backup-codes-file", str(path), "--force")
    assert codes[0] not in path.read_text()
    assert sorted(user.files()) == [".twofactor/credential", ".twofactor/state", "codes"]


@pytest.mark.parametrize("home", ["/nonexistent", "relative", "/root", ""])
def test_the_home_comes_from_the_account_not_from_the_environment(user, home):
    done = user.twofactor("status", "--json", environment={"HOME": home, "USER": "root", "LOGNAME": "root"})
    assert json.loads(done.stdout)["directory"] == str(user.directory)


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
