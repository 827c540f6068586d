"""`twofactor doctor` and `twofactor users` on the host store: its directory, its helper, and misplaced enrollments."""

import contextlib
import json
import os
import shutil
import stat
from pathlib import Path

import pytest
from rig.clock import START
from rig.doctor import doctor, findings, found, only
from rig.enrollment import twofactor, twofactor_json
from rig.harness import Result
from rig.host_corpus import CONF
from rig.host_trees import HELPER as HELPER_OF_TREE
from rig.host_trees import STORE as STORE_OF_TREE
from rig.host_trees import build, change, good
from rig.machine import COMMAND, HELPER
from rig.process import run
from rig.register import REGISTER, STORE, registered

PERMIT = "pam_permit.so"
GROUP = "_twofactor"
LOCKOUT = "every login is refused"
SELF_SERVICE = "users cannot change their enrollments"


def named(checks: list[dict], name: str) -> list[dict]:
    """The warnings and failures of one name."""
    return [check for check in findings(checks) if check["name"] == name]


def failure() -> dict | None:
    """The finding about the host store of the sandbox."""
    checks = named(doctor(None, "--user", "root")[1], "host_store")
    assert len(checks) < 2 and all(check["status"] == "failed" for check in checks)
    return checks[0] if checks else None


class TestTree:
    """Findings about the files of a host tree."""

    @pytest.fixture
    def root(self, tmp_path) -> Path:
        root = build(tmp_path / "host", {**good(), CONF: "store = host\n"})
        assert found(doctor(root)[1]) == set()
        return root

    STORE_REMEDY = f"chown root:{GROUP} /{STORE_OF_TREE} && chmod 1730 /{STORE_OF_TREE}"
    HELPER_REMEDY = f"chown root:{GROUP} /{HELPER_OF_TREE} && chmod 2755 /{HELPER_OF_TREE}"
    WRONG = {
        "mode": (STORE_OF_TREE, dict(mode=0o1770), "instead of 1730", f"chmod 1730 /{STORE_OF_TREE}"),
        "not sticky": (STORE_OF_TREE, dict(mode=0o730), LOCKOUT, f"chmod 1730 /{STORE_OF_TREE}"),
        "owner": (STORE_OF_TREE, dict(owner=4201), LOCKOUT, STORE_REMEDY),
        "group": (STORE_OF_TREE, dict(owner=0, group=0, mode=0o1730), SELF_SERVICE, STORE_REMEDY),
        "helper's mode": (HELPER_OF_TREE, dict(mode=0o755), SELF_SERVICE, HELPER_REMEDY),
        "helper's bits": (HELPER_OF_TREE, dict(mode=0o6755), SELF_SERVICE, HELPER_REMEDY),
        "helper's owner": (HELPER_OF_TREE, dict(owner=4201, group=990, mode=0o2755), SELF_SERVICE, HELPER_REMEDY),
        "helper's group": (HELPER_OF_TREE, dict(owner=0, group=0, mode=0o2755), SELF_SERVICE, HELPER_REMEDY),
    }

    @pytest.mark.parametrize("what", WRONG)
    def test_a_wrong_owner_group_or_mode_is_found_with_its_remedy(self, root, what):
        path, changes, words, remedy = self.WRONG[what]
        change(root, path, **changes)
        check = only(doctor(root)[1], "failed")
        assert (check["name"], check["remedy"]) == ("host_store", remedy) and words in check["detail"]
        # Ignores /etc/group of the sandbox, in which the tree's group has no name.
        command = remedy.replace(GROUP, "990").replace(" /", f" {root}/")
        run("sh", "-ec", command)
        assert found(doctor(root)[1]) == set()

    def test_a_parent_that_logins_do_not_trust_is_found(self, root):
        # The directory of the register may have this mode.
        change(root, "var/lib/twofactor", mode=0o775)
        check = only(doctor(root)[1], "failed")
        assert check["name"] == "host_store" and check["remedy"] == "chmod go-w /var/lib/twofactor"

    def test_a_link_of_root_to_another_disk_is_followed(self, root, user):
        enrolled = user.enroll(backup_codes=10)
        run("cp", "-a", enrolled.directory, root / STORE_OF_TREE / "4201")
        run("chown", "-R", "4201:4201", root / STORE_OF_TREE / "4201")
        (root / "var/lib").rename(root / "disk")
        (root / "var/lib").symlink_to("/disk")
        shutil.rmtree(root / "home")
        checks = doctor(root)[1]
        assert found(checks) == set()
        assert any(check["detail"].startswith("1 of 2 accounts") for check in checks)

    def test_a_host_store_that_nothing_selects_is_not_checked(self, root):
        (root / CONF).unlink()
        shutil.rmtree(root / STORE_OF_TREE)
        (root / HELPER_OF_TREE).unlink()
        assert not any(check["name"] == "host_store" for check in doctor(root)[1])

    def test_a_missing_helper_is_found(self, root):
        (root / HELPER_OF_TREE).unlink()
        assert only(doctor(root)[1], "failed")["detail"].startswith("twofactor-helper is not installed: ")

    def test_an_account_without_a_login_shell_is_examined_if_it_is_enrolled(self, root):
        (root / STORE_OF_TREE / "1").mkdir(mode=0o700)
        os.chown(root / STORE_OF_TREE / "1", 1, 1)
        check = only(doctor(root)[1], "failed")
        assert check["detail"].startswith(f"daemon cannot log in: /{STORE_OF_TREE}/1/credential is missing")

    @pytest.mark.parametrize("store", ["home", "host"])
    def test_an_enrollment_without_an_account_is_found(self, root, user, store):
        enrolled = user.enroll()
        (root / CONF).write_text(f"store = {store}\n")
        run("cp", "-a", enrolled.directory, root / STORE_OF_TREE / "4301")
        check = only(doctor(root)[1], "warning")
        assert check["detail"].startswith(f"/{STORE_OF_TREE}/4301 is an enrollment of the user ID 4301, ")
        run(*check["remedy"].replace(" /", f" {root}/").split())
        assert found(doctor(root)[1]) == set()


