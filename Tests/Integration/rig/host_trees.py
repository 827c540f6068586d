"""Host trees for `twofactor doctor --root`: PAM and SSH configurations as distributions ship them."""

import os
import re
import shutil
from pathlib import Path

from .machine import CHECKOUT, PRODUCT, modules_directory

COMMON_AUTH = """\
auth\t[success=1 default=ignore]\tpam_unix.so nullok
auth\trequisite\t\t\tpam_deny.so
auth\trequired\t\t\tpam_permit.so
"""

DEBIAN_SSHD = """\
@include common-auth
account    required     pam_nologin.so
@include common-account
session [success=ok ignore=ignore module_unknown=ignore default=bad]        pam_selinux.so close
session    required     pam_loginuid.so
session    optional     pam_keyinit.so force revoke
@include common-session
session    optional     pam_motd.so  motd=/run/motd.dynamic
@include common-password
"""

DEBIAN_SSHD_CONFIG = """\
Include /etc/ssh/sshd_config.d/*.conf
#PermitRootLogin prohibit-password
#PasswordAuthentication yes
KbdInteractiveAuthentication no
UsePAM yes
X11Forwarding yes
PrintMotd no
AcceptEnv LANG LC_*
Subsystem\tsftp\t/usr/lib/openssh/sftp-server
"""

PASSWD = """\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
alice:x:4201:4201:Alice:/home/alice:/bin/bash
"""

REGISTER = "var/lib/twofactor/enrolled"
STORE = "var/lib/twofactor/users"
HELPER = "usr/libexec/twofactor/twofactor-helper"
REGISTER_GROUP = 990
GROUP = f"root:x:0:\nalice:x:4201:\nstaff:x:50:alice\n_twofactor:x:{REGISTER_GROUP}:\n"

DEBIAN_12 = {
    "etc/debian_version": "12.8\n",
    "etc/pam.d/common-auth": COMMON_AUTH,
    "etc/pam.d/common-account": "account [success=1 new_authtok_reqd=done default=ignore] pam_unix.so\n"
    "account requisite pam_deny.so\naccount required pam_permit.so\n",
    "etc/pam.d/common-session": "session [default=1] pam_permit.so\nsession requisite pam_deny.so\n"
    "session required pam_permit.so\nsession required pam_unix.so\n",
    "etc/pam.d/common-password": "password [success=1 default=ignore] pam_unix.so obscure yescrypt\n"
    "password requisite pam_deny.so\npassword required pam_permit.so\n",
    "etc/pam.d/sshd": DEBIAN_SSHD,
    "etc/pam.d/su": "auth       sufficient pam_rootok.so\nsession    required   pam_env.so readenv=1\n"
    "@include common-auth\n@include common-account\n@include common-session\n",
    "etc/pam.d/sudo": "#%PAM-1.0\nsession    required   pam_limits.so\n@include common-auth\n@include common-account\n",
    "etc/pam.d/login": "auth       optional   pam_faildelay.so  delay=3000000\nauth       requisite  pam_nologin.so\n"
    "@include common-auth\nauth       optional   pam_group.so\n@include common-account\n",
    "etc/pam.d/other": "@include common-auth\n@include common-account\n"
    "@include common-password\n@include common-session\n",
    "etc/ssh/sshd_config": DEBIAN_SSHD_CONFIG,
}

DEBIAN_13 = {
    **DEBIAN_12,
    "etc/pam.d/common-auth": COMMON_AUTH + "auth\toptional\t\t\tpam_cap.so \n",
    "etc/pam.d/login": "auth       optional   pam_faildelay.so  delay=3000000\nauth       requisite  pam_nologin.so\n"
    "auth       required   pam_securetty.so\n@include common-auth\n-auth       optional   pam_group.so\n",
    "usr/lib/pam.d/vendor": "auth required pam_deny.so\n",
}

# Fedora, profile "sssd" of authselect, from the profile and the manual.
FEDORA = {
    "etc/os-release": "ID=fedora\n",
    "etc/pam.d/password-auth": """\
auth        required                                     pam_env.so
auth        required                                     pam_faildelay.so delay=2000000
auth        [default=1 ignore=ignore success=ok]         pam_usertype.so isregular
auth        [default=1 ignore=ignore success=ok]         pam_localuser.so
auth        sufficient                                   pam_unix.so nullok
auth        [default=1 ignore=ignore success=ok]         pam_usertype.so isregular
auth        sufficient                                   pam_sss.so forward_pass
auth        required                                     pam_deny.so
account     required                                     pam_unix.so
""",
    "etc/pam.d/postlogin": "session     optional                   pam_umask.so silent\n",
    "etc/pam.d/sshd": """\
#%PAM-1.0
auth       substack     password-auth
auth       include      postlogin
account    required     pam_sepermit.so
account    required     pam_nologin.so
account    include      password-auth
""",
    "etc/pam.d/su": "auth\t\tsufficient\tpam_rootok.so\n"
    "auth\t\tsubstack\tpassword-auth\nauth\t\tinclude\t\tpostlogin\n",
    "etc/ssh/sshd_config": "Include /etc/ssh/sshd_config.d/*.conf\nAuthorizedKeysFile .ssh/authorized_keys\n",
    "etc/ssh/sshd_config.d/50-redhat.conf": "SyslogFacility AUTHPRIV\nChallengeResponseAuthentication no\nUsePAM yes\n",
}

