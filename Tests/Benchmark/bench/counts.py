"""What can be counted of a login, and is the same each time: instructions and system calls."""

import re
import subprocess
from collections import Counter
from pathlib import Path

# What a login waits for the disk with; counted apart.
FLUSHES = {"fsync", "fdatasync"}

MARKS = ("login begins", "login ends")


def instructions(callgrind_output: str) -> Counter:
    """Instructions by object file, each counted where it was executed, from what callgrind wrote."""
    names: dict[str, str] = {}
    found: Counter = Counter()
    current, follows_call = "", False
    for line in callgrind_output.splitlines():
        if match := re.match(r"ob=(\(\d+\))(?: (.*))?", line):
            current = names.setdefault(match[1], match[2] or "")
        elif match := re.match(r"cob=(\(\d+\)) (.*)", line):
            names[match[1]] = match[2]
        elif line.startswith("calls="):
            # The line after it says what the callee cost, which is counted there.
            follows_call = True
        elif match := re.match(r"(?:\+|-|\*|0x)?\w* (\d+)$", line):
            if not follows_call:
                found[current] += int(match[1])
            follows_call = False
    return found


def instructions_of_login(program: Path, services: Path, module: Path, order: str, scratch: Path) -> int:
    """How many instructions of the module itself a login executes, its own copy of SHA included."""
    output = scratch / "callgrind.out"
    under = ("valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={output}")
    run = subprocess.run(
        [*under, program, services], input=order + "\n", capture_output=True, text=True, timeout=120
    )
    if run.returncode != 0:
        raise RuntimeError(f"valgrind ended with {run.returncode}: {run.stderr[-1000:]}")
    return sum(count for name, count in instructions(output.read_text()).items() if name.endswith(module.name))


def _lines_of_last_login(trace: str) -> list[str]:
    """What the last login in a trace of a host by strace called."""
    lines = trace.splitlines()
    begin, end = (max(n for n, line in enumerate(lines) if f'"{mark}"' in line) for mark in MARKS)
    return lines[begin + 1 : end]


def system_calls(trace: str) -> list[str]:
    """The names of the calls of the last login in a trace of a host by strace."""
    lines = _lines_of_last_login(trace)
    # How many blocks the user database has, which is read until the user is found, is the host's matter.
    lines = [line for before, line in zip(["", *lines], lines) if not (_is_block(before) and line.startswith("read("))]
    names = [match[1] for line in lines if (match := re.match(r"(\w+)\(", line))]
    # The clock of the processor is the host's own question.
    return [name for name in names if name != "clock_gettime"]


def _is_block(line: str) -> bool:
    """Whether a whole block of a file was read, behind which there may be more."""
    return line.startswith("read(") and line.endswith("= 4096")


def opened_files(trace: str) -> list[str]:
    """The paths that the last login in a trace opened: as they were given, relative ones included."""
    opened = r'open(?:at)?\((?:\w+, )?"([^"]*)".*= \d+$'
    return [match[1] for line in _lines_of_last_login(trace) if (match := re.match(opened, line))]


def trace_of_login(program: Path, services: Path, first: str, order: str, scratch: Path) -> str:
    """What strace saw of a login.

    It comes after another in the same process, which has found out what the C library keeps: accounts may come from
    many places, and the time zone from a file.
    """
    output = scratch / "strace.out"
    under = ["strace", "-o", output, program, services]
    subprocess.run(under, input=f"{first}\n{order}\n", capture_output=True, text=True, timeout=60, check=True)
    return output.read_text()


def system_calls_of_login(program: Path, services: Path, first: str, order: str, scratch: Path) -> list[str]:
    """The system calls from pam_start to pam_end of a login, which comes after another one."""
    return system_calls(trace_of_login(program, services, first, order, scratch))