class TestThisHost:
    """Findings about the sandbox."""

    def test_the_remedy_creates_the_directory(self, host_store):
        assert failure() is None
        host_store.rmdir()
        check = failure()
        assert check["detail"] == f"{STORE} does not exist: users cannot enroll, and every login is refused"
        run("sh", "-ec", check["remedy"])
        assert failure() is None and stat.S_IMODE(STORE.stat().st_mode) == 0o1730

    @pytest.mark.parametrize("word", ["--append --groups", "--gid"])
    def test_the_remedy_takes_a_user_out_of_the_group(self, host_store, user, word):
        run("usermod", *word.split(), GROUP, user.name)
        check = failure()
        assert check["detail"].startswith(f"{user.name} is in the group {GROUP}: ")
        run("sh", "-ec", check["remedy"])
        assert failure() is None

    @pytest.mark.parametrize("mode", [0o755, 0o6755])
    def test_the_remedy_restores_the_helper(self, host_store, mode):
        HELPER.chmod(mode)
        try:
            check = failure()
            assert check["detail"].startswith(f"{HELPER} does not have the owner root, the group {GROUP} and ")
            run("sh", "-ec", check["remedy"])
            assert failure() is None and stat.S_IMODE(HELPER.stat().st_mode) == 0o2755
        finally:
            HELPER.chmod(0o2755)

    def test_the_remedy_remounts_the_file_system_of_the_helper(self, host_store):
        run("mount", "--bind", HELPER.parent, HELPER.parent)
        try:
            run("mount", "-o", "remount,bind,nosuid", HELPER.parent)
            check = failure()
            assert "is on a file system that is mounted with nosuid: " in check["detail"]
            assert check["remedy"] == f"mount -o remount,suid {HELPER.parent}"
            run("sh", "-ec", check["remedy"])
            assert failure() is None
        finally:
            run("umount", HELPER.parent)

    def test_the_helper_of_another_prefix_is_found_beside_the_command(self, host_store):
        prefix = Path("/opt/twofactor")
        for path in (COMMAND, HELPER):
            copy = prefix / path.relative_to("/usr/local")
            copy.parent.mkdir(parents=True)
            shutil.copy(path, copy)
        try:
            shutil.chown(copy, "root", GROUP)
            words = (prefix / "bin/twofactor", "doctor", "--user", "root", "--json")
            done = run(*words, status=None)
            assert f"{copy} does not have the owner root, the group {GROUP} and the mode 2755" in done.stdout
            # The module looks only in /usr and /usr/local.
            away = HELPER.rename(HELPER.with_name("away"))
            copy.chmod(0o2755)
            checks = json.loads(run(*words, status=None).stdout)["checks"]
            (check,) = named(checks, "host_store")
            assert check["detail"].startswith(f"the module does not look for twofactor-helper in {copy}: ")
            run("sh", "-ec", check["remedy"])
            assert named(json.loads(run(*words, status=None).stdout)["checks"], "host_store") == []
            assert HELPER.read_bytes() == away.read_bytes() and HELPER.stat().st_mode == away.stat().st_mode
        finally:
            if HELPER.with_name("away").exists():
                HELPER.with_name("away").replace(HELPER)
            shutil.rmtree(prefix)


