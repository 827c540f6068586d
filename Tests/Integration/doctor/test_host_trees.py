"""`twofactor doctor` on host trees, correct and broken: finding, severity and remedy."""

import re
import shutil
from pathlib import Path

import pytest
from rig import host_trees
from rig.doctor import doctor, findings, found
from rig.host_trees import (
    ARCH,
    COMMON_AUTH,
    DEBIAN_12,
    FEDORA,
    LINE,
    MODULES,
    SSHD_SETTINGS,
    STOCK,
    SUSE,
    after,
    build,
    change,
    good,
)
from rig.machine import PRODUCT
from rig.process import run

SSHD = "etc/pam.d/sshd"
AUTH = "etc/pam.d/common-auth"
CONF = "etc/security/twofactor.conf"
DROP_IN = "etc/ssh/sshd_config.d/10-twofactor.conf"


def with_sshd(text: str, **more: str) -> dict[str, str | None]:
    return {**good(), SSHD: text, **more}


def in_sshd(line: str) -> dict[str, str | None]:
    """Debian's sshd with a line after the password."""
    return with_sshd(after(DEBIAN_12[SSHD], "@include common-auth", line + "\n"))


def with_settings(text: str) -> dict[str, str | None]:
    return {**good(), DROP_IN: text}


UNIX = "auth [success=1 default=ignore] pam_unix.so\nauth requisite pam_deny.so\nauth required pam_permit.so\n"

GOOD = {
    "Debian 12": good(),
    "Debian 13": good(host_trees.DEBIAN_13),
    "by the profile of pam-auth-update": {**DEBIAN_12, AUTH: COMMON_AUTH + LINE, **SSHD_SETTINGS},
    "Arch": {**ARCH, SSHD: after(ARCH[SSHD], "auth", LINE), **{"etc/ssh/sshd_config.d/10-twofactor.conf": SSHD_SETTINGS[DROP_IN]}},
    "a profile of authselect": {
        **FEDORA,
        "etc/pam.d/password-auth": "auth required pam_env.so\n"
        "auth [success=2 new_authtok_reqd=2 default=ignore] pam_unix.so nullok\n"
        "auth [success=1 new_authtok_reqd=1 default=ignore] pam_sss.so forward_pass\n"
        "auth requisite pam_deny.so\nauth required pam_permit.so\n" + LINE,
        SSHD: "auth include password-auth\nauth include postlogin\n",
        "etc/pam.d/su": "auth sufficient pam_rootok.so\nauth include password-auth\n",
        **SSHD_SETTINGS,
    },
    "requisite": in_sshd("auth requisite pam_twofactor.so"),
    "in brackets": in_sshd("auth [success=ok ignore=ignore default=die] pam_twofactor.so nullok"),
    "arguments with blanks": in_sshd("auth required pam_twofactor.so nullok [prompt=Code from the app: ] window=2"),
    "in two lines": in_sshd("auth required \\\n    pam_twofactor.so nullok"),
    "plain requisite password": with_sshd("auth requisite pam_unix.so\n" + LINE),
    "two checks of passwords": with_sshd(
        "auth [success=2 default=ignore] pam_unix.so\nauth [success=1 default=ignore] pam_sss.so use_first_pass\n"
        "auth requisite pam_deny.so\nauth required pam_permit.so\n" + LINE
    ),
    "key and code, no password": {
        **with_sshd(LINE + "auth required pam_permit.so\n"),
        DROP_IN: SSHD_SETTINGS[DROP_IN] + "AuthenticationMethods publickey,keyboard-interactive:pam\n",
    },
    "keys alone for one user": with_settings(
        SSHD_SETTINGS[DROP_IN]
        + "Match User backup\n  KbdInteractiveAuthentication no\n  AuthenticationMethods publickey\n"
    ),
    "a configuration": {**good(), CONF: "# ours\nissuer = Example Ltd\nwindow = 2\n"},
    "a comment about the module": {**good(), "etc/pam.d/sudo": "# auth sufficient pam_twofactor.so\n@include common-auth\n"},
    "a copy of an editor": {**good(), "etc/pam.d/sshd~": "auth sufficient pam_twofactor.so\n"},
    "the old name of the setting": {
        **good(), DROP_IN: "ChallengeResponseAuthentication yes\nPasswordAuthentication no\n"
    },
}


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


