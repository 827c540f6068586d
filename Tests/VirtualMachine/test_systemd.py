"""Logins in a sandboxed systemd unit: the effect of each setting in pam/hosts.md."""

import json

import pytest
from rig.machine import CHECKOUT

KERNEL = "apparmor=1 security=apparmor"

# The effect of each setting on a login with the enrollment in the home.
SETTINGS = {
    "": True,
    "ProtectHome=yes": False,
    "ProtectHome=tmpfs": False,
    "ProtectHome=read-only": False,
    "ProtectSystem=strict": True,
    "CapabilityBoundingSet=~CAP_SETUID": False,
    "CapabilityBoundingSet=~CAP_SETGID": False,
    "SystemCallFilter=~@setuid": True,
    "SystemCallFilter=~@setuid SupplementaryGroups=adm": False,
    "NoNewPrivileges=yes": True,
    "MemoryDenyWriteExecute=yes": True,
    "PrivateUsers=yes": False,
}


@pytest.fixture(scope="module")
def alice(person):
    alice = person("alice")
    alice.enroll()
    return alice


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_login_in_a_sandboxed_unit_has_the_documented_result(machine, alice, setting):
    page = (CHECKOUT / "pam/hosts.md").read_text()
    name = setting.partition("=")[0]
    assert not name or f"`{name}=" in page
    properties = [f"--property={part}" for part in setting.split()]
    if name == "SystemCallFilter":
        properties.append("--property=SystemCallErrorNumber=EPERM")
    code = alice.backup_codes.pop() if SETTINGS[setting] else alice.backup_codes[0]
    machine.run("systemctl", "reset-failed")
    said = machine.run(
        *("systemd-run", "--quiet", "--wait", "--pipe", *properties),
        *("twofactor", "test", "--service", "sshd", "--user", "alice", "--json"),
        given=f"{alice.password}\n{code}\n",
        expect=None,
    )
    answers = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    permitted = bool(answers) and answers[0]["permitted"]
    assert permitted is SETTINGS[setting], said
