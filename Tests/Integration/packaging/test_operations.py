"""The page on operations, done literally in a clean root."""

import json
import re
import shutil
import time

import pexpect
import pytest
from rig.clean_root import ROOTS, CleanRoot
from rig.machine import CHECKOUT, Account
from rig.one_time_password import Authenticator
from rig.syslog import SystemLog

PAGE = (CHECKOUT / "pam/operations.md").read_text()
CONFIGURATION, HOST_STORE = "etc/security/twofactor.conf", "var/lib/twofactor/users"
# Programs that need a running systemd.
UNTRIED = ("systemctl ", "journalctl ")


def section(title: str) -> str:
    heading = re.search(rf"(?m)^(#+) {re.escape(title)}$", PAGE)
    rest = PAGE[heading.end() :]
    following = re.search(rf"(?m)^#{{1,{len(heading[1])}}} ", rest)
    return rest[: following.start()] if following else rest


def commands(text: str, word: str = "") -> list[str]:
    """The commands of root that contain a word."""
    return [line for line in re.findall(r"(?m)^ {4,}# (.*)$", text) if word in line]


def stage(number: int) -> tuple[list[str], list[str], list[str]]:
    """The lines of the policy, the commands, and the commands of the way back."""
    text = section("Roll out in stages").partition(f"**{number}. ")[2].partition("\n**")[0]
    onward, _, back = text.partition("\nBack")
    return re.findall(r"(?m)^ {4}(\w+ = .*)$", onward), commands(onward), commands(back)


class Host(CleanRoot):
    """The root, which knows the commands of the page that it has run."""

    done: set[str] = set()

    def do(self, command: str, **options) -> str:
        assert f"# {command}\n" in PAGE
        self.done.add(command)
        return self.run("sh", "-c", f"cd /root && {command}", **options)

    def configure(self, *lines: str) -> None:
        (self.path / CONFIGURATION).write_text("".join(f"{line}\n" for line in lines))

    def outcome(self, account: Account, *answers: str) -> tuple[bool, str]:
        """Whether a login succeeds, and the method or reason that the module logs last."""
        words = ["twofactor", "test", "--service", "login", "--user", account.name]
        said = self.run(*words, given="".join(f"{answer}\n" for answer in (account.password, *answers)), expect=None)
        logged = re.findall(r"\b(?:method|reason)=([a-z-]+)", said)
        return "The login would succeed." in said, logged[-1] if logged else ""

    def provision(self, account: Account, codes: int = 2) -> dict:
        words = ["twofactor", "enable", "--user", account.name, "--no-confirm", "--yes", "--json", "--force"]
        return json.loads(self.run(*words, "--backup-codes", str(codes)))

    def standing(self) -> dict[str, str]:
        lines = self.run("twofactor", "users").splitlines()[1:]
        return {line.split()[0]: line.split()[1] for line in lines if line and not line.startswith("missing:")}


@pytest.fixture(scope="module")
def host(request, package, tmp_path_factory):
    """The tests below use it one after the other."""
    if not (ROOTS / "trixie.tar").exists():
        reason = "no clean root of trixie: scripts/clean-root could not reach the archive of Debian"
        if request.config.getoption("--clean-roots"):
            pytest.fail(reason)
        pytest.skip(reason)
    with Host("trixie", tmp_path_factory.mktemp("operations"), 22907) as host:
        # A refused login takes no two seconds.
        profile = host.path / "usr/share/pam-configs/unix"
        profile.write_text(profile.read_text().replace("pam_unix.so", "pam_unix.so nodelay"))
        host.run("pam-auth-update", "--package")
        host.install(package)
        yield host


@pytest.fixture(scope="module")
def people(host) -> dict[str, Account]:
    return {name: host.add_account(name, f"{name}-has-a-password") for name in ("alice", "bob", "robot")}


def test_the_package_enables_no_timer_and_an_upgrade_stops_none(host):
    units = sorted(path.name for path in (host.path / "usr/lib/systemd/system").glob("twofactor-*"))
    assert units == [f"twofactor-{name}.{kind}" for name in ("doctor", "metrics") for kind in ("service", "timer")]
    assert not list((host.path / "etc/systemd").rglob("twofactor*"))
    preinst = host.path / "var/lib/dpkg/info/twofactor.preinst"
    assert not preinst.exists() or "systemd" not in preinst.read_text()


