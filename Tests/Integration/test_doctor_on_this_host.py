"""`twofactor doctor` and `twofactor test` on a host that runs: the sandbox, with its own sshd and accounts."""

import json
import subprocess
import time
from pathlib import Path

import pexpect
import pytest
from rig.enrollment import enroll
from rig.machine import COMMAND

SSHD_SETTINGS = Path("/etc/ssh/sshd_config.d/10-twofactor.conf")
STACK = Path("/etc/pam.d/sshd")


def doctor(*arguments: str, user: str | None = None) -> tuple[int, list[dict]]:
    prefix = ["runuser", "-u", user, "--"] if user else []
    done = subprocess.run([*prefix, COMMAND, "doctor", "--json", *arguments], capture_output=True, text=True, timeout=60)
    assert done.stderr == "", done.stderr
    return done.returncode, json.loads(done.stdout)["checks"]


def statuses(checks: list[dict], name: str) -> set[str]:
    return {check["status"] for check in checks if check["name"] == name}


@pytest.fixture
def host(products):
    """This host with the module in front of its sshd, as the manual says."""
    before = STACK.read_text()
    STACK.write_text(before.replace("@include common-auth\n", "@include common-auth\nauth required pam_twofactor.so nullok\n"))
    SSHD_SETTINGS.parent.mkdir(exist_ok=True)
    SSHD_SETTINGS.write_text("KbdInteractiveAuthentication yes\nPasswordAuthentication no\n")
    subprocess.run(["ssh-keygen", "-A"], check=True, capture_output=True, timeout=60)
    yield
    STACK.write_text(before)
    SSHD_SETTINGS.unlink()


def test_a_host_that_is_set_up_has_nothing_wrong(host):
    status, checks = doctor()
    wrong = [check for check in checks if check["status"] in ("warning", "failed")]
    # The clock and the homes are those of the machine that runs the tests.
    assert {check["name"] for check in wrong} <= {"clock", "home", "ssh_root_login"}, wrong
    assert status == 0
    assert any("can be loaded" in check["detail"] for check in checks if check["name"] == "module")
    assert statuses(checks, "ssh_keyboard_interactive") == {"ok"}


def test_it_is_sshd_itself_that_says_what_is_in_force(host):
    SSHD_SETTINGS.write_text("KbdInteractiveAuthentication perhaps\n")
    status, checks = doctor()
    assert status == 78 and "sshd refuses" in next(check["detail"] for check in checks if check["name"] == "ssh")
    SSHD_SETTINGS.write_text("KbdInteractiveAuthentication yes\nPasswordAuthentication no\nMatch User root\n"
                             "  KbdInteractiveAuthentication no\n")
    assert statuses(doctor("--user", "root")[1], "ssh_keyboard_interactive") == {"failed"}
    assert statuses(doctor("--user", "daemon")[1], "ssh_keyboard_interactive") == {"ok"}


def test_a_module_that_cannot_be_loaded_is_found(host):
    from rig.machine import modules_directory

    module = modules_directory() / "pam_twofactor.so"
    whole = module.read_bytes()
    try:
        module.write_bytes(whole[:4096])
        status, checks = doctor()
    finally:
        module.write_bytes(whole)
    assert status == 78 and statuses(checks, "module") == {"failed"}


def test_the_homes_and_files_of_users_are_looked_at(host, new_account):
    names = {}
    for name in ("right", "writable", "open"):
        account = new_account()
        enroll(account, backup_codes=10)
        names[name] = account
    few = new_account()
    enroll(few, backup_codes=2)
    names["writable"].home.chmod(0o777)
    (names["open"].home / ".twofactor/credential").chmod(0o644)
    status, checks = doctor()
    details = [(check["name"], check["detail"]) for check in checks if check["status"] in ("warning", "failed")]
    assert status == 78
    assert not any(names["right"].name + " " in detail for _, detail in details), details
    assert any(name == "home" and detail.startswith(names["writable"].name + " ") for name, detail in details)
    assert any(name == "enrollment" and detail.startswith(names["open"].name + " ") for name, detail in details)
    assert ("backup_codes", f"{few.name} has 2 backup codes left") in details


