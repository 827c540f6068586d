"""The subcommands and options of the product, to compare with the documentation."""

import re

from .machine import CHECKOUT, PRODUCT
from .process import run


def help_of(*words: str) -> str:
    return run(PRODUCT / "twofactor", *words, "--help").stdout


def subcommands(*words: str) -> list[list[str]]:
    """Every subcommand below the given words, recursively."""
    block = help_of(*words).partition("SUBCOMMANDS:\n")[2].split("\n\n")[0]
    names = re.findall(r"^  (\S+)", block, re.MULTILINE)
    return [[*words, name] for name in names] + [more for name in names for more in subcommands(*words, name)]


def options_of_the_policy() -> list[str]:
    source = (CHECKOUT / "Sources/LoginPolicy/PolicyOption.swift").read_text()
    names = source.partition("var name: Literal")[2].partition("\n  }")[0]
    return re.findall(r'"([a-z_]+)"', names)
