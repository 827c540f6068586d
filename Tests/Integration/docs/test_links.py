"""The links of the pages: each relative one leads to a file, and to a heading of that file."""

import re

import pytest
from rig.machine import CHECKOUT

pytestmark = pytest.mark.machinery

PAGES = ["README.md", *(str(path.relative_to(CHECKOUT)) for path in sorted(CHECKOUT.glob("pam/*.md"))),
         *(str(path.relative_to(CHECKOUT)) for path in sorted(CHECKOUT.glob(".github/*.md"))),
         "Tests/Benchmark/README.md"]


def anchors(text: str) -> set[str]:
    """The anchors that GitHub makes of the headings."""
    headings = re.findall(r"(?m)^#+ (.*)$", text)
    return {re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_leads_to_a_file_and_a_heading(page):
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", (CHECKOUT / page).read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (CHECKOUT / page).parent / name if name else CHECKOUT / page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            broken.append(link)
    assert broken == []
