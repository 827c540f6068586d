"""When the setup command has said everything, neither the key nor a code nor the password is in its memory any more."""

import base64
import contextlib
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from rig.enrollment import Enrollment, enroll
from rig.machine import COMMAND
from rig.one_time_password import Authenticator

# The number of the call with which a program ends (asm/unistd.h), on x86-64 and elsewhere.
EXIT_GROUP = "231" if os.uname().machine == "x86_64" else "94"
WRITE = "1" if os.uname().machine == "x86_64" else "64"


@contextlib.contextmanager
def held_at(call: str, *arguments: str, user: str = "root"):
    """Runs the command until it makes a system call for the first time, which it does not come to."""
    hold = ("-u", user, "-e", f"trace={call}", "-e", f"inject={call}:delay_enter=60000000")
    run = subprocess.Popen(
        ["strace", "-o", "/dev/null", *hold, COMMAND, *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={}, cwd="/", start_new_session=True,
    )
    try:
        yield run
    finally:
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()


def memory_at(number: str, run: subprocess.Popen) -> bytes:
    """All that the program has written or may write, when it is held at the call of this number."""
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for child in children.read_text().split():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{child}/syscall").read_text().split()[0] == number:
                    return memory_of(child)
        time.sleep(0.01)
    raise TimeoutError("the command did not come to this call")


def memory_of(process: str) -> bytes:
    found = b""
    with open(f"/proc/{process}/mem", "rb", buffering=0) as memory:
        for line in Path(f"/proc/{process}/maps").read_text().splitlines():
            area, mode, *_ = line.split()
            if "w" in mode:
                start, end = (int(number, 16) for number in area.split("-"))
                memory.seek(start)
                found += memory.read(end - start)
    return found


def found_in(memory: bytes, enrolled: Enrollment, *typed: str) -> set[str]:
    """What is there of a key and of codes, in any form that it ever had."""
    secret = enrolled.authenticator.secret
    forms = {"secret": secret, "base32": base64.b32encode(secret)}
    needles = {
        f"{name}[{at}:{at + 8}]": form[at : at + 8] for name, form in forms.items() for at in range(0, len(form) - 7, 4)
    }
    for number, code in enumerate(enrolled.backup_codes):
        needles |= {f"backup code {number}": code.encode(), f"backup code {number} bare": code.replace("-", "").encode()}
    needles |= {f"typed {number}": text.encode() for number, text in enumerate(typed)}
    return {name for name, needle in needles.items() if needle in memory}


def shown(user: str, output) -> Enrollment:
    """What a transcript says, up to the question for a code."""
    text = b""
    while b"otpauth://" not in text or not text.endswith(b"\n"):
        text += output.readline()
    uri = text[text.index(b"otpauth://") :].split()[0].decode()
    secret = re.search(r"secret=([A-Z2-7]+)", uri)[1]
    return Enrollment(user, Path(), "phone", Authenticator.from_base32(secret), [], uri)


ENABLE = ("enable", "--json", "--no-confirm", "--yes", "--user")


def test_the_search_finds_what_is_there(products, account):
    with held_at("write", *ENABLE, account.name) as run:
        memory = memory_at(WRITE, run)
    # All of it stands in one text, which is about to be shown.
    start = memory.index(b'"uri"')
    text = memory[memory.rindex(b'{"user"', 0, start) : memory.index(b"]}", start) + 2]
    enrolled = Enrollment.of(json.loads(text))
    assert {"base32[0:8]", "backup code 0", "backup code 9"} <= found_in(memory, enrolled)


def test_nothing_is_left_of_an_enrolment_by_root(products, account):
    with held_at("exit_group", *ENABLE, account.name) as run:
        enrolled = Enrollment.of(json.loads(run.stdout.readline()))
        assert found_in(memory_at(EXIT_GROUP, run), enrolled) == set()


@pytest.mark.parametrize("form", ["--json", "--qr=utf8"])
def test_nothing_is_left_of_an_enrolment_by_its_owner(products, new_account, password, form, tmp_path):
    account = new_account(password=password)
    kept = account.home / "kept"
    arguments = ("enable", form, "--backup-codes-file", str(kept), "--qr-file", str(account.home / "code.svg"))
    with held_at("exit_group", *arguments, user=account.name) as run:
        run.stdin.write(f"{password}\n".encode())
        run.stdin.flush()
        if form == "--json":
            enrolled = Enrollment.of(json.loads(run.stdout.readline()))
        else:
            enrolled = shown(account.name, run.stdout)
        code = enrolled.authenticator.code_at(time.time())
        # The second question is whether the backup codes are stored.
        run.stdin.write(f"{code}\nyes\n".encode())
        run.stdin.flush()
        memory = memory_at(EXIT_GROUP, run)
    assert (account.home / ".twofactor" / "credential").exists() and kept.exists()
    assert found_in(memory, enrolled, password) == set()


@pytest.mark.parametrize("arguments", [("device", "add", "other", "--no-confirm"), ("show",), ("backup-codes",)], ids=" ".join)
def test_nothing_is_left_of_what_another_subcommand_shows(products, account, arguments):
    before = enroll(account, backup_codes=3)
    with held_at("exit_group", *arguments, "--json", "--user", account.name) as run:
        told = json.loads(run.stdout.readline())
        memory = memory_at(EXIT_GROUP, run)
    assert found_in(memory, before) == set()
    texts = [*(told.get("backup_codes") or []), *([told["secret"]] if "secret" in told else [])]
    assert texts and not [text for text in texts if text.encode() in memory]


def test_nothing_is_left_of_what_is_imported(products, new_account, password):
    account = new_account(password=password)
    enrolled = Enrollment(account.name, Path(), "phone", Authenticator(os.urandom(20)), ["51627384", "84736251"], "")
    base32 = base64.b32encode(enrolled.authenticator.secret).decode()
    path = account.home / ".google_authenticator"
    path.write_text("\n".join([base32, '" TOTP_AUTH', *enrolled.backup_codes, ""]))
    os.chown(path, account.uid, account.gid)
    with held_at("exit_group", "import", str(path), user=account.name) as run:
        run.stdin.write(f"{password}\n".encode())
        run.stdin.flush()
        memory = memory_at(EXIT_GROUP, run)
    assert (account.home / ".twofactor" / "credential").exists()
    assert found_in(memory, enrolled, password) == set()


def test_nothing_is_left_of_a_key_that_was_typed(products, new_account, password):
    account = new_account(password=password)
    token = Authenticator(os.urandom(20))
    enrolled = Enrollment(account.name, Path(), "phone", token, [], "")
    code = token.code_for_counter(0)
    arguments = ("enable", "--ask-key", "--type", "hotp", "--backup-codes", "0")
    with held_at("exit_group", *arguments, user=account.name) as run:
        run.stdin.write(f"{password}\nhex:{token.secret.hex()}\n{code}\n".encode())
        run.stdin.flush()
        memory = memory_at(EXIT_GROUP, run)
    assert (account.home / ".twofactor" / "credential").exists()
    assert found_in(memory, enrolled, password, code, token.secret.hex()[:16]) == set()


def test_no_other_process_of_its_user_reads_its_memory_nor_does_the_kernel_keep_a_picture_of_it(products, new_account, password):
    # A handler of pictures that is named in core_pattern is not bound by a limit on their size (core(5)).
    account = new_account(password=password)
    arguments = ["runuser", "-u", account.name, "--"]
    run = subprocess.Popen(
        [COMMAND, "enable"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/",
        user=account.uid, group=account.gid, extra_groups=[],
    )
    try:
        run.stdout.read(len("Password: "))
        for name in ("mem", "environ"):
            looked = subprocess.run([*arguments, "dd", f"if=/proc/{run.pid}/{name}", "count=0"], capture_output=True)
            assert looked.returncode != 0 and b"Permission denied" in looked.stderr, name
    finally:
        run.kill()
        run.wait()
