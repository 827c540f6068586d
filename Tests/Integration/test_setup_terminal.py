"""`twofactor` at a terminal: whole screens, the QR code as a camera sees it, and every way to stop."""

import re
import signal
import subprocess
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rig.one_time_password import Authenticator
from rig.screen import DARK, LIGHT, SOLARIZED, Screen, read_picture, uri

BACKUP_CODE = r"\b[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{5}\b"


@pytest.fixture
def user(products, new_account, password):
    return new_account(password=password)


def authenticator(screen: Screen) -> Authenticator:
    return Authenticator.from_base32(re.search(r"secret=([A-Z2-7]+)", uri(screen.scrollback))[1])


def reach_code_question(screen: Screen, user) -> Screen:
    return screen.expect("Password").type(user.password).expect("Code from the app: ")


def enrol(user, *arguments: str, **options) -> Screen:
    screen = reach_code_question(Screen(user, "enable", *arguments, **options), user)
    screen.type(authenticator(screen).code_at(time.time()))
    screen.expect("[y/N] ").type("y")
    assert screen.ends() == 0, screen.text
    return screen


def test_the_screen_of_an_enrolment_from_the_first_question_to_the_last_line(user):
    screen = enrol(user, "--issuer", "Example", rows=80, columns=100)
    text = screen.text
    for kind, pattern in [
        ("CODE", BACKUP_CODE),
        ("KEY", r"\b([A-Z2-7]{4} ){7}[A-Z2-7]{4}\b"),
        ("SECRET", r"(?<=secret=)[A-Z2-7]{32}"),
        ("DIGITS", r"\b\d{6}\b"),
    ]:
        text = re.sub(pattern, kind, text)
    text = re.sub(r"\n[█▀▄ \n]+\n(?=Code from the app)", "\n\nQR\n", text)
    assert text == (
        "Password:\n"
        f"Two-factor login for {user.name}\n"
        "\n"
        "Scan the QR code with an app for one-time codes on your phone (Aegis, FreeOTP+,\n"
        "2FAS, Google Authenticator, ...), or type the key into it.\n"
        "\n"
        "Key: KEY (time based)\n"
        f"URI: otpauth://totp/Example:{user.name}?secret=SECRET&issuer=Example\n"
        "\n"
        "QR\n"
        "Code from the app: DIGITS\n"
        "\n"
        "Backup codes, each good for one login when the phone is not at hand:\n"
        "\n"
        "   1  CODE       6  CODE\n"
        "   2  CODE       7  CODE\n"
        "   3  CODE       8  CODE\n"
        "   4  CODE       9  CODE\n"
        "   5  CODE      10  CODE\n"
        "\n"
        "Keep them where you find them without this computer. They are not shown again.\n"
        "Have you stored the backup codes in a safe place? [y/N] y\n"
        "\n"
        "Two-factor is on. The next login asks for a code after the password.\n"
        "To undo it: twofactor disable"
    )


@pytest.mark.parametrize("scheme", [DARK, LIGHT, SOLARIZED], ids=["dark", "light", "solarized"])
def test_the_qr_code_reads_at_80_by_24_with_the_question_on_the_same_screen(user, scheme, scratch):
    screen = reach_code_question(Screen(user, "enable"), user)
    assert screen.lines[-1] == "Code from the app:"
    assert screen.qr_code(scheme, scratch) == uri(screen.scrollback)
    screen.terminal.close(force=True)


@pytest.mark.parametrize("terminal", ["xterm-256color", "xterm", "linux"])
@pytest.mark.parametrize("scheme", [DARK, LIGHT], ids=["dark", "light"])
@pytest.mark.parametrize("form", ["utf8", "ansi", "ascii"])
def test_every_form_of_the_qr_code_reads(user, form, scheme, terminal, scratch):
    environment = f"LC_ALL=C.UTF-8 TERM={terminal}"
    screen = Screen(user, "enable", "--qr", form, rows=64, columns=120, environment=environment)
    reach_code_question(screen, user)
    assert screen.qr_code(scheme, scratch) == uri(screen.scrollback)
    screen.terminal.close(force=True)


