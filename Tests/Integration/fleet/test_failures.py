"""What happens to logins, used codes and enrollments when a part of the database fails.

After each failure: a used code is not accepted again on any host, no enrollment is lost, and users log in.
"""

import contextlib
import resource
import subprocess
import time
from collections.abc import Iterator

import pytest
from rig.fleet import Client, Fleet, User, ended, fleet, login
from rig.fleet_faults import Run
from rig.helper import STATUS, Answer
from rig.postgresql import Database, wait_until
from rig.postgresql_server import Server

# The program gives up after ten seconds in all; this machine may be busy.
PATIENCE = 12


@pytest.fixture(scope="module")
def group(database, products) -> Iterator[Fleet]:
    with fleet(database) as hosts:
        yield hosts


@pytest.fixture
def user(group) -> User:
    """A user who has logged in."""
    found = group.enroll()
    assert group.clients[0].check(found).status == "done"
    return found


@pytest.fixture(autouse=True)
def healed(database, group, user, bystander) -> Iterator[None]:
    """Heals the servers after each test, and checks the users."""
    yield
    database.heal()
    for found in (user, bystander):
        group.wait_until_accepted(found)
        for client in group.clients:
            assert refusal(client.check(found, found.code)) == "reused-code"


@pytest.fixture
def bystander(group) -> User:
    """Another enrolled user, who does not log in during the failure."""
    return group.enroll()


def refusal(answer: Answer) -> str:
    """Why a code was refused; the status of the answer if it says nothing about the code."""
    return answer.checked.refusal if answer.status == "refused" else str(answer.status)


def assert_no_answer(group: Fleet, user: User, most: float = PATIENCE) -> Answer:
    """A login is refused in time, because the database does not answer."""
    started = time.monotonic()
    answer = group.clients[0].check(user)
    assert answer.status in ("failed", None), answer
    assert time.monotonic() - started < most
    return answer


def assert_still_used(group: Fleet, user: User) -> None:
    for client in group.clients:
        assert refusal(client.check(user, user.code)) == "reused-code"


@contextlib.contextmanager
def only(client: Client, database: Database, server: Server) -> Iterator[None]:
    """A host that can reach only this server."""
    before = client.settings.read_text()
    client.write(database.settings(client.host, servers=[server]))
    try:
        yield
    finally:
        client.write(before)


def accepted_at_once(group: Fleet, user: User, count: int = 20) -> int:
    """Sends an unused code from `count` logins on all hosts at once. Returns how often it was accepted."""
    request = login(user.unused_code())
    clients = [group.clients[number % len(group.clients)] for number in range(count)]
    processes = [client.start(user.name, request) for client in clients]
    answers = [ended(process) for process in processes]
    # On a busy machine, some time out waiting for the lock of the row.
    assert {answer.status for answer in answers} <= {"done", "refused", "failed"}
    user.used = True
    return sum(answer.status == "done" for answer in answers)


def test_a_code_is_good_once_on_all_hosts(group, user):
    counts = [accepted_at_once(group, user) for _ in range(3)]
    assert max(counts) == 1 and sum(counts) >= 2


def test_a_killed_primary_keeps_used_codes(database, group, user):
    database.primary.kill()
    assert_no_answer(group, user)
    database.primary.start()
    # The code was not sent, so it is good.
    assert group.clients[1].check(user).status == "done"
    assert_still_used(group, user)


def test_the_primary_is_killed_while_users_log_in(database, group, user):
    for delay in (0.005, 0.01, 0.02, 0.04):
        process = group.clients[0].start(user.name, login(user.unused_code()))
        time.sleep(delay)
        database.primary.kill()
        first = user.learn(ended(process))
        database.primary.start()
        second = user.learn(group.clients[1].check(user, user.code))
        assert [first.status, second.status].count("done") <= 1
        assert first.status in ("done", "failed") and second.status in ("done", "refused")
        assert user.used


def test_a_promoted_standby_knows_used_codes(database, group, user):
    for _ in range(2):
        database.primary.kill()
        database.fail_over()
        assert_still_used(group, user)
        assert group.clients[0].check(user).status == "done"
        database.heal()


