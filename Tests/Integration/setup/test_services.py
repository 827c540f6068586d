"""`enable`, `status` and `disable` state what the PAM stacks of the host ask a user for, and nothing else."""

import json
import os
import pty
import re
import shutil
import subprocess
import termios
import time
from pathlib import Path

import pytest
from rig.enrollment import twofactor, twofactor_json
from rig.exit_status import DONE, NOT_PERMITTED, REFUSED
from rig.imports import APP, google_file
from rig.machine import COMMAND
from rig.process import run

FOLDER = Path("/etc/pam.d")
SSHD_SETTINGS = Path("/etc/ssh/sshd_config.d/10-twofactor.conf")
PASSWORD = "auth required pam_unix.so"
CODE = "auth required pam_twofactor.so"
PROVISION = ("enable", "--no-confirm", "--yes")
NEW_KEY = "Delete the entry in the app: its key is erased.\nTo enable two-factor again, with a new key: twofactor enable"


@pytest.fixture
def sshd():
    """Writes settings of sshd in the sandbox, at first those of the manual."""

    def write(*lines: str, mode: int = 0o644) -> None:
        SSHD_SETTINGS.write_text("".join(line + "\n" for line in lines))
        SSHD_SETTINGS.chmod(mode)

    SSHD_SETTINGS.parent.mkdir(exist_ok=True)
    write("UsePAM yes", "KbdInteractiveAuthentication yes", "PasswordAuthentication no")
    yield write
    SSHD_SETTINGS.unlink()


@pytest.fixture
def stack(products, sshd, tmp_path):
    """Writes a service in /etc/pam.d of the sandbox, which is restored after the test."""
    kept = shutil.copytree(FOLDER, tmp_path / "pam.d")

    def write(name: str, *lines: str, mode: int = 0o644) -> None:
        (FOLDER / name).write_text("".join(line + "\n" for line in lines))
        (FOLDER / name).chmod(mode)

    yield write
    for path in FOLDER.iterdir():
        path.unlink()
    shutil.copytree(kept, FOLDER, dirs_exist_ok=True)


def none_asks(user) -> str:
    return f"No login on this host asks {user.name} for a code yet.\nThe administrator can see why with: twofactor doctor\n"


def enabled(user, *options: str) -> str:
    """The output of root's `enable` after the backup codes."""
    done = twofactor(*PROVISION, "--backup-codes", "0", "--qr", "none", "--user", user.name, *options)
    return done.stdout[done.stdout.index("Two-factor is on.") :]


def disabling(user, made, **options) -> subprocess.CompletedProcess[str]:
    answers = f"{user.password}\n{made.authenticator.code_at(time.time())}\n"
    return user.twofactor("disable", answers=answers, **options)


def test_enable_names_the_services_that_will_ask(user, stack):
    stack("sshd", PASSWORD, CODE + " nullok")
    stack("sudo", PASSWORD, CODE)
    stack("remote", "auth sufficient pam_unix.so", CODE)
    assert enabled(user) == (
        "Two-factor is on.\n"
        "Logins that will ask for a code: sshd, sudo\n"
        f"To undo it: twofactor disable --user {user.name}\n"
    )
    assert user.status()["services"] == ["sshd", "sudo"]
    assert twofactor_json(*PROVISION, "--force", "--user", user.name)["services"] == ["sshd", "sudo"]


def test_enable_claims_nothing_if_no_service_asks(user, stack):
    assert enabled(user) == f"Two-factor is on.\n{none_asks(user)}To undo it: twofactor disable --user {user.name}\n"
    assert twofactor_json(*PROVISION, "--force", "--user", user.name)["services"] == []
    assert "\nServices:      none asks for a code\n" in user.twofactor("status").stdout
    assert user.status()["services"] == []


def test_files_and_programs_without_logins_are_not_named(user, stack):
    common = (FOLDER / "common-auth").read_text().splitlines()
    stack("common-auth", *common, CODE + " nullok")
    stack("atd", "@include common-auth", "@include common-account")
    stack("cron", "@include common-auth", "@include common-account")
    stack("systemd-user", "@include common-account")
    stack("sshd.dpkg-old", PASSWORD, CODE)
    services = twofactor_json(*PROVISION, "--user", user.name)["services"]
    assert {"login", "sshd", "su", "sudo"} <= set(services)
    assert not {"atd", "common-auth", "cron", "other", "passwd", "runuser", "sshd.dpkg-old", "systemd-user"} & set(
        services
    )
    # sshd.dpkg-old refuses users who are not enrolled.
    assert twofactor("disable", "--user", user.name).stderr == ""


