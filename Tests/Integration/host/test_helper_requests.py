"""twofactor-helper: each request, its refusals, and the policies for which it is unavailable."""

import os
import resource
import secrets
import struct
import syslog
import time
from dataclasses import replace

import pytest
from rig.clock import time_to_type
from rig.enrollment import twofactor_json
from rig.helper import (
    END_OF_PASSWORD, HOST_STORE, KEEP, LIMIT, REGISTER_REQUEST, STATUS, UNREGISTER_REQUEST, ask, change, check,
    credential, device_line, enroll_through_helper, message, remove, show,
)
from rig.machine import HELPER
from rig.one_time_password import Authenticator
from rig.process import run
from rig.reachable import open_to_all
from rig.register import REGISTER, STORE, registered
from rig.syslog import fresh_log

KEY = Authenticator(bytes(range(20)))
OTHER_KEY = Authenticator(bytes(range(1, 21)))

# The requests that open the enrollment.
EVERY_REQUEST = [STATUS, check("123456"), change(credential(device_line(KEY))), remove(b""), show(b"")]


@pytest.fixture
def enrolled(user, host_store):
    time_to_type()
    return enroll_through_helper(user, backup_codes=2)


@pytest.fixture
def helper_log():
    """Returns the lines of the helper since the test began."""
    log = fresh_log()

    def lines() -> list[str]:
        mark = secrets.token_hex(8)
        syslog.syslog(syslog.LOG_INFO, mark)
        log.line_with(mark)
        told = [str(each) for each in log.messages()]
        return [line.partition("twofactor-helper: ")[2] for line in told if "twofactor-helper: " in line]

    return lines


def test_a_user_enrolls_and_belongs_to_the_user_alone(user, host_store, helper_log):
    assert ask(user, STATUS).status == ask(user, check("123456")).status == "absent"
    enrolled = enroll_through_helper(user, backup_codes=1)
    assert registered() == [user.uid] and [path.name for path in host_store.iterdir()] == [str(user.uid)]
    status = enrolled.directory.stat()
    assert (status.st_uid, status.st_mode & 0o7777) == (user.uid, 0o700)
    files = {path.name: path.stat() for path in enrolled.directory.iterdir()}
    assert {name: (each.st_uid, each.st_mode & 0o7777, each.st_nlink) for name, each in files.items()} == {
        name: (user.uid, 0o600, 1) for name in ("credential", "state")
    }
    # Without the helper, the user can open none of it.
    for path in (STORE, enrolled.directory, enrolled.directory / "credential"):
        assert "Permission denied" in run("ls", path, user=user, status=None).stderr
    # The helper chooses the generation.
    assert f"generation {'0' * 32}" not in (enrolled.directory / "credential").read_text()
    assert helper_log() == [f"enrolled uid={user.uid}"]


def test_status_tells_no_secret(enrolled):
    answer = enrolled.ask(STATUS)
    report = answer.report
    assert report["enabled"] == 1700000000 and report["throttling"] == (0, 0) and report["failures"] == 0
    assert (report["backup_codes"], report["backup_codes_left"]) == (2, 2)
    assert report["setting"].startswith("$y$j9T$") and report["setting"].endswith("$")
    assert report["devices"] == [(1, 30, 1, 6, 0, 1700000000, 0, "phone")]
    text = (enrolled.directory / "credential").read_text()
    assert enrolled.authenticator.secret not in answer.body
    hashes = [line.rpartition("$")[2] for line in text.splitlines() if "$" in line]
    for secret in [enrolled.authenticator.base32, *hashes]:
        assert len(secret) > 30
        assert secret.encode() not in answer.body


def ticket_of(enrolled, end: int) -> bytes:
    """The ticket as pam/helper-protocol.md defines it."""
    text = (enrolled.directory / "credential").read_text()
    generation = bytes.fromhex(text.split("generation ")[1][:32])
    key = Authenticator(generation + enrolled.authenticator.secret, algorithm="sha256", digits=10)
    values = [int(key.code_for_counter(4 * end + number)) for number in range(4)]
    return struct.pack("<q4I", end, *values)


