"""What the modules of distributions return, from their manual pages, for harness/pam_explorer.c."""

from dataclasses import dataclass

from .random_stacks import RESULTS

NUMBERS = {name: number for number, name in enumerate(RESULTS)}

# Always the same.
CONSTANT = {
    "pam_permit": "success", "pam_deny": "auth_err", "pam_env": "ignore", "pam_faildelay": "ignore",
    "pam_group": "ignore", "pam_nologin": "ignore", "pam_securetty": "success", "pam_gnome_keyring": "success",
    "pam_kwallet5": "ignore", "pam_fscrypt": "success", "pam_ecryptfs": "success", "pam_afs_session": "success",
    "pam_shield": "ignore", "pam_rootok": "auth_err", "pam_selinux_permit": "ignore", "pam_sepermit": "ignore",
    "pam_mount": "success", "pam_keyinit": "ignore", "pam_issue": "ignore", "pam_mail": "ignore",
}

# Depends on user or host.
CONDITION = {
    "pam_localuser": ("success", "perm_denied"),
    "pam_usertype": ("success", "auth_err"),
    "pam_shells": ("success", "auth_err"),
    "pam_access": ("success", "perm_denied"),
    "pam_cap": ("success", "ignore"),
    "pam_wheel": ("ignore", "perm_denied"),
    "pam_script": ("success", "auth_err"),
}


@dataclass(frozen=True)
class Password:
    """A module that checks passwords, see the flags of pam_explorer.c."""

    unknown: tuple[str, ...] = ("user_unknown",)
    wrong: str = "auth_err"
    takes_unasked: bool = True
    stores: bool = True
    asks_again: bool = False
    is_directory: bool = True
    looks_first: bool = False


PASSWORD = {
    "pam_unix": Password(("user_unknown", "authinfo_unavail", "auth_err")),
    "pam_sss": Password(("user_unknown", "authinfo_unavail"), stores=False),
    "pam_ldap": Password(("user_unknown", "authinfo_unavail")),
    "pam_krb5": Password(("user_unknown", "authinfo_unavail"), takes_unasked=False, asks_again=True),
    "pam_winbind": Password(("user_unknown", "authinfo_unavail"), takes_unasked=False),
    "pam_systemd_home": Password(wrong="maxtries", asks_again=True, looks_first=True),
    "pam_radius_auth": Password(("auth_err", "authinfo_unavail")),
}
# Something that the user has or is. Results: right, wrong, not set up.
FACTOR = {
    "pam_fprintd": ("success", "maxtries", "authinfo_unavail"),
    "pam_u2f": ("success", "auth_err", "user_unknown", "authinfo_unavail"),
    "pam_sss_gss": ("success", "auth_err", "user_unknown", "authinfo_unavail"),
}
CODE = {
    "pam_google_authenticator": ("success", "auth_err", "auth_err"),
    "pam_duo": ("success", "maxtries", "service_err"),
}


def is_certificate(name: str, arguments: list[str]) -> bool:
    return name == "pam_sss" and bool({"try_cert_auth", "require_cert_auth"} & set(arguments))


def directory(name: str, arguments: list[str]) -> bool:
    """Whether the module looks users up. At least one such module of a stack knows the user."""
    return name in PASSWORD and PASSWORD[name].is_directory and not is_certificate(name, arguments)


def script_line(call: str) -> str:
    """The line of pam_explorer.c for a module with its arguments."""
    module, *arguments = call.split()
    name = module.removesuffix(".so")
    kind, flags, key, results = behavior(name, arguments, call)
    return "\t".join(["module", call, kind, flags, key, *(str(NUMBERS[result]) for result in results)])


def behavior(name: str, arguments: list[str], call: str) -> tuple[str, str, str, tuple[str, ...]]:
    """Kind, flags, key and results."""
    if name == "pam_twofactor":
        letters = {"nullok": "n", "forward_pass": "f", "try_first_pass": "t", "use_first_pass": "u"}
        return "twofactor", "".join(letters[word] for word in arguments), "", ()
    if name == "pam_debug":
        return "result", "", "", (dict(word.split("=") for word in arguments).get("auth", "success"),)
    if name == "pam_faillock":
        return "result", "", "", ("ignore" if "authfail" in arguments else "success",)
    if name == "pam_nologin" and "successok" in arguments:
        return "result", "", "", ("success",)
    if name == "pam_succeed_if":
        # The services of these trees have names of their own.
        if "service" in arguments and "notin" in arguments:
            return "result", "", "", ("success",)
        return "result", "", call, ("success", "auth_err")
    if is_certificate(name, arguments):
        missing = "ignore" if "ignore_authinfo_unavail" in arguments else "authinfo_unavail"
        return "factor", "", "certificate", ("success", "auth_err", missing)
    if name in PASSWORD:
        return password(name, PASSWORD[name], set(arguments))
    if name in FACTOR:
        results = FACTOR[name]
        if name == "pam_u2f" and "nouserok" in arguments:
            results = (*results[:2], "ignore", "success")
        return "factor", "", name, results
    if name in CODE:
        results = CODE[name]
        kind = "push" if name == "pam_duo" else "code"
        return kind, "", name, (*results[:2], "ignore") if "nullok" in arguments else results
    if name in CONDITION:
        return "result", "", name if name in ("pam_usertype", "pam_localuser") else call, CONDITION[name]
    return "result", "", "", (CONSTANT[name],)


def password(name: str, module: Password, arguments: set[str]) -> tuple[str, str, str, tuple[str, ...]]:
    takes = module.takes_unasked or bool({"use_first_pass", "try_first_pass"} & arguments)
    only = "use_first_pass" in arguments
    flags = {
        "t": takes, "o": only, "a": module.asks_again and not only, "s": module.stores or "forward_pass" in arguments,
        "d": module.is_directory, "l": module.looks_first,
    }
    return "password", "".join(flag for flag, holds in flags.items() if holds), name, (
        "success", module.wrong, *module.unknown
    )
