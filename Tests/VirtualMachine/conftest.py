"""Machines under one policy and another, each booted when the first test asks for it."""

import secrets
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "Integration"))
sys.path.insert(0, str(Path(__file__).parent))

from guest import Guest, Person  # noqa: E402


@pytest.fixture(scope="module")
def machine(request):
    """The machine of a file of tests, which says with which words its kernel starts."""
    with Guest(request.module.KERNEL) as guest:
        yield guest


@pytest.fixture(scope="module")
def person(machine):
    """Makes accounts, or takes those that the disk has, with a new password, not enrolled."""

    def make(name: str) -> Person:
        password = secrets.token_urlsafe(9)
        if not machine.run("id", name, expect=None).startswith("uid="):
            machine.run("useradd", "--create-home", "--shell", "/bin/bash", "--groups", "sudo", name)
        machine.run("chpasswd", given=f"{name}:{password}\n")
        return Person(machine, name, password)

    return make
