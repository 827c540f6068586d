"""`twofactor import --all`: fleets of tokens, maps of serial numbers, and trees of homes."""

import base64
import json
import os
from pathlib import Path

import pytest
from rig.clock import START
from rig.enrollment import twofactor
from rig.exit_status import DONE, NO_FILE, NOT_PERMITTED, REFUSED, UNUSABLE, USAGE
from rig.harness import Result
from rig.imports import google_file
from rig.machine import COMMAND
from rig.one_time_password import Authenticator
from rig.process import run

ACCEPTED = Result.SUCCESS
TOKENS = [Authenticator(bytes([number]) * 20, digits=8 if number == 2 else 6) for number in range(1, 7)]


@pytest.fixture
def write(tmp_path):
    """Writes a file in a directory that only root can write."""
    tmp_path.chmod(0o755)

    def write(name: str, *lines: str) -> str:
        path = tmp_path / name
        path.write_text("".join(line + "\n" for line in lines))
        path.chmod(0o600)
        return str(path)

    return write


@pytest.fixture
def seeds(write) -> str:
    """Six tokens: time-based with 30 and 60 seconds, one with 8 digits, and one whose key is damaged."""
    rows = [f"00{n},{token.secret.hex()},TOTP,{token.digits},30,red" for n, token in enumerate(TOKENS, 1)]
    rows[4] = rows[4].replace("0505", "05x5", 1)
    return write("tokens.csv", "Serial Number,Secret Key,Type,Digits,Time Interval,Color", *rows)


def lines_of(done) -> dict[str, str]:
    """The report, by account."""
    return dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)


def test_tokens_go_to_the_accounts_of_a_map(new_user, harness, service, seeds, write):
    one, two, lost, shared, near = (new_user() for _ in range(5))
    accounts = write(
        "map.csv", "serial;account", f"001;{one.name}", f" 002 ;{two.name}", f"003;{two.name}", f"003;{two.name}",
        f"9;{lost.name}", f"004;{shared.name}", f"004;{near.name}", f"6;{near.name}", "nobody", "006;no-such-user",
    )
    done = twofactor("import", "--all", "--map", accounts, seeds, status=REFUSED)
    assert done.stderr == "" and not any(token.secret.hex() in done.stdout for token in TOKENS)
    said = lines_of(done)
    assert said[one.name].startswith("imported serial number 001 (time-based). Color: unknown")
    assert said[two.name].startswith("imported serial numbers 002, 003 (time-based, 8 digits; time-based)")
    assert "lines 4 and 5 are the same" in said[two.name]
    assert said[lost.name] == f"not imported: {accounts}: line 6: {seeds} has no token with the serial number 9"
    for user in (shared, near):
        assert "line 7" in said[shared.name] and "assigned to several accounts" in said[user.name]
        assert not user.directory.exists()
    assert "no such account" in said["no-such-user"]
    assert said[accounts] == "line 10: it must be SERIAL,ACCOUNT"
    assert "line 6: the key is neither" in said[seeds]
    assert done.stdout.endswith("1 token is not assigned to an account.\n2 of 6 accounts imported.\n")
    name = service()
    for user, token in ((one, TOKENS[0]), (two, TOKENS[1]), (two, TOKENS[2])):
        assert user.log_in(name, token.code_at(START), at=START).result == ACCEPTED
    # Leading zeros, and one serial number twice.
    other = write("other.csv", f"6,{near.name}", f"1,{lost.name}")
    twice = write("twice.csv", "serial,key,interval", f"1,{'31' * 20},30", f"1,{'32' * 20},30", f"06,{'33' * 20},30")
    said = lines_of(twofactor("import", "--all", "--map", other, twice, status=REFUSED))
    assert "leading zeros" in said[near.name] and "in lines 2, 3" in said[lost.name]


def test_a_report_in_json_names_the_serial_numbers(user, seeds, write):
    accounts = write("map.csv", f"001,{user.name}", f"002,{user.name}")
    answer = json.loads(twofactor("import", "--all", "--json", "--map", accounts, seeds).stdout)
    [report] = answer["users"]
    assert (report["user"], report["imported"], report["unchanged"]) == (user.name, True, False)
    assert report["serials"] == ["001", "002"] and report["devices"] == user.status()["devices"]
    assert answer["unassigned"] == 4 and answer["problems"] == [] and "line 6" in answer["warnings"][0]
    again = json.loads(twofactor("import", "--all", "--json", "--map", accounts, seeds).stdout)
    assert [again["users"][0][name] for name in ("imported", "unchanged", "error")] == [False, True, None]
    # Other keys of the account are no success.
    accounts = write("map.csv", f"001,{user.name}")
    report = twofactor("import", "--all", "--map", accounts, seeds, status=REFUSED).stdout
    assert "already on" in report and user.devices() == ["phone", "phone 2"]
    twofactor("import", "--all", "--force", "--map", accounts, seeds)
    assert user.devices() == ["phone"]


