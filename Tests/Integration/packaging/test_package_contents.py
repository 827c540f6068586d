"""The contents of the packages: fields, dependencies, sizes, lintian, and the pages that name them."""

import re

import pytest
from rig import architecture
from rig.machine import CHECKOUT, PRODUCT
from rig.process import run

NEEDED = {"libc6", "libcrypt1", "libpam0g", "libpam-runtime", "libqrencode4", "systemd"}


def test_lintian_reports_nothing(package, store_package):
    if run("which", "lintian", status=None).returncode != 0:
        pytest.fail("lintian is not installed: run scripts/dependencies test")
    run("lintian", "--allow-root", "--fail-on", "error,warning", package, store_package, timeout=100)


def test_the_package_the_command_and_the_changelog_have_one_version(package):
    of_package = run("dpkg-deb", "-f", package, "Version").stdout.strip()
    of_command = run(PRODUCT / "twofactor", "--version").stdout.strip()
    headings = re.findall(r"(?m)^## (.*)$", (CHECKOUT / ".github/CHANGELOG.md").read_text())
    assert of_package == of_command
    assert headings[0] == "[Unreleased]" and re.fullmatch(
        rf"\[{re.escape(of_command)}\] - \d{{4}}-\d\d-\d\d", headings[1]
    )


def test_the_dependencies_are_complete_and_minimal(package):
    """Including the libraries that the command loads at run time."""
    fields = run("dpkg-deb", "-f", package, "Depends", status=None).stdout
    assert {field.split()[0] for field in fields.split(",")} == NEEDED


def test_only_the_package_for_postgresql_needs_its_library(store_package):
    version = run("dpkg-deb", "-f", store_package, "Version").stdout.strip()
    fields = run("dpkg-deb", "-f", store_package, "Depends").stdout
    assert f"twofactor (= {version})" in fields
    assert {field.split()[0] for field in fields.split(",")} == {"twofactor", "libc6", "libpq5", "libssl3"}
    documents = run("dpkg-deb", "-c", store_package).stdout
    for path in (CHECKOUT / "pam/postgresql").iterdir():
        assert f"/usr/share/doc/twofactor-store-postgresql/{path.name}" in documents


def test_the_command_links_only_the_c_library():
    """Every run would pay for a linked library; optional ones are loaded on demand."""
    line = ["readelf", "--wide", "--dynamic", PRODUCT / "twofactor"]
    dynamic = run(*line, status=None).stdout
    named = set(re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic))
    assert {name for name in named if not name.startswith("ld-linux")} == {"libc.so.6", "libm.so.6"}


def test_the_command_is_not_larger_than_promised():
    assert (PRODUCT / "twofactor").stat().st_size <= 15_000_000


@pytest.mark.parametrize("name", ["pam_twofactor.so", "twofactor", "twofactor-helper", "twofactor-store-postgresql"])
def test_the_requirements_on_other_distributions_are_documented(name):
    """Compares the row of the page: the glibc version and the libraries."""
    row = re.search(rf"(?m)^\| `{re.escape(name)}` \| (.*) \|$", (CHECKOUT / "pam/hosts.md").read_text())[1]
    symbols = run("objdump", "-p", PRODUCT / name, status=None).stdout
    versions = {tuple(map(int, version.split("."))) for version in re.findall(r"GLIBC_([0-9.]+)", symbols)}
    # Packed relocations need this version.
    if "GLIBC_ABI_DT_RELR" in symbols or re.search(r"(?m)^\s+(RELR|0x0*24)\b", symbols):
        versions.add((2, 36))
    needed = set(re.findall(r"NEEDED\s+(\S+)", symbols)) - {"libc.so.6", "libm.so.6", architecture.THIS.dynamic_linker}
    assert f"glibc {'.'.join(map(str, max(versions)))} or later" in row
    assert needed <= set(re.findall(r"`(\S+)`", row))
