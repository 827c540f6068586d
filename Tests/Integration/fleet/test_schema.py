"""The schema of the store on PostgreSQL: who may read and write which rows, columns and settings."""

import re

import pytest
from rig.postgresql import FILES, NAMES
from rig.postgresql_server import BINARIES, as_postgres
from rig.process import run

pytestmark = pytest.mark.machinery

ROW = (
    "INSERT INTO twofactor.enrollment (host_group, user_name, credential, state, generation) "
    "VALUES ('{}', '{}', decode(repeat('aa', 40), 'hex'), 'state', decode(repeat('00', 16), 'hex'))"
)
DENIED = "42501"


@pytest.fixture(scope="module")
def hosts(database):
    """web01 enrolls users and logs them in, web02 only logs them in; mail01 belongs to another group."""
    hosts = {
        "web01": database.add_host("web01", "web"),
        "web02": database.add_host("web02", "web", enroll=False),
        "mail01": database.add_host("mail01", "mail"),
    }
    database.admin("CREATE ROLE auditor LOGIN IN ROLE twofactor_report, web")
    hosts["auditor"] = database.know("auditor", "web")
    for group, user in (("web", "ada"), ("mail", "ada"), ("mail", "bob")):
        database.admin(ROW.format(group, user))
    return hosts


@pytest.fixture
def attempt(database, hosts):
    """Runs SQL as a host in a transaction that is rolled back. Returns the answer, or the SQLSTATE."""

    def run_as(name: str, sql: str) -> str:
        done = database.sql(hosts[name], f"BEGIN; {sql}; ROLLBACK;", status=None)
        failed = re.search(r"ERROR:  (\w{5}): ", done.stderr)
        return failed[1] if failed else done.stdout.strip()

    return run_as


def test_a_host_reads_the_rows_of_its_group(attempt):
    read = "SELECT host_group, user_name FROM twofactor.enrollment ORDER BY 1, 2"
    assert attempt("web01", read) == attempt("web02", read) == "web|ada"
    assert attempt("mail01", read) == "mail|ada\nmail|bob"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE twofactor.enrollment SET state = 'x' WHERE host_group = 'mail' RETURNING 1",
        "DELETE FROM twofactor.enrollment WHERE host_group = 'mail' RETURNING 1",
        "SELECT 1 FROM twofactor.enrollment WHERE host_group = 'mail' FOR UPDATE",
        "COPY (SELECT 1 FROM twofactor.enrollment WHERE host_group = 'mail') TO STDOUT",
        "SELECT 1 FROM pg_stats WHERE schemaname = 'twofactor'",
    ],
)
def test_rows_of_another_group_are_invisible(attempt, change):
    assert attempt("web01", change) == ""
    assert attempt("web01", change.replace("mail", "web")) != "" or "pg_stats" in change


def test_an_insert_does_not_tell_whether_another_group_has_the_user(attempt):
    assert attempt("web01", ROW.format("mail", "bob")) == attempt("web01", ROW.format("mail", "carol")) == DENIED
    assert attempt("web01", ROW.format("web", "carol")) == ""


LOGIN_DENIED = [
    "UPDATE twofactor.enrollment SET credential = decode(repeat('bb', 40), 'hex')",
    "UPDATE twofactor.enrollment SET generation = decode(repeat('11', 16), 'hex')",
    "DELETE FROM twofactor.enrollment",
    ROW.format("web", "carol"),
    # A lock that would stop the logins of every group.
    "LOCK TABLE twofactor.enrollment IN SHARE MODE",
]


def test_a_host_that_only_logs_in_changes_the_state_alone(attempt):
    locked = "SELECT user_name FROM twofactor.enrollment WHERE user_name = 'ada' FOR UPDATE"
    assert attempt("web02", locked) == "ada"
    assert attempt("web02", "UPDATE twofactor.enrollment SET state = 'x' RETURNING user_name") == "ada"
    for change in LOGIN_DENIED:
        assert attempt("web02", change) == DENIED, change
        assert attempt("web01", change) == "", change


