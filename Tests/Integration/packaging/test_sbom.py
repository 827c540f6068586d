"""The SBOM in the packages: complete, true of the programs, valid, and in agreement with debian/copyright."""

import copy
import functools
import hashlib
import json
import os
import re
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest
from debian import copyright as debian_copyright
from debian.deb822 import Deb822
from rig import spdx
from rig.machine import CHECKOUT, PRODUCT
from rig.package_builds import built_package
from rig.process import run

NAMES = ("twofactor", "twofactor-store-postgresql")
# For each part, a symbol that is defined in a program exactly if the part is linked in.
SYMBOLS = {
    "gcc": r"__do_global_dtors_aux",
    "glibc": r"_start",
    "openssl": r"SHA512_Transform",
    "swift": r"(swift_retain|_swift_exceptionPersonality)",
    "swift-argument-parser": r"\$s14ArgumentParser\w+",
    "swift-collections": r"\$s22_FoundationCollections\w+",
    "swift-corelibs-libdispatch": r"_dispatch_\w+",
    "swift-experimental-string-processing": r"\$s17_StringProcessing\w+",
    "swift-foundation": r"\$s20FoundationEssentials\w+",
}
# The same for archives with other licenses.
LICENSE_SYMBOLS = {
    "Apache-2.0 WITH LLVM-exception": r"_ZN\w*7__swift9__runtime4llvm\w+",
    "BSD-3-Clause": r"_foundation_uuid_\w+",
    "GPL-2.0-or-later WITH GCC-exception-2.0": r"__cxa_demangle|__gcclibcxx_demangle_callback",
    "HPND-sell-variant": r"_ZSt18_Rb_tree_\w+",
    "Unicode-3.0": r"_swift_stdlib_getGraphemeBreakProperty",
}


class Package:
    """A package, unpacked."""

    def __init__(self, path: Path, tree: Path) -> None:
        self.tree, self.name = tree, path.name.split("_")[0]
        run("dpkg-deb", "-x", path, tree)
        self.control = Deb822(run("dpkg-deb", "-f", path).stdout)
        self.path = f"usr/share/doc/{self.name}/{self.name}.spdx.json"
        assert (tree / self.path).exists(), f"{path} has no SBOM: run scripts/package"
        self.document = json.loads((tree / self.path).read_text())
        self.elements = {element["SPDXID"]: element for element in self.document["packages"] + self.document["files"]}

    def files(self) -> dict[str, Path]:
        """The regular files except the SBOM."""
        paths = [path for path in self.tree.rglob("*") if path.is_file() and not path.is_symlink()]
        return {f"./{path.relative_to(self.tree)}": path for path in paths if path != self.tree / self.path}

    def programs(self) -> list[Path]:
        return [path for path in self.files().values() if path.read_bytes().startswith(b"\x7fELF")]

    def related(self, program: Path, relation: str) -> list[dict[str, Any]]:
        """What a program is linked with, or depends on."""
        name = f"./{program.relative_to(self.tree)}"
        file = next(file["SPDXID"] for file in self.document["files"] if file["fileName"] == name)
        ends = ("spdxElementId", "relatedSpdxElement")
        ours, theirs = reversed(ends) if relation.endswith("_OF") else ends
        relationships = [one for one in self.document["relationships"] if one["relationshipType"] == relation]
        return [self.elements[one[theirs]] for one in relationships if one[ours] == file]


def part(element: dict[str, Any]) -> str:
    """The name of a part in debian/copyright: the source package without a version in its name."""
    found = re.search(r"source package (\S+?)(-[\d.]+)? ", element["sourceInfo"])
    return found[1] if found else element["name"]


def build_id(path: Path) -> str:
    return re.search(r"Build ID: (\w+)", run("readelf", "-nW", path).stdout)[1]


def unstripped(program: Path) -> Path:
    """What scripts/build made the program from."""
    pattern = f"*/release/*{program.name.removesuffix('.so')}*"
    candidates = [path for path in CHECKOUT.glob(f".build/{pattern}") if path.suffix in ("", ".so") and path.is_file()]
    found = [path for path in candidates if build_id(path) == build_id(program)]
    assert found, f"no .build/{pattern} has the build ID of {program.name}: run scripts/package"
    return found[0]


def symbols(program: Path) -> str:
    return run("nm", "--defined-only", "-P", unstripped(program)).stdout


def defines(table: str, pattern: str) -> bool:
    return re.search(rf"^(?:{pattern}) ", table, re.MULTILINE) is not None


@pytest.fixture(scope="module")
def packages(tmp_path_factory) -> list[Package]:
    return [Package(built_package(name), tmp_path_factory.mktemp(name)) for name in NAMES]


def test_the_documents_are_valid(packages):
    for package in packages:
        assert spdx.problems(package.document) == []
        assert package.document["packages"][0]["versionInfo"] == package.control["Version"]


def without_license(document):
    del document["packages"][1]["licenseConcluded"]


def unknown_license(document):
    document["files"][0]["licenseConcluded"] = "Apache-2.0 WITH No-such-exception"


