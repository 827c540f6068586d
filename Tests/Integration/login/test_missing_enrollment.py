"""An enrolled user whose home exists without its content cannot log in with the password alone."""

import contextlib
import os
import re
import shutil
import stat
import time
from pathlib import Path

import pytest
from rig.clock import START
from rig.enrollment import twofactor
from rig.harness import Result
from rig.machine import CHECKOUT
from rig.mounts import EncryptedDirectory, MountedHome, covered
from rig.process import run
from rig.reachable import open_to_all
from rig.register import PARENT, REGISTER, create_register, registered
from rig.syslog import fresh_log
from rig.user import User

PERMIT = "pam_permit.so"
CANNOT_CHECK = "Two-factor authentication could not be checked. Contact the administrator."

# The rule that the shipped profile adds to common-auth.
SHIPPED = re.findall(r"pam_twofactor\.so(.*)", (CHECKOUT / "pam/pam-configs/twofactor").read_text())[0].split()


@pytest.fixture
def shipped(service) -> str:
    assert SHIPPED == ["nullok"]
    return service(*SHIPPED, then=PERMIT)


def log_in_with_code(user, service: str, enrolled, at: float = START, **options):
    login = user.log_in(service, enrolled.authenticator.code_at(at), at=at, **options)
    assert login.result == Result.SUCCESS, login
    return login


def assert_missing(user, service: str) -> str:
    """Asserts that a login is refused without a question. Returns the line of the log."""
    log = fresh_log()
    login = user.log_in(service, at=START + 60)
    assert (login.result, login.prompts) == (Result.AUTHINFO_UNAVAIL, []), login
    assert login.messages == [CANNOT_CHECK]
    (message,) = log.of_module(1)
    assert message.priority == "authpriv.err"
    assert f"denied user={user.name} rhost=- reason=missing-enrollment detail=" in message.text
    return message.text


def test_an_entry_that_its_user_could_not_remove_is_not_kept(user, shipped, register):
    """In a service without CAP_CHOWN. The next login elsewhere adds the entry."""
    enrolled = user.enroll()
    (register / str(user.uid)).unlink()
    under = ("strace", "-f", "-o", "/dev/null", "-e", "inject=fchown:error=EPERM")
    log_in_with_code(user, shipped, enrolled, under=under)
    assert registered() == []
    log_in_with_code(user, shipped, enrolled, at=START + 90)
    assert registered() == [user.uid]


def test_a_covered_home_is_no_proof(user, shipped, register):
    enrolled = user.enroll()
    log_in_with_code(user, shipped, enrolled)
    with covered(user.home, owner=user, mode="700"):
        assert "registered" in assert_missing(user, shipped)
    log_in_with_code(user, shipped, enrolled, at=START + 90)


def test_a_home_that_is_not_mounted_is_no_proof(user, shipped, register, tmp_path):
    """The mount point belongs to the user, as with a home on a network file system or another disk."""
    home = MountedHome(user, tmp_path)
    home.mount()
    try:
        log_in_with_code(user, shipped, user.enroll())
    finally:
        home.unmount()
    assert_missing(user, shipped)


def test_a_home_that_is_mounted_after_the_question_is_no_proof(user, harness, register, tmp_path):
    """pam_mount behind the module: the user is asked, and registered, only while the home is mounted."""
    home = MountedHome(user, tmp_path)
    script = tmp_path / "mount-home"
    script.write_text(f"#!/bin/sh\nexec mount -o loop {home.image} {home.path}\n")
    script.chmod(0o755)
    mount, ask = f"auth required pam_exec.so seteuid {script}", "auth required pam_twofactor.so nullok"
    before = harness.service("mounts-before", mount, ask, f"auth required {PERMIT}")
    after = harness.service("mounts-after", ask, mount, f"auth required {PERMIT}")
    home.mount()
    try:
        enrolled = user.enroll()
    finally:
        home.unmount()
    log_in_with_code(user, before, enrolled)
    home.unmount()
    assert_missing(user, after)
    # The rule is `required`, so the stack mounted the home after the refusal.
    home.unmount()


