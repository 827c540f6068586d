"""Fixtures of the integration tests: the sandbox, the products, users and the harness."""

import contextlib
import itertools
import secrets
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from rig import harness as harness_program  # noqa: E402
from rig import machine  # noqa: E402
from rig.harness import Harness  # noqa: E402
from rig.place import Place, at_home, in_host_store  # noqa: E402
from rig.register import create_host_store, create_register, remove_register  # noqa: E402
from rig.sharing import Claims, shared  # noqa: E402
from rig.syslog import SystemLog  # noqa: E402
from rig.user import User  # noqa: E402

SECONDS_PER_TEST = 120


def pytest_addoption(parser) -> None:
    parser.addoption(
        "--clean-roots", action="store_true", help="fail instead of skipping if a clean root is missing"
    )
    parser.addoption("--slow", action="store_true", help="also run the tests that only scripts/release --check runs")
    parser.addoption(
        "--claims", type=int, metavar="FD", help="share the tests with the runs that have the same file open at FD"
    )


def pytest_configure(config) -> None:
    config.addinivalue_line("markers", "seconds(N): time limit of the test, instead of two minutes")
    config.addinivalue_line("markers", "slow: only scripts/release --check runs the test, with --slow")
    config.addinivalue_line("markers", "machinery: tests the tests' own tools and needs no product")
    if not machine.is_sandbox():
        pytest.exit("these tests change accounts and PAM stacks: run scripts/test integration", 2)


def pytest_collection_modifyitems(config, items) -> None:
    if config.getoption("--slow"):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    if slow:
        items[:] = [item for item in items if item not in slow]
        config.hook.pytest_deselected(items=slow)


def pytest_runtestloop(session):
    """Runs only the tests that this run claims. Without --claims, pytest's own loop runs all."""
    descriptor = session.config.option.claims
    if descriptor is None or session.config.option.collectonly:
        return None
    items = shared(session.items, Claims(descriptor))
    item = next(items, None)
    while item is not None:
        following = next(items, None)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        item = following
    return True


FIGURES: list[str] = []


@pytest.fixture
def figure():
    """Adds a line of measurements to the summary at the end, whether the test passes or fails."""
    return FIGURES.append


def pytest_terminal_summary(terminalreporter) -> None:
    if FIGURES:
        terminalreporter.section("measured")
        for line in FIGURES:
            terminalreporter.write_line(line)


