"""The locations of files, and the rights that `twofactor` uses there."""

import json
import os
import re
import stat
import time
from pathlib import Path

import pytest
from rig.enrollment import twofactor, twofactor_json
from rig.exit_status import DONE, IO_ERROR, NOT_CONFIGURED, NOT_PERMITTED, NO_FILE, REFUSED
from rig.machine import COMMAND, Account
from rig.one_time_password import Authenticator
from rig.process import run
from rig.screen import Screen

PROVISION = ("enable", "--no-confirm", "--yes", "--json", "--backup-codes", "1")


@pytest.fixture
def outside(host_configuration):
    """A host with its enrollments outside the homes."""
    host_configuration("directory = /var/lib/twofactor-of-tests/%u")
    path = Path("/var/lib/twofactor-of-tests")
    yield path
    run("rm", "-rf", path)


def test_the_directory_outside_the_homes_is_created_with_its_parents(user, outside, service):
    assert not outside.exists()
    assert twofactor_json("status", "--user", user.name)["enabled"] is False
    done = twofactor(*PROVISION, "--user", user.name)
    for path in (outside, outside / user.name, outside / user.name / "credential"):
        status = path.stat()
        assert (status.st_uid, status.st_gid) == (0, 0) and stat.S_IMODE(status.st_mode) & 0o077 == 0
    login = user.log_in(service(f"directory={outside}/%u"), json.loads(done.stdout)["backup_codes"][0])
    assert login.result == 0


@pytest.mark.parametrize("is_there", [True, False], ids=["made", "missing"])
def test_a_user_is_asked_nothing_if_only_root_can_enroll(user, outside, is_there):
    if is_there:
        outside.mkdir(mode=0o755)
    for line in (("enable",), ("enable", "--force"), ("import", "-")):
        done = user.twofactor(*line, answers=user.password + "\n", status=NOT_PERMITTED)
        assert done.stdout == ""
        assert done.stderr == (
            f"twofactor: cannot create {outside}/{user.name}: permission denied\n"
            "hint: only root can create it: run the command as root with --user NAME\n"
        )


@pytest.mark.parametrize("line", [("enable",), (*PROVISION,)])
def test_a_user_is_asked_nothing_if_the_home_is_read_only(user, line):
    user.home.chmod(0o555)
    done = user.twofactor(*line, answers=user.password + "\n", status=NOT_PERMITTED)
    assert done.stdout == ""
    assert f"cannot create {user.home}/.twofactor: permission denied" in done.stderr


@pytest.mark.parametrize("option", ["--backup-codes-file", "--qr-file"])
def test_files_for_the_user_belong_to_the_user_if_root_keeps_the_enrollments(user, outside, option):
    path = user.home / "kept.svg"
    twofactor(*PROVISION, "--user", user.name, option, str(path))
    assert (path.stat().st_uid, path.stat().st_gid, path.stat().st_mode) == (user.uid, user.gid, 0o100600)
    # Replaced with force, and restored if the change fails.
    before = path.read_bytes()
    twofactor(*PROVISION, "--user", user.name, "--force", option, str(path))
    assert path.read_bytes() != before and path.stat().st_uid == user.uid
    before = path.read_bytes()
    with open("/dev/full", "wb") as full:
        line = [COMMAND, *PROVISION, "--user", user.name, "--force", option, str(path)]
        run(*line, stdout=full, status=IO_ERROR)
    assert path.read_bytes() == before
    assert [name for name in os.listdir(user.home) if name.startswith("kept")] == ["kept.svg"]


@pytest.mark.parametrize(
    "line",
    [
        "enable --backup-codes-file",
        "enable --qr-file",
        "backup-codes --backup-codes-file",
        "show --qr-file",
        "device add tablet --qr-file",
        "import --backup-codes 1 --backup-codes-file",
    ],
)
def test_an_existing_file_is_rejected_before_any_question(user, line):
    path = user.home / "kept.svg"
    path.write_text("mine")
    if not line.startswith(("enable", "import")):
        user.enroll()
    done = user.twofactor(*line.split(), str(path), status=REFUSED)
    assert "hint: name another file\n" in done.stderr, done
    assert done.stdout == "" and path.read_text() == "mine"


