"""Codes of an app with other settings than the device: the refusal names the settings that fit."""

import dataclasses
import json

import pytest
from rig.clock import START
from rig.enrollment import twofactor
from rig.exit_status import DONE, REFUSED
from rig.one_time_password import Authenticator
from rig.register import is_host_store

APP = Authenticator(bytes(range(20)))
MINUTE = dataclasses.replace(APP, period=60)


@pytest.fixture(params=[False, True], ids=["home", "host store"])
def enrolled(request, user):
    if request.param:
        request.getfixturevalue("host_store")
    (user.home / "uri").write_text(f"otpauth://totp/x?secret={APP.base32}\n")
    twofactor("import", "--user", user.name, str(user.home / "uri"))
    return user


def verify(code: str, account=None, *options: str, status: int = REFUSED):
    return twofactor("verify", *options, user=account, answers=code + "\n", at=START, status=status)


def test_verify_names_the_settings_that_fit(enrolled):
    as_root = ("--user", enrolled.name)
    settings = {"device": "phone", "type": "totp", "algorithm": "sha1", "digits": 6, "period": 60}
    code = MINUTE.code_at(START)
    assert json.loads(verify(code, None, "--json", *as_root).stdout)["fits"] == settings
    assert "fits" not in json.loads(verify(APP.code_at(START), None, "--json", *as_root, status=DONE).stdout)
    device = f"--user {enrolled.name}"
    hint = (
        f"hint: this code fits --period 60; to use that, add a device: twofactor device add {device} NAME --period 60; "
        f"and remove this one: twofactor device remove {device} phone\n"
    )
    assert verify(code, None, *as_root).stderr == "twofactor: wrong code\n" + hint
    # In the host store, only the helper reads the key, and it does not search for settings.
    answer = json.loads(verify(code, enrolled, "--json").stdout)
    refused = {"valid": False, "method": None, "reason": "wrong-code", "offset_steps": None}
    assert answer == (refused if is_host_store() else refused | {"fits": settings})
    assert ("--period" in verify(code, enrolled).stderr) != is_host_store()


def test_enable_and_device_add_name_the_command_that_works(user):
    """The app ignores the length and the algorithm in the URI."""
    answers = "\n".join([user.password, APP.base32, *[APP.code_at(START)] * 3])
    words = ("enable", "--ask-key", "--digits", "8", "--algorithm=sha256")
    done = user.twofactor(*words, answers=answers + "\n", at=START, status=REFUSED)
    options = "--algorithm sha1 --digits 6"
    fits = f"his code fits {options}; to use that: twofactor enable --ask-key {options}"
    assert fits in done.stdout and fits in done.stderr and "clock" not in done.stdout + done.stderr
    user.enroll()
    answers = "\n".join([APP.base32, *[MINUTE.code_at(START)] * 3])
    words = ("device", "add", "token", "--ask-key", "--user", user.name)
    said = twofactor(*words, answers=answers + "\n", at=START, status=REFUSED)
    assert f"twofactor device add token --ask-key --user {user.name} --period 60" in said.stdout


def test_import_names_the_command_that_works(user):
    """The file says eight digits, but the app shows six."""
    path = user.home / "uri"
    path.write_text(f"otpauth://totp/x?secret={APP.base32}&digits=8\n")
    answers = "\n".join([user.password, *[APP.code_at(START)] * 3])
    done = user.twofactor("import", str(path), answers=answers + "\n", at=START, status=REFUSED)
    assert "this code fits --digits 6; to use that, type the key at: twofactor enable --ask-key\n" in done.stderr
