"""A virtual machine under QEMU: commands of root over SSH, and logins over SSH and at the console."""

import json
import re
import shlex
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import pexpect
from rig import architecture
from rig.machine import CHECKOUT
from rig.one_time_password import Authenticator
from rig.ssh import Client

FOLDER = CHECKOUT / ".build/machine"

# The processor is emulated and may take ten seconds for what hardware does in half a second.
PATIENCE = 120


class Guest:
    """A machine that runs inside a `with` block; writes to its disk are discarded."""

    def __init__(
        self, kernel_arguments: str, *, memory: int = 768, devices: tuple[str, ...] = (), log: str = "console"
    ) -> None:
        """`memory` is in MiB, `devices` are arguments of QEMU, and `log` names the log of the console."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._kernel_arguments = kernel_arguments
        self._memory = memory
        self._devices = devices
        self._log = log
        self._folder = tempfile.TemporaryDirectory()
        self._options = [
            *("-F", "none", "-p", str(self.port), "-i", str(FOLDER / "key")),
            *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"),
            *("-o", "ConnectTimeout=60", "-o", f"ControlPath={self._folder.name}/%r"),
        ]

    def __enter__(self) -> "Guest":
        self.console = pexpect.spawn(
            architecture.THIS.machine[0],
            [
                *architecture.THIS.machine[1:],
                *("-cpu", "max", "-accel", "tcg,thread=multi", "-smp", "2", "-m", str(self._memory)),
                *("-nographic", "-no-reboot", "-kernel", str(FOLDER / "kernel"), "-initrd", str(FOLDER / "initrd")),
                *("-append", f"root=/dev/vda rw console={architecture.THIS.console} quiet {self._kernel_arguments}"),
                *("-drive", f"file={FOLDER}/disk.img,format=raw,if=virtio,snapshot=on"),
                *("-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-:22"),
                *("-device", "virtio-net-pci,netdev=net"),
                *("-qmp", f"unix:{self._folder.name}/monitor,server=on,wait=off"),
                *self._devices,
            ],
            encoding="utf-8",
            codec_errors="replace",
            timeout=PATIENCE,
        )
        self._record = (FOLDER / f"{self._log}.log").open("a")
        self.console.logfile_read = self._record
        self.console.expect("login: ", timeout=900)
        # One connection of root stays open, so that a command needs no handshake.
        for _ in range(20):
            if self._ssh("-M", "-N", "-f", "root@127.0.0.1").returncode == 0:
                return self
            time.sleep(1)
        raise TimeoutError("the machine's sshd does not answer")

    def __exit__(self, *_) -> None:
        self._ssh("root@127.0.0.1", "poweroff --force --force")
        try:
            self.console.expect(pexpect.EOF, timeout=30)
        except pexpect.TIMEOUT:
            pass
        self.console.close(force=True)
        self._record.close()
        self._folder.cleanup()

    def monitor(self, command: str, **arguments) -> None:
        """Runs a command of QEMU's monitor."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(f"{self._folder.name}/monitor")
            answers = connection.makefile()
            answers.readline()
            for request in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
                connection.sendall(json.dumps(request).encode())
                while "event" in (answer := json.loads(answers.readline())):
                    pass
                assert "return" in answer, answer

    def start(self, *words: str) -> subprocess.Popen:
        """Starts a command as root; its output has both streams."""
        return subprocess.Popen(
            ["ssh", *self._options, "root@127.0.0.1", shlex.join(words)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )

    def _ssh(self, *words: str, given: str | None = None, patience: int = PATIENCE) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["ssh", *self._options, *words],
            input=given if given is not None else "",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if "-f" not in words else subprocess.DEVNULL,
            text=True,
            timeout=patience,
        )

    def run(
        self, *words: str, expect: int | None = 0, given: str | None = None, patience: int = PATIENCE
    ) -> str:
        """Runs a command as root and returns both output streams together."""
        done = self._ssh("root@127.0.0.1", shlex.join(words), given=given, patience=patience)
        assert expect is None or done.returncode == expect, (words, done.returncode, done.stdout)
        return done.stdout

    def set_store(self, store: str) -> None:
        """Moves every enrollment to the home directories or to the host store."""
        script = 'sed -i "/^store = /d" $0; echo "store = $1" >>$0'
        self.run("sh", "-ec", script, "/etc/security/twofactor.conf", store)
        self.run("twofactor", "move", "--all", "--from", "host" if store == "home" else "home")

    def log(self, *words: str) -> str:
        """The journal since the boot, or a part of it."""
        return self.run("journalctl", "--boot", "--no-pager", "--output=cat", *words)

    def denials(self) -> list[str]:
        """The denials of the kernel's policy that concern twofactor."""
        lines = self.run("grep", "-hE", "denied|DENIED", "/var/log/audit/audit.log", expect=None).splitlines()
        return [line for line in lines if "twofactor" in line]

    def doctor(self, *arguments: str, expect: int | None = None) -> dict[str, set[str]]:
        """The statuses in the output of doctor, by check."""
        found: dict[str, set[str]] = {}
        for check in json.loads(self.run("twofactor", "doctor", "--json", *arguments, expect=expect))["checks"]:
            found.setdefault(check["name"], set()).add(check["status"])
        return found


