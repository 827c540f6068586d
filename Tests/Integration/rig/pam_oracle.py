"""The real libpam as the judge of `twofactor doctor`: runs harness/pam_oracle.c in trees of PAM files."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from .harness import SOURCES, build
from .machine import modules_directory
from .process import run

# Results of libpam, as in <security/_pam_types.h>.
SUCCESS, ABORT = 0, 26


@dataclass(frozen=True)
class Answer:
    """What libpam says to one login with a service."""

    authenticate: int | None
    setcred: int | None
    # The signal that ended libpam, which follows a null pointer if an include names no file.
    signal: int | None = None
    # What the modules that were called said, in order.
    messages: tuple[str, ...] = ()

    @property
    def passes(self) -> bool:
        return self.authenticate == SUCCESS


class Oracle:
    """The compiled program."""

    def __init__(self, folder: Path) -> None:
        self.program = build([SOURCES / "pam_oracle.c"], folder / "pam_oracle", "-lpam")

    def ask(self, root: Path, services: list[str]) -> dict[str, Answer]:
        """Logs in with each service of a tree."""
        done = run(self.program, root, input="".join(service + "\n" for service in services))
        answers = {}
        for line in done.stdout.splitlines():
            service, authenticate, setcred, *messages = line.split()
            if authenticate == "killed":
                answers[service] = Answer(None, None, signal=int(setcred))
            else:
                answers[service] = Answer(int(authenticate), int(setcred), messages=tuple(messages))
        assert list(answers) == services, set(services) ^ set(answers)
        return answers


def write(root: Path, files: dict[str, bytes], modules: list[str]) -> Path:
    """Writes a tree with real modules of this machine."""
    folder = root / modules_directory().relative_to("/")
    folder.mkdir(parents=True)
    for name in modules:
        shutil.copy(modules_directory() / name, folder)
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root
