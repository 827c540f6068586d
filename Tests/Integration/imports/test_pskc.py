"""`twofactor import` of encrypted PSKC files (RFC 6030), which Python's cryptography encrypts."""

import base64
import hmac
import os

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from rig.clock import START
from rig.enrollment import twofactor
from rig.exit_status import UNUSABLE
from rig.harness import Result
from rig.one_time_password import Authenticator

XMLENC = "http://www.w3.org/2001/04/xmlenc#"
TOTP = "urn:ietf:params:xml:ns:keyprov:pskc:totp"


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Container:
    """A container of TOTP tokens, encrypted with AES-256-CBC and authenticated with HMAC-SHA-256."""

    def __init__(self):
        self.key, self.mac_key = os.urandom(32), os.urandom(32)
        self.packages = ""

    def encrypt(self, plain: bytes) -> bytes:
        padder, vector = PKCS7(128).padder(), os.urandom(16)
        encryptor = Cipher(algorithms.AES(self.key), modes.CBC(vector)).encryptor()
        return vector + encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()

    def data(self, ciphertext: bytes) -> str:
        return (
            f'<xenc:EncryptionMethod Algorithm="{XMLENC}aes256-cbc"/>'
            f"<xenc:CipherData><xenc:CipherValue>{text(ciphertext)}</xenc:CipherValue></xenc:CipherData>"
        )

    def value(self, name: str, plain: bytes) -> str:
        ciphertext = self.encrypt(plain)
        mac = hmac.digest(self.mac_key, ciphertext, "sha256")
        return (
            f"<{name}><EncryptedValue>{self.data(ciphertext)}</EncryptedValue><ValueMAC>{text(mac)}</ValueMAC></{name}>"
        )

    def add(self, serial: str, secret: bytes, drift: int = 0) -> None:
        self.packages += (
            f"<KeyPackage><DeviceInfo><Manufacturer>oath.EX</Manufacturer><SerialNo>{serial}</SerialNo></DeviceInfo>"
            f'<Key Id="{serial}" Algorithm="{TOTP}"><AlgorithmParameters><Suite>HMAC-SHA256</Suite>'
            '<ResponseFormat Length="8" Encoding="DECIMAL"/></AlgorithmParameters>'
            f"<Data>{self.value('Secret', secret)}{self.value('TimeInterval', b'60')}"
            f"{self.value('TimeDrift', drift.to_bytes(4, 'big', signed=True))}</Data></Key></KeyPackage>"
        )

    def write(self, path) -> None:
        mac_method = "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"
        path.write_text(
            '<?xml version="1.0"?><KeyContainer Version="1.0" xmlns="urn:ietf:params:xml:ns:keyprov:pskc" '
            f'xmlns:ds="http://www.w3.org/2000/09/xmldsig#" xmlns:xenc="{XMLENC}">'
            "<EncryptionKey><ds:KeyName>Transport key</ds:KeyName></EncryptionKey>"
            f'<MACMethod Algorithm="{mac_method}"><MACKey>{self.data(self.encrypt(self.mac_key))}</MACKey></MACMethod>'
            f"{self.packages}</KeyContainer>"
        )


@pytest.fixture
def container(tmp_path):
    made = Container()
    made.path = tmp_path / "tokens.xml"
    return made


def test_an_encrypted_token_with_a_drifting_clock_logs_in(user, container, service):
    secrets = {serial: os.urandom(32) for serial in ("2600124500123", "2600124500124")}
    for serial, secret in secrets.items():
        container.add(serial, secret, drift=-7)
    container.write(container.path)
    words = ("import", "--user", user.name, "--select", "500124", str(container.path))
    twofactor(*words, answers=text(container.key) + "\n", at=START)
    device = user.status()["devices"][0]
    assert (device["algorithm"], device["digits"], device["period"], device["offset_steps"]) == ("sha256", 8, 60, -7)
    token = Authenticator(secrets["2600124500124"], "sha256", 8, 60)
    name = service()
    assert user.log_in(name, token.code_at(START), at=START).result == Result.AUTH_ERR
    assert user.log_in(name, token.code_at(START, -7), at=START).result == Result.SUCCESS


def test_a_wrong_key_enrolls_nobody(user, container):
    container.add("1", os.urandom(20))
    container.write(container.path)
    done = twofactor(
        "import", "--user", user.name, str(container.path), answers=os.urandom(32).hex() + "\n", status=UNUSABLE
    )
    assert "a PSKC file: the key does not fit: no MAC of the file is right" in done.stderr
    assert not user.directory.exists()