def test_a_primary_that_was_replaced_accepts_nothing(database, group, user):
    """One host still reaches the old primary, and the other host reaches the new one."""
    behind, ahead = group.clients
    newcomer = User(group.name())
    old, new = database.primary, database.fail_over()
    with only(behind, database, old), only(ahead, database, new):
        assert ahead.check(user).status == "done"
        assert ahead.ask(newcomer.name, newcomer.enrollment()).status == "done"
        # The old primary knows neither the used code nor the new user.
        asked = [behind.start(user.name, login(user.code)), behind.start(newcomer.name, STATUS)]
        assert [ended(process).status for process in asked] == ["failed", "failed"]
    database.heal()
    assert_still_used(group, user)
    assert group.clients[0].check(newcomer).status == "done"


def test_servers_that_do_not_reach_each_other(database, group, user):
    for server in database.servers:
        server.machine.isolate()
    request = login(user.unused_code())
    processes = [client.start(user.name, request) for client in group.clients]
    assert [ended(process).status for process in processes] == ["failed", "failed"]


def test_a_primary_without_a_network(database, group, user):
    database.primary.machine.cut()
    assert_no_answer(group, user)
    database.fail_over()
    assert group.clients[1].check(user).status == "done"
    assert_still_used(group, user)


def test_a_lost_standby_does_not_stop_logins(database, group, user):
    for standby in database.standbys:
        standby.kill()
        assert group.clients[0].check(user).status == "done"
        database.heal()


def test_a_login_waits_until_a_standby_is_back(database, group, user):
    for standby in database.standbys:
        standby.pause()
    process = group.clients[0].start(user.name, login(user.unused_code()))
    time.sleep(1)
    assert process.poll() is None
    database.standbys[0].resume()
    assert user.learn(ended(process)).status == "done"


def test_a_full_disk_of_the_primary(database, group, user):
    database.primary.fill_disk()
    # Use up the space that PostgreSQL has reserved for its log.
    write = "SELECT pg_logical_emit_message(false, '', repeat('x', 4000000))"
    wait_until(lambda: not database.primary.sql(write, status=None).startswith("0/"), "lack of space")
    assert_no_answer(group, user)


def test_a_full_disk_of_a_standby_does_not_stop_logins(database, group, user):
    database.standbys[0].fill_disk()
    for _ in range(10):
        assert group.clients[0].check(user).status == "done"


def test_an_expired_certificate_stops_one_host(database, group, user):
    client, before = group.clients[0], group.clients[0].settings.read_text()
    expired = database.authority.issue("web01-expired", common_name="web01", ended=True, group="_twofactor", mode=0o640)
    client.write(before.replace(str(client.host.certificate), str(expired)).replace(
        str(client.host.key), str(expired.with_suffix(".key"))
    ))
    try:
        assert "expired" in client.check(user).text
    finally:
        client.write(before)
    assert group.clients[1].check(user).status == "done"


@pytest.mark.parametrize("how", ["pg_cancel_backend", "pg_terminate_backend"])
def test_a_commit_whose_wait_is_canceled_is_refused(database, group, user, how):
    """PostgreSQL then reports success with a warning, and the change may be lost with the primary."""
    for server in database.servers:
        server.machine.isolate()
    process = group.clients[0].start(user.name, login(user.unused_code()))
    # The change is in the log of the primary alone.
    waiting = "FROM pg_stat_activity WHERE usename = 'web01' AND wait_event = 'SyncRep'"
    wait_until(lambda: database.admin(f"SELECT count(*) {waiting}") == "1", "commit that waits for a standby")
    database.admin(f"SELECT {how}(pid) {waiting}")
    assert user.learn(ended(process)).status in ("failed", None)
    # Now the standby, which does not know the code, becomes the primary.
    database.primary.kill()
    database.fail_over()
    database.heal()
    assert group.clients[0].check(user).status == "done"
    assert_still_used(group, user)


