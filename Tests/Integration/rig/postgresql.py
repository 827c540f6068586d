"""PostgreSQL with two synchronous standbys, each in a network namespace, by the files in pam/postgresql.

    with postgresql() as database:
        web01 = database.add_host("web01", "web")
        database.sql(web01, "SELECT twofactor.version()")

The servers keep their data in memory. A process that is killed loses nothing by that.
"""

import contextlib
import functools
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .certificates import Authority, authority
from .machine import CHECKOUT
from .network import Machine, network
from .postgresql_server import BINARIES, OWNER, Server, as_postgres
from .process import run

FILES = CHECKOUT / "pam/postgresql"
TEMPLATE = Path("/var/lib/twofactor-tests/template")
NAMES = ("db1", "db2", "db3")
SETTINGS = Path("/etc/security/twofactor-postgresql.conf")
SEALING_KEY = Path("/etc/security/twofactor-sealing.key")


@dataclass(frozen=True)
class Host:
    """A client, with the role and the certificate of this name."""

    name: str
    group: str
    certificate: Path

    @property
    def key(self) -> Path:
        return self.certificate.with_suffix(".key")


class Database:
    """The servers and the hosts that they know."""

    def __init__(self, machines: list[Machine], issuer: Authority) -> None:
        self.authority = issuer
        self.servers = [Server(machine, FILES, issuer) for machine in machines]
        self.hosts: dict[str, Host] = {}
        # The last one that was promoted, running or not.
        self.primary = self.servers[0]

    @property
    def standbys(self) -> list[Server]:
        """The other servers, even if one of them was a primary."""
        return [server for server in self.servers if server is not self.primary]

    def admin(self, sql: str) -> str:
        """Runs SQL on the primary as its superuser."""
        return self.primary.sql(sql)

    def add_host(self, name: str, group: str, *, enroll: bool = True, ended: bool = False) -> Host:
        """Creates the role of a host, and that of its group, and issues a certificate.

        enroll: whether users may enroll on the host
        ended: whether the certificate is expired
        """
        roles = f"{group}, twofactor_login" + (", twofactor_enrollment" if enroll else "")
        self.admin(
            f"DO $$ BEGIN CREATE ROLE {group} NOLOGIN; EXCEPTION WHEN duplicate_object THEN END $$;"
            f"CREATE ROLE {name} LOGIN CONNECTION LIMIT 50 IN ROLE {roles}"
        )
        return self.know(name, group, ended=ended)

    def know(self, name: str, group: str, *, ended: bool = False) -> Host:
        """Issues the certificate of an existing role, and lets PgBouncer act for it."""
        host = Host(name, group, self.authority.issue(name, group=host_group(), mode=0o640, ended=ended))
        self.hosts[name] = host
        for server in self.servers:
            server.let_pgbouncer_act_for(self.hosts)
        return host

    def connection(self, host: Host, *, pooled: bool = False, servers: list[Server] | None = None) -> str:
        """The connection string of a host; `pooled` connects to PgBouncer."""
        names = ",".join(server.machine.host_name for server in servers or self.servers)
        return (
            f"host={names} port={6432 if pooled else 5432} dbname=twofactor user={host.name} sslmode=verify-full "
            f"sslrootcert={self.authority.certificate} sslcert={host.certificate} sslkey={host.key} "
            "target_session_attrs=read-write connect_timeout=2"
        )

    def sql(self, host: Host, sql: str, *, status: int | None = 0, **options):
        """Runs SQL as a host over TLS. Returns the answer, or the ended command if `status` is None."""
        flags = ("-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose")
        command = ("psql", *flags, "-d", self.connection(host, **options), "-f", "-")
        done = run(*command, input=sql, status=status)
        return done.stdout.strip() if status == 0 else done

    def wait_until_synchronous(self, standbys: int = 2, patience: float = 15) -> None:
        """Waits until so many standbys follow the primary."""
        count = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = 'quorum'"
        wait_until(lambda: int(self.admin(count)) >= standbys, f"{standbys} synchronous standbys", patience)

    def fail_over(self) -> Server:
        """Promotes a standby as pam/postgresql.md says: no standby follows the old primary any more, and the new one
        has the latest of what the standbys received. Returns the new primary; see Server.rebuild for the old one."""
        standbys = self.standbys
        assert all(standby.is_answering() for standby in standbys), "the other one may have received more"
        for standby in standbys:
            standby.follow(None)
        newest = max(standbys, key=lambda standby: standby.received())
        newest.promote()
        for standby in standbys:
            if standby is not newest:
                standby.follow(newest)
        self.primary = newest
        self.start_pgbouncers(running_only=True)
        return newest

    def start_pgbouncers(self, *, running_only: bool = False) -> None:
        """Starts PgBouncer on each server, or points the running ones to the primary."""
        for server in self.servers:
            if server.has_pgbouncer or not running_only:
                server.start_pgbouncer(self.primary)

    def settings(self, host: Host, *, replicated: bool = True, **options) -> str:
        """The text of twofactor-postgresql.conf on a host; `options` as for `connection`."""
        return (
            f'connection = "{self.connection(host, **options)}"\n'
            f"group = {host.group}\n"
            f"replicated = {'yes' if replicated else 'no'}\n"
        )

    def configure(self, host: Host, **options) -> None:
        """Turns the sandbox into this host; `options` as for `settings`. The sealing key stays."""
        SETTINGS.write_text(self.settings(host, **options))
        if not SEALING_KEY.exists():
            SEALING_KEY.write_text(secrets.token_hex(32) + "\n")
        for path in (SETTINGS, SEALING_KEY):
            shutil.chown(path, "root", host_group())
            path.chmod(0o640)

    def dump(self) -> Path:
        """A backup of the database, as pam/postgresql.md says."""
        path = self.primary.folder / "twofactor.dump"
        run(*self._as_superuser(), BINARIES / "pg_dump", "-Fc", "-f", path, "twofactor")
        return path

    def restore(self, dump: Path) -> None:
        """Replaces the database with a backup, in which no code is good, as pam/postgresql.md says."""
        run(*self._as_superuser(), "createdb", "-O", "twofactor_owner", "restored")
        run(*self._as_superuser(), "pg_restore", "-d", "restored", dump)
        server = self.primary
        server.sql("SET ROLE twofactor_owner;\n" + (FILES / "schema.sql").read_text(), database="restored")
        server.sql("UPDATE twofactor.enrollment SET state = '\\x00'", database="restored")
        change = "DROP DATABASE IF EXISTS twofactor WITH (FORCE);\nALTER DATABASE restored RENAME TO twofactor"
        server.sql(change, database="postgres")

    def _as_superuser(self) -> tuple[str, ...]:
        return (*as_postgres(), "env", f"PGHOST={self.primary.sockets}")

    def heal(self) -> None:
        """Mends cables, continues and starts servers, and rebuilds those that do not follow the primary."""
        for server in self.servers:
            server.machine.mend()
            server.resume()
            server.free_disk()
        self.primary.revive()
        for standby in self.standbys:
            if not standby.is_running() or standby.is_primary() or not standby.follows(self.primary):
                standby.rebuild(self.primary)
        self.wait_until_synchronous(len(self.standbys))


