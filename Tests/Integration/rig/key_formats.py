"""A text in each format of keys that `pam/migration.md` lists, made from a key of its own."""

import base64
import hashlib
import hmac
import pwd
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from string import Template
from urllib.parse import quote

from .machine import COMMAND
from .process import run


@dataclass(frozen=True)
class Key:
    """The key of one text, and the account that it is for."""

    secret: bytes
    user: str

    @property
    def base32(self) -> str:
        """Without padding."""
        return base64.b32encode(self.secret).decode().rstrip("=")

    @property
    def words(self) -> dict[str, str]:
        """The placeholders of a template."""
        return {
            "user": self.user,
            "base32": self.base32,
            "lower": self.base32.lower(),
            "hex": self.secret.hex(),
            "base64": base64.b64encode(self.secret).decode(),
            # Java's bytes, as FreeOTP writes them.
            "bytes": ",".join(str(byte - 256 if byte > 127 else byte) for byte in self.secret),
        }


@dataclass(frozen=True)
class Text:
    """A file, and the replies to the questions of its import."""

    content: bytes
    answers: str = ""


# In bytes; the others have 20.
SIZES = {"GitHub, GitLab, Microsoft, Okta": 10, "Amazon Web Services": 40, "google-authenticator": 16}


def texts(name: str, user: str) -> tuple[Key, list[Text]]:
    """The key and the texts of a row. The key is the same in each run."""
    key = Key(hashlib.sha512(name.encode()).digest()[: SIZES.get(name, 20)], user)
    forms = FORMS[name]
    return key, [text(form, key) for form in (forms if isinstance(forms, list) else [forms])]


def text(form: str | Callable[[Key], str | bytes | Text], key: Key) -> Text:
    made = Template(form).substitute(key.words) if isinstance(form, str) else form(key)
    if isinstance(made, str):
        made = made.encode()
    return made if isinstance(made, Text) else Text(made)


def uri(key: Key, label: str = "Shop:alice", rest: str = "&issuer=Shop") -> str:
    return f"otpauth://totp/{label}?secret={key.base32}{rest}"


# What services and apps show as a QR code.
URIS = {
    "GitHub, GitLab, Microsoft, Okta": "otpauth://totp/GitHub:alice?secret=$base32&issuer=GitHub",
    "Google": "otpauth://totp/Google%3Aalice%40gmail.com?secret=$lower&issuer=Google",
    "Amazon Web Services": "otpauth://totp/Amazon%20Web%20Services:alice@example?secret=$base32"
    "&issuer=Amazon%20Web%20Services",
    "Keycloak": "otpauth://totp/realm:alice?secret=$base32&digits=8&algorithm=SHA256&issuer=realm&period=60",
    "authentik, Proxmox VE, step, Symantec VIP": [
        "otpauth://totp/authentik:alice?secret=$base32&algorithm=SHA1&digits=6&period=30&issuer=authentik",
        "otpauth://totp/VIP%20Access:VSST1234?secret=$base32&issuer=Symantec&algorithm=SHA1&digits=6&period=30",
    ],
    "FreeIPA": "otpauth://totp/alice@EXAMPLE.ORG:0f9c8a02-5b1c-4d7e?digits=6&secret=$base32&period=30"
    "&algorithm=SHA512&issuer=alice%40EXAMPLE.ORG",
    "FreeIPA with SHA-384": "otpauth://totp/alice@EXAMPLE.ORG:0f9c8a02?digits=6&secret=$base32&algorithm=SHA384",
    "Nextcloud": "otpauth://totp/Nextcloud:alice%40cloud.example.org?secret=$base32&issuer=Nextcloud&digits=6&period=30"
    "&image=https%3A%2F%2Fcloud.example.org%2Ffavicon.png",
    "google-authenticator": "otpauth://totp/alice@host?secret=$base32&issuer=host",
    "google-authenticator, counter": "otpauth://hotp/alice@host?secret=$base32&issuer=host",
    "privacyIDEA": "otpauth://totp/TOTP0001A2B3?secret=$base32&period=30&digits=6&creator=privacyidea"
    "&issuer=privacyIDEA",
    "privacyIDEA, two-step": "otpauth://totp/TOTP0001A2B4?secret=$base32&digits=6&2step_salt=8&2step_output=20"
    "&2step_difficulty=10000&issuer=privacyIDEA",
    "privacyIDEA push": "otpauth://pipush/PIPU0001A2B5?url=https%3A//id.example.org/ttype/push&ttl=10"
    "&enrollment_credential=$hex&v=1",
    "LinOTP": "otpauth://hotp/LinOTP:alice?secret=$base32&digits=6&counter=0&issuer=LinOTP",
    "mOTP": "otpauth://motp/LinOTP:alice?secret=$hex",
    "OCRA": "otpauth://ocra/alice?secret=$base32&suite=OCRA-1%3AHOTP-SHA1-6%3AQN08",
    "Steam, encoder": "otpauth://totp/Steam:alice?secret=$base32&issuer=Steam&encoder=steam",
    "Steam": "otpauth://steam/Steam:alice?secret=$base32&issuer=Steam&digits=5&period=30",
    "Steam of Bitwarden": "steam://$base32",
    "Battle.net": "otpauth://totp/Battle.net:alice?secret=$base32&digits=8&issuer=Battle.net",
    "Yandex": "otpauth://yaotp/alice?secret=$base32&pin_length=4&name=alice",
    "Authy": "otpauth://totp/Shop:alice?secret=$base32&digits=7&period=10",
    "Duo": "duo://AbCdEfGhIjKlMnOpQrSt-YXBpLWV4YW1wbGU",
    "FreeOTP": "otpauth://totp/Shop:alice?secret=$base32&algorithm=SHA1&digits=6&period=30&lock=true"
    "&image=file%3A%2F%2F%2Fphoto.jpg",
    "Ente Auth": "otpauth://totp/Shop:alice?secret=$base32&issuer=Shop&algorithm=SHA1&digits=6&period=30"
    "&codeDisplay=%7B%22pinned%22%3Afalse%2C%22tapCount%22%3A0%7D",
}


