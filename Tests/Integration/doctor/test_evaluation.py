"""Compares doctor with the real libpam, on random stacks of pam_debug.so."""

from collections import Counter

import pytest
from rig.doctor import services_of
from rig.pam_oracle import ABORT, Oracle, write
from rig.random_stacks import ACTIONS, RESULTS, SIMPLE, SPECIAL, Generator

SEEDS = (20260114,)
MODULES = ["pam_debug.so", "pam_permit.so", "pam_deny.so"]
# A service without a file: libpam uses `other`.
ABSENT = "absent"

# Everything that the generator must use; numbers are the least uses.
FEATURES = {
    **{f"value {result}": 100 for result in (*RESULTS, "default")},
    **{f"returns {result}": 50 for result in RESULTS},
    **{f"action {action}": 1000 for action in (*ACTIONS, "jump")},
    **{f"jump {kind}": 50 for kind in ("near", "exact", "far", "huge", "zero", "padded")},
    **dict.fromkeys(SIMPLE, 1000),
    **{f"special {kind}": 10 for kind in SPECIAL},
    **{f"control in {kind}": 20 for kind in ("brackets", "empty", "word", "unclosed", "bare")},
    **{
        f"module {kind}": 10
        for kind in ("debug", "permit", "deny", "missing", "absolute", "gone", "climbing", "bracketed", "nameless")
    },
    **{f"type {kind}": 50 for kind in ("auth", "other", "silent", "illegal")},
    **{f"rule {kind}": 20 for kind in ("whole", "no_control", "no_module")},
    **{
        f"arguments {kind}": 50
        for kind in ("plain", "twice", "wrong", "absent", "bracketed", "grouped", "escaped", "others")
    },
    **{f"other {kind}": 1 for kind in ("deny", "permit", "random", "none", "facilities")},
    **dict.fromkeys(
        (
            "include", "substack", "@include", "-@include", "include of a missing file", "include by absolute path",
            "include by climbing path", "upper case", "odd spacing", "wrong pair", "duplicate value",
            "pairs without blanks", "blanks in brackets", "simple control in brackets", "continued line",
            "indented line", "comment after a rule", "comments and blank lines", "long line", "NUL byte",
            "bytes that are no text",
            "CR LF line", "no newline at the end", "cred=", "service in both folders",
        ),
        10,
    ),
    **dict.fromkeys(
        ("/usr/lib/pam.d", "/usr/lib/pam.d alone", "pam.conf", "pam.conf that is ignored", "broken other"), 1
    ),
}


@pytest.fixture(scope="module")
def oracle(scratch) -> Oracle:
    return Oracle(scratch)


@pytest.mark.machinery
@pytest.mark.parametrize("seed", SEEDS)
def test_doctor_agrees_with_libpam_on_random_stacks(seed, oracle, tmp_path, figure):
    generator = Generator(seed)
    counts: Counter[str] = Counter()
    for number, tree in enumerate(generator.trees()):
        root = write(tmp_path / f"tree{number}", tree.files, MODULES)
        said = services_of(root)
        if "etc/pam.conf" not in tree.files:
            assert set(said) == {*tree.services, "other"}, f"seed {seed}, tree {number}"
        # A line of pam.conf that is cut at a NUL byte may be one of another service.
        names = {name for name in said if name.isidentifier()} - {"other"}
        answers = oracle.ask(root, sorted({*tree.services, *names, ABSENT}))
        for service, answer in answers.items():
            judged = said.get(service) or said["other"]
            expected = "nothing" if answer.passes else "refused"
            if judged["enrolled"] is None:
                # Nothing defines what libpam does after an @include fails in an included file.
                agrees = service in tree.undefined or "@include" in tree.reached(service).lower()
                expected = "not evaluated"
            else:
                agrees = list(judged.values())[1:] == [expected, expected, False]
            assert agrees, (
                f"seed {seed}, tree {number}, service {service}: {answer}, doctor: {judged}\n{tree.reached(service)}"
            )
            counts[expected] += 1
            counts["given up"] += answer.authenticate == ABORT
            counts["crashes"] += answer.signal is not None
    missing = {feature for feature, least in FEATURES.items() if generator.used[feature] < least}
    assert not missing, f"seed {seed} reached too few: {missing}"
    total = counts["nothing"] + counts["refused"]
    assert total >= 2500 and counts["nothing"] >= total / 8 and counts["refused"] >= total / 8, counts
    assert counts["given up"] and counts["crashes"] and counts["not evaluated"] < total / 50, counts
    figure(f"doctor against libpam, seed {seed}: {dict(counts)}")
