"""A program at a terminal: its input, its screen, and the QR code on it."""

import copy
import re
import shlex
from pathlib import Path

import pexpect
import pyte

from .machine import COMMAND, Account
from .process import run

# Default text and background colors.
DARK = ((229, 229, 229), (0, 0, 0))
LIGHT = ((0, 0, 0), (255, 255, 255))
SOLARIZED = ((131, 148, 150), (0, 43, 54))

COLORS = {"black": (0, 0, 0), "white": (229, 229, 229)}
CELL = (8, 16)


class _Terminal(pyte.HistoryScreen):
    """pyte's terminal plus xterm's alternate screen."""

    ALTERNATE_SCREEN = 1049
    has_alternate_screen = True
    _kept = None

    def set_mode(self, *modes, **options) -> None:
        wanted = self.ALTERNATE_SCREEN in modes and options.get("private")
        if wanted and self.has_alternate_screen and self._kept is None:
            self._kept = (copy.deepcopy(self.buffer), copy.copy(self.cursor), copy.deepcopy(self.history))
            self.erase_in_display(2)
        super().set_mode(*modes, **options)

    def reset_mode(self, *modes, **options) -> None:
        if self.ALTERNATE_SCREEN in modes and options.get("private") and self._kept is not None:
            self.buffer, self.cursor, self.history = self._kept
            self._kept = None
            self.dirty.update(range(self.lines))
        super().reset_mode(*modes, **options)

    @property
    def is_covered(self) -> bool:
        return self._kept is not None


class Emulation:
    """A terminal of so many rows and columns that shows the output of a program."""

    def __init__(self, rows: int, columns: int, has_alternate_screen: bool = True) -> None:
        self.rows, self.columns = rows, columns
        self.received = ""
        self._screen = _Terminal(columns, rows, history=1000)
        self._screen.has_alternate_screen = has_alternate_screen
        self._stream = pyte.ByteStream(self._screen)

    def feed(self, data: bytes) -> None:
        self.received += data.decode(errors="replace")
        self._stream.feed(data)

    @property
    def lines(self) -> list[str]:
        """The lines of the screen, without trailing blanks."""
        return [line.rstrip() for line in self._screen.display]

    @property
    def is_covered(self) -> bool:
        """Whether the alternate screen is active."""
        return self._screen.is_covered

    @property
    def text(self) -> str:
        return "\n".join(self.lines).rstrip("\n")

    @property
    def picture(self) -> str:
        """The screen, with ▒ for every cell with its own color: the modules of a QR code."""
        rows = [self._screen.buffer[y] for y in range(self.rows)]
        cells = [[row[x] for x in range(self.columns)] for row in rows]
        lines = ["".join("▒" if cell.bg != "default" else cell.data for cell in line).rstrip() for line in cells]
        return "\n".join(lines).rstrip("\n")

    @property
    def uri(self) -> str:
        """The otpauth URI on the screen, joined across lines."""
        lines = self.picture.splitlines()
        first = next(number for number, line in enumerate(lines) if "otpauth://" in line)
        found = lines[first]
        # The rest of the URI is a line without blanks.
        while len(lines[first]) == self.columns and " " not in lines[first + 1]:
            first += 1
            found += lines[first]
        return re.search(r"otpauth://\S+", found)[0]

    @property
    def scrollback(self) -> str:
        """The scrollback and the screen."""
        above = ["".join(row[column].data for column in range(self.columns)) for row in self._screen.history.top]
        return "\n".join(line.rstrip() for line in [*above, *self.lines])

    def qr_code(self, scheme, directory: Path) -> str | None:
        """The QR code on the screen as a camera reads it; None if there is none."""
        path = directory / "screen.ppm"
        path.write_bytes(self._picture(*scheme))
        return read_picture(path)

    def _picture(self, text, ground) -> bytes:
        width, height = CELL
        pixels = [[ground] * (self.columns * width) for _ in range(self.rows * height)]
        for y in range(self.rows):
            for x in range(self.columns):
                cell = self._screen.buffer[y][x]
                ink, paper = _color(cell.fg, text), _color(cell.bg, ground)
                if cell.reverse:
                    ink, paper = paper, ink
                for row in range(height):
                    for column in range(width):
                        filled = _is_ink(cell.data, column, row)
                        pixels[y * height + row][x * width + column] = ink if filled else paper
        body = bytes(value for line in pixels for pixel in line for value in pixel)
        return b"P6 %d %d 255\n" % (self.columns * width, self.rows * height) + body


class Screen(Emulation):
    """A program of an account at a terminal."""

    def __init__(
        self,
        account: Account,
        *arguments: str,
        rows: int = 24,
        columns: int = 80,
        environment: str = "LC_ALL=C.UTF-8 TERM=xterm-256color",
        program: str = str(COMMAND),
        has_alternate_screen: bool = True,
    ) -> None:
        super().__init__(rows, columns, has_alternate_screen)
        words = shlex.join(arguments)
        # The shell stays, as at a real terminal, for a program that stops itself.
        self.terminal = pexpect.spawn(
            "runuser",
            ["-l", account.name, "--session-command", f"exec env {environment} {program} {words}"],
            dimensions=(rows, columns),
            timeout=20,
        )
        self.terminal.logfile_read = self

    def write(self, data: bytes) -> None:
        self.feed(data)

    def flush(self) -> None:
        pass

    def expect(self, text: str) -> "Screen":
        self.terminal.expect_exact(text)
        return self

    def type(self, text: str) -> "Screen":
        self.terminal.sendline(text)
        return self

    def ends(self) -> int:
        """Waits for the end and returns the exit status, or minus the terminating signal."""
        self.terminal.expect(pexpect.EOF)
        self.terminal.close()
        return self.terminal.exitstatus if self.terminal.exitstatus is not None else -self.terminal.signalstatus

    def resize(self, rows: int, columns: int) -> None:
        """Resizes the window and signals the program."""
        self.rows, self.columns = rows, columns
        self._screen.resize(rows, columns)
        self.terminal.setwinsize(rows, columns)

    def hang_up(self) -> None:
        """Closes the terminal, as a closed window or a lost connection does."""
        self.terminal.ptyproc.fileobj.close()
        self.terminal.ptyproc.closed = self.terminal.closed = True
        self.terminal.ptyproc.fd = self.terminal.child_fd = -1

    def process(self, name: str) -> int:
        """The process ID of a program at the terminal."""
        found = {self.terminal.pid}
        # Children have higher IDs: the sandbox never wraps around.
        for process in sorted(int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()):
            try:
                command, rest = Path(f"/proc/{process}/stat").read_text().split("(", 1)[1].rsplit(") ", 1)
            except FileNotFoundError:
                continue
            if process in found or int(rest.split()[1]) in found:
                if command == name:
                    return process
                found.add(process)
        raise LookupError(f"no {name} runs at the terminal")


def read_picture(path: Path) -> str | None:
    """The text of the QR code in a picture; None if there is none."""
    read = run("zbarimg", "-q", "--raw", "-Sdisable", "-Sqrcode.enable", path, status=None)
    return read.stdout.strip() or None


def _color(name: str, default):
    if name == "default":
        return default
    return COLORS.get(name) or tuple(int(name[index : index + 2], 16) for index in (0, 2, 4))


def _is_ink(character: str, column: int, row: int) -> bool:
    """Whether a glyph covers a pixel of its cell: block characters exactly, others as a bar."""
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
