"""Finds the trap instructions that the exported functions of a module, or a program, can reach: for x86-64 and arm64.

Usage: reachable_traps.py MODULE

Prints `COUNT FUNCTION` for each function with reachable traps. The linker keeps unused functions of the Swift runtime
that only trap, so this program follows the code: the next instruction, branches, calls, addresses that code loads or
data stores, and the tables of switches. If it cannot follow a jump, it counts the whole function as reachable.
"""

import bisect
import collections
import re
import shutil
import struct
import subprocess
import sys

INSTRUCTION = re.compile(r"^ *([0-9a-f]+):\t(\S+) *(.*)$")
LABEL = re.compile(r"^([0-9a-f]+) <(.+)>:$")
NO_RETURN = ("__stack_chk_fail", "abort", "_exit")


def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Module:
    """The code and data of a module, as printed by binutils."""

    def __init__(self, path: str) -> None:
        self.path = path
        machine = re.search(r"Machine: +(.*)", output("readelf", "-h", path))[1]
        if machine not in PROCESSORS:
            sys.exit(f"reachable_traps.py: {path} is for {machine}, not for one of {', '.join(PROCESSORS)}")
        self.processor = PROCESSORS[machine](self)
        # Debian's name of the program for this processor, on any machine.
        tool = f"{self.processor.triplet}-objdump"
        self.code: dict[int, tuple[str, str]] = {}
        labels: dict[int, str] = {}
        for line in output(tool if shutil.which(tool) else "objdump", "-d", "--no-show-raw-insn", path).splitlines():
            if found := INSTRUCTION.match(line):
                # Comments of objdump on arm64 follow two slashes.
                self.code[int(found[1], 16)] = (found[2], found[3].partition("//")[0].strip())
            elif found := LABEL.match(line):
                labels[int(found[1], 16)] = found[2]
        self.addresses = sorted(self.code)
        self.starts = sorted(labels)
        self.labels = labels
        self.slots = self.imports()
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

    def entries(self) -> list[int]:
        """Returns the entry point, the exported functions, and the functions whose addresses are stored in data."""
        start = re.findall(r"Entry point address: +0x([0-9a-f]+)", output("readelf", "-h", self.path))
        exported = re.findall(r"^([0-9a-f]+) T ", output("nm", "-D", "--defined-only", self.path), re.M)
        stored = re.findall(r"R_[A-Z0-9_]+_RELATIVE +([0-9a-f]+)", output("readelf", "-Wr", self.path))
        return [address for text in start + exported + stored if (address := int(text, 16)) in self.code]

    def imports(self) -> dict[int, str]:
        """Returns the functions of libraries by the address of the slot that the dynamic linker fills."""
        slot = re.compile(r"^([0-9a-f]+) .*_(?:GLOB_DAT|JUMP_SLOT?) +[0-9a-f]+ (\w+)", re.M)
        slots = slot.findall(output("readelf", "-Wr", self.path))
        return {int(address, 16): name for address, name in slots}

    def whole_function(self, address: int) -> list[int]:
        start, end = self.function(address)
        return [each for each in self.addresses if start <= each < end]

    def reachable(self) -> set[int]:
        seen: set[int] = set()
        waiting = self.entries()
        while waiting:
            address = waiting.pop()
            if address in seen or address not in self.code:
                continue
            seen.add(address)
            targets, continues = self.processor.step(address)
            waiting += targets
            if continues and (following := self.after(address)) is not None:
                waiting.append(following)
        return seen


class X86:
    """Instructions of x86-64."""

    triplet = "x86_64-linux-gnu"
    TRAPS = ("ud2",)
    TARGET = re.compile(r"^\*?([0-9a-f]+) <")
    PREFIXES = ("bnd", "notrack", "rep", "repz")
    NO_RETURN = re.compile(rf"<({'|'.join(NO_RETURN)})@")
    ADDRESS = re.compile(r"\(%rip\),%(\w+) +# ([0-9a-f]+)")

    def __init__(self, module: Module) -> None:
        self.module = module

    def step(self, address: int) -> tuple[list[int], bool]:
        """Returns the addresses that an instruction names, and whether the next instruction may follow."""
        name, operands = self.module.code[address]
        if name in self.PREFIXES:
            name, operands = (operands.split(None, 1) + [""])[:2]
        targets = []
        if found := self.TARGET.match(operands):
            targets.append(int(found[1], 16))
        if found := self.ADDRESS.search(operands):
            targets.append(int(found[2], 16))
        if name == "jmp" and operands.startswith("*") and "(%rip)" not in operands:
            targets += self.switch_targets(address) or self.module.whole_function(address)
        if name == "call" and self.NO_RETURN.search(operands):
            return targets, False
        return targets, name not in ("jmp", "ret", "hlt", *self.TRAPS)

    def switch_targets(self, jump: int) -> list[int]:
        """Returns the targets of an indirect jump, from the table that the code before it loads, or [] if unknown."""
        for address in reversed(self.module.before(jump, 40)):
            name, operands = self.module.code[address]
            found = self.ADDRESS.search(operands) if name == "lea" else None
            if not found:
                continue
            table, targets = int(found[2], 16), []
            while (distance := self.module.number(table + 4 * len(targets), "<i")) is not None:
                if table + distance not in self.module.code:
                    break
                targets.append(table + distance)
            if targets:
                return targets
        return []


