"""The fleet, booted once, and its users."""

import contextlib
import json
import secrets
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fleet import EXPORTED, HOMES, Fleet, Host  # noqa: E402
from guest import Person  # noqa: E402
from rig.one_time_password import Authenticator  # noqa: E402

FIGURES = pytest.StashKey[list]()


@pytest.fixture(scope="session")
def fleet():
    fleet = Fleet()
    with contextlib.ExitStack() as machines:
        fleet.on(fleet.machines, machines.enter_context)
        fleet.set_up()
        yield fleet


@dataclass
class User:
    """A user of both hosts, enrolled on the first one."""

    fleet: Fleet
    name: str
    password: str
    authenticator: Authenticator | None = None
    backup_codes: list[str] = field(default_factory=list)

    @property
    def state(self) -> str:
        return f"{HOMES}/{self.name}/.twofactor/state"

    def enroll(self) -> None:
        words = ("enable", "--user", self.name, "--no-confirm", "--yes", "--json")
        answer = json.loads(self.fleet.hosts[0].run("twofactor", *words))
        self.authenticator = Authenticator.from_base32(answer["secret"])
        self.backup_codes = answer["backup_codes"]

    def fresh_code(self) -> str:
        return self.fleet.fresh_code(self.authenticator)

    def on(self, host: Host) -> Person:
        return Person(host, self.name, self.password)


@pytest.fixture
def new_user(fleet):
    """Adds an enrolled user with the same user ID on all machines."""
    return lambda: add_user(fleet)


@pytest.fixture
def user(new_user):
    return new_user()


def add_user(fleet: Fleet) -> User:
    number = next(fleet.user_ids)
    user = User(fleet, f"user{number}", secrets.token_urlsafe(9))
    options = ("--uid", str(number), "--no-create-home", "--home-dir", f"{HOMES}/{user.name}", "--shell", "/bin/bash")

    def add(machine) -> None:
        machine.run("useradd", *options, user.name)
        machine.run("chpasswd", given=f"{user.name}:{user.password}\n")

    fleet.on(fleet.machines, add)
    fleet.server.run("install", "-d", "-o", user.name, "-g", user.name, "-m", "700", f"{EXPORTED}/{user.name}")
    user.enroll()
    return user


@pytest.fixture
def figure(request):
    """Notes a measured figure for the summary."""
    return request.config.stash.setdefault(FIGURES, []).append


def pytest_terminal_summary(terminalreporter, config):
    for text in config.stash.get(FIGURES, []):
        terminalreporter.write_line(text)
