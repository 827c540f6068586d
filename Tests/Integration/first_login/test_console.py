"""Enrollment at the first login with login, su and sudo."""

import os
import re
import shutil
import time
from pathlib import Path

import pytest
from rig.clean_root import CleanRoot, require_root
from rig.clock import time_to_type
from rig.enrollment_at_login import (
    CODE, OFFER, ON, PASSWORD, STORED, Terminal, leaves_nothing, pattern, shown_key, stack,
)  # fmt: skip
from rig.machine import COMMAND, modules_directory
from rig.screen import DARK, LIGHT

QUESTION = "Verification code: "


@pytest.fixture
def sudoer(user):
    rules = Path("/etc/sudoers.d/first-login")
    rules.write_text(f"{user.name} ALL=(ALL) ALL\n")
    rules.chmod(0o440)
    yield user
    rules.unlink()


def log_lines(log, count: int) -> list[str]:
    return [message.text for message in log.of_module(count)]


def test_login_enrolls_before_the_shell(system_service, user, log, tmp_path):
    system_service("login", *stack("enroll=require"))
    terminal = Terminal("login", user.name, rows=45, columns=80)
    terminal.reach(CODE, user.password)
    shown = shown_key(terminal.received)
    assert terminal.qr_code(DARK, tmp_path) == shown.uri
    terminal.type("i")
    terminal.expect(CODE)
    assert terminal.qr_code(LIGHT, tmp_path) == shown.uri
    terminal.type(shown.authenticator.code_at(time_to_type()))
    terminal.answer(STORED, "y")
    terminal.answer("$ ", "id -un; exit")
    assert user.name in terminal.ends().split(STORED)[1]
    assert "\x1b" not in terminal.received and terminal.received.count(ON) == 1
    assert log_lines(log, 2)[-1] == f"pam_twofactor(login:account): accepted user={user.name} rhost=- method=enrolled"
    terminal = Terminal("login", user.name)
    terminal.answer(PASSWORD, user.password)
    terminal.answer(QUESTION, shown.authenticator.code_at(time_to_type(), steps=1))
    terminal.answer("$ ", "id -un; exit")
    assert user.name in terminal.ends()


def test_login_shows_no_key_after_a_wrong_password(system_service, user, log):
    system_service("login", *stack("enroll=require"))
    terminal = Terminal("login", user.name)
    terminal.answer(PASSWORD, "wrong")
    terminal.expect("Login incorrect")
    terminal.terminal.close(force=True)
    assert "otpauth:" not in terminal.received
    assert not any("account" in line for line in log_lines(log, 1))


def test_su_enrolls_the_target_user(system_service, user, new_user, log):
    system_service("su", "auth sufficient pam_rootok.so", *stack("enroll=require"))
    other = new_user()
    terminal = Terminal("su", user.name, "-c", "id -un", account=other)
    shown = terminal.enroll(user.password)
    assert terminal.ends().splitlines()[-1] == user.name
    assert user.status()["enabled"] and not other.status()["enabled"]
    assert log_lines(log, 2)[-1] == f"pam_twofactor(su:account): accepted user={user.name} rhost=- method=enrolled"
    terminal = Terminal("su", user.name, "-c", "id -un", account=other)
    terminal.answer(PASSWORD, user.password)
    terminal.answer(QUESTION, shown.backup_codes[0])
    assert terminal.ends().splitlines()[-1] == user.name


def test_su_from_root_asks_nothing(system_service, user, log):
    system_service("su", "auth sufficient pam_rootok.so", *stack("enroll=require"))
    assert Terminal("su", user.name, "-c", "id -un").ends().split() == [user.name]
    leaves_nothing(user)
    assert not log.of_module()


@pytest.mark.parametrize("mode", ["require", "offer"])
def test_sudo_shows_the_text_in_its_prompts(system_service, sudoer, log, tmp_path, mode):
    """sudo calls PAM with PAM_SILENT, so no message may appear outside a prompt."""
    system_service("sudo", *stack(f"enroll={mode}"))
    terminal = Terminal("sudo", "id", "-un", account=sudoer, rows=45, columns=80)
    terminal.reach(CODE, sudoer.password, is_offer=mode == "offer")
    shown = shown_key(terminal.received)
    assert terminal.qr_code(DARK, tmp_path) == shown.uri
    terminal.type(shown.authenticator.code_at(time_to_type()))
    terminal.answer(STORED, "y")
    assert terminal.ends().splitlines()[-1] == "root"
    assert sudoer.status()["enabled"]
    assert log_lines(log, 2)[-1] == f"pam_twofactor(sudo:account): accepted user={sudoer.name} rhost=- method=enrolled"


def test_sudo_runs_nothing_if_the_user_declines(system_service, sudoer, log):
    system_service("sudo", *stack("enroll=require"))
    terminal = Terminal("sudo", "id", "-un", account=sudoer)
    terminal.reach(CODE, sudoer.password)
    wrong = shown_key(terminal.received).authenticator.wrong_code(time.time())
    for _ in range(3):
        terminal.type(wrong)
    assert "root" not in terminal.ends().split()
    leaves_nothing(sudoer)
    assert log_lines(log, 2)[-1].endswith(" rhost=- reason=enrollment-declined")


