"""Compares doctor with the real libpam, on the stacks of distributions with pam_twofactor in every place."""

import shutil
from collections import Counter
from pathlib import Path

import pytest
from rig.clock import START
from rig.distribution_stacks import (
    ALPINE, ARCH_SYSTEM, DEBIAN_SERVICES, DEBIAN_SETS, SUSE, authselect, calls, common_auth, profile_text, shipped,
    variants,
)
from rig.doctor import services_of
from rig.pam_oracle import Explorer, write
from rig.process import run
from rig.stub_model import directory, script_line

# The services of a tree, few because doctor verifies each remedy in all of them.
SERVICES_PER_TREE = 5
# Of Fedora's stacks, which have the most combinations, every seventh place of pam_twofactor is tested.
FEDORA_STRIDE = 7


def needs_code(text: str) -> bool:
    return text in ("code", "password+code")


@pytest.mark.machinery
@pytest.mark.seconds(300)
def test_doctor_agrees_with_libpam_on_the_stacks_of_distributions(scratch, tmp_path, figure):
    fedora = [stack for one in shipped() for stack in variants(one) if one.label.startswith("Fedora")]
    stacks = [stack for one in shipped() for stack in variants(one) if not one.label.startswith("Fedora")]
    stacks += fedora[::FEDORA_STRIDE]
    modules = {name for stack in stacks for name, *_ in calls(stack.service, stack.base)}
    explorer = Explorer(scratch, modules)
    counts: Counter[str] = Counter()
    wrong = []
    for first in range(0, len(stacks), SERVICES_PER_TREE):
        batch = {f"s{number}": stack for number, stack in enumerate(stacks[first : first + SERVICES_PER_TREE])}
        script, asked, files = {"pam_deny.so"}, [], {"etc/pam.d/other": b"auth required pam_deny.so\n"}
        for name, stack in batch.items():
            # libpam uses no file in a subfolder of /etc/pam.d as a service.
            files[f"etc/pam.d/{name}"] = stack.service.replace("BASE", f"base/{name}").encode()
            files[f"etc/pam.d/base/{name}"] = stack.base.encode()
            called = calls(stack.service, stack.base)
            script |= {" ".join(call) for call in called}
            directories = {call[0] for call in called if directory(call[0].removesuffix(".so"), call[1:])}
            asked.append("\t".join(["service", name, *sorted(directories)]))
        root = write(tmp_path / f"tree{first}", files, [])
        # Without a module folder, doctor treats all modules as installed.
        shutil.rmtree(root / "lib")
        said = services_of(root)
        found = explorer.explore(root, [*map(script_line, sorted(script)), *asked], list(batch))
        for name, stack in batch.items():
            judged, needs = said[name], found[name]
            if needs is None or judged["enrolled"] is None:
                counts["too many combinations"] += 1
                continue
            single = needs.single_field and needs_code(needs.enrolled)
            expected = {"enrolled": needs.enrolled, "unenrolled": needs.unenrolled, "single_field": single}
            counts[f"{needs.enrolled} / {needs.unenrolled}"] += 1
            if {**judged, **expected} != judged:
                wrong.append(f"{stack.label}: libpam: {expected}, doctor: {judged}\n{stack.service}---\n{stack.base}")
    assert not wrong, f"{len(wrong)} of {len(stacks)} differ:\n" + "\n".join(wrong[:5])
    assert len(stacks) >= 2000 and counts["too many combinations"] < len(stacks) / 20, counts
    for least in ("password+code / password", "password+code / refused", "password / password", "refused / refused"):
        assert counts[least] >= len(stacks) / 100, counts
    figure(f"doctor against libpam, stacks of distributions: {dict(counts)}")


OURS = "auth required pam_twofactor.so nullok\n"
DEBIAN = common_auth(["unix"])
FEDORA = authselect("local/password-auth", ())

