"""A full disk while the package is installed, upgraded and removed: a clear error, and logins go on."""

import pytest
from rig.packaged_host import WITHOUT_CODE, version_of
from rig.small_disk import SmallDisk

NO_SPACE = "No space left on device"

# Folder, unit, and how much of it is free.
SWEEPS = {
    "bookworm": [
        ("etc", "KiB", range(0, 48, 8)),
        ("var", "KiB", [0, 16, 32, 48, 64, 96, 128, 256, 512, 1024]),
        ("var/cache/debconf", "KiB", [0, 4]),
    ],
    "trixie": [
        ("usr", "KiB", range(0, 18_000, 3000)),
        ("etc", "KiB", range(0, 48, 8)),
        ("etc", "inodes", range(0, 14, 2)),
        ("var", "KiB", [0, 16, 32, 48, 64, 96, 128, 256, 512, 1024]),
        ("var", "inodes", range(0, 30, 5)),
        ("var/lib/pam", "KiB", [0, 4]),
        ("var/cache/debconf", "KiB", [0, 4]),
    ],
}


def cases(folder: str, unit: str, free: int):
    """One case for every run of the tests, and the sweeps for releases."""
    marks = [pytest.mark.slow, pytest.mark.seconds(900)]
    return pytest.mark.parametrize(
        ("release", "folder", "unit", "rooms"),
        [
            pytest.param("trixie", folder, unit, [free], id=folder),
            *(
                pytest.param(release, *sweep, marks=marks, id=f"{release}-{sweep[0]}-{sweep[1]}")
                for release, sweeps in SWEEPS.items()
                for sweep in sweeps
            ),
        ],
    )


@pytest.fixture
def disk(new_host, tmp_path, release, folder):
    """A small disk at the folder of a host, `disk.host`."""
    host = new_host(release)
    with SmallDisk(host.root, folder, tmp_path / "aside") as disk:
        disk.host = host
        yield disk


@cases("usr", "KiB", 6000)
def test_a_full_disk_at_the_installation(disk, package, unit, rooms):
    host = disk.host
    other = host.add("other")
    host.root.start_server()
    before = host.stacks()
    for room in rooms:
        disk.leave(unit, room)
        said = host.install(package, expect=None)
        state = f"{room} {unit}: {host.status()}: {said}"
        if "install ok installed" not in host.status():
            assert NO_SPACE in said, state
        assert host.stacks() == before and host.log_in(other) == WITHOUT_CODE, state
        disk.free()
        host.configure()
        assert host.stacks() == before, state
        host.install(package)
        assert host.status() == f"{version_of(package)} install ok installed", state
        assert host.log_in(other) == WITHOUT_CODE, state
        host.root.run("dpkg", "--purge", "twofactor")


@cases("etc", "KiB", 0)
def test_a_full_disk_at_an_upgrade(disk, package, other_version, unit, rooms):
    upgrade(disk, other_version(f"{version_of(package)}~"), package, unit, rooms)


@pytest.mark.slow
@pytest.mark.seconds(900)
@pytest.mark.parametrize("release", ["bookworm", "trixie"])
@pytest.mark.parametrize(("folder", "rooms"), [("usr", [6000]), ("etc", [0, 8, 24]), ("var", [0, 64, 128, 256])])
def test_a_full_disk_at_the_upgrade_from_the_first_release(disk, package, first_release, rooms):
    upgrade(disk, first_release, package, "KiB", rooms)


def upgrade(disk, older, package, unit, rooms) -> None:
    host = disk.host
    host.set_up(older)
    enrolled, other = host.enroll("enrolled", "--type", "hotp"), host.add("other")
    before = host.stacks()
    for room in rooms:
        disk.leave(unit, room)
        said = host.install(package, expect=None)
        state = f"{room} {unit}: {host.status()}: {said}"
        if host.status() != f"{version_of(package)} install ok installed":
            assert NO_SPACE in said, state
        assert host.stacks() == before, state
        host.assert_logins(enrolled, other)
        disk.free()
        host.configure()
        host.assert_logins(enrolled, other)
        host.install(package)
        assert host.status() == f"{version_of(package)} install ok installed" and host.stacks() == before, state
        host.go_back(older)
    host.assert_used_codes_stay_used(enrolled)


@cases("var/cache/debconf", "KiB", 0)
def test_a_full_disk_at_the_removal(disk, package, unit, rooms):
    """As long as the package is not removed, all logins ask for the code."""
    host = disk.host
    host.set_up(package)
    enrolled, other = host.enroll("enrolled", "--type", "hotp"), host.add("other")
    before = host.stacks()
    for room in rooms:
        disk.leave(unit, room)
        said = host.root.run("dpkg", "--remove", "twofactor", expect=None)
        state = f"{room} {unit}: {host.status()}: {said}"
        if "deinstall ok config-files" not in host.status():
            # Without a free inode, pam-auth-update does nothing and reports success; prerm then names the rules.
            assert NO_SPACE in said or "these PAM rules name the module" in said, state
        if next(host.root.path.glob("usr/lib/*/security/pam_twofactor.so"), None):
            assert host.stacks() == before, state
            host.assert_logins(enrolled, other)
        disk.free()
        host.configure()
        if host.asks_for_codes:
            host.assert_logins(enrolled, other)
        host.root.run("dpkg", "--remove", "twofactor")
        assert host.log_in(enrolled) == WITHOUT_CODE, state
        host.set_up(package)
        host.assert_logins(enrolled, other)
