"""What the documents link to is there, and what they say of the repository is so."""

import re
from pathlib import Path

import pytest

from tests.running import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "benchmarks" / "README.md"])
README = ROOT / "README.md"
MAX_LINES = 250


def anchors(page: Path) -> set[str]:
    """The fragments of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text)
    for link in links:
        if link.startswith("https://"):
            continue
        place, _, fragment = link.partition("#")
        target = page.parent / place if place else page
        assert target.exists(), f"{page.name} links to {link}"
        assert not fragment or fragment in anchors(target), f"{page.name} links to {link}"


def test_every_picture_is_in_the_table_of_the_commands_that_make_them() -> None:
    page = (ROOT / "docs" / "experiments.md").read_text()
    table = page[page.index("## The pictures in this folder") :]
    pictures = {path.name for path in (ROOT / "docs").iterdir() if path.suffix in (".svg", ".png")}
    assert pictures == set(
        re.findall(r"`([\w]+\.(?:svg|png))`", "".join(row.split("|")[1] for row in table.splitlines() if "|" in row))
    )


def test_the_readme_is_short_and_names_every_package() -> None:
    text = README.read_text()
    assert len(text.splitlines()) <= MAX_LINES
    tree = text[text.index("## What is where") :]
    packages = [path.name for path in (ROOT / "src").iterdir() if (path / "__init__.py").is_file()]
    assert all(f"  {package}/ " in tree for package in packages)
    code = "".join(re.findall(r"```\n(.*?)```", tree, re.S))
    assert max(map(len, code.splitlines())) <= 80


def test_every_command_of_the_figure_table_names_configs_that_exist() -> None:
    text = README.read_text() + (ROOT / "docs" / "experiments.md").read_text()
    configs = set(re.findall(r"configs/[\w/]+\.yaml", text))
    assert {config for config in configs if not (ROOT / config).is_file()} == set()


def test_every_row_of_the_table_of_faults_names_a_test_that_exists() -> None:
    rows = [row for row in (ROOT / "docs" / "faults.md").read_text().splitlines() if row.startswith("| ")]
    told = [row for row in rows if row.count("|") == 4 and not row.startswith("| what happens")]
    for row in told:
        names = re.findall(r"`([\w/.]+)`|\((\.\./tests/\w+)\)", row.split("|")[3])
        files = [name for pair in names for name in pair if name.startswith(("test_", "tests/", "../tests/"))]
        assert files, row
        text = ""
        for name in files:
            path = ROOT / "docs" / name if name.startswith("..") else ROOT / name
            near = [ROOT / "tests" / folder / f"{name.removesuffix('.py')}.py" for folder in ("faults", "objective")]
            (found,) = [place for place in (path, *near) if place.exists()]
            text += found.read_text() if found.is_file() else ""
        for pair in names:
            for name in pair:
                assert not name.endswith("...") or f"def test_{name[:-3]}" in text, name
