"""`twofactor` at a terminal: complete screens, and what remains of them."""

import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from rig.machine import COMMAND, Account
from rig.one_time_password import Authenticator
from rig.screen import DARK, LIGHT, Screen

BACKUP_CODE = r"\b[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{5}\b"
DUMB = "TERM=dumb LC_ALL=C.UTF-8"


def authenticator(screen: Screen) -> Authenticator:
    return Authenticator.from_uri(screen.uri)


def secret(screen: Screen) -> str:
    return authenticator(screen).base32


def at_code(screen: Screen, user) -> Screen:
    return screen.expect("Password: ").type(user.password).expect("Code from the app: ")


def transcript_of_key(user, heading: str) -> tuple[str, ...]:
    return (
        heading,
        "",
        "Type the key into an app for one-time codes.",
        "Apps: Aegis, FreeOTP+, 2FAS, Google Authenticator, a password manager.",
        "",
        f"Key: {KEY} (time-based)",
        f"URI: otpauth://totp/Example:{user.name}?secret={SECRET}&issuer=Example",
    )


def enroll_at_terminal(user, *arguments: str, **options) -> tuple[Screen, str]:
    """A complete enrollment, and its key."""
    screen = at_code(Screen(user, "enable", *arguments, **options), user)
    key = secret(screen)
    screen.type(authenticator(screen).code_at(time.time()))
    screen.expect("[y/N] ").type("y")
    assert screen.ends() == 0, screen.text
    return screen, key


def masked(text: str, key: str | None = None) -> str:
    """The screen with its random parts masked."""
    if key:
        text = text.replace(key, "SECRET".ljust(32, "-"))
        for start in range(0, len(key), 4):
            text = re.sub(rf"\b{key[start : start + 4]}\b", "KKKK", text)
    text = re.sub(r"\d\d:\d\d:\d\d UTC", "HH:MM:SS UTC", text)
    text = re.sub(r"asks user\d+ for", "asks NAME for", text)
    return re.sub(BACKUP_CODE, "BBBBB-BBBBB", text)


def lines(*text: str) -> str:
    return "\n".join(text)


ENABLED = (
    "Two-factor is on.",
    "No login on this host asks NAME for a code yet.",
    "The administrator can see why with: twofactor doctor",
    "To undo it: twofactor disable",
)
KEY = "KKKK KKKK KKKK KKKK KKKK KKKK KKKK KKKK"
SECRET = "SECRET".ljust(32, "-")
QUIET = "▒" * 41
CODES = (
    "",
    "Backup codes, each good for one login when the phone is not at hand:",
    "",
    *(f"  {row:2}  BBBBB-BBBBB      {row + 5:2}  BBBBB-BBBBB" for row in range(1, 6)),
    "",
    "Keep them somewhere you can reach without this computer.",
    "They cannot be shown again later.",
    "Have you stored the backup codes in a safe place? [y/N] y",
    "",
    *ENABLED,
)
CODES_IN_ONE_COLUMN = (*CODES[:3], *["BBBBB-BBBBB"] * 10, *CODES[8:])
# Of the shell that started the command.
INTERRUPTED = 128 + signal.SIGINT
DELETION = "twofactor: interrupted, so nothing was changed\nhint: delete the new entry in the app"


def page_at_80_by_24(name: str, heading: str, *notice: str) -> str:
    beside = [
        heading,
        "",
        "Scan the QR code with an app for",
        "one-time codes, or type the key into",
        "it.",
        "Apps: Aegis, FreeOTP+, 2FAS, Google",
        "Authenticator, a password manager.",
        "",
        "Key: KKKK KKKK KKKK KKKK KKKK KKKK",
        "KKKK KKKK (time-based)",
        *(["", *notice] if notice else []),
    ]
    beside += [""] * (21 - len(beside))
    uri = f"URI: otpauth://totp/Example:{name}?secret={SECRET}&issuer=Example"
    return lines(*(f"{QUIET}  {text}".rstrip() for text in beside), uri[:80], uri[80:], "Code from the app:")


def test_the_screens_of_an_enrollment_at_80_by_24(user):
    screen = Screen(user, "enable", "--issuer", "Example").expect("Password: ")
    assert screen.text == "Password:"
    screen.type(user.password).expect("Code from the app: ")
    key = secret(screen)
    page = page_at_80_by_24(user.name, f"Two-factor login for {user.name}")
    assert screen.is_covered
    assert masked(screen.picture, key) == page
    screen.type(authenticator(screen).code_at(time.time())).expect("[y/N] ")
    assert not screen.is_covered
    screen.type("y")
    assert screen.ends() == 0
    assert masked(screen.text) == lines("Password:", *CODES)


