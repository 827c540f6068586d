"""Debian's SELinux policy with twofactor's module, enforcing: enrollment and every login work, with no more permissions
than they need.
"""

import re

import pytest
from rig import architecture
from rig.one_time_password import Authenticator

KERNEL = "security=selinux selinux=1 enforcing=1"

# The accesses of a login to ~/.twofactor and its files.
LOGIN = {"dir": {"getattr", "search"}, "file": {"getattr", "lock", "open", "read", "write"}}
# Display managers have the domain xdm_t, to which Debian's policy allows everything.
LOGIN_DOMAINS = ("sshd_t", "local_login_t", "remote_login_t")


# The domains after a login: the policy confines bob and carol; alice is unconfined, as by Debian's default.
DOMAINS = {"alice": "unconfined_t", "bob": "staff_t", "carol": "user_t"}


@pytest.fixture(scope="module")
def people(person):
    return {name: person(name) for name in DOMAINS}


@pytest.fixture(params=DOMAINS)
def member(people, request):
    return people[request.param]


def types(machine, directory: str) -> dict[str, str]:
    """The types of a directory and its files."""
    listed = machine.run("find", directory, "-exec", "stat", "--format", "%n %C", "{}", "+")
    return {line.split()[0]: line.split()[1].split(":")[2] for line in listed.splitlines()}


def assert_labeled(machine, directory: str) -> None:
    found = types(machine, directory)
    assert {path.rpartition("/")[2] for path in found} == {directory.rpartition("/")[2], "credential", "state"}
    assert set(found.values()) == {"twofactor_home_t"}, found


def enroll_at_a_terminal(person) -> None:
    """Enrolls as the user, with all questions, over SSH."""
    terminal = person.shell(None)
    terminal.sendline("twofactor enable --qr none")
    terminal.expect("[Pp]assword.*: ")
    terminal.sendline(person.password)
    terminal.expect(r"secret=([A-Z2-7\r\n]+)&")
    person.authenticator = Authenticator.from_base32(re.sub(r"\s", "", terminal.match[1]))
    terminal.expect("Code from the app: ")
    terminal.sendline(person.fresh_code())
    terminal.expect("stored.*[?]")
    person.backup_codes = re.findall(r"[0-9A-Z]{5}-[0-9A-Z]{5}", terminal.before)
    assert len(person.backup_codes) == 10, terminal.before
    terminal.sendline("y")
    terminal.expect("ready> ")
    terminal.sendline("id -Z")
    terminal.expect(f":{DOMAINS[person.name]}:")
    terminal.close()


def test_the_policy_is_enforced_and_knows_the_type(machine):
    assert machine.run("getenforce").strip() == "Enforcing"
    assert "twofactor" in machine.run("semodule", "-l").split()
    assert ":sshd_t:" in machine.run("ps", "-eZ")
    for path, expected in {
        "/home/alice/.twofactor/state": "twofactor_home_t",
        "/var/lib/twofactor/alice/state": "twofactor_home_t",
        "/var/lib/twofactor/enrolled/1000": "twofactor_register_t",
        "/var/lib/twofactor/users/1000/state": "twofactor_home_t",
        "/usr/libexec/twofactor/twofactor-helper": "bin_t",
        "/usr/local/libexec/twofactor/twofactor-helper": "bin_t",
    }.items():
        assert machine.run("matchpathcon", "-n", path).strip().endswith(f":{expected}:s0"), path


def test_a_user_enrolls_and_the_files_are_labeled(machine, member):
    enroll_at_a_terminal(member)
    assert_labeled(machine, f"/home/{member.name}/.twofactor")


def test_ssh_accepts_a_code_once(machine, member):
    code = member.fresh_code()
    assert member.logs_in_by_ssh(code)
    assert not member.logs_in_by_ssh(code)
    assert f"denied user={member.name} rhost=10.0.2.2 reason=reused-code" in machine.log()


def test_a_login_registers_the_user_again(machine, member):
    entry = f"/var/lib/twofactor/enrolled/{member.uid()}"
    machine.run("rm", "-f", entry)
    assert member.logs_in_by_ssh(member.fresh_code())
    assert types(machine, entry) == {entry: "twofactor_register_t"}


