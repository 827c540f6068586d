"""The overhead of a run of the setup command, in counts; no times."""

import re

import pytest
from rig.machine import COMMAND
from rig.process import run

# Bounds are just above the current counts, with room for other compilers; lower them, never raise them.
MOST_SYSTEM_CALLS = 115
MOST_INSTRUCTIONS = 11_000_000


@pytest.fixture(autouse=True)
def installed(products):
    """Installs the command."""


def test_a_run_makes_few_system_calls(tmp_path):
    calls = tmp_path / "calls"
    run("strace", "-o", calls, COMMAND, "status", "--json")
    made = [line.partition("(")[0] for line in calls.read_text().splitlines() if "(" in line]
    assert "getuid" in made and len(made) <= MOST_SYSTEM_CALLS, " ".join(made)


def test_a_run_executes_few_instructions():
    """Nearly all of them are in the dynamic loader and in ArgumentParser's type lookups."""
    under = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    done = run(*under, COMMAND, "status", "--json", timeout=120)
    taken = int(re.search(r"I\s+refs:\s+([0-9,]+)", done.stderr)[1].replace(",", ""))
    assert 1_000_000 < taken <= MOST_INSTRUCTIONS
