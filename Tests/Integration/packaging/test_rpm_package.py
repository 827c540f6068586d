"""The RPM packages: contents, reproducibility, and their life in a Debian root with rpm and authselect."""

import gzip
import json
import re
import shutil
import stat
import time
from pathlib import Path

import pytest
from rig.clean_root import CleanRoot, require_root
from rig.machine import CHECKOUT
from rig.package_builds import build, build_elsewhere, install_list, version
from rig.process import run
from rig.ssh import Client

MODULES = "/usr/lib64/security"
HELPER, POLICY = "usr/libexec/twofactor/twofactor-helper", "usr/share/selinux/packages/twofactor.cil"
REGISTER, STORE = "var/lib/twofactor/enrolled", "var/lib/twofactor/users"


@pytest.fixture(scope="module")
def packages(tmp_path_factory) -> dict:
    """The packages by name."""
    return {path.name.rsplit("-", 2)[0]: path for path in build("rpm", tmp_path_factory.mktemp("rpm"))}


def test_rpmlint_reports_nothing(packages):
    said = run("rpmlint", "-c", CHECKOUT / "pam/rpm/rpmlint.toml", *packages.values()).stdout
    assert "2 packages and 0 specfiles checked; 0 errors, 0 warnings" in said


def owned_folder(path: str) -> bool:
    return bool(re.match(r"/usr/(libexec|share/doc|share/licenses)/twofactor", path))


@pytest.mark.parametrize("name", ["twofactor", "twofactor-store-postgresql"])
def test_the_files_are_those_of_the_install_list(packages, tmp_path, name):
    """With content, mode, owner, and the flags for configuration files, documents and licenses."""
    expected = install_list("rpm", name, MODULES)
    query = r"[%{FILENAMES}\t%{FILEMODES:octal}\t%{FILEUSERNAME}:%{FILEGROUPNAME}\t%{FILEFLAGS:fflags}\n]"
    lines = run("rpm", "-qp", "--qf", query, packages[name]).stdout.splitlines()
    found = {path: rest for path, *rest in (line.split("\t") for line in lines)}
    folders = {path for path, (mode, *_) in found.items() if stat.S_ISDIR(int(mode, 8))}
    assert all(owned_folder(path) and found[path][:2] == ["40755", "root:root"] for path in folders)
    sbom = {f"/usr/share/doc/{name}/{name}.spdx.json"}
    assert found.keys() - folders == expected.keys() | sbom
    # Every folder that only this package has.
    parents = {str(path) for each in found for path in Path(each).parents if owned_folder(str(path))}
    assert folders == {path for path in parents if name == "twofactor" or "libexec" not in path}

    run("bsdtar", "-xf", packages[name], "-C", tmp_path)
    for path, file in expected.items():
        mode, owner, flags = found[path]
        setgid = file.kind == "setgid"
        assert int(mode, 8) == stat.S_IFREG | file.mode | (stat.S_ISGID if setgid else 0), path
        assert owner == ("root:_twofactor" if setgid else "root:root"), path
        kept = {"config": "cn", "page": "d"}.get(file.kind, "d" if "/share/doc/" in path else "")
        assert flags == ("l" if "/licenses/" in path else kept), path
        content = (tmp_path / path[1:]).read_bytes()
        assert (gzip.decompress(content) if file.kind == "page" else content) == file.source.read_bytes(), path


@pytest.mark.parametrize("name", ["twofactor", "twofactor-store-postgresql"])
def test_the_license_is_the_one_that_the_sbom_concludes(packages, name):
    """The same in PKGBUILD."""
    document = run("bsdtar", "-xOf", packages[name], f"./usr/share/doc/{name}/{name}.spdx.json").stdout
    concluded = json.loads(document)["packages"][0]["licenseConcluded"]
    assert run("rpm", "-qp", "--qf", "%{LICENSE}", packages[name]).stdout == concluded
    assert f"license=('{concluded}')" in (CHECKOUT / "pam/arch/PKGBUILD").read_text()


def test_the_packages_are_the_same_from_another_folder_user_and_time_zone(packages, tmp_path):
    for path in build_elsewhere("rpm", tmp_path):
        assert path.read_bytes() == packages[path.name.rsplit("-", 2)[0]].read_bytes(), path.name
    query = "%{BUILDHOST} %{BUILDTIME} %{PACKAGER} [%{FILEMTIMES} ]"
    host, built, *packager, _ = run("rpm", "-qp", "--qf", query, packages["twofactor"]).stdout.split(" ", 4)
    assert (host, built, packager) == ("twofactor", "1700000000", ["A", "B"])