def test_a_service_that_the_user_cannot_read_is_not_checked(user, stack):
    stack("vsftpd", PASSWORD, CODE, mode=0o600)
    made = user.enroll()
    unknown = "Could not check whether these ask for a code: vsftpd\n"
    status = user.twofactor("status").stdout
    assert "\nNot checked:   vsftpd\n" in status and "Services:" not in status
    assert user.status()["services"] is None
    stack("sshd", PASSWORD, CODE + " nullok")
    status = user.twofactor("status").stdout
    assert "\nServices:      sshd\nNot checked:   vsftpd\n" in status
    assert user.status()["services"] == ["sshd"]

    done = disabling(user, made)
    assert "\nFrom now on the password alone is enough for: sshd\n" in done.stdout
    # Root's command reads the stacks before it takes the identity of the user.
    said = enabled(user)
    assert "Logins that will ask for a code: sshd, vsftpd\n" in said and unknown not in said
    twofactor("disable", "--user", user.name)
    path = google_file(user, '" TOTP_AUTH')
    said = user.twofactor("import", "--no-confirm", str(path), answers=user.password + "\n").stdout
    assert "Logins that will ask for a code: sshd\n" + unknown in said
    assert "The administrator can check them with: twofactor doctor\n" in said


def test_without_a_readable_folder_no_service_is_checked(user, stack):
    user.enroll()
    FOLDER.chmod(0o700)
    try:
        status, services = user.twofactor("status").stdout, user.status()["services"]
    finally:
        FOLDER.chmod(0o755)
    assert "\nNot checked:   /etc/pam.d\n" in status and services is None


def test_import_names_the_services_that_will_ask(user, stack):
    path = google_file(user, '" TOTP_AUTH')
    said = user.twofactor("import", "--no-confirm", str(path), answers=user.password + "\n").stdout
    assert "\nTwo-factor is on.\n" + none_asks(user) + "To try a code without using it up: twofactor verify\n" in said
    stack("sshd", PASSWORD, CODE + " nullok")
    answers = f"{user.password}\n{APP.code_at(time.time())}\n"
    said = user.twofactor("import", "--no-confirm", "--force", str(path), answers=answers).stdout
    assert "\nTwo-factor is on.\nLogins that will ask for a code: sshd\n" in said
    assert twofactor_json("import", "--force", "--user", user.name, str(path))["services"] == ["sshd"]


def test_the_groups_of_the_user_are_applied(user, stack):
    stack("sshd", PASSWORD, CODE + f" exempt_groups={user.name}")
    stack("sudo", PASSWORD, CODE)
    assert "Logins that will ask for a code: sudo\n" in enabled(user)
    stack("sudo", PASSWORD)
    assert none_asks(user) in enabled(user, "--force")
    assert user.status()["services"] == []
    # Without an enrollment, sshd lets the user in too.
    user.twofactor("disable", status=REFUSED)

    made = user.enroll(again=True)
    stack("sshd", PASSWORD, CODE + " only_groups=root")
    assert user.status()["services"] == ["sshd"]
    user.twofactor("disable", status=REFUSED)
    stack("sshd", PASSWORD, CODE + f" only_groups=root,{user.gid}")
    user.twofactor("disable", status=NOT_PERMITTED)
    stack("sshd", PASSWORD, CODE + f" only_groups={user.name} required_from=2999-12-31")
    assert "password alone is enough for: sshd\n" in disabling(user, made).stdout


def test_a_service_that_refuses_enrolled_users_is_named(user, stack, sshd):
    stack("sshd", PASSWORD, CODE + " nullok")
    # The method "password" sends the password as the code.
    sshd("KbdInteractiveAuthentication no", "PasswordAuthentication yes")
    assert enabled(user) == (
        f"Two-factor is on.\nLogins that refuse {user.name} from now on: sshd\n"
        f"The administrator can see why with: twofactor doctor\nTo undo it: twofactor disable --user {user.name}\n"
    )
    assert "\nServices:      sshd\nRefused by:    sshd\n" in user.twofactor("status").stdout


def test_the_methods_of_sshd_are_applied(user, stack, sshd):
    stack("sshd", PASSWORD, CODE + " nullok")
    made = user.enroll()
    for settings in (["UsePAM no"], ["KbdInteractiveAuthentication no", "PasswordAuthentication no"]):
        sshd(*settings)
        assert user.status()["services"] == []
    sshd("KbdInteractiveAuthentication yes", f"Match User {user.name}", "AuthenticationMethods publickey")
    assert user.status()["services"] == []
    sshd("KbdInteractiveAuthentication yes", "AuthenticationMethods publickey,keyboard-interactive")
    assert user.status()["services"] == ["sshd"]
    sshd("KbdInteractiveAuthentication yes", mode=0o600)
    assert "\nNot checked:   sshd\n" in user.twofactor("status").stdout
    sshd("KbdInteractiveAuthentication yes", "AuthenticationMethods publickey,keyboard-interactive")
    # The key is needed too.
    assert "password alone" not in disabling(user, made).stdout