def test_a_file_that_names_the_accounts_needs_no_map(user, service, write):
    key, other = TOKENS[0].base32, TOKENS[1].secret.hex()
    rows = [f"{user.name},1,{key},30", f"alice@example.org,2,{other},30", ",3,,30", f",4,{key},30"]
    path = write("entra.csv", "upn,serial number,secret key,time interval", *rows)
    done = twofactor("import", "--all", path, status=REFUSED)
    said = lines_of(done)
    assert "imported serial number 1 (time-based)" in said[user.name]
    assert "no such account" in said["alice@example.org"] and said[path] == "line 4: the key is empty"
    assert done.stdout.endswith("1 token is not assigned to an account.\n1 of 2 accounts imported.\n")
    assert user.log_in(service(), TOKENS[0].code_at(START), at=START).result == ACCEPTED
    unnamed = write("unnamed.csv", "serial,key,interval", f"1,{key},30")
    done = twofactor("import", "--all", unnamed, status=UNUSABLE)
    assert "which account gets which token" in done.stderr and "--map FILE" in done.stderr


def test_columns_and_properties_can_be_named(user, service, write):
    path = write("plain.txt", f"A7 {TOKENS[1].secret.hex()}")
    accounts = write("map.csv", f"a7,{user.name}")
    words = ("import", "--all", "--map", accounts, "--columns", "serial,key")
    assert "--type" in twofactor(*words, "--from", "csv", path, status=UNUSABLE).stderr
    twofactor(*words, "--from", "csv", "--type", "hotp", "--digits", "8", path)
    assert user.log_in(service(), TOKENS[1].code_for_counter(0)).result == ACCEPTED


def test_an_interrupted_import_of_tokens_can_be_repeated(new_user, service, seeds, write):
    users = [new_user() for _ in range(3)]
    accounts = write("map.csv", *(f"00{n},{user.name}" for n, user in enumerate(users, 1)))
    words = (COMMAND, "import", "--all", "--map", accounts, seeds)
    # At the second line of the report; only the parent process is traced.
    kill = ("-e", "trace=write", "-e", "inject=write:signal=SIGKILL:when=2")
    assert run("strace", "-o", "/dev/null", *kill, *words, status=None).returncode != DONE
    assert [user.status()["enabled"] for user in users] == [True, True, False]
    assert users[0].log_in(service(), TOKENS[0].code_at(START), at=START).result == ACCEPTED
    before = (users[0].directory / "state").read_bytes()
    done = run(*words)
    assert done.stdout.splitlines()[0] == f"{users[0].name}: unchanged, it already has serial number 001"
    assert done.stdout.endswith("1 of 3 accounts imported, 2 unchanged.\n")
    assert (users[0].directory / "state").read_bytes() == before
    assert users[0].log_in(service(), TOKENS[0].code_at(START), at=START).result != ACCEPTED


def test_the_map_must_be_of_root(user, seeds, write):
    accounts = write("map.csv", f"001,{user.name}")
    for change in ("chown", "link"):
        path = Path(accounts)
        if change == "chown":
            os.chown(path, user.uid, user.gid)
        else:
            path = user.home / "map.csv"
            path.symlink_to(write("map.csv", f"001,{user.name}"))
        done = twofactor("import", "--all", "--map", str(path), seeds, status=NOT_PERMITTED)
        assert "others than root" in done.stderr and not user.directory.exists()
    twofactor("import", "--all", "--map", "/nowhere", seeds, status=NO_FILE)
    twofactor("import", "--all", "--map", write("empty.csv"), seeds, status=UNUSABLE)


def test_options_without_meaning_are_usage_errors(user, seeds, write, users_file):
    accounts = write("map.csv", f"001,{user.name}")
    oath = str(users_file(f"HOTP {user.name} - {TOKENS[0].secret.hex()}"))
    for words in (
        ("--map", accounts, seeds), ("--all", "--from", "aegis", seeds), ("--all", "--select", "1", seeds),
        ("--all", "--map", accounts, oath), ("--all", "--map", accounts, "/home"),
        ("--all", "--map", accounts, "--from", "google-authenticator", "/home"),
    ):
        twofactor("import", *words, status=USAGE)
    assert not user.directory.exists()


