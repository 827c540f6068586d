"""twofactor-helper: it changes only the entry of its real user, whatever the caller prepares."""

import os
import re
import resource
import signal
import struct
import subprocess
import sys
import time
from itertools import combinations
from pathlib import Path

import pytest
from rig import architecture
from rig.clock import time_to_type
from rig.helper import (
    KEEP, LIMIT, REGISTER_REQUEST, UNREGISTER_REQUEST, Answer, ask, check, enroll_through_helper, message, start,
)
from rig.machine import HELPER, PRODUCT
from rig.process import run
from rig.register import REGISTER, registered

DONE = bytes.fromhex("020000000100")


@pytest.fixture
def other(new_user, register):
    """Another user, who is registered."""
    other = new_user()
    assert ask(other, REGISTER_REQUEST).status == "done"
    return other


@pytest.fixture
def entries(register, user, other):
    """The register must name `other` at the end, and `user` only if the test says so."""
    yield lambda: registered() == [user.uid, other.uid] or registered() == [other.uid, user.uid]
    assert other.uid in registered() and set(registered()) <= {user.uid, other.uid}


def test_it_is_setgid_and_only_root_can_write_it(products):
    status = HELPER.stat()
    assert (status.st_uid, status.st_mode & 0o7777) == (0, 0o2755)
    assert (HELPER.parent.stat().st_uid, HELPER.parent.stat().st_mode & 0o022) == (0, 0)


def test_a_user_is_registered_and_unregistered(register, user, log):
    for _ in range(2):
        assert ask(user, REGISTER_REQUEST) == Answer("done", 0)
        assert registered() == [user.uid]
    status = (REGISTER / str(user.uid)).stat()
    assert (status.st_uid, status.st_mode & 0o7777, status.st_size) == (user.uid, 0o600, 0)
    for _ in range(2):
        assert ask(user, UNREGISTER_REQUEST) == Answer("done", 0)
        assert registered() == []
    log.line_with(f"unregistered uid={user.uid}")
    told = [str(each) for each in log.messages() if "twofactor-helper" in str(each)]
    # Only changes are logged.
    assert told == [f"authpriv.info twofactor-helper: {word} uid={user.uid}" for word in ("registered", "unregistered")]


def test_root_changes_only_its_own_entry(register, other):
    done = run(HELPER, input=REGISTER_REQUEST, environment={})
    assert done.stdout.encode() == DONE and set(registered()) == {0, other.uid}
    run(HELPER, input=UNREGISTER_REQUEST, environment={})
    assert registered() == [other.uid]


def test_it_acts_for_the_real_user(register, user, other):
    """A set-user-ID root program starts the helper: the entry is that of the program's user."""
    words = ["setpriv", f"--ruid={user.uid}", "--euid=0", "--clear-groups", HELPER]
    run(*words, input=REGISTER_REQUEST, environment={})
    assert set(registered()) == {user.uid, other.uid}
    assert (REGISTER / str(user.uid)).stat().st_uid == user.uid


def test_a_user_cannot_reach_the_register_without_it(entries, user, other):
    script = f"ls {REGISTER}; cat {REGISTER}/{other.uid}; rm -f {REGISTER}/{other.uid}; touch {REGISTER}/{user.uid}"
    done = run("sh", "-c", script, user=user, status=None)
    assert done.stderr.count("Permission denied") >= 3, done.stderr
    assert registered() == [other.uid]


