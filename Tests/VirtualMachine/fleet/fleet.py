"""A file server and two hosts that mount its home directories, each a virtual machine."""

import base64
import contextlib
import itertools
import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from guest import Guest
from rig.harness import SOURCES, Login, Result, build, count, parse
from rig.one_time_password import Authenticator

HERE = Path(__file__).parent
EXPORTED, HOMES = "/srv/home", "/home"
SERVER = "10.9.0.1"
MOUNT = "nfsvers=4.2,sec=sys"

# The server keeps the locks of a client that it does not hear from, and after its own restart gives clients this long
# to claim their locks again.
LEASE = GRACE = 90


class Machine(Guest):
    """A machine of the fleet."""

    def __init__(self, name: str, number: int, network_port: int) -> None:
        super().__init__(
            # Three emulated machines on a busy host may start slowly.
            "apparmor=1 security=apparmor systemd.default_timeout_start_sec=900",
            memory=1024,
            devices=(
                *("-netdev", f"socket,id=fleet,mcast=230.0.0.1:{network_port},localaddr=127.0.0.1"),
                *("-device", f"virtio-net-pci,netdev=fleet,mac=52:54:00:00:09:0{number}"),
            ),
            log=f"console-{name}",
        )
        self.name = name

    def put(self, path: str, content: str | bytes, mode: str = "600") -> None:
        content = content.encode() if isinstance(content, str) else content
        self.run("sh", "-c", 'base64 -d >"$0" && chmod "$1" "$0"', path, mode, given=encoded(content))

    @contextlib.contextmanager
    def cut_off(self) -> Iterator[None]:
        """Disconnects the machine from the fleet; the port to this machine stays."""
        self.monitor("set_link", name="fleet", up=False)
        try:
            yield
        finally:
            self.monitor("set_link", name="fleet", up=True)

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        os.kill(self.console.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.console.pid, signal.SIGCONT)

    def kill(self) -> None:
        os.kill(self.console.pid, signal.SIGKILL)
        self.console.wait()


class Host(Machine):
    """A machine that mounts the home directories."""

    LOGINS = "/root/login"
    SERVICES = "/root/services"

    def set_up(self) -> None:
        # Two clients with one host name are one client to the server.
        self.run("hostname", self.name)
        with tempfile.TemporaryDirectory() as folder:
            program = build([SOURCES / "login.c"], Path(folder) / "login", "-lpam")
            library = build([HERE / "stop.c"], Path(folder) / "stop.so", "-shared", "-fPIC")
            self.put(self.LOGINS, program.read_bytes(), "700")
            self.put("/root/stop.so", library.read_bytes(), "755")
        self.put("/root/crowd.py", (HERE / "crowd.py").read_text())
        self.set_option("shared", "yes")
        self.run("mkdir", self.SERVICES)
        self.service("other", "auth required pam_deny.so")
        # The clock of the fleet is ahead of a code that waited for the server.
        self.service("fleet", "auth required pam_twofactor.so window=10")
        self.service("nullok", "auth required pam_twofactor.so nullok", "auth required pam_permit.so")

    def service(self, name: str, *lines: str) -> None:
        self.put(f"{self.SERVICES}/{name}", "".join(line + "\n" for line in lines), "644")

    def mount(self, options: str = MOUNT) -> None:
        self.run("mount", "-t", "nfs", "-o", options, f"{SERVER}:{EXPORTED}", HOMES)

    def unmount(self) -> None:
        self.run("umount", HOMES)

    @contextlib.contextmanager
    def mounted(self, options: str) -> Iterator[None]:
        """Mounts with other options."""
        self.unmount()
        self.mount(options)
        try:
            yield
        finally:
            self.unmount()
            self.mount()

    @contextlib.contextmanager
    def named(self, name: str, client_id: str) -> Iterator[None]:
        """Sets another host name. NFSv4 tells clients apart by their host names and their IDs."""
        set_id = ("sh", "-c", 'echo "$0" >/sys/module/nfs/parameters/nfs4_unique_id')
        self.unmount()
        self.run("hostname", name)
        self.run(*set_id, client_id)
        self.mount()
        try:
            yield
        finally:
            self.unmount()
            self.run("hostname", self.name)
            self.run(*set_id, "")
            self.mount()

    def set_option(self, name: str, value: str | None) -> None:
        """Sets or removes a line of twofactor.conf."""
        script = 'f=/etc/security/twofactor.conf; sed -i "/^$0 = /d" $f; [ -z "$1" ] || echo "$0 = $1" >>$f'
        self.run("sh", "-ec", script, name, value or "")

    def logins(self, user: str, *replies: str, **options) -> "Logins":
        return Logins(self, user, *replies, **options)

    def log_in(self, user: str, *replies: str, service: str = "fleet", patience: int = 200) -> Login:
        logins = self.logins(user, *replies, service=service)
        logins.release()
        return logins.results(patience)[0]


