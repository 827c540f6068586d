"""require_method: a stack without a password lets in only logins that sshd authenticated before."""

import datetime
import re
import time

import pytest
from rig.clock import START, time_to_type
from rig.harness import PAM_SILENT, SOURCES, Result, build
from rig.machine import CHECKOUT
from rig.ssh import Client, Server, make_key

ACCOUNT = ("account required pam_unix.so", "session required pam_permit.so")
PERMIT = "auth required pam_permit.so"
BOTH = "publickey,keyboard-interactive:pam"
ALONE = "keyboard-interactive:pam"
HERE = "192.0.2.7"
TOMORROW = datetime.datetime.fromtimestamp(START + 86400, datetime.UTC).date()


@pytest.fixture(scope="module")
def after_ssh(scratch, harness, products):
    """Writes a service in which sshd reports the methods that the login has passed."""
    module = build([SOURCES / "auth_info.c"], scratch / "required_auth_info.so", "-shared", "-fPIC", "-lpam")

    def make(name: str, said: str | None, arguments: str) -> str:
        report = [f"auth required {module} [{said}]"] if said is not None else []
        return harness.service(name, *report, f"auth required pam_twofactor.so {arguments}", PERMIT)

    return make


# The options and states that let a login pass without a code.
EXEMPTIONS = [
    "",
    "nullok",
    f"required_from={TOMORROW}",
    "trusted_networks=192.0.2.0/24",
    "exempt_groups={group}",
    "only_groups=root",
    "grace_period=600",
    "skip_after=publickey,hostbased",
]


@pytest.mark.parametrize("is_enrolled", [True, False], ids=["enrolled", "not enrolled"])
@pytest.mark.parametrize("exemption", EXEMPTIONS)
def test_no_exemption_replaces_the_method(user, after_ssh, log, exemption, is_enrolled):
    enrolled = user.enroll() if is_enrolled else None
    exemption = exemption.format(group=user.gid)
    if exemption.startswith("grace") and enrolled:
        name = after_ssh("sshd", "publickey k|", exemption)
        assert user.log_in(name, enrolled.authenticator.code_at(START), at=START, rhost=HERE).result == Result.SUCCESS
    before = len(log.of_module())
    name = after_ssh("sshd", "gssapi-with-mic alice|", f"require_method=publickey {exemption}")
    code = enrolled.authenticator.code_at(START, steps=1) if enrolled else "123456"
    login = user.log_in(name, code, at=START, rhost=HERE)
    assert (login.result, login.prompts, login.messages) == (Result.AUTH_ERR, [], [])
    assert login.delay >= 1_000_000, "the delay shows that an earlier module accepted the password"
    message = log.of_module(before + 1)[-1]
    assert message.priority == "authpriv.notice"
    assert message.text == f"pam_twofactor(sshd:auth): denied user={user.name} rhost={HERE} reason=method-required"


@pytest.mark.parametrize("name", ["login", "su", "sshd-2", "sshd.twofactor", "xsshd"])
def test_only_sshd_can_report_a_method(user, after_ssh, name):
    enrolled = user.enroll()
    service = after_ssh(name, "publickey ssh-ed25519 AAAA|", "require_method=publickey")
    login = user.log_in(service, enrolled.authenticator.code_at(START), at=START)
    assert (login.result, login.prompts) == (Result.AUTH_ERR, [])


@pytest.mark.parametrize(
    ("said", "passes"),
    [
        ("publickey ssh-ed25519 AAAA|", True),
        ("gssapi-with-mic a|hostbased x|", True),
        ("publickey", True),
        (None, False),
        ("", False),
        ("|", False),
        ("password|", False),
        ("publickey-not x|", False),
        ("xpublickey x|", False),
        ("password publickey|", False),
        (" publickey|", False),
        ("PUBLICKEY x|", False),
    ],
)
def test_a_reported_method_leads_to_the_question(user, after_ssh, said, passes):
    enrolled = user.enroll()
    name = after_ssh("sshd", said, "[require_method=publickey, hostbased]")
    # The environment of the process is not sshd's report.
    under = ("env", "SSH_AUTH_INFO_0=publickey x")
    login = user.log_in(name, enrolled.authenticator.code_at(START), at=START, under=under)
    assert (login.result, len(login.prompts)) == ((Result.SUCCESS, 1) if passes else (Result.AUTH_ERR, 0))


