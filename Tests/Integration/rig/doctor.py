"""The findings of `twofactor doctor`."""

import json
from pathlib import Path

from .machine import COMMAND, PRODUCT
from .process import run


def doctor(root: Path | None, *arguments: str, user=None) -> tuple[int, list[dict]]:
    """Returns the exit status and the checks of a host tree, or of the sandbox for None."""
    command = [PRODUCT / "twofactor", "doctor", "--root", root] if root else [COMMAND, "doctor"]
    done = run(*command, "--json", *arguments, user=user, status=None)
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


def services_of(root: Path) -> dict[str, dict]:
    """Doctor's `services` of a host tree, by name."""
    done = run(PRODUCT / "twofactor", "doctor", "--root", root, "--json", status=None)
    services = json.loads(done.stdout)["services"]
    for service in services:
        assert list(service) == ["service", "enrolled", "unenrolled", "single_field"]
    return {service["service"]: service for service in services}
