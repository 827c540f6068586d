"""Correct and broken host trees for the checks of doctor."""

from .host_trees import ARCH, COMMON_AUTH, DEBIAN_12, DEBIAN_13, FEDORA, LINE, SSHD_SETTINGS, SUSE, after, good

SSHD = "etc/pam.d/sshd"
AUTH = "etc/pam.d/common-auth"
CONF = "etc/security/twofactor.conf"
DROP_IN = "etc/ssh/sshd_config.d/10-twofactor.conf"


def with_sshd(text: str, **more: str) -> dict[str, str | None]:
    return {**good(), SSHD: text, **more}


def in_sshd(line: str) -> dict[str, str | None]:
    """Debian's sshd with a line after the password."""
    return with_sshd(after(DEBIAN_12[SSHD], "@include common-auth", line + "\n"))


def with_settings(text: str) -> dict[str, str | None]:
    return {**good(), DROP_IN: text}


def with_settings_and(setting: str, line: str) -> dict[str, str | None]:
    """Debian's sshd with a further setting, and a line after the password."""
    return {**in_sshd(line), DROP_IN: SSHD_SETTINGS[DROP_IN] + setting}


REQUIRING = "auth required pam_twofactor.so require_method=publickey\n"
BOTH = "AuthenticationMethods publickey,keyboard-interactive:pam\n"
UNIX = "auth [success=1 default=ignore] pam_unix.so\nauth requisite pam_deny.so\nauth required pam_permit.so\n"

ACCOUNT = "etc/pam.d/common-account"
ENROLLING = "account required pam_twofactor.so\n"


def enrolling(account: str = ENROLLING + DEBIAN_12[ACCOUNT], policy: str = "enroll = require\n", **more: str):
    """Debian with the profiles of pam-auth-update, and enrollment at login."""
    return {
        **DEBIAN_12, AUTH: COMMON_AUTH + "auth required pam_twofactor.so\n", ACCOUNT: account, CONF: policy,
        **SSHD_SETTINGS, **more,
    }


