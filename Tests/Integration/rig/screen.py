"""A program at a terminal: what it is told, what stands on its screen, and what a camera reads there."""

import copy
import re
import shlex
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


class _Terminal(pyte.HistoryScreen):
    """pyte's terminal with the alternate screen of xterm, which it does not know by itself."""

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
    """What a terminal of so many rows and columns makes of what is written to it."""

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
        """What stands on the screen, without blanks at the ends of lines."""
        return [line.rstrip() for line in self._screen.display]

    @property
    def is_covered(self) -> bool:
        """Whether what stands on the screen goes away again, with what stood there before underneath."""
        return self._screen.is_covered

    @property
    def text(self) -> str:
        return "\n".join(self.lines).rstrip("\n")

    @property
    def picture(self) -> str:
        """What stands on the screen, with every cell that has a colour of its own as ▒: those of a QR code."""
        rows = [self._screen.buffer[y] for y in range(self.rows)]
        cells = [[row[x] for x in range(self.columns)] for row in rows]
        lines = ["".join("▒" if cell.bg != "default" else cell.data for cell in line).rstrip() for line in cells]
        return "\n".join(lines).rstrip("\n")

    @property
    def uri(self) -> str:
        """The otpauth URI on the screen, put together where the terminal broke the line."""
        lines = self.picture.splitlines()
        first = next(number for number, line in enumerate(lines) if "otpauth://" in line)
        found = lines[first]
        # The rest of it is on a line of its own, without a blank.
        while len(lines[first]) == self.columns and " " not in lines[first + 1]:
            first += 1
            found += lines[first]
        return re.search(r"otpauth://\S+", found)[0]

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


class Screen(Emulation):
    """A program of an account at a terminal of so many rows and columns."""

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
        # The shell stays, as at a real terminal: it is what a stopped program comes back to.
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
        """Waits for the end and returns the exit status; minus the signal where one ended it."""
        self.terminal.expect(pexpect.EOF)
        self.terminal.close()
        return self.terminal.exitstatus if self.terminal.exitstatus is not None else -self.terminal.signalstatus

    def resize(self, rows: int, columns: int) -> None:
        """Gives the window another size, and tells the program."""
        self.rows, self.columns = rows, columns
        self._screen.resize(rows, columns)
        self.terminal.setwinsize(rows, columns)

    def hang_up(self) -> None:
        """Takes the terminal away, as when a window is closed or a connection is lost, and tells nobody else."""
        self.terminal.ptyproc.fileobj.close()
        self.terminal.ptyproc.closed = self.terminal.closed = True
        self.terminal.ptyproc.fd = self.terminal.child_fd = -1

    def process(self, name: str) -> int:
        """The process of that name which runs at the terminal."""
        found = {self.terminal.pid}
        # Children have higher numbers here: the sandbox has too few processes for them to begin again.
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
