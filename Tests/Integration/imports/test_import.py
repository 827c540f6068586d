"""`twofactor import`: real files of real programs, and logins with the imported codes."""

import hashlib
import json
import re
from urllib.parse import unquote

import pyotp
import pytest
from rig.clock import START, time_to_type
from rig.enrollment import twofactor
from rig.exit_status import NOT_PERMITTED, REFUSED, UNUSABLE
from rig.harness import Result
from rig.imports import APP, BASE32, KEY, app_of, bring_in, google, google_file
from rig.one_time_password import Authenticator
from rig.process import run

ACCEPTED, DENIED = Result.SUCCESS, Result.AUTH_ERR


@pytest.fixture
def theirs(harness):
    """A service of google-authenticator's module, and one of pam_oath with a users file."""
    harness.service("google", "auth required pam_google_authenticator.so")
    harness.service("oath", "auth required pam_oath.so usersfile=/etc/users.oath window=10 digits=6")
    return harness


def test_a_google_authenticator_file_keeps_its_used_codes(user, theirs, service):
    path = google(user, "-t", "-d", "-r", "3", "-R", "30", "-w", "17", "-e", "5")
    app, scratch_codes = app_of(path), re.findall(r"^\d{8}$", path.read_text(), re.MULTILINE)
    used = [app.code_at(START), app.code_at(START, 2), scratch_codes[1]]
    for code in used:
        assert user.log_in("google", code, at=START).result == ACCEPTED
    before = path.read_bytes(), path.stat()

    done = twofactor("import", "--user", user.name, str(path), at=START)
    assert done.stderr == ""
    said = done.stdout
    assert "window = 8" in said and "max_failures = 3" in said and "4 backup codes of eight digits" in said
    assert path.read_bytes() == before[0] and path.stat().st_mtime_ns == before[1].st_mtime_ns

    name = service("window=10")
    for code in used:
        assert user.log_in(name, code, at=START).result == DENIED
    assert user.log_in(name, app.code_at(START, 3), at=START).result == ACCEPTED
    for code in set(scratch_codes) - set(used):
        results = [user.log_in(name, code, at=START).result for _ in range(2)]
        assert results == [ACCEPTED, DENIED]
    assert user.status()["backup_codes_left"] == 0


def test_a_google_authenticator_counter_continues(user, theirs, service):
    path = google(user, "-c", "-r", "9", "-R", "30", "-w", "5", "-e", "1")
    app = app_of(path)
    assert user.log_in("google", app.code_for_counter(3)).result == ACCEPTED
    answer = bring_in(user, str(path))
    assert answer["device"]["type"] == "hotp" and answer["uri"].endswith("&counter=4")
    name = service()
    assert user.log_in(name, app.code_for_counter(3)).result == DENIED
    assert user.log_in(name, app.code_for_counter(1)).result == DENIED
    assert user.log_in(name, app.code_for_counter(5)).result == ACCEPTED


@pytest.mark.parametrize("steps", [-40, 3000])
def test_the_clock_offset_of_google_authenticator_is_kept(user, theirs, service, steps):
    """Its module and this one accept the same codes of a phone whose clock is wrong."""
    path = google_file(user, '" TOTP_AUTH', '" DISALLOW_REUSE', f'" TIME_SKEW {steps}')
    theirs.service("noskewadj", "auth required pam_google_authenticator.so noskewadj")
    done = twofactor("import", "--user", user.name, str(path), at=START)
    assert f"clock {abs(steps) // 2} minutes {'behind' if steps < 0 else 'ahead'}" in done.stdout
    name = service()
    for late in (-2, 2, -1, 0, 1):
        results = [user.log_in(each, APP.code_at(START, steps + late), at=START).result for each in ("noskewadj", name)]
        assert results == [ACCEPTED if abs(late) < 2 else DENIED] * 2, late
    assert user.status()["devices"][0]["offset_steps"] == steps
    again = google_file(user, '" TOTP_AUTH', '" DISALLOW_REUSE', f'" TIME_SKEW {steps * 1000}')
    done = twofactor("import", "--force", "--user", user.name, str(again), status=UNUSABLE)
    assert "TIME_SKEW" in done.stderr