FORBIDDEN = [
    "UPDATE twofactor.enrollment SET host_group = 'mail'",
    "UPDATE twofactor.enrollment SET user_name = 'bob'",
    "UPDATE twofactor.enrollment SET changed_at = now()",
    "TRUNCATE twofactor.enrollment",
    "DROP POLICY members_of_host_group ON twofactor.enrollment",
    "CREATE POLICY everyone ON twofactor.enrollment USING (true)",
    "ALTER TABLE twofactor.enrollment DISABLE ROW LEVEL SECURITY",
    "SET LOCAL row_security = off; SELECT 1 FROM twofactor.enrollment",
    "CREATE OR REPLACE FUNCTION twofactor.version() RETURNS integer LANGUAGE sql RETURN 2",
    "CREATE TABLE public.mine (a int)",
    "CREATE TABLE twofactor.mine (a int)",
    "CREATE TEMPORARY TABLE mine (a int)",
    "CREATE FUNCTION pg_temp.mine() RETURNS integer LANGUAGE sql RETURN 2",
    "CREATE SCHEMA mine",
    "CREATE ROLE mine",
    "GRANT mail TO web01",
    "SET ROLE mail",
    "SET ROLE twofactor_owner",
    "SET SESSION AUTHORIZATION mail01",
    "SELECT twofactor.set_changed_at()",
    "SELECT pg_read_file('postgresql.conf')",
    "COPY twofactor.enrollment TO PROGRAM 'cat'",
    "COPY twofactor.enrollment TO '/tmp/rows'",
    "SELECT rolpassword FROM pg_authid",
    "SELECT pg_promote()",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'replicator'",
    "SET LOCAL fsync = off",
    "ALTER SYSTEM SET fsync = off",
    "ALTER DATABASE twofactor SET synchronous_commit = off",
    "ALTER TABLE twofactor.enrollment ADD a integer",
    "CREATE INDEX ON twofactor.enrollment (state)",
    "CREATE EXTENSION dblink",
]


def test_a_host_cannot_change_more_than_rows(database, hosts):
    script = "".join(f"\\warn {number}\nBEGIN; {change}; ROLLBACK;\n" for number, change in enumerate(FORBIDDEN))
    done = database.sql(hosts["web01"], "\\set ON_ERROR_STOP off\n" + script, status=None)
    answers = re.split(r"(?m)^\d+\n", done.stderr)[1:]
    assert len(answers) == len(FORBIDDEN)
    # Permission denied, a setting of the server's start, a command outside transactions.
    codes = [re.search(r"ERROR:  (\w{5})", answer + "ERROR:  none!")[1] for answer in answers]
    accepted = [change for change, code in zip(FORBIDDEN, codes) if code not in (DENIED, "55P02", "25001")]
    assert accepted == []


def test_a_host_does_not_see_what_other_hosts_run(database, attempt):
    assert attempt("web01", "SELECT query FROM pg_stat_activity WHERE usename = 'postgres' LIMIT 1") in (
        "",
        "<insufficient privilege>",
    )


def test_a_report_contains_neither_credentials_nor_states(attempt):
    row = attempt("auditor", "SELECT * FROM twofactor.report").split("|")
    assert row[:2] == ["web", "ada"] and row[3:] == ["40", "aaaaaaaa"]
    for column in ("credential", "state", "generation", "*"):
        assert attempt("auditor", f"SELECT {column} FROM twofactor.enrollment") == DENIED
    assert attempt("auditor", "UPDATE twofactor.enrollment SET state = 'x'") == DENIED


@pytest.mark.parametrize("name", ["web02", "auditor"])
def test_hosts_and_reporters_see_the_replication(attempt, name):
    rows = attempt(name, "SELECT name, address, state, sync_state, unflushed >= 0 FROM twofactor.replication()")
    expected = [f"{server}|10.77.0.{number}|streaming|quorum|t" for number, server in enumerate(NAMES, 1)][1:]
    assert sorted(rows.splitlines()) == expected


def test_a_connection_does_not_stay_idle(database, hosts):
    assert database.sql(hosts["web01"], "SHOW idle_session_timeout") == "10s"


def test_the_server_sets_the_time_of_a_change(attempt):
    now = "RETURNING changed_at BETWEEN now() AND clock_timestamp()"
    credential = "decode(repeat('bb', 40), 'hex')"
    assert attempt("web01", f"UPDATE twofactor.enrollment SET credential = {credential} {now}") == "t"
    assert attempt("web01", f"{ROW.format('web', 'carol')} {now}") == "t"
    assert attempt("web02", f"UPDATE twofactor.enrollment SET state = 'x' {now}") == "f"


def test_a_former_member_of_a_group_can_tell_that_it_sees_nothing(database, hosts, attempt):
    """The program asks for the membership, because otherwise no user would seem to be enrolled."""
    member = "SELECT pg_has_role('web', 'USAGE'), count(*) FROM twofactor.enrollment"
    assert attempt("web02", member) == "t|1"
    database.admin("REVOKE web FROM web02")
    try:
        assert attempt("web02", member) == "f|0"
    finally:
        database.admin("GRANT web TO web02")


