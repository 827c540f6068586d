"""scripts/install and scripts/uninstall: on the host, below another root, and over files in use."""

import grp
import os
import re
import subprocess
import threading
from pathlib import Path

import pytest
from rig import machine
from rig.machine import CHECKOUT, PRODUCT, modules_directory
from rig.mounts import covered
from rig.process import run
from rig.register import remove_register

REGISTER, STORE = "var/lib/twofactor/enrolled", "var/lib/twofactor/users"
INSTALLED = [
    "usr/local/bin/twofactor",
    "usr/local/libexec/twofactor/twofactor-helper",
    "usr/lib/sysusers.d/twofactor.conf",
    "usr/lib/tmpfiles.d/twofactor.conf",
    "etc/pam.d/twofactor",
    "etc/fail2ban/filter.d/twofactor.conf",
    "usr/share/pam-configs/twofactor",
    "usr/share/pam-configs/twofactor-enroll",
    "usr/local/share/man/man8/pam_twofactor.8.gz",
    "usr/local/share/man/man1/twofactor.1.gz",
    "usr/local/share/man/man5/twofactor.conf.5.gz",
    "usr/local/share/bash-completion/completions/twofactor",
    "usr/local/share/zsh/site-functions/_twofactor",
    "etc/fish/completions/twofactor.fish",
    "usr/local/share/doc/twofactor/examples/sshd_config.d/twofactor.conf",
    "usr/local/share/doc/twofactor/enrollment-protocol.md",
    "usr/local/share/doc/twofactor/first-login.md",
    "usr/local/share/doc/twofactor/helper-protocol.md",
]


def run_script(script: str, *arguments: str) -> subprocess.CompletedProcess:
    return run(CHECKOUT / "scripts" / script, *map(str, arguments), status=None)


def quietly(script: str, *arguments: str) -> list[str]:
    """Runs a script that warns of nothing, and returns the lines that it prints."""
    done = run_script(script, *arguments)
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout.splitlines()


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir() or path.is_symlink()}


def with_module(root: Path, folder: str, name: str = "pam_unix.so") -> Path:
    """A tree with a PAM module of this processor in a folder."""
    (root / folder).mkdir(parents=True)
    (root / folder / name).write_bytes((modules_directory() / "pam_unix.so").read_bytes())
    return root


@pytest.mark.parametrize("folder", ["usr/lib/x86_64-linux-gnu/security", "usr/lib64/security", "usr/lib/security"])
@pytest.mark.parametrize("other", ["pam_unix.so", "pam_permit.so"])
def test_the_module_is_installed_beside_the_modules_of_the_tree(tmp_path, folder, other):
    root = with_module(tmp_path, folder, other)
    printed = quietly("install", "--destdir", root)
    module = root / folder / "pam_twofactor.so"
    assert printed[0] == f"installed: {module} {root}/usr/local/bin/twofactor; no login has changed yet"
    assert len(printed) == 2 and printed[1].startswith("next, in the tree: groupadd --system _twofactor")
    assert module.read_bytes() == (PRODUCT / "pam_twofactor.so").read_bytes()
    assert module.stat().st_mode & 0o7777 == 0o644
    assert set(INSTALLED) <= files(root)
    # The tree's group may have another number: its own tools set it, and with it the set-group-ID bit.
    assert (root / "usr/local/libexec/twofactor/twofactor-helper").stat().st_mode & 0o7777 == 0o755
    assert (root / "usr/local/bin/twofactor").stat().st_mode & 0o7777 == 0o711
    directories = ("var/lib/twofactor", REGISTER, STORE)
    assert [(root / name).stat().st_mode & 0o7777 for name in directories] == [0o755, 0o1730, 0o1730]
    # The tree's owner of these two is named in the next step.
    assert f" /{REGISTER} /{STORE} " in printed[1]
    quietly("uninstall", "--destdir", root)
    assert not (root / "var").exists()
    assert files(root) == {f"{folder}/{other}"}


