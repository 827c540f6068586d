"""`shared = yes`: enrollments on a file system that other hosts use.

A preloaded library shows the files as those of NFS and the like, whose lines in /proc/self/mountinfo are written as
kernels print them. Real clients of NFS: `scripts/virtual-machine nfs`.
"""

import json
import sys

import pytest
from rig import machine
from rig.clock import START
from rig.enrollment import twofactor_json
from rig.fuse import fuse_home
from rig.harness import SOURCES, Result, build
from rig.machine import COMMAND
from rig.mounts import MountedHome
from rig.process import run
from rig.register import registered
from rig.syslog import fresh_log

sys.path.insert(0, str(machine.CHECKOUT / "Tests/Benchmark"))

from bench import counts, programs  # noqa: E402

NFS4 = "0x6969", "nfs4 srv:/home rw,vers=4.2,hard,proto=tcp,sec=sys,clientaddr=192.0.2.2,local_lock=none,addr=192.0.2.1"
NFS3 = "0x6969", "nfs srv:/home rw,vers=3,hard,nolock,proto=tcp,sec=sys,local_lock=all,addr=192.0.2.1"
UNSAFE = {
    "NFS with nolock, local_lock or nocto": NFS3,
    "CIFS with nobrl, or without cache=strict": ("0xfe534d42", "cifs //srv/home rw,vers=3.1.1,cache=strict,nobrl"),
    "Lustre without flock": ("0xbd00bd0", "lustre 192.0.2.1@tcp:/home rw,checksum,localflock"),
    "GFS2 or OCFS2 with local locks": ("0x1161970", "gfs2 /dev/sdb1 rw,localflocks"),
    "9p or FUSE": ("0x1021997", "9p home rw,access=client,trans=virtio"),
    "unknown file system": ("0x19830326", "beegfs beegfs_nodev rw"),
}


@pytest.fixture(scope="session")
def shown_as(scratch):
    """Returns the prefix of a program that sees each file system as another one."""
    library = build([SOURCES / "network_file_system.c"], scratch / "network.so", "-shared", "-fPIC")

    def prefix(kind: tuple[str, str], *more: str) -> tuple[str, ...]:
        preloaded = ("sh", "-c", f'LD_PRELOAD="{library}:$LD_PRELOAD" exec "$@"', "sh")
        return ("env", f"NETWORK_TYPE={kind[0]}", f"NETWORK={kind[1]}", *more, *preloaded)

    return prefix


def denial(user, service: str, code: str, **options) -> str:
    log = fresh_log()
    login = user.log_in(service, code, **options)
    assert login.result == Result.AUTHINFO_UNAVAIL, login
    (line,) = (line for line in log.of_module(1) if "denied" in line.text)
    return line.text


@pytest.mark.parametrize("words", UNSAFE)
def test_a_login_is_refused_if_locks_stay_on_the_host(user, service, shown_as, words):
    enrolled = user.enroll()
    code = enrolled.authenticator.code_at(START)
    shared, alone = service("shared=yes"), service()
    under = shown_as(UNSAFE[words])
    expected = f'reason=io-error detail="{words}: unsafe on several hosts"'
    assert expected in denial(user, shared, code, at=START, under=under)
    # The code is not used up, and without the option nothing is examined.
    assert user.log_in(alone, code, at=START, under=under).result == Result.SUCCESS


def test_a_login_is_accepted_if_locks_reach_the_other_hosts(user, service, shown_as):
    enrolled = user.enroll()
    code = enrolled.authenticator.code_at(START)
    name = service("shared=yes")
    assert user.log_in(name, code, at=START, under=shown_as(NFS4)).result == Result.SUCCESS
    assert user.log_in(name, code, at=START, under=shown_as(NFS4)).result == Result.AUTH_ERR
    assert user.log_in(name, enrolled.authenticator.code_at(START + 30), at=START + 30).result == Result.SUCCESS


def test_a_home_on_fuse_is_refused(user, service, tmp_path):
    with fuse_home(user, tmp_path):
        enrolled = user.enroll()
        code = enrolled.authenticator.code_at(START)
        assert "9p or FUSE: unsafe on several hosts" in denial(user, service("shared=yes"), code, at=START)
        assert user.log_in(service(), code, at=START).result == Result.SUCCESS


def test_the_command_changes_nothing_if_locks_stay_on_the_host(user, host_configuration, shown_as):
    host_configuration("shared = yes\n")
    under = shown_as(NFS3)

    def refused(*arguments: str) -> str:
        done = run(*under, COMMAND, *arguments, "--user", user.name, status=None)
        assert done.returncode == 74, done
        return done.stderr

    words = "NFS with nolock, local_lock or nocto: unsafe on several hosts"
    assert words in refused("enable", "--no-confirm", "--yes")
    assert not (user.home / ".twofactor").exists()
    user.enroll()
    before = user.files()
    assert words in refused("unlock")
    assert words in refused("disable", "--yes")
    assert user.files() == before
    # Reading takes no lock.
    assert twofactor_json("status", "--user", user.name)["enabled"]


