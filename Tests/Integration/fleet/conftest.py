"""Fixtures of the tests with a PostgreSQL server."""

from collections.abc import Iterator

import pytest
from rig.postgresql import Database, postgresql


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    """A primary and two synchronous standbys, for the tests of a file."""
    with postgresql() as servers:
        yield servers