def picture(key: Key) -> bytes:
    """A QR code as PNG."""
    path = Path(pwd.getpwnam(key.user).pw_dir, "picture.png")
    run(COMMAND, "import", "--user", key.user, "--force", "--yes", "--qr-file", path, input=uri(key))
    return path.read_bytes()


# URIs inside other text.
AROUND = {
    "HTML": '<a href="otpauth://totp/x?secret=$base32&amp;digits=8&amp;period=60&amp;algorithm=SHA256">key</a>\n',
    "HTML, counter": "otpauth://hotp/x?secret=$base32&amp;counter=40&amp;digits=8\n",
    "e-mail, Markdown": [
        "Dear Alice,\n\nyour key is <otpauth://totp/Shop:alice?secret=$base32&issuer=Shop>.\n",
        "The key: `otpauth://totp/Shop:alice?secret=$base32&issuer=Shop`, see below.\n",
    ],
    "QR code in a picture": picture,
    "zbarimg": "QR-Code:otpauth://totp/Shop:alice?secret=$base32&issuer=Shop\n",
    "pass-otp": "correct horse\nlogin: alice\notpauth://totp/Shop:alice?secret=$base32&issuer=Shop\n",
    "Windows editor": lambda key: b"\xef\xbb\xbf" + uri(key).encode() + b"\r\n",
    "UTF-16": lambda key: (uri(key) + "\r\n").encode("utf-16"),
    "Latin-1 label": "otpauth://totp/Shop:M%FCller?secret=$base32&issuer=Shop\n",
    "WinAuth, Steam": "otpauth://totp/Steam:alice?secret=$base32&digits=5&deviceid=android&data=%7b%7d&issuer=Steam\n",
    "KeePassXC, WinAuth": "otpauth://totp/Shop:alice?secret=$base32&period=30&digits=6&issuer=Shop\n",
    "KeePass, KeeOtp, TrayTOTP": [
        "TimeOtp-Secret-Base32: $base32\nTimeOtp-Length: 6\nTimeOtp-Period: 30\n",
        "key=$base32&step=30&size=6\n",
        "TOTP Seed: $base32\nTOTP Settings: 30;6\n",
    ],
    "Apple Passwords, Proton Pass": [
        (
            "Title,URL,Username,Password,Notes,OTPAuth\n"
            "Shop,https://shop.example/,alice,pw,,otpauth://totp/Shop:alice?secret=$base32&issuer=Shop\n"
        ),
        (
            "type,name,url,email,username,password,note,totp,createTime,modifyTime,vault\n"
            'login,Shop,https://shop.example,,alice,pw,,"otpauth://totp/Shop:alice?secret=$base32&algorithm=SHA1'
            '&digits=6&period=30",1700000000,1700000000,Personal\n'
        ),
    ],
    "1Password, Keeper, Proton Authenticator": [
        (
            '{"accounts":[{"vaults":[{"items":[{"details":{"sections":[{"fields":[{"title":"one-time password",'
            '"value":{"totp":"otpauth://totp/Shop:alice?secret=$base32&issuer=Shop"}}]}]}}]}]}]}\n'
        ),
        (
            '{"records":[{"title":"Shop","login":"alice","custom_fields":{"TFC:Keeper":'
            '"otpauth://totp/Shop:alice?secret=$base32&issuer=Shop"}}]}\n'
        ),
        (
            '{"version":1,"entries":[{"id":"1","content":{"uri":"otpauth://totp/Shop:alice?secret='
            '$base32&issuer=Shop&algorithm=SHA1&digits=6&period=30","entry_type":"Totp","name":"alice"}}]}\n'
        ),
    ],
    "LastPass": "url,username,password,totp,extra,name,grouping,fav\nhttps://shop.example,alice,pw,$base32,,Shop,,0\n",
    "a key alone": "$base32\n",
}


