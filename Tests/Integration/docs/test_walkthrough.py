"""The installing part of the README and the guide for administrators, done literally in a clean root."""

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pexpect
import pytest
from rig import host_trees, release
from rig.clean_root import CleanRoot, require_root
from rig.doctor import findings
from rig.machine import CHECKOUT, PRODUCT
from rig.one_time_password import Authenticator
from rig.package_builds import built_package
from rig.process import run
from rig.repository import Keys

PORT = 22903
GUIDE = (CHECKOUT / "pam/guide.md").read_text()


def section(title: str, page: str = GUIDE) -> str:
    """The text under a heading, up to the next one."""
    return re.split(r"(?m)^#", page.partition(f"# {title}\n")[2])[0]


README = (CHECKOUT / "README.md").read_text()
PACKAGE = section("A package, on Debian 12, Debian 13 and derivatives", README)
SOURCE = section("From source", README)
SETUP = section("Set it up")
REMOVAL = section("Remove it")


def blocks(step: int) -> list[list[str]]:
    """The indented blocks of a step of the guide, line by line."""
    text = re.split(r"(?m)^\d\. ", SETUP)[step]
    return [re.findall(r"(?m)^ {7}(.*)$", block) for block in re.findall(r"(?m)(?:^ {7}.*\n)+", text)]


@pytest.fixture(scope="module")
def root(request, tmp_path_factory):
    require_root("bookworm", request)
    with CleanRoot("bookworm", tmp_path_factory.mktemp("walk"), PORT) as root:
        root.before = {name: root.text(name) for name in ("etc/pam.d/common-auth", "etc/pam.d/sshd")}
        yield root


def commands(text: str) -> list[str]:
    """The commands in the indented blocks of a section."""
    return re.findall(r"(?m)^ {4}([#$] .*)$", text)


def as_user(folder: Path, line: str, status: int | None = 0) -> str:
    """Runs a command line of the page in a folder, with a home directory of its own."""
    home = {"HOME": str(folder / "home"), "GNUPGHOME": str(folder / "home/.gnupg"), "PATH": os.environ["PATH"]}
    words = ["sh", "-c", f"cd {folder} && {line.removeprefix('$ ')}"]
    return run(*words, environment=home, stderr=subprocess.STDOUT, status=status).stdout


def as_root(root, line: str, **options) -> str:
    """Runs a command line of the page as root in the clean root, where no systemd runs."""
    command = line.removeprefix("# ").removesuffix(" && systemctl reload ssh").replace("apt ", "apt-get -y ")
    return root.run("sh", "-c", f"cd /root && {command}", **options)


def change(root, remedy: str) -> None:
    """Follows a remedy of doctor: replaces a line, or inserts one before it."""
    name, before, number, line = re.fullmatch(r"in /(.*?), (before )?line (\d+): (.*)", remedy).groups()
    lines = root.text(name).splitlines()
    lines[int(number) - 1 : int(number) - bool(before)] = [line]
    (root.path / name).write_text("\n".join(lines) + "\n")


def enroll_at_a_terminal(root, account, command: str) -> tuple[Authenticator, int]:
    """Runs the page's `twofactor enable`, and returns the app and the time step of the code that was used up."""
    words = ["chroot", root.path, "su", "-", account.name, "-c", f"{command} --qr none"]
    terminal = pexpect.spawn(words[0], [str(word) for word in words[1:]], encoding="utf-8", timeout=30)
    terminal.expect("[Pp]assword.*: ")
    terminal.sendline(account.password)
    terminal.expect(r"secret=([A-Z2-7\s]+?)&")
    authenticator = Authenticator.from_base32(re.sub(r"\s", "", terminal.match[1]))
    terminal.expect("Code.*: ")
    step = authenticator.step(time.time())
    terminal.sendline(authenticator.code_for_counter(step))
    terminal.expect(r"\[y/N\]")
    terminal.sendline("y")
    terminal.expect(pexpect.EOF)
    assert f"No login on this host asks {account.name} for a code yet." in terminal.before
    return authenticator, step


def test_doctor_prints_the_sample_of_the_guide(tmp_path):
    settings = "UsePAM yes\nKbdInteractiveAuthentication yes\n"
    root = host_trees.build(tmp_path, {**host_trees.good(), "etc/ssh/sshd_config.d/10-twofactor.conf": settings})
    printed = run(PRODUCT / "twofactor", "doctor", "--root", root).stdout
    assert "\n".join(blocks(5)[0][1:]).replace("…", "") in re.sub(r"(?m)(?<=default\): ).*$", "", printed)


@pytest.fixture(scope="module")
def released(tmp_path_factory) -> Path:
    """The folder of a release, as scripts/release makes it."""
    folder = tmp_path_factory.mktemp("release")
    release.packages(folder / "packages")
    with Keys(folder / "gnupg") as keys:
        checkout = release.clone(folder / "clone")
        release.sign(checkout, folder / "packages", keys, keys.create("a key of this test", created=""))
    return checkout / ".build/release"


@pytest.fixture
def download(released, tmp_path) -> Path:
    """A folder with the files that the page names."""
    (tmp_path / "home/.gnupg").mkdir(parents=True, mode=0o700)
    (folder,) = released.glob("twofactor-*/")
    names = re.findall(r"`([\w.-]+(?:SUMS|asc))`", PACKAGE)
    assert names == ["SHA256SUMS", "SHA256SUMS.asc", "twofactor-archive-keyring.asc"]
    for path in [folder / built_package().name, *(folder / name for name in names[:2]), released / names[2]]:
        shutil.copy(path, tmp_path)
    yield tmp_path
    as_user(tmp_path, "gpgconf --kill all")


