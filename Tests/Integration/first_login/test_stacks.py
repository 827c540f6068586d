"""Who is led through enrollment: stacks, policies, users and stores."""

import datetime
import re
import shutil
from pathlib import Path

import pytest
from rig.clock import time_to_type
from rig.enrollment_at_login import CODE, OFFER, ON, STORED, Applications, leaves_nothing, shown_key, stack
from rig.harness import PAM_SILENT, Result
from rig.machine import Account
from rig.process import run
from rig.reachable import open_to_all
from rig.tracing import calls, tracing

SUCCESS, DENIED = Result.SUCCESS, Result.PERM_DENIED
REMOTE = ("-r", "192.0.2.7")


@pytest.fixture
def applications(harness, scratch, products) -> Applications:
    return Applications(harness, scratch)


@pytest.fixture
def required(applications) -> str:
    return applications.service("required", *stack("enroll=require"))


def log_line(log, count: int) -> str:
    """The last of the module's lines, without the name of the service."""
    return re.sub(r"^pam_twofactor\(\w+:", "", log.of_module(count)[-1].text)


# The rules of the auth phase, for a wrong password and an unenrolled user.
WRONG_PASSWORD = {
    "required": ["required pam_unix.so nodelay", "required pam_twofactor.so enroll=require"],
    "requisite": ["requisite pam_unix.so nodelay", "required pam_twofactor.so enroll=require"],
    "sufficient, then deny": [
        "required pam_twofactor.so enroll=require", "sufficient pam_unix.so nodelay", "required pam_deny.so",
    ],
    "jump over deny": [
        "[success=1 default=ignore] pam_unix.so nodelay", "requisite pam_deny.so",
        "required pam_twofactor.so enroll=require", "required pam_permit.so",
    ],
    "jump, twofactor first": [
        "required pam_twofactor.so enroll=require", "[success=1 default=ignore] pam_unix.so nodelay",
        "requisite pam_deny.so", "required pam_permit.so",
    ],
    "deny afterwards": [
        "optional pam_unix.so nodelay", "required pam_twofactor.so enroll=require", "required pam_deny.so",
    ],
}  # fmt: skip


@pytest.mark.parametrize("rules", WRONG_PASSWORD.values(), ids=WRONG_PASSWORD)
def test_a_wrong_password_shows_no_key(applications, user, log, rules):
    auth = [f"auth {rule}" for rule in rules]
    name = applications.service("stack", *auth, *stack("enroll=require")[2:])
    with applications.start(name, user) as running:
        running.reply("wrong")
        assert running.authenticated != SUCCESS and running.account is None
        assert running.said == ["Password: "]
    leaves_nothing(user)
    assert not any(":account)" in message.text for message in log.of_module())


@pytest.mark.parametrize("rules", list(WRONG_PASSWORD.values())[:-1], ids=list(WRONG_PASSWORD)[:-1])
def test_the_right_password_leads_to_the_enrollment(applications, user, rules):
    auth = [f"auth {rule}" for rule in rules]
    name = applications.service("stack", *auth, *stack("enroll=require")[2:])
    with applications.start(name, user) as running:
        running.reply(user.password)
        assert running.authenticated == SUCCESS and running.prompts[-1].endswith(CODE)


def test_an_account_phase_alone_does_nothing(applications, user, required, log):
    """As in cron, at, and sshd after a public key."""
    with applications.start(required, user, "-a") as running:
        assert not running.said and running.account == SUCCESS
    name = applications.service("alone", "account required pam_twofactor.so enroll=require")
    with applications.start(name, user, "-a") as running:
        assert running.account == DENIED, "libpam's result if every module returned PAM_IGNORE"
    assert not log.of_module()


def test_a_bypassed_auth_rule_leads_to_no_enrollment(applications, user):
    name = applications.service(
        "sufficient", "auth sufficient pam_unix.so nodelay", *stack("enroll=require")[1:]
    )
    with applications.start(name, user) as running:
        running.reply(user.password)
        assert running.account == SUCCESS and running.said == ["Password: "]


def test_an_enrolled_user_is_not_asked_in_the_account_phase(applications, user, required, log):
    enrolled = user.enroll()
    with applications.start(required, user) as running:
        running.reply(user.password, enrolled.authenticator.code_at(time_to_type()))
        assert running.account == SUCCESS and len(running.prompts) == 2 and not running.messages
    assert len(log.of_module(1)) == 1


def test_a_second_account_rule_lets_in_the_user_whom_the_first_one_enrolled(applications, user):
    """As with the profile of pam-auth-update, and the line in the service too."""
    rules = stack("enroll=require")
    name = applications.service("twice", *rules[:3], *rules[2:])
    with applications.start(name, user) as running:
        running.enroll(user.password)
        assert running.account == SUCCESS
        assert [prompt.rpartition("\n")[2] for prompt in running.prompts] == ["Password: ", CODE, STORED]