def enrollment_findings(user) -> list[dict]:
    return named(doctor(None, "--user", user.name)[1], "enrollment")


def test_an_enrollment_in_the_home_that_the_host_store_ignores_is_found(
    user, host_store, host_configuration, service
):
    host_configuration("store = home")
    enrolled = user.enroll(backup_codes=3)
    host_configuration("store = host")
    for _ in ("registered", "not registered"):
        (check,) = enrollment_findings(user)
        assert f"{user.home}/.twofactor is an enrollment that logins ignore" in check["detail"]
        assert (check["status"], check["remedy"]) == ("failed", f"twofactor move --user {user.name} --from home")
        with contextlib.suppress(FileNotFoundError):
            (REGISTER / str(user.uid)).unlink()
    run("cp", "-a", user.home / ".twofactor", STORE / str(user.uid))
    assert enrollment_findings(user) == []
    shutil.rmtree(STORE / str(user.uid))
    run("sh", "-ec", check["remedy"])
    assert enrollment_findings(user) == [] and not (user.home / ".twofactor").exists()
    code = enrolled.authenticator.code_at(START)
    assert user.log_in(service(), code, at=START).result == Result.SUCCESS


@pytest.mark.parametrize("line", ["store = home", "directory = /var/lib/twofactor/%u"])
def test_an_enrollment_in_the_host_store_overrides_every_other_place(
    user, host_store, host_configuration, service, line
):
    enrolled = user.enroll(backup_codes=3)
    assert enrollment_findings(user) == []
    host_configuration(line)
    run("cp", "-a", enrolled.directory, user.home / ".twofactor")
    (check,) = enrollment_findings(user)
    assert check["detail"].startswith(f"{user.name} cannot log in: the host store has an enrollment of {user.name}")
    assert (check["status"], check["remedy"]) == ("failed", f"twofactor move --user {user.name} --from host")
    entry = listed(user.name)
    assert entry["enabled"] is None and entry["error"].startswith("the host store has an enrollment of")
    shutil.rmtree(user.home / ".twofactor")
    run("sh", "-ec", check["remedy"])
    assert enrollment_findings(user) == [] and list(STORE.iterdir()) == []
    code = enrolled.authenticator.code_at(START)
    assert user.log_in(service(), code, at=START).result == Result.SUCCESS


def test_a_user_examines_the_own_enrollment_through_the_helper(user, new_user, host_store, host_configuration):
    assert not any("cannot log in" in check["detail"] for check in doctor(None, user=user)[1])
    user.enroll(backup_codes=2)
    checks = doctor(None, user=user)[1]
    assert any(check["detail"].startswith("1 of 1 accounts") for check in checks)
    (check,) = named(checks, "backup_codes")
    assert check["remedy"] == f"ask {user.name} to run: twofactor backup-codes"
    # Elsewhere, only root can change it.
    host_configuration("directory = /var/lib/twofactor/%u")
    other = new_user()
    other.enroll(backup_codes=2)
    (check,) = named(doctor(None, "--user", other.name)[1], "backup_codes")
    assert check["remedy"] == f"twofactor backup-codes --user {other.name}"


