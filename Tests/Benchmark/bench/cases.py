"""The benchmark cases: each logs all contenders in, in turn, and returns plain data."""

import os
import random
import statistics
import subprocess
import time
from pathlib import Path

from rig.machine import COMMAND

from . import counts
from .contenders import Contender, clone, make_account
from .programs import Host

SUCCESS = 0

# The two compared runs: both enroll, and neither hashes.
ENABLE = "twofactor enable, no backup codes"
GOOGLE = "google-authenticator, no scratch codes"


def summary(values: list[float]) -> dict:
    """Median and spread, in the unit of the values."""
    ordered = sorted(values)
    quarter = len(ordered) // 4
    return {
        "median": round(statistics.median(ordered), 1),
        "first_quartile": round(ordered[quarter], 1),
        "third_quartile": round(ordered[-1 - quarter], 1),
        "count": len(ordered),
    }


def logins(host: Host, how: str, everyone: list[Contender], kind: str, rounds: int) -> dict:
    """All contenders in turn, `rounds` times; their files are restored before each login."""
    found: dict = {contender.name: [] for contender in everyone}
    everyone = list(everyone)
    order = random.Random(1)
    for number in range(rounds + 1):
        # Random order: none always follows the fastest one, or the one that leaves the caches cold.
        order.shuffle(everyone)
        for contender in everyone:
            contender.reset()
            answer = contender.right() if kind == "right" else contender.wrong()
            login = host.log_in(how, contender.service, contender.user, answer)
            expected = kind == "right" or not contender.answer_counts
            if (login.status == SUCCESS) != expected:
                raise RuntimeError(f"{contender.name}: a {kind} code ended with {login.status}")
            if number:  # the first round finds everything cold
                found[contender.name].append(login)
    return {
        name: {
            "elapsed": summary([each.elapsed for each in those]),
            "processor": summary([each.processor for each in those]),
        }
        for name, those in found.items()
    }


def memory(program: Path, services: Path, everyone: list[Contender]) -> dict:
    """How many KiB a host that was forked for the login has grown by at the end of pam_authenticate.

    Each sample uses a new host process: address randomization places its libraries anew, which decides how many pages
    the kernel maps around a touched one.
    """
    found: dict = {contender.name: [] for contender in everyone}
    for _ in range(60):
        for contender in everyone:
            contender.reset()
            with Host(program, services) as host:
                found[contender.name].append(host.weigh(contender.service, contender.user, contender.right())[1])
    return {name: summary(grown) for name, grown in found.items()}


def growth(host: Host, crowds: dict[int, list[Contender]], rounds: int) -> dict:
    """The time of a login against the number of enrolled users."""
    found: dict = {contender.name: {count: [] for count in crowds} for contender in next(iter(crowds.values()))}
    everyone = [(count, contender) for count, crowd in crowds.items() for contender in crowd]
    # A contender that reads a large file leaves the caches cold; each follows it equally often.
    order = random.Random(1)
    for number in range(rounds + 1):
        order.shuffle(everyone)
        for count, contender in everyone:
            contender.reset()
            login = host.log_in("fork", contender.service, contender.user, contender.right())
            if login.status != SUCCESS:
                raise RuntimeError(f"{contender.name}, {count} users: a right code ended with {login.status}")
            if number:
                found[contender.name][count].append(login.elapsed)
    return {name: {count: summary(values) for count, values in steps.items()} for name, steps in found.items()}


def backup_codes(host: Host, contender: Contender, rounds: int) -> dict:
    """The time of a login with an app code against the number of the user's backup codes."""
    original = contender.credential.read_text()
    lines = original.splitlines(keepends=True)
    codes = [line for line in lines if line.startswith("backup-code ")]
    found: dict = {count: [] for count in (0, 1, len(codes))}
    for number in range(rounds + 1):
        for count in found:
            contender.credential.write_text("".join(line for line in lines if line not in codes[count:]))
            contender.reset()
            login = host.log_in("fork", contender.service, contender.user, contender.right())
            if login.status != SUCCESS:
                raise RuntimeError(f"{count} backup codes: a right code ended with {login.status}")
            if number:
                found[count].append(login.elapsed)
    contender.credential.write_text(original)
    return {count: summary(values) for count, values in found.items()}


