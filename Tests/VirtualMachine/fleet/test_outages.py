"""Outages of an NFS server and its clients during logins: nothing is accepted twice, and logins go on."""

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from fleet import GRACE, LEASE, Crowd
from rig.harness import Result

# The module stops waiting for a lock after ten seconds.
ANSWERS = {Result.SUCCESS, Result.AUTH_ERR, Result.AUTHINFO_UNAVAIL}

# Of sshd, in seconds.
LOGIN_GRACE_TIME = 120

# Emulated processors need time after each wait.
MARGIN = 60


def restart(server):
    return server.start("systemctl", "restart", "nfs-server")


# Seconds from the start of the restart to the replies.
@pytest.mark.parametrize("moment", [-2, 2])
def test_logins_go_on_after_a_restart_of_the_server(fleet, user, figure, moment):
    code = user.fresh_code()
    logins = [host.logins(user.name, code, times=15) for host in fleet.hosts]
    for half in logins:
        half.wait_for_prompts()
    restarting = restart(fleet.server) if moment > 0 else None
    time.sleep(max(moment, 0))
    began = time.monotonic()
    for half in logins:
        half.release()
    if restarting is None:
        time.sleep(-moment)
        restarting = restart(fleet.server)
    crowd = Crowd(fleet.on(logins, lambda half: half.results(GRACE + 2 * MARGIN)), time.monotonic() - began)
    assert restarting.wait() == 0
    assert crowd.kinds <= ANSWERS and sum(crowd.accepted) == 1, (crowd.kinds, crowd.accepted)
    when = f"{abs(moment)} s {'after' if moment > 0 else 'before'}"
    figure(f"replies {when} a restart of nfsd: all logins answered in {crowd.seconds:.0f} s")
    assert crowd.seconds < GRACE + MARGIN
    for host in fleet.hosts:
        assert host.log_in(user.name, code).result == Result.AUTH_ERR


def test_a_restart_without_a_host_takes_the_whole_grace_period(fleet, user, figure):
    """The server waits for the other host, which may have had locks."""
    first, second = fleet.hosts
    assert first.log_in(user.name, user.fresh_code()).result == Result.SUCCESS
    with first.cut_off():
        assert restart(fleet.server).wait() == 0
        began = time.monotonic()
        login = second.logins(user.name, user.fresh_code())
        prompted = login.wait_for_prompts()
        login.release()
        assert login.results()[0].result == Result.SUCCESS
        taken = time.monotonic() - began
    figure(f"nfsd restarted without one of two hosts: prompt after {prompted:.0f} s, login after {taken:.0f} s")
    assert taken < GRACE + MARGIN


def test_an_ssh_login_is_answered_after_a_restart_of_the_server(fleet, user, figure):
    """The code expires while the login waits; the next one is accepted."""
    person = user.on(fleet.hosts[1])
    assert restart(fleet.server).wait() == 0
    began = time.monotonic()
    client = person.ssh()
    client.terminal.timeout = GRACE + MARGIN
    client.answer(client.PASSWORD, user.password)
    client.expect(client.CODE)
    client.terminal.sendline(user.fresh_code())
    let_in = client.is_let_in()
    taken = time.monotonic() - began
    words = "accepted" if let_in else "denied, because the code had expired,"
    figure(f"SSH login after a restart of nfsd: {words} after {taken:.0f} s")
    if not let_in:
        assert f"denied user={user.name} rhost=10.0.2.2 reason=outside-window" in fleet.hosts[1].log()
    assert taken < LOGIN_GRACE_TIME
    assert person.logs_in_by_ssh(user.fresh_code())


def stopped_login(host, user, code: str):
    """A login that holds the lock of the state and is stopped before its write; the ID of its process, too."""
    login = host.logins(user.name, code, under=("env", "LD_PRELOAD=/root/stop.so"))
    login.wait_for_prompts()
    login.release()
    script = r'until grep -l "^State:.T" /proc/[0-9]*/status 2>/dev/null; do sleep 0.2; done'
    process = host.run("sh", "-c", script).split("/")[2]
    return login, process


