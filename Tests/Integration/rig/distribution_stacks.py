"""The auth stacks that distributions ship, and pam_twofactor in all places of them.

Debian: the profiles of its packages in /usr/share/pam-configs, and pam-auth-update. Fedora and RHEL: the profiles of
authselect 1.5, and the services of the packages. Arch: pambase. openSUSE: pam-config. Alpine: linux-pam.
"""

import itertools
import re
from dataclasses import dataclass

# Priority, type, first lines, later lines; one list if they are the same.
DEBIAN_PROFILES: dict[str, tuple] = {
    "unix": (256, "Primary", ["[success=end default=ignore]\tpam_unix.so nullok"],
             ["[success=end default=ignore]\tpam_unix.so nullok try_first_pass"]),
    "krb5": (704, "Primary", ["[success=end default=ignore]\tpam_krb5.so minimum_uid=1000"],
             ["[success=end default=ignore]\tpam_krb5.so minimum_uid=1000 try_first_pass"]),
    "winbind": (192, "Primary",
                ["[success=end default=ignore]\tpam_winbind.so krb5_auth krb5_ccache_type=FILE cached_login"],
                ["[success=end default=ignore]\tpam_winbind.so krb5_auth krb5_ccache_type=FILE cached_login"
                 " try_first_pass"]),
    "sss": (128, "Primary", ["[success=end default=ignore]\tpam_sss.so forward_pass"],
            ["[success=end default=ignore]\tpam_sss.so use_first_pass"]),
    "ldap": (128, "Primary", ["[success=end default=ignore]\tpam_ldap.so minimum_uid=1000"],
             ["[success=end default=ignore]\tpam_ldap.so minimum_uid=1000 use_first_pass"]),
    "radius": (129, "Primary", ["[success=end default=ignore]    pam_radius_auth.so"],
               ["[success=end default=ignore]    pam_radius_auth.so use_first_pass"]),
    "fprintd": (260, "Primary", ["[success=end default=ignore]\tpam_fprintd.so max-tries=1 timeout=10 # debug"]),
    "pam_script": (257, "Primary", ["sufficient                      pam_script.so"]),
    "pam_shield": (128, "Primary", ["optional pam_shield.so"]),
    "fscrypt": (100, "Additional", ["optional\tpam_fscrypt.so"]),
    "libpam-mount": (128, "Additional", ["optional\tpam_mount.so"]),
    "ecryptfs-utils": (0, "Additional", ["required\tpam_ecryptfs.so unwrap"]),
    "capability": (0, "Additional", ["optional\t\t\tpam_cap.so"]),
    "afs-session": (64, "Additional", ["optional\t\t\tpam_afs_session.so"]),
    "duo-unix": (100, "Additional", ["[success=ok default=bad]\t\tpam_duo.so"]),
    "twofactor": (128, "Additional", ["required\tpam_twofactor.so nullok"]),
}

DEBIAN_SETS = [
    ["unix"], ["unix", "capability"], ["unix", "sss", "capability"], ["unix", "ldap"], ["unix", "krb5"],
    ["unix", "winbind"], ["unix", "krb5", "ldap", "capability"], ["unix", "radius"], ["unix", "fprintd"],
    ["unix", "fprintd", "sss", "capability"], ["unix", "pam_script"], ["unix", "pam_shield"], ["sss"], ["ldap", "krb5"],
    ["unix", "fscrypt"], ["unix", "libpam-mount", "capability"], ["unix", "ecryptfs-utils"],
    ["unix", "afs-session", "krb5"],
    ["unix", "duo-unix"], ["unix", "twofactor"], ["unix", "twofactor", "sss"], ["unix", "twofactor", "ecryptfs-utils"],
    ["capability"], ["unix", "winbind", "sss", "fscrypt", "capability"],
]


