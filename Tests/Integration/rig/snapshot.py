"""A copy of a user's home that a test restores repeatedly."""

import shutil
import subprocess


class Snapshot:
    def __init__(self, account, folder) -> None:
        self.home = account.home
        self.copy = folder / account.name
        subprocess.run(["cp", "-a", self.home, self.copy], check=True, timeout=20)

    def restore(self) -> None:
        for path in self.home.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        subprocess.run(["cp", "-a", f"{self.copy}/.", self.home], check=True, timeout=20)
