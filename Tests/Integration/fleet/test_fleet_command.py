"""`twofactor fleet status`, `twofactor fleet rekey`, and doctor's checks of the servers."""

import contextlib
import json
import shlex
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rig.doctor import doctor
from rig.exit_status import DONE, IO_ERROR, NOT_CONFIGURED, NOT_PERMITTED, REFUSED, UNUSABLE, USAGE
from rig.fleet import STORE, Client, Fleet, User, fleet
from rig.machine import COMMAND
from rig.postgresql import SEALING_KEY, SETTINGS, Database, host_group, wait_until
from rig.postgresql_server import as_postgres
from rig.process import run


@pytest.fixture(scope="module")
def group(database, products) -> Iterator[Fleet]:
    with fleet(database) as hosts:
        yield hosts


def twofactor(client: Client, *words: str, status: int | None = DONE) -> subprocess.CompletedProcess[str]:
    return run(*client.prefix, COMMAND, *words, status=status)


def report(client: Client, status: int = DONE) -> dict:
    done = twofactor(client, "fleet", "status", "--json", status=status)
    assert done.stderr == ""
    return json.loads(done.stdout)


class TestStatus:
    def test_a_healthy_cluster(self, group):
        group.enroll()
        found = report(group.clients[0])
        assert list(found) == [
            *("accepts_logins", "group", "role", "replicated", "servers", "certificate_ends_at", "authority_ends_at"),
            *("rights", "unneeded_rights", "keys", "enrollments", "sealed_otherwise", "checks"),
        ]
        assert found["accepts_logins"] and found["replicated"] and found["unneeded_rights"] == []
        assert (found["group"], found["role"]) == ("web", "web01")
        assert found["rights"] == ["enrollment", "group", "login"]
        assert found["enrollments"] >= 1 and found["sealed_otherwise"] == 0
        assert [key["seals"] for key in found["keys"]] == [True]
        problems = [check for check in found["checks"] if check["status"] != "ok"]
        assert problems == []

        primary, *standbys = found["servers"]
        assert [server["primary"] for server in found["servers"]] == [True, False, False]
        for server in found["servers"]:
            assert server["error"] is None and server["tls"] == "TLSv1.3" and server["version"].startswith("1")
            assert 0 < server["query_microseconds"] < 2_000_000 and server["connect_microseconds"] > 0
            # One machine has one clock.
            assert abs(server["clock_ahead_milliseconds"]) < 200
            assert found["certificate_ends_at"] < found["authority_ends_at"] > server["certificate_ends_at"]
        assert primary["settings"]["synchronous_commit"] == "on" and primary["settings"]["fsync"] == "on"
        assert {standby["name"] for standby in primary["standbys"]} == {"db2", "db3"}
        assert all(standby["sync_state"] == "quorum" for standby in primary["standbys"])
        assert [server["standbys"] for server in standbys] == [[], []]

    def test_the_text_fits_a_terminal(self, group):
        lines = twofactor(group.clients[0], "fleet", "status").stdout.splitlines()
        assert lines[0] == "Group web, as web01, with standbys: logins are accepted."
        assert max(map(len, lines)) <= 80
        assert any(line.startswith("db2") and "quorum" in line for line in lines)
        assert any(line.startswith("Sealing keys:") and line.endswith(" seals") for line in lines)

    def test_names_of_pgbouncer_that_reach_one_server_are_one_primary(self, group, database):
        database.start_pgbouncers()
        host = group.clients[0].host
        client = Client(host, database.settings(host, pooled=True))
        try:
            found = report(client)
            assert [server["primary"] for server in found["servers"]] == [True, True, True]
            assert all(server["server"].endswith(":6432") for server in found["servers"])
            assert [check for check in found["checks"] if check["status"] != "ok"] == []
            assert found["enrollments"] == report(group.clients[0])["enrollments"]
        finally:
            client.close()

    def test_only_root_asks_the_servers(self, group, user):
        for words in (("status",), ("rekey",), ("rekey", "--add-key")):
            done = run(COMMAND, "fleet", *words, user=user, status=NOT_PERMITTED)
            assert done.stderr.startswith("twofactor: only root may ask the servers\nhint: ")
        run(COMMAND, "fleet", "rekey", "--add-key", "--drop-old-keys", status=USAGE)

    def test_without_a_primary_logins_are_refused(self, group, database):
        primary, _, other = database.servers
        primary.pause()
        other.stop()
        try:
            started = time.monotonic()
            found = report(group.clients[0], NOT_CONFIGURED)
            assert time.monotonic() - started < 9
            assert not found["accepts_logins"] and found["enrollments"] is None
            hanging, standby, stopped = found["servers"]
            assert "refused" in stopped["error"] and standby["primary"] is False
            assert "timeout" in hanging["error"] or "no answer" in hanging["error"]
            (failure,) = [check for check in found["checks"] if check["status"] == "failed"]
            assert failure["name"] == "postgresql_servers"
            assert failure["detail"].startswith("no server is a primary: logins with a code are refused")
            done = twofactor(group.clients[0], "fleet", "rekey", "--drop-old-keys", status=IO_ERROR)
            assert "primary" in done.stderr
        finally:
            other.start()
            primary.resume()
            database.wait_until_synchronous()
        assert report(group.clients[0])["accepts_logins"]


