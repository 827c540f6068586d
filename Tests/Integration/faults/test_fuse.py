"""A FUSE file system inside a home, whose program never answers, holds up no login, no `users` and no doctor."""

import json
import os
import time

import pytest
from rig.clock import START
from rig.enrollment import twofactor, twofactor_json
from rig.fuse import fuse_home, silent_fuse
from rig.harness import Result
from rig.process import run
from rig.syslog import fresh_log

# `users` and doctor wait five seconds for an account.
LIMIT = 5
QUICK = 3

PLACES = {
    "the directory": lambda enrolled: enrolled.directory,
    "the credential": lambda enrolled: enrolled.credential,
    "the state": lambda enrolled: enrolled.state,
}


@pytest.fixture
def other(new_user):
    """An account that `users` lists after the first one."""
    return new_user()


def seconds(action) -> float:
    start = time.monotonic()
    action()
    return time.monotonic() - start


def assert_refused_quickly(user, service: str, reply: str, subject: str) -> None:
    log = fresh_log()
    logins = []
    assert seconds(lambda: logins.append(user.log_in(service, reply, at=START, timeout=20))) < QUICK
    assert logins[0].result == Result.AUTHINFO_UNAVAIL
    text = log.of_module(1)[0].text
    assert f'reason=insecure-file detail="{subject}: is on a FUSE file system' in text, text


@pytest.mark.parametrize("place", PLACES)
def test_a_login_is_refused_at_once(user, service, place):
    enrolled = user.enroll()
    code = enrolled.authenticator.code_at(START)
    name = service("nullok", then="pam_permit.so")
    path = PLACES[place](enrolled)
    with silent_fuse(path, user):
        assert_refused_quickly(user, name, code, path.name if place != "the directory" else "directory")
    assert user.log_in(name, code, at=START).result == Result.SUCCESS


def test_a_parent_of_the_directory_is_refused_at_once(user, service, host_configuration):
    host_configuration("directory = ~/a/b")
    enrolled = user.enroll()
    name = service("directory=~/a/b", "nullok", then="pam_permit.so")
    with silent_fuse(user.home / "a", user):
        assert_refused_quickly(user, name, enrolled.authenticator.code_at(START), "a parent of the directory")


def test_a_directory_of_the_user_outside_the_homes_is_refused_at_once(user, service, host_configuration):
    template = "/srv/twofactor-of-tests/%u"
    host_configuration(f"directory = {template}")
    enrolled = user.enroll()
    run("chown", "-R", f"{user.name}:", enrolled.directory)
    name = service(f"directory={template}", "nullok", then="pam_permit.so")
    with silent_fuse(enrolled.directory, user):
        assert_refused_quickly(user, name, enrolled.authenticator.code_at(START), "directory")
    assert user.log_in(name, enrolled.authenticator.code_at(START), at=START).result == Result.SUCCESS


@pytest.mark.parametrize("place", PLACES)
def test_users_and_doctor_name_the_account_at_once(user, other, place):
    enrolled = user.enroll()
    other.enroll()
    with silent_fuse(PLACES[place](enrolled), user):
        start = time.monotonic()
        listed = {entry["user"]: entry for entry in twofactor_json("users", timeout=20)["users"]}
        assert "FUSE" in listed[user.name]["error"] and listed[user.name]["enabled"] is None
        assert listed[other.name]["enabled"] is True
        checks = json.loads(twofactor("doctor", "--json", timeout=20, status=None).stdout)["checks"]
        assert [check for check in checks if user.name in check["detail"] and "FUSE" in check["detail"]], checks
        assert time.monotonic() - start < 2 * QUICK


def test_users_and_doctor_do_not_wait_for_a_home_that_does_not_answer(user, other):
    """Nothing proves that a home is on a FUSE file system without a request to it, and many are legitimate."""
    user.enroll()
    other.enroll()
    with silent_fuse(user.home, user):
        start = time.monotonic()
        listed = {entry["user"]: entry for entry in twofactor_json("users", timeout=30)["users"]}
        assert f"did not answer within {LIMIT} seconds" in listed[user.name]["error"]
        assert listed[other.name]["enabled"] is True
        table = twofactor("users", timeout=30).stdout
        assert f"did not answer within {LIMIT} seconds" in table and f"\n{other.name} " in table
        checks = json.loads(twofactor("doctor", "--json", timeout=40, status=None).stdout)["checks"]
        found = [check for check in checks if check["detail"].startswith(f"{user.name} cannot log in")]
        assert len(found) == 1 and "does not answer" in found[0]["detail"], found
        assert time.monotonic() - start < 3 * (LIMIT + QUICK)


def test_leftovers_on_fuse_hold_up_no_command(user):
    """The names that a killed command leaves behind."""
    places = [user.home / f".twofactor.{kind}-1" for kind in ("new", "removed")]
    for place in places:
        place.mkdir()
        os.chown(place, user.uid, user.gid)
        os.utime(place, (0, 0))
    with silent_fuse(places[0], user), silent_fuse(places[1], user):
        assert seconds(user.enroll) < 2 * QUICK
        assert seconds(lambda: user.enroll(again=True)) < 2 * QUICK


def test_another_file_system_inside_the_home_is_used_as_before(user, service):
    directory = user.home / ".twofactor"
    directory.mkdir()
    run("mount", "-t", "tmpfs", "-o", f"mode=700,uid={user.uid},gid={user.gid}", "inside", directory)
    try:
        # The command creates the directory itself, so the files come from another enrollment.
        (user.home / "elsewhere").mkdir()
        os.chown(user.home / "elsewhere", user.uid, user.gid)
        run("usermod", "--home", user.home / "elsewhere", user.name)
        made = user.enroll()
        run("usermod", "--home", directory.parent, user.name)
        for file in made.directory.iterdir():
            run("cp", "-a", file, directory)
        assert user.log_in(service(), made.authenticator.code_at(START), at=START).result == Result.SUCCESS
    finally:
        run("umount", directory)


def test_a_home_on_fuse_is_used(user, service, tmp_path):
    with fuse_home(user, tmp_path):
        enrolled = user.enroll(backup_codes=1)
        code = enrolled.authenticator.code_at(START)
        assert user.results(service(), code, code, enrolled.backup_codes[0], at=START) == [0, Result.AUTH_ERR, 0]


def test_on_a_kernel_without_the_call_logins_work(user, service):
    """openat2(2) is missing before Linux 5.6, and old seccomp filters deny it."""
    enrolled = user.enroll()
    for number, error in enumerate(("ENOSYS", "EPERM")):
        under = ("strace", "-f", "-o", "/dev/null", "-e", f"inject=openat2:error={error}")
        code = enrolled.authenticator.code_at(START, steps=number)
        assert user.log_in(service(), code, at=START + 30 * number, under=under).result == Result.SUCCESS