def test_the_check_of_a_download_accepts_the_signed_package(download):
    show, *checks = commands(PACKAGE)[:4]
    fingerprint = re.search(r"(?m)^ +([0-9A-F]{40})$", as_user(download, show))[1]
    said = [as_user(download, line) for line in checks]
    assert f"{built_package().name}: OK" in said[-1]
    assert "Good signature" in said[1] and f"key {fingerprint}" in said[1]


def test_the_check_of_a_download_refuses_another_package_and_other_checksums(download):
    _, import_key, verify, check = commands(PACKAGE)[:4]
    as_user(download, import_key)
    deb = download / built_package().name
    with deb.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    assert "FAILED" in as_user(download, check, status=1)
    as_user(download, "sha256sum twofactor_*.deb >SHA256SUMS")
    assert "OK" in as_user(download, check)
    assert "BAD signature" in as_user(download, verify, status=1)


def test_every_command_of_the_readme_is_run_here_or_said_to_be_untried():
    rpm, repository = section("RPM and Arch Linux", README), section("A repository for apt", README)
    assert "were not tried on" in " ".join(rpm.split())
    install = README.partition("\n## Install\n")[2]
    assert commands(install) == [*commands(PACKAGE), *commands(repository), *commands(rpm), *commands(SOURCE)]


def test_every_command_of_the_guide_is_run_here():
    """Except the one that searches the journal, which a clean root does not have."""
    assert commands(GUIDE) == ["# journalctl -g pam_twofactor", *commands(REMOVAL)]
    assert len(commands(REMOVAL)) == 3


def test_the_page_builds_a_package_as_scripts_package_does():
    build, install, *without_package = commands(SOURCE)
    assert build == "$ scripts/package" and without_package == ["$ scripts/build", "# scripts/install"]
    assert list(CHECKOUT.glob(install.partition("./")[2])), install


def test_the_setup_of_the_guide_works_and_locks_nobody_out(root, password):
    alice, bob = root.add_account("alice", password), root.add_account("bob", password)

    def logs_in(account, code: str | None = None) -> bool:
        client = root.connect(account)
        client.answer(client.PASSWORD, password)
        if code:
            client.answer(client.CODE, code)
        return client.is_let_in()

    # The package changes no stack.
    shutil.copy(built_package(), root.path / "root")
    assert as_root(root, commands(PACKAGE)[4]).count("Setting up twofactor ") == 1
    assert {name: root.text(name) for name in root.before} == root.before

    # 2. sshd asks through PAM, for the password alone.
    settings, check = blocks(2)
    assert "`/etc/ssh/sshd_config.d/10-twofactor.conf`" in SETUP
    (root.path / "etc/ssh/sshd_config.d/10-twofactor.conf").write_text("\n".join(settings) + "\n")
    root.run("ssh-keygen", "-A")
    as_root(root, check[0])
    root.start_server()
    assert logs_in(alice) and logs_in(bob)

    # 3. Alice enrolls, and no stack asks her yet.
    ((enable,),) = blocks(3)
    authenticator, step = enroll_at_a_terminal(root, alice, enable.removeprefix("$ "))
    assert logs_in(alice) and logs_in(bob)

    # 4. The profile for every service; the other block is the line for a host without it.
    profile, line = blocks(4)
    as_root(root, profile[0])
    assert re.sub(r"\s+", " ", root.text("etc/pam.d/common-auth")).count(line[0]) == 1
    assert logs_in(bob)

    # 5. Changes, until doctor proposes no more.
    doctor, *sample = blocks(5)[0]
    assert doctor == "# twofactor doctor" and sample[-1].strip().startswith("in /etc/ssh/sshd_config, ")
    for _ in range(10):
        checks = json.loads(root.run("sh", "-c", "twofactor doctor --json || true"))["checks"]
        wrong = [finding for finding in findings(checks) if finding["name"] != "clock"]
        if not wrong:
            break
        change(root, wrong[0]["remedy"])
    assert wrong == []
    as_root(root, doctor)

    # 6. The stack at this terminal.
    said = as_root(root, blocks(6)[0][0], given=f"{password}\n{authenticator.code_for_counter(step + 1)}\n")
    assert "The login would succeed." in said

    # 7. A second login.
    while authenticator.step(time.time()) <= step:
        time.sleep(0.2)
    assert logs_in(alice, authenticator.code_for_counter(step + 2)) and logs_in(bob)
    root.stop_server()

    # And back: nothing is left in any stack, and the enrollment stays.
    purge, disable, uninstall = commands(REMOVAL)
    assert uninstall == "# scripts/uninstall"
    as_root(root, disable)
    assert {name: root.text(name) for name in root.before} == root.before
    as_root(root, profile[0])
    as_root(root, purge)
    assert {name: root.text(name) for name in root.before} == root.before
    assert not list(root.path.glob("usr/lib/*/security/pam_twofactor.so"))
    assert (root.path / "home/alice/.twofactor/credential").exists()
    assert (root.path / "etc/ssh/sshd_config.d/10-twofactor.conf").exists()


def test_the_repository_of_the_page_installs_the_package(root, released):
    """In the root of the setup above, from which the package was purged."""
    root.run("dpkg", "--purge", "twofactor")
    shutil.copytree(released / "apt", root.path / "srv/apt")
    shutil.copy(released / "twofactor-archive-keyring.asc", root.path / "root")
    sources = (released / "twofactor.sources").read_text()
    (root.path / "root/twofactor.sources").write_text(sources.replace("ADDRESS", "file:/srv/apt", 2))
    (root.path / "etc/apt/sources.list").unlink()
    *added, install = commands(section("A repository for apt", README))
    for line in added:
        as_root(root, line)
    assert as_root(root, install).count("Setting up twofactor ") == 1
    assert root.run("twofactor", "--version").strip() in built_package().name
