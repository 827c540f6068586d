"""The findings of `twofactor doctor` in a host tree."""

import json
import subprocess
from pathlib import Path

from .machine import PRODUCT


def doctor(root: Path | None, *arguments: str) -> tuple[int, list[dict]]:
    words = [PRODUCT / "twofactor", "doctor", "--json", *(["--root", root] if root else []), *arguments]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.stderr == "", done.stderr
    checks = json.loads(done.stdout)["checks"]
    for check in checks:
        assert list(check) == ["name", "status", "detail", "remedy"]
        assert check["status"] in ("ok", "warning", "failed", "skipped") and check["detail"]
        assert (check["remedy"] is not None) == (check["status"] in ("warning", "failed"))
    return done.returncode, checks


def findings(checks: list[dict]) -> list[dict]:
    return [check for check in checks if check["status"] in ("warning", "failed")]


def found(checks: list[dict]) -> set[tuple[str, str]]:
    return {(check["name"], check["status"]) for check in findings(checks)}


def only(checks: list[dict], status: str) -> dict:
    """The only finding; asserts its status."""
    (finding,) = findings(checks)
    assert finding["status"] == status, finding
    return finding
