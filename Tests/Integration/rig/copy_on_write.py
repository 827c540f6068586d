"""A home on a small disk, for example btrfs, which copies each block that is overwritten, unless the file is marked."""

import contextlib
import fcntl
import os
import struct
from pathlib import Path

from .power import make_nodes
from .process import run

GET_FLAGS, SET_FLAGS = 0x80086601, 0x40086602
NO_COW, COMPRESSED = 0x00800000, 0x00000004


class OtherDisk:
    """A small disk over a home."""

    def __init__(self, user, folder: Path, make: list[str], size: int, options: str = "loop") -> None:
        """`size` in MiB."""
        self.user, self.path, self.options = user, user.home, options
        self.image = folder / f"{user.name}.img"
        with self.image.open("wb") as file:
            file.truncate(size << 20)
        make_nodes()
        run(*make, self.image)

    @contextlib.contextmanager
    def mounted(self):
        run("mount", "-o", self.options, self.image, self.path)
        try:
            os.chown(self.path, self.user.uid, self.user.gid)
            self.path.chmod(0o755)
            shared = self.path / "shared"
            shared.mkdir(exist_ok=True)
            shared.chmod(0o1777)
            yield self
        finally:
            run("umount", self.path)

    def snapshot(self, name: str = "snapshot") -> None:
        run("btrfs", "subvolume", "snapshot", self.path, self.path / name)

    def fill(self, other) -> None:
        """Another user takes all of the space, in large and small files."""
        for size in ("1M", "4k", "512"):
            script = (
                'for number in 1 2 3 4 5; do dd if=/dev/urandom of="$1/$2-$number" bs="$2" conv=fsync status=none; done'
            )
            run("sh", "-c", script, "sh", self.path / "shared", size, user=other, status=None)


def btrfs_disk(user, folder: Path, mixed: bool, options: str) -> OtherDisk:
    """A btrfs; `mixed` stores data and metadata together."""
    return OtherDisk(user, folder, ["mkfs.btrfs", "-q", *(["-M"] if mixed else [])], 64 if mixed else 128, options)


def flags(path: Path) -> int:
    """The flags of a file, as lsattr(1) shows them."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return struct.unpack("l", fcntl.ioctl(descriptor, GET_FLAGS, bytes(8)))[0]
    finally:
        os.close(descriptor)


def remove_mark(path: Path) -> None:
    """Removes No_COW, as in an enrollment of an earlier version."""
    status, content = path.stat(), path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    path.chmod(0o600)
    os.chown(path, status.st_uid, status.st_gid)
    assert not flags(path) & NO_COW