def profile_text(name: str) -> str:
    """The profile as a file of /usr/share/pam-configs."""
    priority, kind, first, *later = DEBIAN_PROFILES[name]
    text = f"Name: {name}\nDefault: no\nPriority: {priority}\nAuth-Type: {kind}\n"
    lines = later[0] if later else first
    text += "Auth:\n" + "".join(f"\t{line}\n" for line in lines)
    return text + ("Auth-Initial:\n" + "".join(f"\t{line}\n" for line in first) if later else "")


def common_auth(names: list[str]) -> str:
    """The auth lines that pam-auth-update generates for a set of profiles."""
    ordered = sorted(names, reverse=True)
    ordered.sort(key=lambda name: -DEBIAN_PROFILES[name][0])

    def block(kind: str, less: int) -> list[str]:
        chosen = [DEBIAN_PROFILES[name] for name in ordered if DEBIAN_PROFILES[name][1] == kind]
        lines = [
            line
            for index, (_, _, first, *later) in enumerate(chosen)
            for line in (later[0] if later and index else first)
        ]
        return [
            "auth\t" + line.replace("success=end", f"success={len(lines) - less - index}")
            for index, line in enumerate(lines)
        ]

    primary = block("Primary", 0) or ["auth\t[default=1]\t\t\tpam_permit.so"]
    rest = ["auth\trequisite\t\t\tpam_deny.so", "auth\trequired\t\t\tpam_permit.so", *block("Additional", 1)]
    return "".join(line + "\n" for line in primary + rest)


DEBIAN_SERVICES = {
    "sshd": "@include common-auth\n",
    "login": "auth       optional   pam_faildelay.so  delay=3000000\nauth       requisite  pam_nologin.so\n"
    "@include common-auth\nauth       optional   pam_group.so\n",
    "su": "auth       sufficient pam_rootok.so\n@include common-auth\n",
    "sudo": "#%PAM-1.0\nsession    required   pam_limits.so\n@include common-auth\n",
    "lightdm": "auth      requisite pam_nologin.so\n@include common-auth\nauth  optional pam_gnome_keyring.so\n"
    "auth  optional pam_kwallet5.so\n",
    "chsh": "auth       required   pam_shells.so\nauth\t\tsufficient\tpam_rootok.so\n@include common-auth\n",
}

# authselect: lines with the features that include or exclude them.
FEDORA_U2F = """\
auth        sufficient                                   pam_u2f.so cue    {include if "with-pam-u2f"}
auth  required  pam_u2f.so cue {if not "without-pam-u2f-nouserok":nouserok} {include if "with-pam-u2f-2fa"}
"""
FEDORA_HEAD = """\
auth        required                                     pam_env.so
auth        required                                     pam_faildelay.so delay=2000000
{denied}auth        required                       pam_faillock.so preauth silent {include if "with-faillock"}
"""
FEDORA_TAIL = """\
auth        required                                     pam_faillock.so authfail {include if "with-faillock"}
auth        optional     pam_gnome_keyring.so only_if=login auto_start {include if "with-pam-gnome-keyring"}
auth        required                                     pam_deny.so
"""
FEDORA_UNIX = """\
auth        sufficient                                   pam_unix.so {if not "without-nullok":nullok}
auth        sufficient                                   pam_systemd_home.so {include if "with-systemd-homed"}
"""
FEDORA_FINGERPRINT = 'auth        sufficient                   pam_fprintd.so {include if "with-fingerprint"}\n'
FEDORA_REGULAR = "auth        [default=1 ignore=ignore success=ok]         pam_usertype.so isregular\n"

