"""Failures of `twofactor import`: texts, files, symlinks, pipes, and canceled imports."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from rig.clock import time_to_type
from rig.enrollment import twofactor
from rig.exit_status import DONE, IO_ERROR, NOT_PERMITTED, NO_ACCOUNT, NO_FILE, REFUSED, UNUSABLE, USAGE
from rig.harness import Result
from rig.imports import APP, BASE32, KEY, bring_in, google_file
from rig.machine import COMMAND
from rig.process import run
from rig.reachable import open_to_all
from rig.screen import Screen

ACCEPTED = Result.SUCCESS


@pytest.mark.parametrize(
    ("text", "options", "ended", "words"),
    [
        ("", (), UNUSABLE, "it is empty"),
        ("x", (), UNUSABLE, "unknown format"),
        (f"{BASE32}\n", ("--from", "google-authenticator"), UNUSABLE, "neither TOTP_AUTH nor HOTP_COUNTER"),
        (f'{BASE32}\n" TOTP_AUTH\nx\n', (), UNUSABLE, "line 3: "),
        (f"HOTP/T30 another-user - {KEY.hex()}\n", (), UNUSABLE, "no token of "),
        ("otpauth://totp/x?secret=1\n", (), UNUSABLE, "line 1: the key is not Base32"),
        ("otpauth-migration://offline?data=x\n", (), UNUSABLE, "line 1: the data of the export is not Base64"),
        ("".join(f"HOTP USER - {KEY.hex()} {counter}\n" for counter in (1, 2)), (), UNUSABLE, "the same key"),
        (
            "".join(f"HOTP USER - {KEY.hex()}{number:02}\n" for number in range(17)),
            (),
            UNUSABLE,
            "17 devices",
        ),
        ("\0" * 100, (), UNUSABLE, ""),
        (b"\xff\xfe" * 5000, (), UNUSABLE, ""),
        ("x", ("--from", "pgp"), USAGE, "--from"),
        ("x", ("--backup-codes-file", "x"), USAGE, "--backup-codes"),
        ("x", ("--all",), USAGE, "--user"),
    ],
)
def test_an_unusable_text_changes_nothing(user, text, options, ended, words):
    if isinstance(text, str):
        text = text.replace("USER", user.name)
    done = twofactor("import", "--user", user.name, *options, answers=text, status=ended)
    assert words in done.stderr, done.stderr
    asked = twofactor("import", "--user", user.name, "--json", *options, answers=text, status=ended)
    assert set(json.loads(asked.stderr)) == {"error", "hint"} and asked.stdout == ""
    assert BASE32 not in done.stderr and not user.directory.exists()


def test_missing_and_unreadable_files_are_rejected(user, new_user):
    twofactor("import", "--user", user.name, "/nowhere", status=NO_FILE)
    twofactor("import", "--user", "no-such-user", "/nowhere", status=NO_ACCOUNT)
    twofactor("import", "--user", user.name, "/etc", status=UNUSABLE)
    user.twofactor("import", "--user", user.name, "/nowhere", status=NOT_PERMITTED)
    twofactor("import", "--all", "/nowhere", status=NO_FILE)
    user.twofactor("import", "/etc/shadow", status=NOT_PERMITTED)


def test_root_opens_files_that_a_user_may_have_chosen_as_the_user(user, new_user, users_file, tmp_path):
    """A file that the user can have chosen is opened with the user's rights alone."""
    victim = new_user()
    path = google_file(victim, '" TOTP_AUTH')
    link = user.home / ".google_authenticator"
    link.symlink_to(path)
    for name in (link, path):
        twofactor("import", "--user", user.name, str(name), status=NOT_PERMITTED)
        assert not user.directory.exists()
    link.unlink()
    # A symlink to a file of root, and a file of root in a directory of the user.
    mine = users_file(f"HOTP {user.name} - {KEY.hex()}")
    link.symlink_to(mine)
    twofactor("import", "--user", user.name, str(link), status=NOT_PERMITTED)
    link.unlink()
    planted = user.home / "planted"
    planted.write_bytes(mine.read_bytes())
    planted.chmod(0o600)
    twofactor("import", "--user", user.name, str(planted), status=NOT_PERMITTED)
    twofactor("import", "--all", str(planted), status=NOT_PERMITTED)
    mine.chmod(0o622)
    twofactor("import", "--all", str(mine), status=NOT_PERMITTED)
    # In a shared directory root reads only files of root; in a private one, also those of the user.
    shared, private = tmp_path / "shared", tmp_path / "private"
    for folder, mode in ((shared, 0o1777), (private, 0o700)):
        folder.mkdir()
        folder.chmod(mode)
    for folder, owner, ended in ((shared, victim.uid, NOT_PERMITTED), (private, victim.uid, NOT_PERMITTED),
                                 (shared, 0, DONE), (private, user.uid, DONE)):
        file = folder / str(owner)
        file.write_bytes(mine.read_bytes())
        os.chown(file, owner, owner)
        file.chmod(0o600)
        twofactor("import", "--force", "--user", user.name, str(file), status=ended)
        other = folder / "other name"
        other.hardlink_to(file)
        twofactor("import", "--force", "--user", user.name, str(other), status=NOT_PERMITTED)
        other.unlink()
    twofactor("disable", "--user", user.name)
    # Root opened standard input on purpose.
    twofactor("import", "--user", user.name, answers=planted.read_bytes())