WRONG = {
    "nothing": (b"", "malformed"),
    "half a length": (b"\2\0", "malformed"),
    "no message": (b"\2\0\0\0", "malformed"),
    "half a message": (b"\2\0\0\0\1", "malformed"),
    "length 0": (message(6, length=0), "malformed"),
    "length 1": (message(6, length=1), "malformed"),
    "a length above the limit": (message(6, bytes(LIMIT - 1)), "malformed"),
    "the greatest length": (message(6, length=2**32 - 1), "malformed"),
    "the sign bit": (message(6, length=2**31), "malformed"),
    "big-endian": (struct.pack(">I", 2) + b"\1\6", "malformed"),
    "a body": (message(6, b"\0"), "malformed"),
    "the longest body": (message(6, bytes(LIMIT - 2)), "malformed"),
    "another version": (message(6, version=2), "unknown version"),
    "version 0": (message(6, version=0), "unknown version"),
    "number 0": (message(0), "unknown request"),
    "the next number": (message(9), "unknown request"),
    "the greatest number": (message(255), "unknown request"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_request_changes_nothing(register, user, what):
    ask(user, REGISTER_REQUEST)
    request, status = WRONG[what]
    assert ask(user, request).status == status
    assert registered() == [user.uid]


def test_nothing_is_read_beyond_the_request(entries, user):
    read, write = os.pipe()
    os.write(write, REGISTER_REQUEST + b"next")
    done = subprocess.run([HELPER], stdin=read, capture_output=True, user=user.uid, group=user.gid, extra_groups=[])
    assert done.stdout == DONE and os.read(read, 99) == b"next"
    os.close(read), os.close(write)


@pytest.mark.parametrize("what", ["zero", "urandom"])
def test_endless_input_is_refused_at_once(entries, user, what):
    began = time.monotonic()
    with open(f"/dev/{what}", "rb") as source:
        done = subprocess.run([HELPER], stdin=source, capture_output=True, user=user.uid, group=user.gid, timeout=30)
    assert done.returncode == 65 and time.monotonic() - began < 5


@pytest.mark.parametrize("ignored", [False, True])
def test_a_caller_who_stops_writing_holds_nothing(entries, user, ignored):
    """Blocking or ignoring SIGALRM does not extend the ten seconds."""

    def hostile() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
        if ignored:
            signal.signal(signal.SIGALRM, signal.SIG_IGN)

    waiting = subprocess.Popen(
        [HELPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, user=user.uid, group=user.gid, preexec_fn=hostile
    )
    waiting.stdin.write(REGISTER_REQUEST[:3])
    waiting.stdin.flush()
    assert ask(user, REGISTER_REQUEST).status == "done"
    assert waiting.wait(timeout=20) == -signal.SIGALRM


CLOSED = [each for count in (1, 2, 3) for each in combinations(range(3), count)]


@pytest.mark.parametrize("closed", CLOSED, ids=str)
def test_closed_descriptors_are_refused(entries, user, closed):
    def close() -> None:
        for descriptor in closed:
            os.close(descriptor)

    assert ask(user, REGISTER_REQUEST, preexec_fn=close).exit == 74
    assert user.uid not in registered()


@pytest.mark.parametrize("mode", ["input for writing", "output for reading", "a path", "a directory"])
def test_descriptors_of_a_wrong_kind_are_refused(entries, user, mode, tmp_path):
    def replace() -> None:
        match mode:
            case "input for writing":
                os.dup2(os.open("/dev/null", os.O_WRONLY), 0)
            case "output for reading":
                os.dup2(os.open("/dev/null", os.O_RDONLY), 1)
            case "a path":
                os.dup2(os.open("/dev/null", os.O_PATH), 0)
            case "a directory":
                os.dup2(os.open("/", os.O_RDONLY | os.O_DIRECTORY), 0)

    assert ask(user, REGISTER_REQUEST, preexec_fn=replace).exit in (65, 74)
    assert user.uid not in registered()


def test_descriptors_of_the_caller_are_closed(entries, user):
    """Not even the syslog socket takes the place of one that the caller left open."""
    ends = os.pipe()

    def spread() -> None:
        for number in range(3, 60):
            os.dup2(ends[1], number, inheritable=True)

    waiting = subprocess.Popen(
        [HELPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, user=user.uid, group=user.gid, preexec_fn=spread,
        close_fds=False,
    )
    for _ in range(100):
        open_now = os.listdir(f"/proc/{waiting.pid}/fd")
        if len(open_now) == 3:
            break
        time.sleep(0.02)
    assert sorted(open_now) == ["0", "1", "2"]
    assert waiting.communicate(REGISTER_REQUEST)[0] == DONE
    os.close(ends[0]), os.close(ends[1])


@pytest.mark.parametrize(
    "arguments", [[HELPER, "register"], [HELPER, "--help"], [HELPER, ""], [b"", b"x" * 100_000]], ids=range(4)
)
def test_arguments_are_refused(entries, user, arguments):
    assert ask(user, REGISTER_REQUEST, arguments=arguments) == Answer(None, 64)
    assert user.uid not in registered()


@pytest.mark.parametrize("name", [b"", b"/", b"-twofactor-helper", b"x" * 100_000], ids=range(4))
def test_the_name_of_the_program_is_ignored(entries, user, name):
    assert ask(user, REGISTER_REQUEST, arguments=[name]).status == "done"
    assert user.uid in registered()


def test_no_argument_at_all_is_no_error(entries, user, tmp_path):
    """execve(2) with argc 0; recent kernels pass an empty name."""
    script = (
        "import ctypes, os, sys\n"
        f"os.setgroups([]); os.setgid({user.gid}); os.setuid({user.uid})\n"
        "null = (ctypes.c_char_p * 1)(None)\n"
        f"ctypes.CDLL(None).execve({str(HELPER).encode()!r}, null, null)\n"
    )
    done = run("python3", "-c", script, input=REGISTER_REQUEST)
    assert done.stdout.encode() == DONE and user.uid in registered()


def test_no_environment_is_used(entries, user, tmp_path):
    """The loader's variables have no effect in a setgid program, and it removes all others."""
    tmp_path.chmod(0o777)
    traces = {
        name: str(tmp_path / name)
        for name in ("LD_DEBUG_OUTPUT", "LD_PROFILE_OUTPUT", "MALLOC_TRACE", "RES_OPTIONS", "GCONV_PATH", "TZ")
    }
    environment = {
        **traces,
        "LD_PRELOAD": "/nonexistent.so", "LD_LIBRARY_PATH": str(tmp_path), "LD_AUDIT": "/nonexistent.so",
        "LD_DEBUG": "all", "LD_BIND_NOW": "", "GLIBC_TUNABLES": "glibc.malloc.check=3", "MALLOC_CHECK_": "3",
        "MALLOC_PERTURB_": "255", "LC_ALL": "x" * 5000, "PATH": ".", "SWIFT_BACKTRACE": "enable=yes", "": "empty",
    }
    waiting = subprocess.Popen(
        [HELPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, user=user.uid, group=user.gid,
        env=environment,
    )
    output, error = waiting.communicate(REGISTER_REQUEST)
    assert (output, waiting.returncode) == (DONE, 0) and b"LD_" not in output
    assert list(tmp_path.iterdir()) == []


LIMITS = {
    "FSIZE": (0, 1, 100), "NOFILE": (0, 1, 2, 3, 4, 5, 6, 8, 10), "NPROC": (0, 1), "CORE": (resource.RLIM_INFINITY,),
    "AS": [number << 18 for number in range(1, 24)], "DATA": (0, 1 << 16, 1 << 18), "STACK": (1 << 14, 1 << 16),
    "CPU": (1,), "MEMLOCK": (0,), "SIGPENDING": (0,), "RTTIME": (1,),
}


@pytest.mark.parametrize("limit", LIMITS)
def test_a_limit_changes_nothing_or_fails_clearly(entries, user, limit):
    for value in LIMITS[limit]:
        number = getattr(resource, f"RLIMIT_{limit}")

        def restrict() -> None:
            resource.setrlimit(number, (value, value))

        before = registered()
        try:
            answer = ask(user, REGISTER_REQUEST, preexec_fn=restrict)
        except (OSError, subprocess.SubprocessError):
            continue  # the program could not be started
        if answer.status == "done":
            assert user.uid in registered()
            assert ask(user, UNREGISTER_REQUEST).status == "done"
        else:
            assert registered() == before, (limit, value, answer)
            assert answer.status in ("failed", None) and answer.exit != 0, (limit, value, answer)


def test_a_reader_that_is_gone_harms_nobody(entries, user):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [HELPER], input=REGISTER_REQUEST, stdout=write, user=user.uid, group=user.gid, restore_signals=False
    )
    os.close(write)
    # The caller ignores SIGPIPE, but it ends the helper, after the request was carried out.
    assert done.returncode == -signal.SIGPIPE and user.uid in registered()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGKILL])
def test_a_signal_ends_it_without_a_change(entries, user, number):
    def ignore() -> None:
        for each in set(range(1, 32)) - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(each, signal.SIG_IGN)

    waiting = subprocess.Popen(
        [HELPER], stdin=subprocess.PIPE, user=user.uid, group=user.gid, preexec_fn=ignore, restore_signals=False
    )
    wait_until_reading(waiting.pid)
    run("kill", f"-{int(number)}", waiting.pid, user=user)
    assert waiting.wait(timeout=5) == -number and user.uid not in registered()


def wait_until_reading(process: int) -> None:
    for _ in range(250):
        words = Path(f"/proc/{process}/syscall").read_text().split()
        if words[:2] == ["0", "0x0"]:
            return
        time.sleep(0.02)
    raise TimeoutError("the helper does not read")


def test_a_stopped_helper_affects_nobody(entries, user, other):
    stopped = subprocess.Popen([HELPER], stdin=subprocess.PIPE, user=user.uid, group=user.gid)
    wait_until_reading(stopped.pid)
    stopped.send_signal(signal.SIGSTOP)
    for each in (user, other):
        assert ask(each, UNREGISTER_REQUEST).status == "done"
        assert ask(each, REGISTER_REQUEST).status == "done"
    stopped.kill()
    stopped.wait()


def test_its_caller_cannot_look_into_it(entries, user):
    """ptrace(2) and /proc are denied, and there is no core dump."""
    waiting = subprocess.Popen([HELPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, user=user.uid, group=user.gid)
    wait_until_reading(waiting.pid)
    done = run("cat", f"/proc/{waiting.pid}/environ", f"/proc/{waiting.pid}/maps", user=user, status=None)
    assert done.stderr.count("Permission denied") == 2
    traced = run("timeout", "3", "strace", "-p", waiting.pid, user=user, status=None)
    assert "Operation not permitted" in traced.stderr, traced.stderr
    status = Path(f"/proc/{waiting.pid}/limits").read_text()
    assert re.search(r"Max core file size +0 +0 ", status), status
    assert Path(f"/proc/{waiting.pid}/cwd").resolve() == Path("/")
    assert re.search(r"(?m)^SigBlk:\s0+$", Path(f"/proc/{waiting.pid}/status").read_text())
    assert waiting.communicate(REGISTER_REQUEST)[0] == DONE


def test_a_traced_helper_has_no_privileges(entries, user, tmp_path):
    """The kernel ignores the set-group-ID bit if the caller traces the program."""
    done = run("strace", "-f", "-o", "/dev/null", HELPER, input=REGISTER_REQUEST, user=user, status=None)
    assert done.returncode == 74 and "Permission denied" in done.stdout
    assert user.uid not in registered()


def test_without_new_privileges_it_says_why(entries, user):
    done = run("setpriv", "--no-new-privs", HELPER, input=REGISTER_REQUEST, user=user, status=None)
    assert done.returncode == 74 and done.stdout.endswith("register: cannot be written: Permission denied")


@pytest.mark.parametrize("call", ["prctl", "setresuid", "openat", "close_range", "chdir", "fchmod", "fchown", "write"])
def test_a_failing_system_call_does_not_widen_anything(register, call):
    """Root injects the failures, because a helper that its user traces has no privileges."""
    for number in range(1, 7):
        done = run(
            "strace", "-qq", "-o", "/dev/null", "-e", f"inject={call}:error=EIO:when={number}", HELPER,
            input=REGISTER_REQUEST, environment={}, status=None,
        )
        assert set(registered()) <= {0}, registered()
        if done.returncode == 0:
            assert registered() == [0]
        run(HELPER, input=UNREGISTER_REQUEST, environment={})


@pytest.mark.parametrize("state", ["writable by all", "of another owner", "a link", "a file", "absent"])
def test_a_register_that_is_not_roots_is_not_touched(register, user, tmp_path, state):
    status = "failed"
    match state:
        case "writable by all":
            REGISTER.chmod(0o1733)
        case "of another owner":
            os.chown(REGISTER, user.uid, -1)
        case "a link":
            REGISTER.rmdir()
            REGISTER.symlink_to(tmp_path)
            tmp_path.chmod(0o777)
        case "a file":
            REGISTER.rmdir()
            REGISTER.touch()
        case "absent":
            REGISTER.rmdir()
            status = "unavailable"
    answer = ask(user, REGISTER_REQUEST)
    assert answer.status == status and bool(answer.text) == (status == "failed"), answer
    assert list(tmp_path.iterdir()) == []
    if REGISTER.is_dir():
        assert list(REGISTER.iterdir()) == []


def test_a_name_that_another_user_took_stays(entries, user, other):
    """The sticky bit: the helper of one user cannot remove the file of another."""
    taken = REGISTER / str(user.uid)
    taken.touch(mode=0o600)
    os.chown(taken, other.uid, other.gid)
    assert ask(user, UNREGISTER_REQUEST).status == "failed"
    assert taken.stat().st_uid == other.uid


# ---- A hostile caller and the enrollment


@pytest.fixture
def enrolled(user, host_store, host_configuration):
    host_configuration("store = host", "max_failures = 100", "window = 10")
    time_to_type()
    return enroll_through_helper(user, backup_codes=1)


SPY = """
import ctypes, os, resource, sys
pid, libc = int(sys.argv[1]), ctypes.CDLL(None, use_errno=True)
numbers = dict(word.split("=") for word in sys.argv[2:])
buffer = ctypes.create_string_buffer(64)
vector = (ctypes.c_size_t * 2)(ctypes.addressof(buffer), 64)

def system_call(name, *arguments):
    if libc.syscall(int(numbers[name]), *(ctypes.c_long(each) if isinstance(each, int) else each for each in arguments)) < 0:
        raise OSError(ctypes.get_errno(), "")

attempts = {
    "ptrace": lambda: system_call("ptrace", 16, pid, 0, 0),
    "process_vm_readv": lambda: system_call("process_vm_readv", pid, vector, 1, vector, 1, 0),
    "pidfd_getfd": lambda: system_call("pidfd_getfd", os.pidfd_open(pid), 0, 0),
    "kcmp": lambda: system_call("kcmp", pid, os.getpid(), 0, 0, 0),
    "prlimit": lambda: resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, 0)),
    "move_pages": lambda: system_call("move_pages", pid, 0, 0, 0, 0, 0),
    **{name: (lambda name=name: open(f"/proc/{pid}/{name}", "rb").read(1)) for name in (
        "mem", "maps", "environ", "auxv", "syscall", "stack", "io", "pagemap", "personality", "timers", "map_files")},
    **{name: (lambda name=name: os.listdir(f"/proc/{pid}/{name}")) for name in ("fd", "fdinfo", "map_files")},
    **{name: (lambda name=name: os.readlink(f"/proc/{pid}/{name}")) for name in ("exe", "cwd", "root", "ns/user")},
}
for name, attempt in attempts.items():
    try:
        attempt()
    except (PermissionError, IsADirectoryError):
        continue
    except OSError as error:
        if error.errno in (38, 2):
            continue
        print(name, error)
    else:
        print(name, "was allowed")
"""


def test_its_user_cannot_trace_or_inspect_it(enrolled):
    waiting = start(enrolled.user)
    wait_until_reading(waiting.pid)
    names = ("ptrace", "process_vm_readv", "pidfd_getfd", "kcmp", "move_pages")
    numbers = [f"{name}={number}" for name, number in architecture.THIS.system_calls(*names).items()]
    assert len(numbers) == len(names)
    assert run(sys.executable, "-c", SPY, waiting.pid, *numbers, user=enrolled.user).stdout == ""
    output, _ = waiting.communicate(check(enrolled.code()))
    assert output[5] == 0


def test_a_program_that_asks_to_be_traced_loses_the_group(enrolled):
    path = str(HELPER)
    script = f"import ctypes, os; ctypes.CDLL(None).ptrace(0, 0, None, None); os.execv({path!r}, [{path!r}])"
    tracer = (
        "import os, subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {script!r}])\n"
        "while True:\n"
        "    _, status = os.waitpid(child.pid, 0)\n"
        "    if os.WIFEXITED(status): sys.exit(os.WEXITSTATUS(status))\n"
        "    import ctypes; ctypes.CDLL(None).ptrace(7, child.pid, None, None)\n"
    )
    done = run(sys.executable, "-c", tracer, input=check(enrolled.code()), user=enrolled.user, status=None)
    assert done.returncode == 74 and "runs without its group" in done.stdout


@pytest.mark.seconds(240)
@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("flags", [0, KEEP], ids=["used", "kept"])
def test_no_limit_leaves_a_guess_uncounted_or_a_code_unused(enrolled, limit, flags):
    answered = 0
    for number, value in enumerate(LIMITS[limit]):

        def restrict() -> None:
            resource.setrlimit(getattr(resource, f"RLIMIT_{limit}"), (value, value))

        before, wrong = enrolled.failures(), enrolled.wrong()
        code = enrolled.backup_codes[0] if limit == "AS" and number % 2 else enrolled.code(steps=min(number, 9))
        for reply in (wrong, code):
            try:
                answer = enrolled.check(reply, flags, preexec_fn=restrict)
            except (OSError, subprocess.SubprocessError):
                continue  # the program could not be started
            assert answer.status in ("done", "refused", "failed", None), answer
            answered += answer.status in ("done", "refused")
            if answer.status == "refused" and reply == wrong:
                assert answer.checked.refusal == "wrong-code" and enrolled.failures() > before
            if answer.status == "done":
                assert reply == code
                if not flags:
                    assert enrolled.check(code).checked.refusal.startswith("reused")
    assert answered or limit in ("FSIZE", "RTTIME"), "no value was large enough"


def test_the_environment_changes_no_check(enrolled, tmp_path):
    tmp_path.chmod(0o777)
    shim = tmp_path / "shim.c"
    shim.write_text("#include <unistd.h>\n__attribute__((constructor)) static void f(void) { _exit(0); }\n")
    library = tmp_path / "libcrypt.so.1"
    run("gcc", "-shared", "-fPIC", "-o", library, shim)
    environment = {
        "LD_PRELOAD": str(library), "LD_LIBRARY_PATH": str(tmp_path), "LD_AUDIT": str(library), "TZ": "/etc/shadow",
        "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0:glibc.rtld.optional_static_tls=0", "MALLOC_PERTURB_": "165",
        "FAKETIME": "+30d", "OPENSSL_CONF": str(shim), "NSS_WRAPPER_PASSWD": str(shim), "HOME": str(tmp_path),
    }
    code = enrolled.code()
    assert enrolled.check(code, environment=environment).status == "done"
    assert enrolled.check(code, environment=environment).checked.refusal == "reused-code"
    # libcrypt is loaded for a backup code.
    assert enrolled.check(enrolled.backup_codes[0], environment=environment).status == "done"


@pytest.mark.parametrize("what", ["never read", "closed", "full"])
def test_an_unread_answer_blocks_no_other_check(enrolled, what):
    read, write = os.pipe()
    if what == "full":
        os.set_blocking(write, False)
        try:
            while True:
                os.write(write, bytes(4096))
        except BlockingIOError:
            os.set_blocking(write, True)
    if what == "closed":
        os.close(read)
    waiting = start(enrolled.user, stdout=write)
    os.close(write)
    waiting.stdin.write(check(enrolled.wrong()))
    waiting.stdin.close()
    end = time.monotonic() + 5
    while enrolled.failures() == 0:
        assert time.monotonic() < end, "a guess without a reader is not counted"
    began = time.monotonic()
    assert enrolled.check(enrolled.code()).status == "done" and time.monotonic() - began < 3
    if what != "closed":
        os.close(read)
    waiting.wait(timeout=15)


def test_a_pending_alarm_and_timers_of_the_caller_change_nothing(enrolled):
    """execve(2) keeps them. They can only end the helper."""

    def arm() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM, signal.SIGPROF, signal.SIGVTALRM])
        signal.setitimer(signal.ITIMER_REAL, 3600)
        signal.setitimer(signal.ITIMER_VIRTUAL, 3600)

    assert enrolled.check(enrolled.code(), preexec_fn=arm).status == "done"

    def pend() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))
        os.kill(os.getpid(), signal.SIGUSR1)

    assert enrolled.check(enrolled.code(steps=1), preexec_fn=pend) == Answer(None, -signal.SIGUSR1)
    assert enrolled.check(enrolled.code(steps=1)).status == "done"


def test_two_hundred_users_at_once(register, new_user):
    users = range(70_001, 70_201)
    for request in (REGISTER_REQUEST, UNREGISTER_REQUEST):
        running = [
            subprocess.Popen([HELPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, user=uid, group=uid)
            for uid in users
        ]
        for each in running:
            assert each.communicate(request)[0] == DONE
        assert registered() == (list(users) if request == REGISTER_REQUEST else [])


def test_the_helper_is_small(products):
    assert (PRODUCT / "twofactor-helper").stat().st_size <= 200 * 1024
