"""`twofactor import`: real files of real programs, and logins with the codes of the same keys."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from rig.clock import START, standing_at
from rig.enrollment import enroll
from rig.harness import Result
from rig.machine import COMMAND
from rig.one_time_password import Authenticator
from rig.screen import Screen

DONE, REFUSED, USAGE, UNUSABLE, NO_FILE, NO_ACCOUNT, IO_ERROR, NOT_PERMITTED = 0, 1, 64, 65, 66, 67, 74, 77
KEY = b"12345678901234567890"
BASE32 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
APP = Authenticator(KEY)
ACCEPTED, DENIED = Result.SUCCESS, Result.AUTH_ERR


@pytest.fixture
def user(products, new_account, password):
    return new_account(password=password)


@pytest.fixture
def users_file():
    """Writes /etc/users.oath, root's alone as pam_oath wants it, which is gone when the test is over."""
    path = Path("/etc/users.oath")

    def write(*lines: str) -> Path:
        path.write_text("".join(line + "\n" for line in lines))
        path.chmod(0o600)
        return path

    yield write
    path.unlink(missing_ok=True)


def run(user, *arguments: str, answers: str | bytes = "", at: float | None = None):
    """Runs the command with the rights of an account; as root for None."""
    identity = {} if user is None else {"user": user.uid, "group": user.gid, "extra_groups": []}
    return subprocess.run(
        [COMMAND, *arguments],
        input=answers.encode() if isinstance(answers, str) else answers,
        capture_output=True,
        env=standing_at(at),
        cwd="/",
        timeout=60,
        **identity,
    )


def bring_in(user, *arguments: str, at: float | None = None, **options) -> dict:
    """Imports as root, and returns the object."""
    done = run(None, "import", "--user", user.name, "--json", *arguments, at=at, **options)
    assert done.returncode == DONE, done.stderr
    return json.loads(done.stdout)


def status(user) -> dict:
    return json.loads(run(user, "status", "--json").stdout)


def google(user, *options: str) -> Path:
    """The file that google-authenticator itself makes for the account."""
    program = ["google-authenticator", "--force", "--quiet", *options]
    subprocess.run(
        ["runuser", "-l", user.name, "-c", " ".join(program)], check=True, stdout=subprocess.DEVNULL, timeout=20
    )
    return user.home / ".google_authenticator"


def google_file(user, *lines: str, key: str = BASE32) -> Path:
    path = user.home / ".google_authenticator"
    path.unlink(missing_ok=True)
    path.write_text("".join(line + "\n" for line in (key, *lines)))
    os.chown(path, user.uid, user.gid)
    path.chmod(0o400)
    return path


def app_of(path: Path) -> Authenticator:
    return Authenticator.from_base32(path.read_text().splitlines()[0])


@pytest.fixture
def theirs(harness):
    """A service of google-authenticator's module, and one of pam_oath with a users file."""
    harness.service("google", "auth required pam_google_authenticator.so")
    harness.service("oath", "auth required pam_oath.so usersfile=/etc/users.oath window=10 digits=6")
    return harness


def test_what_google_authenticator_made_and_used_goes_on_here(user, theirs, service):
    path = google(user, "-t", "-d", "-r", "3", "-R", "30", "-w", "17", "-e", "5")
    app, scratch_codes = app_of(path), re.findall(r"^\d{8}$", path.read_text(), re.MULTILINE)
    used = [app.code_at(START), app.code_at(START, 2), scratch_codes[1]]
    for code in used:
        assert theirs.log_in("google", user.name, code, at=START).result == ACCEPTED
    before = path.read_bytes(), path.stat()

    done = run(None, "import", "--user", user.name, str(path), at=START)
    assert done.returncode == DONE and done.stderr == b""
    said = done.stdout.decode()
    assert "window = 8" in said and "max_failures = 3" in said and "4 backup codes of eight digits" in said
    assert path.read_bytes() == before[0] and path.stat().st_mtime_ns == before[1].st_mtime_ns

    name = service("window=10")
    for code in used:
        assert theirs.log_in(name, user.name, code, at=START).result == DENIED
    assert theirs.log_in(name, user.name, app.code_at(START, 3), at=START).result == ACCEPTED
    for code in set(scratch_codes) - set(used):
        results = [theirs.log_in(name, user.name, code, at=START).result for _ in range(2)]
        assert results == [ACCEPTED, DENIED]
    assert status(user)["backup_codes_left"] == 0


