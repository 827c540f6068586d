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
    PackagedHost,
    assert_group_and_directories,
    version_of,
)


@pytest.fixture(scope="module", autouse=True)
def enrolled(root, package, other_version) -> None:
    """The package after an upgrade, with both profiles enabled, and two users who are enrolled."""
    root.install(package)
    root.run("pam-auth-update", "--enable", "twofactor", "twofactor-enroll")
    root.install(other_version(f"{version_of(package)}+later"))
    for name in ("alice", "carol"):
        root.enroll(root.add_account(name, name))

def test_removing_is_refused_while_a_stack_of_the_administrator_names_the_module(root):
    stack = root.path / "etc/pam.d/su"
    before = stack.read_text()
    stack.write_text(before + "auth required pam_twofactor.so\n")
    said = root.run("dpkg", "--remove", "twofactor", expect=1)
    assert "/etc/pam.d/su:auth required pam_twofactor.so" in said
    # Nothing was removed: the profile is on, and the module exists.
    assert "pam_twofactor.so" in root.text("etc/pam.d/common-auth")
    assert next(root.path.glob("usr/lib/*/security/pam_twofactor.so")).exists()
    stack.write_text(before)


def test_a_removal_denies_no_login(root, package, password):
    """Until the package is removed, an enrolled user is asked for a code, and afterwards for the password alone."""
    host = PackagedHost(root, password)
    host.set_up(package)
    enrolled, other = host.enroll("dave", "--type", "hotp"), host.add("bob")

    def log_in():
        outcome = host.log_in(enrolled, enrolled.next_code())
        return [(outcome, WITH_CODE if host.asks_for_codes or outcome == REFUSED else outcome)]

    attempts = {"dave": log_in, "bob": lambda: [(host.log_in(other), WITHOUT_CODE)]}
    with ContinuousLogins(host, attempts):
        root.run("dpkg", "--remove", "twofactor")
    assert host.log_in(enrolled) == WITHOUT_CODE
    assert root.text("etc/pam.d/common-auth") == root.stack_before
    assert root.text("etc/pam.d/common-account") == root.accounts_before
    # The tests below purge the package while it is enabled.
    host.set_up(package)
    assert host.log_in(enrolled, enrolled.next_code()) == WITH_CODE
    root.stop_server()
    root.run("twofactor", "disable", "--user", "dave")


def test_a_purge_keeps_a_register_with_users(root, package):
    entries = root.registered()
    assert entries
    said = root.run("dpkg", "--purge", "twofactor")
    assert f"twofactor: kept /{REGISTER}, because it names users who are enrolled" in said
    assert root.registered() == entries and root.run("getent", "group", "_twofactor")
    root.install(package)
    assert_group_and_directories(root)
    assert root.registered() == entries


def test_a_purge_keeps_a_host_store_with_enrollments(root, package):
    """And installing the package again changes neither owner nor mode of them."""
    uid = root.uid_of(Account("alice", ""))
    entry = root.path / STORE / str(uid)
    entry.mkdir()
    for path, mode in ((entry, 0o700), (entry / "credential", 0o600)):
        path.touch()
        path.chmod(mode)
        shutil.chown(path, uid, uid)
    said = root.run("dpkg", "--purge", "twofactor")
    assert f"twofactor: kept /{STORE}, because it contains enrollments" in said
    assert root.run("getent", "group", "_twofactor")
    root.install(package)
    assert_group_and_directories(root)
    for path, mode in ((entry, 0o700), (entry / "credential", 0o600)):
        assert (path.stat().st_uid, path.stat().st_gid, path.stat().st_mode & 0o7777) == (uid, uid, mode)


def test_a_purge_leaves_nothing(root):
    root.run("rm", "-r", f"/{STORE}/{root.uid_of(Account('alice', ''))}")
    for name in ("alice", "carol"):
        root.run("twofactor", "disable", "--user", name)
    assert root.registered() == []
    root.run("dpkg", "--purge", "twofactor")
    assert "_twofactor" not in root.text("etc/group")
    assert HELPER not in root.run("dpkg-statoverride", "--list", expect=None)
    assert root.text("etc/pam.d/common-auth") == root.stack_before
    assert root.text("etc/pam.d/common-account") == root.accounts_before
    for path in (root.path / "etc/ssh/sshd_config.d").iterdir():
        path.unlink()
    # Written by the host itself: accounts, host keys, mail.
    hosts = r"etc/(passwd|group|shadow|gshadow|subuid|subgid)-|etc/\.pwd\.lock|etc/ssh/ssh_host_.*|var/(spool/)?mail/.*"
    left = {path for path in set(root.files()) - set(root.before) if not re.fullmatch(hosts, path)}
    assert left == set()
    assert "twofactor" not in root.run("find", "/var/lib/pam", "-type", "f", "-exec", "cat", "{}", "+")