def varint(number: int) -> bytes:
    rest = number >> 7
    return bytes([number & 127 | 128]) + varint(rest) if rest else bytes([number])


def protobuf(*fields: tuple[int, int | bytes]) -> bytes:
    """Fields of a protocol buffer: numbers and byte strings."""
    made = b""
    for number, value in fields:
        if isinstance(value, int):
            made += varint(number << 3) + varint(value)
        else:
            made += varint(number << 3 | 2) + varint(len(value)) + value
    return made


def migration(key: Key, algorithm: int = 1, digits: int = 1, kind: int = 2, counter: int = 0) -> str:
    """An export of Google Authenticator with one account; the numbers are those of its protocol buffer."""
    account = protobuf(
        (1, key.secret), (2, b"Shop:alice"), (3, b"Shop"), (4, algorithm), (5, digits), (6, kind), (7, counter)
    )
    payload = protobuf((1, account), (2, 1), (3, 1), (4, 0), (5, 1234567))
    return f"otpauth-migration://offline?data={quote(base64.b64encode(payload), safe='')}\n"


def aegis(kind: str, info: str) -> str:
    return (
        '{"version":1,"header":{"slots":null,"params":null},"db":{"version":3,"entries":[{"type":"' + kind + '",'
        '"uuid":"3ae6f1ad","name":"alice","issuer":"Shop","note":"","icon":null,"info":{' + info + "}}]}}\n"
    )


def bitwarden(totp: str) -> str:
    return (
        '{"encrypted":false,"folders":[],"items":[{"id":"1","type":1,"name":"Shop","notes":null,"favorite":false,'
        '"login":{"uris":null,"username":"alice","password":null,"totp":"' + totp + '"}}]}\n'
    )


def freeotp(**fields) -> str:
    values = {"algo": '"SHA1"', "counter": 0, "digits": 6, "issuerExt": '"Shop"', "issuerInt": '"Shop"',
              "label": '"alice"', "period": 30, "secret": "[$bytes]", "type": '"TOTP"'} | fields
    return "{" + ",".join(f'"{name}":{value}' for name, value in values.items()) + "}"