def test_a_user_who_enrolls_between_two_attempts_needs_only_the_code(applications, user, required):
    with applications.start(required, user, "-n", "2") as running:
        running.reply("wrong")
        enrolled = user.enroll()
        running.reply(user.password, enrolled.authenticator.code_at(time_to_type()))
        assert running.account == SUCCESS and len(running.prompts) == 3 and not running.messages


@pytest.mark.usefixtures("each_store")
def test_the_conversation_of_an_enrollment(applications, user, required, log):
    with applications.start(required, user, *REMOTE) as running:
        shown = running.enroll(user.password)
        assert running.account == SUCCESS
        assert [prompt.rpartition("\n")[2] for prompt in running.prompts] == ["Password: ", CODE, STORED]
        assert running.styles.count("prompt-shown") == 1
        assert all(len(text.encode()) <= 512 for text in running.said)
        assert not re.search(r"[^\n\x20-\x7e█▀▄“”’–]", running.text)
        assert running.messages[-1].startswith(ON)
        before = running.said[: running.said.index(CODE)]
        assert before[-1].startswith("Key: "), "some greeters show only the last message"
        assert "█" not in before[0] + before[1]
    assert log_line(log, 2) == f"account): accepted user={user.name} rhost=192.0.2.7 method=enrolled"
    assert user.directory.stat().st_uid == user.uid and user.directory.stat().st_mode & 0o777 == 0o700
    with applications.start(required, user, *REMOTE) as running:
        running.reply(user.password, shown.code)
        assert running.authenticated == Result.AUTH_ERR
    with applications.start(required, user, *REMOTE) as running:
        running.reply(user.password, shown.authenticator.code_at(time_to_type(), steps=1))
        assert running.account == SUCCESS


def test_with_pam_silent_the_prompts_contain_the_text(applications, user, required):
    with applications.start(required, user, "-f", str(PAM_SILENT)) as running:
        running.enroll(user.password)
        assert running.account == SUCCESS and not running.messages
        assert [prompt.rpartition("\n")[2] for prompt in running.prompts] == ["Password: ", CODE, STORED]
        assert "otpauth:" in running.prompts[1] and "█" in running.prompts[1]


def test_declining_the_offer_is_silent_from_then_on(applications, user, log):
    name = applications.service("offered", *stack("enroll=offer"))
    with applications.start(name, user) as running:
        running.reply(user.password, "no")
        assert running.account == SUCCESS and running.prompts[-1].endswith(OFFER)
    assert not any("otpauth:" in text for text in running.said)
    leaves_nothing(user)


def test_a_conversation_that_cannot_ask(applications, user, required, log):
    with applications.start(required, user, *REMOTE) as running:
        running.reply(user.password, None)
        assert running.account == DENIED
    leaves_nothing(user)
    assert log_line(log, 2) == (
        f'account): denied user={user.name} rhost=192.0.2.7 reason=not-enrolled detail="no conversation"'
    )


NETWORKS = {
    "inside": (("-r", "192.0.2.7"), True),
    "mapped": (("-r", "::ffff:192.0.2.7"), True),
    "outside": (("-r", "198.51.100.1"), False),
    "a name": (("-r", "192.0.2.7.example"), False),
    "none": ((), False),
}


@pytest.mark.parametrize("remote, is_inside", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("mode", ["require", "offer"])
def test_enroll_networks(applications, user, log, remote, is_inside, mode):
    name = applications.service("networks", *stack(f"enroll={mode} enroll_networks=192.0.2.0/24"))
    with applications.start(name, user, *remote) as running:
        running.reply(user.password)
        assert (running.account is None) == is_inside
        if not is_inside:
            assert running.account == (DENIED if mode == "require" else SUCCESS)
            assert len(running.prompts) == 1 and 'detail="outside enroll_networks"' in log_line(log, 2)


@pytest.mark.parametrize("days, is_required", [(3, False), (0, True), (-3, True)])
def test_required_from_turns_the_offer_into_a_requirement(applications, user, host_configuration, days, is_required):
    day = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=days)
    host_configuration("enroll = offer" if days else "enroll = require", f"required_from = {day}")
    name = applications.service("scheduled", *stack(""))
    with applications.start(name, user) as running:
        running.reply(user.password)
        assert running.prompts[-1].endswith(CODE if is_required else OFFER)
        assert is_required or str(day) in running.text
        running.reply(*["no"] if not is_required else [None])
        assert running.account == (DENIED if is_required else SUCCESS)
    leaves_nothing(user)


