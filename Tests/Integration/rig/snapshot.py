"""A copy of a user's home that a test restores repeatedly."""

import shutil

from .process import run


class Snapshot:
    def __init__(self, account, folder) -> None:
        self.home = account.home
        self.copy = folder / account.name
        run("cp", "-a", self.home, self.copy)

    def restore(self) -> None:
        for path in self.home.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        run("cp", "-a", f"{self.copy}/.", self.home)
