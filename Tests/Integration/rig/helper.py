"""A client of the helper's protocol (pam/helper-protocol.md), which starts the installed helper as a user."""

import ctypes
import secrets
import struct
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from .machine import HELPER
from .one_time_password import Authenticator
from .process import run
from .register import STORE

NAMES = ("done", "malformed", "unknown version", "unknown request", "unavailable", "failed") + (
    "refused", "absent", "forbidden", "no ticket",
)
EXIT = (0, 65, 65, 65, 78, 74, 77, 77, 77, 77)
REASONS = ("", "insecure", "corrupt", "io", "absent", "missing", "gone", "configuration")
METHODS = ("", "totp", "hotp", "backup-code", "grace")
REFUSALS = ("", "no-reply", "malformed-reply", "wrong-code", "wrong-backup-code", "outside-window") + (
    "reused-code", "reused-backup-code", "throttled", "locked",
)
LIMIT = 20480
KEEP, END_OF_PASSWORD, HOST_STORE = 1, 2, 4


def message(number: int, body: bytes = b"", version: int = 1, length: int | None = None) -> bytes:
    rest = bytes([version, number]) + body
    return struct.pack("<I", len(rest) if length is None else length) + rest


def text_field(content: bytes) -> bytes:
    return struct.pack("<H", len(content)) + content


def check(code: str | bytes, flags: int = 0) -> bytes:
    content = code if isinstance(code, bytes) else code.encode()
    return message(2, bytes([flags]) + text_field(content))


def change(
    addition: str, ticket: bytes = b"", flags: int = 0, removed: bytes = b"", states: tuple[tuple[int, int], ...] = ()
) -> bytes:
    """The request `replace`."""
    body = text_field(ticket) + bytes([flags]) + text_field(removed) + text_field(addition.encode())
    return message(3, body + b"".join(struct.pack("<Qq", *state) for state in states))


def remove(ticket: bytes) -> bytes:
    return message(4, text_field(ticket))


def show(ticket: bytes) -> bytes:
    return message(7, text_field(ticket))


STATUS, REGISTER_REQUEST, UNREGISTER_REQUEST = message(1), message(5), message(6)


class Fields:
    """The fields of a body, read in order."""

    def __init__(self, body: bytes) -> None:
        self.rest = body

    def take(self, count: int) -> bytes:
        assert len(self.rest) >= count, self.rest
        found, self.rest = self.rest[:count], self.rest[count:]
        return found

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        return struct.unpack("<q", self.take(8))[0]

    def field(self) -> bytes:
        return self.take(struct.unpack("<H", self.take(2))[0])


@dataclass(frozen=True)
class Checked:
    """The body of the answers `done` and `refused` to `check`."""

    method: str
    refusal: str
    number: int
    backup_codes_left: int
    code_length: int
    backup_code_used_at: int
    offset: int
    period: int
    device: str
    ticket: bytes = field(repr=False)


@dataclass(frozen=True)
class Answer:
    """The status is None if there was no answer."""

    status: str | None
    exit: int
    body: bytes = b""

    @property
    def reason(self) -> str:
        return REASONS[self.body[0]]

    @property
    def text(self) -> str:
        """The description of a failure."""
        return self.body[1:].decode() if self.status == "failed" else ""

    @property
    def checked(self) -> Checked:
        fields = Fields(self.body)
        code, names = fields.byte(), METHODS if self.status == "done" else REFUSALS
        found = Checked(
            names[code] if self.status == "done" else "", names[code] if self.status == "refused" else "",
            fields.number(), fields.byte(), fields.byte(), fields.number(), fields.number(), fields.number(),
            fields.field().decode(), fields.field(),
        )
        assert not fields.rest, self.body
        return found

    @property
    def ticket(self) -> bytes:
        assert self.status == "done", self
        return self.checked.ticket

    @property
    def report(self) -> dict:
        """The body of the answer to `status`."""
        fields = Fields(self.body)
        found = {name: fields.number() for name in ("enabled", "last_used", "failures")}
        found["throttling"] = (fields.byte(), fields.number())
        found["backup_codes"], found["backup_codes_left"] = fields.byte(), fields.byte()
        found["setting"] = fields.field().decode()
        found["devices"] = []
        while fields.rest:
            kind, factor, algorithm, digits = fields.byte(), fields.number(), fields.byte(), fields.byte()
            offset, enabled, used, name = fields.number(), fields.number(), fields.number(), fields.field().decode()
            found["devices"].append((kind, factor, algorithm, digits, offset, enabled, used, name))
        return found


