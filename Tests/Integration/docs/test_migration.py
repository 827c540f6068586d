"""The migration page: every option of the other modules is on it, and its names exist here."""

import gzip
import os
import re
import time
from pathlib import Path

import pytest
from rig.clock import START
from rig.documentation import options_of_the_policy, subcommands
from rig.harness import Result
from rig.imports import APP, KEY, google_file
from rig.one_time_password import Authenticator
from rig.machine import CHECKOUT, COMMAND, modules_directory
from rig.process import run

PAGE = (CHECKOUT / "pam/migration.md").read_text()
GOOGLE, OATH = "pam_google_authenticator.so", "pam_oath.so"


def rows(heading: str) -> list[list[str]]:
    """The cells of all tables below a heading."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ") and " | twofactor | " not in line]
    assert lines, heading
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def names(cell: str) -> list[str]:
    """The options in a cell, without their values."""
    return [re.match(r"[A-Za-z_]+", span)[0] for span in re.findall(r"`([^`]+)`", cell)]


def mapped(module: str) -> set[str]:
    return {name for row in rows(f"Options of {module}") for name in names(row[0])}


@pytest.mark.parametrize("module", [GOOGLE, OATH])
def test_the_page_names_only_existing_options(module):
    options = set(options_of_the_policy())
    for there, here, why in rows(f"Options of {module}"):
        assert here == "none" or names(here), there
        assert set(names(here)) <= options, here
        assert why.endswith(".") or there == "`debug_syslog`", there
        for name in re.findall(r"`([a-z_]+)(?:=[^`]*)?`", why):
            assert name in options | mapped(module), (there, name)


def test_the_page_names_only_existing_subcommands(products):
    commands = re.findall(r"^ +twofactor (\S+)|`twofactor ([a-z-]+)", PAGE, re.MULTILINE)
    known = {words[0] for words in subcommands()}
    assert {one or other for one, other in commands} <= known and commands


def test_the_migration_keeps_the_device_and_the_used_codes(harness, user, service, log):
    phone = Authenticator(os.urandom(20))
    file = google_file(user, '" DISALLOW_REUSE', '" TOTP_AUTH', "31415926", "27182818", key=phone.base32)
    old = harness.service("old", f"auth required {GOOGLE}")
    new = service("max_failures=1")
    time.sleep(max(0.0, 5 - (30 - time.time() % 30)))
    used, code = phone.code_at(time.time()), phone.code_at(time.time(), steps=1)
    wrong = phone.wrong_code(time.time())
    assert user.log_in(old, used).result == Result.SUCCESS
    before = file.read_bytes()
    words = [COMMAND, "import", "--user", user.name, file, "--yes"]
    run(*words)
    assert file.read_bytes() == before
    results = [user.log_in(new, reply).result for reply in (used, wrong, code, "31415926", "31415926")]
    assert results == [Result.AUTH_ERR, Result.AUTH_ERR, Result.MAXTRIES, Result.SUCCESS, Result.AUTH_ERR]
    assert user.log_in(new, code).result == Result.SUCCESS
    lines = [message.text.rpartition(" rhost=- ")[2] for message in log.of_module(6)]
    assert lines[0] == "reason=reused-code" and lines[3] == "method=backup-code backup_codes_left=1", lines


def document(path: str) -> str:
    """A document of a Debian package; skips the test if a small image left it out."""
    file = Path("/usr/share") / path
    if not file.exists():
        pytest.skip(f"{file} was left out when its package was installed here")
    content = file.read_bytes()
    return (gzip.decompress(content) if file.suffix == ".gz" else content).decode()


def test_every_option_of_google_authenticator_is_on_the_page():
    readme = document("doc/libpam-google-authenticator/README.md.gz").partition("## Module options")[2]
    headings = re.findall(r"^### (.*)$", readme, re.MULTILINE)
    options = {name.partition("=")[0] for heading in headings for name in heading.split(" / ")}
    manual = document("man/man8/pam_google_authenticator.8.gz")
    listed = re.findall(r"^\.B ([a-z_|]+)", manual.partition(".SH OPTIONS")[2].partition(".SH MODULE")[0], re.MULTILINE)
    options |= {name for names_ in listed for name in names_.split("|")}
    assert {"secret", "nullok", "grace_period", "forward_pass"} <= options <= mapped(GOOGLE)


def test_every_key_of_a_google_authenticator_file_is_on_the_page():
    text = document("doc/libpam-google-authenticator/FILEFORMAT")
    assert set(re.findall(r"^  ([A-Z_]+)", text, re.MULTILINE)) <= mapped(GOOGLE)


def test_every_option_of_pam_oath_is_on_the_page():
    readme = document("doc/libpam-oath/README.gz").partition("List of all parameters")[2]
    options = set(re.findall(r'^  "([a-z_]+)":', readme, re.MULTILINE))
    assert {"usersfile", "window"} <= options <= mapped(OATH)


@pytest.fixture
def others(harness, user, users_file):
    """The results of both modules for a user, each with its arguments."""
    users = users_file("HOTP/T30/6 another-user - 00")

    def results(google: str = "", oath: str = "", reply: str = "123456") -> list[int]:
        harness.service("google", f"auth required {GOOGLE} {google}", "auth required pam_permit.so")
        harness.service("oath", f"auth required {OATH} usersfile={users} {oath}", "auth required pam_permit.so")
        return [user.log_in(name, reply, at=START).result for name in ("google", "oath")]

    return results


# From <security/_pam_types.h>; the harness names only the results of twofactor.
USER_UNKNOWN = 10


def test_the_other_modules_return_what_the_page_says(others, user, users_file):
    assert others() == [Result.AUTH_ERR, USER_UNKNOWN], "not enrolled"
    assert others(google="nullok")[0] == Result.SUCCESS, "not enrolled, with nullok"
    secret = google_file(user, '" RATE_LIMIT 1 30', '" TOTP_AUTH')
    users_file(f"HOTP/T30/6 {user.name} - {KEY.hex()}")
    for _ in range(3):
        assert others(reply="000000") == [Result.AUTH_ERR, Result.AUTH_ERR], "wrong too often"
    secret.write_text(secret.read_text().replace("1 30", "9 30"))
    right = APP.code_at(START)
    assert others(google="windw=1", oath="windw=1", reply=right) == [Result.AUTH_ERR, Result.SUCCESS], "a mistake"
    secret.chmod(0o666)
    users_file("nonsense")
    assert others() == [Result.AUTH_ERR, USER_UNKNOWN], "files that cannot be trusted"


LATER = {"debug_syslog", "no_usersfile_okay", "ignore_userfile_password", "allow_replayed_otp_within"}
HARDENED = {"DIGITS", "ALGORITHM"}


@pytest.mark.parametrize("module", [GOOGLE, OATH])
def test_the_page_names_only_options_that_the_other_module_has(module):
    binary = (Path(modules_directory()) / module).read_bytes()
    for name in mapped(module) - LATER - HARDENED:
        assert re.search(name.encode() + rb"[ =\0]", binary), name


@pytest.mark.parametrize(
    "argument", ["secret=~/.2fa", "authtok_prompt=Code:", "usersfile=/etc/users.oath", "noskewadj", "digits=6"]
)
def test_an_option_of_the_other_module_is_rejected_by_name(user, service, log, argument):
    user.enroll()
    login = user.log_in(service(argument, then="pam_permit.so"), at=START)
    assert login.result == Result.SERVICE_ERR
    assert f"\\x22{argument}\\x22: there is no such option" in log.of_module(1)[0].text
