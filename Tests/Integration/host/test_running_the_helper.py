"""How the module starts the helper: the child has no effect on the host program, whose threads, signals and descriptors
have no effect on the child.

harness/caller.c is the host program. Other programs replace the helper: they hang, write too much, or exit early.
"""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from rig.fuse import silent_fuse
from rig.harness import SOURCES, build
from rig.machine import CHECKOUT
from rig.process import run
from rig.reachable import open_to_all

CSYSTEM = CHECKOUT / "Sources/CSystem"


@pytest.fixture(scope="module")
def caller(scratch):
    sources = [SOURCES / "caller.c", CSYSTEM / "program.c", CSYSTEM / "csystem.c"]
    return build(sources, scratch / "caller", f"-I{CSYSTEM}/include", "-pthread")


@pytest.fixture
def program(tmp_path):
    """Writes a shell script."""

    def write(*lines: str) -> Path:
        path = tmp_path / "program"
        path.write_text("#!/bin/sh\n" + "".join(line + "\n" for line in lines))
        path.chmod(0o755)
        return path

    return write


@pytest.fixture
def call(caller):
    """Runs the caller; returns (count, error, answer) of each call, and what the host noticed."""

    def call(path, *states, request=5, timeout=10_000, capacity=1000, **options):
        words = [word for state in states for word in ("-o", state)]
        done = run(caller, *words, path, request, timeout, capacity, **options)
        *calls, host = (dict(part.split("=") for part in line.split()) for line in done.stdout.splitlines())
        return [(int(each["count"]), each["error"], bytes.fromhex(each["answer"])) for each in calls], host

    return call


UNNOTICED = {"noticed": "0", "reaped": "0", "own": "0", "left": "-1", "descriptors": "0", "same": "1", "stormed": "0"}
ECHOED = (5, "0", b"xxxxx")
STATES = [
    (), ("handler",), ("ignored",), ("reaper",), ("closed",), ("files",), ("closed", "files"), ("blocked",), ("storm",),
    ("threads",), ("threads", "handler"), ("threads", "ignored"), ("threads", "reaper", "closed", "storm"),
    ("threads", "blocked", "ignored"),
]  # fmt: skip


@pytest.mark.parametrize("states", STATES, ids=" ".join)
def test_no_host_notices_the_child(call, states):
    calls, host = call("/bin/cat", *states)
    assert calls == [ECHOED] * (8 if "threads" in states else 1)
    # cat may end before the first alarm.
    assert host | {"stormed": "0"} == UNNOTICED


# The shell needs more descriptors.
@pytest.mark.parametrize("states", [states for states in STATES if "files" not in states], ids=" ".join)
def test_a_program_that_hangs_is_killed(call, program, states):
    path = program("echo partial", "exec sleep 987654")
    start = time.monotonic()
    calls, host = call(path, *states, timeout=300)
    assert calls == [(-1, "ETIMEDOUT", b"")] * (8 if "threads" in states else 1)
    assert host == UNNOTICED | {"stormed": str(int("storm" in states))}
    assert time.monotonic() - start < 2
    assert run("pgrep", "-f", "sleep 987654", status=None).returncode == 1


def test_the_children_of_the_host_are_left_to_it(call, program):
    slow = program("sleep 0.2; cat")
    assert call(slow, "child") == ([ECHOED], UNNOTICED | {"own": "7"})
    assert call(slow, "child", "handler") == ([ECHOED], UNNOTICED | {"noticed": "1", "reaped": "1", "own": "-10"})
    assert call(slow, "child", "reaper")[0] == [ECHOED]


def test_a_host_that_waits_for_every_kind_of_child_gets_the_answer(call):
    calls, host = call("/bin/cat", "all")
    assert calls == [ECHOED] and host["left"] == "-1"


def test_too_few_descriptors_are_an_error(call):
    assert call("/bin/cat", "full") == ([(-1, "EMFILE", b"")], UNNOTICED)


def test_the_program_gets_nothing_from_the_host(call, program):
    path = program(
        'echo "$0 $# $(pwd)"', "env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^OLDPWD=",
        'for each in 0 1 2; do readlink /proc/$$/fd/$each | sed "s/[0-9]*//g"; done; ls /proc/self/fd | wc -l',
        "sed -n 's/^Sig[BI][a-z]*://p' /proc/self/status; ps -o tty= $$",
    )  # fmt: skip
    with subprocess.Popen(["sleep", "60"], stdout=subprocess.PIPE) as other:
        ((_, error, answer),), host = call(
            path, "blocked", "ignored", environment={"SECRET": "1"}, cwd="/tmp", pass_fds=[other.stdout.fileno()]
        )
        other.kill()
    assert error == "0" and host == UNNOTICED
    first, *rest = answer.decode().splitlines()
    assert first == f"{path} 0 /"
    # ls has one more descriptor, for the directory.
    assert rest[:4] == ["socket:[]", "socket:[]", "/dev/null", "4"], rest
    assert [int(line, 16) for line in rest[4:6]] == [0, 0], rest
    assert rest[6].strip() == "?"


def test_its_name_is_always_the_same(call, tmp_path):
    source = tmp_path / "name.c"
    source.write_text(
        "#include <stdio.h>\n"
        'int main(int c, char **v, char **e) { return printf("%d %s %s", c, v[0], e[0] ? e[0] : "-") < 0; }\n'
    )
    assert call(build([source], tmp_path / "name"))[0][0][2] == b"1 twofactor-helper -"


