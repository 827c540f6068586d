"""Virtual machines with different security policies, each booted on first use."""

import secrets
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "Integration"))
sys.path.insert(0, str(Path(__file__).parent))

from guest import Guest, Person  # noqa: E402


@pytest.fixture(scope="module")
def machine(request):
    """The machine of a test file; KERNEL holds its kernel arguments."""
    with Guest(request.module.KERNEL) as guest:
        yield guest


@pytest.fixture(scope="module")
def person(machine):
    """Adds an account, or reuses one of the disk image, with a new password and no enrollment."""

    def make(name: str) -> Person:
        password = secrets.token_urlsafe(9)
        if not machine.run("id", name, expect=None).startswith("uid="):
            machine.run("useradd", "--create-home", "--shell", "/bin/bash", "--groups", "sudo", name)
        machine.run("chpasswd", given=f"{name}:{password}\n")
        return Person(machine, name, password)

    return make
