"""The file `state` in the format of pam/credential-format.md."""

import struct
from pathlib import Path

SLOTS, RECORD = (0, 4096), 1024
FAILURES, THROTTLED_UNTIL, CHECKSUM = 40, 48, 1016


def checksum(record: bytes) -> int:
    value = 0xCBF29CE484222325
    for (word,) in struct.iter_unpack("<Q", record[:CHECKSUM]):
        value = (value ^ word) * 0x100000001B3 % 2**64
        value ^= value >> 29
    return value


def change(path: Path, **numbers: int) -> None:
    """Writes `failures` or `throttled_until` into every record of the file."""
    places = {"failures": FAILURES, "throttled_until": THROTTLED_UNTIL}
    content = bytearray(path.read_bytes())
    for start in (slot + copy * RECORD for slot in SLOTS for copy in range(2)):
        record = content[start : start + RECORD]
        assert checksum(record) == struct.unpack_from("<Q", record, CHECKSUM)[0]
        for name, number in numbers.items():
            struct.pack_into("<q", record, places[name], number)
        struct.pack_into("<Q", record, CHECKSUM, checksum(record))
        content[start : start + RECORD] = record
    path.write_bytes(content)
