"""Access of other users to the folders of pytest, which only root can read."""

from pathlib import Path


def open_to_all(folder: Path) -> None:
    """Lets every user read and search the folder, and the folders above it."""
    for each in (folder, *folder.parents):
        mode = each.stat().st_mode
        if mode & 0o055 != 0o055:
            each.chmod(mode | 0o055)
