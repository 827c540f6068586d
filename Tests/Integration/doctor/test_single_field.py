"""Services of programs with a single password field: `twofactor test --single-field`, and doctor's warnings."""

import json
import re
import time
from pathlib import Path

import pexpect
import pytest
from rig.doctor import doctor, services_of
from rig.host_trees import DEBIAN_12, build
from rig.machine import CHECKOUT, COMMAND
from rig.process import run

from doctor.test_host_trees import apply

EXAMPLE = re.findall(r"(?m)^auth .*", (CHECKOUT / "pam/service/single-field").read_text())
ACCOUNT = "account required pam_unix.so"
# What pam-auth-update writes, in a file of its own.
COMMON = [
    "auth [success=1 default=ignore] pam_unix.so nullok", "auth requisite pam_deny.so", "auth required pam_permit.so",
    "auth required pam_twofactor.so nullok",
]


@pytest.fixture
def service(system_service) -> str:
    return system_service("single", *EXAMPLE, ACCOUNT)


def tried(service: str, account, *lines: str) -> dict:
    """The result of a test whose replies are lines of standard input."""
    words = [COMMAND, "test", "--service", service, "--single-field", "--user", account.name, "--json"]
    done = run(*words, input="".join(line + "\n" for line in lines), status=None)
    result = json.loads(done.stdout)
    assert done.returncode == (0 if result["permitted"] else 1)
    # Nothing secret is printed.
    assert not any(line in done.stdout + done.stderr for line in lines if line)
    return result


def test_password_and_code_are_one_reply(service, user, new_user, password):
    enrolled = user.enroll()
    code = enrolled.authenticator.code_at(time.time())
    assert not tried(service, user, password, "")["permitted"]
    assert tried(service, user, password, code)["permitted"]
    again = tried(service, user, password, code)
    assert not again["authenticated"] and again["modules"][0]["answer"] == "Authentication failure"
    other = new_user(password="correct horse 9")
    assert tried(service, other, other.password, "")["permitted"]
    assert not tried(service, other, "wrong", "")["permitted"]


def test_a_single_line_of_input_is_enough(service, user, password):
    code = user.enroll().authenticator.code_at(time.time())
    assert tried(service, user, password + code)["permitted"]


def test_a_second_prompt_gets_the_same_reply(system_service, user, password):
    code = user.enroll().authenticator.code_at(time.time())
    name = system_service("two-questions", *COMMON, ACCOUNT)
    result = tried(name, user, password, code)
    assert [module["module"] for module in result["modules"]] == ["pam_unix.so", "pam_deny.so"]
    result = tried(name, user, password, "")
    assert result["modules"][-1] == {"module": "pam_twofactor.so", "facility": "auth", "answer": "Authentication failure"}


def test_a_prompt_with_echo_gets_the_name_as_in_these_programs(system_service, user, password):
    code = user.enroll().authenticator.code_at(time.time())
    name = system_service("with-echo", "auth required pam_twofactor.so echo_code", ACCOUNT)
    assert not tried(name, user, code, "")["permitted"]


@pytest.mark.parametrize(
    ("lines", "words"),
    [((), "end of input"), (("a" * 513,), "too long"), (("a" * 510, "123456"), "too long"), (("a" * 512, ""), None)],
)
def test_unusable_replies_call_no_module(service, user, lines, words):
    text = "".join(line + "\n" for line in lines)
    command = [COMMAND, "test", "--service", service, "--single-field", "--user", user.name]
    done = run(*command, input=text, status=1)
    assert ("MODULE" not in done.stdout) == (words is not None)
    assert (words or "") in done.stderr


def test_binary_replies_are_refused_without_a_crash(service, user):
    command = [str(COMMAND), "test", "--service", service, "--single-field", "--user", user.name]
    done = run(*command, input=b"\xff\xfe\0x\x1b[31m\n\x80\n", status=1)
    assert "The login was refused" in done.stdout