def test_the_screens_of_an_enrollment_in_a_large_window(user):
    screen = at_code(Screen(user, "enable", "--issuer", "Example", rows=50, columns=100), user)
    key = secret(screen)
    assert masked(screen.picture, key) == lines(
        f"Two-factor login for {user.name}",
        "",
        "Scan the QR code with an app for one-time codes, or type the key into it.",
        "Apps: Aegis, FreeOTP+, 2FAS, Google Authenticator, a password manager.",
        "",
        f"Key: {KEY} (time-based)",
        f"URI: otpauth://totp/Example:{user.name}?secret={SECRET}&issuer=Example",
        "",
        # A quiet zone of four modules around the 37, if there is room.
        *["▒" * 45] * 23,
        "Code from the app:",
    )


def test_without_cursor_control_the_output_is_a_transcript(user):
    screen, key = enroll_at_terminal(
        user, "--issuer", "Example", "--qr", "none", environment=DUMB, rows=40, columns=100
    )
    code = re.search(r"Code from the app: (\d{6})", screen.text)[1]
    assert "\x1b" not in screen.received
    assert masked(screen.text.replace(code, "DIGITS"), key) == lines(
        "Password:",
        *transcript_of_key(user, f"Two-factor login for {user.name}"),
        "",
        "Code from the app: DIGITS",
        *CODES_IN_ONE_COLUMN,
    )
    # For a screen reader: one column of plain text, and nothing is erased.
    assert screen.received.isascii() and not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", screen.received)


def test_lists_have_one_column_on_a_simple_terminal(user):
    user.enroll()
    wide = Screen(user, "device", "list")
    assert wide.ends() == 0 and re.match(r"NAME +CODES +SINCE +LAST USED\n", wide.text)
    for arguments in (["device", "list"], ["users"], ["doctor"]):
        account = user if arguments[0] == "device" else ROOT
        screen = Screen(account, *arguments, environment=DUMB, rows=200, columns=200)
        screen.ends()
        assert "\x1b" not in screen.received and not re.search(r"[A-Z] {2,}[A-Z]", screen.text), screen.text
    screen = Screen(user, "device", "list", environment=DUMB)
    assert screen.ends() == 0
    assert re.fullmatch(r"NAME: phone\nCODES: .+\nSINCE: [0-9-]+\nLAST USED: .+", screen.text), screen.text


@pytest.mark.parametrize("terminal", ["", "dumb", "emacs", "unknown", "vt52"])
def test_a_terminal_without_control_sequences_gets_none(user, terminal):
    screen, _ = enroll_at_terminal(user, environment=f"TERM={terminal} LC_ALL=C.UTF-8", rows=70, columns=100)
    assert "\x1b" not in screen.received


