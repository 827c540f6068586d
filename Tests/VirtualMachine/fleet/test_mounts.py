"""Mounts of the home directories: locks that stay on a host, the enrollment on one host, and absent mounts."""

import contextlib

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


@pytest.fixture
def unshared(fleet):
    """Without `shared = yes`."""
    for host in fleet.hosts:
        host.set_option("shared", None)
    yield
    for host in fleet.hosts:
        host.set_option("shared", "yes")


def test_the_crowd_finds_local_locks(fleet, user, unshared, figure):
    """Proves that a crowd can find a code that is accepted twice."""
    accepted = []
    with mounted(fleet, "nfsvers=3,nolock"):
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
        assert second.doctor()["shared_files"] == {"fail"}
    assert first.log_in(user.name, user.fresh_code()).result == Result.SUCCESS
    assert first.doctor()["shared_files"] == {"ok"}


@pytest.mark.parametrize("options", ["nfsvers=3", "nfsvers=3,local_lock=flock", "nfsvers=4.0"])
def test_locks_of_other_versions_reach_the_server(fleet, user, options):
    with mounted(fleet, options):
        for _ in range(3):
            crowd = fleet.crowd(user.name, user.fresh_code(), 10)
            assert sum(crowd.accepted) == 1 and crowd.kinds == {Result.SUCCESS, Result.AUTH_ERR}, crowd.kinds


def test_hosts_with_one_host_name_accept_no_code_twice(fleet, user, figure):
    """NFSv4 takes them for one client that restarts, and each loses its locks to the other."""
    with contextlib.ExitStack() as names:
        for host in fleet.hosts:
            names.enter_context(host.named("machine"))
        crowds = [fleet.crowd(user.name, user.fresh_code(), 20) for _ in range(5)]
    accepted = [sum(crowd.accepted) for crowd in crowds]
    figure(f"two hosts with one host name: {accepted.count(1)} of 5 codes were accepted once, the others never")
    assert set(accepted) <= {0, 1}, accepted
    assert Result.AUTHINFO_UNAVAIL in set().union(*(crowd.kinds for crowd in crowds))


def test_a_user_who_disables_on_one_host_is_not_locked_out_of_the_other(fleet, user):
    first, second = fleet.hosts
    # The register of the second host names the user from now on.
    assert second.log_in(user.name, user.fresh_code()).result == Result.SUCCESS
    first.run("twofactor", "disable", "--user", user.name)
    login = second.log_in(user.name, service="nullok")
    assert login.result == Result.SUCCESS and not login.prompts
    second.set_option("shared", None)
    assert second.log_in(user.name, service="nullok").result == Result.AUTHINFO_UNAVAIL
    second.set_option("shared", "yes")


def test_an_absent_mount_is_not_taken_for_no_enrollment(fleet, user):
    second = fleet.hosts[1]
    assert second.log_in(user.name, user.fresh_code()).result == Result.SUCCESS
    second.unmount()
    try:
        assert second.log_in(user.name, service="nullok").result == Result.AUTHINFO_UNAVAIL
        # An empty home of the user below the mount point.
        home = f"{HOMES}/{user.name}"
        second.run("install", "-d", "-o", user.name, "-m", "700", home)
        assert second.log_in(user.name, service="nullok").result == Result.AUTHINFO_UNAVAIL
        second.run("rm", "-r", home)
    finally:
        second.mount()
    assert second.log_in(user.name, user.fresh_code()).result == Result.SUCCESS
