"""The QR code as a camera reads it, and the URI as other programs parse it."""

import re
import socket
import time
from pathlib import Path
from xml.etree import ElementTree

import passlib.totp
import pyotp
import pytest
from rig.enrollment import twofactor, twofactor_json
from rig.machine import Account
from rig.one_time_password import Authenticator
from rig.process import run
from rig.screen import DARK, LIGHT, SOLARIZED, Emulation, Screen, read_picture
from rig.ssh import Server


def at_code(screen: Screen, user) -> Screen:
    return screen.expect("Password: ").type(user.password).expect("Code from the app: ")


@pytest.mark.parametrize("terminal", ["xterm-256color", "xterm", "linux"])
@pytest.mark.parametrize("form", ["auto", "utf8", "ansi", "ascii"])
def test_every_form_of_the_qr_code_is_readable_on_every_background(user, form, terminal, scratch):
    environment = f"LC_ALL=C.UTF-8 TERM={terminal}"
    screen = Screen(user, "enable", "--qr", form, rows=64, columns=120, environment=environment)
    at_code(screen, user)
    for ground in (DARK, LIGHT, SOLARIZED):
        assert screen.qr_code(ground, scratch) == screen.uri
    screen.terminal.close(force=True)


@pytest.mark.parametrize("ground", [DARK, LIGHT, SOLARIZED], ids=["dark", "light", "solarized"])
@pytest.mark.parametrize("issuer", ["Example", "long-named-server.example.org"])
def test_the_qr_code_at_80_by_24_is_readable_beside_the_question(user, ground, issuer, scratch):
    screen = at_code(Screen(user, "enable", "--issuer", issuer), user)
    assert screen.text.endswith("Code from the app:")
    read = screen.qr_code(ground, scratch)
    assert read.startswith(f"otpauth://totp/{issuer}:{user.name}?secret=") and read.endswith(f"&issuer={issuer}")
    prove(screen, read)


CLOUD = "ip-10-123-123-123.ap-southeast-2.compute.internal"
LONGEST = "ip-10-123-123-123.a-region-with-a-long-name-20.compute.internal"


@pytest.fixture
def host_name():
    """Renames the sandbox."""
    name = socket.gethostname()
    yield socket.sethostname
    socket.sethostname(name)


SMALL = {
    # On one page, with the key.
    "80x24": (24, 80, "sandbox", "sha1"),
    "80x24, 49 characters": (24, 80, CLOUD, "sha1"),
    "80x24, 63 characters": (24, 80, LONGEST, "sha1"),
    "80x24, SHA-256": (24, 80, "sandbox", "sha256"),
    # Alone, with the question below it.
    "60x24": (24, 60, "sandbox", "sha1"),
    "60x24, 63 characters": (24, 60, LONGEST, "sha1"),
    "60x24, SHA-256": (24, 60, "sandbox", "sha256"),
    "40x20": (20, 40, "sandbox", "sha1"),
    # Alone in the whole window.
    "80x24, SHA-512": (24, 80, "sandbox", "sha512"),
    "40x20, 17 characters": (20, 40, CLOUD[:17], "sha1"),
}


@pytest.mark.parametrize(("rows", "columns", "host", "algorithm"), SMALL.values(), ids=SMALL)
def test_the_qr_code_is_readable_on_a_small_terminal(user, rows, columns, host, algorithm, host_name, scratch):
    host_name(host)
    screen = at_code(Screen(user, "enable", "--algorithm", algorithm, rows=rows, columns=columns), user)
    fills = "and Enter again to come back." in screen.text.replace("\n", " ")
    if fills:
        screen.type("")
        wait_for_picture(screen)
    read = screen.qr_code(DARK, scratch)
    assert read == screen.qr_code(LIGHT, scratch), screen.text
    assert read.endswith(f"&issuer={host}" + ("" if algorithm == "sha1" else f"&algorithm={algorithm.upper()}"))
    assert len(host) < 40 or read.count(host) == 1
    app = Authenticator.from_uri(read)
    if screen.text.endswith("Press Enter to see the key.\nCode from the app:"):
        # Enter turns the page, and is no attempt.
        for _ in range(4):
            screen.type("").expect("Press Enter to see the QR code").expect("Code from the app: ")
            assert screen.uri.startswith("otpauth://totp/") and app.base32 in screen.uri
            screen.type("").expect("Press Enter to see the key").expect("Code from the app: ")
    elif fills:
        screen.type("").expect("Code from the app: ")
    prove(screen, read, algorithm)


