"""scripts/check-module: accepts a correct module, and finds each mistake that it looks for."""

import subprocess
from pathlib import Path

import pytest
from rig.harness import build
from rig.machine import CHECKOUT
from rig.process import run

pytestmark = pytest.mark.machinery

SOURCE = """
#include <security/pam_modules.h>
#include <stdlib.h>
%s
int pam_sm_authenticate(pam_handle_t *h, int f, int c, const char **v) {
  return c > 1 ? %s : pam_get_item(h, f, (const void **)v) + atoi(*v);
}
int pam_sm_setcred(pam_handle_t *h, int f, int c, const char **v) {
  return (void)h, (void)f, (void)c, (void)v, PAM_SUCCESS;
}
int pam_sm_acct_mgmt(pam_handle_t *h, int f, int c, const char **v) {
  return (void)h, (void)f, (void)c, (void)v, PAM_IGNORE;
}
"""
HARDENED = ["-shared", "-fPIC", "-nostartfiles", "-Wl,-z,nodelete,-z,now,-z,relro,-z,noexecstack,--as-needed", "-lpam"]
TRAP = "__attribute__((noinline, used)) static int trap(void) { __builtin_trap(); }"
BIG = "static const char big[190000] = {1};"


def check(folder: Path, declarations: str = "", answer: str = "1", *flags: str) -> subprocess.CompletedProcess:
    """Builds a module that is correct except for the given parts, and checks it."""
    source = folder / "module.c"
    source.write_text(SOURCE % (declarations, answer))
    module = build([source], folder / "module.so", *HARDENED, *flags)
    return run(CHECKOUT / "scripts/check-module", module, status=None)


@pytest.mark.parametrize("declarations", ["", TRAP], ids=["plain", "with a trap out of reach"])
def test_a_correct_module_is_accepted(tmp_path, declarations):
    found = check(tmp_path, declarations)
    assert found.returncode == 0, found.stderr


WRONG = {
    "a trap that is called": (TRAP, "trap()", [], "can trap, which kills the host program, in 1 places"),
    "a trap behind a pointer": (TRAP + "int (*volatile call)(void) = trap;", "call()", [], "can trap"),
    "another export": ("int another(void) { return 1; }", "1", [], "exports 'another pam_sm_acct_mgmt"),
    "the environment": ("", "getenv(*v) != 0", [], "calls getenv"),
    "another library": ("double cos(double);", "(int)cos(c)", ["-lm"], "needs libm.so.6"),
    "a search path": ("", "1", ["-Wl,-rpath,/opt"], "RUNPATH"),
    "lazy binding": ("", "1", ["-Wl,-z,lazy"], "binds lazily"),
    "an executable stack": ("", "1", ["-Wl,-z,execstack"], "executable stack"),
    "writable relocations": ("", "1", ["-Wl,-z,norelro"], "no read-only relocations"),
    "a variable": ("static int seen;", "seen++", [], "memory that stays writable"),
    "too many bytes": (BIG, "big[c]", [], "bytes, more than 180224"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_module_is_rejected_for(tmp_path, what):
    declarations, answer, flags, complaint = WRONG[what]
    found = check(tmp_path, declarations, answer, *flags)
    assert found.returncode != 0 and complaint in found.stderr, found.stdout + found.stderr


def test_a_module_that_can_be_unloaded_is_rejected(tmp_path):
    source = tmp_path / "module.c"
    source.write_text(SOURCE % ("", "1"))
    module = build([source], tmp_path / "module.so", "-shared", "-fPIC", "-Wl,-z,now", "-lpam")
    found = run(CHECKOUT / "scripts/check-module", module, status=None)
    assert found.returncode != 0 and "may be unloaded" in found.stderr


HELPER = """
#include <stdlib.h>
#include <unistd.h>
%s
int main(int c, char **v) { return write(1, v[0], 1) > 0 ? %s : c; }
"""
PROGRAM = ["-fPIE", "-pie", "-Wl,-z,now,-z,relro,-z,noexecstack,--as-needed"]
WRONG_HELPER = {
    "a trap": (TRAP, "trap()", [], "can trap, which kills the helper, in 1 places"),
    "the environment": ("", "getenv(*v) != 0", [], "calls getenv, which a setgid program must not call"),
    "a shell": ("", "system(*v)", [], "calls system"),
    "a search for a program": ("", "execvp(*v, v)", [], "calls execvp"),
    "another program": ("", 'execve("/usr/bin/id", v, v)', [], "names /usr/bin/id: it may start only twofactor-store"),
    "another library": ("double cos(double);", "(int)cos(c)", ["-lm"], "needs libm.so.6"),
    "a library at run time": (
        "#include <dlfcn.h>",
        'dlopen("libm.so.6", RTLD_NOW) != 0',
        [],
        "names libm.so.6: it may load only libcrypt",
    ),
    "a search path": ("", "1", ["-Wl,-rpath,/opt"], "RUNPATH"),
    "lazy binding": ("", "1", ["-Wl,-z,lazy"], "binds lazily"),
    "a fixed address": ("", "1", ["-no-pie"], "fixed address"),
    "an export": ("int another(void) { return 1; }", "1", ["-rdynamic"], "exports"),
    "too many bytes": ("static const char big[210000] = {1};", "big[c]", [], "bytes, more than 204800"),
}


def check_helper(folder: Path, declarations: str, answer: str, *flags: str) -> subprocess.CompletedProcess:
    source = folder / "helper.c"
    source.write_text(HELPER % (declarations, answer))
    return run(
        CHECKOUT / "scripts/check-module", "--helper", build([source], folder / "helper", *PROGRAM, *flags),
        status=None,
    )


@pytest.mark.parametrize("declarations", ["", TRAP], ids=["plain", "with a trap out of reach"])
def test_a_correct_helper_is_accepted(tmp_path, declarations):
    found = check_helper(tmp_path, declarations, "1")
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize("what", WRONG_HELPER)
def test_a_helper_is_rejected_for(tmp_path, what):
    declarations, answer, flags, complaint = WRONG_HELPER[what]
    found = check_helper(tmp_path, declarations, answer, *flags)
    assert found.returncode != 0 and complaint in found.stderr, found.stdout + found.stderr


def test_a_missing_module_is_named(tmp_path):
    script = CHECKOUT / "scripts/check-module"
    found = run(script, tmp_path / "none.so", status=None)
    assert found.returncode != 0 and "run scripts/build first" in found.stderr
