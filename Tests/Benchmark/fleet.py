"""Measures logins with a store on PostgreSQL inside scripts/sandbox. Run `scripts/benchmark fleet` instead.

Usage: fleet.py [--quick]
"""

import argparse
import os
import platform
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent / "Integration")]

from bench import programs  # noqa: E402
from rig import machine  # noqa: E402
from rig.fleet import Fleet, User, fleet  # noqa: E402
from rig.postgresql import Database, postgresql  # noqa: E402

SCRATCH = Path("/tmp/benchmark")
HOSTS = 4


def say(what: str) -> None:
    print(f"benchmark: {what}", file=sys.stderr)


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def processor_time(database: Database) -> float:
    """The seconds that the processes of all servers have used, also those that ended."""
    ticks = 0
    for process in (number for server in database.servers for number in server.processes()):
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Login:
    """The times are in seconds: of the login, of its processors, and from the first login to this one's start."""

    user: User
    counter: int
    accepted: bool
    elapsed: float
    processor: float
    start: float


class Load:
    """One login program on each host."""

    def __init__(self, group: Fleet, program: Path, services: Path, users: list[User]) -> None:
        self.group, self.users = group, users
        self.command = (program, services, "fleet")

    def run(self, rate: float, seconds: float) -> list[Login]:
        """Logs users in, each after all the others, at the rate of all hosts together."""
        orders: list[list[tuple[User, int]]] = [[] for _ in self.group.clients]
        for number in range(int(rate * seconds)):
            ahead, place = divmod(number, len(self.users))
            user = self.users[place]
            orders[number % len(orders)].append((user, user.counter + ahead))
        found: list[Login] = []

        def drive(number: int) -> None:
            command = [*self.group.clients[number].prefix, *map(str, self.command), str(rate / len(orders))]
            codes = [f"{user.name} {user.authenticator.code_for_counter(count)}\n" for user, count in orders[number]]
            done = subprocess.run(command, input="".join(codes), stdout=subprocess.PIPE, text=True, check=True)
            for line in done.stdout.splitlines():
                order, status, *times = map(int, line.split())
                found.append(Login(*orders[number][order], status == 0, *(time / 1e9 for time in times)))

        threads = [threading.Thread(target=drive, args=[number]) for number in range(len(orders))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for login in found:
            # A code that is far ahead of the last accepted one would be refused in the next run.
            if login.accepted:
                login.user.counter = max(login.user.counter, login.counter + 1)
        return found


def measure(database: Database, load: Load, rate: float, seconds: float) -> str:
    """One line of the table."""
    before = processor_time(database)
    logins = load.run(rate, seconds)
    servers = processor_time(database) - before
    times = [1000 * login.elapsed for login in logins]
    accepted = sum(login.accepted for login in logins)
    reached = accepted / max(login.start + login.elapsed for login in logins)
    cells = [f"{rate:.0f}", f"{reached:.0f}", str(len(logins) - accepted)]
    cells += [f"{percentile(times, share):.0f}" for share in (0.5, 0.9, 0.99)]
    processor = [1000 * login.processor for login in logins]
    cells += [f"{max(times):.0f}", f"{percentile(processor, 0.5):.1f}", f"{1000 * servers / len(logins):.1f}"]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    assert machine.is_sandbox(), "run this inside scripts/sandbox"
    count, seconds = (200, 5) if options.quick else (1000, 20)
    rates = (10, 20, 40, 60, 100, 200)

    machine.install()
    services = SCRATCH / "pam.d"
    services.mkdir(parents=True)
    (services / "fleet").write_text("auth required pam_twofactor.so store=postgresql\n")
    (services / "other").write_text("auth required pam_deny.so\n")
    program = SCRATCH / "fleet_load"
    programs.build(program, "fleet_load.c", "-lpam")

    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} processors, Linux {platform.release()}, load {load:.1f} before. {count} users, {HOSTS}")
    print("hosts, a primary and two synchronous standbys on this machine, their data in memory.")
    with postgresql() as database:
        with fleet(database, hosts=HOSTS) as group:
            say(f"enrolling {count} users")
            users = [group.enroll() for _ in range(count)]
        for pooled in (False, True):
            if pooled:
                database.start_pgbouncers()
            print(f"\n{'Through PgBouncer' if pooled else 'Without PgBouncer'}; times in ms:\n")
            print("| offered/s | reached/s | refused | median | 90 % | 99 % | longest | processor, host | servers |")
            print("|---|---|---|---|---|---|---|---|---|")
            with fleet(database, hosts=HOSTS, pooled=pooled) as group:
                logins = Load(group, program, services, users)
                for rate in rates:
                    say(f"{rate} logins a second")
                    print(measure(database, logins, rate, seconds), flush=True)


if __name__ == "__main__":
    main()
