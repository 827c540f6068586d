"""Accounts that only SSSD knows, with Debian's stacks: the section "Domain accounts" of pam/hosts.md.

SSSD's proxy provider takes the place of a directory server.
"""

import os
import re
import subprocess
import time
from pathlib import Path

import pexpect
import pytest
from rig.clock import time_to_type
from rig.enrollment import twofactor_json
from rig.machine import CHECKOUT
from rig.process import run
from rig.register import registered
from rig.user import User

SECTION = (CHECKOUT / "pam/hosts.md").read_text().partition("\n## Domain accounts\n")[2].partition("\n## ")[0]
STACK = re.findall(r"(?m)^    ((?:auth|session) .*)$", SECTION)
COMMAND_STACK = re.findall(r"(?m)^      ((?:auth|account) .*)$", SECTION)

# scripts/dependencies puts them there. They change the name services and the PAM stacks of the machine that they are
# installed on.
PACKAGES = CHECKOUT / ".build/packages/sssd"

USERS = {name: 70001 + number for number, name in enumerate(("dora", "emil", "fred", "gina", "hugo", "ines"))}
SECRET = "correct horse"
DOMAIN_PASSWORDS = Path("/etc/domain-passwords")
DOMAIN_SERVICE = Path("/etc/pam.d/sssd-proxy")
PERMITTED = "account required pam_permit.so\n"
SETTINGS = """\
[sssd]
services = nss, pam
domains = example
[domain/example]
id_provider = proxy
proxy_lib_name = extrausers
auth_provider = proxy
proxy_pam_target = sssd-proxy
cache_credentials = true
case_sensitive = false
"""


def rules(lines) -> list[str]:
    return [" ".join(line.split()) for line in lines]


def written(name: str) -> list[str]:
    """The rules of a PAM service of the sandbox."""
    return rules(re.findall(r"(?m)^[a-z].*", Path("/etc/pam.d", name).read_text()))


@pytest.fixture(scope="module")
def sssd(products):
    """SSSD with its packages' PAM stacks, until the tests of this file end."""
    kept = {path: path.read_bytes() for path in [*Path("/etc/pam.d").iterdir(), Path("/etc/nsswitch.conf")]}
    packages = sorted(PACKAGES.glob("*.deb"))
    assert packages, f"{PACKAGES} is empty: run scripts/dependencies test"
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run("dpkg", "--install", *packages, environment=quiet, timeout=100)
    extra = Path("/var/lib/extrausers")
    extra.mkdir(exist_ok=True)
    people = USERS.items()
    (extra / "passwd").write_text("".join(f"{name}:x:{uid}:{uid}::/home/{name}:/bin/sh\n" for name, uid in people))
    (extra / "group").write_text(
        "".join(f"{name}:x:{uid}:\n" for name, uid in people) + "domain users:x:70900:gina\n"
    )
    hashed = run("openssl", "passwd", "-6", "-stdin", input=SECRET).stdout.strip()
    DOMAIN_PASSWORDS.write_text("".join(f"{name}:{hashed}\n" for name in USERS))
    DOMAIN_SERVICE.write_text(f"auth required pam_pwdfile.so pwdfile={DOMAIN_PASSWORDS}\n{PERMITTED}")
    settings = Path("/etc/sssd/sssd.conf")
    settings.write_text(SETTINGS)
    settings.chmod(0o600)
    profile = CHECKOUT / "pam/pam-configs/twofactor"
    Path("/usr/share/pam-configs/twofactor").write_text(profile.read_text())
    run("pam-auth-update", "--package", "--enable", "twofactor", "mkhomedir", environment=quiet)
    Path("/etc/pam.d/twofactor").write_text("".join(f"{rule}\n" for rule in COMMAND_STACK))
    process = subprocess.Popen(["sssd", "--interactive", "--logger=files"], stdin=subprocess.DEVNULL)
    for _ in range(200):
        if run("getent", "passwd", "dora", status=None).returncode == 0:
            break
        assert process.poll() is None, "sssd ended"
        time.sleep(0.1)
    yield process
    process.terminate()
    process.wait(timeout=20)
    for path in Path("/etc/pam.d").iterdir():
        if path not in kept:
            path.unlink()
    for path, content in kept.items():
        path.write_bytes(content)


