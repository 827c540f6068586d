"""Finds the trap instructions that the exported functions of an x86-64 module, or a program, can reach.

Usage: reachable_traps.py MODULE

Prints `COUNT FUNCTION` for each function with reachable traps. The linker keeps unused functions of the Swift runtime
that only trap, so this program follows the code: the next instruction, branches, calls, addresses that code loads or
data stores, and the tables of switches. If it cannot follow a jump, it counts the whole function as reachable.
"""

import bisect
import collections
import re
import struct
import subprocess
import sys

INSTRUCTION = re.compile(r"^ *([0-9a-f]+):\t(\S+) *(.*)$")
LABEL = re.compile(r"^([0-9a-f]+) <(.+)>:$")
TARGET = re.compile(r"^\*?([0-9a-f]+) <")
PREFIXES = ("bnd", "notrack", "rep", "repz")
NO_RETURN = re.compile(r"<(__stack_chk_fail|abort|_exit)@")
ADDRESS = re.compile(r"\(%rip\),%(\w+) +# ([0-9a-f]+)")


def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Module:
    """The code and data of a module, as printed by binutils."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.code: dict[int, tuple[str, str]] = {}
        labels: dict[int, str] = {}
        for line in output("objdump", "-d", "--no-show-raw-insn", path).splitlines():
            if found := INSTRUCTION.match(line):
                self.code[int(found[1], 16)] = (found[2], found[3])
            elif found := LABEL.match(line):
                labels[int(found[1], 16)] = found[2]
        self.addresses = sorted(self.code)
        self.starts = sorted(labels)
        self.labels = labels
        with open(path, "rb") as file:
            self.bytes = file.read()
        self.sections = [
            (int(address, 16), int(offset, 16), int(size, 16))
            for address, offset, size in re.findall(
                r"\] \S+ +PROGBITS +([0-9a-f]+) ([0-9a-f]+) ([0-9a-f]+)", output("readelf", "-WS", path)
            )
        ]

    def function(self, address: int) -> tuple[int, int]:
        """Returns the start and end of the function that contains an address."""
        index = bisect.bisect_right(self.starts, address)
        end = self.starts[index] if index < len(self.starts) else self.addresses[-1] + 1
        return self.starts[index - 1], end

    def name(self, address: int) -> str:
        return self.labels[self.function(address)[0]]

    def after(self, address: int) -> int | None:
        index = bisect.bisect_right(self.addresses, address)
        return self.addresses[index] if index < len(self.addresses) else None

    def before(self, address: int, count: int) -> list[int]:
        index = bisect.bisect_left(self.addresses, address)
        return self.addresses[max(0, index - count) : index]

    def number(self, address: int, layout: str) -> int | None:
        size = struct.calcsize(layout)
        for start, offset, length in self.sections:
            if start <= address and address + size <= start + length:
                return struct.unpack_from(layout, self.bytes, offset + address - start)[0]
        return None

    def switch_targets(self, jump: int) -> list[int]:
        """Returns the targets of an indirect jump, from the table that the code before it loads, or [] if unknown."""
        for address in reversed(self.before(jump, 40)):
            found = ADDRESS.search(self.code[address][1]) if self.code[address][0] == "lea" else None
            if not found:
                continue
            table, targets = int(found[2], 16), []
            while (distance := self.number(table + 4 * len(targets), "<i")) is not None:
                if table + distance not in self.code:
                    break
                targets.append(table + distance)
            if targets:
                return targets
        return []

    def entries(self) -> list[int]:
        """Returns the entry point, the exported functions, and the functions whose addresses are stored in data."""
        start = re.findall(r"Entry point address: +0x([0-9a-f]+)", output("readelf", "-h", self.path))
        exported = re.findall(r"^([0-9a-f]+) T ", output("nm", "-D", "--defined-only", self.path), re.M)
        stored = re.findall(r"R_X86_64_RELATIVE +([0-9a-f]+)", output("readelf", "-Wr", self.path))
        return [address for text in start + exported + stored if (address := int(text, 16)) in self.code]

    def reachable(self) -> set[int]:
        seen: set[int] = set()
        waiting = self.entries()
        while waiting:
            address = waiting.pop()
            if address in seen or address not in self.code:
                continue
            seen.add(address)
            name, operands = self.code[address]
            if name in PREFIXES:
                name, operands = (operands.split(None, 1) + [""])[:2]
            if found := TARGET.match(operands):
                waiting.append(int(found[1], 16))
            if found := ADDRESS.search(operands):
                waiting.append(int(found[2], 16))
            if name == "jmp" and operands.startswith("*") and "(%rip)" not in operands:
                targets = self.switch_targets(address)
                start, end = self.function(address)
                waiting += targets or [each for each in self.addresses if start <= each < end]
            if name == "call" and NO_RETURN.search(operands):
                continue
            if name not in ("jmp", "ret", "ud2", "hlt") and (following := self.after(address)) is not None:
                waiting.append(following)
        return seen


def main() -> None:
    module = Module(sys.argv[1])
    reached = module.reachable()
    traps = collections.Counter(module.name(address) for address in reached if module.code[address][0].startswith("ud2"))
    for name, count in traps.most_common():
        print(count, name)


if __name__ == "__main__":
    main()
