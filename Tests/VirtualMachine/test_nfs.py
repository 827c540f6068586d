"""The host store on NFS, exported with and without root_squash: the effects in pam/hosts.md."""

import pytest

KERNEL = "apparmor=1 security=apparmor"
PARENT, EXPORTED = "/var/lib/twofactor", "/srv/twofactor"


@pytest.fixture(scope="module")
def alice(machine, person):
    """An enrolled user of the host store, whose directory is then exported and mounted."""
    alice = person("alice")
    machine.run("sh", "-c", "echo 'store = host' >>/etc/security/twofactor.conf")
    alice.enroll()
    machine.run("mv", PARENT, EXPORTED)
    machine.run("mkdir", PARENT)
    machine.run("systemctl", "start", "nfs-server")
    return alice


@pytest.fixture(params=["no_root_squash", "root_squash"])
def squash(machine, alice, request):
    machine.run("sh", "-c", "cat >/etc/exports", given=f"{EXPORTED} 127.0.0.1(rw,{request.param},no_subtree_check)\n")
    machine.run("exportfs", "-ra")
    machine.run("mount", "-t", "nfs4", f"127.0.0.1:{EXPORTED}", PARENT)
    yield request.param
    machine.run("umount", PARENT)


def test_an_enrolled_user_logs_in_and_the_helper_reaches_the_directories(machine, squash, alice):
    code = alice.backup_codes.pop()
    assert alice.logs_in_by_ssh(code)
    assert not alice.logs_in_by_ssh(code)
    entry = f"{EXPORTED}/enrolled/{alice.uid()}"
    machine.run("rm", "-f", entry)
    # The request `register`.
    words = ("runuser", "-u", "alice", "--", "/usr/libexec/twofactor/twofactor-helper")
    machine.run(*words, given="\2\0\0\0\1\5")
    assert machine.run("stat", "-c", "%U %a", entry).split() == ["alice", "600"]


def test_root_enrolls_and_others_pass_only_without_root_squash(machine, person, squash):
    works = squash == "no_root_squash"
    dora = person("dora")
    client = dora.ssh()
    client.answer(client.PASSWORD, dora.password)
    assert client.is_let_in() is works
    assert ("denied user=dora rhost=10.0.2.2 reason=io-error" in machine.log()) is not works
    words = ("twofactor", "enable", "--user", "dora", "--no-confirm", "--yes")
    assert ("permission denied" in machine.run(*words, expect=None)) is not works
    machine.run("twofactor", "disable", "--user", "dora", expect=None)
