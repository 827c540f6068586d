"""OpenVPN on loopback: its PAM plugin sends a single password that contains the code."""

import contextlib
import glob
import os
import stat
import subprocess
import time
from pathlib import Path

import pytest
from rig.process import run

PORT = "22991"
COMMON = ("openvpn", "--dev", "tun", "--ca", "certificate", "--verb", "3")


def has_tunnels() -> bool:
    """Whether this kernel supports tunnels; creates the device node in the sandbox."""
    device = Path("/dev/net/tun")
    device.parent.mkdir(exist_ok=True)
    if not device.exists():
        os.mknod(device, 0o600 | stat.S_IFCHR, os.makedev(10, 200))
    try:
        os.close(os.open(device, os.O_RDWR))
    except OSError:
        return False
    return True


class Server:
    """A server in a folder, and clients that connect to it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.log = directory / "server.log"

    def said(self, *texts: str) -> str:
        """Waits for one of the texts in the server's log, and truncates the log."""
        for _ in range(300):
            content = self.log.read_text(errors="replace")
            for text in texts:
                if text in content:
                    os.truncate(self.log, 0)
                    return text
            time.sleep(0.05)
        raise TimeoutError(f"none of {texts}: {content[-1000:]}")

    def lets_in(self, user: str, password: str) -> bool:
        login = self.directory / "login"
        login.write_text(f"{user}\n{password}\n")
        login.chmod(0o600)
        words = ("--client", "--remote", "127.0.0.1", PORT, "udp4", "--nobind", "--ifconfig-noexec", "--route-noexec",
                 "--auth-user-pass", "login", "--auth-retry", "none")
        with subprocess.Popen([*COMMON, *words], cwd=self.directory, stdout=subprocess.DEVNULL) as client:
            try:
                succeeded = f"authentication succeeded for username '{user}'"
                return self.said(succeeded, "Auth Username/Password verification failed for peer") == succeeded
            finally:
                client.kill()


@contextlib.contextmanager
def serving(directory: Path, service: str):
    make = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out certificate -subj /CN=server -days 3650"
    run(*make.split(), cwd=directory)
    plugin = glob.glob("/usr/lib/*/openvpn/plugins/openvpn-plugin-auth-pam.so")[0]
    server = Server(directory)
    words = ("--mode", "server", "--tls-server", "--topology", "subnet", "--local", "127.0.0.1", "--port", PORT,
             "--proto", "udp4", "--cert", "certificate", "--key", "key", "--dh", "none", "--verify-client-cert", "none",
             "--username-as-common-name", "--duplicate-cn", "--plugin", plugin, service)
    with server.log.open("ab") as log:
        running = subprocess.Popen([*COMMON, *words], cwd=directory, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        server.said("Initialization Sequence Completed")
        yield server
    finally:
        running.terminate()
        running.wait(timeout=10)


def test_a_vpn_accepts_password_and_code_in_one_field(system_service, user, password, tmp_path, log):
    if not has_tunnels():
        pytest.skip("this kernel has no tunnels (/dev/net/tun), without which no openvpn server starts")
    enrolled = user.enroll()
    service = system_service(
        "policy-vpn",
        "auth required pam_twofactor.so forward_pass",
        "auth required pam_unix.so nodelay use_first_pass",
        "account required pam_unix.so",
    )
    code = enrolled.authenticator.code_at(time.time())
    with serving(tmp_path, service) as server:
        assert not server.lets_in(user.name, password + enrolled.authenticator.wrong_code(time.time()))
        assert server.lets_in(user.name, password + code)
        assert not server.lets_in(user.name, password + code)
    outcomes = [message.text.partition("(policy-vpn:auth): ")[2].split()[-2:] for message in log.of_module(3)]
    assert outcomes == [
        ["reason=wrong-code", "failures=1"],
        ["method=totp", f"device={enrolled.device}"],
        ["rhost=127.0.0.1", "reason=reused-code"],
    ]