def wait_for_picture(screen: Screen) -> None:
    """Reads until the QR code fills the window."""
    while "▒" not in "".join(screen.picture.splitlines()[screen.rows - 1 :]):
        screen.terminal.expect(r"[\s\S]+")


NO_ROOM = {
    "80x24, SHA-256, 63 characters": (24, 80, LONGEST, "sha256", "enable --algorithm sha256 --issuer "),
    "60x20, SHA-512": (20, 60, "sandbox", "sha512", "enable --algorithm sha512 --qr-file code.png"),
    "40x20, 63 characters": (20, 40, LONGEST, "sha1", "enable --algorithm sha1 --issuer "),
}


@pytest.mark.parametrize(("rows", "columns", "host", "algorithm", "hint"), NO_ROOM.values(), ids=NO_ROOM)
def test_the_hint_gives_a_readable_qr_code(user, rows, columns, host, algorithm, hint, host_name, scratch):
    host_name(host)
    screen = at_code(Screen(user, "enable", "--algorithm", algorithm, rows=rows, columns=columns), user)
    text = screen.text.replace("\n", " ")
    command = re.search(r"For a QR code, start again with: twofactor (.+?) Apps: ", text)[1]
    width, height = map(int, re.search(r"(\d+) columns and (\d+) rows are enough\.", text).groups())
    assert command.startswith(hint)
    screen.resize(height, width)
    screen.expect("Press Enter to see the key.").expect("Code from the app: ")
    assert screen.qr_code(DARK, scratch).startswith("otpauth://")
    screen.terminal.close(force=True)

    screen = at_code(Screen(user, *command.split(), rows=rows, columns=columns), user)
    if "--qr-file" in command:
        assert read_picture(user.home / "code.png") == screen.uri
    else:
        if "and Enter again" in screen.text.replace("\n", " "):
            screen.type("")
            wait_for_picture(screen)
        assert f"&issuer={command.split()[-1]}&" in screen.qr_code(DARK, scratch) + "&"
    screen.terminal.close(force=True)


def prove(screen: Screen, read: str, algorithm: str = "sha1") -> None:
    """Finishes the enrollment with a code of the QR code."""
    app = Authenticator.from_base32(Authenticator.from_uri(read).base32, algorithm=algorithm)
    screen.type(app.code_at(time.time())).expect("[y/N] ").type("y")
    assert screen.ends() == 0


@pytest.mark.parametrize("environment", ["LC_ALL=C TERM=xterm", "LC_ALL=de_DE.ISO-8859-1 TERM=xterm-256color"])
def test_without_a_utf8_locale_the_qr_code_is_readable(user, environment, scratch):
    screen = at_code(Screen(user, "enable", rows=64, columns=120, environment=environment), user)
    assert "█" not in screen.text
    assert screen.qr_code(DARK, scratch) == screen.qr_code(LIGHT, scratch) == screen.uri
    screen.terminal.close(force=True)


def test_a_smaller_form_is_used_if_the_larger_one_does_not_fit(user, scratch):
    screen = at_code(Screen(user, "enable", environment="LC_ALL=C TERM=xterm-256color"), user)
    assert "█" in screen.text
    assert screen.qr_code(DARK, scratch) == screen.qr_code(LIGHT, scratch) == screen.uri
    screen.terminal.close(force=True)


