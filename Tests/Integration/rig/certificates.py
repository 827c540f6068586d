"""Certificates of a small authority, by openssl."""

import functools
import shutil
from pathlib import Path

from .process import run


class Authority:
    """Issues certificates into a folder. A certificate is NAME.crt, its key NAME.key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        self.certificate = folder / "ca.crt"
        new_key(folder / "ca.key")
        request = ("req", "-x509", "-new", "-key", folder / "ca.key", "-subj", "/CN=fleet", "-days", "3650")
        run("openssl", *request, "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-out", self.certificate)

    def issue(self, name: str, *, common_name: str | None = None, purpose: str = "clientAuth", **options) -> Path:
        """Returns the path of the certificate, after which that of the key is `.with_suffix(".key")`.

        common_name: None for the name
        purpose: clientAuth or serverAuth, which makes the common name a DNS name, too
        ended: whether the certificate expired a day ago
        days: how long the certificate is valid
        owner, group, mode: of the key
        """
        common_name, certificate = common_name or name, self.folder / f"{name}.crt"
        key, request = certificate.with_suffix(".key"), certificate.with_suffix(".csr")
        new_key(key)
        run("openssl", "req", "-new", "-key", key, "-subj", f"/CN={common_name}", "-out", request)
        extensions = f"extendedKeyUsage={purpose}\n"
        if purpose == "serverAuth":
            extensions += f"subjectAltName=DNS:{common_name}\n"
        moment = ("faketime", "-f", "-2d") if options.get("ended") else ()
        days = 1 if options.get("ended") else options.get("days", 365)
        signer = ("-CA", self.certificate, "-CAkey", self.folder / "ca.key", "-CAcreateserial")
        issue = ("openssl", "x509", "-req", "-in", request, *signer, "-days", days, "-extfile", "/dev/stdin")
        run(*moment, *issue, "-out", certificate, input=extensions)
        shutil.chown(key, options.get("owner", "root"), options.get("group", "root"))
        key.chmod(options.get("mode", 0o600))
        return certificate


def new_key(path: Path) -> None:
    run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path)
    path.chmod(0o600)


@functools.cache
def authority() -> Authority:
    """The authority of the tests, one for a run of them."""
    return Authority(Path("/etc/twofactor-tests"))