def unknown_field(document):
    document["packages"][0]["purpose"] = "login"


def dangling_relationship(document):
    document["relationships"][-1]["relatedSpdxElement"] = "SPDXRef-Missing"


def short_checksum(document):
    document["files"][0]["checksums"][1]["checksumValue"] += "0"


def another_file(document):
    document["files"][0]["checksums"][0]["checksumValue"] = hashlib.sha1(b"other").hexdigest()


def same_identifier(document):
    document["files"][1]["SPDXID"] = document["files"][0]["SPDXID"]


@pytest.mark.parametrize(
    "change",
    [
        without_license,
        unknown_license,
        unknown_field,
        dangling_relationship,
        short_checksum,
        another_file,
        same_identifier,
    ],
    ids=lambda change: change.__name__,
)
def test_the_validator_rejects_a_wrong_document(packages, change):
    document = copy.deepcopy(packages[0].document)
    change(document)
    assert spdx.problems(document)


def test_every_file_is_listed_with_its_checksums(packages):
    for package in packages:
        listed = {file["fileName"]: file for file in package.document["files"]}
        assert listed.keys() == package.files().keys()
        for name, path in package.files().items():
            contents = path.read_bytes()
            assert spdx.checksum(listed[name], "SHA1") == hashlib.sha1(contents).hexdigest()
            assert spdx.checksum(listed[name], "SHA256") == hashlib.sha256(contents).hexdigest()
            assert listed[name]["fileTypes"] == ["BINARY"] or not contents.startswith(b"\x7fELF")
        assert stat.S_IMODE((package.tree / package.path).stat().st_mode) == 0o644


def test_the_linked_parts_are_those_with_symbols_in_the_programs(packages):
    seen = set()
    for package in packages:
        for program in package.programs():
            table, parts = symbols(program), {part(element) for element in package.related(program, "STATIC_LINK")}
            assert parts == {name for name, pattern in SYMBOLS.items() if defines(table, pattern)}, program.name
            licenses = set(file_of(package, program)["licenseInfoInFiles"])
            expected = {name for name, pattern in LICENSE_SYMBOLS.items() if defines(table, pattern)}
            assert licenses & LICENSE_SYMBOLS.keys() == expected, program.name
            seen |= parts
    assert seen == SYMBOLS.keys()


def file_of(package: Package, program: Path) -> dict[str, Any]:
    name = f"./{program.relative_to(package.tree)}"
    return next(file for file in package.document["files"] if file["fileName"] == name)


def test_the_versions_are_those_of_the_machine(packages):
    swift = re.search(r"swift-([\d.]+)-RELEASE", run("swift", "--version").stdout)[1]
    pins = {pin["identity"]: pin for pin in json.loads((CHECKOUT / "Package.resolved").read_text())["pins"]}
    kinds = set()
    for package in packages:
        for element in package.document["packages"][1:]:
            purl = element["externalRefs"][0]["referenceLocator"]
            kinds.add(purl.split("/")[0])
            if purl.startswith("pkg:deb/"):
                installed = run("dpkg-query", "-W", "-f", "${Version}\n", element["name"]).stdout.split()
                assert element["versionInfo"] in installed, element["name"]
            elif purl.startswith("pkg:swift/"):
                pin = pins[element["name"]]
                assert element["versionInfo"] == pin["state"]["version"]
                assert element["downloadLocation"] == f"git+{pin['location']}@{pin['state']['revision']}"
            else:
                assert element["versionInfo"].removeprefix("in Swift ") == swift
    assert kinds == {"pkg:deb", "pkg:swift", "pkg:github"}


def test_the_shared_libraries_are_those_of_the_programs(packages):
    relations = ""
    for package in packages:
        # The second package depends on the first.
        relations += " ".join(package.control.get(field, "") for field in ("Depends", "Recommends", "Suggests"))
        for program in package.programs():
            needed = re.findall(r"\(NEEDED\).*\[(.+)\]", run("readelf", "-dW", program).stdout)
            owners = {owner_of(name) for name in needed}
            assert {element["name"] for element in package.related(program, "DYNAMIC_LINK")} == owners
            loaded = {element["name"] for element in package.related(program, "RUNTIME_DEPENDENCY_OF")}
            assert "libcrypt1" in loaded
            for name in loaded:
                assert re.search(rf"(^|[ ,|]){re.escape(name)}\b", relations), f"{program.name} loads {name}"


@functools.cache
def owner_of(library: str) -> str:
    cached = re.search(rf"^\t{re.escape(library)} .*=> (\S+)$", run("/sbin/ldconfig", "-p").stdout, re.MULTILINE)[1]
    real = os.path.realpath(cached)
    answer = run("dpkg-query", "-S", cached, real, real.removeprefix("/usr"), status=None).stdout
    assert answer, f"no package has {cached}"
    return answer.split(":")[0]