def test_the_requirements_are_complete():
    """The libraries that the command loads, by name, because rpm finds only those that it links."""
    specification = (CHECKOUT / "pam/rpm/twofactor.spec").read_text()
    row = re.search(r"(?m)^\| `twofactor` \|(.*)$", (CHECKOUT / "pam/hosts.md").read_text())[1]
    # libpam is linked by the module, libcrypto by the package for PostgreSQL; PSKC files are seldom encrypted.
    loaded = set(re.findall(r"`(lib\S+)`", row)) - {"libpam.so.0", "libcrypto.so.3"}
    assert loaded and all(f"{name}()(64bit)" in specification for name in loaded)


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["--help"], 0, "Usage: scripts/support/rpm-package VERSION OUTPUT"),
        (["1.0"], 64, "Usage:"),
        (["1.0-2", "/tmp/x"], 1, "rpm-package: invalid version of an RPM package: 1.0-2"),
    ],
)
def test_wrong_arguments_have_a_clear_answer(arguments, status, text):
    done = run(CHECKOUT / "scripts/support/rpm-package", *arguments, status=status)
    assert text in done.stdout + done.stderr


class Host(CleanRoot):
    """The root, with the rpm inside it."""

    def rpm(self, *words: str, expect: int | None = 0) -> str:
        # rpm's plugins need a root of a mount namespace. The libraries are packages of Debian.
        options = [] if words[0] == "-q" else ["--nodeps"]
        return self.run("rpm", "--noplugins", "--dbpath", "/var/lib/rpm", *options, *words, expect=expect)

    def bring(self, name: str, path) -> str:
        shutil.copy(path, self.path / "tmp" / name)
        return f"/tmp/{name}"

    def state(self) -> list[str]:
        paths = [f"/{HELPER}", "/var/lib/twofactor", f"/{REGISTER}", f"/{STORE}"]
        return self.run("stat", "-c", "%U:%G %a", *paths).splitlines()

    def program(self, name: str, text: str) -> None:
        path = self.path / "usr/sbin" / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)


@pytest.fixture(scope="module")
def host(request, tmp_path_factory):
    """One root; the tests below use it one after the other."""
    require_root("trixie-rpm", request)
    with Host("trixie-rpm", tmp_path_factory.mktemp("roots"), 22905) as host:
        # Records what the scriptlets do to the SELinux policy.
        for folder in ("etc/authselect", "etc/selinux"):
            (host.path / folder).mkdir(exist_ok=True)
        (host.path / "etc/selinux/config").write_text("SELINUX=enforcing\nSELINUXTYPE=targeted\n")
        (host.path / "var/lib/selinux/targeted/active").mkdir(parents=True)
        for name in ("semodule", "selinuxenabled", "load_policy", "restorecon"):
            host.program(name, f'echo {name} "$@" >>/tmp/recorded')
        yield host


def recorded(host) -> list[str]:
    """The calls of programs of SELinux and systemd since the last time."""
    record = host.path / "tmp/recorded"
    lines = record.read_text().splitlines() if record.exists() else []
    record.unlink(missing_ok=True)
    return lines


def other_package(folder: Path, name: str, files: dict[str, str]) -> Path:
    """A package of another name with files of one line."""
    lines = [f"Name: {name}", "Version: 1", "Release: 1", "Summary: x", "License: x", "BuildArch: noarch"]
    lines += ["%description", "x", "%install"]
    for path, text in files.items():
        lines += [f"mkdir -p %{{buildroot}}{path.rpartition('/')[0]}", f"echo '{text}' >%{{buildroot}}{path}"]
    lines += ["%files", *files]
    (folder / f"{name}.spec").write_text("\n".join(lines) + "\n")
    run("rpmbuild", "-bb", "--quiet", "--define", f"_topdir {folder}", folder / f"{name}.spec")
    return folder / f"RPMS/noarch/{name}-1-1.noarch.rpm"


READY = ["root:_twofactor 2755", "root:root 755", "root:_twofactor 1730", "root:_twofactor 1730"]


def test_nothing_is_installed_without_the_group(host, packages):
    """rpm would give the helper, with its set-group-ID bit, to the group root."""
    groupadd = host.path / "usr/sbin/groupadd"
    groupadd.rename(groupadd.with_suffix(".kept"))
    host.program("groupadd", "exit 1")
    said = host.rpm("-i", host.bring("twofactor.rpm", packages["twofactor"]), expect=1)
    assert "twofactor: cannot create the group _twofactor" in said
    assert not (host.path / HELPER).exists()
    groupadd.with_suffix(".kept").rename(groupadd)


