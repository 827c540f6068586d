"""`twofactor` with `store = host`: users change their own enrollments through the helper, and cannot read them."""

import contextlib
import json
import os
import re
import shutil
import time

import pytest
from rig.clock import time_to_type
from rig.enrollment import Enrollment, twofactor, twofactor_json
from rig.exit_status import DONE, IO_ERROR, NOT_CONFIGURED, NOT_PERMITTED, REFUSED, UNUSABLE
from rig.harness import Result
from rig.imports import APP, google_file
from rig.machine import COMMAND, HELPER
from rig.one_time_password import Authenticator
from rig.process import run
from rig.register import REGISTER, STORE, registered
from rig.screen import Screen
from rig.tracing import calls, tracing

pytestmark = pytest.mark.usefixtures("host_store")
PROVISION = ("enable", "--no-confirm", "--yes", "--json", "--backup-codes", "3")


@pytest.fixture
def enrolled(user) -> Enrollment:
    """Enrolled by the user."""
    return Enrollment.of(json.loads(user.twofactor(*PROVISION, answers=user.password + "\n").stdout))


def code(enrolled: Enrollment, steps: int = 0) -> str:
    return enrolled.authenticator.code_at(time_to_type(), steps) + "\n"


def is_private(user) -> bool:
    """Whether the files belong to the user alone."""
    paths = [(user.directory, 0o40700), *((user.directory / name, 0o100600) for name in ("credential", "state"))]
    found = [(path.stat().st_mode, path.stat().st_uid) for path, _ in paths]
    return found == [(mode, user.uid) for _, mode in paths] and not list(user.home.glob(".twofactor*"))


def test_a_user_enrolls_at_a_terminal_and_logs_in(user, service):
    screen = Screen(user, "enable", rows=60)
    screen.expect("Password: ").type(user.password)
    screen.expect("Code from the app: ")
    app = Authenticator.from_uri(screen.uri)
    used = app.code_at(time_to_type())
    screen.type(used).expect("[y/N] ").type("y")
    assert screen.ends() == DONE
    assert "Two-factor is on." in screen.text and is_private(user) and registered() == [user.uid]
    status = user.twofactor("status")
    assert f"Two-factor is on for {user.name} since" in status.stdout
    assert f"\nFiles:         {STORE}/{user.uid}\n" in status.stdout
    assert "Backup codes:  10 of 10 left\nLast used:     never\n" in status.stdout
    name = service("store=host")
    assert user.results(name, used, app.code_at(time.time(), 1)) == [Result.AUTH_ERR, Result.SUCCESS]
    assert "last used" in user.twofactor("status").stdout


def test_root_and_the_user_see_and_change_the_same_enrollment(user, service):
    made = user.enroll(backup_codes=2)
    assert is_private(user) and made.directory == user.directory
    assert twofactor_json("status", "--user", user.name) == user.status()
    user.twofactor("device", "add", "tablet", "--no-confirm", answers=code(made))
    assert is_private(user) and twofactor_json("status", "--user", user.name)["devices"] == user.status()["devices"]
    twofactor("device", "remove", "phone", "--user", user.name)
    user.twofactor("backup-codes", answers=made.backup_codes[0] + "\n")
    assert is_private(user) and user.devices() == ["tablet"] and user.status()["backup_codes_left"] == 10
    codes = twofactor_json("backup-codes", "--user", user.name)["backup_codes"]
    user.twofactor("disable", answers=f"{user.password}\n{codes[0]}\n")
    assert list(STORE.iterdir()) == [] and registered() == []
    user.enroll()
    twofactor("disable", "--user", user.name)
    assert list(STORE.iterdir()) == [] and registered() == []


