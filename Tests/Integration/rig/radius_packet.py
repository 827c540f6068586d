"""Packets of RADIUS (RFC 2865, RFC 3579), and requests and forged replies of the tests."""

import contextlib
import hashlib
import hmac
import secrets
import socket
import struct
import threading
from dataclasses import dataclass, field

ACCESS_REQUEST, ACCESS_ACCEPT, ACCESS_REJECT, ACCESS_CHALLENGE = 1, 2, 3, 11
USER_NAME, USER_PASSWORD, REPLY_MESSAGE, STATE, NAS_IDENTIFIER, MESSAGE_AUTHENTICATOR = 1, 2, 18, 24, 32, 80


@dataclass
class Packet:
    code: int
    identifier: int
    authenticator: bytes
    attributes: list[tuple[int, bytes]] = field(default_factory=list)

    @classmethod
    def parse(cls, data: bytes) -> "Packet":
        code, identifier, length = struct.unpack("!BBH", data[:4])
        packet, rest = cls(code, identifier, data[4:20]), data[20:length]
        while rest:
            packet.attributes.append((rest[0], rest[2 : rest[1]]))
            rest = rest[rest[1] :]
        return packet

    def value(self, kind: int) -> bytes | None:
        return next((value for each, value in self.attributes if each == kind), None)

    @property
    def text(self) -> str:
        return (self.value(REPLY_MESSAGE) or b"").decode()

    def encode(self, authenticator: bytes | None = None) -> bytes:
        """authenticator: of the request, for the digest of a reply"""
        body = b"".join(bytes([kind, len(value) + 2]) + value for kind, value in self.attributes)
        head = struct.pack("!BBH", self.code, self.identifier, 20 + len(body))
        return head + (authenticator or self.authenticator) + body


def hidden(password: str, secret: bytes, authenticator: bytes) -> bytes:
    """User-Password (RFC 2865, section 5.2)."""
    text = password.encode()
    text += bytes(-len(text) % 16 or (16 if not text else 0))
    result, last = b"", authenticator
    for start in range(0, len(text), 16):
        pad = hashlib.md5(secret + last).digest()
        last = bytes(a ^ b for a, b in zip(text[start : start + 16], pad, strict=True))
        result += last
    return result


def request(
    user: str,
    password: str,
    secret: str,
    *,
    state: bytes | None = None,
    service: str = "sshd",
    authentic: bool = True,
    identifier: int | None = None,
) -> Packet:
    """An Access-Request.

    service: the NAS-Identifier
    authentic: whether it has a Message-Authenticator
    identifier: 0 to 255; None for a random one
    """
    packet = Packet(ACCESS_REQUEST, secrets.randbelow(256) if identifier is None else identifier, secrets.token_bytes(16))
    packet.attributes = [
        (USER_NAME, user.encode()),
        (USER_PASSWORD, hidden(password, secret.encode(), packet.authenticator)),
        (NAS_IDENTIFIER, service.encode()),
    ]
    if state is not None:
        packet.attributes.append((STATE, state))
    if authentic:
        packet.attributes.append((MESSAGE_AUTHENTICATOR, bytes(16)))
        digest = hmac.digest(secret.encode(), packet.encode(), "md5")
        packet.attributes[-1] = (MESSAGE_AUTHENTICATOR, digest)
    return packet


def is_genuine(data: bytes, asked: Packet, secret: str) -> bool:
    """Whether the Response Authenticator was computed with the secret."""
    digest = hashlib.md5(data[:4] + asked.authenticator + data[20:] + secret.encode()).digest()
    return digest == data[4:20]


def reply(asked: Packet, code: int, secret: str) -> bytes:
    """A reply without attributes."""
    head = Packet(code, asked.identifier, asked.authenticator).encode()
    return head[:4] + hashlib.md5(head + secret.encode()).digest()


def exchange(sock: socket.socket, to: tuple[str, int], asked: Packet, secret: str, seconds: float = 10) -> Packet | None:
    """Sends a request; None if no answer comes in time."""
    sock.settimeout(seconds)
    sock.sendto(asked.encode(), to)
    try:
        data, _ = sock.recvfrom(4096)
    except TimeoutError:
        return None
    assert is_genuine(data, asked, secret), "the reply is not of the secret"
    return Packet.parse(data)


@contextlib.contextmanager
def false_server(sock: socket.socket, answer):
    """Replies to each request with the bytes that `answer` makes of it. Yields the list of requests."""
    seen: list[Packet] = []
    done = threading.Event()

    def serve() -> None:
        sock.settimeout(0.1)
        while not done.is_set():
            with contextlib.suppress(TimeoutError):
                data, sender = sock.recvfrom(4096)
                seen.append(Packet.parse(data))
                for each in answer(seen[-1]):
                    sock.sendto(each, sender)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()
        sock.close()