def test_a_terminal_asks_for_both_without_echo(service, user, password):
    code = user.enroll().authenticator.code_at(time.time())
    words = ["test", "--service", service, "--single-field", "--user", user.name]
    terminal = pexpect.spawn(str(COMMAND), words, timeout=20, encoding="utf-8")
    terminal.expect_exact("Password: ")
    terminal.sendline(password)
    terminal.expect_exact("Code, appended to the password: ")
    terminal.sendline(code)
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0 and "The login would succeed." in terminal.before
    assert code not in terminal.before and password not in terminal.before


@pytest.mark.parametrize("key", ["c", "d"])
@pytest.mark.parametrize("question", ["Password: ", "Code, "])
def test_keys_that_end_the_input_end_the_test(service, user, question, key):
    words = ["test", "--service", service, "--single-field", "--user", user.name]
    terminal = pexpect.spawn(str(COMMAND), words, timeout=20, encoding="utf-8")
    terminal.expect_exact("Password: ")
    if question != "Password: ":
        terminal.sendline("x")
        terminal.expect_exact(question)
    terminal.sendcontrol(key)
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 1 if key == "d" else terminal.signalstatus == 2
    assert "MODULE" not in terminal.before


def test_only_root_may_try_a_service(service, user):
    words = ["runuser", "-u", user.name, "--", COMMAND, "test", "--service", service, "--single-field"]
    assert "--single-field" not in run(*words, status=77, input="x\n").stdout


# Services that Debian ships for programs of this machine.
SHIPPED = ["dovecot", "i3lock", "proftpd", "radiusd", "swaylock", "vsftpd", "xrdp-sesman"]


@pytest.fixture
def enabled(products, register):
    """The module in common-auth, as pam-auth-update adds it."""
    stack = Path("/etc/pam.d/common-auth")
    before = stack.read_text()
    stack.write_text(before + "auth required pam_twofactor.so nullok\n")
    yield
    stack.write_text(before)


def test_the_remedy_of_each_shipped_service_lets_users_in(enabled, request, user, new_user, password):
    authenticator, other = user.enroll().authenticator, new_user(password="correct horse 9")
    paths = [path for name in SHIPPED if (path := Path("/etc/pam.d", name)).exists()]
    assert len(paths) >= 5
    before = {path: path.read_text() for path in paths}
    request.addfinalizer(lambda: [path.write_text(text) for path, text in before.items()])
    warnings = [check for check in doctor(None, "--user", user.name)[1] if check["name"] == "single_field"]
    assert len(warnings) == len(paths)
    for path, warning in zip(sorted(paths), warnings, strict=True):
        assert warning["status"] == "warning" and f"the service {path.name} asks" in warning["detail"]
        assert not tried(path.name, user, password, authenticator.code_at(time.time()))["authenticated"]
        assert apply(Path("/"), warning["remedy"]) == 2
    assert not [check for check in doctor(None, "--user", user.name)[1] if check["name"] == "single_field"]
    steps = iter(range(-1, 2))
    for path in paths[:3]:
        assert not tried(path.name, user, password, "")["authenticated"]
        code = authenticator.code_at(time.time() + 30 * next(steps))
        assert tried(path.name, user, password, code)["authenticated"], path
    for path in paths:
        assert tried(path.name, other, other.password, "")["authenticated"], path


def test_a_host_that_is_not_enabled_is_warned_of_services_that_need_lines(tmp_path):
    files = {
        **DEBIAN_12, "etc/pam.d/dovecot": "#%PAM-1.0\n\n@include common-auth\n@include common-account\n",
        "usr/share/pam-configs/twofactor": (CHECKOUT / "pam/pam-configs/twofactor").read_text(),
    }
    root = build(tmp_path / "host", files)
    (warning,) = [check for check in doctor(root)[1] if check["name"] == "single_field"]
    assert "adds a second prompt to the service dovecot, but Dovecot" in warning["detail"]
    assert apply(root, warning["remedy"]) == 2
    enabled = root / "etc/pam.d/common-auth"
    enabled.write_text(enabled.read_text() + "auth required pam_twofactor.so nullok\n")
    assert "single_field" not in {check["name"] for check in doctor(root)[1]}
    assert services_of(root)["dovecot"] == {
        "service": "dovecot", "enrolled": "password+code", "unenrolled": "password", "single_field": True
    }