APPS = {
    "Google Authenticator": migration,
    "Google Authenticator, counter": lambda key: migration(key, digits=2, kind=1, counter=7),
    "Google Authenticator, MD5": lambda key: migration(key, algorithm=4),
    "Aegis": aegis("totp", '"secret":"$base32","algo":"SHA256","digits":8,"period":60'),
    "Aegis, counter": aegis("hotp", '"secret":"$base32","algo":"SHA1","digits":6,"counter":5'),
    "Aegis, Steam and mOTP": [
        aegis("steam", '"secret":"$base32","algo":"SHA1","digits":5,"period":30'),
        aegis("motp", '"secret":"$hex","algo":"MD5","digits":6,"period":10,"pin":"1234"'),
    ],
    "Aegis, encrypted": '{"version":1,"header":{"slots":[{"type":1,"uuid":"a8325752","key":"$hex","key_params":{'
    '"nonce":"00","tag":"00"},"n":32768,"r":8,"p":1,"salt":"00"}],"params":{"nonce":"00","tag":"00"}},'
    '"db":"$base64"}\n',
    "2FAS": '{"services":[{"name":"Shop","secret":"$base32","updatedAt":1700000000000,"otp":{"label":"alice",'
    '"account":"alice","issuer":"Shop","digits":6,"period":30,"algorithm":"SHA1","tokenType":"TOTP","source":"Link"},'
    '"order":{"position":0},"icon":{"selected":"Label"}}],"groups":[],"updatedAt":1700000000000,"schemaVersion":4}\n',
    "2FAS, encrypted": '{"services":[],"groups":[],"schemaVersion":4,"servicesEncrypted":"$base64:$base64:$base64",'
    '"reference":"$base64"}\n',
    "andOTP": '[{"secret":"$base32","issuer":"Shop","label":"alice","digits":8,"type":"TOTP","algorithm":"SHA512",'
    '"thumbnail":"Default","last_used":1700000000000,"used_frequency":0,"period":30,"tags":[]}]\n',
    "andOTP, encrypted": lambda key: b"\x00\x02\x2b\x1d" + hashlib.sha512(key.secret).digest() * 4,
    "FreeOTP+": '{"tokenOrder":["Shop:alice"],"tokens":[' + freeotp() + "]}\n",
    "FreeOTP+, counter": '{"tokenOrder":["Shop:alice"],"tokens":[' + freeotp(counter=4, type='"HOTP"') + "]}\n",
    "FreeOTP 2": lambda key: b"\xac\xed\x00\x05sr\x00\x11java.util.HashMap\x05\x07\xda\xc1" + key.secret,
    "Microsoft Authenticator": lambda key: b"SQLite format 3\x00\x10\x00\x01\x01\x00" + key.base32.encode(),
    "1Password, Authenticator Plus, Raivo, archives": lambda key: b"PK\x03\x04\x14\x00" + key.secret * 3,
    "Bitwarden": bitwarden("otpauth://totp/Shop:alice?secret=$base32&issuer=Shop&algorithm=SHA1&digits=6&period=30"),
    "Bitwarden, key alone": bitwarden("$base32"),
    "Bitwarden, Steam": bitwarden("steam://$base32"),
    "Bitwarden, CSV": "folder,favorite,type,name,notes,fields,reprompt,login_uri,login_username,login_password,"
    "login_totp\n,,login,Shop,,,0,https://shop.example,alice,pw,otpauth://totp/Shop:alice?secret=$base32&issuer=Shop\n",
    "Bitwarden, encrypted": '{"encrypted":true,"passwordProtected":true,"salt":"$base64","kdfType":0,'
    '"kdfIterations":600000,"encKeyValidation_DO_NOT_EDIT":"2.$base64","data":"2.$base64|$base64|$base64"}\n',
    "2FAuth": '{"app":"2fauth_v5.0.0","schema":1,"datetime":"2025-01-01T00:00:00.000000Z","data":[{"otp_type":"totp",'
    '"account":"alice","service":"Shop","icon":null,"secret":"$base32","digits":8,"algorithm":"sha256",'
    '"period":60,"counter":null,"legacy_uri":null}]}\n',
    "Duo, backup": '[{"version":1.0,"accountType":"OtpAccount","name":"alice","otpGenerator":{"otpSecret":"$base32",'
    '"counter":3},"logoUri":"file:///1.png","pkey":"1"}]\n',
    "LastPass Authenticator": '{"deviceId":"1","version":3,"accounts":[{"accountID":"1","issuerName":"Shop",'
    '"originalIssuerName":"Shop","userName":"alice","originalUserName":"alice","pushNotification":false,'
    '"secret":"$base32","timeStep":60,"digits":8,"creationTimestamp":1700000000000,"algorithm":"SHA256"}]}\n',
    "Raivo": '[{"kind":"TOTP","algorithm":"SHA1","timer":"60","digits":"8","counter":"0","issuer":"Shop",'
    '"account":"alice","secret":"$base32","iconType":"","iconValue":"","pinned":"false"}]\n',
    "Stratum": [
        (
            '{"Authenticators":[{"Type":2,"Icon":null,"Issuer":"Shop","Username":"alice","Secret":"$base32","Pin":null,'
            '"Algorithm":0,"Digits":6,"Period":30,"Counter":0,"Ranking":0}],"Categories":[]}\n'
        ),
        lambda key: b"AUTHENTICATORPRO" + hashlib.sha512(key.secret).digest() * 3,
    ],
    "Ente Auth, encrypted": '{"version":1,"kdfParams":{"memLimit":67108864,"opsLimit":2,"salt":"$base64"},'
    '"encryptedData":"$base64","encryptionNonce":"$base64"}\n',
    "Steam, maFile": '{"shared_secret":"$base64","serial_number":"1234567890","revocation_code":"R12345",'
    '"uri":"otpauth://totp/Steam:alice?secret=$base32&issuer=Steam","account_name":"alice","token_gid":"1",'
    '"identity_secret":"$base64","secret_1":"$base64","status":1}\n',
    "Authy and Battle.net, data of the app": [
        "<?xml version='1.0' encoding='utf-8' standalone='yes' ?>\n<map>\n<string name=\"com.authy.storage.tokens."
        'authenticator.key">[{&quot;decryptedSecret&quot;:&quot;$base32&quot;}]</string>\n</map>\n',
        "<?xml version='1.0' encoding='utf-8' standalone='yes' ?>\n<map>\n"
        '<string name="com.blizzard.messenger.AUTHENTICATOR_DEVICE_SECRET">$hex</string>\n</map>\n',
    ],
    "FreeOTP, data of the app": "<?xml version='1.0' encoding='utf-8' standalone='yes' ?>\n<map>\n"
    '<string name="Shop:alice">' + freeotp().replace('"', "&quot;") + "</string>\n</map>\n",
}