def not_asked(host: Host, services: Path, permit: Contender, base: Path, scratch: Path, rounds: int) -> dict:
    """Logins of exempt users: the time, the system calls and the opened files."""
    user = make_account("unenrolled", base)
    lines = {
        "twofactor, nullok": "pam_twofactor.so nullok",
        "twofactor, only_groups": "pam_twofactor.so only_groups=root",
        "google-authenticator, nullok": "pam_google_authenticator.so nullok",
        "pam_permit": "pam_permit.so",
    }
    orders = {}
    for name, line in lines.items():
        service = "notasked" + "".join(letter for letter in name if letter.isalpha())
        # A module that ignores a user leaves the decision to the others.
        (services / service).write_text(f"auth required {line}\nauth required {permit.module}\n")
        orders[name] = service
    found: dict = {name: {"elapsed": []} for name in lines}
    for number in range(rounds + 1):
        for name, service in orders.items():
            login = host.log_in("fork", service, user.name, "000000")
            if login.status != SUCCESS:
                raise RuntimeError(f"{name}: ended with {login.status}")
            if number:
                found[name]["elapsed"].append(login.elapsed)
    for name, service in orders.items():
        order = f"here {service} {user.name} 000000"
        trace = counts.trace_of_login(host.program, services, order, order, scratch)
        found[name] = {
            "elapsed": summary(found[name]["elapsed"]),
            "system_calls": len(counts.system_calls(trace)),
            "opened": [
                path for path in counts.opened_files(trace) if path.startswith((str(user.home), ".", "/etc/sec"))
            ],
        }
    return found


def devices(host: Host, contender: Contender, rounds: int) -> dict:
    """The time of a login against the number of the user's devices, with the code of the last one."""
    found = {}
    original = contender.credential.read_text()
    lines = original.splitlines(keepends=True)
    position = next(number for number, line in enumerate(lines) if line.startswith("device "))
    found = {count: [] for count in (1, 4, 8)}
    for number in range(rounds + 1):
        for count in found:
            others = [_with_other_secret(lines[position], index) for index in range(1, count)]
            contender.credential.write_text("".join([*lines[:position], *others, *lines[position:]]))
            contender.reset()
            login = host.log_in("fork", contender.service, contender.user, contender.right())
            if login.status != SUCCESS:
                raise RuntimeError(f"{count} devices: a right code ended with {login.status}")
            if number:
                found[count].append(login.elapsed)
    contender.credential.write_text(original)
    return {count: summary(values) for count, values in found.items()}


def _with_other_secret(line: str, index: int) -> str:
    start, _, rest = line.partition("secret=")
    secret, _, _ = rest.partition(" ")
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    other = "".join(letters[(letters.index(letter) + index) % 32] for letter in secret)
    return f"{start}secret={other} name=other {index}\n"


