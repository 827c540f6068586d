"""What a host gets beside the binaries: the drop-in for sshd, the filter of fail2ban, the examples of the manual."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from rig import host_trees
from rig.machine import CHECKOUT, PRODUCT

DROP_IN = CHECKOUT / "pam/sshd/twofactor.conf"
FILTER = CHECKOUT / "pam/fail2ban/twofactor.conf"


def combinations() -> list[str]:
    """The drop-in with each of its numbered combinations taken out of the comments."""
    head, *parts = re.split(r"(?m)^# (?=\d\.)", DROP_IN.read_text())
    assert len(parts) == 5
    return [head, *(head + re.sub(r"(?m)^#(?=[A-Z]|    [A-Z])", "", "# " + part) for part in parts)]


@pytest.mark.parametrize("number", range(6))
def test_sshd_takes_every_combination_of_the_drop_in(tmp_path, number):
    settings = tmp_path / "sshd_config"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True, timeout=20)
    settings.write_text(f"HostKey {tmp_path}/key\n" + combinations()[number])
    Path("/run/sshd").mkdir(exist_ok=True)
    checked = subprocess.run(["/usr/sbin/sshd", "-t", "-f", settings], capture_output=True, text=True, timeout=20)
    # A release may not know an option of a later one; it may not misread any.
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("number", range(6))
def test_doctor_is_content_with_every_combination(tmp_path, number):
    files = {**host_trees.good(), "etc/ssh/sshd_config.d/10-twofactor.conf": combinations()[number]}
    root = host_trees.build(tmp_path / "host", files)
    words = [PRODUCT / "twofactor", "doctor", "--root", root, "--strict"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stdout


LOG = "Nov 21 10:00:00 server sshd[4242]: pam_twofactor(sshd:auth): "
COUNTED = ["wrong-code failures=1", "reused-code", "throttled retry_after=30", "locked", "not-enrolled", "unknown-user",
           "malformed-reply"]
LINES = [LOG + f"denied user=alice rhost=192.0.2.7 reason={reason}" for reason in COUNTED]
OTHERS = [
    LOG + "denied user=alice rhost=192.0.2.7 reason=no-reply",
    LOG + "denied user=alice rhost=192.0.2.7 reason=outside-window offset_steps=3",
    LOG + "accepted user=alice rhost=192.0.2.7 method=totp device=phone",
    LOG + "denied user=alice rhost=- reason=wrong-code failures=1",
    # A name that pretends to be a line of the log is one word in it.
    LOG + "accepted user=denied<20>user=x<20>rhost=192.0.2.9<20>reason=wrong-code rhost=192.0.2.7 method=totp",
]


def test_the_profile_is_off_and_behind_the_password():
    profile = (CHECKOUT / "pam/pam-configs/twofactor").read_text()
    assert "Default: no\n" in profile and "Auth-Type: Additional\n" in profile
    assert profile.endswith("\trequired\tpam_twofactor.so nullok\n")


@pytest.mark.parametrize("page", ["pam_twofactor.8"])
def test_the_examples_of_the_manual_are_right(tmp_path, page):
    """Every stack among the examples, in front of doctor."""
    examples = (CHECKOUT / "pam/man" / page).read_text().partition(".Sh EXAMPLES")[2].partition(".Sh ")[0]
    blocks = re.findall(r"\.Bd -literal[^\n]*\n(.*?)\.Ed", examples, re.DOTALL)
    assert len(blocks) == 3
    for number, block in enumerate(blocks):
        stack = block if "pam_unix" in block or "common-auth" in block else "@include common-auth\n" + block
        root = host_trees.build(tmp_path / f"host{number}", {**host_trees.good(), "etc/pam.d/sshd": stack})
        words = [PRODUCT / "twofactor", "doctor", "--root", root, "--strict"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, done.stdout