def timed(action) -> tuple:
    began = time.monotonic()
    return action(), time.monotonic() - began


@contextlib.contextmanager
def killed(host):
    host.kill()
    yield


# Less and more than the lease.
@pytest.mark.parametrize("seconds", [25, LEASE + 30])
def test_a_host_that_was_cut_off_accepts_no_code_of_that_time(fleet, user, figure, seconds):
    first, second = fleet.hosts
    code = user.fresh_code()
    logins = second.logins(user.name, code, times=5)
    logins.wait_for_prompts()
    with second.cut_off():
        logins.release()
        assert first.log_in(user.name, code).result == Result.SUCCESS
        time.sleep(seconds)
    began = time.monotonic()
    assert {login.result for login in logins.results()} <= {Result.AUTH_ERR, Result.AUTHINFO_UNAVAIL}
    answered = time.monotonic() - began
    assert second.log_in(user.name, user.fresh_code()).result == Result.SUCCESS
    figure(f"cut off for {seconds} s: waiting logins were answered {answered:.0f} s after the network came back")
    assert answered < MARGIN


@contextlib.contextmanager
def without_delegations(fleet):
    """A client caches a file while it has a delegation, and other hosts wait until it returns it."""
    fleet.server.run("sysctl", "-w", "fs.leases-enable=0")
    for host in fleet.hosts:
        host.unmount()
        host.mount()
    try:
        yield
    finally:
        fleet.server.run("sysctl", "-w", "fs.leases-enable=1")


def test_without_delegations_a_lost_host_delays_only_users_whose_lock_it_holds(fleet, user, new_user, figure):
    with without_delegations(fleet):
        waited, timed_out = lose_the_holder_of_a_lock(fleet, user, new_user(), figure, "cut_off")
    assert waited < LEASE / 3 and timed_out > 0


# Killed last, because it does not come back.
@pytest.mark.parametrize("how", ["cut_off", "stopped", "killed"])
def test_the_lock_of_a_lost_host_is_released_and_its_late_write_fails(fleet, user, new_user, figure, how):
    lose_the_holder_of_a_lock(fleet, user, new_user(), figure, how)


def lose_the_holder_of_a_lock(fleet, user, bystander, figure, how: str) -> tuple[float, int]:
    """Returns how long another user of the lost host waited, and how many logins of the user timed out."""
    first, second = fleet.hosts
    assert first.log_in(bystander.name, bystander.fresh_code()).result == Result.SUCCESS
    other_code = bystander.fresh_code()
    code = user.fresh_code()
    holder, process = stopped_login(first, user, code)
    lost = killed(first) if how == "killed" else getattr(first, how)()
    began = time.monotonic()
    with lost, ThreadPoolExecutor() as pool:
        bystanding = pool.submit(timed, lambda: second.log_in(bystander.name, other_code).result)
        results = []
        while not results or results[-1] == Result.AUTHINFO_UNAVAIL:
            results.append(second.log_in(user.name, code).result)
            assert time.monotonic() - began < LEASE + MARGIN, results
        taken = time.monotonic() - began
        # The lost login has not used the code. Other logins either wait in the kernel or time out.
        assert results[-1] == Result.SUCCESS
        assert taken > LEASE / 3, "the lock did not hold"
    timed_out = len(results) - 1
    how = how.replace("_", " ")
    result, waited = bystanding.result()
    assert result == Result.SUCCESS
    figure(
        f"host with the lock {how}: the user is let in by the other host after {taken:.0f} s ({timed_out} logins "
        f"timed out), another user of the lost host after {waited:.0f} s"
    )
    if how == "killed":
        holder.process.kill()
        return waited, timed_out
    first.run("kill", "-CONT", process)
    # Not SUCCESS: the code was used on the other host.
    assert holder.results()[0].result == Result.AUTHINFO_UNAVAIL
    assert f"denied user={user.name} rhost=- reason=io-error" in first.log()
    for host in fleet.hosts:
        assert host.log_in(user.name, code).result == Result.AUTH_ERR
        assert host.log_in(user.name, user.fresh_code()).result == Result.SUCCESS
    return waited, timed_out
