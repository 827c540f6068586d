"""A folder of a clean root on a file system of its own, which can be filled to the last block or inode."""

import os
import shutil
from pathlib import Path

from .clean_root import CleanRoot
from .process import run

SPARE = 64 << 20
PAGE = 4096


class SmallDisk:
    """A context manager: the folder has the same files, on a tmpfs."""

    def __init__(self, root: CleanRoot, folder: str, aside: Path) -> None:
        """aside: a new folder for a copy of the files"""
        self._path = root.path / folder
        self._aside = aside
        self._fillers = self._path / ".fillers"

    def __enter__(self) -> "SmallDisk":
        run("cp", "-a", self._path, self._aside)
        used = int(run("du", "-s", "-B1", self._aside).stdout.split()[0])
        run("mount", "-t", "tmpfs", "-o", f"mode=755,size={used + SPARE}", "small", self._path)
        run("cp", "-a", f"{self._aside}/.", self._path)
        shutil.rmtree(self._aside)
        return self

    def __exit__(self, *_) -> None:
        run("umount", "-l", self._path)

    def leave(self, unit: str, count: int) -> None:
        """Fills the disk until so many KiB or inodes are free."""
        self._fillers.mkdir()
        if unit == "inodes":
            run("mount", "-o", f"remount,nr_inodes={self._inodes() + count}", self._path)
            return
        with (self._fillers / "file").open("wb", buffering=0) as file:
            disk = os.statvfs(self._path)
            missing = disk.f_bavail * disk.f_frsize - (count << 10)
            os.posix_fallocate(file.fileno(), 0, missing // PAGE * PAGE)

    def _inodes(self) -> int:
        disk = os.statvfs(self._path)
        return disk.f_files - disk.f_ffree

    def free(self) -> None:
        """Makes room again."""
        run("mount", "-o", "remount,nr_inodes=1000000", self._path)
        shutil.rmtree(self._fillers)
