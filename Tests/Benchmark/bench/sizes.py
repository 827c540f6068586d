"""The size of the module: bytes of code by part of the program."""

import re
import subprocess
from pathlib import Path

PARTS = {
    "OpenSSL's SHA-1, SHA-256 and SHA-512": r"(?i)(ossl_)?_?sha(1|224|256|384|512|ext)",
    "Enrollment: the files": r"\$e10Enrollment",
    "PAMModule: the login": r"\$e9PAMModule|pam_sm_",
    "Verification: the decision": r"\$e12Verification",
    "LoginPolicy: arguments and twofactor.conf": r"\$e11LoginPolicy",
    "OneTimePassword and FixedMemory": r"\$e15OneTimePassword|\$e11FixedMemory|\$es4Span|\$es11InlineArray",
    "C shims": r"csystem_|cpam_|copenssl_",
}


def parts(unstripped: Path, stripped: Path) -> dict[str, int]:
    """Bytes by part; the last part is what belongs to none of the others."""
    symbols = subprocess.run(["nm", "-S", unstripped], capture_output=True, text=True, check=True).stdout
    found = dict.fromkeys(PARTS, 0)
    counted = set()
    for line in symbols.splitlines():
        match = re.fullmatch(r"([0-9a-f]+) ([0-9a-f]+) [tT] (\S+)", line)
        # Identical functions share one address under several names.
        if not match or match[1] in counted:
            continue
        counted.add(match[1])
        for part, pattern in PARTS.items():
            if re.match(pattern, match[3]):
                found[part] += int(match[2], 16)
                break
    return {**found, "constants, tables of the linker, the rest": stripped.stat().st_size - sum(found.values())}
