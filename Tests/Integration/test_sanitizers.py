"""The ordinary build of the module under the address and the thread sanitizer, which the Embedded one cannot have.

scripts/test builds it. A sanitized module needs a host that is sanitized by the same compiler.
"""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from rig.enrollment import enroll
from rig.harness import SOURCES, Result, build
from rig.machine import CHECKOUT

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


TOOLCHAIN = Path(shutil.which("swift")).resolve().parents[1]
LIBRARIES = TOOLCHAIN / "lib/swift/linux"


def compile(source: Path, program: Path, sanitizer: str, *flags: str) -> Path:
    """Builds a sanitized program with the compiler that came with Swift; its thread sanitizer wants Swift's libraries."""
    # The module asks for them, and nothing in the host would bring them in.
    wanted = [f"-Wl,-u,__tsan_external_{name}" for name in ("read", "write", "assign_tag", "register_tag")]
    linking = (*(wanted if sanitizer == "thread" else ()), "-rdynamic", "-fuse-ld=lld", f"-L{LIBRARIES}", "-ldispatch", "-lBlocksRuntime", "-pthread")
    compiler = str(TOOLCHAIN / "bin/clang")
    return build([source], program, f"-fsanitize={sanitizer}", *flags, *linking, compiler=compiler)


def run(program, *arguments):
    options = {"ASAN_OPTIONS": "detect_leaks=1", "TSAN_OPTIONS": "halt_on_error=1"}
    environment = {**os.environ, **options, "LD_LIBRARY_PATH": str(LIBRARIES)}
    return subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, timeout=100, env=environment
    )


@pytest.mark.parametrize("sanitizer, mistake", [("thread", RACE), ("address", LEAK)], ids=["thread", "address"])
def test_the_sanitizer_finds_a_mistake(scratch, sanitizer, mistake):
    source = scratch / f"{sanitizer}_mistake.c"
    source.write_text(mistake)
    program = compile(source, scratch / f"{sanitizer}_mistake", sanitizer, "-O0")
    ended = run(program)
    assert ended.returncode != 0 and "Sanitizer" in ended.stderr


@pytest.mark.parametrize(
    "sanitizer, mode, times", [("thread", "threads", 10), ("address", "threads", 10), ("address", "repeat", 200)]
)
def test_the_sanitizer_finds_nothing(harness, products, account, scratch, sanitizer, mode, times):
    module = CHECKOUT / ".build" / sanitizer / "debug" / "libpam_twofactor.so"
    assert module.exists(), "scripts/test builds it"
    host = compile(SOURCES / "endurance.c", scratch / f"{sanitizer}-{mode}", sanitizer, "-lpam", "-ldl")
    enrolled = enroll(account, backup_codes=1)
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
        ended = run(host, mode, times, harness.services, name, enrolled.user, answer)
        assert ended.returncode == 0 and "Sanitizer" not in ended.stderr, f"{kind}: {ended.stderr[:4000]}"
        results = {int(status): int(count) for status, count in re.findall(r"^result (\d+) (\d+)$", ended.stdout, re.M)}
        assert results.get(Result.SUCCESS, 0) == (kind in ("used", "backup code")), f"{kind}: {results}"
        assert set(results) <= {Result.SUCCESS, Result.AUTH_ERR, Result.MAXTRIES}