AUTHSELECT = {
    "local/password-auth": FEDORA_HEAD + FEDORA_U2F + FEDORA_UNIX + FEDORA_TAIL,
    "local/system-auth": FEDORA_HEAD + FEDORA_FINGERPRINT + FEDORA_U2F + FEDORA_UNIX + FEDORA_TAIL,
    "nis/system-auth": FEDORA_HEAD + FEDORA_FINGERPRINT + FEDORA_U2F + FEDORA_UNIX + FEDORA_TAIL,
    "winbind/system-auth": FEDORA_HEAD + FEDORA_FINGERPRINT + FEDORA_U2F + FEDORA_UNIX + FEDORA_REGULAR
    + 'auth        sufficient      pam_winbind.so {if "with-krb5":krb5_auth} use_first_pass\n' + FEDORA_TAIL,
    "sssd/password-auth": FEDORA_HEAD.replace(
        "{denied}", 'auth  required  pam_deny.so # Smartcard required {include if "with-smartcard-required"}\n'
    ) + FEDORA_U2F + FEDORA_REGULAR
    + "auth        [default=1 ignore=ignore success=ok]         pam_localuser.so\n" + FEDORA_UNIX + FEDORA_REGULAR
    + "auth        sufficient                                   pam_sss.so forward_pass\n" + FEDORA_TAIL,
    "sssd/system-auth": FEDORA_HEAD
    + "auth        [success=1 default=ignore]   pam_succeed_if.so service notin login:gdm:xdm:kdm:kde:xscreensaver:"
    'gnome-screensaver:kscreensaver quiet use_uid {include if "with-smartcard-required"}\n'
    "auth        [success=done ignore=ignore default=die]     pam_sss.so require_cert_auth ignore_authinfo_unavail "
    '{include if "with-smartcard-required"}\n' + FEDORA_FINGERPRINT + FEDORA_U2F + FEDORA_REGULAR
    + 'auth        [default=1 ignore=ignore success=ok]         pam_localuser.so {exclude if "with-smartcard"}\n'
    'auth        [default=2 ignore=ignore success=ok]         pam_localuser.so {include if "with-smartcard"}\n'
    "auth        [success=done authinfo_unavail=ignore user_unknown=ignore ignore=ignore default=die] pam_sss.so "
    'try_cert_auth {include if "with-smartcard"}\n' + FEDORA_UNIX
    + 'auth        [default=1 ignore=ignore success=ok]         pam_usertype.so isregular {include if "with-gssapi"}\n'
    'auth        sufficient                                   pam_sss_gss.so {include if "with-gssapi"}\n'
    + FEDORA_REGULAR + "auth        sufficient                                   pam_sss.so forward_pass\n"
    + FEDORA_TAIL,
    "fingerprint-auth": 'auth required pam_debug.so auth=authinfo_unavail {exclude if "with-fingerprint"}\n'
    "auth        required                                     pam_env.so\n"
    'auth        required                     pam_faillock.so preauth silent {include if "with-faillock"}\n'
    "auth        [success=done default=bad]                   pam_fprintd.so\n" + FEDORA_TAIL,
}
FEATURES = [
    (), ("with-faillock",), ("without-nullok",), ("with-fingerprint",), ("with-pam-u2f",), ("with-pam-u2f-2fa",),
    ("with-pam-u2f-2fa", "without-pam-u2f-nouserok"), ("with-systemd-homed",), ("with-smartcard",),
    ("with-smartcard", "with-smartcard-required"), ("with-gssapi",), ("with-pam-gnome-keyring", "with-faillock"),
    ("with-krb5",),
]


def authselect(name: str, features: tuple[str, ...]) -> str:
    return rendered(AUTHSELECT[name].replace("{denied}", ""), features)


def rendered(template: str, features: tuple[str, ...]) -> str:
    """The file that authselect generates from a template, as authselect-profiles(5) says."""

    def holds(expression: str) -> bool:
        # The operators have the names of Python's.
        return eval(re.sub(r'"([^"]+)"', lambda found: str(found[1] in features), expression))

    lines = []
    for line in template.splitlines():
        condition = re.search(r"\{(include|exclude) if ([^}]*)\}", line)
        if condition and holds(condition[2]) != (condition[1] == "include"):
            continue
        line = re.sub(r"\{(include|exclude) if [^}]*\}", "", line)
        line = re.sub(r"\{if ([^}:]*):([^}]*)\}", lambda found: found[2] if holds(found[1]) else "", line)
        lines.append(line.rstrip() + "\n")
    return "".join(lines)


