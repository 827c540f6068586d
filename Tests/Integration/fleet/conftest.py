"""Fixtures of the tests with a PostgreSQL server, and of those with RADIUS."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from rig.fleet import Fleet
from rig.fleet import fleet as database_fleet
from rig.fleet_commands import WIDE
from rig.postgresql import Database, postgresql
from rig.radius import FILES, Daemons, fleet
from rig.register import create_host_store, create_register, remove_register


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    """A primary and two synchronous standbys, for the tests of a file."""
    with postgresql() as servers:
        yield servers


@pytest.fixture(scope="module")
def radius(products, tmp_path_factory) -> Iterator[dict[str, Daemons]]:
    """Two verifiers, a host and a machine without daemons, by name. The verifiers share register and host store."""
    policy = Path("/etc/security/twofactor.conf")
    remove_register()
    create_register()
    create_host_store()
    policy.write_text((FILES / "verifier/security/twofactor.conf").read_text())
    try:
        with fleet(tmp_path_factory.mktemp("fleet")) as running:
            yield running
    finally:
        policy.unlink()
        remove_register()


@pytest.fixture
def host(radius) -> Daemons:
    return radius["web01"]


@pytest.fixture
def add_radius_user(radius, new_user):
    """Adds a user with a password on the verifiers, and none on the host."""

    def add(password: str):
        user = new_user(password=password)
        radius["web01"].forget_passwords()
        return user

    return add


@pytest.fixture(scope="module")
def hosts(products, database) -> Iterator[Fleet]:
    """Two hosts of one group."""
    with database_fleet(database) as found:
        yield found


@pytest.fixture
def one(hosts, register, host_configuration) -> tuple[str, ...]:
    """The prefix of programs on the first host; twofactor.conf is that of both."""
    host_configuration("store = postgresql", *(option.replace("=", " = ") for option in WIDE))
    create_host_store()
    return hosts.clients[0].prefix


@pytest.fixture
def two(hosts, one) -> tuple[str, ...]:
    return hosts.clients[1].prefix
