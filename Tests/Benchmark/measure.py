"""Measures inside scripts/sandbox and prints one JSON object. Run scripts/benchmark instead.

Usage: measure.py [--quick] [--users N]
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent / "Integration")]

from bench import cases, counts, programs, sizes  # noqa: E402
from bench.contenders import contenders, make_account  # noqa: E402
from bench.crowd import crowded  # noqa: E402
from bench.helpers import helpers  # noqa: E402
from rig import machine  # noqa: E402

SHARED = machine.CHECKOUT / ".build/shared-crypto/pam_twofactor.so"
SCRATCH = Path("/tmp/benchmark")
SERVICES = SCRATCH / "pam.d"

# The homes: in memory, where flushing costs nothing, and on a journaled disk.
PLACES = {"memory": Path("/run/homes"), "journaled disk": Path("/home")}


def say(what: str) -> None:
    print(f"benchmark: {what}", file=sys.stderr)


def file_system(path: Path) -> str:
    find = ["findmnt", "-n", "-o", "FSTYPE", "-T", path]
    return subprocess.run(find, capture_output=True, text=True, check=True).stdout.strip()


def prepare() -> dict[str, Path]:
    machine.install()
    modules = machine.modules_directory()
    if SHARED.exists():
        (modules / "pam_twofactor_shared.so").write_bytes(SHARED.read_bytes())
    programs.build_floor(modules / "pam_floor.so")
    SERVICES.mkdir(parents=True)
    (SERVICES / "other").write_text("auth required pam_deny.so\n")
    return programs.build_hosts(SCRATCH)


def enroll(everyone: list, base: Path, infix: str) -> None:
    for contender in everyone:
        account = make_account(f"{contender.service}{infix}", base)
        contender.user = account.name
        contender.enroll(account)
        (SERVICES / contender.service).write_text(contender.line() + "\n")


def counted(hosts: dict, everyone: list) -> dict:
    """Counts that are equal on every run: sizes, system calls, instructions."""
    found = {}
    program = hosts["bare host"]
    for contender in everyone:
        module = machine.modules_directory() / contender.module
        results: dict = {"bytes": module.stat().st_size}
        for kind in ("right", "wrong"):
            order = f"here {contender.service} {contender.user}"
            answer = contender.right() if kind == "right" else contender.wrong()
            contender.reset()
            results[f"instructions, {kind} code"] = counts.instructions_of_login(
                program, SERVICES, module, f"{order} {answer}", SCRATCH
            )
            contender.reset()
            calls = counts.system_calls_of_login(
                program, SERVICES, f"{order} {contender.wrong()}", f"{order} {answer}", SCRATCH
            )
            results[f"system calls, {kind} code"] = len(calls)
            contender.reset()
        found[contender.name] = results
    return found


def logins_of_every_kind(hosts: dict, everyone: list, rounds: int) -> dict:
    found: dict = {}
    for how, host_name, label in (
        ("fork", "sshd-like host", "sshd-like host"),
        ("fork", "bare host", "bare host"),
        ("here", "bare host", "warm process"),
    ):
        found[label] = {}
        for kind in ("right", "wrong"):
            with programs.Host(hosts[host_name], SERVICES) as host:
                # A wrong code takes some of them so long that half the rounds must do.
                found[label][kind] = cases.logins(host, how, everyone, kind, rounds if kind == "right" else rounds // 2)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--users", type=int)
    options = parser.parse_args()
    assert machine.is_sandbox(), "run this inside scripts/sandbox"
    rounds = 40 if options.quick else 300
    most = options.users or (1_000 if options.quick else 100_000)

    hosts = prepare()
    shown = {
        "machine": {"kernel": platform.release(), "architecture": platform.machine(), "processors": os.cpu_count()}
    }
    shown["rounds"] = rounds
    shown["load"] = {"before": os.getloadavg()[0]}
    say("doctor")
    shown["doctor_command"] = cases.doctor_command(60, 5 if options.quick else 21)
    shown["logins"] = {}
    for place, base in PLACES.items():
        say(f"logins, homes in {place}" if place == "memory" else f"logins, homes on a {place}")
        everyone = contenders(SHARED.exists())
        enroll(everyone, base, place[:3])
        shown["logins"][place] = {"file_system": file_system(base), **logins_of_every_kind(hosts, everyone, rounds)}
        if place == "memory":
            say("counts")
            unstripped = machine.CHECKOUT / ".build/embedded/release/libpam_twofactor.so"
            shown["parts"] = sizes.parts(unstripped, machine.PRODUCT / "pam_twofactor.so")
            shown["counts"] = counted(hosts, everyone)
            shown["memory_kib"] = {}
            for name, program in hosts.items():
                shown["memory_kib"][name] = cases.memory(program, SERVICES, everyone)
            say("devices, backup codes")
            with programs.Host(hosts["bare host"], SERVICES) as host:
                shown["devices"] = cases.devices(host, everyone[0], rounds)
                shown["backup_codes"] = cases.backup_codes(host, everyone[0], rounds)
                shown["backup_code"] = cases.backup_code(host, everyone[0])
            with programs.Host(hosts["sshd-like host"], SERVICES) as host:
                shown["not_asked"] = cases.not_asked(host, SERVICES, everyone[-1], base, SCRATCH, rounds)
            everyone[0].reset()
            enrolled = everyone[0].directory

    say(f"up to {most} users")
    crowds = {count: crowded() for count in (1, 100, 1_000, 10_000, 100_000) if count <= most}
    for letter, (count, crowd) in zip("abcde", crowds.items()):
        for contender in crowd:
            contender.suffix = f"crowd{letter}"
            contender.prepare(Path("/run") / contender.service)
        enroll(crowd, PLACES["memory"], "")
        for contender in crowd:
            contender.grow(count)
    with programs.Host(hosts["sshd-like host"], SERVICES) as host:
        shown["growth"] = cases.growth(host, crowds, max(rounds // 4, 15))

    say("many at once")
    everyone = [each for each in contenders(False)]
    enroll(everyone, PLACES["journaled disk"], "many")
    at_once = (1, 4, 16, 64) if options.quick else (1, 4, 16, 64, 256)
    with programs.Host(hosts["sshd-like host"], SERVICES) as host:
        shown["parallel"] = cases.parallel(
            host, everyone, list(at_once), 3 if options.quick else 25, PLACES["journaled disk"]
        )

    say("helpers")
    shown["helpers"] = helpers(SCRATCH, rounds)

    say("the setup command")
    shown["setup_command"] = cases.setup_command(PLACES["memory"], 5 if options.quick else 21)
    shown["users_command"] = cases.users_command(1_000 if options.quick else 10_000, enrolled)
    shown["load"]["after"] = os.getloadavg()[0]
    print(json.dumps(shown, indent=1))


if __name__ == "__main__":
    main()