def test_systemd_completes_a_tree_and_leaves_enrollments_alone(tmp_path):
    """With the tree's own number of the group, as at its first boot."""
    if run("which", "systemd-sysusers", "systemd-tmpfiles", status=None).returncode:
        pytest.skip("this host has no systemd-sysusers or systemd-tmpfiles")
    quietly("install", "--destdir", tmp_path)
    (tmp_path / STORE).chmod(0o755)
    entry = tmp_path / STORE / "70001"
    entry.mkdir(mode=0o700)
    (entry / "credential").touch(mode=0o600)
    for path in (entry / "credential", entry):
        os.chown(path, 70001, 70001)
        os.utime(path, (0, 0))
    run("systemd-sysusers", f"--root={tmp_path}")
    group = int(re.search(r"(?m)^_twofactor:[^:]*:(\d+):", (tmp_path / "etc/group").read_text())[1])
    words = ("--create", "--remove", "--clean", "--prefix=/var/lib/twofactor")
    run("systemd-tmpfiles", f"--root={tmp_path}", *words)
    for path, owner, mode in (
        (tmp_path / REGISTER, (0, group), 0o1730),
        (tmp_path / STORE, (0, group), 0o1730),
        (entry, (70001, 70001), 0o700),
        (entry / "credential", (70001, 70001), 0o600),
    ):
        found = path.stat()
        assert ((found.st_uid, found.st_gid), found.st_mode & 0o7777) == (owner, mode), path


def test_modules_of_another_processor_are_ignored(tmp_path):
    other = with_module(tmp_path, "usr/lib/other-linux-gnu/security") / "usr/lib/other-linux-gnu/security/pam_unix.so"
    elf = bytearray(other.read_bytes())
    elf[18:20] = b"\x28\x00"
    other.write_bytes(elf)
    root = with_module(tmp_path, "usr/lib/security")
    quietly("install", "--destdir", root)
    assert (root / "usr/lib/security/pam_twofactor.so").exists()


def test_an_empty_tree_gets_the_modules_folder_of_this_host(tmp_path):
    quietly("install", "--destdir", tmp_path)
    assert [path.parent.name for path in tmp_path.rglob("pam_twofactor.so")] == ["security"]
    quietly("uninstall", "--destdir", tmp_path)
    assert files(tmp_path) == set()


def test_uninstalling_restores_the_host(products, request):
    request.addfinalizer(machine.install)  # the other tests go on with it
    remove_register()
    assert quietly("uninstall")[0].startswith("removed: ")
    roots = [Path(name) for name in ("/etc", "/usr/local", "/usr/share/pam-configs", str(modules_directory()))]
    before = {root: files(root) - {"group-", "gshadow-"} for root in roots}
    made, *notes, following = quietly("install")
    # Of the test machine.
    assert len(notes) == 1 and re.match(r"single password field: these services need .*: .*dovecot .*i3lock", notes[0])
    assert made.startswith("installed: ") and "/pam_twofactor.so /usr/local/bin/twofactor; " in made
    assert following.startswith("next: sudo /usr/local/bin/twofactor doctor, ")
    run("twofactor", "--version")
    assert all((Path("/") / name).exists() for name in INSTALLED)
    group = grp.getgrnam("_twofactor").gr_gid
    for name, mode in ((INSTALLED[1], 0o2755), (REGISTER, 0o1730), (STORE, 0o1730)):
        found = Path("/", name).stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (0, group, mode), name
    quietly("install")
    quietly("uninstall")
    assert {root: files(root) - {"group-", "gshadow-"} for root in roots} == before
    assert not Path("/var/lib/twofactor").exists() and run("getent", "group", "_twofactor", status=2)
    assert not Path("/etc/fail2ban/filter.d/twofactor.conf").exists()
    assert quietly("uninstall") == ["nothing to remove: twofactor is not installed"]


def test_a_register_with_users_stays_with_its_group(products, request):
    request.addfinalizer(remove_register)
    request.addfinalizer(machine.install)
    remove_register()
    quietly("install")
    entry = Path("/", REGISTER, "70001")
    entry.touch(mode=0o600)
    gone = run_script("uninstall")
    assert gone.returncode == 0
    assert gone.stderr.startswith("uninstall: kept /var/lib/twofactor/enrolled, which names the enrolled users, ")
    assert entry.exists() and run("getent", "group", "_twofactor")
    quietly("install")
    assert entry.exists() and Path("/", REGISTER).stat().st_mode & 0o7777 == 0o1730