@contextlib.contextmanager
def deadline(seconds: int):
    """Raises TimeoutError after so many seconds."""

    def too_late(*_):
        raise TimeoutError(f"still waiting after {seconds} seconds")

    signal.signal(signal.SIGALRM, too_late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    marker = item.get_closest_marker("seconds")
    with deadline(marker.args[0] if marker else SECONDS_PER_TEST):
        yield


@pytest.fixture(scope="session")
def products() -> None:
    """Installs the module and the command in the sandbox."""
    machine.install()


def pam_files() -> dict[Path, bytes]:
    """The PAM services, and what pam-auth-update remembers of them."""
    paths = [*Path("/etc/pam.d").glob("*"), *Path("/var/lib/pam").glob("*")]
    return {path: path.read_bytes() for path in paths if path.is_file()}


@pytest.fixture(scope="module", autouse=True)
def services_of_this_file(request) -> Iterator[None]:
    """Restores the PAM services after the tests of a file, because other tests evaluate all of them."""
    tests = [item for item in request.session.items if item.path == request.path]
    if not all(item.get_closest_marker("machinery") for item in tests):
        request.getfixturevalue("products")
    before = pam_files()
    yield
    after = pam_files()
    for path in after.keys() - before.keys():
        path.unlink()
    for path, content in before.items():
        if after.get(path) != content:
            path.write_bytes(content)


@pytest.fixture(scope="session")
def scratch(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("integration")


@pytest.fixture(scope="session")
def harness(scratch) -> Harness:
    services = scratch / "pam.d"
    services.mkdir()
    program = harness_program.build([harness_program.SOURCES / "login.c"], scratch / "login", "-lpam")
    return Harness(program, services)


@pytest.fixture(scope="session")
def endurance(products, scratch) -> Path:
    """The program that rig/endurance.py runs."""
    sources = [harness_program.SOURCES / "endurance.c"]
    return harness_program.build(sources, scratch / "endurance", "-lpam", "-ldl", "-pthread")


@pytest.fixture
def log() -> SystemLog:
    return SystemLog()


# Equally long names in every order of the tests, so that compared screens are equally wide.
NUMBERS = itertools.count(1001)


@pytest.fixture
def new_user(request, harness, password):
    """Adds a user with a password, a different one on each call; `options` as for machine.add_account."""
    if not request.node.get_closest_marker("machinery"):
        request.getfixturevalue("products")

    def add(password: str = password, **options) -> User:
        account = machine.add_account(f"user{next(NUMBERS)}", password, **options)
        return User(account.name, account.password, harness)

    return add


@pytest.fixture
def user(new_user) -> User:
    """A user who is not enrolled."""
    return new_user()


@pytest.fixture
def service(products, harness, request):
    """Writes a PAM service of the module alone, with the given arguments, and returns its name."""
    numbers = itertools.count(1)

    def make(*arguments: str, then: str | None = None) -> str:
        name = f"service{next(numbers)}"
        lines = [" ".join(("auth required pam_twofactor.so", *arguments))]
        return harness.service(name, *lines, *([f"auth required {then}"] if then else []))

    return make


@pytest.fixture
def register() -> Iterator[Path]:
    """The register of enrolled users, empty. The other tests run without one."""
    remove_register()
    yield create_register()
    remove_register()


@pytest.fixture
def host_store(register, host_configuration) -> Path:
    """The host store, empty, with `store = host` in the host's twofactor.conf."""
    host_configuration("store = host")
    return create_host_store()


@pytest.fixture(params=["home", "host store"])
def place(request, user) -> Place:
    """The place of the user's enrollment."""
    if request.param == "home":
        return at_home(user)
    request.getfixturevalue("host_store")
    return in_host_store()


@pytest.fixture(params=["home", "host store"])
def each_store(request) -> None:
    """Runs a test with enrollments in the homes, and again with the host store, even if it writes twofactor.conf."""
    if request.param == "host store":
        request.getfixturevalue("host_configuration").first.append("store = host")
        request.getfixturevalue("host_store")


@contextlib.contextmanager
def file_of_one_test(path: Path, mode: int):
    """A function that writes lines to the file; the file is removed at the end."""

    def write(*lines: str, mode: int = mode) -> Path:
        path.write_text("".join(line + "\n" for line in dict.fromkeys((*write.first, *lines))))
        path.chmod(mode)
        return path

    write.first = []
    yield write
    path.unlink(missing_ok=True)


@pytest.fixture
def host_configuration():
    """Writes the twofactor.conf of the host."""
    with file_of_one_test(Path("/etc/security/twofactor.conf"), 0o644) as write:
        yield write


@pytest.fixture
def suid_dumpable():
    """Sets fs.suid_dumpable, a setting of the whole machine, until the end of the test."""
    path = Path("/proc/sys/fs/suid_dumpable")
    before = path.read_text()

    def write(value: str) -> None:
        try:
            path.write_text(value)
        except OSError as error:
            pytest.skip(f"{path}: {error.strerror}")

    yield write
    if path.read_text() != before:
        path.write_text(before)


@pytest.fixture
def users_file():
    """Writes /etc/users.oath, which pam_oath wants to be readable by root alone."""
    with file_of_one_test(Path("/etc/users.oath"), 0o600) as write:
        yield write


@pytest.fixture(scope="module")
def system_service(products):
    """Writes services in /etc/pam.d of the sandbox."""

    def write(name: str, *lines: str) -> str:
        (Path("/etc/pam.d") / name).write_text("".join(line + "\n" for line in lines))
        return name

    return write


@pytest.fixture
def password() -> str:
    return secrets.token_urlsafe(9)