@pytest.mark.parametrize("option", ["--backup-codes-file", "--qr-file"])
@pytest.mark.parametrize("is_outside", [True, False], ids=["outside", "at home"])
def test_root_follows_no_symlink_of_the_user(user, option, is_outside, request):
    if is_outside:
        request.getfixturevalue("outside")
    target = Path("/etc/target.svg")
    (user.home / "folder").symlink_to("/etc")
    twofactor(
        *PROVISION, "--user", user.name, option, str(user.home / "folder" / "target.svg"), status=NOT_PERMITTED
    )
    assert not target.exists()
    (user.home / "link.svg").symlink_to(target)
    twofactor(*PROVISION, "--user", user.name, option, str(user.home / "link.svg"), status=REFUSED)
    assert not target.exists()
    twofactor(*PROVISION, "--user", user.name, "--force", option, str(user.home / "link.svg"), status=REFUSED)
    assert (user.home / "link.svg").is_symlink()
    assert twofactor_json("status", "--user", user.name)["enabled"] is False


def test_a_folder_that_a_group_of_the_user_can_write_is_accepted(user, outside):
    run("groupadd", "writers")
    run("usermod", "-aG", "writers", user.name)
    folder = Path("/srv/kept")
    folder.mkdir(parents=True)
    try:
        run("chgrp", "writers", folder)
        folder.chmod(0o770)
        twofactor(*PROVISION, "--user", user.name, "--backup-codes-file", f"{folder}/codes")
        assert (folder / "codes").stat().st_uid == user.uid
    finally:
        run("rm", "-rf", folder)
        run("groupdel", "writers")


@pytest.mark.parametrize(
    ("path", "status"),
    [("missing/codes", NO_FILE), ("/proc/codes", NO_FILE), ("/codes", NOT_PERMITTED), ("", NO_FILE), (".", REFUSED)],
)
def test_a_file_that_cannot_be_created_stops_the_command(user, path, status):
    done = twofactor(*PROVISION, "--user", user.name, "--backup-codes-file", path, status=status)
    assert list(json.loads(done.stderr)) == ["error", "hint"]
    assert not user.directory.exists()


def test_a_read_only_home_is_an_io_error(user):
    run("mount", "--bind", user.home, user.home)
    try:
        run("mount", "-o", "remount,bind,ro", user.home)
        done = twofactor(*PROVISION, "--user", user.name, status=IO_ERROR)
        assert "ead-only file system" in json.loads(done.stderr)["error"]
    finally:
        run("umount", user.home)


def test_a_full_disk_leaves_no_partial_file_or_enrollment(user):
    small = user.home / "small"
    small.mkdir()
    size = f"size=16k,mode=755,uid={user.uid},gid={user.gid}"
    run("mount", "-t", "tmpfs", "-o", size, "none", small)
    try:
        with open(small / "filler", "wb", buffering=0) as filler, pytest.raises(OSError):
            while True:
                filler.write(bytes(4096))
        done = twofactor(*PROVISION, "--user", user.name, "--backup-codes-file", str(small / "codes"), status=IO_ERROR)
        assert "no space left" in json.loads(done.stderr)["error"]
        assert os.listdir(small) == ["filler"] and not user.directory.exists()
    finally:
        run("umount", small)


def test_an_unreadable_service_file_is_not_replaced_by_another_service(user):
    # libpam would fall back to the service `other`.
    service = Path("/etc/pam.d/twofactor")
    service.chmod(0o600)
    try:
        done = user.twofactor("enable", "--json", answers=user.password + "\n", status=None)
    finally:
        service.chmod(0o644)
    assert done.returncode == NOT_CONFIGURED
    assert json.loads(done.stderr.splitlines()[-1]) == {
        "error": "/etc/pam.d/twofactor cannot be read, so the password cannot be checked: permission denied",
        "hint": "the administrator can fix this with: chmod 644 /etc/pam.d/twofactor",
    }
    assert "Password" not in done.stderr


ROOT = (
    "twofactor: acting for root\n"
    "hint: for another account, as root: twofactor enable --user NAME; for your own: without sudo\n"
)


