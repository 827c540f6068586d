"""The same products give the same packages everywhere, and the build ID depends on no path.

scripts/support/compare-builds, which scripts/release --check runs, also compiles twice.
"""

import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
from rig.machine import CHECKOUT, PRODUCT, add_account
from rig.process import run

COMPARE = CHECKOUT / "scripts/support/compare-builds"
NAMES = ["pam_twofactor.so", "twofactor", "twofactor-helper", "twofactor-store-postgresql"]
UNSTRIPPED = {
    "pam_twofactor.so": "embedded/release/libpam_twofactor.so",
    "twofactor": "ordinary/release/twofactor",
    "twofactor-helper": "embedded/release/twofactor-helper",
    "twofactor-store-postgresql": "store/release/twofactor-store-postgresql",
}
# Of the machine that built Swift's library, and of homes that eCryptfs encrypts.
KNOWN_HOMES = re.compile(rb"/home/(build-user/swift|\.ecryptfs/)")


def copy(folder):
    """Copies the checkout with the products, without the history."""
    ignored = shutil.ignore_patterns(".build", ".git", ".swiftpm", "__pycache__", ".pytest_cache", "vendor")
    shutil.copytree(CHECKOUT, folder, ignore=ignored, copy_function=shutil.copy)
    packages = shutil.ignore_patterns("*.deb", "*.rpm", "*.dsc", "*.tar.*", "*.pkg.*")
    shutil.copytree(PRODUCT, folder / ".build/product", ignore=packages, copy_function=shutil.copy)


def package(folder, output, user=None, **environment):
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "SOURCE_DATE_EPOCH": "1700000000",
        "DEBFULLNAME": "Maintainer",
        "DEBEMAIL": "maintainer@example.org",
        # Compressing would take most of the time.
        "DPKG_DEB_COMPRESSOR_LEVEL": "0",
        **environment,
    }
    output.mkdir(mode=0o755)
    if user is not None:
        run("chown", "-R", f"{user.name}:", folder, output)
    words = ["scripts/package", "--no-build", "--output", output]
    run(*words, user=user, environment=variables, cwd=folder, umask=0o077 if user else 0o022, timeout=400)


@pytest.fixture(scope="module")
def packaged(tmp_path_factory):
    """The folders with the packages of two users."""
    work = tmp_path_factory.mktemp("reproducible")
    first, second = work / "first", work / "second/in/a-folder-with-a-longer-name/checkout"
    for folder in (first, second):
        copy(folder)
    run("chmod", "-R", "go=", second)
    for folder in (*second.parents[:3], work, *work.parents[:-2]):
        folder.chmod(0o755)
    run("localedef", "-i", "tr_TR", "-f", "UTF-8", work / "tr_TR.UTF-8")
    turkish = {"TZ": "<+14>-14", "LOCPATH": str(work), "LC_ALL": "tr_TR.UTF-8"}
    with ThreadPoolExecutor() as threads:
        runs = [
            threads.submit(package, first, work / "one", TZ="UTC", LC_ALL="C"),
            threads.submit(package, second, work / "two", add_account("packager"), **turkish),
        ]
        for each in runs:
            each.result()
    return work / "one", work / "two"


def test_the_same_products_give_the_same_packages(packaged):
    names = [path.name.split("_")[0] for path in sorted(packaged[0].iterdir())]
    assert names == ["twofactor-store-postgresql", "twofactor"]
    run(COMPARE, "--compare", *packaged)


def test_the_comparison_notices_each_difference(packaged, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    for name, change in {
        "one bit": lambda file: file.write_bytes(file.read_bytes()[:-1] + bytes([file.read_bytes()[-1] ^ 1])),
        "one byte less": lambda file: file.write_bytes(file.read_bytes()[:-1]),
        "missing": lambda file: file.unlink(),
        "another name": lambda file: file.rename(file.with_name("other")),
    }.items():
        for folder in (first, second):
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(PRODUCT / "completions", folder)
        change(second / "twofactor.fish")
        for folders in ((first, second), (second, first)):
            said = run(COMPARE, "--compare", *folders, status=1).stderr
            assert "twofactor.fish" in said, (name, said)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no files to compare" in run(COMPARE, "--compare", empty, empty, status=1).stderr


@pytest.mark.parametrize("name", NAMES)
def test_no_product_contains_a_path_of_the_machine_that_built_it(name):
    """The build ID is a hash of the unstripped file, so paths in that file would change the product, too."""
    product, unstripped = PRODUCT / name, CHECKOUT / ".build" / UNSTRIPPED[name]
    build_id = re.compile(r"Build ID: (\w+)")
    found = [build_id.search(run("readelf", "-n", file).stdout)[1] for file in (product, unstripped)]
    assert found[0] == found[1], "the product is not of this checkout: run scripts/build"
    for file in (product, unstripped):
        data = file.read_bytes()
        assert bytes(CHECKOUT) not in data and b".build/" not in data
        homes = re.findall(rb"/home/[\w.-]+[^\0]*", data)
        assert not [home for home in homes if not KNOWN_HOMES.match(home)]
