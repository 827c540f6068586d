"""Compares doctor with the real libpam, on random stacks of pam_debug.so."""

import re
from collections import Counter

import pytest
from rig.doctor import doctor, services_of
from rig.machine import modules_directory
from rig.pam_oracle import ABORT, Oracle, admits, write
from rig.random_stacks import ACTIONS, RESULTS, SIMPLE, SPECIAL, AccountGenerator, Generator

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


# Users who are not enrolled pass, and the account stacks of the services decide whether they get in.
FINDINGS = ("enrollment_bypass", "pam_syntax", "pam_evaluation")
ENROLLING = b"auth requisite pam_unix.so\nauth required pam_twofactor.so enroll=require\n"
ACCOUNT_FEATURES = {
    **{f"action {action}": 300 for action in (*ACTIONS, "jump")}, **dict.fromkeys(SIMPLE, 200),
    "include": 100, "substack": 100, "@include": 30, "module missing": 20, "arguments others": 50,
}


@pytest.mark.machinery
def test_doctor_agrees_with_libpam_on_random_account_stacks(oracle, tmp_path, figure):
    """Doctor names the services that let in users who should enroll."""
    generator = AccountGenerator(SEEDS[0])
    counts: Counter[str] = Counter()
    for number, tree in enumerate(generator.account_trees()):
        tree.files["etc/pam.d/common-auth"] = ENROLLING
        root = write(tmp_path / f"tree{number}", tree.files, MODULES)
        for module in ("pam_unix.so", "pam_twofactor.so"):
            (root / modules_directory().relative_to("/") / module).touch()
        checks = doctor(root)[1]
        findings = {name: "".join(each["detail"] for each in checks if each["name"] == name) for name in FINDINGS}
        said = {name: set(re.findall(r"\bxs\d+(?:-\w)?\b", text)) for name, text in findings.items()}
        for service, result in oracle.accounts(root, sorted(tree.services)).items():
            if service in said["pam_syntax"] | said["pam_evaluation"]:
                counts["not evaluated"] += 1
                continue
            expected = admits(result)
            assert (service in said["enrollment_bypass"]) == expected, (
                f"tree {number}, service {service}: {result}\n{tree.reached(service.removeprefix('x'))}"
            )
            counts["admitted" if expected else "refused"] += 1
    missing = {feature for feature, least in ACCOUNT_FEATURES.items() if generator.used[feature] < least}
    assert not missing, missing
    total = counts["admitted"] + counts["refused"]
    assert total >= 1500 and min(counts["admitted"], counts["refused"]) >= total / 6, counts
    assert counts["not evaluated"] < total / 50, counts
    figure(f"doctor against libpam, account stacks: {dict(counts)}")
