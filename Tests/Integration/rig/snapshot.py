"""A copy of a user's home, or of the host store, that a test restores repeatedly."""

import shutil

from .process import run


class Snapshot:
    def __init__(self, account, folder, place=None) -> None:
        self.place = place or account.home
        self.copy = folder / account.name
        run("cp", "-a", self.place, self.copy)

    def restore(self) -> None:
        for path in self.place.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        run("cp", "-a", f"{self.copy}/.", self.place)
