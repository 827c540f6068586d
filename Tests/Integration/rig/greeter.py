"""lightdm and its GTK greeter on a virtual screen: read through the accessibility tree, typed at with xdotool."""

import contextlib
import json
import os
import pwd
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .machine import Account
from .packages import install
from .process import run

DISPLAY = ":61"
WIDTH, HEIGHT = 1024, 768
AUTHORITY = Path(f"/run/lightdm/root/{DISPLAY}")
PLACE = Path("/srv/greeter")
BUS = PLACE / "bus"
SYSTEM_BUS = Path("/run/dbus/system_bus_socket")
SESSION = Path("/usr/share/xsessions/short.desktop")
SETTINGS = Path("/etc/lightdm/lightdm.conf.d/99-tests.conf")

# No virtual terminals here, so lightdm cannot switch to one.
CONFIGURATION = f"""\
[LightDM]
minimum-display-number={DISPLAY[1:]}
logind-check-graphical=false
[Seat:*]
xserver-command={PLACE}/server
greeter-session=lightdm-gtk-greeter
greeter-wrapper={PLACE}/wrapper
greeter-hide-users=true
user-session=short
session-wrapper=env
"""
# lightdm's other arguments, such as vt7, are for a server with hardware.
SERVER = f"""\
#!/bin/sh
while [ "$1" != -auth ]; do shift; done
exec Xvfb {DISPLAY} -auth "$2" -screen 0 {WIDTH}x{HEIGHT}x24 -nolisten tcp -noreset
"""
WRAPPER = f"""\
#!/bin/sh
DBUS_SESSION_BUS_ADDRESS=unix:path={BUS} exec "$@" 2>>{PLACE}/greeter.log
"""
DESKTOP = f"""\
[Desktop Entry]
Type=Application
Name=short
Exec={PLACE}/session
"""
# Leaves a trace in the user's home, and ends at once: lightdm then starts the next greeter.
SHORT = """\
#!/bin/sh
id -un >>~/session
"""

READER = """
import gi, json
gi.require_version("Atspi", "2.0")
from gi.repository import Atspi

def showing(node):
    if node is None or not node.get_state_set().contains(Atspi.StateType.SHOWING):
        return
    yield node
    for number in range(node.get_child_count()):
        yield from showing(node.get_child_at_index(number))

def described(node):
    states, box = node.get_state_set(), node.get_extents(Atspi.CoordType.SCREEN)
    text = node.get_text_iface() and Atspi.Text.get_text(node, 0, -1)
    is_ready = states.contains(Atspi.StateType.FOCUSED) and states.contains(Atspi.StateType.SENSITIVE)
    return [node.get_role_name(), text, is_ready, box.x, box.y, box.width, box.height]

desktop = Atspi.get_desktop(0)
found = []
for number in range(desktop.get_child_count()):
    application = desktop.get_child_at_index(number)
    for index in range(application.get_child_count() if application else 0):
        found += [described(node) for node in showing(application.get_child_at_index(index))]
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Element:
    """A part of the screen. `text` has one bullet for each character of a password."""

    role: str
    text: str | None
    is_ready: bool
    x: int
    y: int
    width: int
    height: int

    @property
    def is_on_screen(self) -> bool:
        return self.x >= 0 and self.y >= 0 and self.x + self.width <= WIDTH and self.y + self.height <= HEIGHT


def written(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


class Greeter:
    """One seat of lightdm. `patience` is in seconds."""

    patience = 30

    def __enter__(self) -> "Greeter":
        install("greeter")
        for path, text in ((SETTINGS, CONFIGURATION), (SESSION, DESKTOP)):
            written(path, text)
        for path, text in ((PLACE / "server", SERVER), (PLACE / "wrapper", WRAPPER), (PLACE / "session", SHORT)):
            written(path, text, 0o755)
        self._reader = pwd.getpwnam("lightdm")
        os.chown(PLACE, self._reader.pw_uid, -1)
        Path("/run/dbus").mkdir(exist_ok=True)
        self._processes = contextlib.ExitStack()
        identity = {"user": self._reader.pw_uid, "group": self._reader.pw_gid, "extra_groups": []}
        SYSTEM_BUS.unlink(missing_ok=True)
        self._start("dbus-daemon", "--system", "--nofork", "--nopidfile")
        self._start("dbus-daemon", "--session", "--nofork", f"--address=unix:path={BUS}", **identity)
        end = time.monotonic() + self.patience
        while not (SYSTEM_BUS.exists() and BUS.exists()):
            assert time.monotonic() < end, "dbus-daemon does not listen"
            time.sleep(0.05)
        self._start("lightdm", "--debug")
        return self

    def __exit__(self, *_) -> None:
        self._processes.close()
        SETTINGS.unlink()
        BUS.unlink(missing_ok=True)

    def _start(self, *command: str, **identity) -> None:
        with (PLACE / f"{command[0]}.log").open("ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", **identity)
        self._processes.callback(process.wait, timeout=20)
        self._processes.callback(process.terminate)

    def elements(self) -> list[Element]:
        """Empty if there is no greeter."""
        environment = {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={BUS}", "HOME": self._reader.pw_dir}
        reader = {"input": READER, "user": Account("lightdm", ""), "environment": environment}
        done = run("/usr/bin/python3", "-", **reader, status=None, timeout=10)
        return [Element(*fields) for fields in json.loads(done.stdout or "[]")]

    def wait(self, pattern: str = "", entry: str = "text") -> str:
        """Waits for an empty entry with the focus, and for a message with the pattern; returns the message.

        entry: its role, "text" or "password text"
        """
        for found in self._looks():
            labels = [element for element in found if element.role == "label"]
            texts = [label for label in labels if re.search(pattern, label.text or "")]
            if (texts or not pattern) and any(
                element.role == entry and element.is_ready and not element.text for element in found
            ):
                assert all(element.is_on_screen for element in texts), texts
                return texts[0].text if pattern else ""
        raise AssertionError(f"no {pattern!r} and empty {entry}: {found}")

    def answer(self, text: str) -> None:
        """Types into the entry that has the focus, and presses Return if all has arrived."""
        environment = {**os.environ, "DISPLAY": DISPLAY, "XAUTHORITY": str(AUTHORITY)}
        run("xdotool", "type", "--delay", "15", "--file", "-", input=text, environment=environment)
        for found in self._looks():
            if any(element.is_ready and len(element.text or "") == len(text) for element in found):
                break
        else:
            raise AssertionError(f"typed {len(text)} characters: {found}")
        run("xdotool", "key", "Return", environment=environment)

    def log(self) -> str:
        """The logs of lightdm, with debug messages, and of the greeter."""
        files = [*PLACE.glob("*.log"), *Path("/var/log/lightdm").glob("*")]
        return "\n".join(path.read_text(errors="replace") for path in files)

    def _looks(self) -> Iterator[list[Element]]:
        end = time.monotonic() + self.patience
        while time.monotonic() < end:
            yield self.elements()
            time.sleep(0.1)
