"""`twofactor device`, `show`, `verify`, `users` and `unlock`."""

import json
import re
import subprocess
import time

import pytest
from rig.enrollment import twofactor, twofactor_json
from rig.exit_status import DONE, NOT_PERMITTED, REFUSED, USAGE
from rig.harness import Result
from rig.machine import COMMAND
from rig.one_time_password import Authenticator
from rig.register import is_host_store
from rig.screen import Screen

pytestmark = pytest.mark.usefixtures("each_store")


def test_moving_to_a_new_phone(user):
    old = user.enroll(backup_codes=2)
    screen = Screen(user, "device", "add", "new phone", rows=60)
    screen.expect("backup code: ").type(old.authenticator.code_at(time.time()))
    screen.expect("Code from the app: ")
    new = Authenticator.from_uri(screen.uri)
    screen.type(new.code_at(time.time()))
    assert screen.ends() == DONE
    assert "Logins now accept codes from new phone." in screen.text
    assert user.devices() == ["phone", "new phone"]

    user.twofactor("device", "remove", "phone", answers=new.code_at(time.time(), steps=1) + "\n")
    assert user.devices() == ["new phone"]
    refused = user.twofactor(
        "backup-codes", answers=old.authenticator.code_at(time.time(), steps=1) + "\n", status=REFUSED
    )
    assert "wrong code" in refused.stderr


def test_adding_a_device_prints_the_json_of_enable(user):
    user.enroll(backup_codes=2)
    made = twofactor_json("device", "add", "token", "--type", "hotp", "--no-confirm", "--user", user.name)
    assert list(made) == ["user", "directory", "device", "secret", "uri", "services"]
    assert made["device"]["type"] == "hotp" and "counter=0" in made["uri"]
    assert user.status()["backup_codes_left"] == 2


def test_the_last_device_and_unknown_devices_cannot_be_removed(user):
    old = user.enroll()
    code = old.authenticator.code_at(time.time()) + "\n"
    for name, words in [("phone", "only device"), ("tablet", "no device named")]:
        done = user.twofactor("device", "remove", name, answers=code, status=REFUSED)
        assert words in done.stderr
    # The code was not used up.
    user.twofactor("backup-codes", answers=code)


def test_at_most_sixteen_devices_with_different_names(user):
    user.enroll()
    for number in range(15):
        user.add_device(f"device {number}")
    full = twofactor("device", "add", "one more", "--no-confirm", "--user", user.name, status=REFUSED)
    assert "16 devices" in full.stderr
    twofactor("device", "remove", "device 3", "--user", user.name)
    twice = twofactor("device", "add", "phone", "--no-confirm", "--user", user.name, status=REFUSED)
    assert "already" in twice.stderr
    assert len(user.devices()) == 15


def test_a_wrong_code_adds_no_device(user):
    old = user.enroll()
    done = user.twofactor(
        "device", "add", "x", answers=old.authenticator.wrong_code(time.time()) + "\n", status=REFUSED
    )
    assert user.devices() == ["phone"] and "secret=" not in done.stdout
    answers = old.authenticator.code_at(time.time()) + "\n000000\n111111\n222222\n"
    user.twofactor("device", "add", "x", answers=answers, status=REFUSED)
    assert user.devices() == ["phone"]


def test_the_list_is_a_table(user):
    user.enroll()
    user.add_device("tablet", "--algorithm", "sha256", "--digits", "8")
    lines = user.twofactor("device", "list").stdout.splitlines()
    assert re.split(r"  +", lines[0]) == ["NAME", "CODES", "SINCE", "LAST USED"]
    assert lines[1].startswith("phone   time-based                    ")
    assert re.split(r"  +", lines[2])[:2] == ["tablet", "time-based, sha256, 8 digits"]
    assert twofactor_json("device", "list", user=user) == user.status()


def test_a_user_who_is_not_enrolled_has_no_list(user):
    done = user.twofactor("device", "list", status=REFUSED)
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"twofactor: two-factor is not on for {user.name}", "hint: switch it on with: twofactor enable"
    ]
    done = user.twofactor("device", "list", "--json", status=REFUSED)
    assert done.stdout == "" and list(json.loads(done.stderr)) == ["error", "hint"]


def test_devices_added_at_once_are_all_kept(user):
    user.enroll()
    line = [COMMAND, "device", "add", "--no-confirm", "--user", user.name]
    commands = [subprocess.Popen([*line, f"device {n}"], stdout=subprocess.DEVNULL) for n in range(6)]
    assert [command.wait(30) for command in commands] == [DONE] * 6
    assert sorted(user.devices()) == sorted(["phone", *(f"device {n}" for n in range(6))])


def test_a_key_is_shown_again_for_password_and_code(user):
    old = user.enroll("--algorithm", "sha512", "--digits", "8")
    code = old.authenticator.code_at(time.time())
    shown = twofactor_json("show", answers=f"{user.password}\n{code}\n", user=user)
    assert list(shown) == ["user", "directory", "device", "secret", "uri", "services"]
    assert shown["uri"] == old.uri
    user.twofactor("show", answers=f"wrong\n{code}\n", status=REFUSED)
    done = user.twofactor("show", answers=f"{user.password}\n{code}\n", status=REFUSED)
    assert "secret=" not in done.stdout


def test_show_needs_the_name_of_one_of_several_devices(user):
    user.enroll()
    user.add_device("tablet")
    twofactor("show", "--user", user.name, status=USAGE)
    twofactor("show", "--user", user.name, "--name", "watch", status=REFUSED)
    shown = twofactor_json("show", "--user", user.name, "--name", "tablet")
    assert shown["device"]["name"] == "tablet"


