"""The program of the store on PostgreSQL: its requests, what it refuses, and what it never takes for "not enrolled"."""

import os
import re
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest
from rig.fleet import Client, Fleet, User, assert_refused, ended, fleet, login, refusal
from rig.helper import (
    END_OF_PASSWORD, KEEP, REGISTER_REQUEST, STATUS, change, check, credential, device_line,
    enroll_through_helper, message, parse, remove, show, text_field,
)
from rig.machine import STORE_PROGRAM
from rig.postgresql import FILES, SEALING_KEY, SETTINGS, wait_until
from rig.process import run

UNLOCK, UNCOUNTED = message(10), 16


@pytest.fixture(scope="module")
def group(database, products) -> Iterator[Fleet]:
    with fleet(database) as hosts:
        yield hosts


@pytest.fixture
def host(group) -> Client:
    return group.clients[0]


@pytest.fixture
def user(group) -> User:
    return group.enroll()


@pytest.fixture
def changed(host):
    """Changes the settings of the host."""
    before = host.settings.read_text()
    yield host.write
    host.write(before)


@pytest.mark.parametrize("way", ["direct", "PgBouncer"])
def test_each_request_of_root(database, group, host, changed, way):
    if way == "PgBouncer":
        database.start_pgbouncers()
        changed(database.settings(host.host, pooled=True))
    name = group.name()
    for request in (STATUS, check("123456"), login("123456"), login(""), UNLOCK, remove(b""), show(b"")):
        assert host.ask(name, request).status == "absent"
    user = User(name)
    assert host.ask(name, user.enrollment()).status == "done"
    # A change that would enroll the user again replaces the enrollment, and needs no ticket.
    assert host.ask(name, user.enrollment()).status == "done"
    assert host.ask(name, STATUS).report["devices"][0][-1] == "token"

    accepted = host.ask(name, login(user.code))
    assert (accepted.status, accepted.checked.method, accepted.checked.device) == ("done", "hotp", "token")
    assert accepted.checked.ticket == b""
    assert refusal(host.ask(name, login(user.code))) == refusal(host.ask(name, check(user.code))) == "reused-code"
    user.counter += 1
    assert host.ask(name, check(user.code, KEEP)).status == "done"
    assert host.ask(name, check(user.code)).checked.ticket != b""
    assert b"secret=" + user.authenticator.base32.encode() in host.ask(name, show(b"")).body

    for failures in range(1, 6):
        wrong = host.ask(name, check("00000000" if user.code != "00000000" else "11111111"))
        assert (refusal(wrong), wrong.checked.number) == ("wrong-code", failures)
    user.counter += 1
    assert refusal(host.ask(name, login(user.code))) == "throttled"
    assert host.ask(name, UNLOCK).status == "done"
    assert host.ask(name, login(user.code)).status == "done"

    user.counter += 100
    codes = [user.authenticator.code_for_counter(user.counter + step).encode() for step in (0, 1)]
    resync = message(8, text_field(b"token") + text_field(codes[0]) + text_field(codes[1]))
    assert host.ask(name, resync).status == "done"
    user.counter += 2
    assert host.ask(name, login(user.code)).status == "done"
    assert host.ask(name, remove(b"")).status == "done"
    assert host.ask(name, STATUS).status == "absent"
    # A pooled connection keeps nothing of its last transaction.
    if way == "PgBouncer":
        assert database.sql(host.host, "SHOW lock_timeout", pooled=True) == "0"


def test_names_that_are_not_utf8_share_no_row(group, host):
    """Swift replaces bytes of arguments that are no UTF-8, so that different names become equal."""
    command = (*host.prefix, STORE_PROGRAM, b"j\xfcrgen")
    done = subprocess.run(command, input=User("").enrollment(), stdout=subprocess.PIPE, check=False)
    assert_refused(parse(done.stdout, done.returncode), "configuration", "the name is not UTF-8")
    assert host.ask("jürgen", STATUS).status == "absent"


