"""Random faults of a PostgreSQL primary, its standbys and their network, while users log in on several hosts.

Counts the codes that were accepted twice and the enrollments that were lost, and measures how long no login worked.
"""

import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from . import machine
from .fleet import Client, Fleet, User, ended, fleet, login
from .helper import Answer
from .postgresql import postgresql
from .postgresql_server import Server


@dataclass
class Outcome:
    """What happened."""

    accepted: int = 0
    refused: int = 0
    unanswered: int = 0
    enrolled: int = 0
    # A code that was accepted twice, or a user whose enrollment was lost, and when.
    violations: list[str] = field(default_factory=list)
    # Seconds from one accepted login to the next one, if more than one second, and the failure that was caused last.
    gaps: list[tuple[float, str]] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=dict)
    seconds: float = 0

    def __str__(self) -> str:
        longest: dict[str, float] = {}
        for gap, name in self.gaps:
            longest[name] = max(gap, longest.get(name, 0))
        counts = sorted(self.faults.items())
        faults = ", ".join(f"{name} {count} ({longest.get(name, 0):.0f} s)" for name, count in counts)
        gaps = [gap for gap, _ in self.gaps]
        return (
            f"{self.seconds:.0f} s: {self.accepted} logins, {self.refused} refused, {self.unanswered} unanswered, "
            f"{self.enrolled} enrollments, {len(self.violations)} violations; "
            f"{sum(gaps):.1f} s without logins, longest {max(gaps, default=0):.1f} s; "
            f"failures (longest time without logins): {faults}"
        )


class Users(threading.Thread):
    """Some users who log in one after the other. They send each code from two hosts at once, and again later."""

    def __init__(self, run: "Run", users: list[User], seed: int) -> None:
        super().__init__()
        self.run_of_faults = run
        self.users = users
        self.random = random.Random(seed)

    def run(self) -> None:
        run = self.run_of_faults
        while not run.over.is_set():
            user = self.random.choice(self.users)
            try:
                if user.used and self.random.random() < 0.3:
                    self.submit(user, hosts=1)
                user.unused_code()
                self.submit(user, hosts=2)
                if self.random.random() < 0.05:
                    run.enroll(self.users)
            except Exception as error:  # a thread's exception must fail the test
                run.violate(f"exception: {error!r}")
                raise

    def submit(self, user: User, hosts: int) -> None:
        """Sends the current code from several hosts at once."""
        run, code = self.run_of_faults, user.code
        clients = self.random.sample(run.fleet.clients, hosts)
        processes = [client.start(user.name, login(code)) for client in clients]
        stopped = None
        if self.random.random() < 0.05:
            # A host loses power, or hangs for a while.
            time.sleep(self.random.random() / 20)
            stopped = self.random.choice((signal.SIGKILL, signal.SIGSTOP))
            processes[0].send_signal(stopped)
        answers = [ended(process) for process in processes[1:]]
        if stopped == signal.SIGSTOP:
            time.sleep(self.random.uniform(0, 5))
            processes[0].send_signal(signal.SIGCONT)
        run.record(user, code, [*answers, ended(processes[0])])


class Run:
    """Users and faults for a number of seconds."""

    def __init__(self, fleet: Fleet, *, threads: int = 4, users: int = 20, seed: int | None = None) -> None:
        self.fleet = fleet
        self.database = fleet.database
        self.over = threading.Event()
        self.lock = threading.Lock()
        self.outcome = Outcome()
        self.used: dict[tuple[str, str], int] = {}
        self.enrolled: list[User] = []
        self.last = time.monotonic()
        self.last_fault = "none"
        self.seed = random.randrange(1 << 32) if seed is None else seed
        self.random = random.Random(self.seed)
        everyone = [fleet.enroll() for _ in range(users)]
        self.enrolled += everyone
        self.threads = [Users(self, everyone[start::threads], self.seed + start) for start in range(threads)]

    def record(self, user: User, code: str, answers: list[Answer]) -> None:
        """Counts the answers to one code."""
        accepted = sum(answer.status == "done" for answer in answers)
        with self.lock:
            self.outcome.accepted += accepted
            self.outcome.refused += sum(answer.status == "refused" for answer in answers)
            self.outcome.unanswered += sum(answer.status in (None, "failed") for answer in answers)
            now = time.monotonic()
            if accepted:
                if now - self.last > 1:
                    self.outcome.gaps.append((now - self.last, self.last_fault))
                self.last = now
            self.used[user.name, code] = self.used.get((user.name, code), 0) + accepted
            if self.used[user.name, code] > 1:
                self.outcome.violations.append(f"{user.name}: a code was accepted twice")
            for answer in answers:
                user.learn(answer)
                if answer.status not in ("done", "refused", "failed", None):
                    self.outcome.violations.append(f"{user.name}: {answer.status}")
                elif answer.status == "refused" and answer.checked.refusal != "reused-code":
                    self.outcome.violations.append(f"{user.name}: {answer.checked.refusal}")

    def violate(self, what: str) -> None:
        with self.lock:
            self.outcome.violations.append(what)

    def enroll(self, users: list[User]) -> None:
        """Enrolls a new user, who logs in from then on if the answer says that the enrollment is stored."""
        user = User(self.fleet.name())
        client = self.random.choice(self.fleet.clients)
        if client.ask(user.name, user.enrollment()).status == "done":
            with self.lock:
                self.enrolled.append(user)
                self.outcome.enrolled += 1
            users.append(user)

    def run(self, seconds: float, note: Callable[[str], None] = lambda _: None) -> Outcome:
        """Lets users log in and causes faults; then waits until all is well, and checks each enrollment."""
        started = self.last = time.monotonic()
        for thread in self.threads:
            thread.start()
        faults: list[Callable[[Run], None]] = []
        try:
            while time.monotonic() - started < seconds:
                # Time for logins between two faults.
                time.sleep(self.random.uniform(0.2, 1.5))
                faults = faults or self.random.sample(FAULTS, len(FAULTS))
                fault = faults.pop()
                name = fault.__name__.replace("_", " ")
                note(f"{time.monotonic() - started:6.1f} s: {name}")
                self.last_fault = name
                self.outcome.faults[name] = self.outcome.faults.get(name, 0) + 1
                fault(self)
                self.database.heal()
        finally:
            self.over.set()
            for thread in self.threads:
                thread.join()
            self.outcome.seconds = time.monotonic() - started
        self.database.heal()
        for user in self.enrolled:
            self.check_enrollment(self.fleet.clients[0], user)
        return self.outcome

    def check_enrollment(self, client: Client, user: User) -> None:
        """A used code stays used, and one of the next codes is accepted."""
        if user.used and client.check(user, user.code).status == "done":
            self.violate(f"{user.name}: a code was accepted twice, at the end")
        answers = [client.check(user) for _ in range(2)]
        # The first code may be used, without an answer then.
        if answers[1].status != "done":
            self.violate(f"{user.name}: no login at the end: {answers}")

    # For the faults

    @property
    def primary(self) -> Server:
        return self.database.primary

    def standbys(self) -> list[Server]:
        return self.database.standbys

    def lose_the_primary(self) -> None:
        self.primary.kill()
        self.database.fail_over()

    def wait(self, most: float = 2) -> None:
        time.sleep(self.random.uniform(0.1, most))


