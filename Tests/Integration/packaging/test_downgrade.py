"""Downgrades: allowed within a series such as 0.2, refused to an older one."""

import pytest
from rig.packaged_host import REFUSED, WITH_CODE, version_of


def later(version: str, part: int) -> str:
    """The version with a number counted up: 0 for the first one, which is the major version."""
    numbers = [int(number) for number in version.split(".")]
    return ".".join(map(str, [*numbers[:part], numbers[part] + 1, *[0] * (len(numbers) - part - 1)]))


def test_a_downgrade_within_a_series_denies_no_login(host, package, other_version):
    version = version_of(package)
    host.set_up(other_version(later(version, 2)))
    enrolled, other = host.enroll("enrolled", "--type", "hotp"), host.add("other")
    host.assert_logins(enrolled, other)
    before = host.stacks()
    assert "downgrading" in host.install(package)
    assert host.status() == f"{version} install ok installed"
    assert host.stacks() == before
    host.assert_logins(enrolled, other)
    host.assert_used_codes_stay_used(enrolled)


def test_a_downgrade_to_an_older_series_is_refused_and_changes_nothing(host, package, other_version):
    version = version_of(package)
    newer = later(version, 1)
    host.set_up(other_version(newer))
    enrolled, other = host.enroll("enrolled", "--type", "hotp"), host.add("other")
    before, files = host.stacks(), host.root.files()
    said = host.install(package, expect=1)
    assert f"twofactor: version {version} may not understand the enrollments and options of version {newer}" in said
    assert host.status() == f"{newer} install ok installed"
    assert host.stacks() == before and host.root.files() == files
    host.assert_logins(enrolled, other)
    # Nothing is left to repair, neither for dpkg nor for apt.
    assert host.root.run("dpkg", "--configure", "-a") == ""
    assert host.root.run("dpkg", "--audit") == ""
    host.root.run("apt-get", "check")
    host.assert_logins(enrolled, other)


@pytest.mark.slow
def test_a_downgrade_to_the_first_release_is_refused_and_changes_nothing(host, package, first_release):
    """That version would let in without a code users whose enrollment is absent, because it has no register."""
    host.set_up(package)
    enrolled, other = host.enroll("enrolled", "--type", "hotp"), host.add("other")
    absent = host.enroll("absent", "--type", "hotp")
    assert host.log_in(absent, absent.next_code()) == WITH_CODE
    (host.root.path / "home/absent/.twofactor").rename(host.root.path / "home/absent/elsewhere")
    before, files = host.stacks(), host.root.files()
    said = host.install(first_release, expect=1)
    assert "there is no script in the new version of the package - giving up" in said
    assert host.status() == f"{version_of(package)} install ok installed"
    assert host.stacks() == before and host.root.files() == files
    assert host.root.run("dpkg", "--verify", "twofactor") == "" and host.root.run("dpkg", "--audit") == ""
    host.assert_logins(enrolled, other)
    assert host.log_in(absent, absent.next_code()) == REFUSED