def test_a_counter_of_google_authenticator_goes_on_where_it_was(user, theirs, service):
    path = google(user, "-c", "-r", "9", "-R", "30", "-w", "5", "-e", "1")
    app = app_of(path)
    assert theirs.log_in("google", user.name, app.code_for_counter(3)).result == ACCEPTED
    answer = bring_in(user, str(path))
    assert answer["device"]["type"] == "hotp" and answer["uri"].endswith("&counter=4")
    name = service()
    assert theirs.log_in(name, user.name, app.code_for_counter(3)).result == DENIED
    assert theirs.log_in(name, user.name, app.code_for_counter(1)).result == DENIED
    assert theirs.log_in(name, user.name, app.code_for_counter(5)).result == ACCEPTED


# What is typed one after the other at START with a window of one step, and what becomes of it there and here. Where
# the two differ, it is because a code of an earlier step than one that was used is never good here.
SCENARIO = [
    ("the code of now", lambda: APP.code_at(START), ACCEPTED, ACCEPTED),
    ("the same again", lambda: APP.code_at(START), DENIED, DENIED),
    ("the one before it", lambda: APP.code_at(START, -1), ACCEPTED, DENIED),
    ("the one after it", lambda: APP.code_at(START, 1), ACCEPTED, ACCEPTED),
    ("one of two steps later", lambda: APP.code_at(START, 2), DENIED, DENIED),
    ("a wrong one", lambda: APP.wrong_code(START), DENIED, DENIED),
    ("a scratch code", lambda: "12345678", ACCEPTED, ACCEPTED),
    ("the same again", lambda: "12345678", DENIED, DENIED),
    ("another one", lambda: "87654321", ACCEPTED, ACCEPTED),
    ("eight digits that are none", lambda: "11111111", DENIED, DENIED),
    ("nothing", lambda: "", DENIED, DENIED),
]


def test_the_same_codes_have_the_same_fate_as_with_google_authenticator(user, theirs, service):
    path = google_file(user, '" WINDOW_SIZE 3', '" DISALLOW_REUSE', '" TOTP_AUTH', "12345678", "87654321")
    bring_in(user, str(path), at=START)
    name = service()
    for what, code, there, here in SCENARIO:
        results = [theirs.log_in(module, user.name, code(), at=START).result for module in ("google", name)]
        assert results == [there, here], what


@pytest.mark.parametrize("seconds", [30, 60])
def test_what_a_real_login_through_pam_oath_used_is_used(user, theirs, service, users_file, seconds):
    app = Authenticator(KEY, period=seconds)
    path = users_file(f"HOTP/T{seconds} {user.name} - {KEY.hex()}")
    # Three steps late: within the window that pam_oath has here.
    used = app.code_at(START, -3)
    assert theirs.log_in("oath", user.name, used, at=START).result == ACCEPTED
    assert used in path.read_text()
    before = path.read_bytes()

    answer = bring_in(user, str(path), at=START + 1)
    assert answer["device"]["period"] == seconds and answer["device"]["last_used_at"] is not None
    assert path.read_bytes() == before
    name = service("window=10")
    for steps, result in [(-3, DENIED), (-4, DENIED), (-2, ACCEPTED), (-2, DENIED), (0, ACCEPTED)]:
        assert theirs.log_in(name, user.name, app.code_at(START, steps), at=START + 2).result == result, steps