class KeyFile:
    """The sealing keys of one host."""

    def __init__(self, client: Client) -> None:
        self.path = SEALING_KEY.with_name(f"keys-of-{client.host.name}")
        self.client = client
        shutil.copy(SEALING_KEY, self.path)
        shutil.chown(self.path, "root", host_group())
        self.path.chmod(0o640)
        self.before = client.settings.read_text()
        client.write(f"{self.before}sealing_key = {self.path}\n")

    def lines(self) -> list[str]:
        return self.path.read_text().splitlines()

    def copy(self, other: "KeyFile") -> None:
        self.path.write_bytes(other.path.read_bytes())

    def remove(self) -> None:
        self.client.write(self.before)
        self.path.unlink()


def rekey(client: Client, *words: str, status: int | None = DONE) -> subprocess.CompletedProcess[str]:
    done = twofactor(client, "fleet", "rekey", *words, status=status)
    for path in Path("/etc/security").glob("*key*"):
        for line in path.read_text().split():
            assert line.lstrip("+") not in done.stdout + done.stderr, "a key is shown"
    return done


class Logins(threading.Thread):
    """Logs users in on all hosts, until it is told to stop. `refused` has the answers that are not as expected."""

    def __init__(self, group: Fleet, users: list[User]) -> None:
        super().__init__()
        self.group, self.users = group, users
        self.stopping = threading.Event()
        self.done, self.wrong = 0, []
        self.start()

    def run(self) -> None:
        while not self.stopping.is_set():
            for number, user in enumerate(self.users):
                answer = self.group.clients[number % 2].check(user)
                if answer.status == "done":
                    self.done += 1
                else:
                    self.wrong.append((user.name, answer.status, answer.text))

    def stop(self) -> None:
        self.stopping.set()
        self.join()


def keys_in_use(database: Database) -> set[str]:
    rows = "SELECT coalesce(string_agg(DISTINCT sealing_key, ' '), '') FROM twofactor.enrollment"
    return set(database.admin(rows).split())


