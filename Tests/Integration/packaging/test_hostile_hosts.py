"""Removals on hosts that are not as the maintainer scripts could expect."""

import pytest

REFUSAL = "twofactor: remove those rules first"


@pytest.fixture(scope="module", params=[pytest.param("bookworm", marks=pytest.mark.slow), "trixie"])
def root(request, new_root):
    return new_root(request.param)


def test_a_refused_removal_changes_no_stack_even_for_a_moment(root, package):
    """Else users would get in without a code until pam-auth-update has put the rules back."""
    root.install(package)
    root.run("pam-auth-update", "--enable", "twofactor", "twofactor-enroll")
    by_hand = [root.path / "etc/pam.d/common-custom", root.path / "usr/lib/pam.d/service"]
    for path in by_hand:
        path.parent.mkdir(exist_ok=True)
        path.write_text("auth required pam_twofactor.so\n")
    stacks = [root.path / "etc/pam.d" / name for name in ("common-auth", "common-account")]
    before = [(path.stat().st_ino, path.stat().st_mtime_ns) for path in stacks]
    said = root.run("dpkg", "--remove", "twofactor", expect=1)
    assert all(f"/{path.relative_to(root.path)}:1:auth required" in said for path in by_hand) and REFUSAL in said
    assert [(path.stat().st_ino, path.stat().st_mtime_ns) for path in stacks] == before
    for path in by_hand:
        path.unlink()


def test_scripts_run_again(root):
    """dpkg runs them again after a crash."""
    for words in (["prerm", "remove"], ["prerm", "remove"], ["postinst", "configure", "0.2.0"], ["postinst", "configure"]):
        root.run(f"/var/lib/dpkg/info/twofactor.{words[0]}", *words[1:])
    assert "pam_twofactor" not in root.text("etc/pam.d/common-auth")


def test_a_purge_keeps_the_group_of_directories_that_are_not_mounted(root):
    """Another group would get its number, and with it the directories."""
    parent = root.path / "var/lib/twofactor"
    for name in ("enrolled", "users"):
        (parent / name).rmdir()
    (root.path / "etc/fstab").write_text("/dev/absent /var/lib/twofactor ext4 noauto 0 0\n")
    said = root.run("dpkg", "--purge", "twofactor")
    assert "twofactor: kept the group _twofactor, because /var/lib/twofactor is not mounted" in said
    assert parent.is_dir() and root.run("getent", "group", "_twofactor")
