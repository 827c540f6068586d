"""Compares doctor with `sshd -T`, for a login in each Match block of random configurations."""

import shutil
from pathlib import Path

import pytest
from rig.doctor import doctor, findings
from rig.process import run
from rig.sshd_configurations import Configuration, Generator

SETTINGS = Path("/etc/ssh")
SSHD = Path("/usr/sbin/sshd")
REAL = Path("/usr/sbin/sshd.real")
ANSWERS = Path("/run/sshd-answers")
STACK = Path("/etc/pam.d/sshd")

COUNT = 220
USERS = ["anna", "annb", "bert", "root", "daemon"]
GROUPS = ["staff", "users", "games", "anna", "root"]


@pytest.fixture(scope="module")
def sshd(products):
    """Records the reports of the real sshd to doctor."""
    for name, groups in (("anna", "users"), ("annb", "games"), ("bert", "staff,users")):
        run("useradd", "--groups", groups, "--user-group", "--shell", "/bin/sh", name)
    run("ssh-keygen", "-A")
    before, stack = (SETTINGS / "sshd_config").read_text(), STACK.read_text()
    STACK.write_text("auth requisite pam_unix.so\nauth required pam_twofactor.so nullok\n")
    SSHD.rename(REAL)
    SSHD.write_text(
        f'#!/bin/sh\nanswer=$({REAL} "$@" 2>&1); status=$?\n'
        f'printf "%s\\n" "$answer" >>{ANSWERS}\nprintf "%s\\n" "$answer"\nexit $status\n'
    )
    SSHD.chmod(0o755)
    yield
    REAL.rename(SSHD)
    STACK.write_text(stack)
    write(Configuration({"sshd_config": before}))
    for name in ("anna", "annb", "bert"):
        run("userdel", name)


def write(configuration: Configuration) -> None:
    ANSWERS.unlink(missing_ok=True)
    for folder in ("sshd_config.d", "more"):
        shutil.rmtree(SETTINGS / folder, ignore_errors=True)
    for name, text in configuration.files.items():
        (SETTINGS / name).parent.mkdir(exist_ok=True)
        (SETTINGS / name).write_text(text, newline="")


def checks_of_sshd() -> tuple[list[dict], set[str]]:
    """The checks, and the marks of the blocks that applied in sshd's reports."""
    checks = doctor(None)[1]
    lines = ANSWERS.read_text().splitlines() if ANSWERS.exists() else []
    return checks, {mark for line in lines if line.startswith("acceptenv ") for mark in line.split()[1:]}


@pytest.mark.seconds(900)
def test_every_setting_is_parsed_as_by_sshd(sshd, figure):
    accepted = rejected = blocks = reached = 0
    for seed in range(2 * COUNT):
        configuration = Generator(seed, USERS, GROUPS).make()
        write(configuration)
        checks, marks = checks_of_sshd()
        text = "\n".join(f"--- {name}\n{text}" for name, text in configuration.files.items())
        # sshd does not start if the lists outside of the blocks need disabled methods.
        told = [check for check in checks if check["name"] == "ssh"]
        if told and "cannot be satisfied" in told[0]["detail"]:
            rejected += 1
            continue
        assert told == [], f"{seed}: {told}\n{text}"
        accepted += 1
        blocks += len(configuration.marks)
        reached += len(marks)
        if accepted == COUNT:
            break
    figure(f"sshd -T: {accepted} configurations, {reached} of {blocks} Match blocks asked for, {rejected} rejected")
    assert accepted == COUNT and reached > 0.8 * blocks


def test_a_difference_is_reported_without_a_remedy(sshd):
    text = "UsePAM yes\nPasswordAuthentication no\nMatch User anna\nPermitRootLogin no\n"
    write(Configuration({"sshd_config": text}))
    honest = SSHD.read_text()
    # An sshd with other defaults, as distributions build it.
    SSHD.write_text(
        honest.replace("exit $status", 'echo "permitrootlogin yes"\nexit $status').replace(
            "2>&1)", "2>&1 | grep -v rootlogin)"
        )
    )
    try:
        checks = findings(doctor(None)[1])
    finally:
        SSHD.write_text(honest)
    differences = [check for check in checks if check["name"] == "ssh"]
    assert len(differences) == 2 and all("PermitRootLogin yes instead of" in check["detail"] for check in differences)
    roots = [check for check in checks if check["name"] == "ssh_root_login"]
    assert roots and all(check["remedy"].startswith("check with: sshd -T -C user=") for check in roots)


def test_the_blocks_beyond_the_limit_are_reported(sshd):
    blocks = "".join(f"Match User user{index}\nPubkeyAuthentication yes\n" for index in range(40))
    write(Configuration({"sshd_config": "UsePAM yes\nPasswordAuthentication no\n" + blocks}))
    details = [check["detail"] for check in doctor(None)[1] if check["name"] == "ssh_match"]
    assert len(details) == 1 and "only 32 Match blocks are checked" in details[0]
    assert ANSWERS.read_text().count("\npasswordauthentication ") == 33
