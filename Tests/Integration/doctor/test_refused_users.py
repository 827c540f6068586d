"""`twofactor doctor` names the users whom the stacks of this host refuse."""

import subprocess
from pathlib import Path

import pytest
from rig.clock import START
from rig.doctor import doctor
from rig.enrollment import twofactor_json
from rig.fuse import make_nodes
from rig.harness import Result
from rig.machine import COMMAND
from rig.process import run
from rig.reachable import open_to_all

STRICT = ("auth requisite pam_unix.so", "auth required pam_twofactor.so")


def named(checks: list[dict], name: str) -> list[dict]:
    return [check for check in checks if check["name"] == name]


@pytest.fixture
def pam_service():
    """Writes a service in /etc/pam.d."""
    path = Path("/etc/pam.d/example")

    def write(*lines: str) -> str:
        path.write_text("".join(line + "\n" for line in lines))
        return str(path)

    yield write
    path.unlink(missing_ok=True)


def test_a_user_who_is_not_enrolled_is_named_with_the_services(user, new_user, pam_service):
    pam_service(*STRICT)
    (check,) = named(doctor(None, "--user", user.name)[1], "not_enrolled")
    assert check["status"] == "warning" and check["remedy"] == f"twofactor enable --user {user.name}"
    assert check["detail"].startswith(f"{user.name} is not enrolled and is refused by: ")
    assert "example" in check["detail"].split(": ")[1].split(", ")
    user.enroll()
    assert named(doctor(None, "--user", user.name)[1], "not_enrolled") == []
    locked = new_user(password=None)
    assert named(doctor(None, "--user", locked.name)[1], "not_enrolled") == []
    pam_service(STRICT[0], STRICT[1] + " nullok")
    assert named(doctor(None, "--user", new_user().name)[1], "not_enrolled") == []


def test_a_directory_of_a_stack_alone_is_a_failure_whose_remedy_works(
    user, harness, pam_service, host_configuration, register
):
    line = "auth required pam_twofactor.so directory=/var/lib/twofactor/%u"
    service = harness.service("example", line)
    path = pam_service("auth requisite pam_unix.so", line)
    enrolled = user.enroll()
    assert user.log_in(service, enrolled.authenticator.code_at(START), at=START).result != Result.SUCCESS
    (check,) = [check for check in named(doctor(None)[1], "policy") if path in check["detail"]]
    assert check["status"] == "failed"
    assert f"{path}, line 2: directory is /var/lib/twofactor/%u, but it is ~/.twofactor" in check["detail"]
    setting = check["remedy"].removeprefix("in /etc/security/twofactor.conf: ")
    if setting == check["remedy"]:
        # Another stack of this host stays with the default.
        assert check["remedy"].startswith(f"in {path}, line 2: ")
        return
    host_configuration(setting)
    enrolled = user.enroll()
    assert user.log_in(service, enrolled.authenticator.code_at(START), at=START).result == Result.SUCCESS
    assert named(doctor(None)[1], "policy") == []


def test_an_enrollment_of_a_renamed_account_is_found(user, host_configuration, register):
    host_configuration("directory = /var/lib/twofactor/%u")
    user.enroll()
    new = user.name.replace("user", "name")
    run("usermod", "--login", new, user.name)
    (check,) = [check for check in named(doctor(None)[1], "enrollment") if "no such account" in check["detail"]]
    assert check["detail"].startswith(f"/var/lib/twofactor/{user.name} is an enrollment of {user.name}")
    words, command = check["remedy"].splitlines()[0].split(": ")
    assert (words, command.split()[-1]) == ("if the account was renamed", f"/var/lib/twofactor/{new}")
    assert twofactor_json("status", "--user", new)["enabled"] is False
    subprocess.run(command, shell=True, check=True)
    assert twofactor_json("status", "--user", new)["enabled"] is True
    assert not any("no such account" in check["detail"] for check in doctor(None)[1])


def test_a_name_service_that_does_not_enumerate_is_named(user):
    path = Path("/etc/nsswitch.conf")
    before = path.read_text()
    try:
        path.write_text("passwd: files sss\n" + before.replace("passwd:", "# passwd:"))
        (check,) = named(doctor(None)[1], "enrollments")
        users = run(COMMAND, "users").stdout
    finally:
        path.write_text(before)
    assert users.endswith("\nAccounts of sss are not enumerated: only registered ones are listed.\n")
    assert "enumerated" not in run(COMMAND, "users").stdout
    assert check["detail"].endswith("; accounts of sss are not enumerated: only registered ones were checked")
    assert "enumerated" not in named(doctor(None)[1], "enrollments")[0]["detail"]


def test_a_home_that_pam_mount_mounts_is_found(user, pam_service):
    user.enroll()
    path = Path("/etc/security/pam_mount.conf.xml")
    before = path.read_text() if path.exists() else None
    pam_service("auth required pam_twofactor.so", "session optional pam_mount.so")
    try:
        path.write_text(f'<pam_mount>\n<volume user="{user.name}" mountpoint="~" />\n</pam_mount>\n')
        (check,) = named(doctor(None, "--user", user.name)[1], "home")
    finally:
        path.write_text(before) if before is not None else path.unlink()
    assert f"is mounted by pam_mount ({path}, line 2) only after the code is checked" in check["detail"]


@pytest.mark.parametrize("is_enrolled", [True, False])
def test_a_home_that_only_its_user_can_read_is_found(user, service, tmp_path, is_enrolled):
    make_nodes()
    if is_enrolled:
        user.enroll()
    behind = tmp_path / "behind"
    run("cp", "-a", user.home, behind)
    open_to_all(tmp_path)
    for path in user.home.glob(".*"):
        run("rm", "-r", path)
    run("bindfs", "--no-allow-other", behind, user.home, user=user, environment={"PATH": "/usr/bin:/bin"}, cwd="/")
    try:
        login = user.log_in(service("nullok", then="pam_permit.so"))
        (check,) = named(doctor(None, "--user", user.name)[1], "home")
    finally:
        run("umount", user.home)
    # While it is mounted, the helper reads it.
    assert login.result == (Result.CONV_ERR if is_enrolled else Result.SUCCESS)
    assert check["detail"].endswith(
        "is on a FUSE file system (fuse) without allow_other: while it is not mounted, or directory is not "
        f"~/.twofactor, {user.name} is refused"
    )
