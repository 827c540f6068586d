"""The Arch packages: contents, reproducibility, and their life in a Debian root with pacman."""

import gzip
import re
import shutil
import stat
import tarfile
from pathlib import Path

import pytest
from rig.clean_root import CleanRoot, require_root
from rig.machine import CHECKOUT
from rig.package_builds import build, build_elsewhere, install_list, version
from rig.process import run

MODULES = "/usr/lib/security"
NAMES = ["twofactor", "twofactor-store-postgresql"]
HELPER, REGISTER = "usr/libexec/twofactor/twofactor-helper", "var/lib/twofactor/enrolled"
STORE = "var/lib/twofactor/users"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, Path]:
    """The packages by name, PKGBUILD and twofactor.install."""
    paths = build("arch", tmp_path_factory.mktemp("arch"))
    return {path.name.rsplit("-", 3)[0] if ".pkg." in path.name else path.name: path for path in paths}


@pytest.fixture(scope="module")
def trees(made, tmp_path_factory) -> dict[str, Path]:
    """The packages, unpacked."""
    folders = {}
    for name in NAMES:
        folders[name] = tmp_path_factory.mktemp(name)
        run("bsdtar", "-xf", made[name], "-C", folders[name])
    return folders


def information(tree: Path) -> dict[str, list[str]]:
    """The fields of .PKGINFO."""
    fields: dict[str, list[str]] = {}
    for line in (tree / ".PKGINFO").read_text().splitlines():
        if not line.startswith("#"):
            key, _, value = line.partition(" = ")
            fields.setdefault(key, []).append(value)
    return fields


def files_of(tree: Path) -> dict[str, Path]:
    return {f"/{path.relative_to(tree)}": path for path in tree.rglob("*") if not path.is_dir() and path.parent != tree}


@pytest.mark.parametrize("name", NAMES)
def test_the_files_are_those_of_the_install_list(made, trees, tmp_path, name):
    """With content and mode, of root. The script of the package sets the group of the helper and its bit."""
    expected = install_list("arch", name, MODULES)
    found = files_of(trees[name])
    sbom = {f"/usr/share/doc/{name}/{name}.spdx.json"}
    assert found.keys() == expected.keys() | sbom
    for path, file in expected.items():
        content = found[path].read_bytes()
        assert stat.S_IMODE(found[path].stat().st_mode) == file.mode, path
        assert (gzip.decompress(content) if file.kind == "page" else content) == file.source.read_bytes(), path
    run("zstd", "-q", "-d", made[name], "-o", tmp_path / "package.tar")
    with tarfile.open(tmp_path / "package.tar") as package:
        for member in package.getmembers():
            assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "root", "root"), member.name
            assert member.isreg() or (member.isdir() and member.mode == 0o755), member.name
    kept = sorted(path[1:] for path, file in expected.items() if file.kind == "config")
    assert sorted(information(trees[name]).get("backup", [])) == kept


def test_the_packages_are_the_same_from_another_folder_user_and_time_zone(made, tmp_path):
    """And whether root or a user runs the script."""
    for path in build_elsewhere("arch", tmp_path):
        name = path.name.rsplit("-", 3)[0] if ".pkg." in path.name else path.name
        assert path.read_bytes() == made[name].read_bytes(), name


# Arch's packages of the libraries.
LIBRARIES = {
    r"lib[cm]\.so\.6|ld-linux.*": "glibc", r"libpam\.so\.0": "pam", r"libcrypt\.so\.2": "libxcrypt",
    r"libqrencode\.so\.4": "qrencode", r"libjansson\.so\.4": "jansson", r"libxml2\.so\.16": "libxml2",
    r"lib(ssl|crypto)\.so\.3": "openssl", r"libpq\.so\.5": "postgresql-libs",
}  # fmt: skip


def package_of(library: str) -> str:
    return next(package for pattern, package in LIBRARIES.items() if re.fullmatch(pattern, library))


@pytest.mark.parametrize("name", NAMES)
def test_the_packages_follow_the_rules_of_namcap(trees, name):
    """Those of its rules that matter here: Debian has no package of namcap."""
    tree, fields = trees[name], information(trees[name])
    for path in files_of(tree):
        assert not re.match(r"/(lib|lib64|bin|sbin|opt|var|usr/(local|sbin|lib64|man))/", path)
        assert "/." not in path and path.isascii()
    assert list((tree / f"usr/share/licenses/{name}").iterdir())
    for folder in tree.rglob("*"):
        assert not folder.is_dir() or list(folder.iterdir()), f"{folder} is empty"
        assert not folder.stat().st_mode & 0o022, f"others can write {folder}"
    needed = set()
    for path in files_of(tree).values():
        if path.read_bytes()[:4] == b"\x7fELF":
            dynamic = run("readelf", "--wide", "--dynamic", path).stdout
            assert "RPATH" not in dynamic and "RUNPATH" not in dynamic and "TEXTREL" not in dynamic
            needed |= {package_of(library) for library in re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)}
    depends = {re.split("[<>=]", each)[0] for each in fields["depend"]}
    optional = {each.split(":")[0] for each in fields.get("optdepend", [])}
    # Libraries that the command loads; see the table of the page.
    row = re.search(rf"(?m)^\| `{name}` \|(.*)$", (CHECKOUT / "pam/hosts.md").read_text())[1]
    loaded = set()
    for names in re.findall(r"`(lib\S+?)`(?: or `(lib\S+?)`)?", row):
        loaded.add(package_of(names[1] or names[0]))
    assert needed <= depends
    assert depends | optional == needed | loaded | ({"twofactor"} if name != "twofactor" else set())
    assert fields["arch"] in (["x86_64"], ["aarch64"]) and re.fullmatch(r"[^-:/\s]+-1", fields["pkgver"][0])


