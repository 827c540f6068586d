"""`twofactor import` of an app's export: from the file to the login."""

import json

import pytest
from rig.clock import time_to_type
from rig.enrollment import twofactor
from rig.exit_status import DONE, UNUSABLE
from rig.harness import Result
from rig.one_time_password import Authenticator
from rig.screen import Screen

PHONE, OTHER = Authenticator(b"\x5a" * 32, algorithm="sha256", digits=8, period=60), Authenticator(b"\xa5" * 20)


def aegis(*accounts: tuple[str, str, Authenticator]) -> str:
    """The vault of Aegis, as it is exported without encryption."""
    entries = [
        {
            "type": "totp", "uuid": "3ae6f1ad-2e65-4ed2-a953-1ec0dff2386d", "name": name, "issuer": issuer, "note": "",
            "favorite": False, "icon": None, "groups": [],
            "info": {
                "secret": app.base32, "algo": app.algorithm.upper(), "digits": app.digits, "period": app.period,
            },
        }
        for issuer, name, app in accounts
    ]
    vault = {"version": 3, "entries": entries, "groups": [], "icons_optimized": True}
    return json.dumps({"version": 1, "header": {"slots": None, "params": None}, "db": vault}, indent=4)


@pytest.fixture
def export(user):
    path = user.home / "aegis-export-plain.json"
    path.write_text(aegis(("Server", "alice", PHONE), ("Mail", "alice", OTHER)))
    path.chmod(0o644)
    return path


def test_an_account_of_aegis_logs_in(user, export, service):
    screen = Screen(user, "import", "--select", "server", str(export), rows=40, columns=100)
    screen.expect("Password: ").type(user.password).expect("Code from the device: ")
    now = time_to_type()
    screen.type(PHONE.code_at(now))
    assert screen.ends() == DONE, screen.text
    assert PHONE.base32 not in screen.scrollback.replace("\n", "").replace(" ", "")
    [device] = user.status()["devices"]
    assert (device["algorithm"], device["digits"], device["period"]) == ("sha256", 8, 60)
    name = service()
    assert user.log_in(name, PHONE.code_at(now), at=now).result == Result.AUTH_ERR, "the import used the code up"
    assert user.log_in(name, PHONE.code_at(now, 1), at=now + 60).result == Result.SUCCESS


def test_a_damaged_export_is_refused_without_its_text(user, export):
    export.write_text(export.read_text().replace('"algo": "SHA256"', '"algo": SHA256'))
    done = twofactor("import", "--user", user.name, str(export), status=UNUSABLE)
    assert ": an export of Aegis: line " in done.stderr and "it is not valid JSON" in done.stderr
    assert PHONE.base32[:8] not in done.stdout + done.stderr and not user.directory.exists()
