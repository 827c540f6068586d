"""`twofactor doctor` on enrollments: unusable files, untrusted homes, SELinux labels."""

import os
from pathlib import Path

import pytest
from rig.doctor import doctor, found, only
from rig.host_trees import build, change, good
from rig.process import run

ENROLLMENTS = {
    "others may read the credential": ("credential", 0o644, 4201, "is accessible by others", "chmod 600 {}/credential"),
    "a credential of another user": (
        "credential", 0o600, 4202, "is owned by another user", "chown alice: {}/credential"
    ),
    "others may read the state": ("state", 0o640, 4201, "is accessible by others", "chmod 600 {}/state"),
    "others may write the directory": ("", 0o777, 4201, "is writable by others", "chmod 700 {}"),
    "a directory of another user": ("", 0o700, 4202, "is owned by another user", "chown -hR alice: {}"),
}


@pytest.fixture
def enrolled_tree(tmp_path, user):
    """A host without findings on which alice is enrolled."""
    enrolled = user.enroll(backup_codes=10)
    root = build(tmp_path / "host", good())
    home = root / "home/alice"
    run("cp", "-a", enrolled.directory, home)
    run("chown", "-R", "4201:4201", home)
    return root


def test_a_correct_enrollment_is_counted(enrolled_tree):
    status, checks = doctor(enrolled_tree, "--strict")
    assert (found(checks), status) == (set(), 0)
    assert any(check["detail"].startswith("1 of 2 accounts") for check in checks)


@pytest.mark.parametrize("what", ENROLLMENTS)
def test_an_enrollment_that_no_login_can_use_is_found(enrolled_tree, what):
    name, mode, owner, words, remedy = ENROLLMENTS[what]
    change(enrolled_tree, f"home/alice/.twofactor/{name}", mode=mode, owner=owner)
    status, checks = doctor(enrolled_tree)
    check = only(checks, "failed")
    assert (check["name"], status) == ("enrollment", 78)
    assert words in check["detail"] and check["remedy"] == remedy.format("/home/alice/.twofactor")


FILES = {
    "damaged": (lambda path: path.write_text("twofactor 9\n"), "is not a credential"),
    "of an older format": (
        lambda path: path.write_text(path.read_text().replace("twofactor-credential 1", "twofactor-credential 0")),
        "has the older format 0; the module reads 1",
    ),
    "of a newer format": (
        lambda path: path.write_text(path.read_text().replace("twofactor-credential 1", "twofactor-credential 2")),
        "has an unknown version",
    ),
    "missing": (lambda path: path.unlink(), "is missing"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "is not a regular file"),
    "too long": (lambda path: path.write_text(path.read_text() + "#" * 20_000), "is too long"),
}


@pytest.mark.parametrize("what", FILES)
def test_a_credential_that_no_login_can_read_is_found(enrolled_tree, what):
    spoil, words = FILES[what]
    spoil(enrolled_tree / "home/alice/.twofactor/credential")
    check = only(doctor(enrolled_tree)[1], "failed")
    assert check["name"] == "enrollment" and words in check["detail"]
    assert check["remedy"] == "twofactor enable --force --user alice"


def test_a_credential_with_a_second_hard_link_is_found(enrolled_tree):
    path = enrolled_tree / "home/alice/.twofactor/credential"
    os.link(path, enrolled_tree / "home/alice/other")
    check = only(doctor(enrolled_tree)[1], "failed")
    assert "has more than one hard link" in check["detail"] and "find / -xdev -samefile" in check["remedy"]


@pytest.mark.parametrize(
    "mode,owner,remedy", [(0o777, 4201, "chmod go-w /home/alice"), (0o755, 4202, "chown alice /home/alice")]
)
def test_a_home_that_others_can_write_or_own_is_found(enrolled_tree, mode, owner, remedy):
    change(enrolled_tree, "home/alice", mode=mode, owner=owner)
    check = only(doctor(enrolled_tree)[1], "warning")
    assert (check["name"], check["remedy"]) == ("home", remedy)


def with_selinux(root: Path, mode: str, *contexts: str, local: str = "") -> None:
    """Configures SELinux: the mode, and the file contexts of its policy."""
    folder = root / "etc/selinux/default/contexts/files"
    folder.mkdir(parents=True)
    (root / "etc/selinux/config").write_text(f"# SELINUX=disabled\nSELINUX={mode}\nSELINUXTYPE=default\n")
    (folder / "file_contexts").write_text("/.*\tsystem_u:object_r:default_t:s0\n")
    (folder / "file_contexts.homedirs").write_text("".join(f"{line}\n" for line in contexts))
    (folder / "file_contexts.local").write_text(local)


def label(root: Path, kind: str, *names: str) -> None:
    for name in names or (".", "credential", "state"):
        context = f"unconfined_u:object_r:{kind}:s0\0".encode()
        os.setxattr(root / "home/alice/.twofactor" / name, "security.selinux", context)


CONTEXT = r"/home/[^/]+/\.twofactor(/.*)?\tunconfined_u:object_r:twofactor_home_t:s0"


@pytest.mark.parametrize("mode,status,code", [("enforcing", "failed", 78), ("permissive", "warning", 0)])
def test_a_policy_without_rules_for_the_files_is_found(enrolled_tree, mode, status, code):
    with_selinux(enrolled_tree, mode)
    ended, checks = doctor(enrolled_tree)
    check = only(checks, status)
    assert (check["name"], ended) == ("selinux_policy", code)
    assert check["remedy"] == "semodule -i twofactor.cil && restorecon -RF /home /root /var/lib/twofactor"


@pytest.mark.parametrize("mode,status", [("enforcing", "failed"), ("permissive", "warning")])
@pytest.mark.parametrize("name", [".", "credential", "state"])
def test_a_file_with_a_wrong_label_is_found(enrolled_tree, mode, status, name):
    with_selinux(enrolled_tree, mode, CONTEXT)
    label(enrolled_tree, "twofactor_home_t")
    assert doctor(enrolled_tree, "--strict")[0] == 0
    label(enrolled_tree, "user_home_t", name)
    check = only(doctor(enrolled_tree)[1], status)
    assert check["name"] == "selinux_label" and "user_home_t" in check["detail"]
    assert check["remedy"] == "restorecon -RF /home/alice/.twofactor"


def test_files_without_a_label_are_found(enrolled_tree):
    with_selinux(enrolled_tree, "enforcing", CONTEXT)
    assert "has no label" in only(doctor(enrolled_tree)[1], "failed")["detail"]


def test_labels_of_the_local_policy_are_accepted(enrolled_tree):
    with_selinux(
        enrolled_tree, "enforcing", local=r"/home/[^/]+/\.twofactor(/.*)? system_u:object_r:auth_home_t:s0" "\n"
    )
    assert found(doctor(enrolled_tree)[1]) == set()


def test_a_disabled_selinux_is_ignored(enrolled_tree):
    with_selinux(enrolled_tree, "disabled")
    assert found(doctor(enrolled_tree)[1]) == set()