GOOGLE = '$base32\n" RATE_LIMIT 3 30\n" WINDOW_SIZE 17\n" DISALLOW_REUSE\n'
SERVERS = {
    ".google_authenticator": GOOGLE + '" TOTP_AUTH\n12345678\n87654321\n',
    ".google_authenticator, counter": '$base32\n" HOTP_COUNTER 5\n',
    ".google_authenticator, STEP_SIZE": '$base32\n" STEP_SIZE 60\n" TOTP_AUTH\n',
    ".google_authenticator, TIME_SKEW": '$base32\n" TOTP_AUTH\n" TIME_SKEW 3\n',
    ".google_authenticator, hardened": '$base32\n" TOTP_AUTH\n" DIGITS 8\n" ALGORITHM sha256\n',
    ".google_authenticator, scratch codes alone": '$base32\n" RATE_LIMIT 3 30\n12345678\n',
    "pam_oath, HOTP": "HOTP $user - $hex 5\n",
    "pam_oath, HOTP/E/6": "HOTP/E/6 $user + $hex\n",
    "pam_oath, HOTP/E/8": "HOTP/E/8 $user - $hex 5\n",
    "pam_oath, HOTP/T30": "HOTP/T30 $user - $hex\n",
    "pam_oath, HOTP/T30, digits=8": "HOTP/T30 $user - $hex\n",
    "pam_oath, HOTP/T30/6": "HOTP/T30/6 $user - $hex\n",
    "pam_oath, HOTP/T30/7": "HOTP/T30/7 $user - $hex\n",
    "pam_oath, HOTP/T30/8": "HOTP/T30/8 $user - $hex\n",
    "pam_oath, HOTP/T60": "HOTP/T60 $user - $hex\n",
    "pam_oath, HOTP/T60/8": "# users\n\nHOTP/T60/8\t$user\t-\t$hex\n",
    "pam_oath, password": "HOTP/T30/6 $user secret $hex\n",
    "mod_authn_otp": [
        "HOTP/T30/6 $user - $hex 0 0 123456 2025-01-31T12:00:00L 192.0.2.1\n",
        "HOTP/T45/6 $user - $hex\n",
    ],
    "mod_authn_otp, mOTP": "# users\nMOTP/E $user 1234 $hex\n",
    "OpenVPN otp-secrets, ppp-otp": "# user server type:hash:encoding:key:pin:udid client\n"
    "$user otp totp:sha1:base32:$base32:1234:xxx *\n",
    "multiOTP": "multiotp-database-format-v3\nencryption_hash=$hex\nalgorithm=totp\nnumber_of_digits=6\n"
    "time_interval=30\ntoken_seed:=$base64\n",
    "FreeRADIUS otpd": "# username:card:key:pin\n$user:hotp-d6:$hex:\n",
    "dynalogin": "$user:$hex:0:0:0:0:0:0\nother:$hex:7:0:0:0:0:0\n",
    "2fa, gauth, .otpkeys": [
        "github 6 $lower\nshop 8 $lower 0000000000000000\n",
        "GitHub: $base32\nShop: $base32\n",
        "github=$base32\nshop=$base32\n",
    ],
}