def test_no_register_is_created_on_an_unmounted_mount_point_which_stays(host):
    table = host.path / "etc/fstab"
    table.write_text("/dev/absent /var/lib/twofactor ext4 noauto 0 0\n")
    said = host.rpm("-i", "/tmp/twofactor.rpm")
    assert "twofactor: /var/lib/twofactor is not mounted: mount it, and run: twofactor doctor" in said
    mount_point = host.path / "var/lib/twofactor"
    assert not mount_point.exists()
    mount_point.mkdir()
    host.rpm("-e", "twofactor")
    assert mount_point.exists()
    mount_point.rmdir()
    table.unlink()
    recorded(host)


def test_installing_creates_group_register_and_host_store(host, packages):
    before = {path.name: path.read_bytes() for path in (host.path / "etc/pam.d").iterdir()}
    host.rpm("-i", "/tmp/twofactor.rpm", host.bring("store.rpm", packages["twofactor-store-postgresql"]))
    assert host.state() == READY
    assert host.rpm("-V", "twofactor", "twofactor-store-postgresql") == ""
    after = {path.name: path.read_bytes() for path in (host.path / "etc/pam.d").iterdir()}
    assert after.pop("twofactor") and after == before
    assert recorded(host) == [
        f"semodule -n -s targeted -X 200 -i /{POLICY}", "selinuxenabled", "load_policy",
        "restorecon -RF /usr/bin/twofactor", "restorecon -RF /var/lib/twofactor",
    ]  # fmt: skip
    assert host.run("twofactor", "--version").strip() == version()
    # Debian's libpam searches another folder than Fedora's.
    link = next(host.path.glob("usr/lib/*/security")) / "pam_twofactor.so"
    link.symlink_to(f"{MODULES}/pam_twofactor.so")


def test_the_profiles_are_written_when_authselect_is_installed(host, tmp_path):
    vendor = host.path / "usr/share/authselect/vendor"
    assert not list(vendor.glob("twofactor-*"))
    host.rpm("-i", host.bring("authselect.rpm", other_package(tmp_path, "authselect", {})))
    names = {path.name for path in (host.path / "usr/share/authselect/default").iterdir()}
    assert {path.name for path in vendor.iterdir()} == {f"twofactor-{name}" for name in names}


FEATURES = [
    "", "with-faillock", "without-nullok with-gssapi with-systemd-homed",
    "with-smartcard-required with-pam-gnome-keyring",
]  # fmt: skip


def test_authselect_generates_the_same_files_without_the_feature(host):
    """The real authselect, version 1.5."""
    pairs = [(profile, words) for profile in ("local", "nis", "sssd", "winbind") for words in FEATURES]
    names = [f"{prefix}{profile} --all {words}" for profile, words in pairs for prefix in ("", "twofactor-")]
    script = "".join(f"authselect test {name}; echo; echo --\n" for name in names)
    generated = host.run("sh", "-c", script).split("\n--\n")
    for number, pair in enumerate(pairs):
        assert "pam_unix.so" in generated[2 * number] and generated[2 * number] == generated[2 * number + 1], pair
    listed = host.run("authselect", "list-features", "twofactor-sssd").split()
    assert {"with-twofactor", "with-twofactor-enroll", "without-twofactor-nullok", "with-sudo"} <= set(listed)


def test_a_user_logs_in_with_password_and_code_after_the_feature_was_selected(host, password):
    """su through the stack that authselect writes; a wrong password is refused without a question for a code."""
    bob, alice = host.add_account("bob", password), host.add_account("alice", password)
    host.run("authselect", "select", "twofactor-local", "with-twofactor", "without-twofactor-nullok", "--force")
    lines = ["auth sufficient pam_rootok.so", *(f"{kind} include system-auth" for kind in ("auth", "account"))]
    (host.path / "etc/pam.d/su").write_text("\n".join(lines) + "\nsession required pam_unix.so\n")
    authenticator = host.enroll(alice)
    su = ["chroot", str(host.path), "runuser", "-u", bob.name, "--", "su", alice.name, "-c", "echo logged in"]

    class Su(Client):
        REFUSED = "Authentication failure"

    client = Su(su)
    client.answer(client.PASSWORD, password)
    client.answer(client.CODE, authenticator.code_at(time.time()))
    assert client.is_let_in()
    client = Su(su)
    client.answer(client.PASSWORD, password + "x")
    assert client.expect(client.CODE, client.REFUSED) == client.REFUSED
    statuses = host.doctor(expect=None)
    assert statuses["pam_stacks"] == {"ok"} and "pam_requisite" not in statuses


