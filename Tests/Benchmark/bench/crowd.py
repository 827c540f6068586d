"""Many enrolled users: the same modules, with all files in one folder."""

import os
import shutil
from pathlib import Path

from rig.machine import Account

from .contenders import Contender, Floor, GoogleAuthenticator, Oath, TwoFactor, link, put


class _Crowd:
    """Members who are enrolled and never log in, beside the user who does.

    Each has a folder and file names of its own; the files are hard links to one inode, since separate ones would take
    gigabytes of memory.
    """

    def prepare(self, folder: Path) -> None:
        self.folder = folder
        self.model = folder.with_name(f"{folder.name}-model")
        self.members = 0
        folder.mkdir(mode=0o755)

    def grow(self, count: int) -> None:
        """Enrolls members until there are `count` users in all."""
        while self.members < count - 1:
            self.add_member(f"member{self.members}")
            self.members += 1

    def add_member(self, name: str) -> None:
        raise NotImplementedError


class CrowdedTwoFactor(_Crowd, TwoFactor):
    def line(self) -> str:
        return f"auth required {self.module} directory={self.folder}/%u"

    def enroll(self, account: Account) -> None:
        super().enroll(account)
        os.rename(self.directory, self.folder / account.name)
        self.directory = self.folder / account.name
        self.file, self.credential = self.directory / "state", self.directory / "credential"

    def add_member(self, name: str) -> None:
        if not self.model.exists():
            shutil.copytree(self.directory, self.model)
        link(self.model, self.folder / name)


class CrowdedGoogleAuthenticator(_Crowd, GoogleAuthenticator):
    def line(self) -> str:
        return f"auth required {self.module} secret={self.folder}/${{USER}}/secret"

    def enroll(self, account: Account) -> None:
        self.account = account
        self.file = self.folder / account.name / "secret"
        self.file.parent.mkdir(mode=0o700)
        os.chown(self.file.parent, account.uid, account.gid)
        self.reset()

    def add_member(self, name: str) -> None:
        if not self.model.exists():
            self.model.mkdir(mode=0o700)
            put(self.model / "secret", self.content, mode=0o400)
        link(self.model, self.folder / name)


class CrowdedOath(_Crowd, Oath):
    def enroll(self, account: Account) -> None:
        self.file = self.folder / "users"
        self.own = self.entry(account.name)
        self.content = self.own
        self.reset()

    def grow(self, count: int) -> None:
        # The user who logs in is the last of the file.
        self.content = b"".join(self.entry(f"member{number}") for number in range(count - 1)) + self.own
        self.reset()


class CrowdedFloor(_Crowd, Floor):
    def add_member(self, name: str) -> None:
        """Its file is in the home: nothing grows."""


def crowded() -> list[Contender]:
    """The contenders whose work could depend on the number of enrolled users."""
    return [CrowdedTwoFactor(), CrowdedFloor(), CrowdedGoogleAuthenticator(), CrowdedOath()]