def test_every_answer_in_json_is_that_of_root(user, enrolled):
    answers = {
        ("status",): "",
        ("device", "list"): "",
        ("device", "add", "tablet", "--no-confirm"): code(enrolled),
        ("device", "remove", "tablet"): enrolled.backup_codes[0] + "\n",
        ("show",): f"{user.password}\n{enrolled.backup_codes[1]}\n",
        ("backup-codes",): enrolled.backup_codes[2] + "\n",
    }
    for words, typed in answers.items():
        own = json.loads(user.twofactor(*words, "--json", answers=typed).stdout)
        if words[0] != "device" or words[1] == "list":
            assert own.keys() == twofactor_json(*words, "--user", user.name).keys(), words
        assert own["user"] == user.name and own.get("directory") in (None, str(user.directory))
    assert user.status()["backup_codes_left"] == 10


def test_show_is_what_enable_showed(user, enrolled):
    shown = twofactor_json("show", answers=f"{user.password}\n{code(enrolled)}", user=user)
    assert shown["uri"] == enrolled.uri
    assert twofactor_json("show", "--user", user.name)["uri"] == enrolled.uri
    refused = user.twofactor("show", answers=f"{user.password}\n{code(enrolled)}", status=REFUSED)
    assert "this code was already used" in refused.stderr and "secret" not in refused.stdout


def test_a_wrong_code_to_verify_counts_and_throttles(user, enrolled):
    wrong = enrolled.authenticator.wrong_code(time_to_type()) + "\n"
    for number in range(1, 6):
        user.twofactor("verify", answers=code(enrolled))
        assert "wrong code" in user.twofactor("verify", answers=wrong, status=REFUSED).stderr
        assert user.status()["failures"] == number
    assert "too many failed codes" in user.twofactor("verify", answers=code(enrolled), status=REFUSED).stderr
    assert twofactor_json("unlock", "--user", user.name)["failures"] == 0
    user.twofactor("verify", answers=code(enrolled))
    assert "was not used up" in user.twofactor("verify", answers=enrolled.backup_codes[0] + "\n").stdout
    user.twofactor("backup-codes", answers=code(enrolled))


@pytest.mark.parametrize("line", ["allow_disable = no", "required_from = 2020-01-01"])
def test_users_may_not_disable_what_the_host_enforces(user, enrolled, host_configuration, line):
    host_configuration("store = host", line)
    refused = user.twofactor("disable", answers=f"{user.password}\n{enrolled.backup_codes[0]}\n", status=NOT_PERMITTED)
    assert "this host does not allow users to disable two-factor" in refused.stderr and refused.stdout == ""
    assert user.status()["backup_codes_left"] == 3
    # The helper reads the policy when it removes: it may have changed since the command read it.
    host_configuration("store = host")
    screen = Screen(user, "disable")
    screen.expect("Password: ").type(user.password).expect("backup code: ")
    host_configuration("store = host", line)
    screen.type(enrolled.backup_codes[0])
    assert screen.ends() == NOT_PERMITTED
    assert "this host does not allow users to disable two-factor" in screen.text and user.status()["enabled"]
    twofactor("disable", "--user", user.name)


def test_a_change_applies_to_the_enrollment_whose_code_was_checked(user, enrolled):
    screen = Screen(user, "device", "add", "tablet", rows=60)
    screen.expect("backup code: ").type(code(enrolled).strip())
    screen.expect("Code from the app: ")
    new = Authenticator.from_uri(screen.uri)
    user.add_device("watch")
    screen.type(new.code_at(time_to_type()))
    assert screen.ends() == REFUSED
    assert "the enrollment was changed meanwhile, so nothing was changed" in screen.text
    assert "hint: run the command again" in screen.text and user.devices() == ["phone", "watch"]


def test_a_key_that_another_device_has_is_refused_as_in_the_home(user, enrolled):
    key = enrolled.authenticator.base32
    words = ("device", "add", "tablet", "--ask-key", "--no-confirm")
    refused = user.twofactor(*words, answers=f"{code(enrolled)}{key}\n", status=IO_ERROR)
    assert refused.stderr == "twofactor: cannot encode the credential\n"
    assert twofactor(*words, "--user", user.name, answers=f"{key}\n", status=IO_ERROR).stderr == refused.stderr
    assert user.devices() == ["phone"] and is_private(user)


