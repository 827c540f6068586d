"""The page on enrollment at the first login, done literally in a clean root."""

import contextlib
import datetime
import json
import re
import secrets
import shutil
import time

import pexpect
import pytest
from rig.clean_root import CleanRoot, require_root
from rig.console import read_despite_hangup
from rig.doctor import findings
from rig.machine import CHECKOUT, Account
from rig.one_time_password import Authenticator
from rig.package_builds import built_package
from rig.process import run
from rig.remedies import apply
from rig.syslog import SystemLog

PORT = 22904
PAGE = (CHECKOUT / "pam/first-login.md").read_text()
SSHD = "UsePAM yes\nKbdInteractiveAuthentication yes\nPasswordAuthentication no\n"
DROP_IN, CONFIGURATION = "etc/ssh/sshd_config.d/10-twofactor.conf", "etc/security/twofactor.conf"
CODE, STORED, OFFER = "Code from the app[^:]*: ", r"safe place\? \[y/N\] ", r"now\? \[y/N\] "


def section(title: str) -> str:
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def blocks(text: str) -> list[list[str]]:
    """The indented blocks, line by line; those of a step are indented further."""
    found = re.findall(r"(?m)(?:^(?: {4}| {7}| {9})\S.*\n)+", text)
    return [[line.strip() for line in block.splitlines()] for block in found]


def commands(title: str, word: str) -> list[str]:
    """The commands of a section that contain a word."""
    return [line for block in blocks(section(title)) for line in block if line.startswith("# ") and word in line]


STEPS = re.split(r"(?m)^\d\. ", section("Enroll all users by a day"))


@pytest.fixture(scope="module")
def root(request, tmp_path_factory):
    """The host after step 4; the tests below use it one after the other."""
    require_root("trixie", request)
    with CleanRoot("trixie", tmp_path_factory.mktemp("first"), PORT) as root:
        root.accounts_before = root.text("etc/pam.d/common-account")
        root.install(built_package())
        (root.path / "tmp/mails").mkdir(mode=0o777)
        (root.path / "tmp/mails").chmod(0o777)
        sendmail = root.path / "usr/sbin/sendmail"
        sendmail.write_text('#!/bin/sh\ncat >"/tmp/mails/$2"\n')
        sendmail.chmod(0o755)

        lines, group = blocks(STEPS[1])
        for command in group:
            as_root(root, command)
        assert lines[0] == "enroll = offer" and "notify = /usr/sbin/sendmail" in lines
        root.lines = [line.replace("192.0.2.0/24", "127.0.0.0/8") for line in lines]
        configure(root, root.lines)
        settings, (timeout,) = blocks(STEPS[2])
        definitions = root.path / "etc/login.defs"
        definitions.write_text(re.sub(r"(?m)^LOGIN_TIMEOUT.*", timeout, definitions.read_text()))
        (root.path / DROP_IN).write_text(SSHD + "\n".join(settings) + "\n")
        root.run("ssh-keygen", "-A")
        root.run("sshd", "-t")
        ((enable,),) = blocks(STEPS[3])
        as_root(root, enable)
        ((enroll,),) = blocks(STEPS[5])
        enroll_root(root, enroll)
        root.start_server()
        yield root


@pytest.fixture(scope="module")
def password() -> str:
    return secrets.token_urlsafe(9)


def configure(root, lines: list[str]) -> None:
    (root.path / CONFIGURATION).write_text("\n".join(lines) + "\n")


def on_the_day(root) -> list[str]:
    today = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    return [re.sub(r"(required_from = ).*", rf"\g<1>{today}", line) for line in root.lines]


def as_root(root, line: str, **options) -> str:
    return root.run("sh", "-c", line.removeprefix("# "), **options)


def enroll_root(root, line: str) -> None:
    terminal = pexpect.spawn("chroot", [str(root.path), *line.split()[1:]], encoding="utf-8", timeout=20)
    terminal.expect(CODE)
    terminal.sendline(Authenticator.from_uri(re.sub(r"\s", "", terminal.before)).code_at(time.time()))
    terminal.expect(pexpect.EOF)
    assert "Two-factor is on." in terminal.before


