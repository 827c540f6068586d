"""The examples for hosts: sshd, PAM stacks, fail2ban, authselect, SELinux, and the stacks of the manual pages."""

import re
from pathlib import Path

import pytest
from rig import host_trees
from rig.clock import START
from rig.distribution_stacks import AUTHSELECT, authselect, rendered
from rig.harness import Result
from rig.machine import CHECKOUT, PRODUCT
from rig.process import run

DROP_IN = CHECKOUT / "pam/sshd/twofactor.conf"
ENROLL = {"etc/security/twofactor.conf": "enroll = require\n"}


def assert_accepted(root: Path) -> None:
    """Doctor finds nothing in the tree."""
    run(PRODUCT / "twofactor", "doctor", "--root", root, "--strict")


def combinations() -> list[str]:
    """The drop-in, and the drop-in with each numbered combination uncommented."""
    head, *parts = re.split(r"(?m)^# (?=\d\.)", DROP_IN.read_text())
    assert len(parts) == 5
    return [head, *(head + re.sub(r"(?m)^#(?=[A-Z]|    [A-Z])", "", "# " + part) for part in parts)]


@pytest.mark.parametrize("number", range(6))
def test_sshd_accepts_every_combination_of_the_drop_in(tmp_path, number):
    settings = tmp_path / "sshd_config"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key")
    settings.write_text(f"HostKey {tmp_path}/key\n" + combinations()[number])
    Path("/run/sshd").mkdir(exist_ok=True)
    run("/usr/sbin/sshd", "-t", "-f", settings)
    # A release may not know an option of a later one, but must not misread any.


@pytest.mark.parametrize("number", range(6))
def test_doctor_accepts_every_combination_of_the_drop_in(tmp_path, number):
    files = {**host_trees.good(), "etc/ssh/sshd_config.d/10-twofactor.conf": combinations()[number]}
    root = host_trees.build(tmp_path / "host", files)
    assert_accepted(root)


def test_the_profile_is_off_by_default_and_follows_the_password():
    profile = (CHECKOUT / "pam/pam-configs/twofactor").read_text()
    assert "Default: no\n" in profile and "Auth-Type: Additional\n" in profile
    assert profile.endswith("\trequired\tpam_twofactor.so nullok\n")


def test_the_profile_for_enrollment_is_off_by_default_and_precedes_pam_unix():
    """Its options are in twofactor.conf, for the auth rule too. See test_installation for its effect."""
    profile = (CHECKOUT / "pam/pam-configs/twofactor-enroll").read_text()
    assert "Default: no\n" in profile and "Account-Type: Primary\n" in profile and "Auth" not in profile
    # The priorities are 256 for pam_unix and 704 for pam_krb5.
    assert int(re.search(r"(?m)^Priority: (\d+)$", profile)[1]) > 704
    assert profile.endswith("\trequired\tpam_twofactor.so\n")


@pytest.mark.parametrize("page", ["pam_twofactor.8"])
def test_doctor_accepts_the_examples_of_the_manual(tmp_path, page):
    """Every stack among the examples."""
    examples = (CHECKOUT / "pam/man" / page).read_text().partition(".Sh EXAMPLES")[2].partition(".Sh ")[0]
    blocks = re.findall(r"\.Bd -literal[^\n]*\n(.*?)\.Ed", examples, re.DOTALL)
    assert len(blocks) == 4
    for number, block in enumerate(blocks):
        stack = block if "pam_unix" in block or "common-auth" in block else "@include common-auth\n" + block
        settings = ENROLL if "account" in stack else {}
        files = {**host_trees.good(), **settings, "etc/pam.d/sshd": stack}
        root = host_trees.build(tmp_path / f"host{number}", files)
        assert_accepted(root)


ACCOUNT = """\
account required pam_unix.so
account sufficient pam_localuser.so
account [default=bad success=ok user_unknown=ignore] pam_sss.so
account required pam_permit.so
"""
PROFILES = sorted(name for name in AUTHSELECT if "/" in name)


@pytest.fixture(scope="module")
def profiles(tmp_path_factory) -> dict[str, str]:
    """The templates that authselect-profiles writes, by the profile and the file that they extend."""
    root = tmp_path_factory.mktemp("authselect")
    default = root / "usr/share/authselect/default"
    for name in PROFILES:
        folder, _ = name.split("/")
        (default / folder).mkdir(parents=True, exist_ok=True)
        for file in ("password-auth", "system-auth"):
            text = AUTHSELECT[name if f"{folder}/{file}" not in AUTHSELECT else f"{folder}/{file}"]
            (default / folder / file).write_text(text.replace("{denied}", "") + "\n" + ACCOUNT)
    run(CHECKOUT / "pam/authselect/authselect-profiles", root)
    vendor = root / "usr/share/authselect/vendor"
    return {name: (vendor / f"twofactor-{name}").read_text() for name in PROFILES}


