"""Rows of the PostgreSQL store that were changed outside the program: refused, and never taken for "not enrolled"."""

import time

import pytest
from rig.fleet import Client, User, assert_refused, login, refusal
from rig.helper import STATUS, change, check, credential, device_line, remove, show


@pytest.fixture
def host(hosts) -> Client:
    return hosts.clients[0]


@pytest.fixture
def user(hosts) -> User:
    return hosts.enroll()


FLIPPED = "set_byte({0}, octet_length({0}) - {1}, get_byte({0}, octet_length({0}) - {1}) # 1)"
BROKEN_SEALS = {
    "the tag": f"credential = {FLIPPED.format('credential', 1)}",
    "the text": f"credential = {FLIPPED.format('credential', 40)}",
    "the nonce": "credential = set_byte(credential, 6, get_byte(credential, 6) # 1)",
    "the generation": f"generation = {FLIPPED.format('generation', 1)}",
    "a short text": "credential = substring(credential for 40)",
}


@pytest.mark.parametrize("what", BROKEN_SEALS)
def test_a_changed_row_is_refused(database, host, user, what):
    database.admin(f"UPDATE twofactor.enrollment SET {BROKEN_SEALS[what]} WHERE user_name = '{user.name}'")
    for request in (login(user.code), check(user.code), STATUS, show(b"")):
        assert_refused(host.ask(user.name, request), "corrupt", "seal")
    # Root removes the row; then the user can enroll again.
    assert host.ask(user.name, remove(b"")).status == "done"
    assert host.ask(user.name, user.enrollment()).status == "done"


def test_root_replaces_a_damaged_row_which_is_never_absent(database, host, user):
    """Between a removal and a new row, the user would count as not enrolled."""
    where = f"WHERE user_name = '{user.name}'"
    database.admin(f"UPDATE twofactor.enrollment SET {BROKEN_SEALS['the tag']} {where}")
    # The old enrollment cannot be kept.
    assert_refused(host.ask(user.name, change(credential(""), flags=1)), "corrupt", "seal")
    created = database.admin(f"SELECT ctid, xmin FROM twofactor.enrollment {where}")
    database.admin(
        "CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'deleted'; END $$; "
        "CREATE TRIGGER refuse BEFORE DELETE ON twofactor.enrollment FOR EACH ROW EXECUTE FUNCTION public.refuse()"
    )
    try:
        assert host.ask(user.name, user.enrollment()).status == "done"
    finally:
        database.admin("DROP TRIGGER refuse ON twofactor.enrollment; DROP FUNCTION public.refuse()")
    assert database.admin(f"SELECT ctid, xmin FROM twofactor.enrollment {where}") != created
    assert host.ask(user.name, login(user.code)).status == "done"


def test_a_row_of_another_user_is_refused(database, hosts, host, user):
    """The owner of the database cannot give one user the device of another."""
    victim = hosts.enroll()
    database.admin(
        f"UPDATE twofactor.enrollment v SET credential = u.credential, generation = u.generation, state = u.state "
        f"FROM twofactor.enrollment u WHERE v.user_name = '{victim.name}' AND u.user_name = '{user.name}'"
    )
    assert_refused(host.ask(victim.name, login(user.code)), "corrupt", "belongs to another user")
    assert host.ask(user.name, login(user.code)).status == "done"


def test_an_older_credential_is_refused_after_a_change(database, host, user):
    where = f"WHERE user_name = '{user.name}'"
    database.admin(f"CREATE TABLE public.old AS SELECT credential FROM twofactor.enrollment {where}")
    try:
        assert host.ask(user.name, user.enrollment()).status == "done"
        database.admin(f"UPDATE twofactor.enrollment SET credential = (SELECT credential FROM public.old) {where}")
        assert_refused(host.ask(user.name, login(user.code)), "corrupt", "generation")
    finally:
        database.admin("DROP TABLE public.old")


def test_a_damaged_state_counts_as_lost(database, hosts, host, user):
    """As with a damaged state file: the first code is refused, and then all codes that may have been used."""
    totp = type(user.authenticator)(user.authenticator.secret)
    name = hosts.name()
    assert host.ask(name, change(credential(device_line(totp)))).status == "done"
    database.admin(f"UPDATE twofactor.enrollment SET state = '\\x00' WHERE user_name = '{name}'")
    step = int(time.time()) // 30
    assert_refused(host.ask(name, login(totp.code_for_counter(step))), "corrupt", "state: was lost or damaged")
    step = int(time.time()) // 30
    for code in (step - 1, step, step + 1):
        assert refusal(host.ask(name, login(totp.code_for_counter(code)))) == "reused-code"
    # Of another generation.
    database.admin(
        f"UPDATE twofactor.enrollment SET state = (SELECT state FROM twofactor.enrollment WHERE user_name = "
        f"'{user.name}') WHERE user_name = '{name}'"
    )
    assert_refused(host.ask(name, login(totp.code_for_counter(step))), "corrupt", "state: was lost or damaged")
