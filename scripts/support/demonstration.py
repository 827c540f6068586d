"""The demonstration of scripts/demo. Runs in the sandbox; exits with 1 if a login has an unexpected result."""

import os
import re
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path

import pexpect

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "Tests" / "Integration"))

from rig import machine  # noqa: E402
from rig.machine import Account  # noqa: E402
from rig.one_time_password import Authenticator  # noqa: E402
from rig.ssh import Client, Server, make_key  # noqa: E402
from rig.syslog import SystemLog  # noqa: E402

PASSWORD_AND_CODE = """\
auth requisite pam_unix.so nodelay
auth required pam_twofactor.so{arguments}
account required pam_unix.so
session required pam_permit.so
"""
ENROLLMENT_AT_LOGIN = """\
auth requisite pam_unix.so nodelay
auth required pam_twofactor.so enroll=require
account required pam_twofactor.so enroll=require
account required pam_unix.so
session required pam_permit.so
"""
CODE_ALONE = """\
auth required pam_twofactor.so
account required pam_unix.so
session required pam_permit.so
"""
BACKUP_CODE = re.compile(r"\b[0-9A-HJKMNP-TV-Z]{5}-[0-9A-HJKMNP-TV-Z]{5}\b")

# The sequences that show and erase a page. Without them the page stays visible.
CURSOR_CONTROL = re.compile(r"\x1b\[(?:\?1049[hl]|H|2?J|2?K|B)")
BEGUN = re.compile(r"\x1b(?:\[[0-9;?]*)?\Z")


class Screen:
    """Prints the output of a terminal, indented."""

    def __init__(self) -> None:
        self._at_start = True
        self._begun = ""

    def write(self, text: str) -> None:
        text = self._begun + text
        # A read may end within an escape sequence.
        begun = BEGUN.search(text)
        self._begun = begun[0] if begun else ""
        text = CURSOR_CONTROL.sub("", text.removesuffix(self._begun))
        for part in re.split(r"(\r*\n)", text.replace("\r\r\n", "\n")):
            if part.strip("\r") == "\n":
                sys.stdout.write("\n")
                self._at_start = True
            elif part := part.replace("\r", ""):
                sys.stdout.write("    " + part if self._at_start else part)
                self._at_start = False

    def note(self, text: str) -> None:
        """Prints a remark about input that the terminal does not echo."""
        sys.stdout.write(f"\033[2m[{text}]\033[0m" if sys.stdout.isatty() else f"[{text}]")
        self._at_start = False

    def flush(self) -> None:
        sys.stdout.flush()

    def finish(self) -> None:
        if not self._at_start:
            self.write("\n")
        self.flush()


class Phone:
    """An authenticator app that never shows a code twice."""

    def __init__(self, secret: str) -> None:
        self._authenticator = Authenticator.from_base32(secret)
        self._last = 0

    def code(self) -> str:
        """Returns an unused code within the window, to avoid a wait for the next time step."""
        # Five seconds later, the code must still be in the window.
        step = max(self._last + 1, self._authenticator.step(time.time() + 5) - 1)
        while step > self._authenticator.step(time.time()) + 1:
            time.sleep(0.2)
        self._last = step
        return self._authenticator.code_for_counter(step)

    def wrong_code(self) -> str:
        return self._authenticator.wrong_code(time.time())


def heading(text: str) -> None:
    print(f"\n\033[1m{text}\033[0m\n" if sys.stdout.isatty() else f"\n{text}\n", flush=True)


def print_log(log: SystemLog, count: int = 1) -> None:
    for message in log.of_module(count):
        print(f"    log: {message}")


def enroll_at_a_terminal(account: Account) -> tuple[Phone, list[str]]:
    """Runs `twofactor enable` as Alice; returns her phone and her backup codes."""
    print("    $ twofactor enable")
    screen = Screen()
    rows, columns = reversed(shutil.get_terminal_size((100, 50)))
    terminal = pexpect.spawn(
        "runuser",
        ["--login", account.name, "--whitelist-environment", "TERM,LC_ALL", "--command", "twofactor enable"],
        encoding="utf-8",
        timeout=30,
        dimensions=(max(rows, 50), max(columns - 4, 80)),
        env={**os.environ, "TERM": os.environ["TERM"] if sys.stdout.isatty() else "xterm"},
    )
    terminal.logfile_read = screen
    shown, phone = "", None
    questions = [r"Password[^\n:]*: ", "Code from the app: ", r"\[y/N\] ", pexpect.EOF]
    while (question := terminal.expect(questions)) != 3:
        shown += terminal.before + terminal.after
        if question == 0:
            screen.note("types the password")
            terminal.sendline(account.password)
        elif question == 1:
            phone = phone or Phone(re.search(r"secret=([A-Z2-7]+)", re.sub(r"\s", "", shown))[1])
            terminal.sendline(phone.code())
        else:
            terminal.sendline("yes")
    shown += terminal.before
    terminal.close()
    screen.finish()
    assert terminal.exitstatus == 0, f"twofactor enable ended with {terminal.exitstatus}"
    return phone, BACKUP_CODE.findall(shown)


