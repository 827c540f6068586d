"""The Debian package in clean roots: install, enable, log in, upgrade, remove, purge."""

import json
import re
import shutil
import threading
import time
from pathlib import Path

import pytest
from rig.clean_root import ROOTS, CleanRoot
from rig.machine import CHECKOUT, PRODUCT, Account
from rig.process import run

RELEASES = {"bookworm": 22901, "trixie": 22902}
NEEDED = {"libc6", "libcrypt1", "libpam0g", "libpam-runtime", "libqrencode4", "passwd"}
HELPER, REGISTER = "usr/libexec/twofactor/twofactor-helper", "var/lib/twofactor/enrolled"
STORE = "var/lib/twofactor/users"


@pytest.fixture(scope="module")
def package() -> Path:
    packages = sorted(PRODUCT.glob("twofactor_*.deb"), key=lambda path: path.stat().st_mtime)
    assert packages, "no package: run scripts/package"
    return packages[-1]


@pytest.fixture(scope="module")
def store_package(package) -> Path:
    """The package for PostgreSQL of the same version."""
    return package.with_name(package.name.replace("twofactor_", "twofactor-store-postgresql_"))


@pytest.fixture(scope="module", params=RELEASES)
def root(request, tmp_path_factory):
    """One root; the tests below use it one after the other."""
    if not (ROOTS / f"{request.param}.tar").exists():
        reason = f"no clean root of {request.param}: scripts/clean-root could not reach the archive of Debian"
        if request.config.getoption("--clean-roots"):
            pytest.fail(reason)
        pytest.skip(reason)
    with CleanRoot(request.param, tmp_path_factory.mktemp("roots"), RELEASES[request.param]) as root:
        root.before = root.files()
        root.stack_before = root.text("etc/pam.d/common-auth")
        root.accounts_before = root.text("etc/pam.d/common-account")
        yield root


def test_installing_changes_no_login(root, package):
    root.install(package)
    assert root.text("etc/pam.d/common-auth") == root.stack_before
    assert root.text("etc/pam.d/common-account") == root.accounts_before
    found = root.doctor()
    assert found["module"] == {"ok"} and found["password_service"] == {"ok"} and found["pam_stacks"] == {"warning"}
    assert root.run("dpkg", "--verify", "twofactor") == ""


def test_a_single_field_program_is_named_when_its_package_is_installed(root, tmp_path):
    # pam-auth-update runs no command that could say so.
    tree = tmp_path / "tree"
    for name, text in {
        "DEBIAN/control": "Package: printing\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b>\nDescription: x\n",
        "etc/pam.d/cups": "@include common-auth\n",
    }.items():
        (tree / name).parent.mkdir(parents=True)
        (tree / name).write_text(text)
    run("dpkg-deb", "--root-owner-group", "-b", tree, root.path / "tmp/printing.deb")
    said = root.run("dpkg", "-i", "/tmp/printing.deb")
    assert "twofactor: the programs of these services have a single password field: cups\n" in said
    root.run("dpkg", "--purge", "printing")


def assert_group_and_directories(root) -> None:
    words = ["stat", "-c", "%U:%G %a", f"/{HELPER}", "/var/lib/twofactor", f"/{REGISTER}", f"/{STORE}"]
    directory = "root:_twofactor 1730"
    assert root.run(*words).splitlines() == ["root:_twofactor 2755", "root:root 755", directory, directory]


def test_the_package_creates_group_register_and_host_store(root):
    assert_group_and_directories(root)
    assert f"root _twofactor 2755 /{HELPER}" in root.run("dpkg-statoverride", "--list").splitlines()
    # The archive itself has no set-group-ID program: the number of the group is not known before.
    assert "g _twofactor -" in root.text("usr/lib/sysusers.d/twofactor.conf").splitlines()


