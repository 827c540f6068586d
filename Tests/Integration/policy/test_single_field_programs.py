"""The two lines of pam/service/single-field with programs that have a single password field."""

import contextlib
import ftplib
import imaplib
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
from rig.clock import time_to_type
from rig.doctor import doctor
from rig.host_trees import build
from rig.machine import CHECKOUT
from rig.process import run
from rig.reachable import open_to_all

EXAMPLE = re.findall(r"(?m)^auth .*", (CHECKOUT / "pam/service/single-field").read_text())
REST = ("account required pam_permit.so", "session required pam_permit.so")


@contextlib.contextmanager
def server(*command: str | Path, port: int | None = None, environment: dict | None = None):
    """Runs a program in the foreground until the block ends; with a port, waits until it listens there."""
    with open("/tmp/server.log", "ab") as output:
        process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            env={**os.environ, **(environment or {})},
        )
    try:
        for _ in range(400):
            assert process.poll() is None, Path("/tmp/server.log").read_text()[-2000:]
            if port is None:
                break
            with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), timeout=5):
                break
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.wait(timeout=20)


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o644)
    return path


DOVECOT = """\
base_dir = {place}/run
state_dir = {place}/state
log_path = /tmp/server.log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain
auth_failure_delay = 0
mail_location = maildir:~/Maildir
default_login_user = dovenull
default_internal_user = dovecot
service imap-login {{
  chroot =
  inet_listener imap {{
    port = 22143
  }}
}}
service stats {{
  chroot =
}}
passdb {{
  driver = pam
  args = {service}
}}
userdb {{
  driver = passwd
}}
"""


@contextlib.contextmanager
def dovecot(service: str, place: Path):
    settings = written(place / "dovecot.conf", DOVECOT.format(place=place, service=service))

    def logs_in(account, text: str) -> bool:
        client = imaplib.IMAP4("127.0.0.1", 22143, timeout=30)
        try:
            client.login(account.name, text)
            return client.noop()[0] == "OK"
        except imaplib.IMAP4.error:
            return False
        finally:
            with contextlib.suppress(imaplib.IMAP4.error, OSError):
                client.logout()

    with server("dovecot", "-F", "-c", settings, port=22143):
        yield logs_in


PROFTPD = """\
ServerType standalone
DefaultAddress 127.0.0.1
Port 22121
UseIPv6 off
User proftpd
Group nogroup
PidFile {place}/pid
ScoreboardFile {place}/scoreboard
DelayTable {place}/delay
SystemLog {place}/log
WtmpLog off
UseReverseDNS off
RequireValidShell off
AuthOrder mod_auth_pam.c* mod_auth_unix.c
AuthPAMConfig {service}
"""


def proftpd_lets_in(account, text: str) -> bool:
    with ftplib.FTP(timeout=30) as client:
        client.connect("127.0.0.1", 22121)
        try:
            client.login(account.name, text)
        except ftplib.error_perm:
            return False
        return client.pwd() == str(account.home)


@contextlib.contextmanager
def proftpd(service: str, place: Path):
    settings = written(place / "proftpd.conf", PROFTPD.format(place=place, service=service))

    with server("proftpd", "--nodaemon", "--config", settings, port=22121):
        yield proftpd_lets_in


RADIUS = """\
prefix = /usr
logdir = {place}
run_dir = {place}
libdir = /usr/lib/freeradius
max_request_time = 30
security {{
  reject_delay = 0
{identity}}}
log {{
  destination = files
  file = {place}/radius.log
}}
client localhost {{
  ipaddr = 127.0.0.1
  secret = shared
}}
thread pool {{
  start_servers = 1
  max_servers = 4
}}
modules {{
  pam {{
    pam_auth = {service}
  }}
}}
server default {{
  listen {{
    type = auth
    ipaddr = 127.0.0.1
    port = 22181
  }}
  authorize {{
    update control {{
      &Auth-Type := PAM
    }}
  }}
  authenticate {{
    Auth-Type PAM {{
      pam
    }}
  }}
}}
"""


@contextlib.contextmanager
def freeradius(service: str, place: Path, identity: str = ""):
    written(place / "radiusd.conf", RADIUS.format(place=place, service=service, identity=identity))

    def logs_in(account, text: str) -> bool:
        request = f'User-Name = "{account.name}"\nUser-Password = "{text}"\n'
        done = run("radclient", "-t", "20", "-r", "1", "127.0.0.1:22181", "auth", "shared", input=request, status=None)
        assert "Access-" in done.stdout, done
        return "Access-Accept" in done.stdout

    with server("freeradius", "-f", "-d", place):
        for _ in range(200):
            # A UDP port accepts no connection, so wait for the log instead.
            log = place / "radius.log"
            if log.exists() and "Ready to process requests" in log.read_text():
                break
            time.sleep(0.05)
        yield logs_in