@pytest.mark.parametrize(("digest", "digits"), [("sha256", 8), ("SHA512", 6)])
def test_digits_and_algorithm_of_the_hardened_fork_are_imported(user, service, digest, digits):
    path = google_file(user, '" TOTP_AUTH', f'" DIGITS {digits}', f'" ALGORITHM {digest}')
    device = bring_in(user, str(path))["device"]
    assert (device["algorithm"], device["digits"]) == (digest.lower(), digits)
    app = Authenticator(KEY, digest.lower(), digits)
    assert user.log_in(service(), app.code_at(START), at=START).result == ACCEPTED
    for option in ("DIGITS 7", "ALGORITHM md5", "HMAC_KEY 1"):
        path = google_file(user, '" TOTP_AUTH', f'" {option}')
        done = twofactor("import", "--force", "--user", user.name, str(path), status=UNUSABLE)
        assert option.split()[0] in done.stderr or "seven-digit" in done.stderr


FORCED = ("--force", "--yes")


def test_importing_again_makes_no_used_code_valid(user, theirs, service):
    path = google_file(user, '" TOTP_AUTH', "12345678", "87654321")
    bring_in(user, str(path), at=START)
    name = service()
    used = [APP.code_at(START), "12345678"]
    for code in used:
        assert user.log_in(name, code, at=START).result == ACCEPTED
    bring_in(user, str(path), *FORCED, at=START)
    assert user.status()["backup_codes_left"] == 1
    for code in used:
        assert user.log_in(name, code, at=START).result == DENIED
    for code in (APP.code_at(START, 1), "87654321"):
        assert user.log_in(name, code, at=START).result == ACCEPTED


def test_importing_again_does_not_decrease_a_counter(user, theirs, service):
    path = google_file(user, '" HOTP_COUNTER 1')
    bring_in(user, str(path))
    name = service()
    assert user.log_in(name, APP.code_for_counter(4)).result == ACCEPTED
    bring_in(user, str(path), *FORCED)
    assert user.log_in(name, APP.code_for_counter(4)).result == DENIED
    assert user.log_in(name, APP.code_for_counter(5)).result == ACCEPTED


def test_importing_again_resets_codes_used_by_a_wrong_clock(user, theirs, service):
    path = google_file(user, '" TOTP_AUTH')
    bring_in(user, str(path), at=START)
    name, later = service(), START + 86400
    assert user.log_in(name, APP.code_at(later), at=later).result == ACCEPTED
    soon = START + 33 * 30
    assert user.log_in(name, APP.code_at(soon), at=soon).result == DENIED
    bring_in(user, str(path), *FORCED, at=START)
    assert user.log_in(name, APP.code_at(soon), at=soon).result == ACCEPTED


# The replies at START with a window of one time step, and the results of google-authenticator and twofactor. They
# differ because twofactor rejects a code of an earlier time step than a used one.
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


def test_codes_have_the_same_results_as_with_google_authenticator(user, theirs, service):
    path = google_file(user, '" WINDOW_SIZE 3', '" DISALLOW_REUSE', '" TOTP_AUTH', "12345678", "87654321")
    bring_in(user, str(path), at=START)
    name = service()
    for what, code, there, here in SCENARIO:
        results = [user.log_in(module, code(), at=START).result for module in ("google", name)]
        assert results == [there, here], what


@pytest.mark.parametrize("seconds", [30, 60])
def test_a_code_used_by_pam_oath_stays_used(user, theirs, service, users_file, seconds):
    app = Authenticator(KEY, period=seconds)
    path = users_file(f"HOTP/T{seconds} {user.name} - {KEY.hex()}")
    # Three steps late: within the window of pam_oath here.
    used = app.code_at(START, -3)
    assert user.log_in("oath", used, at=START).result == ACCEPTED
    assert used in path.read_text()
    before = path.read_bytes()

    answer = bring_in(user, str(path), at=START + 1)
    assert answer["device"]["period"] == seconds and answer["device"]["last_used_at"] is not None
    assert path.read_bytes() == before
    name = service("window=10")
    for steps, result in [(-3, DENIED), (-4, DENIED), (-2, ACCEPTED), (-2, DENIED), (0, ACCEPTED)]:
        assert user.log_in(name, app.code_at(START, steps), at=START + 2).result == result, steps


