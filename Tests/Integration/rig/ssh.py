"""A real sshd on loopback with its own PAM stack, and real clients at pseudo-terminals."""

import itertools
import os
import signal
import subprocess
import time
from pathlib import Path

import pexpect

from .machine import Account
from .process import run

PORTS = itertools.count(22022)

SETTINGS = """\
{first}
ListenAddress 127.0.0.1
Port {port}
HostKey {directory}/host_key
PidFile none
UsePAM yes
KbdInteractiveAuthentication yes
PasswordAuthentication no
PubkeyAuthentication yes
AuthenticationMethods {methods}
UseDNS no
PrintMotd no
PrintLastLog no
StrictModes yes
MaxStartups 100
{service}
{match}
"""


class Server:
    """An sshd with the PAM service `service`; a context manager that listens until it exits."""

    def __init__(
        self,
        service: str,
        directory: Path,
        methods: str = "keyboard-interactive:pam",
        settings: str = "",
        match: str = "",
        within: list[str] | None = None,
    ) -> None:
        """within: the words before each command, to run server and clients in a network namespace"""
        self.service = service
        self.within = within or []
        # sshd uses the first line of each keyword.
        self.settings = settings
        # Applies to all lines after it.
        self.match = match
        self.directory = directory
        self.port = next(PORTS)
        directory.mkdir(parents=True, exist_ok=True)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / "host_key")
        public_key = (directory / "host_key.pub").read_text().split()[:2]
        (directory / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {' '.join(public_key)}\n")
        # Up to OpenSSH 9.7, the PAM service is the program's name; later releases have an option.
        self.program = directory / service
        self.program.symlink_to("/usr/sbin/sshd")
        self.configuration = directory / "sshd_config"
        if not self._accepts(f"PAMServiceName {service}", methods):
            assert self._accepts("", methods), f"sshd -t refuses {self.configuration}"
        self._process: subprocess.Popen | None = None

    def _accepts(self, service: str, methods: str) -> bool:
        self.configuration.write_text(
            SETTINGS.format(
                first=self.settings,
                port=self.port,
                directory=self.directory,
                service=service,
                methods=methods,
                match=self.match,
            )
        )
        check = [self.program, "-t", "-f", self.configuration]
        return run(*check, status=None).returncode == 0

    def __enter__(self) -> "Server":
        Path("/run/sshd").mkdir(exist_ok=True)
        self._process = subprocess.Popen(
            [*self.within, self.program, "-D", "-f", self.configuration], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(200):
            probe = [*self.within, "ssh-keyscan", "-T", "2", "-p", str(self.port), "127.0.0.1"]
            scan = run(*probe, status=None)
            if scan.stdout:
                return self
            assert self._process.poll() is None, "sshd ended before it listened"
            time.sleep(0.05)
        raise TimeoutError("sshd does not answer")

    def __exit__(self, *_) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=10)

    def arguments(self, account: Account, command: str | None = None, key: Path | None = None) -> list[str]:
        """The ssh command line for this server."""
        options = [
            *("-F", "none"),
            *("-p", str(self.port)),
            *("-o", f"UserKnownHostsFile={self.directory}/known_hosts"),
            *("-o", "StrictHostKeyChecking=yes"),
            *("-o", "NumberOfPasswordPrompts=1"),
            *("-o", "ConnectTimeout=10"),
            *("-o", "IdentitiesOnly=yes"),
            *("-o", f"IdentityFile={key or '/nonexistent'}"),
        ]
        return [*self.within, "ssh", *options, f"{account.name}@127.0.0.1", *([command] if command else [])]

    def connect(self, account: Account, command: str = "echo logged in", key: Path | None = None) -> "Client":
        return Client(self.arguments(account, command, key))


class Client:
    """An ssh client at a terminal."""

    PASSWORD = "[Pp]assword: "
    CODE = "Verification code: "
    IN = "logged in"
    REFUSED = "Permission denied"

    def __init__(self, arguments: list[str], log=None) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SSH_")}
        self.terminal = pexpect.spawn(
            arguments[0],
            arguments[1:],
            timeout=20,
            encoding="utf-8",
            codec_errors="replace",
            env={**environment, "TERM": "xterm"},
            dimensions=(50, 100),
        )
        self.terminal.logfile_read = log

    def expect(self, *patterns: str) -> str:
        """Waits for one of the patterns and returns it; fails at the end of the output."""
        return patterns[self.terminal.expect(list(patterns))]

    def answer(self, pattern: str, text: str) -> None:
        """Waits for `pattern` and types `text`."""
        self.expect(pattern)
        self.terminal.sendline(text)

    def is_let_in(self) -> bool:
        """Whether the command ran; asserts that the login was accepted or denied."""
        let_in = self.expect(self.IN, self.REFUSED) == self.IN
        self.terminal.expect(pexpect.EOF)
        self.terminal.close()
        assert (self.terminal.exitstatus == 0) == let_in
        return let_in

    @property
    def said(self) -> str:
        return (self.terminal.before or "") + str(self.terminal.after or "")


def make_key(account: Account, directory: Path) -> Path:
    """Creates a key pair and authorizes it for the account."""
    key = directory / f"{account.name}_key"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    folder = account.home / ".ssh"
    folder.mkdir(mode=0o700)
    (folder / "authorized_keys").write_text(key.with_suffix(".pub").read_text())
    for path in (folder, folder / "authorized_keys"):
        os.chown(path, account.uid, account.gid)
    return key
