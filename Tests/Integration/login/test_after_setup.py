"""From the setup command to the login: what one of them writes, the other finds, at every moment."""

import re
import subprocess
import time

import pexpect
import pytest
from rig.clock import START
from rig.enrollment import command, enroll
from rig.harness import Result
from rig.machine import COMMAND
from rig.one_time_password import Authenticator

PASSWORD = r"Password[^\n:]*: "
CODE = "Code from the app: "
STORED = r"\[y/N\] "


@pytest.fixture
def account(products, new_account, password):
    return new_account(password=password)


def run(account, *arguments: str, answers: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
    """Runs the command as the user, not at a terminal: one line of input for each question."""
    return subprocess.run(
        ["runuser", "-u", account.name, "--", COMMAND, *arguments],
        input="".join(answer + "\n" for answer in answers),
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
    )


def test_enabling_at_a_terminal_leads_to_a_login(account, harness, service):
    terminal = pexpect.spawn(
        "runuser", ["-u", account.name, "--", str(COMMAND), "enable"], encoding="utf-8", timeout=20, dimensions=(60, 100)
    )
    terminal.expect(PASSWORD)
    terminal.sendline(account.password)
    terminal.expect(CODE)
    authenticator = Authenticator.from_base32(re.search(r"secret=([A-Z2-7]+)", terminal.before)[1])
    confirmed = authenticator.code_at(time.time())
    terminal.sendline(confirmed)
    terminal.expect(STORED)
    codes = re.findall(r"\b[0-9A-Z]{5}-[0-9A-Z]{5}\b", terminal.before)
    terminal.sendline("yes")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0 and len(codes) == 10
    name = service()
    assert harness.log_in(name, account.name, confirmed).result == Result.AUTH_ERR, "the code was used already"
    assert harness.log_in(name, account.name, authenticator.code_at(START), at=START).result == Result.SUCCESS
    assert harness.log_in(name, account.name, codes[4], at=START).result == Result.SUCCESS


def test_status_tells_failures_and_throttling(account, harness, service):
    enrolled = enroll(account)
    name = service()
    for _ in range(5):
        harness.log_in(name, account.name, enrolled.authenticator.wrong_code(time.time()))
    status = command("status", "--user", account.name)
    assert status["failures"] == 5 and status["locked_until"] is not None


def test_disabling_takes_a_backup_code_too(account):
    enrolled = enroll(account, backup_codes=1)
    done = run(account, "disable", answers=(account.password, enrolled.backup_codes[0]))
    assert done.returncode == 0, done.stderr
    assert not enrolled.directory.exists()


def test_a_code_that_a_subcommand_took_opens_no_login(account, harness, service):
    enrolled = enroll(account, backup_codes=2)
    code = enrolled.authenticator.code_at(time.time())
    made = run(account, "backup-codes", "--json", answers=(code,))
    assert made.returncode == 0, made.stderr
    assert harness.log_in(service(), account.name, code).result == Result.AUTH_ERR


def test_new_backup_codes_replace_the_old_ones(account, harness, service):
    enrolled = enroll(account, backup_codes=3)
    new = command("backup-codes", "--user", account.name)["backup_codes"]
    assert len(new) == 10 and not set(new) & set(enrolled.backup_codes)
    name = service()
    assert harness.log_in(name, account.name, enrolled.backup_codes[0], at=START).result == Result.AUTH_ERR
    assert harness.log_in(name, account.name, new[0], at=START).result == Result.SUCCESS
    login = harness.log_in(name, account.name, enrolled.authenticator.code_at(START), at=START)
    assert login.result == Result.SUCCESS, "the device goes on working"


def test_new_backup_codes_bring_no_used_code_back(account, harness, service):
    enrolled = enroll(account, backup_codes=3)
    name = service()
    code = enrolled.authenticator.code_at(START)
    assert harness.log_in(name, account.name, code, at=START).result == Result.SUCCESS
    command("backup-codes", "--user", account.name)
    assert harness.log_in(name, account.name, code, at=START).result == Result.AUTH_ERR


def test_a_user_who_switched_it_off_is_not_enrolled(account, harness, service):
    enrolled = enroll(account)
    code = enrolled.authenticator.code_at(time.time())
    done = run(account, "disable", answers=(account.password, code))
    assert done.returncode == 0, done.stderr
    assert harness.log_in(service("nullok"), account.name).result == Result.NOBODY_DECIDED
    assert harness.log_in(service(), account.name, code).result == Result.AUTH_ERR


def test_an_enrolment_that_is_replaced_takes_its_codes_along(account, harness, service):
    old = enroll(account)
    new = enroll(account, again=True)
    name = service()
    assert harness.log_in(name, account.name, old.authenticator.code_at(START), at=START).result == Result.AUTH_ERR
    assert harness.log_in(name, account.name, new.authenticator.code_at(START), at=START).result == Result.SUCCESS


def test_guesses_at_a_subcommand_are_guesses_at_the_login(account, harness, service):
    enrolled = enroll(account)
    wrong = enrolled.authenticator.wrong_code(time.time())
    for _ in range(5):
        assert run(account, "backup-codes", answers=(wrong,)).returncode == 1
    assert harness.log_in(service(), account.name, enrolled.authenticator.code_at(time.time())).result == Result.MAXTRIES


def test_logins_during_a_replacement_find_one_whole_enrolment(account, harness, service):
    # Whatever the moment, a login meets the old enrolment or the new one, and no file that is half of each.
    enroll(account)
    name = service()
    replace = [COMMAND, "enable", "--no-confirm", "--yes", "--force", "--backup-codes", "0", "--user", account.name]
    replacing = subprocess.Popen(
        ["sh", "-c", 'for n in 1 2 3 4 5 6 7 8 9 10; do "$@" || exit 1; done', "sh", *replace],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    results = set()
    while replacing.poll() is None:
        results |= {login.result for login in harness.run(name, [(account.name, ["letters"])], times=20)}
        results |= {harness.log_in(name, account.name, "000000").result}
    assert replacing.returncode == 0
    assert results <= {Result.AUTH_ERR, Result.MAXTRIES}, results