def test_a_counter_used_by_pam_oath_stays_used(user, theirs, service, users_file):
    path = users_file(f"HOTP {user.name} - {KEY.hex()} 4")
    for counter in (4, 7):
        assert user.log_in("oath", APP.code_for_counter(counter)).result == ACCEPTED
    answer = bring_in(user, "--from", "oath", str(path))
    assert answer["uri"].endswith("&counter=8")
    name = service()
    assert user.log_in(name, APP.code_for_counter(7)).result == DENIED
    assert user.log_in(name, APP.code_for_counter(8)).result == ACCEPTED


@pytest.mark.parametrize("kind", ["HOTP/T30", "HOTP/T30/6"])
def test_the_option_digits_of_pam_oath_overrides_the_type(user, harness, service, users_file, kind):
    path = users_file(f"{kind} {user.name} - {KEY.hex()}")
    said = twofactor("import", "--user", user.name, str(path)).stdout
    assert ("6 digits are assumed" in said) == (kind == "HOTP/T30")
    done = twofactor("import", "--user", user.name, "--force", "--digits", "8", str(path))
    assert ("--digits 8 overrides the type" in done.stdout) == (kind != "HOTP/T30")
    harness.service("eight", "auth required pam_oath.so usersfile=/etc/users.oath digits=8")
    for name in ("eight", service()):
        assert user.log_in(name, "81921300", at=1_700_000_000).result == ACCEPTED, name
    # The file now contains a code of eight digits, which decides.
    done = twofactor("import", "--user", user.name, "--force", "--digits", "6", str(path))
    assert "--digits 6 is ignored" in done.stdout and user.status()["devices"][0]["digits"] == 8


def test_each_of_several_tokens_continues(user, theirs, service, users_file):
    token = Authenticator(KEY[::-1])
    path = users_file(f"HOTP {user.name} - {token.secret.hex()} 2", f"HOTP/T30 {user.name} - {KEY.hex()}")
    used = [token.code_for_counter(3), APP.code_at(START, 1), token.code_for_counter(5)]
    for code in used:
        assert user.log_in("oath", code, at=START).result == ACCEPTED
    answer = bring_in(user, str(path), at=START)
    assert [entry["device"]["type"] for entry in answer["devices"]] == ["hotp", "totp"]
    name = service("window=10")
    for code in [*used, token.code_for_counter(4), APP.code_at(START)]:
        assert user.log_in(name, code, at=START).result == DENIED
    for code in (token.code_for_counter(6), APP.code_at(START, 2)):
        assert user.log_in(name, code, at=START).result == ACCEPTED


