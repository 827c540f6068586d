"""`twofactor doctor --root` on hostile trees: it ends soon, reports the file, and opens nothing outside the tree."""

import json
import os
import re
import resource
import shutil
import stat
from pathlib import Path

import pytest
from rig.host_trees import COMMON_AUTH, LINE, MODULES, build, good
from rig.machine import PRODUCT, modules_directory
from rig.process import run
from rig.reachable import open_to_all

# Of processor time. The limit of elapsed time is longer, because the machine may be busy.
SECONDS = 5

OUTSIDE = "pam_outside_the_tree"


def examine(root: Path, *, json_output: bool = True, user=None, under: tuple = ()) -> tuple[int, str]:
    """The exit status and the output of doctor, which must end in time."""
    words = (*under, PRODUCT / "twofactor", "doctor", "--root", root, *(["--json"] if json_output else []))
    limit = lambda: resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))  # noqa: E731
    options = {} if under else {"preexec_fn": limit}
    done = run(*words, user=user, status=None, timeout=6 * SECONDS, **options)
    assert done.returncode in (0, 78), (done.returncode, done.stderr)
    assert done.stderr == ""
    return done.returncode, done.stdout


def answer(root: Path, user=None) -> dict:
    return json.loads(examine(root, user=user)[1])


def told_of(answer: dict, path: str) -> list[dict]:
    """The checks that name a path and are not `ok`."""
    return [check for check in answer["checks"] if check["status"] != "ok" and path in check["detail"]]


def services(answer: dict) -> dict[str, tuple]:
    return {each["service"]: (each["enrolled"], each["unenrolled"]) for each in answer["services"]}


PASSWORD_AND_CODE = ("password+code", "password")

MORE = {
    "etc/security/twofactor.conf": "window = 2\n",
    "etc/fstab": "tmpfs /tmp tmpfs defaults 0 0\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\n",
    "etc/proftpd/proftpd.conf": "AuthOrder mod_auth_pam.c* mod_auth_unix.c\n",
    "etc/pam.d/proftpd": "auth required pam_twofactor.so forward_pass\nauth required pam_unix.so use_first_pass\n",
    "etc/debian_version": "12.1\n",
    "usr/lib/systemd/system/ssh.service": "[Service]\nExecStart=/usr/sbin/sshd -D\nProtectHome=no\n",
    "etc/systemd/system/ssh.service.d/more.conf": "[Service]\nNoNewPrivileges=no\n",
    "etc/passwd": "root:x:0:0:root:/root:/bin/bash\nalice:x:4201:4201:Alice:/home/alice:/bin/bash\n",
    "etc/group": "root:x:0:\nalice:x:4201:\nstaff:x:50:alice\n_twofactor:x:990:\n",
}


def full(root: Path) -> Path:
    """A correct tree with each kind of file that doctor reads."""
    build(root, {**good(), **MORE})
    for name in ("pam_deny.so", "pam_permit.so"):
        shutil.copy(modules_directory() / name, root / MODULES)
    return root


def opened(root: Path, trace: Path) -> list[str]:
    """The paths that doctor opens in the tree."""
    examine(root, under=("strace", "-qq", "-f", "-s", "1000", "-o", trace, "-e", "trace=openat2"))
    return sorted(set(re.findall(r'openat2\(\d+, "/?([^"]*)"', trace.read_text())) - {""})


KINDS = {
    "FIFO": lambda path, outside: os.mkfifo(path),
    "device": lambda path, outside: os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 5)),
    "socket": lambda path, outside: os.mknod(path, 0o666 | stat.S_IFSOCK),
    "folder": lambda path, outside: path.mkdir(),
    "symlink loop": lambda path, outside: path.symlink_to(path.name),
    "symlink to the outside": lambda path, outside: path.symlink_to(outside),
    "relative symlink to the outside": lambda path, outside: path.symlink_to("../" * 30 + str(outside)[1:]),
    "magic link": lambda path, outside: path.symlink_to(f"/proc/self/root{outside}"),
    "binary": lambda path, outside: path.write_bytes(bytes(range(256)) * 800),
    "one endless line": lambda path, outside: path.write_bytes(b"a" * 1_000_000),
    "a million lines": lambda path, outside: path.write_text("auth required pam_unix.so\n" * 1_000_000),
    "two megabytes of backslashes": lambda path, outside: path.write_text("\\\n" * 1_000_000),
    "short lines": lambda path, outside: path.write_text("auth include sshd\n" * 50_000),
}