def test_no_color_disables_colors_and_keeps_the_page(user, scratch):
    screen = Screen(user, "enable", environment="LC_ALL=C.UTF-8 TERM=xterm-256color NO_COLOR=1")
    at_code(screen, user)
    assert screen.is_covered and not re.search(r"\x1b\[[0-9;]*m", screen.received)
    prove(screen, screen.qr_code(DARK, scratch))


def test_without_cursor_control_the_qr_code_has_no_colors(user, scratch):
    screen = at_code(Screen(user, "enable", environment="LC_ALL=C.UTF-8 TERM=dumb", rows=40), user)
    assert "\x1b" not in screen.received
    prove(screen, screen.qr_code(DARK, scratch))


@pytest.mark.parametrize("form", ["utf8", "ascii"])
def test_a_requested_form_is_drawn_without_a_terminal(user, form, scratch):
    options = ["enable", "--user", user.name, "--no-confirm", "--yes", "--qr", form]
    drawn = twofactor(*options).stdout
    assert "\x1b" not in drawn
    # ASCII draws the dark modules, as on paper; half blocks draw the light ones.
    emulation = Emulation(70, 120)
    emulation.feed(drawn.replace("\n", "\r\n").encode())
    read = emulation.qr_code(LIGHT if form == "ascii" else DARK, scratch)
    assert read == re.search(r"otpauth://\S+", drawn)[0]


@pytest.mark.parametrize("file", ["code.png", "code.svg"])
@pytest.mark.parametrize("options", [(), ("--algorithm", "sha512", "--digits", "8", "--type", "hotp")])
def test_the_qr_code_in_a_file_is_readable(user, file, options, scratch):
    screen = at_code(Screen(user, "enable", "--qr-file", file, "--qr", "none", *options, rows=40), user)
    assert f"The QR code is in {file}" in screen.text
    path = user.home / file
    assert path.stat().st_mode & 0o7777 == 0o600 and path.stat().st_uid == user.uid
    assert read_picture(path if file.endswith("png") else drawn(path, scratch)) == screen.uri
    screen.terminal.close(force=True)