def test_imported_codes_that_were_used_stay_used(user, service):
    path = google_file(user, '" TOTP_AUTH', "12345678", "87654321")
    user.twofactor("import", "--no-confirm", str(path), answers=f"{user.password}\n")
    now = time_to_type()
    for typed in ("12345678", APP.code_at(now)):
        user.twofactor("import", "--no-confirm", "--force", str(path), answers=f"{user.password}\n{typed}\n")
    assert user.status()["backup_codes_left"] == 1 and is_private(user)
    assert user.results(service("store=host"), "12345678", APP.code_at(now)) == [Result.AUTH_ERR] * 2
    # Again as root.
    twofactor("import", "--force", "--user", user.name, str(path))
    assert user.status()["backup_codes_left"] == 1


def test_programs_of_the_user_reach_nothing(user, enrolled):
    own = user.directory
    for words in (
        ["ls", STORE],
        ["ls", own],
        ["stat", own],
        ["cat", own / "credential"],
        ["mv", own, user.home / "mine"],
        ["mv", own, STORE / "other"],
        ["ln", own / "credential", user.home / "mine"],
        ["rm", "-r", own],
        ["mkdir", STORE / "new"],
        ["touch", own / "new"],
        ["chmod", "777", own],
    ):
        tried = run(*words, user=user, status=None)
        assert tried.returncode != 0 and "Permission denied" in tried.stderr, (words, tried.stderr)
    assert is_private(user) and user.status()["enabled"]


def refuses(user, *words: str, status: int) -> dict:
    """The answer of a command that asks no questions."""
    done = user.twofactor(*words, "--json", status=status)
    assert done.stdout == ""
    return json.loads(done.stderr)


@pytest.mark.parametrize("words", [("status",), ("enable",), ("enable", "--force"), ("disable",), ("verify",)], ids=str)
def test_what_only_the_administrator_can_repair(user, enrolled, words):
    advice = f"ask the administrator to run: twofactor disable --user {user.name}"
    (user.directory / "credential").write_text("garbage")
    said = refuses(user, *words, status=UNUSABLE)
    assert said == {"error": f"{user.directory}: credential, line 1: is not a credential", "hint": advice}
    shutil.rmtree(user.directory)
    said = refuses(user, *words, status=UNUSABLE)
    assert said["error"] == f"{user.directory}: directory: does not exist, but the user is registered as enrolled"
    assert said["hint"] == advice
    twofactor("disable", "--user", user.name)
    user.twofactor(*PROVISION, answers=user.password + "\n")


@pytest.mark.parametrize("words", [("status",), ("enable",), ("disable",)], ids=str)
def test_a_host_that_lacks_a_part_of_the_installation(user, words):
    aside = HELPER.with_name("aside")
    with contextlib.ExitStack() as stack:
        HELPER.rename(aside)
        stack.callback(aside.rename, HELPER)
        assert refuses(user, *words, status=NOT_CONFIGURED)["error"] == "twofactor-helper is not installed"
    for folder in (REGISTER, STORE):
        folder.rename(folder.with_name("aside"))
        said = refuses(user, *words, status=NOT_CONFIGURED)
        assert said["error"] == f"{folder} does not exist"
        assert said["hint"].endswith(f": install -d -o root -g _twofactor -m 1730 {folder}")
        refused = twofactor("enable", "--no-confirm", "--json", "--user", user.name, status=NOT_CONFIGURED)
        assert json.loads(refused.stderr) == said
        run("sh", "-c", said["hint"].partition(": ")[2])
        assert folder.stat().st_mode == 0o41730
        shutil.rmtree(folder.with_name("aside"))
    user.twofactor(*PROVISION, answers=user.password + "\n")


