"""Builds and drives the C programs of the benchmark."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).parent.parent

WARNINGS = ("-O2", "-Wall", "-Wextra", "-Werror")

# The linker options of the module itself.
MODULE = (
    "-shared",
    "-fPIC",
    "-Wl,-z,nodelete,-z,now,-z,relro,-z,defs,--gc-sections,--as-needed,--exclude-libs,ALL,--strip-all",
)


def build_hosts(folder: Path) -> dict[str, Path]:
    """A host that uses libcrypto, like sshd, and a bare one, like login, su and sudo."""
    hosts = {"sshd-like host": ("-DWITH_LIBCRYPTO", "-lcrypto"), "bare host": ()}
    programs = {}
    for number, (name, flags) in enumerate(hosts.items()):
        programs[name] = folder / f"host{number}"
        _compile("-o", programs[name], SOURCES / "host.c", *flags, "-lpam")
    return programs


def build_floor(module: Path) -> None:
    _compile(*MODULE, "-o", module, SOURCES / "floor.c", "-l:libcrypto.a", "-lpam")


def build(program: Path, source: str, *libraries: str) -> None:
    _compile("-o", program, SOURCES / source, *libraries)


def _compile(*arguments) -> None:
    subprocess.run(["gcc", *WARNINGS, *arguments], check=True, timeout=60)


@dataclass(frozen=True)
class Measured:
    """The cost of one login, from pam_start to pam_end: elapsed and processor time in microseconds."""

    status: int
    elapsed: float
    processor: float


class Host:
    """A running host; host.c describes its orders."""

    def __init__(self, program: Path, services: Path, under: tuple[str, ...] = ()) -> None:
        self.program, self.services = program, services
        self._process = subprocess.Popen(
            [*under, program, services], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def __enter__(self) -> "Host":
        return self

    def __exit__(self, *_) -> None:
        self._process.stdin.close()
        self._process.wait(timeout=60)

    def log_in(self, how: str, service: str, user: str, answer: str) -> Measured:
        """A login; `how` is `fork` or `here`."""
        status, elapsed, processor = self._ask(f"{how} {service} {user} {answer}")
        return Measured(int(status), int(elapsed) / 1000, int(processor) / 1000)

    def weigh(self, service: str, user: str, answer: str) -> tuple[int, int]:
        """The status of a login, and by how many KiB the host grew."""
        status, kibibytes = self._ask(f"weigh {service} {user} {answer}")
        return int(status), int(kibibytes)

    def log_in_together(self, service: str, logins: list[tuple[str, str]]) -> tuple[int, float]:
        """How many of the logins, released at once, succeeded, and the microseconds until the last one returned."""
        lines = [f"together {service} {len(logins)}", *(f"{user} {answer}" for user, answer in logins)]
        accepted, elapsed = self._ask("\n".join(lines))
        return int(accepted), int(elapsed) / 1000

    def _ask(self, order: str) -> list[str]:
        self._process.stdin.write(order + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the host ended at: {order.splitlines()[0]}")
        return answer.split()
