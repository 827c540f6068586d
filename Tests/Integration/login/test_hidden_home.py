"""Homes on FUSE that only processes of the user can open: root starts the helper as the user."""

import os
import shutil
import time
from pathlib import Path

import pytest
from rig.clock import time_to_type
from rig.fuse import silent_fuse
from rig.harness import Result
from rig.machine import HELPER, PRODUCT
from rig.power import make_nodes
from rig.process import run
from rig.reachable import open_to_all
from rig.register import REGISTER, create_host_store, registered

DENIED = 'reason=io-error detail="home: cannot be examined: Permission denied"'


@pytest.fixture(autouse=True)
def fuse() -> None:
    make_nodes()
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        pytest.skip(f"this kernel has no FUSE: {error.strerror}")
    Path("/dev/fuse").chmod(0o666)


@pytest.fixture
def hide(user, tmp_path):
    """Mounts FUSE over the home, with its content, without allow_other, as gocryptfs and sshfs do."""

    def mount() -> None:
        behind = tmp_path / "behind"
        open_to_all(tmp_path)
        shutil.copytree(user.home, behind)
        run("chown", "-R", f"{user.uid}:{user.gid}", behind)
        behind.chmod(0o755)
        run("find", user.home, "-mindepth", "1", "-delete")
        run("bindfs", "--no-allow-other", behind, user.home, user=user, environment={"PATH": "/usr/bin:/bin"})
        assert run("ls", user.home, status=None).returncode != 0

    yield mount
    run("umount", user.home, status=None)


def code(enrolled, steps: int = 0) -> str:
    return enrolled.authenticator.code_at(time_to_type(), steps=steps)


def test_codes_are_accepted_once(register, hide, user, service, log):
    enrolled = user.enroll(backup_codes=1)
    hide()
    name, right = service(), code(enrolled)
    results = user.results(name, enrolled.authenticator.wrong_code(time_to_type()), right, right)
    assert results == [Result.AUTH_ERR, Result.SUCCESS, Result.AUTH_ERR]
    assert user.results(name, *enrolled.backup_codes * 2) == [Result.SUCCESS, Result.AUTH_ERR]
    outcomes = [message.text.partition("rhost=- ")[2] for message in log.of_module(5)]
    assert outcomes == [
        "reason=wrong-code failures=1", f"method=totp device={enrolled.device}", "reason=reused-code",
        "method=backup-code backup_codes_left=0", "reason=reused-code",
    ]  # fmt: skip
    assert registered() == [user.uid]
    # The screen locker of the user reads the same state.
    assert user.log_in(name, right, under=user.harness.running_as(user)).result == Result.AUTH_ERR
    assert user.log_in(name, code(enrolled, 1), under=user.harness.running_as(user)).result == Result.SUCCESS


def test_the_login_leaves_the_process_as_it_was(hide, user, service):
    enrolled = user.enroll()
    hide()
    under = ("setpriv", "--groups=4,24,27", "sh", "-c", 'umask 027; cd /usr; exec "$@"', "sh")
    login = user.log_in(service(), code(enrolled), states=True, under=under)
    assert login.result == Result.SUCCESS and login.states["after"] == login.states["before"]


def test_an_absent_enrollment_is_proof_unless_it_is_registered(register, hide, user, service, log):
    hide()
    name = service("nullok", then="pam_permit.so")
    login = user.log_in(name)
    assert login.result == Result.SUCCESS and not login.prompts
    (REGISTER / str(user.uid)).touch()
    shutil.chown(REGISTER / str(user.uid), user.name)
    assert user.log_in(name).result == Result.AUTHINFO_UNAVAIL
    assert "reason=missing-enrollment" in log.of_module(2)[1].text


def test_an_enrollment_in_the_host_store_overrides_it(register, hide, user, service, log):
    enrolled = user.enroll()
    hide()
    create_host_store()
    moved = Path(f"/var/lib/twofactor/users/{user.uid}")
    moved.mkdir(mode=0o700)
    shutil.chown(moved, user.name)
    assert user.log_in(service(), code(enrolled)).result == Result.AUTHINFO_UNAVAIL
    assert "reason=missing-enrollment" in log.of_module(1)[0].text


def test_a_home_that_never_answers_delays_a_login_by_eleven_seconds(user, service, log):
    start = time.monotonic()
    with silent_fuse(user.home, user, allow_other=False):
        assert user.log_in(service(), "123456").result == Result.AUTHINFO_UNAVAIL
        assert 9 < time.monotonic() - start < 13
    assert "twofactor-helper: did not answer: Connection timed out" in log.of_module(1)[0].text


def test_the_helper_must_serve_the_same_directory(host_configuration, hide, user, service, log):
    enrolled = user.enroll()
    hide()
    host_configuration("directory = ~/.other")
    for options in ((), ("nullok",)):
        login = user.log_in(service("directory=~/.twofactor", *options), code(enrolled))
        assert login.result == Result.AUTHINFO_UNAVAIL
    assert "reads no module arguments" in log.of_module(2)[1].text
    # The module does not ask the helper for another directory.
    assert user.log_in(service(), code(enrolled)).result == Result.AUTHINFO_UNAVAIL
    assert DENIED in log.of_module(3)[2].text


def test_without_the_helper_the_failure_is_that_of_the_home(hide, user, service, log):
    enrolled = user.enroll()
    hide()
    HELPER.unlink()
    try:
        assert user.log_in(service("nullok"), code(enrolled)).result == Result.AUTHINFO_UNAVAIL
    finally:
        shutil.copy(PRODUCT / "twofactor-helper", HELPER)
        shutil.chown(HELPER, "root", "_twofactor")
        HELPER.chmod(0o2755)
    assert DENIED in log.of_module(1)[0].text


SHOWN = "Uid|Gid|Groups|Cap(Inh|Prm|Eff|Amb)|NoNewPrivs"


def test_the_helper_has_the_identity_of_the_user_alone(hide, user, service, tmp_path):
    """Replaces the helper by a program that prints its own identity."""
    enrolled = user.enroll()
    run("groupadd", "--force", "another")
    run("usermod", "--append", "--groups", "another", user.name)
    hide()
    shown = tmp_path / "shown"
    shown.touch()
    shown.chmod(0o666)
    HELPER.unlink()
    HELPER.write_text(f"#!/bin/sh\ngrep -E '^({SHOWN}):' /proc/self/status >{shown}\n")
    HELPER.chmod(0o2755)
    try:
        under = ("setpriv", "--inh-caps=+chown,+kill", "--ambient-caps=+chown,+kill", "--securebits=+no_setuid_fixup")
        for before in ((), under):
            shown.write_text("")
            assert user.log_in(service(), code(enrolled), under=before).result == Result.AUTHINFO_UNAVAIL
            lines = dict(line.split(":\t") for line in shown.read_text().splitlines())
            assert lines.pop("CapInh") is not None
            assert set(lines.pop("Groups").split()) == set(run("id", "-G", user.name).stdout.split())
            assert lines == {
                "Uid": "\t".join([str(user.uid)] * 4), "Gid": "\t".join([str(user.gid)] * 4), "NoNewPrivs": "1",
                "CapPrm": "0" * 16, "CapEff": "0" * 16, "CapAmb": "0" * 16,
            }  # fmt: skip
    finally:
        HELPER.unlink()
        shutil.copy(PRODUCT / "twofactor-helper", HELPER)
        shutil.chown(HELPER, "root", "_twofactor")
        HELPER.chmod(0o2755)
