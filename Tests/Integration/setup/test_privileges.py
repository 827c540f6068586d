"""The limits of a caller who runs `twofactor` as root, and of a user while the command acts for that user."""

import os
import re
import signal
import stat
import subprocess
import threading
from pathlib import Path

import pytest
from rig.enrollment import twofactor
from rig.exit_status import REFUSED
from rig.machine import COMMAND
from rig.process import run
from rig.tracing import injecting

PROVISION = ("enable", "--no-confirm", "--yes", "--json", "--backup-codes", "1")
HEADING = "Backup codes of root at host, each good for one login:\n"
PNG = b"\x89PNG\r\n\x1a\n"


# ---- Crashes


@pytest.fixture
def marker(tmp_path):
    """A program for SWIFT_BACKTRACE, and the file that it leaves."""
    program, ran = tmp_path / "marker", tmp_path / "ran"
    program.write_text(f"#!/bin/sh\n: > {ran}\n")
    program.chmod(0o755)
    return program, ran


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGILL, signal.SIGTRAP])
@pytest.mark.parametrize("is_set", [True, False], ids=["asked for", "by default"])
def test_a_crash_starts_no_program_and_prints_no_memory(user, marker, number, is_set):
    program, ran = marker
    chosen = f"enable=yes,interactive=no,swift-backtrace={program}"
    environment = {"SWIFT_BACKTRACE": chosen, "SWIFT_ROOT": str(program.parent)} if is_set else {}
    command = subprocess.Popen(
        [COMMAND, "enable", "--user", user.name],
        env={"PATH": os.environ["PATH"], **environment},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )
    os.read(command.stdout.fileno(), 1)
    caught = re.search(r"^SigCgt:\s*(\w+)$", Path(f"/proc/{command.pid}/status").read_text(), re.MULTILINE)[1]
    assert int(caught, 16) & 1 << number - 1 == 0
    command.send_signal(number)
    _, errors = command.communicate(timeout=30)
    assert command.returncode == -number and b"rash" not in errors
    assert not ran.exists()


# ---- Kept files


FOREIGN = {
    "empty": b"",
    "text": b"root::0:0\n",
    "half a heading": HEADING.encode()[:30],
    "heading in the second line": b"\n" + HEADING.encode(),
    "another picture": PNG + b"\0\0\0\rIHDR" + b"\0" * 17 + b"\0\0\0\x10tEXtSoftware\0another",
    "another drawing": b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"/>',
}


@pytest.mark.parametrize("option", ["--backup-codes-file", "--qr-file"])
@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_force_does_not_replace_a_file_that_the_command_did_not_write(products, option, content):
    path = Path("/etc/kept.svg")
    path.write_bytes(content)
    try:
        done = twofactor(*PROVISION, "--user", "root", "--force", option, str(path), status=REFUSED)
        assert f"{path} already exists, and not from this command" in done.stderr and "--force" not in done.stderr
        assert path.read_bytes() == content and not Path("/root/.twofactor").exists()
    finally:
        path.unlink()


@pytest.mark.parametrize("how", ["linked", "of another", "writable", "pipe", "device"])
def test_force_does_not_replace_a_file_that_another_account_may_have_written(user, new_user, how):
    path = user.home / "codes"
    if how == "pipe":
        os.mkfifo(path)
    elif how == "device":
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    else:
        path.write_text(HEADING)
    owner = new_user() if how == "of another" else user
    os.chown(path, owner.uid, owner.gid)
    path.chmod(0o666 if how == "writable" else 0o644)
    if how == "linked":
        os.link(path, user.home / "link")
    before = path.stat()
    twofactor(*PROVISION, "--user", user.name, "--force", "--backup-codes-file", str(path), status=REFUSED)
    assert path.stat().st_ino == before.st_ino and not user.directory.exists()


def replaced(command: list[str], exchange) -> subprocess.CompletedProcess[str]:
    """Runs a command whose first rename is delayed, and calls `exchange` meanwhile."""
    timer = threading.Timer(1, exchange)
    timer.start()
    done = run(*injecting("renameat", "delay_enter=2000000:when=1"), *command, status=None)
    timer.join()
    return done


def test_a_file_that_is_exchanged_after_its_check_is_not_replaced(user):
    path, other = user.home / "codes", user.home / "other"
    path.write_text(HEADING)
    other.write_text("mine")
    for file in (path, other):
        os.chown(file, user.uid, user.gid)
    command = [COMMAND, *PROVISION, "--user", user.name, "--force", "--backup-codes-file", path]
    done = replaced(command, lambda: other.rename(path))
    assert done.returncode == REFUSED and "exchanged" in done.stderr
    assert path.read_text() == "mine" and sorted(user.files()) == ["codes"]


