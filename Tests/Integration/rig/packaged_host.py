"""A clean root as a host: the package, users of several kinds, and their logins over SSH."""

import itertools
import json
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from .clean_root import CleanRoot
from .machine import Account
from .one_time_password import Authenticator
from .process import run
from .ssh import Client

HELPER, REGISTER = "usr/libexec/twofactor/twofactor-helper", "var/lib/twofactor/enrolled"
STORE = "var/lib/twofactor/users"

WITH_CODE, WITHOUT_CODE, REFUSED = "let in with a code", "let in without a code", "refused"


@dataclass
class Person:
    """A user. `codes` yields codes that are valid once, in this order; None if the user is not enrolled."""

    account: Account
    codes: Iterator[str] | None = None
    used: list[str] = field(default_factory=list)

    def next_code(self) -> str | None:
        if self.codes is None:
            return None
        self.used.append(next(self.codes))
        return self.used[-1]


class PackagedHost:
    """Users enroll with the command of the package that is installed at that time."""

    def __init__(self, root: CleanRoot, password: str) -> None:
        self.root = root
        self.password = password

    def set_up(self, package: Path) -> None:
        """Installs the package, enables its profiles, and starts an SSH server."""
        self.install(package)
        profiles = [path.name for path in self.root.path.glob("usr/share/pam-configs/twofactor*")]
        self.root.run("pam-auth-update", "--enable", *profiles)
        drop_in = self.root.text("usr/share/doc/twofactor/examples/sshd_config.d/twofactor.conf")
        settings = self.root.path / "etc/ssh/sshd_config.d"
        (settings / "twofactor.conf").write_text(drop_in)
        # OpenSSH 9.8 and later delay the address of all clients here after a few refused logins.
        if self.root.run("/usr/sbin/sshd", "-t", "-o", "PerSourcePenalties=no", expect=None) == "":
            (settings / "penalties.conf").write_text("PerSourcePenalties no\n")
        if not self.root.is_serving:
            self.root.start_server()

    def install(self, package: Path, *options: str, expect: int | None = 0) -> str:
        """Installs a package, or another version of it, with options of dpkg, and returns what dpkg says."""
        name = f"tmp/{package.name}"
        shutil.copy(package, self.root.path / name)
        return self.root.run("dpkg", *options, "-i", f"/{name}", expect=expect)

    def configure(self) -> None:
        """Lets dpkg finish; if it stopped while it replaced files, it asks for the package again."""
        said = self.root.run("dpkg", "--configure", "-a", expect=None)
        assert said == "" or "Setting up twofactor" in said or "reinstall it before attempting configuration" in said

    def go_back(self, older: Path) -> None:
        """Installs an older version, even of another series, to which a downgrade is refused."""
        self.root.run("dpkg", "--remove", "twofactor")
        self.set_up(older)

    def add(self, name: str) -> Person:
        return Person(self.root.add_account(name, self.password))

    def enroll(self, name: str, *options: str) -> Person:
        """A new user with one device: by its type, codes of the counter, or of the time steps in the window."""
        person = self.add(name)
        words = ["twofactor", "enable", "--user", name, "--no-confirm", "--yes", "--json", *options]
        answer = json.loads(self.root.run(*words))
        device = answer["device"]
        settings = {"algorithm": device["algorithm"], "digits": device["digits"], "period": device["period"] or 30}
        authenticator = Authenticator.from_base32(answer["secret"], **settings)
        if device["type"] == "hotp":
            person.codes = (authenticator.code_for_counter(counter) for counter in itertools.count())
        else:
            person.codes = codes_of_time(authenticator)
        return person

    def enroll_with_backup_codes(self, name: str) -> Person:
        """A new user who lost the phone, and has 32 backup codes."""
        person = self.add(name)
        words = ["enable", "--user", name, "--no-confirm", "--yes", "--json", "--backup-codes", "32"]
        person.codes = iter(json.loads(self.root.run("twofactor", *words))["backup_codes"])
        return person

    def log_in(self, person: Person, code: str | None = None) -> str:
        """Types the password, and the code if one is asked for."""
        client = self.root.connect(person.account)
        client.answer(client.PASSWORD, self.password)
        outcome = WITHOUT_CODE
        if (seen := client.expect(Client.CODE, Client.IN, Client.REFUSED)) == Client.CODE:
            client.terminal.sendline(code or "")
            outcome, seen = WITH_CODE, client.expect(Client.IN, Client.REFUSED)
        client.terminal.close()
        return outcome if seen == Client.IN else REFUSED

    def assert_logins(self, enrolled: Person, other: Person) -> None:
        """An enrolled user gets in with a code alone, and a user who is not enrolled without one."""
        assert self.log_in(enrolled, enrolled.next_code()) == WITH_CODE
        assert self.log_in(other) == WITHOUT_CODE

    def assert_used_codes_stay_used(self, *people: Person) -> None:
        """Tries the latest code of each one again, at the same time, because refusals are delayed."""
        with ThreadPoolExecutor(len(people)) as threads:
            outcomes = threads.map(lambda person: self.log_in(person, person.used[-1]), people)
        assert set(outcomes) == {REFUSED}

    def status(self) -> str:
        """Of the package: its version, what is wanted, errors, and its state."""
        return self.root.run("dpkg-query", "-W", "-f", "${Version} ${Status}", "twofactor", expect=None)

    def stacks(self) -> dict[str, str]:
        """The stacks of pam-auth-update and what it remembers of them, without its unfinished files."""
        types = ("auth", "account", "password", "session", "session-noninteractive")
        paths = [folder + each for folder in ("etc/pam.d/common-", "var/lib/pam/") for each in types]
        return {path: self.root.text(path) for path in paths}

    @property
    def asks_for_codes(self) -> bool:
        return "pam_twofactor.so" in self.root.text("etc/pam.d/common-auth")