@pytest.mark.seconds(240)
def test_the_stages_and_their_steps_back(host, people):
    alice, bob, robot = people.values()
    before = [host.text(f"etc/pam.d/common-{phase}") for phase in ("auth", "account")]
    preparation = section("Roll out in stages").partition("**1.")[0]
    for command in commands(preparation):
        host.do(command)
    (exempt, *_) = re.findall(r"(?m)^ {4}(\w+ = .*)$", preparation)

    _, (enable,), (disable,) = stage(1)
    host.configure(exempt)
    codes = host.provision(alice)["backup_codes"]
    host.do(enable)
    assert host.outcome(alice, codes.pop()) == (True, "backup-code")
    assert host.outcome(bob) == host.outcome(robot) == (True, "exempt")
    host.do(disable)
    assert host.outcome(alice) == (True, "")
    host.do(enable)

    offer, (enroll,), (forget,) = stage(2)
    host.configure(exempt, *offer)
    host.do(enroll)
    assert host.outcome(bob, "n") == (True, "exempt") and not (host.path / "home/bob/.twofactor").exists()
    host.configure(exempt)
    host.do(forget)
    assert host.outcome(bob) == (True, "exempt")

    (day,), *_ = stage(3)
    host.configure(exempt, *offer, day)
    host.do(enroll)
    assert host.outcome(bob, "n") == (True, "exempt")
    passed = re.sub("[0-9-]+$", time.strftime("%Y-%m-%d", time.gmtime()), day)
    host.configure(exempt, *offer, passed)
    assert host.outcome(bob, *["000000"] * 3) == (False, "enrollment-declined")
    assert host.outcome(robot) == (True, "exempt")

    _, (forbid,), _ = stage(4)
    host.configure(exempt, passed)
    host.do(forbid)
    assert host.outcome(bob, "000000") == (False, "not-enrolled")
    assert host.outcome(alice, codes.pop()) == (True, "backup-code")
    (left,) = commands(section("Roll out in stages"), "awk")
    assert set(host.do(left).split()) == {"root", "bob", "robot"}
    host.do(disable)
    assert [host.text(f"etc/pam.d/common-{phase}") for phase in ("auth", "account")] == before
    host.configure()
    host.do(enable)


def test_the_commands_that_watch_accounts_and_logins(host, people):
    alice, bob, robot = people.values()
    log = SystemLog()
    host.provision(alice, codes=0)
    codes = host.provision(robot)["backup_codes"]
    host.provision(bob, codes=0)
    assert host.outcome(robot, codes.pop()) == (True, "backup-code")
    shutil.move(host.path / "home/bob", host.path / "home/away")
    assert host.outcome(bob, "000000") == (False, "io-error")
    # The home is another file system that is not mounted.
    (host.path / "home/bob").mkdir()
    shutil.chown(host.path / "home/bob", host.uid_of(bob), host.uid_of(bob))
    assert host.outcome(bob, "000000") == (False, "missing-enrollment")

    spent, off, missing = commands(section("Accounts"))
    assert host.do(spent).split() == ["alice"]
    assert set(host.do(off).split()) == {"root", "bob"}
    assert host.do(missing).split() == ["bob"]

    (host.path / "var/log/auth.log").write_text("\n".join(log.lines()) + "\n")
    (grep,) = commands(section("Log lines"), "grep -E")
    found = host.do(grep)
    assert re.findall(r"reason=[a-z-]+|method=[a-z-]+", found) == [
        "method=backup-code", "reason=io-error", "reason=missing-enrollment"
    ]
    priorities = {str(message).split()[0] for message in log.of_module() if "denied user=bob" in message.text}
    assert priorities == {"authpriv.err"}
    (host.path / "home/bob").rmdir()
    shutil.move(host.path / "home/away", host.path / "home/bob")

    (doctor,) = commands(section("doctor, every day"), "findings")
    said, report = host.do(doctor), host.run("twofactor", "doctor", expect=None)
    assert said.strip() == report.strip() and "failed" in report
    assert "twofactor_build_info" in host.do("twofactor metrics")


def test_a_backup_brings_used_codes_back_unless_the_states_are_deleted(host, people):
    alice, bob, _ = people.values()
    codes = host.provision(alice)["backup_codes"]
    (save,) = commands(section("Back up and restore").partition("###")[0])
    policy, doctor, homes, delete = commands(section("Restore to the same host"))
    host.configure("window = 2")
    host.do(save)
    archive = host.path / "root/twofactor.tar"
    assert archive.stat().st_mode & 0o777 == 0o600
    host.configure()
    assert host.outcome(alice, codes[0]) == (True, "backup-code")

    def restore() -> None:
        shutil.rmtree(host.path / "home/alice/.twofactor")
        host.do(policy)
        host.do(homes)
        host.do(doctor, expect=None)

    restore()
    assert host.text(CONFIGURATION) == "window = 2\n" and host.registered() != []
    assert host.outcome(alice, codes[0]) == (True, "backup-code")
    restore()
    host.do(delete)
    assert host.outcome(alice, codes[1]) == (False, "corrupt-file")
    assert json.loads(host.run("twofactor", "status", "--user", "alice", "--json"))["backup_codes_left"] == 0
    words = ("twofactor", "backup-codes", "--user", "alice", "--json", "--backup-codes", "1")
    codes = json.loads(host.run(*words))["backup_codes"]
    assert host.outcome(alice, codes[0]) == (True, "backup-code")


