"""Removing and purging the package: refused while a rule needs it; users keep their enrollments."""

import re
import shutil

import pytest
from rig.machine import Account
from rig.packaged_host import (
    HELPER,
    REFUSED,
    REGISTER,
    STORE,
    WITH_CODE,
    WITHOUT_CODE,
    ContinuousLogins,
    assert_group_and_directories,
    version_of,
)


@pytest.fixture(scope="module")
def installed(root, package, other_version):
    """The package after an upgrade, with both profiles enabled, and two users who are enrolled."""
    root.install(package)
    root.run("pam-auth-update", "--enable", "twofactor", "twofactor-enroll")
    root.install(other_version(f"{version_of(package)}+later"))
    for name in ("alice", "carol"):
        root.enroll(root.add_account(name, name))
    return root


def test_removing_is_refused_while_a_stack_of_the_administrator_names_the_module(installed):
    stack = installed.path / "etc/pam.d/su"
    before = stack.read_text()
    # A backslash continues the rule; a comment is none.
    stack.write_text(before + "# auth required pam_twofactor.so\nauth required \\\n pam_twofactor.so\n")
    said = installed.run("dpkg", "--remove", "twofactor", expect=1)
    assert re.findall(r"(?m)^(/etc/pam.d/su):(\d+):auth required .*pam_twofactor.so$", said) == [
        ("/etc/pam.d/su", str(len(before.splitlines()) + 2))
    ]
    # Nothing was removed: the profile is on, and the module exists.
    assert "pam_twofactor.so" in installed.text("etc/pam.d/common-auth")
    assert next(installed.path.glob("usr/lib/*/security/pam_twofactor.so")).exists()
    stack.write_text(before)


def test_removing_the_store_program_is_refused_while_logins_need_it(installed, store_package):
    """Without it, the module would refuse every login."""
    name, settings = "twofactor-store-postgresql", installed.path / "etc/security/twofactor.conf"
    before = settings.read_text()
    shutil.copy(store_package, installed.path / "tmp/store.deb")
    installed.run("dpkg", "--install", "--force-depends", "/tmp/store.deb")
    settings.write_text(before + "store = postgresql\n")
    said = installed.run("dpkg", "--remove", name, expect=1)
    assert "every login would fail without this package" in said and "/etc/pam.d/common-auth:" in said
    assert (installed.path / f"usr/libexec/twofactor/{name}").exists()
    settings.write_text(before)
    installed.run("dpkg", "--purge", name)


def test_a_removal_denies_no_login(host, package):
    """Until the package is removed, an enrolled user is asked for a code, and afterwards for the password alone."""
    before = host.stacks()
    host.set_up(package)
    enrolled, other = host.enroll("enrolled", "--type", "hotp"), host.add("other")

    def log_in():
        outcome = host.log_in(enrolled, enrolled.next_code())
        return [(outcome, WITH_CODE if host.asks_for_codes or outcome == REFUSED else outcome)]

    attempts = {"enrolled": log_in, "other": lambda: [(host.log_in(other), WITHOUT_CODE)]}
    with ContinuousLogins(host, attempts):
        host.root.run("dpkg", "--remove", "twofactor")
    assert host.log_in(enrolled) == WITHOUT_CODE
    assert host.stacks() == before


def test_a_purge_keeps_a_register_with_users(installed, package):
    entries = installed.registered()
    assert entries
    said = installed.run("dpkg", "--purge", "twofactor")
    assert f"twofactor: kept /{REGISTER}, because it names users who are enrolled" in said
    assert installed.registered() == entries and installed.run("getent", "group", "_twofactor")
    installed.install(package)
    assert_group_and_directories(installed)
    assert installed.registered() == entries


def test_a_purge_keeps_a_host_store_with_enrollments(installed, package):
    """And installing the package again changes neither owner nor mode of them."""
    uid = installed.uid_of(Account("alice", ""))
    entry = installed.path / STORE / str(uid)
    entry.mkdir()
    for path, mode in ((entry, 0o700), (entry / "credential", 0o600)):
        path.touch()
        path.chmod(mode)
        shutil.chown(path, uid, uid)
    said = installed.run("dpkg", "--purge", "twofactor")
    assert f"twofactor: kept /{STORE}, because it contains enrollments" in said
    assert installed.run("getent", "group", "_twofactor")
    installed.install(package)
    assert_group_and_directories(installed)
    for path, mode in ((entry, 0o700), (entry / "credential", 0o600)):
        assert (path.stat().st_uid, path.stat().st_gid, path.stat().st_mode & 0o7777) == (uid, uid, mode)


def test_a_purge_leaves_nothing(installed):
    installed.run("rm", "-r", f"/{STORE}/{installed.uid_of(Account('alice', ''))}")
    for name in ("alice", "carol"):
        installed.run("twofactor", "disable", "--user", name)
    assert installed.registered() == []
    installed.run("dpkg", "--purge", "twofactor")
    assert "_twofactor" not in installed.text("etc/group")
    assert HELPER not in installed.run("dpkg-statoverride", "--list", expect=None)
    assert installed.text("etc/pam.d/common-auth") == installed.stack_before
    assert installed.text("etc/pam.d/common-account") == installed.accounts_before
    # Written by the host itself: accounts, host keys, mail.
    hosts = r"etc/(passwd|group|shadow|gshadow|subuid|subgid)-|etc/\.pwd\.lock|etc/ssh/ssh_host_.*|var/(spool/)?mail/.*"
    left = {path for path in set(installed.files()) - set(installed.before) if not re.fullmatch(hosts, path)}
    assert left == set()
    assert "twofactor" not in installed.run("find", "/var/lib/pam", "-type", "f", "-exec", "cat", "{}", "+")
