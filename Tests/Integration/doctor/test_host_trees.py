"""`twofactor doctor` on host trees, correct and broken: finding, severity and remedy."""

from pathlib import Path

import pytest
from rig.doctor import doctor, findings, found, services_of
from rig.host_corpus import BROKEN, CONF, DROP_IN, GOOD, in_sshd, with_settings
from rig.host_trees import MODULES, SSHD_SETTINGS, STOCK, build, change, good
from rig.machine import PRODUCT
from rig.misplaced_rules import trees
from rig.process import run
from rig.remedies import apply, harm


@pytest.mark.parametrize("host", GOOD)
def test_a_correct_host_has_no_findings(tmp_path, host):
    status, checks = doctor(build(tmp_path / "host", GOOD[host]), "--strict")
    assert (found(checks), status) == (set(), 0)
    assert any(check["name"] == "pam_stacks" and "sshd" in check["detail"] for check in checks)


@pytest.mark.parametrize("host", STOCK)
def test_a_host_as_shipped_is_told_that_no_login_asks_for_a_code(tmp_path, host):
    status, checks = doctor(build(tmp_path / "host", STOCK[host], installed=False))
    assert found(checks) == {("module", "warning"), ("password_service", "warning"), ("pam_stacks", "warning")}
    assert status == 0
    assert doctor(tmp_path / "host", "--strict")[0] == 1


@pytest.mark.parametrize("what", BROKEN)
def test_a_mistake_is_found_once_with_its_remedy(tmp_path, what):
    files, expected, remedy = BROKEN[what]
    status, checks = doctor(build(tmp_path / "host", files))
    assert found(checks) == {expected}
    assert remedy in next(check["remedy"] for check in checks if (check["name"], check["status"]) == expected)
    assert status == (78 if expected[1] == "failed" else 0)
    assert doctor(tmp_path / "host", "--strict")[0] == (78 if expected[1] == "failed" else 1)


# Findings that no change of an existing line fixes.
OTHERWISE = {
    "no service for the command": "printf 'auth required pam_unix.so",
    "a home that is created too late": "for each new user: mkhomedir_helper NAME",
}


def follow_remedies(root: Path) -> int:
    """Applies one remedy after the other, until doctor finds nothing; returns how many."""
    services = services_of(root)
    for count in range(5):
        wrong = sorted(findings(doctor(root)[1]), key=lambda check: check["status"])
        if not wrong:
            return count
        remedy = wrong[0]["remedy"]
        assert apply(root, remedy) > 0, wrong[0]
        before, services = services, services_of(root)
        assert harm(before, services) == [], remedy
    raise AssertionError(wrong)


@pytest.mark.parametrize("what", BROKEN)
def test_the_remedy_fixes_the_finding(tmp_path, what):
    root = build(tmp_path / "host", BROKEN[what][0])
    if what in OTHERWISE:
        (wrong,) = findings(doctor(root)[1])
        assert wrong["remedy"].startswith(OTHERWISE[what])
    else:
        assert follow_remedies(root) > 0


@pytest.mark.parametrize("host", STOCK)
def test_the_remedies_set_up_a_host_as_shipped(tmp_path, host):
    root = build(tmp_path / "host", {**STOCK[host], **SSHD_SETTINGS})
    assert services_of(root)["sshd"]["enrolled"] == "password"
    assert follow_remedies(root) > 0
    assert services_of(root)["sshd"]["enrolled"] == "password+code"


MISPLACED = trees()


@pytest.mark.parametrize("what", MISPLACED)
def test_the_remedies_for_a_misplaced_rule_are_safe(tmp_path, what):
    follow_remedies(build(tmp_path / "host", MISPLACED[what]))


# Every check that runs on a tree, except those of enrollments: test_enrollments.
CHECKS = {
    "module_arguments", "configuration", "password_service", "pam_syntax", "pam_facility", "pam_control", "pam_bypass",
    "pam_condition", "pam_alternative", "pam_dead_end", "pam_code_alone", "pam_order", "pam_requisite", "pam_twice",
    "pam_nullok", "ssh_use_pam", "ssh_keyboard_interactive", "ssh_password_authentication", "ssh_root_login",
    "ssh_empty_passwords", "ssh_match", "ssh_use_dns", "ssh_required_method", "require_method", "remote_address",
    "enrollment_bypass", "enrollment_control", "enrollment_options", "pam_account", "ssh_enrollment",
    "ssh_login_grace_time", "guessing", "policy", "first_login", "protect_home", "single_field", "proftpd_auth_order",
}


