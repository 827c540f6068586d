"""Replaces the syslog daemon: decodes the messages to a socket and appends them to a file.

Usage: syslog_catcher.py SOCKET FILE
"""

import os
import re
import socket
import sys

FACILITIES = (
    "kern user mail daemon auth syslog lpr news uucp cron authpriv ftp ntp audit alert clock "
    "local0 local1 local2 local3 local4 local5 local6 local7"
).split()
SEVERITIES = "emerg alert crit err warning notice info debug".split()


def decoded(datagram: bytes) -> bytes:
    """Formats a datagram as one line: facility and severity by name, then the text.

    Escapes control characters as `<HH>`, so that one message cannot look like two.
    """
    datagram = datagram.rstrip(b"\0\n")
    label = "unlabelled"
    match = re.match(rb"<(\d{1,3})>", datagram)
    if match:
        facility, severity = divmod(int(match[1]), 8)
        name = FACILITIES[facility] if facility < len(FACILITIES) else str(facility)
        label = f"{name}.{SEVERITIES[severity]}"
        datagram = datagram[match.end() :]
    text = re.sub(rb"[\x00-\x1f\x7f]", lambda found: b"<%02x>" % found[0][0], datagram)
    return label.encode() + b" " + text + b"\n"


def main() -> None:
    address, path = sys.argv[1:]
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    output = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    # Not chmod(2) after bind(2): scripts/sandbox moves the path as soon as it exists.
    os.umask(0)
    listener.bind(address)
    while True:
        os.write(output, decoded(listener.recv(1 << 16)))


if __name__ == "__main__":
    main()