def test_a_read_only_home_is_found(host, account):
    directory = enroll(account).directory
    subprocess.run(["mount", "--bind", directory, directory], check=True, timeout=20)
    subprocess.run(["mount", "-o", "remount,bind,ro", directory], check=True, timeout=20)
    try:
        status, checks = doctor("--user", account.name)
    finally:
        subprocess.run(["umount", directory], check=True, timeout=20)
    assert status == 78 and statuses(checks, "file_system") == {"failed"}


def test_a_user_without_roots_rights_sees_the_own_enrolment_alone(host, account, new_account):
    enroll(account)
    enroll(new_account())
    status, checks = doctor(user=account.name)
    assert status == 0
    assert next(check["detail"] for check in checks if check["name"] == "enrollments").startswith("1 of 1 ")
    refused = subprocess.run(
        ["runuser", "-u", account.name, "--", COMMAND, "doctor", "--user", "root"], capture_output=True, timeout=20
    )
    assert refused.returncode == 77


@pytest.fixture
def tryout(products):
    """A service that checks password and code."""
    service = Path("/etc/pam.d/tryout")
    service.write_text("auth requisite pam_unix.so\nauth required pam_twofactor.so\naccount required pam_unix.so\n")
    yield service.name
    service.unlink()


def run_test(service: str, user: str, *answers: str) -> tuple[int, str]:
    terminal = pexpect.spawn(str(COMMAND), ["test", "--service", service, "--user", user], timeout=20, encoding="utf-8")
    for answer in answers:
        terminal.expect("(Password|Verification code): ")
        terminal.sendline(answer)
    text = terminal.before or ""
    terminal.expect(pexpect.EOF)
    text += terminal.before
    terminal.close()
    return terminal.exitstatus, text


def test_a_stack_is_tried_without_logging_out(tryout, new_account, password):
    account = new_account(password=password)
    authenticator = enroll(account).authenticator
    code = authenticator.code_at(time.time())
    status, text = run_test(tryout, account.name, password, code)
    assert (status, "The login would have gone through." in text) == (0, True), text
    # The log is shown as it is written.
    assert "pam_twofactor(tryout:auth): accepted user=" in text
    status, text = run_test(tryout, account.name, password, code)
    assert status == 1 and "The login was refused" in text and "reason=reused-code" in text


def test_a_wrong_password_is_refused_before_a_code_is_asked_for(tryout, new_account, password):
    account = new_account(password=password)
    enroll(account)
    status, text = run_test(tryout, account.name, "wrong")
    assert status == 1 and "Verification code" not in text


def test_test_writes_json_and_takes_its_answers_from_standard_input(tryout, new_account, password):
    account = new_account(password=password)
    code = enroll(account).authenticator.code_at(time.time())
    done = subprocess.run(
        [COMMAND, "test", "--service", tryout, "--user", account.name, "--json"],
        input=f"{password}\n{code}\n", capture_output=True, text=True, timeout=20,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["user"], result["service"]) == (account.name, tryout)
    assert result["authenticated"] is True and result["permitted"] is True


def test_test_is_roots_and_knows_its_services(products, account):
    missing = subprocess.run([COMMAND, "test", "--service", "no-such"], capture_output=True, text=True, timeout=20)
    assert missing.returncode == 78 and "no-such" in missing.stderr
    strange = subprocess.run([COMMAND, "test", "--service", "../x"], capture_output=True, timeout=20)
    assert strange.returncode == 64
    words = ["runuser", "-u", account.name, "--", COMMAND, "test", "--service", "sshd"]
    assert subprocess.run(words, capture_output=True, timeout=20).returncode == 77