def test_the_console_accepts_a_code_once(member):
    code = member.fresh_code()
    assert member.logs_in_at_the_console(code)
    assert not member.logs_in_at_the_console(code)


def test_a_backup_code_is_accepted_once_by_ssh_and_at_the_console(member):
    first, second = member.backup_codes[:2]
    assert member.logs_in_by_ssh(first)
    assert not member.logs_in_at_the_console(first)
    assert member.logs_in_at_the_console(second)
    assert not member.logs_in_by_ssh(second)


@pytest.mark.parametrize("who", ["alice", "bob"])
def test_sudo_and_su_ask_for_a_code(people, who):
    become_others(people[who])


def become_others(person) -> None:
    """Uses sudo and su with codes."""
    terminal = person.shell(person.fresh_code())
    for command, name in (("sudo -k id -un", "root"), (f"su -c 'id -un' {person.name}", person.name)):
        terminal.sendline(command)
        terminal.expect("[Pp]assword.*: ")
        terminal.sendline(person.password)
        terminal.expect("Verification code: ")
        terminal.sendline(person.fresh_code())
        terminal.expect("ready> ")
        assert name in terminal.before.split(), terminal.before
    terminal.close()


def test_later_changes_keep_the_labels(machine, member):
    replace_backup_codes(member)
    assert_labeled(machine, f"/home/{member.name}/.twofactor")


def replace_backup_codes(person) -> None:
    """Makes new backup codes as the user, over SSH."""
    terminal = person.shell(person.fresh_code())
    terminal.sendline("twofactor backup-codes")
    terminal.expect("[Cc]ode.*: ")
    terminal.sendline(person.fresh_code())
    terminal.expect(r"[0-9A-Z]{5}-[0-9A-Z]{5}")
    while terminal.expect(["[?] .*", "ready> "]) == 0:
        terminal.sendline("y")
    terminal.sendline("twofactor status; echo status=$?")
    terminal.expect(r"status=0\r")
    terminal.close()


class TestHostStore:
    """The same users, with their enrollments moved to the host store."""

    @pytest.fixture(scope="class", autouse=True)
    def host_store(self, machine, people):
        machine.set_store("host")
        yield
        machine.set_store("home")

    def test_the_moved_files_are_labeled(self, machine, member):
        assert_labeled(machine, f"/var/lib/twofactor/users/{member.uid()}")

    def test_ssh_and_the_console_accept_a_code_once(self, member):
        code = member.fresh_code()
        assert member.logs_in_by_ssh(code)
        assert not member.logs_in_at_the_console(code)
        assert member.logs_in_at_the_console(member.fresh_code())

    @pytest.mark.parametrize("who", ["alice", "bob"])
    def test_sudo_and_su_ask_for_a_code(self, people, who):
        become_others(people[who])

    def test_a_user_changes_the_enrollment_through_the_helper(self, machine, member):
        replace_backup_codes(member)
        assert_labeled(machine, f"/var/lib/twofactor/users/{member.uid()}")


def test_the_files_that_move_back_are_labeled(machine, member):
    assert_labeled(machine, f"/home/{member.name}/.twofactor")
    assert member.logs_in_by_ssh(member.fresh_code())


def forget(machine, person) -> None:
    machine.run("twofactor", "disable", "--user", person.name, expect=None)