STORE = Path("/var/lib/freeradius/twofactor")
OWNED_BY_FREERAD = (f"directory = {STORE}/%U", "owner = freerad")


@contextlib.contextmanager
def freeradius_of_debian(service: str, place: Path):
    """FreeRADIUS as freerad, Debian's default."""
    shutil.chown(place, "freerad", "freerad")
    open_to_all(place.parent)
    with freeradius(service, place, identity="  user = freerad\n  group = freerad\n") as logs_in:
        processes = run("pgrep", "--uid", "freerad", "--count", "freeradius", status=None)
        assert processes.stdout.strip() == "1", "FreeRADIUS does not run as freerad"
        yield logs_in


SESMAN = """\
[Globals]
ListenAddress=127.0.0.1
ListenPort=22350
EnableUserWindowManager=false
DefaultWindowManager=/bin/true
[Security]
AllowRootLogin=false
MaxLoginRetry=4
[Sessions]
X11DisplayOffset=70
MaxSessions=20
KillDisconnected=true
[Logging]
LogFile={place}/sesman.log
LogLevel=INFO
EnableSyslog=false
[Xvnc]
param=/bin/true
[Xorg]
param=/bin/true
[SessionVariables]
"""


@contextlib.contextmanager
def sesman(service: str, place: Path):
    settings = written(place / "sesman.ini", SESMAN.format(place=place))

    def logs_in(account, text: str) -> bool:
        options = ("-s", "127.0.0.1", "-c", settings, "-t", "Xvnc", "-F", "0")
        done = run("xrdp-sesrun", *options, account.name, input=text, status=None)
        (result,) = re.findall(r"(?m)^(ok|Connection denied).*$", done.stdout + done.stderr)
        return result == "ok"

    with server("xrdp-sesman", "--nodaemon", "--config", settings, port=22350):
        yield logs_in


@contextlib.contextmanager
def i3lock(service: str, place: Path):
    """A locked screen for each password, run by the user, who has no more rights."""
    display = ":97"

    def logs_in(account, text: str) -> bool:
        environment = {"DISPLAY": display}
        user = ("setpriv", f"--reuid={account.uid}", f"--regid={account.gid}", "--init-groups")
        with server(*user, "i3lock", "--nofork", environment=environment) as locker:
            run("xdotool", "search", "--sync", "--name", "^i3lock$", environment={**os.environ, **environment})
            time.sleep(0.2)
            run(
                "xdotool", "type", "--delay", "15", "--file", "-", input=text,
                environment={**os.environ, **environment},
            )
            run("xdotool", "key", "Return", environment={**os.environ, **environment})
            # After a wrong password, i3lock keeps running.
            for _ in range(100):
                if locker.poll() is not None:
                    return locker.returncode == 0
                time.sleep(0.05)
        return False

    with server("Xvfb", display, "-nolisten", "tcp", "-ac", "-noreset"):
        # The socket exists before the server accepts connections.
        environment = {**os.environ, "DISPLAY": display}
        for _ in range(200):
            if run("xdotool", "getdisplaygeometry", environment=environment, status=None).returncode == 0:
                break
            time.sleep(0.05)
        yield logs_in


# Some programs have no setting for the PAM service; its name is then fixed.
PROGRAMS = {
    "dovecot": (dovecot, "policy-imap"),
    "proftpd": (proftpd, "policy-proftpd"),
    "FreeRADIUS": (freeradius_of_debian, "policy-radius"),
    "FreeRADIUS as root": (freeradius, "policy-radius"),
    "xrdp-sesman": (sesman, "xrdp-sesman"),
    "i3lock": (i3lock, "i3lock"),
    "i3lock and the host store": (i3lock, "i3lock"),
}


