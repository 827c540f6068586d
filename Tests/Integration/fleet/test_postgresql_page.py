"""pam/postgresql.md: its commands and settings are those that the other tests use."""

import re

import pytest
from rig import postgresql
from rig.machine import CHECKOUT
from rig.process import run

pytestmark = pytest.mark.machinery

PAGE = (CHECKOUT / "pam/postgresql.md").read_text()


def blocks(mark: str) -> list[str]:
    """The indented blocks whose lines begin with the mark, without it."""
    found = re.findall(rf"(?m)(?:^    {re.escape(mark)}.*\n)+", PAGE)
    return [re.sub(rf"(?m)^    {re.escape(mark)}", "", block) for block in found]


def indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


def test_the_page_prepares_the_database_as_the_tests_do():
    assert indented(postgresql.SUPERUSER) in PAGE


def test_the_page_fails_over_as_the_tests_do():
    assert "ALTER SYSTEM SET primary_conninfo = '';\n       SELECT pg_reload_conf();" in PAGE
    assert "greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())" in PAGE
    order = ["primary_conninfo = ''", "greatest(", "pg_promote()", "primary_conninfo = 'host=db2"]
    assert [PAGE.index(step) for step in order] == sorted(PAGE.index(step) for step in order)


def test_the_page_restores_as_the_tests_do():
    test = (CHECKOUT / "Tests/Integration/rig/postgresql.py").read_text()
    steps = ["UPDATE twofactor.enrollment SET state = '", "DROP DATABASE IF EXISTS twofactor WITH (FORCE)"]
    for step in (*steps, "ALTER DATABASE restored RENAME TO twofactor"):
        assert step in test and step in PAGE


def test_the_certificates_of_the_page_are_valid(tmp_path):
    authority, server, client = blocks("$ ")[:3]
    for block in (authority, server, client):
        run("sh", "-e", "-c", block, cwd=tmp_path)
    for name, purpose in (("db1", "sslserver"), ("web01", "sslclient")):
        run("openssl", "verify", "-purpose", purpose, "-CAfile", "ca.crt", f"{name}.crt", cwd=tmp_path)
        assert (tmp_path / f"{name}.key").stat().st_mode & 0o077 == 0
    names = run("openssl", "x509", "-in", "db1.crt", "-noout", "-checkhost", "db1.example.org", cwd=tmp_path)
    assert "does match" in names.stdout
