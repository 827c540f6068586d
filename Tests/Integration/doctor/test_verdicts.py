"""`twofactor doctor` agrees with the module: a table of owners, modes and kinds of files, against real logins."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from rig.clock import START
from rig.doctor import doctor
from rig.harness import Result
from rig.process import run
from rig.register import STORE

# Owners: the user, root, and another user.
OWNERS = ("user", "root", "other")
DIRECTORY_MODES = (0o700, 0o755, 0o600, 0o775, 0o1777, 0o000)
FILE_MODES = (0o600, 0o400, 0o640, 0o000)

FILE_KINDS = ("missing", "symlink", "directory", "FIFO", "empty", "garbage", "hard link")
KINDS = (*FILE_KINDS, "unknown version")


def replace(path: Path, kind: str) -> None:
    """Puts something else in the place of a file or directory."""
    kept = path.with_name(path.name + ".kept")
    path.rename(kept)
    if kind == "symlink":
        path.symlink_to(kept)
    elif kind == "directory":
        path.mkdir(0o700)
    elif kind == "FIFO":
        os.mkfifo(path, 0o600)
    elif kind == "empty":
        path.touch(0o600)
    elif kind == "garbage":
        path.write_bytes(b"x" * kept.stat().st_size)
        path.chmod(0o600)
    elif kind == "hard link":
        os.link(kept, path)
    elif kind == "unknown version":
        path.write_bytes(kept.read_bytes().replace(b"twofactor-credential 1", b"twofactor-credential 2"))
        path.chmod(0o600)
    if kind in ("directory", "FIFO", "empty", "garbage", "unknown version"):
        shutil.chown(path, kept.owner(), kept.group())


@pytest.fixture(scope="module")
def same_host(tmp_path_factory):
    """This host below another root."""
    root = tmp_path_factory.mktemp("host")
    run("mount", "--rbind", "/", root)
    run("mount", "--make-rprivate", root)
    yield root
    run("umount", "--recursive", "--lazy", root)


@pytest.fixture(params=["in the home", "outside the home", "in the host store"])
def enrolled(request, user, new_user, service, host_configuration, same_host):
    if request.param == "in the host store":
        request.getfixturevalue("host_store")
    return Enrolled(user, new_user(), service, host_configuration, same_host, request.param)


class Enrolled:
    """A user whose enrollment is restored for each case."""

    def __init__(self, user, other, service, host_configuration, same_host, place) -> None:
        self.user, self.other, self.same_host = user, other, same_host
        self.place = user.home
        arguments = ()
        if place == "outside the home":
            self.place = Path("/srv/codes") / user.name
            self.place.mkdir(mode=0o755, parents=True)
            host_configuration(f"directory = {self.place}/codes")
            arguments = (f"directory={self.place}/codes",)
        elif place == "in the host store":
            self.place = STORE
        self.service = service(*arguments)
        enrollment = user.enroll()
        self.directory, self.authenticator = enrollment.directory, enrollment.authenticator
        self.copy = Path(f"/srv/copy-{user.name}")
        run("cp", "-a", self.place, self.copy)

    def renew(self) -> None:
        # Not the home itself: useradd made it where the tests expect it.
        for entry in self.place.iterdir():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        run("cp", "-aT", self.copy, self.place)

    def own(self, path: Path, owner: str) -> None:
        uid = {"user": self.user.uid, "root": 0, "other": self.other.uid}[owner]
        os.chown(path, uid, uid, follow_symlinks=False)

    def is_let_in(self) -> bool:
        code = self.authenticator.code_at(START)
        return self.user.log_in(self.service, code, at=START).result == Result.SUCCESS

    def says_that_logins_fail(self, root: Path | None) -> bool:
        checks = doctor(root, "--user", self.user.name)[1]
        words = (f"{self.user.name} cannot log in", "codes are refused until")
        return any(word in check["detail"] for check in checks for word in words if self.user.name in check["detail"])

    def disagreements(self, what: str) -> list[str]:
        """Asks doctor first, as the login may change the state."""
        verdicts = {
            "doctor": not self.says_that_logins_fail(None), "--root": not self.says_that_logins_fail(self.same_host)
        }
        login = self.is_let_in()
        return [f"{what}: the login {'passes' if login else 'fails'}, but not by {name}"
                for name, verdict in verdicts.items() if verdict != login]


def test_an_untouched_enrollment_lets_in(enrolled):
    assert enrolled.disagreements("untouched") == []
    enrolled.renew()
    assert enrolled.is_let_in()


def disagreements(enrolled, which: str, owner: str) -> list[str]:
    """Those of all modes of a directory."""
    path, wrong = getattr(enrolled, which), []
    for mode in DIRECTORY_MODES:
        enrolled.renew()
        enrolled.own(path, owner)
        path.chmod(mode)
        wrong += enrolled.disagreements(f"{which} of {owner}, {mode:o}")
    return wrong


# test_host_store tests the directory of the host store.
@pytest.mark.seconds(300)
@pytest.mark.parametrize("owner", OWNERS)
@pytest.mark.parametrize("enrolled", ["in the home", "outside the home"], indirect=True)
def test_places(enrolled, owner):
    assert disagreements(enrolled, "place", owner) == []


@pytest.mark.seconds(300)
@pytest.mark.parametrize("owner", OWNERS)
def test_directories(enrolled, owner):
    assert disagreements(enrolled, "directory", owner) == []


@pytest.mark.seconds(300)
@pytest.mark.parametrize("name", ["credential", "state"])
@pytest.mark.parametrize("directory_owner", ["user", "root"])
def test_files(enrolled, name, directory_owner):
    path, wrong = enrolled.directory / name, []
    for owner in OWNERS:
        for mode in FILE_MODES:
            enrolled.renew()
            for each in (enrolled.directory, *enrolled.directory.iterdir()):
                enrolled.own(each, directory_owner)
            enrolled.own(path, owner)
            path.chmod(mode)
            wrong += enrolled.disagreements(f"{name} of {owner}, {mode:o}, in a directory of {directory_owner}")
    assert wrong == []


@pytest.mark.seconds(300)
def test_kinds(enrolled):
    cases = [
        (name, kind)
        for name in ("credential", "state", ".")
        for kind in KINDS
        if kind in {".": ("symlink", "FIFO", "empty"), "state": FILE_KINDS}.get(name, KINDS)
    ]
    wrong = []
    for name, kind in cases:
        enrolled.renew()
        replace(enrolled.directory if name == "." else enrolled.directory / name, kind)
        wrong += enrolled.disagreements(f"{name}: {kind}")
    assert wrong == []


class TestNotEnrolled:
    """With nullok, a home that proves nothing refuses the user."""

    @pytest.mark.seconds(300)
    @pytest.mark.parametrize("owner", OWNERS)
    def test_homes(self, user, new_user, service, same_host, owner):
        shipped = service("nullok", then="pam_permit.so")
        uid, wrong = {"user": user.uid, "root": 0, "other": new_user().uid}[owner], []
        for mode in DIRECTORY_MODES:
            os.chown(user.home, uid, uid)
            user.home.chmod(mode)
            login = user.log_in(shipped, at=START).result == Result.SUCCESS
            for root in (None, same_host):
                checks = doctor(root, "--user", user.name)[1]
                verdict = not any(f"{user.name} cannot log in" in check["detail"] for check in checks)
                if verdict != login:
                    wrong.append(f"home of {owner}, {mode:o}: the login {'passes' if login else 'fails'} ({root})")
        assert wrong == []

    def test_a_home_that_mkhomedir_would_create_refuses_the_first_login(self, user, harness, log):
        """pam_mkhomedir comes in the session phase: doctor says so for every service that calls it."""
        stack = ["auth required pam_twofactor.so nullok", "auth required pam_permit.so",
                 "session required pam_mkhomedir.so"]
        service = harness.service("first", *stack)
        shutil.rmtree(user.home)
        login = user.log_in(service)
        assert (login.result, login.prompts) == (Result.AUTHINFO_UNAVAIL, [])
        assert " reason=io-error " in log.of_module()[-1].text
        path = Path("/etc/pam.d/first")
        path.write_text("".join(line + "\n" for line in stack))
        try:
            checks = doctor(None, "--user", user.name)[1]
        finally:
            path.unlink()
        (check,) = [check for check in checks if check["name"] == "first_login"]
        assert check["status"] == "warning" and "/etc/pam.d/first, line 3: pam_mkhomedir" in check["detail"]
        (check,) = [check for check in checks if check["name"] == "home"]
        command = check["remedy"].splitlines()[0]
        assert command.endswith(f"mkhomedir_helper {user.name}")
        subprocess.run(command, shell=True, check=True)
        assert user.log_in(service).result == Result.SUCCESS


def test_doctor_leaves_a_damaged_state_as_it_is(user):
    enrolled = user.enroll()
    for damage in (b"", b"x" * 8192, None):
        enrolled.state.write_bytes(damage) if damage is not None else enrolled.state.unlink()
        status, checks = doctor(None, "--user", user.name)
        (check,) = [check for check in checks if check["name"] == "enrollment"]
        assert "codes are refused until" in check["detail"]
        assert (enrolled.state.read_bytes() if enrolled.state.exists() else None) == damage