@pytest.mark.parametrize(
    ("said", "asked"),
    [("publickey k|", True), ("gssapi-with-mic a|", False), ("publickey k|gssapi-with-mic a|", False)],
)
def test_a_method_of_both_lists_is_enough(user, after_ssh, said, asked):
    enrolled = user.enroll()
    name = after_ssh("sshd", said, "require_method=publickey,gssapi-with-mic skip_after=gssapi-with-mic,password")
    login = user.log_in(name, enrolled.authenticator.code_at(START), at=START)
    assert (login.result, len(login.prompts)) == (Result.SUCCESS, int(asked))


def test_a_method_to_skip_after_does_not_replace_a_required_one(user, after_ssh):
    user.enroll()
    name = after_ssh("sshd", "password|", "require_method=publickey skip_after=password")
    assert user.log_in(name, at=START).result == Result.AUTH_ERR


def test_unknown_users_and_silent_programs_are_refused_alike(harness, after_ssh, log):
    name = after_ssh("sshd", None, "require_method=publickey")
    for flags in (0, PAM_SILENT):
        login = harness.log_in(name, "no-such-user", at=START, flags=flags)
        assert (login.result, login.prompts, login.messages) == (Result.AUTH_ERR, [], [])
    assert all(message.text.endswith(" reason=method-required") for message in log.of_module(2))


def shipped_rule() -> str:
    """The rule for stacks without a password in the example."""
    (rule,) = re.findall(r"(?m)^#\s+(auth .*require_method.*)$", (CHECKOUT / "pam/service/sshd-snippet").read_text())
    assert "nullok" not in rule
    return rule


def weak_rule() -> tuple[str, ...]:
    """The same stack with a wrong rule: any user whom the module does not ask for a code passes."""
    return ("auth required pam_twofactor.so require_method=publickey nullok", PERMIT)


@pytest.fixture
def server(system_service, scratch):
    """Starts servers with the service `sshd`; `match` is a block at the end of the configuration."""
    running = []

    def make(*rules: str, methods: str = BOTH, match: str = "") -> Server:
        system_service("sshd", *rules, *ACCOUNT)
        directory = scratch / f"required-{time.monotonic_ns()}"
        running.append(Server("sshd", directory, methods, match=match).__enter__())
        return running[-1]

    yield make
    for one in running:
        one.__exit__()


@pytest.mark.parametrize("rules", [(shipped_rule(),), weak_rule()], ids=["shipped", "with nullok and pam_permit"])
def test_a_match_block_without_the_key_lets_nobody_in(server, user, new_user, scratch, log, rules):
    other = new_user()
    user.enroll()
    match = f"Match User {user.name},{other.name}\n    AuthenticationMethods {ALONE}\n"
    running = server(*rules, match=match)
    key = make_key(user, scratch)
    for account in (user, other):
        client = running.connect(account, key=key)
        assert client.expect(Client.REFUSED, Client.CODE, Client.IN) == Client.REFUSED, account
    lines = [message.text for message in log.of_module(2)]
    assert [line.split(" reason=")[1] for line in lines] == ["method-required"] * 2
    assert all(" rhost=127.0.0.1 " in line for line in lines)


@pytest.mark.parametrize("rules", [(shipped_rule(),), weak_rule()], ids=["shipped", "with nullok and pam_permit"])
def test_a_key_and_a_code_log_in(server, user, new_user, scratch, log, rules):
    enrolled, other = user.enroll(), new_user()
    match = f"Match User {other.name}\n    AuthenticationMethods {ALONE}\n"
    running = server(*rules, match=match)
    key = make_key(user, scratch)
    client = running.connect(user, key=key)
    client.answer(Client.CODE, enrolled.authenticator.code_at(time_to_type()))
    assert client.is_let_in()
    client = running.connect(user, key=key)
    client.answer(Client.CODE, enrolled.authenticator.wrong_code(time_to_type()))
    assert not client.is_let_in()
    assert not running.connect(user).is_let_in(), "without the key"
    assert [message.text.split(" ")[1] for message in log.of_module(2)] == ["accepted", "denied"]


def test_with_the_shipped_rule_a_user_who_is_not_enrolled_needs_more_than_the_key(server, user, scratch, log):
    running = server(shipped_rule())
    client = running.connect(user, key=make_key(user, scratch))
    client.answer(Client.CODE, "123456")
    assert not client.is_let_in()
    assert log.of_module(1)[0].text.endswith(" reason=not-enrolled")


def test_a_method_that_follows_the_code_does_not_count(server, user, scratch, log):
    user.enroll()
    running = server(shipped_rule(), methods=f"{ALONE},publickey")
    client = running.connect(user, key=make_key(user, scratch))
    assert client.expect(Client.REFUSED, Client.CODE, Client.IN) == Client.REFUSED
    assert log.of_module(1)[0].text.endswith(" reason=method-required")