def fedora(stack: str, how: str) -> dict[str, str]:
    """A host whose sshd and su include the stack."""
    return {
        **host_trees.FEDORA,
        **host_trees.SSHD_SETTINGS,
        "etc/pam.d/password-auth": stack,
        "etc/pam.d/sshd": f"auth {how} password-auth\nauth include postlogin\naccount include password-auth\n",
        "etc/pam.d/su": f"auth sufficient pam_rootok.so\nauth {how} password-auth\naccount include password-auth\n",
    }


# Features that add or remove rules between the password and pam_deny.so.
COMBINATIONS = [(), ("with-faillock",), ("with-systemd-homed", "with-pam-gnome-keyring"), ("with-gssapi", "with-krb5")]


@pytest.mark.parametrize("features", COMBINATIONS, ids=lambda features: "+".join(features) or "none")
@pytest.mark.parametrize("name", PROFILES)
def test_doctor_accepts_the_stacks_that_authselect_generates(tmp_path, profiles, name, features):
    template = profiles[name]
    for how in ("include", "substack"):
        stack = rendered(template, (*features, "with-twofactor"))
        assert "pam_twofactor.so nullok\n" in stack
        assert_accepted(host_trees.build(tmp_path / how, fedora(stack, how)))
    assert "pam_twofactor.so\n" in rendered(template, (*features, "with-twofactor", "without-twofactor-nullok"))
    assert rendered(template, features) == authselect(name, features) + "\n" + ACCOUNT


@pytest.mark.parametrize("how", ["include", "substack"])
def test_the_account_rule_for_authselect_is_reached_before_pam_localuser(tmp_path, profiles, how):
    stack = rendered(profiles["sssd/password-auth"], ("with-twofactor", "with-twofactor-enroll"))
    assert_accepted(host_trees.build(tmp_path / "host", {**fedora(stack, how), **ENROLL}))
    # Elsewhere, users who are not enrolled would pass.
    (rule,) = re.findall(r"(?m)^account .*pam_twofactor.*\n", stack)
    root = host_trees.build(tmp_path / "other", {**fedora(stack.replace(rule, "") + rule, how), **ENROLL})
    run(PRODUCT / "twofactor", "doctor", "--root", root, "--strict", status=78)


def test_an_unknown_profile_of_authselect_is_not_extended(tmp_path):
    """And the other profiles are."""
    default = tmp_path / "usr/share/authselect/default"
    stack = AUTHSELECT["local/password-auth"] + ACCOUNT
    for name, text in {
        "good": stack,
        "other-end": stack.replace("pam_deny.so", "pam_warn.so"),
        "no-password": stack.replace("pam_unix.so", "pam_example.so").replace("pam_systemd_home.so", "pam_warn.so"),
    }.items():
        (default / name).mkdir(parents=True)
        for file in ("password-auth", "system-auth"):
            (default / name / file).write_text(text)
    said = run(CHECKOUT / "pam/authselect/authselect-profiles", tmp_path, status=1).stderr
    assert "cannot extend other-end: password-auth: the last auth rule is not pam_deny.so" in said
    assert "cannot extend no-password: password-auth: no auth rule checks a password" in said
    assert [path.name for path in (default.parent / "vendor").iterdir()] == ["twofactor-good"]
    # A profile of another author stays.
    other = default.parent / "vendor/twofactor-other"
    other.mkdir()
    run(CHECKOUT / "pam/authselect/authselect-profiles", "--remove", tmp_path)
    assert list((default.parent / "vendor").iterdir()) == [other]
    other.rmdir()
    run(CHECKOUT / "pam/authselect/authselect-profiles", "--remove", tmp_path)
    assert not (default.parent / "vendor").exists()


SNIPPET = CHECKOUT / "pam/service/sshd-snippet"


def snippets() -> list[str]:
    blocks = re.findall(r"((?:^#\s{6}\S.*\n)+)", SNIPPET.read_text(), re.MULTILINE)
    stacks = [re.sub(r"(?m)^#\s+", "", block) for block in blocks if "pam_twofactor" in block]
    assert len(stacks) == 5
    return stacks


