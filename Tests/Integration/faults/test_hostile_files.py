"""Hostile homes: no login, no hang, no crash, and the log has the reason.

None of them proves that the user is not enrolled, so `nullok` exempts nobody here.
"""

import os
import shutil
import stat
import time
from pathlib import Path

import pytest
from rig.clock import START
from rig.harness import Result
from rig.process import run
from rig.reachable import open_to_all

PERMIT = "pam_permit.so"


def replace(path: Path) -> None:
    """Removes the file or directory at the path."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def as_fifo(path: Path, account, elsewhere: Path) -> None:
    replace(path)
    os.mkfifo(path, 0o600)
    os.chown(path, account.uid, account.gid)


def as_symlink(path: Path, account, elsewhere: Path) -> None:
    target = elsewhere / "moved"
    shutil.move(path, target)
    path.symlink_to(target)
    os.lchown(path, account.uid, account.gid)


def as_dangling_symlink(path: Path, account, elsewhere: Path) -> None:
    replace(path)
    path.symlink_to(elsewhere / "nothing-is-here")
    os.lchown(path, account.uid, account.gid)


def as_symlink_to_itself(path: Path, account, elsewhere: Path) -> None:
    replace(path)
    path.symlink_to(path)


def as_directory(path: Path, account, elsewhere: Path) -> None:
    replace(path)
    path.mkdir(mode=0o700)
    os.chown(path, account.uid, account.gid)


def as_file(path: Path, account, elsewhere: Path) -> None:
    replace(path)
    path.write_bytes(b"")
    path.chmod(0o600)
    os.chown(path, account.uid, account.gid)


def as_device(path: Path, account, elsewhere: Path) -> None:
    replace(path)
    os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))
    os.chown(path, account.uid, account.gid)


def as_socket(path: Path, account, elsewhere: Path) -> None:
    import socket

    replace(path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    os.chown(path, account.uid, account.gid)


def owned_by_another(path: Path, account, elsewhere: Path) -> None:
    os.chown(path, 65534, 65534)


def owned_by_root(path: Path, account, elsewhere: Path) -> None:
    os.chown(path, 0, 0)


def writable_by_group(path: Path, account, elsewhere: Path) -> None:
    path.chmod(path.stat().st_mode | 0o020)


def writable_by_all(path: Path, account, elsewhere: Path) -> None:
    path.chmod(path.stat().st_mode | 0o002)


def readable_by_all(path: Path, account, elsewhere: Path) -> None:
    path.chmod(path.stat().st_mode | 0o004)


def unreadable(path: Path, account, elsewhere: Path) -> None:
    path.chmod(0)


def missing(path: Path, account, elsewhere: Path) -> None:
    replace(path)


def empty(path: Path, account, elsewhere: Path) -> None:
    os.truncate(path, 0)


def huge(path: Path, account, elsewhere: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content + b"#" * (65536 - len(content)))


def of_nul_bytes(path: Path, account, elsewhere: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def of_noise(path: Path, account, elsewhere: Path) -> None:
    path.write_bytes(os.urandom(path.stat().st_size))


def with_a_nul_byte_in_the_middle(path: Path, account, elsewhere: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] = 0
    path.write_bytes(content)


def with_lines_ended_as_on_windows(path: Path, account, elsewhere: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


INSECURE = "reason=insecure-file"
CORRUPT = "reason=corrupt-file"
EITHER = (INSECURE, CORRUPT)
ANY = (INSECURE, CORRUPT, "reason=io-error", "reason=not-enrolled")

CASES = [
    *[("home", attack, ANY) for attack in (as_fifo, as_dangling_symlink, as_symlink_to_itself, as_file, missing)],
    *[("home", attack, ANY) for attack in (owned_by_another, as_device, unreadable)],
    *[("directory", attack, (INSECURE,)) for attack in (as_fifo, as_symlink, as_dangling_symlink, as_file, as_device)],
    *[("directory", attack, (INSECURE,)) for attack in (as_symlink_to_itself, as_socket, owned_by_another)],
    *[("directory", attack, (INSECURE,)) for attack in (writable_by_group, writable_by_all)],
    ("directory", unreadable, ANY),
    ("directory", as_directory, ANY),
    *[("credential", attack, (INSECURE,)) for attack in (as_fifo, as_symlink, as_dangling_symlink, as_directory)],
    *[("credential", attack, (INSECURE,)) for attack in (as_symlink_to_itself, as_device, owned_by_another)],
    *[("credential", attack, (INSECURE,)) for attack in (owned_by_root, writable_by_group, writable_by_all)],
    *[("credential", attack, (INSECURE,)) for attack in (readable_by_all, as_socket)],
    *[("credential", attack, (CORRUPT,)) for attack in (empty, of_nul_bytes, of_noise, with_a_nul_byte_in_the_middle)],
    ("credential", with_lines_ended_as_on_windows, (CORRUPT,)),
    ("credential", huge, EITHER),
    ("credential", unreadable, ANY),
    ("credential", missing, ANY),
    *[("state", attack, (INSECURE,)) for attack in (as_fifo, as_symlink, as_dangling_symlink, as_directory)],
    *[("state", attack, (INSECURE,)) for attack in (as_symlink_to_itself, as_device, owned_by_another)],
    *[("state", attack, (INSECURE,)) for attack in (writable_by_group, writable_by_all, as_socket)],
    ("state", unreadable, ANY),
]


@pytest.mark.parametrize("arguments", [(), ("nullok",)], ids=["strict", "nullok"])
@pytest.mark.parametrize("target, attack, reasons", CASES, ids=lambda value: getattr(value, "__name__", None))
def test_a_hostile_file_is_denied(user, service, log, tmp_path, target, attack, reasons, arguments):
    enrolled = user.enroll()
    tmp_path.chmod(0o755)
    paths = {"home": user.home, "directory": enrolled.directory}
    path = paths.get(target, enrolled.directory / target)
    name = service(*arguments, then=PERMIT)
    attack(path, user, tmp_path)
    started = time.monotonic()
    code = enrolled.authenticator.code_at(START)
    login = user.log_in(name, code, at=START, timeout=20)
    assert time.monotonic() - started < 5, "the login waited"
    assert login.killed_by is None
    assert login.result == Result.AUTHINFO_UNAVAIL, (Result(login.result), log.lines())
    messages = log.of_module(1)
    assert len(messages) == 1
    assert set(reasons) & set(messages[0].text.split()), messages[0]
    assert messages[0].priority == "authpriv.err" and "detail=" in messages[0].text


@pytest.mark.parametrize("arguments", [(), ("nullok",)], ids=["strict", "nullok"])
@pytest.mark.parametrize("file", ["credential", "state"])
def test_a_hard_link_to_a_file_of_another_user_is_rejected(user, new_user, service, log, file, arguments):
    enrolled = user.enroll()
    victim = new_user().enroll()
    path = enrolled.directory / file
    path.unlink()
    os.link(victim.directory / file, path)
    before = path.read_bytes()
    name = service(*arguments, then=PERMIT)
    for enrollment in (victim, enrolled):
        code = enrollment.authenticator.code_at(START)
        assert user.log_in(name, code, at=START).result == Result.AUTHINFO_UNAVAIL
    assert all(INSECURE in message.text.split() for message in log.of_module(2))
    assert path.read_bytes() == before, "another user's file was changed"


@pytest.mark.seconds(300)
def test_a_truncated_credential_is_rejected(user, service, log):
    enrolled = user.enroll(backup_codes=10)
    content = enrolled.credential.read_bytes()
    names = [service(then=PERMIT), service("nullok", then=PERMIT)]
    code = enrolled.authenticator.code_at(START)
    for length in range(len(content)):
        enrolled.credential.write_bytes(content[:length])
        login = user.log_in(names[length % 2], code, at=START)
        assert (login.result, login.killed_by) == (Result.AUTHINFO_UNAVAIL, None), f"cut to {length} bytes"
    messages = log.of_module(len(content))
    assert all(CORRUPT in message.text.split() for message in messages)
    enrolled.credential.write_bytes(content)
    assert user.log_in(names[0], code, at=START).result == Result.SUCCESS


def test_a_home_owned_by_root_does_not_prove_that_the_user_is_not_enrolled(user, service):
    os.chown(user.home, 0, 0)
    login = user.log_in(service("nullok", then=PERMIT), "123456", at=START)
    assert login.result == Result.AUTHINFO_UNAVAIL


def test_an_empty_directory_does_not_prove_that_the_user_is_not_enrolled(user, service):
    folder = user.directory
    folder.mkdir(mode=0o700)
    os.chown(folder, user.uid, user.gid)
    login = user.log_in(service("nullok", then=PERMIT), "123456", at=START)
    assert login.result == Result.AUTHINFO_UNAVAIL


def test_a_home_that_is_a_symlink_of_root_is_accepted(user, service, tmp_path):
    enrolled = user.enroll()
    open_to_all(tmp_path)
    moved = tmp_path / "home"
    shutil.copytree(user.home, moved, symlinks=True)
    run("chown", "-R", f"{user.uid}:{user.gid}", moved)
    shutil.rmtree(user.home)
    user.home.symlink_to(moved)
    login = user.log_in(service(), enrolled.authenticator.code_at(START), at=START)
    assert login.result == Result.SUCCESS


def test_a_home_that_only_its_owner_can_enter_is_accepted(user, service):
    enrolled = user.enroll()
    user.home.chmod(0o700)
    login = user.log_in(service(), enrolled.authenticator.code_at(START), at=START)
    assert login.result == Result.SUCCESS


def test_logins_keep_the_owner_and_mode_of_the_files(user, service):
    enrolled = user.enroll()
    user.log_in(service(), enrolled.authenticator.code_at(START), at=START)
    expected = {enrolled.directory: 0o700, enrolled.credential: 0o600, enrolled.state: 0o600}
    for path, mode in expected.items():
        found = path.stat()
        assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (mode, user.uid, user.gid), path
    assert sorted(path.name for path in enrolled.directory.iterdir()) == ["credential", "state"]