def test_a_code_is_accepted_once_and_returns_a_ticket(enrolled, helper_log):
    code = enrolled.code()
    accepted = enrolled.check(code).checked
    assert (accepted.method, accepted.device, accepted.period, accepted.code_length) == ("totp", "phone", 30, 6)
    assert accepted.backup_code_used_at == 0
    end = struct.unpack("<q", accepted.ticket[:8])[0]
    assert 880 < end - time.time() <= 900 and accepted.ticket == ticket_of(enrolled, end)
    again = enrolled.check(code)
    assert (again.status, again.checked.refusal, again.checked.ticket) == ("refused", "reused-code", b"")
    backup = enrolled.check(enrolled.backup_codes[0].lower()).checked
    assert (backup.method, backup.backup_codes_left, backup.device, backup.code_length) == ("backup-code", 1, "", 10)
    assert enrolled.check(enrolled.backup_codes[0]).checked.refusal == "reused-backup-code"
    after = enrolled.check(enrolled.code(steps=1)).checked
    assert after.backup_code_used_at > time.time() - 60 and after.offset == 1
    uid = enrolled.user.uid
    assert helper_log() == [
        f"accepted uid={uid}", f"denied uid={uid} reason=reused-code", f"accepted uid={uid}",
        f"denied uid={uid} reason=reused-code", f"accepted uid={uid}",
    ]


def test_a_login_gets_no_ticket(enrolled):
    assert enrolled.check(enrolled.code(), HOST_STORE).ticket == b""
    assert enrolled.check(enrolled.code()).checked.refusal == "reused-code"


def test_a_kept_code_stays_valid_and_returns_no_ticket(enrolled, helper_log):
    before = enrolled.status()
    for _ in range(3):
        kept = enrolled.check(enrolled.code(), KEEP).checked
        assert (kept.method, kept.ticket) == ("totp", b"")
        backup = enrolled.check(enrolled.backup_codes[0], KEEP).checked
        assert (backup.method, backup.backup_codes_left, backup.ticket) == ("backup-code", 2, b"")
    assert enrolled.status() == before
    assert enrolled.check(enrolled.wrong(), KEEP).checked.refusal == "wrong-code"
    assert enrolled.failures() == 1
    # A kept code does not reset the failures.
    enrolled.check(enrolled.code(), KEEP)
    assert enrolled.failures() == 1
    assert enrolled.check(enrolled.code()).status == "done" and enrolled.failures() == 0
    assert f"verified uid={enrolled.user.uid}" in helper_log()


def test_a_code_at_the_end_of_a_password_is_found(enrolled):
    answer = enrolled.check("secret" + enrolled.code(), END_OF_PASSWORD).checked
    assert (answer.method, answer.code_length) == ("totp", 6)
    # The length to cut off, if no code is right.
    answer = enrolled.check("secret" + enrolled.wrong(), END_OF_PASSWORD).checked
    assert (answer.refusal, answer.code_length) == ("wrong-code", 6)


@pytest.mark.parametrize("flags", [0, KEEP])
def test_wrong_codes_throttle_and_lock(enrolled, flags):
    wrong = enrolled.wrong()
    for number in range(1, 6):
        answer = enrolled.check(wrong, flags).checked
        assert (answer.refusal, answer.number) == ("wrong-code", number)
    answer = enrolled.check(enrolled.code(), flags).checked
    assert answer.refusal == "throttled" and 25 <= answer.number <= 30
    kind, until = enrolled.status()["throttling"]
    assert kind == 1 and 20 < until - time.time() <= 30
    # A backup code is still checked.
    assert enrolled.check(enrolled.backup_codes[0], flags).status == "done"
    assert enrolled.failures() == (5 if flags == KEEP else 0)


@pytest.mark.parametrize(
    "reply, refusal", [("", "no-reply"), ("letters", "malformed-reply"), ("0" * 60, "malformed-reply")]
)
def test_what_is_no_code_is_not_counted(enrolled, reply, refusal):
    assert enrolled.check(reply).checked.refusal == refusal and enrolled.failures() == 0


