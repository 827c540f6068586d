"""Counts of a login that are equal on every run: instructions and system calls."""

import re
import subprocess
from collections import Counter
from pathlib import Path

# Calls that wait for the disk; counted apart.
FLUSHES = {"fsync", "fdatasync"}

MARKS = ("login begins", "login ends")


def instructions(callgrind_output: str) -> Counter:
    """Parses callgrind's output: instructions by the object file that executed them."""
    names: dict[str, str] = {}
    found: Counter = Counter()
    current, follows_call = "", False
    for line in callgrind_output.splitlines():
        if match := re.match(r"ob=(\(\d+\))(?: (.*))?", line):
            current = names.setdefault(match[1], match[2] or "")
        elif match := re.match(r"cob=(\(\d+\)) (.*)", line):
            names[match[1]] = match[2]
        elif line.startswith("calls="):
            # The next line holds the cost of the callee, which is counted there.
            follows_call = True
        elif match := re.match(r"(?:\+|-|\*|0x)?\w* (\d+)$", line):
            if not follows_call:
                found[current] += int(match[1])
            follows_call = False
    return found


def instructions_of_login(program: Path, services: Path, module: Path, order: str, scratch: Path) -> int:
    """How many instructions of the module a login executes, including its own copy of SHA."""
    output = scratch / "callgrind.out"
    under = ("valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={output}")
    run = subprocess.run(
        [*under, program, services], input=order + "\n", capture_output=True, text=True, timeout=120
    )
    if run.returncode != 0:
        raise RuntimeError(f"valgrind ended with {run.returncode}: {run.stderr[-1000:]}")
    return sum(count for name, count in instructions(output.read_text()).items() if name.endswith(module.name))


def _lines_of_last_login(trace: str) -> list[str]:
    """The lines of the last login in an strace trace of a host."""
    lines = trace.splitlines()
    begin, end = (max(n for n, line in enumerate(lines) if f'"{mark}"' in line) for mark in MARKS)
    return lines[begin + 1 : end]


def system_calls(trace: str) -> list[str]:
    """The names of the system calls of the last login in a trace."""
    lines = _lines_of_last_login(trace)
    # The number of blocks read from the user database depends on the host.
    lines = [line for before, line in zip(["", *lines], lines) if not (_is_block(before) and line.startswith("read("))]
    names = [match[1] for line in lines if (match := re.match(r"(\w+)\(", line))]
    # So does clock_gettime, which is a system call on some processors.
    return [name for name in names if name != "clock_gettime"]


def _is_block(line: str) -> bool:
    """Whether a whole block was read, so that more may follow."""
    return line.startswith("read(") and line.endswith("= 4096")


def opened_files(trace: str) -> list[str]:
    """The paths that the last login opened, as passed to the call."""
    opened = r'open(?:at)?\((?:\w+, )?"([^"]*)".*= \d+$'
    return [match[1] for line in _lines_of_last_login(trace) if (match := re.match(opened, line))]


def trace_of_login(program: Path, services: Path, first: str, order: str, scratch: Path) -> str:
    """An strace trace of a login.

    A login in the same process comes before it, so that the C library has cached the account sources and the time zone.
    """
    output = scratch / "strace.out"
    under = ["strace", "-o", output, program, services]
    subprocess.run(under, input=f"{first}\n{order}\n", capture_output=True, text=True, timeout=60, check=True)
    return output.read_text()


def system_calls_of_login(program: Path, services: Path, first: str, order: str, scratch: Path) -> list[str]:
    """The system calls from pam_start to pam_end of a login that follows another one."""
    return system_calls(trace_of_login(program, services, first, order, scratch))