def parse(output: bytes, status: int) -> Answer:
    if not output:
        return Answer(None, status)
    assert struct.unpack("<I", output[:4])[0] == len(output) - 4 and output[4] == 1, output
    assert EXIT[output[5]] == status, (output, status)
    return Answer(NAMES[output[5]], status, output[6:])


def start(user, *, group: int | None = None, program=HELPER, **options) -> subprocess.Popen:
    """Starts the helper as a user, with pipes at 0 and 1."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen(
        [program], **{**pipes, **options}, user=user.uid, group=user.gid if group is None else group, extra_groups=[]
    )


def ask(
    user, request: bytes, *, arguments: list | None = None, environment: dict | None = None, program=HELPER,
    under: tuple = (), **options,
) -> Answer:
    """Sends one request as a user. `arguments` include the program's name; `under` is a command prefix."""
    words = [*map(str, under), program] if under else arguments if arguments is not None else [program]
    done = subprocess.run(
        words, executable=None if under else program, input=request, capture_output=True, user=user.uid,
        group=user.gid, extra_groups=[], env=environment or {}, timeout=30, **options,
    )
    return parse(done.stdout, done.returncode)


def ask_traced(user, request: bytes, *under, environment: dict | None = None) -> Answer:
    """Like ask(), but root runs `under`, a tracer: if the user traced the helper, it would not have the group."""
    words = [*under, "setpriv", f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups", HELPER]
    done = subprocess.run(
        [str(word) for word in words], input=request, capture_output=True, timeout=60, env=environment
    )
    return parse(done.stdout, done.returncode)


def ask_at_once(user, requests: list[bytes], gate: Path | None = None, before_gate: int = 0) -> list[Answer]:
    """Sends all requests, and creates `gate` when so many helpers have been started.

    A shell starts all of them within their time limit.
    """
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        for number, request in enumerate(requests):
            Path(folder, f"request{number + 1}").write_bytes(request)
        opening = f"if [ $n = {before_gate} ]; then : >gate; fi"
        starting = f"[ $n = 0 ] || {HELPER} <request$n >$n &"
        script = f"for n in $(seq 0 {len(requests)}); do {opening}; {starting} done; wait"
        if gate is not None:
            gate.symlink_to(Path(folder, "gate"))
        run("sh", "-c", script, user=user, cwd=folder, timeout=100)
        if gate is not None:
            gate.unlink()
            gate.touch()
        outputs = [Path(folder, str(number + 1)).read_bytes() for number in range(len(requests))]
    assert all(outputs), "a helper did not answer"
    return [parse(output, EXIT[output[5]]) for output in outputs]


@dataclass(frozen=True)
class HostEnrollment:
    """An enrollment in the host store that its user made through the helper."""

    user: object = field(repr=False)
    authenticator: Authenticator
    backup_codes: list[str]

    @property
    def directory(self):
        return STORE / str(self.user.uid)

    def code(self, steps: int = 0) -> str:
        return self.authenticator.code_at(time.time(), steps=steps)

    def wrong(self) -> str:
        return self.authenticator.wrong_code(time.time())

    def ask(self, request: bytes, **options) -> Answer:
        return ask(self.user, request, **options)

    def check(self, code: str, flags: int = 0, **options) -> Answer:
        return self.ask(check(code, flags), **options)

    def status(self) -> dict:
        return self.ask(STATUS).report

    def failures(self) -> int:
        return self.status()["failures"]


ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def hashed(code: str, setting: str) -> str:
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    return crypt(code.encode(), setting.encode()).decode()


def device_line(authenticator: Authenticator, name: str = "phone") -> str:
    return (
        f"device type=totp algorithm={authenticator.algorithm} digits={authenticator.digits} "
        f"period={authenticator.period} enabled=1700000000 secret={authenticator.base32} name={name}\n"
    )


def credential(*lines: str) -> str:
    """A credential file; its generation is ignored."""
    return f"twofactor-credential 1\ngeneration {'0' * 32}\nenabled 1700000000\n{''.join(lines)}end\n"


def enroll_through_helper(user, backup_codes: int = 0, ticket: bytes = b"") -> HostEnrollment:
    """Enrolls the user, or replaces the enrollment with a ticket."""
    authenticator = Authenticator(secrets.token_bytes(20))
    codes = ["".join(secrets.choice(ALPHABET) for _ in range(10)) for _ in range(backup_codes)]
    setting = f"$y$j9T${secrets.token_hex(8)}$"
    lines = [f"backup-code {hashed(code, setting)}\n" for code in codes]
    answer = ask(user, change(credential(device_line(authenticator), *lines), ticket))
    assert answer.status == "done", (answer, answer.text)
    return HostEnrollment(user, authenticator, codes)