def kill_and_restart(run: Run) -> None:
    server = run.primary
    server.kill()
    run.wait()
    server.start()


def stop_and_restart(run: Run) -> None:
    server = run.primary
    server.stop(run.random.choice((signal.SIGINT, signal.SIGQUIT)))
    run.wait(0.5)
    server.start()


def kill_and_promote(run: Run) -> None:
    run.lose_the_primary()
    run.wait()


def promote_although_the_primary_lives(run: Run) -> None:
    """Promotes a standby while hosts still reach the old primary, which no standby follows any more."""
    run.database.fail_over()
    run.wait()


def partition_and_promote(run: Run) -> None:
    old = run.primary
    old.machine.cut()
    run.database.fail_over()
    run.wait()
    old.machine.mend()
    run.wait()


def isolate_all(run: Run) -> None:
    """Disconnects the servers from each other, but not from the hosts."""
    for server in run.database.servers:
        server.machine.isolate()
    run.wait(5)


def cut_the_primary(run: Run) -> None:
    server = run.primary
    server.machine.cut()
    run.wait(5)
    server.machine.mend()


def pause_the_primary(run: Run) -> None:
    server = run.primary
    server.pause()
    run.wait(4)
    server.resume()


def pause_the_standbys(run: Run) -> None:
    for server in run.standbys():
        server.pause()
    run.wait(4)


def kill_a_standby(run: Run) -> None:
    run.random.choice(run.standbys()).kill()
    run.wait()


def fill_the_disk_of_the_primary(run: Run) -> None:
    run.primary.fill_disk()
    run.wait(3)


def fill_the_disk_of_a_standby(run: Run) -> None:
    run.random.choice(run.standbys()).fill_disk()
    run.wait(3)


def cancel_everything(run: Run) -> None:
    """Cancels commits that wait for a standby, and ends connections. Then the primary is lost with them."""
    for server in run.database.servers:
        server.machine.isolate()
    for _ in range(run.random.randint(2, 8)):
        end = run.random.choice(("pg_cancel_backend", "pg_cancel_backend", "pg_terminate_backend"))
        run.primary.sql(f"SELECT {end}(pid) FROM pg_stat_activity WHERE usename LIKE 'web%'")
        time.sleep(0.2)
    run.lose_the_primary()


def lose_the_standby_names(run: Run) -> None:
    """An administrator switches synchronous replication off while no standby follows. Then the primary is lost."""
    for server in run.database.servers:
        server.machine.isolate()
    run.wait(1)
    primary = run.primary
    primary.sql("ALTER SYSTEM SET synchronous_standby_names = ''; SELECT pg_reload_conf();")
    run.wait(1)
    if run.random.random() < 0.5:
        primary.sql("ALTER SYSTEM RESET synchronous_standby_names; SELECT pg_reload_conf();")
    run.lose_the_primary()


FAULTS = [
    kill_and_restart,
    stop_and_restart,
    kill_and_promote,
    promote_although_the_primary_lives,
    partition_and_promote,
    isolate_all,
    cut_the_primary,
    pause_the_primary,
    pause_the_standbys,
    kill_a_standby,
    fill_the_disk_of_the_primary,
    fill_the_disk_of_a_standby,
    cancel_everything,
    lose_the_standby_names,
]


def main(seconds: str, seed: str | None = None) -> None:
    """Runs half of the time without PgBouncer, and half through PgBouncer."""
    machine.install()
    failed = False
    for pooled in (False, True):
        with postgresql() as database:
            if pooled:
                database.start_pgbouncers()
            with fleet(database, pooled=pooled) as hosts:
                faults = Run(hosts, seed=None if seed is None else int(seed))
                print(f"{'through' if pooled else 'without'} PgBouncer, seed {faults.seed}", flush=True)
                outcome = faults.run(int(seconds) / 2, lambda line: print(line, flush=True))
                print(outcome, *outcome.violations, sep="\n", flush=True)
                failed |= outcome.violations != []
    sys.exit(failed)


if __name__ == "__main__":
    main(*sys.argv[1:])