# Name: files of /etc/pam.d, and what doctor must say of the first one.
KNOWN: dict[str, tuple[dict[str, str], tuple[str, str, bool]]] = {
    "Debian": (
        {"sshd": "@include common-auth\n", "common-auth": DEBIAN}, ("password", "password", False)),
    "Debian, line after the password": (
        {"sshd": "@include common-auth\n" + OURS, "common-auth": DEBIAN}, ("password+code", "password", False)),
    "Debian, line before the password": (
        {"sshd": OURS + "@include common-auth\n", "common-auth": DEBIAN}, ("password+code", "password", False)),
    "Debian, without nullok": (
        {"sshd": "@include common-auth\nauth required pam_twofactor.so\n", "common-auth": DEBIAN},
        ("password+code", "refused", False)),
    "Debian, the profile of the package": (
        {"sshd": "@include common-auth\n", "common-auth": common_auth(["unix", "twofactor", "capability"])},
        ("password+code", "password", False)),
    "Debian, su": (
        {"su": DEBIAN_SERVICES["su"] + OURS, "common-auth": DEBIAN}, ("password+code", "password", False)),
    "Debian, sufficient before the password": (
        {"sshd": "auth sufficient pam_twofactor.so nullok\n@include common-auth\n", "common-auth": DEBIAN},
        ("code or password", "password", False)),
    "Debian, sufficient after the password": (
        {"sshd": "@include common-auth\nauth sufficient pam_twofactor.so nullok\n", "common-auth": DEBIAN},
        ("password", "password", False)),
    "Debian, optional after the password": (
        {"sshd": "@include common-auth\nauth optional pam_twofactor.so nullok\n", "common-auth": DEBIAN},
        ("password", "password", False)),
    "Debian, line between pam_unix and pam_deny": (
        {"sshd": "@include common-auth\n", "common-auth": DEBIAN.replace("auth\trequisite", OURS + "auth\trequisite")},
        ("refused", "refused", False)),
    "Debian, fingerprint or SSSD, line after the password": (
        {"sshd": "@include common-auth\n" + OURS, "common-auth": common_auth(["unix", "fprintd", "sss"])},
        ("password+code", "password", False)),
    "Debian, another module's code": (
        {"sshd": "@include common-auth\nauth required pam_google_authenticator.so\n", "common-auth": DEBIAN},
        ("password+code", "password+code", False)),
    "one field": (
        {"dovecot": "auth required pam_twofactor.so forward_pass nullok\nauth required pam_unix.so use_first_pass\n"},
        ("password+code", "password", True)),
    "one field, the password of an earlier module is split": (
        {"ftp": "auth optional pam_unix.so\nauth required pam_twofactor.so use_first_pass forward_pass\n"
         "auth required pam_unix.so use_first_pass\n"},
        ("password+code", "refused", True)),
    "use_first_pass after a password that must be right": (
        {"ftp": "auth required pam_unix.so\nauth required pam_twofactor.so use_first_pass\n"},
        ("refused", "refused", False)),
    "public key and code": (
        {"sshd": "auth required pam_twofactor.so require_method=publickey\n"}, ("code", "refused", False)),
    "require_method in a service that no method precedes": (
        {"login": "auth required pam_twofactor.so require_method=publickey\n"}, ("refused", "refused", False)),
    "Fedora, line after the substack": (
        {"sshd": "auth substack password-auth\n" + OURS, "password-auth": FEDORA},
        ("password+code", "password", False)),
    "Fedora, line after an include": (
        {"sudo": "auth include system-auth\n" + OURS, "system-auth": FEDORA}, ("password", "password", False)),
    "Fedora, line at the end of password-auth": (
        {"sshd": "auth substack password-auth\n", "password-auth": FEDORA + OURS}, ("password", "password", False)),
    "Arch": (
        {"sshd": "auth include system-auth\n" + OURS, "system-auth": ARCH_SYSTEM},
        ("password+code", "password", False)),
    "openSUSE": (
        {"sshd": "auth include common-auth\n" + OURS, "common-auth": SUSE["plain"]},
        ("password+code", "password", False)),
    "openSUSE with SSSD": (
        {"sshd": "auth include common-auth\n" + OURS, "common-auth": SUSE["sss"]}, ("password", "password", False)),
    "Alpine": (
        {"sshd": "auth include base-auth\n" + OURS, "base-auth": ALPINE}, ("password+code", "password", False)),
    "a service without auth lines": (
        {"cron": "account required pam_unix.so\n", "other": "auth required pam_permit.so\n"},
        ("nothing", "nothing", False)),
    "neither a service nor other": ({"cron": "account required pam_unix.so\n"}, ("refused", "refused", False)),
}