def test_a_complete_users_file_is_imported_with_a_report(new_user, theirs, service, users_file):
    good, two, seven, secret, enrolled = (new_user() for _ in range(5))
    enrolled.enroll()
    path = users_file(
        "# comment",
        f"HOTP/T30/6 {good.name} - {KEY.hex()}",
        f"HOTP/E/8 {two.name} + {KEY.hex()} 3",
        f"HOTP/T60/8 {two.name} - {KEY[::-1].hex()}",
        f"HOTP/E/7 {seven.name} - {KEY.hex()}",
        f"HOTP {secret.name} password {KEY.hex()}",
        f"HOTP {enrolled.name} - {KEY.hex()}",
        f"HOTP no-such-user - {KEY.hex()}",
    )
    done = twofactor("import", "--all", str(path), status=REFUSED)
    assert done.stderr == ""
    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines()[:-1])
    assert done.stdout.splitlines()[-1] == "2 of 6 accounts imported."
    assert lines[good.name] == "imported (time-based)"
    assert lines[two.name] == "imported (counter-based, 8 digits; time-based, 60 seconds, 8 digits)"
    assert "line 5" in lines[seven.name] and "seven-digit" in lines[seven.name]
    assert "line 6" in lines[secret.name] and "password of their own" in lines[secret.name]
    assert "already" in lines[enrolled.name] and "no such account" in lines["no-such-user"]
    assert KEY.hex() not in done.stdout and BASE32 not in done.stdout
    for user in (good, two):
        for file in user.directory.iterdir():
            assert (file.stat().st_uid, file.stat().st_mode) == (user.uid, 0o100600)
    assert [device["name"] for device in two.status()["devices"]] == ["phone", "phone 2"]
    assert not seven.status()["enabled"] and not secret.status()["enabled"]
    name = service()
    assert theirs.log_in(name, good.name, APP.code_at(START), at=START).result == ACCEPTED
    eight = Authenticator(KEY, digits=8)
    assert theirs.log_in(name, two.name, eight.code_for_counter(3)).result == ACCEPTED
    other = Authenticator(KEY[::-1], digits=8, period=60)
    assert theirs.log_in(name, two.name, other.code_at(START), at=START).result == ACCEPTED

    again = twofactor("import", "--all", "--force", "--json", str(path), status=None)
    report = {entry["user"]: entry for entry in json.loads(again.stdout)["users"]}
    assert again.returncode == REFUSED and again.stderr == "" and len(report) == 6
    assert report[good.name]["imported"] and report[good.name]["devices"] == good.status()["devices"]
    assert report[enrolled.name]["imported"] and report[seven.name]["error"].endswith("only six and eight digits")
    good.twofactor("import", "--all", str(path), status=NOT_PERMITTED)


def test_a_uri_of_an_app_is_imported(user, service):
    uri = (
        "otpauth://totp/Big%20Corp%3Aalice%40example.org?secret=gezd%20gnbv-gy3t%20qojq%3D%3D%3D"
        "&algorithm=SHA256&digits=8&period=60&image=https%3A%2F%2Fx"
    )
    answer = bring_in(user, answers=uri + "\n")
    assert list(answer) == ["user", "directory", "device", "secret", "uri", "services"]
    assert answer["secret"] == "GEZDGNBVGY3TQOJQ"
    assert answer["uri"] == (
        "otpauth://totp/Big%20Corp:alice%40example.org?secret=GEZDGNBVGY3TQOJQ&issuer=Big%20Corp"
        "&algorithm=SHA256&digits=8&period=60"
    )
    app = Authenticator.from_base32("GEZDGNBVGY3TQOJQ", algorithm="sha256", digits=8, period=60)
    assert user.log_in(service(), app.code_at(START), at=START).result == ACCEPTED


@pytest.mark.parametrize("kind", ["-t -d", "-c"])
def test_a_uri_of_google_authenticator_is_imported(user, service, kind):
    program = f"google-authenticator --force {kind} -u -w 3 --issuer='Big Corp' --qr-mode=ansi"
    # The program asks for a code; -1 skips the question.
    shown = run("runuser", "-l", user.name, "-c", program, input="-1\n", status=None).stdout
    path = user.home / ".google_authenticator"
    answer = bring_in(user, answers=unquote(re.search(r"otpauth\S+", shown)[0]) + "\n")
    assert answer["secret"] == path.read_text().splitlines()[0] and "issuer=Big%20Corp" in answer["uri"]
    app = app_of(path)
    # Its counters begin at 1.
    code = app.code_for_counter(1) if kind == "-c" else app.code_at(START)
    assert user.log_in(service(), code, at=START).result == ACCEPTED


