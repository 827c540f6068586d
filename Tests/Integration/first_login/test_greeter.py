"""First logins in lightdm's GTK greeter, with Debian's services; its texts come from the accessibility tree.

The greeter shows one text: the question, or the last message since the last answer instead.
"""

import re
import time
from pathlib import Path

import pytest
from rig.clock import time_to_type
from rig.greeter import Greeter
from rig.one_time_password import Authenticator
from rig.process import run

QUESTION = "Code from the app"
HIDDEN = "password text"


@pytest.fixture(scope="module")
def greeter(products):
    with Greeter() as running:
        service = Path("/etc/pam.d/lightdm")
        text = service.read_text()
        text = text.replace("@include common-auth\n", "@include common-auth\nauth required pam_twofactor.so\n")
        text = text.replace("@include common-account\n", "account required pam_twofactor.so\n@include common-account\n")
        service.write_text(text)
        yield running


def enter(greeter: Greeter, user) -> None:
    """Types the name and the password."""
    greeter.wait()
    greeter.answer(user.name)
    greeter.wait(entry=HIDDEN)
    greeter.answer(user.password)


def shown_key(text: str) -> str:
    return re.search(r"(?m)^Key: ([A-Z2-7 ]+) \(", text)[1]


def sessions(user, count: int) -> list[str]:
    """Waits for `count` sessions that started in the user's home, and returns their users."""
    trace = user.home / "session"
    for _ in range(100):
        found = trace.read_text().split() if trace.exists() else []
        if len(found) >= count:
            break
        time.sleep(0.1)
    return found


def outcomes(log, count: int) -> list[str]:
    return [re.search(r" (?:method|reason)=(\S+)", message.text)[1] for message in log.of_module(count)]


def test_the_label_holds_key_and_backup_codes_of_a_first_login_and_the_next_login_asks_for_a_code(
    greeter, user, host_configuration, log, figure
):
    host_configuration("enroll = require")
    began = time.monotonic()
    enter(greeter, user)
    text = greeter.wait(QUESTION, HIDDEN)
    assert "Two-factor login is required on sandbox" in " ".join(text.split())
    key = shown_key(text)
    app = Authenticator.from_base32(key)
    greeter.answer(app.wrong_code(time_to_type()))
    assert shown_key(greeter.wait("^Wrong code", HIDDEN)) == key
    greeter.answer(app.code_at(time_to_type()))
    codes = re.findall(r"\b[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{5}\b", greeter.wait("stored the backup codes"))
    assert len(set(codes)) == 10
    greeter.answer("y")
    assert sessions(user, 1) == [user.name]
    enter(greeter, user)
    greeter.wait("^Verification code", HIDDEN)
    greeter.answer(codes[0])
    assert sessions(user, 2) == [user.name, user.name]
    figure(f"lightdm, two logins: {time.monotonic() - began:.1f} s")
    assert outcomes(log, 3) == ["exempt", "enrolled", "backup-code"]
    everything = "\n".join([*log.lines(), greeter.log()])
    assert not [secret for secret in (key, app.base32, *codes) if secret in everything]


def test_an_offer_is_declined_in_one_answer(greeter, user, host_configuration, log):
    host_configuration("enroll = offer")
    enter(greeter, user)
    text = " ".join(greeter.wait("Set it up now").split())
    assert "Two-factor login can be set up now on sandbox" in text
    greeter.answer("n")
    assert sessions(user, 1) == [user.name]
    assert outcomes(log, 1) == ["exempt"] and not (user.home / ".twofactor").exists()


def test_after_three_wrong_codes_the_label_says_to_log_in_again(greeter, user, host_configuration, log):
    host_configuration("enroll = require")
    enter(greeter, user)
    for _ in range(3):
        key = shown_key(greeter.wait(QUESTION, HIDDEN))
        greeter.answer(Authenticator.from_base32(key).wrong_code(time_to_type()))
    greeter.wait("log in again", HIDDEN)
    assert outcomes(log, 2) == ["exempt", "enrollment-declined"]
    assert not (user.home / ".twofactor").exists() and not sessions(user, 0)
    assert "twofactor" not in run("pgrep", "--uid", str(user.uid), "--list-full", status=None).stdout
    # The greeter goes on asking this user for the password, so this is the last test.