class Arm64:
    """Instructions of arm64."""

    triplet = "aarch64-linux-gnu"
    TRAPS = ("brk", "udf")
    TARGET = re.compile(r"(?:^|, )([0-9a-f]+) <([^>]*)>$")
    PAGE = re.compile(r"^(x\d+), ([0-9a-f]+)")
    # The low half of an address: the register that it is added to, and the offset.
    ADDED = re.compile(r"^(x\d+), (x\d+), #0x([0-9a-f]+)$")
    LOADED = re.compile(r"^(x\d+), \[(x\d+)(?:, #(\d+))?\]$")
    # A switch loads an entry of a table, and adds it, times four, to an address in the code.
    ENTRY = re.compile(r"^[wx]\d+, \[(x\d+), [wx]\d+")
    LIMIT = re.compile(r"^[wx]\d+, #0x([0-9a-f]+)")
    LAYOUTS = {"ldrb": ("<B", 4), "ldrh": ("<H", 4), "ldrsw": ("<i", 1)}

    def __init__(self, module: Module) -> None:
        self.module = module

    def step(self, address: int) -> tuple[list[int], bool]:
        """Returns the addresses that an instruction names, and whether the next instruction may follow."""
        name, operands = self.module.code[address]
        targets = []
        found = self.TARGET.search(operands)
        if found and name != "adrp":
            targets.append(int(found[1], 16))
        if name == "add" and (added := self.ADDED.match(operands)):
            page = self.page(address, added[2])
            targets += [page + int(added[3], 16)] if page is not None else []
        # A tail call to a library's function is no switch.
        if name == "br" and self.imported(address, operands) is None:
            targets += self.switch_targets(address) or self.module.whole_function(address)
        if name == "bl" and found and found[2].split("@")[0] in NO_RETURN and "@" in found[2]:
            return targets, False
        if name == "blr" and self.imported(address, operands) in NO_RETURN:
            return targets, False
        return targets, name not in ("b", "br", "ret", *self.TRAPS)

    def value(self, address: int, register: str) -> int | None:
        """Returns an address that the code before another one writes to a register."""
        for each in reversed(self.module.before(address, 40)):
            name, operands = self.module.code[each]
            if not operands.startswith(register + ","):
                continue
            if name == "adr" and (found := self.TARGET.search(operands)):
                return int(found[1], 16)
            if name == "add" and (added := self.ADDED.match(operands)):
                page = self.page(each, added[2])
                return None if page is None else page + int(added[3], 16)
            return self.page(address, register)
        return None

    def page(self, address: int, register: str) -> int | None:
        for each in reversed(self.module.before(address, 40)):
            name, operands = self.module.code[each]
            if name == "adrp" and (found := self.PAGE.match(operands)) and found[1] == register:
                return int(found[2], 16)
        return None

    def imported(self, call: int, register: str) -> str | None:
        """Returns the function of a library whose address the code before a call loads from its slot."""
        for each in reversed(self.module.before(call, 12)):
            name, operands = self.module.code[each]
            found = self.LOADED.match(operands) if name == "ldr" else None
            if found and found[1] == register:
                page = self.page(each, found[2])
                return None if page is None else self.module.slots.get(page + int(found[3] or 0))
        return None

    def switch_targets(self, jump: int) -> list[int]:
        """Returns the targets of an indirect jump, from the table that the code before it loads, or [] if unknown."""
        before = list(reversed(self.module.before(jump, 40)))
        base = limit = None
        for address in before:
            name, operands = self.module.code[address]
            if name == "adr" and base is None and (found := self.TARGET.search(operands)):
                base = int(found[1], 16)
            if name == "cmp" and limit is None and (found := self.LIMIT.match(operands)):
                limit = int(found[1], 16)
        for address in before:
            name, operands = self.module.code[address]
            found = self.ENTRY.match(operands) if name in self.LAYOUTS else None
            table = self.value(address, found[1]) if found else None
            if table is None or limit is None:
                continue
            (layout, unit), targets = self.LAYOUTS[name], []
            if any(re.search("sxt[bh]", self.module.code[each][1]) for each in before if each > address):
                layout = layout.lower()
            for index in range(limit + 1):
                distance = self.module.number(table + index * struct.calcsize(layout), layout)
                target = None if distance is None else (table if base is None else base) + unit * distance
                if target not in self.module.code:
                    return []
                targets.append(target)
            return targets
        return []


PROCESSORS = {"Advanced Micro Devices X86-64": X86, "AArch64": Arm64}


def main() -> None:
    module = Module(sys.argv[1])
    reached = module.reachable()
    traps = collections.Counter(
        module.name(address) for address in reached if module.code[address][0] in module.processor.TRAPS
    )
    for name, count in traps.most_common():
        print(count, name)


if __name__ == "__main__":
    main()
