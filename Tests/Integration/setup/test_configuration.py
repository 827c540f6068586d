"""The setup command under twofactor.conf and the PAM service of the host."""

import json
from pathlib import Path

import pytest
from rig.enrollment import twofactor, twofactor_json
from rig.exit_status import NOT_CONFIGURED, NOT_PERMITTED, REFUSED

PROVISION = ("enable", "--no-confirm", "--yes", "--json")


def test_without_its_pam_service_the_command_checks_no_password(user):
    service = Path("/etc/pam.d/twofactor")
    text = service.read_text()
    service.unlink()
    try:
        done = user.twofactor("enable", answers=user.password + "\n", status=NOT_CONFIGURED)
        assert "/etc/pam.d/twofactor" in done.stderr
        twofactor(*PROVISION, "--user", user.name)
    finally:
        service.write_text(text)


def test_the_configuration_of_the_host_takes_effect(user, host_configuration):
    host_configuration("require_password = no", "issuer = Example Ltd", "# a comment", "allow_disable = no")
    done = user.twofactor(*PROVISION)
    assert "issuer=Example%20Ltd" in json.loads(done.stdout)["uri"]
    code = json.loads(done.stdout)["backup_codes"][0]
    user.twofactor("disable", answers=code + "\n", status=NOT_PERMITTED)
    assert user.directory.exists()
    twofactor("disable", "--user", user.name)


def test_a_user_who_is_required_to_enroll_cannot_disable(user, host_configuration):
    host_configuration("required_from = 2999-12-31", "require_password = no")
    code = json.loads(user.twofactor(*PROVISION).stdout)["backup_codes"][0]
    user.twofactor("disable", answers=code + "\n")
    user.twofactor(*PROVISION)
    host_configuration("required_from = 2020-01-01", "require_password = no")
    refused = user.twofactor("disable", status=NOT_PERMITTED)
    assert "does not allow" in refused.stderr
    assert user.directory.exists()
    twofactor("disable", "--user", user.name)


def test_a_host_without_backup_codes_creates_none(user, host_configuration):
    host_configuration("backup_codes = no")
    assert json.loads(twofactor(*PROVISION, "--user", user.name).stdout)["backup_codes"] == []
    twofactor("backup-codes", "--user", user.name, status=REFUSED)


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("windows = 1", 0o644),
        ("window", 0o644),
        ("window = 1\nwindow = 2", 0o644),
        ("window = 1", 0o666),
        ("directory = ~/.twofactor # ours", 0o644),
    ],
)
def test_an_invalid_or_untrusted_configuration_stops_the_command(user, host_configuration, text, mode):
    path = host_configuration(text, mode=mode)
    done = user.twofactor(*PROVISION, status=NOT_CONFIGURED)
    assert json.loads(done.stderr)["error"].startswith(str(path))


def test_a_directory_outside_the_homes_belongs_to_root(user, host_configuration):
    store = Path("/var/lib/twofactor")
    store.mkdir(mode=0o755, exist_ok=True)
    host_configuration("directory = /var/lib/twofactor/%u")
    done = twofactor(*PROVISION, "--user", user.name)
    directory = Path(json.loads(done.stdout)["directory"])
    assert directory == store / user.name and directory.stat().st_uid == 0
    assert not user.directory.exists()
    user.twofactor("status", status=NOT_PERMITTED)
    assert twofactor_json("disable", "--user", user.name)["enabled"] is False
