"""Files of google-authenticator and pam_oath, and their import."""

import os
from pathlib import Path

from .enrollment import twofactor_json
from .one_time_password import Authenticator
from .process import run

KEY = b"12345678901234567890"
BASE32 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
APP = Authenticator(KEY)


def bring_in(user, *arguments: str, **options) -> dict:
    """Imports as root, and returns the JSON."""
    return twofactor_json("import", "--user", user.name, *arguments, **options)


def google(user, *options: str) -> Path:
    """Runs google-authenticator for the account and returns its file."""
    run("runuser", "-l", user.name, "-c", " ".join(["google-authenticator", "--force", "--quiet", *options]))
    return user.home / ".google_authenticator"


def google_file(user, *lines: str, key: str = BASE32) -> Path:
    path = user.home / ".google_authenticator"
    path.unlink(missing_ok=True)
    path.write_text("".join(line + "\n" for line in (key, *lines)))
    os.chown(path, user.uid, user.gid)
    path.chmod(0o400)
    return path


def app_of(path: Path) -> Authenticator:
    return Authenticator.from_base32(path.read_text().splitlines()[0])