def parallel(host: Host, everyone: list[Contender], counts: list[int], rounds: int, base: Path) -> dict:
    """Logins of different users at once: logins a second, and whether every correct code was accepted."""
    most = max(counts)
    users = [make_account(f"many{number}", base) for number in range(most)]
    for contender in everyone:
        contender.spread(users)
    found: dict = {contender.name: {} for contender in everyone}
    for count in counts:
        rates: dict = {contender.name: [] for contender in everyone}
        refused = {contender.name: 0 for contender in everyone}
        # A round of few logins says less, so it runs more often. The order is random, because each contender pays for
        # unflushed writes of the one before.
        for _ in range(rounds * max(1, 16 // count)):
            for contender in random.sample(everyone, len(everyone)):
                contender.reset_all(users[:count])
                os.sync()
                answers = [(user.name, contender.right()) for user in users[:count]]
                accepted, elapsed = host.log_in_together(contender.service, answers)
                rates[contender.name].append(count / elapsed * 1e6)
                refused[contender.name] += count - accepted
        for name, values in rates.items():
            found[name][count] = {"per_second": summary(values), "refused": refused[name]}
    return found


def backup_code(host: Host, contender: Contender) -> dict:
    """The processor time and the memory of a login with a backup code, which are high on purpose."""
    processor, grown = [], []
    for number in range(5):
        contender.reset()
        code = contender.backup_codes[number]
        processor.append(host.log_in("fork", contender.service, contender.user, code).processor / 1000)
        contender.reset()
        grown.append(_peak(host, contender, code))
    return {"processor_milliseconds": summary(processor), "peak_kib": summary(grown)}


def _peak(host: Host, contender: Contender, code: str) -> float:
    """The peak memory of a process that runs one login, in KiB."""
    order = f"here {contender.service} {contender.user} {code}\n"
    run = subprocess.Popen([host.program, host.services], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    run.stdin.write(order)
    run.stdin.close()
    _, run.returncode, usage = os.wait4(run.pid, 0)
    return usage.ru_maxrss


def setup_command(base: Path, rounds: int) -> dict:
    """The command beside google-authenticator: `twofactor --user` runs as root, google-authenticator as the user."""
    user = make_account("settingup", base)
    enable = [COMMAND, "enable", "--no-confirm", "--yes", "--json", "--force", "--user", user.name]
    google = "google-authenticator -t -d -f -q -r 3 -R 30 -w 3 -e".split()
    commands = {
        "true": ["true"],
        "twofactor --help": [COMMAND, "--help"],
        ENABLE: [*enable, "--backup-codes", "0"],
        "twofactor enable, ten backup codes": enable,
        "twofactor status": [COMMAND, "status", "--json", "--user", user.name],
        GOOGLE: [*google, "0"],
        "google-authenticator, ten scratch codes": [*google, "10"],
    }
    environment = {"PATH": os.environ["PATH"], "HOME": str(user.home), "LC_ALL": "C.UTF-8"}
    found: dict = {name: ([], []) for name in commands}
    order = random.Random(1)
    names = list(commands)
    for number in range(rounds + 1):
        if number:
            order.shuffle(names)
        for name in names:
            is_theirs = name.startswith("google")
            identity = {"user": user.uid, "group": user.gid, "extra_groups": []} if is_theirs else {}
            started = time.monotonic()
            process = subprocess.Popen(
                commands[name], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, **identity,
            )  # fmt: skip
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = status
            if status != 0:
                raise RuntimeError(f"{name} ended with {status}")
            if number:
                elapsed, processor = found[name]
                elapsed.append((time.monotonic() - started) * 1000)
                processor.append((usage.ru_utime + usage.ru_stime) * 1000)
    return {
        name: {"elapsed_milliseconds": summary(elapsed), "processor_milliseconds": summary(processor)}
        for name, (elapsed, processor) in found.items()
    }


# What the services of a Debian desktop have beside the common stacks.
SERVICES_OF_PROGRAMS = (
    "@include common-auth\n",
    "auth sufficient pam_rootok.so\n@include common-auth\n",
    "auth required pam_nologin.so\nauth required pam_env.so\n@include common-auth\n",
    "auth [success=1 default=ignore] pam_succeed_if.so quiet user ingroup nopasswdlogin\n@include common-auth\n",
    "auth optional pam_faildelay.so delay=3000000\nauth requisite pam_nologin.so\n@include common-auth\n"
    "auth optional pam_group.so\n",
    "auth required pam_faillock.so preauth\n@include common-auth\nauth optional pam_gnome_keyring.so\n",
)


def doctor_command(count: int, rounds: int, services: Path = Path("/etc/pam.d")) -> dict:
    """The processor time of `twofactor doctor`, with that of its children, on a host with so many services."""
    common = services / "common-auth"
    before = common.read_text()
    common.write_text(before + "auth required pam_twofactor.so nullok\n")
    added = [services / f"program{number}" for number in range(count - len(list(services.iterdir())))]
    for number, path in enumerate(added):
        path.write_text(SERVICES_OF_PROGRAMS[number % len(SERVICES_OF_PROGRAMS)])
    elapsed, processor = [], []
    for number in range(rounds + 1):
        started = time.monotonic()
        process = subprocess.Popen(
            [COMMAND, "doctor", "--json"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in (0, 78):
            raise RuntimeError(f"doctor ended with {process.returncode}")
        if number:
            elapsed.append((time.monotonic() - started) * 1000)
            processor.append((usage.ru_utime + usage.ru_stime) * 1000)
    for path in added:
        path.unlink()
    common.write_text(before)
    return {
        "services": count, "elapsed_milliseconds": summary(elapsed), "processor_milliseconds": summary(processor)
    }  # fmt: skip


def users_command(count: int, source: Path) -> dict | None:
    """`twofactor users` with so many accounts, one in ten enrolled; None if there is no such command."""
    base = Path("/run/homes/crowd")
    with open("/etc/passwd", "a") as passwd:
        for number in range(count):
            passwd.write(f"crowd{number}:x:{500000 + number}:{500000 + number}::{base}/crowd{number}:/bin/sh\n")
    for number in range(0, count, 10):
        home = base / f"crowd{number}"
        home.mkdir(parents=True)
        os.chown(home, 500000 + number, 500000 + number)
        clone(source, home / source.name, 500000 + number, 500000 + number)
    started = time.monotonic()
    run = subprocess.run([str(COMMAND), "users", "--json"], capture_output=True, timeout=120)
    elapsed = time.monotonic() - started
    return {"accounts": count, "elapsed_milliseconds": round(elapsed * 1000, 1)} if run.returncode == 0 else None