GOOD = {
    "Debian 12": good(),
    "Debian 13": good(DEBIAN_13),
    "by the profile of pam-auth-update": {**DEBIAN_12, AUTH: COMMON_AUTH + LINE, **SSHD_SETTINGS},
    "Arch": {
        **ARCH,
        SSHD: after(ARCH[SSHD], "auth", LINE),
        **{"etc/ssh/sshd_config.d/10-twofactor.conf": SSHD_SETTINGS[DROP_IN]},
    },
    "a profile of authselect": {
        **FEDORA,
        "etc/pam.d/password-auth": "auth required pam_env.so\n"
        "auth [success=2 new_authtok_reqd=2 default=ignore] pam_unix.so nullok\n"
        "auth [success=1 new_authtok_reqd=1 default=ignore] pam_sss.so forward_pass\n"
        "auth requisite pam_deny.so\nauth required pam_permit.so\n" + LINE,
        SSHD: "auth include password-auth\nauth include postlogin\n",
        "etc/pam.d/su": "auth sufficient pam_rootok.so\nauth include password-auth\n",
        **SSHD_SETTINGS,
    },
    "requisite": in_sshd("auth requisite pam_twofactor.so"),
    "in brackets": in_sshd("auth [success=ok ignore=ignore default=die] pam_twofactor.so nullok"),
    "arguments with blanks": in_sshd("auth required pam_twofactor.so nullok [prompt=Code from the app: ] window=2"),
    "in two lines": in_sshd("auth required \\\n    pam_twofactor.so nullok"),
    "plain requisite password": with_sshd("auth requisite pam_unix.so\n" + LINE),
    "two password modules": with_sshd(
        "auth [success=2 default=ignore] pam_unix.so\nauth [success=1 default=ignore] pam_sss.so use_first_pass\n"
        "auth requisite pam_deny.so\nauth required pam_permit.so\n" + LINE
    ),
    "key and code, no password": {
        **with_sshd(LINE + "auth required pam_permit.so\n"),
        DROP_IN: SSHD_SETTINGS[DROP_IN] + "AuthenticationMethods publickey,keyboard-interactive:pam\n",
    },
    "a required key and a code, no password": {
        **with_sshd(REQUIRING),
        DROP_IN: SSHD_SETTINGS[DROP_IN] + BOTH,
    },
    "a match block that no login reaches": with_settings(
        SSHD_SETTINGS[DROP_IN] + "Match Group staff,!wheel User nobody-*,!nobody-*\n  PasswordAuthentication yes\n"
    ),
    "keys alone in an included block": {
        **with_settings(SSHD_SETTINGS[DROP_IN] + BOTH + "Match Group staff,!wheel\nInclude more.conf\n"),
        "etc/ssh/more.conf": "AuthenticationMethods publickey\n",
    },
    "trusted networks without host names": with_settings_and(
        "UseDNS no\n", "auth required pam_twofactor.so trusted_networks=192.0.2.0/24 grace_period=60"
    ),
    "host names without trusted networks": with_settings(SSHD_SETTINGS[DROP_IN] + "UseDNS yes\n"),
    "the largest window within the bound": in_sshd("auth required pam_twofactor.so window=5 look_ahead=11"),
    "a quoted value": {**good(), CONF: 'issuer = "Host # 1"\n'},
    "keys alone for one user": with_settings(
        SSHD_SETTINGS[DROP_IN]
        + "Match User backup\n  KbdInteractiveAuthentication no\n  AuthenticationMethods publickey\n"
    ),
    "a configuration": {**good(), CONF: "# ours\nissuer = Example Ltd\nwindow = 2\n"},
    "a comment about the module": {
        **good(), "etc/pam.d/sudo": "# auth sufficient pam_twofactor.so\n@include common-auth\n"
    },
    "the host store": {**good(), CONF: "store = host\n"},
    "the host store in the words of directory": {
        **in_sshd("auth required pam_twofactor.so nullok store=host"), CONF: "directory = /var/lib/twofactor/users/%U\n"
    },
    "the host store on a host that creates or hides homes": {
        **good(), CONF: "store = host\n", "etc/pam.d/common-session": "session optional pam_mkhomedir.so\n",
        "usr/lib/systemd/system/ssh.service": "[Service]\nExecStart=/usr/sbin/sshd -D\nProtectHome=yes\n",
    },
    "enrollment at login": enrolling(),
    "an offer until a day, in some networks": enrolling(
        policy="enroll = offer\nenroll_networks = 192.0.2.0/24\nrequired_from = 2099-01-01\nnullok = yes\n"
    ),
    "enrollment after the check of the account": enrolling("account requisite pam_unix.so\n" + ENROLLING),
    "enrollment beside programs that authenticate nobody": enrolling(
        **{"etc/pam.d/cron": "@include common-auth\n@include common-account\n"}
    ),
    "an editor's backup copy": {**good(), "etc/pam.d/sshd~": "auth sufficient pam_twofactor.so\n"},
    "the old name of the setting": {
        **good(), DROP_IN: "ChallengeResponseAuthentication yes\nPasswordAuthentication no\n"
    },
}

SINGLE_FIELD = "auth required pam_twofactor.so forward_pass nullok\nauth required pam_unix.so use_first_pass\n"