def test_status_names_the_services_that_ask(user, stack):
    stack("sshd", PASSWORD, CODE + " nullok")
    assert user.status()["services"] == []
    user.enroll()
    status = user.twofactor("status").stdout
    assert re.search(r"\nFailed codes:  0\nServices:      sshd\nFiles:  ", status)
    assert list(user.status())[-2:] == ["locked_until", "services"]
    listed = {entry["user"]: entry for entry in twofactor_json("users")["users"]}
    assert listed[user.name]["services"] == ["sshd"]
    # The other objects are those of `enable` and `status`.
    code = twofactor_json("device", "add", "tablet", "--no-confirm", "--user", user.name)
    assert code["services"] == twofactor_json("show", "--name", "phone", "--user", user.name)["services"] == ["sshd"]
    for command in (["device", "list"], ["device", "remove", "tablet"], ["unlock"]):
        assert twofactor_json(*command, "--user", user.name)["services"] == ["sshd"]
    assert twofactor_json("disable", "--user", user.name)["services"] == []


@pytest.mark.parametrize("mode", ["offer", "require"])
def test_a_login_that_enrolls_the_user_again_refuses_nobody(user, stack, mode):
    account = (f"account required pam_twofactor.so enroll={mode}", "account required pam_unix.so")
    stack("sshd", PASSWORD, f"{CODE} enroll={mode}", *account)
    # Its program shows no questions.
    stack("xrdp-sesman", f"{CODE} forward_pass enroll={mode}", f"{PASSWORD} use_first_pass", *account)
    user.enroll()
    done = twofactor("disable", "--user", user.name)
    refusal = f"twofactor: without two-factor, these logins would refuse {user.name}: xrdp-sesman\n"
    assert done.stderr == (refusal if mode == "require" else "")
    alone = "From now on the password alone is enough for: sshd, xrdp-sesman\n"
    assert (alone in done.stdout) == (mode == "offer") == ("password alone" in done.stdout)


def test_disable_is_refused_if_a_stack_would_refuse_the_user(user, stack):
    stack("sshd", PASSWORD, CODE)
    stack("sudo", PASSWORD, CODE)
    stack("remote", PASSWORD, CODE + " nullok")
    made = user.enroll(backup_codes=2)
    before = user.files()
    # It asks for nothing before.
    refused = user.twofactor("disable", status=NOT_PERMITTED)
    assert refused.stdout == ""
    assert refused.stderr == (
        f"twofactor: without two-factor, these logins would refuse {user.name}: sshd, sudo\n"
        "hint: for a new phone, if you still have a code: twofactor enable --force; otherwise ask the administrator "
        f"to add nullok to these stacks, or to run: twofactor disable --user {user.name}\n"
    )
    refused = json.loads(user.twofactor("disable", "--json", status=NOT_PERMITTED).stderr)
    assert refused["error"].endswith("sshd, sudo") and "nullok" in refused["hint"]
    assert user.files() == before

    # Root is warned.
    done = twofactor("disable", "--user", user.name)
    assert done.stderr == f"twofactor: without two-factor, these logins would refuse {user.name}: sshd, sudo\n"
    assert done.stdout == (
        "Two-factor is off.\n"
        f"From now on the password alone is enough for: remote\n{NEW_KEY} --user {user.name}\n"
    )
    made = user.enroll()
    # What the hint says helps.
    for service in ("sshd", "sudo"):
        stack(service, PASSWORD, CODE + " nullok")
    done = disabling(user, made)
    assert "\nFrom now on the password alone is enough for: remote, sshd, sudo\n" in done.stdout


def test_disable_promises_nothing_if_no_service_asks(user, stack):
    made = user.enroll()
    assert disabling(user, made).stdout.endswith(f"Two-factor is off.\n{NEW_KEY}\n")


def test_a_service_that_refuses_everyone_does_not_keep_two_factor_on(user, stack):
    stack("ftp", "auth required pam_deny.so", CODE)
    stack("sshd", PASSWORD, CODE + " nullok")
    disabling(user, user.enroll())


def test_an_enforced_two_factor_is_refused_once(user, stack, host_configuration):
    stack("sshd", PASSWORD, CODE)
    host_configuration("allow_disable = no")
    user.enroll()
    refused = user.twofactor("disable", status=NOT_PERMITTED)
    assert "does not allow" in refused.stderr and "sshd" not in refused.stderr


