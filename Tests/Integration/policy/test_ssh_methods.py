"""OpenSSH with every useful list of methods, and the methods that it reports to PAM."""

import datetime
import time

import pytest
from rig.clock import time_to_type
from rig.ssh import Client, Server, make_key

ACCOUNT = ("account required pam_unix.so", "session required pam_permit.so")
WITH_PASSWORDS = "PasswordAuthentication yes"
BOTH = "publickey,keyboard-interactive:pam"


@pytest.fixture
def server(system_service, scratch, request):
    """Starts servers for one test; `lines` are the auth rules of the service."""
    running = []

    def make(*lines: str, methods: str, settings: str = "", name: str | None = None) -> Server:
        name = name or f"policy-sshd-{len(running)}-{abs(hash(request.node.name)) % 10000}"
        system_service(name, *(f"auth {line}" for line in lines), *ACCOUNT)
        directory = scratch / f"{name}-{time.monotonic_ns()}"
        running.append(Server(name, directory, methods, settings).__enter__())
        return running[-1]

    yield make
    for server in running:
        server.__exit__()


def test_a_key_alone_does_not_use_pam(server, user, scratch, log):
    user.enroll()
    running = server("required pam_twofactor.so", methods="publickey")
    assert running.connect(user, key=make_key(user, scratch)).is_let_in()
    assert not log.of_module()


def test_the_password_method_accepts_password_and_code_in_one(server, user, log):
    enrolled = user.enroll(backup_codes=1)
    running = server(
        "required pam_twofactor.so forward_pass",
        "required pam_unix.so nodelay use_first_pass",
        methods="password",
        settings=WITH_PASSWORDS,
    )
    code = enrolled.authenticator.code_at(time_to_type())
    for text, let_in in (
        ("wrong" + enrolled.backup_codes[0], False),
        (user.password + code, True),
        (user.password + code, False),
    ):
        client = running.connect(user)
        client.answer(Client.PASSWORD, text)
        assert client.is_let_in() == let_in, text
    assert all(f" user={user.name} rhost=127.0.0.1 " in message.text for message in log.of_module(4))


def test_the_password_method_cannot_answer_a_second_prompt(server, user):
    # sshd answers every prompt with the one password that it received.
    enrolled = user.enroll()
    running = server(
        "required pam_unix.so nodelay", "required pam_twofactor.so", methods="password", settings=WITH_PASSWORDS
    )
    client = running.connect(user)
    client.answer(Client.PASSWORD, user.password + enrolled.authenticator.code_at(time_to_type()))
    assert not client.is_let_in()


def test_a_key_and_then_the_code_as_the_password(server, user, scratch):
    enrolled = user.enroll()
    running = server("required pam_twofactor.so", methods="publickey,password", settings=WITH_PASSWORDS)
    key = make_key(user, scratch)
    for code, let_in in (
        (enrolled.authenticator.wrong_code(time_to_type()), False), (
            enrolled.authenticator.code_at(time_to_type()), True
        )
    ):
        client = running.connect(user, key=key)
        client.answer(Client.PASSWORD, code)
        assert client.is_let_in() == let_in
    assert not running.connect(user).is_let_in()


def test_a_key_then_password_and_code(server, user, scratch):
    enrolled = user.enroll()
    running = server(
        "required pam_unix.so nodelay",
        "required pam_twofactor.so",
        methods=BOTH,
    )
    client = running.connect(user, key=make_key(user, scratch))
    client.answer(Client.PASSWORD, user.password)
    client.answer(Client.CODE, enrolled.authenticator.code_at(time_to_type()))
    assert client.is_let_in()


def test_the_code_and_then_a_key(server, user, scratch):
    enrolled = user.enroll()
    running = server("required pam_twofactor.so", methods="keyboard-interactive:pam,publickey")
    key = make_key(user, scratch)
    for code, let_in in (
        (enrolled.authenticator.wrong_code(time_to_type()), False), (
            enrolled.authenticator.code_at(time_to_type()), True
        )
    ):
        client = running.connect(user, key=key)
        client.answer(Client.CODE, code)
        assert client.is_let_in() == let_in
    client = running.connect(user)
    client.answer(Client.CODE, enrolled.authenticator.code_at(time_to_type(), steps=1))
    assert not client.is_let_in(), "a code alone is not enough"


