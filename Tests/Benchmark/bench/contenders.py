"""The contenders: each with its PAM rule, its files, and how to restore them."""

import os
import shutil
import time
from pathlib import Path

from rig.enrollment import enroll
from rig.machine import Account
from rig.one_time_password import Authenticator

SECRET = b"12345678901234567890"
BASE32 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"


def put(path: Path, content: bytes, owner: Account | None = None, mode: int = 0o600, flushes: bool = True) -> None:
    """Writes and flushes a file, so that no later flush pays for it."""
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fchmod(file.fileno(), mode)
        if owner is not None:
            os.fchown(file.fileno(), owner.uid, owner.gid)
        if flushes:
            os.fsync(file.fileno())


class Contender:
    """A module, as one user logs in through it."""

    name = ""
    module = ""

    #: Whether it checks the code.
    answer_counts = True

    #: Letters that tell apart the services of two contenders of one kind.
    suffix = ""

    def __init__(self) -> None:
        self.authenticator = Authenticator(SECRET)
        self._wrong = (0, "")

    @property
    def service(self) -> str:
        """The name of its PAM service, in lower case as libpam converts it."""
        return "".join(letter for letter in self.name.lower() if letter.isalpha()) + self.suffix

    def line(self) -> str:
        """Its PAM rule."""
        return f"auth required {self.module}"

    def enroll(self, account: Account) -> None:
        """Creates its files for an account."""

    def spread(self, accounts: list[Account]) -> None:
        """Enrolls more accounts, all with one secret."""
        for account in accounts:
            self.reset_one(account)

    def reset(self) -> None:
        """Restores its files to the state before the login."""

    def reset_one(self, account: Account) -> None:
        """Likewise for an account of ``spread``, without flushing."""

    def reset_all(self, accounts: list[Account]) -> None:
        for account in accounts:
            self.reset_one(account)

    def right(self) -> str:
        return self.authenticator.code_at(time.time())

    def wrong(self) -> str:
        """A code of no time step near now; cached for minutes, because the search is slow."""
        now = time.time()
        if now - self._wrong[0] > 300:
            self._wrong = (now, self.authenticator.wrong_code(now))
        return self._wrong[1]


class Permit(Contender):
    """libpam alone."""

    name = "pam_permit"
    module = "pam_permit.so"
    answer_counts = False


class Floor(Contender):
    """The least work that a module with these duties can do; see floor.c."""

    name = "minimal C module"
    module = "pam_floor.so"
    content = bytes(8) + SECRET + bytes(4)

    def enroll(self, account: Account) -> None:
        self.file = account.home / ".floor"
        put(self.file, self.content, account)

    def reset(self) -> None:
        put(self.file, self.content)

    def reset_one(self, account: Account) -> None:
        put(account.home / ".floor", self.content, account, flushes=False)


class TwoFactor(Contender):
    name = "twofactor"
    module = "pam_twofactor.so"

    def enroll(self, account: Account) -> None:
        enrollment = enroll(account, backup_codes=10)
        self.authenticator = enrollment.authenticator
        self.backup_codes = enrollment.backup_codes
        self.directory, self.file, self.credential = enrollment.directory, enrollment.state, enrollment.credential
        self.content = self.file.read_bytes()

    def reset(self) -> None:
        # Writes in place, as a login does.
        with open(self.file, "r+b") as file:
            file.write(self.content)
            file.flush()
            os.fsync(file.fileno())

    def spread(self, accounts: list[Account]) -> None:
        self.reset()
        for account in accounts:
            clone(self.directory, account.home / self.directory.name, account.uid, account.gid)

    def reset_one(self, account: Account) -> None:
        with open(account.home / self.directory.name / "state", "r+b") as file:
            file.write(self.content)


class SharedTwoFactor(TwoFactor):
    name = "twofactor, libcrypto.so"
    module = "pam_twofactor_shared.so"


class GoogleAuthenticator(Contender):
    """With reuse protection, which twofactor always has."""

    name = "google-authenticator"
    module = "pam_google_authenticator.so"
    options = '" WINDOW_SIZE 3\n" DISALLOW_REUSE\n" TOTP_AUTH\n'

    def enroll(self, account: Account) -> None:
        self.account = account
        self.file = account.home / ".google_authenticator"
        self.reset()

    @property
    def content(self) -> bytes:
        return f"{BASE32}\n{self.options}".encode()

    def reset(self) -> None:
        put(self.file, self.content, self.account, 0o400)

    def reset_one(self, account: Account) -> None:
        put(account.home / ".google_authenticator", self.content, account, 0o400, flushes=False)


class ReusingGoogleAuthenticator(GoogleAuthenticator):
    """Without reuse protection, as shipped: a code is accepted again and again, and nothing is written."""

    name = "google-authenticator, reuse allowed"
    options = '" WINDOW_SIZE 3\n" TOTP_AUTH\n'


class Oath(Contender):
    name = "pam_oath"
    module = "pam_oath.so"

    def line(self) -> str:
        return f"auth required {self.module} usersfile={self.file} window=3 digits=6"

    def enroll(self, account: Account) -> None:
        folder = account.home.parent / f"oath-{account.name}"
        folder.mkdir(mode=0o700, exist_ok=True)
        self.file = folder / "users"
        self.content = self.entry(account.name)
        self.reset()

    @staticmethod
    def entry(name: str) -> bytes:
        return f"HOTP/T30/6 {name} - {SECRET.hex()}\n".encode()

    def reset(self) -> None:
        put(self.file, self.content)

    def spread(self, accounts: list[Account]) -> None:
        self.content += b"".join(self.entry(account.name) for account in accounts)

    def reset_all(self, accounts: list[Account]) -> None:
        self.reset()


def contenders(with_shared: bool) -> list[Contender]:
    """All contenders, twofactor first."""
    everyone = [TwoFactor(), Floor(), GoogleAuthenticator(), ReusingGoogleAuthenticator(), Oath(), Permit()]
    return [everyone[0], SharedTwoFactor(), *everyone[1:]] if with_shared else everyone


def make_account(name: str, base: Path) -> Account:
    """An account with a home below `base`, without useradd, which would take a minute for hundreds."""
    home = base / name
    home.mkdir(parents=True, mode=0o755)
    number = 20000 + sum(1 for _ in open("/etc/passwd"))
    with open("/etc/passwd", "a") as users, open("/etc/group", "a") as groups:
        users.write(f"{name}:x:{number}:{number}::{home}:/bin/sh\n")
        groups.write(f"{name}:x:{number}:\n")
    os.chown(home, number, number)
    return Account(name, "")


def link(source: Path, target: Path) -> None:
    """A folder whose files are hard links to another's: for users who never log in."""
    target.mkdir(parents=True, mode=0o700)
    for path in source.iterdir():
        os.link(path, target / path.name)


def clone(source: Path, target: Path, user: int, group: int) -> None:
    """Copies a folder of files for another account."""
    target.mkdir(parents=True, mode=0o700, exist_ok=True)
    os.chown(target, user, group)
    for path in source.iterdir():
        shutil.copy2(path, target / path.name)
        os.chown(target / path.name, user, group)
