"""Homes that exist without their content: covered, not mounted, or encrypted."""

import contextlib
import fcntl
import os
import struct
from pathlib import Path

from .power import make_nodes
from .process import run


@contextlib.contextmanager
def covered(path: Path, owner=None, mode: str = "755"):
    """Covers a directory with an empty tmpfs of the owner; None for root."""
    ids = f",uid={owner.uid},gid={owner.gid}" if owner else ""
    run("mount", "-t", "tmpfs", "-o", f"mode={mode}{ids}", "cover", path)
    try:
        yield
    finally:
        run("umount", path)


class MountedHome:
    """A home on a disk of its own, above a mount point that belongs to the user, too."""

    def __init__(self, user, folder: Path) -> None:
        self.user = user
        self.path = user.home
        self.image = folder / f"{user.name}.img"
        with self.image.open("wb") as file:
            file.truncate(8 << 20)
        make_nodes()
        run("mkfs.ext4", "-q", "-F", "-O", "encrypt", self.image)

    def mount(self) -> None:
        run("mount", "-o", "loop", self.image, self.path)
        os.chown(self.path, self.user.uid, self.user.gid)

    def unmount(self) -> None:
        run("umount", self.path)


class EncryptedDirectory:
    """A directory that fscrypt encrypts (fscrypt(7), Documentation/filesystems/fscrypt.rst of the kernel)."""

    KEY = bytes([7]) * 64
    ADD_KEY, REMOVE_KEY, SET_POLICY = 0xC0506617, 0xC0406618, 0x800C6613

    def __init__(self, disk: Path, path: Path) -> None:
        """`path` is an empty directory on the file system that is mounted at `disk`."""
        self.disk = disk
        self.identifier = self._add_key()
        aes_256_xts, aes_256_cts = 1, 4
        policy = struct.pack("BBBBB3s16s", 2, aes_256_xts, aes_256_cts, 0, 0, b"", self.identifier)
        self._call(path, self.SET_POLICY, bytearray(policy))

    def unlock(self) -> None:
        self._add_key()

    def lock(self) -> None:
        identifier_type = 2
        argument = struct.pack("II32sI20s", identifier_type, 0, self.identifier.ljust(32, b"\0"), 0, b"")
        self._call(self.disk, self.REMOVE_KEY, bytearray(argument))

    def _add_key(self) -> bytes:
        identifier_type = 2
        argument = struct.pack("II32sIII28s", identifier_type, 0, b"", len(self.KEY), 0, 0, b"") + self.KEY
        return bytes(self._call(self.disk, self.ADD_KEY, bytearray(argument))[8:24])

    @staticmethod
    def _call(path: Path, request: int, argument: bytearray) -> bytearray:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, request, argument)
        finally:
            os.close(descriptor)
        return argument
