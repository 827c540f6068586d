"""The login finds what the setup command writes, and the command what the login writes."""

import re
import subprocess
import time

import pexpect
from rig.clock import START
from rig.enrollment import twofactor_json
from rig.harness import Result
from rig.machine import COMMAND
from rig.one_time_password import Authenticator

PASSWORD = r"Password[^\n:]*: "
CODE = "Code from the app: "
STORED = r"\[y/N\] "


def test_enabling_at_a_terminal_leads_to_a_login(user, service):
    terminal = pexpect.spawn(
        "runuser", ["-u", user.name, "--", str(COMMAND), "enable"], encoding="utf-8", timeout=20, dimensions=(60, 100)
    )
    terminal.expect(PASSWORD)
    terminal.sendline(user.password)
    terminal.expect(CODE)
    authenticator = Authenticator.from_uri(terminal.before)
    confirmed = authenticator.code_at(time.time())
    terminal.sendline(confirmed)
    terminal.expect(STORED)
    codes = re.findall(r"\b[0-9A-Z]{5}-[0-9A-Z]{5}\b", terminal.before)
    terminal.sendline("yes")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0 and len(codes) == 10
    name = service()
    assert user.log_in(name, confirmed).result == Result.AUTH_ERR, "the code was used already"
    assert user.log_in(name, authenticator.code_at(START), at=START).result == Result.SUCCESS
    assert user.log_in(name, codes[4], at=START).result == Result.SUCCESS


def test_status_shows_failures_and_throttling(user, service):
    enrolled = user.enroll()
    name = service()
    for _ in range(5):
        user.log_in(name, enrolled.authenticator.wrong_code(time.time()))
    status = twofactor_json("status", "--user", user.name)
    assert status["failures"] == 5 and status["locked_until"] is not None


def test_disabling_accepts_a_backup_code(user):
    enrolled = user.enroll(backup_codes=1)
    user.twofactor("disable", answers=f"{user.password}\n{enrolled.backup_codes[0]}\n")
    assert not enrolled.directory.exists()


def test_a_code_used_by_a_subcommand_is_rejected_at_the_login(user, service):
    enrolled = user.enroll(backup_codes=2)
    code = enrolled.authenticator.code_at(time.time())
    user.twofactor("backup-codes", "--json", answers=code + "\n")
    assert user.log_in(service(), code).result == Result.AUTH_ERR


def test_new_backup_codes_replace_the_old_ones(user, service):
    enrolled = user.enroll(backup_codes=3)
    new = twofactor_json("backup-codes", "--user", user.name)["backup_codes"]
    assert len(new) == 10 and not set(new) & set(enrolled.backup_codes)
    name = service()
    assert user.log_in(name, enrolled.backup_codes[0], at=START).result == Result.AUTH_ERR
    assert user.log_in(name, new[0], at=START).result == Result.SUCCESS
    login = user.log_in(name, enrolled.authenticator.code_at(START), at=START)
    assert login.result == Result.SUCCESS, "the device still works"


def test_new_backup_codes_make_no_used_code_valid(user, service):
    enrolled = user.enroll(backup_codes=3)
    name = service()
    code = enrolled.authenticator.code_at(START)
    assert user.log_in(name, code, at=START).result == Result.SUCCESS
    twofactor_json("backup-codes", "--user", user.name)
    assert user.log_in(name, code, at=START).result == Result.AUTH_ERR


def test_after_disabling_the_user_is_not_enrolled(user, service):
    enrolled = user.enroll()
    code = enrolled.authenticator.code_at(time.time())
    user.twofactor("disable", answers=f"{user.password}\n{code}\n")
    assert user.log_in(service("nullok")).result == Result.PERM_DENIED
    assert user.log_in(service(), code).result == Result.AUTH_ERR


def test_replacing_an_enrollment_invalidates_its_codes(user, service):
    old = user.enroll()
    new = user.enroll(again=True)
    name = service()
    assert user.log_in(name, old.authenticator.code_at(START), at=START).result == Result.AUTH_ERR
    assert user.log_in(name, new.authenticator.code_at(START), at=START).result == Result.SUCCESS


def test_failures_of_a_subcommand_throttle_the_login(user, service):
    enrolled = user.enroll()
    wrong = enrolled.authenticator.wrong_code(time.time())
    for _ in range(5):
        user.twofactor("backup-codes", answers=wrong + "\n", status=1)
    assert user.log_in(service(), enrolled.authenticator.code_at(time.time())).result == Result.MAXTRIES


def test_logins_during_a_replacement_find_a_complete_enrollment(user, harness, service):
    # A login finds the old enrollment or the new one, never a mixture.
    user.enroll()
    name = service()
    replace = [COMMAND, "enable", "--no-confirm", "--yes", "--force", "--backup-codes", "0", "--user", user.name]
    replacing = subprocess.Popen(
        ["sh", "-c", 'for n in 1 2 3 4 5 6 7 8 9 10; do "$@" || exit 1; done', "sh", *replace],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    results = set()
    while replacing.poll() is None:
        results |= {login.result for login in harness.run(name, [(user.name, ["letters"])], times=20)}
        results |= {user.log_in(name, "000000").result}
    assert replacing.returncode == 0
    assert results <= {Result.AUTH_ERR, Result.MAXTRIES}, results
