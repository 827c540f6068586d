"""The real libpam, to compare with `twofactor doctor`: runs harness/pam_oracle.c in trees of PAM files."""

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .harness import SOURCES, build
from .machine import modules_directory
from .process import run

# Results of libpam, as in <security/_pam_types.h>.
SUCCESS, NEW_AUTHTOK_REQD, ABORT = 0, 12, 26


@dataclass(frozen=True)
class Answer:
    """The results of one login through a service."""

    authenticate: int | None
    setcred: int | None
    # The signal that ended libpam, which follows a null pointer if an include names no file.
    signal: int | None = None
    # The messages of the called modules, in order.
    messages: tuple[str, ...] = ()

    @property
    def passes(self) -> bool:
        return self.authenticate == SUCCESS


def admits(account: int | None) -> bool:
    """Whether programs let a user in after this result of pam_acct_mgmt, perhaps after a change of the password."""
    return account in (SUCCESS, NEW_AUTHTOK_REQD)


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

    def accounts(self, root: Path, services: list[str]) -> dict[str, int | None]:
        """The result of pam_acct_mgmt for each service; None if a signal ended libpam."""
        done = run(self.program, "-a", root, input="".join(service + "\n" for service in services))
        lines = [line.split() for line in done.stdout.splitlines()]
        assert [line[0] for line in lines] == services
        return {service: None if result == "killed" else int(result) for service, result, *_ in lines}


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


KNOWLEDGE = ("nothing", "password", "code", "password+code")


@dataclass(frozen=True)
class Needs:
    """What a login requires, in doctor's terms."""

    enrolled: str
    unenrolled: str
    single_field: bool


def in_words(digits: str) -> str:
    """The least knowledge that was enough in pam_explorer.c."""
    least = [name for name, digit in zip(KNOWLEDGE, digits, strict=True) if digit == "1"]
    return " or ".join(sorted(least)) or "refused"


class Explorer:
    """The compiled program, with copies of the stub under the names of modules."""

    def __init__(self, folder: Path, modules: Iterable[str]) -> None:
        self.program = build([SOURCES / "pam_explorer.c"], folder / "pam_explorer", "-lpam", "-rdynamic")
        stub = build([SOURCES / "pam_stub.c"], folder / "pam_stub.so", "-shared", "-fPIC")
        self.modules = folder / "stubs"
        self.modules.mkdir()
        for name in modules:
            shutil.copy(stub, self.modules / name)

    def explore(self, root: Path, script: list[str], services: list[str]) -> dict[str, Needs | None]:
        """What the services of a tree require; None after too many combinations."""
        folder = root / modules_directory().relative_to("/")
        folder.mkdir(parents=True)
        for module in self.modules.iterdir():
            os.link(module, folder / module.name)
        done = run(self.program, root, modules_directory(), input="".join(line + "\n" for line in script))
        found: dict[str, Needs | None] = {}
        for line in done.stdout.splitlines():
            service, enrolled, *rest = line.split()
            found[service] = Needs(in_words(enrolled), in_words(rest[0]), rest[1] == "1") if rest else None
        assert list(found) == services, set(services) ^ set(found)
        return found
