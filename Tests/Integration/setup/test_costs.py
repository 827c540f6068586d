"""What a run of the setup command costs beside its work, as far as it can be counted: no times."""

import re

import pytest
from rig.machine import COMMAND
from rig.process import run

# A bound says what has been reached, and a little room for other compilers; it goes down, not up.
MOST_SYSTEM_CALLS = 115
MOST_INSTRUCTIONS = 11_000_000


@pytest.fixture(autouse=True)
def installed(products):
    """The command in its place."""


def test_a_run_makes_few_system_calls(tmp_path):
    calls = tmp_path / "calls"
    run("strace", "-o", calls, COMMAND, "status", "--json")
    made = [line.partition("(")[0] for line in calls.read_text().splitlines() if "(" in line]
    assert "getuid" in made and len(made) <= MOST_SYSTEM_CALLS, " ".join(made)


def test_a_run_takes_few_instructions():
    """Nearly all of them are the loader's and ArgumentParser's, which looks up what each type can."""
    under = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    done = run(*under, COMMAND, "status", "--json", timeout=120)
    taken = int(re.search(r"I\s+refs:\s+([0-9,]+)", done.stderr)[1].replace(",", ""))
    assert 1_000_000 < taken <= MOST_INSTRUCTIONS