def test_one_command_enables_it_for_all_services(root):
    root.run("pam-auth-update", "--enable", "twofactor")
    auth = [line.split() for line in root.text("etc/pam.d/common-auth").splitlines() if line.startswith("auth")]
    assert ["auth", "required", "pam_twofactor.so", "nullok"] in auth
    # sshd as shipped has keyboard-interactive off: doctor names the line to change.
    assert root.doctor(expect=78)["ssh_keyboard_interactive"] == {"failed"}
    drop_in = root.text("usr/share/doc/twofactor/examples/sshd_config.d/twofactor.conf")
    (root.path / "etc/ssh/sshd_config.d/twofactor.conf").write_text(drop_in)
    found = root.doctor()
    assert found["pam_stacks"] == {"ok"} and found["ssh_keyboard_interactive"] == {"ok"}
    assert not any("failed" in statuses for statuses in found.values())


def test_a_user_enrolls_and_logs_in_with_password_and_code(root, password):
    root.start_server()
    alice = root.add_account("alice", password)
    authenticator = root.enroll(alice)
    assert root.registered() == [root.uid_of(alice)]
    code = authenticator.code_at(time.time())
    for expected in (True, False):
        client = root.connect(alice)
        client.answer(client.PASSWORD, password)
        client.answer(client.CODE, code)
        assert client.is_let_in() is expected


# As in the packages of Debian.
OTHER_PROFILES = {
    "krb5": "Priority: 704\nAccount-Type: Additional\nAccount:\n\trequired\tpam_krb5.so minimum_uid=1000\n",
    "winbind": "Priority: 192\nAccount-Type: Primary\nAccount:\n"
    "\t[success=end new_authtok_reqd=done default=ignore]\tpam_winbind.so\n",
    "sss": "Priority: 128\nAccount-Type: Additional\nAccount:\n"
    "\tsufficient\tpam_localuser.so\n\t[default=bad success=ok user_unknown=ignore]\tpam_sss.so\n",
    "ldap": "Priority: 128\nAccount-Type: Additional\nAccount:\n"
    "\t[success=ok new_authtok_reqd=done ignore=ignore user_unknown=ignore default=bad]\tpam_ldap.so\n",
}


def account_rules(root) -> list[list[str]]:
    return [line.split() for line in root.text("etc/pam.d/common-account").splitlines() if line.startswith("account")]


def test_the_profile_for_enrollment_comes_first_among_all_others(root):
    before = account_rules(root)
    rule = ["account", "required", "pam_twofactor.so"]
    root.run("pam-auth-update", "--enable", "twofactor-enroll")
    assert account_rules(root) == [rule, *before]
    for name, text in OTHER_PROFILES.items():
        (root.path / "usr/share/pam-configs" / name).write_text(f"Name: {name}\nDefault: yes\n{text}")
    root.run("pam-auth-update", "--enable", *OTHER_PROFILES)
    first, *others = account_rules(root)
    assert first == rule and rule not in others
    assert {f"pam_{name}.so" for name in OTHER_PROFILES} < {word for each in others for word in each}
    root.run("pam-auth-update", "--disable", *OTHER_PROFILES)
    for name in OTHER_PROFILES:
        (root.path / "usr/share/pam-configs" / name).unlink()
    root.run("pam-auth-update", "--disable", "twofactor-enroll")
    assert account_rules(root) == before
    # The tests below upgrade, remove and purge the package while it is enabled.
    root.run("pam-auth-update", "--enable", "twofactor-enroll")


def upgraded(package: Path, folder: Path) -> Path:
    """The same package with a higher version."""
    run("dpkg-deb", "-R", package, folder / "tree")
    control = folder / "tree/DEBIAN/control"
    control.write_text(re.sub(r"(?m)^Version: .*", r"\g<0>+later", control.read_text()))
    run("dpkg-deb", "--root-owner-group", "-Znone", "-b", folder / "tree", folder / "later.deb")
    return folder / "later.deb"