def test_what_pam_oath_used_of_a_counter_is_used(user, theirs, service, users_file):
    path = users_file(f"HOTP {user.name} - {KEY.hex()} 4")
    for counter in (4, 7):
        assert theirs.log_in("oath", user.name, APP.code_for_counter(counter)).result == ACCEPTED
    answer = bring_in(user, "--from", "oath", str(path))
    assert answer["uri"].endswith("&counter=8")
    name = service()
    assert theirs.log_in(name, user.name, APP.code_for_counter(7)).result == DENIED
    assert theirs.log_in(name, user.name, APP.code_for_counter(8)).result == ACCEPTED


def test_each_of_several_tokens_goes_on_where_it_was(user, theirs, service, users_file):
    token = Authenticator(KEY[::-1])
    path = users_file(f"HOTP {user.name} - {token.secret.hex()} 2", f"HOTP/T30 {user.name} - {KEY.hex()}")
    used = [token.code_for_counter(3), APP.code_at(START, 1), token.code_for_counter(5)]
    for code in used:
        assert theirs.log_in("oath", user.name, code, at=START).result == ACCEPTED
    answer = bring_in(user, str(path), at=START)
    assert [entry["device"]["type"] for entry in answer["devices"]] == ["hotp", "totp"]
    name = service("window=10")
    for code in [*used, token.code_for_counter(4), APP.code_at(START)]:
        assert theirs.log_in(name, user.name, code, at=START).result == DENIED
    for code in (token.code_for_counter(6), APP.code_at(START, 2)):
        assert theirs.log_in(name, user.name, code, at=START).result == ACCEPTED


def test_a_whole_users_file_comes_in_with_a_report(products, new_account, theirs, service, users_file):
    good, two, seven, secret, enrolled = (new_account() for _ in range(5))
    enroll(enrolled)
    path = users_file(
        "# comment",
        f"HOTP/T30/6 {good.name} - {KEY.hex()}",
        f"HOTP/E/8 {two.name} + {KEY.hex()} 3",
        f"HOTP/T60/8 {two.name} - {KEY[::-1].hex()}",
        f"HOTP/E/7 {seven.name} - {KEY.hex()}",
        f"HOTP {secret.name} password {KEY.hex()}",
        f"HOTP {enrolled.name} - {KEY.hex()}",
        f"HOTP nobody-here - {KEY.hex()}",
    )
    done = run(None, "import", "--all", str(path))
    assert done.returncode == REFUSED and done.stderr == b""
    lines = dict(line.split(": ", 1) for line in done.stdout.decode().splitlines()[:-1])
    assert done.stdout.decode().splitlines()[-1] == "2 of 6 accounts imported."
    assert lines[good.name] == "imported (time based)"
    assert lines[two.name] == "imported (counter based, 8 digits; time based, 60 seconds, 8 digits)"
    assert "line 5" in lines[seven.name] and "seven digits" in lines[seven.name]
    assert "line 6" in lines[secret.name] and "password of its own" in lines[secret.name]
    assert "already" in lines[enrolled.name] and "no such account" in lines["nobody-here"]
    assert KEY.hex() not in done.stdout.decode() and BASE32 not in done.stdout.decode()
    for user in (good, two):
        for file in (user.home / ".twofactor").iterdir():
            assert (file.stat().st_uid, file.stat().st_mode) == (user.uid, 0o100600)
    assert [device["name"] for device in status(two)["devices"]] == ["phone", "phone 2"]
    assert not status(seven)["enabled"] and not status(secret)["enabled"]
    name = service()
    assert theirs.log_in(name, good.name, APP.code_at(START), at=START).result == ACCEPTED
    eight = Authenticator(KEY, digits=8)
    assert theirs.log_in(name, two.name, eight.code_for_counter(3)).result == ACCEPTED
    other = Authenticator(KEY[::-1], digits=8, period=60)
    assert theirs.log_in(name, two.name, other.code_at(START), at=START).result == ACCEPTED

    again = run(None, "import", "--all", "--force", "--json", str(path))
    report = {entry["user"]: entry for entry in json.loads(again.stdout)["users"]}
    assert again.returncode == REFUSED and again.stderr == b"" and len(report) == 6
    assert report[good.name]["imported"] and report[good.name]["devices"] == status(good)["devices"]
    assert report[enrolled.name]["imported"] and report[seven.name]["error"].endswith("only of six and of eight")
    assert run(good, "import", "--all", str(path)).returncode == NOT_PERMITTED


