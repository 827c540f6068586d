"""The ordinary build of the module and the command under sanitizers, which Embedded Swift does not support.

scripts/test builds it with the address sanitizer, plus the undefined-behavior sanitizer for C, and with the thread
sanitizer. Swift needs no undefined-behavior sanitizer: such code traps, or is marked `unsafe` and checked for
addresses. A sanitized module needs a host that the same compiler sanitized.
"""

import json
import os
import re
import shutil
import time
from pathlib import Path

import pytest
from rig.enrollment import Enrollment
from rig.harness import SOURCES, Result, build
from rig.machine import CHECKOUT
from rig.process import run

RACE = """
#include <pthread.h>
static int shared;
static void *add(void *context) { for (int i = 0; i < 1000; i++) shared++; return context; }
int main(void) {
  pthread_t one, other;
  pthread_create(&one, 0, add, 0), pthread_create(&other, 0, add, 0);
  return pthread_join(one, 0) + pthread_join(other, 0);
}
"""

LEAK = "#include <stdlib.h>\nint main(void) { return malloc(100) == 0; }\n"

SHIFT = "int main(int count, char **arguments) { (void)arguments; return (count << 31 << count) == 7; }\n"

ADDRESS = "address,undefined"


TOOLCHAIN = Path(shutil.which("swift")).resolve().parents[1]
LIBRARIES = TOOLCHAIN / "lib/swift/linux"


def compile(source: Path, program: Path, sanitizer: str, *flags: str) -> Path:
    """Builds a sanitized program with Swift's clang; its thread sanitizer needs Swift's libraries."""
    # The module refers to these symbols, and nothing in the host does.
    wanted = [f"-Wl,-u,__tsan_external_{name}" for name in ("read", "write", "assign_tag", "register_tag")]
    linking = (
        *(wanted if sanitizer == "thread" else ()), "-rdynamic", "-fuse-ld=lld", f"-L{LIBRARIES}", "-ldispatch",
        "-lBlocksRuntime", "-pthread",
    )
    compiler = str(TOOLCHAIN / "bin/clang")
    return build(
        [source], program, f"-fsanitize={sanitizer}", "-fno-sanitize-recover=all", *flags, *linking, compiler=compiler
    )


def run_sanitized(program, *arguments, leaks=True, answers=""):
    options = {"ASAN_OPTIONS": f"detect_leaks={int(leaks)}", "TSAN_OPTIONS": "halt_on_error=1"}
    environment = {**os.environ, **options, "LD_LIBRARY_PATH": str(LIBRARIES)}
    return run(program, *map(str, arguments), input=answers, timeout=100, environment=environment, status=None)


def is_clean(ended) -> bool:
    return "Sanitizer" not in ended.stderr and "runtime error" not in ended.stderr


MISTAKES = {"thread": ("thread", RACE), "address": (ADDRESS, LEAK), "undefined": (ADDRESS, SHIFT)}


@pytest.mark.parametrize("kind", MISTAKES)
def test_the_sanitizer_finds_a_mistake(scratch, kind):
    sanitizer, mistake = MISTAKES[kind]
    source = scratch / f"{kind}_mistake.c"
    source.write_text(mistake)
    program = compile(source, scratch / f"{kind}_mistake", sanitizer, "-O0")
    ended = run_sanitized(program)
    assert ended.returncode != 0 and ("Sanitizer" in ended.stderr or "runtime error" in ended.stderr)


def built(sanitizer: str, name: str) -> Path:
    path = CHECKOUT / ".build" / sanitizer / "debug" / name
    assert path.exists(), "scripts/test builds it"
    if sanitizer == "address":
        assert b"__ubsan_handle_pointer_overflow" in path.read_bytes(), "built without the undefined-behavior sanitizer"
    return path


