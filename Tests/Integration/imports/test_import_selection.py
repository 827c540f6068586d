"""`twofactor import` of a text with several accounts: the list, the choice, and the code of the device."""

import json
import re
import time
from pathlib import Path

import pytest
from rig.clock import time_to_type
from rig.enrollment import twofactor, twofactor_json
from rig.exit_status import DONE, REFUSED, UNUSABLE, USAGE
from rig.one_time_password import Authenticator
from rig.screen import Screen

SHOP, OTHER, MAIL = (Authenticator(bytes([number]) * 20) for number in (17, 34, 51))
EIGHT = Authenticator(b"\x44" * 20, digits=8)
KEYS = [app.base32 for app in (SHOP, OTHER, MAIL, EIGHT)]
LINES = [
    f"otpauth://totp/Shop:alice?secret={SHOP.base32}&issuer=Shop",
    f"otpauth://totp/Shop:bob%40example.org?secret={OTHER.base32}&issuer=Shop",
    f"otpauth://totp/Mail:alice?secret={MAIL.base32}&issuer=Mail&digits=7",
    f"otpauth://totp/Bank:carol?secret={EIGHT.base32}&issuer=Bank&digits=8",
]


@pytest.fixture
def export(user) -> Path:
    """A file of the user with four accounts, the third of which cannot be used."""
    return write(user, *LINES)


def write(user, *lines: str) -> Path:
    path = user.home / "export"
    path.write_text("".join(line + "\n" for line in lines))
    path.chmod(0o644)
    return path


def shows_no_key(text: str) -> bool:
    return not any(key in text.replace(" ", "").replace("\n", "") for key in KEYS)


def enrolled_key(user) -> str:
    """The key of the only device."""
    text = (user.directory / "credential").read_text()
    assert text.count("\ndevice ") == 1
    return re.search(r" secret=([A-Z2-7]+)", text)[1]


def at_list(user, path: Path, *options: str, **screen) -> Screen:
    return Screen(user, "import", *options, str(path), rows=40, columns=100, **screen).expect("or a part of the name: ")


def test_a_number_of_the_list_chooses_an_account(user, export):
    screen = at_list(user, export)
    rows = [re.search(rf"^ +{number}  (.*)$", screen.text, re.MULTILINE)[1] for number in (1, 2, 3, 4)]
    assert rows[:2] == ["Shop: alice", "Shop: bob@example.org"] and rows[3] == "Bank: carol"
    assert rows[2].startswith("Mail: alice: cannot be used: ") and "seven-digit" in rows[2]
    assert "will be called phone" in screen.text
    for answer in ("0", "5", "-1", "shop", "nobody", ""):
        screen.type(answer).expect("or a part of the name: ")
    screen.type("4").expect("Password: ").type(user.password).expect("Code from the device: ")
    assert not user.directory.exists()
    screen.type(EIGHT.code_at(time_to_type()))
    assert screen.ends() == DONE, screen.text
    assert enrolled_key(user) == EIGHT.base32 and shows_no_key(screen.scrollback)
    [device] = user.status()["devices"]
    assert (device["name"], device["digits"]) == ("phone", 8)


def test_a_part_of_a_name_chooses_an_account(user, export):
    screen = at_list(user, export, "--no-confirm", "--name", "bob's phone")
    assert "will be called bob's phone" in screen.text
    screen.type("BOB@").expect("Password: ").type(user.password)
    assert screen.ends() == DONE and enrolled_key(user) == OTHER.base32
    assert user.devices() == ["bob's phone"]


def test_after_an_account_that_cannot_be_used_the_question_comes_again(user, export):
    screen = at_list(user, export).type("3").expect("or a part of the name: ")
    assert "Mail: alice cannot be used: " in screen.text and "Choose another one" in screen.text
    screen.type("mail").expect("or a part of the name: ")
    screen.terminal.send("\x03")
    assert screen.ends() == 130 and not user.directory.exists()


@pytest.mark.parametrize("key", ["\x03", "\x04"])
def test_giving_up_at_the_list_changes_nothing(user, export, key):
    screen = at_list(user, export)
    screen.terminal.send(key)
    assert screen.ends() == (130 if key == "\x03" else REFUSED)
    assert not user.directory.exists()


@pytest.mark.parametrize(
    ("text", "app"), [("BOB", OTHER), ("bank", EIGHT), ("carol", EIGHT), ("b@EXAMPLE.o", OTHER), ("SHOP: AL", SHOP)]
)
def test_select_names_an_account_in_any_case(user, export, text, app):
    answer = twofactor_json("import", "--user", user.name, "--select", text, str(export))
    assert answer["secret"] == app.base32 and answer["device"]["name"] == "phone"


