"""Two verifiers and a host in network namespaces, with the configuration files of pam/radius.

Each has its own /etc. The verifiers share the host store and the accounts; the host has no passwords and no enrollments.
"""

import contextlib
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from .machine import CHECKOUT
from .network import Machine, network
from .process import run
from .radius_packet import Packet, exchange, request
from .ssh import Server

FILES = CHECKOUT / "pam/radius"
PAGE = CHECKOUT / "pam/radius.md"


def make_certificates(folder: Path, *names: str) -> None:
    """Makes the authority and the certificates with the commands of the page."""
    section = PAGE.read_text().partition("\n## Certificates\n")[2].partition("\n## ")[0]
    authority, certificate = re.findall(r"(?m)(?:^    .*\n)+", section)[:2]
    folder.mkdir()
    run("sh", "-ec", authority, cwd=folder)
    for name in names:
        run("sh", "-ec", certificate.replace("web01", name), cwd=folder)


def wait_until(condition, otherwise: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)


@dataclass
class Daemons:
    """A machine with its own /etc, in which daemons run."""

    machine: Machine
    kind: str
    certificates: Path
    secret: str = field(default="", repr=False)
    running: dict[str, subprocess.Popen] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.machine.name

    @property
    def etc(self) -> Path:
        """ip(8) mounts the files in it over those of /etc."""
        return Path("/etc/netns", self.name)

    @property
    def within(self) -> list[str]:
        """The words before a command that runs here."""
        mount = (
            f"mount --bind /run/{self.name} /run/saslauthd" if self.kind == "verifier"
            else "mount -t tmpfs -o mode=755 none /var/lib/twofactor"
        )  # fmt: skip
        return ["ip", "netns", "exec", self.name, "unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh"]

    def configure(self) -> None:
        """Copies the files of pam/radius, with a secret, the addresses of the network and a certificate."""
        for name in ("pam.d", "security"):
            shutil.copytree(f"/etc/{name}", self.etc / name)
        if self.kind == "verifier":
            for path in (Path("/run", self.name), Path("/run/saslauthd"), Path("/run/freeradius")):
                path.mkdir(mode=0o710, exist_ok=True)
                shutil.chown(path, "freerad" if path.name == "freeradius" else "root", "sasl")
        shutil.copytree(FILES / self.kind, self.etc, dirs_exist_ok=True)
        self.take_certificate(self.name, self.certificates)
        if self.kind == "verifier":
            shutil.chown(self.etc / "radsecproxy.conf", "radsecproxy")
        for path in (self.etc / "freeradius").rglob("*"):
            shutil.chown(path, "root", "freerad")
            path.chmod(0o750 if path.is_dir() else 0o640)
        for path in self.etc.rglob("*.conf"):
            path.write_text(path.read_text().replace("192.0.2.0/24", "10.77.0.0/24"))
        self.make_secret()
        if self.kind == "host":
            self.forget_passwords()
            (self.etc / "shadow").chmod(0o600)

    def make_secret(self) -> None:
        """Makes the secret of the loopback interface with the command of the page."""
        section = PAGE.read_text().partition(f"\n## {self.kind.title()}s\n")[2].partition("\n## ")[0]
        command = re.search(r"(?m)^ +# (openssl rand .*)$", section)[1]
        run("sh", "-ec", command.replace("/etc/", f"{self.etc}/"))
        path = self.etc / ("pam_radius_auth.conf" if self.kind == "host" else "radsecproxy.conf")
        self.secret = re.search(r"\b[0-9a-f]{48}\b", path.read_text())[0]

    def take_certificate(self, name: str, certificates: Path) -> None:
        """Gives radsecproxy a certificate, its key, and the authority."""
        folder = self.etc / "radsecproxy"
        folder.mkdir(parents=True, exist_ok=True)
        # A folder in the place of which ip(8) can mount this one.
        Path("/etc/radsecproxy").mkdir(exist_ok=True)
        for source, target in (("ca.pem", "ca.pem"), (f"{name}.pem", "certificate.pem"), (f"{name}.key", "key.pem")):
            shutil.copy(certificates / source, folder / target)
        for path in folder.iterdir():
            shutil.chown(path, "radsecproxy")

    def forget_passwords(self) -> None:
        """Gives the host all accounts, with locked passwords."""
        (self.etc / "shadow").write_text(re.sub(r"(?m)^([^:]+):[^:]*:", r"\1:!:", Path("/etc/shadow").read_text()))

    def start(self, *command: str | Path, name: str | None = None, account: str = "root") -> None:
        """Starts a daemon in the foreground, as an account with its groups."""
        name = name or Path(command[0]).name
        identity = ("setpriv", f"--reuid={account}", f"--regid={account}", "--init-groups", "--no-new-privs")
        with open(f"/tmp/{self.name}-{name}.log", "ab") as output:
            self.running[name] = subprocess.Popen(
                [*self.within, *identity, *map(str, command)], stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    def stop_saslauthd(self) -> None:
        path = Path("/run", self.name, "saslauthd.pid")
        if path.exists():
            os.kill(int(path.read_text()), signal.SIGTERM)
            wait_until(lambda: not path.exists(), "saslauthd does not end")

    def stop(self, name: str) -> None:
        process = self.running.pop(name)
        process.terminate()
        process.wait(timeout=20)

    def stop_all(self) -> None:
        for name in list(self.running):
            self.stop(name)
        self.stop_saslauthd()

    def listens(self, port: int, protocol: str = "tcp") -> bool:
        sockets = run("ip", "netns", "exec", self.name, "ss", "-Hln", f"--{protocol}", f"sport = :{port}").stdout
        return bool(sockets.strip())

    def wait_for(self, port: int, protocol: str = "tcp") -> None:
        wait_until(lambda: self.listens(port, protocol), f"nothing listens on port {port} of {self.name}")

    def start_freeradius(self) -> None:
        """Starts FreeRADIUS as freerad, as its unit does."""
        self.start("/usr/sbin/freeradius", "-f", account="freerad")
        self.wait_for(1812, "udp")

    def start_saslauthd(self) -> None:
        """Starts saslauthd with the options of its defaults file, as its service does."""
        settings = dict(re.findall(r'(?m)^([A-Z_]+)="?([^"\n]*)', (FILES / "verifier/default/saslauthd").read_text()))
        mechanism = ("-a", settings["MECHANISMS"], "-n", settings["THREADS"])
        # It has no option to stay in the foreground and answer several questions at a time.
        run(*self.within, "/usr/sbin/saslauthd", *mechanism, *settings["OPTIONS"].split(), stdout=subprocess.DEVNULL)
        wait_until(Path("/run", self.name, "mux").exists, "saslauthd does not listen")

    def start_radsecproxy(self, *configurations: str) -> None:
        for path in configurations:
            self.start("/usr/sbin/radsecproxy", "-f", "-c", path, name=Path(path).stem, account="radsecproxy")

    def start_verifier(self) -> None:
        self.start_saslauthd()
        self.start_freeradius()
        self.start_radsecproxy("/etc/radsecproxy.conf")
        self.wait_for(2083)

    def start_host(self, connections: int = 2) -> None:
        self.start_radsecproxy("/etc/radsecproxy/verifier1.conf", "/etc/radsecproxy/verifier2.conf")
        self.wait_for(1812, "udp")
        self.wait_for_connections(connections)

    def wait_for_connections(self, count: int) -> None:
        """Waits until so many connections to verifiers are established."""
        query = ("ip", "netns", "exec", self.name, "ss", "-Htn", "state", "established", "dport = :2083")
        wait_until(lambda: run(*query).stdout.count("\n") >= count, f"{self.name} has no {count} connections")

    def socket(self, address: tuple[str, int] = ("", 0), kind: str = "udp") -> socket.socket:
        """A socket in the namespace."""
        made = []

        def make() -> None:
            with open(f"/run/netns/{self.name}") as namespace:
                assert ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), 0) == 0
            kinds = {"udp": socket.SOCK_DGRAM, "tcp": socket.SOCK_STREAM}
            made.append(socket.socket(socket.AF_INET, kinds[kind]))
            made[0].bind(address)

        # A namespace applies to a thread.
        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        return made[0]

    def ask(self, user: str, password: str, verifier: int = 1, seconds: float = 15, **options) -> Packet | None:
        """Sends an Access-Request from the host through radsecproxy to a verifier."""
        with self.socket() as sock:
            asked = request(user, password, self.secret, **options)
            return exchange(sock, (f"127.0.0.{verifier}", 1812), asked, self.secret, seconds)

    def sshd(self, directory: Path, **options) -> Server:
        return Server("sshd", directory, within=self.within, **options)


@contextlib.contextmanager
def fleet(folder: Path):
    """Running verifiers, the host, and a machine without daemons, by name."""
    groups = run("id", "-Gn", "freerad").stdout.split()
    for command in re.findall(r"(?m)^ +# ((?:add|del)user .*)$", PAGE.read_text()):
        run(*command.split())
    make_certificates(folder / "certificates", "verifier1", "verifier2", "web01")
    kinds = {"verifier1": "verifier", "verifier2": "verifier", "web01": "host", "forger": "other"}
    with network(*kinds) as machines, contextlib.ExitStack() as stack:
        stack.callback(run, "usermod", "--groups", ",".join(groups), "freerad")
        daemons = {
            machine.name: Daemons(machine, kind, folder / "certificates")
            for machine, kind in zip(machines, kinds.values(), strict=True)
        }
        for each in daemons.values():
            stack.callback(shutil.rmtree, each.etc, ignore_errors=True)
            stack.callback(each.stop_all)
            if each.kind != "other":
                each.configure()
        for name in ("verifier1", "verifier2"):
            daemons[name].start_verifier()
        daemons["web01"].start_host()
        yield daemons
