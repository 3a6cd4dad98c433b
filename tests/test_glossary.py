"""The glossary names what exists, once, in order, and covers what the notebooks use."""

import re

import pytest

import chemnb as cn
from tests.commands import notebooks

TEXT = (notebooks.FOLDER / "glossary.md").read_text("utf-8")
TERMS = re.findall(r"^\*\*(.+?)\.\*\*", TEXT, flags=re.MULTILINE)
ROWS = [
    [cell.strip() for cell in line.strip("| \n").split(" | ")]
    for line in TEXT.splitlines()
    if line.startswith("| ") and not line.startswith("| paper")
]


LOOK = {"mathbf", "mathrm", "langle", "rangle", "ldots", "hat", "pm", "dot"}


def symbols(cell):
    """Return the letters and words that stand between dollars, without fonts and indices."""
    math = " ".join(re.findall(r"\$(.+?)\$", cell))
    plain = re.sub(r"_\{.*?\}|_\w+", "", math)
    return set(re.findall(r"[A-Za-z]+", plain)) - LOOK


def notation(notebook):
    """Return the first cells of the rows of a notebook's notation table."""
    for cell in notebook.cells:
        found = re.search(r"^\|\s*paper\s*\|\s*code.*\n\|[-| ]+\n((?:\|.*\n?)+)", cell.source, re.M)
        if cell.cell_type == "markdown" and found:
            return [line.split("|")[1] for line in found[1].splitlines()]
    return []


def test_terms_are_in_order_and_there_is_one_of_each():
    names = [re.sub(r"[^a-z0-9 ]", "", term.lower().replace("-", " ")) for term in TERMS]
    assert names == sorted(names) and len(set(names)) == len(names) > 35


def test_its_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (notebooks.FOLDER / target).exists(), target
    for anchor in re.findall(r"\]\(#(.+?)\)", TEXT):
        assert re.search(rf"^## {anchor}$", TEXT, flags=re.MULTILINE | re.IGNORECASE), anchor


def test_functions_in_the_table_exist():
    for _, code, *_ in ROWS:
        for name in re.findall(r"`(\w+)\(", code):
            assert hasattr(cn, name) or hasattr(cn.ODENet, name), name


@pytest.mark.parametrize("path", notebooks.numbered(), ids=lambda path: path.stem)
def test_the_symbols_of_the_paper_that_a_notebook_uses_are_in_the_table(path):
    known = set().union(*(symbols(row[0]) for row in ROWS))
    used = set().union(*map(symbols, notation(notebooks.read(path))))
    assert used and used <= known, sorted(used - known)
