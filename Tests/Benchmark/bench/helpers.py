"""A check through twofactor-helper, beside unix_chkpwd, which pam_unix starts in programs that do not run as root."""

import os
import random
import subprocess
import time
from pathlib import Path

from rig.helper import KEEP, check, enroll_through_helper
from rig.machine import HELPER, add_account
from rig.register import create_host_store, create_register, remove_register

from .cases import summary

POLICY = Path("/etc/security/twofactor.conf")
CHKPWD = next((path for path in map(Path, ("/usr/sbin/unix_chkpwd", "/sbin/unix_chkpwd")) if path.exists()), None)


def helpers(scratch: Path, rounds: int) -> dict:
    """Time, system calls and size of programs that a user starts with a right secret."""
    user = add_account("helped", "a password")
    create_register()
    create_host_store()
    POLICY.write_text("store = host\n")
    try:
        enrolled = enroll_through_helper(user)
        programs = {
            "/bin/true": (["/bin/true"], bytes),
            "twofactor-helper": ([HELPER], lambda: check(enrolled.code(), KEEP)),
        }
        if CHKPWD:
            programs["unix_chkpwd"] = ([CHKPWD, user.name, "nullok"], lambda: user.password.encode() + b"\0")
        elapsed: dict = {name: [] for name in programs}
        order, names = random.Random(1), list(programs)
        for _ in range(rounds):
            order.shuffle(names)
            for name in names:
                words, secret = programs[name]
                elapsed[name].append(_run(words, secret(), user) * 1e6)
        return {
            name: {
                "elapsed": summary(elapsed[name]),
                "system_calls": _system_calls(words, secret(), user, scratch / "strace.helper"),
                "size": Path(words[0]).stat().st_size,
            }
            for name, (words, secret) in programs.items()
        }
    finally:
        POLICY.unlink()
        remove_register()


def _run(words: list, secret: bytes, user) -> float:
    """The seconds from the start of the program to its end. It finds its input already written."""
    read, write = os.pipe()
    os.write(write, secret)
    os.close(write)
    started = time.monotonic()
    done = subprocess.run(
        words, stdin=read, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, user=user.uid, group=user.gid,
        extra_groups=[], env={},
    )  # fmt: skip
    taken = time.monotonic() - started
    os.close(read)
    if done.returncode != 0:
        raise RuntimeError(f"{words[0]} ended with {done.returncode}: {done.stderr!r}")
    return taken


def _system_calls(words: list, secret: bytes, user, output: Path) -> int:
    """Root traces, because a traced program has no more privileges than its tracer."""
    identity = ["setpriv", f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups"]
    tracing = ["strace", "-o", output, "-e", "signal=none"]
    subprocess.run([*tracing, *identity, *words], input=secret, capture_output=True, check=True, timeout=60)
    lines = output.read_text().splitlines()
    start = max(number for number, line in enumerate(lines) if line.startswith("execve(") and line.endswith("= 0"))
    return len(lines) - start - 1
