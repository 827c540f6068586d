"""Upgrades, with logins before, meanwhile and afterwards."""

import threading

from rig.packaged_host import REFUSED, WITH_CODE, WITHOUT_CODE, ContinuousLogins, version_of

CONFIGURATION = "etc/security/twofactor.conf"
KEEP = ["--force-confdef", "--force-confold"]


def test_an_upgrade_denies_no_login_and_accepts_no_code_twice(host, older, package):
    """Users of each kind of code, one whose codes are wrong, and one who is not enrolled."""
    host.set_up(older)
    people = {
        "counter": host.enroll("counter", "--type", "hotp", "--algorithm", "sha256", "--digits", "8"),
        "backups": host.enroll_with_backup_codes("backups"),
        "wrong": host.enroll("wrong", "--type", "hotp", "--digits", "8"),
        "other": host.add("other"),
    }
    phone = host.enroll("phone")
    settings = host.root.path / CONFIGURATION
    settings.write_text(settings.read_text() + "trusted_networks = 192.0.2.0/24\n")
    before, own_settings = host.stacks(), settings.read_text()

    def with_codes(name, expected):
        return [(host.log_in(people[name], people[name].next_code()), expected)]

    def twice():
        code = people["counter"].next_code()
        return [(host.log_in(people["counter"], code), WITH_CODE), (host.log_in(people["counter"], code), REFUSED)]

    attempts = {
        "counter": twice,
        "backups": lambda: with_codes("backups", WITH_CODE),
        "wrong": lambda: [(host.log_in(people["wrong"], "00000000"), REFUSED)],
        "other": lambda: with_codes("other", WITHOUT_CODE),
    }
    assert host.log_in(phone, phone.next_code()) == WITH_CODE
    outcome = []
    with ContinuousLogins(host, attempts):
        meanwhile = threading.Thread(target=lambda: outcome.append(host.log_in(phone, phone.next_code())))
        meanwhile.start()
        host.install(package, *KEEP)
        meanwhile.join()
    assert outcome == [WITH_CODE]
    assert host.status() == f"{version_of(package)} install ok installed"
    assert host.log_in(phone, phone.next_code()) == WITH_CODE
    host.assert_used_codes_stay_used(people["backups"], people["counter"], phone)
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