def user(name: str) -> User:
    return User(name, SECRET, None)


def asked(name: str, code: str = "", password: str = SECRET) -> tuple[bool, bool]:
    """Logs in at the console: whether it asked for a code, and let the user in."""
    terminal = pexpect.spawn("login", [name], timeout=20, encoding="utf-8", env={**os.environ, "TERM": "xterm"})
    terminal.expect("[Pp]assword: ")
    terminal.sendline(password)
    asks = terminal.expect([r"\$ ", "incorrect", "Verification code: "])
    if asks == 2:
        terminal.sendline(code)
    is_in = asks == 0 or asks == 2 and terminal.expect([r"\$ ", "incorrect"]) == 0
    terminal.close(force=True)
    return asks == 2, is_in


def test_pam_auth_update_writes_the_stack_of_the_page(sssd):
    assert len(STACK) == 6 and len(COMMAND_STACK) == 3
    assert [rule for rule in written("common-auth") if "pam_cap" not in rule] == rules(STACK[:5])
    assert rules(STACK[5:])[0] in written("common-session")


def test_a_user_without_a_home_is_refused_until_it_is_created(sssd, log):
    assert asked("dora") == (False, False)
    assert " reason=io-error " in log.of_module()[-1].text
    run("mkhomedir_helper", "dora")
    assert asked("dora") == (False, True)


def test_a_domain_user_enrolls_with_the_domain_password(sssd, register):
    run("mkhomedir_helper", "emil")
    answers = f"{SECRET}\n"
    words = ("enable", "--json", "--yes", "--no-confirm", "--backup-codes", "0")
    assert user("emil").twofactor(*words, answers="wrong\n", status=None).returncode == 1
    assert '"user": "emil"' in user("emil").twofactor(*words, answers=answers).stdout
    assert registered() == [USERS["emil"]]
    assert asked("emil", "000000") == (True, False)
    # The domain is not enumerated, but the register lists the user.
    listed = {each["user"]: each["enabled"] for each in twofactor_json("users")["users"]}
    assert listed["emil"] is True and "fred" not in listed


def test_outside_the_homes_a_user_enrolls_before_the_first_login(sssd, host_store):
    enrolled = user("fred").enroll()
    authenticator = enrolled.authenticator
    assert enrolled.directory == host_store / str(USERS["fred"])
    assert not Path("/home/fred").exists()
    assert asked("fred", "000000") == (True, False)
    assert asked("fred", authenticator.code_at(time_to_type())) == (True, True)
    assert Path("/home/fred").stat().st_uid == USERS["fred"]
    assert asked("FRED", "000000") == (True, False)
    # A user who is not enrolled gets the home too.
    assert asked("hugo") == (False, True) and Path("/home/hugo").exists()


def test_a_group_of_the_domain_is_exempt(sssd, host_configuration):
    run("mkhomedir_helper", "gina")
    user("gina").enroll()
    assert asked("gina", "000000") == (True, False)
    host_configuration("exempt_groups = domain users")
    assert asked("gina") == (False, True)


def test_without_the_server_the_cached_password_and_a_code_let_in(sssd):
    run("mkhomedir_helper", "ines")
    assert asked("ines") == (False, True)
    authenticator = user("ines").enroll().authenticator
    before = DOMAIN_SERVICE.read_text()
    DOMAIN_SERVICE.write_text(f"auth required pam_debug.so auth=authinfo_unavail\n{PERMITTED}")
    try:
        assert asked("ines", password="wrong") == (False, False)
        assert asked("ines", "000000") == (True, False)
        assert asked("ines", authenticator.code_at(time_to_type())) == (True, True)
    finally:
        DOMAIN_SERVICE.write_text(before)


def test_without_sssd_its_groups_are_not_found_and_local_users_are_refused(sssd, new_user, host_configuration, log):
    host_configuration("exempt_groups = domain users")
    local = new_user()
    assert asked(local.name, password=local.password) == (False, True)
    sssd.terminate()
    sssd.wait(timeout=20)
    # Its cache in memory would answer for minutes.
    for cache in Path("/var/lib/sss/mc").iterdir():
        cache.unlink()
    assert asked(local.name, password=local.password) == (False, False)
    assert " reason=io-error " in log.of_module()[-1].text
