"""For arm64, the C sources compile with Debian's cross compiler, and OpenSSL's SHA code links without memory that stays
writable and gives the right digests under QEMU's emulation. test_emulated_logins.py logs in.
"""

import hashlib
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from rig import architecture, cross_compiler
from rig.machine import CHECKOUT
from rig.process import run

pytestmark = [
    pytest.mark.machinery,
    pytest.mark.skipif(architecture.THIS == architecture.ARM64, reason="on arm64, the other tests test its code"),
]


def test_every_c_file_compiles(tmp_path):
    files = [*CHECKOUT.glob("Sources/C*/*.c"), *CHECKOUT.glob("Tests/**/*.c")]
    assert len(files) > 30

    def messages(number: int) -> str:
        include = f"-I{files[number].parent}/include"
        return cross_compiler.compile(tmp_path / f"{number}.o", include, "-c", files[number], status=None)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        assert "".join(pool.map(messages, range(len(files)))) == ""


def test_system_call_numbers_are_those_of_the_processor():
    """From the table of the kernel for arm64 (include/uapi/asm-generic/unistd.h)."""
    expected = {"ptrace": 117, "kcmp": 272, "pidfd_getfd": 438}
    assert architecture.ARM64.system_calls("ptrace", "kcmp", "pidfd_getfd") == expected


# A module or a program with the SHA code of libcrypto.a.
SOURCE = """
#include "copenssl.h"
#include <security/pam_modules.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
%s
static void digest(const char *text, unsigned char *results) {
  SHA_CTX one;
  SHA256_CTX two;
  SHA512_CTX five;
  SHA1_Init(&one), SHA1_Update(&one, text, strlen(text)), SHA1_Final(results, &one);
  SHA256_Init(&two), SHA256_Update(&two, text, strlen(text)), SHA256_Final(results + 20, &two);
  SHA512_Init(&five), SHA512_Update(&five, text, strlen(text)), SHA512_Final(results + 52, &five);
  copenssl_wipe_stack();
}
int pam_sm_authenticate(pam_handle_t *h, int f, int c, const char **v) {
  unsigned char results[116];
  if (pam_get_item(h, f, (const void **)v) != PAM_SUCCESS) return PAM_SERVICE_ERR;
  digest(*v, results);
  return c > 1 ? %s : results[f];
}
int pam_sm_setcred(pam_handle_t *h, int f, int c, const char **v) {
  return (void)h, (void)f, (void)c, (void)v, PAM_SUCCESS;
}
int pam_sm_acct_mgmt(pam_handle_t *h, int f, int c, const char **v) {
  return (void)h, (void)f, (void)c, (void)v, PAM_IGNORE;
}
#ifdef PROGRAM
int main(int count, char **words) {
  unsigned char results[116];
  for (int word = 1; word < count; word++) {
    digest(words[word], results);
    for (size_t byte = 0; byte < sizeof results; byte++) printf("%%02x", results[byte]);
    puts("");
  }
}
#endif
"""
HARDENED = ["-shared", "-nostartfiles", "-Wl,-z,nodelete,-z,now,-z,relro,-z,noexecstack,--as-needed"]
HARDENED += [f"-Wl,--exclude-libs,ALL,--version-script={CHECKOUT}/pam/pam_twofactor.map"]


def build(folder: Path, declarations: str, answer: str, *flags: str) -> Path:
    (folder / "source.c").write_text(SOURCE % (declarations, answer))
    sources = (folder / "source.c", CHECKOUT / "Sources/COpenSSL/copenssl.c")
    cross_compiler.compile(folder / "output", *sources, *flags, libraries=("-lpam", "-l:libcrypto.a"))
    return folder / "output"


def check(module: Path) -> subprocess.CompletedProcess:
    return run(CHECKOUT / "scripts/check-module", module, status=None)


def test_the_digests_are_right(tmp_path):
    program = build(tmp_path, "", "1", "-DPROGRAM")
    texts = ["", "abc", "a" * 55, "a" * 56, "b" * 64, "c" * 127, "d" * 128, "e" * 1000]
    names = ("sha1", "sha256", "sha512")
    expected = ["".join(hashlib.new(name, text.encode()).hexdigest() for name in names) for text in texts]
    assert run(*cross_compiler.EMULATED, program, *texts).stdout.split() == expected


TRAP = "__attribute__((noinline, used)) static int trap(void) { __builtin_trap(); }"
CASES = "".join(f"case {number}: return atoi(s + {number}) / {number};" for number in range(1, 12))
SWITCH = f"{TRAP} static int choose(int n, const char *s) {{ switch (n) {{ {CASES} case 12: return %s; }} return 0; }}"


RIGHT = {
    "plain": ("", "1"),
    "with a trap out of reach": (TRAP, "1"),
    "with a switch": (SWITCH % "2", "choose(c, *v)"),
}


@pytest.mark.parametrize("what", RIGHT)
def test_a_correct_module_is_accepted(tmp_path, what):
    found = check(build(tmp_path, *RIGHT[what], *HARDENED))
    assert found.returncode == 0, found.stderr
    needed = f"needs libpam.so.0 libc.so.6 {architecture.ARM64.dynamic_linker};"
    assert needed in found.stdout and found.stdout.endswith("trap instructions in reach: 0\n")


WRONG = {
    "a trap that is called": (TRAP, "trap()", "can trap"),
    "a trap behind a pointer": (TRAP + "int (*volatile call)(void) = trap;", "call()", "can trap"),
    "a trap in a switch": (SWITCH % "trap()", "choose(c, *v)", "can trap"),
    "OpenSSL's own constructor": ("void OPENSSL_cpuid_setup(void);", "(OPENSSL_cpuid_setup(), 1)", "calls getenv"),
    "a variable": ("static int seen;", "seen++", "memory that stays writable"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_module_is_rejected_for(tmp_path, what):
    declarations, answer, complaint = WRONG[what]
    found = check(build(tmp_path, declarations, answer, *HARDENED, "-Wl,--allow-multiple-definition"))
    assert found.returncode != 0 and complaint in found.stderr, found.stdout + found.stderr