def test_a_service_with_a_single_password_field_is_named(host, tmp_path):
    cups = other_package(tmp_path, "cups", {"/etc/pam.d/cups": "auth include system-auth"})
    said = host.rpm("-i", host.bring("cups.rpm", cups))
    assert "twofactor: the programs of these services have a single password field: cups\n" in said
    host.rpm("-e", "cups")


def test_a_changed_configuration_file_survives_an_upgrade(host, tmp_path):
    """And the register, the group and the mode of the helper."""
    settings = host.path / "etc/security/twofactor.conf"
    settings.write_text(settings.read_text() + "# mine\n")
    entries = host.registered()
    later = {path.name.rsplit("-", 2)[0]: path for path in build("rpm", tmp_path, f"{version()}+later")}
    paths = [host.bring(f"later-{name}.rpm", path) for name, path in later.items()]
    recorded(host)
    host.rpm("-U", *paths)
    assert f"twofactor-{version()}+later-1" in host.rpm("-q", "twofactor")
    assert settings.read_text().endswith("# mine\n")
    assert host.state() == READY and host.registered() == entries != []
    # The scriptlets of the older version removed nothing.
    assert not any("-r twofactor" in line for line in recorded(host))
    assert (host.path / "usr/share/authselect/vendor/twofactor-sssd/system-auth").exists()
    assert host.doctor(expect=None)["pam_stacks"] == {"ok"}


def test_an_older_series_is_refused_before_anything_changes(host):
    """A downgrade within a series is not."""
    command = host.path / "usr/bin/twofactor"
    kept = command.read_bytes()
    major, minor, *_ = version().split(".")
    command.write_text(f"#!/bin/sh\necho {major}.{int(minor) + 1}.0\n")
    said = host.rpm("-U", "--oldpackage", "/tmp/twofactor.rpm", expect=1)
    assert "twofactor: nothing has changed; to install the older version, remove twofactor first" in said
    assert "+later" in host.rpm("-q", "twofactor") and command.read_text().startswith("#!")
    command.write_bytes(kept)
    host.rpm("-U", "--oldpackage", "/tmp/twofactor.rpm", "/tmp/store.rpm")
    assert "+later" not in host.rpm("-q", "twofactor") and host.state() == READY


def test_removing_is_refused_while_a_stack_names_the_module(host):
    said = host.rpm("-e", "twofactor", expect=1)
    assert re.search(r"(?m)^/etc/authselect/system-auth:\d+:auth .*pam_twofactor", said)
    assert "twofactor: run authselect disable-feature with-twofactor, or select another profile" in said
    assert (host.path / MODULES[1:] / "pam_twofactor.so").exists() and host.state() == READY
    host.run("authselect", "select", "local", "--force")
    stack = host.path / "etc/pam.d/other"
    for text, expect in {
        "auth required pam_twofactor.so\n": 1, "auth required \\\n  pam_twofactor.so nullok\n": 1,
        f"auth required {MODULES}/pam_twofactor.so\n": 1,
    }.items():  # fmt: skip
        stack.write_text(text)
        said = host.rpm("-e", "twofactor", expect=expect)
        assert "/etc/pam.d/other:" in said and (host.path / HELPER).exists()
    stack.rename(stack.with_suffix(".rpmsave"))
    stack.with_suffix(".rpmsave").write_text("# auth required pam_twofactor.so\n")


def test_removing_stops_the_timers_and_keeps_a_register_with_users(host):
    (host.path / "run/systemd/system").mkdir(parents=True)
    host.program("systemctl", 'echo systemctl "$@" >>/tmp/recorded')
    recorded(host)
    said = host.rpm("-e", "twofactor", "twofactor-store-postgresql")
    assert f"twofactor: kept /{REGISTER}, because it names users who are enrolled" in said
    *stopped, policy, _, _, _ = recorded(host)
    assert stopped == [f"systemctl --no-reload disable --now twofactor-{name}.timer" for name in ("doctor", "metrics")]
    assert policy == "semodule -n -s targeted -X 200 -r twofactor"
    assert not (host.path / "usr/share/authselect/vendor").exists()
    assert (host.path / "etc/security/twofactor.conf.rpmsave").read_text().endswith("# mine\n")
    for folder in ("libexec", "share/doc", "share/licenses"):
        assert not (host.path / "usr" / folder / "twofactor").exists()
    # Installed again, without the users, and removed.
    host.rpm("-i", "/tmp/twofactor.rpm")
    assert host.state() == READY and len(host.registered()) == 1
    host.run("twofactor", "disable", "--user", "alice")
    host.rpm("-e", "twofactor")
    assert not (host.path / "var/lib/twofactor").exists()
