"""Packages that only the sandbox may have, because they change services, accounts or PAM stacks of the machine."""

import functools
import os

from .machine import CHECKOUT
from .process import run


@functools.cache
def install(name: str) -> None:
    """Installs the packages that scripts/dependencies downloaded to `.build/packages/NAME`, until the sandbox ends."""
    folder = CHECKOUT / f".build/packages/{name}"
    packages = sorted(folder.glob("*.deb"))
    assert packages, f"{folder} is empty: run scripts/dependencies test"
    # The triggers of other packages, such as man-db, take seconds.
    words = ("dpkg", "--install", "--force-unsafe-io", "--no-triggers", *packages)
    run(*words, environment={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, timeout=100)