def test_a_directory_that_is_exchanged_for_a_symlink_is_not_followed(user, products):
    # Root writes its own backup codes into a directory that a user owns.
    folder, away, victim = user.home / "folder", user.home / "away", Path("/etc/codes-of-root")
    folder.mkdir()
    (folder / "codes").write_text(HEADING)
    victim.mkdir()
    (victim / "codes").write_text(HEADING + "\nfirst\n")

    def exchange():
        folder.rename(away)
        folder.symlink_to(victim)

    try:
        command = [COMMAND, *PROVISION, "--user", "root", "--force", "--backup-codes-file", folder / "codes"]
        replaced(command, exchange)
        assert os.listdir(victim) == ["codes"] and (victim / "codes").read_text() == HEADING + "\nfirst\n"
    finally:
        run("rm", "-rf", victim, "/root/.twofactor")


def test_the_caller_chooses_no_word_of_a_file_of_backup_codes(user, products):
    path = Path("/etc/ld.so.preload")
    assert not path.exists()
    try:
        chosen = ("--issuer", "/tmp/a.so", "--account", "/tmp/b.so", "--name", "/tmp/c.so")
        twofactor(*PROVISION, "--user", "root", *chosen, "--backup-codes-file", str(path))
        text = path.read_text()
    finally:
        path.unlink()
        run("rm", "-rf", "/root/.twofactor")
    assert re.fullmatch(r"Backup codes of root at sandbox, each good for one login:\n\n\w{5}-\w{5}\n", text)


# ---- Directories of users


ACCESSES = (
    "open,openat,openat2,stat,lstat,newfstatat,statx,statfs,access,faccessat,faccessat2,readlink,readlinkat,getxattr,"
    "lgetxattr"
)


def accesses(command: list, tree: str, trace: Path) -> dict[int, list[str]]:
    """The accesses of a command to paths in a tree, by file-system user ID."""
    run("strace", "-f", "-qq", "-y", "-o", trace, "-e", f"trace={ACCESSES},setfsuid,setresuid,fork,clone,vfork,clone3",
        *command, status=None)
    identities: dict[str, int] = {}
    found: dict[int, list[str]] = {}
    for line in trace.read_text().splitlines():
        process, _, call = line.partition(" ")
        call = call.strip()
        if switched := re.match(r"setfsuid\((\d+)\)|setresuid\(-?\d+, (\d+)", call):
            identities[process] = int(switched[1] or switched[2])
        elif tree in call and re.match(ACCESSES.replace(",", "|"), call):
            found.setdefault(identities.get(process, 0), []).append(call)
    return found


@pytest.mark.parametrize("is_damaged", [False, True], ids=["whole", "damaged"])
@pytest.mark.parametrize("command", ["users", "doctor"])
@pytest.mark.parametrize("kind", ["home", "tree"])
def test_root_accesses_the_directories_of_a_user_as_that_user(
    user, host_configuration, tmp_path, command, kind, is_damaged
):
    tree = user.home
    if kind == "tree":
        tree = Path("/srv/trees") / user.name
        tree.mkdir(parents=True)
        os.chown(tree, user.uid, user.gid)
        host_configuration("directory = /srv/trees/%u/enrollment")
    credential = user.enroll(backup_codes=1).credential
    if is_damaged:
        credential.write_bytes(credential.read_bytes().replace(b"\nend\n", b"\nfin\n"))
    found = accesses([COMMAND, command, "--user", user.name], str(tree), tmp_path / "trace")
    # As root, the command examines only the parents of the directory.
    on_the_way = re.compile(rf'\w+\([^"]*("{user.name}"|/srv/trees/{user.name}>, "")')
    assert found.get(user.uid) and [call for call in found.get(0, []) if not on_the_way.match(call)] == [], found


@pytest.fixture
def restorecon(user):
    """A host that seems to have SELinux: `restorecon` notes its user and arguments."""
    program, notes = Path("/usr/sbin/restorecon"), Path("/tmp/restorecon")
    aside = program.with_suffix(".aside")
    if program.exists():
        program.rename(aside)
    notes.mkdir()
    notes.chmod(0o1777)
    program.write_text(f'#!/bin/sh\necho $(id -u) "$@" >> {notes}/notes\n')
    program.chmod(0o755)
    run("mount", "-t", "tmpfs", "selinux", "/sys/fs")
    Path("/sys/fs/selinux").mkdir()
    Path("/sys/fs/selinux/enforce").write_text("1")
    yield notes / "notes"
    run("umount", "/sys/fs")
    run("rm", "-rf", notes)
    program.unlink()
    if aside.exists():
        aside.rename(program)


@pytest.mark.parametrize("place", ["home", "tree", "root"])
def test_restorecon_runs_as_a_user_who_owns_a_part_of_the_path(user, host_configuration, restorecon, place):
    directory = {"home": user.directory, "tree": Path("/srv/labels", user.name, "enrollment"),
                 "root": Path("/var/lib/labels", user.name)}[place]
    if place == "tree":
        directory.parent.mkdir(parents=True)
        os.chown(directory.parent, user.uid, user.gid)
    if place != "home":
        host_configuration(f"directory = {str(directory).replace(user.name, '%u')}")
    twofactor(*PROVISION, "--user", user.name)
    assert restorecon.read_text() == f"{0 if place == 'root' else user.uid} -R {directory}\n"
