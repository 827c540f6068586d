"""A disk that records every write, and its content after a power loss at any of them.

qemu-storage-daemon records each block and each flush (in the format of dm-log-writes) and exports the disk as a file. A
loop device mounts the file, so it is a real journaled ext4 that loses power.
"""

import contextlib
import os
import stat
import struct
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from .process import run

SECTOR = 512
SIZE = 16 << 20
LOG_SIZE = 64 << 20
MAGIC = 0x6A736677736872
FLUSH, DISCARD = 1, 4


@dataclass(frozen=True)
class Write:
    """One request to the disk: data at an offset (None for zeros), or a flush."""

    offset: int
    length: int
    data: bytes | None
    is_flush: bool

    def apply(self, image: bytearray, sectors: set[int] | None = None) -> None:
        """Applies the write; if it was torn, only the given sectors."""
        data = self.data if self.data is not None else bytes(self.length)
        for sector in range(self.length // SECTOR):
            if sectors is None or sector in sectors:
                start = sector * SECTOR
                image[self.offset + start : self.offset + start + SECTOR] = data[start : start + SECTOR]


@dataclass(frozen=True)
class Cut:
    """A disk after a power loss."""

    image: bytes
    # Whether the change had been reported as done.
    is_after_answer: bool
    # Whether the sectors of one write were reordered.
    is_scrambled: bool
    what: str


def make_nodes() -> None:
    """Device nodes that the sandbox lacks."""
    nodes = [("fuse", stat.S_IFCHR, 10, 229), ("loop-control", stat.S_IFCHR, 10, 237)]
    nodes += [(f"loop{number}", stat.S_IFBLK, 7, number) for number in range(64)]
    for name, kind, major, minor in nodes:
        with contextlib.suppress(FileExistsError):
            os.mknod(f"/dev/{name}", kind | 0o600, os.makedev(major, minor))


def obstacle() -> str | None:
    """Why this machine cannot record a disk; None if it can."""
    make_nodes()
    for path in ("/dev/fuse", "/dev/loop-control"):
        try:
            os.close(os.open(path, os.O_RDWR))
        except OSError as error:
            return f"{path}: {error.strerror}"
    return None


@contextlib.contextmanager
def mounted(image: Path, where: Path):
    """Mounts an image; the kernel frees the loop device with its last user."""
    run("mount", "-o", "loop", image, where)
    try:
        yield
    finally:
        run("umount", where)


class RecordedDisk:
    """An ext4 in `folder`, mounted at `where` with its owner and mode; its initial content comes from `setup`."""

    def __init__(self, folder: Path, where: Path, setup) -> None:
        self.folder, self.where = folder, where
        image = folder / "base.img"
        with image.open("wb") as file:
            file.truncate(SIZE)
        run("mkfs.ext4", "-q", "-F", image)
        before = where.stat()
        with mounted(image, where):
            os.chown(where, before.st_uid, before.st_gid)
            os.chmod(where, stat.S_IMODE(before.st_mode))
            self.made = setup()
        self.base = image.read_bytes()

    def record(self, change) -> list[Write]:
        """Records the writes of `change`, sets ``answered`` to their number, and then records those of a sync."""
        disk, log, export = (self.folder / name for name in ("disk.img", "log.img", "export"))
        disk.write_bytes(self.base)
        with log.open("wb") as file:
            file.truncate(LOG_SIZE)
        export.touch()
        daemon = subprocess.Popen(
            [
                "qemu-storage-daemon",
                *("--blockdev", f"driver=file,filename={disk},node-name=disk"),
                *("--blockdev", f"driver=file,filename={log},node-name=log"),
                *("--blockdev", "driver=raw,file=disk,node-name=raw"),
                *("--blockdev", "driver=blklogwrites,file=raw,log=log,log-super-update-interval=1,node-name=recorded"),
                *("--export", f"fuse,id=export,node-name=recorded,mountpoint={export},writable=on"),
            ]
        )
        try:
            deadline = time.monotonic() + 20
            while export.stat().st_size != SIZE:
                assert daemon.poll() is None and time.monotonic() < deadline, "qemu-storage-daemon exports no disk"
                time.sleep(0.02)
            with mounted(export, self.where):
                first = len(self._read(log))
                change()
                self.answered = len(self._read(log)) - first
                run("sync", "-f", self.where)
                writes = self._read(log)[first:]
            # The writes of the mount itself are part of the base.
            image = bytearray(self.base)
            for write in self._read(log)[:first]:
                write.apply(image)
            self.base = bytes(image)
            return writes
        finally:
            run("umount", export, status=None)
            daemon.terminate()
            daemon.wait(20)

    @staticmethod
    def _read(log: Path) -> list[Write]:
        """Parses a log of dm-log-writes (Documentation/admin-guide/device-mapper/log-writes.rst)."""
        content = log.read_bytes()
        magic, _, count, sector = struct.unpack_from("<QQQI", content)
        if magic != MAGIC:
            return []
        writes, at = [], sector
        for _ in range(count):
            start, length, flags, _ = struct.unpack_from("<QQQQ", content, at)
            at += sector
            data = None
            if length and not flags & DISCARD:
                data = content[at : at + length * sector]
                at += length * sector
            writes.append(Write(start * sector, length * sector, data, bool(flags & FLUSH)))
        return writes

    def cuts(self, writes: list[Write]):
        """The disk after a power loss at any moment.

        Every prefix of the writes; the same without unflushed writes; the last write torn after each of its first
        sectors, and with only every other sector.
        """
        seen = set()

        def new(image: bytearray, count: int, is_scrambled: bool, what: str):
            content = bytes(image)
            after = count >= self.answered
            # Equal disks with equal expectations are tested once.
            if (key := (content, after)) in seen:
                return
            seen.add(key)
            yield Cut(content, after, is_scrambled, f"{what} {count} of {len(writes)} writes")

        flushed = bytearray(self.base)
        image = bytearray(self.base)
        yield from new(image, 0, False, "before")
        for count, write in enumerate(writes, 1):
            sectors = write.length // SECTOR
            for torn in range(1, min(sectors, 8)):
                half = bytearray(image)
                write.apply(half, set(range(torn)))
                yield from new(half, count - 1, False, f"sectors 0 to {torn - 1} of the last, after")
            if 1 < sectors:
                half = bytearray(image)
                write.apply(half, set(range(1, sectors, 2)))
                yield from new(half, count - 1, True, "every other sector of the last, after")
            write.apply(image)
            if write.is_flush:
                flushed = bytearray(image)
            yield from new(image, count, False, "after")
            yield from new(flushed, count, False, "only what was flushed of")

    @contextlib.contextmanager
    def as_cut(self, cut: Cut):
        """Mounts the disk after the power loss."""
        image = self.folder / "cut.img"
        image.write_bytes(cut.image)
        with mounted(image, self.where):
            yield