def test_a_wrong_backup_code_is_not_counted(enrolled):
    assert enrolled.check("ZZZZZ-ZZZZZ").checked.refusal == "wrong-backup-code" and enrolled.failures() == 0


@pytest.mark.parametrize("flags", [0, KEEP])
def test_no_answer_tells_a_code_that_will_be_valid(enrolled, flags):
    early = enrolled.check(enrolled.code(steps=7), flags).checked
    wrong = enrolled.check(enrolled.wrong(), flags).checked
    assert (early.refusal, early.number) == ("wrong-code", 1) and (wrong.refusal, wrong.number) == ("wrong-code", 2)
    assert replace(early, number=2) == wrong
    late = enrolled.check(enrolled.code(steps=-7), flags).checked
    assert (late.refusal, late.number in (-7, -8)) == ("outside-window", True)


def test_limits_come_from_the_file(enrolled, host_configuration):
    host_configuration("store = host", "max_failures = 1", "window = 3")
    assert enrolled.check(enrolled.code(steps=3), KEEP).status == "done"
    assert enrolled.check(enrolled.code(steps=5)).checked.refusal == "wrong-code"
    assert enrolled.check(enrolled.code()).checked.refusal == "throttled"
    host_configuration("store = host", "backup_codes = no")
    refusal = enrolled.check(enrolled.backup_codes[0]).checked.refusal
    assert refusal in ("malformed-reply", "wrong-backup-code", "throttled")
    assert enrolled.status()["backup_codes_left"] == 2


# ---- Changes