def test_one_of_two_imports_at_once_succeeds(user):
    path = google_file(user, '" TOTP_AUTH', *(str(code) for code in range(12345678, 12345686)))
    line = [COMMAND, "import", "--user", user.name, path]
    both = [subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, umask=0) for _ in range(2)]
    assert sorted(command.wait(30) for command in both) == [DONE, REFUSED]
    assert user.status()["backup_codes_left"] == 8
    assert (user.directory / "credential").stat().st_mode == 0o100600


def test_a_pipe_of_a_user_does_not_block_root(user):
    pipe = user.home / "pipe"
    os.mkfifo(pipe)
    os.chown(pipe, user.uid, user.gid)
    # The pipe has a writer that writes nothing.
    writer = os.open(pipe, os.O_RDWR)
    done = twofactor("import", "--user", user.name, str(pipe), status=None)
    os.close(writer)
    assert done.returncode == UNUSABLE and "not a regular file" in done.stderr


def test_a_user_imports_from_a_pipe(user):
    line = f"printf '%s\\n' '{user.password}' | {COMMAND} import --no-confirm <(printf 'otpauth://totp/x?secret={BASE32}')"
    run("runuser", "-u", user.name, "--", "bash", "-c", line)


def test_input_at_a_terminal_is_not_echoed(user):
    screen = Screen(user, "import", rows=40)
    screen.expect("Password: ").type(user.password)
    screen.expect("an empty line ends it): ").type(f"otpauth://totp/x?secret={BASE32}")
    screen.expect("an empty line ends the text: ").type("")
    screen.expect("Code from the device: ").type(APP.code_at(time_to_type()))
    assert screen.ends() == DONE
    assert "Two-factor is on." in screen.text and BASE32 not in screen.scrollback
    assert [device["type"] for device in user.status()["devices"]] == ["totp"]


@pytest.mark.parametrize(("key", "ended"), [("\x03", 130), ("\x04", REFUSED)])
def test_canceling_changes_nothing(user, key, ended):
    path = google_file(user, '" TOTP_AUTH')
    questions = [("Password: ", user.password), ("Code from the device: ", APP.code_at(time_to_type())), ("[y/N] ", None)]
    for asked in range(len(questions)):
        screen = Screen(user, "import", "--backup-codes", "1", "--backup-codes-file", "kept", str(path))
        for question, answer in questions[:asked]:
            screen.expect(question).type(answer)
        screen.expect(questions[asked][0])
        screen.terminal.send(key)
        assert screen.ends() == ended
        assert not user.directory.exists() and not (user.home / "kept").exists()


