"""Each backup code is accepted once, in every spelling."""

import pytest
from rig.clock import START, time_to_type
from rig.enrollment import turn_into_scratch_code, twofactor_json
from rig.harness import Result


def test_a_backup_code_is_accepted_once_and_the_rest_counted(user, service, log):
    enrolled = user.enroll(backup_codes=10)
    name = service()
    login = user.log_in(name, enrolled.backup_codes[3], at=START)
    assert login.result == Result.SUCCESS
    assert login.messages == ["9 backup codes left. Create new ones with: twofactor backup-codes"]
    assert log.of_module(1)[0].text == (
        f"pam_twofactor({name}:auth): accepted user={user.name} rhost=- method=backup-code backup_codes_left=9"
    )
    again = user.log_in(name, enrolled.backup_codes[3], at=START + 86400)
    assert again.result == Result.AUTH_ERR
    assert again.messages == ["This backup code was already used. Use another one."]
    assert log.of_module(2)[1].text.endswith(" reason=reused-code")


def test_every_backup_code_works_once_in_any_order(user, service):
    enrolled = user.enroll(backup_codes=10)
    assert len(set(enrolled.backup_codes)) == 10
    name = service("max_failures=100")
    order = [enrolled.backup_codes[which] for which in (9, 0, 5, 4, 1, 8, 2, 7, 3, 6)]
    first = [user.log_in(name, code, at=START).result for code in order]
    second = [user.log_in(name, code, at=START + 1).result for code in order]
    assert (first, second) == ([Result.SUCCESS] * 10, [Result.AUTH_ERR] * 10)


@pytest.mark.parametrize(
    "typed",
    [
        lambda code: code.lower(),
        lambda code: code.replace("-", ""),
        lambda code: code.replace("-", " "),
        lambda code: f" {code} ",
        lambda code: code.replace("0", "O").replace("1", "I"),
        lambda code: code.replace("0", "o").replace("1", "l").lower(),
    ],
    ids=["lower case", "no dash", "a blank for the dash", "blanks around", "O and I", "o and l"],
)
def test_a_backup_code_is_accepted_in_every_spelling(user, service, typed):
    # Of 32 codes with ten characters, one almost certainly has both 0 and 1.
    codes = user.enroll(backup_codes=32).backup_codes
    code = max(codes, key=lambda candidate: ("0" in candidate) + ("1" in candidate))
    assert user.log_in(service(), typed(code), at=START).result == Result.SUCCESS


def test_backup_codes_have_the_documented_form(user):
    enrolled = user.enroll(backup_codes=10)
    for code in enrolled.backup_codes:
        assert len(code) == 11 and code[5] == "-"
        assert set(code.replace("-", "")) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")


def test_a_wrong_backup_code_does_not_count_as_a_failure(user, service, log):
    enrolled = user.enroll(backup_codes=10)
    name = service()
    replies = [enrolled.authenticator.wrong_code(START), *(f"AAAAA-AAAA{digit}" for digit in range(10))]
    results = [user.log_in(name, reply, at=START).result for reply in replies]
    assert results == [Result.AUTH_ERR] * 11
    # The first reply alone could be guessed.
    assert {message.text.rpartition("reason=")[2] for message in log.of_module(11)} == {"wrong-code failures=1"}
    assert twofactor_json("status", "--user", user.name)["failures"] == 1
    login = user.log_in(name, enrolled.authenticator.code_at(START), at=START)
    assert login.result == Result.SUCCESS


def test_the_command_counts_as_a_login_does(user):
    enrolled = user.enroll(backup_codes=2)
    wrong = enrolled.authenticator.wrong_code(time_to_type())
    for replies, failures in ((["AAAAA-AAAAA", "abcdefghjk"] * 4, 0), ([wrong], 1)):
        for reply in replies:
            done = user.twofactor("backup-codes", answers=reply + "\n", status=1)
            assert "wrong code" in done.stderr
        assert twofactor_json("status", "--user", user.name)["failures"] == failures


def test_an_imported_scratch_code_counts_as_a_failure(user, service, log):
    turn_into_scratch_code(user.enroll(backup_codes=2), "31415926")
    name = service()
    results = [user.log_in(name, f"2718281{digit}", at=START).result for digit in range(6)]
    assert results == [Result.AUTH_ERR] * 5 + [Result.MAXTRIES]


def test_backup_codes_can_be_forbidden(user, service):
    enrolled = user.enroll(backup_codes=10)
    code = enrolled.backup_codes[0]
    assert user.log_in(service("backup_codes=no"), code, at=START).result == Result.AUTH_ERR
    assert user.log_in(service("backup_codes=yes"), code, at=START).result == Result.SUCCESS


def test_backup_codes_of_a_replaced_enrollment_are_rejected(user, service):
    old = user.enroll(backup_codes=3)
    new = user.enroll(backup_codes=3, again=True)
    name = service()
    assert user.log_in(name, old.backup_codes[0], at=START).result == Result.AUTH_ERR
    assert user.log_in(name, new.backup_codes[0], at=START).result == Result.SUCCESS


def test_backup_codes_are_stored_as_hashes_with_one_salt(user):
    enrolled = user.enroll(backup_codes=10)
    text = enrolled.credential.read_text()
    hashes = [word for word in text.replace("=", " ").split() if word.startswith("$y$")]
    assert hashes, "no yescrypt hash in the credential"
    assert len({one.rpartition("$")[0] for one in hashes}) == 1
    for code in enrolled.backup_codes:
        assert code not in text and code.replace("-", "") not in text
