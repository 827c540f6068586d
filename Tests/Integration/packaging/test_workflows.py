"""The workflows of hosted CI: they run the scripts that people run, with pinned actions and few permissions."""

import re
import shlex
from collections.abc import Iterator

import pytest
import yaml
from rig.machine import CHECKOUT
from rig.process import run

pytestmark = pytest.mark.machinery

WORKFLOWS = sorted((CHECKOUT / ".github/workflows").glob("*.yml"))
FORMS = sorted((CHECKOUT / ".github/ISSUE_TEMPLATE").glob("[!c]*.yml"))
RUNNERS = {"ubuntu-24.04", "ubuntu-24.04-arm"}
YAMLLINT = "{extends: default, rules: {truthy: {check-keys: false}, line-length: {max: 120}, "\
    "comments: {min-spaces-from-content: 1}}}"
# The only step that reads a secret, and the only job that may write.
SECRETS = {("sign", "SIGNING_KEY")}
WRITERS = {"draft"}


def help_of(script: str) -> str:
    return run(CHECKOUT / script, "--help").stdout


def command_problems(command: str) -> Iterator[str]:
    """What is wrong with the shell command of a step."""
    for expression in re.findall(r"\$\{\{(.*?)\}\}", command):
        if not expression.strip().startswith("matrix."):
            yield f"an expression becomes shell code: {expression}"
    # Any values of the matrix will do.
    command = re.sub(r"\$\{\{.*?\}\}", "deb", command)
    checked = run("shellcheck", "--shell=bash", "-", input=f"{command}\n", status=None)
    if checked.returncode:
        yield f"shellcheck: {checked.stdout}"
    for part in command.split("|"):
        words = shlex.split(part)
        scripts = [word for word in words if re.match(r"(\.ci|scripts)/", word)]
        if words[0] != "printf" and words[0] not in scripts:
            yield f"not a script of the repository: {words[0]}"
        script = None
        for word in words:
            if word in scripts:
                script = word
                if not (CHECKOUT / script).is_file() or not (CHECKOUT / script).stat().st_mode & 0o111:
                    yield f"no such script: {script}"
                    return
            elif script and word.startswith("-") and not re.search(rf"(?m)(^|[\s\[]){word}(?![\w-])", help_of(script)):
                yield f"{script} has no option {word}"


def step_problems(job: str, step: dict) -> Iterator[str]:
    if "uses" in step:
        name, _, commit = step["uses"].partition("@")
        if not re.fullmatch(r"[0-9a-f]{40}", commit):
            yield f"not pinned by commit: {step['uses']}"
        if name == "actions/checkout" and step.get("with", {}).get("persist-credentials") is not False:
            yield "the checkout keeps the token"
    else:
        yield from command_problems(step["run"])
    for secret in re.findall(r"secrets\.(\w+)", str(step)):
        if (job, secret) not in SECRETS or f"secrets.{secret}" not in str(step.get("env")):
            yield f"{job} reads the secret {secret}"


def job_problems(name: str, job: dict) -> Iterator[str]:
    if set(job.get("permissions", {}).items()) - {("contents", "read")} and name not in WRITERS:
        yield f"{name} may write"
    if local := job.get("uses"):
        if not (local.startswith("./") and (CHECKOUT / local).is_file()):
            yield f"not a workflow of the repository: {local}"
        return
    if "timeout-minutes" not in job:
        yield f"{name} has no timeout"
    runner, matrix = job["runs-on"], job.get("strategy", {}).get("matrix", {})
    runners = [runner]
    if runner == "${{ matrix.runner }}":
        runners = matrix.get("runner") or [each["runner"] for each in matrix["include"]]
        if set(runners) != RUNNERS:
            yield f"{name} does not run on both architectures"
    if set(runners) - RUNNERS:
        yield f"{name} runs on {runners}"
    for step in job["steps"]:
        yield from step_problems(name, step)


