"""Machines of a small network: network namespaces on a bridge of the sandbox, which is the machine 10.77.0.254."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .process import run

BRIDGE = "fleet"
HOSTS = Path("/etc/hosts")


@dataclass(frozen=True)
class Machine:
    """A network namespace with one interface."""

    name: str
    address: str

    @property
    def port(self) -> str:
        """Its port of the bridge."""
        return f"to-{self.name}"

    @property
    def host_name(self) -> str:
        return f"{self.name}.example.org"

    @property
    def prefix(self) -> tuple[str, ...]:
        """The words before a command that runs in the namespace."""
        return ("nsenter", f"--net=/run/netns/{self.name}")

    def cut(self) -> None:
        """Disconnects the machine."""
        run("ip", "link", "set", self.port, "down")

    def isolate(self, isolated: bool = True) -> None:
        """Drops what isolated machines send to each other; the sandbox reaches each of them."""
        run("bridge", "link", "set", "dev", self.port, "isolated", "on" if isolated else "off")

    def mend(self) -> None:
        run("ip", "link", "set", self.port, "up")
        self.isolate(False)
        # Forget which machines did not answer.
        run("ip", "-netns", self.name, "neigh", "flush", "all")
        run("ip", "neigh", "flush", "dev", BRIDGE)


@contextlib.contextmanager
def network(*names: str) -> Iterator[list[Machine]]:
    """Machines with the addresses 10.77.0.1 and so on, and the names NAME.example.org."""
    machines = [Machine(name, f"10.77.0.{number}") for number, name in enumerate(names, 1)]
    before = HOSTS.read_text()
    lines = [f"link add {BRIDGE} type bridge", f"addr add 10.77.0.254/24 dev {BRIDGE}", f"link set {BRIDGE} up"]
    for machine in machines:
        run("ip", "netns", "add", machine.name)
        lines.append(f"link add {machine.port} type veth peer name eth0 netns {machine.name}")
        lines.append(f"link set {machine.port} master {BRIDGE} up")
    try:
        run("ip", "-batch", "-", input="\n".join(lines) + "\n")
        for machine in machines:
            inside = f"link set lo up\naddr add {machine.address}/24 dev eth0\nlink set eth0 up\n"
            run("ip", "-netns", machine.name, "-batch", "-", input=inside)
        HOSTS.write_text(before + "".join(f"{machine.address} {machine.host_name}\n" for machine in machines))
        yield machines
    finally:
        HOSTS.write_text(before)
        run("ip", "link", "del", BRIDGE, status=None)
        for machine in machines:
            # The kernel removes the namespace later, and its interface only then.
            run("ip", "link", "del", machine.port, status=None)
            run("ip", "netns", "del", machine.name, status=None)