def drawn(path: Path, scratch: Path) -> Path:
    """Renders the squares of an SVG as a bitmap: not every machine has a renderer."""
    picture = ElementTree.parse(path).getroot()
    side, scale = int(picture.get("viewBox").split()[2]), 4
    squares = re.findall(r"M(\d+) (\d+)h1v1h-1z", picture.findall("{*}path")[1].get("d"))
    dark = {(int(x), int(y)) for x, y in squares}
    size = range(side * scale)
    bitmap = bytes(0 if (x // scale, y // scale) in dark else 255 for y in size for x in size)
    (scratch / "drawn.pgm").write_bytes(b"P5 %d %d 255\n" % (len(size), len(size)) + bitmap)
    return scratch / "drawn.pgm"


@pytest.mark.parametrize("alternate_screen", ["on", "off"])
def test_the_qr_code_is_readable_in_tmux_and_gone_afterwards(user, alternate_screen, scratch):
    tmux = ["runuser", "-u", user.name, "--", "tmux", "-S", f"{user.home}/socket"]
    shell = "exec env LC_ALL=C.UTF-8 PS1=ready\\> sh"
    configuration = user.home / "tmux.conf"
    configuration.write_text(f"set -g alternate-screen {alternate_screen}\n")
    start = ["-f", str(configuration), "-u", "new-session", "-d", "-x", "80", "-y", "24", shell]
    run(*tmux, *start, cwd=user.home)
    try:
        window = TmuxWindow(tmux)
        window.wait_for("ready>")
        window.type("twofactor enable")
        window.wait_for("Password:")
        window.type(user.password)
        window.wait_for("Code from the app:")
        emulation = Emulation(24, 80)
        emulation.feed(window.capture("-e", "-N").replace("\n", "\r\n").encode())
        read = emulation.qr_code(DARK, scratch)
        assert read == emulation.qr_code(LIGHT, scratch)
        app = Authenticator.from_uri(read)
        window.type(app.code_at(time.time()))
        window.wait_for("[y/N]")
        window.type("y")
        window.wait_for("To undo it: twofactor disable")
        everything = window.capture("-S", "-")
        assert everything.startswith("ready>twofactor enable\nPassword:\n") and "\n\nBackup codes" in everything
        assert "Key:" not in everything and "otpauth" not in everything
        assert app.base32 not in everything.replace(" ", "").replace("\n", "") and "█" not in everything
    finally:
        run(*tmux, "kill-server", status=None)


class TmuxWindow:
    """The only window of a tmux server."""

    def __init__(self, tmux: list[str]) -> None:
        self._tmux = tmux

    def type(self, line: str) -> None:
        run(*self._tmux, "send-keys", "-l", "--", line)
        run(*self._tmux, "send-keys", "Enter")

    def capture(self, *options: str) -> str:
        line = [*self._tmux, "capture-pane", "-p", *options]
        return run(*line).stdout.rstrip("\n")

    def wait_for(self, text: str) -> None:
        while text not in self.capture():
            time.sleep(0.05)


def test_the_qr_code_is_readable_over_ssh(user, system_service, scratch):
    service = system_service("over-ssh", "auth required pam_unix.so", "account required pam_unix.so")
    with Server(service, scratch / service) as server:
        program, *arguments = server.arguments(user, "LC_ALL=C.UTF-8 twofactor enable")
        screen = Screen(Account("root", ""), "-tt", *arguments, program=program)
        screen.expect("assword: ").type(user.password)
        at_code(screen, user)
        prove(screen, screen.qr_code(DARK, scratch))


READERS = {
    "sha1": (),
    "sha256": ("--algorithm", "sha256"),
    "sha512, 8 digits": ("--algorithm", "sha512", "--digits", "8"),
    "60 seconds": ("--period", "60"),
    "hotp": ("--type", "hotp", "--digits", "8"),
    "blanks and letters": ("--issuer", "Müller Söhne", "--account", "zoë/one@example.org"),
}


@pytest.mark.parametrize("options", READERS.values(), ids=READERS)
def test_other_programs_parse_the_uri(user, options):
    made = twofactor_json("enable", "--user", user.name, "--no-confirm", "--yes", *options)
    device, uri = made["device"], made["uri"]
    wanted = dict(zip(options[::2], options[1::2]))
    issuer, account = wanted.get("--issuer", socket.gethostname()), wanted.get("--account", user.name)
    now = int(time.time())

    # PyOTP, a library for one-time passwords.
    read = pyotp.parse_uri(uri)
    assert (read.issuer, read.name, read.secret) == (issuer, account, made["secret"])
    code = read.at(0) if device["type"] == "hotp" else read.at(now)
    assert (read.digits, read.digest().name) == (device["digits"], device["algorithm"])

    # oathtool, which takes the parameters as options.
    line = ["oathtool", "--base32", f"--digits={device['digits']}"]
    line += ["--hotp", "--counter=0"] if device["type"] == "hotp" else [f"--totp={device['algorithm']}"]
    line += [] if device["type"] == "hotp" else [f"--now=@{now}", f"--time-step-size={device['period']}s"]
    assert run(*line, made["secret"]).stdout.strip() == code

    if device["type"] == "totp":
        # Passlib, a library of many web services.
        other = passlib.totp.TOTP.from_uri(uri)
        assert (other.issuer, other.label) == (issuer, account)
        assert other.generate(now).token == code
        assert (other.period, other.digits, other.alg) == (device["period"], device["digits"], device["algorithm"])


def test_a_uri_with_every_special_character_is_parsed(user):
    # PyOTP unescapes before it splits the URI, so it is left out.
    names = ("--issuer", "a&b=c?d#e%20/ü", "--account", "f&g=h?i#j%25/é@k")
    made = twofactor_json("enable", "--user", user.name, "--no-confirm", "--yes", *names)
    read = passlib.totp.TOTP.from_uri(made["uri"])
    assert (read.issuer, read.label) == (names[1], names[3])
