"""The README's way to two-factor login and back, walked word for word in a clean root."""

import json
import re
import shutil
import time

import pexpect
import pytest
from rig.clean_root import ROOTS, CleanRoot
from rig.machine import CHECKOUT, PRODUCT
from rig.one_time_password import Authenticator

PORT = 22903
SECTION = (CHECKOUT / "README.md").read_text().partition("## Put it in front of SSH")[2].partition("\n## ")[0]


def block(step: int) -> list[str]:
    """The last indented block of a step, line by line."""
    text = re.split(r"(?m)^\d\. ", SECTION)[step]
    return [line.strip() for line in re.findall(r"(?m)^       (.*\n)", text)]


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
    """Runs a line of the page as root: what it says after sudo."""
    return root.run("sh", "-c", line.removeprefix("$ ").removeprefix("sudo "), **options)


def change(root, remedy: str) -> None:
    """Does what doctor says: puts a line in the place of another."""
    name, number, line = re.fullmatch(r"in /(.*), line (\d+): (.*)", remedy).groups()
    lines = root.text(name).splitlines()
    lines[int(number) - 1] = line
    (root.path / name).write_text("\n".join(lines) + "\n")


def test_the_way_of_the_readme_leads_there_and_back(root, password):
    alice = root.add_account("alice", password)

    # 2. The package.
    build, _, install = block(2)[-1].partition(" && ")
    assert build == "scripts/package" and "apt install ./.build/product/twofactor_*.deb" in install
    (root.path / "root/.build/product").mkdir(parents=True)
    package = max(PRODUCT.glob("twofactor_*.deb"), key=lambda path: path.stat().st_mtime)
    shutil.copy(package, root.path / "root/.build/product")
    as_root(root, install.replace("sudo apt", "cd /root && apt-get -y"))
    assert {name: root.text(name) for name in root.before} == root.before

    # 3. Alice enrols.
    assert "`twofactor enable`" in SECTION
    words = ["chroot", root.path, "su", "-", "alice", "-c", "twofactor enable --qr none"]
    terminal = pexpect.spawn(words[0], [str(word) for word in words[1:]], encoding="utf-8", timeout=30)
    terminal.expect("[Pp]assword.*: ")
    terminal.sendline(password)
    terminal.expect(r"secret=([A-Z2-7\s]+?)&")
    authenticator = Authenticator.from_base32(re.sub(r"\s", "", terminal.match[1]))
    terminal.expect("Code.*: ")
    step = authenticator.step(time.time())
    terminal.sendline(authenticator.code_for_counter(step))
    terminal.expect("stored.*[?]")
    terminal.sendline("y")
    terminal.expect(pexpect.EOF)

    # 4. All services, by the profile.
    assert block(4)[0] == "sudo pam-auth-update --enable twofactor"
    as_root(root, block(4)[0])

    # 5. sshd, in the words of the page, at the end of the file, where somebody in a hurry puts them.
    settings = root.path / "etc/ssh/sshd_config"
    settings.write_text(settings.read_text() + "\n".join(block(5)) + "\n")

    # 6. What doctor says, until it says nothing more.
    assert block(6)[0] == "$ sudo twofactor doctor"
    for _ in range(10):
        checks = json.loads(root.run("sh", "-c", "twofactor doctor --json || true"))["checks"]
        wrong = [check for check in checks if check["status"] in ("warning", "failed") and check["name"] != "clock"]
        if not wrong:
            break
        change(root, wrong[0]["remedy"])
    assert wrong == []
    as_root(root, block(6)[0])

    # 7. The stack at this terminal.
    tested = re.search(r"`(sudo twofactor test --service sshd --user NAME)`", SECTION)[1].replace("NAME", "alice")
    said = as_root(root, tested, given=f"{password}\n{authenticator.code_for_counter(step + 1)}\n")
    assert "The login would have gone through." in said

    # 8. A second login.
    root.start_server()
    while authenticator.step(time.time()) <= step:
        time.sleep(0.2)
    client = root.connect(alice)
    client.answer(client.PASSWORD, password)
    client.answer(client.CODE, authenticator.code_for_counter(step + 2))
    assert client.is_let_in()
    root.stop_server()

    # And back: refused while a line of somebody's own names the module, then nothing is left in any stack.
    undo = [re.sub(r"\s+", " ", words) for words in re.findall(r"`(sudo [^`]*)`", SECTION) if "test" not in words]
    assert undo == ["sudo pam-auth-update --disable twofactor", "sudo scripts/uninstall", "sudo apt purge twofactor"]
    as_root(root, undo[0])
    assert {name: root.text(name) for name in root.before} == root.before
    as_root(root, undo[2].replace("apt", "apt-get -y"))
    assert not list(root.path.glob("usr/lib/*/security/pam_twofactor.so"))
