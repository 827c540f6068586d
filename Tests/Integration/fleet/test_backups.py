"""Backups of the database: they contain no shared secret, and bring no used code back if restored as the page says."""

import secrets
from collections.abc import Iterator

import pytest
from rig.clock import START
from rig.fleet import Fleet, fleet, login
from rig.helper import change, credential, device_line
from rig.one_time_password import Authenticator
from rig.process import run


@pytest.fixture(scope="module")
def group(database, products) -> Iterator[Fleet]:
    with fleet(database) as hosts:
        yield hosts


def test_a_dump_contains_no_shared_secret(database, group):
    user = group.enroll()
    dump = run("pg_restore", "-f", "-", database.dump()).stdout
    assert dump.count(f"\t{user.name}\t") == 1
    for secret in (user.authenticator.secret.hex(), user.authenticator.base32.encode().hex()):
        assert secret not in dump
    # The text of a credential would contain it.
    assert b"secret=".hex() not in dump and b"device ".hex() not in dump


def test_codes_used_after_a_backup_stay_used_when_it_is_restored(database, group):
    name, phone, client = group.name(), Authenticator(secrets.token_bytes(20)), group.clients[0]
    assert client.ask(name, change(credential(device_line(phone)))).status == "done"

    def log_in(steps: int, at: int = 0) -> str:
        answer = client.ask(name, login(phone.code_at(START, steps)), START + at)
        return answer.checked.refusal if answer.status == "refused" else str(answer.status)

    assert log_in(0) == "done"
    dump = database.dump()
    assert log_in(1, at=30) == "done"
    database.restore(dump)
    # The first code tells that the state is lost.
    assert log_in(1, at=30) == "failed"
    assert [log_in(step, at=30) for step in (0, 1, 2)] == ["reused-code"] * 3
    assert log_in(4, at=120) == "done"
