"""Completions in real shells after a plain login: found where each shell looks, right, silent, and without effect."""

import contextlib
import re
import shutil
from pathlib import Path

import pexpect
import pytest
from rig.machine import CHECKOUT
from rig.process import run

SHELLS = ("bash", "zsh", "fish")
# Names of devices that end a word, and names that run a program in an unquoted or badly quoted word.
AWKWARD = """tab 'q' "r" a:b \\z;x& (u) |v>w"""
HOSTILE = ["work $(touch /tmp/ran) `touch /tmp/ran`", "x`touch${IFS}/tmp/ran`", "y$(touch${IFS}/tmp/ran)"]


@pytest.fixture(scope="module", autouse=True)
def installed(products):
    """The completions, where scripts/install puts them."""
    lines = run(CHECKOUT / "scripts/support/host-files", "/usr/local", "/m").stdout.splitlines()
    table = [line.split() for line in lines if "/completions/" in line.split()[2]]
    assert len(table) == len(SHELLS)
    for _, _, source, target in table:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / source, target)
    yield
    for *_, target in table:
        Path(target).unlink()


@contextlib.contextmanager
def login_shell(shell: str, home: Path, account=None):
    """A login shell of an account, or of root with another home, with the environment of login(1)."""
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    environment = {"HOME": str(home), "PATH": path, "TERM": "dumb", "LANG": "C.UTF-8"}
    # zsh completes nothing without the lines that it proposes to new users.
    (home / ".zshrc").write_text("autoload -Uz compinit\ncompinit\n")
    identity = ["setpriv", f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups"] if account else []
    command, *rest = [*identity, shell, "-l"]
    options = {"env": environment, "cwd": "/", "encoding": "utf-8", "dimensions": (50, 500), "timeout": 30}
    with pexpect.spawn(command, rest, **options) as terminal:
        terminal.sendline("echo ready'!'")
        terminal.expect_exact("ready!\r\n")
        yield terminal


def completed(terminal, line: str) -> list[str]:
    """The words of a command line after the Tab key."""
    terminal.send(f"{line}\t")
    # From the start of the line: prints its words instead of running it.
    terminal.sendline("\x01printf '\\n<%s>\\n' \x05 'the end'")
    terminal.expect_exact("\n<the end>\r\n")
    return re.findall(r"\n<(.*)>\r", terminal.before)


@pytest.mark.parametrize("shell", SHELLS)
def test_tab_completes_values_and_runs_no_name(user, tmp_path, shell):
    """As root: the names of the devices are the user's."""
    user.enroll()
    for name in (AWKWARD, *HOSTILE):
        user.add_device(name)
    words = ["twofactor", "device", "remove", "--user", user.name]
    with login_shell(shell, tmp_path) as terminal:
        assert completed(terminal, " ".join([*words, "ta"])) == [*words, AWKWARD]
        for name in HOSTILE:
            # bash would insert them as programs.
            wanted = name[0] if shell == "bash" else name
            assert completed(terminal, " ".join([*words, name[0]])) == [*words, wanted]
        assert not Path("/tmp/ran").exists()
        assert completed(terminal, "twofactor test --service twofac")[-1] == "twofactor"
        assert completed(terminal, f"twofactor status --user {user.name[:-1]}")[-1].startswith(user.name[:-1])


def candidates(terminal, line: str) -> list[str]:
    """The candidates of fish, and the whole output of the command."""
    terminal.sendline(f"complete -C '{line}'; echo end'!'")
    terminal.expect_exact("end!\r\n")
    said = terminal.before.split("\x1b[?2004l")[-1]
    return [line.split("\t")[0] for line in said.splitlines()]


def test_each_value_has_its_candidates(user):
    with login_shell("fish", user.home, user) as terminal:
        for line, wanted in {
            "twofactor sta": {"status"},
            "twofactor device ": {"add", "list", "remove"},
            "twofactor status --user ": {"root", user.name},
            "twofactor test --service ": {"login", "sshd", "su"},
            "twofactor import --from ": {"uri", "migration", "google-authenticator", "oath", "pskc", "aegis", "2fas"},
            "twofactor enable --qr ": {"auto", "utf8", "ansi", "ascii", "none"},
            "twofactor enable --algorithm ": {"sha1", "sha256", "sha512"},
            "twofactor move --from ": {"home", "host"},
        }.items():
            assert wanted <= set(candidates(terminal, line)), line
        # Accounts without a login, and parts of services.
        assert "daemon" not in candidates(terminal, "twofactor status --user ")
        assert "common-auth" not in candidates(terminal, "twofactor test --service ")


@pytest.mark.usefixtures("each_store")
def test_devices_are_completed_for_their_user_alone(user, new_user):
    with login_shell("fish", user.home, user) as terminal:
        assert candidates(terminal, "twofactor device remove ") == []
        user.enroll()
        user.add_device("work laptop")
        for line in ("twofactor device remove ", "twofactor show --name ", "twofactor device resync "):
            assert candidates(terminal, line) == ["phone", "work laptop"], line
    other = new_user()
    with login_shell("fish", other.home, other) as terminal:
        assert candidates(terminal, f"twofactor device remove --user {user.name} ") == []