def test_a_covered_home_of_root_is_no_proof(harness, shipped, register):
    root = User("root", "", harness)
    enrolled = root.enroll()
    try:
        log_in_with_code(root, shipped, enrolled)
        assert registered() == [0]
        with covered(root.home, mode="700"):
            assert_missing(root, shipped)
    finally:
        twofactor("disable", "--user", "root")


@pytest.mark.parametrize("where", ["before the day", "outside the groups"])
def test_no_exemption_takes_a_covered_home_for_proof(user, service, register, where):
    arguments = {"before the day": ["required_from=2999-01-01"], "outside the groups": ["only_groups=root"]}[where]
    enrolled = user.enroll()
    log_in_with_code(user, service(), enrolled)
    with covered(user.home, owner=user):
        assert_missing(user, service(*arguments, then=PERMIT))


def test_without_an_exemption_a_missing_enrollment_is_asked_for(user, service, register, log):
    """The register is not read: the user is refused in any case, and the answer does not reveal who is enrolled."""
    log_in_with_code(user, service(), user.enroll())
    with covered(user.home, owner=user):
            login = user.log_in(service(), "123456", at=START + 60)
    assert (login.result, len(login.prompts), login.messages) == (Result.AUTH_ERR, 1, [])
    assert log.of_module(2)[1].text.endswith("reason=not-enrolled")


class TestHostStore:
    """Enrollments below /var/lib/twofactor, which can be a file system of its own."""

    TEMPLATE = "directory=/var/lib/twofactor/%u"

    @pytest.fixture
    def stored(self, service, host_configuration) -> str:
        host_configuration("directory = /var/lib/twofactor/%u")
        return service(self.TEMPLATE, *SHIPPED, then=PERMIT)

    def test_a_covered_store_is_no_proof(self, user, stored, register):
        enrolled = user.enroll()
        assert enrolled.directory.parent == PARENT
        log_in_with_code(user, stored, enrolled)
        with covered(PARENT):
            assert "register" in assert_missing(user, stored)
        log_in_with_code(user, stored, enrolled, at=START + 90)

    def test_no_boot_creates_a_register_on_the_mount_point(self, user, stored, register):
        """An empty register there would say that no user is enrolled."""
        fragment = CHECKOUT / "pam/systemd/tmpfiles.conf"
        if not shutil.which("systemd-tmpfiles"):
            pytest.skip("this host has no systemd-tmpfiles")
        log_in_with_code(user, stored, user.enroll())
        with covered(PARENT):
            run("systemd-tmpfiles", "--create", fragment)
            assert "register" in assert_missing(user, stored)
        PARENT.chmod(0o777)
        REGISTER.chmod(0o755)
        run("systemd-tmpfiles", "--create", fragment)
        assert [stat.S_IMODE(path.stat().st_mode) for path in (PARENT, REGISTER)] == [0o755, 0o1730]

    def test_a_store_without_its_register_is_no_proof(self, user, stored, register):
        REGISTER.rmdir()
        assert_missing(user, stored)
        create_register()
        assert user.log_in(stored).result == Result.SUCCESS

    def test_a_store_elsewhere_needs_no_register(self, user, service, register, tmp_path):
        REGISTER.rmdir()
        store = Path("/var/lib/twofactor-elsewhere")
        store.mkdir()
        assert user.log_in(service(f"directory={store}/%u", "nullok", then=PERMIT)).result == Result.SUCCESS


class TestEncryptedHome:
    """A home that fscrypt encrypts: without the key its names are scrambled, and `.twofactor` is not found."""

    @pytest.fixture
    def home(self, user, tmp_path):
        disk = MountedHome(user, tmp_path)
        disk.path = tmp_path / "disk"
        disk.path.mkdir()
        disk.mount()
        tmp_path.chmod(0o755)
        path = disk.path / "home"
        path.mkdir(mode=0o755)
        os.chown(path, user.uid, user.gid)
        try:
            encrypted = EncryptedDirectory(disk.path, path)
        except OSError as error:
            disk.unmount()
            pytest.skip(f"this kernel has no fscrypt on ext4: {error.strerror}")
        run("usermod", "--home", path, user.name)
        open_to_all(path.parent)
        yield encrypted
        disk.unmount()

    def test_an_absent_key_is_no_proof(self, user, home, shipped):
        """Without a register, too."""
        enrolled = user.enroll()
        home.lock()
        text = assert_missing(user, shipped)
        assert 'detail="home: is encrypted, and its key is absent"' in text
        home.unlock()
        log_in_with_code(user, shipped, enrolled)

    def test_an_unlocked_home_is_proof(self, user, home, shipped):
        assert user.log_in(shipped).result == Result.SUCCESS

    def test_an_encrypted_directory_in_the_home_is_no_proof(self, user, home, service):
        """The home itself is readable; only the parent of the enrollment is encrypted."""
        name = service("directory=~/home/.twofactor", "nullok", then=PERMIT)
        path = user.home
        run("usermod", "--home", path.parent, user.name)
        os.chown(path.parent, user.uid, user.gid)
        home.lock()
        assert "a parent of the directory: is encrypted" in assert_missing(user, name)