def test_makepkg_reads_the_build_file(made, tmp_path):
    """Also for a release, with the checksum of its source."""
    tmp_path.chmod(0o777)
    for name in ("PKGBUILD", "twofactor.install"):
        shutil.copy(made[name], tmp_path)
    words = ["setpriv", "--reuid=games", "--regid=games", "--clear-groups", "makepkg", "--printsrcinfo"]
    said = run(*words, cwd=tmp_path).stdout
    assert "\tarch = x86_64\n\tarch = aarch64\n" in said
    assert f"\tsource = twofactor_{version()}.tar.xz\n\tsha256sums = SKIP\n" in said
    assert re.findall(r"(?m)^pkgname = (.*)$", said) == NAMES
    assert "\tbackup = etc/security/twofactor.conf\n" in said and "\tinstall = twofactor.install\n" in said


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["--help"], 0, "Usage: scripts/support/arch-package VERSION OUTPUT"),
        (["1.0"], 64, "Usage:"),
        (["1.0-2", "/tmp/x"], 1, "arch-package: invalid version of an Arch package: 1.0-2"),
    ],
)
def test_wrong_arguments_have_a_clear_answer(arguments, status, text):
    done = run(CHECKOUT / "scripts/support/arch-package", *arguments, status=status)
    assert text in done.stdout + done.stderr


class Host(CleanRoot):
    """A Debian root with the packages of another pacman."""

    def pacman(self, *words, expect: int | None = 0) -> str:
        settings = self.path / "pacman.conf"
        settings.write_text("[options]\nSigLevel = Never\nArchitecture = auto\n")
        folders = ["--root", self.path, "--dbpath", self.path / "var/lib/pacman", "--cachedir", self.path / "tmp"]
        folders += ["--logfile", self.path / "tmp/pacman.log"]
        (self.path / "var/lib/pacman").mkdir(exist_ok=True)
        # -d twice: the libraries are packages of Debian.
        done = run("pacman", "--config", settings, *folders, "--noconfirm", *words, status=expect)
        return done.stdout + done.stderr

    def state(self) -> list[str]:
        paths = [f"/{HELPER}", "/var/lib/twofactor", f"/{REGISTER}", f"/{STORE}"]
        return self.run("stat", "-c", "%U:%G %a", *paths).splitlines()


@pytest.fixture(scope="module")
def host(request, tmp_path_factory):
    """One root; the tests below use it one after the other."""
    require_root("trixie", request)
    with Host("trixie", tmp_path_factory.mktemp("roots"), 22906) as host:
        yield host


READY = ["root:_twofactor 2755", "root:root 755", "root:_twofactor 1730", "root:_twofactor 1730"]


def test_installing_creates_group_register_and_host_store(host, made):
    (host.path / "etc/pam.d/cups").write_text("auth required pam_unix.so\nauth required pam_twofactor.so\n")
    # Debian's libpam searches another folder than Arch's.
    (next(host.path.glob("usr/lib/*/security")) / "pam_twofactor.so").symlink_to(f"{MODULES}/pam_twofactor.so")
    said = host.pacman("-Udd", made["twofactor"], made["twofactor-store-postgresql"])
    assert host.state() == READY
    assert "twofactor: the programs of these services have a single password field: cups" in said
    (host.path / "etc/pam.d/cups").unlink()
    assert host.run("twofactor", "--version").strip() == version()
    assert "0 altered files" in host.pacman("-Qkk", "twofactor-store-postgresql")


def test_an_upgrade_keeps_a_changed_configuration_file_and_the_group(host, made):
    settings = host.path / "etc/security/twofactor.conf"
    settings.write_text(settings.read_text() + "# mine\n")
    (host.path / HELPER).chmod(0o755)
    host.pacman("-Udd", made["twofactor"])
    assert settings.read_text().endswith("# mine\n") and host.state() == READY


def test_removing_is_refused_while_a_stack_names_the_module(host):
    stack = host.path / "etc/pam.d/su"
    before = stack.read_text()
    stack.write_text(before + "auth required pam_twofactor.so\n")
    said = host.pacman("-Rdd", "twofactor", expect=1)
    line = len(before.splitlines()) + 1
    assert f"/etc/pam.d/su:{line}:auth required pam_twofactor.so" in said
    assert "twofactor: remove those rules first" in said
    assert host.state() == READY and (host.path / MODULES[1:] / "pam_twofactor.so").exists()
    stack.write_text(before)


def test_removing_keeps_a_register_with_users(host, password):
    host.enroll(host.add_account("alice", password))
    said = host.pacman("-R", "-dd", "twofactor", "twofactor-store-postgresql")
    assert f"twofactor: kept /{REGISTER}, because it names users who are enrolled" in said
    assert len(host.registered()) == 1
    for folder in ("libexec/twofactor", "share/doc/twofactor", "share/licenses/twofactor", "share/libalpm/scripts"):
        assert not (host.path / "usr" / folder).exists()
