"""The module in a host that lives long: loaded again and again, used by many threads, forked, and never larger."""

import os
import re
import subprocess

import pytest
from rig import machine
from rig.clock import START, standing_at
from rig.enrollment import enroll
from rig.harness import SOURCES, Result, build


@pytest.fixture(scope="session")
def endurance(products, scratch):
    return build([SOURCES / "endurance.c"], scratch / "endurance", "-lpam", "-ldl", "-pthread")


def run(program, *arguments, under=()) -> tuple[dict[int, int], list[int]]:
    """How often each value was returned, and the resident kilobytes."""
    ended = subprocess.run(
        [*under, program, *map(str, arguments)],
        capture_output=True, text=True, timeout=200, env={**os.environ, **standing_at(START)},
    )
    assert ended.returncode == 0, f"{ended.returncode}: {ended.stderr[-4000:]}"
    results = {int(status): int(count) for status, count in re.findall(r"^result (\d+) (\d+)$", ended.stdout, re.M)}
    return results, [int(size) for size in re.findall(r"^resident (\d+)$", ended.stdout, re.M)]


def test_a_thousand_loads_and_unloads_leave_nothing(endurance):
    _, (early, late) = run(endurance, "cycles", 1000, machine.modules_directory() / "pam_twofactor.so")
    assert late - early <= 64, f"{early} kB after a hundred, {late} kB after a thousand"


def test_eight_threads_with_two_handles_each_get_their_answers(endurance, harness, products, account, service):
    enrolled = enroll(account)
    name = service("max_failures=100")
    right = enrolled.authenticator.code_at(START)
    results, _ = run(endurance, "threads", 20, harness.services, name, enrolled.user, right)
    assert results == {Result.SUCCESS: 1, Result.AUTH_ERR: 8 * 2 * 20 - 1}


@pytest.mark.seconds(240)
@pytest.mark.parametrize("kind", ["wrong", "used", "malformed"])
def test_ten_thousand_logins_do_not_grow_the_process(endurance, harness, enrolled, service, kind):
    name = service("max_failures=100")
    code = enrolled.authenticator.code_at(START)
    if kind == "used":
        assert harness.log_in(name, enrolled.user, code, at=START).result == Result.SUCCESS
    answer = {"wrong": enrolled.authenticator.wrong_code(START), "used": code, "malformed": "letters"}[kind]
    # Nobody listens: ten thousand messages would be a test of the log.
    quiet = ("unshare", "--mount", "sh", "-c", 'mount --bind /dev/null /dev/log; exec "$@"', "sh")
    results, (early, late) = run(
        endurance, "repeat", 10_000 if kind != "malformed" else 2_000, *(harness.services, name, enrolled.user, answer), under=quiet
    )
    assert set(results) <= {Result.AUTH_ERR, Result.MAXTRIES}
    assert late - early <= 64, f"{early} kB after a tenth, {late} kB at the end"


def test_valgrind_finds_no_error_and_nothing_lost(endurance, harness, products, account, service, tmp_path):
    enrolled = enroll(account, backup_codes=1)
    name = service()
    report = tmp_path / "valgrind"
    valgrind = (
        *("valgrind", "-q", "--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=definite,indirect"),
        *("--track-fds=no", f"--log-file={report}"),
    )
    code = enrolled.authenticator.code_at(START)
    for answer, expected in (
        (code, Result.SUCCESS),
        (code, Result.AUTH_ERR),
        (enrolled.authenticator.wrong_code(START), Result.AUTH_ERR),
        (enrolled.backup_codes[0], Result.SUCCESS),
        ("letters", Result.AUTH_ERR),
    ):
        results, _ = run(endurance, "repeat", 1, harness.services, name, account.name, answer, under=valgrind)
        assert results == {expected: 1}
        assert report.read_text() == ""
