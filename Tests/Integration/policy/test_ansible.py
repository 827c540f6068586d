"""Ansible's `become` if sudo asks for a code, and the ways that work: the section "Ansible" of pam/hosts.md."""

import re
import subprocess
from pathlib import Path

import pytest
from rig.clock import time_to_type
from rig.machine import CHECKOUT
from rig.process import run
from rig.ssh import Server, make_key

SECTION = (CHECKOUT / "pam/hosts.md").read_text().partition("\n## Ansible\n")[2].partition("\n## ")[0]
EXAMPLES = [re.sub(r"(?m)^ +", "", block) for block in re.findall(r"(?m)^\n((?: {7}\S.*\n)+)$", SECTION)]
SUDOERS = Path("/etc/sudoers.d/automation")
PASSWORD = "auth requisite pam_unix.so"
REST = ("account required pam_unix.so", "session required pam_permit.so")


def test_the_examples_of_the_page_are_found():
    assert [len(block.splitlines()) for block in EXAMPLES] == [1, 2, 3]


@pytest.fixture
def automation(new_user, system_service):
    """An enrolled user whose sudo asks for password and code at each task."""
    user = new_user()
    system_service("sudo", PASSWORD, "auth required pam_twofactor.so nullok", *REST)
    allow(user, "automation ALL=(ALL) ALL\n")
    yield user
    SUDOERS.unlink()


def allow(user, text: str) -> None:
    # Without cached authentication, sudo calls PAM for each task.
    SUDOERS.write_text("Defaults timestamp_timeout=0\n" + text.replace("automation ", f"{user.name} ").replace(
        ":automation", f":{user.name}"))  # fmt: skip
    SUDOERS.chmod(0o440)
    run("visudo", "--check", "--quiet")


def ansible(user, *arguments: str, password: str | None = None, host: str = "localhost", seconds: int = 30):
    """Runs `id -un` as root; returns the exit status and the output."""
    place = user.home / "become"
    place.write_text(f"{password}\n")
    place.chmod(0o644)
    become = ("--become", *(("--become-password-file", place) if password else ()))
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": user.home, "LC_ALL": "C.UTF-8"}
    words = ("ansible", host, *arguments, "-m", "command", "-a", "id -un", *become)
    done = run(*words, user=user, environment=environment, status=None, timeout=seconds)
    return done.returncode, done.stdout + done.stderr


LOCAL = ("--connection", "local")


def is_root(done: tuple[int, str]) -> bool:
    return done[0] == 0 and "\nroot\n" in done[1]


def test_a_prompt_for_a_code_gets_no_reply(automation):
    automation.enroll()
    with pytest.raises(subprocess.TimeoutExpired):
        ansible(automation, *LOCAL, password=automation.password, seconds=10)


def test_a_code_after_the_password_works_for_one_task(automation, system_service, log):
    lines = re.findall(r"(?m)^auth .*", (CHECKOUT / "pam/service/single-field").read_text())
    system_service("sudo", *lines, *REST)
    reply = automation.password + automation.enroll().authenticator.code_at(time_to_type())
    assert is_root(ansible(automation, *LOCAL, password=reply))
    with pytest.raises(subprocess.TimeoutExpired):
        ansible(automation, *LOCAL, password=reply, seconds=10)
    assert " reason=reused-code" in log.of_module()[-1].text


def test_sudo_without_a_password_asks_for_no_code(automation):
    automation.enroll()
    allow(automation, EXAMPLES[0])
    assert is_root(ansible(automation, *LOCAL))


def test_a_pam_service_of_its_own_asks_for_the_password_alone(automation, system_service, log):
    automation.enroll()
    allow(automation, EXAMPLES[1])
    system_service("sudo-automation", *EXAMPLES[2].splitlines())
    assert is_root(ansible(automation, *LOCAL, password=automation.password))
    assert any("pam_unix(sudo-automation:session): session opened" in message.text for message in log.messages())


def test_an_exempt_group_is_asked_for_the_password_alone(automation, system_service):
    automation.enroll()
    system_service("sudo", PASSWORD, f"auth required pam_twofactor.so nullok exempt_groups={automation.name}", *REST)
    assert is_root(ansible(automation, *LOCAL, password=automation.password))


def test_over_ssh_with_a_key(automation, system_service, tmp_path):
    """The task fails at once if sudo asks for a code, and runs if sudo asks nothing."""
    automation.enroll()
    key = make_key(automation, automation.home)
    run("chown", automation.name, key)
    service = system_service("sshd-ansible", PASSWORD, "auth required pam_twofactor.so nullok", *REST)
    with Server(service, tmp_path / "sshd", methods="publickey") as server:
        inventory = automation.home / "inventory"
        options = f"-F none -o UserKnownHostsFile={automation.home}/known_hosts"
        (automation.home / "known_hosts").write_text((server.directory / "known_hosts").read_text())
        inventory.write_text(
            f"target ansible_host=127.0.0.1 ansible_port={server.port} ansible_python_interpreter=/usr/bin/python3"
            f" ansible_ssh_private_key_file={key} ansible_ssh_common_args='{options}'\n"
        )
        words = ("--inventory", str(inventory))
        status, output = ansible(automation, *words, host="target", password=automation.password)
        assert status != 0 and "Incorrect sudo password" in output, output
        allow(automation, EXAMPLES[0])
        assert is_root(ansible(automation, *words, host="target"))
