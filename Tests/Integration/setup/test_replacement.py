"""A user replaces an enrollment, with `enable --force` and `import --force`, only with a code of it."""

import json
import re
import subprocess
import time

import pytest
from rig.clock import time_to_type
from rig.enrollment import Enrollment, twofactor, twofactor_json
from rig.exit_status import DONE, REFUSED, UNUSABLE
from rig.harness import Result
from rig.imports import APP, BASE32, google_file
from rig.machine import COMMAND
from rig.register import is_host_store

URI = f"otpauth://totp/other?secret={BASE32}\n"
# The words, and the text to import after the answers.
REPLACING = {
    "enable": (("enable", "--force", "--no-confirm", "--yes", "--backup-codes", "0"), ""),
    "import of standard input": (("import", "--no-confirm", "--force", "--yes"), URI),
    "import of a file": (("import", "--no-confirm", "--force", "--yes", "uri"), ""),
}
QUESTIONS = r"Password: |Current code, or a backup code: |Code from the app: |\[y/N\] "

pytestmark = pytest.mark.usefixtures("each_store")


@pytest.fixture(params=REPLACING)
def replace(request, user):
    """Replaces the user's enrollment, with the answers that follow the password."""
    words, text = REPLACING[request.param]
    (user.home / "uri").write_text(URI)
    (user.home / "uri").chmod(0o444)

    def run(*answers: str, options: tuple[str, ...] = (), **others) -> subprocess.CompletedProcess[str]:
        lines = "".join(line + "\n" for line in (user.password, *answers))
        return user.twofactor(*words, *options, answers=lines + (text if answers else ""), **others)

    return run


def key(user) -> str:
    return re.search(r"secret=(\S+)", (user.directory / "credential").read_text())[1]


def test_without_a_code_nothing_changes(user, replace):
    user.enroll(backup_codes=1)
    before = user.files()
    refused = replace(status=REFUSED)
    assert re.findall(QUESTIONS, refused.stdout) == ["Password: ", "Current code, or a backup code: "]
    assert refused.stderr == "twofactor: end of input at a question, nothing was changed\n"
    assert "no code was typed" in replace("", status=REFUSED).stderr
    assert user.files() == before


def test_a_wrong_code_changes_nothing_and_is_counted(user, replace):
    enrolled = user.enroll()
    before = key(user)
    refused = replace(enrolled.authenticator.wrong_code(time_to_type()), status=REFUSED)
    # The helper does not report whether the clock of the device is ahead.
    hint = "hint: if the device is out of step: twofactor device resync phone\n" if is_host_store() else ""
    assert refused.stderr == "twofactor: wrong code\n" + hint and "otpauth" not in refused.stdout
    assert key(user) == before and user.status()["failures"] == 1


def test_a_used_code_changes_nothing(user, replace, service):
    enrolled = user.enroll()
    before, code = key(user), enrolled.authenticator.code_at(time_to_type())
    assert user.log_in(service(), code).result == Result.SUCCESS
    assert "this code was already used" in replace(code, status=REFUSED).stderr
    assert key(user) == before


def test_codes_are_refused_while_they_are_throttled(user, replace):
    enrolled = user.enroll(backup_codes=1)
    before, wrong = key(user), enrolled.authenticator.wrong_code(time.time())
    for _ in range(5):
        user.twofactor("backup-codes", answers=wrong + "\n", status=REFUSED)
    refused = replace(enrolled.authenticator.code_at(time_to_type()), status=REFUSED)
    assert re.search(r"^hint: try again in \d+ seconds, or use a backup code$", refused.stderr, re.MULTILINE)
    assert key(user) == before
    replace(enrolled.backup_codes[0])
    assert key(user) != before


def test_a_current_code_replaces(user, replace):
    enrolled = user.enroll()
    before = key(user)
    done = replace(enrolled.authenticator.code_at(time_to_type()))
    assert key(user) != before and "backup codes left" not in done.stdout


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["text", "json"])
def test_a_backup_code_replaces_and_is_reported(user, replace, options):
    enrolled = user.enroll(backup_codes=3)
    before = key(user)
    done = replace(enrolled.backup_codes[0], options=options)
    said = done.stderr if options else done.stdout
    assert "Current code, or a backup code: \n2 backup codes left.\n" in said
    assert key(user) != before
    assert not options or json.loads(done.stdout)["secret"] == key(user)


def test_a_wrong_password_uses_no_code_up(user):
    enrolled = user.enroll(backup_codes=1)
    before = user.files()
    refused = user.twofactor("enable", "--force", answers=f"wrong\n{enrolled.backup_codes[0]}\n", status=REFUSED)
    assert re.findall(QUESTIONS, refused.stdout) == ["Password: "]
    assert user.files() == before


