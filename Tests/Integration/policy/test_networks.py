"""The source of a login: trusted networks, and the grace period of an address."""

import json

import pytest
from rig.clock import START
from rig.harness import Result
from rig.machine import COMMAND
from rig.process import run
from rig.tracing import injecting

PERMIT = "pam_permit.so"
PERIOD = 3600
HERE = "192.0.2.7"


def is_asked(user, service: str, rhost: str | None) -> bool:
    login = user.log_in(service, "letters", at=START, rhost=rhost)
    assert (login.result, len(login.prompts)) in ((Result.AUTH_ERR, 1), (Result.SUCCESS, 0))
    return login.result != Result.SUCCESS


INSIDE = [
    ("192.0.2.0/24", "192.0.2.255"),
    ("192.0.2.7", "192.0.2.7"),
    ("192.0.2.7/32", "::ffff:192.0.2.7"),
    ("192.0.2.7/32", "::FFFF:c000:207"),
    ("0.0.0.0/0", "::ffff:203.0.113.1"),
    ("::ffff:192.0.2.7", "::ffff:192.0.2.7"),
    ("10.0.0.0/8, 192.0.2.0/25", "192.0.2.127"),
    ("2001:db8::/32", "2001:db8:ffff::1"),
    ("2001:db8::1", "2001:DB8:0:0::1"),
    ("::ffff:192.0.2.0/120", "192.0.2.9"),
    ("fe80::/10", "fe80::1%eth0"),
    ("0.0.0.0/0", "203.0.113.1"),
    ("::/0", "2001:db8::1"),
]

OUTSIDE = [
    ("192.0.2.0/24", "192.0.3.0"),
    ("192.0.2.0/25", "192.0.2.128"),
    ("::/0", "192.0.2.1"),
    ("::/0", "::ffff:192.0.2.1"),
    ("0.0.0.0/0", "2001:db8::1"),
    ("0.0.0.0/0", "::1"),
    # Only numeric addresses are ever trusted.
    ("0.0.0.0/0", None),
    ("127.0.0.0/8", "localhost"),
    ("192.0.2.0/24", "192.0.2.7.example.com"),
    ("192.0.2.0/24", "192.0.2.7 "),
    ("192.0.2.0/24", " 192.0.2.7"),
    ("192.0.2.0/24", "192.0.2.7,10.0.0.1"),
    ("192.0.2.0/24", "192.0.2.7%eth0"),
    ("192.0.2.0/24", "::ffff:192.0.2.7%eth0"),
    ("192.0.2.0/24", "::192.0.2.7"),
    ("192.0.2.0/24", "64:ff9b::192.0.2.7"),
    ("192.0.2.0/24", "192.0.2"),
    ("192.0.2.0/24", "0xc0000207"),
    ("192.0.2.0/24", "3221225991"),
    ("192.0.2.0/24", "192.0.2.07"),
    ("fe80::/10", "fe80::1%"),
    ("fe80::/10", "[fe80::1]"),
    ("192.0.2.0/24", "192.0.2.7" + "0" * 300),
]


def test_a_trusted_network_is_not_prompted(user, service, log):
    for networks, rhost in INSIDE:
        name = service(f"[trusted_networks={networks}]", then=PERMIT)
        assert not is_asked(user, name, rhost), (networks, rhost)
    assert log.of_module(len(INSIDE))[0].text.endswith(f"accepted user={user.name} rhost=192.0.2.255 method=exempt")


def test_every_other_address_is_prompted(user, service):
    for networks, rhost in OUTSIDE:
        name = service(f"[trusted_networks={networks}]", then=PERMIT)
        assert is_asked(user, name, rhost), (networks, rhost)


def test_a_trusted_network_does_not_reveal_who_exists(harness, service):
    name = service("trusted_networks=192.0.2.0/24", then=PERMIT)
    login = harness.log_in(name, "no-such-user", at=START, rhost=HERE)
    assert (login.result, login.prompts) == (Result.SUCCESS, [])


# The services of telnet and its like, which report a name that DNS gives.
REPORTING_NAMES = ["login", "remote", "telnet", "rlogin", "rsh", "rexec", "ftp"]