def test_a_tree_of_homes_is_imported(new_user, service, write, tmp_path):
    """Homes as they are: users may have put anything there."""
    one, empty, link, pipe, loose, theirs, big = users = [new_user() for _ in range(7)]
    apps = {user: Authenticator(os.urandom(20)) for user in users}
    for user in users:
        google_file(user, '" TOTP_AUTH', "12345678", key=apps[user].base32)
    file = {user: user.home / ".google_authenticator" for user in users}
    file[empty].unlink()
    file[link].unlink()
    file[link].symlink_to(write("secret", apps[link].base32, '" TOTP_AUTH'))
    file[pipe].unlink()
    os.mkfifo(file[pipe], 0o644)
    os.chown(file[pipe], pipe.uid, pipe.gid)
    loose.home.chmod(0o777)
    os.chown(theirs.home, one.uid, one.gid)
    google_file(big, '" TOTP_AUTH', '" DIGITS 8', '" ALGORITHM sha256', '" STEP_SIZE 60', key=apps[big].base32)
    writer = os.open(file[pipe], os.O_RDWR)
    done = twofactor("import", "--all", "--from", "google-authenticator", "/home", status=None)
    os.close(writer)
    assert done.returncode == REFUSED and done.stderr == ""
    said = lines_of(done)
    assert said[one.name] == "imported (time-based)"
    assert said[big.name] == "imported (time-based, 60 seconds, sha256, 8 digits)"
    assert empty.name not in said and "cannot open" in said[link.name] and "not a regular file" in said[pipe.name]
    assert "writable by others" in said[loose.name] and "owned by another user" in said[theirs.name]
    assert [user.directory.exists() for user in users] == [True, False, False, False, False, False, True]
    name = service()
    eight = Authenticator(apps[big].secret, "sha256", 8, 60)
    for user, code in ((one, apps[one].code_at(START)), (big, eight.code_at(START)), (one, "12345678")):
        assert user.log_in(name, code, at=START).result == ACCEPTED
    os.chown(theirs.home, theirs.uid, theirs.gid)


def test_a_tree_of_copies_is_imported(new_user, service, tmp_path):
    tmp_path.chmod(0o755)
    one, other = new_user(), new_user()
    app = Authenticator(os.urandom(20))
    tree = tmp_path / "copies"
    for name in (one.name, "no-such-user", "lost+found"):
        (tree / name).mkdir(parents=True)
        if name != "lost+found":
            (tree / name / ".google_authenticator").write_text(f'{app.base32}\n" TOTP_AUTH\n')
            (tree / name / ".google_authenticator").chmod(0o600)
    said = lines_of(twofactor("import", "--all", str(tree), status=REFUSED))
    assert said[one.name] == "imported (time-based)" and "no such account" in said["no-such-user"] and len(said) == 2
    assert one.log_in(service(), app.code_at(START), at=START).result == ACCEPTED
    # A user who can write to the tree could choose the key of another account.
    (tree / other.name).mkdir()
    (tree / other.name / ".google_authenticator").write_text(f'{app.base32}\n" TOTP_AUTH\n')
    tree.chmod(0o1777)
    done = twofactor("import", "--all", str(tree), status=NOT_PERMITTED)
    assert "others than root" in done.stderr and not other.directory.exists()
    tree.chmod(0o755)
    (tmp_path / "link").symlink_to(tree)
    twofactor("import", "--all", str(tmp_path / "link"), status=NOT_PERMITTED)
    twofactor("import", "--all", "--from", "google-authenticator", str(tmp_path / "none"), status=NO_FILE)


def test_the_tokens_of_a_pskc_file_go_to_the_accounts_of_a_map(new_user, service, write):
    one, two = new_user(), new_user()
    packages = "".join(
        f"<KeyPackage><DeviceInfo><SerialNo>{serial}</SerialNo></DeviceInfo>"
        f'<Key Id="{serial}" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:hotp">'
        '<AlgorithmParameters><ResponseFormat Length="6" Encoding="DECIMAL"/></AlgorithmParameters>'
        f"<Data><Secret><PlainValue>{base64.b64encode(token.secret).decode()}</PlainValue></Secret>"
        f"<Counter><PlainValue>{serial}</PlainValue></Counter></Data><UserId>{name}</UserId></Key></KeyPackage>"
        for serial, token, name in ((11, TOKENS[0], "UID=alice"), (12, TOKENS[2], two.name), (13, TOKENS[3], ""))
    )
    namespace = "urn:ietf:params:xml:ns:keyprov:pskc"
    path = write("tokens.xml", f'<KeyContainer Version="1.0" xmlns="{namespace}">{packages}</KeyContainer>')
    said = twofactor("import", "--all", "--map", write("map.csv", f"11,{one.name}"), path).stdout
    assert said.startswith(f"{one.name}: imported serial number 11 (counter-based)")
    assert said.endswith("2 tokens are not assigned to an account.\n1 of 1 accounts imported.\n")
    # Without a map, UserId must be the name of an account.
    said = lines_of(twofactor("import", "--all", path, status=REFUSED))
    assert "no such account" in said["alice"] and said[two.name].startswith("imported serial number 12")
    name = service()
    for user, token, counter in ((one, TOKENS[0], 11), (two, TOKENS[2], 12)):
        assert user.log_in(name, token.code_for_counter(counter)).result == ACCEPTED