def test_a_host_store_with_enrollments_stays_with_its_group(products, request):
    """And a later installation changes neither owner nor mode of them."""
    request.addfinalizer(remove_register)
    request.addfinalizer(machine.install)
    remove_register()
    quietly("install")
    entry = Path("/", STORE, "70001")
    entry.mkdir(mode=0o700)
    (entry / "credential").touch(mode=0o600)
    for path in (entry, entry / "credential"):
        os.chown(path, 70001, 70001)
    before = [path.stat() for path in (entry, entry / "credential")]
    gone = run_script("uninstall")
    assert gone.returncode == 0
    assert gone.stderr.startswith("uninstall: kept /var/lib/twofactor/users, which contains enrollments, ")
    assert not Path("/", REGISTER).exists() and run("getent", "group", "_twofactor")
    quietly("install")
    after = [path.stat() for path in (entry, entry / "credential")]
    assert [(each.st_uid, each.st_gid, each.st_mode) for each in after] == [
        (each.st_uid, each.st_gid, each.st_mode) for each in before
    ]
    assert Path("/", STORE).stat().st_mode & 0o7777 == 0o1730


def test_no_register_is_created_below_a_mount_point(products, request):
    """While nothing is mounted there, an empty register would say that no user is enrolled."""
    table, parent = Path("/etc/fstab"), Path("/", REGISTER).parent
    before = table.read_bytes() if table.exists() else b""
    request.addfinalizer(remove_register)
    request.addfinalizer(lambda: table.write_bytes(before))
    request.addfinalizer(machine.install)
    remove_register()
    table.write_text(f"/dev/none {parent} ext4 nofail 0 2\n")
    postinst = (CHECKOUT / "pam/debian/twofactor.postinst").read_text().partition('if [ "$1" = configure ]; then\n')[2]
    creation = postinst.partition("  helper=")[0]
    for command in ([CHECKOUT / "scripts/install"], ["sh", "-ec", creation]):
        done = run(*command, status=0)
        assert f": {parent} is not mounted: mount it, and run: " in done.stderr
        assert not Path("/", REGISTER).exists() and not Path("/", STORE).exists()
    with covered(parent):
        quietly("install")
        assert Path("/", REGISTER).exists() and Path("/", STORE).exists()


def test_the_group_of_directories_that_are_not_mounted_stays(products, request):
    """Another group would get its number, and with it the directories."""
    table, parent = Path("/etc/fstab"), Path("/", REGISTER).parent
    before = table.read_bytes() if table.exists() else b""
    request.addfinalizer(machine.install)
    request.addfinalizer(lambda: table.write_bytes(before))
    remove_register()
    parent.mkdir(exist_ok=True)
    table.write_text(f"/dev/none {parent} ext4 nofail 0 2\n")
    gone = run_script("uninstall")
    assert gone.returncode == 0
    assert gone.stderr == f"uninstall: kept the group _twofactor, because {parent} is not mounted\n"
    assert parent.is_dir() and run("getent", "group", "_twofactor")


def test_uninstalling_removes_what_other_tools_made_of_the_files(tmp_path):
    """Links of enabled timers, and profiles of authselect."""
    quietly("install", "--destdir", tmp_path)
    timers = tmp_path / "etc/systemd/system/timers.target.wants"
    timers.mkdir(parents=True)
    for name in ("doctor", "metrics"):
        (timers / f"twofactor-{name}.timer").symlink_to(f"/usr/local/lib/systemd/system/twofactor-{name}.timer")
    profiles = tmp_path / "usr/share/authselect"
    (profiles / "vendor/twofactor-sssd").mkdir(parents=True)
    (profiles / "vendor/twofactor-sssd/README").write_text("see authselect-profiles --help\n")
    (profiles / "default/sssd").mkdir(parents=True)
    (profiles / "default/sssd/README").touch()
    quietly("uninstall", "--destdir", tmp_path)
    assert files(tmp_path) == {"usr/share/authselect/default/sssd/README"}


def test_files_that_the_administrator_changed_stay_and_are_named(tmp_path):
    quietly("install", "--destdir", tmp_path)
    service = tmp_path / "etc/pam.d/twofactor"
    service.write_text("auth required pam_sss.so\n")
    again = run_script("install", "--destdir", tmp_path)
    assert again.returncode == 0 and str(service) in again.stderr
    gone = run_script("uninstall", "--destdir", tmp_path)
    assert gone.returncode == 0 and str(service) in gone.stderr
    assert files(tmp_path) == {"etc/pam.d/twofactor"}


