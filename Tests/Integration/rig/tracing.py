"""System calls of a program: traced, and then killed or made to fail in turn."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

LINE = re.compile(r"(\d+) +(\w+)\((.*)")


@dataclass(frozen=True)
class Call:
    """A system call: the `ordinal`-th of its name, counted from 1."""

    name: str
    ordinal: int
    text: str

    def __str__(self) -> str:
        return f"{self.name} number {self.ordinal}: {self.name}({self.text[:90]}"

    def killed(self) -> tuple[str, ...]:
        """The prefix that kills the program at this call."""
        return injecting(self.name, f"signal=SIGKILL:when={self.ordinal}")

    def failing(self, error: str) -> tuple[str, ...]:
        """The prefix that makes the call fail."""
        return injecting(self.name, f"error={error}:when={self.ordinal}")


def tracing(trace: Path, *options: str) -> tuple[str, ...]:
    """The prefix that traces a program."""
    return ("strace", "-f", *options, "-o", str(trace))


def injecting(call: str, fault: str) -> tuple[str, ...]:
    """The prefix that injects a fault (strace(1), inject) into a system call of the program, not of its children."""
    return ("strace", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:{fault}")


def calls(trace: Path, first: str, last: str | None = None) -> list[Call]:
    """The calls from the first trace line that contains `first` to the next that matches `last`, or to the end.

    Calls of children are left out.
    """
    found: list[Call] = []
    counts: Counter[str] = Counter()
    began, process = False, None
    for line in trace.read_text().splitlines():
        match = LINE.match(line)
        process = process or (match and match[1])
        if not match or match[1] != process:
            continue
        _, name, text = match.groups()
        counts[name] += 1
        if began and last is not None and re.search(last, line):
            return found
        # The user database that the program reads contains paths too.
        began = began or (first in line and name not in ("execve", "read"))
        if began and name != "exit_group":
            found.append(Call(name, counts[name], text))
    assert last is None and found, f"no call with {first!r} and then {last!r} in the trace"
    return found


# The errors of each call, from its man page, and EIO. EINTR must be handled.
ERRORS = {
    "openat": ("EACCES", "EMFILE", "ENFILE", "ENOMEM", "EIO", "EINTR"),
    "openat2": ("EACCES", "EMFILE", "ENFILE", "ENOMEM", "EIO", "EINTR"),
    "statx": ("EACCES", "ENOMEM", "EIO"),
    "fchown": ("EPERM", "EIO", "EROFS"),
    "openat2": ("EACCES", "EMFILE", "ENFILE", "ENOMEM", "EIO", "EINTR", "ENOSYS", "EPERM"),
    "ioctl": ("EIO", "EPERM", "ENOTTY"),
    "newfstatat": ("EACCES", "ENOMEM", "EIO"),
    "fstat": ("ENOMEM", "EIO"),
    "pread64": ("EIO", "EINTR"),
    "read": ("EIO", "EINTR"),
    "pwrite64": ("ENOSPC", "EDQUOT", "EROFS", "EIO", "EFBIG", "EINTR"),
    "fdatasync": ("EIO", "ENOSPC", "EDQUOT", "EROFS", "EINTR"),
    "fsync": ("EIO", "ENOSPC", "EDQUOT", "EROFS", "EINTR"),
    "ftruncate": ("EIO", "EPERM", "EINTR"),
    "fchmod": ("EPERM", "EIO", "ENOMEM", "EROFS"),
    "fcntl": ("ENOLCK", "EINTR"),
    "mkdirat": ("ENOSPC", "EDQUOT", "EROFS", "EACCES", "ENOMEM"),
    "renameat": ("ENOSPC", "EDQUOT", "EROFS", "EIO", "EACCES", "ENOMEM"),
    "renameat2": ("ENOSPC", "EROFS", "EIO", "EINVAL"),
    "unlinkat": ("EIO", "EROFS", "EACCES", "ENOMEM"),
    "setgroups": ("EPERM", "ENOMEM"),
    "setfsuid": ("EPERM",),
    "setfsgid": ("EPERM",),
    "fstatfs": ("EIO", "ENOSYS"),
    "getgroups": ("EINVAL",),
    "capget": ("EPERM",),
    "prctl": ("EPERM",),
    "getrandom": ("EAGAIN", "EINTR"),
    "prlimit64": ("EPERM",),
    "mmap": ("ENOMEM",),
    "signalfd4": ("EMFILE", "ENOMEM"),
    "write": ("EIO", "ENOSPC", "EPIPE"),
    "open": ("EACCES", "EMFILE", "EIO"),
    "lseek": ("EIO",),
    "access": ("EACCES",),
    "socket": ("EMFILE", "ENOMEM"),
    "connect": ("EACCES", "ECONNREFUSED"),
    "sendto": ("ENOBUFS", "ECONNREFUSED"),
    "mprotect": ("ENOMEM",),
    "munmap": ("ENOMEM",),
    "brk": ("ENOMEM",),
    "signalfd": ("EMFILE",),
    "getdents64": ("EIO", "ENOMEM"),
    "clock_nanosleep": ("EINTR",),
    "syncfs": ("EIO", "ENOSPC", "EDQUOT"),
    "setresuid": ("EAGAIN",),
    "chdir": ("EACCES", "EIO"),
    "close_range": ("ENOSYS", "EMFILE"),
}

# Additional errors of calls that open for writing, and of those that create a file.
ERRORS_OF_WRITERS = ("EROFS",)
ERRORS_OF_MAKERS = ("ENOSPC", "EDQUOT")

# Calls that cannot fail, or whose failure is not reported.
HARMLESS = {"close", "futex", "getpid", "getuid", "geteuid", "uname", "rt_sigprocmask", "rt_sigaction", "getcwd"}
HARMLESS |= {"alarm", "umask", "getgid", "getegid"}


def errors(call: Call) -> tuple[str, ...]:
    """The errors of this call."""
    found = ERRORS.get(call.name, ())
    if call.name in ("openat", "openat2") and ("O_RDWR" in call.text or "O_WRONLY" in call.text):
        found += ERRORS_OF_WRITERS
    if call.name == "openat" and "O_CREAT" in call.text:
        found += ERRORS_OF_MAKERS
    return found


def faults(found: list[Call]) -> list[tuple[Call, str]]:
    """Each call with each of its errors."""
    unknown = {call.name for call in found} - ERRORS.keys() - HARMLESS
    assert not unknown, f"add the errors of these calls to rig/tracing.py: {unknown}"
    return [(call, error) for call in found for error in errors(call)]