def test_a_uri_of_an_app_is_imported(user, harness, service):
    uri = (
        "otpauth://totp/Big%20Corp%3Aalice%40example.org?secret=gezd%20gnbv-gy3t%20qojq%3D%3D%3D"
        "&algorithm=SHA256&digits=8&period=60&image=https%3A%2F%2Fx"
    )
    answer = bring_in(user, answers=uri + "\n")
    assert list(answer) == ["user", "directory", "device", "secret", "uri"]
    assert answer["secret"] == "GEZDGNBVGY3TQOJQ"
    assert answer["uri"] == (
        "otpauth://totp/Big%20Corp:alice%40example.org?secret=GEZDGNBVGY3TQOJQ&issuer=Big%20Corp"
        "&algorithm=SHA256&digits=8&period=60"
    )
    app = Authenticator.from_base32("GEZDGNBVGY3TQOJQ", algorithm="sha256", digits=8, period=60)
    assert harness.log_in(service(), user.name, app.code_at(START), at=START).result == ACCEPTED


def test_several_uris_are_several_devices_and_labels_can_be_given(user):
    text = f"# two\notpauth://totp/x?secret={BASE32}\n\notpauth://hotp/y?secret={BASE32}AAAA&counter=9\n"
    answer = bring_in(user, "--from", "uri", "--name", "key", "--issuer", "I", "--account", "a", answers=text)
    assert answer["uri"] == f"otpauth://totp/I:a?secret={BASE32}&issuer=I"
    assert [entry["device"]["name"] for entry in answer["devices"]] == ["key", "key 2"]
    assert [entry["secret"] for entry in answer["devices"]] == [BASE32, BASE32 + "AAAA"]
    assert [device["type"] for device in status(user)["devices"]] == ["totp", "hotp"]


def test_what_enable_and_show_write_is_read_again(user, new_account):
    made = enroll(new_account(), "--algorithm", "sha512", "--digits", "8", "--issuer", "A & B")
    answer = bring_in(user, "--account", made.user, answers=made.uri)
    assert answer["uri"] == made.uri


def test_a_user_imports_for_the_password(user, harness, service):
    path = google_file(user, '" TOTP_AUTH', "12345678")
    assert run(user, "import", str(path), answers="wrong\n").returncode == REFUSED
    assert not status(user)["enabled"]
    assert run(user, "import", str(path), answers="").returncode == REFUSED
    done = run(user, "import", str(path), answers=f"{user.password}\n")
    assert done.returncode == DONE, done.stderr
    assert b"Two-factor is on." in done.stdout and BASE32.encode() not in done.stdout + done.stderr
    assert harness.log_in(service(), user.name, "12345678", at=START).result == ACCEPTED

    again = run(user, "import", str(path), answers=f"{user.password}\n")
    assert again.returncode == REFUSED and b"on already" in again.stderr
    forced = run(user, "import", "--force", answers=f"{user.password}\notpauth://totp/x?secret={BASE32}")
    assert forced.returncode == DONE and status(user)["backup_codes_left"] == 0