def test_show_prints_the_next_counter(user):
    made = user.enroll("--type", "hotp", backup_codes=1)
    user.twofactor("backup-codes", answers=made.authenticator.code_for_counter(4) + "\n")
    assert "counter=5" in twofactor_json("show", "--user", user.name)["uri"]


def verified(user, code: str) -> tuple[int, dict]:
    done = user.twofactor("verify", "--json", answers=code + "\n", status=None)
    return done.returncode, json.loads(done.stdout)


def test_verify_uses_up_no_code(user):
    made = user.enroll(backup_codes=1)
    for steps in (-1, 0, 1, 0):
        ended, result = verified(user, made.authenticator.code_at(time.time(), steps))
        assert (ended, result["valid"], result["method"], result["reason"]) == (DONE, True, "totp", None)
        assert abs(result["offset_steps"] - steps) <= 1
    assert verified(user, made.backup_codes[0]) == (
        DONE,
        {"valid": True, "method": "backup-code", "reason": None, "offset_steps": None},
    )
    assert user.status()["failures"] == 0 and user.status()["backup_codes_left"] == 1


@pytest.mark.parametrize(
    ("counter", "words"),
    [
        (0, ""),
        (1, " It is 1 counter ahead, which is allowed."),
        (5, " It is 5 counters ahead, which is allowed."),
    ],
)
def test_verify_tells_how_far_off_an_accepted_code_is(user, counter, words):
    made = user.enroll("--type", "hotp")
    done = user.twofactor("verify", answers=made.authenticator.code_for_counter(counter) + "\n")
    assert f"The code is right: phone.{words} It was not used up.\n" in done.stdout


@pytest.mark.parametrize("steps", [-20, -5, 5, 20])
def test_verify_tells_how_far_off_a_code_is(user, steps):
    made = user.enroll()
    ended, result = verified(user, made.authenticator.code_at(time.time(), steps))
    if is_host_store() and steps > 0:
        # A program of the user could wait until it is valid.
        assert (ended, result["reason"], result["offset_steps"]) == (REFUSED, "wrong-code", None)
        return
    assert (ended, result["valid"], result["reason"]) == (REFUSED, False, "outside-window")
    assert abs(result["offset_steps"] - steps) <= 1
    code = made.authenticator.code_at(time.time(), steps)
    words = user.twofactor("verify", answers=code + "\n", status=REFUSED).stderr
    assert ("late" if steps < 0 else "early") in words and "timedatectl" in words


@pytest.mark.parametrize("steps", [-22, 22])
def test_verify_searches_twenty_steps_in_each_direction(user, steps):
    made = user.enroll()
    assert verified(user, made.authenticator.code_at(time.time(), steps)) == (
        REFUSED,
        {"valid": False, "method": None, "reason": "wrong-code", "offset_steps": None},
    )


def test_verify_gives_the_reasons_of_the_log(user):
    made = user.enroll(backup_codes=1)
    used = made.authenticator.code_at(time.time())
    user.twofactor("backup-codes", answers=used + "\n")
    for code, reason in [
        ("", "no-reply"),
        ("12345", "malformed-reply"),
        (made.authenticator.wrong_code(time.time()), "wrong-code"),
        (used, "reused-code"),
        (made.backup_codes[0], "wrong-code"),
    ]:
        ended, result = verified(user, code)
        assert (ended, result["valid"], result["method"], result["reason"]) == (REFUSED, False, None, reason)
    assert user.status()["failures"] == is_host_store()


def test_a_used_backup_code_has_its_own_message(user, service):
    made = user.enroll(backup_codes=2)
    code = made.backup_codes[0]
    assert user.log_in(service(), code).result == Result.SUCCESS
    for command in ("verify", "backup-codes"):
        refused = user.twofactor(command, answers=f"{code}\n", status=REFUSED)
        assert "twofactor: this backup code was already used\nhint: use another one" in refused.stderr, command
    assert verified(user, code)[1]["reason"] == "reused-code"


def test_root_ends_throttling(user):
    made = user.enroll()
    for _ in range(6):
        user.twofactor("backup-codes", answers="22222222\n", status=REFUSED)
    assert verified(user, made.authenticator.code_at(time.time()))[1]["reason"] == "throttled"
    user.twofactor("unlock", status=NOT_PERMITTED)
    after = twofactor_json("unlock", "--user", user.name)
    assert (after["failures"], after["locked_until"]) == (0, None)
    assert verified(user, made.authenticator.code_at(time.time()))[0] == DONE


def test_users_lists_all_accounts_that_can_log_in(user, new_user):
    other = new_user(shell="/usr/sbin/nologin")
    damaged = new_user()
    made = user.enroll(backup_codes=3)
    damaged.enroll()
    (damaged.directory / "credential").write_text("garbage")
    users = {entry["user"]: entry for entry in twofactor_json("users")["users"]}
    assert users[user.name] == {**user.status(), "registered": is_host_store() or None} and users["root"]["enabled"] is False
    assert other.name not in users and "daemon" not in users
    assert set(users[damaged.name]) == {*user.status(), "registered", "error"}
    assert users[damaged.name]["enabled"] is None and "is not a credential" in users[damaged.name]["error"]
    table = twofactor("users").stdout
    assert re.search(rf"^{user.name} +on +\d{{4}}-\d\d-\d\d +3 +never$", table, re.MULTILINE)
    user.twofactor("users", status=NOT_PERMITTED)
    assert made.user == user.name