def host_group() -> str:
    """The group of the helper, if the products are installed."""
    return "_twofactor" if run("getent", "group", "_twofactor", status=None).returncode == 0 else "root"


def wait_until(condition, what: str, patience: float = 10) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"after {patience} seconds: no {what}"
        time.sleep(0.02)


# What a superuser does before schema.sql, from the page.
SUPERUSER = """\
CREATE ROLE twofactor_owner NOLOGIN;
CREATE ROLE twofactor_login NOLOGIN;
CREATE ROLE twofactor_enrollment NOLOGIN;
CREATE ROLE twofactor_report NOLOGIN;
GRANT pg_read_all_stats TO twofactor_owner;
CREATE ROLE replicator LOGIN REPLICATION;
CREATE DATABASE twofactor OWNER twofactor_owner;
"""


@functools.cache
def template() -> Path:
    """A data directory with the schema, made once in a run of the tests."""
    TEMPLATE.parent.mkdir(parents=True, exist_ok=True)
    shutil.chown(TEMPLATE.parent, OWNER, OWNER)
    words = ("--no-sync", "--wal-segsize=1", "--encoding=UTF8", "--locale=C", "--auth=peer", "-D", TEMPLATE)
    run(*as_postgres(), BINARIES / "initdb", *words)
    server = Server(None, FILES, authority(), TEMPLATE)
    server.start()
    server.sql(SUPERUSER, database="postgres")
    server.sql("SET ROLE twofactor_owner;\n" + (FILES / "schema.sql").read_text())
    server.stop()
    return TEMPLATE


@contextlib.contextmanager
def postgresql() -> Iterator[Database]:
    """A primary, db1, and two synchronous standbys, db2 and db3."""
    with network(*NAMES) as machines:
        database = Database(machines, authority())
        try:
            for server in database.servers:
                server.copy(template())
            primary, *standbys = database.servers
            for standby in standbys:
                standby.follow(primary)
            for server in database.servers:
                server.start(wait=False)
            for server in database.servers:
                server.wait_until_answering()
            database.wait_until_synchronous()
            yield database
        finally:
            for server in database.servers:
                server.remove()
