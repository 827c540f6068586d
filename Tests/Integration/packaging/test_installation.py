"""Installing the package in clean roots: nothing changes until it is enabled; then users enroll and log in."""

import json
import time

from rig.packaged_host import HELPER, assert_group_and_directories, with_version
from rig.process import run


def test_installing_changes_no_login(root, package):
    root.install(package)
    assert root.text("etc/pam.d/common-auth") == root.stack_before
    assert root.text("etc/pam.d/common-account") == root.accounts_before
    found = root.doctor()
    assert found["module"] == {"ok"} and found["password_service"] == {"ok"} and found["pam_stacks"] == {"warning"}
    assert root.run("dpkg", "--verify", "twofactor") == ""


def test_a_single_field_program_is_named_when_its_package_is_installed(root, tmp_path):
    # pam-auth-update runs no command that could say so.
    tree = tmp_path / "tree"
    for name, text in {
        "DEBIAN/control": "Package: printing\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b>\nDescription: x\n",
        "etc/pam.d/cups": "@include common-auth\n",
    }.items():
        (tree / name).parent.mkdir(parents=True)
        (tree / name).write_text(text)
    run("dpkg-deb", "--root-owner-group", "-b", tree, root.path / "tmp/printing.deb")
    said = root.run("dpkg", "-i", "/tmp/printing.deb")
    assert "twofactor: the programs of these services have a single password field: cups\n" in said
    root.run("dpkg", "--purge", "printing")


def test_the_package_creates_group_register_and_host_store(root):
    assert_group_and_directories(root)
    assert f"root _twofactor 2755 /{HELPER}" in root.run("dpkg-statoverride", "--list").splitlines()
    # The archive itself has no set-group-ID program: the number of the group is not known before.
    assert "g _twofactor -" in root.text("usr/lib/sysusers.d/twofactor.conf").splitlines()


def test_one_command_enables_it_for_all_services(root):
    root.run("pam-auth-update", "--enable", "twofactor")
    auth = [line.split() for line in root.text("etc/pam.d/common-auth").splitlines() if line.startswith("auth")]
    assert ["auth", "required", "pam_twofactor.so", "nullok"] in auth
    # sshd as shipped has keyboard-interactive off: doctor names the line to change.
    assert root.doctor(expect=78)["ssh_keyboard_interactive"] == {"failed"}
    drop_in = root.text("usr/share/doc/twofactor/examples/sshd_config.d/twofactor.conf")
    (root.path / "etc/ssh/sshd_config.d/twofactor.conf").write_text(drop_in)
    found = root.doctor()
    assert found["pam_stacks"] == {"ok"} and found["ssh_keyboard_interactive"] == {"ok"}
    assert not any("failed" in statuses for statuses in found.values())


def test_a_user_enrolls_and_logs_in_with_password_and_code(root, password):
    root.start_server()
    alice = root.add_account("alice", password)
    authenticator = root.enroll(alice)
    assert root.registered() == [root.uid_of(alice)]
    code = authenticator.code_at(time.time())
    for expected in (True, False):
        client = root.connect(alice)
        client.answer(client.PASSWORD, password)
        client.answer(client.CODE, code)
        assert client.is_let_in() is expected


# As in the packages of Debian.
OTHER_PROFILES = {
    "krb5": "Priority: 704\nAccount-Type: Additional\nAccount:\n\trequired\tpam_krb5.so minimum_uid=1000\n",
    "winbind": "Priority: 192\nAccount-Type: Primary\nAccount:\n"
    "\t[success=end new_authtok_reqd=done default=ignore]\tpam_winbind.so\n",
    "sss": "Priority: 128\nAccount-Type: Additional\nAccount:\n"
    "\tsufficient\tpam_localuser.so\n\t[default=bad success=ok user_unknown=ignore]\tpam_sss.so\n",
    "ldap": "Priority: 128\nAccount-Type: Additional\nAccount:\n"
    "\t[success=ok new_authtok_reqd=done ignore=ignore user_unknown=ignore default=bad]\tpam_ldap.so\n",
}


def account_rules(root) -> list[list[str]]:
    return [line.split() for line in root.text("etc/pam.d/common-account").splitlines() if line.startswith("account")]


def test_the_profile_for_enrollment_comes_first_among_all_others(root):
    before = account_rules(root)
    rule = ["account", "required", "pam_twofactor.so"]
    root.run("pam-auth-update", "--enable", "twofactor-enroll")
    assert account_rules(root) == [rule, *before]
    for name, text in OTHER_PROFILES.items():
        (root.path / "usr/share/pam-configs" / name).write_text(f"Name: {name}\nDefault: yes\n{text}")
    root.run("pam-auth-update", "--enable", *OTHER_PROFILES)
    first, *others = account_rules(root)
    assert first == rule and rule not in others
    assert {f"pam_{name}.so" for name in OTHER_PROFILES} < {word for each in others for word in each}
    root.run("pam-auth-update", "--disable", *OTHER_PROFILES)
    for name in OTHER_PROFILES:
        (root.path / "usr/share/pam-configs" / name).unlink()
    root.run("pam-auth-update", "--disable", "twofactor-enroll")
    assert account_rules(root) == before


def test_a_user_enrolls_and_disables_through_the_helper(root, password):
    dave = root.add_account("dave", password)
    before = root.registered()
    as_dave = ["runuser", "-u", "dave", "--", "twofactor"]
    made = root.run(*as_dave, "enable", "--no-confirm", "--yes", "--json", given=f"{password}\n")
    code = json.loads(made[made.index("{") :])["backup_codes"][0]
    assert root.registered() == sorted([*before, root.uid_of(dave)])
    root.run(*as_dave, "disable", given=f"{password}\n{code}\n")
    assert root.registered() == before


def test_a_package_of_another_architecture_is_refused_and_changes_nothing(root, package, tmp_path):
    here = run("dpkg", "--print-architecture").stdout.strip()
    there = "amd64" if here == "arm64" else "arm64"
    foreign = with_version(package, "99", root.path / f"tmp/twofactor_99_{there}.deb", there)
    files, stacks, status = root.files(), root.text("etc/pam.d/common-auth"), root.run("dpkg-query", "-s", "twofactor")
    said = root.run("dpkg", "-i", f"/tmp/{foreign.name}", expect=1)
    assert f"package architecture ({there}) does not match system ({here})" in said
    said = root.run("apt-get", "-y", "install", f"/tmp/{foreign.name}", expect=100)
    assert f"twofactor:{there}" in said
    assert root.files() == files and root.text("etc/pam.d/common-auth") == stacks
    assert root.run("dpkg-query", "-s", "twofactor") == status and root.run("dpkg", "--audit") == ""