def test_homes_do_not_matter(user, host_store, service):
    user.enroll(backup_codes=3)
    shutil.rmtree(user.home)
    checks = doctor(None, "--user", user.name)[1]
    assert named(checks, "home") == named(checks, "enrollment") == []


def listed(name: str) -> dict | None:
    return next((each for each in twofactor_json("users")["users"] if each["user"] == name), None)


@pytest.mark.parametrize("is_registered", [True, False])
def test_users_lists_enrolled_accounts_that_are_not_enumerated(user, host_store, is_registered):
    """Domain accounts are not listed; here, an account without a login shell takes their place."""
    run("usermod", "--shell", "/usr/sbin/nologin", user.name)
    assert listed(user.name) is None
    user.enroll(backup_codes=3)
    if not is_registered:
        (REGISTER / str(user.uid)).unlink()
    entry = listed(user.name)
    assert entry["enabled"] is True and entry["registered"] is is_registered
    # Doctor counts the account.
    (STORE / str(user.uid) / "credential").write_text("damaged")
    assert any(check["detail"].startswith(f"{user.name} ") for check in named(doctor(None)[1], "enrollment"))


@pytest.mark.parametrize("is_registered", [True, False])
def test_an_account_that_inherits_an_enrollment_is_refused_until_root_disables_it(
    new_user, host_store, harness, service, is_registered
):
    earlier = new_user()
    uid = earlier.uid
    earlier.enroll(backup_codes=3)
    run("userdel", earlier.name)
    if not is_registered:
        (REGISTER / str(uid)).unlink()
    entry = listed(f"#{uid}")
    assert entry["registered"] is is_registered and "enrolled, but no account has this user id" in entry["error"]
    (orphan,) = [check for check in named(doctor(None)[1], "enrollment") if f" user ID {uid}, " in check["detail"]]
    assert (orphan["status"], orphan["remedy"]) == ("warning", f"rm -r {STORE}/{uid}")
    assert len(named(doctor(None)[1], "register")) == is_registered

    later = new_user()
    run("usermod", "--uid", str(uid), later.name)
    name = service("nullok", then=PERMIT)
    assert later.log_in(name, "000000", at=START).result != Result.SUCCESS
    assert twofactor_json("disable", "--user", later.name)["enabled"] is False
    assert registered() == [] and list(STORE.iterdir()) == []
    assert later.log_in(name, at=START).result == Result.SUCCESS
    later.enroll()
    assert [path.name for path in STORE.iterdir()] == [str(uid)]


def test_the_remedy_removes_an_enrollment_without_an_account(new_user, host_store):
    user = new_user()
    uid = user.uid
    user.enroll()
    run("userdel", user.name)
    for _ in range(2):
        checks = [check for check in findings(doctor(None)[1]) if f" user ID {uid}, " in check["detail"]]
        for check in checks:
            run("sh", "-ec", check["remedy"].splitlines()[-1])
        if not checks:
            break
    assert checks == [] and registered() == [] and list(STORE.iterdir()) == []


WHERE_ROOT_ENROLLS = ("directory = /var/lib/twofactor/%u", "directory = /var/lib/keeper/%U\nowner = root")


@pytest.mark.parametrize("lines", WHERE_ROOT_ENROLLS)
def test_users_who_cannot_enroll_are_told_the_command_of_root(user, host_configuration, register, lines):
    host_configuration(lines)
    done = user.twofactor("status", status=None)
    if done.returncode == 0:
        assert done.stdout.splitlines()[1] == f"Only root can switch it on: twofactor enable --user {user.name}"
    assert "twofactor enable\n" not in done.stdout + done.stderr
    told = twofactor("status", "--user", user.name).stdout.splitlines()[1]
    assert told == f"Switch it on with: twofactor enable --user {user.name}"


@pytest.mark.parametrize("lines", ["store = host", "store = home", "directory = ~/codes"])
def test_users_who_can_enroll_are_told_the_command(user, host_store, host_configuration, lines):
    host_configuration(lines)
    assert twofactor("status", "--user", user.name).stdout.splitlines()[1].startswith("Switch it on with: ")