@pytest.mark.parametrize("through", ["sudo", "su"])
def test_root_by_sudo_and_su_acts_for_root_and_says_so(user, through):
    enrolled = Path("/root/.twofactor")
    assert not enrolled.exists()
    Path("/etc/sudoers.d/enabling").write_text(f"{user.name} ALL=(ALL) NOPASSWD: ALL\n")
    line = {
        "sudo": ["runuser", "-l", user.name, "-c", f"sudo {COMMAND} enable --no-confirm --yes --qr none"],
        "su": ["runuser", "-u", user.name, "--", "sudo", "su", "-c", f"{COMMAND} enable --no-confirm --yes --qr none"],
    }[through]
    run("chpasswd", input="root:for-a-moment\n")
    try:
        done = run(*line, input="for-a-moment\n")
        assert done.stderr == ROOT
        assert "Two-factor login for root" in done.stdout and enrolled.stat().st_uid == 0
    finally:
        run(COMMAND, "disable", "--user", "root", status=None)
        Path("/etc/sudoers.d/enabling").unlink()
        run("usermod", "-p", "*", "root")
    assert not enrolled.exists() and not user.directory.exists()


def test_su_to_another_account_acts_for_that_account(user, new_user):
    other = new_user(password=user.password)
    line = ["su", "-p", other.name, "-c", f"{COMMAND} status --json"]
    done = run(*line, environment={"HOME": str(user.home)}, status=None)
    assert json.loads(done.stdout)["directory"] == f"{other.home}/.twofactor"


@pytest.mark.parametrize("home", [None, "", "relative", "/nonexistent", "/root", "other"])
def test_an_enrollment_is_stored_in_the_home_of_the_account(user, new_user, home):
    other = new_user()
    environment = {} if home is None else {"HOME": str(other.home) if home == "other" else home}
    done = twofactor(*PROVISION, "--user", user.name, environment=environment)
    assert (user.directory / "credential").exists()
    done = user.twofactor("status", "--json", environment=environment)
    assert json.loads(done.stdout)["enabled"]
    assert not other.directory.exists() and not Path("/root/.twofactor").exists()


UNUSUAL = ["dotted.name", "with-dash", "machine$", "zoë", "user@example.org", "domain\\user"]


@pytest.mark.parametrize("name", UNUSUAL)
def test_accounts_with_unusual_names_enroll_at_a_terminal_and_log_in(harness, service, password, name):
    run("useradd", "--badname", "-m", "-s", "/bin/sh", name)
    try:
        run("chpasswd", "-c", "SHA512", "-s", "1000", input=f"{name}:{password}")
        screen = Screen(Account(name, password), "enable").expect("Password: ").type(password)
        screen.expect("Code from the app: ")
        assert f"Two-factor login for {name}" in screen.text
        key = Authenticator.from_uri(screen.uri)
        screen.type(key.code_at(time.time())).expect("[y/N] ")
        code = re.search(r"1  (\w{5}-\w{5})", screen.text)[1]
        screen.type("y")
        assert screen.ends() == DONE
        assert harness.log_in(service(), name, code).result == 0
    finally:
        run("userdel", "--remove", name)


def test_a_login_during_a_subcommand_does_not_disturb_it(user, service):
    made = user.enroll(backup_codes=3)
    name = service()
    # A login happens while the question for the code of a new device is open.
    screen = Screen(user, "device", "add", "tablet").expect("backup code: ").type(made.backup_codes[0])
    screen.expect("Code from the app: ")
    assert user.log_in(name, made.backup_codes[1]).result == 0
    code = made.authenticator.code_at(time.time())
    assert user.log_in(name, code).result == 0
    key = Authenticator.from_uri(screen.uri)
    screen.type(key.code_at(time.time()))
    assert screen.ends() == DONE
    # Codes that the login used stay used, and both devices log in.
    assert user.log_in(name, code).result != 0
    assert user.log_in(name, made.backup_codes[1]).result != 0
    assert user.log_in(name, key.code_at(time.time(), steps=1)).result == 0
    assert user.status()["backup_codes_left"] == 1


def test_of_two_people_who_enroll_the_same_account_one_succeeds(user):
    screens = [Screen(user, "enable").expect("Password: ").type(user.password) for _ in range(2)]
    for screen in screens:
        screen.expect("Code from the app: ")
        key = Authenticator.from_uri(screen.uri)
        screen.type(key.code_at(time.time())).expect("[y/N] ")
    ended = []
    for screen in screens:
        screen.type("y")
        ended.append(screen.ends())
    assert ended == [DONE, REFUSED]
    assert "hint: another twofactor command may be running; check with: twofactor status" in screens[1].text
    assert user.status()["enabled"]
