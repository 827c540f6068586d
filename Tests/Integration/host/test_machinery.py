"""The tests' own tools work, and find the mistakes that they look for."""

import os
import time
from pathlib import Path

import pytest
from rig.clock import standing_at
from rig.harness import FAILURE, NO_ARRAY, NULL, SOURCES, Answer, Result, build
from rig.one_time_password import Authenticator
from rig.process import run
from rig.ssh import Client, Server, make_key

pytestmark = pytest.mark.machinery


def test_the_reference_agrees_with_rfc_4226():
    expected = "755224 287082 359152 969429 338314 254676 287922 162583 399871 520489".split()
    authenticator = Authenticator(b"12345678901234567890")
    assert [authenticator.code_for_counter(counter) for counter in range(10)] == expected


@pytest.mark.parametrize(
    "algorithm, length, codes",
    [
        ("sha1", 20, "94287082 07081804 14050471 89005924 69279037 65353130"),
        ("sha256", 32, "46119246 68084774 67062674 91819424 90698825 77737706"),
        ("sha512", 64, "90693936 25091201 99943326 93441116 38618901 47863826"),
    ],
)
def test_the_reference_agrees_with_rfc_6238(algorithm, length, codes):
    secret = (b"1234567890" * 7)[:length]
    authenticator = Authenticator(secret, algorithm=algorithm, digits=8)
    times = [59, 1111111109, 1111111111, 1234567890, 2000000000, 20000000000]
    assert [authenticator.code_at(time) for time in times] == codes.split()


def test_the_sandbox_is_isolated(user):
    assert os.getpid() != 1 and Path("/run/sandbox/syslog").exists()
    assert user.home.is_dir()
    listening = run("ip", "-o", "link", status=None).stdout
    assert listening.count("\n") == 1, "a network beyond loopback"


def test_homes_are_on_a_journaled_file_system_if_possible():
    if not Path("/sys/block/loop0").exists():
        pytest.skip("no loop device on this machine: races between logins are harder to see")
    mounts = Path("/proc/mounts").read_text().splitlines()
    assert [line.split()[2] for line in mounts if line.split()[1] == "/home"] == ["ext4"]


def test_log_messages_are_caught(log):
    run("logger", "--priority", "authpriv.notice", "--tag", "someone", "one\ttwo")
    for _ in range(100):
        if log.messages():
            break
        time.sleep(0.02)
    assert [str(message) for message in log.messages()] == ["authpriv.notice someone: one<09>two"]


def test_the_harness_distinguishes_results(harness):
    assert harness.log_in(harness.service("permit", "auth required pam_permit.so"), "root").result == Result.SUCCESS
    assert harness.log_in(harness.service("deny", "auth required pam_deny.so"), "root").result == Result.AUTH_ERR
    assert harness.log_in("no-such-service", "root").result == Result.AUTH_ERR


def test_a_stack_in_which_every_module_ignores_is_denied(harness):
    ignoring = "auth required pam_debug.so auth=ignore"
    alone = harness.service("ignored", ignoring)
    followed = harness.service("ignored-then", ignoring, "auth required pam_permit.so")
    assert harness.log_in(alone, "root").result == Result.PERM_DENIED
    assert harness.log_in(followed, "root").result == Result.SUCCESS


def test_the_harness_replies_as_scripted(harness, user, password):
    service = harness.service("unix", "auth required pam_unix.so")
    right = user.log_in(service, password, setcred=True)
    assert (right.result, right.setcred, right.prompts) == (Result.SUCCESS, 0, ["Password: "])
    both = Answer("text-and-failure", password.encode())
    for answer in ["wrong", "", b"\x01\xff", b"7" * 4096, NULL, NO_ARRAY, FAILURE, both]:
        wrong = user.log_in(service, answer)
        assert wrong.result not in (None, Result.SUCCESS)
    assert user.log_in(service).unanswered == 1


def test_the_harness_reports_the_delay_instead_of_sleeping(harness, user):
    started = time.monotonic()
    login = user.log_in(harness.service("delay", "auth required pam_unix.so"), "wrong")
    assert login.delay > 0 and time.monotonic() - started < 1.5


def test_the_clock_stands_still():
    for time_in_2106 in (4294967296, 4294967355):
        date = run("/bin/date", "+%s", environment=standing_at(time_in_2106), status=None)
        assert date.stdout == "%d\n" % time_in_2106


def test_the_race_catches_a_module_without_a_lock(harness, user, scratch):
    module = build([SOURCES / "unlocked.c"], scratch / "unlocked.so", "-shared", "-fPIC", "-lpam")
    file = user.home / "used"
    service = harness.service("unlocked", f"auth required {module} {file}")
    accepted = []
    for number in range(5):
        logins = harness.run(service, [(user.name, [f"{number:06}"])], times=30, at_once=True)
        assert len(logins) == 30
        accepted.append(sum(login.result == Result.SUCCESS for login in logins))
    assert max(accepted) > 1, accepted


def test_a_real_ssh_login_by_password_and_by_key(user, password, scratch):
    Path("/etc/pam.d/machinery-sshd").write_text(
        "auth required pam_unix.so nodelay\naccount required pam_unix.so\nsession required pam_permit.so\n"
    )
    key = make_key(user, scratch)
    with Server("machinery-sshd", scratch / "machinery", "publickey keyboard-interactive:pam") as server:
        for word, let_in in ((password, True), ("wrong", False)):
            client = server.connect(user)
            client.answer(Client.PASSWORD, word)
            assert client.is_let_in() == let_in
        assert server.connect(user, key=key).is_let_in()