# Broken hosts: the tree, the finding, and a part of the remedy.
BROKEN = {
    "sufficient after the password": (
        in_sshd("auth sufficient pam_twofactor.so"),
        ("pam_control", "failed"),
        "in /etc/pam.d/sshd, line 2: auth required pam_twofactor.so",
    ),
    "sufficient before the password": (
        with_sshd("auth sufficient pam_twofactor.so\n" + UNIX),
        ("pam_control", "failed"),
        "behind line 4: auth required pam_twofactor.so",
    ),
    "optional": (
        in_sshd("auth optional pam_twofactor.so"), ("pam_control", "failed"), "auth required pam_twofactor.so"
    ),
    "refusal ignored": (
        in_sshd("auth [success=ok default=ignore] pam_twofactor.so"), ("pam_control", "failed"), "auth required"
    ),
    "throttling ignored": (
        in_sshd("auth [success=ok maxtries=ignore default=die] pam_twofactor.so"),
        ("pam_control", "failed"),
        "auth required",
    ),
    "errors ignored": (
        in_sshd("auth [success=ok authinfo_unavail=ignore ignore=ignore default=bad] pam_twofactor.so"),
        ("pam_control", "failed"),
        "auth required",
    ),
    "configuration errors ignored": (
        in_sshd("auth [success=ok service_err=ignore default=bad] pam_twofactor.so"),
        ("pam_control", "failed"),
        "auth required",
    ),
    "a missing module ignored": (
        in_sshd("auth [success=ok module_unknown=ignore default=bad] pam_twofactor.so"),
        ("pam_control", "failed"),
        "auth required",
    ),
    "a jump on refusal": (
        with_sshd(UNIX + "auth [success=ok auth_err=1 default=bad] pam_twofactor.so\nauth requisite pam_deny.so\n"),
        ("pam_control", "failed"),
        "in /etc/pam.d/sshd, remove line 5: auth requisite pam_deny.so",
    ),
    "before the password": (
        with_sshd(LINE + "@include common-auth\n"),
        ("pam_order", "failed"),
        "in /etc/pam.d/sshd, behind line 2: auth required pam_twofactor.so nullok",
    ),
    "skipped by the password": (
        {
            **DEBIAN_12,
            AUTH: after(COMMON_AUTH.replace("success=1", "success=2"), "auth\t[success", LINE),
            **SSHD_SETTINGS,
        },
        ("pam_bypass", "failed"),
        "auth required pam_twofactor.so",
    ),
    "a jump that skips nothing more": (
        {**DEBIAN_12, AUTH: after(COMMON_AUTH, "auth\t[success", LINE), **SSHD_SETTINGS},
        ("pam_dead_end", "failed"),
        "in /etc/pam.d/common-auth, behind line 4: auth required pam_twofactor.so nullok",
    ),
    "nullok and no other successful module": (
        {**with_sshd(LINE), DROP_IN: SSHD_SETTINGS[DROP_IN] + "AuthenticationMethods publickey,keyboard-interactive\n"},
        ("pam_nullok", "warning"),
        "in /etc/pam.d/sshd, line 1: auth required pam_twofactor.so require_method=publickey",
    ),
    "behind a sufficient password": (
        with_sshd("auth sufficient pam_unix.so\n" + LINE + "auth required pam_deny.so\n"),
        ("pam_bypass", "failed"),
        "in /etc/pam.d/sshd, line 1: auth [success=1 default=ignore] pam_unix.so",
    ),
    "behind a sufficient password that is included": (
        {
            **FEDORA,
            SSHD: "auth include password-auth\n" + LINE,
            **SSHD_SETTINGS,
        },
        ("pam_bypass", "failed"),
        "in /etc/pam.d/password-auth",
    ),
    "one of two passwords bypasses it": (
        with_sshd(
            "auth [success=2 default=ignore] pam_unix.so\nauth sufficient pam_sss.so\n"
            "auth requisite pam_deny.so\nauth required pam_permit.so\n" + LINE
        ),
        ("pam_bypass", "failed"),
        "line 2",
    ),
    "a condition": (
        with_sshd(UNIX + "auth [success=1 default=ignore] pam_succeed_if.so user ingroup staff\n" + LINE),
        ("pam_condition", "warning"),
        "in /etc/pam.d/sshd, remove line 4: auth [success=1 default=ignore] pam_succeed_if.so user ingroup staff",
    ),
    "another sufficient factor": (
        with_sshd("auth sufficient pam_u2f.so\n" + UNIX + LINE), ("pam_alternative", "warning"), "pam_u2f.so"
    ),
    "a jump past the end": (
        with_sshd("auth [success=5 default=ignore] pam_unix.so\nauth requisite pam_deny.so\n" + LINE),
        ("pam_dead_end", "failed"),
        "in /etc/pam.d/sshd, line 1: auth [success=1 default=ignore] pam_unix.so",
    ),
    "the code alone": (with_sshd(LINE), ("pam_code_alone", "failed"), "auth requisite pam_unix.so"),
    "the code alone for su": (
        {**good(), "etc/pam.d/su": "auth sufficient pam_rootok.so\n" + LINE},
        ("pam_code_alone", "failed"),
        "pam_unix.so",
    ),
    "a required password": (
        with_sshd("auth required pam_unix.so\n" + LINE),
        ("pam_requisite", "warning"),
        "in /etc/pam.d/sshd, line 1: auth requisite pam_unix.so",
    ),
    "openSUSE, where the password is required": (
        {**SUSE, SSHD: "auth requisite pam_nologin.so\nauth include common-auth\n" + LINE, **SSHD_SETTINGS},
        ("pam_requisite", "warning"),
        "cp /usr/lib/pam.d/common-auth /etc/pam.d/common-auth\n"
        "in /etc/pam.d/common-auth, line 3: auth requisite pam_unix.so",
    ),
    "openSUSE, whose own file allows password authentication": (
        {
            **SUSE,
            "usr/lib/pam.d/sshd": None,
            SSHD: "auth requisite pam_unix.so\n" + LINE,
            "usr/etc/ssh/sshd_config": SUSE["usr/etc/ssh/sshd_config"] + "PasswordAuthentication yes\n",
        },
        ("ssh_password_authentication", "warning"),
        "in /etc/ssh/sshd_config.d/00-twofactor.conf, before line 1: PasswordAuthentication no",
    ),
    "Fedora, where the password is in a substack": (
        {**FEDORA, SSHD: after(FEDORA[SSHD], "auth       substack", LINE), **SSHD_SETTINGS},
        ("pam_requisite", "warning"),
        "pam_deny.so",
    ),
    "two codes": (
        {**good(), AUTH: COMMON_AUTH + LINE},
        ("pam_twice", "failed"),
        "in /etc/pam.d/sshd, remove line 2: auth required pam_twofactor.so nullok",
    ),
    "nullok overridden": (
        in_sshd("auth [success=ok default=die] pam_twofactor.so nullok"), ("pam_nullok", "warning"),
        "in /etc/pam.d/sshd, line 2: auth [success=ok default=die] pam_twofactor.so",
    ),
    "in the session facility": (
        {**good(), "etc/pam.d/login": DEBIAN_12["etc/pam.d/login"] + "session required pam_twofactor.so\n"},
        ("pam_facility", "failed"),
        "in /etc/pam.d/login, remove line 6: session required pam_twofactor.so",
    ),
    "enrollment without an account rule": (
        enrolling(DEBIAN_12[ACCOUNT]), ("enrollment_bypass", "failed"),
        "in /etc/pam.d/common-account, before line 1: account required pam_twofactor.so",
    ),
    "an offer without an account rule, before the day": (
        enrolling(DEBIAN_12[ACCOUNT], "enroll = offer\nrequired_from = 2099-01-01\n"),
        ("enrollment_bypass", "warning"), "in /etc/pam.d/common-account, before line 1: account required pam_twofactor.so",
    ),
    "enrollment by an argument, without an account rule": (
        in_sshd("auth required pam_twofactor.so enroll=require enroll_networks=192.0.2.0/24"),
        ("enrollment_bypass", "failed"),
        "before line 1: account required pam_twofactor.so enroll=require enroll_networks=192.0.2.0/24",
    ),
    "enrollment that an expired password skips": (
        enrolling(DEBIAN_12[ACCOUNT] + ENROLLING), ("enrollment_bypass", "failed"),
        "in /etc/pam.d/common-account, before line 1: account required pam_twofactor.so",
    ),
    "enrollment that local users skip": (
        enrolling("account sufficient pam_localuser.so\n" + ENROLLING + DEBIAN_12[ACCOUNT]),
        ("enrollment_bypass", "failed"),
        "in /etc/pam.d/common-account, before line 1: account required pam_twofactor.so",
    ),
    "an offer that local users skip": (
        enrolling("account sufficient pam_localuser.so\n" + ENROLLING + DEBIAN_12[ACCOUNT], "enroll = offer\n"),
        ("enrollment_bypass", "warning"),
        "in /etc/pam.d/common-account, before line 1: account required pam_twofactor.so",
    ),
    "enrollment that is optional": (
        enrolling("account optional pam_twofactor.so\n" + DEBIAN_12[ACCOUNT]), ("enrollment_control", "failed"),
        "in /etc/pam.d/common-account, line 1: account required pam_twofactor.so",
    ),
    "enrollment that is sufficient": (
        enrolling("account sufficient pam_twofactor.so\n" + DEBIAN_12[ACCOUNT], "enroll = offer\n"),
        ("enrollment_control", "failed"), "in /etc/pam.d/common-account, line 1: account required pam_twofactor.so",
    ),
    "an account rule without enrollment": (
        enrolling("account required pam_twofactor.so enroll=no\n" + DEBIAN_12[ACCOUNT]),
        ("enrollment_options", "failed"),
        "in /etc/pam.d/common-account, line 1: account required pam_twofactor.so enroll=require",
    ),
    "an account rule that only offers": (
        enrolling("account required pam_twofactor.so enroll=offer\n" + DEBIAN_12[ACCOUNT]),
        ("enrollment_options", "failed"),
        "in /etc/pam.d/common-account, line 1: account required pam_twofactor.so enroll=require",
    ),
    "an account rule that requires more": (
        enrolling("account required pam_twofactor.so enroll=require\n" + DEBIAN_12[ACCOUNT], "enroll = offer\n"),
        ("enrollment_options", "warning"), "auth required pam_twofactor.so enroll=require",
    ),
    "an account rule without effect": (
        enrolling(policy="# no enrollment at login\n"), ("enrollment_options", "warning"),
        "in /etc/pam.d/common-account, remove line 1: account required pam_twofactor.so",
    ),
    "an account rule in the way of a jump": (
        enrolling(
            "account [success=1 default=ignore] pam_unix.so\n" + ENROLLING
            + "account requisite pam_deny.so\naccount required pam_permit.so\n"
        ),
        ("pam_account", "failed"), "in /etc/pam.d/common-account, remove line 2: account required pam_twofactor.so",
    ),
    "enrollment at logins without prompts": (
        {
            **enrolling(), SSHD: SINGLE_FIELD.replace("nullok", "enroll=require")
            + ENROLLING.replace("\n", " enroll=require\n") + DEBIAN_12[ACCOUNT],
            DROP_IN: "KbdInteractiveAuthentication no\n",
        },
        ("ssh_enrollment", "warning"), "KbdInteractiveAuthentication yes",
    ),
    "enrollment before the key": (
        enrolling(**{DROP_IN: SSHD_SETTINGS[DROP_IN] + "AuthenticationMethods keyboard-interactive:pam,publickey\n"}),
        ("ssh_enrollment", "warning"), "line 3: AuthenticationMethods publickey,keyboard-interactive:pam",
    ),
    "too little time to enroll": (
        enrolling(**{DROP_IN: SSHD_SETTINGS[DROP_IN] + "LoginGraceTime 1m\n"}), ("ssh_login_grace_time", "warning"),
        "line 3: LoginGraceTime 120",
    ),
    "a missing include": (
        with_sshd("@include common-auth\n@include common-nothing\n" + LINE), ("pam_syntax", "failed"), "remove line 2"
    ),
    "an include of itself": (
        with_sshd("auth requisite pam_unix.so\n@include sshd\n" + LINE), ("pam_syntax", "failed"), "remove line 2"
    ),
    "an invalid control": (in_sshd("auth requird pam_env.so\n" + LINE), ("pam_syntax", "failed"), "line 2: auth required pam_env.so"),
    "an unknown argument": (
        in_sshd("auth required pam_twofactor.so windows=3"), ("module_arguments", "failed"), "line 2"
    ),
    "an argument out of range": (
        in_sshd("auth required pam_twofactor.so window=99"), ("module_arguments", "failed"), "line 2"
    ),
    "an argument twice": (
        in_sshd("auth required pam_twofactor.so window=1 window=2"), ("module_arguments", "failed"), "line 2"
    ),
    "UsePAM off": (
        {**good(), "etc/ssh/sshd_config": DEBIAN_12["etc/ssh/sshd_config"].replace("UsePAM yes", "UsePAM no")},
        ("ssh_use_pam", "failed"),
        "in /etc/ssh/sshd_config, line 5: UsePAM yes",
    ),
    "UsePAM missing": (
        {**good(), "etc/ssh/sshd_config": "Include /etc/ssh/sshd_config.d/*.conf\n"},
        ("ssh_use_pam", "failed"),
        "UsePAM yes",
    ),
    "no keyboard-interactive": (
        with_settings("PasswordAuthentication no\n"),
        ("ssh_keyboard_interactive", "failed"),
        "in /etc/ssh/sshd_config, line 4: KbdInteractiveAuthentication yes",
    ),
    "no keyboard-interactive in an earlier file": (
        {**good(), "etc/ssh/sshd_config.d/05-first.conf": "KbdInteractiveAuthentication=no\n"},
        ("ssh_keyboard_interactive", "failed"),
        "in /etc/ssh/sshd_config.d/05-first.conf, line 1",
    ),
    "methods without keyboard-interactive": (
        with_settings(SSHD_SETTINGS[DROP_IN] + 'AuthenticationMethods "publickey"\n'),
        ("ssh_keyboard_interactive", "failed"),
        "AuthenticationMethods publickey,keyboard-interactive:pam",
    ),
    "password authentication as well": (
        with_settings("KbdInteractiveAuthentication yes\n"),
        ("ssh_password_authentication", "warning"),
        "PasswordAuthentication no",
    ),
    "root login with a password": (
        with_settings(SSHD_SETTINGS[DROP_IN] + "PermitRootLogin yes\n"),
        ("ssh_root_login", "warning"),
        "in /etc/ssh/sshd_config.d/10-twofactor.conf, line 3: PermitRootLogin prohibit-password",
    ),
    "empty passwords": (
        with_settings(SSHD_SETTINGS[DROP_IN] + "PermitEmptyPasswords yes\n"), ("ssh_empty_passwords", "warning"), "no"
    ),
    "passwords in a match block": (
        with_settings(SSHD_SETTINGS[DROP_IN] + "Match Address 192.0.2.0/24\n  PasswordAuthentication yes\n"),
        ("ssh_match", "warning"),
        "doctor --user",
    ),
    "no service for the command": (
        {**good(), "etc/pam.d/twofactor": None}, ("password_service", "warning"), "auth required pam_unix.so"
    ),
    "a service of the command that asks for a code": (
        {**good(), "etc/pam.d/twofactor": "auth required pam_unix.so\n" + LINE},
        ("password_service", "warning"),
        "in /etc/pam.d/twofactor, remove line 2: auth required pam_twofactor.so nullok",
    ),
    "an empty service of the command": (
        {**good(), "etc/pam.d/twofactor": "# nothing\n"}, ("password_service", "warning"), "auth required pam_unix.so"
    ),
    "a match block without the key, for a stack without a password": (
        {
            **with_sshd(LINE + "auth required pam_permit.so\n"),
            DROP_IN: SSHD_SETTINGS[DROP_IN] + BOTH + "Match User a\n  AuthenticationMethods keyboard-interactive:pam\n",
        },
        ("pam_code_alone", "failed"),
        "in /etc/pam.d/sshd, line 1: auth required pam_twofactor.so require_method=publickey",
    ),
    "a match block in which no login passes the required method": (
        {
            **with_sshd(REQUIRING),
            DROP_IN: SSHD_SETTINGS[DROP_IN]
            + BOTH
            + "Match Address 192.0.2.0/24\n  AuthenticationMethods keyboard-interactive\n",
        },
        ("ssh_required_method", "warning"),
        "line 5: AuthenticationMethods publickey,keyboard-interactive:pam",
    ),
    "a match block that no longer asks for a code": (
        with_settings(SSHD_SETTINGS[DROP_IN] + "Match Host *.example.org\n  KbdInteractiveAuthentication no\n"),
        ("ssh_match", "warning"),
        "in /etc/ssh/sshd_config.d/10-twofactor.conf, remove line 4: KbdInteractiveAuthentication no",
    ),
    "a match block in which no login is possible": (
        with_settings(SSHD_SETTINGS[DROP_IN] + BOTH + "Match User alice\n  PubkeyAuthentication no\n"),
        ("ssh_match", "failed"),
        "in /etc/ssh/sshd_config.d/10-twofactor.conf, remove line 5: PubkeyAuthentication no",
    ),
    "passwords that sshd checks with Kerberos": (
        with_settings("KbdInteractiveAuthentication yes\nKerberosAuthentication yes\n"),
        ("ssh_password_authentication", "failed"),
        "in /etc/ssh/sshd_config.d/10-twofactor.conf, line 2: KerberosAuthentication no",
    ),
    "a required method that no login passes": (
        with_sshd(REQUIRING),
        ("ssh_required_method", "warning"),
        "AuthenticationMethods publickey,keyboard-interactive:pam",
    ),
    "a required method outside of sshd": (
        {**good(), "etc/pam.d/login": "auth requisite pam_unix.so\n" + REQUIRING},
        ("require_method", "failed"),
        "in /etc/pam.d/login, line 2: auth required pam_twofactor.so",
    ),
    "host names with trusted networks": (
        with_settings_and("UseDNS yes\n", "auth required pam_twofactor.so trusted_networks=192.0.2.0/24"),
        ("ssh_use_dns", "warning"),
        "in /etc/ssh/sshd_config.d/10-twofactor.conf, line 3: UseDNS no",
    ),
    "host names with a grace period": (
        {**with_settings(SSHD_SETTINGS[DROP_IN] + "UseDNS yes\n"), CONF: "grace_period = 60\n"},
        ("ssh_use_dns", "warning"),
        "UseDNS no",
    ),
    "a trusted network for login": (
        {
            **good(),
            "etc/pam.d/login": "auth requisite pam_unix.so\n"
            "auth required pam_twofactor.so trusted_networks=192.0.2.0/24\n",
        },
        ("remote_address", "warning"),
        "in /etc/pam.d/login, line 2: auth required pam_twofactor.so",
    ),
    "codes that are easy to guess": (
        {**good(), CONF: "window = 10\nlook_ahead = 100\n"},
        ("guessing", "warning"),
        "in /etc/security/twofactor.conf, line 1: window = 5\n"
        "in /etc/security/twofactor.conf, line 2: look_ahead = 11",
    ),
    "a window that is easy to guess": (
        in_sshd("auth required pam_twofactor.so window=10"),
        ("guessing", "warning"),
        "in /etc/pam.d/sshd, line 2: auth required pam_twofactor.so window=5",
    ),
    "a comment after a value": (
        {**good(), CONF: "window = 1\ndirectory = ~/.twofactor # ours\n"},
        ("configuration", "failed"),
        "in /etc/security/twofactor.conf, remove line 2: directory = ~/.twofactor # ours",
    ),
    "an unknown setting": (
        {**good(), CONF: "issuer = A\nwindows = 3\n"}, ("configuration", "failed"), "man twofactor.conf"
    ),
    "a setting twice": (
        {**good(), CONF: "window = 1\nwindow = 1\n"}, ("configuration", "failed"), "man twofactor.conf"
    ),
    "a directory that only the stack names": (
        in_sshd("auth required pam_twofactor.so nullok directory=/var/lib/twofactor/%u"),
        ("policy", "failed"),
        "in /etc/security/twofactor.conf: directory = /var/lib/twofactor/%u",
    ),
    "a directory of one stack of two": (
        {
            **in_sshd("auth required pam_twofactor.so directory=/var/lib/twofactor/%u"),
            "etc/pam.d/login": "auth requisite pam_unix.so\n" + LINE,
        },
        ("policy", "failed"),
        "in /etc/pam.d/sshd, line 2: auth required pam_twofactor.so directory=~/.twofactor",
    ),
    "a store that only the stack names": (
        in_sshd("auth required pam_twofactor.so nullok store=host"),
        ("policy", "failed"),
        "in /etc/security/twofactor.conf: store = host",
    ),
    "a store of one stack of two": (
        {
            **in_sshd("auth required pam_twofactor.so store=home"), CONF: "store = host\n",
            "etc/pam.d/login": "auth requisite pam_unix.so\n" + LINE,
        },
        ("policy", "failed"),
        "in /etc/pam.d/sshd, line 2: auth required pam_twofactor.so store=host",
    ),
    "a store that directory overrides": (
        {**good(), CONF: "store = host\ndirectory = ~/codes\n"},
        ("policy", "warning"),
        "in /etc/security/twofactor.conf, remove line 1: store = host",
    ),
    "nullok against the configuration": (
        {**good(), CONF: "nullok = no\n"},
        ("policy", "failed"),
        "in /etc/security/twofactor.conf, remove line 1: nullok = no",
    ),
    "a stack without the nullok of the configuration": (
        {
            **in_sshd("auth required pam_twofactor.so nullok=no"),
            "etc/pam.d/login": "auth requisite pam_unix.so\nauth required pam_twofactor.so\n",
            CONF: "nullok = yes\n",
        },
        ("policy", "failed"),
        "in /etc/pam.d/login, line 2: auth required pam_twofactor.so nullok\n"
        "in /etc/security/twofactor.conf, remove line 1: nullok = yes",
    ),
    "a home that is created too late": (
        {**good(), "etc/pam.d/common-session": "session optional pam_mkhomedir.so\n"},
        ("first_login", "warning"),
        "for each new user: mkhomedir_helper NAME",
    ),
    "a unit that hides the homes": (
        {**good(), "usr/lib/systemd/system/ssh.service": "[Service]\nExecStart=/usr/sbin/sshd -D\nProtectHome=yes\n"},
        ("protect_home", "failed"),
        "in /etc/systemd/system/ssh.service.d/twofactor.conf: [Service]\n"
        "in /etc/systemd/system/ssh.service.d/twofactor.conf: ProtectHome=no",
    ),
    "a drop-in that hides the homes": (
        {
            **good(),
            "usr/lib/systemd/system/ssh.service": "[Service]\nExecStart=/usr/sbin/sshd -D\n",
            "etc/systemd/system/ssh.service.d/hard.conf": "[Service]\nProtectHome=read-only\n",
        },
        ("protect_home", "failed"),
        "in /etc/systemd/system/ssh.service.d/hard.conf, line 2: ProtectHome=no",
    ),
    "a single-field program that gets a second prompt": (
        {
            **DEBIAN_12, AUTH: COMMON_AUTH + LINE, **SSHD_SETTINGS,
            "etc/pam.d/dovecot": "#%PAM-1.0\n\n@include common-auth\n@include common-account\n",
        },
        ("single_field", "warning"),
        "in /etc/pam.d/dovecot, line 3: auth required pam_twofactor.so forward_pass nullok\n"
        "in /etc/pam.d/dovecot, behind line 3: auth required pam_unix.so use_first_pass",
    ),
    "ProFTPD that checks the password itself": (
        {
            **good(), "etc/pam.d/proftpd": SINGLE_FIELD,
            "etc/proftpd/proftpd.conf": "Port 21\n# AuthOrder mod_auth_pam.c* mod_auth_unix.c\n",
        },
        ("proftpd_auth_order", "failed"),
        "in /etc/proftpd/proftpd.conf, line 2: AuthOrder mod_auth_pam.c* mod_auth_unix.c",
    ),
    "a virtual server of ProFTPD": (
        {
            **good(), "etc/pam.d/proftpd": SINGLE_FIELD,
            "etc/proftpd/proftpd.conf": "AuthOrder mod_auth_pam.c* mod_auth_unix.c\nInclude /etc/proftpd/conf.d/\n",
            "etc/proftpd/conf.d/one.conf": "<VirtualHost 192.0.2.1>\n</VirtualHost>\n",
        },
        ("proftpd_auth_order", "failed"),
        "in /etc/proftpd/conf.d/one.conf, behind line 1: AuthOrder mod_auth_pam.c* mod_auth_unix.c",
    ),
}
