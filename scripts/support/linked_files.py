#!/usr/bin/python3
"""Records what the linker took into a product, for scripts/support/sbom.

Usage: linked_files.py MAP PROGRAM RECORD

MAP is the map that lld wrote when it linked PROGRAM (-Map), before the product was stripped. Writes RECORD, a JSON
object without absolute paths:

  buildID   of PROGRAM; the stripped product has the same
  linked    the archives and object files with code or data in PROGRAM, except the project's own: name, SHA-256,
            members that are in PROGRAM, and the owner: "swift", or a Debian package
  compiled  the packages of SwiftPM with a module in PROGRAM
  needed    the shared libraries that PROGRAM is linked with
  loaded    the shared libraries that it can load with dlopen(3)
  swift     version of the toolchain, and symbols of the Embedded Swift library, which the compiler adds
  debian    version and source of each Debian package named above
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

INPUT = re.compile(r"(.+?)(?:\(([^()]*)\))?:\(")
LIBRARY = re.compile(rb"(?<=\0)lib[\w+-]+\.so(?:\.\d+)*(?=\0)")


def fail(message: str) -> NoReturn:
    sys.exit(f"linked_files: {message}")


def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"}).stdout


def sections(program: Path) -> dict[str, tuple[int, int, int]]:
    """Address, offset and size of each loaded section."""
    found = re.findall(r"\] (\S+) +\S+ +([0-9a-f]+) ([0-9a-f]+) ([0-9a-f]+)", output("readelf", "-SW", str(program)))
    return {name: (int(at, 16), int(offset, 16), int(size, 16)) for name, at, offset, size in found if int(at, 16)}


def read_map(path: Path, program: Path) -> dict[str, set[str]]:
    """The members of each input file, or an empty set for an object file. Fails if the map is of another program."""
    files: dict[str, set[str]] = {}
    outputs = {}
    with path.open(errors="replace") as lines:
        # lld's columns: VMA LMA Size Align Out In Symbol, the last three one in a line.
        column = next(lines).index("Out")
        for line in lines:
            name = line[column:].rstrip("\n")
            if not name or name.startswith(" " * 16):
                continue
            at, _, size, _ = line[:column].split()
            # Sections that are not loaded have the address 0.
            if not int(at, 16):
                continue
            if not name.startswith(" "):
                outputs[name] = (int(at, 16), int(size, 16))
            elif int(size, 16) and (found := INPUT.match(name.strip())) and found[1] != "<internal>":
                files.setdefault(found[1], set()).update([found[2]] if found[2] else [])
    if {name: (at, size) for name, (at, _, size) in sections(program).items()} != outputs:
        fail(f"{path} is not the map of {program}: remove {program}, and run scripts/build again")
    return files


class Packages:
    """The Debian packages of files, and their versions."""

    def __init__(self) -> None:
        self.described: dict[str, dict[str, str]] = {}

    def owners(self, files: list[Path]) -> dict[Path, str]:
        """The package of each file."""
        # dpkg knows a file by the path in its package: before /usr was merged, that could be /lib.
        spellings = {file: {str(file), str(file.resolve()), str(file.resolve()).removeprefix("/usr")} for file in files}
        paths = sorted(set().union(*spellings.values()))
        answer = subprocess.run(["dpkg-query", "-S", *paths], capture_output=True, text=True) if paths else None
        known = dict(reversed(line.rsplit(": ", 1)) for line in answer.stdout.splitlines()) if answer else {}
        found = {}
        for file, names in spellings.items():
            package = next((known[name] for name in sorted(names) if name in known), None)
            if package is None:
                fail(f"no package has {file}, which is linked in: use the archives of the distribution's packages")
            found[file] = self.describe(re.split("[:,]", package)[0])
        return found

    def describe(self, package: str) -> str:
        """Adds the package's description, and returns its name."""
        if package in self.described:
            return package
        fields = ("Version", "source:Package", "source:Version", "Architecture", "Homepage")
        pattern = "\t".join("${%s}" % field for field in fields) + "\n"
        native = output("dpkg", "--print-architecture").strip()
        answers = [line.split("\t") for line in output("dpkg-query", "-W", "-f", pattern, package).splitlines()]
        answer = next(answer for answer in answers if answer[3] in (native, "all"))
        self.described[package] = dict(zip(("version", "source", "sourceVersion", "architecture", "homepage"), answer))
        return package


def toolchain() -> Path:
    return Path(shutil.which("swift") or fail("swift is not on PATH")).resolve().parents[2]


def swift_version() -> str:
    found = re.search(r"\(swift-([\d.]+)-RELEASE\)", output("swift", "--version"))
    return found[1] if found else fail("swift --version names no release")