def test_every_check_is_covered():
    assert len(BROKEN) + len(MISPLACED) >= 300
    assert {name for _, (name, _), _ in BROKEN.values()} == CHECKS


@pytest.mark.parametrize(
    "what",
    {
        "owner": lambda root: change(root, f"{MODULES}/pam_twofactor.so", owner=4201),
        "mode": lambda root: change(root, f"{MODULES}/pam_twofactor.so", mode=0o666),
        "kind": lambda root: (root / MODULES / "pam_twofactor.so").write_text("#!/bin/sh\n"),
        "absence": lambda root: (root / MODULES / "pam_twofactor.so").unlink(),
        "processor": lambda root: patch(root / MODULES / "pam_twofactor.so", 18, b"\x28"),
    }.items(),
    ids=lambda item: item[0],
)
def test_a_wrong_module_file_is_found_by_its(tmp_path, what):
    root = build(tmp_path / "host", good())
    what[1](root)
    status, checks = doctor(root)
    assert (found(checks), status) == ({("module", "failed")}, 78)


def patch(path: Path, offset: int, data: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[offset : offset + len(data)] = data
    path.write_bytes(content)


def test_a_configuration_that_others_can_write_is_rejected(tmp_path):
    root = build(tmp_path / "host", {**good(), CONF: "window = 2\n"})
    change(root, CONF, mode=0o664)
    assert found(doctor(root)[1]) == {("configuration", "failed")}
    change(root, CONF, mode=0o644, owner=4201)
    assert found(doctor(root)[1]) == {("configuration", "failed")}


def test_doctor_never_opens_a_file_outside_the_tree(tmp_path):
    # A container that runs in the tree could replace a file with a symlink between check and open.
    root = build(tmp_path / "tree", good())
    trace = tmp_path / "trace"
    under = ("strace", "-qq", "-o", trace, "-e", "trace=open,openat,openat2")
    run(*under, PRODUCT / "twofactor", "doctor", "--root", root, status=None)
    lines = trace.read_text().splitlines()
    inside = [line for line in lines if line.startswith("openat2(")]
    assert any('"/etc/pam.d/sshd"' in line for line in inside)
    assert all("RESOLVE_IN_ROOT" in line for line in inside)
    assert not [line for line in lines if f"{root}/" in line]


def test_symlinks_in_a_tree_resolve_inside_it(tmp_path):
    root = build(tmp_path / "host", good())
    (root / "etc/pam.d/sshd").rename(root / "etc/stack")
    (root / "etc/pam.d/sshd").symlink_to("/etc/stack")
    (root / "etc/pam.d/loop").symlink_to("/etc/pam.d/loop")
    (root / "etc/pam.d/up").symlink_to("../../../../../../../../etc/shadow")
    status, checks = doctor(root)
    assert (found(checks), status) == (set(), 0)


def test_match_blocks_are_evaluated_for_a_user(tmp_path):
    settings = SSHD_SETTINGS[DROP_IN] + "Match Group staff User !root,*\n  PasswordAuthentication yes\n"
    root = build(tmp_path / "host", with_settings(settings))
    assert found(doctor(root, "--user", "alice")[1]) == {("ssh_password_authentication", "warning")}
    assert found(doctor(root, "--user", "root")[1]) == set()


def test_the_plain_output_names_the_line_to_change(tmp_path):
    root = build(tmp_path / "host", BROKEN["sufficient after the password"][0])
    done = run(PRODUCT / "twofactor", "doctor", "--root", root, status=78)
    assert done.stderr == ""
    assert "failed   pam_control: /etc/pam.d/sshd, line 2:" in done.stdout
    assert "in /etc/pam.d/sshd, line 2: auth required pam_twofactor.so\n" in done.stdout
    assert done.stdout.endswith("\n1 failed, 0 warnings.\n")


def test_a_missing_root_is_named(tmp_path):
    done = run(PRODUCT / "twofactor", "doctor", "--root", tmp_path / "nothing", status=66)
    assert "nothing" in done.stderr


@pytest.mark.parametrize("where", ["argument", "file"])
def test_a_group_that_does_not_exist_is_found(tmp_path, where):
    argument = {"argument": "only_groups=staff,codes", "file": ""}[where]
    files = in_sshd(f"auth required pam_twofactor.so {argument}")
    root = build(tmp_path / "host", {**files, **({CONF: "only_groups = staff,codes\n"} if where == "file" else {})})
    assert ("groups", "failed") in found(doctor(root)[1])
