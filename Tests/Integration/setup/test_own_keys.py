"""Devices with an existing key, such as hardware tokens: the key is typed, never an argument, and never shown."""

import json
import time

import pytest
from rig.clock import START
from rig.enrollment import twofactor
from rig.exit_status import DONE, REFUSED, UNUSABLE, USAGE
from rig.harness import Result
from rig.one_time_password import Authenticator
from rig.screen import Screen

KEY = b"12345678901234567890"
BASE32 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
TOKEN = Authenticator(KEY)


def test_a_token_is_added_by_its_key_and_counter(user, service):
    phone = user.enroll().authenticator
    answers = f"{phone.code_at(time.time())}\n{KEY.hex()}\n{TOKEN.code_for_counter(40)}\n"
    arguments = ["device", "add", "token", "--type", "hotp", "--counter", "37", "--ask-key"]
    done = user.twofactor(*arguments, answers=answers)
    said = done.stdout + done.stderr
    assert BASE32 not in said.replace(" ", "") and KEY.hex() not in said and "otpauth" not in said
    name = service()
    for counter, result in [(40, Result.AUTH_ERR), (39, Result.AUTH_ERR), (41, Result.SUCCESS)]:
        assert user.log_in(name, TOKEN.code_for_counter(counter)).result == result


@pytest.mark.parametrize(
    "typed",
    [
        BASE32,
        "gezd gnbv gy3t qojq gezd gnbv gy3t qojq",
        "GEZD-GNBV-GY3T-QOJQ-GEZD-GNBV-GY3T-QOJQ====",
        KEY.hex().upper(),
        "0x" + KEY.hex(),
        ":".join(f"{byte:02x}" for byte in KEY),
        f"hex:{KEY.hex()}",
        f"base32: {BASE32}",
    ],
)
def test_a_key_is_accepted_in_every_spelling(user, typed):
    done = twofactor("enable", "--ask-key", "--no-confirm", "--yes", "--json", "--user", user.name, answers=typed + "\n"
    )
    assert json.loads(done.stdout)["secret"] == BASE32


def test_enabling_with_an_own_key_leads_to_a_login(user, service):
    long = Authenticator(bytes(range(32)), algorithm="sha256", digits=8, period=60)
    options = ["--ask-key", "--algorithm", "sha256", "--digits", "8", "--period", "60", "--backup-codes", "0"]
    answers = f"{user.password}\n{bytes(range(32)).hex()}\n{long.code_at(time.time())}\n"
    user.twofactor("enable", *options, answers=answers)
    assert user.log_in(service(), long.code_at(START), at=START).result == Result.SUCCESS


def test_a_key_is_not_echoed_at_a_terminal(user):
    screen = Screen(user, "enable", "--ask-key", "--type", "hotp", "--backup-codes", "0", rows=40)
    screen.expect("Password: ").type(user.password)
    screen.expect("Key of the device, in Base32, hexadecimal or Base64: ").type(BASE32)
    screen.expect("Code from the device: ").type(TOKEN.code_for_counter(2))
    assert screen.ends() == DONE
    assert "GEZD" not in screen.scrollback and "otpauth" not in screen.scrollback
    assert user.devices() == ["phone"]


@pytest.mark.parametrize(
    ("key", "ended", "words"),
    [
        ("", UNUSABLE, "the key is empty"),
        ("not a key!", UNUSABLE, "neither Base32 nor hexadecimal nor Base64"),
        ("3132", UNUSABLE, "too short"),
        ("313", UNUSABLE, ""),
        ("2222222222222222", UNUSABLE, "hint: type base32: or hex:"),
        ("Gezdgnbvgy3tqojq", UNUSABLE, "hint: type base32: or base64:"),
        ("Q" * 300, UNUSABLE, "longer than 128 bytes"),
        ("A" * 600, REFUSED, "too long"),
    ],
)
def test_an_invalid_key_changes_nothing(user, key, ended, words):
    phone = user.enroll().authenticator
    answers = f"{phone.code_at(time.time())}\n{key}\n"
    done = user.twofactor("device", "add", "token", "--ask-key", "--type", "hotp", answers=answers, status=ended)
    assert words in done.stderr, done.stderr
    assert user.devices() == ["phone"]


def test_codes_of_another_key_change_nothing(user):
    answers = "\n".join([user.password, BASE32, *["755224", "287082", "359152"]]) + "\n"
    done = user.twofactor("enable", "--ask-key", "--type", "hotp", "--counter", "5000", answers=answers, status=REFUSED)
    assert "check the key" in done.stderr
    assert not user.directory.exists()
    # The input ends at the question for the key.
    user.twofactor("enable", "--ask-key", answers=f"{user.password}\n", status=REFUSED)
    user.twofactor("enable", "--counter", "1", status=USAGE)


def test_the_key_of_another_device_is_rejected(user):
    answers = f"{BASE32}\n"
    twofactor("enable", "--ask-key", "--no-confirm", "--yes", "--user", user.name, answers=answers)
    added = twofactor(
        "device", "add", "twin", "--ask-key", "--no-confirm", "--user", user.name, answers=answers, status=None
    )
    assert added.returncode != DONE and user.devices() == ["phone"]
