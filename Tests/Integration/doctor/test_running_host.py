"""`twofactor doctor` and `twofactor test` on a running host: the sandbox, with its sshd and accounts."""

import contextlib
import json
import os
import re
import time
from pathlib import Path

import pexpect
import pytest
from rig.doctor import doctor, findings
from rig.harness import Result
from rig.machine import COMMAND, modules_directory
from rig.process import run

SSHD_SETTINGS = Path("/etc/ssh/sshd_config.d/10-twofactor.conf")
STACK = Path("/etc/pam.d/sshd")


def statuses(checks: list[dict], name: str) -> set[str]:
    return {check["status"] for check in checks if check["name"] == name}


@pytest.fixture
def host(products, register):
    """This host, with the register, and the module in sshd's stack as the manual says."""
    before = STACK.read_text()
    STACK.write_text(
        before.replace("@include common-auth\n", "@include common-auth\nauth required pam_twofactor.so nullok\n")
    )
    SSHD_SETTINGS.parent.mkdir(exist_ok=True)
    SSHD_SETTINGS.write_text("KbdInteractiveAuthentication yes\nPasswordAuthentication no\n")
    run("ssh-keygen", "-A")
    yield
    STACK.write_text(before)
    SSHD_SETTINGS.unlink()


def test_a_correct_host_has_no_findings(host, user):
    user.enroll(backup_codes=10)
    # Other tests have damaged the files of other accounts.
    status, checks = doctor(None, "--user", user.name)
    wrong = findings(checks)
    # The clock is that of the test machine.
    assert {check["name"] for check in wrong} <= {"clock"}, wrong
    assert status == 0
    assert any("can be loaded" in check["detail"] for check in checks if check["name"] == "module")
    assert statuses(checks, "ssh_keyboard_interactive") == {"ok"}


def test_doctor_asks_sshd_for_the_effective_settings(host):
    SSHD_SETTINGS.write_text("KbdInteractiveAuthentication perhaps\n")
    status, checks = doctor(None)
    assert status == 78 and "sshd rejects" in next(check["detail"] for check in checks if check["name"] == "ssh")
    SSHD_SETTINGS.write_text("KbdInteractiveAuthentication yes\nPasswordAuthentication no\nMatch User root\n"
                             "  KbdInteractiveAuthentication no\n")
    assert statuses(doctor(None, "--user", "root")[1], "ssh_keyboard_interactive") == {"failed"}
    assert statuses(doctor(None, "--user", "daemon")[1], "ssh_keyboard_interactive") == {"ok"}


def test_a_module_that_cannot_be_loaded_is_found(host):
    module = modules_directory() / "pam_twofactor.so"
    whole = module.read_bytes()
    try:
        module.write_bytes(whole[:4096])
        status, checks = doctor(None)
    finally:
        module.write_bytes(whole)
    assert status == 78 and statuses(checks, "module") == {"failed"}


def test_the_homes_and_files_of_all_users_are_checked(host, new_user):
    names = {}
    for name in ("right", "writable", "open"):
        account = new_user()
        account.enroll(backup_codes=10)
        names[name] = account
    few = new_user()
    few.enroll(backup_codes=2)
    names["writable"].home.chmod(0o777)
    (names["open"].home / ".twofactor/credential").chmod(0o644)
    status, checks = doctor(None)
    details = [(check["name"], check["detail"]) for check in findings(checks)]
    assert status == 78
    assert not any(names["right"].name + " " in detail for _, detail in details), details
    assert any(name == "home" and detail.startswith(names["writable"].name + " ") for name, detail in details)
    assert any(name == "enrollment" and detail.startswith(names["open"].name + " ") for name, detail in details)
    assert ("backup_codes", f"{few.name} has 2 backup codes left") in details


def test_files_in_a_home_are_opened_with_the_rights_of_its_owner(host, user, tmp_path):
    # The owner could replace a file between check and open.
    user.enroll()
    credential = user.directory / "credential"
    credential.write_bytes(credential.read_bytes().replace(b"\nend\n", b"\nfin\n"))
    calls = "trace=openat,openat2,open,setfsuid,setresuid"
    # One file for each process: doctor examines an account in a child.
    run("strace", "-qq", "-y", "-ff", "-o", tmp_path / "trace", "-e", calls, COMMAND, "doctor", status=None)
    opened = []
    for trace in tmp_path.glob("trace.*"):
        identity = 0
        for line in trace.read_text().splitlines():
            switched = re.match(r"setfsuid\((\d+)\)", line)
            if switched:
                identity = int(switched[1])
            if str(user.home) in line and line.startswith("open"):
                opened.append((identity, line))
    assert opened and {user for user, _ in opened} == {user.uid}, opened