@pytest.mark.parametrize("environment", ["LC_ALL=C TERM=xterm", "LC_ALL=de_DE.ISO-8859-1 TERM=xterm-256color"])
def test_without_a_locale_of_utf8_the_qr_code_still_reads(user, environment, scratch):
    screen = Screen(user, "enable", rows=64, columns=120, environment=environment)
    reach_code_question(screen, user)
    assert "█" not in screen.text
    assert screen.qr_code(LIGHT, scratch) == uri(screen.scrollback)
    screen.terminal.close(force=True)


def test_no_color_keeps_colours_away(user, scratch):
    screen = Screen(user, "enable", environment="LC_ALL=C.UTF-8 TERM=xterm-256color NO_COLOR=1")
    reach_code_question(screen, user)
    cells = [cell for row in screen._screen.buffer.values() for cell in row.values()]
    assert {(cell.fg, cell.bg) for cell in cells} == {("default", "default")}
    assert screen.qr_code(DARK, scratch) == uri(screen.scrollback)
    screen.terminal.close(force=True)


def test_where_no_qr_code_fits_the_key_is_there_in_groups_of_four(user):
    screen = reach_code_question(Screen(user, "enable", rows=12, columns=80), user)
    assert "█" not in screen.scrollback
    assert re.search(r"Key: ([A-Z2-7]{4} ){7}[A-Z2-7]{4}", screen.scrollback)
    assert "does not fit" in screen.scrollback
    screen.terminal.close(force=True)


def test_questions_are_seen_where_standard_output_is_taken_away(user):
    screen = in_a_shell(user, "twofactor enable > transcript; echo status $?")
    screen.expect("Password: ").type(user.password).expect("Code from the app: ")
    secret = re.search(r"secret=([A-Z2-7]+)", (user.home / "transcript").read_text())[1]
    screen.type(Authenticator.from_base32(secret).code_at(time.time())).expect("[y/N] ").type("y")
    screen.expect("status 0")
    assert "secret=" not in screen.text and "\x1b" not in (user.home / "transcript").read_text()


def test_the_password_is_never_on_the_screen(user):
    screen = enrol(user)
    assert user.password not in screen.scrollback


def test_a_code_may_be_tried_three_times(user):
    screen = reach_code_question(Screen(user, "enable"), user)
    wrong = authenticator(screen).wrong_code(time.time())
    for attempt in range(3):
        screen.type(wrong)
        if attempt < 2:
            screen.expect("Wrong code.").expect("Code from the app: ")
    assert screen.ends() == 1
    assert "nothing was changed" in screen.text and not (user.home / ".twofactor").exists()


def test_a_late_code_is_told_how_late_it_is(user):
    screen = reach_code_question(Screen(user, "enable"), user)
    screen.type(authenticator(screen).code_at(time.time(), steps=-6))
    screen.expect("This code is right, but 3 minutes late.").expect("Code from the app: ")
    screen.type(authenticator(screen).code_at(time.time()))
    screen.expect("[y/N] ").type("yes")
    assert screen.ends() == 0


def test_backup_codes_that_are_not_stored_switch_nothing_on(user):
    screen = reach_code_question(Screen(user, "enable"), user)
    screen.type(authenticator(screen).code_at(time.time()))
    screen.expect("[y/N] ").type("perhaps")
    screen.expect("Please answer yes or no.").expect("[y/N] ").type("")
    assert screen.ends() == 1
    assert not (user.home / ".twofactor").exists()


def at_password(screen: Screen, user) -> Screen:
    return screen.expect("Password: ")


def at_code(screen: Screen, user) -> Screen:
    return reach_code_question(screen, user)


def at_confirmation(screen: Screen, user) -> Screen:
    reach_code_question(screen, user).type(authenticator(screen).code_at(time.time()))
    return screen.expect("[y/N] ")


def in_a_shell(user, line: str) -> Screen:
    return Screen(user, "-c", line, program="bash", rows=60)


QUESTIONS = [at_password, at_code, at_confirmation]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.__name__)
def test_ctrl_c_at_any_question_restores_the_terminal_and_changes_nothing(user, question):
    screen = in_a_shell(user, "trap : INT; twofactor enable; echo status $?; stty -a; echo the end")
    question(screen, user)
    screen.terminal.sendintr()
    screen.expect("status 130").expect("the end")
    assert re.search(r"\secho\s", screen.text) and screen.ends() == 0
    assert not (user.home / ".twofactor").exists()


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.__name__)
def test_ctrl_d_at_any_question_changes_nothing(user, question):
    screen = Screen(user, "enable")
    question(screen, user)
    screen.terminal.sendeof()
    assert screen.ends() == 1
    assert not (user.home / ".twofactor").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.__name__)