@pytest.mark.parametrize(
    ("options", "words", "listed"),
    [
        ((), "4 accounts", ["Shop: alice", "Shop: bob@example.org", "Mail: alice", "Bank: carol"]),
        (("--select", "nobody"), "no account matches", ["Shop: alice", "Bank: carol"]),
        (("--select", "alice"), "2 accounts match", ["Shop: alice", "Mail: alice"]),
        (("--select", "mail"), "seven-digit", []),
    ],
)
def test_without_a_terminal_the_accounts_are_listed(user, export, options, words, listed):
    done = twofactor("import", "--user", user.name, *options, str(export), status=UNUSABLE)
    assert words in done.stderr and all(label in done.stderr for label in listed), done.stderr
    assert ("Shop: bob" in done.stderr) == ("Shop: bob@example.org" in listed or "nobody" in options)
    assert ("--select" in done.stderr) == (listed != [])
    assert shows_no_key(done.stdout + done.stderr) and not user.directory.exists()
    text = f"{user.password}\n123456\n{export.read_text()}"
    done = user.twofactor("import", *options, answers=text, status=UNUSABLE)
    assert words in done.stderr and shows_no_key(done.stdout + done.stderr) and not user.directory.exists()


def test_the_serial_number_chooses_a_token(user, new_user):
    text = "".join(f"T{number}00{number},{app.secret.hex()}\n" for number, app in enumerate((SHOP, OTHER, MAIL), 1))
    words = ("import", "--user", user.name, "--type", "totp", "--columns", "serial,key", "--from", "csv")
    done = twofactor(*words, answers=text, status=UNUSABLE)
    assert all(f"serial number T{number}00{number}" in done.stderr for number in (1, 2, 3))
    assert not any(app.secret.hex() in done.stderr for app in (SHOP, OTHER, MAIL))
    answer = twofactor_json(*words, "--select", "t2002", answers=text)
    assert answer["secret"] == OTHER.base32


def test_an_empty_select_is_a_usage_error(user, export):
    twofactor("import", "--user", user.name, "--select", "", str(export), status=USAGE)


def test_wrong_codes_of_the_device_change_nothing(user, export):
    screen = at_list(user, export).type("1").expect("Password: ").type(user.password)
    for _ in range(3):
        screen.expect("Code from the device: ").type(SHOP.wrong_code(time.time()))
    assert screen.ends() == REFUSED and "nothing was changed" in screen.text
    assert not user.directory.exists()


def test_the_code_comes_before_the_text_on_standard_input(user):
    path = write(user, LINES[0])
    for code, ended in ((SHOP.wrong_code(time.time()), REFUSED), ("", REFUSED), (None, DONE)):
        code = SHOP.code_at(time_to_type()) if code is None else code
        answers = f"{user.password}\n{code}\n"
        done = user.twofactor("import", answers=answers + path.read_text(), status=ended)
        assert user.directory.exists() == (ended == DONE) and shows_no_key(done.stdout + done.stderr)
    # The code is used up.
    user.twofactor("verify", answers=f"{code}\n", status=REFUSED)


def test_without_confirmation_only_the_password_is_asked(user):
    path = write(user, LINES[0])
    done = user.twofactor("import", "--no-confirm", "--json", str(path), answers=f"{user.password}\n")
    assert json.loads(done.stdout)["secret"] == SHOP.base32 and "Code" not in done.stderr


def test_root_is_asked_for_no_code(user, export):
    done = twofactor("import", "--user", user.name, "--select", "bob", str(export), answers="")
    assert "Code" not in done.stdout + done.stderr and enrolled_key(user) == OTHER.base32


def test_a_terminal_is_told_how_the_input_ends(user):
    screen = Screen(user, "import", "--no-confirm", rows=40).expect("Password: ").type(user.password)
    screen.expect("an empty line ends").expect(": ").type(LINES[0]).expect(": ").type("")
    assert screen.ends() == DONE and shows_no_key(screen.scrollback) and enrolled_key(user) == SHOP.base32


def test_control_characters_of_a_label_are_escaped(user):
    path = write(user, LINES[0], f"otpauth://totp/Evil:%1B%5B2J%0Aroot?secret={OTHER.base32}")
    screen = at_list(user, path)
    [row] = [line for line in screen.text.splitlines() if re.match(r" +2  ", line)]
    assert "\x1b[2J" not in screen.received and ("root" in row or "Evil" in row)
    screen.terminal.send("\x03")
    screen.ends()
    done = twofactor("import", "--user", user.name, str(path), status=UNUSABLE)
    assert "\x1b" not in done.stderr and len(done.stderr.splitlines()) == 2


def test_a_counter_that_is_ahead(user):
    text = f"otpauth://hotp/token?secret={SHOP.base32}&counter=4\n"
    resync = "if the device is out of step: use --no-confirm, and then: twofactor device resync phone"
    refused = {SHOP.code_for_counter(54): resync, "12345": "a code of the device has 6 digits"}
    for code, hint in refused.items():
        done = user.twofactor("import", answers=f"{user.password}\n{code}\n{text}", status=REFUSED)
        assert done.stderr.endswith(f"\nhint: {hint}\n")
    done = user.twofactor("import", answers=f"{user.password}\n{SHOP.code_for_counter(6)}\n{text}")
    assert "  phone: counter-based, the next counter is 7\n" in done.stdout