def test_a_clock_offset_is_stored_with_a_new_credential(database, group, host):
    user = User(group.name())
    line = device_line(user.authenticator).replace("digits=8", "digits=6")
    device = type(user.authenticator)(user.authenticator.secret)
    assert host.ask(user.name, change(credential(line))).status == "done"
    rows = f"SELECT encode(generation, 'hex') FROM twofactor.enrollment WHERE user_name = '{user.name}'"
    before = database.admin(rows)
    step = int(time.time()) // 30 + 12
    codes = [device.code_for_counter(step + more).encode() for more in (0, 1)]
    resync = message(8, text_field(b"phone") + text_field(codes[0]) + text_field(codes[1]))
    assert host.ask(user.name, resync).status == "done"
    assert database.admin(rows) != before
    assert host.ask(user.name, login(device.code_for_counter(step + 2))).status == "done"


def test_a_grace_period_applies_on_all_hosts(group, user):
    key, other = bytes(range(24)), bytes(24)
    first, second = group.clients
    assert refusal(second.ask(user.name, login("", grace=600, key=key))) == "no-reply"
    assert first.ask(user.name, login(user.code, grace=600, key=key)).status == "done"
    passed = second.ask(user.name, login("", grace=600, key=key))
    assert (passed.status, passed.checked.method) == ("done", "grace")
    assert refusal(second.ask(user.name, login("", grace=600, key=other))) == "no-reply"
    assert refusal(second.ask(user.name, login(""))) == "no-reply"


def test_flags_of_a_login(host, user):
    assert refusal(host.ask(user.name, login("12345678", flags=UNCOUNTED))) == "wrong-code"
    assert host.ask(user.name, STATUS).report["failures"] == 0
    accepted = host.ask(user.name, login("correct horse" + user.code, flags=END_OF_PASSWORD))
    assert (accepted.status, accepted.checked.code_length) == ("done", 8)


POLICY = re.search(r"(?s)CREATE POLICY members_of_host_group .*?;", (FILES / "schema.sql").read_text())[0]

# What would look like "not enrolled" to a program that trusts any answer.
NOT_THE_PRIMARY_OF_THE_GROUP = {
    "REVOKE web FROM web01": ("GRANT web TO web01", "configuration", "no member of the role web"),
    "ALTER ROLE web RENAME TO webs": ("ALTER ROLE webs RENAME TO web", "configuration", '"web" does not exist'),
    "ALTER TABLE twofactor.enrollment RENAME TO old": (
        "ALTER TABLE twofactor.old RENAME TO enrollment", "configuration", "schema"
    ),
    "ALTER SCHEMA twofactor RENAME TO old": ("ALTER SCHEMA old RENAME TO twofactor", "configuration", "schema"),
    "CREATE OR REPLACE FUNCTION twofactor.version() RETURNS integer LANGUAGE sql IMMUTABLE RETURN 2": (
        "CREATE OR REPLACE FUNCTION twofactor.version() RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN 1",
        "configuration", "another version",
    ),
    "REVOKE SELECT ON twofactor.enrollment FROM twofactor_login, twofactor_enrollment": (
        "GRANT SELECT ON twofactor.enrollment TO twofactor_login, twofactor_enrollment", "configuration", "permission"
    ),
    "DROP POLICY members_of_host_group ON twofactor.enrollment": (POLICY, "configuration", "row security"),
    "CREATE POLICY other ON twofactor.enrollment AS RESTRICTIVE USING (host_group = 'mail')": (
        "DROP POLICY other ON twofactor.enrollment", "configuration", "row security"
    ),
    "ALTER ROLE web01 SET default_transaction_read_only = on": (
        "ALTER ROLE web01 RESET default_transaction_read_only", "io", "read-only"
    ),
}


@pytest.mark.parametrize("wrong", NOT_THE_PRIMARY_OF_THE_GROUP)
def test_no_user_seems_not_enrolled(database, group, host, user, wrong):
    mend, reason, text = NOT_THE_PRIMARY_OF_THE_GROUP[wrong]
    name = group.name()
    assert host.status(name).status == "absent"
    database.admin(wrong)
    try:
        for asked, request in ((user.name, login(user.code)), (name, login("")), (name, check("123456"))):
            assert_refused(host.ask(asked, request), reason, text)
    finally:
        database.admin(mend)
    assert host.ask(user.name, login(user.code)).status == "done"