@pytest.mark.parametrize("name", REPORTING_NAMES)
def test_a_service_that_may_report_a_name_trusts_no_network(harness, products, user, name, log):
    for service, asked in ((name, True), (f"{name}d", False)):
        harness.service(
            service, "auth required pam_twofactor.so trusted_networks=192.0.2.0/24", f"auth required {PERMIT}"
        )
        assert is_asked(user, service, HERE) == asked, service
    assert f" rhost={HERE} " in log.of_module(2)[0].text


class Visitor:
    """Logs one user in at chosen times."""

    def __init__(self, user, enrolled, service: str) -> None:
        self.user, self.enrolled, self.service = user, enrolled, service

    def passes(self, at: float, rhost: str | None = HERE, service: str | None = None) -> bool:
        """Whether no prompt appears; replies to none."""
        login = self.user.log_in(service or self.service, "", at=at, rhost=rhost)
        assert (login.result, len(login.prompts)) in ((Result.AUTH_ERR, 1), (Result.SUCCESS, 0)), login
        return login.result == Result.SUCCESS

    def log_in(self, at: float, rhost: str | None = HERE, service: str | None = None) -> None:
        code = self.enrolled.authenticator.code_at(at)
        login = self.user.log_in(service or self.service, code, at=at, rhost=rhost)
        assert login.result == Result.SUCCESS, login


@pytest.fixture
def visitor(user, service) -> Visitor:
    enrolled = user.enroll()
    return Visitor(user, enrolled, service(f"grace_period={PERIOD}"))


def test_after_a_code_the_address_is_not_prompted_for_the_period(visitor, log):
    assert not visitor.passes(START)
    visitor.log_in(START)
    assert visitor.passes(START) and visitor.passes(START + PERIOD - 1)
    assert not visitor.passes(START + PERIOD), "a use extended the grace period"
    assert log.of_module(4)[2].text.endswith(f" accepted user={visitor.enrolled.user} rhost={HERE} method=grace")


def test_another_address_is_prompted(visitor):
    visitor.log_in(START)
    for other in ("192.0.2.8", "2001:db8::1", None, "localhost", f"{HERE}.example.com", f"{HERE}%eth0"):
        assert not visitor.passes(START + 1, other), other
    assert visitor.passes(START + 1, f"::ffff:{HERE}"), "the same address in another form"


@pytest.mark.parametrize("rhost", [None, "localhost", "host.example.com", "fe80::1%eth0"])
def test_only_a_numeric_address_is_remembered(visitor, rhost):
    visitor.log_in(START, rhost)
    assert not visitor.passes(START, rhost)


def test_another_service_is_prompted(visitor, service):
    visitor.log_in(START)
    assert not visitor.passes(START, service=service(f"grace_period={PERIOD}"))


@pytest.mark.parametrize("name", REPORTING_NAMES)
def test_a_service_that_may_report_a_name_has_no_grace_period(visitor, harness, name):
    harness.service(name, f"auth required pam_twofactor.so grace_period={PERIOD}")
    visitor.log_in(START, service=name)
    assert not visitor.passes(START, service=name)


def test_a_service_without_a_grace_period_neither_begins_nor_uses_one(visitor, harness, service):
    plain = service()
    visitor.log_in(START, service=plain)
    harness.service(plain, f"auth required pam_twofactor.so grace_period={PERIOD}")
    assert not visitor.passes(START, service=plain)
    visitor.log_in(START + 60, service=plain)
    assert visitor.passes(START + 60, service=plain)
    harness.service(plain, "auth required pam_twofactor.so")
    assert not visitor.passes(START + 60, service=plain)


def test_another_user_is_prompted(visitor, new_user):
    visitor.log_in(START)
    user = new_user()
    assert not Visitor(user, user.enroll(), visitor.service).passes(START)


def test_of_nine_addresses_the_least_recently_used_is_prompted(visitor):
    addresses = [f"192.0.2.{number}" for number in range(1, 10)]
    for number, address in enumerate(addresses[:8]):
        visitor.log_in(START + 30 * number, address)
    now = START + 300
    assert visitor.passes(now, addresses[0])
    visitor.log_in(now, addresses[8])
    assert [address for address in addresses if not visitor.passes(now, address)] == [addresses[1]]


