"""Logins with the module and the helper of scripts/build --for arm64, under QEMU's emulation of one process.

The setup command is this machine's, so enrollments go from one processor to the other. The module cannot start the
helper: QEMU does not support its raw clone(2). No arm64 machine ran these products.
"""

import subprocess
import time

import pytest
from rig import architecture, cross_compiler
from rig.clock import time_to_type
from rig.harness import SOURCES, Harness, Result
from rig.helper import check, parse

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(architecture.THIS == architecture.ARM64, reason="on arm64, all logins are of its module"),
]


@pytest.fixture(scope="module")
def emulated(products, tmp_path_factory) -> Harness:
    folder = tmp_path_factory.mktemp("emulated")
    assert cross_compiler.compile(folder / "login", SOURCES / "login.c", libraries=("-lpam",)) == ""
    services = folder / "pam.d"
    services.mkdir()
    harness = Harness(folder / "login", services)
    harness.service("login", f"auth required {cross_compiler.PRODUCT}/pam_twofactor.so")
    return harness


def test_each_code_is_accepted_once(emulated, user, log):
    enrolled = user.enroll(backup_codes=2)
    time_to_type()
    code, backup_code = enrolled.authenticator.code_at(time.time()), enrolled.backup_codes[0]
    replies = [enrolled.authenticator.wrong_code(time.time()), code, code, backup_code, backup_code]
    logins = [emulated.log_in("login", user.name, reply, under=cross_compiler.EMULATED) for reply in replies]
    assert [login.result for login in logins] == [
        Result.AUTH_ERR, Result.SUCCESS, Result.AUTH_ERR, Result.SUCCESS, Result.AUTH_ERR,
    ]
    assert [message.text.partition(":auth): ")[2].split()[0] for message in log.of_module(5)] == [
        "denied", "accepted", "denied", "accepted", "denied",
    ]
    # The command reads the state that the module wrote.
    status = user.status()
    assert status["devices"][0]["last_used_at"] and status["backup_codes_left"] == 1


def test_the_helper_accepts_a_code_once(host_store, user):
    enrolled = user.enroll()
    # QEMU is not set-group-ID, so setpriv(1) gives it the helper's group.
    under = ("setpriv", f"--reuid={user.uid}", f"--rgid={user.gid}", "--egid=_twofactor", "--clear-groups")
    words = [str(word) for word in (*under, *cross_compiler.EMULATED, cross_compiler.PRODUCT / "twofactor-helper")]
    request = check(enrolled.authenticator.code_at(time_to_type()))
    answers = []
    for _ in range(2):
        done = subprocess.run(words, input=request, capture_output=True, timeout=60)
        answers.append(parse(done.stdout, done.returncode))
    assert [answer.status for answer in answers] == ["done", "refused"]
    assert answers[1].checked.refusal == "reused-code"
