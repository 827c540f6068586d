"""The cost of a login in counts that are equal on every machine; no times."""

import sys
import time

import pytest
from rig import machine

sys.path.insert(0, str(machine.CHECKOUT / "Tests/Benchmark"))

from bench import counts, programs  # noqa: E402

# Bounds are just above the current counts, with room for other compilers; lower them, never raise them.
MOST_SYSTEM_CALLS = 76
MOST_SYSTEM_CALLS_OF_A_PASS = 76
MOST_INSTRUCTIONS = {"right": 26_000, "wrong": 135_000}


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    return programs.build_hosts(tmp_path_factory.mktemp("hosts"))["bare host"]


@pytest.fixture
def orders(user, service, register):
    """The host's orders for a login with a correct and with a wrong code, of a user who has logged in before."""
    enrolled = user.enroll(backup_codes=10)
    name = service()
    now = time.time()
    (register / str(user.uid)).touch()
    codes = {"right": enrolled.authenticator.code_at(now), "wrong": enrolled.authenticator.wrong_code(now)}
    return {kind: f"here {name} {user.name} {code}" for kind, code in codes.items()}


@pytest.mark.parametrize("kind", ["right", "wrong"])
def test_a_login_makes_few_system_calls(host, harness, orders, tmp_path, kind):
    calls = counts.system_calls_of_login(host, harness.services, orders["wrong"], orders[kind], tmp_path)
    assert "fdatasync" in calls and len(calls) <= MOST_SYSTEM_CALLS, " ".join(calls)


@pytest.mark.parametrize("kind", ["right", "wrong"])
def test_a_login_executes_few_instructions(host, harness, orders, tmp_path, kind):
    module = machine.modules_directory() / "pam_twofactor.so"
    found = counts.instructions_of_login(host, harness.services, module, orders[kind], tmp_path)
    # Fewer than the hashes alone means that something was not counted.
    assert 8_000 < found <= MOST_INSTRUCTIONS[kind]


def test_more_devices_need_no_more_system_calls(host, harness, service, new_user, tmp_path):
    found = []
    for devices in (1, 8):
        enrolled, name = new_user().enroll(), service()
        text = enrolled.credential.read_text().splitlines(keepends=True)
        (line,) = (line for line in text if line.startswith("device "))
        # Each with its own secret: the first letter differs.
        first = line.partition(" secret=")[2][0]
        letters = [letter for letter in "ABCDEFGHI" if letter != first][: devices - 1]
        others = [
            line.replace(f"name={enrolled.device}", f"name={letter}").replace(" secret=" + first, " secret=" + letter)
            for letter in letters
        ]
        position = text.index(line) + 1
        enrolled.credential.write_text("".join([*text[:position], *others, *text[position:]]))
        order = f"here {name} {enrolled.user} "
        now = time.time()
        wrong, right = enrolled.authenticator.wrong_code(now), enrolled.authenticator.code_at(now)
        found.append(counts.system_calls_of_login(host, harness.services, order + wrong, order + right, tmp_path))
    assert found[0] == found[1]


def test_a_user_who_is_not_enrolled_opens_no_file(host, harness, register, service, new_user, tmp_path):
    """nullok checks whether an enrollment and an entry of the register exist, and opens nothing else."""
    user = new_user()
    name = service("nullok")
    order = f"here {name} {user.name} 123456"
    trace = counts.trace_of_login(host, harness.services, order, order, tmp_path)
    assert _beside_libpam(counts.opened_files(trace), harness.services / name) == [str(user.home), "/", *register.parts[1:]]
    calls = counts.system_calls(trace)
    assert len(calls) <= MOST_SYSTEM_CALLS_OF_A_PASS and not {"fdatasync", "pread64", "pwrite64"} & set(calls)


def test_an_exempt_user_opens_nothing_in_the_home(host, harness, service, new_user, tmp_path):
    user = new_user()
    name = service(f"exempt_groups={user.gid}")
    order = f"here {name} {user.name} 123456"
    trace = counts.trace_of_login(host, harness.services, order, order, tmp_path)
    opened = counts.opened_files(trace)
    assert "/etc/group" in opened
    assert not {str(user.home), ".twofactor", "credential", "state"} & set(opened)


def _beside_libpam(opened: list[str], service) -> list[str]:
    """The paths that the module itself opened, without libraries and files that libpam and the C library read."""
    usual = {str(service), str(service.parent / "other"), "/etc/passwd", "/etc/login.defs", "/etc/nsswitch.conf"}
    return [path for path in opened if path not in usual and ".so" not in path]