def test_throttling_suspends_the_grace_period(visitor):
    visitor.log_in(START)
    wrong = visitor.enrolled.authenticator.wrong_code(START)
    for _ in range(5):
        visitor.user.log_in(visitor.service, wrong, at=START, rhost="203.0.113.9")
    login = visitor.user.log_in(visitor.service, "123456", at=START + 1, rhost=HERE)
    assert (login.result, len(login.prompts)) == (Result.MAXTRIES, 1)
    assert visitor.passes(START + 31)


def test_a_lockout_suspends_the_grace_period(visitor, harness, service):
    visitor.log_in(START)
    wrong = visitor.enrolled.authenticator.wrong_code(START)
    patient = service("max_failures=100")
    harness.run(patient, [(visitor.user.name, [wrong])], times=100, at=START, rhost="203.0.113.9")
    login = visitor.user.log_in(visitor.service, "123456", at=START + PERIOD - 1, rhost=HERE)
    assert (login.result, len(login.prompts)) == (Result.MAXTRIES, 1)


def test_a_clock_set_back_ends_the_grace_period(visitor):
    visitor.log_in(START)
    assert not visitor.passes(START - 1)
    assert not visitor.passes(START), "the grace period came back with the clock"


def test_a_clock_set_forward_ends_the_grace_period(visitor):
    visitor.log_in(START)
    assert not visitor.passes(START + 10 * PERIOD)


def test_a_grace_period_of_a_clock_that_was_ahead_ends(visitor):
    ahead = START + 100 * PERIOD
    visitor.log_in(ahead)
    assert not visitor.passes(START)
    assert not visitor.passes(ahead)


def test_a_rejected_code_begins_no_grace_period(visitor):
    code = visitor.enrolled.authenticator.code_at(START)
    visitor.log_in(START, "203.0.113.9")
    assert visitor.user.log_in(visitor.service, code, at=START, rhost=HERE).result == Result.AUTH_ERR
    assert not visitor.passes(START)


def change(*arguments: str) -> None:
    done = run(COMMAND, *arguments, "--json")
    json.loads(done.stdout)


@pytest.mark.parametrize(
    "commands",
    [
        [("backup-codes",)],
        [("device", "add", "second", "--no-confirm", "--yes"), ("device", "remove", "second")],
        [("enable", "--force", "--no-confirm", "--yes")],
        [("disable", "--yes"), ("enable", "--no-confirm", "--yes")],
    ],
    ids=["backup-codes", "device remove", "enable --force", "disable and enable"],
)
def test_a_change_of_the_enrollment_ends_the_grace_period(visitor, commands):
    visitor.log_in(START)
    assert visitor.passes(START)
    for command in commands:
        change(*command, "--user", visitor.enrolled.user)
    assert not visitor.passes(START)


def test_unlocking_begins_no_grace_period(visitor):
    change("unlock", "--user", visitor.enrolled.user)
    assert not visitor.passes(START)


def test_a_damaged_state_ends_the_grace_period(visitor):
    visitor.log_in(START)
    visitor.enrolled.state.write_bytes(bytes(len(visitor.enrolled.state.read_bytes())))
    login = visitor.user.log_in(visitor.service, "", at=START + 1, rhost=HERE)
    assert login.result == Result.AUTHINFO_UNAVAIL
    assert not visitor.passes(START + 1)


@pytest.mark.parametrize("call", ["pwrite64", "fdatasync"])
def test_a_grace_period_that_cannot_be_written_denies_the_login(visitor, log, call):
    visitor.log_in(START)
    under = injecting(call, "error=EIO")
    login = visitor.user.log_in(visitor.service, at=START + 1, rhost=HERE, under=under)
    assert (login.result, login.prompts) == (Result.AUTHINFO_UNAVAIL, [])
    assert " reason=io-error " in log.of_module(2)[-1].text


def test_a_backup_code_begins_a_grace_period(user, service):
    enrolled = user.enroll(backup_codes=1)
    visitor = Visitor(user, enrolled, service(f"grace_period={PERIOD}"))
    login = user.log_in(visitor.service, enrolled.backup_codes[0], at=START, rhost=HERE)
    assert login.result == Result.SUCCESS
    assert visitor.passes(START)
