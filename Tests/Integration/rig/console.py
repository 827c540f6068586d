"""login(1) at a terminal."""

import os
import re
import time

import pexpect


def read_despite_hangup(terminal: pexpect.spawn, pattern: str) -> None:
    """Reads up to a pattern; login(1) of util-linux hangs up the terminal and opens it again."""
    said, end = "", time.monotonic() + 20
    while not re.search(pattern, said):
        assert time.monotonic() < end and terminal.isalive(), said
        try:
            said += os.read(terminal.child_fd, 1000).decode()
        except OSError:
            time.sleep(0.05)
