"""After a login, neither the shared secret nor the reply is in the memory of the process."""

import base64
import os
import sys

import pytest
from rig.clock import START, standing_at
from rig.harness import SOURCES, Result, build
from rig.process import run


@pytest.fixture(scope="session")
def searching(scratch):
    return build([SOURCES / "memory.c"], scratch / "memory", "-lpam")


def swapped(data: bytes) -> bytes:
    """The bytes of each 32-bit word reversed, as a hash stores them."""
    return b"".join(data[at : at + 4][::-1] for at in range(0, len(data), 4))


def needles(secret: bytes, codes: list[str]) -> dict[str, bytes]:
    """Every form in which the secret or a code could remain."""
    forms = {"secret": secret, "base32": base64.b32encode(secret)}
    for name, pad in (("inner-pad", 0x36), ("outer-pad", 0x5C)):
        forms[name] = bytes(byte ^ pad for byte in secret)
    forms |= {name + "-swapped": swapped(form) for name, form in forms.items() if name != "base32"}
    # Names must not match: the search program has them in memory.
    found = {f"answer-{number}": code.encode() for number, code in enumerate(codes)}
    for name, form in forms.items():
        # No eight bytes of it may remain.
        for at in range(0, len(form) - 7, 4):
            found[f"{name}[{at}:{at + 8}]"] = form[at : at + 8]
    return found


def rotated(word: int, by: int, width: int) -> int:
    return (word >> by | word << width - by) & ((1 << width) - 1)


def schedule(algorithm: str, block: bytes) -> tuple[list[int], int]:
    """The message schedule of the first block (FIPS 180-4 section 6), and the bits of a word.

    Any sixteen words in a row reveal the block.
    """
    width, rounds = {"sha1": (32, 80), "sha256": (32, 64), "sha512": (64, 80)}[algorithm]
    size = width // 8
    words = [int.from_bytes(block[at : at + size], "big") for at in range(0, 16 * size, size)]
    for t in range(16, rounds):
        if algorithm == "sha1":
            words.append(rotated(words[t - 3] ^ words[t - 8] ^ words[t - 14] ^ words[t - 16], 31, 32))
            continue
        (a, b, c), (d, e, f) = ((7, 18, 3), (17, 19, 10)) if width == 32 else ((1, 8, 7), (19, 61, 6))
        old, new = words[t - 15], words[t - 2]
        low = rotated(old, a, width) ^ rotated(old, b, width) ^ old >> c
        high = rotated(new, d, width) ^ rotated(new, e, width) ^ new >> f
        words.append((words[t - 16] + low + words[t - 7] + high) & ((1 << width) - 1))
    return words, width


def schedules(algorithm: str, secret: bytes) -> dict[str, bytes]:
    """The schedule of the padded key: eight bytes each, in the byte order of the processor."""
    length = 128 if algorithm == "sha512" else 64
    found = {}
    for pad in (0x36, 0x5C):
        words, width = schedule(algorithm, bytes(byte ^ pad for byte in secret.ljust(length, b"\0")))
        # Words that every key has are no secret.
        common, _ = schedule(algorithm, bytes([pad]) * length)
        at_once = 64 // width
        for t in range(0, len(words) - at_once + 1):
            if all(words[t + n] != common[t + n] for n in range(at_once)):
                data = b"".join(words[t + n].to_bytes(width // 8, sys.byteorder) for n in range(at_once))
                found[f"schedule-{pad:x}[{t}]"] = data
    return found


def search(
    program, harness, service, user, answer, wanted, planted=b"nothing in particular"
) -> tuple[int, list[str]]:
    lines = [("answer", "-", answer.encode()), ("plant", "plant", planted)]
    lines += [("needle", name, data) for name, data in wanted.items()]
    script = "".join(f"{word} {name} {bytes(255 - byte for byte in data).hex()}\n" for word, name, data in lines)
    done = run(
        program, harness.services, service, user, input=script,
        environment={**os.environ, **standing_at(START)},
    )
    first, *found = done.stdout.splitlines()
    return int(first.split()[1]), found


def test_the_search_finds_planted_data(searching, harness, user, service):
    enrolled = user.enroll()
    secret = enrolled.authenticator.secret
    wanted = needles(secret, ["123456"])
    for planted in (b"123456", secret, base64.b32encode(secret), swapped(bytes(byte ^ 0x36 for byte in secret))):
        _, found = search(searching, harness, service(), user.name, "letters", wanted, planted)
        assert found, planted


CASES = [("sha1", kind) for kind in ("right code", "wrong code", "used code", "backup code", "malformed")]
CASES += [("sha256", "right code"), ("sha512", "right code")]


@pytest.mark.parametrize("algorithm, kind", CASES)
def test_nothing_secret_remains_in_memory(searching, harness, user, service, kind, algorithm):
    enrolled = user.enroll("--algorithm", algorithm, backup_codes=2)
    name = service()
    code = enrolled.authenticator.code_at(START)
    # Six zeros would be found anywhere.
    near = {enrolled.authenticator.code_at(START, steps=steps) for steps in range(-40, 41)}
    wrong = next(code for code in ("739184", "528463") if code not in near)
    answers = {
        "right code": (code, Result.SUCCESS),
        "wrong code": (wrong, Result.AUTH_ERR),
        "used code": (code, Result.AUTH_ERR),
        "backup code": (enrolled.backup_codes[0], Result.SUCCESS),
        "malformed": ("SECRETtypedBYmistake", Result.AUTH_ERR),
    }
    answer, expected = answers[kind]
    if kind == "used code":
        assert user.log_in(name, code, at=START).result == Result.SUCCESS
    typed = [answer, answer.replace("-", "")]
    result, found = search(
        searching, harness, name, user.name, answer, needles(enrolled.authenticator.secret, sorted({*typed}))
    )
    assert result == expected
    assert not found, "\n".join(found)


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
def test_nothing_of_the_hash_of_the_key_remains(searching, harness, user, service, algorithm):
    enrolled = user.enroll("--algorithm", algorithm)
    wanted = needles(enrolled.authenticator.secret, []) | schedules(algorithm, enrolled.authenticator.secret)
    name = service()
    for steps in (0, 1):
        code = enrolled.authenticator.code_at(START, steps=steps)
        result, found = search(searching, harness, name, user.name, code, wanted)
        assert result == Result.SUCCESS
        assert not found, "\n".join(found)
