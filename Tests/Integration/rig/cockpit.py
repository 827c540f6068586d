"""Cockpit's web server, and the requests of its login page, which gets PAM's questions as X-Conversation challenges."""

import base64
import contextlib
import http.client
import json
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from .machine import Account
from .packages import install

SETTINGS = Path("/etc/cockpit/cockpit.conf")


@dataclass(frozen=True)
class Page:
    """What the login page shows: a question, or the end of the login in `status` and `reason`."""

    status: int
    reason: str
    conversation: str
    question: str
    message: str
    is_visible: bool

    @property
    def is_let_in(self) -> bool:
        return self.status == 200


class Cockpit:
    """The server without TLS, with the identity that its systemd unit sets.

    answer_within: how long the server waits for the user, in seconds
    """

    def __init__(self, port: int, answer_within: int = 60) -> None:
        self._port = port
        self._log = Path(f"/tmp/cockpit-{port}.log")
        self._settings = f"[basic]\nresponse-timeout = {answer_within}\n"

    def __enter__(self) -> "Cockpit":
        install("cockpit")
        SETTINGS.write_text(self._settings)
        name = "cockpit-wsinstance"
        words = ("setpriv", f"--reuid={name}", f"--regid={name}", "--init-groups")
        server = ("/usr/lib/cockpit/cockpit-ws", "--no-tls", f"--port={self._port}", "--address=127.0.0.1")
        with self._log.open("wb") as log:
            null = subprocess.DEVNULL
            self._process = subprocess.Popen((*words, *server), stdin=null, stdout=log, stderr=log, cwd="/")
        for _ in range(200):
            address = ("127.0.0.1", self._port)
            with contextlib.suppress(ConnectionError), socket.create_connection(address, timeout=5):
                # The server reads its settings once.
                SETTINGS.unlink()
                return self
            assert self._process.poll() is None, self._log.read_text()
            time.sleep(0.05)
        raise AssertionError("cockpit-ws does not listen")

    def __exit__(self, *_) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)

    def log(self) -> str:
        """The lines that systemd would write to the journal."""
        return self._log.read_text()

    def start(self, account: Account) -> Page:
        return self._request("Basic", f"{account.name}:{account.password}")

    def answer(self, page: Page, text: str) -> Page:
        return self._request(f"X-Conversation {page.conversation}", text)

    def _request(self, scheme: str, secret: str) -> Page:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        authorization = f"{scheme} {base64.b64encode(secret.encode()).decode()}"
        connection.request("GET", "/cockpit/login", headers={"Authorization": authorization})
        with contextlib.closing(connection), connection.getresponse() as response:
            challenge = (response.getheader("WWW-Authenticate") or "").split()
            body = response.read().decode()
            asks = response.status == 401 and len(challenge) == 3
            said = json.loads(body) if asks else {}
            question = base64.b64decode(challenge[2]).decode() if asks else ""
            # If there is an error, the page shows no messages.
            message = said.get("error") or said.get("message", "")
            conversation = challenge[1] if asks else ""
            return Page(response.status, response.reason, conversation, question, message, bool(said.get("echo")))
