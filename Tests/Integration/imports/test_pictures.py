"""`twofactor import` of pictures: QR codes in files of five formats, read by zbarimg without privileges."""

import ctypes
import json
import struct
import zlib
from pathlib import Path

import pytest
from rig.enrollment import twofactor
from rig.exit_status import DONE, UNUSABLE
from rig.one_time_password import Authenticator
from rig.register import is_host_store

FIRST, SECOND = (Authenticator(bytes([number]) * 20) for number in (65, 66))
URIS = [
    f"otpauth://totp/Shop:Zoë?secret={FIRST.base32}&issuer=Shop",
    f"otpauth://totp/Mail:alice?secret={SECOND.base32}&issuer=Mail",
]
ZBARIMG = Path("/usr/bin/zbarimg")


class _Code(ctypes.Structure):
    _fields_ = [("version", ctypes.c_int), ("width", ctypes.c_int), ("data", ctypes.POINTER(ctypes.c_ubyte))]


def rows_of(text: str, scale: int = 4, margin: int = 4) -> list[bytes]:
    """The QR code of a text as rows of gray pixels."""
    library = ctypes.CDLL("libqrencode.so.4")
    library.QRcode_encodeString.restype = ctypes.POINTER(_Code)
    code = library.QRcode_encodeString(text.encode(), 0, 1, 2, 1).contents
    light = bytes(code.width + 2 * margin)
    edge = bytes(margin)
    width = code.width
    modules = [bytes(code.data[row * width + column] & 1 for column in range(width)) for row in range(width)]
    lines = [light] * margin + [edge + line + edge for line in modules] + [light] * margin
    return [bytes(0 if dark else 255 for dark in line for _ in range(scale)) for line in lines for _ in range(scale)]


def picture(*texts: str) -> bytes:
    """A PNG with the QR codes of the texts, one below the other."""
    codes = [rows_of(text) for text in texts]
    width = max(len(rows[0]) for rows in codes)
    return png([row.ljust(width, b"\xff") for rows in codes for row in rows])