@dataclass
class Person:
    """A person with an account of the machine."""

    guest: Guest
    name: str
    password: str
    authenticator: Authenticator | None = None
    backup_codes: list[str] = field(default_factory=list)
    _used: int = 0

    def enroll(self) -> None:
        answer = json.loads(
            self.guest.run("twofactor", "enable", "--user", self.name, "--no-confirm", "--yes", "--json")
        )
        self.authenticator = Authenticator.from_base32(answer["secret"])
        self.backup_codes = answer["backup_codes"]

    def uid(self) -> str:
        return self.guest.run("id", "-u", self.name).strip()

    def fresh_code(self) -> str:
        """A code that was not used before: of this time step or the next; otherwise waits for the step after.

        Uses the clock of the machine, which falls behind on a busy host.
        """
        while True:
            step = self.authenticator.step(int(self.guest.run("date", "+%s")))
            if self._used <= step:
                break
            time.sleep(1)
        self._used = max(step, self._used + 1)
        return self.authenticator.code_for_counter(self._used)

    def ssh(self, command: str = "echo logged in") -> Client:
        client = Client(
            [
                *("ssh", "-tt", "-F", "none", "-p", str(self.guest.port), "-o", "PubkeyAuthentication=no"),
                *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"),
                *("-o", "NumberOfPasswordPrompts=1", "-o", "ConnectTimeout=60", f"{self.name}@127.0.0.1", command),
            ]
        )
        client.terminal.timeout = PATIENCE
        return client

    def logs_in_by_ssh(self, code: str) -> bool:
        client = self.ssh()
        client.answer(client.PASSWORD, self.password)
        client.answer(client.CODE, code)
        return client.is_let_in()

    def enroll_in_a_login(self, terminal: pexpect.spawn) -> None:
        """Answers the questions of an enrollment at login, after the password."""
        questions = [r"Set it up now\? \[y/N\] ", r"Code from the app[^:]*: ", r"stored.*\? \[y/N\] "]
        if terminal.expect(questions[:2]) == 0:
            terminal.sendline("y")
            terminal.expect(questions[1])
        self.authenticator = Authenticator.from_uri(terminal.before)
        terminal.sendline(self.fresh_code())
        terminal.expect(questions[2])
        self.backup_codes = re.findall(r"[0-9A-Z]{5}-[0-9A-Z]{5}", terminal.before)
        assert len(self.backup_codes) == 10, terminal.before
        terminal.sendline("y")

    def is_refused_before_the_code(self) -> bool:
        """Whether an SSH login with the correct password is denied before the prompt for a code."""
        client = self.ssh()
        client.answer(client.PASSWORD, self.password)
        assert client.expect(client.CODE, client.REFUSED) == client.REFUSED
        return not client.terminal.expect([pexpect.EOF])

    def shell(self, code: str | None) -> pexpect.spawn:
        """A shell over SSH, at its first prompt; None as `code` if none is asked for."""
        client = self.ssh("PS1='ready> ' exec bash --norc --noprofile")
        client.answer(client.PASSWORD, self.password)
        if code is not None:
            client.answer(client.CODE, code)
        client.expect("ready> ")
        return client.terminal

    def logs_in_at_the_console(self, code: str) -> bool:
        """Logs in at the serial console, and logs out again."""
        console = self.guest.console
        console.sendline(self.name)
        console.expect("[Pp]assword: ")
        console.sendline(self.password)
        console.expect("Verification code: ")
        console.sendline(code)
        let_in = console.expect([rf"{self.name}@machine:~\S* ", "Login incorrect"]) == 0
        if let_in:
            console.sendline("tty; exit")
            console.expect(f"/dev/{architecture.THIS.console}")
        else:
            # login(1) would ask again for a minute.
            self.guest.run("systemctl", "restart", f"serial-getty@{architecture.THIS.console}")
        console.expect(f"machine {architecture.THIS.console}.*login: ")
        return let_in
