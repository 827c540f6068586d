"""After a login neither the shared secret nor what was typed is in the memory of the process."""

import base64
import os
import subprocess

import pytest
from rig.clock import START, standing_at
from rig.enrollment import enroll
from rig.harness import SOURCES, Result, build


@pytest.fixture(scope="session")
def searching(scratch):
    return build([SOURCES / "memory.c"], scratch / "memory", "-lpam")


def swapped(data: bytes) -> bytes:
    """The bytes of each 32-bit word turned round, as a hash keeps them while it works."""
    return b"".join(data[at : at + 4][::-1] for at in range(0, len(data), 4))


def needles(secret: bytes, codes: list[str]) -> dict[str, bytes]:
    """Every form in which the secret or a code may have been left."""
    forms = {"secret": secret, "base32": base64.b32encode(secret)}
    for name, pad in (("inner-pad", 0x36), ("outer-pad", 0x5C)):
        forms[name] = bytes(byte ^ pad for byte in secret)
    forms |= {name + "-swapped": swapped(form) for name, form in forms.items() if name != "base32"}
    # The names are in memory as they stand.
    found = {f"answer-{number}": code.encode() for number, code in enumerate(codes)}
    for name, form in forms.items():
        # Any eight bytes of it are too many.
        for at in range(0, len(form) - 7, 4):
            found[f"{name}[{at}:{at + 8}]"] = form[at : at + 8]
    return found


def search(program, harness, service, user, answer, wanted, planted=b"nothing in particular") -> tuple[int, list[str]]:
    lines = [("answer", "-", answer.encode()), ("plant", "plant", planted)]
    lines += [("needle", name, data) for name, data in wanted.items()]
    script = "".join(f"{word} {name} {bytes(255 - byte for byte in data).hex()}\n" for word, name, data in lines)
    run = subprocess.run(
        [program, harness.services, service, user],
        input=script, capture_output=True, text=True, timeout=60, env={**os.environ, **standing_at(START)},
    )
    assert run.returncode == 0, run.stderr
    first, *found = run.stdout.splitlines()
    return int(first.split()[1]), found


def test_the_search_finds_what_is_there(searching, harness, enrolled, service):
    secret = enrolled.authenticator.secret
    wanted = needles(secret, ["123456"])
    for planted in (b"123456", secret, base64.b32encode(secret), swapped(bytes(byte ^ 0x36 for byte in secret))):
        _, found = search(searching, harness, service(), enrolled.user, "letters", wanted, planted)
        assert found, planted


CASES = [("sha1", kind) for kind in ("right code", "wrong code", "used code", "backup code", "malformed")]
CASES += [("sha256", "right code"), ("sha512", "right code")]


@pytest.mark.parametrize("algorithm, kind", CASES)
def test_nothing_secret_is_left_in_memory(searching, harness, products, account, service, kind, algorithm):
    enrolled = enroll(account, "--algorithm", algorithm, backup_codes=2)
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
        assert harness.log_in(name, account.name, code, at=START).result == Result.SUCCESS
    typed = [answer, answer.replace("-", "")]
    result, found = search(
        searching, harness, name, account.name, answer, needles(enrolled.authenticator.secret, sorted({*typed}))
    )
    assert result == expected
    assert not found, "\n".join(found)