def first_login(root, account, answers: dict[str, str] | None = None) -> tuple[bool, Authenticator | None]:
    """A login that enrolls unless an answer differs; returns whether it is let in, and the app."""
    answers = answers or {}
    client, app = root.connect(account), None
    client.answer(client.PASSWORD, account.password)
    questions = [OFFER, CODE, STORED, client.CODE, client.IN, client.REFUSED]
    while (question := client.expect(*questions)) in questions[:3]:
        if question == CODE and app is None:
            app = Authenticator.from_uri(client.said)
        usual = app.code_at(time.time()) if question == CODE else "y"
        client.terminal.sendline(answers.get(question, usual))
    assert question != client.CODE, "this user is enrolled already"
    client.terminal.expect(pexpect.EOF)
    return question == client.IN, app


def reach_code(root, account):
    """A login that waits for the first code."""
    client = root.connect(account)
    client.answer(client.PASSWORD, account.password)
    client.expect(CODE)
    return client


@contextlib.contextmanager
def server_with(root, name: str, text: str):
    """The server with another content of a file."""
    before = root.text(name)
    root.stop_server()
    (root.path / name).write_text(text)
    root.start_server()
    yield
    root.stop_server()
    (root.path / name).write_text(before)
    root.start_server()


def log_in(root, account, code: str | None = None) -> bool:
    client = root.connect(account)
    client.answer(client.PASSWORD, account.password)
    if code:
        client.answer(client.CODE, code)
    return client.is_let_in()


def enrolled(root) -> set[str]:
    """The users in the output of the page's command."""
    (command,) = commands("Watch it", "users")
    return set(re.findall(r"(?m)^(\S+) +on ", as_root(root, command)))


def matches(log: SystemLog, command: str) -> list[str]:
    """The messages that a command of the page finds: journalctl searches with a regular expression, like grep."""
    pattern = re.search("'(.*)'", command)[1]
    return [message.text for message in log.of_module() if re.search(pattern, message.text)]


def test_doctor_proposes_no_change_of_the_stacks(root):
    for _ in range(10):
        checks = json.loads(root.run("sh", "-c", "twofactor doctor --json || true"))["checks"]
        wrong = [finding for finding in findings(checks) if finding["name"] != "clock"]
        if not wrong:
            break
        assert not any("pam.d" in finding["remedy"] for finding in wrong), wrong
        apply(root.path, wrong[0]["remedy"])
    assert wrong == []


def test_the_account_rule_comes_first(root):
    ((line,),) = blocks(section("Why the account rule is first"))
    rules = [rule.split() for rule in root.text("etc/pam.d/common-account").splitlines() if rule.startswith("account")]
    assert rules[0] == line.split() and "new_authtok_reqd=done" in " ".join(rules[1])


def test_before_the_day_users_may_decline(root, password):
    alice = root.add_account("alice", password)
    log = SystemLog()
    assert first_login(root, alice, {OFFER: "n"}) == (True, None)
    assert not (root.path / "home/alice/.twofactor").exists() and enrolled(root) == {"root"}
    assert [message.text.partition(": ")[0] for message in log.of_module()] == ["pam_twofactor(sshd:auth)"]


def test_before_the_day_users_enroll_and_are_asked_for_a_code_afterwards(root, password):
    alice = root.add_account("anna", password)
    log = SystemLog()
    let_in, app = first_login(root, alice)
    assert let_in and enrolled(root) == {"root", "anna"}
    assert "switched on" in root.text("tmp/mails/anna")
    assert log_in(root, alice, app.code_at(time.time(), steps=1))
    journal, file = commands("Watch it", "method=enrolled")
    assert "journalctl -g '" in journal and "grep '" in file
    for command in (journal, file):
        assert matches(log, command) == [
            "pam_twofactor(sshd:account): accepted user=anna rhost=127.0.0.1 method=enrolled"
        ]


def test_a_program_with_a_single_password_field_lets_in_unenrolled_users_until_the_day(root, password):
    root.add_account("ines", password)
    words = ("twofactor", "test", "--service", "login", "--user", "ines", "--single-field")
    for lines, status in ((root.lines, 0), (on_the_day(root), 1)):
        configure(root, [line for line in lines if "networks" not in line])
        said = root.run(*words, given=f"{password}\n", expect=status)
        assert ("reason=enrollment-declined" in said) == (status == 1)
    configure(root, root.lines)