class Logins:
    """Logins of one user on a host, which wait at their first prompt for `release`."""

    number = 0

    def __init__(self, host: Host, user: str, *replies: str, times: int = 1, service: str = "fleet", under=()) -> None:
        Logins.number += 1
        gate = f"/run/gate{Logins.number}"
        # A single login may end without a prompt.
        together = ("-o", f"-n{times}") if times > 1 else ()
        words = [*under, host.LOGINS, *together, f"-w{gate}", host.SERVICES, service]
        self.process = host.start("python3", "/root/crowd.py", gate, *words)
        script = [f"user {user.encode().hex()}", *(f"text {reply.encode().hex()}" for reply in replies)]
        self._write("|".join(script) + "|\n")
        self.started = time.monotonic()

    def _write(self, text: str) -> None:
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def wait_for_prompts(self) -> float:
        """Returns how long the prompts took, in seconds."""
        line = self.process.stdout.readline()
        assert line == "ready\n", line + self.process.stdout.read()
        return time.monotonic() - self.started

    def release(self) -> None:
        self._write("\n")

    def results(self, patience: int = 200) -> list[Login]:
        output, _ = self.process.communicate(timeout=patience)
        lines = [line for line in output.splitlines() if line != "ready"]
        assert self.process.returncode == 0, output
        return parse("\n".join(lines))


class Fleet:
    """The machines, with one clock: real time and an offset, so that no test waits for the next time step."""

    def __init__(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.server = Machine("server", 1, port)
        self.user_ids = itertools.count(3001)
        self.hosts = [Host("first", 2, port), Host("second", 3, port)]
        self._offset = 0.0
        self._used = 0

    @property
    def machines(self) -> list[Machine]:
        return [self.server, *self.hosts]

    def on(self, machines, action) -> list:
        """Does the same on several machines at once."""
        with ThreadPoolExecutor() as pool:
            return list(pool.map(action, machines))

    def set_up(self) -> None:
        self.server.run("mkdir", "-p", EXPORTED)
        self.server.put("/etc/exports", f"{EXPORTED} 10.9.0.0/24(rw,sync,root_squash,no_subtree_check)\n", "644")
        self.server.run("systemctl", "restart", "nfs-server")
        self.on(self.hosts, Host.set_up)
        self.set_clocks(time.time())
        # The first mount after the server's start waits for its grace period.
        self.on(self.hosts, Host.mount)

    def time(self) -> float:
        return time.time() + self._offset

    def set_clocks(self, at: float) -> None:
        self._offset = at - time.time()
        self.on(self.machines, lambda machine: machine.run("date", "--set", f"@{self.time():.2f}"))

    def fresh_code(self, authenticator: Authenticator) -> str:
        """A code of a time step that begins now, later than all others; sets the clocks."""
        self.set_clocks(max(self.time(), (self._used + 1) * authenticator.period + 1))
        self._used = authenticator.step(self.time())
        return authenticator.code_for_counter(self._used)

    def crowd(self, user: str, code: str, sessions: int, service: str = "fleet") -> "Crowd":
        """Half of the sessions on each host, all with one code at the same time."""
        logins = [host.logins(user, code, times=sessions // 2, service=service) for host in self.hosts]
        for half in logins:
            half.wait_for_prompts()
        began = time.monotonic()
        for half in logins:
            half.release()
        results = self.on(logins, Logins.results)
        return Crowd(results, time.monotonic() - began)


class Crowd:
    """The logins of each host, and the seconds until the last one ended."""

    def __init__(self, results: list[list[Login]], seconds: float) -> None:
        self.results = results
        self.seconds = seconds

    @property
    def accepted(self) -> list[int]:
        """The number of accepted logins of each host."""
        return [count(logins, Result.SUCCESS) for logins in self.results]

    @property
    def kinds(self) -> set[int | None]:
        return {login.result for logins in self.results for login in logins}


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()