def test_the_configuration_of_the_host_holds_in_both_phases(applications, user, host_configuration, tmp_path):
    notify, mail = tmp_path / "sendmail", user.home / "mail"
    open_to_all(tmp_path)
    notify.write_text(f"#!/bin/sh\ncat >{mail}\n")
    notify.chmod(0o755)
    host_configuration("enroll = require", "issuer = Example", f"notify = {notify}")
    name = applications.service("configured", *stack(""))
    with applications.start(name, user) as running:
        shown = running.enroll(user.password)
        assert running.account == SUCCESS and "issuer=Example" in shown.uri
    assert user.status()["enabled"]
    assert "Change: switched on" in mail.read_text() and shown.authenticator.base32 not in mail.read_text()


def test_a_broken_configuration_refuses(applications, user, host_configuration, log):
    name = applications.service(
        "broken", *stack("enroll=require")[:2], "account required pam_twofactor.so enroll=perhaps",
        *stack("")[3:],
    )
    with applications.start(name, user) as running:
        running.reply(user.password)
        assert running.account == Result.SERVICE_ERR
    assert " reason=configuration detail=" in log_line(log, 2)
    leaves_nothing(user)


@pytest.mark.parametrize("mode", ["require", "offer"])
def test_a_home_that_the_user_cannot_write(applications, user, log, mode):
    user.home.chmod(0o555)
    name = applications.service("unwritable", *stack(f"enroll={mode}"))
    with applications.start(name, user, *REMOTE) as running:
        running.reply(user.password)
        assert running.account == (DENIED if mode == "require" else SUCCESS)
        assert len(running.prompts) == 1, "no question before the failure"
        assert "could not be set up" in running.text and str(user.home) in running.text
    result = "denied user={} rhost=192.0.2.7 reason=not-enrolled detail=" if mode == "require" else (
        "accepted user={} rhost=192.0.2.7 method=exempt detail="
    )
    assert log_line(log, 2).startswith("account): " + result.format(user.name)), log_line(log, 2)
    leaves_nothing(user)


def test_a_home_of_another_account_proves_nothing(applications, user, required):
    shutil.chown(user.home, "root", "root")
    with applications.start(required, user) as running:
        running.reply(user.password)
        assert running.authenticated == Result.AUTHINFO_UNAVAIL and running.account is None


def test_root_enrolls_too(applications, required, password):
    shadow = Path("/etc/shadow").read_bytes()
    run("chpasswd", "--crypt-method", "SHA512", input=f"root:{password}\n")
    root = Account("root", password)
    try:
        with applications.start(required, root) as running:
            running.enroll(password)
            assert running.account == SUCCESS
        assert Path("/root/.twofactor/credential").stat().st_uid == 0
    finally:
        Path("/etc/shadow").write_bytes(shadow)
        shutil.rmtree("/root/.twofactor", ignore_errors=True)


@pytest.mark.usefixtures("each_store")
@pytest.mark.parametrize("last", [CODE, STORED], ids=["code", "stored"])
def test_of_two_enrollments_at_once_one_is_in_force(applications, new_user, required, last):
    for _ in range(3):
        user = new_user()
        with applications.start(required, user) as first, applications.start(required, user) as second:
            pair = (first.reply(user.password), second.reply(user.password))
            keys = [shown_key(running.text).authenticator for running in pair]
            now = time_to_type()
            replies = [[key.code_at(now), "y"] for key in keys]
            if last == STORED:
                for running, texts in zip(pair, replies):
                    running.reply(texts.pop(0))
            for texts in zip(*replies):
                for running, text in zip(pair, texts):
                    running.send(text)
                for running in pair:
                    running.advance()
            results = [running.account for running in pair]
            assert sorted(results) == [SUCCESS, DENIED]
            told = [any(text.startswith(ON) for text in running.said) for running in pair]
            assert told == [result == SUCCESS for result in results]
            assert "meanwhile" in " ".join(pair[results.index(DENIED)].messages[-3:])
        with applications.start(required, user) as running:
            winner = keys[results.index(SUCCESS)]
            running.reply(user.password, winner.code_at(now, steps=1))
            assert running.account == SUCCESS


def test_the_account_phase_of_an_enrolled_user_makes_no_system_call(applications, user, required, tmp_path):
    enrolled = user.enroll(backup_codes=2)
    rules = [rule for rule in stack("enroll=require") if not rule.startswith("account required pam_twofactor")]
    without = applications.service("without", *rules)
    found = []
    for name, code in ((without, enrolled.backup_codes[0]), (required, enrolled.backup_codes[1])):
        trace = tmp_path / name
        with applications.start(name, user, "-m", under=tracing(trace)) as running:
            running.reply(user.password, code)
            assert running.account == SUCCESS
        found.append([call.name for call in calls(trace, "account begins", "account returns")])
    assert found[0] == found[1] and "write" in found[0]