def problems(text: str) -> list[str]:
    """What is wrong with a workflow."""
    # YAML 1.1 reads the key `on` as true.
    workflow = yaml.safe_load(text)
    found = [f"no version behind the commit: {line}" for line in re.findall(r"(?m)^.*\buses: [^.].*$", text)
             if not re.search(r" # v\d+\.\d+\.\d+$", line)]
    if "pull_request_target" in workflow[True]:
        found.append("pull_request_target runs the code of strangers with a token that may write")
    if workflow.get("permissions") != {"contents": "read"}:
        found.append("permissions are not only to read")
    if not workflow.get("concurrency", {}).get("group"):
        found.append("no concurrency group")
    for name, job in workflow["jobs"].items():
        found += job_problems(name, job)
    return found


def test_the_yaml_files_are_clean():
    assert len(WORKFLOWS) == 2
    run("yamllint", "--strict", "-d", YAMLLINT, CHECKOUT / ".github")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_follows_the_rules(path):
    assert problems(path.read_text()) == []


@pytest.mark.parametrize(("good", "bad", "problem"), [
    (r"@3d3c42e5\w+ # v7.0.1", "@v7", "not pinned by commit"),
    (r" # v7.0.1", "", "no version behind the commit"),
    (r"(?m)^on:", "on:\n  pull_request_target:", "pull_request_target"),
    (r"(?m)^permissions:\n  contents: read\n", "", "permissions are not"),
    (r"(?m)^  contents: read", "  contents: write", "permissions are not"),
    (r"(?m)^concurrency:\n  group: .*\n", "x:\n", "no concurrency group"),
    (r"    timeout-minutes: 20\n", "", "sign has no timeout"),
    (r"(?m)^    timeout-minutes: 20", "    permissions: {actions: write}", "sign may write"),
    (r"runner: ubuntu-24.04-arm", "runner: ubuntu-latest", "package does not run on both"),
    (r"(?m)^    runs-on: ubuntu-24.04$", "    runs-on: self-hosted", "sign runs on"),
    (r"\.ci/in-debian scripts/package", "make package", "not a script of the repository: make"),
    (r"scripts/package", "scripts/packages", "no such script: scripts/packages"),
    (r"--output", "--outputs", "scripts/package has no option --outputs"),
    (r"--without-swift", "--without", ".ci/in-debian has no option --without"),
    (r'"\$GITHUB_REF_NAME"', "${{ github.ref_name }}", "an expression becomes shell code"),
    (r'"\$SIGNING_KEY"', "$SIGNING_KEY", "shellcheck"),
    (r"\./\.github/workflows/ci.yml", "someone/else/.github/workflows/ci.yml@v1", "not a workflow of the repository"),
    (r"GH_TOKEN: \$\{\{ github.token", "GH_TOKEN: ${{ secrets.TOKEN", "draft reads the secret TOKEN"),
    (r'"\$SIGNING_KEY"', "${{ secrets.SIGNING_KEY }}", "an expression becomes shell code"),
    (r"persist-credentials: false", "persist-credentials: true", "the checkout keeps the token"),
])
def test_a_broken_rule_is_noticed(good, bad, problem):
    text = (CHECKOUT / ".github/workflows/release.yml").read_text()
    broken = re.sub(good, bad, text)
    assert broken != text and any(each.startswith(problem) for each in problems(broken)), problems(broken)


def test_a_release_is_tested_and_checked_and_has_every_format():
    workflow = yaml.safe_load((CHECKOUT / ".github/workflows/release.yml").read_text())
    jobs = workflow["jobs"]
    assert [jobs[name].get("needs") for name in ("package", "sign", "draft")] == [
        ["test", "check"], "package", "sign",
    ]
    formats = {word for each in jobs["package"]["strategy"]["matrix"]["include"] for word in each["formats"].split()}
    assert formats == {"deb", "source", "rpm", "arch"}
    assert all(re.search(rf"\b{word}\b", help_of("scripts/package")) for word in formats)
    assert workflow[True] == {"push": {"tags": ["v*"]}}


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_an_issue_form_is_one_that_github_shows(path):
    form = yaml.safe_load(path.read_text())
    assert set(form) == {"name", "description", "body"}
    names = [each["id"] for each in form["body"] if each["type"] != "markdown"]
    assert names and len(set(names)) == len(names)
    for each in form["body"]:
        assert each["type"] in {"markdown", "input", "textarea"}
        assert "value" in each["attributes"] if each["type"] == "markdown" else each["attributes"]["label"]
    assert "Report a vulnerability" in form["body"][0]["attributes"]["value"]
    assert {"happened", "version"} <= set(names)