def test_a_session_without_new_privileges_is_told_why(user, enrolled):
    words = ("setpriv", "--no-new-privs", COMMAND, "status")
    done = run(*words, user=user, status=IO_ERROR)
    assert "cannot be searched: twofactor-helper runs without its group" in done.stderr
    assert re.search(r"^hint: .*no_new_privs", done.stderr, re.MULTILINE)


def test_doctor_reports_the_users_own_enrollment(user, enrolled):
    assert "1 of 1 accounts that may log in are enrolled" in user.twofactor("doctor").stdout
    (user.directory / "credential").write_text("garbage")
    checks = json.loads(user.twofactor("doctor", "--json", status=NOT_CONFIGURED).stdout)["checks"]
    failed = [(check["name"], check["remedy"]) for check in checks if check["status"] == "failed"]
    assert failed == [("enrollment", f"twofactor enable --force --user {user.name}")]


def test_root_names_every_user(user, enrolled):
    entry = next(entry for entry in twofactor_json("users")["users"] if entry["user"] == user.name)
    assert entry == {**user.status(), "registered": True}
    assert entry["directory"] == str(user.directory)


def test_root_enrolls_itself(host_configuration):
    host_configuration("store = host", "require_password = no")
    try:
        made = twofactor_json("enable", "--no-confirm", "--yes", "--backup-codes", "1")
        assert made["directory"] == f"{STORE}/0" and os.stat(STORE / "0").st_uid == 0
        twofactor("device", "add", "tablet", "--no-confirm", answers=made["backup_codes"][0] + "\n")
    finally:
        twofactor("disable", "--user", "root")
    assert list(STORE.iterdir()) == []


def wait_for_helpers() -> None:
    """A helper outlives its killed command for a moment."""
    deadline = time.monotonic() + 10
    while run("pgrep", "-f", HELPER, status=None).returncode == 0:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.seconds(300)
@pytest.mark.parametrize("subcommand", ["device remove", "disable"])
def test_a_command_killed_at_any_call_makes_its_change_or_none(user, enrolled, subcommand, tmp_path):
    user.add_device("tablet")
    # Backup codes do not expire.
    words, typed = {
        "device remove": (("device", "remove", "tablet"), enrolled.backup_codes[0] + "\n"),
        "disable": (("disable",), f"{user.password}\n{enrolled.backup_codes[0]}\n"),
    }[subcommand]
    command = ("setpriv", f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups", COMMAND, *words)
    copy = tmp_path / "copy"
    run("cp", "-a", STORE.parent, copy)

    def restore() -> None:
        for path in (*STORE.iterdir(), *REGISTER.iterdir()):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        run("cp", "-a", f"{copy}/.", STORE.parent)

    run(*tracing(tmp_path / "trace"), *command, input=typed)
    found = calls(tmp_path / "trace", "socketpair")
    starts = [index for index, call in enumerate(found) if call.name == "socketpair"]
    changed = []
    # One helper for the code, and one for the change.
    for call in found[starts[-2] :]:
        restore()
        done = run(*call.killed(), *command, input=typed, status=None)
        # The number of polls depends on the time that the helper takes.
        assert done.returncode == -9 or done.returncode == DONE and call.name in ("poll", "wait4"), f"{done} at {call}"
        wait_for_helpers()
        status = user.status()
        names = [device["name"] for device in status["devices"]]
        old, new = ["phone", "tablet"], ["phone"] if subcommand == "device remove" else []
        assert names in (old, new) and status["enabled"] == bool(names), f"{names} after {call}"
        assert registered() == ([user.uid] if names else [])
        changed.append(names == new)
        if names:
            assert status["backup_codes_left"] in ((2, 3) if names == old else (2,))
            user.twofactor("device", "list")
            user.twofactor("backup-codes", answers=enrolled.backup_codes[1] + "\n")
        else:
            assert list(STORE.iterdir()) == []
    assert set(changed) == {False, True}
