"""The setup command where a library is missing that it loads by itself, when it comes to that."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from rig.machine import COMMAND

LIBRARIES = dict(
    re.findall(
        r"(?m)^\s*(\S+) .* => (\S+)$",
        subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, timeout=20).stdout,
    )
)


def without(library: str, *line: str, answers: str = "") -> subprocess.CompletedProcess:
    """Runs a command line where the file of the library is no library."""
    hidden = f"mount --bind /dev/null {LIBRARIES[library]} && exec {shlex.join(line)}"
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", hidden], input=answers, capture_output=True, text=True, timeout=60, cwd="/"
    )


@pytest.fixture
def user(products, new_account, password):
    return new_account(password=password)


@pytest.fixture
def enable(user):
    return [COMMAND, "enable", "--user", user.name, "--no-confirm", "--yes"]


def is_enrolled(user) -> bool:
    return (user.home / ".twofactor").exists()


def test_without_libqrencode_the_key_is_there_to_be_typed(user, enable):
    run = without("libqrencode.so.4", *map(str, enable))
    assert (run.returncode, run.stderr) == (0, "")
    assert "Type the key into an app" in run.stdout and "URI: otpauth://totp/" in run.stdout
    assert is_enrolled(user)


def test_without_libqrencode_a_qr_code_in_a_file_is_refused(user, enable):
    run = without("libqrencode.so.4", *map(str, enable), "--qr-file", "/tmp/code.png")
    assert (run.returncode, run.stdout) == (78, "")
    assert run.stderr == (
        "twofactor: there is no libqrencode.so.4, which draws QR codes\nhint: install libqrencode (libqrencode4)\n"
    )
    assert not is_enrolled(user)


def test_without_libcrypt_nothing_is_switched_on(user, enable):
    run = without("libcrypt.so.1", *map(str, enable))
    assert run.returncode == 78
    assert "twofactor: this system cannot hash with yescrypt\n" in run.stderr
    assert not is_enrolled(user)


def test_without_libcrypt_it_goes_without_backup_codes(user, enable):
    assert without("libcrypt.so.1", *map(str, enable), "--backup-codes", "0").returncode == 0
    assert is_enrolled(user)


def test_without_libpam_no_password_is_taken_for_right(user):
    line = ["runuser", "-u", user.name, "--", str(COMMAND), "enable", "--no-confirm", "--yes"]
    run = subprocess.run(line, input=f"{user.password}\n", capture_output=True, text=True, timeout=60, cwd="/")
    assert run.returncode == 0
    assert is_enrolled(user)
    # runuser needs libpam itself.
    line = ["setpriv", f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups", str(COMMAND), "show", "--json"]
    run = without("libpam.so.0", *line, answers=f"{user.password}\n")
    assert (run.returncode, run.stdout) == (78, "")
    assert "PAM cannot be used" in run.stderr


MODULE = r"""
#include <security/pam_modules.h>
int pam_sm_authenticate(pam_handle_t *handle, int flags, int count, const char **arguments) {
  const char *user;
  return pam_get_user(handle, &user, 0);
}
int pam_sm_acct_mgmt(pam_handle_t *handle, int flags, int count, const char **arguments) { return PAM_SUCCESS; }
"""


def test_a_module_that_names_no_libpam_finds_the_one_that_was_loaded(user, tmp_path):
    source, module, service = tmp_path / "module.c", tmp_path / "pam_bare.so", Path("/etc/pam.d/bare")
    source.write_text(MODULE)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", module, source], check=True, timeout=60)
    service.write_text(f"auth required {module}\naccount required {module}\n")
    line = [COMMAND, "test", "--service", service.name, "--user", user.name]
    run = subprocess.run(line, capture_output=True, text=True, timeout=60, cwd="/")
    assert run.returncode == 0, run.stdout + run.stderr
