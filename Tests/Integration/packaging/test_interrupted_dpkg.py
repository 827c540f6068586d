"""dpkg is killed in the middle: nobody gets in with less than before, and dpkg can be run again."""

import os
import random
import signal
import subprocess
import time

import pytest
from rig.packaged_host import WITH_CODE, WITHOUT_CODE, version_of

pytestmark = [pytest.mark.slow, pytest.mark.seconds(900), pytest.mark.parametrize("release", ["bookworm", "trixie"])]
# In each release, and from each older version.
TIMES = 10


def run_and_kill(root, within: float, *words: str) -> float:
    """Kills dpkg with all of its children at a random moment of so many seconds, and returns the moment."""
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    after = random.uniform(0, within)
    process = subprocess.Popen(["chroot", root.path, *words], env=environment, start_new_session=True, **quiet)
    time.sleep(after)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return after


def seconds_of(action) -> float:
    start = time.monotonic()
    action()
    return time.monotonic() - start


def test_an_upgrade_that_is_killed(new_host, release, older, package):
    host = new_host(release)
    host.set_up(older)
    within = seconds_of(lambda: host.install(package))
    enrolled, other = host.enroll("enrolled", "--type", "hotp"), host.add("other")
    for _ in range(TIMES):
        host.go_back(older)
        before = host.stacks()
        after = run_and_kill(host.root, within, "dpkg", "-i", f"/tmp/{package.name}")
        state = f"killed after {after:.3f} s: {host.status()}"
        assert host.stacks() == before, state
        host.assert_logins(enrolled, other)
        host.configure()
        host.install(package)
        assert host.status() == f"{version_of(package)} install ok installed", state
        assert host.root.run("dpkg", "--audit") == "" and host.stacks() == before, state
        host.assert_logins(enrolled, other)
    host.assert_used_codes_stay_used(enrolled)


def test_a_removal_that_is_killed(new_host, release, package):
    """A stack never names the module without its file, so every user gets in."""
    host = new_host(release)
    host.set_up(package)
    enrolled, other = host.enroll("enrolled", "--type", "hotp"), host.add("other")
    within = seconds_of(lambda: host.root.run("dpkg", "--remove", "twofactor"))
    for _ in range(TIMES):
        host.set_up(package)
        host.assert_logins(enrolled, other)
        after = run_and_kill(host.root, within, "dpkg", "--remove", "twofactor")
        state = f"killed after {after:.3f} s: {host.status()}"
        expected = WITH_CODE if host.asks_for_codes else WITHOUT_CODE
        assert host.log_in(enrolled, enrolled.next_code() if host.asks_for_codes else None) == expected, state
        assert host.log_in(other) == WITHOUT_CODE, state
        host.configure()
        host.root.run("dpkg", "--remove", "twofactor")
        assert host.log_in(enrolled) == WITHOUT_CODE, state
        assert not [path for path in host.root.path.glob("etc/pam.d/*") if "twofactor-old" in path.name], state
