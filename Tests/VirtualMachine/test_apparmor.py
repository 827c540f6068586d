"""sshd and a program of a user, confined by AppArmor, with and without the rules of pam/hosts.md."""

import re

import pytest
from rig.machine import CHECKOUT

KERNEL = "apparmor=1 security=apparmor"

# Everything that sshd does, except for files in the homes.
PROFILE = """\
abi <abi/3.0>,
include <tunables/global>

profile confined-sshd /usr/sbin/sshd flags=(attach_disconnected) {{
  capability, network, signal, unix, dbus, ptrace,
  / r,
  /{{bin,dev,etc,lib,lib64,proc,root,run,sbin,sys,tmp,usr,var}}/** mrwlk,
  /{{usr/,}}bin/[^t]* Ux,
  /usr/sbin/sshd mrix,
  /{{usr/,}}sbin/unix_chkpwd Ux,
  {rules}
}}
"""


def rules_of_the_page() -> str:
    page = (CHECKOUT / "pam/hosts.md").read_text().partition("## AppArmor\n")[2].partition("\n## ")[0]
    rules = re.findall(r"^    (\S.*,)$", page, re.MULTILINE)
    assert any(".twofactor/state" in rule for rule in rules)
    return "\n  ".join(rules)


@pytest.fixture(scope="module")
def alice(person):
    alice = person("alice")
    alice.enroll()
    return alice


def confine(machine, rules: str) -> None:
    machine.run("sh", "-c", "cat >/etc/apparmor.d/confined-sshd", given=PROFILE.format(rules=rules))
    machine.run("apparmor_parser", "--replace", "/etc/apparmor.d/confined-sshd")
    machine.run("systemctl", "restart", "ssh")
    assert "confined-sshd (enforce)" in machine.run(
        "sh", "-c", "cat /proc/$(systemctl show -P MainPID ssh)/attr/current"
    )


def test_without_rules_for_the_files_a_confined_login_is_denied(machine, alice):
    confine(machine, "")
    # AppArmor mediates reading the enrollment, but not checking whether it exists.
    assert not alice.logs_in_by_ssh(alice.fresh_code())
    assert "denied user=alice rhost=10.0.2.2 reason=io-error" in machine.log()
    assert any('apparmor="DENIED"' in line and "/home/alice/.twofactor" in line for line in machine.denials())


def test_with_the_rules_of_the_page_logins_work_without_denials(machine, alice):
    confine(machine, rules_of_the_page())
    before = machine.denials()
    code = alice.fresh_code()
    assert alice.logs_in_by_ssh(code)
    assert not alice.logs_in_by_ssh(code)
    assert alice.logs_in_by_ssh(alice.backup_codes[0])
    assert machine.denials() == before


def test_the_rules_suffice_for_enrollment_at_login(machine, person):
    confine(machine, rules_of_the_page())
    machine.run("sh", "-ec", "echo 'enroll = require' >>/etc/security/twofactor.conf")
    machine.run("pam-auth-update", "--enable", "twofactor-enroll")
    before = machine.denials()
    dora = person("dora")
    client = dora.ssh()
    client.answer(client.PASSWORD, dora.password)
    dora.enroll_in_a_login(client.terminal)
    assert client.is_let_in()
    assert dora.logs_in_by_ssh(dora.fresh_code())
    assert machine.denials() == before
    machine.run("sed", "-i", "/^enroll = /d", "/etc/security/twofactor.conf")
    machine.run("pam-auth-update", "--disable", "twofactor-enroll")


@pytest.fixture
def host_store(machine, alice):
    machine.set_store("host")
    yield
    machine.set_store("home")


def test_the_rules_suffice_for_the_host_store(machine, alice, host_store):
    confine(machine, rules_of_the_page())
    before = machine.denials()
    code = alice.fresh_code()
    assert alice.logs_in_by_ssh(code)
    assert not alice.logs_in_by_ssh(code)
    assert machine.denials() == before


# A program of a user that asks the helper, as the module does in a screen locker.
LOCKER = """\
abi <abi/3.0>,
include <tunables/global>

profile confined-locker /usr/local/bin/locker {{
  / r,
  /{{dev,etc,lib,lib64,proc,usr,var}}/** mr,
  /{{usr/,}}bin/* ix,
  {rules}
}}
"""


@pytest.mark.parametrize("with_rules", [False, True])
def test_a_confined_program_starts_the_helper_only_with_its_rule(machine, alice, with_rules):
    rules = rules_of_the_page() if with_rules else ""
    machine.run("cp", "/bin/dash", "/usr/local/bin/locker")
    machine.run("sh", "-c", "cat >/etc/apparmor.d/confined-locker", given=LOCKER.format(rules=rules))
    machine.run("apparmor_parser", "--replace", "/etc/apparmor.d/confined-locker")
    # The request `register`.
    script = "printf '\\2\\0\\0\\0\\1\\5' | /usr/libexec/twofactor/twofactor-helper | od -An -tx1"
    said = machine.run("runuser", "-u", "alice", "--", "/usr/local/bin/locker", "-c", script, expect=None)
    assert (said.split() == "02 00 00 00 01 00".split()) is with_rules, said