@pytest.fixture
def outside(tmp_path) -> Path:
    path = tmp_path / "outside"
    lines = ("auth required {}.so", "Match User {}", "window = {}", "{}:x:4:4::/:/bin/sh")
    path.write_text("".join(line.format(OUTSIDE) + "\n" for line in lines))
    return path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.seconds(240)
def test_doctor_ends_whatever_a_path_is(tmp_path, outside, kind):
    """Each path that doctor opens, in turn, is replaced."""
    root = full(tmp_path / "tree")
    paths = [path for path in opened(root, tmp_path / "trace") if (root / path).is_file()]
    assert {"etc/pam.d/sshd", "etc/ssh/sshd_config", *MORE} - {*paths} == set()
    for path in paths:
        kept = root / (path + ".kept")
        (root / path).rename(kept)
        KINDS[kind](root / path, outside)
        assert OUTSIDE not in examine(root)[1], path
        (shutil.rmtree if (root / path).is_dir() and not (root / path).is_symlink() else os.unlink)(root / path)
        kept.rename(root / path)


@pytest.mark.parametrize("path", ["etc/pam.d", "etc/ssh", "etc/ssh/sshd_config.d", "etc/security", "etc", "home/alice"])
@pytest.mark.parametrize("kind", ["FIFO", "symlink to the outside", "symlink loop", "binary"])
def test_doctor_ends_whatever_a_folder_is(tmp_path, outside, path, kind):
    root = full(tmp_path / "tree")
    shutil.rmtree(root / path)
    KINDS[kind](root / path, outside.parent if kind.startswith("symlink to") else outside)
    assert OUTSIDE not in examine(root)[1]


@pytest.mark.parametrize("kind", ["FIFO", "device", "socket", "a million lines", "two megabytes of backslashes"])
@pytest.mark.parametrize(
    "path", ["etc/pam.d/sshd", "etc/pam.d/common-auth", "etc/ssh/sshd_config", "etc/security/twofactor.conf"]
)
def test_a_configuration_that_cannot_be_read_is_reported(tmp_path, outside, path, kind):
    root = full(tmp_path / "tree")
    (root / path).unlink()
    KINDS[kind](root / path, outside)
    found = answer(root)
    assert told_of(found, f"/{path}"), found["checks"]
    if path.startswith("etc/pam.d"):
        assert services(found)["sshd"] == (None, None)


LOOPS = {
    "itself": {"etc/pam.d/sshd": "@include sshd\n"},
    "each other": {"etc/pam.d/sshd": "auth include a\n", "etc/pam.d/a": "auth include sshd\n"},
    "substacks": {"etc/pam.d/sshd": "auth substack a\n", "etc/pam.d/a": "auth substack a\n"},
    "many ways": {"etc/pam.d/sshd": "@include sshd\n" * 30_000},
    # Two to the power of 16 rules, without a loop.
    "tree": {
        "etc/pam.d/sshd": "@include level1\n" * 2,
        **{f"etc/pam.d/level{number}": f"@include level{number + 1}\n" * 2 for number in range(1, 15)},
        "etc/pam.d/level15": "auth required pam_unix.so\n" * 2,
    },
}


@pytest.mark.parametrize("loop", LOOPS)
def test_includes_without_an_end_are_reported(tmp_path, loop):
    found = answer(build(tmp_path / "tree", {**good(), **LOOPS[loop]}))
    assert services(found)["sshd"] in [(None, None), ("refused", "refused")]
    assert told_of(found, "/etc/pam.d/"), found["checks"]
    assert services(found)["su"] == ("password", "password")


SSH_INCLUDES = {
    "each other": (
        "Include /etc/ssh/sshd_config.d/*.conf\n" * 20, "Include /etc/ssh/sshd_config\nInclude sshd_config.d/*\n",
    ),
    "a large file many times": ("Include sshd_config.d/1.conf\n" * 30_000, "#" + "a" * 1_000_000),
    "an empty file many times": ("Include sshd_config.d/1.conf\n" * 30_000, ""),
    "many files in one line": ("Include" + " sshd_config.d/1.conf" * 40_000 + "\n", "#" + "a" * 1_000_000),
    "many patterns": ("Include sshd_config.d/*.[n][o]\n" * 30_000, "UsePAM yes\n"),
    "patterns of patterns": ("Include sshd_config.d/" + "*a" * 400 + "b\n", "UsePAM yes\n"),
}


