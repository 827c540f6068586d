"""PAM programs of Debian: su, sudo, login, vlock, polkit's helper, and one that is not root."""

import os
import shutil
from pathlib import Path

import pexpect
import pytest
from rig.clean_root import CleanRoot, require_root
from rig.clock import time_to_type
from rig.console import read_despite_hangup
from rig.harness import Result
from rig.machine import modules_directory
from rig.process import run

PASSWORD = "[Pp]assword[^:]*: "
CODE = "Verification code: "
STACK = (
    "auth required pam_unix.so nodelay",
    "auth required pam_twofactor.so",
    "account required pam_unix.so",
    "session required pam_permit.so",
)


def at_terminal(*command: str | Path, account=None) -> pexpect.spawn:
    """A program at its own terminal, as root or as a user."""
    before = ("setpriv", f"--reuid={account.uid}", f"--regid={account.gid}", "--init-groups") if account else ()
    words = [str(word) for word in (*before, *command)]
    return pexpect.spawn(words[0], words[1:], timeout=20, encoding="utf-8", env={**os.environ, "TERM": "xterm"})


def answer(terminal: pexpect.spawn, *dialogue: tuple[str, str]) -> None:
    for pattern, text in dialogue:
        terminal.expect(pattern)
        terminal.sendline(text)


def rest(terminal: pexpect.spawn) -> str:
    """The remaining output of a program until it exits."""
    terminal.expect(pexpect.EOF)
    terminal.close()
    return terminal.before


def test_su_asks_for_the_code_of_the_target_user(system_service, user, new_user, log):
    system_service("su", "auth sufficient pam_rootok.so", *STACK)
    enrolled = user.enroll()
    other = new_user()
    for code in (enrolled.authenticator.wrong_code(time_to_type()), enrolled.authenticator.code_at(time_to_type())):
        terminal = at_terminal("su", user.name, "-c", "id -un", account=other)
        answer(terminal, (PASSWORD, user.password), (CODE, code))
        said = rest(terminal)
    assert user.name in said
    first, second = log.of_module(2)
    assert first.text.endswith(f"(su:auth): denied user={user.name} rhost=- reason=wrong-code failures=1")
    assert second.text.endswith(f"(su:auth): accepted user={user.name} rhost=- method=totp device={enrolled.device}")


def test_root_needs_no_code_for_su(system_service, user, log):
    system_service("su", "auth sufficient pam_rootok.so", *STACK)
    user.enroll()
    assert user.name in rest(at_terminal("su", user.name, "-c", "id -un"))
    assert not log.of_module()


def test_sudo_needs_no_second_code_within_its_timestamp(system_service, user, log):
    system_service("sudo", *STACK)
    enrolled = user.enroll()
    rules = Path("/etc/sudoers.d/policy")
    rules.write_text(f"{user.name} ALL=(ALL) ALL\n")
    rules.chmod(0o440)
    try:
        terminal = at_terminal("sh", "-c", "sudo id -un; sudo -n echo again; sudo -k; sudo -n echo third", account=user)
        answer(terminal, (PASSWORD, user.password), (CODE, enrolled.authenticator.code_at(time_to_type())))
        said = rest(terminal).split()
    finally:
        rules.unlink()
    assert "root" in said and "again" in said and "third" not in said
    assert len([message for message in log.of_module(1) if " accepted " in message.text]) == 1


def test_login_asks_at_the_console(system_service, user, log):
    system_service("login", *STACK)
    enrolled = user.enroll()
    terminal = at_terminal("login", user.name)
    answer(terminal, (PASSWORD, user.password), (CODE, enrolled.authenticator.code_at(time_to_type())))
    terminal.expect(r"\$ ")
    terminal.sendline("id -un; exit")
    assert user.name in rest(terminal)
    assert log.of_module(1)[0].text.endswith(
        f"(login:auth): accepted user={user.name} rhost=- method=totp device={enrolled.device}"
    )


@pytest.mark.parametrize("host", ["192.0.2.7", "::ffff:192.0.2.7"])
def test_login_trusts_no_name_that_looks_like_an_address(system_service, user, log, host):
    # telnetd passes the client's name to login, as DNS gives it: shadow's login has the service "login", util-linux's
    # the service "remote".
    options = "trusted_networks=192.0.2.0/24 grace_period=600"
    stack = [line + f" {options}" if line.endswith("twofactor.so") else line for line in STACK]
    for name in ("login", "remote"):
        system_service(name, *stack)
    enrolled = user.enroll()
    for steps in (0, 1):
        terminal = at_terminal("login", "-h", host, user.name)
        answer(terminal, (PASSWORD, user.password), (CODE, enrolled.authenticator.code_at(time_to_type(), steps=steps)))
        terminal.expect(r"\$ ")
        terminal.sendline("id -un; exit")
        assert user.name in rest(terminal)
    assert all(f" rhost={host} method=totp " in message.text for message in log.of_module(2))


def test_login_of_util_linux_trusts_no_name_either(request, products, tmp_path):
    """Its service for `-h` is `remote`. Debian 13 has this login."""
    require_root("trixie", request)
    with CleanRoot("trixie", tmp_path, 22903) as root:
        account = root.add_account("alice", "wonderland")
        modules = next(root.path.glob("usr/lib/*/security"))
        shutil.copy(modules_directory() / "pam_twofactor.so", modules)
        lines = [line.replace("twofactor.so", "twofactor.so trusted_networks=192.0.2.0/24") for line in STACK]
        (root.path / "etc/pam.d/remote").write_text("\n".join(lines) + "\n")
        (root.path / "etc/pam.d/login").write_text("auth required pam_deny.so\n")
        terminal = at_terminal("chroot", root.path, "login", "-h", "192.0.2.7", account.name)
        read_despite_hangup(terminal, PASSWORD)
        terminal.sendline(account.password)
        read_despite_hangup(terminal, CODE)
        terminal.close(force=True)