def test_a_dropped_group_does_not_disturb_the_others(database, attempt):
    database.admin(f"CREATE ROLE gone; {ROW.format('gone', 'ada')}; DROP ROLE gone")
    assert attempt("web01", "SELECT host_group FROM twofactor.enrollment") == "web"


@pytest.mark.parametrize("group", ["twofactor_login", "pg_monitor"])
def test_roles_that_many_hosts_share_are_no_groups(database, group):
    server = database.primary
    assert "violates check constraint" in server.sql(ROW.format(group, "ada"), status=None)


def connect(database, client, **changes) -> str:
    """Why a connection with other parameters of the connection string fails."""
    words = dict(word.split("=", 1) for word in database.connection(client).split())
    text = " ".join(f"{name}={value}" for name, value in (words | changes).items())
    return run("psql", "-X", "-d", text, "-c", "SELECT 1", status=None).stderr


def test_only_the_certificate_of_a_role_opens_its_connection(database, hosts):
    web, mail = hosts["web01"], hosts["mail01"]
    old = database.know("old01", "web", ended=True)
    assert connect(database, web) == ""
    assert 'certificate authentication failed for user "mail01"' in connect(database, web, user="mail01")
    assert "no pg_hba.conf entry" in connect(database, web, user="postgres")
    assert "connection requires a valid client certificate" in connect(database, mail, sslcert="/absent")
    assert "no encryption" in connect(database, web, sslmode="disable")
    assert "certificate expired" in connect(database, old)
    # The server's certificate is checked, too.
    assert "server certificate" in connect(database, web, host="10.77.0.1")


def test_schema_sql_changes_nothing_when_it_runs_again(database):
    def contents() -> str:
        socket = ("-h", database.primary.sockets)
        dump = run(*as_postgres(), BINARIES / "pg_dump", *socket, "--schema-only", "twofactor").stdout
        roles = run(*as_postgres(), BINARIES / "pg_dumpall", *socket, "--roles-only").stdout
        # A random word protects each dump from its own contents.
        return re.sub(r"(?m)^\\(un)?restrict .*", "", dump + roles)

    before = contents()
    assert "FORCE ROW LEVEL SECURITY" in before
    # Without CREATEROLE and without being a superuser.
    database.admin("SET ROLE twofactor_owner;\n" + (FILES / "schema.sql").read_text())
    assert contents() == before


def test_schema_sql_says_what_a_superuser_must_do_first(database):
    server, schema = database.primary, (FILES / "schema.sql").read_text()
    server.sql("CREATE ROLE other NOLOGIN", database="postgres")
    server.sql("CREATE DATABASE other OWNER other", database="postgres")
    refused = server.sql("SET ROLE other;\n" + schema, database="other", status=None)
    assert "HINT:  as a superuser: GRANT pg_read_all_stats TO other;" in refused
    # The roles exist already for all databases of a server, so another name stands for a missing one.
    refused = server.sql("SET ROLE other;\n" + schema.replace("_report", "_x"), database="other", status=None)
    assert "HINT:  as a superuser: CREATE ROLE twofactor_x;" in refused


def test_schema_sql_of_an_older_version_is_refused(database):
    server, schema = database.primary, (FILES / "schema.sql").read_text()
    server.sql("CREATE DATABASE newer OWNER twofactor_owner", database="postgres")
    newer = schema.replace("RETURN 1;", "RETURN 2;").replace("installed > 1", "installed > 2")
    server.sql("SET ROLE twofactor_owner;\n" + newer, database="newer")
    refused = server.sql("SET ROLE twofactor_owner;\n" + schema, database="newer", status=None)
    assert "the schema has version 2, and this file version 1" in refused


def test_a_host_is_locked_out(database):
    host = database.add_host("web09", "web")
    database.start_pgbouncers()
    assert database.sql(host, "SELECT 1") == database.sql(host, "SELECT 1", pooled=True) == "1"
    database.admin("ALTER ROLE web09 NOLOGIN")
    database.admin("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'web09'")
    assert 'role "web09" is not permitted to log in' in connect(database, host)
    assert database.sql(host, "SELECT 1", pooled=True, status=None).returncode != 0


def test_a_dump_restores_rows_and_rights(database, hosts):
    before = database.sql(hosts["web01"], "SELECT user_name, credential FROM twofactor.enrollment")
    dump = database.dump()
    database.admin("DELETE FROM twofactor.enrollment")
    database.restore(dump)
    assert database.sql(hosts["web01"], "SELECT user_name, credential FROM twofactor.enrollment") == before
    assert database.sql(hosts["web01"], "SELECT DISTINCT state FROM twofactor.enrollment") == "\\x00"