def test_a_pgbouncer_that_names_a_standby_is_refused(database, group, host, user, changed):
    database.start_pgbouncers()
    server = database.standbys[0]
    server.start_pgbouncer(server)
    changed(database.settings(host.host, pooled=True, servers=[server]))
    try:
        for asked in (user.name, group.name()):
            assert_refused(host.status(asked), "io", "")
    finally:
        server.start_pgbouncer(database.primary)


LEVELS = {"off": (False, False), "local": (False, True), "remote_write": (False, True), "remote_apply": (True, True)}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("replicated", [True, False])
def test_commits_must_be_durable(database, host, user, changed, level, replicated):
    changed(database.settings(host.host, replicated=replicated))
    database.admin(f"ALTER ROLE web01 SET synchronous_commit = {level}")
    try:
        answer = host.ask(user.name, login(user.code))
        if LEVELS[level][0 if replicated else 1]:
            assert answer.status == "done"
        else:
            assert_refused(answer, "configuration", f"synchronous_commit is {level}")
    finally:
        database.admin("ALTER ROLE web01 RESET synchronous_commit")


@pytest.fixture
def waiting(database, host):
    """Starts a request whose commit waits for a standby; mends everything afterwards."""
    processes = []

    def start(user: str, request: bytes) -> subprocess.Popen:
        for standby in database.standbys:
            standby.pause()
        processes.append(host.start(user, request))
        wait_until(lambda: database.admin(f"SELECT count(*) {WAITING}") == "1", "commit that waits")
        return processes[-1]

    yield start
    for standby in database.standbys:
        standby.resume()
    for process in processes:
        process.kill()
        process.wait()
    database.wait_until_synchronous()


WAITING = "FROM pg_stat_activity WHERE usename = 'web01' AND wait_event = 'SyncRep'"


@pytest.fixture
def deaf_to_warnings(database):
    """A setting of the host's role that would hide that a commit was canceled."""
    database.admin("ALTER ROLE web01 SET client_min_messages = error")
    yield
    database.admin("ALTER ROLE web01 RESET client_min_messages")


@pytest.mark.parametrize("who", ["enrolled", "unknown"])
def test_a_canceled_commit_confirms_nothing(deaf_to_warnings, database, group, user, waiting, who):
    """It does not prove either that a user is not enrolled: the server may be a primary that was replaced."""
    process = waiting(user.name if who == "enrolled" else group.name(), login(user.code))
    database.admin(f"SELECT pg_cancel_backend(pid) {WAITING}")
    assert_refused(ended(process), "io", "not confirmed")


def test_a_commit_that_is_released_by_a_reload_confirms_nothing(database, user, waiting):
    process = waiting(user.name, login(user.code))
    database.admin("ALTER SYSTEM SET synchronous_standby_names = ''; SELECT pg_reload_conf()")
    try:
        assert_refused(ended(process), "configuration", "settings have changed")
    finally:
        database.admin("ALTER SYSTEM RESET synchronous_standby_names; SELECT pg_reload_conf()")


def test_a_commit_that_is_never_confirmed_is_answered_in_time(user, waiting):
    started = time.monotonic()
    process = waiting(user.name, login(user.code))
    assert_refused(ended(process), "io", "not confirmed within 10 seconds")
    assert process.returncode == 74 and time.monotonic() - started < 13


def test_a_lock_that_is_not_released_times_out(database, host, user):
    held = f"BEGIN; SELECT FROM twofactor.enrollment WHERE user_name = '{user.name}' FOR UPDATE; SELECT pg_sleep(5)"
    holder = subprocess.Popen(
        ("psql", "-X", "-q", "-d", database.connection(host.host), "-c", held), stdout=subprocess.DEVNULL
    )
    try:
        active = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(5)%' AND wait_event = 'PgSleep'"
        wait_until(lambda: database.admin(active) == "1", "lock")
        assert_refused(host.ask(user.name, login(user.code)), "io", "timed out waiting for the lock")
    finally:
        holder.kill()
        holder.wait()


@pytest.fixture
def stopped_after_first_write(database, waiting):
    """Starts a check, and stops it when its first write is committed: a failure, before the verdict is known."""

    def start(user: str, request: bytes) -> subprocess.Popen:
        process = waiting(user, request)
        process.send_signal(signal.SIGSTOP)
        for standby in database.standbys:
            standby.resume()
        wait_until(lambda: database.admin(f"SELECT count(*) {WAITING}") == "0", "confirmed commit")
        return process

    return start


