"""Both builds of the module: OpenSSL's SHA code linked in, and HMAC from libcrypto.so."""

import base64
import os
import re

import pytest
from rig import machine
from rig.clock import START
from rig.harness import Result
from rig.one_time_password import Authenticator
from rig.process import run

SHARED = machine.CHECKOUT / ".build/shared-crypto/pam_twofactor.so"

# RFC 6238, appendix B.
TIMES = [59, 1111111109, 1111111111, 1234567890, 2000000000, 20000000000]
CODES = {
    "sha1": "94287082 07081804 14050471 89005924 69279037 65353130",
    "sha256": "46119246 68084774 67062674 91819424 90698825 77737706",
    "sha512": "90693936 25091201 99943326 93441116 38618901 47863826",
}
LENGTHS = {"sha1": 20, "sha256": 32, "sha512": 64}


@pytest.fixture(scope="module")
def shared_module():
    make = "scripts/build --shared-crypto --module --output .build/shared-crypto"
    assert SHARED.exists(), f"there is no module to test: {make}"
    module = machine.modules_directory() / "pam_twofactor_shared.so"
    module.write_bytes(SHARED.read_bytes())
    return module.name


@pytest.fixture(params=["linked in", "shared"])
def either_service(request, harness, products, shared_module):
    name = shared_module if request.param == "shared" else "pam_twofactor.so"
    return harness.service("either", f"auth required {name}")


def give_secret(enrolled, secret: bytes) -> None:
    """Replaces the secret of the only device."""
    spelled = base64.b32encode(secret).decode().rstrip("=")
    enrolled.credential.write_text(re.sub(r"secret=\S+", f"secret={spelled}", enrolled.credential.read_text()))


@pytest.mark.parametrize("algorithm", CODES)
def test_codes_are_those_of_rfc_6238(user, either_service, algorithm):
    enrolled = user.enroll("--algorithm", algorithm, "--digits", "8")
    give_secret(enrolled, (b"1234567890" * 7)[: LENGTHS[algorithm]])
    for time, code in zip(TIMES, CODES[algorithm].split(), strict=True):
        assert user.log_in(either_service, code, at=time).result == Result.SUCCESS, time


@pytest.mark.parametrize("length", [10, 16, 64, 65, 127, 128])
def test_secrets_of_every_length_work(user, either_service, length):
    enrolled = user.enroll()
    secret = bytes(range(7, 7 + length))
    give_secret(enrolled, secret)
    code = Authenticator(secret).code_at(START)
    assert user.log_in(either_service, code, at=START).result == Result.SUCCESS
    assert user.log_in(either_service, code, at=START).result == Result.AUTH_ERR


def test_a_login_through_libcrypto_changes_nothing_in_its_host(harness, user, shared_module):
    enrolled = user.enroll()
    service = harness.service("shared", f"auth required {shared_module}")
    answers = [enrolled.authenticator.code_at(START), enrolled.authenticator.wrong_code(START)]
    logins = harness.run(service, [(user.name, [answer]) for answer in answers], at=START, states=True)
    assert [login.result for login in logins] == [Result.SUCCESS, Result.AUTH_ERR]
    assert all(login.states["after"] == login.states["before"] for login in logins)


def test_a_libcrypto_that_fails_denies_the_login_and_counts_no_failure(harness, user, shared_module, log, tmp_path):
    enrolled = user.enroll()
    service = harness.service("shared", f"auth required {shared_module}")
    # An OpenSSL configuration that requires a FIPS provider, which is missing. The user cannot read it.
    configured = tmp_path / "openssl.cnf"
    configured.write_text("openssl_conf = all\n[all]\nalg_section = rules\n[rules]\ndefault_properties = fips=yes\n")
    code = enrolled.authenticator.code_at(START)
    under = ("env", f"OPENSSL_CONF={configured}")
    for _ in range(7):
        assert user.log_in(service, code, at=START, under=under).result == Result.AUTHINFO_UNAVAIL
    assert all("reason=io-error" in message.text.split() for message in log.of_module(7))
    assert user.log_in(service, code, at=START).result == Result.SUCCESS


def test_check_module_knows_both_builds(products, shared_module):
    check = machine.CHECKOUT / "scripts/check-module"

    def complaint(*arguments) -> str:
        return run(check, *arguments, status=None).stderr

    assert complaint("--shared-crypto", SHARED) == ""
    assert "needs libcrypto.so.3, which would be loaded" in complaint(SHARED)
    usual = machine.PRODUCT / "pam_twofactor.so"
    assert "does not name libcrypto.so.3 as needed" in complaint("--shared-crypto", usual)
    assert os.path.getsize(SHARED) < os.path.getsize(usual)
