"""Mounts of the home directories: locks that stay on a host, the enrollment on one host, and absent mounts."""

import contextlib
import time

import pytest
from fleet import HOMES
from rig.harness import Result

# Locks of these mounts do not reach the server.
LOCAL = ["nfsvers=3,nolock", "nfsvers=3,local_lock=all", "nfsvers=3,local_lock=posix"]

# Changes by the other host may be read too late.
INCONSISTENT = "nfsvers=4.2,nocto"


@contextlib.contextmanager
def mounted(fleet, options: str):
    """Both hosts with other mount options."""
    with contextlib.ExitStack() as mounts:
        for host in fleet.hosts:
            mounts.enter_context(host.mounted(options))
        yield


@contextlib.contextmanager
def unshared(*hosts):
    """Without `shared = yes`."""
    for host in hosts:
        host.set_option("shared", None)
    try:
        yield
    finally:
        for host in hosts:
            host.set_option("shared", "yes")


def test_the_crowd_finds_local_locks(fleet, user, figure):
    """Proves that a crowd can find a code that is accepted twice."""
    accepted = []
    with unshared(*fleet.hosts), mounted(fleet, "nfsvers=3,nolock"):
        while max(accepted, default=0) < 2 and len(accepted) < 15:
            accepted.append(sum(fleet.crowd(user.name, user.fresh_code(), 10).accepted))
    figure(f"nolock without shared = yes: codes were accepted {', '.join(map(str, accepted))} times")
    assert accepted[-1] > 1


@pytest.mark.parametrize("options", [*LOCAL, INCONSISTENT])
def test_unsafe_mounts_are_refused(fleet, user, options):
    first, second = fleet.hosts
    with second.mounted(options):
        assert second.log_in(user.name, user.fresh_code()).result == Result.AUTHINFO_UNAVAIL
        detail = 'detail="NFS with nolock, local_lock or nocto: unsafe on several hosts"'
        assert f"denied user={user.name} rhost=- reason=io-error {detail}" in second.log()
        assert second.doctor()["shared_files"] == {"failed"}
    assert first.log_in(user.name, user.fresh_code()).result == Result.SUCCESS
    assert first.doctor()["shared_files"] == {"ok"}


@pytest.mark.parametrize("options", ["nfsvers=3", "nfsvers=3,local_lock=flock", "nfsvers=4.0"])
def test_locks_of_other_versions_reach_the_server(fleet, user, options):
    with mounted(fleet, options):
        for _ in range(3):
            crowd = fleet.crowd(user.name, user.fresh_code(), 10)
            assert sum(crowd.accepted) == 1 and crowd.kinds == {Result.SUCCESS, Result.AUTH_ERR}, crowd.kinds


def test_hosts_with_one_host_name_need_different_client_ids(fleet, user):
    """To NFSv4, they would be one client that restarts, and each would release the locks of the other."""
    with contextlib.ExitStack() as names:
        for host in fleet.hosts:
            names.enter_context(host.named("machine", client_id=host.name))
        for _ in range(6):
            crowd = fleet.crowd(user.name, user.fresh_code(), 20)
            assert sum(crowd.accepted) == 1 and crowd.kinds == {Result.SUCCESS, Result.AUTH_ERR}, crowd.accepted


# A client looks into a directory again after at most a minute (acdirmax in nfs(5)).
CACHED = 60

# Results with `nullok` and a wrong code: of a user who is not enrolled, of a refused one, and of one who is asked.
PASSED, REFUSED, ASKED = Result.SUCCESS, Result.AUTHINFO_UNAVAIL, Result.AUTH_ERR


def outcome(host, user) -> int:
    return host.log_in(user.name, "000000", service="nullok").result


def wait_for(outcomes, expected, others: set) -> float:
    """Waits for an outcome, and returns the seconds; all before it are in `others`."""
    began = time.monotonic()
    while (found := outcomes()) != expected:
        assert found in others and time.monotonic() - began < CACHED + 30, found
        time.sleep(1)
    return time.monotonic() - began


def test_changes_on_one_host_reach_the_other_within_a_minute(fleet, user, figure):
    first, second = fleet.hosts
    # The register of the second host names the user from now on.
    assert second.log_in(user.name, user.fresh_code()).result == Result.SUCCESS
    first.run("twofactor", "disable", "--user", user.name)
    # The user is not locked out, although the register names the user.
    taken = wait_for(lambda: outcome(second, user), PASSED, {REFUSED})
    figure(f"disabled on one host: refused for {taken:.0f} s by the other, then not enrolled there")
    with unshared(second):
        assert outcome(second, user) == REFUSED
    assert outcome(second, user) == PASSED
    user.enroll()
    taken = wait_for(lambda: outcome(second, user), ASKED, {PASSED})
    figure(f"enabled on one host: asked for a code by the other after {taken:.0f} s")
    assert second.log_in(user.name, user.fresh_code()).result == Result.SUCCESS


def test_an_absent_mount_is_not_taken_for_no_enrollment(fleet, user):
    second = fleet.hosts[1]
    assert second.log_in(user.name, user.fresh_code()).result == Result.SUCCESS
    second.unmount()
    try:
        assert outcome(second, user) == REFUSED
        # An empty home of the user below the mount point.
        home = f"{HOMES}/{user.name}"
        second.run("install", "-d", "-o", user.name, "-m", "700", home)
        assert outcome(second, user) == REFUSED
        second.run("rm", "-r", home)
    finally:
        second.mount()
    assert second.log_in(user.name, user.fresh_code()).result == Result.SUCCESS
