"""`twofactor metrics`, read by node_exporter and judged by promtool; the units that run it and doctor."""

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest
from rig import state_file
from rig.enrollment import twofactor
from rig.exit_status import IO_ERROR, NOT_CONFIGURED, NOT_PERMITTED, NO_FILE, USAGE
from rig.machine import CHECKOUT
from rig.process import run

PACKAGES = CHECKOUT / ".build/packages/prometheus"
UNITS = sorted((CHECKOUT / "pam/systemd").glob("twofactor-*"))
PAGE = (CHECKOUT / "pam/operations.md").read_text()


@pytest.fixture(scope="module")
def tools(tmp_path_factory) -> Path:
    """The folder of promtool and prometheus-node-exporter, unpacked from the packages."""
    folder = tmp_path_factory.mktemp("prometheus")
    packages = sorted(PACKAGES.glob("prometheus*.deb"))
    assert packages, f"{PACKAGES} is empty: run scripts/dependencies test"
    for package, name in zip(packages, ("prometheus-node-exporter", "promtool"), strict=True):
        script = 'dpkg-deb --fsys-tarfile "$1" | tar -xC "$2" --strip-components=3 "./usr/bin/$3"'
        run("sh", "-c", script, "sh", package, folder, name)
    return folder


@pytest.fixture
def folder(tmp_path_factory) -> Path:
    """A folder that only root can write, on the path too."""
    folder = Path("/var/lib/metrics")
    folder.mkdir(mode=0o755)
    yield folder
    shutil.rmtree(folder)


def values(text: str) -> dict[str, float]:
    """The samples by name and labels; the order of labels does not matter."""
    found = {}
    for name, labels, value in re.findall(r"(?m)^(twofactor_\w+)(?:\{(.*)\})? (\S+)$", text):
        found[name + "".join(sorted(re.findall(r'="[^"]*"', labels)))] = float(value)
    return found


def measured() -> dict[str, float]:
    return values(twofactor("metrics").stdout)


def state(name: str) -> str:
    return f'twofactor_accounts="{name}"'


@pytest.fixture
def users(register, new_user) -> list:
    """A user of each kind, and one whose name must not appear."""
    before = measured()
    enrolled, low, throttled, locked, missing, damaged, _ = (new_user() for _ in range(7))
    for user, codes in ((enrolled, 0), (low, 1), (throttled, 0), (locked, 0), (missing, 0), (damaged, 0)):
        user.enroll(backup_codes=codes)
    state_file.change(throttled.directory / "state", failures=6, throttled_until=int(time.time()) + 600)
    state_file.change(locked.directory / "state", failures=100)
    shutil.rmtree(missing.directory)
    (damaged.directory / "credential").write_text("damaged\n")
    return [before, enrolled, low, throttled, locked, missing, damaged]


def test_the_metrics_count_accounts_and_findings_and_name_nobody(users):
    before, *people = users
    text = twofactor("metrics").stdout
    after = values(text)
    grown = {name: value - before.get(name, 0) for name, value in after.items()}
    assert [grown[state(name)] for name in ("enrolled", "not_enrolled", "missing", "unknown")] == [4, 1, 1, 1]
    assert [grown[f"twofactor_{name}_accounts"] for name in ("throttled", "locked", "low_backup_codes")] == [2, 1, 1]
    assert abs(after["twofactor_metrics_timestamp_seconds"] - time.time()) < 30
    assert not any(user.name in text for user in people)

    doctor = twofactor("doctor", "--json", status=None)
    assert after["twofactor_doctor_exit_status"] == doctor.returncode == NOT_CONFIGURED
    counts = {}
    for check in json.loads(doctor.stdout)["checks"]:
        key = "twofactor_doctor_findings" + "".join(sorted(f'="{check[name]}"' for name in ("name", "status")))
        counts[key] = counts.get(key, 0) + 1
    findings = {name: value for name, value in after.items() if name.startswith("twofactor_doctor_findings")}
    assert {name: value for name, value in findings.items() if value} == counts and len(findings) % 4 == 0

    listed = json.loads(twofactor("users", "--json").stdout)["users"]
    assert sum(after[state(name)] for name in ("enrolled", "not_enrolled", "missing", "unknown")) == len(listed)
    families = json.loads(twofactor("metrics", "--json").stdout)["metrics"]
    assert sum(len(family["samples"]) for family in families) == len(after)


def test_node_exporter_reads_the_file_and_promtool_accepts_it(users, folder, tools):
    file = folder / "twofactor.prom"
    assert twofactor("metrics", "--output", str(file)).stdout == ""
    assert file.stat().st_mode & 0o777 == 0o644 and os.listdir(folder) == [file.name]
    checked = run(tools / "promtool", "check", "metrics", input=file.read_text())
    assert checked.stdout + checked.stderr == ""

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    exporter = subprocess.Popen(
        [
            tools / "prometheus-node-exporter", "--collector.disable-defaults", "--collector.textfile",
            f"--collector.textfile.directory={folder}", f"--web.listen-address={address}",
        ],
        stderr=subprocess.DEVNULL,
    )
    try:
        text = ""
        for _ in range(100):
            try:
                text = urllib.request.urlopen(f"http://{address}/metrics", timeout=10).read().decode()
                break
            except OSError:
                time.sleep(0.05)
    finally:
        exporter.send_signal(signal.SIGTERM)
        exporter.wait(timeout=10)
    assert re.search(r"(?m)^node_textfile_scrape_error 0$", text)
    assert values(text) == values(file.read_text()) != {}