def test_a_read_only_home_is_found(host, user):
    directory = user.enroll().directory
    run("mount", "--bind", directory, directory)
    run("mount", "-o", "remount,bind,ro", directory)
    try:
        status, checks = doctor(None, "--user", user.name)
    finally:
        run("umount", directory)
    assert status == 78 and statuses(checks, "file_system") == {"failed"}


def one(checks: list[dict], name: str, status: str) -> dict:
    """The only check of that name and status."""
    matching = [check for check in checks if (check["name"], check["status"]) == (name, status)]
    assert len(matching) == 1, checks
    return matching[0]


def test_a_full_file_system_is_found(host, user):
    directory = user.enroll().directory
    saved = {path.name: path.read_bytes() for path in directory.iterdir()}
    run("mount", "-t", "tmpfs", "-o", f"size=64k,mode=700,uid={user.uid},gid={user.gid}", "full", directory)
    try:
        for name, content in saved.items():
            (directory / name).write_bytes(content)
            (directory / name).chmod(0o600)
            os.chown(directory / name, user.uid, user.gid)
        assert statuses(doctor(None, "--user", user.name)[1], "file_system") == set()
        with contextlib.suppress(OSError):
            (directory / "filler").write_bytes(b"0" * 100_000)
        status, checks = doctor(None, "--user", user.name)
        assert status == 0 and "is full" in one(checks, "file_system", "warning")["detail"]
    finally:
        run("umount", directory)


def test_an_unmounted_home_is_found_with_its_disk(host, user):
    away = user.home.with_name(user.name + ".away")
    fstab = Path("/etc/fstab")
    before = fstab.read_text() if fstab.exists() else None
    user.home.rename(away)
    try:
        check = one(doctor(None, "--user", user.name)[1], "home", "warning")
        assert f"{user.home} does not exist" in check["detail"] and "twofactor.conf" in check["remedy"]
        fstab.write_text(
            f"/dev/sda1 / ext4 defaults 0 1\n# /dev/sdb1 /home ext4\n/dev/sdc1 {user.home} ext4 defaults 0 2\n"
        )
        check = one(doctor(None, "--user", user.name)[1], "home", "warning")
        assert "is not mounted" in check["detail"] and check["remedy"] == f"mount {user.home}"
    finally:
        away.rename(user.home)
        fstab.write_text(before) if before is not None else fstab.unlink()


def test_a_locked_enrollment_is_found(host, user, service):
    enrolled = user.enroll()
    name = service("max_failures=1")
    for hours in range(100, 0, -1):
        moment = time.time() - 3600 * hours
        user.log_in(name, enrolled.authenticator.wrong_code(moment), at=moment)
    check = one(doctor(None, "--user", user.name)[1], "throttling", "warning")
    assert check["remedy"] == f"twofactor unlock --user {user.name}"


