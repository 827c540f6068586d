"""One PostgreSQL server, and the PgBouncer in front of it."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

from .certificates import Authority
from .network import Machine
from .process import run

BINARIES = max(Path("/usr/lib/postgresql").glob("*/bin"), default=Path("/usr/bin"))
OWNER = "postgres"
FOLDER = Path("/run/twofactor-postgresql")

PAGE = 4096

# For small disks in memory, and a machine that runs other tests.
SMALL = """
unix_socket_permissions = 0777
shared_buffers = 16MB
max_wal_size = 16MB
wal_keep_size = 8MB
max_connections = 200
dynamic_shared_memory_type = mmap
max_worker_processes = 2
log_line_prefix = '%m [%p] %u '
"""


def as_postgres() -> tuple[str, ...]:
    return ("setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--init-groups", "--")


class Server:
    """A server with the files of `examples`; without a machine, one that only this machine reaches."""

    def __init__(self, machine: Machine | None, examples: Path, issuer: Authority, data: Path | None = None) -> None:
        self.machine = machine
        self.name = machine.name if machine else "db1"
        self.examples = examples
        self.authority = issuer
        self.folder = FOLDER / self.name
        self.sockets = self.folder / "sockets"
        self.disk = self.folder / "disk"
        self.data = data or self.disk / "data"
        self._process: subprocess.Popen | None = None
        self._pgbouncer: subprocess.Popen | None = None
        for folder in (FOLDER, self.folder, self.sockets, self.disk):
            folder.mkdir(mode=0o755, exist_ok=True)
            shutil.chown(folder, OWNER, OWNER)
        if machine:
            run("mount", "-t", "tmpfs", "-o", f"size=128m,mode=700,uid={OWNER},gid={OWNER}", "disk", self.disk)
            issuer.issue(self.name, common_name=machine.host_name, purpose="serverAuth", owner=OWNER)

    # Processes

    def start(self, *, wait: bool = True) -> None:
        assert not self.is_running()
        self._configure()
        with (self.folder / "log").open("ab") as log:
            command = (*self._prefix, BINARIES / "postgres", "-D", self.data)
            self._process = subprocess.Popen([*map(str, command)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if wait:
            self.wait_until_answering()

    def wait_until_answering(self, patience: float = 20) -> None:
        deadline = time.monotonic() + patience
        while not self.is_answering():
            assert self._process.poll() is None and time.monotonic() < deadline, f"{self.name}: {self.log()[-2000:]}"
            time.sleep(0.02)

    def revive(self, patience: float = 20) -> None:
        """Starts it unless it is running, and waits until it has recovered."""
        deadline = time.monotonic() + patience
        while self.sql("SELECT 1", status=None) != "1":
            assert time.monotonic() < deadline, f"{self.name}: {self.log()[-2000:]}"
            if not self.is_running():
                self.start(wait=False)
            time.sleep(0.05)

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def is_answering(self) -> bool:
        """Whether it accepts connections, or did so before it was paused."""
        if not self.is_running():
            return False
        try:
            status = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(status) == 8 and status[0] == str(self._process.pid) and status[7].strip() in ("ready", "standby")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Shuts down: SIGINT at once, SIGTERM after the last client, SIGQUIT without a checkpoint."""
        self._process.send_signal(how)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """Kills the server and all its processes with SIGKILL."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGSTOP)
        for process in self._tree():
            signal_to(process, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        self._process = None

    def pause(self) -> None:
        for process in self._tree():
            signal_to(process, signal.SIGSTOP)

    def resume(self) -> None:
        for process in self._tree():
            signal_to(process, signal.SIGCONT)

    def processes(self) -> list[int]:
        """All of them, with PgBouncer."""
        return self._tree() + ([self._pgbouncer.pid] if self.has_pgbouncer else [])

    def _tree(self) -> list[int]:
        """The server and its processes."""
        if not self.is_running():
            return []
        parents = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
        return [self._process.pid, *(child for child, parent in parents.items() if parent == self._process.pid)]

    @property
    def _prefix(self) -> tuple[str, ...]:
        return (*(self.machine.prefix if self.machine else ()), *as_postgres())

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="backslashreplace")

    def remove(self) -> None:
        """Ends all processes and deletes the data."""
        self.stop_pgbouncer()
        self.kill()
        if self.machine:
            run("umount", "--lazy", self.disk)

    # Roles of the servers

    def copy(self, template: Path) -> None:
        run("cp", "-a", template, self.data)

    def is_primary(self) -> bool:
        return self.sql("SELECT pg_is_in_recovery()") == "f"

    def received(self) -> int:
        """How much of the primary's log a standby has, in bytes."""
        newest = "greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())"
        return int(self.sql(f"SELECT pg_wal_lsn_diff({newest}, '0/0')"))

    def promote(self) -> None:
        assert self.sql("SELECT pg_promote()") == "t"

    def follow(self, primary: "Server | None") -> None:
        """Makes it a standby of the primary, at once if it is running; None ends the connection to the primary."""
        target = self._connection(primary) if primary else ""
        if self.is_answering():
            self.sql(f"ALTER SYSTEM SET primary_conninfo = '{target}'; SELECT pg_reload_conf();")
            assert target or self._stopped_receiving()
            return
        (self.data / "standby.signal").touch()
        (self.data / "postgresql.auto.conf").write_text(f"primary_conninfo = '{target}'\n")
        shutil.chown(self.data / "standby.signal", OWNER, OWNER)

    def _stopped_receiving(self, patience: float = 5) -> bool:
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if self.sql("SELECT count(*) FROM pg_stat_wal_receiver") == "0":
                return True
            time.sleep(0.02)
        return False

    def follows(self, primary: "Server", patience: float = 3) -> bool:
        """Whether the primary sends its log to this standby, or will do so soon."""
        deadline = time.monotonic() + patience
        query = f"SELECT state FROM pg_stat_replication WHERE application_name = '{self.name}'"
        while time.monotonic() < deadline:
            if primary.sql(query) == "streaming":
                return True
            time.sleep(0.05)
        return False

    def rebuild(self, primary: "Server") -> None:
        """Replaces its data with a copy of the primary's, and starts it as a standby."""
        self.kill()
        run("rm", "-rf", self.data)
        copy = (BINARIES / "pg_basebackup", "-c", "fast", "-D", self.data, "-d", self._connection(primary))
        deadline = time.monotonic() + 10
        # The way to the primary may need a moment after a cable was mended.
        while run(*self._prefix, *copy, status=None).returncode != 0:
            assert time.monotonic() < deadline, f"{self.name} cannot copy {primary.name}"
            time.sleep(0.2)
        self.follow(primary)
        self.start()

    def _connection(self, primary: "Server") -> str:
        certificate = self.authority.folder / "replicator.crt"
        if not certificate.exists():
            self.authority.issue("replicator", owner=OWNER)
        return (
            f"host={primary.machine.host_name} user=replicator sslmode=verify-full connect_timeout=2 "
            f"sslrootcert={self.authority.certificate} sslcert={certificate} sslkey={certificate.with_suffix('.key')}"
        )

    # Contents and disk

    def sql(self, sql: str, *, database: str = "twofactor", status: int | None = 0) -> str:
        """Runs SQL as the superuser, over the local socket. Returns the last answer."""
        flags = ("-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1")
        psql = ("psql", *flags, "-h", self.sockets, "-d", database, "-f", "-")
        done = run(*as_postgres(), *psql, input=sql, status=status)
        return done.stdout.strip().rpartition("\n")[2] if done.returncode == 0 else done.stderr

    def fill_disk(self) -> None:
        with (self.disk / "filler").open("ab") as file, contextlib.suppress(OSError):
            # The server uses and frees space meanwhile.
            while free := os.statvfs(self.disk).f_bavail:
                os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, max(free // 2, 1) * PAGE)

    def free_disk(self) -> None:
        (self.disk / "filler").unlink(missing_ok=True)

    # Configuration

    def _configure(self) -> None:
        settings = re.sub(r"(?m)^cluster_name = .*", f"cluster_name = '{self.name}'", self._example("server.conf"))
        listening = f"listen_addresses = '{self.machine.address if self.machine else ''}'"
        settings = re.sub(r"(?m)^listen_addresses = .*", listening, settings)
        if self.machine is None:
            settings = re.sub(r"(?m)^(ssl|synchronous_standby_names).*\n", "", settings)
        settings += f"{SMALL}unix_socket_directories = '{self.sockets}'\n"
        self._write(self.data / "postgresql.conf", settings)
        self._write(self.data / "pg_hba.conf", self._example("pg_hba.conf"))
        self._write(self.data / "pg_ident.conf", self._example("pg_ident.conf"))

    def _example(self, name: str) -> str:
        """An example file, with the paths and addresses of this rig."""
        text = (self.examples / name).read_text()
        for before, after in {
            "/etc/postgresql/twofactor/db1.": f"{self.authority.folder}/{self.name}.",
            "/etc/postgresql/twofactor/": f"{self.authority.folder}/",
            "/var/run/postgresql": str(self.sockets),
            "/var/log/postgresql": str(self.folder),
            "/etc/pgbouncer": str(self.folder),
            "192.0.2.0/24": "10.77.0.0/24",
        }.items():
            text = text.replace(before, after)
        return text

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text)
        shutil.chown(path, OWNER, OWNER)

    # PgBouncer

    def let_pgbouncer_act_for(self, hosts) -> None:
        """Writes the names of the hosts to the files that name them."""
        identities = [line for line in self._example("pg_ident.conf").splitlines() if " web0" not in line]
        identities += [f"twofactor pgbouncer {name}" for name in hosts]
        self._write(self.folder / "userlist.txt", "".join(f'"{name}" ""\n' for name in hosts))
        if self.data.exists():
            self._write(self.data / "pg_ident.conf", "\n".join(identities) + "\n")
        if self.is_answering():
            self.sql("SELECT pg_reload_conf()", database="postgres")
        if self.has_pgbouncer:
            self._pgbouncer.send_signal(signal.SIGHUP)

    @property
    def has_pgbouncer(self) -> bool:
        return self._pgbouncer is not None

    def start_pgbouncer(self, primary: "Server") -> None:
        """Starts PgBouncer for the primary; a running one changes to it."""
        if not (self.authority.folder / "pgbouncer.crt").exists():
            self.authority.issue("pgbouncer", owner=OWNER)
        self._point_pgbouncer_to(primary)
        if self.has_pgbouncer:
            return
        command = (*self._prefix, "pgbouncer", "-q", self.folder / "pgbouncer.ini")
        self._pgbouncer = subprocess.Popen([*map(str, command)], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 5
        while not (self.sockets / ".s.PGSQL.6432").exists():
            assert self._pgbouncer.poll() is None and time.monotonic() < deadline, "PgBouncer did not start"
            time.sleep(0.02)

    def _point_pgbouncer_to(self, primary: "Server") -> None:
        """Names the primary in the settings; a running PgBouncer reads them again."""
        text = self._example("pgbouncer.ini").replace("host=db1.example.org", f"host={primary.machine.host_name}")
        self._write(self.folder / "pgbouncer.ini", text)
        if self.has_pgbouncer:
            self._pgbouncer.send_signal(signal.SIGHUP)

    def stop_pgbouncer(self) -> None:
        if self.has_pgbouncer:
            self._pgbouncer.kill()
            self._pgbouncer.wait()
            self._pgbouncer = None
            for leftover in self.sockets.glob(".s.PGSQL.6432*"):
                leftover.unlink()


def signal_to(process: int, number: signal.Signals) -> None:
    try:
        os.kill(process, number)
    except ProcessLookupError:
        pass