@pytest.mark.parametrize("kind", ["NFS", "NFS without locks", "disk", "NFS, not shared"])
def test_only_on_a_network_file_system_is_an_absence_proof(user, service, register, shown_as, kind):
    """Another host disabled the enrollment; this one has the user in its register."""
    (register / str(user.uid)).touch()
    name = service("nullok", *([] if "not" in kind else ["shared=yes"]), then="pam_permit.so")
    under = () if kind == "disk" else shown_as(NFS3 if "without" in kind else NFS4)
    log = fresh_log()
    login = user.log_in(name, at=START, under=under)
    if kind == "NFS":
        assert login.result == Result.SUCCESS and "method=exempt" in log.of_module(1)[0].text
    else:
        assert login.result == Result.AUTHINFO_UNAVAIL and "reason=missing-enrollment" in log.of_module(1)[0].text
    # Only `disable` and the next enrollment change the register.
    assert registered() == [user.uid]


def doctor(user, *under: str) -> dict[str, dict]:
    """The findings about the files of a user, and about clocks, by name."""
    done = run(*under, COMMAND, "doctor", "--json", "--user", user.name, status=None)
    names = ("shared_files", "clock", "enrollment")
    return {check["name"]: check for check in json.loads(done.stdout)["checks"] if check["name"] in names}


def test_doctor_examines_the_file_systems(user, host_configuration, shown_as, register, tmp_path):
    host_configuration("shared = yes\n")
    user.enroll()
    found = doctor(user, *shown_as(NFS4))
    assert found["shared_files"]["status"] == "ok"
    assert found["shared_files"]["detail"].endswith("(nfs4) reach other hosts")
    found = doctor(user, *shown_as(NFS3))["shared_files"]
    assert found["status"] == "failed" and "is mounted with nolock, local_lock=all" in found["detail"]
    assert "umount" in found["remedy"]
    found = doctor(user)["shared_files"]
    assert found["status"] == "warning" and "is on a disk of this host" in found["detail"]
    host_configuration("")
    found = doctor(user, *shown_as(NFS4))["shared_files"]
    assert found["status"] == "warning" and "shared is not set" in found["detail"]
    assert "shared_files" not in doctor(user)


def test_doctor_compares_the_clock_of_the_server(user, host_configuration, shown_as):
    host_configuration("shared = yes\n")
    enrolled = user.enroll()
    before = enrolled.state.stat().st_mtime_ns
    found = doctor(user, *shown_as(NFS4, "NETWORK_AHEAD=75"))["clock"]
    assert found["status"] == "warning" and "seconds behind that of the file server srv" in found["detail"]
    assert enrolled.state.stat().st_mtime_ns > before
    assert "file server" not in doctor(user, *shown_as(NFS4))["clock"]["detail"]


def test_an_absence_is_proof_for_doctor_and_users(user, host_configuration, shown_as, register):
    host_configuration("shared = yes\n")
    (register / str(user.uid)).touch()
    assert "enrollment" not in doctor(user, *shown_as(NFS4))
    assert doctor(user)["enrollment"]["status"] == "failed"

    def listed(*under: str) -> str:
        (line,) = (line for line in run(*under, COMMAND, "users").stdout.splitlines() if line.startswith(user.name))
        return line.split()[1]

    assert (listed(*shown_as(NFS4)), listed()) == ("off", "missing")


@pytest.mark.parametrize("place", ["disk", "memory"])
def test_the_option_costs_few_system_calls(user, harness, service, register, tmp_path_factory, tmp_path, place):
    """fstatfs(2) on a block device; the list of mounts on other file systems. Without the option, none."""
    home = MountedHome(user, tmp_path)
    if place == "disk":
        home.mount()
    else:
        run("mount", "-t", "tmpfs", "-o", f"mode=755,uid={user.uid},gid={user.gid}", "memory", user.home)
    try:
        enrolled = user.enroll(backup_codes=2)
        (register / str(user.uid)).touch()
        host = programs.build_hosts(tmp_path_factory.mktemp("hosts"))["bare host"]
        traces = []
        for name in (service(), service("shared=yes")):
            codes = ("000000", enrolled.backup_codes[len(traces)])
            first, order = (f"here {name} {user.name} {code}" for code in codes)
            traces.append(counts.system_calls_of_login(host, harness.services, first, order, tmp_path))
    finally:
        run("umount", user.home)
    without, shared = traces
    more = list(shared)
    for call in without:
        more.remove(call)
    assert "fstatfs" not in without
    if place == "disk":
        assert more == ["fstatfs"]
    else:
        assert sorted(set(more)) == ["close", "fstatfs", "openat", "read", "statx"] and len(more) < 10