STACKS = {
    "plain": "auth required pam_twofactor.so\n",
    "in brackets": "auth [success=ok default=bad] pam_twofactor.so nullok\n",
    "by its path": "auth required /usr/lib/security/pam_twofactor.so\n",
    "in two lines": "auth required \\\n  pam_twofactor.so nullok\n",
    "before a comment": "auth required pam_twofactor.so# optional later\n",
    "as a bracketed word": "auth required [pam_twofactor.so]\n",
    "before a carriage return": "auth required pam_twofactor.so\r\n",
}


@pytest.mark.parametrize("how", STACKS)
def test_uninstalling_is_refused_while_a_stack_names_the_module(tmp_path, how):
    quietly("install", "--destdir", tmp_path)
    stack = tmp_path / "etc/pam.d/sshd"
    stack.write_text("#%PAM-1.0\n" + STACKS[how])
    before = files(tmp_path)
    refused = run_script("uninstall", "--destdir", tmp_path)
    assert refused.returncode == 1 and f"{stack}, line 2," in refused.stderr
    assert len(refused.stderr.splitlines()) == 1 and "remove that rule first" in refused.stderr
    assert files(tmp_path) == before
    stack.write_text("# auth required pam_twofactor.so\nauth required pam_unix.so # pam_twofactor.so\n")
    (tmp_path / "etc/pam.d/sshd.dpkg-old").write_text(STACKS["plain"])
    quietly("uninstall", "--destdir", tmp_path)


def test_uninstalling_names_both_profiles_while_one_is_enabled(tmp_path):
    quietly("install", "--destdir", tmp_path)
    stack = tmp_path / "etc/pam.d/common-account"
    stack.write_text("account required pam_twofactor.so\n")
    refused = run_script("uninstall", "--destdir", tmp_path)
    assert refused.returncode == 1 and f"{stack}, line 1," in refused.stderr
    assert "run pam-auth-update --disable twofactor twofactor-enroll, " in refused.stderr


def test_the_module_is_never_missing_during_an_install(tmp_path):
    """A reader that opens the module while it is replaced always finds a complete one."""
    quietly("install", "--destdir", tmp_path)
    module = next(tmp_path.rglob("pam_twofactor.so"))
    whole = (PRODUCT / "pam_twofactor.so").read_bytes()
    stop, broken = threading.Event(), []

    def look() -> None:
        while not stop.is_set():
            try:
                if module.read_bytes() != whole:
                    broken.append("half")
            except OSError as error:
                broken.append(str(error))

    looker = threading.Thread(target=look)
    looker.start()
    for _ in range(5):
        quietly("install", "--destdir", tmp_path)
    stop.set()
    looker.join()
    assert broken == []


# scripts/test and scripts/virtual-machine pass unknown options to pytest.
@pytest.mark.parametrize(
    "script",
    "benchmark build check-module clean-root demo dependencies install option-tables package sandbox uninstall".split(),
)
def test_a_script_has_help_and_rejects_a_wrong_option_in_one_line(script):
    assert run_script(script, "--help").stdout.startswith(f"Usage: scripts/{script}")
    wrong = run_script(script, "--wrong")
    assert (wrong.returncode, wrong.stdout) == (64, "")
    assert wrong.stderr == f"{script}: unknown argument --wrong: see scripts/{script} --help\n"


@pytest.mark.parametrize("script", ["clean-root", "dependencies", "sandbox"])
def test_a_script_without_arguments_is_a_usage_error(script):
    nothing = run_script(script)
    assert (nothing.returncode, len(nothing.stderr.splitlines())) == (64, 1)
    assert nothing.stderr.endswith(f" was given: see scripts/{script} --help\n")


@pytest.mark.parametrize("shell,check", [("bash", ["bash", "-n"]), ("zsh", ["zsh", "-n"]), ("fish", ["fish", "-n"])])
def test_the_shell_parses_its_completions(shell, check):
    script = PRODUCT / "completions" / f"twofactor.{shell}"
    assert "backup-codes" in script.read_text()
    if run("which", check[0], status=None).returncode != 0:
        pytest.skip(f"{shell} is not installed here")
    run(*check, script)