def test_a_program_that_does_not_read_does_not_kill_the_host(call, program):
    assert call("/bin/false", request=5)[0] == [(0, "0", b"")]
    assert call("/bin/false", request=10_000_000)[0] == [(0, "0", b"")]
    path = program("echo early; exec <&-; sleep 0.2; echo late")
    assert call(path, request=10_000_000)[0] == [(11, "0", b"early\nlate\n")]


def test_long_messages_pass_both_ways(call):
    calls, _ = call("/bin/cat", request=3_000_000, capacity=3_000_000)
    assert calls[0][0] == 3_000_000


def test_an_answer_that_is_too_long_is_an_error(call, program):
    assert call("/bin/cat", request=1000)[0][0][0] == 1000
    assert call("/bin/cat", request=1001) == ([(-1, "EMSGSIZE", b"")], UNNOTICED)
    start = time.monotonic()
    assert call(program("exec yes")) == ([(-1, "EMSGSIZE", b"")], UNNOTICED)
    assert time.monotonic() - start < 1


def test_a_program_that_cannot_be_started_is_an_error(call, tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("text")
    for path, error in (("/no/such", "ENOENT"), ("/etc", "EACCES"), (plain, "EACCES")):
        assert call(path) == ([(-1, error, b"")], UNNOTICED)


def test_orphans_that_keep_the_answer_open_cause_no_delay(call, program):
    # The program has ended, so its answer is complete.
    start = time.monotonic()
    assert call(program("echo done; sleep 3 &")) == ([(5, "0", b"done\n")], UNNOTICED)
    assert time.monotonic() - start < 2


def supervisors(host: subprocess.Popen) -> list[int]:
    children = Path(f"/proc/{host.pid}/task/{host.pid}/children").read_text().split()
    return [int(child) for child in children]


@pytest.fixture
def waiting(caller, program):
    """A host whose call waits for a program that sleeps, and its supervisor."""
    path = program("exec sleep 3")
    host = subprocess.Popen([caller, path, "5", "1000", "100"], stdout=subprocess.PIPE, text=True)
    end = time.monotonic() + 5
    while not (found := supervisors(host)) or not Path(f"/proc/{found[0]}/task/{found[0]}/children").read_text():
        assert time.monotonic() < end
        time.sleep(0.01)
    yield host, found[0]
    host.kill()
    host.wait()


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL], ids=["stopped", "killed"])
def test_no_signal_to_the_supervisor_makes_the_host_wait(waiting, number):
    host, supervisor = waiting
    start = time.monotonic()
    os.kill(supervisor, number)
    said, _ = host.communicate(timeout=5)
    assert "count=-1" in said and "left=-1" in said and time.monotonic() - start < 3


def test_signals_of_the_terminal_do_not_reach_the_program(waiting):
    host, supervisor = waiting
    assert os.getsid(supervisor) == supervisor != os.getsid(host.pid)
    os.kill(supervisor, signal.SIGINT)
    os.kill(supervisor, signal.SIGHUP)
    said, _ = host.communicate(timeout=5)
    assert "error=ETIMEDOUT" in said


@pytest.mark.parametrize("is_stopped", [False, True], ids=["running", "stopped"])
def test_the_program_ends_if_the_host_is_killed(waiting, is_stopped):
    """Even if the account stopped it: processes that stay could fill the service's control group."""
    host, supervisor = waiting
    (program,) = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    if is_stopped:
        os.kill(int(program), signal.SIGSTOP)
    host.kill()
    host.wait()
    end = time.monotonic() + 12
    while Path(f"/proc/{supervisor}/stat").exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    assert not Path(f"/proc/{program}").exists()


ATTACH = """\
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
PTRACE_ATTACH = 16
sys.exit(ctypes.get_errno() if libc.ptrace(PTRACE_ATTACH, int(sys.argv[1]), None, None) != 0 else 0)
"""


def program_of(host: subprocess.Popen, account) -> int:
    """The process that has become the account, but not yet the program."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        with contextlib.suppress(OSError, IndexError):
            supervisor = supervisors(host)[0]
            child = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()[0]
            status = Path(f"/proc/{child}/status").read_text()
            if f"Uid:\t{account.uid}\t{account.uid}" in status and "NoNewPrivs:\t1" in status:
                return int(child)
    raise TimeoutError("no program was started")


@pytest.mark.parametrize("dumpable", ["0", "1"])
def test_the_account_cannot_trace_the_copy_of_the_host(caller, user, suid_dumpable, tmp_path, dumpable):
    """While execve(2) waits, the process still has the memory of the host."""
    if not Path("/sys/module/fuse").exists() and "fuse" not in Path("/proc/filesystems").read_text():
        pytest.skip("this kernel has no FUSE")
    suid_dumpable(dumpable)
    own = subprocess.Popen(["sleep", "20"], user=user.uid, group=user.gid, extra_groups=[])
    try:
        assert run("python3", "-c", ATTACH, own.pid, user=user, status=None).returncode == 0
    finally:
        own.kill()
        own.wait()
    place = tmp_path / "place"
    place.mkdir()
    open_to_all(tmp_path)
    with silent_fuse(place, user):
        host = subprocess.Popen([caller, "-u", user.name, place / "program", "5", "1500", "100"])
        program = program_of(host, user)
        for reader in (["python3", "-c", ATTACH, program], ["head", "-c1", f"/proc/{program}/maps"]):
            assert run(*reader, user=user, status=None).returncode == 1
        # Nor dump its core.
        status = Path(f"/proc/{program}/status").read_text()
        blocked = int(status.partition("SigBlk:\t")[2].split()[0], 16)
        dumping = (signal.SIGQUIT, signal.SIGABRT, signal.SIGSEGV, signal.SIGSYS)
        assert all(blocked >> number - 1 & 1 for number in dumping)
        host.wait(timeout=10)