def test_backup_codes_are_made_beside_scratch_codes_where_they_are_wanted(user, harness, service):
    path = google_file(user, '" TOTP_AUTH', "12345678")
    kept = user.home / "codes"
    answer = bring_in(user, "--backup-codes", "2", str(path))
    assert len(answer["backup_codes"]) == 2
    name = service()
    for code in ("12345678", answer["backup_codes"][1]):
        assert harness.log_in(name, user.name, code, at=START).result == ACCEPTED
    assert status(user)["backup_codes_left"] == 1
    done = run(
        user, "import", "--force", "--yes", "--backup-codes", "3", "--backup-codes-file", str(kept), str(path),
        answers=f"{user.password}\n",
    )
    assert done.returncode == DONE and len(re.findall(r"^\w{5}-\w{5}$", kept.read_text(), re.MULTILINE)) == 3
    unanswered = run(user, "import", "--force", "--backup-codes", "3", str(path), answers=f"{user.password}\nno\n")
    assert unanswered.returncode == REFUSED and status(user)["backup_codes_left"] == 4


@pytest.mark.parametrize(
    ("text", "options", "ended", "words"),
    [
        ("", (), UNUSABLE, "neither a google-authenticator file nor"),
        (f"{BASE32}\n", ("--from", "google-authenticator"), UNUSABLE, "neither TOTP_AUTH nor HOTP_COUNTER"),
        (f'{BASE32}\n" TOTP_AUTH\nx\n', (), UNUSABLE, "line 3: "),
        (f"HOTP/T30 somebody - {KEY.hex()}\n", (), UNUSABLE, "no line of "),
        ("otpauth://totp/x?secret=1\n", (), UNUSABLE, "line 1: the key is not Base32"),
        ("otpauth-migration://offline?data=x\n", (), UNUSABLE, "export of several accounts"),
        (f"otpauth://totp/x?secret={BASE32}\n" * 2, (), UNUSABLE, "the same key"),
        ("".join(f"otpauth://totp/x?secret={BASE32}AAA{letter}\n" for letter in "ABCDEFGHIJKLMNOPQ"), (), UNUSABLE, "17 devices"),
        ("\0" * 100, (), UNUSABLE, ""),
        (b"\xff\xfe" * 5000, (), UNUSABLE, ""),
        ("x", ("--from", "pgp"), USAGE, "--from"),
        ("x", ("--backup-codes-file", "x"), USAGE, "--backup-codes"),
        ("x", ("--all",), USAGE, "--user"),
    ],
)
def test_what_cannot_be_used_is_refused_and_changes_nothing(user, text, options, ended, words):
    done = run(None, "import", "--user", user.name, *options, answers=text)
    assert done.returncode == ended and words in done.stderr.decode(), done.stderr
    asked = run(None, "import", "--user", user.name, "--json", *options, answers=text)
    assert asked.returncode == ended and set(json.loads(asked.stderr)) == {"error", "hint"} and asked.stdout == b""
    assert BASE32 not in done.stderr.decode() and not (user.home / ".twofactor").exists()


def test_files_that_are_not_there_or_closed(user, new_account):
    assert run(None, "import", "--user", user.name, "/nowhere").returncode == NO_FILE
    assert run(None, "import", "--user", "nobody-here", "/nowhere").returncode == NO_ACCOUNT
    assert run(None, "import", "--user", user.name, "/etc").returncode == UNUSABLE
    assert run(user, "import", "--user", user.name, "/nowhere").returncode == NOT_PERMITTED
    assert run(None, "import", "--all", "/nowhere").returncode == NO_FILE
    assert run(user, "import", "/etc/shadow").returncode == NOT_PERMITTED