def test_a_piped_transcript_is_plain(user):
    command = subprocess.Popen(
        ["runuser", "-u", user.name, "--", COMMAND, "enable", "--issuer", "Example"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    command.stdin.write(user.password + "\n")
    command.stdin.flush()
    said = ""
    while "Code from the app: " not in said:
        said += command.stdout.read(1)
    app = Authenticator.from_uri(said)
    said += command.communicate(app.code_at(time.time()) + "\ny\n", timeout=30)[0]
    assert command.returncode == 0
    assert masked(said, app.base32) == lines(
        "Password: ",
        *transcript_of_key(user, f"Two-factor login for {user.name}"),
        "",
        "Code from the app: ",
        *(line.replace("[y/N] y", "[y/N] ") for line in CODES),
        "",
    )


def test_the_screens_of_a_new_device(user):
    old = user.enroll(backup_codes=1)
    screen = Screen(user, "device", "add", "new phone", "--issuer", "Example").expect("backup code: ")
    code = old.authenticator.code_at(time.time())
    screen.type(code).expect("Code from the app: ")
    page = page_at_80_by_24(user.name, f"A new device for {user.name}: new phone")
    key = secret(screen)
    assert screen.is_covered
    assert masked(screen.picture, key) == page
    screen.type(authenticator(screen).code_at(time.time()))
    assert screen.ends() == 0
    assert screen.text == lines(
        f"Current code, or a backup code: {code}",
        "",
        "Logins now accept codes from new phone.",
        "To undo it: twofactor device remove 'new phone'",
    )


ROOT = Account("root", "")


def test_root_is_asked_for_no_secrets(user):
    screen = Screen(ROOT, "enable", "--user", user.name, "--issuer", "Example").expect("Code from the app: ")
    key = secret(screen)
    assert masked(screen.picture, key) == page_at_80_by_24(user.name, f"Two-factor login for {user.name}")
    screen.type(authenticator(screen).code_at(time.time()))
    assert screen.ends() == 0
    codes = [line for line in CODES if "[y/N]" not in line]
    assert masked(screen.text) == lines(*codes) + f" --user {user.name}"

    for line in (["backup-codes", "--backup-codes-file", f"{user.home}/codes"], ["show", "--qr", "none"], ["disable"]):
        screen = Screen(ROOT, *line, "--user", user.name, columns=100)
        assert screen.ends() == 0
        assert not re.search("[:?] $|Password|Current code", screen.received), screen.received


def test_a_requested_key_stays_on_the_screen(user):
    old = user.enroll("--issuer", "Example", backup_codes=1)
    options = ("--issuer", "Example", "--qr", "none")
    screen = Screen(user, "show", *options, columns=100).expect("Password: ").type(user.password)
    code = old.authenticator.code_at(time.time())
    screen.expect("backup code: ").type(code)
    assert screen.ends() == 0
    assert masked(screen.text, secret(screen)) == lines(
        "Password:",
        f"Current code, or a backup code: {code}",
        *transcript_of_key(user, f"phone of {user.name}"),
    )


def test_nothing_secret_stays_on_the_screen_if_the_backup_codes_are_in_a_file(user):
    screen, key = enroll_at_terminal(user, "--backup-codes-file", "codes")
    codes = re.findall(BACKUP_CODE, (user.home / "codes").read_text())
    assert len(codes) == 10
    assert masked(screen.scrollback).strip() == lines(
        "Password:",
        "",
        "The backup codes are in codes",
        "Have you stored the backup codes in a safe place? [y/N] y",
        "",
        *ENABLED,
    )


def test_a_terminal_without_an_alternate_screen_is_cleared(user):
    # Such a terminal ignores the sequence, like the Linux console.
    environment = "TERM=linux LC_ALL=C.UTF-8"
    screen = at_code(Screen(user, "enable", environment=environment, has_alternate_screen=False), user)
    key = secret(screen)
    screen.type(authenticator(screen).code_at(time.time()))
    screen.expect("[y/N] ").type("y")
    assert screen.ends() == 0
    assert masked(screen.text) == lines(*CODES)
    assert key not in screen.scrollback.replace(" ", "")


@pytest.mark.parametrize("rows", [50, 24])
def test_a_code_can_be_tried_three_times(user, rows):
    screen = at_code(Screen(user, "enable", "--issuer", "Example", rows=rows), user)
    key = secret(screen)
    wrong = authenticator(screen).wrong_code(time.time())
    for _ in range(2):
        screen.type(wrong).expect("Code from the app: ")
        assert "Wrong code. This host's clock says" in screen.text
        assert screen.text.endswith("Code from the app:") and screen.is_covered
    screen.type(wrong)
    assert screen.ends() == 1
    assert masked(screen.text, key) == lines(
        "Password:",
        "twofactor: no code was right, so nothing was changed; the last one: wrong code",
        "hint: delete the new entry in the app before you start again; this host's clock",
        "says HH:MM:SS UTC; the phone's clock must agree",
    )
    assert not user.directory.exists()


def test_a_late_code_is_reported_with_advice_about_the_clock(user):
    screen = at_code(Screen(user, "enable", "--issuer", "Example"), user)
    key = secret(screen)
    screen.type(authenticator(screen).code_at(time.time(), steps=-6)).expect("Code from the app: ")
    page = page_at_80_by_24(
        user.name,
        f"Two-factor login for {user.name}",
        "This code is right, but 3 minutes",
        "late. Type a code as soon as it is",
        "shown; if that does not help, set the",
        "phone's clock to automatic and check",
        "this host's clock with: timedatectl.",
    )
    assert masked(screen.picture, key) == page
    screen.type(authenticator(screen).code_at(time.time()))
    screen.expect("[y/N] ").type("yes")
    assert screen.ends() == 0


def test_backup_codes_that_are_not_stored_are_shown_again(user):
    screen = at_code(Screen(user, "enable", rows=50), user)
    screen.type(authenticator(screen).code_at(time.time()))
    screen.expect("[y/N] ").type("perhaps")
    screen.expect("Please answer yes or no.").expect("[y/N] ").type("")
    screen.expect("They cannot be shown again later.").expect("[y/N] ")
    first, *_, last = re.split(r"Have you stored the backup codes in a safe place\? \[y/N\]", screen.text)[:3]
    assert "Two-factor is not enabled until you have stored the backup codes.\n" in last
    assert "To give up, press Ctrl-C, then delete the new entry in the app.\n" in last
    assert re.findall(BACKUP_CODE, first) == re.findall(BACKUP_CODE, last) != []
    assert not user.directory.exists()
    screen.type("y")
    assert screen.ends() == 0
    assert user.status()["backup_codes_left"] == 10


def test_giving_up_at_the_backup_codes_enables_nothing(user):
    screen = at_code(Screen(user, "enable"), user)
    screen.type(authenticator(screen).code_at(time.time()))
    screen.expect("[y/N] ").terminal.sendeof()
    assert screen.ends() == 1
    assert screen.text.endswith(
        "twofactor: end of input at a question, nothing was changed\nhint: delete the new entry in the app"
    )
    assert not user.directory.exists()


def said(screen: Screen) -> str:
    """The screen without the message of the shell about the interruption."""
    return screen.text.removesuffix("Interrupt").rstrip("\n")


def test_giving_up_says_that_the_new_entry_is_to_be_deleted(user):
    screen = at_code(Screen(user, "enable"), user)
    screen.terminal.sendintr()
    assert screen.ends() == INTERRUPTED
    assert said(screen) == f"Password:\n{DELETION}"

    screen = at_code(Screen(user, "enable"), user)
    screen.terminal.sendeof()
    assert screen.ends() == 1
    assert screen.text.endswith(f"question, nothing was changed\n{DELETION.splitlines()[1]}")

    screen = at_code(Screen(user, "enable"), user)
    screen.type(authenticator(screen).code_at(time.time())).expect("[y/N] ").terminal.sendintr()
    assert screen.ends() == INTERRUPTED
    assert said(screen).endswith(f"[y/N] ^C\n{DELETION}")

    # Before the key is shown, the app has no entry.
    screen = Screen(user, "enable").expect("Password: ")
    screen.terminal.sendintr()
    assert screen.ends() == INTERRUPTED and said(screen) == "Password:"
    screen = Screen(user, "enable", "--ask-key").expect("Password: ").type(user.password).expect("hexadecimal")
    screen.type("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").expect("Code from the device: ").terminal.sendintr()
    assert screen.ends() == INTERRUPTED and "entry" not in screen.text
    assert not user.directory.exists()


def test_giving_up_at_a_further_device_or_a_replacement_names_the_new_entry(user):
    old = user.enroll(backup_codes=2)
    for arguments, code in ((("device", "add", "tablet"), old.backup_codes[0]), (("enable", "--force"), None)):
        screen = Screen(user, *arguments)
        if not code:
            screen.expect("Password: ").type(user.password)
        screen.expect("backup code: ").type(code or old.backup_codes[1]).expect("Code from the app: ")
        screen.terminal.sendintr()
        assert screen.ends() == INTERRUPTED
        assert said(screen).endswith(DELETION)
    assert [device["name"] for device in user.status()["devices"]] == ["phone"]


def test_a_hang_up_names_the_new_entry_on_standard_error_outside_the_terminal(user):
    screen = in_a_shell(user, "exec twofactor enable 2>errors")
    at_code(screen, user)
    process = screen.process("twofactor")
    screen.hang_up()
    while Path(f"/proc/{process}").exists():
        time.sleep(0.05)
    # Reading or writing may fail before the signal arrives.
    assert (user.home / "errors").read_text().endswith(f"\n{DELETION.splitlines()[1]}\n")
    assert not user.directory.exists()


@pytest.mark.parametrize(("rows", "columns"), [(17, 80), (24, 34), (12, 80)])
def test_if_no_qr_code_fits_the_key_is_shown_in_groups_of_four(user, rows, columns):
    screen = at_code(Screen(user, "enable", "--issuer", "Example", rows=rows, columns=columns), user)
    key = secret(screen)
    assert len(key) == 32 and "▒" not in screen.picture
    instruction = "The QR code does not fit on this terminal: type the key into an app, or make the window larger."
    assert instruction in screen.text.replace("\n", " ")
    assert masked(screen.text, key).replace("\n", " ").partition("URI: ")[0].count("KKKK") == 8
    screen.type(authenticator(screen).code_at(time.time())).expect("[y/N] ").type("y")
    assert screen.ends() == 0


def test_without_a_qr_code_the_hint_is_a_command_that_works(user):
    screen = at_code(Screen(user, "enable", rows=12, columns=70), user)
    text = screen.text.replace("\n", " ")
    assert "35 columns and 20 rows are enough." in text
    command = re.search(r"For a QR code, start again with: twofactor (.+?) Apps: ", text)[1]
    screen.terminal.close(force=True)
    assert command == "enable --qr-file code.png"


def test_a_window_too_small_for_the_page_gets_a_transcript(user):
    screen = at_code(Screen(user, "enable", rows=8, columns=40), user)
    assert not screen.is_covered and "\x1b" not in screen.received
    assert re.search(r"Key: ([A-Z2-7]{4}\s){8}", screen.scrollback)
    screen.terminal.close(force=True)


def test_a_resized_window_is_redrawn(user, scratch):
    screen = at_code(Screen(user, "enable", rows=17), user)
    assert screen.qr_code(DARK, scratch) is None
    # Typed characters are gone after the redraw.
    screen.terminal.send("99")
    screen.resize(30, 90)
    screen.expect("Code from the app: ")
    assert screen.text.endswith("Code from the app:")
    assert screen.qr_code(DARK, scratch) == screen.qr_code(LIGHT, scratch) == screen.uri
    screen.type(authenticator(screen).code_at(time.time())).expect("[y/N] ").type("y")
    assert screen.ends() == 0


def test_questions_are_visible_if_standard_output_is_redirected(user):
    screen = in_a_shell(user, "twofactor enable > transcript; echo status $?")
    screen.expect("Password: ").type(user.password).expect("Code from the app: ")
    app = Authenticator.from_uri((user.home / "transcript").read_text())
    screen.type(app.code_at(time.time())).expect("[y/N] ").type("y")
    screen.expect("status 0")
    assert app.base32 not in screen.received and "\x1b" not in (user.home / "transcript").read_text()


def test_piped_pages_and_questions_are_in_order(user):
    # Late, as cat on a busy host.
    cat = 'while IFS= read -r line; do case $line in Two-factor*) sleep 0.3 ;; esac; echo "$line"; done'
    line = f"twofactor enable --issuer Example | {cat}; echo status ${{PIPESTATUS[0]}}"
    screen = Screen(user, "-c", line, program="bash", rows=60, columns=100)
    screen.expect("Password: ").type(user.password).expect("Code from the app: ")
    key = secret(screen)
    wrong = authenticator(screen).wrong_code(time.time())
    screen.type(wrong).expect("Code from the app: ")
    code = authenticator(screen).code_at(time.time())
    screen.type(code).expect("[y/N] ").type("n").expect("[y/N] ").type("y").expect("status 0")
    text = masked(screen.text.replace(wrong, "WRONG").replace(code, "DIGITS"), key)
    key_page = lines("Password:", *transcript_of_key(user, f"Two-factor login for {user.name}"))
    assert text.startswith(key_page + "\n\nCode from the app: WRONG\nWrong code. "), text
    assert re.search(r"\nCode from the app: DIGITS\n\nBackup codes, (.*\n)+Have you stored .* n\nTwo-factor is not", text)
    assert text.endswith(lines(*CODES, "status 0"))


def test_the_json_is_not_on_the_page(user):
    screen = in_a_shell(user, "twofactor enable --json > object; echo status $?")
    at_code(screen, user)
    assert screen.is_covered
    screen.type(authenticator(screen).code_at(time.time())).expect("[y/N] ").type("y").expect("status 0")
    assert '"secret"' not in screen.received and '"secret"' in (user.home / "object").read_text()


def in_a_shell(user, line: str) -> Screen:
    return Screen(user, "-c", line, program="bash", rows=60)


def test_the_password_is_never_on_the_screen(user):
    screen, _ = enroll_at_terminal(user)
    assert user.password not in screen.received


def test_disabling_asks_for_password_and_code(user):
    screen, _ = enroll_at_terminal(user)
    codes = re.findall(BACKUP_CODE, screen.text)
    screen = Screen(user, "disable")
    typed = codes[0].lower().replace("-", " ")
    screen.expect("Password: ").type(user.password).expect("backup code: ").type(typed)
    assert screen.ends() == 0
    assert screen.text == lines(
        "Password:",
        f"Current code, or a backup code: {typed}",
        "9 backup codes left.",
        "Two-factor is off.",
        "Delete the entry in the app: its key is erased.",
        "To enable two-factor again, with a new key: twofactor enable",
    )
    assert not user.directory.exists()


def test_echo_is_restored_if_the_question_cannot_be_written(user):
    screen = in_a_shell(user, f"{COMMAND} enable > /dev/full 2>&1; stty -a")
    assert screen.ends() == 0
    assert " echo " in screen.text and " -echo " not in screen.text