def log_in(
    server: Server, account: Account, *, code: str | None, password: str | None, key: Path | None = None, let_in: bool
) -> None:
    """Shows one ssh login and its log lines."""
    log = SystemLog()
    command = "echo logged in as $(id -un)"
    print(f"    $ ssh {'-i key ' if key else ''}{account.name}@server '{command}'")
    screen = Screen()
    client = Client(server.arguments(account, command, key), log=screen)
    if password is not None:
        client.expect(Client.PASSWORD)
        screen.note("types the password")
        client.terminal.sendline(password)
    if code is not None:
        client.expect(Client.CODE)
        screen.note(f"types {code}")
        client.terminal.sendline(code)
    was_let_in = client.is_let_in()
    screen.finish()
    print_log(log, 1 if code is not None else 0)
    sys.stdout.flush()
    assert was_let_in == let_in, "unexpected success" if was_let_in else "unexpected refusal"


def log_in_first(server: Server, account: Account) -> Phone:
    """Shows a login that enrolls the user, and its log lines; returns the user's phone."""
    log = SystemLog()
    command = "echo logged in as $(id -un)"
    print(f"    $ ssh {account.name}@server '{command}'")
    screen = Screen()
    client = Client(server.arguments(account, command), log=screen)
    shown, phone = "", None
    questions = [Client.PASSWORD, r"Code from the app[^:]*: ", r"\[y/N\] ", Client.IN, Client.REFUSED]
    while (question := client.expect(*questions)) in questions[:3]:
        shown += client.said
        if question == Client.PASSWORD:
            screen.note("types the password")
            client.terminal.sendline(account.password)
        elif question == questions[1]:
            phone = phone or Phone(re.search(r"secret=([A-Z2-7]+)", shown)[1])
            code = phone.code()
            screen.note(f"types {code}")
            client.terminal.sendline(code)
        else:
            client.terminal.sendline("yes")
    client.terminal.expect(pexpect.EOF)
    screen.finish()
    print_log(log, 2)
    sys.stdout.flush()
    assert question == Client.IN and phone, "the first login was refused"
    return phone


def service(name: str, stack: str, directory: Path, **options) -> Server:
    Path(f"/etc/pam.d/{name}").write_text(stack)
    heading(f"A server with this in /etc/pam.d/{name}")
    print("".join(f"    {line}\n" for line in stack.splitlines()), end="")
    return Server(name, directory / name, **options)


def main() -> None:
    machine.install()
    directory = Path(tempfile.mkdtemp())
    alice, bob, carol = (
        machine.add_account(name, password=secrets.token_urlsafe(9)) for name in ("alice", "bob", "carol")
    )

    print("Two-factor login, in a throw-away copy of this machine.")
    heading("Alice enrolls")
    phone, backup_codes = enroll_at_a_terminal(alice)

    with service("twofactor-demo-sshd", PASSWORD_AND_CODE.format(arguments=""), directory) as server:
        heading("She logs in with password and code")
        code = phone.code()
        log_in(server, alice, password=alice.password, code=code, let_in=True)
        heading("The same code is rejected")
        log_in(server, alice, password=alice.password, code=code, let_in=False)
        heading("A wrong code is rejected")
        log_in(server, alice, password=alice.password, code=phone.wrong_code(), let_in=False)
        heading("Without her phone she uses a backup code")
        log_in(server, alice, password=alice.password, code=backup_codes[0], let_in=True)
        heading("The same backup code is rejected")
        log_in(server, alice, password=alice.password, code=backup_codes[0], let_in=False)
        heading("Bob is not enrolled, and this server refuses him")
        log_in(server, bob, password=bob.password, code="123456", let_in=False)

    stack = PASSWORD_AND_CODE.format(arguments=" nullok")
    with service("twofactor-demo-nullok-sshd", stack, directory) as server:
        heading("Bob logs in with his password until he enrolls")
        log_in(server, bob, password=bob.password, code=None, let_in=True)

    methods = "publickey,keyboard-interactive:pam"
    with service("twofactor-demo-keys-sshd", CODE_ALONE, directory, methods=methods) as server:
        heading("Alice logs in with her key and a code")
        log_in(server, alice, password=None, code=phone.code(), key=make_key(alice, directory), let_in=True)

    with service("twofactor-demo-first-sshd", ENROLLMENT_AT_LOGIN, directory) as server:
        heading("Carol logs in for the first time, and this server enrolls her")
        phone = log_in_first(server, carol)
        heading("Her second login asks for a code")
        log_in(server, carol, password=carol.password, code=phone.code(), let_in=True)

    print("\nDone. The accounts, keys and secrets above are gone with the copy of the machine.")


if __name__ == "__main__":
    try:
        main()
    except (AssertionError, pexpect.ExceptionPexpect) as failure:
        print(f"\ndemonstration: {str(failure).splitlines()[0]}", file=sys.stderr)
        sys.exit(1)