def test_sudo_goes_on_after_a_declined_offer(system_service, sudoer):
    system_service("sudo", *stack("enroll=offer"))
    terminal = Terminal("sudo", "id", "-un", account=sudoer)
    terminal.answer(PASSWORD, sudoer.password)
    terminal.answer(OFFER, "n")
    assert terminal.ends().split()[-1] == "root"
    leaves_nothing(sudoer)


def test_a_console_is_in_no_enroll_network(system_service, user, new_user, log):
    system_service("su", *stack("enroll=require enroll_networks=0.0.0.0/0,::/0"))
    terminal = Terminal("su", user.name, "-c", "id -un", account=new_user())
    terminal.answer(PASSWORD, user.password)
    assert user.name not in terminal.ends().split() and "otpauth:" not in terminal.received
    assert log_lines(log, 2)[-1].endswith(' rhost=- reason=not-enrolled detail="outside enroll_networks"')


@pytest.mark.parametrize("program", ["login", "su", "sudo"])
@pytest.mark.parametrize("question", [CODE, STORED], ids=["code", "stored"])
def test_closing_the_terminal_leaves_nothing(system_service, sudoer, new_user, program, question):
    system_service(program, *stack("enroll=require"))
    command, account = {
        "login": (["login", sudoer.name], None),
        "su": (["su", sudoer.name, "-c", "touch entered"], new_user()),
        "sudo": (["sudo", "touch", sudoer.home / "entered"], sudoer),
    }[program]
    terminal = Terminal(*command, account=account)
    terminal.reach(question, sudoer.password)
    terminal.hang_up()
    leaves_nothing(sudoer)


@pytest.mark.parametrize("program", ["su", "sudo"])
def test_control_c_leaves_nothing(system_service, sudoer, new_user, program):
    system_service(program, *stack("enroll=require"))
    command, account = {
        "su": (["su", sudoer.name, "-c", "touch entered"], new_user()),
        "sudo": (["sudo", "touch", sudoer.home / "entered"], sudoer),
    }[program]
    terminal = Terminal(*command, account=account)
    terminal.reach(CODE, sudoer.password)
    terminal.terminal.sendintr()
    terminal.ends()
    leaves_nothing(sudoer)


@pytest.fixture(scope="module")
def trixie(request, products, tmp_path_factory):
    """Debian 13: the login of util-linux, and a newer OpenSSH, with the module and the command."""
    require_root("trixie", request)
    with CleanRoot("trixie", tmp_path_factory.mktemp("trixie"), 22904) as root:
        shutil.copy(modules_directory() / "pam_twofactor.so", next(root.path.glob("usr/lib/*/security")))
        shutil.copy(COMMAND, root.path / "usr/bin/twofactor")
        for name in ("login", "sshd"):
            (root.path / "etc/pam.d" / name).write_text("".join(rule + "\n" for rule in stack("enroll=require")))
        yield root


class ReopenedTerminal(Terminal):
    """A terminal that login(1) of util-linux hangs up and opens again."""

    unread = b""

    def expect(self, *texts: str) -> str:
        while True:
            for text in texts:
                if found := re.search(pattern(text).encode(), self.unread):
                    self.unread = self.unread[found.end() :]
                    return text
            try:
                data = os.read(self.terminal.child_fd, 1000)
            except OSError:
                assert self.terminal.isalive(), self.received
                time.sleep(0.05)
                continue
            self.write(data)
            self.unread += data


def test_login_of_util_linux(trixie):
    """It ends after LOGIN_TIMEOUT, also in the account phase."""
    account = trixie.add_account("alice", "wonderland")
    home = trixie.path / "home/alice"
    definitions = trixie.path / "etc/login.defs"
    usual = definitions.read_text()
    definitions.write_text(re.sub(r"(?m)^LOGIN_TIMEOUT.*", "LOGIN_TIMEOUT 5", usual))
    terminal = ReopenedTerminal("chroot", trixie.path, "login", account.name)
    terminal.reach(CODE, account.password)
    terminal.expect("timed out after 5 seconds")
    terminal.terminal.close(force=True)
    assert not (home / ".twofactor").exists()
    definitions.write_text(usual)
    terminal = ReopenedTerminal("chroot", trixie.path, "login", account.name)
    terminal.enroll(account.password)
    terminal.answer("$ ", "echo we are $USER; exit")
    terminal.expect("we are alice")
    assert (home / ".twofactor/credential").exists()


def test_openssh_of_debian_13(trixie, tmp_path):
    account = trixie.add_account("bob", "the builder")
    settings = "UsePAM yes\nKbdInteractiveAuthentication yes\nPasswordAuthentication no\n"
    (trixie.path / "etc/ssh/sshd_config").write_text(settings)
    trixie.start_server()
    options = [
        *("-F", "none", "-p", str(trixie.port), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
        *("-o", "NumberOfPasswordPrompts=1", "-o", "PubkeyAuthentication=no"),
    ]
    words = ["chroot", trixie.path, "ssh", *options, f"{account.name}@127.0.0.1", "echo logged in"]
    terminal = Terminal(*words, rows=45, columns=80, environment={"LC_ALL": "C.UTF-8"})
    terminal.reach(CODE, account.password)
    shown = shown_key(terminal.received)
    assert terminal.qr_code(DARK, tmp_path) == shown.uri
    terminal.type(shown.authenticator.code_at(time_to_type()))
    terminal.answer(STORED, "y")
    assert terminal.ends_with("logged in") and ON in terminal.received
    trixie.stop_server()