def test_root_reads_a_users_file_of_root_and_nothing_else_as_root(user, new_account, users_file):
    """A file that the user can have chosen is opened with the user's rights alone."""
    victim = new_account()
    path = google_file(victim, '" TOTP_AUTH')
    link = user.home / ".google_authenticator"
    link.symlink_to(path)
    for name in (link, path):
        done = run(None, "import", "--user", user.name, str(name))
        assert done.returncode == NOT_PERMITTED and not (user.home / ".twofactor").exists()
    link.unlink()
    # A link to root's own file, and root's file in a directory of the user's.
    mine = users_file(f"HOTP {user.name} - {KEY.hex()}")
    link.symlink_to(mine)
    assert run(None, "import", "--user", user.name, str(link)).returncode == NOT_PERMITTED
    link.unlink()
    planted = user.home / "planted"
    planted.write_bytes(mine.read_bytes())
    planted.chmod(0o600)
    assert run(None, "import", "--user", user.name, str(planted)).returncode == NOT_PERMITTED
    assert run(None, "import", "--all", str(planted)).returncode == NOT_PERMITTED
    mine.chmod(0o622)
    assert run(None, "import", "--all", str(mine)).returncode == NOT_PERMITTED
    # Standard input was opened by root on purpose.
    assert run(None, "import", "--user", user.name, answers=planted.read_bytes()).returncode == DONE


def test_of_two_imports_at_once_one_is_made(user):
    path = google_file(user, '" TOTP_AUTH', *(str(code) for code in range(12345678, 12345686)))
    line = [COMMAND, "import", "--user", user.name, path]
    both = [subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, umask=0) for _ in range(2)]
    assert sorted(command.wait(30) for command in both) == [DONE, REFUSED]
    assert status(user)["backup_codes_left"] == 8
    assert (user.home / ".twofactor/credential").stat().st_mode == 0o100600


def test_a_pipe_of_the_users_keeps_no_root_waiting(user):
    pipe = user.home / "pipe"
    os.mkfifo(pipe)
    os.chown(pipe, user.uid, user.gid)
    # Somebody has it open to write, and writes nothing.
    writer = os.open(pipe, os.O_RDWR)
    done = run(None, "import", "--user", user.name, str(pipe))
    os.close(writer)
    assert done.returncode == UNUSABLE and b"is not a file" in done.stderr


def test_a_user_may_hand_over_what_another_program_writes(user):
    line = f"printf '%s\\n' '{user.password}' | {COMMAND} import <(printf 'otpauth://totp/x?secret={BASE32}')"
    done = subprocess.run(["runuser", "-u", user.name, "--", "bash", "-c", line], capture_output=True, cwd="/", timeout=30)
    assert done.returncode == DONE, done.stderr


def test_what_is_typed_at_a_terminal_is_not_seen(user):
    screen = Screen(user, "import", rows=40)
    screen.expect("Password: ").type(user.password)
    screen.expect("otpauth URI, or the first line of the file: ").type(f"otpauth://totp/x?secret={BASE32}")
    screen.expect("Next line, or none: ").type("")
    assert screen.ends() == DONE
    assert "Two-factor is on." in screen.text and BASE32 not in screen.scrollback
    assert [device["type"] for device in status(user)["devices"]] == ["totp"]


@pytest.mark.parametrize(("key", "ended"), [("\x03", 130), ("\x04", REFUSED)])
def test_giving_up_changes_nothing(user, key, ended):
    path = google_file(user, '" TOTP_AUTH')
    questions = [("Password: ", user.password), ("[y/N] ", None)]
    for asked in range(len(questions)):
        screen = Screen(user, "import", "--backup-codes", "1", "--backup-codes-file", "kept", str(path))
        for question, answer in questions[:asked]:
            screen.expect(question).type(answer)
        screen.expect(questions[asked][0])
        screen.terminal.send(key)
        assert screen.ends() == ended
        assert not (user.home / ".twofactor").exists() and not (user.home / "kept").exists()


def test_directories_outside_the_homes_are_used_and_homes_are_entered_by_their_owners(
    user, new_account, users_file, host_configuration, harness, service
):
    host_configuration("directory = /var/lib/imported/%u")
    Path("/var/lib/imported").mkdir(mode=0o755, exist_ok=True)
    victim = new_account()
    theirs, own = google_file(victim, '" TOTP_AUTH'), google_file(user, '" TOTP_AUTH', key=BASE32 + "AAAA")
    link = user.home / "link"
    link.symlink_to(theirs)
    assert run(None, "import", "--user", user.name, str(link)).returncode == NOT_PERMITTED
    assert bring_in(user, str(own))["directory"] == f"/var/lib/imported/{user.name}"
    done = run(None, "import", "--all", str(users_file(f"HOTP {victim.name} - {KEY.hex()}")))
    assert done.returncode == DONE, done.stdout
    name = service("directory=/var/lib/imported/%u")
    assert harness.log_in(name, victim.name, APP.code_for_counter(0)).result == ACCEPTED