def test_a_signal_at_any_question_takes_everything_back(user, question, number):
    files = "--qr-file qr.png --backup-codes-file codes"
    screen = in_a_shell(user, f"trap : INT HUP TERM; twofactor enable {files}; echo status $?; stty -a; echo the end")
    question(screen, user)
    subprocess.run(["pkill", f"-{int(number)}", "-u", user.name, "-x", "twofactor"], check=True, timeout=5)
    screen.expect(f"status {128 + number}").expect("the end")
    assert re.search(r"\secho\s", screen.text)
    for name in (".twofactor", "qr.png", "codes"):
        assert not (user.home / name).exists()


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.__name__)
def test_ctrl_z_at_any_question_gives_the_terminal_back_and_asks_again_afterwards(user, question):
    environment = "TERM=xterm LC_ALL=C.UTF-8 PS1=ready\\>"
    screen = Screen(user, "--norc", "-i", program="bash", rows=70, columns=100, environment=environment)
    screen.expect("ready>").type("twofactor enable")
    question(screen, user)
    screen.terminal.sendcontrol("z")
    screen.expect("Stopped").expect("ready>").type("stty -a | grep -o ' echo '; echo seen")
    screen.expect("echo").expect("seen")
    screen.type("fg")
    question_text = {at_password: "Password: ", at_code: "Code from the app: ", at_confirmation: "[y/N] "}[question]
    screen.expect(question_text)
    if question is at_password:
        assert not screen.terminal.getecho()
        screen.type(user.password).expect("Code from the app: ")
    if question in (at_password, at_code):
        screen.type(authenticator(screen).code_at(time.time()))
        screen.expect("[y/N] ")
    screen.type("y").expect("Two-factor is on.")
    screen.type("exit")
    screen.ends()
    assert (user.home / ".twofactor" / "credential").exists()
    assert user.password not in screen.scrollback


def test_a_terminal_that_hangs_up_changes_nothing(user):
    screen = reach_code_question(Screen(user, "enable", "--qr-file", "qr.svg"), user)
    screen.terminal.close(force=False)
    deadline = time.monotonic() + 5
    while (user.home / "qr.svg").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not (user.home / "qr.svg").exists() and not (user.home / ".twofactor").exists()


@pytest.mark.parametrize("file", ["code.png", "code.svg"])
def test_the_qr_code_in_a_file_reads(user, file, scratch):
    screen = enrol(user, "--qr-file", file, "--qr", "none")
    path = user.home / file
    assert path.stat().st_mode & 0o7777 == 0o600 and path.stat().st_uid == user.uid
    assert read_picture(path if file.endswith("png") else drawn(path, scratch)) == uri(screen.scrollback)


def drawn(path: Path, scratch: Path) -> Path:
    """The squares of an SVG as a bitmap: not every machine has a program that draws one."""
    picture = ElementTree.parse(path).getroot()
    side, scale = int(picture.get("viewBox").split()[2]), 4
    squares = re.findall(r"M(\d+) (\d+)h1v1h-1z", picture.findall("{*}path")[1].get("d"))
    dark = {(int(x), int(y)) for x, y in squares}
    size = range(side * scale)
    bitmap = bytes(0 if (x // scale, y // scale) in dark else 255 for y in size for x in size)
    (scratch / "drawn.pgm").write_bytes(b"P5 %d %d 255\n" % (len(size), len(size)) + bitmap)
    return scratch / "drawn.pgm"


def test_disabling_asks_for_password_and_code(user):
    screen = enrol(user, rows=60)
    codes = re.findall(BACKUP_CODE, screen.text)
    screen = Screen(user, "disable")
    screen.expect("Password").type(user.password).expect("backup code: ").type(codes[0].lower().replace("-", " "))
    assert screen.ends() == 0
    assert screen.text.endswith(
        "9 backup codes left.\n"
        "Two-factor is off. From now on the password alone is enough.\n"
        "To undo it: twofactor enable"
    )
    assert not (user.home / ".twofactor").exists()