@pytest.mark.parametrize(
    "sanitizer, mode, times", [("thread", "threads", 10), ("address", "threads", 10), ("address", "repeat", 200)]
)
def test_the_sanitizer_finds_nothing(harness, user, scratch, sanitizer, mode, times):
    module = built(sanitizer, "libpam_twofactor.so")
    kinds = ADDRESS if sanitizer == "address" else sanitizer
    host = compile(SOURCES / "endurance.c", scratch / f"{sanitizer}-{mode}", kinds, "-lpam", "-ldl")
    enrolled = user.enroll(backup_codes=1)
    name = harness.service(f"{sanitizer}-{mode}", f"auth required {module} max_failures=100 nullok")
    answers = {
        "used": enrolled.authenticator.code_at(time.time()),
        "wrong": enrolled.authenticator.wrong_code(time.time()),
        "malformed": "letters",
        "backup code": enrolled.backup_codes[0],
    }
    for kind, answer in answers.items():
        if kind == "backup code":
            times = min(times, 3)
        ended = run_sanitized(host, mode, times, harness.services, name, user.name, answer)
        assert ended.returncode == 0 and is_clean(ended), f"{kind}: {ended.stderr[:4000]}"
        results = {int(status): int(count) for status, count in re.findall(r"^result (\d+) (\d+)$", ended.stdout, re.M)}
        assert results.get(Result.SUCCESS, 0) == (kind in ("used", "backup code")), f"{kind}: {results}"
        assert set(results) <= {Result.SUCCESS, Result.AUTH_ERR, Result.MAXTRIES}


def test_the_sanitizer_finds_nothing_in_the_subcommands(user):
    command = built("address", "twofactor")
    whom = ("--user", user.name)

    def succeeds(*arguments: str, answers: str = "") -> dict:
        # After dropping root, the leak check cannot run; a short process does not need it.
        ended = run_sanitized(command, *arguments, *whom, "--json", leaks=False, answers=answers)
        assert ended.returncode == 0 and is_clean(ended), f"{arguments}: {ended.stderr[:4000]}"
        return json.loads(ended.stdout)

    files = ("--backup-codes-file", str(user.home / "kept"), "--qr-file", str(user.home / "code.svg"))
    enabled = Enrollment.of(succeeds("enable", "--no-confirm", "--yes", *files))
    added = Enrollment.of(succeeds("device", "add", "other", "--no-confirm", "--type", "hotp", "--algorithm", "sha512"))
    right, wrong = enabled.authenticator.code_at(time.time()), enabled.authenticator.wrong_code(time.time())
    assert succeeds("verify", answers=right + "\n")["valid"]
    assert succeeds("verify", answers=enabled.backup_codes[0] + "\n")["valid"]
    assert succeeds("verify", answers=added.authenticator.code_for_counter(0) + "\n")["valid"]
    ended = run_sanitized(command, "verify", *whom, leaks=False, answers=wrong + "\n")
    assert ended.returncode == 1 and is_clean(ended), ended.stderr[:4000]
    for arguments in (
        ("show", "--name", "phone"), ("status",), ("device", "list"), ("backup-codes",), ("device", "remove", "other")
    ):
        succeeds(*arguments)
    key, base32 = "3132333435363738393031323334353637383930", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    succeeds("device", "add", "token", "--type", "hotp", "--ask-key", "--no-confirm", answers=key + "\n")
    for text in (
        f'{base32}\n" TOTP_AUTH\n" WINDOW_SIZE 17\n" DISALLOW_REUSE 1\n" LAST0 ::1 1\n" OTHER\n12345678\n',
        f"HOTP {user.name} + {key} 7 123456 2026-01-31T12:00:00L\nHOTP/T30/8 {user.name} - {key}30 0 12345678\n",
        f"otpauth://hotp/Big%20Corp:x?secret={base32}&counter=7&digits=8&algorithm=SHA512&image=x\n",
    ):
        succeeds("import", "--force", "--backup-codes", "1", answers=text)
    ended = run_sanitized(
        command, "import", "--all", "--force", leaks=False, answers=f"HOTP {user.name} - {key}\nHOTP no-such-user - 1\n"
    )
    assert ended.returncode == 1 and "1 of 2 accounts" in ended.stdout and is_clean(ended), ended.stderr[:4000]
    for arguments in (("unlock",), ("users",), ("enable", "--force", "--no-confirm", "--yes"), ("disable",)):
        succeeds(*arguments)
    ended = run_sanitized(command, "doctor", "--json", leaks=False)
    assert ended.returncode in (0, 1, 78) and is_clean(ended), ended.stderr[:4000]
