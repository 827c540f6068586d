"""`twofactor doctor` on the register of enrolled users, mounted and encrypted homes, and remote groups."""

import os
import re
import shutil
import stat
from pathlib import Path

import pytest
from rig.doctor import doctor, findings, found, only
from rig.host_corpus import CONF
from rig.host_trees import DEBIAN_12, LINE, REGISTER, SSHD_SETTINGS, after, build, change, good
from rig.mounts import EncryptedDirectory, MountedHome, covered
from rig.process import run
from rig.reachable import open_to_all
from rig.register import PARENT, remove_register
from rig.register import REGISTER as OF_THIS_HOST


def named(checks: list[dict], name: str) -> list[dict]:
    """The warnings and failures of one name."""
    return [check for check in findings(checks) if check["name"] == name]


class TestTree:
    """A host tree: what its files show."""

    @pytest.fixture
    def root(self, tmp_path) -> Path:
        return build(tmp_path / "host", good())

    def test_a_missing_register_is_found_if_users_may_pass(self, root):
        shutil.rmtree(root / "var/lib/twofactor")
        check = only(doctor(root)[1], "warning")
        assert check["name"] == "register" and "/etc/pam.d/sshd, line 2" in check["detail"]

    def test_a_missing_register_is_accepted_if_all_users_are_asked(self, tmp_path):
        line = LINE.replace(" nullok", "")
        stack = after(DEBIAN_12["etc/pam.d/sshd"], "@include common-auth", line)
        root = build(tmp_path / "host", {**DEBIAN_12, **SSHD_SETTINGS, "etc/pam.d/sshd": stack})
        shutil.rmtree(root / "var/lib/twofactor")
        assert found(doctor(root)[1]) == set()

    def test_a_missing_register_fails_beside_the_enrollments(self, tmp_path):
        root = build(tmp_path / "host", {**good(), CONF: "directory = /var/lib/twofactor/%u\n"})
        assert found(doctor(root)[1]) == set()
        (root / REGISTER).rmdir()
        check = only(doctor(root)[1], "failed")
        assert check["name"] == "register" and "refuses users who are not enrolled" in check["detail"]

    WRONG = {
        "mode": (dict(mode=0o1770), REGISTER, f"chmod 1730 /{REGISTER}"),
        "owner": (dict(owner=4201), REGISTER, f"chown root:_twofactor /{REGISTER} && chmod 1730 /{REGISTER}"),
        "mode of the parent": (dict(mode=0o777), "var/lib/twofactor", "chmod o-w /var/lib/twofactor"),
        "owner of the parent": (dict(owner=4201), "var/lib/twofactor", "chown root /var/lib/twofactor"),
    }

    @pytest.mark.parametrize("what", WRONG)
    def test_a_register_that_logins_do_not_trust_is_found_with_its_remedy(self, root, what):
        changes, path, remedy = self.WRONG[what]
        change(root, path, **changes)
        check = only(doctor(root)[1], "failed")
        assert (check["name"], check["remedy"]) == ("register", remedy)
        # Ignores /etc/group of the sandbox, in which the tree's group has no name.
        run("sh", "-ec", remedy.replace("_twofactor", "990").replace(" /var", f" {root}/var"))
        assert found(doctor(root)[1]) == set()

    def test_a_registered_user_without_an_enrollment_is_found(self, root):
        (root / REGISTER / "4201").touch()
        check = only(doctor(root)[1], "failed")
        assert check["name"] == "enrollment" and check["detail"].startswith("alice cannot log in: ")
        assert check["remedy"].endswith("twofactor disable --user alice")
        shutil.rmtree(root / "home")
        # An image seldom contains the homes.
        assert found(doctor(root)[1]) == set()

    def test_a_registered_user_without_an_account_is_found(self, root):
        for name in ("4301", "notes", "-1", "4294967296"):
            (root / REGISTER / name).touch()
        check = only(doctor(root)[1], "warning")
        assert check["name"] == "register" and "user ID 4301, " in check["detail"]
        assert check["remedy"].splitlines()[1] == f"rm /{REGISTER}/4301"
        assert found(doctor(root, "--user", "alice")[1]) == set()

    @pytest.mark.parametrize("option", ["only_groups", "exempt_groups"])
    def test_remote_groups_are_found(self, tmp_path, option):
        files = {**good(), CONF: f"{option} = staff\n", "etc/nsswitch.conf": "passwd: files\ngroup: files sss\n"}
        root = build(tmp_path / "host", files)
        check = only(doctor(root)[1], "warning")
        assert check["name"] == "group_sources" and f"{option} depends on the groups that sss reports" in check["detail"]
        assert check["remedy"].startswith("compare: getent group staff && id USER\n")
        (root / "etc/nsswitch.conf").write_text("group: files systemd\n")
        assert found(doctor(root)[1]) == set()


