"""The setup command without the libraries that it loads on demand."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from rig.machine import COMMAND
from rig.process import run

LIBRARIES = dict(
    re.findall(
        r"(?m)^\s*(\S+) .* => (\S+)$",
        run("/sbin/ldconfig", "-p", status=None).stdout,
    )
)


def without(library: str, *line: str, answers: str = "") -> subprocess.CompletedProcess:
    """Runs a command with the library replaced by an empty file."""
    hidden = f"mount --bind /dev/null {LIBRARIES[library]} && exec {shlex.join(line)}"
    return run("unshare", "--mount", "sh", "-c", hidden, input=answers, status=None)


@pytest.fixture
def enable(user):
    return [COMMAND, "enable", "--user", user.name, "--no-confirm", "--yes"]


def is_enrolled(user) -> bool:
    return user.directory.exists()


def test_without_libqrencode_the_key_is_printed(user, enable):
    done = without("libqrencode.so.4", *map(str, enable))
    assert (done.returncode, done.stderr) == (0, "")
    assert "Type the key into an app" in done.stdout and "URI: otpauth://totp/" in done.stdout
    assert is_enrolled(user)


def test_without_libqrencode_a_qr_code_in_a_file_is_an_error(user, enable):
    done = without("libqrencode.so.4", *map(str, enable), "--qr-file", "/tmp/code.png")
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == (
        "twofactor: libqrencode.so.4, which draws QR codes, is not installed\n"
        "hint: install libqrencode (libqrencode4)\n"
    )
    assert not is_enrolled(user)


def test_without_libjansson_an_export_of_an_app_is_an_error(user, tmp_path):
    export = tmp_path / "aegis.json"
    export.write_text('{"version": 1, "header": {}, "db": {"version": 3, "entries": []}}')
    done = without("libjansson.so.4", str(COMMAND), "import", "--user", user.name, str(export))
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == (
        "twofactor: libjansson.so.4, which reads JSON, is not installed\n"
        "hint: install libjansson (libjansson4)\n"
    )


def test_without_libxml2_a_pskc_file_is_an_error(user, tmp_path):
    container = tmp_path / "tokens.xml"
    container.write_text('<KeyContainer xmlns="urn:ietf:params:xml:ns:keyprov:pskc"/>')
    done = without("libxml2.so.2", str(COMMAND), "import", "--user", user.name, str(container))
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr == (
        "twofactor: libxml2.so.2, which reads PSKC files, is not installed\nhint: install libxml2 (libxml2)\n"
    )


def test_without_libcrypt_nothing_is_enabled(user, enable):
    done = without("libcrypt.so.1", *map(str, enable))
    assert done.returncode == 78
    assert "twofactor: this system cannot hash with yescrypt\n" in done.stderr
    assert not is_enrolled(user)


def test_without_libcrypt_enabling_without_backup_codes_works(user, enable):
    assert without("libcrypt.so.1", *map(str, enable), "--backup-codes", "0").returncode == 0
    assert is_enrolled(user)


def test_without_libpam_no_password_is_accepted(user):
    line = ["runuser", "-u", user.name, "--", str(COMMAND), "enable", "--no-confirm", "--yes"]
    done = run(*line, input=f"{user.password}\n", status=None)
    assert is_enrolled(user)
    # runuser itself needs libpam.
    line = ["setpriv", f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups", str(COMMAND), "show", "--json"]
    done = without("libpam.so.0", *line, answers=f"{user.password}\n")
    assert (done.returncode, done.stdout) == (78, "")
    assert "libpam failed" in done.stderr


MODULE = r"""
#include <security/pam_modules.h>
int pam_sm_authenticate(pam_handle_t *handle, int flags, int count, const char **arguments) {
  const char *user;
  return pam_get_user(handle, &user, 0);
}
int pam_sm_acct_mgmt(pam_handle_t *handle, int flags, int count, const char **arguments) { return PAM_SUCCESS; }
"""


def test_a_module_that_does_not_link_libpam_works(user, tmp_path):
    source, module, service = tmp_path / "module.c", tmp_path / "pam_bare.so", Path("/etc/pam.d/bare")
    source.write_text(MODULE)
    run("gcc", "-shared", "-fPIC", "-o", module, source)
    service.write_text(f"auth required {module}\naccount required {module}\n")
    line = [COMMAND, "test", "--service", service.name, "--user", user.name]
    run(*line)