def png(rows: list[bytes]) -> bytes:
    """A picture of gray pixels."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def converted(content: bytes, kind: str, folder: Path) -> bytes:
    """The picture in another format, written by the library that zbarimg uses."""
    source, target = folder / "source.png", folder / f"target.{kind}"
    source.write_bytes(content)
    library = ctypes.CDLL("libMagickWand-6.Q16.so.6")
    library.NewMagickWand.restype = ctypes.c_void_p
    library.MagickWandGenesis()
    wand = ctypes.c_void_p(library.NewMagickWand())
    assert library.MagickReadImage(wand, str(source).encode())
    assert library.MagickWriteImage(wand, f"{kind}:{target}".encode())
    return target.read_bytes()


def bring_in(user, content: bytes, *options: str, name: str = "keys.txt", status: int = DONE) -> tuple[dict, str]:
    """Imports a file of the user as root; returns the answer, and the error as text."""
    path = user.home / name
    path.write_bytes(content)
    path.chmod(0o644)
    words = ("import", "--user", user.name, "--json", "--force", "--yes", *options, name)
    done = twofactor(*words, cwd=user.home, status=status)
    answer = json.loads(done.stdout or done.stderr)
    return answer, done.stdout + done.stderr


def leftovers() -> list[Path]:
    patterns = ("magick*", "twofactor*")
    return [path for folder in ("/dev/shm", "/tmp") for pattern in patterns for path in Path(folder).glob(pattern)]


def test_pictures_are_recognized_by_their_content(user, tmp_path):
    for kind in ("png", "jpeg", "gif", "webp", "bmp"):
        content = PNG if kind == "png" else converted(PNG, kind, tmp_path)
        answer, _ = bring_in(user, content)
        assert answer["secret"] == FIRST.base32, kind
        # The label, which is not percent-encoded, keeps its bytes.
        assert "Shop:Zo%C3%AB?" in answer["uri"]
    assert leftovers() == []


def test_a_picture_comes_from_standard_input(user):
    """The answers first: the password."""
    answers = f"{user.password}\n".encode() + picture(URIS[0])
    done = user.twofactor("import", "--no-confirm", "--json", answers=answers, status=None)
    assert done.returncode == DONE, done
    assert json.loads(done.stdout)["secret"] == FIRST.base32


def test_each_code_of_a_picture_is_an_account(user):
    both = picture(*URIS)
    answer, _ = bring_in(user, both, "--select", "mail")
    assert answer["secret"] == SECOND.base32
    answer, said = bring_in(user, both, status=UNUSABLE)
    assert "Shop: Zoë" in said and "Mail: alice" in said


PNG = picture(URIS[0])
MVG = b'push graphic-context\nviewbox 0 0 9 9\nimage over 0,0 0,0 "/etc/shadow"\npop graphic-context\n'

@pytest.mark.parametrize(
    "content,reason",
    [
        (picture("WIFI:S:home;P:" + FIRST.base32 + ";;"), "is not the key of an app"),
        (PNG[:200], "damaged or too large"),
        (PNG[:8] + MVG, "damaged or too large"),
        (b"\xff\xd8\xff" + MVG, "damaged or too large"),
        (b"GIF89a" + MVG, "damaged or too large"),
        (b"%PDF-1.4\n" + MVG, "pictures of this kind cannot be read"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"><image href="/etc/shadow"/></svg>', "of this kind cannot be read"),
        (MVG, "format"),
    ],
    ids=["no key", "truncated", "script as PNG", "script as JPEG", "script as GIF", "PDF", "SVG", "script"],
)
def test_other_pictures_are_refused(user, content, reason):
    answer, said = bring_in(user, content, name="code.png", status=UNUSABLE)
    assert answer["error"].startswith("code.png: ") and reason in answer["error"]
    assert FIRST.base32 not in said and answer["hint"]
    assert leftovers() == []


def test_a_picture_without_a_code_is_refused(user):
    answer, _ = bring_in(user, png([b"\xff" * 100] * 100), status=UNUSABLE)
    assert answer["error"] == "keys.txt: no QR code found in the picture"


@pytest.fixture
def replaced_zbarimg(tmp_path):
    """Runs a script in place of zbarimg."""
    original = ZBARIMG.read_bytes()

    def replace(*lines: str) -> None:
        ZBARIMG.write_text("".join(line + "\n" for line in ("#!/bin/sh -p", *lines)))

    yield replace
    ZBARIMG.unlink(missing_ok=True)
    ZBARIMG.write_bytes(original)
    ZBARIMG.chmod(0o755)


@pytest.mark.usefixtures("each_store")
def test_zbarimg_has_no_privileges(user, replaced_zbarimg):
    """It runs as the user, and as nobody if the command stays root, with nothing but the picture."""
    status = "awk '/^NoNewPrivs/ { print $2 }' /proc/self/status"
    report = f"$(id -u) $(id -rg) $(id -g) $(ls /proc/self/fd | xargs) $({status}) $PWD"
    # A name of an otpauth URI that cannot be used is shown in the error.
    replaced_zbarimg(
        f'echo "otpauth://totp/x?secret=AAAA&algorithm=none"; echo "$* {report}" | tr " /" "_-" >$MAGICK_TMPDIR/seen',
        "env | sort >>$MAGICK_TMPDIR/seen",
        # The directory is removed at the end.
        "cat $MAGICK_TMPDIR/seen >/var/tmp/seen",
    )
    Path("/var/tmp/seen").write_text("")
    Path("/var/tmp/seen").chmod(0o666)
    bring_in(user, PNG, status=UNUSABLE)
    seen, *environment = Path("/var/tmp/seen").read_text().splitlines()
    Path("/var/tmp/seen").unlink()
    words = "--quiet_--raw_--nodbus_-Sdisable_-Sqrcode.enable_-Sqrcode.binary_png:-"
    if is_host_store():
        # id prints the real group, which no other process has.
        assert seen == f"{words}_65534_65533_65534_0_1_2_3_1_-"
    else:
        assert seen.startswith(f"{words}_{user.uid}_{user.gid}_{user.gid}_0_1_2_3_") and seen.endswith("_-")
    names = {line.split("=")[0] for line in environment} - {"PWD", "OLDPWD", "SHLVL", "_"}
    assert names == {"LC_ALL", "MAGICK_DISK_LIMIT", "MAGICK_THREAD_LIMIT", "MAGICK_TMPDIR", "OMP_NUM_THREADS", "PATH"}
    assert leftovers() == []


def test_without_zbarimg_its_package_is_named(user, replaced_zbarimg):
    ZBARIMG.unlink()
    answer, _ = bring_in(user, PNG, status=UNUSABLE)
    assert "zbarimg" in answer["error"] and "zbar-tools" in answer["hint"]


def test_more_text_than_codes_can_have_is_refused(user, replaced_zbarimg):
    replaced_zbarimg(f"yes '{URIS[0]}' | head -c 300000")
    answer, said = bring_in(user, PNG, status=UNUSABLE)
    assert "damaged or too large" in answer["error"]
