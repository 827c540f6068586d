"""The host store on the hosts of pam/hosts.md: sandboxes, containers, read-only and copy-on-write file systems."""

import contextlib
import subprocess
from pathlib import Path

import pytest
from rig.clock import START
from rig.copy_on_write import NO_COW, flags
from rig.harness import Result
from rig.machine import HELPER
from rig.power import make_nodes
from rig.process import run
from rig.register import PARENT, REGISTER, STORE, create_host_store, create_register, registered

REGISTER_REQUEST, DONE = bytes.fromhex("020000000105"), bytes.fromhex("020000000100")


def asks_the_helper(user, *before: str) -> bool:
    """Whether a process of the user can change its entry in the register through the helper."""
    words = ("setpriv", f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups", *before, HELPER)
    done = subprocess.run(words, input=REGISTER_REQUEST, capture_output=True, timeout=30)
    return done.stdout == DONE


@contextlib.contextmanager
def remounted(options: str):
    """The directory of the helper, mounted with other options."""
    run("mount", "--bind", HELPER.parent, HELPER.parent)
    try:
        run("mount", "-o", f"remount,bind,{options}", HELPER.parent)
        yield
    finally:
        run("umount", HELPER.parent)


def logs_in(user, service: str, enrolled, at: int, **options) -> bool:
    login = user.log_in(service, enrolled.authenticator.code_at(at), at=at, **options)
    return login.result == Result.SUCCESS


def test_a_login_needs_no_set_group_id_program(user, service, host_store):
    """As in a unit with NoNewPrivileges=yes, or with /usr mounted nosuid."""
    enrolled, name = user.enroll(), service()
    assert enrolled.directory == STORE / str(user.uid)
    assert logs_in(user, name, enrolled, START, under=("setpriv", "--no-new-privs"))
    with remounted("nosuid"):
        assert logs_in(user, name, enrolled, START + 60)


def test_a_login_needs_no_permissions_of_root_on_files(user, service, host_store):
    enrolled = user.enroll()
    drop = "-dac_override,-dac_read_search,-fowner,-chown"
    without = ("setpriv", f"--bounding-set={drop}", f"--inh-caps={drop}")
    assert logs_in(user, service(), enrolled, START, under=without)


WITHOUT_EFFECT = {"no_new_privs": ["--no-new-privs"], "a user namespace": ["unshare", "-U"]}


@pytest.mark.parametrize("where", WITHOUT_EFFECT)
def test_the_helper_has_no_group_in(user, host_store, where):
    assert asks_the_helper(user)
    (REGISTER / str(user.uid)).unlink()
    assert not asks_the_helper(user, *WITHOUT_EFFECT[where])
    assert registered() == []


def test_the_helper_has_no_group_on_a_file_system_without_set_group_id_programs(user, host_store):
    with remounted("nosuid"):
        assert not asks_the_helper(user)
    assert registered() == []


def test_a_read_only_usr_makes_no_difference(user, service, host_store):
    with remounted("ro"):
        enrolled = user.enroll()
        (REGISTER / str(user.uid)).unlink()
        assert asks_the_helper(user)
        assert logs_in(user, service(), enrolled, START)


def test_a_namespace_with_all_accounts_makes_no_difference(user, service, host_store):
    """As in a container."""
    enrolled, name = user.enroll(), service()
    (REGISTER / str(user.uid)).unlink()
    sleeper = subprocess.Popen(["unshare", "-U", "-m", "sh", "-c", "echo; exec sleep 100"], stdout=subprocess.PIPE)
    try:
        sleeper.stdout.readline()
        for kind in ("uid_map", "gid_map"):
            Path(f"/proc/{sleeper.pid}/{kind}").write_text("0 0 100000\n")
        inside = ("nsenter", "-U", "-m", "-t", str(sleeper.pid))
        words = (*inside, "setpriv", f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups", HELPER)
        assert subprocess.run(words, input=REGISTER_REQUEST, capture_output=True, timeout=30).stdout == DONE
        assert logs_in(user, name, enrolled, START, under=inside)
    finally:
        sleeper.kill()
        sleeper.wait()


def test_a_full_btrfs_refuses_no_login(user, service, host_configuration, register, tmp_path):
    make_nodes()
    image = tmp_path / "disk.img"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    run("mkfs.btrfs", "-q", "-M", image)
    run("mount", "-o", "loop", image, PARENT)
    try:
        create_register()
        create_host_store()
        host_configuration("store = host")
        enrolled = user.enroll()
        assert flags(STORE / str(user.uid) / "state") & NO_COW
        fill = "for size in 1M 4k 512; do dd if=/dev/urandom of=$0/$size bs=$size conv=fsync status=none; done"
        run("sh", "-c", fill, PARENT, status=None)
        for step in range(4):
            assert logs_in(user, service(), enrolled, START + 60 * step)
    finally:
        run("umount", PARENT)