def test_a_change_needs_a_ticket_of_this_credential(enrolled, new_user, helper_log):
    foreign = enroll_through_helper(new_user())
    ticket = enrolled.check(enrolled.code()).ticket
    end, rest = struct.unpack("<q", ticket[:8])[0], ticket[8:]
    other = foreign.check(foreign.code()).ticket
    wrong = {
        "none": b"", "short": ticket[:-1], "long": ticket + b"\0", "another user's": other, "zeros": bytes(24),
        "later": struct.pack("<q", end + 1) + rest, "earlier": struct.pack("<q", end - 1) + rest,
        "expired": struct.pack("<q", end - 900) + rest, "far": struct.pack("<q", end + 10**6) + rest,
        "negative": struct.pack("<q", -1) + rest, "least": struct.pack("<Q", 1 << 63) + rest,
        "greatest": struct.pack("<Q", (1 << 63) - 1) + rest, "end alone": ticket[:8],
        "another's code": ticket[:8] + other[8:], "huge": ticket * 80,
        "right until yesterday": ticket_of(enrolled, end - 86400), "right until now": ticket_of(enrolled, end - 900),
        "right until tomorrow": ticket_of(enrolled, end + 86400),
        "right in the next second": ticket_of(enrolled, end + 901),
    }
    for bit in range(0, 128, 5):
        forged = bytearray(ticket)
        forged[8 + bit // 8] ^= 1 << bit % 8
        wrong[f"bit {bit}"] = bytes(forged)
    before = (enrolled.directory / "credential").read_bytes()
    for what, forged in wrong.items():
        for request in (change(credential(device_line(OTHER_KEY)), forged), remove(forged), show(forged)):
            assert enrolled.ask(request).status == "no ticket", what
    assert (enrolled.directory / "credential").read_bytes() == before
    refused = [line for line in helper_log() if line.startswith("refused")]
    uid = enrolled.user.uid
    assert refused == [f"refused to {word} uid={uid}" for word in ("change", "disable", "show")] * len(wrong)
    # `show` does not use up the ticket; a change makes it invalid.
    for _ in range(2):
        assert enrolled.ask(show(ticket)).body == before
    assert enrolled.ask(change(credential(device_line(OTHER_KEY)), ticket)).status == "done"
    assert "secret=" + OTHER_KEY.base32 in (enrolled.directory / "credential").read_text()
    for request in (change(credential(device_line(KEY)), ticket), remove(ticket), show(ticket)):
        assert enrolled.ask(request).status == "no ticket"


def test_devices_and_backup_codes_are_kept_and_used_codes_stay_used(enrolled):
    code = enrolled.code()
    ticket = enrolled.check(code).ticket
    assert enrolled.check(enrolled.backup_codes[0]).status == "done"
    assert enrolled.ask(change(credential(device_line(OTHER_KEY, "token")), ticket, flags=3)).status == "done"
    report = enrolled.status()
    assert [device[-1] for device in report["devices"]] == ["phone", "token"] and report["backup_codes_left"] == 1
    assert enrolled.check(code).checked.refusal == "reused-code"
    assert enrolled.check(enrolled.backup_codes[0]).checked.refusal == "reused-backup-code"
    added = OTHER_KEY.code_at(time.time())
    ticket = enrolled.check(added).ticket
    # The same key under another name, as the whole enrollment: its used code stays used.
    assert enrolled.ask(change(credential(device_line(OTHER_KEY, "new")), ticket)).status == "done"
    assert enrolled.check(added).checked.refusal == "reused-code"
    assert enrolled.status()["backup_codes"] == 0


def test_a_device_is_removed(enrolled):
    ticket = enrolled.check(enrolled.code()).ticket
    enrolled.ask(change(credential(device_line(OTHER_KEY, "token")), ticket, flags=3))
    ticket = enrolled.check(OTHER_KEY.code_at(time.time())).ticket
    nothing = credential()
    assert enrolled.ask(change(nothing, ticket, flags=3, removed=b"phone")).status == "done"
    assert [device[-1] for device in enrolled.status()["devices"]] == ["token"]
    assert enrolled.check(enrolled.code(steps=1)).checked.refusal == "wrong-code"
    ticket = enrolled.check(enrolled.backup_codes[0]).ticket
    refused = enrolled.ask(change(nothing, ticket, flags=3, removed=b"token"))
    assert (refused.status, refused.reason) == ("failed", "corrupt"), "the last device was removed"
    assert enrolled.ask(show(ticket)).status == "done"


BAD_CREDENTIALS = {
    "empty": "", "no end": credential(device_line(KEY)).removesuffix("end\n"), "no device": credential(),
    "a duplicate name": credential(device_line(KEY), device_line(OTHER_KEY)),
    "a duplicate key": credential(device_line(KEY), device_line(KEY, "other")),
    "17 devices": credential(*(device_line(Authenticator(bytes([n] * 20)), f"d{n}") for n in range(17))),
    "a short key": credential(device_line(Authenticator(bytes(9)))),
    "a control character": credential(device_line(KEY, "a\x1bb")), "a NUL": credential(device_line(KEY, "a\0b")),
    "text after the end": credential(device_line(KEY)) + "x", "not ours": "root:x:0:0::/:/bin/sh\n",
    "a hash of another kind": credential(device_line(KEY), "backup-code $6$salt$" + "a" * 86 + "\n"),
    "an expensive hash": credential(device_line(KEY), "backup-code $y$jFT$salt$" + "a" * 43 + "\n"),
    "two salts": credential(
        device_line(KEY), *(f"backup-code $y$j9T${salt}$" + "a" * 43 + "\n" for salt in ("salt", "tlas"))
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_CREDENTIALS)
def test_an_invalid_credential_is_not_written(enrolled, new_user, what):
    bad, before = BAD_CREDENTIALS[what], (enrolled.directory / "credential").read_bytes()
    newcomer = new_user()
    ticket = enrolled.check(enrolled.code()).ticket
    for answer in (enrolled.ask(change(bad, ticket)), ask(newcomer, change(bad))):
        assert (answer.status, answer.reason) == ("failed", "corrupt"), answer
    assert (enrolled.directory / "credential").read_bytes() == before
    assert [path.name for path in STORE.iterdir()] == [str(enrolled.user.uid)]
    assert enrolled.ask(STATUS).status == "done" and registered() == [enrolled.user.uid]


def test_sixteen_devices_with_states_pass(user, host_store):
    keys = [Authenticator(bytes([number]) * 128, "sha512", 8, 300) for number in range(16)]
    text = credential(*(device_line(key, f"{number:x}" * 64) for number, key in enumerate(keys)))
    states = tuple((number, 1600000000 + number) for number in range(16))
    assert ask(user, change(text, states=states)).status == "done"
    assert [device[6] for device in ask(user, STATUS).report["devices"]] == [when for _, when in states]
    assert ask(user, change(text, states=(*states, (0, 0)))).status == "malformed"


def test_removing_disables(enrolled, helper_log):
    ticket = enrolled.check(enrolled.code()).ticket
    assert enrolled.ask(remove(ticket)).status == "done"
    assert registered() == [] and list(STORE.iterdir()) == []
    assert enrolled.ask(STATUS).status == "absent"
    assert enrolled.ask(remove(ticket)).status == enrolled.ask(show(ticket)).status == "absent"
    assert helper_log()[-1] == f"disabled uid={enrolled.user.uid}"
    assert enroll_through_helper(enrolled.user).ask(remove(ticket)).status == "no ticket"


@pytest.mark.parametrize("line", ["allow_disable = no", "required_from = 2020-01-01"])
def test_the_policy_forbids_to_disable(enrolled, host_configuration, helper_log, line):
    host_configuration("store = host", line)
    ticket = enrolled.check(enrolled.code()).ticket
    assert enrolled.ask(remove(ticket)).status == "forbidden"
    assert enrolled.ask(UNREGISTER_REQUEST).status == "forbidden"
    host_configuration(line)
    assert enrolled.ask(UNREGISTER_REQUEST).status == "forbidden"
    assert registered() == [enrolled.user.uid]
    assert helper_log()[1:4] == [
        f"refused to {word} uid={enrolled.user.uid}" for word in ("disable", "unregister", "unregister")
    ]
    # A change is allowed.
    host_configuration("store = host", line)
    assert enrolled.ask(change(credential(device_line(OTHER_KEY)), ticket)).status == "done"


def test_a_day_to_come_forbids_nothing(enrolled, host_configuration):
    host_configuration("store = host", "required_from = 2099-01-01")
    assert enrolled.ask(remove(enrolled.check(enrolled.code()).ticket)).status == "done"


def test_unregistering_is_forbidden_in_the_host_store(enrolled):
    assert enrolled.ask(UNREGISTER_REQUEST).status == "forbidden"
    assert ask(enrolled.user, REGISTER_REQUEST).status == "done" and registered() == [enrolled.user.uid]


def test_a_registered_user_without_an_enrollment_cannot_enroll_again(enrolled):
    run("rm", "-r", enrolled.directory)
    for request in EVERY_REQUEST:
        answer = enrolled.ask(request)
        assert (answer.status, answer.reason) == ("failed", "missing"), answer
    assert list(STORE.iterdir()) == []


def test_no_limit_of_descriptors_hides_that_a_user_is_registered(enrolled):
    run("rm", "-r", enrolled.directory)
    for number in range(3, 20):

        def restrict() -> None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (number, number))

        for request in (STATUS, change(credential(device_line(KEY)))):
            answer = enrolled.ask(request, preexec_fn=restrict)
            assert answer.status in ("failed", None), (number, answer)
    assert answer.reason == "missing" and list(STORE.iterdir()) == []


def test_without_the_register_no_user_is_proved_not_to_be_enrolled(user, host_store):
    REGISTER.rmdir()
    assert ask(user, change(credential(device_line(KEY)))).reason == ask(user, STATUS).reason == "missing"
    assert list(host_store.iterdir()) == []


def test_a_register_that_the_helper_cannot_search_may_name_the_user(user, host_store):
    REGISTER.chmod(0o1700)
    for request in (STATUS, check("123456"), change(credential(device_line(KEY)))):
        answer = ask(user, request)
        assert (answer.reason, answer.text) == ("io", "register: cannot be searched, so it may name the user")
    assert list(host_store.iterdir()) == []


# ---- The message


MALFORMED = {
    "status with a body": message(1, b"\0"), "check without flags": message(2),
    "check without a text": message(2, b"\0"), "check with a short text": message(2, b"\0\5\0abc"),
    "check with a long text": message(2, check("123456")[6:] + b"7"),
    "a text that is too long": message(2, b"\0\xff\xff" + b"1" * 99), "unknown flag 16": check("123456", 16),
    "unknown flag 128": check("123456", 128), "keep at the end of a password": check("123456", 3),
    "remove without a ticket": message(4), "show without a ticket": message(7), "show with more": message(7, b"\0\0\0"),
    "remove with more": message(4, b"\0\0\0"), "replace without a body": message(3),
    "replace with a ticket": message(3, b"\0\0"),
    "replace with unknown flags": change(credential(device_line(KEY)), flags=4),
    "half a state": message(3, change(credential(device_line(KEY)))[6:] + bytes(15)),
}  # fmt: skip


@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_request_changes_nothing(enrolled, new_user, what):
    before = {path.name: path.read_bytes() for path in enrolled.directory.iterdir()}
    for user in (enrolled.user, new_user()):
        assert ask(user, MALFORMED[what]).status == "malformed"
    assert {path.name: path.read_bytes() for path in enrolled.directory.iterdir()} == before
    assert [path.name for path in STORE.iterdir()] == [str(enrolled.user.uid)]


def test_every_truncation_is_malformed(enrolled):
    whole = change(credential(device_line(OTHER_KEY)), b"t" * 24, states=((1, 2),))
    before = (enrolled.directory / "credential").read_bytes()
    for count in range(4, len(whole) - 1, 7):
        assert enrolled.ask(whole[:count]).status == "malformed"
        # The length is right, but the end of the body is missing. Whole states are optional.
        cut = message(3, whole[6:count]) if count > 6 else message(3)
        assert enrolled.ask(cut).status in ("malformed", "no ticket"), count
    assert (enrolled.directory / "credential").read_bytes() == before


def test_the_longest_request_is_read_and_no_longer_one(enrolled):
    body = bytes([0]) + struct.pack("<H", LIMIT - 5) + b"1" * (LIMIT - 5)
    assert len(message(2, body)) == 4 + LIMIT
    assert enrolled.ask(message(2, body)).checked.refusal == "malformed-reply"
    assert enrolled.ask(message(2, body + b"1")).status == "malformed"


# ---- Policies for which it is unavailable


def test_in_a_home_it_reads_and_checks(user, register, host_configuration):
    host_configuration("store = home")
    time_to_type()
    enrolled = user.enroll(backup_codes=1)
    assert ask(user, STATUS).report["devices"][0][-1] == enrolled.device
    code = enrolled.authenticator.code_at(time.time())
    assert ask(user, check(code)).status == "done"
    assert ask(user, check(code)).checked.refusal == "reused-code"
    assert ask(user, check(code, HOST_STORE)).status == "unavailable"
    for request in (change(credential(device_line(KEY))), remove(b""), show(b"")):
        assert ask(user, request).status == "unavailable"
    assert twofactor_json("status", "--user", user.name)["enabled"]


def test_without_a_file_the_homes_are_meant(user, register):
    time_to_type()
    enrolled = user.enroll()
    assert ask(user, check(enrolled.authenticator.code_at(time.time()))).status == "done"


@pytest.mark.parametrize(
    "lines", [("directory = /srv/twofactor/%u",), ("directory = /srv/twofactor/%U", "owner = daemon")], ids=len
)
def test_elsewhere_it_is_unavailable(user, register, host_configuration, lines):
    host_configuration(*lines)
    for request in EVERY_REQUEST:
        assert ask(user, request).status == "unavailable"


@pytest.mark.parametrize(
    "lines", [("nonsense = 1",), ("max_failures = 0",), ("store = host", "owner = daemon")], ids=repr
)
def test_a_wrong_policy_is_named(enrolled, host_configuration, lines):
    host_configuration(*lines)
    for request in (*EVERY_REQUEST, UNREGISTER_REQUEST):
        answer = enrolled.ask(request)
        assert (answer.status, answer.reason) == ("failed", "configuration")
        assert "/etc/security/twofactor.conf" in answer.text, answer.text


def test_a_policy_that_others_can_write_is_not_used(enrolled, host_configuration):
    path = host_configuration("store = host", "max_failures = 100")
    path.chmod(0o666)
    assert enrolled.ask(STATUS).reason == "configuration"


WITHOUT_GROUP = {
    "no new privileges": ("setpriv", "--no-new-privs"),
    "a user namespace": ("unshare", "--user", "--map-current-user"),
    "a tracer": ("strace", "-f", "-o", "/dev/null"),
}


@pytest.mark.parametrize("how", [*WITHOUT_GROUP, "a copy", "a mount with nosuid"])
def test_without_its_group_it_says_so_and_changes_nothing(enrolled, new_user, tmp_path, how):
    newcomer, before = new_user(), {path.name: path.read_bytes() for path in enrolled.directory.iterdir()}
    options: dict = {"under": WITHOUT_GROUP.get(how, ())}
    open_to_all(tmp_path)
    if how == "a copy":
        options["program"] = tmp_path / "twofactor-helper"
        run("cp", HELPER, options["program"])
        run("chmod", "755", options["program"])
    if how == "a mount with nosuid":
        run("mount", "--bind", HELPER.parent, tmp_path)
        run("mount", "-o", "remount,bind,nosuid", tmp_path)
        options["program"] = tmp_path / HELPER.name
    try:
        for request in (STATUS, check(enrolled.code()), change(credential(device_line(KEY))), remove(b""), show(b"")):
            for user in (enrolled.user, newcomer):
                answer = ask(user, request, **options)
                assert (answer.status, answer.exit) == ("failed", 74)
                # In a user namespace, root's policy has another owner.
                why = "must be owned by root" if how == "a user namespace" else "runs without its group"
                assert why in answer.text, answer.text
    finally:
        if how == "a mount with nosuid":
            run("umount", tmp_path)
    assert {path.name: path.read_bytes() for path in enrolled.directory.iterdir()} == before
    assert [path.name for path in STORE.iterdir()] == [str(enrolled.user.uid)]


# ---- Names in the host store


def test_leftovers_of_killed_helpers_are_erased_and_block_nothing(user, host_store):
    for number in range(16):
        path = STORE / f"{user.uid}.new-{number}"
        path.mkdir(mode=0o700)
        (path / "credential").write_text("secret")
        for each in (path / "credential", path):
            os.chown(each, user.uid, -1)
    refused = ask(user, change(credential(device_line(KEY))))
    assert (refused.status, refused.text) == ("failed", "directory: cannot be created: File exists")
    for path in STORE.iterdir():
        os.utime(path, (time.time() - 700,) * 2)
    assert ask(user, change(credential(device_line(KEY)))).status == "done"
    assert [path.name for path in STORE.iterdir()] == [str(user.uid)]


@pytest.mark.parametrize("kind", ["a symlink", "a file", "another user's directory", "a FIFO"])
def test_an_untrusted_entry_in_place_of_the_enrollment_is_not_used(user, new_user, host_store, tmp_path, kind):
    """Only a process with the group could create such an entry."""
    other = new_user()
    path, elsewhere = STORE / str(user.uid), enroll_through_helper(other).directory
    match kind:
        case "a symlink":
            path.symlink_to(elsewhere)
        case "a file":
            path.touch()
        case "another user's directory":
            path.mkdir(mode=0o700)
            os.chown(path, other.uid, -1)
        case "a FIFO":
            os.mkfifo(path)
    for request in EVERY_REQUEST:
        answer = ask(user, request)
        assert (answer.status, answer.reason) in [("failed", "insecure"), ("failed", "io")], answer
    assert ask(other, STATUS).status == "done"