def test_an_upgrade_denies_no_login(root, package, tmp_path, password):
    """bob is not enrolled; carol is, and each login uses another backup code."""
    bob, carol = (root.add_account(name, password) for name in ("bob", "carol"))
    words = ["twofactor", "enable", "--user", "carol", "--no-confirm", "--yes", "--json", "--backup-codes", "32"]
    codes = json.loads(root.run(*words))["backup_codes"]
    later = upgraded(package, tmp_path)
    stop, results = threading.Event(), {"bob": [], "carol": []}

    def log_in(account) -> None:
        while not stop.is_set():
            client = root.connect(account)
            client.answer(client.PASSWORD, password)
            if account is carol:
                client.answer(client.CODE, codes.pop())
            results[account.name].append(client.is_let_in())

    workers = [threading.Thread(target=log_in, args=[account]) for account in (bob, carol)]
    for worker in workers:
        worker.start()
    wait_for(lambda: all(results.values()))
    root.install(later)
    so_far = {name: len(list_of) for name, list_of in results.items()}
    wait_for(lambda: all(len(results[name]) > so_far[name] + 1 for name in results))
    stop.set()
    for worker in workers:
        worker.join()
    assert all(all(each) for each in results.values()), results
    assert "pam_twofactor.so" in root.text("etc/pam.d/common-auth")
    assert "pam_twofactor.so" in root.text("etc/pam.d/common-account")
    assert root.run("dpkg-query", "-W", "-f", "${Version}", "twofactor").endswith("+later")
    assert_group_and_directories(root)


def test_a_user_enrolls_and_disables_through_the_helper(root, password):
    dave = root.add_account("dave", password)
    before = root.registered()
    as_dave = ["runuser", "-u", "dave", "--", "twofactor"]
    made = root.run(*as_dave, "enable", "--no-confirm", "--yes", "--json", given=f"{password}\n")
    code = json.loads(made[made.index("{") :])["backup_codes"][0]
    assert root.registered() == sorted([*before, root.uid_of(dave)])
    root.run(*as_dave, "disable", given=f"{password}\n{code}\n")
    assert root.registered() == before


def wait_for(condition) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    raise TimeoutError


def test_removing_is_refused_while_a_stack_of_the_administrator_names_the_module(root):
    stack = root.path / "etc/pam.d/su"
    before = stack.read_text()
    stack.write_text(before + "auth required pam_twofactor.so\n")
    said = root.run("dpkg", "--remove", "twofactor", expect=1)
    assert "/etc/pam.d/su:auth required pam_twofactor.so" in said
    # Nothing was removed: the profile is on, and the module exists.
    assert "pam_twofactor.so" in root.text("etc/pam.d/common-auth")
    assert next(root.path.glob("usr/lib/*/security/pam_twofactor.so")).exists()
    stack.write_text(before)


def test_a_purge_keeps_a_register_with_users(root, package):
    root.stop_server()
    entries = root.registered()
    assert entries
    said = root.run("dpkg", "--purge", "twofactor")
    assert f"twofactor: kept /{REGISTER}, because it names users who are enrolled" in said
    assert root.registered() == entries and root.run("getent", "group", "_twofactor")
    root.install(package)
    assert_group_and_directories(root)
    assert root.registered() == entries


def test_a_purge_keeps_a_host_store_with_enrollments(root, package):
    """And installing the package again changes neither owner nor mode of them."""
    uid = root.uid_of(Account("alice", ""))
    entry = root.path / STORE / str(uid)
    entry.mkdir()
    for path, mode in ((entry, 0o700), (entry / "credential", 0o600)):
        path.touch()
        path.chmod(mode)
        shutil.chown(path, uid, uid)
    said = root.run("dpkg", "--purge", "twofactor")
    assert f"twofactor: kept /{STORE}, because it contains enrollments" in said
    assert root.run("getent", "group", "_twofactor")
    root.install(package)
    assert_group_and_directories(root)
    for path, mode in ((entry, 0o700), (entry / "credential", 0o600)):
        assert (path.stat().st_uid, path.stat().st_gid, path.stat().st_mode & 0o7777) == (uid, uid, mode)


