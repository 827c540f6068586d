"""The page on security: every test that it names is there."""

import re

import pytest
from rig.machine import CHECKOUT
from rig.process import run

pytestmark = pytest.mark.machinery

PAGE = (CHECKOUT / ".github/SECURITY.md").read_text()
ROWS = [line.split(" | ") for line in PAGE.partition("| elsewhere |")[2].splitlines()[2:] if line.startswith("| ")]


def suites() -> set[str]:
    """The names of the unit tests' suites."""
    sources = [*(CHECKOUT / "Tests/ModuleTests").glob("*.swift"), *(CHECKOUT / "Tests/TwoFactorSetupTests").glob("*.swift")]
    return {name for path in sources for name in re.findall(r"@Suite(?:\(.*\))? struct (\w+)", path.read_text())}


def fuzz_targets() -> set[str]:
    listed = run(CHECKOUT / "scripts/fuzz", "--targets", status=None)
    return set(listed.stdout.split())


def exists(name: str) -> bool:
    if "/test_" in name:
        return (CHECKOUT / f"Tests/Integration/{name}.py").exists()
    if name.startswith("scripts/"):
        return (CHECKOUT / name).exists()
    return name in suites() | fuzz_targets()


def test_the_tables_rows_are_found():
    assert len(ROWS) >= 24 and all(len(row) == 3 for row in ROWS), ROWS


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip("| ")[:40])
def test_what_a_row_names_is_there(row):
    names = re.findall(r"`([^`]+)`", row[2])
    assert names and [name for name in names if not exists(name)] == []


def test_a_name_that_is_not_there_is_found():
    assert not any(map(exists, ("login/test_nothing", "scripts/nothing", "NothingTests", "nothing")))
