"""One-time passwords by RFC 4226 and RFC 6238, independent of the code under test."""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Authenticator:
    """An authenticator app: the shared secret and its parameters."""

    secret: bytes
    algorithm: str = "sha1"
    digits: int = 6
    period: int = 30

    @classmethod
    def from_base32(cls, text: str, **parameters) -> "Authenticator":
        text = text.replace(" ", "").rstrip("=").upper()
        return cls(base64.b32decode(text + "=" * (-len(text) % 8)), **parameters)

    @property
    def base32(self) -> str:
        """The secret in Base32, without padding."""
        return base64.b32encode(self.secret).decode().rstrip("=")

    @classmethod
    def from_uri(cls, text: str) -> "Authenticator":
        """Finds an otpauth URI with default parameters in a text."""
        return cls.from_base32(re.search(r"secret=([A-Z2-7]+)", text)[1])

    def code_for_counter(self, counter: int) -> str:
        """RFC 4226, section 5.3, with the hashes of RFC 6238, section 1.2."""
        digest = hmac.new(self.secret, counter.to_bytes(8, "big"), getattr(hashlib, self.algorithm)).digest()
        offset = digest[-1] & 15
        number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
        return str(number % 10**self.digits).zfill(self.digits)

    def step(self, time: float) -> int:
        return int(time) // self.period

    def code_at(self, time: float, steps: int = 0) -> str:
        """The code of the time step at `time`, or of one so many steps later."""
        return self.code_for_counter(self.step(time) + steps)

    def wrong_code(self, time: float, distance: int = 40) -> str:
        """A code of no time step or counter near `time`."""
        around = self.step(time)
        near = {self.code_for_counter(max(0, around + steps)) for steps in range(-distance, distance + 1)}
        near |= {self.code_for_counter(counter) for counter in range(130)}
        return next(code for number in range(10**self.digits) if (code := str(number).zfill(self.digits)) not in near)