@pytest.mark.machinery
@pytest.mark.parametrize("name", KNOWN)
def test_doctor_knows_what_well_known_stacks_require(name, tmp_path):
    files, expected = KNOWN[name]
    root = write(tmp_path / "tree", {f"etc/pam.d/{file}": text.encode() for file, text in files.items()}, [])
    judged = services_of(root)[next(iter(files))]
    assert (judged["enrolled"], judged["unenrolled"], judged["single_field"]) == expected


@pytest.mark.machinery
def test_pam_auth_update_generates_these_stacks(tmp_path):
    profiles, target = Path("/usr/share/pam-configs"), Path("/etc/pam.d/common-auth")
    before = {path: path.read_bytes() for path in [*profiles.iterdir(), target]}
    try:
        for names in DEBIAN_SETS:
            for path in profiles.iterdir():
                path.unlink()
            for each in names:
                (profiles / each).write_text(profile_text(each))
            run("pam-auth-update", "--force", "--enable", *names, environment={
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"})
            lines = [line for line in target.read_text().splitlines() if line.startswith("auth")]
            words = [line.partition("#")[0].split() for line in lines]
            assert words == [line.partition("#")[0].split() for line in common_auth(names).splitlines()], names
    finally:
        for path in profiles.iterdir():
            path.unlink()
        for path, content in before.items():
            path.write_bytes(content)


UNIX = "pam_unix.so nodelay"
CODE = "pam_twofactor.so max_failures=100"
# Name: lines, and the prompts in order: password, code, or both in one reply.
REAL = {
    "real-after": ([f"auth required {UNIX}", f"auth required {CODE} nullok"], "pc"),
    "real-strict": ([f"auth requisite {UNIX}", f"auth required {CODE}"], "pc"),
    "real-sufficient": ([f"auth sufficient {CODE} nullok", f"auth required {UNIX}"], "cp"),
    "real-debian": (
        [f"auth [success=1 default=ignore] {UNIX}", "auth requisite pam_deny.so", "auth required pam_permit.so",
         f"auth required {CODE} nullok"], "pc"),
    "real-single": ([f"auth required {CODE} forward_pass nullok", f"auth required {UNIX} use_first_pass"], "b"),
    "real-succeed": (
        ["auth [success=1 default=ignore] pam_succeed_if.so quiet service = real-succeed",
         f"auth required {CODE}", f"auth required {UNIX}"], "p"),
    "real-fail": (
        ["auth [success=1 default=ignore] pam_succeed_if.so quiet service = somewhere",
         f"auth required {CODE}", f"auth required {UNIX}"], "cp"),
    "real-faillock": (
        ["auth required pam_faillock.so preauth deny=1000", f"auth [success=1 default=bad] {UNIX}",
         "auth [default=die] pam_faillock.so authfail deny=1000", f"auth required {CODE} nullok",
         "auth required pam_faillock.so authsucc deny=1000"], "pc"),
}


def test_real_modules_require_what_doctor_lists(new_user, harness, tmp_path, products):
    plain, user = new_user(), new_user()
    enrolled = user.enroll()
    files = {f"etc/pam.d/{name}": "\n".join([*lines, ""]).encode() for name, (lines, _) in REAL.items()}
    said = services_of(write(tmp_path / "tree", files, []))
    at = START
    for name, (lines, order) in REAL.items():
        harness.service(name, *lines)
        for who, kind in ((user, "enrolled"), (plain, "unenrolled")):
            # Users who are not enrolled are asked for a code only without nullok.
            asked = order.replace("c", "") if kind == "unenrolled" and "nullok" in "".join(lines) else order
            enough = [set(one.split("+")) - {"nothing"} for one in said[name][kind].split(" or ") if one != "refused"]
            for knows in (set(), {"password"}, {"code"}, {"password", "code"}):
                at += 90
                code = enrolled.authenticator
                typed = {
                    "p": who.password if "password" in knows else "mistaken",
                    "c": code.code_at(at) if "code" in knows else code.wrong_code(at),
                }
                typed["b"] = typed["p"] + typed["c"] if "code" in knows and kind == "enrolled" else typed["p"]
                login = who.log_in(name, *(typed[letter] for letter in asked), at=at)
                expected = any(one <= knows for one in enough)
                assert (login.result == 0) == expected, (name, kind, knows, said[name], login)