FEDORA_POSTLOGIN = "auth        optional                   pam_ecryptfs.so unwrap\n"
FEDORA_SERVICES = {
    "sshd": "#%PAM-1.0\nauth       substack     BASE\nauth       include      postlogin\n",
    "su": "auth\t\tsufficient\tpam_rootok.so\nauth\t\tsubstack\tBASE\nauth\t\tinclude\t\tpostlogin\n",
    "sudo": "auth       include      BASE\n",
    "login": "auth       substack     BASE\nauth       include      postlogin\n",
    "su-wheel": "auth\t\tsufficient\tpam_rootok.so\nauth\t\trequired\tpam_wheel.so use_uid\nauth\t\tsubstack\tBASE\n",
}

ARCH_SYSTEM = """\
auth       required                    pam_faillock.so      preauth
-auth      [success=2 default=ignore]  pam_systemd_home.so
auth       [success=1 default=bad]     pam_unix.so          try_first_pass nullok
auth       [default=die]               pam_faillock.so      authfail
auth       optional                    pam_permit.so
auth       required                    pam_env.so
auth       required                    pam_faillock.so      authsucc
"""
ARCH_LOGIN = "auth       required   pam_shells.so\nauth       requisite  pam_nologin.so\nauth       include    BASE\n"
ARCH_SERVICES = {
    "sshd": "#%PAM-1.0\n\nauth      include   BASE\n",
    "su": "auth            sufficient      pam_rootok.so\nauth            required        pam_unix.so\n",
    "sudo": "auth\t\tinclude\t\tBASE\n",
    "login": ARCH_LOGIN,
}

SUSE_HEAD = "auth\trequired\tpam_env.so\t\n"
SUSE = {
    "plain": SUSE_HEAD + "auth\toptional\tpam_gnome_keyring.so\nauth\trequired\tpam_unix.so\ttry_first_pass \n",
    "sss": SUSE_HEAD + "auth\tsufficient\tpam_unix.so\ttry_first_pass \nauth\trequired\tpam_sss.so\tuse_first_pass \n",
    "krb5": SUSE_HEAD
    + "auth\tsufficient\tpam_unix.so\ttry_first_pass \nauth\trequired\tpam_krb5.so\tuse_first_pass \n",
    "winbind": SUSE_HEAD
    + "auth\tsufficient\tpam_unix.so\ttry_first_pass \nauth\trequired\tpam_winbind.so\tuse_first_pass \n",
    "ldap": SUSE_HEAD
    + "auth\tsufficient\tpam_unix.so\ttry_first_pass \nauth\trequired\tpam_ldap.so\tuse_first_pass \n",
    "fingerprint": SUSE_HEAD + "auth\tsufficient\tpam_fprintd.so\t\nauth\trequired\tpam_unix.so\ttry_first_pass \n",
}
SUSE_SERVICES = {
    "sshd": "#%PAM-1.0\nauth        requisite   pam_nologin.so\nauth        include     BASE\n",
    "login": "auth     requisite\tpam_nologin.so\nauth     include\tBASE\n",
    "su": "auth     sufficient     pam_rootok.so\nauth     include        BASE\n",
    "sudo": "auth     substack       BASE\n",
}

ALPINE = "auth\trequired\tpam_env.so\nauth\trequired\tpam_nologin.so\tsuccessok\nauth\trequired\tpam_unix.so\tnullok\n"
ALPINE_SERVICES = {
    "sshd": "auth\t\tinclude\t\tBASE\n",
    "login": "auth\t\trequired\tpam_securetty.so\nauth\t\tinclude\t\tBASE\n",
    "su": "auth\t\tsufficient\tpam_rootok.so\nauth\t\tinclude\t\tBASE\n",
}


@dataclass(frozen=True)
class Stack:
    """A service and the file that it includes."""

    label: str
    service: str
    base: str