def test_a_restore_to_a_host_with_other_user_ids(host, people):
    alice, bob, robot = people.values()
    host.configure("store = host")
    host.run("twofactor", "move", "--all", "--from", "home")
    codes = {account.name: host.provision(account, codes=1)["backup_codes"] for account in (alice, bob)}
    (save,) = commands(section("Back up and restore").partition("###")[0])
    host.do(save)

    register = host.path / "var/lib/twofactor/enrolled"
    for folder in (register, host.path / HOST_STORE):
        for path in folder.iterdir():
            path.unlink() if path.is_file() else shutil.rmtree(path)
    old = {account.name: host.uid_of(account) for account in (alice, bob)}
    host.run("usermod", "--uid", "4001", "alice")
    # The number belongs to another user of the new host.
    host.run("usermod", "--uid", str(old["alice"]), "bob")
    for command in commands(section("Restore to a host with other user IDs")):
        host.do(command, expect=None if "doctor" in command else 0)
    assert {4001, old["alice"]} <= set(host.registered()) and old["bob"] not in host.registered()
    assert {path.name: path.stat().st_uid for path in (host.path / HOST_STORE).iterdir() if path.name != str(
        host.uid_of(robot))} == {"4001": 4001, str(old["alice"]): old["alice"]}
    assert host.outcome(bob, codes["alice"][0])[0] is False
    for account in (alice, bob):
        assert host.outcome(account, codes[account.name][0]) == (True, "backup-code")
    host.configure()
    host.run("twofactor", "move", "--all", "--from", "host")


def test_lost_phones(host, people):
    alice = people["alice"]
    text = section("Lost phones")
    codes = host.provision(alice)["backup_codes"]
    add, remove = re.findall(r"(?m)^ {4}\$ (.*)$", text)

    def as_alice(command: str):
        return pexpect.spawn(
            "chroot", [str(host.path), "su", "-", "alice", "-c", command], encoding="utf-8", timeout=30,
            dimensions=(60, 200),
        )

    terminal = as_alice(f"{add} --qr none")
    terminal.expect("backup code: ")
    terminal.sendline(codes[0])
    terminal.expect(r"secret=([A-Z2-7\s]+?)&")
    app = Authenticator.from_base32(re.sub(r"\s", "", terminal.match[1]))
    terminal.expect("Code from the app[^:]*: ")
    step = app.step(time.time())
    terminal.sendline(app.code_for_counter(step))
    terminal.expect(pexpect.EOF)
    terminal = as_alice(remove)
    terminal.expect("backup code: ")
    terminal.sendline(app.code_for_counter(step + 1))
    terminal.expect(pexpect.EOF)
    (device,) = json.loads(host.run("twofactor", "status", "--user", "alice", "--json"))["devices"]
    assert device["name"] == "new-phone"

    unlock, disable, enable = (commands(text, word)[0] for word in ("unlock", "disable --user alice", "enable --user"))
    host.configure("max_failures = 1")
    assert host.outcome(alice, "000000") == (False, "wrong-code")
    assert json.loads(host.run("twofactor", "status", "--user", "alice", "--json"))["locked_until"]
    host.do(unlock)
    host.configure()
    assert json.loads(host.run("twofactor", "status", "--user", "alice", "--json"))["locked_until"] is None
    host.do(disable)
    assert host.outcome(alice) == (True, "exempt")
    terminal = pexpect.spawn("chroot", [str(host.path), *enable.split()], encoding="utf-8", timeout=30)
    host.done.add(enable)
    terminal.expect("Code from the app[^:]*: ")
    terminal.sendline(Authenticator.from_uri(re.sub(r"\s", "", terminal.before)).code_at(time.time()))
    terminal.expect(pexpect.EOF)
    assert host.standing()["alice"] == "on"

    root = Account("root", "")
    host.provision(root)
    (rescue,) = commands(text, "--user root")
    host.do(rescue)
    assert host.standing()["root"] == "off"


def test_leaving(host, people):
    alice, bob, robot = people.values()
    stop, _, metrics, erase = commands(section("Leave again"))
    host.do(stop)
    assert host.outcome(alice) == (True, "")
    host.do(metrics)
    host.do(erase)
    assert set(host.standing().values()) == {"off"} and host.registered() == []
    host.run("apt-get", "-y", "purge", "twofactor")
    assert not (host.path / "var/lib/twofactor").exists() and not (host.path / "home/alice/.twofactor").exists()
    assert "twofactor" not in host.text("etc/pam.d/common-auth")


def test_every_command_of_the_page_was_run(host):
    rest = {line for line in commands(PAGE) if not line.startswith(UNTRIED)} - host.done
    assert rest == set()
