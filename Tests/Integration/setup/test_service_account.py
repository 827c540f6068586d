"""Enrollments of a service account that checks other users: `owner=`, with `%U` in `directory=`."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from rig.clock import START, time_to_type
from rig.doctor import doctor, findings, found
from rig.enrollment import twofactor, twofactor_json
from rig.exit_status import NOT_CONFIGURED, NOT_PERMITTED
from rig.harness import Result
from rig.host_corpus import CONF
from rig.host_trees import DEBIAN_12, LINE, PASSWD, build, good
from rig.imports import BASE32, bring_in, google_file
from rig.machine import Account
from rig.process import run
from rig.tracing import calls, tracing

FOLDER = Path("/var/lib/keeper/twofactor")
CREATION = f"install -d -o keeper -m 700 {FOLDER}"
SETTINGS = (f"directory = {FOLDER}/%U", "owner = keeper")
PROVISION = ("enable", "--no-confirm", "--yes", "--json", "--backup-codes", "1")


@pytest.fixture(scope="module")
def keeper(products) -> Account:
    run("useradd", "--system", "--user-group", "--shell", "/usr/sbin/nologin", "keeper")
    return Account("keeper", "")


@pytest.fixture
def store(keeper, host_configuration):
    """A host whose enrollments belong to the keeper."""
    host_configuration(*SETTINGS)
    run(*CREATION.split())
    yield FOLDER
    run("rm", "-rf", FOLDER.parent)


def test_the_files_belong_to_the_service_account_and_no_program_of_the_user_reads_them(user, keeper, store):
    enrolled = user.enroll()
    assert enrolled.directory == store / str(user.uid)
    for path, mode in ((enrolled.directory, 0o700), (enrolled.credential, 0o600), (enrolled.state, 0o600)):
        status = path.stat()
        assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (keeper.uid, keeper.gid, mode)
        assert run("ls" if path.is_dir() else "cat", path, user=user, status=None).returncode != 0
    assert not user.directory.exists()


@pytest.mark.parametrize("first", ["root", "keeper"])
def test_a_code_works_once_in_a_process_of_root_or_of_the_account(harness, user, keeper, service, store, log, first):
    enrolled, name = user.enroll(), service()
    prefixes = {"root": (), "keeper": harness.running_as(keeper)}
    code = enrolled.authenticator.code_at(time_to_type())
    for who, result in ((first, Result.SUCCESS), ("keeper", Result.AUTH_ERR), ("root", Result.AUTH_ERR)):
        assert user.log_in(name, code, under=prefixes[who]).result == result
    words = [message.text.split() for message in log.of_module(3)]
    assert "method=totp" in words[0] and all("reason=reused-code" in each for each in words[1:])
    assert enrolled.state.stat().st_uid == keeper.uid


@pytest.mark.seconds(240)
@pytest.mark.parametrize("kind", ["code", "backup code"])
def test_one_of_many_sessions_of_root_and_of_the_account_is_accepted(harness, user, keeper, service, store, kind):
    enrolled, name = user.enroll(backup_codes=1), service()
    sessions = 100 if kind == "code" else 15
    code = enrolled.authenticator.code_at(time_to_type()) if kind == "code" else enrolled.backup_codes[0]
    script = f"user {user.name.encode().hex()}\ntext {code.encode().hex()}\n".encode()
    words = (str(harness.program), "-f0", f"-n{sessions}", "-o", str(harness.services), name)
    processes = [
        subprocess.Popen([*prefix, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for prefix in ((), harness.running_as(keeper))
    ]
    for process in processes:
        process.stdin.write(script)
        process.stdin.close()
    results = [line for process in processes for line in process.stdout.read().splitlines() if line[:7] == b"result "]
    assert [process.wait(timeout=100) for process in processes] == [0, 0]
    assert len(results) == 2 * sessions and results.count(b"result 0") == 1, results


def test_wrong_codes_throttle_in_both_processes_until_root_unlocks(harness, user, keeper, service, store):
    enrolled, name = user.enroll(), service()
    under = harness.running_as(keeper)
    assert user.results(name, *["abc000", "000000", "000001", "000002", "000003", "000004"], under=under)[-1] != 0
    code = enrolled.authenticator.code_at(time_to_type())
    assert user.log_in(name, code).result == user.log_in(name, code, under=under).result == Result.MAXTRIES
    assert twofactor_json("status", "--user", user.name)["failures"] == 5
    twofactor_json("unlock", "--user", user.name)
    assert user.log_in(name, code, under=under).result == Result.SUCCESS


def test_every_subcommand_of_root_works(harness, user, keeper, service, store):
    name, who = service(), ("--user", user.name)
    enrolled = user.enroll(backup_codes=1)
    assert enrolled.directory.stat().st_uid == keeper.uid
    assert twofactor_json("status", *who)["directory"] == str(enrolled.directory)
    listed = {each["user"]: each["enabled"] for each in twofactor_json("users")["users"]}
    assert listed[user.name] is True
    code = enrolled.authenticator.code_at(START)
    assert twofactor_json("verify", *who, answers=code + "\n", at=START)["valid"] is True
    assert twofactor_json("show", *who)["uri"] == enrolled.uri
    (new,) = twofactor_json("backup-codes", *who, "--backup-codes", "1")["backup_codes"]
    assert user.results(name, enrolled.backup_codes[0], new, at=START) == [Result.AUTH_ERR, Result.SUCCESS]
    added = user.add_device("token", "--type", "hotp").authenticator
    assert user.log_in(name, added.code_for_counter(0), at=START).result == Result.SUCCESS
    assert [each["name"] for each in twofactor_json("device", "remove", "token", *who)["devices"]] == [enrolled.device]
    twofactor_json("unlock", *who)
    again = user.enroll(again=True)
    assert again.credential.stat().st_uid == again.state.stat().st_uid == keeper.uid
    assert twofactor_json("disable", *who)["enabled"] is False
    assert list(store.iterdir()) == []
    assert bring_in(user, str(google_file(user, '" TOTP_AUTH', key=BASE32)))["device"]["type"] == "totp"
    assert [path.name for path in store.iterdir()] == [str(user.uid)]


@pytest.mark.parametrize("line", [("enable",), ("status",), ("disable",), ("backup-codes",), ("import", "-")])
def test_an_ordinary_user_is_told_that_only_root_can_do_it(user, store, line):
    for _ in range(2):
        done = user.twofactor(*line, answers=user.password + "\n", status=NOT_PERMITTED)
        assert (done.stdout, done.stderr) == (
            "",
            "twofactor: the enrollments on this host belong to keeper\n"
            "hint: only root can use them: run the command as root with --user NAME\n",
        )
        if not list(store.iterdir()):
            user.enroll()


def test_a_process_that_is_neither_is_refused(harness, user, new_user, service, store, log):
    enrolled, name = user.enroll(), service("nullok")
    code = enrolled.authenticator.code_at(time_to_type())
    for other in (user, new_user()):
        assert user.log_in(name, code, under=harness.running_as(other)).result == Result.AUTHINFO_UNAVAIL
        assert "cannot assume the identity of the owner" in log.of_module(1)[-1].text
    assert user.log_in(name, code).result == Result.SUCCESS


@pytest.mark.parametrize(
    "arguments, detail",
    [
        ((f"directory={FOLDER}/%U", "owner=missing"), "owner: is not an account"),
        (("owner=keeper",), "owner: needs a directory outside the homes"),
        (("directory=%h/x", "owner=keeper"), "owner: needs a directory outside the homes"),
    ],
)
def test_an_owner_without_account_or_directory_refuses_everyone(
    keeper, user, service, host_configuration, log, arguments, detail
):
    assert user.log_in(service("nullok", *arguments), "000000").result == Result.SERVICE_ERR
    text = log.of_module(1)[-1].text
    assert " reason=configuration " in text and detail in text, text
    host_configuration(*(argument.replace("=", " = ") for argument in arguments))
    done = twofactor(*PROVISION, "--user", user.name, status=NOT_CONFIGURED)
    assert "owner" in done.stderr and "correct" in done.stderr


@pytest.mark.parametrize("owner", [None, "root", "other"])
def test_a_folder_that_is_not_of_the_account_is_named_with_the_line_that_creates_it(
    harness, user, new_user, keeper, service, store, owner
):
    store.rmdir()
    if owner:
        store.mkdir(mode=0o755)
        shutil.chown(store, "root" if owner == "root" else new_user().name)
    done = twofactor(*PROVISION[:3], "--user", user.name, status=NOT_CONFIGURED)
    words = "is not owned by keeper" if owner else "does not exist; it must belong to keeper"
    assert done.stderr == f"twofactor: {store} {words}\nhint: {CREATION}\n"
    assert not owner or list(store.iterdir()) == []
    run("sh", "-ec", CREATION)
    code = user.enroll().authenticator.code_at(time_to_type())
    assert user.log_in(service(), code, under=harness.running_as(keeper)).result == Result.SUCCESS


def test_a_folder_of_the_system_is_not_given_to_the_account(keeper, user, host_configuration):
    host_configuration("directory = /var/lib/%U", "owner = keeper")
    done = twofactor(*PROVISION[:3], "--user", user.name, status=NOT_CONFIGURED)
    assert "install" not in done.stderr and "as in /var/lib/keeper/twofactor/%U" in done.stderr


def as_symlink_to(target: Path):
    def attack(path: Path) -> None:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        path.symlink_to(target)

    return attack


def as_fifo(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    os.mkfifo(path, 0o600)


PRECIOUS = Path("/root/precious")


@pytest.mark.parametrize("target", ["directory", "credential", "state"])
@pytest.mark.parametrize("attack", ["symlink", "fifo"])
def test_a_hostile_service_account_reaches_no_other_files(user, keeper, service, store, target, attack):
    enrolled = user.enroll()
    PRECIOUS.mkdir(mode=0o700, exist_ok=True)
    for name in ("credential", "state"):
        (PRECIOUS / name).write_bytes(getattr(enrolled, name).read_bytes())
        (PRECIOUS / name).chmod(0o600)
    before = {path: (path.stat(), path.read_bytes()) for path in PRECIOUS.iterdir()}
    path = enrolled.directory if target == "directory" else enrolled.directory / target
    make = as_fifo if attack == "fifo" else as_symlink_to(PRECIOUS if target == "directory" else PRECIOUS / target)
    make(path)
    os.chown(path, keeper.uid, keeper.gid, follow_symlinks=False)
    code = enrolled.authenticator.code_at(START)
    assert user.log_in(service("nullok"), code, at=START, timeout=20).result == Result.AUTHINFO_UNAVAIL
    for line in (("status",), ("show",), ("backup-codes",), (*PROVISION, "--force"), ("disable",)):
        twofactor(*line, "--user", user.name, status=None, timeout=20)
    twofactor("users", status=None, timeout=20)
    doctor(None)
    assert {path: (path.stat(), path.read_bytes()) for path in PRECIOUS.iterdir()} == before
    shutil.rmtree(PRECIOUS)


@pytest.mark.seconds(240)
@pytest.mark.parametrize("fault", ["killed", "EIO"])
def test_a_login_that_is_killed_or_fails_at_any_call_accepts_no_code_twice(
    harness, user, keeper, service, store, tmp_path, fault
):
    enrolled = user.enroll()
    name = service("window=10", "max_failures=100")
    code = enrolled.authenticator.code_at
    copy = tmp_path / "copy"
    run("cp", "-a", enrolled.directory, copy)
    trace = tmp_path / "trace"
    assert user.log_in(name, code(START), at=START, marks=True, under=tracing(trace)).result == Result.SUCCESS
    found_calls = calls(trace, "answer begins", "login returns")
    assert len(found_calls) > 25
    for call in found_calls:
        shutil.rmtree(enrolled.directory)
        run("cp", "-a", copy, enrolled.directory)
        under = call.killed() if fault == "killed" else call.failing(fault)
        logins = harness.run(name, [(user.name, [code(START)])], at=START, marks=True, under=under, may_die=True)
        again = user.results(name, code(START), code(START), code(START, steps=1), at=START)
        accepted = [login.result for login in logins] + again[:2]
        assert accepted.count(Result.SUCCESS) <= 1 and again[1] == Result.AUTH_ERR, f"{again} after {call}"
        assert again[2] == Result.SUCCESS, f"{again} after {call}"


@pytest.mark.seconds(240)
def test_an_enabling_that_is_killed_at_any_call_leaves_all_or_nothing(harness, user, keeper, service, store, tmp_path):
    lenient = service("nullok")
    line = ("/usr/local/bin/twofactor", *PROVISION, "--user", user.name)
    trace = tmp_path / "trace"
    run(*tracing(trace), *line)
    found_calls = calls(trace, str(user.uid))
    assert len(found_calls) > 20
    for call in found_calls:
        shutil.rmtree(store)
        run(*CREATION.split())
        run(*call.killed(), *line, status=None)
        result = user.log_in(lenient, "letters", at=START).result
        assert result in (Result.PERM_DENIED, Result.AUTH_ERR), f"{result} after {call}"
        for path in store.rglob("*"):
            assert path.stat().st_uid == keeper.uid and stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    user.enroll(again=True)


def test_without_rights_on_the_register_an_absent_enrollment_is_proof(harness, user, keeper, service, store, register):
    enrolled = user.enroll()
    assert (register / str(user.uid)).exists()
    shutil.rmtree(enrolled.directory)
    lax, strict = service("nullok", then="pam_permit.so"), service()
    assert user.log_in(lax).result == Result.AUTHINFO_UNAVAIL
    under = harness.running_as(keeper)
    assert user.log_in(lax, under=under).result == Result.SUCCESS
    assert user.log_in(strict, "000000", under=under).result == Result.AUTH_ERR


class TestDoctor:
    def of_user(self, user, **options) -> list[dict]:
        checks = doctor(None, **({"user": user} if options.get("own") else {}))[1]
        return [each for each in checks if each["name"] == "enrollment" and user.name in each["detail"]]

    def test_doctor_of_root_examines_the_files_of_the_account(self, user, keeper, store):
        enrolled = user.enroll()
        assert self.of_user(user) == []
        for path in (enrolled.directory, enrolled.credential):
            shutil.chown(path, "root", "root")
            (check, *_) = self.of_user(user)
            assert check["status"] == "failed" and str(enrolled.directory) in check["detail"]
            run("sh", "-ec", check["remedy"])
            assert path.stat().st_uid == keeper.uid and self.of_user(user) == []
        enrolled.credential.chmod(0o644)
        assert self.of_user(user)[0]["remedy"] == f"chmod 600 {enrolled.credential}"

    def test_doctor_without_root_says_that_it_cannot_see_them(self, user, store):
        user.enroll()
        (check,) = self.of_user(user, own=True)
        assert (check["status"], check["detail"]) == (
            "skipped", f"{user.name}: the enrollments on this host belong to keeper"
        )

    def test_an_enrollment_of_no_account_is_named(self, user, store):
        enrolled = user.enroll()
        os.rename(enrolled.directory, store / "65000")
        details = [each for each in findings(doctor(None)[1]) if "65000" in each["detail"]]
        assert [each["remedy"] for each in details] == [f"rm -r {store}/65000"]

    PASSWD = PASSWD + "keeper:x:990:990::/:/usr/sbin/nologin\n"

    def tree(self, tmp_path, settings=SETTINGS, **files) -> Path:
        contents = {**good(), "etc/passwd": self.PASSWD, CONF: "\n".join(settings) + "\n", **files}
        root = build(tmp_path / "host", contents)
        folder = root / str(FOLDER)[1:]
        folder.mkdir(parents=True)
        os.chown(folder, 990, 990)
        folder.chmod(0o700)
        return root

    def test_another_tree_is_examined_by_its_account(self, user, store, tmp_path):
        enrolled = user.enroll()
        root = self.tree(tmp_path)
        assert found(doctor(root)[1]) == set()
        copy = root / str(FOLDER)[1:] / "4201"
        shutil.copytree(enrolled.directory, copy)
        for path in (copy, *copy.iterdir()):
            os.chown(path, 990, 990)
        assert found(doctor(root)[1]) == set()
        os.chown(copy, 0, 0)
        (check,) = findings(doctor(root)[1])
        assert (check["name"], check["remedy"]) == ("enrollment", f"chown -hR keeper: {FOLDER}/4201")

    def test_a_folder_of_another_account_is_found(self, products, tmp_path):
        root = self.tree(tmp_path)
        os.chown(root / str(FOLDER)[1:], 0, 0)
        check = findings(doctor(root)[1])[0]
        assert (check["name"], check["remedy"]) == ("policy", CREATION)
        (root / str(FOLDER)[1:]).rmdir()
        check = findings(doctor(root)[1])[0]
        assert "does not exist" in check["detail"] and check["remedy"] == CREATION
        (root / CONF).write_text("directory = /var/lib/%U\nowner = keeper\n")
        assert "install" not in findings(doctor(root)[1])[0]["remedy"]

    def test_an_owner_that_differs_from_the_file_fails(self, products, tmp_path):
        stack = DEBIAN_12["etc/pam.d/su"] + LINE.rstrip() + " owner=root\n"
        root = self.tree(tmp_path, **{"etc/pam.d/su": stack})
        checks = [each for each in findings(doctor(root)[1]) if each["name"] == "policy"]
        assert len(checks) == 1 and "owner is root, but it is keeper" in checks[0]["detail"], checks
        assert checks[0]["status"] == "failed"

    def test_an_owner_without_account_or_directory_fails(self, products, tmp_path):
        for settings in ((SETTINGS[0], "owner = missing"), ("owner = keeper",)):
            shutil.rmtree(tmp_path / "host", ignore_errors=True)
            root = self.tree(tmp_path, settings)
            checks = [each for each in findings(doctor(root)[1]) if each["name"] == "policy"]
            assert checks and "every login is refused" in checks[0]["detail"]