def test_a_purge_leaves_nothing(root):
    root.run("rm", "-r", f"/{STORE}/{root.uid_of(Account('alice', ''))}")
    for name in ("alice", "carol"):
        root.run("twofactor", "disable", "--user", name)
    assert root.registered() == []
    root.run("dpkg", "--purge", "twofactor")
    assert "_twofactor" not in root.text("etc/group")
    assert HELPER not in root.run("dpkg-statoverride", "--list", expect=None)
    assert root.text("etc/pam.d/common-auth") == root.stack_before
    assert root.text("etc/pam.d/common-account") == root.accounts_before
    (root.path / "etc/ssh/sshd_config.d/twofactor.conf").unlink()
    # Written by the host itself: accounts, host keys, mail.
    hosts = r"etc/(passwd|group|shadow|gshadow|subuid|subgid)-|etc/\.pwd\.lock|etc/ssh/ssh_host_.*|var/(spool/)?mail/.*"
    left = {path for path in set(root.files()) - set(root.before) if not re.fullmatch(hosts, path)}
    assert left == set()
    assert "twofactor" not in root.run("find", "/var/lib/pam", "-type", "f", "-exec", "cat", "{}", "+")


def test_lintian_reports_nothing(package, store_package):
    if run("which", "lintian", status=None).returncode != 0:
        pytest.fail("lintian is not installed: run scripts/dependencies test")
    run("lintian", "--allow-root", "--fail-on", "error,warning", package, store_package, timeout=100)


def test_the_package_the_command_and_the_changelog_have_one_version(package):
    of_package = run("dpkg-deb", "-f", package, "Version").stdout.strip()
    of_command = run(PRODUCT / "twofactor", "--version").stdout.strip()
    headings = re.findall(r"(?m)^## (.*)$", (CHECKOUT / ".github/CHANGELOG.md").read_text())
    assert of_package == of_command
    assert headings[0] == "[Unreleased]" and re.fullmatch(
        rf"\[{re.escape(of_command)}\] - \d{{4}}-\d\d-\d\d", headings[1]
    )


def test_the_dependencies_are_complete_and_minimal(package):
    """Including the libraries that the command loads at run time."""
    fields = run("dpkg-deb", "-f", package, "Depends", status=None).stdout
    assert {field.split()[0] for field in fields.split(",")} == NEEDED


def test_only_the_package_for_postgresql_needs_its_library(store_package):
    version = run("dpkg-deb", "-f", store_package, "Version").stdout.strip()
    fields = run("dpkg-deb", "-f", store_package, "Depends").stdout
    assert f"twofactor (= {version})" in fields
    assert {field.split()[0] for field in fields.split(",")} == {"twofactor", "libc6", "libpq5", "libssl3"}
    documents = run("dpkg-deb", "-c", store_package).stdout
    for path in (CHECKOUT / "pam/postgresql").iterdir():
        assert f"/usr/share/doc/twofactor-store-postgresql/{path.name}" in documents


def test_the_command_links_only_the_c_library():
    """Every run would pay for a linked library; optional ones are loaded on demand."""
    line = ["readelf", "--wide", "--dynamic", PRODUCT / "twofactor"]
    dynamic = run(*line, status=None).stdout
    named = set(re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic))
    assert {name for name in named if not name.startswith("ld-linux")} == {"libc.so.6", "libm.so.6"}


def test_the_command_is_not_larger_than_promised():
    assert (PRODUCT / "twofactor").stat().st_size <= 15_000_000


@pytest.mark.parametrize("name", ["pam_twofactor.so", "twofactor", "twofactor-helper", "twofactor-store-postgresql"])
def test_the_requirements_on_other_distributions_are_documented(name):
    """Compares the row of the page: the glibc version and the libraries."""
    row = re.search(rf"(?m)^\| `{re.escape(name)}` \| (.*) \|$", (CHECKOUT / "pam/hosts.md").read_text())[1]
    symbols = run("objdump", "-p", PRODUCT / name, status=None).stdout
    versions = {tuple(map(int, version.split("."))) for version in re.findall(r"GLIBC_([0-9.]+)", symbols)}
    # Packed relocations need this version.
    if "GLIBC_ABI_DT_RELR" in symbols or re.search(r"(?m)^\s+(RELR|0x0*24)\b", symbols):
        versions.add((2, 36))
    needed = set(re.findall(r"NEEDED\s+(\S+)", symbols)) - {"libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2"}
    assert f"glibc {'.'.join(map(str, max(versions)))} or later" in row
    assert needed <= set(re.findall(r"`(\S+)`", row))