def test_copyright_names_the_linked_parts_and_their_licenses(packages):
    with (CHECKOUT / "pam/debian/copyright").open() as file:
        copyright = debian_copyright.Copyright(file, strict=True)
    paragraph = copyright.find_files_paragraph("Package.swift")
    comment = re.sub(r"\n {2,}", " ", paragraph.comment)
    expected, licenses, owners = {}, {"Apache-2.0"}, set()
    for package in packages:
        for program in package.programs():
            elements = package.related(program, "STATIC_LINK")
            expected[program.name] = sorted({part(element) for element in elements})
            for element in elements:
                licenses.update(element["licenseConcluded"].split(" AND "))
                owners.update(element["copyrightText"].split("\n"))
    for program, parts in expected.items():
        assert re.search(rf"^ {re.escape(program)}: (.*)$", comment, re.MULTILINE)[1].split(", ") == parts
    assert set(paragraph.license.synopsis.split(" and ")) == {in_debian(license) for license in licenses}
    described = {paragraph.license.synopsis for paragraph in copyright.all_license_paragraphs()}
    assert described == {in_debian(license) for license in licenses}
    for owner in owners:
        assert owner in paragraph.copyright


def in_debian(license: str) -> str:
    """Debian's name of a license of SPDX."""
    license = re.sub(r"(\d)\.0-or-later|-or-later", r"\1+", license)
    return re.sub(r" WITH (\w+)-exception(-\S+)?", r" with \1\2 exception", license)


def test_the_same_files_give_the_same_document_from_any_folder(packages, tmp_path):
    (tmp_path / "scripts/support").mkdir(parents=True)
    script = shutil.copy(CHECKOUT / "scripts/support/sbom", tmp_path / "scripts/support/sbom")
    shutil.copytree(PRODUCT / "link", tmp_path / ".build/product/link")
    for package in packages:
        tree = tmp_path / package.name
        shutil.copytree(package.tree, tree, symlinks=True)
        output = tree / package.path
        before = output.read_bytes()
        output.unlink()
        created = package.document["creationInfo"]["created"]
        seconds = run("date", "-d", created, "+%s").stdout.strip()
        environment = {"PATH": "/usr/bin:/bin", "SOURCE_DATE_EPOCH": seconds, "TZ": "Asia/Tokyo", "LC_ALL": "C"}
        run(script, package.name, package.control["Version"], output, environment=environment, umask=0o077, cwd=tree)
        assert output.read_bytes() == before


@pytest.fixture
def copied(packages, tmp_path):
    """Copies of the script, its records and the tree of a package, to be changed."""
    (tmp_path / "scripts/support").mkdir(parents=True)
    shutil.copy(CHECKOUT / "scripts/support/sbom", tmp_path / "scripts/support/sbom")
    shutil.copytree(PRODUCT / "link", tmp_path / ".build/product/link")
    shutil.copytree(packages[1].tree, tmp_path / "tree", symlinks=True)
    return tmp_path


def sbom(folder: Path, *arguments, status: int) -> str:
    environment = {"PATH": "/usr/bin:/bin", "SOURCE_DATE_EPOCH": "1"}
    return run(folder / "scripts/support/sbom", *arguments, status=status, environment=environment).stderr


def change(folder: Path, edit) -> None:
    path = folder / ".build/product/link/twofactor-store-postgresql.json"
    record = json.loads(path.read_text())
    edit(record)
    path.write_text(json.dumps(record))


def test_a_program_that_the_records_do_not_describe_is_an_error(packages, copied):
    output = copied / "tree" / packages[1].path
    change(copied, lambda record: record.update(buildID="00"))
    message = sbom(copied, NAMES[1], "1", output, status=1)
    assert "has another build ID: run scripts/build" in message
    (copied / ".build/product/link/twofactor-store-postgresql.json").unlink()
    assert "twofactor-store-postgresql.json: run scripts/build" in sbom(copied, NAMES[1], "1", output, status=1)


def test_an_archive_of_unknown_license_is_an_error(packages, copied):
    output = copied / "tree" / packages[1].path
    new = {"name": "libFoundationXML.a", "owner": "swift", "sha256": "0" * 64, "members": []}
    change(copied, lambda record: record["linked"].append(new))
    assert "libFoundationXML.a of Swift's toolchain is linked in" in sbom(copied, NAMES[1], "1", output, status=1)
    change(copied, lambda record: record["linked"][-1].update(name="libpq.a", owner="libpq5"))
    assert "libpq.a of libpq5 is linked in" in sbom(copied, NAMES[1], "1", output, status=1)


def test_wrong_arguments_are_explained(packages, copied):
    assert "sbom: PACKAGE, VERSION and OUTPUT-FILE are needed" in sbom(copied, "other", "1", "out", status=64)
    assert "is not TREE/usr/share/doc/twofactor/twofactor.spdx.json" in sbom(copied, "twofactor", "1", "out", status=1)
    empty = copied / "empty/usr/share/doc/twofactor/twofactor.spdx.json"
    assert "no program in" in sbom(copied, "twofactor", "1", empty, status=1)
    assert not empty.exists()