# Arch Linux, from pambase.
ARCH = {
    "etc/os-release": "ID=arch\n",
    "etc/pam.d/system-auth": """\
#%PAM-1.0

auth       required                    pam_faillock.so      preauth
# Optionally use requisite above if you do not want to prompt for the password
# on locked accounts.
-auth      [success=2 default=ignore]  pam_systemd_home.so
auth       [success=1 default=bad]     pam_unix.so          try_first_pass nullok
auth       [default=die]               pam_faillock.so      authfail
auth       optional                    pam_permit.so
auth       required                    pam_env.so
auth       required                    pam_faillock.so      authsucc
# If you drop the above call to pam_faillock.so the lock will be done also
# on non-consecutive authentication failures.
""",
    "etc/pam.d/system-login": "auth       required   pam_shells.so\nauth       requisite  pam_nologin.so\n"
    "auth       include    system-auth\n",
    "etc/pam.d/system-remote-login": "auth      include   system-login\n",
    "etc/pam.d/sshd": "#%PAM-1.0\n\nauth      include   system-remote-login\naccount   include   system-remote-login\n",
    "etc/ssh/sshd_config": "Include /etc/ssh/sshd_config.d/*.conf\n",
    "etc/ssh/sshd_config.d/99-archlinux.conf": "KbdInteractiveAuthentication no\nUsePAM yes\nPrintMotd no\n",
}

# openSUSE Tumbleweed, which ships its files below /usr.
SUSE = {
    "etc/os-release": 'ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"\n',
    "usr/lib/pam.d/common-auth": "auth\trequired\tpam_env.so\t\nauth\toptional\tpam_gnome_keyring.so\n"
    "auth\trequired\tpam_unix.so\ttry_first_pass \n",
    "usr/lib/pam.d/sshd": "#%PAM-1.0\nauth        requisite   pam_nologin.so\nauth        include     common-auth\n",
    "usr/etc/ssh/sshd_config": "Include /etc/ssh/sshd_config.d/*.conf\n"
    "Include /usr/etc/ssh/sshd_config.d/*.conf\nUsePAM yes\n",
}

STOCK = {"Debian 12": DEBIAN_12, "Debian 13": DEBIAN_13, "Fedora": FEDORA, "Arch": ARCH, "openSUSE": SUSE}

LINE = "auth required pam_twofactor.so nullok\n"

# The additions that the manual tells the administrator to make.
SSHD_SETTINGS = {
    "etc/ssh/sshd_config.d/10-twofactor.conf": "KbdInteractiveAuthentication yes\nPasswordAuthentication no\n"
}

MODULES = "usr/lib/x86_64-linux-gnu/security"


def after(text: str, line: str, addition: str) -> str:
    """The text with an addition after the line that begins with `line`."""
    lines = text.splitlines(keepends=True)
    index = next(index for index, each in enumerate(lines) if each.startswith(line))
    return "".join([*lines[: index + 1], addition, *lines[index + 1 :]])


def good(base=None) -> dict[str, str | None]:
    """A host without findings."""
    base = dict(base or DEBIAN_12)
    if "etc/pam.d/common-auth" in base:
        base["etc/pam.d/sshd"] = after(base["etc/pam.d/sshd"], "@include common-auth", LINE)
    return {**base, **SSHD_SETTINGS}


def build(root: Path, files: dict[str, str | None], *, installed: bool = True) -> Path:
    """Writes a tree; `installed` adds the files of the package."""
    (root / MODULES).mkdir(parents=True)
    shutil.copy(modules_directory() / "pam_unix.so", root / MODULES)
    for name in modules_in(files):
        (root / MODULES / name).touch()
    tree: dict[str, str | None] = {"etc/passwd": PASSWD, "etc/group": GROUP}
    if installed:
        make_directories(root)
        shutil.copy(PRODUCT / "pam_twofactor.so", root / MODULES)
        (root / MODULES / "pam_twofactor.so").chmod(0o644)
        tree["etc/pam.d/twofactor"] = (CHECKOUT / "pam/service/twofactor").read_text()
    for name, text in {**tree, **files}.items():
        if text is None:
            continue
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    home = root / "home/alice"
    home.mkdir(parents=True, exist_ok=True)
    os.chown(home, 4201, 4201)
    (root / "root").mkdir(mode=0o700)
    return root


def modules_in(files: dict[str, str | None]) -> set[str]:
    """The modules that stacks name. Doctor treats a missing module as libpam does."""
    texts = [text or "" for name, text in files.items() if "pam.d/" in name]
    names = {"pam_permit.so", "pam_deny.so", *re.findall(r"\bpam_\w+\.so\b", "\n".join(texts))}
    return names - {"pam_unix.so", "pam_twofactor.so", "pam_missing.so"}


def make_directories(root: Path) -> None:
    """The register, the host store and the helper."""
    for path in (REGISTER, STORE):
        (root / path).mkdir(parents=True)
        change(root, path, mode=0o1730, owner=0, group=REGISTER_GROUP)
    (root / HELPER).parent.mkdir(parents=True)
    (root / HELPER).touch()
    change(root, HELPER, mode=0o2755, owner=0, group=REGISTER_GROUP)


def change(
    root: Path, path: str, *, mode: int | None = None, owner: int | None = None, group: int | None = None
) -> None:
    """Changes a file of the tree. Its group is that of the owner unless `group` names another one."""
    if owner is not None:
        os.chown(root / path, owner, owner if group is None else group)
    if mode is not None:
        (root / path).chmod(mode)