@contextlib.contextmanager
def last_row_locked(database: Database) -> Iterator[None]:
    """Locks the enrollment that is sealed last."""
    last = "(SELECT max(user_name) FROM twofactor.enrollment)"
    psql = ("psql", "-X", "-q", "-A", "-t", "-h", database.primary.sockets, "-d", "twofactor")
    with subprocess.Popen((*as_postgres(), *psql), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as session:
        session.stdin.write(
            "SET idle_in_transaction_session_timeout = 0; BEGIN;"
            f"SELECT user_name FROM twofactor.enrollment WHERE user_name = {last} FOR UPDATE;\n"
        )
        session.stdin.flush()
        assert session.stdout.readline()
        yield
        session.stdin.close()


class TestRekey:
    @pytest.fixture
    def files(self, group) -> Iterator[list[KeyFile]]:
        files = [KeyFile(client) for client in group.clients]
        yield files
        # The next test starts with the keys of this one.
        shutil.copy(files[0].path, SEALING_KEY)
        for file in files:
            file.remove()

    @pytest.fixture
    def users(self, group) -> list[User]:
        return [group.enroll() for _ in range(8)]

    def test_logins_go_on(self, group, database, files, users):
        (first, second), (mine, others) = group.clients, files
        (old,) = keys_in_use(database)
        logins = Logins(group, users)
        try:
            done = rekey(first, "--add-key")
            assert "Copy the file to all other hosts of the group web." in done.stdout
            assert len(mine.lines()) == 2 and mine.lines()[1].startswith("+")
            assert (mine.path.stat().st_mode & 0o7777, mine.path.group()) == (0o640, host_group())
            assert rekey(first, "--add-key", status=REFUSED).stderr.startswith(f"twofactor: {mine.path} has a new key")
            assert rekey(first, "--drop-old-keys", status=REFUSED).stderr.endswith("twofactor fleet rekey\n")
            assert keys_in_use(database) == {old}
            others.copy(mine)

            answer = json.loads(rekey(first, "--json").stdout)
            assert answer["resealed"] == answer["enrollments"] >= 8
            assert [key["seals"] for key in answer["keys"]] == [True, False]
            new = answer["keys"][0]["id"]
            assert keys_in_use(database) == {new} and "+" not in mine.path.read_text()

            # The other host still seals with the old key, so the old key is still needed.
            late = enroll_on(second, group)
            assert keys_in_use(database) == {old, new}
            assert report(first)["sealed_otherwise"] == 1
            assert "are still sealed" in rekey(first, "--drop-old-keys", status=REFUSED).stderr
            others.copy(mine)
            assert json.loads(rekey(first, "--json").stdout)["resealed"] == 1

            rekey(first, "--drop-old-keys")
            assert len(mine.lines()) == 1
            others.copy(mine)
            rekey(first, "--drop-old-keys")
            assert first.check(late).status == "done"
        finally:
            logins.stop()
        assert logins.wrong == [] and logins.done >= len(users)
        assert keys_in_use(database) == {new}
        for user in users:
            # The last code is used, whichever host asks.
            assert {client.check(user, user.code).checked.refusal for client in group.clients} == {"reused-code"}
            assert second.check(user).status == "done"

    def test_a_killed_rekey_is_completed(self, group, database, files, users):
        first, mine = group.clients[0], files[0]
        # More rows than one transaction seals.
        users += [group.enroll() for _ in range(26)]
        rekey(first, "--add-key")
        files[1].copy(mine)
        (old,) = keys_in_use(database)
        with last_row_locked(database):
            process = subprocess.Popen((*first.prefix, COMMAND, "fleet", "rekey"), stdout=subprocess.DEVNULL)
            wait_until(lambda: len(keys_in_use(database)) > 1, "enrollment with the new key")
            process.kill()
            assert process.wait() == -9, "the command ended before it was killed"
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            wait_until(lambda: database.admin(waiting) == "0", "end of the program that the command started")
        # Either host completes it, in any order.
        answer = json.loads(rekey(group.clients[1], "--json").stdout)
        assert 0 < answer["resealed"] < answer["enrollments"]
        assert keys_in_use(database) == {answer["keys"][0]["id"]} and old not in keys_in_use(database)
        assert json.loads(rekey(first, "--json").stdout)["resealed"] == 0
        assert mine.lines() == files[1].lines()
        for number, user in enumerate(users[::3]):
            assert group.clients[number % 2].check(user).status == "done"

    def test_a_host_without_the_key_refuses_clearly(self, group, database, files, users):
        first, second = group.clients
        rekey(first, "--add-key")
        rekey(first)
        (new,) = keys_in_use(database)
        answer = second.check(users[0], "12345678")
        assert (answer.status, answer.reason) == ("failed", "configuration")
        assert f"sealed with a key that this host does not have (ID {new})" in answer.text
        found = report(second, NOT_CONFIGURED)
        (failure,) = [check for check in found["checks"] if check["status"] == "failed"]
        assert failure["name"] == "postgresql_keys" and new in failure["detail"]
        done = rekey(second, status=UNUSABLE)
        assert "are sealed with keys that this host does not have" in done.stderr
        files[1].path.unlink()
        assert f"copy {files[1].path} from another host" in rekey(second, "--add-key", status=REFUSED).stderr
        assert not files[1].path.exists()
        files[1].copy(files[0])
        shutil.chown(files[1].path, "root", host_group())
        files[1].path.chmod(0o640)
        assert second.check(users[0]).status == "done"

    def test_the_first_key_is_created(self, database, files, group):
        mail = database.hosts.get("mail01") or database.add_host("mail01", "mail")
        client = Client(mail, database.settings(mail) + "sealing_key = /etc/security/mail.key\n")
        path = Path("/etc/security/mail.key")
        try:
            assert "twofactor fleet rekey --add-key" in twofactor(client, "fleet", "rekey", status=None).stderr
            answer = json.loads(rekey(client, "--add-key", "--json").stdout)
            assert [(key["seals"], key["waiting"]) for key in answer["keys"]] == [(True, False)]
            assert len(path.read_text()) == 65 and path.group() == host_group()
            path.write_text("abc\n")
            assert rekey(client, "--add-key", status=UNUSABLE).stderr.startswith(f"twofactor: {path}, line 1: is not")
        finally:
            client.close()
            path.unlink(missing_ok=True)


def enroll_on(client: Client, group: Fleet) -> User:
    user = User(group.name())
    assert client.ask(user.name, user.enrollment()).status == "done"
    return user


class TestDoctor:
    @pytest.fixture(autouse=True)
    def selected(self, group, host_configuration, database) -> Iterator[None]:
        host_configuration("store = postgresql")
        database.configure(database.hosts["web01"])
        yield
        database.configure(database.hosts["web01"])

    @staticmethod
    def findings(status: int | None = None) -> list[dict]:
        """The checks of the store that are not ok."""
        checks = doctor(None, "--user", "root")[1]
        return [check for check in checks if check["name"].startswith("postgresql") and check["status"] != "ok"]

    def test_a_healthy_cluster(self, group):
        assert self.findings() == []

    SERVER = {
        "fsync": ("ALTER SYSTEM SET fsync = off", "postgresql_durability failed"),
        "commit": ("ALTER SYSTEM SET synchronous_commit = off", "postgresql_durability failed"),
        "commit of the role": ("ALTER ROLE web01 SET synchronous_commit = local", "postgresql_durability failed"),
        "pages": ("ALTER SYSTEM SET full_page_writes = off", "postgresql_durability warning"),
        "group": ("REVOKE web FROM web01", "postgresql_rights failed"),
        "superuser": ("ALTER ROLE web01 CREATEDB", "postgresql_rights warning"),
        "other group": ("GRANT pg_read_all_data TO web01", "postgresql_rights warning"),
        "through the group": ("GRANT pg_monitor TO web", "postgresql_rights warning"),
        "log": ("ALTER SYSTEM SET log_statement = mod", "postgresql_log warning"),
        "duration": ("ALTER SYSTEM SET log_min_duration_statement = 0", "postgresql_log warning"),
    }

    @pytest.mark.parametrize("what", SERVER)
    def test_the_remedy_corrects_the_server(self, database, what):
        wrong, expected = self.SERVER[what]
        self.execute(database, wrong)
        (finding,) = self.findings()
        assert f"{finding['name']} {finding['status']}" == expected
        place, command = finding["remedy"].splitlines()
        assert place == f"on {database.servers[0].machine.host_name}:"
        words = shlex.split(command)
        assert words[:4] == ["sudo", "-u", "postgres", "psql"]
        for flag, statement in zip(words[4::2], words[5::2], strict=True):
            assert flag == "-c"
            self.execute(database, statement)
        assert self.findings() == []

    @staticmethod
    def execute(database: Database, statement: str) -> None:
        database.admin(statement)
        if statement.startswith("ALTER SYSTEM"):
            database.admin("SELECT pg_reload_conf()")
            # The server reads its settings a moment later.
            time.sleep(0.1)

    def test_an_empty_list_of_standbys(self, database, group):
        self.execute(database, "ALTER SYSTEM SET synchronous_standby_names = ''")
        try:
            (finding,) = self.findings()
            assert (finding["name"], finding["status"]) == ("postgresql_durability", "failed")
            assert "synchronous_standby_names is empty" in finding["detail"]
        finally:
            self.execute(database, "ALTER SYSTEM RESET synchronous_standby_names")

    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [
            ("replicated = yes", "replicated = no", "postgresql_durability warning"),
            ("sslmode=verify-full", "sslmode=require", "postgresql failed"),
            ("host=HOSTS", "host=FIRST", "postgresql_servers warning"),
        ],
    )
    def test_settings_of_the_host(self, database, old, new, expected):
        names = [server.machine.host_name for server in database.servers]
        text = SETTINGS.read_text().replace(",".join(names), "HOSTS")
        assert old in text
        SETTINGS.write_text(text.replace(old, new).replace("HOSTS", ",".join(names)).replace("FIRST", names[0]))
        (finding,) = self.findings()
        assert f"{finding['name']} {finding['status']}" == expected

    @pytest.mark.parametrize("path", [SETTINGS, SEALING_KEY])
    def test_the_remedy_corrects_the_mode(self, path):
        path.chmod(0o644)
        (finding,) = self.findings()
        assert (finding["name"], finding["status"]) == ("postgresql", "failed")
        assert f"{path} is readable by every user" in finding["detail"]
        run("sh", "-ec", finding["remedy"])
        assert self.findings() == []

    def test_changed_row_security(self, database):
        database.admin("CREATE POLICY other ON twofactor.enrollment AS RESTRICTIVE USING (user_name > 'm')")
        try:
            (finding,) = self.findings()
            assert (finding["name"], finding["status"]) == ("postgresql_rights", "failed")
            assert "row security" in finding["detail"]
        finally:
            database.admin("DROP POLICY other ON twofactor.enrollment")

    def test_enrollments_are_examined(self, database, new_user):
        enrolled, other = new_user(), new_user()
        enrolled.enroll(backup_codes=2)

        def checks(name: str) -> list[tuple[str, str]]:
            found = doctor(None, "--user", name)[1]
            return [(check["status"], check["detail"]) for check in found if check["name"] in self.OF_USERS]

        few = ("warning", f"{enrolled.name} has 2 backup codes left")
        assert checks(enrolled.name) == [("ok", "1 of 1 accounts that may log in are enrolled"), few]
        assert checks(other.name)[0] == ("ok", "0 of 1 accounts that may log in are enrolled")
        own = doctor(None, user=enrolled)[1]
        assert few in [(check["status"], check["detail"]) for check in own]
        row = f"WHERE user_name = '{enrolled.name}'"
        database.admin(f"UPDATE twofactor.enrollment SET credential = set_byte(credential, 20, 1) {row}")
        database.admin(f"UPDATE twofactor.enrollment SET credential = set_byte(credential, 21, 1) {row}")
        unusable = f"{enrolled.name} cannot log in: its row in the database cannot be opened"
        assert ("failed", unusable) in checks(enrolled.name)
        database.admin(f"DELETE FROM twofactor.enrollment {row}")

    OF_USERS = ("enrollments", "enrollment", "backup_codes", "throttling")

    def test_an_expired_certificate(self, database):
        database.configure(database.hosts.get("web09") or database.add_host("web09", "web", ended=True))
        found = {check["name"]: check for check in self.findings()}
        assert set(found) == {"postgresql_certificates", "postgresql_servers"}
        assert found["postgresql_certificates"]["detail"].startswith("the certificate of this host expired on ")

    def test_a_missing_program(self):
        away = STORE.rename(STORE.with_name("away"))
        try:
            (finding,) = self.findings()
            assert finding["detail"].startswith("twofactor-store-postgresql is not installed: logins with a code are")
        finally:
            away.rename(STORE)

    def test_a_user_learns_what_was_not_checked(self, user):
        checks = [check for check in doctor(None, user=user)[1] if check["name"].startswith("postgresql")]
        assert ("postgresql_servers", "skipped") in [(check["name"], check["status"]) for check in checks]
        assert all(check["status"] in ("ok", "skipped") for check in checks)
