"""Stacks of distributions with the rule of pam_twofactor in each place, sensible or not."""

from .host_trees import ARCH, COMMON_AUTH, DEBIAN_12, FEDORA, SSHD_SETTINGS, SUSE

RULES = {
    "required": "auth required pam_twofactor.so",
    "with nullok": "auth required pam_twofactor.so nullok",
    "requisite": "auth requisite pam_twofactor.so nullok",
    "sufficient": "auth sufficient pam_twofactor.so nullok",
    "optional": "auth optional pam_twofactor.so",
    "with a jump": "auth [success=1 default=ignore] pam_twofactor.so",
    "with forward_pass": "auth required pam_twofactor.so forward_pass nullok",
}

SSSD = """\
auth\t[success=2 default=ignore]\tpam_unix.so nullok
auth\t[success=1 default=ignore]\tpam_sss.so use_first_pass
auth\trequisite\t\t\tpam_deny.so
auth\trequired\t\t\tpam_permit.so
auth\toptional\t\t\tpam_cap.so
"""

AUTH = "etc/pam.d/common-auth"

HOSTS = {
    "Debian": (DEBIAN_12, AUTH),
    "Debian's sshd": (DEBIAN_12, "etc/pam.d/sshd"),
    "Debian's su": (DEBIAN_12, "etc/pam.d/su"),
    "Debian with SSSD": ({**DEBIAN_12, AUTH: SSSD}, AUTH),
    "Fedora": (FEDORA, "etc/pam.d/password-auth"),
    "Fedora's sshd": (FEDORA, "etc/pam.d/sshd"),
    "Arch": (ARCH, "etc/pam.d/system-auth"),
    "Arch's sshd": (ARCH, "etc/pam.d/sshd"),
    "openSUSE": (
        {**SUSE, AUTH: SUSE["usr/lib/pam.d/common-auth"], "usr/lib/pam.d/common-auth": None},
        AUTH,
    ),
}


def trees() -> dict[str, dict[str, str | None]]:
    """A host for each rule in each place of a file."""
    all_trees = {}
    for host, (base, path) in HOSTS.items():
        lines = base[path].splitlines()
        # Lines for other facilities follow the last place.
        places = [index for index, line in enumerate(lines) if line.lstrip("-").startswith(("auth", "@include common-auth"))]
        for place in [*places, places[-1] + 1]:
            for kind, rule in RULES.items():
                text = "\n".join([*lines[:place], rule, *lines[place:]]) + "\n"
                all_trees[f"{host}, {kind} in line {place + 1}"] = {**base, **SSHD_SETTINGS, path: text}
    return all_trees
