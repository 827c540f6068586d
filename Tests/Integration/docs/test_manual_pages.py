"""The manual pages: valid, and complete like the completions."""

import re

import pytest
from rig.documentation import help_of, subcommands
from rig.machine import CHECKOUT, PRODUCT
from rig.process import run

PAGES = {path.name: path for path in sorted((CHECKOUT / "pam/man").iterdir())}
OWN = r"referenced manual not found: Xr (twofactor 1|twofactor\.conf 5|pam_twofactor 8)"


def text(name: str) -> str:
    shown = run("mandoc", "-T", "utf8", PAGES[name], status=None)
    return re.sub(r".\x08", "", shown.stdout)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_mandoc_warnings(name):
    lint = run("mandoc", "-T", "lint", PAGES[name], status=None)
    # Other pages of this project, or missing manuals of this machine, are not found.
    words = [line for line in lint.stdout.splitlines() if "referenced manual not found" not in line]
    unknown = [line for line in lint.stdout.splitlines() if "manual not found" in line and not re.search(OWN, line)]
    assert words == [], lint.stdout
    others = r"Xr (less 1|cron 8|sshd 8|sudo 8|pass 1|zbarimg 1|sshd_config 5|pam\.conf 5|pam 7)\b"
    assert [line for line in unknown if not re.search(others, line)] == []


def test_every_subcommand_and_option_is_in_the_page_and_in_the_completions():
    page = text("twofactor.1")
    completions = {shell: (PRODUCT / f"completions/twofactor.{shell}").read_text() for shell in ("bash", "zsh", "fish")}
    missing = []
    found = subcommands()
    assert ["enable"] in found and ["status"] in found
    for words in found:
        if words[0] == "help":
            continue
        if not re.search(r"^\s+" + r"\s+".join(map(re.escape, words)) + r"\b", page, re.MULTILINE):
            missing.append(f"{' '.join(words)}: page")
        missing += [f"{words[-1]}: {shell}" for shell, script in completions.items() if words[-1] not in script]
        for option in set(re.findall(r"^  (?:-\w, )?--([a-z-]+)", help_of(*words), re.MULTILINE)):
            if not re.search(rf"--{option}\b", page):
                missing.append(f"{' '.join(words)} --{option}: page")
            missing += [f"--{option}: {shell}" for shell, script in completions.items() if option not in script]
    assert missing == []


def test_the_page_names_only_existing_subcommands_and_options():
    source = PAGES["twofactor.1"].read_text()
    found = subcommands()
    options = {option for words in found for option in re.findall(r"--([a-z-]+)", help_of(*words))}
    options |= {"help", "version"}
    assert set(re.findall(r"^\.It Fl (?:h , Fl )?-([a-z-]+)", source, re.MULTILINE)) <= options
    listed = source.partition(".Ss Subcommands")[2].partition(".Ss ")[0]
    named = re.findall(r"^\.It Cm ([a-z-]+(?: [a-z-]+)?)(?: (?:Op )?Ar .*)?$", listed, re.MULTILINE)
    assert named and {tuple(name.split()) for name in named} <= {tuple(words) for words in found}


def test_every_message_to_the_user_is_in_the_page_of_the_module():
    outcomes = (CHECKOUT / "Sources/PAMModule/Outcome.swift").read_text().partition("func appendMessage")[2]
    refusals = (CHECKOUT / "Sources/Verification/Refusal.swift").read_text()
    pieces = re.findall(r'text\.append\("([^"]+)"\)', outcomes.partition("\n  }")[0])
    pieces += [piece for text in re.findall(r'"([A-Z][^"]+\.)"', refusals) for piece in text.split("#")]
    assert len(pieces) >= 8
    page = " ".join(text("pam_twofactor.8").split())
    assert [piece for piece in pieces if piece.strip() not in page] == []