def test_the_first_module_asks_for_the_user_name(system_service, user, log):
    system_service("login", "auth required pam_twofactor.so", *STACK[:1], *STACK[2:])
    enrolled = user.enroll()
    terminal = at_terminal("login")
    code = enrolled.authenticator.code_at(time_to_type())
    answer(terminal, ("login: ", user.name), (CODE, code), (PASSWORD, user.password))
    terminal.expect(r"\$ ")
    terminal.sendline("id -un; exit")
    assert user.name in rest(terminal)
    assert log.of_module(1)[0].text.endswith(f"user={user.name} rhost=- method=totp device={enrolled.device}")


def test_login_denies_a_wrong_code_and_asks_again(system_service, user):
    system_service("login", *STACK)
    enrolled = user.enroll()
    terminal = at_terminal("login", user.name)
    answer(terminal, (PASSWORD, user.password), (CODE, enrolled.authenticator.wrong_code(time_to_type())))
    terminal.expect("Login incorrect")
    terminal.close(force=True)


def test_a_screen_locker_that_is_not_root_checks_password_and_code(harness, user):
    enrolled = user.enroll()
    name = harness.service("locker", *STACK[:2])
    under = harness.running_as(user)
    code = enrolled.authenticator.code_at(time_to_type())
    for password, code, result in (
        ("wrong", "123456", Result.AUTH_ERR),
        (user.password, code, Result.SUCCESS),
        (user.password, code, Result.AUTH_ERR),
    ):
        login = user.log_in(name, password, code, under=under)
        assert login.result == result and len(login.prompts) == 2


def locked(account, locker: Path) -> pexpect.spawn:
    """A terminal that its user has locked with vlock, at the password prompt."""
    terminal = at_terminal("env", "VLOCK_MESSAGE=Locked", locker, account=account)
    terminal.expect("Locked")
    terminal.send("\r")
    return terminal


def unlock(terminal: pexpect.spawn, account, code: str) -> None:
    answer(terminal, (f"{account.name}'s {PASSWORD}", account.password), (CODE, code))


def test_vlock_accepts_password_and_code(system_service, user, log):
    system_service("vlock", *STACK[:2])
    enrolled = user.enroll()
    terminal = locked(user, Path("/usr/sbin/vlock-main"))
    unlock(terminal, user, enrolled.authenticator.code_at(time_to_type()))
    rest(terminal)
    assert terminal.exitstatus == 0
    assert log.of_module(1)[0].text.endswith(
        f"(vlock:auth): accepted user={user.name} rhost=- method=totp device={enrolled.device}"
    )


@pytest.mark.parametrize("store", ["home", "host"])
def test_vlock_that_is_not_root_stays_locked_after_a_wrong_code(system_service, user, log, request, store):
    if store == "host":
        request.getfixturevalue("host_store")
    system_service("vlock", *STACK[:2])
    enrolled = user.enroll()
    # vlock is set-user-ID root on Debian, but not on other distributions.
    locker = Path(shutil.copyfile("/usr/sbin/vlock-main", user.home / "vlock-main"))
    locker.chmod(0o755)
    terminal = locked(user, locker)
    unlock(terminal, user, enrolled.authenticator.wrong_code(time_to_type()))
    # Root can unlock too, through the same stack, but not with empty replies.
    answer(terminal, (f"root's {PASSWORD}", ""), (CODE, ""), ("Locked", ""))
    unlock(terminal, user, enrolled.authenticator.code_at(time_to_type()))
    rest(terminal)
    assert terminal.exitstatus == 0
    outcomes = [message.text.partition("(vlock:auth): ")[2] for message in log.of_module(3)]
    assert outcomes[0] == f"denied user={user.name} rhost=- reason=wrong-code failures=1"
    assert outcomes[-1] == f"accepted user={user.name} rhost=- method=totp device={enrolled.device}"


def test_polkits_helper_asks_for_password_and_code(system_service, user, log):
    helper = next(path for path in map(Path, HELPERS) if path.exists())
    system_service("polkit-1", *STACK)
    enrolled = user.enroll()
    lines = ["an unknown cookie", user.password, enrolled.authenticator.code_at(time_to_type())]
    done = run(
        "setpriv", f"--reuid={user.uid}", f"--regid={user.gid}", "--init-groups", helper, user.name,
        input="".join(line + "\n" for line in lines), status=None,
    )
    asked = [line for line in done.stdout.splitlines() if line.startswith("PAM_PROMPT")]
    assert [line.split()[1] for line in asked] == ["Password:", "Verification"], run
    # No polkitd accepts the cookie here; the log has the result of PAM.
    assert log.of_module(1)[0].text.endswith(
        f"(polkit-1:auth): accepted user={user.name} rhost=- method=totp device={enrolled.device}"
    )


HELPERS = (
    "/usr/lib/polkit-1/polkit-agent-helper-1",
    "/usr/libexec/polkit-agent-helper-1",
    "/usr/lib/policykit-1/polkit-agent-helper-1",
)
