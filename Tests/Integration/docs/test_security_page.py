"""The security pages name only tests that exist, and a way to report that GitHub has."""

import re

import pytest
from rig.machine import CHECKOUT
from rig.process import run

pytestmark = pytest.mark.machinery

POLICY = (CHECKOUT / ".github/SECURITY.md").read_text()
PAGE = (CHECKOUT / "pam/security.md").read_text()
ROWS = [line.split(" | ") for line in POLICY.partition("| elsewhere |")[2].splitlines()[2:] if line.startswith("| ")]


def suites() -> set[str]:
    """The names of the suites of unit tests."""
    sources = (CHECKOUT / "Tests").glob("*Tests/**/*.swift")
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


def test_the_way_to_report_is_the_one_of_the_repository_and_no_address():
    for page in (POLICY, (CHECKOUT / "pam/guide.md").read_text()):
        assert re.search(r"\*\*Security\*\*, choose\s\*\*Advisories\*\*,\sthen\s\*\*Report\sa\svulnerability\*\*", page)
        assert not re.search(r"[\w.]@[\w.]", page)


def test_the_rows_of_the_table_are_found():
    assert len(ROWS) >= 24 and all(len(row) == 3 for row in ROWS), ROWS


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip("| ")[:40])
def test_a_row_names_existing_tests(row):
    names = re.findall(r"`([^`]+)`", row[2])
    assert names and [name for name in names if not exists(name)] == []


def test_a_missing_test_is_noticed():
    assert not any(map(exists, ("login/test_nothing", "scripts/nothing", "NothingTests", "nothing")))


def test_the_chance_of_guessing_is_that_of_the_formula():
    rows = re.findall(r"(?m)^\| (.+?) \| (.+?) \| 10(\S) \| (.+?) \|$", PAGE)
    powers = {"⁶": 10**6, "⁸": 10**8}
    found = {}
    for kind, valid, power, stated in rows:
        if matched := re.search(r", here (\d+)$", valid):
            found[kind] = (f"{100 * int(matched[1]) / powers[power]:.2%}".replace("%", " %"), stated)
    assert len(found) == 4 and all(chance == stated for chance, stated in found.values()), found
