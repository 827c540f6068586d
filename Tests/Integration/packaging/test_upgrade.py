"""Upgrades, with logins before, meanwhile and afterwards."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from rig.packaged_host import (
    REFUSED,
    WITH_CODE,
    WITHOUT_CODE,
    ContinuousLogins,
    assert_group_and_directories,
    version_of,
)

CONFIGURATION = "etc/security/twofactor.conf"
KEEP = ["--force-confdef", "--force-confold"]


@pytest.mark.parametrize("release", ["bookworm", "trixie"])
def test_an_upgrade_denies_no_login_and_accepts_no_code_twice(new_host, release, older, package):
    """Users of each kind of code, one whose codes are wrong, and one who is not enrolled."""
    host = new_host(release)
    host.set_up(older)
    counter = host.enroll("counter", "--type", "hotp", "--algorithm", "sha256", "--digits", "8")
    wrong = host.enroll("wrong", "--type", "hotp", "--digits", "8")
    backups, phone, other = host.enroll_with_backup_codes("backups"), host.enroll("phone"), host.add("other")
    settings = host.root.path / CONFIGURATION
    settings.write_text(settings.read_text() + "trusted_networks = 192.0.2.0/24\n")
    before, own_settings = host.stacks(), settings.read_text()
    assert host.log_in(phone, phone.next_code()) == WITH_CODE
    attempts = {
        "counter": lambda: [(host.log_in(counter, counter.next_code()), WITH_CODE)],
        "backups": lambda: [(host.log_in(backups, backups.next_code()), WITH_CODE)],
        "other": lambda: [(host.log_in(other), WITHOUT_CODE)],
    }
    with ContinuousLogins(host, attempts), ThreadPoolExecutor() as threads:
        used = phone.used[-1]
        meanwhile = {
            threads.submit(host.log_in, wrong, "00000000"): REFUSED,
            threads.submit(host.log_in, phone, phone.next_code()): WITH_CODE,
            threads.submit(host.log_in, phone, used): REFUSED,
        }
        host.install(package, *KEEP)
        assert {each.result() == expected for each, expected in meanwhile.items()} == {True}
    assert host.status() == f"{version_of(package)} install ok installed"
    assert_group_and_directories(host.root)
    assert host.log_in(phone, phone.next_code()) == WITH_CODE
    host.assert_used_codes_stay_used(backups, counter, phone)
    assert host.stacks() == before
    assert settings.read_text() == own_settings
    assert not any("failed" in statuses for statuses in host.root.doctor().values())


def test_an_upgrade_stops_at_a_question_about_changed_settings(host, older, package):
    """Without a terminal, dpkg gets no answer; logins go on with the settings of the administrator."""
    host.set_up(older)
    enrolled, other = host.enroll("enrolled", "--type", "hotp"), host.add("other")
    settings = host.root.path / CONFIGURATION
    settings.write_text(settings.read_text() + "trusted_networks = 192.0.2.0/24\n")
    own_settings = settings.read_text()
    said = host.install(package, expect=1)
    assert "end of file on stdin at conffile prompt" in said
    host.assert_logins(enrolled, other)
    host.root.run("dpkg", *KEEP, "--configure", "-a")
    assert host.status() == f"{version_of(package)} install ok installed"
    assert settings.read_text() == own_settings
    host.assert_logins(enrolled, other)


def test_a_profile_that_is_off_stays_off(host, older, package):
    host.root.install(older)
    before = host.stacks()
    host.root.install(package)
    assert host.stacks() == before and not host.asks_for_codes
    assert host.status() == f"{version_of(package)} install ok installed"