@pytest.mark.parametrize("methods", ["publickey keyboard-interactive:pam", "any"])
def test_a_key_or_else_password_and_code(server, user, scratch, methods, log):
    enrolled = user.enroll()
    running = server("requisite pam_unix.so nodelay", "required pam_twofactor.so", methods=methods)
    assert running.connect(user, key=make_key(user, scratch)).is_let_in()
    assert not log.of_module()
    client = running.connect(user)
    client.answer(Client.PASSWORD, user.password)
    client.answer(Client.CODE, enrolled.authenticator.code_at(time_to_type()))
    assert client.is_let_in()


def test_a_wrong_requisite_password_prompts_for_no_code(server, user, log):
    user.enroll()
    running = server("requisite pam_unix.so nodelay", "required pam_twofactor.so", methods="keyboard-interactive:pam")
    client = running.connect(user)
    client.answer(Client.PASSWORD, "wrong")
    assert not client.is_let_in()
    assert not log.of_module(), "a wrong password counted as a failure"


def test_skip_after_exempts_a_login_with_a_key(server, user, scratch, log):
    enrolled = user.enroll()
    running = server(
        "required pam_twofactor.so skip_after=hostbased,publickey",
        "required pam_permit.so",
        methods=f"{BOTH} keyboard-interactive:pam",
        name="sshd",
    )
    assert running.connect(user, key=make_key(user, scratch)).is_let_in()
    assert log.of_module(1)[0].text == (
        f"pam_twofactor(sshd:auth): accepted user={user.name} rhost=127.0.0.1 method=exempt"
    )
    client = running.connect(user)
    client.answer(Client.CODE, enrolled.authenticator.wrong_code(time_to_type()))
    assert not client.is_let_in()
    client = running.connect(user)
    client.answer(Client.CODE, enrolled.authenticator.code_at(time_to_type()))
    assert client.is_let_in()


def test_another_service_ignores_the_list_of_methods(server, user, scratch):
    enrolled = user.enroll()
    running = server("required pam_twofactor.so skip_after=publickey", "required pam_permit.so", methods=BOTH)
    client = running.connect(user, key=make_key(user, scratch))
    client.answer(Client.CODE, enrolled.authenticator.code_at(time_to_type()))
    assert client.is_let_in()


def test_the_address_is_not_prompted_again_within_the_grace_period(server, user, log):
    enrolled = user.enroll()
    running = server("required pam_unix.so nodelay", "required pam_twofactor.so grace_period=600",
                     methods="keyboard-interactive:pam")
    client = running.connect(user)
    client.answer(Client.PASSWORD, user.password)
    client.answer(Client.CODE, enrolled.authenticator.code_at(time_to_type()))
    assert client.is_let_in()
    client = running.connect(user)
    client.answer(Client.PASSWORD, user.password)
    assert client.is_let_in()
    assert [message.text.split("method=")[1].split()[0] for message in log.of_module(2)] == ["totp", "grace"]


def test_trusted_networks_match_the_address_that_sshd_reports(server, user, log):
    user.enroll()
    running = server("required pam_unix.so nodelay", "required pam_twofactor.so trusted_networks=127.0.0.0/8",
                     methods="keyboard-interactive:pam")
    client = running.connect(user)
    client.answer(Client.PASSWORD, user.password)
    assert client.is_let_in()
    assert log.of_module(1)[0].text.endswith(" rhost=127.0.0.1 method=exempt")


def test_the_reminder_reaches_the_terminal(server, user):
    day = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=3)
    running = server("required pam_unix.so nodelay", f"required pam_twofactor.so required_from={day}",
                     methods="keyboard-interactive:pam")
    client = running.connect(user)
    client.answer(Client.PASSWORD, user.password)
    client.expect(f"Two-factor authentication will be required from {day}. Switch it on with: twofactor enable")
    assert client.is_let_in()
