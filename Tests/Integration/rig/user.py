"""A user: an account, its enrollment, and the ways to log in."""

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from .enrollment import Enrollment, enroll, twofactor, twofactor_json
from .harness import Harness, Login
from .machine import Account
from .register import STORE, is_host_store


@dataclass(frozen=True)
class User(Account):
    harness: Harness = field(repr=False)

    @property
    def directory(self) -> Path:
        """The directory of the enrollment in the home or the host store, unless the policy names another one."""
        return STORE / str(self.uid) if is_host_store() else self.home / ".twofactor"

    def enroll(self, *options: str, backup_codes: int = 0, again: bool = False) -> Enrollment:
        return enroll(self, *options, backup_codes=backup_codes, again=again)

    def add_device(self, name: str, *options: str) -> Enrollment:
        """Adds a device as root, without questions."""
        return Enrollment.of(twofactor_json("device", "add", name, "--no-confirm", "--user", self.name, *options))

    def log_in(self, service: str, *answers, **options) -> Login:
        """One login through a PAM service; `options` as for Harness.run."""
        return self.harness.log_in(service, self.name, *answers, **options)

    def results(self, service: str, *replies, **options) -> list[int]:
        """The results of logins in one process, one for each reply."""
        logins = [(self.name, [reply]) for reply in replies]
        return [login.result for login in self.harness.run(service, logins, **options)]

    def twofactor(self, *arguments: str, **options) -> subprocess.CompletedProcess[str]:
        """Runs the setup command with the rights of the user."""
        return twofactor(*arguments, user=self, **options)

    def status(self) -> dict:
        return twofactor_json("status", user=self)

    def files(self) -> dict[str, bytes]:
        """Every file in the home, except those of /etc/skel, and the enrollment in the host store: contents by path."""
        names = {str(path.relative_to(self.home)): path for path in self.home.rglob("*") if path.is_file()}
        if is_host_store():
            names |= {f".twofactor/{path.name}": path for path in self.directory.glob("*")}
        return {name: path.read_bytes() for name, path in names.items() if not Path("/etc/skel", name).exists()}

    def devices(self) -> list[str]:
        """The names of the enrolled devices."""
        return [device["name"] for device in self.status()["devices"]]
