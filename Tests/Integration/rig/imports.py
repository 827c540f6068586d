"""Files of google-authenticator and pam_oath, and their import by the real setup command."""

import json
import os
import subprocess
from pathlib import Path

from .clock import standing_at
from .machine import COMMAND
from .one_time_password import Authenticator

KEY = b"12345678901234567890"
BASE32 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
APP = Authenticator(KEY)


def run(user, *arguments: str, answers: str | bytes = "", at: float | None = None):
    """Runs the command with the rights of an account; as root for None."""
    identity = {} if user is None else {"user": user.uid, "group": user.gid, "extra_groups": []}
    return subprocess.run(
        [COMMAND, *arguments],
        input=answers.encode() if isinstance(answers, str) else answers,
        capture_output=True,
        env=standing_at(at),
        cwd="/",
        timeout=60,
        **identity,
    )


def bring_in(user, *arguments: str, at: float | None = None, **options) -> dict:
    """Imports as root, and returns the object."""
    done = run(None, "import", "--user", user.name, "--json", *arguments, at=at, **options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def status(user) -> dict:
    return json.loads(run(user, "status", "--json").stdout)


def google(user, *options: str) -> Path:
    """The file that google-authenticator itself makes for the account."""
    program = ["google-authenticator", "--force", "--quiet", *options]
    subprocess.run(
        ["runuser", "-l", user.name, "-c", " ".join(program)], check=True, stdout=subprocess.DEVNULL, timeout=20
    )
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
