"""A program at a terminal: what it is told, what stands on its screen, and what a camera reads there."""

import re
import subprocess
from pathlib import Path

import pexpect
import pyte

from .machine import COMMAND, Account

# What a terminal's owner chose for text that names no colour: text and ground.
DARK = ((229, 229, 229), (0, 0, 0))
LIGHT = ((0, 0, 0), (255, 255, 255))
SOLARIZED = ((131, 148, 150), (0, 43, 54))

COLOURS = {"black": (0, 0, 0), "white": (229, 229, 229)}
CELL = (8, 16)


class Screen:
    """A program of an account at a terminal of so many rows and columns."""

    def __init__(
        self,
        account: Account,
        *arguments: str,
        rows: int = 24,
        columns: int = 80,
        environment: str = "LC_ALL=C.UTF-8 TERM=xterm-256color",
        program: str = str(COMMAND),
    ) -> None:
        self.rows, self.columns = rows, columns
        self._screen = pyte.HistoryScreen(columns, rows, history=1000)
        self._stream = pyte.ByteStream(self._screen)
        words = " ".join(f"'{argument}'" for argument in arguments)
        # The shell stays, as at a real terminal: it is what a stopped program comes back to.
        self.terminal = pexpect.spawn(
            "runuser",
            ["-l", account.name, "--session-command", f"exec env {environment} {program} {words}"],
            dimensions=(rows, columns),
            timeout=20,
        )
        self.terminal.logfile_read = self

    def write(self, data: bytes) -> None:
        self._stream.feed(data)

    def flush(self) -> None:
        pass

    def expect(self, text: str) -> "Screen":
        self.terminal.expect_exact(text)
        return self

    def type(self, text: str) -> "Screen":
        self.terminal.sendline(text)
        return self

    def ends(self) -> int:
        """Waits for the end and returns the exit status; minus the signal where one ended it."""
        self.terminal.expect(pexpect.EOF)
        self.terminal.close()
        return self.terminal.exitstatus if self.terminal.exitstatus is not None else -self.terminal.signalstatus

    @property
    def lines(self) -> list[str]:
        """What stands on the screen, without blanks at the ends of lines."""
        return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.lines).rstrip("\n")

    @property
    def scrollback(self) -> str:
        """Everything that was shown, above the screen and on it."""
        above = ["".join(row[column].data for column in range(self.columns)) for row in self._screen.history.top]
        return "\n".join(line.rstrip() for line in [*above, *self.lines])

    def qr_code(self, scheme, directory: Path) -> str | None:
        """What a camera reads on the screen; None where it reads nothing."""
        path = directory / "screen.ppm"
        path.write_bytes(self._picture(*scheme))
        return read_picture(path)

    def _picture(self, text, ground) -> bytes:
        width, height = CELL
        pixels = [[ground] * (self.columns * width) for _ in range(self.rows * height)]
        for y in range(self.rows):
            for x in range(self.columns):
                cell = self._screen.buffer[y][x]
                ink, paper = _colour(cell.fg, text), _colour(cell.bg, ground)
                if cell.reverse:
                    ink, paper = paper, ink
                for row in range(height):
                    for column in range(width):
                        filled = _is_ink(cell.data, column, row)
                        pixels[y * height + row][x * width + column] = ink if filled else paper
        body = bytes(value for line in pixels for pixel in line for value in pixel)
        return b"P6 %d %d 255\n" % (self.columns * width, self.rows * height) + body


def read_picture(path: Path) -> str | None:
    """The text of the QR code in a picture; None where there is none to be read."""
    read = subprocess.run(
        ["zbarimg", "-q", "--raw", "-Sdisable", "-Sqrcode.enable", path], capture_output=True, text=True, timeout=30
    )
    return read.stdout.strip() or None


def _colour(name: str, default):
    if name == "default":
        return default
    return COLOURS.get(name) or tuple(int(name[index : index + 2], 16) for index in (0, 2, 4))


def _is_ink(character: str, column: int, row: int) -> bool:
    """Whether a glyph covers a pixel of its cell: blocks by their definition, anything else as a bar."""
    width, height = CELL
    match character:
        case "" | " ":
            return False
        case "█" | "#":
            return True
        case "▀":
            return row < height // 2
        case "▄":
            return row >= height // 2
        case _:
            return 2 <= column < width - 2 and 6 <= row < 11


def uri(text: str) -> str:
    """The otpauth URI in a transcript, put together where the terminal broke the line."""
    found = re.search(r"otpauth://\S+(\n\S+)?", text)
    assert found, text
    return found[0].replace("\n", "")