SEEDS = {
    "Microsoft Entra, Deepnet SafeID, Token2": [
        (
            "upn,serial number,secret key,time interval,manufacturer,model\n"
            "alice@example.org,1100000,$base32,60,Token2,C202\n"
        ),
        "serial number,secret key,time interval,manufacturer,model\n10001001,$base32,60,Deepnet,SafeID\n",
    ],
    "semicolons": "serial;key;type;digits;period\r\nT1;$hex;TOTP;8;60\r\n",
    "tabs": "Serial Number\tSeed\tType\n2600124500123\t$base64\tHOTP\n",
    "LinOTP, privacyIDEA, NetIQ": "token01, $hex, totp, 8, 60\n",
    "LinOTP, privacyIDEA, counter": "token02, $hex, hotp, 6\n",
    "Duo, PingID, Feitian": "2600124500123,$hex\n",
    "YubiKey Personalization Tool": "OATH-HOTP,11.12.13 18:55,1,,,$hex,,,0,0,0,6,0,0,0,0,0,0\n",
    "YubiKey Personalization Tool, Yubico format": "508327,,0,$hex,,2013-12-12T08:41:07,\n",
    "OCRA, CSV": "serial,key,type,suite\nT1,$hex,ocra,OCRA-1:HOTP-SHA1-8:QN08\n",
    "RSA SecurID": '<?xml version="1.0"?>\n<TKNBatch><TKNHeader><Version>0</Version></TKNHeader><TKN>'
    "<SN>000123456789</SN><Seed>=$base64</Seed></TKN></TKNBatch>\n",
    "SafeNet, SafeWord Alpine": [
        (
            '<Tokens>\n<Token serial="00040008CFA5">\n<ProductName>Safeword Alpine</ProductName>\n'
            "<Applications><Application><Seed>$hex</Seed><MovingFactor>1</MovingFactor></Application></Applications>\n"
            "</Token>\n</Tokens>\n"
        ),
        "objectclass: sccCustomAuthenticator\nsccAuthenticatorId: AP0001\nsccKey: $hex\nsccMode: E\n",
    ],
    "Vasco DPX": lambda key: b"DC" + hashlib.sha512(key.secret).digest() * 2,
}

PSKC = "urn:ietf:params:xml:ns:keyprov:pskc"


def pskc(
    secret: str = "<PlainValue>$base64</PlainValue>",
    algorithm: str = f"{PSKC}:totp",
    format: str = '<ResponseFormat Length="6" Encoding="DECIMAL"/>',
    data: str = "<TimeInterval><PlainValue>30</PlainValue></TimeInterval><Time><PlainValue>0</PlainValue></Time>",
    container: str = "",
    namespaces: str = "",
) -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<KeyContainer Version="1.0" xmlns="{PSKC}"{namespaces}>\n'
        f"{container}<KeyPackage><DeviceInfo><Manufacturer>Example</Manufacturer><SerialNo>987654321</SerialNo>"
        f'</DeviceInfo><Key Id="1" Algorithm="{algorithm}"><Issuer>Shop</Issuer><AlgorithmParameters>{format}'
        f"</AlgorithmParameters><Data><Secret>{secret}</Secret>{data}</Data></Key></KeyPackage>\n</KeyContainer>\n"
    )


ENCRYPTION = ' xmlns:ds="http://www.w3.org/2000/09/xmldsig#" xmlns:xenc="http://www.w3.org/2001/04/xmlenc#"'
PKCS5 = "http://www.rsasecurity.com/rsalabs/pkcs/schemas/pkcs-5v2-0#"
DERIVATION = f' xmlns:xenc11="http://www.w3.org/2009/xmlenc11#" xmlns:pkcs5="{PKCS5}"'
AES, HMAC = "http://www.w3.org/2001/04/xmlenc#aes128-cbc", "http://www.w3.org/2000/09/xmldsig#hmac-sha1"