class TestThisHost:
    """The sandbox itself."""

    @pytest.fixture(autouse=True)
    def stack(self, system_service, register):
        system_service("register-check", "auth requisite pam_unix.so", "auth required pam_twofactor.so nullok")

    def test_the_remedy_creates_the_register(self):
        assert named(doctor(None, "--user", "root")[1], "register") == []
        remove_register()
        (check,) = named(doctor(None, "--user", "root")[1], "register")
        assert check["status"] == "warning"
        run("sh", "-c", check["remedy"])
        assert named(doctor(None, "--user", "root")[1], "register") == []
        assert [stat.S_IMODE(path.stat().st_mode) for path in (PARENT, OF_THIS_HOST)] == [0o755, 0o1730]

    def test_a_registered_user_without_an_enrollment_is_found(self, user, new_user):
        other = new_user()
        for account in (user, other):
            account.enroll()
            (OF_THIS_HOST / str(account.uid)).touch()
        with covered(user.home, owner=user):
            status, checks = doctor(None)
        assert status == 78
        missing = [check for check in named(checks, "enrollment") if "registered as enrolled" in check["detail"]]
        assert [check["detail"].split()[0] for check in missing] == [user.name]
        assert missing[0]["remedy"].endswith(f"twofactor disable --user {user.name}")

    def test_a_registered_user_without_an_account_is_found(self, new_user):
        user = new_user()
        (OF_THIS_HOST / str(user.uid)).touch()
        uid = user.uid
        run("userdel", user.name)
        (check,) = named(doctor(None)[1], "register")
        assert check["status"] == "warning" and f"the user ID {uid}, " in check["detail"]

    def test_a_home_of_its_own_is_found(self, user, tmp_path):
        home = MountedHome(user, tmp_path)
        home.mount()
        try:
            user.enroll()
            (check,) = named(doctor(None, "--user", user.name)[1], "home")
            assert "is a mount of its own (ext4): while it is not mounted" in check["detail"]
            assert check["status"] == "warning" and "outside the homes" in check["remedy"]
        finally:
            home.unmount()

    def test_an_encrypted_home_is_found(self, user, tmp_path):
        disk = MountedHome(user, tmp_path)
        disk.path = tmp_path / "disk"
        disk.path.mkdir()
        disk.mount()
        open_to_all(tmp_path)
        path = disk.path / "home"
        path.mkdir(mode=0o755)
        os.chown(path, user.uid, user.gid)
        run("usermod", "--home", path, user.name)
        try:
            encrypted = EncryptedDirectory(disk.path, path)
            user.enroll()
            (check,) = named(doctor(None, "--user", user.name)[1], "home")
            assert re.search("is encrypted with fscrypt: while its key is absent, .* is refused", check["detail"])
            encrypted.lock()
            (check,) = named(doctor(None, "--user", user.name)[1], "home")
            assert "cannot log in, enrolled or not: " in check["detail"] and "its key is absent" in check["detail"]
        except OSError as error:
            pytest.skip(f"this kernel has no fscrypt on ext4: {error.strerror}")
        finally:
            disk.unmount()
