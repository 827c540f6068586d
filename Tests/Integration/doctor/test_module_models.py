"""Compares doctor's models of Linux-PAM modules with the modules of this machine."""

import shutil
from pathlib import Path

import pytest
from rig.doctor import doctor, services_of
from rig.machine import modules_directory
from rig.random_stacks import RESULTS

# Decided by the arguments, or the same for every user.
CONSTANT = """
pam_permit.so
pam_deny.so
pam_env.so
pam_group.so
pam_keyinit.so
pam_mail.so
pam_warn.so
pam_faildelay.so delay=1000
pam_issue.so
pam_securetty.so
pam_selinux.so
pam_nologin.so
pam_nologin.so successok
pam_echo.so text
pam_faillock.so
pam_faillock.so preauth
pam_faillock.so authfail
pam_faillock.so authsucc
pam_ftp.so
pam_stress.so
pam_stress.so fail_1
pam_usertype.so
pam_wheel.so root_only
pam_exec.so
pam_exec.so type=session /bin/false
pam_sepermit.so
pam_userdb.so
pam_time.so
pam_motd.so
pam_limits.so
pam_umask.so
pam_mkhomedir.so
pam_xauth.so
pam_debug.so auth=maxtries
pam_debug.so cred=cred_err auth=acct_expired auth=success
pam_debug.so auth=nonsense
pam_unix.so use_first_pass
pam_succeed_if.so user = root
pam_succeed_if.so user != root
pam_succeed_if.so user in root
pam_succeed_if.so user notin root
pam_succeed_if.so uid = 0
pam_succeed_if.so uid eq 0
pam_succeed_if.so uid ne 0
pam_succeed_if.so uid > 0
pam_succeed_if.so uid <= 0
pam_succeed_if.so user ingroup absent
pam_succeed_if.so user notingroup absent
pam_succeed_if.so service in judged:y use_uid
pam_succeed_if.so service notin judged:y
pam_succeed_if.so shell eq x
pam_succeed_if.so color = x
pam_succeed_if.so user ~ x
pam_succeed_if.so uid
pam_succeed_if.so quiet
pam_succeed_if.so user = root uid
pam_succeed_if.so user != root uid
""".split("\n")[1:-1]

# Depends on user or host.
VARIABLE = """
pam_unix.so
pam_unix.so try_first_pass
pam_localuser.so
pam_localuser.so file=/dev/null
pam_usertype.so isregular
pam_usertype.so issystem
pam_wheel.so
pam_wheel.so group=absent
pam_wheel.so group=absent deny
pam_wheel.so trust use_uid
pam_listfile.so item=user sense=allow file=/etc/hostname
pam_listfile.so item=user sense=deny file=/etc/hostname
pam_listfile.so item=user sense=allow file=/etc/hostname apply=other
pam_access.so
pam_shells.so
pam_cap.so
pam_echo.so file=/absent
pam_exec.so /bin/true
pam_exec.so /bin/false
pam_exec.so expose_authtok /bin/true
pam_lastlog.so
pam_rhosts.so
pam_timestamp.so
pam_succeed_if.so uid >= 1000
pam_succeed_if.so uid < 1000
pam_succeed_if.so user ingroup root:absent
""".split("\n")[1:-1]

# The files by which doctor decides some conditions.
FILES = ("etc/group", "etc/passwd", "etc/nsswitch.conf", "etc/security/capability.conf", "etc/security/sepermit.conf")
END = "auth requisite pam_deny.so\nauth required pam_permit.so\n"


def lines_here(lines: list[str]) -> list[str]:
    return [line for line in lines if (modules_directory() / line.split()[0]).exists()]


@pytest.fixture
def real(harness, user):
    """The results of the real module for a wrong and a right password."""

    def results(line: str) -> dict[str, str]:
        # This stack returns the result of the module.
        service = harness.service("judged", f"auth [default=ok] {line}")
        logins = harness.run(service, [(user.name, [answer] * 3) for answer in ("wrong", user.password)])
        return dict(zip(("wrong", "right"), (RESULTS[login.result] for login in logins), strict=True))

    return results


