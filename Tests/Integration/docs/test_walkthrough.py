"""The set-up and the removal that the README describes, done literally in a clean root."""

import json
import re
import shutil
import time

import pexpect
import pytest
from rig import host_trees
from rig.clean_root import ROOTS, CleanRoot
from rig.doctor import findings
from rig.machine import CHECKOUT, PRODUCT
from rig.one_time_password import Authenticator
from rig.process import run

PORT = 22903
README = (CHECKOUT / "README.md").read_text()
SETUP = README.partition("## Set it up\n")[2].partition("\n## ")[0]
REMOVAL = README.partition("## Remove it\n")[2].partition("\n## ")[0]


def blocks(step: int) -> list[list[str]]:
    """The indented blocks of a step, line by line."""
    text = re.split(r"(?m)^\d\. ", SETUP)[step]
    return [re.findall(r"(?m)^ {7}(.*)$", block) for block in re.findall(r"(?m)(?:^ {7}.*\n)+", text)]


@pytest.fixture(scope="module")
def root(request, tmp_path_factory):
    if not (ROOTS / "bookworm.tar").exists():
        reason = "no clean root of bookworm: scripts/clean-root could not reach the archive of Debian"
        if request.config.getoption("--clean-roots"):
            pytest.fail(reason)
        pytest.skip(reason)
    with CleanRoot("bookworm", tmp_path_factory.mktemp("walk"), PORT) as root:
        root.before = {name: root.text(name) for name in ("etc/pam.d/common-auth", "etc/pam.d/sshd")}
        yield root


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


def test_doctor_prints_the_sample_of_the_readme(tmp_path):
    settings = "UsePAM yes\nKbdInteractiveAuthentication yes\n"
    root = host_trees.build(tmp_path, {**host_trees.good(), "etc/ssh/sshd_config.d/10-twofactor.conf": settings})
    printed = run(PRODUCT / "twofactor", "doctor", "--root", root).stdout
    assert "\n".join(blocks(6)[0][1:]).replace("…", "") in re.sub(r"(?m)(?<=default\): ).*$", "", printed)


def test_the_setup_of_the_readme_works_and_locks_nobody_out(root, password):
    alice, bob = root.add_account("alice", password), root.add_account("bob", password)

    def logs_in(account, code: str | None = None) -> bool:
        client = root.connect(account)
        client.answer(client.PASSWORD, password)
        if code:
            client.answer(client.CODE, code)
        return client.is_let_in()

    # 2. The package changes no stack.
    (build, install), source = blocks(2)
    assert build == "$ scripts/package" and source == ["$ scripts/build", "# scripts/install"]
    (root.path / "root/.build/product").mkdir(parents=True)
    package = max(PRODUCT.glob("twofactor_*.deb"), key=lambda path: path.stat().st_mtime)
    shutil.copy(package, root.path / "root/.build/product")
    as_root(root, install)
    assert {name: root.text(name) for name in root.before} == root.before

    # 3. sshd asks through PAM, for the password alone.
    settings, check = blocks(3)
    assert "`/etc/ssh/sshd_config.d/10-twofactor.conf`" in SETUP
    (root.path / "etc/ssh/sshd_config.d/10-twofactor.conf").write_text("\n".join(settings) + "\n")
    root.run("ssh-keygen", "-A")
    as_root(root, check[0])
    root.start_server()
    assert logs_in(alice) and logs_in(bob)

    # 4. Alice enrolls, and no stack asks her yet.
    ((enable,),) = blocks(4)
    authenticator, step = enroll_at_a_terminal(root, alice, enable.removeprefix("$ "))
    assert logs_in(alice) and logs_in(bob)

    # 5. The profile for every service; the other block is the line for a host without it.
    profile, line = blocks(5)
    as_root(root, profile[0])
    assert re.sub(r"\s+", " ", root.text("etc/pam.d/common-auth")).count(line[0]) == 1
    assert logs_in(bob)

    # 6. Changes, until doctor proposes no more.
    doctor, *sample = blocks(6)[0]
    assert doctor == "# twofactor doctor" and sample[-1].strip().startswith("in /etc/ssh/sshd_config, ")
    for _ in range(10):
        checks = json.loads(root.run("sh", "-c", "twofactor doctor --json || true"))["checks"]
        wrong = [finding for finding in findings(checks) if finding["name"] != "clock"]
        if not wrong:
            break
        change(root, wrong[0]["remedy"])
    assert wrong == []
    as_root(root, doctor)

    # 7. The stack at this terminal.
    said = as_root(root, blocks(7)[0][0], given=f"{password}\n{authenticator.code_for_counter(step + 1)}\n")
    assert "The login would succeed." in said

    # 8. A second login.
    while authenticator.step(time.time()) <= step:
        time.sleep(0.2)
    assert logs_in(alice, authenticator.code_for_counter(step + 2)) and logs_in(bob)
    root.stop_server()

    # And back: nothing is left in any stack, and the enrollment stays.
    purge, disable, uninstall = re.findall(r"(?m)^ {4}(.*)$", REMOVAL)
    assert uninstall == "# scripts/uninstall"
    as_root(root, disable)
    assert {name: root.text(name) for name in root.before} == root.before
    as_root(root, profile[0])
    as_root(root, purge)
    assert {name: root.text(name) for name in root.before} == root.before
    assert not list(root.path.glob("usr/lib/*/security/pam_twofactor.so"))
    assert (root.path / "home/alice/.twofactor/credential").exists()
    assert (root.path / "etc/ssh/sshd_config.d/10-twofactor.conf").exists()