# Broken hosts: the tree, the finding, and a part of the remedy.
BROKEN = {
    "sufficient after the password": (
        in_sshd("auth sufficient pam_twofactor.so"),
        ("pam_control", "failed"),
        "in /etc/pam.d/sshd, line 2: auth required pam_twofactor.so",
    ),
    "sufficient before the password": (
        with_sshd("auth sufficient pam_twofactor.so\n" + UNIX),
        ("pam_control", "failed"),
        "line 1: auth required pam_twofactor.so",
    ),
    "optional": (in_sshd("auth optional pam_twofactor.so"), ("pam_control", "failed"), "auth required pam_twofactor.so"),
    "refusal ignored": (
        in_sshd("auth [success=ok default=ignore] pam_twofactor.so"), ("pam_control", "failed"), "auth required"
    ),
    "throttling ignored": (
        in_sshd("auth [success=ok maxtries=ignore default=die] pam_twofactor.so"), ("pam_control", "failed"), "auth required"
    ),
    "errors ignored": (
        in_sshd("auth [success=ok authinfo_unavail=ignore ignore=ignore default=bad] pam_twofactor.so"),
        ("pam_control", "failed"),
        "auth required",
    ),
    "configuration errors ignored": (
        in_sshd("auth [success=ok service_err=ignore default=bad] pam_twofactor.so"), ("pam_control", "failed"), "auth required"
    ),
    "a module that may be missing": (
        in_sshd("auth [success=ok module_unknown=ignore default=bad] pam_twofactor.so"),
        ("pam_control", "failed"),
        "auth required",
    ),
    "a jump on refusal": (
        with_sshd(UNIX + "auth [success=ok auth_err=1 default=bad] pam_twofactor.so\nauth requisite pam_deny.so\n"),
        ("pam_control", "failed"),
        "auth required",
    ),
    "before the password": (
        with_sshd(LINE + "@include common-auth\n"), ("pam_order", "failed"), "in /etc/pam.d/sshd, behind line 2: auth required pam_twofactor.so nullok"
    ),
    "jumped over by the password": (
        {**DEBIAN_12, AUTH: after(COMMON_AUTH.replace("success=1", "success=2"), "auth\t[success", LINE), **SSHD_SETTINGS},
        ("pam_bypass", "failed"),
        "auth required pam_twofactor.so",
    ),
    "where the count of a jump was forgotten": (
        {**DEBIAN_12, AUTH: after(COMMON_AUTH, "auth\t[success", LINE), **SSHD_SETTINGS},
        ("pam_dead_end", "failed"),
        "in /etc/pam.d/common-auth, behind line 4: auth required pam_twofactor.so nullok",
    ),
    "nullok and nothing else that says yes": (
        {**with_sshd(LINE), DROP_IN: SSHD_SETTINGS[DROP_IN] + "AuthenticationMethods publickey,keyboard-interactive\n"},
        ("pam_nullok", "warning"),
        "in /etc/pam.d/sshd, behind line 1: auth required pam_permit.so",
    ),
    "behind a sufficient password": (
        with_sshd("auth sufficient pam_unix.so\n" + LINE + "auth required pam_deny.so\n"),
        ("pam_bypass", "failed"),
        "in /etc/pam.d/sshd, line 1: auth [success=1 default=ignore] pam_unix.so",
    ),
    "behind a sufficient password that is included": (
        {
            **FEDORA,
            SSHD: "auth include password-auth\n" + LINE,
            **SSHD_SETTINGS,
        },
        ("pam_bypass", "failed"),
        "in /etc/pam.d/password-auth",
    ),
    "one of two passwords goes around": (
        with_sshd("auth [success=2 default=ignore] pam_unix.so\nauth sufficient pam_sss.so\nauth requisite pam_deny.so\n"
                  "auth required pam_permit.so\n" + LINE),
        ("pam_bypass", "failed"),
        "line 2",
    ),
    "a condition": (
        with_sshd(UNIX + "auth [success=1 default=ignore] pam_succeed_if.so user ingroup nocode\n" + LINE),
        ("pam_condition", "warning"),
        "auth required pam_twofactor.so",
    ),
    "another factor that is enough": (
        with_sshd("auth sufficient pam_u2f.so\n" + UNIX + LINE), ("pam_alternative", "warning"), "pam_u2f.so"
    ),
    "a count that leads nowhere": (
        with_sshd("auth [success=5 default=ignore] pam_unix.so\nauth requisite pam_deny.so\n" + LINE),
        ("pam_dead_end", "failed"),
        "in /etc/pam.d/sshd, line 1: auth [success=1 default=ignore] pam_unix.so",
    ),
    "the code alone": (with_sshd(LINE), ("pam_code_alone", "failed"), "auth requisite pam_unix.so"),
    "the code alone for su": (
        {**good(), "etc/pam.d/su": "auth sufficient pam_rootok.so\n" + LINE}, ("pam_code_alone", "failed"), "pam_unix.so"
    ),
    "a required password": (
        with_sshd("auth required pam_unix.so\n" + LINE),
        ("pam_requisite", "warning"),
        "in /etc/pam.d/sshd, line 1: auth requisite pam_unix.so",
    ),
    "openSUSE, where the password is required": (
        {**SUSE, SSHD: "auth requisite pam_nologin.so\nauth include common-auth\n" + LINE, **SSHD_SETTINGS},
        ("pam_requisite", "warning"),
        "cp /usr/lib/pam.d/common-auth /etc/pam.d/common-auth\nin /etc/pam.d/common-auth, line 3: auth requisite pam_unix.so",
    ),
    "openSUSE, whose own file says that passwords may be sent": (
        {
            **SUSE,
            "usr/lib/pam.d/sshd": None,
            SSHD: "auth requisite pam_unix.so\n" + LINE,
            "usr/etc/ssh/sshd_config": SUSE["usr/etc/ssh/sshd_config"] + "PasswordAuthentication yes\n",
        },
        ("ssh_password_authentication", "warning"),
        "in /etc/ssh/sshd_config.d/00-twofactor.conf, before line 1: PasswordAuthentication no",
    ),
    "Fedora, where the password is in a substack": (
        {**FEDORA, SSHD: after(FEDORA[SSHD], "auth       substack", LINE), **SSHD_SETTINGS},
        ("pam_requisite", "warning"),
        "pam_deny.so",
    ),
    "two codes": (
        {**good(), AUTH: COMMON_AUTH + LINE}, ("pam_twice", "failed"), "in /etc/pam.d/sshd, remove line 2: auth required pam_twofactor.so nullok"
    ),
    "nullok taken back": (
        in_sshd("auth [success=ok default=die] pam_twofactor.so nullok"), ("pam_nullok", "warning"), "auth required"
    ),
    "named for account": (
        {**good(), "etc/pam.d/login": DEBIAN_12["etc/pam.d/login"] + "account required pam_twofactor.so\n"},
        ("pam_facility", "failed"),
        "in /etc/pam.d/login, remove line 6: account required pam_twofactor.so",
    ),
    "an include that is not there": (
        with_sshd("@include common-auth\n@include common-nothing\n" + LINE), ("pam_syntax", "failed"), "correct"
    ),
    "an include of itself": (with_sshd("@include sshd\n" + LINE), ("pam_syntax", "failed"), "correct"),
    "a control that is none": (in_sshd("auth requird pam_env.so\n" + LINE), ("pam_syntax", "failed"), "correct"),
    "an unknown argument": (in_sshd("auth required pam_twofactor.so windows=3"), ("module_arguments", "failed"), "line 2"),
    "an argument out of range": (in_sshd("auth required pam_twofactor.so window=99"), ("module_arguments", "failed"), "line 2"),
    "an argument twice": (
        in_sshd("auth required pam_twofactor.so window=1 window=2"), ("module_arguments", "failed"), "line 2"
    ),
    "UsePAM off": (
        {**good(), "etc/ssh/sshd_config": DEBIAN_12["etc/ssh/sshd_config"].replace("UsePAM yes", "UsePAM no")},
        ("ssh_use_pam", "failed"),
        "in /etc/ssh/sshd_config, line 5: UsePAM yes",
    ),
    "UsePAM not there": (
        {**good(), "etc/ssh/sshd_config": "Include /etc/ssh/sshd_config.d/*.conf\n"}, ("ssh_use_pam", "failed"), "UsePAM yes"
    ),
    "no questions": (
        with_settings("PasswordAuthentication no\n"),
        ("ssh_keyboard_interactive", "failed"),
        "in /etc/ssh/sshd_config, line 4: KbdInteractiveAuthentication yes",
    ),
    "no questions, by a file that is read before": (
        {**good(), "etc/ssh/sshd_config.d/05-first.conf": "KbdInteractiveAuthentication=no\n"},
        ("ssh_keyboard_interactive", "failed"),
        "in /etc/ssh/sshd_config.d/05-first.conf, line 1",
    ),
    "methods without questions": (
        with_settings(SSHD_SETTINGS[DROP_IN] + 'AuthenticationMethods "publickey"\n'),
        ("ssh_keyboard_interactive", "failed"),
        "AuthenticationMethods publickey,keyboard-interactive:pam",
    ),
    "passwords beside it": (
        with_settings("KbdInteractiveAuthentication yes\n"), ("ssh_password_authentication", "warning"), "PasswordAuthentication no"
    ),
    "root from outside": (
        with_settings(SSHD_SETTINGS[DROP_IN] + "PermitRootLogin yes\n"),
        ("ssh_root_login", "warning"),
        "in /etc/ssh/sshd_config.d/10-twofactor.conf, line 3: PermitRootLogin prohibit-password",
    ),
    "empty passwords": (
        with_settings(SSHD_SETTINGS[DROP_IN] + "PermitEmptyPasswords yes\n"), ("ssh_empty_passwords", "warning"), "no"
    ),
    "passwords for some": (
        with_settings(SSHD_SETTINGS[DROP_IN] + "Match Address 192.0.2.0/24\n  PasswordAuthentication yes\n"),
        ("ssh_match", "warning"),
        "doctor --user",
    ),
    "no service for the command": (
        {**good(), "etc/pam.d/twofactor": None}, ("password_service", "warning"), "auth required pam_unix.so"
    ),
    "a service of the command that asks for a code": (
        {**good(), "etc/pam.d/twofactor": "auth required pam_unix.so\n" + LINE}, ("password_service", "warning"), "in /etc/pam.d/twofactor, remove line 2: auth required pam_twofactor.so nullok"
    ),
    "an empty service of the command": (
        {**good(), "etc/pam.d/twofactor": "# nothing\n"}, ("password_service", "warning"), "auth required pam_unix.so"
    ),
    "an unknown setting": ({**good(), CONF: "issuer = A\nwindows = 3\n"}, ("configuration", "failed"), "man twofactor.conf"),
    "a setting twice": ({**good(), CONF: "window = 1\nwindow = 1\n"}, ("configuration", "failed"), "man twofactor.conf"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_mistake_is_found_once_with_its_remedy(tmp_path, what):
    files, expected, remedy = BROKEN[what]
    status, checks = doctor(build(tmp_path / "host", files))
    assert found(checks) == {expected}
    assert remedy in next(check["remedy"] for check in checks if (check["name"], check["status"]) == expected)
    assert status == (78 if expected[1] == "failed" else 0)
    assert doctor(tmp_path / "host", "--strict")[0] == (78 if expected[1] == "failed" else 1)


EDIT = re.compile(r"in (/[^,]+), (?:(remove|before|behind) )?line (\d+): (.*)")


def apply(root: Path, remedy: str) -> int:
    """Applies the lines of a remedy, from the end of each file; returns how many lines it has."""
    for source, target in re.findall(r"(?m)^cp /(\S+) /(\S+)$", remedy):
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / source, root / target)
    edits = [matched.groups() for line in remedy.splitlines() if (matched := EDIT.fullmatch(line))]
    paths = {name: root / name.lstrip("/") for name, *_ in edits}
    files = {name: path.read_text().splitlines() if path.exists() else [] for name, path in paths.items()}
    inserted: dict[tuple[str, int], int] = {}
    for name, how, number, text in sorted(edits, key=lambda edit: (-int(edit[2]), edit[1] == "remove")):
        lines, index = files[name], int(number) - 1
        match how:
            case "remove":
                assert text.lstrip("… ").split()[-1] in lines[index]
                del lines[index]
            case "before":
                lines.insert(index, text)
            case "behind":
                # Lines after the same line keep the order of the remedy.
                inserted[name, index] = inserted.get((name, index), 0) + 1
                lines.insert(index + inserted[name, index], text)
            case None:
                lines[index] = text
    for name, lines in files.items():
        paths[name].parent.mkdir(parents=True, exist_ok=True)
        paths[name].write_text("\n".join(lines) + "\n")
    return len(edits)


# Findings that no change of an existing line fixes.
OTHERWISE = {"no service for the command": "printf 'auth required pam_unix.so"}


@pytest.mark.parametrize("what", BROKEN)
def test_the_remedy_fixes_the_finding(tmp_path, what):
    root = build(tmp_path / "host", BROKEN[what][0])
    for _ in range(4):
        wrong = findings(doctor(root)[1])
        if not wrong:
            return
        if what in OTHERWISE:
            assert wrong[0]["remedy"].startswith(OTHERWISE[what])
            return
        assert apply(root, wrong[0]["remedy"]) > 0, wrong[0]["remedy"]
    assert wrong == []


# Every check that runs on a tree, except those of enrollments: test_enrollments.
CHECKS = {
    "module_arguments", "configuration", "password_service", "pam_syntax", "pam_facility", "pam_control", "pam_bypass",
    "pam_condition", "pam_alternative", "pam_dead_end", "pam_code_alone", "pam_order", "pam_requisite", "pam_twice",
    "pam_nullok", "ssh_use_pam", "ssh_keyboard_interactive", "ssh_password_authentication", "ssh_root_login",
    "ssh_empty_passwords", "ssh_match",
}


def test_every_check_is_covered():
    assert len(GOOD) + len(STOCK) + len(BROKEN) >= 69
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
    words = ["strace", "-qq", "-o", trace, "-e", "trace=open,openat,openat2", PRODUCT / "twofactor", "doctor", "--root", root]
    run(*words, status=None)
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
    words = [PRODUCT / "twofactor", "doctor", "--root", root]
    done = run(*words, status=78)
    assert done.stderr == ""
    assert "failed   pam_control: /etc/pam.d/sshd, line 2:" in done.stdout
    assert "in /etc/pam.d/sshd, line 2: auth required pam_twofactor.so\n" in done.stdout
    assert done.stdout.endswith("\n1 failed, 0 warnings.\n")


def test_a_missing_root_is_named(tmp_path):
    words = [PRODUCT / "twofactor", "doctor", "--root", tmp_path / "nothing"]
    done = run(*words, status=66)
    assert "nothing" in done.stderr


@pytest.mark.parametrize("where", ["argument", "file"])
def test_a_group_that_does_not_exist_is_found(tmp_path, where):
    argument = {"argument": "only_groups=staff,codes", "file": ""}[where]
    files = in_sshd(f"auth required pam_twofactor.so {argument}")
    root = build(tmp_path / "host", {**files, **({CONF: "only_groups = staff,codes\n"} if where == "file" else {})})
    assert ("groups", "failed") in found(doctor(root)[1])