@pytest.mark.seconds(240)
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_with_a_single_field_logs_in_every_kind_of_user(
    system_service, new_user, tmp_path, log, host_configuration, request, program
):
    start, service = PROGRAMS[program]
    if program.endswith("host store"):
        request.getfixturevalue("host_store")
    if program == "FreeRADIUS":
        host_configuration(*OWNED_BY_FREERAD)
        run("install", "-d", "-o", "freerad", "-m", "700", STORE)
    tmp_path.chmod(0o755)
    system_service(service, *EXAMPLE, *REST)
    enrolled, other = new_user(password="correcthorsebattery"), new_user(password="correct horse 123456")
    enrollment = enrolled.enroll(backup_codes=1)
    with start(service, tmp_path) as logs_in:
        code = enrollment.authenticator.code_at(time_to_type())
        assert not logs_in(enrolled, enrolled.password), "the code was not required"
        assert not logs_in(enrolled, "wrong" + enrollment.backup_codes[0])
        assert logs_in(enrolled, enrolled.password + code)
        assert not logs_in(enrolled, enrolled.password + code), "the code was accepted twice"
        assert logs_in(other, other.password), "a user who is not enrolled was refused"
        assert not logs_in(other, other.password[:-6])
    outcomes = [re.search(r"(?:method|reason)=(\S+)", message.text)[1] for message in log.of_module(6)]
    assert outcomes == ["wrong-code", "backup-code", "totp", "reused-code", "exempt", "exempt"]


def test_the_password_alone_passes_proftpd_until_the_remedy_of_doctor(system_service, new_user, tmp_path, request):
    # Debian's configuration, on a port that the tests use.
    settings = Path("/etc/proftpd/proftpd.conf")
    shipped = settings.read_text()
    request.addfinalizer(lambda: settings.write_text(shipped))
    replaced = re.sub(r"(?m)^Port\s.*", "Port 22121\nDefaultAddress 127.0.0.1\nRequireValidShell off", shipped)
    settings.write_text(replaced)
    Path("/run/proftpd").mkdir(exist_ok=True)
    system_service("proftpd", *EXAMPLE, *REST)
    enrolled, other = new_user(password="correcthorsebattery"), new_user(password="correct horse 9")
    enrollment = enrolled.enroll(backup_codes=1)

    def let_in(*logins: tuple) -> list[bool]:
        with server("proftpd", "--nodaemon", "--config", settings, port=22121):
            return [proftpd_lets_in(account, text) for account, text in logins]

    assert let_in((enrolled, enrolled.password)) == [True]
    (check,) = [check for check in doctor(None, "--user", enrolled.name)[1] if check["name"] == "proftpd_auth_order"]
    line = next(number for number, text in enumerate(replaced.splitlines(), 1) if text.startswith("# AuthOrder"))
    assert (check["status"], check["remedy"]) == (
        "failed", f"in {settings}, line {line}: AuthOrder mod_auth_pam.c* mod_auth_unix.c"
    )
    lines = replaced.splitlines(keepends=True)
    lines[line - 1] = check["remedy"].partition(": ")[2] + "\n"
    settings.write_text("".join(lines))
    assert "proftpd_auth_order" not in {check["name"] for check in doctor(None, "--user", enrolled.name)[1]}
    code = enrollment.authenticator.code_at(time_to_type())
    logins = [(enrolled, enrolled.password), (enrolled, enrolled.password + code), (other, other.password)]
    assert let_in(*logins) == [False, True, True]


ORDERS = {
    "": True,
    "AuthOrder mod_auth_pam.c mod_auth_unix.c": True,
    "AuthOrder mod_auth_unix.c": True,
    "AuthPAM off\nAuthOrder mod_auth_pam.c* mod_auth_unix.c": True,
    "AuthOrder mod_auth_unix.c mod_auth_pam.c*": False,
    "AuthOrder mod_auth_pam.c*": False,
    "<Global>\nAuthOrder mod_auth_pam.c* mod_auth_unix.c\n</Global>": False,
    "<IfModule mod_auth_pam.c>\nAuthOrder mod_auth_pam.c* mod_auth_unix.c\n</IfModule>": False,
}


@pytest.mark.parametrize("order", ORDERS)
def test_doctor_parses_the_order_as_proftpd_does(system_service, new_user, tmp_path, order):
    tmp_path.chmod(0o755)
    system_service("policy-proftpd", *EXAMPLE, *REST)
    enrolled = new_user(password="correcthorsebattery")
    enrolled.enroll()
    text = PROFTPD.replace("AuthOrder mod_auth_pam.c* mod_auth_unix.c", order)
    text = text.format(place=tmp_path, service="policy-proftpd")
    root = build(tmp_path / "host", {"etc/proftpd.conf": text, "etc/pam.d/policy-proftpd": "\n".join(EXAMPLE) + "\n"})
    with server("proftpd", "--nodaemon", "--config", root / "etc/proftpd.conf", port=22121):
        assert proftpd_lets_in(enrolled, enrolled.password) is ORDERS[order]
    found = {check["name"] for check in doctor(root)[1]}
    assert ("proftpd_auth_order" in found) is ORDERS[order]
