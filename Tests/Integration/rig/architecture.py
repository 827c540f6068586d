"""What differs between processors: no other file of the tests names one, except the folders of example hosts."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from .process import run


@dataclass(frozen=True)
class Architecture:
    """A processor, as Debian, the GNU tools and QEMU name it."""

    name: str
    triplet: str
    dynamic_linker: str
    # QEMU's program and arguments for a virtual machine, its serial console, and its program for one process.
    machine: tuple[str, ...]
    console: str
    emulator: str

    def tool(self, name: str) -> str:
        """A program of the GNU tools: Debian's packages of them all have this name, also if they are not foreign."""
        return f"{self.triplet}-{name}"

    def system_calls(self, *names: str) -> dict[str, int]:
        """The numbers of system calls, from the C library's headers."""
        source = "#include <sys/syscall.h>\n" + "".join(f"number {name} SYS_{name}\n" for name in names)
        output = run(self.tool("gcc"), "-E", "-P", "-", input=source).stdout
        return {name: int(number) for name, number in re.findall(r"number (\w+) (\d+)", output)}


AMD64 = Architecture(
    name="amd64", triplet="x86_64-linux-gnu", dynamic_linker="ld-linux-x86-64.so.2",
    machine=("qemu-system-x86_64", "-M", "q35"), console="ttyS0", emulator="qemu-x86_64",
)
ARM64 = Architecture(
    name="arm64", triplet="aarch64-linux-gnu", dynamic_linker="ld-linux-aarch64.so.1",
    machine=("qemu-system-aarch64", "-M", "virt"), console="ttyAMA0", emulator="qemu-aarch64",
)

# This machine's. KeyError means that twofactor is not built for it.
THIS = {"x86_64": AMD64, "aarch64": ARM64}[os.uname().machine]
