"""The links of the pages: each relative one leads to a file, and to a heading of that file, installed or not."""

import posixpath
import re

import pytest
from rig.machine import CHECKOUT
from rig.process import run

pytestmark = pytest.mark.machinery

PAGES = ["README.md", *(str(path.relative_to(CHECKOUT)) for path in sorted(CHECKOUT.glob("pam/*.md"))),
         *(str(path.relative_to(CHECKOUT)) for path in sorted(CHECKOUT.glob(".github/*.md"))),
         "Tests/Benchmark/README.md"]


def anchors(text: str) -> set[str]:
    """The anchors that GitHub makes of the headings."""
    headings = re.findall(r"(?m)^#+ (.*)$", text)
    return {re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: str) -> list[str]:
    """The relative links of a page."""
    found = re.findall(r"\]\(([^)\s]+)\)", (CHECKOUT / page).read_text())
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def installed() -> dict[str, str]:
    """The installed files of the package, by their place in the checkout."""
    rows = run(CHECKOUT / "scripts/support/host-files", "/usr", "/usr/lib/security").stdout.splitlines()
    return {source: destination for _, _, source, destination in map(str.split, rows)}


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_leads_to_a_file_and_a_heading(page):
    broken = []
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = (CHECKOUT / page).parent / name if name else CHECKOUT / page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            broken.append(link)
    assert broken == []


def test_every_link_of_an_installed_page_leads_to_an_installed_file():
    places = installed()
    pages = {source: place for source, place in places.items() if re.fullmatch(r"pam/.*\.md", source)}
    assert len(pages) >= 13, "the pages are not found"
    broken = []
    for source, place in pages.items():
        for name in {link.partition("#")[0] for link in links(source)} - {""}:
            target = posixpath.normpath(posixpath.join(posixpath.dirname(place), name))
            at_home = posixpath.normpath(posixpath.join(posixpath.dirname(source), name))
            if places.get(at_home) != target:
                broken.append((source, name))
    assert broken == []


def test_the_guide_leads_to_every_installed_page():
    pages = {source for source in installed() if re.fullmatch(r"pam/.*\.md", source)} - {"pam/guide.md"}
    assert pages and pages - {f"pam/{link.partition('#')[0]}" for link in links("pam/guide.md")} == set()