def encrypted_pskc(key: Key, encryption_key: bytes, description: str, answers: str) -> Text:
    """Encrypts the key and the MAC key with AES-128-CBC (RFC 6030, section 6)."""

    def cipher(plain: bytes) -> bytes:
        vector = hashlib.sha256(plain).digest()[:16]
        words = ("openssl", "enc", "-aes-128-cbc", "-K", encryption_key.hex(), "-iv", vector.hex(), "-base64", "-A")
        return vector + base64.b64decode(run(*words, input=plain).stdout)

    def value(data: bytes) -> str:
        return (
            f'<xenc:EncryptionMethod Algorithm="{AES}"/><xenc:CipherData><xenc:CipherValue>'
            f"{base64.b64encode(data).decode()}</xenc:CipherValue></xenc:CipherData>"
        )

    mac_key = hashlib.sha256(b"mac" + key.secret).digest()[:20]
    secret = cipher(key.secret)
    mac = base64.b64encode(hmac.digest(mac_key, secret, "sha1")).decode()
    container = (
        f"<EncryptionKey>{description}</EncryptionKey>\n"
        f'<MACMethod Algorithm="{HMAC}"><MACKey>{value(cipher(mac_key))}</MACKey></MACMethod>\n'
    )
    body = pskc(
        f"<EncryptedValue>{value(secret)}</EncryptedValue><ValueMAC>{mac}</ValueMAC>",
        container=container,
        namespaces=ENCRYPTION + DERIVATION,
    )
    return Text(body.encode(), answers)


def pskc_with_key(key: Key) -> Text:
    shared = hashlib.sha256(b"pre-shared" + key.secret).digest()[:16]
    return encrypted_pskc(key, shared, "<ds:KeyName>Pre-shared-key</ds:KeyName>", shared.hex() + "\n")


def pskc_with_passphrase(key: Key) -> Text:
    salt = hashlib.sha256(b"salt" + key.secret).digest()[:16]
    description = (
        f'<xenc11:DerivedKey><xenc11:KeyDerivationMethod Algorithm="{PKCS5}pbkdf2"><pkcs5:PBKDF2-params>'
        f"<Salt><Specified>{base64.b64encode(salt).decode()}</Specified></Salt><IterationCount>1000</IterationCount>"
        "<KeyLength>16</KeyLength><PRF/></pkcs5:PBKDF2-params>"
        "</xenc11:KeyDerivationMethod><xenc:ReferenceList/></xenc11:DerivedKey>"
    )
    derived = hashlib.pbkdf2_hmac("sha1", b"open sesame", salt, 1000, 16)
    return encrypted_pskc(key, derived, description, "open sesame\n")


CONTAINERS = {
    "PSKC": pskc(),
    "PSKC, counter": pskc(
        algorithm=f"{PSKC}:hotp",
        format='<ResponseFormat Length="8" Encoding="DECIMAL"/>',
        data="<Counter><PlainValue>9</PlainValue></Counter>",
    ),
    "PSKC, SHA-256": pskc(format='<Suite>HMAC-SHA256</Suite><ResponseFormat Length="8" Encoding="DECIMAL"/>'),
    "PSKC, pre-shared key": pskc_with_key,
    "PSKC, passphrase": pskc_with_passphrase,
    "PSKC, public key": pskc(
        '<EncryptedValue><xenc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#rsa_1_5"/><xenc:CipherData>'
        "<xenc:CipherValue>$base64</xenc:CipherValue></xenc:CipherData></EncryptedValue>",
        container="<EncryptionKey><ds:X509Data><ds:X509Certificate>$base64</ds:X509Certificate></ds:X509Data>"
        "</EncryptionKey>\n",
        namespaces=ENCRYPTION,
    ),
    "PSKC, OCRA": pskc(algorithm=f"{PSKC}:ocra"),
    "PSKC, PIN": pskc(algorithm=f"{PSKC}:pin"),
    "PSKC, hexadecimal response": pskc(format='<ResponseFormat Length="6" Encoding="HEXADECIMAL"/>'),
}

# By the name of the row. Several forms of one row are alike.
FORMS = {**URIS, **AROUND, **APPS, **SERVERS, **SEEDS, **CONTAINERS}