@pytest.mark.parametrize("digits", [6, 8])
@pytest.mark.parametrize("digest", [hashlib.sha1, hashlib.sha256, hashlib.sha512])
def test_a_uri_of_pyotp_is_imported(user, service, digits, digest):
    key = pyotp.random_base32(32)
    clock = pyotp.TOTP(key, digits, digest, name="al ice@x", issuer="Söhne & Co", interval=45)
    counter = pyotp.HOTP(pyotp.random_base32(64), digits, digest, initial_count=7)
    answer = bring_in(user, answers=counter.provisioning_uri(initial_count=7))
    name = service()
    assert user.log_in(name, counter.at(0), at=START).result == ACCEPTED
    answer = bring_in(user, *FORCED, answers=clock.provisioning_uri())
    assert (answer["device"]["type"], answer["device"]["period"]) == ("totp", 45)
    assert user.log_in(name, clock.at(START), at=START).result == ACCEPTED


def test_a_uri_of_enable_is_imported(user, new_user):
    made = new_user().enroll("--algorithm", "sha512", "--digits", "8", "--issuer", "A & B")
    answer = bring_in(user, "--account", made.user, answers=made.uri)
    assert answer["uri"] == made.uri


def test_a_user_imports_with_the_password(user, service):
    path = google_file(user, '" TOTP_AUTH', "12345678", "87654321")
    user.twofactor("import", str(path), answers="wrong\n", status=REFUSED)
    assert not user.status()["enabled"]
    user.twofactor("import", str(path), answers="", status=REFUSED)
    user.twofactor("import", str(path), answers=f"{user.password}\n", status=REFUSED)
    assert not user.status()["enabled"]
    code = APP.code_at(time_to_type())
    done = user.twofactor("import", str(path), answers=f"{user.password}\n{code}\n")
    assert "Two-factor is on." in done.stdout and BASE32 not in done.stdout + done.stderr
    assert user.log_in(service(), "12345678", at=START).result == ACCEPTED

    again = user.twofactor("import", str(path), answers=f"{user.password}\n", status=REFUSED)
    assert "already on" in again.stderr
    assert user.log_in(service(), code).result == DENIED
    # The code for the old enrollment, the one of the device, then the text.
    other = Authenticator(KEY[::-1])
    now = time_to_type()
    answers = f"{user.password}\n{APP.code_at(now, 1)}\n{other.code_at(now)}\notpauth://totp/x?secret={other.base32}"
    user.twofactor("import", "--force", answers=answers.replace(other.code_at(now), other.wrong_code(now)), status=REFUSED)
    user.twofactor("import", "--force", answers=answers.replace(APP.code_at(now, 1), "87654321"))
    assert user.status()["backup_codes_left"] == 0


def test_backup_codes_are_created_beside_scratch_codes_on_request(user, service):
    path = google_file(user, '" TOTP_AUTH', "12345678")
    kept = user.home / "codes"
    answer = bring_in(user, "--backup-codes", "2", str(path))
    assert len(answer["backup_codes"]) == 2
    name = service()
    for code in ("12345678", answer["backup_codes"][1]):
        assert user.log_in(name, code, at=START).result == ACCEPTED
    assert user.status()["backup_codes_left"] == 1
    user.twofactor("import", "--no-confirm", "--force", "--yes", "--backup-codes", "3", "--backup-codes-file", str(kept), str(path),
        answers=f"{user.password}\n{answer['backup_codes'][0]}\n",
    )
    assert len(re.findall(r"^\w{5}-\w{5}$", kept.read_text(), re.MULTILINE)) == 3
    # The scratch code stays used.
    assert user.status()["backup_codes_left"] == 3
    answers = f"{user.password}\n{APP.code_at(time_to_type())}\nno\n"
    user.twofactor("import", "--no-confirm", "--force", "--backup-codes", "3", str(path), answers=answers, status=REFUSED)
    assert user.status()["backup_codes_left"] == 3


def test_a_clock_that_was_ahead_causes_a_warning(user, service):
    ahead = int(START) // 30 + 100
    path = google_file(user, '" TOTP_AUTH', f'" DISALLOW_REUSE {ahead}')
    done = twofactor("import", "--user", user.name, str(path), at=START)
    assert "is from the future" in done.stdout
    name = service()
    assert user.log_in(name, APP.code_at(START), at=START).result == DENIED
    later = START + 101 * 30
    assert user.log_in(name, APP.code_at(later), at=later).result == ACCEPTED