def test_the_code_is_asked_for_before_the_key_is_shown(user, service):
    enrolled = user.enroll()
    command = subprocess.Popen(
        [COMMAND, "enable", "--force", "--json"], user=user.uid, group=user.gid, extra_groups=[], env={},
        cwd=user.home, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    command.stdin.write(f"{user.password}\n{enrolled.authenticator.code_at(time_to_type())}\n")
    command.stdin.flush()
    new = Enrollment.of(json.loads(command.stdout.readline()))
    rest, said = command.communicate(f"{new.authenticator.code_at(time_to_type())}\nyes\n", timeout=30)
    assert (command.returncode, rest) == (DONE, "")
    assert re.findall(QUESTIONS, said) == [
        "Password: ", "Current code, or a backup code: ", "Code from the app: ", "[y/N] "
    ]  # fmt: skip
    assert user.results(service(), enrolled.authenticator.code_at(time.time()), new.backup_codes[0]) == [
        Result.AUTH_ERR, Result.SUCCESS
    ]  # fmt: skip


def test_a_typed_key_is_asked_for_after_the_code(user):
    enrolled = user.enroll(backup_codes=1)
    words = ("enable", "--force", "--no-confirm", "--yes", "--backup-codes", "0", "--ask-key")
    done = user.twofactor(*words, answers=f"{user.password}\n{enrolled.backup_codes[0]}\n{BASE32}\n")
    assert done.stdout.index("Current code") < done.stdout.index("0 backup codes left.") < done.stdout.index("Key")
    assert key(user) == BASE32


def test_codes_used_for_an_import_of_the_same_keys_stay_used(user, service):
    path = google_file(user, '" TOTP_AUTH', "12345678", "87654321")
    twofactor("import", "--user", user.name, str(path))
    now = time_to_type()
    for code in ("12345678", APP.code_at(now)):
        user.twofactor("import", "--no-confirm", "--force", str(path), answers=f"{user.password}\n{code}\n")
    assert user.status()["backup_codes_left"] == 1
    assert user.results(service(), "12345678", APP.code_at(now)) == [Result.AUTH_ERR] * 2


@pytest.mark.parametrize("words", [words for words, text in REPLACING.values() if not text], ids=lambda words: words[0])
def test_root_is_not_asked_for_a_users_code(user, words):
    (user.home / "uri").write_text(URI)
    user.enroll()
    before = key(user)
    done = twofactor(*words, "--user", user.name, cwd=user.home)
    assert re.findall(QUESTIONS, done.stdout + done.stderr) == [] and key(user) != before


def test_root_without_user_is_asked_for_its_own_code(host_configuration, user):
    host_configuration("require_password = no")
    root = twofactor_json("enable", "--no-confirm", "--yes", "--backup-codes", "1", "--user", "root")
    try:
        words = ("enable", "--force", "--no-confirm", "--yes")
        refused = twofactor(*words, status=REFUSED)
        assert re.findall(QUESTIONS, refused.stdout) == ["Current code, or a backup code: "]
        twofactor(*words, answers=root["backup_codes"][0] + "\n")
    finally:
        twofactor("disable", "--user", "root")


@pytest.mark.parametrize("damage", [b"", b"garbage\n"])
def test_an_enrollment_that_logins_reject_is_replaced_with_the_password_alone(user, damage):
    user.enroll()
    (user.directory / "credential").write_bytes(damage)
    if is_host_store():
        told = f"twofactor: {user.directory}: credential.*\nhint: ask the administrator to run: twofactor disable --user "
        refused = user.twofactor("enable", "--force", status=UNUSABLE)
        assert refused.stdout == "" and re.fullmatch(f"{told}{user.name}\n", refused.stderr)
        twofactor("disable", "--user", user.name)
    user.twofactor("enable", "--force", "--no-confirm", answers="wrong\n", status=REFUSED)
    words = ("enable", "--force", "--no-confirm", "--yes")
    done = user.twofactor(*words, answers=user.password + "\n")
    assert re.findall(QUESTIONS, done.stdout) == ["Password: "] and user.status()["enabled"]


def test_the_hint_tells_the_user_that_a_code_is_needed(user):
    user.enroll()
    refused = user.twofactor("enable", status=REFUSED)
    assert refused.stderr == (
        f"twofactor: two-factor is already on for {user.name}\n"
        "hint: for a new phone, if you still have a code: twofactor device add NAME, or replace the enrollment with "
        "--force\n"
    )
    refused = twofactor("enable", "--user", user.name, status=REFUSED)
    assert f"for a new phone: twofactor device add NAME --user {user.name}, or" in refused.stderr