def test_doctor_accepts_the_snippet_for_enrollment_at_login(tmp_path):
    *stacks, account = snippets()
    for number, rule in enumerate(("", account)):
        stack = f"{stacks[0]}account required pam_nologin.so\n{rule}@include common-account\n"
        files = {**host_trees.DEBIAN_12, **host_trees.SSHD_SETTINGS, **ENROLL, "etc/pam.d/sshd": stack}
        root = host_trees.build(tmp_path / f"host{number}", files)
        if rule:
            assert_accepted(root)
        else:
            shown = run(PRODUCT / "twofactor", "doctor", "--root", root, status=None)
            assert " enrollment_bypass: " in shown.stdout


@pytest.mark.parametrize("name", ["sshd", "login", "sudo"])
def test_the_example_of_a_service_has_the_account_rule_for_enrollment_at_login(name):
    text = (CHECKOUT / "pam/service" / name).read_text()
    assert re.findall(r"(?m)^#account +required +pam_twofactor\.so$", text)
    rules = [line for line in text.splitlines() if re.match(r"#?account|@include common-account", line)]
    assert "pam_twofactor" in (rules[1] if "pam_nologin" in rules[0] else rules[0])


def test_doctor_accepts_every_snippet_for_other_hosts(tmp_path):
    stacks = snippets()[:4]
    for number, stack in enumerate(stacks):
        base = host_trees.ARCH if "include      " in stack else host_trees.DEBIAN_12
        files = {**base, **host_trees.SSHD_SETTINGS, "etc/pam.d/sshd": stack}
        if "pam_unix" not in stack and "include" not in stack:
            methods = "AuthenticationMethods publickey,keyboard-interactive:pam\n"
            files["etc/ssh/sshd_config.d/10-twofactor.conf"] += methods
        root = host_trees.build(tmp_path / f"host{number}", files)
        assert_accepted(root)


def test_the_selinux_policy_grants_logins_five_permissions():
    """Checks the text; scripts/virtual-machine tests it under an enforcing policy."""
    text = re.sub(r"(?m)^;.*", "", (CHECKOUT / "pam/selinux/twofactor.cil").read_text())
    assert text.count("(") == text.count(")")
    rules = re.findall(r"\(allow twofactor_login_domain twofactor_home_t \((\w+) \(([a-z ]+)\)\)\)", text)
    assert rules == [("dir", "search getattr"), ("file", "open read write getattr lock")]
    domains = set(re.findall(r"\(optional \w+ \(typeattributeset twofactor_login_domain \((\w+)\)\)\)", text))
    assert {"sshd_t", "local_login_t", "sudodomain"} <= domains
    # Only the owner of the files, the program that enrolls in a login, and userdel, have access too.
    found = set(re.findall(r"\(allow (\w+) twofactor_home_t", text))
    assert found == {"twofactor_login_domain", "twofactor_command_domain", "useradd_t"}
    members = set(re.findall(r"\(typeattributeset twofactor_command_domain \((\w+)\)\)", text))
    assert members == {"userdomain", "twofactor_enrollment_t"}
    # A login program starts one program in that domain.
    assert re.findall(r"\(allow \w+ \w+ \(file \([a-z ]*entrypoint", text) == [
        "(allow twofactor_enrollment_t twofactor_exec_t (file (read getattr map execute open entrypoint"
    ]


def test_the_stack_for_a_single_password_field_works_for_all_users(harness, new_user):
    page = (CHECKOUT / "pam/hosts.md").read_text()
    section = page.partition("## Programs with a single password field\n")[2].partition("\n## ")[0]
    name = harness.service("single-field-page", *re.findall(r"(?m)^    (auth .*)$", section))
    enrolled, other = (new_user(password="correct horse") for _ in range(2))
    authenticator = enrolled.enroll().authenticator
    reply = enrolled.password + authenticator.code_at(START)
    assert enrolled.log_in(name, reply, at=START).result == Result.SUCCESS
    assert enrolled.log_in(name, enrolled.password, at=START).result == Result.AUTH_ERR
    login = other.log_in(name, other.password, at=START)
    assert (login.result, len(login.prompts)) == (Result.SUCCESS, 1)


def test_doctor_accepts_the_stack_for_a_single_password_field(tmp_path):
    section = (CHECKOUT / "pam/hosts.md").read_text().partition("## Programs with a single password field\n")[2]
    stack = re.findall(r"(?m)^    (auth .*)$", section.partition("\n## ")[0])
    example = (CHECKOUT / "pam/service/single-field").read_text()
    assert [rule.split() for rule in stack] == [rule.split() for rule in re.findall(r"(?m)^auth .*$", example)]
    assert_accepted(host_trees.build(tmp_path / "host", {**host_trees.good(), "etc/pam.d/dovecot": example}))