class TestEnrollmentAtLogin:
    """The program that enrolls has a domain of its own: a login program may not create the files."""

    @pytest.fixture(scope="class", autouse=True)
    def offered(self, machine):
        machine.run("sh", "-ec", "echo 'enroll = offer' >>/etc/security/twofactor.conf")
        machine.run("pam-auth-update", "--enable", "twofactor-enroll")
        yield
        machine.run("sed", "-i", "/^enroll = /d", "/etc/security/twofactor.conf")
        machine.run("pam-auth-update", "--disable", "twofactor-enroll")

    def test_ssh_enrolls(self, machine, member):
        forget(machine, member)
        client = member.ssh("id -Z; echo logged in")
        client.answer(client.PASSWORD, member.password)
        member.enroll_in_a_login(client.terminal)
        # The session has the usual domain.
        client.expect(f":{DOMAINS[member.name]}:")
        assert client.is_let_in()
        assert_labeled(machine, f"/home/{member.name}/.twofactor")
        assert member.logs_in_by_ssh(member.fresh_code())

    def test_the_console_enrolls(self, machine, people):
        carol, console = people["carol"], machine.console
        forget(machine, carol)
        console.sendline("carol")
        console.expect("[Pp]assword: ")
        console.sendline(carol.password)
        carol.enroll_in_a_login(console)
        console.expect(r"carol@machine:~\S* ")
        console.sendline("exit")
        console.expect(f"machine {architecture.THIS.console}.*login: ")
        assert_labeled(machine, "/home/carol/.twofactor")
        assert carol.logs_in_by_ssh(carol.fresh_code())

    def test_sudo_and_su_enroll(self, machine, people):
        bob = people["bob"]
        for command in ("sudo -k id -un", "su -c 'id -un' bob"):
            forget(machine, bob)
            client = bob.ssh("PS1='ready> ' exec bash --norc --noprofile")
            client.answer(client.PASSWORD, bob.password)
            client.answer("Set it up now\\? .y/N. ", "n")
            client.expect("ready> ")
            client.terminal.sendline(command)
            client.answer("[Pp]assword.*: ", bob.password)
            bob.enroll_in_a_login(client.terminal)
            client.expect("ready> ")
            client.terminal.close()
            assert_labeled(machine, "/home/bob/.twofactor")

    def test_the_host_store_works_too(self, machine, people):
        alice = people["alice"]
        machine.set_store("host")
        forget(machine, alice)
        client = alice.ssh()
        client.answer(client.PASSWORD, alice.password)
        alice.enroll_in_a_login(client.terminal)
        assert client.is_let_in()
        assert_labeled(machine, f"/var/lib/twofactor/users/{alice.uid()}")
        assert alice.logs_in_by_ssh(alice.fresh_code())
        machine.set_store("home")


def test_the_policy_denied_nothing_of_this(machine):
    assert machine.denials() == []


def allowed(machine, domain: str, kind: str) -> set[str]:
    """The permissions of a domain on twofactor's files, as the kernel computes them."""
    program = f"""
import os
number = int(open("/sys/fs/selinux/class/{kind}/index").read())
names = {{int(open(f"/sys/fs/selinux/class/{kind}/perms/{{name}}").read()): name for name in os.listdir("/sys/fs/selinux/class/{kind}/perms")}}
with open("/sys/fs/selinux/access", "r+b", buffering=0) as access:
    access.write(
        f"system_u:system_r:{domain}:s0-s0:c0.c1023 unconfined_u:object_r:twofactor_home_t:s0 {{number}}".encode()
    )
    vector = int(access.read(200).split()[0], 16)
print(*(name for bit, name in names.items() if vector >> (bit - 1) & 1))
"""
    return set(machine.run("python3", "-c", program).split())


@pytest.mark.parametrize("domain", LOGIN_DOMAINS)
@pytest.mark.parametrize("kind", LOGIN)
def test_a_login_program_has_exactly_the_permissions_of_a_login(machine, domain, kind):
    assert allowed(machine, domain, kind) == LOGIN[kind]


@pytest.mark.parametrize("domain", ["httpd_t", "postfix_local_t", "named_t", "cupsd_t"])
def test_other_programs_cannot_read_the_files(machine, domain):
    assert not allowed(machine, domain, "file") & {"open", "read", "write"}


def test_without_its_label_a_login_is_denied_and_doctor_names_the_remedy(machine, people):
    alice = people["alice"]
    machine.run("chcon", "-R", "-t", "user_home_t", "/home/alice/.twofactor")
    assert alice.is_refused_before_the_code()
    assert "denied user=alice rhost=10.0.2.2 reason=io-error" in machine.log()
    assert machine.doctor("--user", "alice", expect=78)["selinux_label"] == {"failed"}
    machine.run("restorecon", "-RF", "/home/alice/.twofactor")
    assert machine.doctor("--user", "alice", expect=0)["selinux_label"] == {"ok"}
    assert alice.logs_in_by_ssh(alice.fresh_code())


def test_without_the_policy_module_a_login_is_denied_and_doctor_says_so(machine, people):
    alice = people["alice"]
    machine.run("semodule", "-r", "twofactor")
    machine.run("restorecon", "-RF", "/home/alice/.twofactor")
    assert alice.is_refused_before_the_code()
    assert machine.doctor(expect=78)["selinux_policy"] == {"failed"}