@pytest.mark.parametrize("what", SSH_INCLUDES)
def test_includes_of_sshd_end(tmp_path, what):
    main, included = SSH_INCLUDES[what]
    root = build(tmp_path / "tree", {**good(), "etc/ssh/sshd_config": main, "etc/ssh/sshd_config.d/1.conf": included})
    if "patterns" in what:
        for number in range(1_000):
            (root / f"etc/ssh/sshd_config.d/{'a' * 200}{number}").touch()
    found = answer(root)
    if what == "each other":
        assert told_of(found, "/etc/ssh/sshd_config"), found["checks"]


def test_ten_thousand_match_blocks(tmp_path):
    blocks = "".join(f"Match User user{number}\n  PasswordAuthentication yes\n" for number in range(10_000))
    found = answer(build(tmp_path / "tree", {**good(), "etc/ssh/sshd_config": "UsePAM yes\n" + blocks}))
    assert told_of(found, "/etc/ssh/sshd_config"), found["checks"]


# Each of the latter takes half a millisecond.
@pytest.mark.parametrize(
    "count, text",
    [(10_000, "@include common-auth\n"), (3_000, COMMON_AUTH + "auth required pam_twofactor.so\n")],
    ids=["included", "own"],
)
def test_thousands_of_services(tmp_path, count, text):
    files = {f"etc/pam.d/service{number}": text for number in range(count)}
    found = answer(build(tmp_path / "tree", {**good(), **files}))
    assert len(found["services"]) > count


def test_a_list_of_accounts_that_is_too_long_is_reported(tmp_path):
    people = "".join(f"user{number}:x:{number}:{number}::/home/{number}:/bin/sh\n" for number in range(5_000, 60_000))
    found = answer(build(tmp_path / "tree", {**good(), "etc/passwd": "root:x:0:0::/root:/bin/sh\n" + people}))
    assert told_of(found, "/etc/passwd")


def test_ten_thousand_accounts_with_groups_of_their_own(tmp_path):
    numbers = range(5_000, 15_000)
    people = "".join(f"user{number}:x:{number}:{number}::/home/{number}:/bin/sh\n" for number in numbers)
    groups = "".join(f"user{number}:x:{number}:\n" for number in numbers)
    files = {"etc/passwd": "root:x:0:0::/root:/bin/sh\n" + people, "etc/group": "root:x:0:\n" + groups}
    found = answer(build(tmp_path / "tree", {**good(), **files}))
    assert any("10001 accounts" in check["detail"] or "10,001 accounts" in check["detail"] for check in found["checks"])


def test_too_many_combinations_cannot_be_evaluated(tmp_path):
    unknown = "".join(f"auth optional pam_unknown{number}.so\n" for number in range(40))
    stack = f"{unknown}{LINE}auth required pam_deny.so\n"
    found = answer(build(tmp_path / "tree", {**good(), "etc/pam.d/sshd": stack}))
    assert services(found)["sshd"] == (None, None)
    assert any("10,000" in check["detail"] or "10000" in check["detail"] for check in found["checks"])
    assert services(found)["su"] == ("password", "password")


@pytest.mark.parametrize("rule", ["", LINE])
def test_many_services_with_too_many_combinations(tmp_path, rule):
    unknown = "".join(f"auth optional pam_unknown{number}.so\n" for number in range(40))
    files = {f"etc/pam.d/service{number}": f"{unknown}{rule}auth required pam_deny.so\n" for number in range(200)}
    found = answer(build(tmp_path / "tree", {**good(), **files}))
    assert {services(found)[f"service{number}"] for number in range(200)} == {(None, None)}


INJECTED = "\nok       pam_stacks: everything\x1b]0;title\x07\x1b[2J\x9b31m\u202e"