def test_the_alerts_of_the_page_fire(users, tmp_path, tools):
    (block,) = re.findall(r"(?m)^ {4}groups:\n(?: {4}.*\n)+", PAGE)
    rules = re.sub("(?m)^ {4}", "", block)
    (tmp_path / "rules.yml").write_text(rules)
    assert "SUCCESS: 5 rules found" in run(tools / "promtool", "check", "rules", tmp_path / "rules.yml").stdout
    # The samples of this host for two hours: after an hour, they are too old.
    lines = re.findall(r"(?m)^twofactor_.*$", twofactor("metrics").stdout)
    series = [{"series": 'up{job="node",instance="other"}', "values": "1x120"}]
    for line in lines:
        name, value = line.rsplit(" ", 1)
        value = "0" if "timestamp" in name else value
        labels = name.replace("{", '{instance="h",') if "{" in name else name + '{instance="h"}'
        series.append({"series": labels, "values": f"{value}x120"})
    alerts = sorted(set(re.findall(r"alert: (\w+)", rules)))
    test = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": series,
                "promql_expr_test": [
                    {"expr": f'sum by (alertname) (ALERTS{{alertname="{alert}",alertstate="firing"}}) > bool 0',
                     "eval_time": f"{minute}m",
                     "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1}] if fires else []}
                    for alert in alerts
                    for minute, fires in ((0, alert == "TwoFactorAccountLocked"), (119, True))
                ],
            }
        ],
    }
    (tmp_path / "test.yml").write_text(json.dumps(test))
    done = run(tools / "promtool", "test", "rules", tmp_path / "test.yml", status=None)
    assert done.returncode == 0, done.stdout + done.stderr


def test_only_root_gets_metrics_and_of_all_accounts(user):
    assert "sudo twofactor metrics" in user.twofactor("metrics", status=NOT_PERMITTED).stderr
    twofactor("metrics", "--user", user.name, status=USAGE)


def test_a_failure_leaves_the_old_file(folder, user, tmp_path):
    old = folder / "twofactor.prom"
    old.write_text("old\n")
    small = folder / "small"
    small.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=8k,mode=755", "small", small)
    try:
        (small / "twofactor.prom").write_text("old\n")
        (small / "rest").write_bytes(b"x" * 4096)
        said = twofactor("metrics", "--output", str(small / "twofactor.prom"), status=IO_ERROR).stderr
        assert "no space left" in said and (small / "twofactor.prom").read_text() == "old\n"
        assert sorted(os.listdir(small)) == ["rest", "twofactor.prom"]
    finally:
        run("umount", small)
    small.rmdir()
    (folder / "link").symlink_to(folder)
    for path, status, words in (
        (folder / "absent/twofactor.prom", NO_FILE, "does not exist"),
        (folder / "link/twofactor.prom", NOT_CONFIGURED, "symlink"),
        (old / "twofactor.prom", NOT_CONFIGURED, "no folder"),
        (user.home / "twofactor.prom", NOT_CONFIGURED, "others than root"),
        (Path("/tmp/twofactor.prom"), NOT_CONFIGURED, "others than root"),
        (Path(f"{folder}/"), USAGE, "not the name of a file"),
    ):
        said = twofactor("metrics", "--output", str(path) + "/" * (path == folder), status=status).stderr
        assert words in said and "hint: " in said or status != NOT_CONFIGURED, said
    assert old.read_text() == "old\n"
    folder.chmod(0o775)
    twofactor("metrics", "--output", str(old), status=NOT_CONFIGURED)


def test_only_regular_files_are_replaced(folder):
    """A rename as root would replace even /dev/null."""
    target, null = folder / "target", folder / "null"
    target.write_text("precious\n")
    (folder / "link").symlink_to(target)
    os.mkfifo(folder / "fifo")
    (folder / "folder").mkdir()
    os.mknod(null, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    for name in ("link", "fifo", "folder", "null"):
        said = twofactor("metrics", "--output", str(folder / name), status=NOT_CONFIGURED).stderr
        assert f"{folder / name}: it exists, and is not a regular file" in said
    assert target.read_text() == "precious\n" and null.is_char_device() and (folder / "link").is_symlink()
    # Names that would be cut.
    for name in ("n" * 250, "n" * 300 + "/twofactor.prom"):
        twofactor("metrics", "--output", f"{folder}/{name}", status=USAGE)


def test_the_units_are_valid_and_the_services_start_with_a_timer_alone(products):
    assert len(UNITS) == 4
    done = run("systemd-analyze", "verify", "--man=no", *UNITS, status=None, stderr=subprocess.STDOUT)
    assert [line for line in done.stdout.splitlines() if "twofactor" in line] == []
    for unit in UNITS:
        assert ("[Install]" in unit.read_text()) == (unit.suffix == ".timer")
