"""Hosts of a fleet whose enrollments are in PostgreSQL, and users who log in on any of them.

A host is the sandbox with other settings: each has its own /etc/security/twofactor-postgresql.conf, in a mount
namespace. The users have HOTP devices, so that they need not wait for the next code.
"""

import contextlib
import functools
import itertools
import secrets
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from .clock import standing_at
from .helper import STATUS, Answer, change, credential, message, parse, text_field
from .one_time_password import Authenticator
from .postgresql import SETTINGS, Database, Host, host_group

NUMBERS = itertools.count(1)
ACCOUNTS = 3000
STORE = Path("/usr/local/libexec/twofactor/twofactor-store-postgresql")
FIRST_ID = 20_000
WINDOW, LOOK_AHEAD, MAX_FAILURES = 1, 10, 100


def login(code: str, *, flags: int = 0, grace: int = 0, key: bytes = b"") -> bytes:
    """The request of a module, which accepts backup codes. `grace` is in seconds; a `key` has 24 bytes."""
    limits = bytes([flags, WINDOW, LOOK_AHEAD, MAX_FAILURES, 1])
    return message(9, limits + struct.pack("<Q", grace) + text_field(key) + text_field(code.encode()))


def assert_refused(answer: Answer, reason: str, text: str) -> None:
    """The request failed, for this reason; whether the user is enrolled is not said."""
    assert answer.status == "failed", answer
    assert (answer.reason, text in answer.text) == (reason, True), (answer.reason, answer.text)


def refusal(answer: Answer) -> str:
    return answer.checked.refusal if answer.status == "refused" else str(answer.status)


class Client:
    """A host that asks the database."""

    def __init__(self, host: Host, settings: str) -> None:
        self.host = host
        self.settings = SETTINGS.with_name(f"settings-{next(NUMBERS)}-of-{host.name}")
        self.write(settings)
        bind = f"mount --bind {self.settings} {SETTINGS} && echo ready && exec sleep infinity"
        command = ("unshare", "--mount", "--propagation", "private", "sh", "-c", bind)
        self._namespace = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert self._namespace.stdout.readline() == b"ready\n"
        self.prefix = ("nsenter", f"--mount=/proc/{self._namespace.pid}/ns/mnt", "--")

    def write(self, settings: str) -> None:
        # In place, because the file is mounted.
        self.settings.write_text(settings)
        self.settings.chmod(0o640)
        shutil.chown(self.settings, "root", host_group())

    def close(self) -> None:
        self._namespace.kill()
        self._namespace.wait()
        self.settings.unlink()

    def start(self, user: str, request: bytes, at: float | None = None) -> subprocess.Popen:
        """Starts the store program for a user, as a module of root does, and sends the request; `at` is its time."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen((*self.prefix, STORE, user), **pipes, env=standing_at(at))
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(request)
            process.stdin.flush()
        return process

    def ask(self, user: str, request: bytes, at: float | None = None) -> Answer:
        return ended(self.start(user, request, at))

    def check(self, user: "User", code: str | None = None) -> Answer:
        """Sends `code`, or else an unused code of the user."""
        if code is not None:
            return self.ask(user.name, login(code))
        return user.learn(self.ask(user.name, login(user.unused_code())))

    def status(self, user: str) -> Answer:
        return self.ask(user, STATUS)


def ended(process: subprocess.Popen) -> Answer:
    """Waits for a started program. Returns its answer, whose status is None if the program was killed."""
    output, _ = process.communicate(timeout=30)
    return parse(output, process.returncode) if output else Answer(None, process.returncode)


class User:
    """A user with an HOTP device."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.authenticator = Authenticator(secrets.token_bytes(20), digits=8)
        self.counter = 0
        # Whether the current code is known to be used.
        self.used = False

    @property
    def code(self) -> str:
        return self.authenticator.code_for_counter(self.counter)

    def unused_code(self) -> str:
        """The current code, or the next one if that is used. Codes far ahead of the last used one are refused."""
        self.counter += self.used
        self.used = False
        return self.code

    def learn(self, answer: Answer) -> Answer:
        """Notes what an answer to the current code tells. A code without an answer may be used or not."""
        if answer.status == "done" or (answer.status == "refused" and answer.checked.refusal == "reused-code"):
            self.used = True
        return answer

    def enrollment(self) -> bytes:
        """The request that enrolls the user."""
        line = (
            f"device type=hotp algorithm=sha1 digits=8 counter=0 enabled=1700000000 "
            f"secret={self.authenticator.base32} name=token\n"
        )
        return change(credential(line))


@functools.cache
def names() -> Iterator[str]:
    """The names of accounts, each once. They have no homes."""
    found = [f"member{number}" for number in range(ACCOUNTS)]
    with Path("/etc/passwd").open("a") as file:
        file.writelines(f"{name}:x:{FIRST_ID + number}:{FIRST_ID}::/:/bin/sh\n" for number, name in enumerate(found))
    return iter(found)


class Fleet:
    """The database, two hosts of the group web, and users."""

    def __init__(self, database: Database, *, pooled: bool = False, hosts: int = 2) -> None:
        self.database = database
        self.clients: list[Client] = []
        for number in range(1, hosts + 1):
            name = f"web0{number}"
            host = database.hosts.get(name) or database.add_host(name, "web")
            database.configure(host, pooled=pooled)
            self.clients.append(Client(host, database.settings(host, pooled=pooled)))

    def close(self) -> None:
        for client in self.clients:
            client.close()

    def name(self) -> str:
        """The name of an account without an enrollment."""
        return next(names())

    def enroll(self) -> User:
        user = User(self.name())
        answer = self.clients[0].ask(user.name, user.enrollment())
        assert answer.status == "done", (answer, answer.text)
        return user

    def wait_until_accepted(self, user: User, patience: float = 15) -> float:
        """Logs in until a code is accepted. Returns the seconds."""
        started = time.monotonic()
        while self.clients[0].check(user).status != "done":
            assert time.monotonic() - started < patience, f"no login in {patience} seconds"
        return time.monotonic() - started


@contextlib.contextmanager
def fleet(database: Database, **options) -> Iterator[Fleet]:
    found = Fleet(database, **options)
    try:
        yield found
    finally:
        found.close()