def test_from_the_day_on_users_must_enroll(root, password):
    configure(root, on_the_day(root))
    bob, carol, robot = (root.add_account(name, password) for name in ("bob", "carol", "robot"))
    log = SystemLog()
    assert first_login(root, bob, {CODE: "000000"})[0] is False
    assert first_login(root, carol)[0] is True
    root.run("usermod", "--append", "--groups", "no-code", "robot")
    assert log_in(root, robot)
    assert enrolled(root) == {"root", "anna", "carol"}
    journal, file = commands("Watch it", "denied")
    for command in (journal, file):
        assert matches(log, command) == [
            "pam_twofactor(sshd:account): denied user=bob rhost=127.0.0.1 reason=enrollment-declined"
        ]


def test_a_user_who_is_reset_enrolls_again(root, password):
    configure(root, on_the_day(root))
    (reset,) = commands("Watch it", "disable")
    as_root(root, reset.replace("alice", "anna"))
    assert first_login(root, Account("anna", password))[0] is True


def test_users_who_cannot_enroll(root, password):
    homeless, readonly = root.add_account("holm", password), root.add_account("rita", password)
    shutil.rmtree(root.path / "home/holm")
    (root.path / "home/rita").chmod(0o555)
    configure(root, root.lines)
    assert log_in(root, readonly)
    configure(root, on_the_day(root))
    log = SystemLog()
    assert [first_login(root, user) for user in (homeless, readonly)] == [(False, None)] * 2
    assert log.line_with("denied user=holm").partition("reason=")[2].startswith("io-error")
    assert log.line_with("denied user=rita").partition("reason=")[2].startswith("not-enrolled detail=")
    # With the host store, a user without a home enrolls like others.
    configure(root, [*on_the_day(root), "store = host"])
    assert first_login(root, homeless)[0] is True


def test_sshd_counts_and_ends_an_enrollment_as_an_unauthenticated_connection(root, password):
    configure(root, on_the_day(root))
    settings = root.text(DROP_IN)
    assert re.search(r"(?m)^LoginGraceTime 10m$", settings) and re.search(r"(?m)^MaxStartups 100$", settings)
    short = settings.replace("MaxStartups 100", "MaxStartups 1").replace("LoginGraceTime 10m", "LoginGraceTime 2")
    with server_with(root, DROP_IN, short):
        client = reach_code(root, root.add_account("max", password))
        second = root.connect(Account("max", password))
        second.terminal.expect("Connection (closed|reset)|Not allowed at this time")
        second.terminal.close()
        # Recent releases add up to four seconds to the time.
        for _ in range(100):
            if run("pgrep", "-f", "login-enrollment", status=None).returncode == 1:
                break
            time.sleep(0.1)
        # The client notices it with the next reply.
        client.terminal.sendline("")
        client.terminal.expect(pexpect.EOF)
    assert not (root.path / "home/max/.twofactor").exists() and "max" not in enrolled(root)


def test_login_ends_an_enrollment_after_its_timeout(root, password):
    configure(root, [line for line in on_the_day(root) if "networks" not in line])
    definitions = root.text("etc/login.defs")
    assert re.search(r"(?m)^LOGIN_TIMEOUT 600$", definitions)
    (root.path / "etc/login.defs").write_text(definitions.replace("LOGIN_TIMEOUT 600", "LOGIN_TIMEOUT 4"))
    root.add_account("mona", password)
    terminal = pexpect.spawn("chroot", [str(root.path), "login", "mona"], encoding="utf-8", timeout=20)
    read_despite_hangup(terminal, "Password: ")
    terminal.sendline(password)
    terminal.expect(CODE)
    terminal.expect("timed out after 4 seconds")
    terminal.expect(pexpect.EOF)
    (root.path / "etc/login.defs").write_text(definitions)
    assert not (root.path / "home/mona/.twofactor").exists() and "mona" not in enrolled(root)


def test_the_way_back(root, password):
    anna, bob = (Account(name, password) for name in ("anna", "bob"))
    undo, both = commands("Undo it", "pam-auth-update")
    names = re.findall(r"`(\w+)`", section("Undo it").partition("from `twofactor.conf`")[0])
    configure(root, [line for line in root.lines if line.split()[0] not in names])
    as_root(root, undo)
    assert root.text("etc/pam.d/common-account") == root.accounts_before
    assert log_in(root, bob)
    codes = json.loads(root.run("twofactor", "backup-codes", "--user", "anna", "--json"))["backup_codes"]
    assert log_in(root, anna, codes[0])
    as_root(root, both)
    assert log_in(root, anna)
    assert (root.path / "home/anna/.twofactor/credential").exists()