def test_a_restart_under_twenty_clients(database, group):
    users = [group.enroll() for _ in range(20)]
    processes: list[tuple[User, subprocess.Popen]] = []
    accepted = dict.fromkeys((user.name for user in users), 0)
    for number, user in enumerate(users):
        client = group.clients[number % 2]
        processes.append((user, client.start(user.name, login(user.unused_code()))))
        if number == 10:
            database.primary.stop()
            database.primary.start()
    for user, process in processes:
        accepted[user.name] += user.learn(ended(process)).status == "done"
    for user in users:
        again = user.learn(group.clients[0].check(user, user.code))
        accepted[user.name] += again.status == "done"
        assert accepted[user.name] <= 1 and user.used


def test_a_host_that_stops_with_the_row_locked(database, group, user):
    """Other hosts wait only as long as the server lets a transaction be idle."""
    lock = f"SELECT user_name FROM twofactor.enrollment WHERE user_name = '{user.name}' FOR UPDATE"
    holder = database.hosts["web01"]
    sleeping = f"BEGIN; SET LOCAL idle_in_transaction_session_timeout = '3s'; {lock};\n\\! sleep 30\n"
    command = ("psql", "-X", "-q", "-d", database.connection(holder), "-f", "-")
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    process.stdin.write(sleeping.encode())
    process.stdin.close()
    try:
        process.stdout.readline()
        assert group.wait_until_accepted(user) < PATIENCE
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("change", "back"),
    [
        ("REVOKE web FROM web01", "GRANT web TO web01"),
        ("ALTER ROLE web RENAME TO other", "ALTER ROLE other RENAME TO web"),
    ],
)
def test_a_host_that_left_its_group_takes_no_user_for_not_enrolled(database, group, user, change, back):
    database.admin(change)
    try:
        assert group.clients[0].check(user).status == "failed"
        assert group.clients[0].status(group.name()).status == "failed"
    finally:
        database.admin(back)


UNSAFE = {
    "synchronous_commit": "ALTER ROLE web01 {} synchronous_commit{}|off",
    "synchronous_commit of the database": "ALTER DATABASE twofactor {} synchronous_commit{}|local",
    "fsync": "ALTER SYSTEM {} fsync{}|off",
    "synchronous_standby_names": "ALTER SYSTEM {} synchronous_standby_names{}|",
}


@pytest.mark.parametrize("setting", UNSAFE)
def test_settings_that_could_bring_used_codes_back_are_refused(database, group, user, setting):
    command, _, value = UNSAFE[setting].partition("|")
    reload = "; SELECT pg_reload_conf();"
    database.admin(command.format("SET", f" = '{value}'") + reload)
    try:
        refused = group.clients[0].check(user)
        assert refused.status == "failed" and setting.partition(" ")[0] in refused.text
        assert group.clients[0].status(group.name()).status == "failed"
    finally:
        database.admin(command.format("RESET", "") + reload)


def test_a_standby_is_refused(database, group, user):
    client = group.clients[0]
    with only(client, database, database.standbys[0]):
        assert client.check(user, user.code).status == "failed"
        before = client.settings.read_text()
        client.write(before.replace("target_session_attrs=read-write", "target_session_attrs=any"))
        assert client.check(user, user.code).status == "failed"
        assert client.status(group.name()).status == "failed"


def test_a_failover_with_pgbouncer(database, group):
    database.start_pgbouncers()
    with fleet(database, pooled=True) as pooled:
        user = pooled.enroll()
        assert max(accepted_at_once(pooled, user) for _ in range(2)) == 1
        database.primary.stop()
        assert_no_answer(pooled, user)
        database.primary.start()
        pooled.wait_until_accepted(user)
        database.primary.kill()
        database.fail_over()
        pooled.wait_until_accepted(user)
        assert_still_used(pooled, user)


def test_a_login_costs_at_most_forty_milliseconds_of_processor_time(group, user, figure):
    costs = []
    for _ in range(20):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert group.clients[0].check(user).status == "done"
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        costs.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    middle = 1000 * sorted(costs)[10]
    figure(f"processor time of the store program at a login: {middle:.1f} ms")
    assert middle < 40


@pytest.mark.seconds(180)
def test_random_faults(database, group, figure):
    """scripts/fleet-faults runs this for a longer time."""
    outcome = Run(group).run(20)
    figure(f"random faults: {outcome}")
    assert outcome.violations == [] and outcome.accepted > 20
