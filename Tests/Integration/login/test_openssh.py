"""Complete logins: OpenSSH's server and client, passwords from the shadow file, codes from the module."""

import time
from pathlib import Path

import pytest
from rig.machine import Account
from rig.ssh import Client, Server, make_key
from rig.syslog import SystemLog

STACK = """\
auth required pam_unix.so nodelay
auth required pam_twofactor.so {arguments}
account required pam_unix.so
session required pam_permit.so
"""


def server(name: str, scratch, arguments: str = "", **options) -> Server:
    Path(f"/etc/pam.d/{name}").write_text(STACK.format(arguments=arguments))
    return Server(name, scratch / name, **options)


@pytest.fixture(scope="module")
def strict(products, scratch):
    with server("twofactor-strict-sshd", scratch) as running:
        yield running


@pytest.fixture(scope="module")
def lenient(products, scratch):
    with server("twofactor-lenient-sshd", scratch, "nullok") as running:
        yield running


@pytest.fixture(scope="module")
def with_keys(products, scratch):
    Path("/etc/pam.d/twofactor-keys-sshd").write_text(
        "auth required pam_twofactor.so\naccount required pam_unix.so\nsession required pam_permit.so\n"
    )
    methods = "publickey,keyboard-interactive:pam"
    with Server("twofactor-keys-sshd", scratch / "twofactor-keys-sshd", methods) as running:
        yield running


def is_let_in(running: Server, account: Account, code: str | None) -> bool:
    """Logs in with password and code; None as `code` if no prompt for it may appear."""
    client = running.connect(account)
    client.answer(Client.PASSWORD, account.password)
    if code is not None:
        client.answer(Client.CODE, code)
    return client.is_let_in()


def outcomes(log: SystemLog, count: int) -> list[str]:
    """The results in the module's log lines; asserts that each has the client's address."""
    messages = log.of_module(count)
    assert all(message.program == "sshd" or "sshd" in message.program for message in messages)
    assert all(" rhost=127.0.0.1 " in message.text for message in messages)
    return [message.text.split(" rhost=127.0.0.1 ")[1] for message in messages]


def test_password_and_code_are_accepted_once(strict, user, log):
    enrolled = user.enroll()
    code = enrolled.authenticator.code_at(time.time())
    assert is_let_in(strict, user, code)
    assert not is_let_in(strict, user, code)
    assert outcomes(log, 2) == [f"method=totp device={enrolled.device}", "reason=reused-code"]
    assert log.of_module()[0].text == (
        f"pam_twofactor(twofactor-strict-sshd:auth): accepted user={user.name} rhost=127.0.0.1"
        f" method=totp device={enrolled.device}"
    )


def test_a_wrong_code_is_denied(strict, user, log):
    enrolled = user.enroll()
    assert not is_let_in(strict, user, enrolled.authenticator.wrong_code(time.time()))
    assert outcomes(log, 1) == ["reason=wrong-code failures=1"]


def test_a_correct_code_does_not_replace_the_password(strict, user):
    enrolled = user.enroll()
    client = strict.connect(user)
    client.answer(Client.PASSWORD, "wrong")
    client.answer(Client.CODE, enrolled.authenticator.code_at(time.time()))
    assert not client.is_let_in()


def test_a_backup_code_is_accepted_once(strict, user, log):
    enrolled = user.enroll(backup_codes=2)
    client = strict.connect(user)
    client.answer(Client.PASSWORD, user.password)
    client.answer(Client.CODE, enrolled.backup_codes[0])
    client.expect("1 backup codes? left")
    assert client.is_let_in()
    assert not is_let_in(strict, user, enrolled.backup_codes[0])
    first, second = outcomes(log, 2)
    assert first == "method=backup-code backup_codes_left=1"
    assert second.startswith("reason=")


def test_a_key_needs_a_code(with_keys, user, scratch):
    enrolled = user.enroll()
    key = make_key(user, scratch)
    client = with_keys.connect(user, key=key)
    client.answer(Client.CODE, enrolled.authenticator.code_at(time.time()))
    assert client.is_let_in()
    client = with_keys.connect(user, key=key)
    client.answer(Client.CODE, "")
    assert not client.is_let_in()
    assert not with_keys.connect(user).is_let_in()


def test_a_user_who_is_not_enrolled_is_prompted_and_denied(strict, user, log):
    assert not is_let_in(strict, user, "123456")
    assert outcomes(log, 1) == ["reason=not-enrolled"]


def test_with_nullok_a_user_who_is_not_enrolled_needs_only_the_password(lenient, user):
    assert is_let_in(lenient, user, None)


def test_with_nullok_an_enrolled_user_needs_the_code(lenient, user):
    enrolled = user.enroll()
    assert not is_let_in(lenient, user, enrolled.authenticator.wrong_code(time.time()))
    assert is_let_in(lenient, user, enrolled.authenticator.code_at(time.time()))


def test_an_unknown_user_gets_the_same_prompts(strict, log):
    assert not is_let_in(strict, Account("no-such-user", "secret"), "123456")
    assert outcomes(log, 1) == ["reason=unknown-user"]


def test_the_reason_for_a_refusal_reaches_the_terminal(strict, user):
    enrolled = user.enroll()
    code = enrolled.authenticator.code_at(time.time())
    assert is_let_in(strict, user, code)
    client = strict.connect(user)
    client.answer(Client.PASSWORD, user.password)
    client.answer(Client.CODE, code)
    client.expect("This code was already used")
    assert not client.is_let_in()


def test_one_of_several_clients_with_one_code_is_accepted(strict, user):
    enrolled = user.enroll()
    code = enrolled.authenticator.code_at(time.time())
    clients = [strict.connect(user) for _ in range(6)]
    for client in clients:
        client.answer(Client.PASSWORD, user.password)
    for client in clients:
        client.expect(Client.CODE)
    for client in clients:
        client.terminal.sendline(code)
    assert sum(client.is_let_in() for client in clients) == 1
