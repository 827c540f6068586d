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


# The effect with the enrollment in the host store.
HOST_SETTINGS = {
    "": True,
    "ProtectHome=yes": True,
    "ProtectSystem=strict": False,
    "ProtectSystem=strict ReadWritePaths=/var/lib/twofactor": True,
    "CapabilityBoundingSet=~CAP_SETGID": False,
    "NoNewPrivileges=yes": True,
    "PrivateUsers=yes": False,
}

# The effect on the helper, in a unit that runs as the user.
HELPER_SETTINGS = {"": True, "ProtectHome=yes": True, "NoNewPrivileges=yes": False, "RestrictSUIDSGID=yes": False}


@pytest.fixture(scope="module")
def alice(person):
    alice = person("alice")
    alice.enroll()
    return alice


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_login_in_a_sandboxed_unit_has_the_documented_result(machine, alice, setting):
    assert_login(machine, alice, setting, SETTINGS[setting])


def assert_login(machine, alice, setting: str, expected: bool) -> None:
    page = (CHECKOUT / "pam/hosts.md").read_text()
    name = setting.partition("=")[0]
    assert not name or f"`{name}=" in page
    properties = [f"--property={part}" for part in setting.split()]
    if name == "SystemCallFilter":
        properties.append("--property=SystemCallErrorNumber=EPERM")
    code = alice.backup_codes.pop() if expected else alice.backup_codes[0]
    machine.run("systemctl", "reset-failed")
    said = machine.run(
        *("systemd-run", "--quiet", "--wait", "--pipe", *properties),
        *("twofactor", "test", "--service", "sshd", "--user", "alice", "--json"),
        given=f"{alice.password}\n{code}\n",
        expect=None,
    )
    answers = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    permitted = bool(answers) and answers[0]["permitted"]
    assert permitted is expected, said


class TestHostStore:
    @pytest.fixture(scope="class", autouse=True)
    def host_store(self, machine, alice):
        machine.run("twofactor", "unlock", "--user", "alice")
        machine.set_store("host")
        yield
        machine.set_store("home")

    @pytest.mark.parametrize("setting", HOST_SETTINGS)
    def test_a_login_in_a_sandboxed_unit_has_the_documented_result(self, machine, alice, setting):
        assert_login(machine, alice, setting, HOST_SETTINGS[setting])

    @pytest.mark.parametrize("setting,works", HELPER_SETTINGS.items())
    def test_the_helper_needs_new_privileges(self, machine, alice, setting, works):
        """In a unit that runs as the user."""
        properties = [f"--property={part}" for part in ("User=alice", *setting.split())]
        # The request `register`, and the answer `done`.
        script = r"printf '\2\0\0\0\1\5' | /usr/libexec/twofactor/twofactor-helper | od -An -tx1"
        said = machine.run("systemd-run", "--quiet", "--wait", "--pipe", *properties, "sh", "-c", script, expect=None)
        assert (said.split() == "02 00 00 00 01 00".split()) is works, said

    def test_a_boot_restores_the_directory_and_nothing_in_it(self, machine, alice):
        directory = "/var/lib/twofactor/users"
        words = ("find", directory, "-printf", "%P %u:%g %m\n")
        before = machine.run(*words)
        machine.run("chmod", "0777", directory)
        machine.run("systemd-tmpfiles", "--create", "--remove", "--clean")
        assert machine.run(*words) == before
        assert before.startswith(" root:_twofactor 1730\n")