def test_everybody_is_told_of_an_import(user, users_file, host_configuration, tmp_path):
    tmp_path.chmod(0o777)
    for folder in list(tmp_path.parents)[:-1]:
        folder.chmod(folder.stat().st_mode | 0o011)
    program = tmp_path / "mailer"
    program.write_text(f'#!/bin/sh\ncat >"{tmp_path}/mail-$2"\nid -un >>"{tmp_path}/mail-$2"\n')
    program.chmod(0o755)
    host_configuration(f"notify = {program}")
    assert run(None, "import", "--all", str(users_file(f"HOTP {user.name} - {KEY.hex()}"))).returncode == DONE
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
def test_a_file_that_cannot_be_read_changes_nothing(user, call, error, ended):
    made = enroll(user)
    before = made.credential.read_bytes(), made.state.read_bytes()
    path = google_file(user, '" TOTP_AUTH')
    injection = ("-e", f"trace={call}", "-e", f"inject={call}:error={error}:when=1")
    done = subprocess.run(
        ["strace", "-o", "/dev/null", "-P", path, *injection, COMMAND, "import", "--force", "--user", user.name, path],
        capture_output=True, timeout=30,
    )
    assert done.returncode == ended, done.stderr
    assert ended == DONE or done.stderr.startswith(b"twofactor: cannot ")
    assert ((made.credential.read_bytes(), made.state.read_bytes()) == before) == (ended != DONE)


def test_an_import_of_all_that_was_killed_is_taken_up_again(products, new_account, users_file):
    users = [new_account() for _ in range(4)]
    path = users_file(*(f"HOTP {user.name} - {KEY.hex()}" for user in users))
    # At the second line of the report; what the processes of the accounts write is not traced.
    kill = ("-e", "trace=write", "-e", "inject=write:signal=SIGKILL:when=2")
    killed = subprocess.run(
        ["strace", "-o", "/dev/null", *kill, COMMAND, "import", "--all", path], capture_output=True, timeout=30
    )
    assert killed.returncode != DONE
    assert [status(user)["enabled"] for user in users] == [True, True, False, False]
    again = run(None, "import", "--all", str(path))
    assert again.returncode == REFUSED and again.stdout.endswith(b"2 of 4 accounts imported.\n")
    assert all(status(user)["enabled"] for user in users)


def test_a_full_disk_changes_nothing(user):
    made = enroll(user)
    before = made.credential.read_bytes(), made.state.read_bytes()
    path = google_file(user, '" TOTP_AUTH')
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [COMMAND, "import", "--user", user.name, "--force", "--json", str(path)], stdout=full, stderr=subprocess.PIPE,
            timeout=30,
        )
    assert done.returncode == IO_ERROR
    assert (made.credential.read_bytes(), made.state.read_bytes()) == before


def test_a_clock_that_was_ahead_is_warned_about(user, harness, service):
    ahead = int(START) // 30 + 100
    path = google_file(user, '" TOTP_AUTH', f'" DISALLOW_REUSE {ahead}', '" TIME_SKEW 100')
    done = run(None, "import", "--user", user.name, str(path), at=START)
    assert done.returncode == DONE
    assert b"is one of the future" in done.stdout and b"3000 seconds ahead" in done.stdout
    name = service()
    assert harness.log_in(name, user.name, APP.code_at(START), at=START).result == DENIED
    later = START + 101 * 30
    assert harness.log_in(name, user.name, APP.code_at(later), at=later).result == ACCEPTED