def test_an_import_outside_the_homes_still_reads_files_as_their_owners(
    user, new_user, users_file, host_configuration, service
):
    host_configuration("directory = /var/lib/imported/%u")
    Path("/var/lib/imported").mkdir(mode=0o755, exist_ok=True)
    victim = new_user()
    theirs, own = google_file(victim, '" TOTP_AUTH'), google_file(user, '" TOTP_AUTH', key=BASE32 + "AAAA")
    link = user.home / "link"
    link.symlink_to(theirs)
    twofactor("import", "--user", user.name, str(link), status=NOT_PERMITTED)
    assert bring_in(user, str(own))["directory"] == f"/var/lib/imported/{user.name}"
    twofactor("import", "--all", str(users_file(f"HOTP {victim.name} - {KEY.hex()}")))
    name = service("directory=/var/lib/imported/%u")
    assert victim.log_in(name, APP.code_for_counter(0)).result == ACCEPTED


def test_the_user_is_notified_of_an_import(user, users_file, host_configuration, tmp_path):
    open_to_all(tmp_path)
    tmp_path.chmod(0o777)
    program = tmp_path / "mailer"
    program.write_text(f'#!/bin/sh\ncat >"{tmp_path}/mail-$2"\nid -un >>"{tmp_path}/mail-$2"\n')
    program.chmod(0o755)
    host_configuration(f"notify = {program}")
    twofactor("import", "--all", str(users_file(f"HOTP {user.name} - {KEY.hex()}")))
    mail = (tmp_path / f"mail-{user.name}").read_text()
    assert "switched on" in mail and mail.endswith(f"\n{user.name}\n") and BASE32 not in mail


@pytest.mark.parametrize(
    ("call", "error", "ended"),
    [
        ("openat", "EIO", IO_ERROR),
        ("openat", "EMFILE", IO_ERROR),
        ("openat", "EACCES", NOT_PERMITTED),
        ("read", "EIO", IO_ERROR),
        ("read", "EINTR", DONE),
    ],
)
def test_an_unreadable_file_changes_nothing(user, call, error, ended):
    made = user.enroll()
    before = made.credential.read_bytes(), made.state.read_bytes()
    path = google_file(user, '" TOTP_AUTH')
    injection = ("-e", f"trace={call}", "-e", f"inject={call}:error={error}:when=1")
    done = run(
        "strace", "-o", "/dev/null", "-P", path, *injection, COMMAND, "import", "--force", "--user", user.name, path,
        status=ended,
    )
    assert ended == DONE or done.stderr.startswith("twofactor: cannot ")
    assert ((made.credential.read_bytes(), made.state.read_bytes()) == before) == (ended != DONE)


def test_a_killed_import_of_all_accounts_can_be_repeated(new_user, users_file):
    users = [new_user() for _ in range(4)]
    path = users_file(*(f"HOTP {user.name} - {KEY.hex()}" for user in users))
    # At the second line of the report; only the parent process is traced.
    kill = ("-e", "trace=write", "-e", "inject=write:signal=SIGKILL:when=2")
    killed = run("strace", "-o", "/dev/null", *kill, COMMAND, "import", "--all", path, status=None)
    assert killed.returncode != DONE
    assert [user.status()["enabled"] for user in users] == [True, True, False, False]
    again = twofactor("import", "--all", str(path))
    assert again.stdout.endswith("2 of 4 accounts imported, 2 unchanged.\n")
    assert all(user.status()["enabled"] for user in users)


def test_a_full_disk_changes_nothing(user):
    made = user.enroll()
    before = made.credential.read_bytes(), made.state.read_bytes()
    path = google_file(user, '" TOTP_AUTH')
    with open("/dev/full", "wb") as full:
        run(COMMAND, "import", "--user", user.name, "--force", "--json", str(path), stdout=full, status=IO_ERROR)
    assert (made.credential.read_bytes(), made.state.read_bytes()) == before