def clocked(offset: str, *arguments: str) -> list[dict]:
    """The checks under a shifted clock; files keep their real times."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    done = run(
        COMMAND, "doctor", "--json", *arguments,
        environment={"LD_PRELOAD": str(library), "FAKETIME": offset, "NO_FAKE_STAT": "1", "PATH": "/usr/sbin:/usr/bin"},
        status=None,
    )
    return json.loads(done.stdout)["checks"]


def test_a_clock_that_is_far_behind_is_found(host):
    assert not any("wrong by" in check["detail"] for check in clocked("+0s"))
    # Accounts of other tests have logged in with future times, which is a different finding.
    check = one([check for check in clocked("-2h") if "wrong by" in check["detail"]], "clock", "failed")
    assert "systemd-timesyncd" in check["remedy"]


def test_a_clock_that_was_set_back_after_a_login_is_found(host, user, service):
    enrolled = user.enroll()
    later = time.time() + 3600
    code = enrolled.authenticator.code_at(later)
    assert user.log_in(service(), code, at=later).result == Result.SUCCESS
    check = one(doctor(None, "--user", user.name)[1], "clock", "failed")
    assert user.name in check["detail"] and "set back" in check["detail"]


def test_a_user_sees_only_the_own_enrollment(host, user, new_user):
    user.enroll()
    new_user().enroll()
    status, checks = doctor(None, user=user)
    assert status == 0
    assert next(check["detail"] for check in checks if check["name"] == "enrollments").startswith("1 of 1 ")
    run("runuser", "-u", user.name, "--", COMMAND, "doctor", "--user", "root", status=77)


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
        terminal.expect("[Pp]assword[^:\r\n]*[.:] ?|Verification code: ")
        terminal.sendline(answer)
    text = terminal.before or ""
    terminal.expect(pexpect.EOF)
    text += terminal.before
    terminal.close()
    return terminal.exitstatus, text


def test_a_stack_is_tested_without_logging_out(tryout, user, password):
    authenticator = user.enroll().authenticator
    code = authenticator.code_at(time.time())
    status, text = run_test(tryout, user.name, password, code)
    assert (status, "The login would succeed." in text) == (0, True), text
    # The output includes the log lines and the answer of each module.
    assert "pam_twofactor(tryout:auth): accepted user=" in text
    assert answers(text) == [
        ["pam_unix.so", "auth", "Success"],
        ["pam_twofactor.so", "auth", "Success"],
        ["pam_unix.so", "account", "Success"],
    ]
    status, text = run_test(tryout, user.name, password, code)
    assert status == 1 and "The login was refused" in text and "reason=reused-code" in text
    assert answers(text) == [
        ["pam_unix.so", "auth", "Success"],
        ["pam_twofactor.so", "auth", "Authentication failure"],
    ]


def answers(text: str) -> list[list[str]]:
    """The rows of the table of modules."""
    rows = [line for line in text.replace("\r", "").splitlines() if line.startswith("pam_") and ".so " in line]
    return [row.split(maxsplit=2) for row in rows]


def test_the_answer_of_every_module_is_shown(system_service, user, password):
    code = user.enroll().authenticator.code_at(time.time())
    system_service(
        "inner", "auth [success=1 default=ignore] pam_unix.so", "auth requisite pam_deny.so",
        "auth required pam_permit.so",
    )
    system_service(
        "outer", "auth substack inner", "auth required pam_twofactor.so", *["auth optional pam_ftp.so"] * 2,
        "account required pam_permit.so", "account requisite pam_deny.so",
    )
    status, text = run_test("outer", user.name, password, code, "x", "x")
    assert status == 1 and "but the account may not log in" in text
    names = [" ".join(row[:2]) for row in answers(text)]
    assert names == [
        "pam_unix.so auth", "pam_permit.so auth", "pam_twofactor.so auth", "pam_ftp.so auth", "pam_ftp.so auth",
        "pam_permit.so account", "pam_deny.so account",
    ]


def test_a_wrong_password_is_denied_before_the_code(tryout, user):
    user.enroll()
    status, text = run_test(tryout, user.name, "wrong")
    assert status == 1 and "Verification code" not in text


def test_test_writes_json_and_reads_answers_from_standard_input(tryout, user, password):
    code = user.enroll().authenticator.code_at(time.time())
    done = run(COMMAND, "test", "--service", tryout, "--user", user.name, "--json", input=f"{password}\n{code}\n")
    result = json.loads(done.stdout)
    assert (result["user"], result["service"]) == (user.name, tryout)
    assert result["authenticated"] is True and result["permitted"] is True
    assert result["modules"] == [
        {"module": f"{name}.so", "facility": facility, "answer": "Success"}
        for name, facility in (("pam_unix", "auth"), ("pam_twofactor", "auth"), ("pam_unix", "account"))
    ]


def test_test_needs_root_and_an_existing_service(user):
    missing = run(COMMAND, "test", "--service", "no-such", status=78)
    assert "no-such" in missing.stderr
    run(COMMAND, "test", "--service", "../x", status=64)
    words = ["runuser", "-u", user.name, "--", COMMAND, "test", "--service", "sshd"]
    run(*words, status=77)