def shipped() -> list[Stack]:
    """Every service with every base; `BASE` is the name of the included file."""
    stacks = []
    for number, names in enumerate(DEBIAN_SETS):
        services = DEBIAN_SERVICES if number < 3 else {name: DEBIAN_SERVICES[name] for name in ("sshd", "su")}
        for name, text in services.items():
            text = text.replace("common-auth", "BASE")
            stacks.append(Stack(f"Debian {'+'.join(names)} {name}", text, common_auth(names)))
    for profile, features in itertools.product(AUTHSELECT, FEATURES):
        base = authselect(profile, features)
        services = FEDORA_SERVICES if not features else {"sshd": FEDORA_SERVICES["sshd"]}
        if features and base == authselect(profile, ()):
            continue
        for name, text in services.items():
            text = text.replace("auth       include      postlogin\n", FEDORA_POSTLOGIN)
            text = text.replace("auth\t\tinclude\t\tpostlogin\n", "")
            stacks.append(Stack(f"Fedora {profile} {' '.join(features)} {name}", text, base))
    stacks += [Stack(f"Arch {name}", text, ARCH_SYSTEM) for name, text in ARCH_SERVICES.items()]
    for (base, text), (name, service) in itertools.product(SUSE.items(), SUSE_SERVICES.items()):
        stacks.append(Stack(f"openSUSE {base} {name}", service, text))
    stacks += [Stack(f"Alpine {name}", text, ALPINE) for name, text in ALPINE_SERVICES.items()]
    return stacks


CONTROLS = (
    "required", "requisite", "sufficient", "optional", "[success=1 default=ignore]", "[success=ok default=die]",
    "[success=done ignore=ignore default=bad]", "[success=ok ignore=ignore auth_err=die default=bad]",
    "[default=ignore]",
)
ARGUMENTS = (
    "nullok", "", "nullok forward_pass", "forward_pass", "nullok try_first_pass", "nullok use_first_pass",
    "try_first_pass forward_pass nullok", "use_first_pass forward_pass",
)


def variants(stack: Stack) -> list[Stack]:
    """The stack without pam_twofactor, and with it in every place of both files."""
    found = [stack]
    number = sum(map(ord, stack.label))
    sensible = ("required pam_twofactor.so nullok", "required pam_twofactor.so", "requisite pam_twofactor.so nullok")
    for part in ("service", "base"):
        lines = getattr(stack, part).splitlines(keepends=True)
        for at in range(len(lines) + 1):
            number += 1
            control, arguments = CONTROLS[number * 7 % len(CONTROLS)], ARGUMENTS[number * 3 % len(ARGUMENTS)]
            for line in (sensible[number % len(sensible)], f"{control} pam_twofactor.so {arguments}"):
                text = "".join([*lines[:at], f"auth {line}\n", *lines[at:]])
                label = f"{stack.label}: {line} at {at} of {part}"
                found.append(
                    Stack(label, text, stack.base) if part == "service" else Stack(label, stack.service, text)
                )
    for one, other in (("substack", "include"), ("include", "substack")):
        swapped = stack.service.replace(one, other)
        if "@" not in stack.service and swapped != stack.service:
            line = "auth required pam_twofactor.so nullok\n"
            found.append(Stack(f"{stack.label}: {other} for {one}, line at the end", swapped + line, stack.base))
            found.append(Stack(f"{stack.label}: {other} for {one}, line at the start", line + swapped, stack.base))
    # The line of hosts.md for single-field programs, before the password.
    for arguments in ("use_first_pass", ""):
        base = "auth required pam_twofactor.so forward_pass nullok\n" + re.sub(
            r"(pam_unix\.so.*)", rf"\1 {arguments}", stack.base
        )
        found.append(Stack(f"{stack.label}: forward_pass first, pam_unix {arguments}", stack.service, base))
    return found


def calls(*texts: str) -> list[list[str]]:
    """The modules of the auth lines, each with its arguments."""
    found = []
    for text in texts:
        for line in text.splitlines():
            line = line.partition("#")[0].strip()
            matched = re.match(r"-?auth\s+(\[[^]]*\]|\S+)\s+(\S+\.so)(.*)", line)
            if matched:
                found.append([matched[2], *matched[3].split()])
    return found