class TestRegistration:
    """An accepted login registers the user."""

    def entry(self, user) -> os.stat_result:
        return (REGISTER / str(user.uid)).lstat()

    def assert_registered(self, user) -> None:
        status = self.entry(user)
        # In the sticky directory, the user's helper can remove only entries that the user owns.
        assert (stat.S_IMODE(status.st_mode), stat.S_ISREG(status.st_mode)) == (0o600, True)
        assert (status.st_uid, status.st_gid, status.st_size) == (user.uid, 0, 0)

    @pytest.mark.parametrize("mask", [0o000, 0o777], ids=oct)
    def test_the_first_accepted_login_registers_the_user(self, user, service, register, mask):
        enrolled = user.enroll()
        (REGISTER / str(user.uid)).unlink(missing_ok=True)
        name = service()
        assert user.log_in(name, enrolled.authenticator.wrong_code(START), at=START).result == Result.AUTH_ERR
        assert registered() == []
        earlier = os.umask(mask)
        try:
            log_in_with_code(user, name, enrolled)
        finally:
            os.umask(earlier)
        self.assert_registered(user)
        before = self.entry(user)
        log_in_with_code(user, name, enrolled, at=START + 60)
        assert (before.st_ino, before.st_mtime_ns) == (self.entry(user).st_ino, self.entry(user).st_mtime_ns)

    def test_a_backup_code_and_a_grace_period_register_the_user(self, user, service, register):
        enrolled = user.enroll(backup_codes=1)
        name = service("grace_period=600")
        assert user.log_in(name, enrolled.backup_codes[0], at=START, rhost="192.0.2.1").result == Result.SUCCESS
        self.assert_registered(user)
        (REGISTER / str(user.uid)).unlink()
        assert user.log_in(name, at=START + 1, rhost="192.0.2.1").result == Result.SUCCESS
        self.assert_registered(user)

    def test_a_user_who_is_exempt_is_not_registered(self, user, shipped, register):
        assert user.log_in(shipped).result == Result.SUCCESS
        assert registered() == []

    @pytest.mark.parametrize("damage", ["full", "read-only", "a directory in place of the entry"])
    def test_a_user_who_cannot_be_registered_logs_in(self, user, service, register, damage):
        enrolled = user.enroll()
        (REGISTER / str(user.uid)).unlink(missing_ok=True)
        with contextlib.ExitStack() as stack:
            if damage == "full":
                run("mount", "-t", "tmpfs", "-o", "nr_inodes=1,mode=1730", "full", REGISTER)
                stack.callback(run, "umount", REGISTER)
            elif damage == "read-only":
                run("mount", "-t", "tmpfs", "-o", "ro,mode=1730", "read-only", REGISTER)
                stack.callback(run, "umount", REGISTER)
            else:
                (REGISTER / str(user.uid)).mkdir()
            log_in_with_code(user, service(), enrolled)

    def test_a_program_that_is_not_root_registers_nobody(self, user, harness, service, register):
        """A screen locker cannot search the register, so an absent enrollment is proof enough there."""
        enrolled = user.enroll()
        (REGISTER / str(user.uid)).unlink(missing_ok=True)
        name, lax = service(), service("nullok", then=PERMIT)
        now = time.time()
        login = user.log_in(name, enrolled.authenticator.code_at(now), under=harness.running_as(user))
        assert login.result == Result.SUCCESS and registered() == []
        log_in_with_code(user, name, enrolled, at=now + 60)
        assert registered() == [user.uid]
        with covered(user.home, owner=user):
            assert user.log_in(lax, under=harness.running_as(user)).result == Result.SUCCESS