def test_control_characters_are_escaped(tmp_path):
    """In names of files, in lines, and in names of accounts."""
    root = full(tmp_path / "tree")
    name = INJECTED.replace("/", "")
    rule = f"auth required pam_{INJECTED[1:]}.so {INJECTED[1:]}\nauth {INJECTED[1:]} pam_twofactor.so\n"
    (root / "etc/pam.d" / name).write_text(rule)
    (root / "etc/pam.d/sshd").write_text(rule)
    (root / "etc/ssh/sshd_config").write_text(f"UsePAM {INJECTED[1:]}\nMatch User {INJECTED[1:]}\n{INJECTED[1:]} yes\n")
    (root / "etc/security/twofactor.conf").write_text(f"window = {INJECTED[1:]}\n")
    (root / "etc/passwd").write_text(f"root:x:0:0:r:/root:/bin/sh\na{INJECTED[1:]}:x:4201:4201::/home/alice:/bin/sh\n")
    shown = examine(root, json_output=False)[1]
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", shown)
    assert "\nok       pam_stacks: everything" not in shown
    json.loads(examine(root)[1])


def test_no_file_outside_the_tree_is_opened(tmp_path, outside):
    root = full(tmp_path / "tree")
    (root / "etc/pam.d/up").symlink_to("../" * 30 + str(outside)[1:])
    (root / "etc/pam.d/absolute").symlink_to(outside)
    (root / "etc/pam.d/magic").symlink_to(f"/proc/self/root{outside}")
    (root / "etc/pam.d/sshd").write_text(
        f"@include {outside}\n@include ../../../..{outside}\nauth include absolute\nauth required {outside}\n"
        "auth required pam_twofactor.so conf=/etc/../../../../etc/passwd\n"
    )
    (root / "etc/ssh/sshd_config").write_text(f"Include {outside}\nInclude ../../../../..{outside.parent}/*\n")
    (root / "etc/security/twofactor.conf").write_text("directory = /../../../../etc/%u\n")
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nalice:x:4201:4201::/../../../../etc:/bin/sh\n")
    shutil.rmtree(root / "home")
    (root / "home").symlink_to(outside.parent)
    trace = tmp_path / "trace"
    under = ("strace", "-qq", "-f", "-s", "1000", "-o", trace, "-e", "trace=%file,openat2,execve")
    assert OUTSIDE not in examine(root, under=under)[1]
    assert strays(root, trace.read_text()) == []


# Of the program itself: libraries, the processor, the time zone.
OWN = re.compile(
    r"/(etc/ld\.so\.|lib|usr/lib|opt|proc/|sys/fs/selinux|sys/devices/system/cpu|etc/localtime|usr/share/zoneinfo|dev/)"
)


def strays(root: Path, trace: str) -> list[str]:
    """The calls that could leave the tree."""
    above = {str(root), *(str(path) for path in root.parents)}
    found = []
    for line in trace.splitlines():
        matched = re.match(r'\d+ +(\w+)\((?:(AT_FDCWD|\d+), )?"([^"]*)"', line)
        if not matched or matched[1] == "execve" or (matched[1] == "openat2" and "RESOLVE_IN_ROOT" in line):
            continue
        call, folder, path = matched.groups()
        is_open_file = path == "" and "AT_EMPTY_PATH" in line or path == "." and folder not in (None, "AT_FDCWD")
        is_name = folder not in (None, "AT_FDCWD") and "/" not in path and "AT_SYMLINK_NOFOLLOW" in line
        if not (path in above or path.startswith(str(PRODUCT)) or OWN.match(path) or is_open_file or is_name):
            found.append(line)
    return found


@pytest.mark.parametrize(
    "path",
    ["etc/pam.d/sshd", "etc/pam.d/common-auth", "etc/ssh/sshd_config", "etc/security/twofactor.conf", "etc/pam.d"],
)
def test_what_a_user_cannot_read_is_named_and_not_ok(tmp_path, user, path):
    root = full(tmp_path / "tree")
    open_to_all(tmp_path)
    assert services(answer(root, user=user))["sshd"] == PASSWORD_AND_CODE
    (root / path).chmod(0)
    found = answer(root, user=user)
    assert told_of(found, f"/{path}"), found["checks"]
    if "pam.d" in path:
        assert services(found).get("sshd", (None, None)) == (None, None)
        assert not any(
            check["name"] == "pam_stacks" and check["status"] == "ok" and "sshd" in check["detail"]
            for check in found["checks"]
        )
