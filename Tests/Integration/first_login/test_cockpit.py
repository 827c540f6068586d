"""A first login in Cockpit, over the HTTP conversation of its login page."""

import re
import time
from pathlib import Path

import pytest
from rig.clock import time_to_type
from rig.cockpit import Cockpit
from rig.one_time_password import Authenticator
from rig.process import run


@pytest.fixture(scope="module")
def cockpit(products):
    with Cockpit(22190) as running:
        service = Path("/etc/pam.d/cockpit")
        text = re.sub(r"(?m)^auth .*common-auth$", r"\g<0>\nauth required pam_twofactor.so", service.read_text())
        service.write_text(re.sub(r"(?m)^account .*common-account$", r"account required pam_twofactor.so\n\g<0>", text))
        yield running


def shown_key(page) -> str:
    return re.search(r"Key: ([A-Z2-7 ]+) \(", page.question)[1]


def outcomes(log, count: int) -> list[str]:
    found = [re.search(r" (?:method|reason)=(\S+)", message.text)[1] for message in log.of_module(count)]
    assert len(found) == count
    return found


def remains(user) -> list[str]:
    """Processes and files of an enrollment."""
    processes = run("pgrep", "--uid", str(user.uid), "--list-full", status=None).stdout.splitlines()
    return [line for line in processes if "twofactor" in line] + [str(path) for path in user.home.glob(".twofactor*")]


def test_first_login_asks_three_questions_and_the_next_one_for_a_code(cockpit, user, host_configuration, log):
    host_configuration("enroll = require")
    page = cockpit.start(user)
    key = shown_key(page)
    assert "Two-factor login is required on sandbox" in " ".join(page.question.split())
    assert page.message == "" and not page.is_visible
    app = Authenticator.from_base32(key)
    page = cockpit.answer(page, app.code_at(time_to_type()))
    codes = re.findall(r"\b[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{5}\b", page.question)
    assert len(set(codes)) == 10 and page.message == "" and page.is_visible
    assert cockpit.answer(page, "y").is_let_in
    page = cockpit.start(user)
    assert page.question == "Verification code: "
    assert cockpit.answer(page, codes[0]).is_let_in
    assert outcomes(log, 3) == ["exempt", "enrolled", "backup-code"]
    # cockpit-session logs messages, but not questions.
    everything = cockpit.log() + "\n".join(log.lines())
    assert not [secret for secret in (key, key.replace(" ", ""), *codes) if secret in everything]


def test_three_wrong_codes_show_the_reason_on_the_page(cockpit, user, host_configuration, log):
    host_configuration("enroll = require")
    page = cockpit.start(user)
    key = shown_key(page)
    for _ in range(3):
        assert not page.is_let_in
        page = cockpit.answer(page, Authenticator.from_base32(key).wrong_code(time_to_type()))
    assert page.status == 403 and page.reason == "Two-factor login is required."
    assert outcomes(log, 2) == ["exempt", "enrollment-declined"]
    assert key not in cockpit.log() and not remains(user)


def test_a_user_who_does_not_answer_in_time_leaves_nothing(cockpit, user, host_configuration):
    host_configuration("enroll = require")
    with Cockpit(22191, answer_within=3) as hasty:
        page = hasty.start(user)
        assert any("twofactor" in line for line in remains(user))
        code = Authenticator.from_base32(shown_key(page)).code_at(time.time())
        for _ in range(100):
            if "timed out" in hasty.log() and not remains(user):
                break
            time.sleep(0.1)
        assert "timed out" in hasty.log() and not remains(user)
        assert hasty.answer(page, code).status == 401
    assert not remains(user)