def module_packages(scratch: Path, modules: set[str]) -> list[dict[str, object]]:
    """The packages of SwiftPM that have one of the modules."""
    state = json.loads((scratch / "workspace-state.json").read_text())["object"]["dependencies"]
    # A source package contains the packages, and the versions that were resolved when it was made.
    resolved = Path("vendor/Package.resolved")
    pins = json.loads((resolved if resolved.exists() else Path("Package.resolved")).read_text())["pins"]
    pinned = {pin["identity"]: pin for pin in pins}
    packages = []
    for dependency in state:
        name = dependency["packageRef"]["identity"]
        folder = next((path for path in (Path("vendor", name), scratch / "checkouts" / name) if path.is_dir()), None)
        if folder is None or name not in pinned:
            fail(f"no source or no resolved version of {name}: remove {scratch}, and run scripts/build again")
        used = sorted(module for module in modules if (folder / "Sources" / module).is_dir())
        if used:
            checkout = dependency["state"].get("checkoutState", pinned[name]["state"])
            version = {"version": checkout["version"], "revision": checkout["revision"]}
            packages.append({"name": name, "modules": used, "location": pinned[name]["location"], **version})
    return packages


def shared_libraries(program: Path, packages: Packages) -> tuple[list[object], list[object]]:
    """The libraries in the dynamic section, and those whose names are strings of the program."""
    cached = dict(re.findall(r"^\t(\S+) .*=> (\S+)$", output("/sbin/ldconfig", "-p"), re.MULTILINE))
    _, offset, size = sections(program)[".dynstr"]
    contents = program.read_bytes()
    places = [found for found in LIBRARY.finditer(contents) if not offset <= found.start() < offset + size]
    names = {found.group().decode() for found in places}

    needed = sorted(re.findall(r"\(NEEDED\).*\[(.+)\]", output("readelf", "-dW", str(program))))
    paths = {name: Path(cached[name]) for name in names.union(needed) if name in cached}
    owners = packages.owners(list(paths.values()))

    def described(libraries: list[str]) -> list[object]:
        return [{"name": name, "package": owners[paths[name]] if name in paths else None} for name in libraries]

    return described(needed), described(sorted(names - set(needed)))


def record(map_file: Path, program: Path) -> dict[str, object]:
    swift, packages, root = toolchain(), Packages(), Path.cwd()
    linked, objects = [], []
    files = read_map(map_file, program)
    if any(name.endswith(".lto.o") for name in files):
        # The modules of a program that is optimized as a whole are in one object.
        name = program.name.removeprefix("lib").removesuffix(".so")
        objects = (program.parent / f"{name}.product" / "Objects.LinkFileList").read_text().split("\n")
    paths = {name: Path(os.path.normpath(root / name)) for name in files}
    own = {name for name, path in paths.items() if path.is_relative_to(root) and not path.is_symlink()}
    of_swift = {name for name, path in paths.items() if path.resolve().is_relative_to(swift)}
    owners = packages.owners([path for name, path in paths.items() if name not in own | of_swift])
    for name, members in files.items():
        path = paths[name]
        if name in own:
            objects.append(name)
            continue
        owner = "swift" if name in of_swift else owners[path]
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        linked.append({"name": path.name, "owner": owner, "sha256": digest, "members": sorted(members)})
    modules = {Path(name).parent.name.removesuffix(".build") for name in objects if ".build/" in name}
    scratch = next(parent for parent in program.parents if (parent / "workspace-state.json").exists())
    needed, loaded = shared_libraries(program, packages)
    symbols = []
    if not any(file["owner"] == "swift" for file in linked):
        symbols = re.findall(r" [A-Za-z] (_?swift_\w+)$", output("nm", "--defined-only", str(program)), re.MULTILINE)
    return {
        "buildID": re.search(r"Build ID: (\w+)", output("readelf", "-nW", str(program)))[1],
        "linked": sorted(linked, key=lambda file: (file["owner"], file["name"])),
        "compiled": module_packages(scratch, modules),
        "needed": needed,
        "loaded": loaded,
        "swift": {"version": swift_version(), "embedded": sorted(set(symbols))},
        "debian": packages.described,
    }


def check_unchanged(path: Path, map_file: Path, new: dict[str, object]) -> None:
    """Fails if an archive has changed since the link: SwiftPM does not link again because of that."""
    if not path.exists() or path.stat().st_mtime < map_file.stat().st_mtime:
        return
    old = {(file["owner"], file["name"]): file["sha256"] for file in json.loads(path.read_text())["linked"]}
    for file in new["linked"]:
        if old.get((file["owner"], file["name"])) not in (None, file["sha256"]):
            name = f"{file['name']} of {file['owner']}"
            fail(f"{name} has changed since the link: remove {map_file.parent}, and run scripts/build again")


def main() -> None:
    if len(sys.argv) != 4:
        print(__doc__.strip(), file=sys.stderr)
        sys.exit(64)
    map_file, program, path = map(Path, sys.argv[1:])
    for file in (map_file, program):
        if not file.exists():
            fail(f"no {file}: remove {program}, and run scripts/build again")
    new = record(map_file, program.resolve())
    check_unchanged(path, map_file, new)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(new, indent=1, sort_keys=True) + "\n")
    temporary.rename(path)


if __name__ == "__main__":
    main()