def doctor_services(*options: str) -> dict[str, dict]:
    done = run(COMMAND, "doctor", "--json", *options, status=None)
    services = json.loads(done.stdout)["services"]
    for entry in services:
        assert list(entry) == ["service", "enrolled", "unenrolled", "single_field"]
    return {entry["service"]: entry for entry in services}


def test_doctor_lists_what_each_service_requires(user, stack):
    stack("sshd", PASSWORD, CODE + " nullok")
    stack("sudo", PASSWORD, CODE)
    stack("dovecot", CODE + " forward_pass", "auth required pam_unix.so use_first_pass")
    stack("closed", "auth required pam_deny.so")
    stack("open", "auth required pam_permit.so")
    services = doctor_services()
    values = {name: tuple(entry.values())[1:] for name, entry in services.items()}
    assert values["sshd"] == ("password+code", "password", False)
    assert values["sudo"] == ("password+code", "refused", False)
    assert values["dovecot"] == ("password+code", "refused", True)
    assert values["closed"] == ("refused", "refused", False)
    assert values["open"][:2] == ("nothing", "nothing")
    vendor = Path("/usr/lib/pam.d")
    files = [*FOLDER.iterdir(), *(vendor.iterdir() if vendor.exists() else [])]
    assert set(services) == {path.name for path in files} | {"other"}


def test_doctor_does_not_guess_about_unreadable_services(user, stack):
    stack("vsftpd", PASSWORD, CODE, mode=0o600)
    done = run(COMMAND, "doctor", "--json", user=user, status=None)
    (entry,) = [entry for entry in json.loads(done.stdout)["services"] if entry["service"] == "vsftpd"]
    assert entry == {"service": "vsftpd", "enrolled": None, "unenrolled": None, "single_field": None}
    said = run(COMMAND, "doctor", user=user, status=None).stdout
    assert re.search(r"\nunknown +unknown +unknown +vsftpd\n", said)


def table(columns: int | None = None) -> list[str]:
    """The lines of doctor's table, of a terminal of this width or of a pipe."""
    if columns is None:
        said = run(COMMAND, "doctor", status=None).stdout
    else:
        controller, terminal = pty.openpty()
        termios.tcsetwinsize(terminal, (24, columns))
        command = subprocess.Popen([COMMAND, "doctor"], stdin=terminal, stdout=terminal, close_fds=True)
        os.close(terminal)
        read = b""
        try:
            while more := os.read(controller, 65536):
                read += more
        except OSError:
            pass
        os.close(controller)
        command.wait(30)
        said = read.decode().replace("\r\n", "\n")
    return said[said.index("\nENROLLED ") + 1 :].split("\n\n")[0].splitlines()


def test_the_table_groups_services_and_fits_the_terminal(user, stack):
    names = [f"service{number}" for number in range(40)]
    for name in names:
        stack(name, PASSWORD, CODE)
    stack("sshd", PASSWORD, CODE + " nullok")
    whole = table()
    assert whole[:-1] == [
        "ENROLLED       NOT ENROLLED  ONE REPLY  SERVICES",
        f"password+code  refused       no         {', '.join(sorted(names))}",
        "password+code  password      no         sshd",
    ]
    assert re.fullmatch(r"\d+ other services never ask for a code", whole[-1].removesuffix("."))
    lines = table(80)
    assert max(map(len, lines)) <= 80 and len(lines) < 24
    assert re.sub(r",\s+", ", ", "\n".join(lines)) == "\n".join(whole)


@pytest.mark.parametrize("columns", [30, 80])
def test_long_lists_are_wrapped(user, stack, columns):
    names = [f"service{number}" for number in range(10, 40)]
    for name in names:
        stack(name, PASSWORD, CODE)
    user.enroll()
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, columns))
    run(COMMAND, "status", user=user, stdin=terminal, stdout=terminal)
    os.close(terminal)
    said = os.read(controller, 65536).decode()
    os.close(controller)
    listed = re.search(r"Services: {6}(.*?)\r\nFiles:", said, re.DOTALL)[1].split("\r\n")
    assert all(line.startswith(" " * 15) for line in listed[1:])
    assert max(len(line) for line in listed) <= columns
    assert re.split(r",\s+", "\n".join(listed)) == names


def test_sixty_services_are_evaluated_quickly(user, stack):
    common = (FOLDER / "common-auth").read_text().splitlines()
    stack("common-auth", *common, CODE + " nullok")
    for number in range(60):
        stack(f"service{number}", "auth requisite pam_nologin.so", "@include common-auth", "@include common-account")
    user.enroll()
    before = os.times()
    for _ in range(5):
        assert user.twofactor("status").returncode == DONE
    after = os.times()
    spent = after.children_user - before.children_user + after.children_system - before.children_system
    assert spent / 5 < 0.3
