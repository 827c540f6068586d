"""Fixtures of the tests of packages: the built packages, and clean roots to install them in."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from rig.clean_root import CleanRoot, require_root
from rig.machine import CHECKOUT
from rig.package_builds import built_package
from rig.packaged_host import PackagedHost, version_of, with_version
from rig.process import run

RELEASES = ["bookworm", "trixie"]
PORTS = itertools.count(22910)


@pytest.fixture(scope="module")
def package() -> Path:
    return built_package()


@pytest.fixture(scope="module")
def store_package(package) -> Path:
    """The package for PostgreSQL of the same version."""
    return package.with_name(package.name.replace("twofactor_", "twofactor-store-postgresql_"))


@pytest.fixture(scope="module")
def other_version(package, tmp_path_factory) -> Callable[[str], Path]:
    """The present products with another version, for tests of dpkg and of the maintainer scripts."""
    folder = tmp_path_factory.mktemp("versions")

    def make(version: str) -> Path:
        path = folder / f"twofactor_{version}.deb"
        return path if path.exists() else with_version(package, version, path)

    return make


@pytest.fixture(scope="module")
def first_release() -> Path:
    """The real package of 0.1.0."""
    architecture = run("dpkg", "--print-architecture").stdout.strip()
    path = CHECKOUT / f".build/older/twofactor_0.1.0_{architecture}.deb"
    assert path.exists(), f"no {path}: run scripts/support/older-package 0.1.0 .build/older"
    return path


@pytest.fixture(scope="module", params=["same products", pytest.param("0.1.0", marks=pytest.mark.slow)])
def older(request, package, tmp_path_factory) -> Path:
    """An older package: the present products with a lower version and other settings, or the real one."""
    if request.param == "0.1.0":
        return request.getfixturevalue("first_release")
    output = tmp_path_factory.mktemp("older") / "older.deb"
    return with_version(package, f"{version_of(package)}~", output, settings="# Settings of an older version.\n")


@pytest.fixture(scope="module")
def new_root(request, tmp_path_factory) -> Iterator[Callable[[str], CleanRoot]]:
    """Makes clean roots of a release, which exist until the end of the file."""
    with ExitStack() as roots:

        def make(release: str) -> CleanRoot:
            require_root(release, request)
            return roots.enter_context(CleanRoot(release, tmp_path_factory.mktemp("roots"), next(PORTS)))

        yield make


@pytest.fixture(scope="module", params=RELEASES)
def root(request, new_root) -> CleanRoot:
    """One root of each release; the tests of a file use it one after the other."""
    root = new_root(request.param)
    root.before = root.files()
    root.stack_before = root.text("etc/pam.d/common-auth")
    root.accounts_before = root.text("etc/pam.d/common-account")
    return root


# Each test of upgrades and downgrades runs in Debian 13, and for a release in both.
HOSTS = [pytest.param("bookworm", marks=pytest.mark.slow), "trixie"]


@pytest.fixture(params=HOSTS)
def host(request, new_host) -> PackagedHost:
    return new_host(request.param)


@pytest.fixture
def new_host(new_root, password) -> Callable[[str], PackagedHost]:
    """Makes hosts of a release, without the package."""
    return lambda release: PackagedHost(new_root(release), password)