def test_a_killed_check_leaves_a_failure(group, user, stopped_after_first_write):
    """Otherwise users could learn verdicts for free, because they can stop and kill the program."""
    process = stopped_after_first_write(user.name, check("12345678"))
    process.kill()
    process.wait()
    assert group.clients[1].ask(user.name, STATUS).report["failures"] == 1


@pytest.mark.parametrize("code", ["right", "wrong"])
def test_a_login_between_the_two_writes_of_a_check_stops_it(group, user, stopped_after_first_write, code):
    """The second write would bring back the code that the login has used."""
    process = stopped_after_first_write(user.name, check(user.code if code == "right" else "12345678"))
    other = group.clients[1]
    assert other.ask(user.name, login(user.code)).status == "done"
    process.send_signal(signal.SIGCONT)
    assert_refused(ended(process), "io", "changed by another login")
    assert refusal(other.ask(user.name, login(user.code))) == "reused-code"


def test_keys_of_the_host(database, host, user, changed):
    """All keys open, and the first one seals. A key that the host lacks is reported as a problem of configuration."""
    first, second = SEALING_KEY.read_text(), secrets.token_hex(32) + "\n"

    def use(text: str) -> None:
        SEALING_KEY.write_text(text)

    def sealed_with() -> str:
        return database.admin(f"SELECT sealing_key FROM twofactor.enrollment WHERE user_name = '{user.name}'")

    try:
        before = sealed_with()
        use(second)
        assert_refused(host.ask(user.name, login(user.code)), "configuration", f"does not have (ID {before})")
        use("+" + second + "\n" + first)
        assert host.ask(user.name, login(user.code)).status == "done"
        use(second + first)
        assert host.ask(user.name, user.enrollment()).status == "done"
        assert sealed_with() != before
        for wrong in ("", first.upper()[:-2], "key " + first, first.strip() + " " + first):
            use(wrong)
            assert_refused(host.ask(user.name, STATUS), "configuration", "twofactor-sealing.key")
    finally:
        use(first)
    assert_refused(host.ask(user.name, STATUS), "configuration", "does not have")


WRONG_SETTINGS = {
    "group = web": ("group = web\ngroup = mail", 'twofactor-postgresql.conf, line 3, "group": was given before'),
    "sslmode=verify-full": ("sslmode=verify-ca", "another sslmode than verify-full"),
    "dbname=twofactor": ("dbname=twofactor password=x", "has a password"),
}


def test_wrong_settings(database, host, changed):
    for right, (wrong, text) in WRONG_SETTINGS.items():
        changed(database.settings(host.host).replace(right, wrong, 1))
        assert_refused(host.status("root"), "configuration", text)


def test_a_server_must_prove_its_name(database, host, changed):
    """Hosts prove theirs by certificate alone."""
    settings, other = database.settings(host.host), database.hosts["web02"]
    authority, name = str(database.authority.certificate), database.primary.machine.host_name
    wrong = {
        # Of another authority.
        settings.replace(f"sslrootcert={authority}", f"sslrootcert={other.certificate}"): "certificate verify failed",
        settings.replace(f"host={name}", "host=localhost"): "",
        settings.replace(f"sslcert={host.host.certificate}", f"sslcert={other.certificate}").replace(
            f"sslkey={host.host.key}", f"sslkey={other.key}"
        ): "certificate authentication failed",
    }
    for text, problem in wrong.items():
        assert text != settings
        changed(text)
        assert_refused(host.status("root"), "io", problem)


def test_files_that_users_could_read_or_write(host, group, changed):
    for path in (host.settings, SEALING_KEY):
        mode, owner = path.stat().st_mode, (path.stat().st_uid, path.stat().st_gid)
        user = group.enroll()
        try:
            for wrong in (0o644, 0o660, 0o642):
                path.chmod(wrong)
                assert_refused(host.ask(user.name, STATUS), "configuration", ": ")
            path.chmod(0o640)
            shutil.chown(path, "daemon")
            assert_refused(host.ask(user.name, STATUS), "configuration", "owned by root")
            shutil.chown(path, "root", "daemon")
            assert_refused(host.ask(user.name, STATUS), "configuration", "can be read by users")
        finally:
            os.chown(path, *owner)
            path.chmod(mode & 0o7777)