class TestUnenrolled:
    """Users who never enrolled, under the shipped rule."""

    def test_a_user_who_is_not_registered_passes(self, user, shipped, register, log):
        assert user.log_in(shipped).result == Result.SUCCESS
        assert log.of_module(1)[0].text.endswith("method=exempt")

    def test_without_a_register_absence_suffices(self, user, shipped):
        assert not REGISTER.exists()
        log_in_with_code(user, shipped, user.enroll())
        assert not REGISTER.exists()
        with covered(user.home, owner=user):
            assert user.log_in(shipped).result == Result.SUCCESS

    def test_a_user_whom_root_took_off_the_register_passes(self, user, shipped, register):
        log_in_with_code(user, shipped, user.enroll())
        with covered(user.home, owner=user):
            assert_missing(user, shipped)
            (REGISTER / str(user.uid)).unlink()
            assert user.log_in(shipped).result == Result.SUCCESS


    def test_a_register_behind_a_symlink_of_root_is_trusted(self, user, shipped, register, tmp_path):
        """Hosts whose /var was moved to another disk."""
        enrolled = user.enroll()
        real = tmp_path / "lib"
        real.mkdir()
        run("mount", "--bind", "/var/lib", real)
        try:
            with covered(Path("/var")):
                Path("/var/lib").symlink_to(real)
                assert user.log_in(shipped, "", at=START).prompts
                log_in_with_code(user, shipped, enrolled)
                assert registered() == [user.uid]
                with covered(user.home, owner=user):
                    assert_missing(user, shipped)
        finally:
            run("umount", real)

    def test_a_symlink_into_a_directory_of_another_user_is_not_trusted(self, user, shipped, register, tmp_path):
        real = tmp_path / "lib"
        real.mkdir()
        os.chown(real, 1, 0)
        with covered(Path("/var")):
            Path("/var/lib").symlink_to(real)
            assert user.log_in(shipped).result == Result.AUTHINFO_UNAVAIL


def owned_by_another(path: Path) -> None:
    os.chown(path, 1, 0)


def writable_by_all(path: Path) -> None:
    path.chmod(0o1777)


def a_file(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.touch()


def a_symlink(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


class TestUntrustedRegister:
    """A register that cannot be read or trusted: refused if absence would let the user pass, and only then."""

    @pytest.fixture(autouse=True)
    def put_back(self, register):
        yield
        elsewhere = PARENT.with_name("elsewhere")
        if elsewhere.exists():
            PARENT.unlink()
            elsewhere.rename(PARENT)

    @pytest.mark.parametrize("path", [REGISTER, PARENT], ids=["register", "parent"])
    @pytest.mark.parametrize("damage", [owned_by_another, writable_by_all, a_file, a_symlink], ids=lambda it: it.__name__)
    def test_absence_is_no_proof(self, user, service, shipped, log, path, damage):
        damage(path)
        login = user.log_in(shipped)
        assert (login.result, login.prompts, login.messages) == (Result.AUTHINFO_UNAVAIL, [], [CANNOT_CHECK])
        (message,) = log.of_module(1)
        assert message.priority == "authpriv.err" and " reason=io-error detail=" in message.text
        assert "register" in message.text
        enrolled = user.enroll()
        log_in_with_code(user, shipped, enrolled)
        log_in_with_code(user, service(), enrolled, at=START + 60)

    @pytest.mark.parametrize(
        ("call", "path"),
        [("openat", PARENT.parent), ("openat", PARENT), ("newfstatat", PARENT), ("newfstatat", REGISTER)],
        ids=lambda it: getattr(it, "name", it),
    )
    def test_a_failing_call_is_no_proof(self, user, shipped, call, path):
        """Each call of this name that accesses the path fails."""
        under = ("strace", "-f", "-o", "/dev/null", "-P", path, "-e", f"inject={call}:error=EIO")
        assert user.log_in(shipped, under=under).result == Result.AUTHINFO_UNAVAIL