def codes_of_time(authenticator: Authenticator) -> Iterator[str]:
    """Each code once, as soon as it is in the window of one time step to each side."""
    step = authenticator.step(time.time()) - 1
    for step in itertools.count(step):
        while authenticator.step(time.time()) + 1 < step:
            time.sleep(0.2)
        if authenticator.step(time.time()) - 1 <= step:
            yield authenticator.code_for_counter(step)


class ContinuousLogins:
    """Users who log in again and again, each in a thread, until the block ends."""

    def __init__(self, host: PackagedHost, attempts: dict[str, Callable[[], Iterable[tuple[str, str]]]]) -> None:
        """attempts: for each user, a function that logs in and returns outcomes with what they should be"""
        self._host = host
        self._attempts = attempts
        self._stop = threading.Event()
        self.results: dict[str, list[tuple[str, str]]] = {name: [] for name in attempts}
        self._errors: list[BaseException] = []

    def _work(self, name: str) -> None:
        try:
            while not self._stop.is_set():
                self.results[name].extend(self._attempts[name]())
        except BaseException as error:  # noqa: BLE001 - raised in the thread of the test
            self._errors.append(error)

    def __enter__(self) -> "ContinuousLogins":
        self._threads = [threading.Thread(target=self._work, args=[name]) for name in self._attempts]
        for thread in self._threads:
            thread.start()
        self.wait_for_more()
        return self

    def __exit__(self, kind, *_) -> None:
        try:
            if kind is None:
                self.wait_for_more()
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join()
        if kind is None:
            self.check()

    def wait_for_more(self) -> None:
        """Waits until each user has ended an attempt."""
        before = {name: len(found) for name, found in self.results.items()}
        for _ in range(600):
            if self._errors:
                raise self._errors[0]
            if all(len(self.results[name]) > before[name] for name in self.results):
                return
            time.sleep(0.1)
        raise TimeoutError(f"logins no longer end: {self.results}")

    def check(self) -> None:
        if self._errors:
            raise self._errors[0]
        wrong = {name: each for name, found in self.results.items() for each in found if each[0] != each[1]}
        assert not wrong, wrong


def assert_group_and_directories(root: CleanRoot) -> None:
    words = ["stat", "-c", "%U:%G %a", f"/{HELPER}", "/var/lib/twofactor", f"/{REGISTER}", f"/{STORE}"]
    directory = "root:_twofactor 1730"
    assert root.run(*words).splitlines() == ["root:_twofactor 2755", "root:root 755", directory, directory]


def with_version(
    package: Path, version: str, output: Path, architecture: str = "", settings: str | None = None
) -> Path:
    """The same package with another version, architecture, or with further lines in twofactor.conf."""
    tree = output.with_suffix(".tree")
    run("dpkg-deb", "-R", package, tree)
    control = tree / "DEBIAN/control"
    text = re.sub(r"(?m)^Version: .*", f"Version: {version}", control.read_text())
    if architecture:
        text = re.sub(r"(?m)^Architecture: .*", f"Architecture: {architecture}", text)
    control.write_text(text)
    if settings:
        with (tree / "etc/security/twofactor.conf").open("a") as file:
            file.write(settings)
    run("dpkg-deb", "--root-owner-group", "-Znone", "-b", tree, output)
    shutil.rmtree(tree)
    return output


def version_of(package: Path) -> str:
    return run("dpkg-deb", "-f", package, "Version").stdout.strip()
