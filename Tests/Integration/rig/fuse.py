"""Homes on FUSE, and a FUSE file system whose program reads every request and answers none but the first."""

import contextlib
import ctypes
import os
import select
import stat
import struct
import threading
from pathlib import Path

from .power import make_nodes
from .process import run

INIT = 26
LIBC = ctypes.CDLL(None, use_errno=True)
DETACH = 2


@contextlib.contextmanager
def silent_fuse(path: Path, account, *, allow_other: bool = True):
    """Mounts it over a directory or a file, as fusermount3(1) does for a user.

    The kernel aborts all waiting calls at the end, when the descriptor is closed.
    """
    make_nodes()
    device = os.open("/dev/fuse", os.O_RDWR)
    kind = stat.S_IFMT(path.lstat().st_mode)
    options = f"fd={device},rootmode={kind:o},user_id={account.uid},group_id={account.gid}"
    options += ",allow_other" if allow_other else ""
    result = LIBC.mount(b"silent", os.fsencode(path), b"fuse.silent", 0, options.encode())
    if result != 0:
        raise OSError(ctypes.get_errno(), f"mount {path}")
    ended = threading.Event()
    reader = threading.Thread(target=_read, args=(device, ended))
    reader.start()
    try:
        yield
    finally:
        LIBC.umount2(os.fsencode(path), DETACH)
        ended.set()
        reader.join()
        os.close(device)


def _read(device: int, ended: threading.Event) -> None:
    """Answers FUSE_INIT (fuse(4), <linux/fuse.h>): a process cannot be killed while its request is with the program."""
    waiting = select.poll()
    waiting.register(device, select.POLLIN)
    with contextlib.suppress(OSError):
        while not ended.is_set():
            if not waiting.poll(50):
                continue
            _, opcode, unique = struct.unpack_from("IIQ", os.read(device, 1 << 17))
            if opcode == INIT:
                answer = struct.pack("IIIIHHII36x", 7, 31, 0, 0, 0, 0, 1 << 16, 1)
                os.write(device, struct.pack("IiQ", 16 + len(answer), 0, unique) + answer)


@contextlib.contextmanager
def fuse_home(user, folder: Path):
    """Shows another folder as the home, as gocryptfs or sshfs would."""
    make_nodes()
    behind = folder / "behind"
    behind.mkdir(mode=0o755)
    os.chown(behind, user.uid, user.gid)
    for path in user.home.iterdir():
        path.unlink()
    run("bindfs", "-o", "allow_other", behind, user.home)
    try:
        yield
    finally:
        run("umount", user.home)