def test_no_file_of_a_home_is_opened(host, user):
    """libpq looks for default files there. In the helper, these would be files of the user."""
    words = ("strace", "-f", "-e", "trace=file", STORE_PROGRAM, user.name)
    done = subprocess.run((*host.prefix, *words), input=STATUS, capture_output=True, env={}, timeout=30)
    opened = [line for line in done.stderr.decode().splitlines() if '"/root' in line or '"/home' in line]
    assert done.returncode == 0 and opened == []
    assert "/nonexistent" in done.stderr.decode()


def test_the_program_alone_gives_users_nothing(host, new_user):
    user = new_user()
    under = (*host.prefix, "setpriv", f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups", STORE_PROGRAM)
    done = subprocess.run((*under,), input=STATUS, capture_output=True, env={}, timeout=30)
    assert b"twofactor-postgresql.conf: cannot be opened: Permission denied" in done.stdout
    assert subprocess.run((*under, "root"), input=STATUS, capture_output=True, timeout=30).returncode == 64


def test_users_cannot_take_up_the_connections_of_logins(database, group, user, new_user, host_configuration):
    """A user can stop the processes that the user started, and so keep their connections."""
    host_configuration("store = postgresql")
    host, name = database.hosts["web01"], "web01_users"
    users_host = database.hosts.get(name) or database.add_host(name, "web")
    database.configure(host)
    with SETTINGS.open("a") as file:
        file.write(f'user_connection = "{database.connection(users_host)}"\n')
    member = new_user()
    enrolled = enroll_through_helper(member)
    database.admin(f"ALTER ROLE {name} CONNECTION LIMIT 0")
    assert_refused(enrolled.ask(STATUS), "io", f'too many connections for role "{name}"')
    assert group.clients[0].check(user).status == "done"
    assert run(STORE_PROGRAM, member.name, input=STATUS).returncode == 0
    database.admin(f"ALTER ROLE {name} CONNECTION LIMIT 5; ALTER ROLE web01 CONNECTION LIMIT 0")
    assert enrolled.ask(STATUS).status == "done"
    database.admin("ALTER ROLE web01 CONNECTION LIMIT 50")
    database.configure(host)


def test_the_helper_serves_only_the_row_of_its_user(database, group, new_user, host_configuration):
    host_configuration("store = postgresql")
    database.configure(database.hosts["web01"])
    user, other = new_user(), group.enroll()
    enrolled = enroll_through_helper(user, backup_codes=2)
    assert database.admin("SELECT count(*) FROM twofactor.enrollment WHERE user_name = '{}'".format(user.name)) == "1"
    accepted = enrolled.check(enrolled.code())
    assert accepted.status == "done" and b"secret=" in enrolled.ask(show(accepted.ticket)).body
    assert enrolled.check(enrolled.backup_codes[0]).checked.backup_codes_left == 1
    assert refusal(enrolled.check(enrolled.backup_codes[0])) == "reused-backup-code"
    assert refusal(enrolled.check("000000")) in ("wrong-code", "reused-code")
    assert {enrolled.ask(message(number)).status for number in range(9, 17)} == {"unknown request"}
    assert enrolled.ask(REGISTER_REQUEST).status == "unavailable"
    assert enrolled.ask(remove(b"")).status == "no ticket"
    assert group.clients[1].ask(other.name, STATUS).report["failures"] == 0
    assert group.clients[1].ask(user.name, STATUS).report["failures"] >= 0
    assert enrolled.ask(remove(accepted.ticket)).status == "done"
    assert enrolled.ask(STATUS).status == "absent"


def test_a_host_without_the_right_to_enroll(database, group, changed):
    """It logs users in, but changes no credential."""
    if "web03" not in database.hosts:
        database.add_host("web03", "web", enroll=False)
    host, user = group.clients[0], group.enroll()
    changed(database.settings(database.hosts["web03"]))
    assert host.ask(user.name, login(user.code)).status == "done"
    for request in (user.enrollment(), remove(b"")):
        assert_refused(host.ask(user.name, request), "configuration", "permission denied")
    assert_refused(host.ask(group.name(), user.enrollment()), "configuration", "permission denied")