def write(root: Path, stack: str) -> None:
    """A host like this one, with a service."""
    for name in FILES:
        if Path("/", name).exists():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path("/", name), root / name)
    (root / "etc/pam.d").mkdir(parents=True, exist_ok=True)
    (root / "etc/pam.d/judged").write_text(stack)


def needs(root: Path, line: str, control: str) -> str:
    """What doctor lists for a stack with this line and control value."""
    write(root, f"auth [{control}] {line}\n{END}")
    return services_of(root)["judged"]["enrolled"]


@pytest.mark.parametrize("line", lines_here(CONSTANT + VARIABLE))
def test_a_result_of_a_module_is_one_that_doctor_expects(line, real, tmp_path):
    results = real(line)
    said = {answer: needs(tmp_path, line, f"{result}=1 default=bad") for answer, result in results.items()}
    assert said["wrong"] == "nothing" and said["right"] in ("nothing", "password"), (results, said)


@pytest.mark.parametrize("line", lines_here(CONSTANT))
def test_doctor_expects_no_other_result_of_a_module_that_always_returns_the_same(line, real, tmp_path):
    results = real(line)
    assert results["wrong"] == results["right"]
    assert needs(tmp_path, line, f"{results['right']}=bad default=1") == "refused", results


# Account rules, as above. pam_rootok and pam_loginuid depend on the process of the test.
ACCOUNT_CONSTANT = """
pam_permit.so
pam_deny.so
pam_env.so
pam_warn.so
pam_nologin.so
pam_nologin.so successok
pam_echo.so text
pam_faillock.so
pam_securetty.so
pam_stress.so
pam_stress.so fail_1
pam_stress.so expired
pam_time.so
pam_usertype.so
pam_wheel.so root_only
pam_exec.so
pam_exec.so type=auth /bin/false
pam_sepermit.so
pam_debug.so acct=new_authtok_reqd auth=maxtries
pam_debug.so acct=nonsense
pam_limits.so
pam_mkhomedir.so
pam_motd.so
pam_umask.so
pam_cap.so
pam_rhosts.so
pam_timestamp.so
pam_oath.so
pam_google_authenticator.so
pam_succeed_if.so user = root
pam_succeed_if.so uid > 0
pam_succeed_if.so user notin root
pam_succeed_if.so quiet
""".split("\n")[1:-1]

ACCOUNT_VARIABLE = """
pam_unix.so
pam_unix.so broken_shadow
pam_localuser.so
pam_access.so
pam_shells.so
pam_lastlog.so
pam_usertype.so isregular
pam_wheel.so
pam_listfile.so item=user sense=deny file=/etc/hostname
pam_exec.so /bin/true
pam_exec.so type=account /bin/false
pam_succeed_if.so uid >= 1000
""".split("\n")[1:-1]


def admits(root: Path, line: str, control: str) -> bool:
    """Whether doctor says that the account stack may let a user in."""
    auth = "auth requisite pam_unix.so\nauth required pam_twofactor.so enroll=require\n"
    write(root, auth + f"account [{control}] {line}\n" + END.replace("auth", "account"))
    return any(check["name"] == "enrollment_bypass" for check in doctor(root)[1])


@pytest.mark.parametrize("line", lines_here(ACCOUNT_CONSTANT + ACCOUNT_VARIABLE))
def test_a_result_of_an_account_rule_is_one_that_doctor_expects(line, harness, user, tmp_path):
    service = harness.service("judged", f"account [default=ok] {line}")
    result = RESULTS[user.log_in(service, account=True, authenticate=False).account]
    assert admits(tmp_path, line, f"{result}=1 default=bad"), result
    # Not `bad`: the stack would return the result, and programs let users in after `new_authtok_reqd`.
    assert not admits(tmp_path, line, f"{result}=ignore default=1") or line in ACCOUNT_VARIABLE, result
