"""The lint finds what it should: each rule on a notebook that breaks it, and the repository itself."""

import copy

import nbformat
import pytest

from tests.commands import lint, notebooks
from tests.commands.environment import ROOT

BOX = "\n".join(
    f"| {label} | x |"
    for label in ("You will learn", "You need", "Time", "Run time", "Seed", "Paper")
).replace("| You will learn | x |", "| You will learn | to *see*, to *find*, to *mend* |")
TEXTS = [
    f"# 07 · Is it right?\n\n| | |\n|---|---|\n{BOX}",
    "| paper | code | meaning |\n|---|---|---|",
    "## The paper and here\n\n## Pitfalls\n\n## Exercises\n\nPredict, Try it, Think, Dig deeper",
    "<details>because</details>\n\n## Summary\n\n## References\n\nhttps://doi.org/10.1063/5.0015779",
]


def good():
    """Return a small notebook with which nothing is wrong."""
    make = nbformat.v4
    sources = ["import chemnb as cn", "seed = 1", *["x = 1"] * 9, "assert seed == 1"]
    code = [make.new_code_cell(source, execution_count=i) for i, source in enumerate(sources, 1)]
    code[1].metadata["tags"] = ["parameters"]
    code += [
        make.new_code_cell("cn.explorers.x()", execution_count=13),
        make.new_code_cell("cn.explorers.x.sliders()", execution_count=14),
    ]
    figure = make.new_code_cell(
        "plot()",
        execution_count=15,
        metadata={"alt": "A line that rises from the left to the right."},
    )
    figure.outputs = [make.new_output("display_data", {"image/png": "AAAA"})]
    last = make.new_code_cell("print(cn.__version__)", execution_count=16)
    caption = make.new_markdown_cell("**Figure 1.** What is to be seen.")
    text = [make.new_markdown_cell(source) for source in TEXTS]
    cells = [text[0], code[0], text[1], *code[1:], figure, caption, *text[2:], last]
    return make.new_notebook(cells=cells)


def replaced(old, new):
    def change(notebook):
        for cell in notebook.cells:
            cell.source = cell.source.replace(old, new)

    return change


def figure_of(notebook):
    return next(c for c in notebooks.code_cells(notebook) if c.source == "plot()")


def output(**fields):
    def change(notebook):
        cell = notebooks.code_cells(notebook)[2]
        cell.outputs = [nbformat.v4.new_output(**fields)]

    return change


FAULTS = {
    "is no question": replaced("right?", "right."),
    "headings of the first level": replaced("# 07 · Is it right?", "Is it right?"),
    "lacks the rows: seed": replaced("| Seed |", "| Grain |"),
    "no notation table": replaced("| paper |", "| word |"),
    "2 cells import": replaced("assert seed == 1", "import os\nassert seed == 1"),
    "0 cells have the tag": lambda nb: notebooks.code_cells(nb)[1].metadata.clear(),
    "11 code cells": lambda nb: nb.cells.__delitem__(slice(4, 7)),
    "code cell of 26 lines": replaced("seed = 1", "\n".join(["seed = 1"] * 26)),
    "median code cell has 9": replaced("x = 1", "\n".join(["x = 1"] * 9)),
    "without 'alt'": lambda nb: figure_of(nb).metadata.clear(),
    "1 figures and 0 captions": replaced("**Figure 1.**", "Figure:"),
    "captions are numbered 2": replaced("Figure 1", "Figure 2"),
    "describes no figure": lambda nb: figure_of(nb).metadata.update(alt="a line"),
    "is of level 4 below": replaced("## Pitfalls", "#### Pitfalls"),
    "has no three verbs": replaced("*mend*", "mend"),
    "leads nowhere": replaced("because", "[because](99_none.ipynb)"),
    "no caption": lambda nb: nb.cells.append(nb.cells.pop(nb.cells.index(figure_of(nb)))),
    "an SVG": output(output_type="display_data", data={"image/svg+xml": "<svg/>"}),
    "no checkpoint": replaced("assert seed", "print(seed)  #"),
    "no explorer": replaced("x.sliders()", "x.png()"),
    "no plain call": replaced("explorers.x()", "explorers.y()"),
    "no section 'Pitfalls'": replaced("Pitfalls", "Traps"),
    "no item of the kind 'Think'": replaced("Think", "Ponder"),
    "solutions must be folded": replaced("</details>", ""),
    "no link to a DOI": replaced("doi.org", "example.org"),
    "no cell prints the versions": replaced("__version__", "__name__"),
    "not run once, in order": lambda nb: nb.cells[1].update(execution_count=7),
    "an error in the output": output(output_type="error", ename="E", evalue="", traceback=[]),
    "warnings or messages": output(output_type="stream", name="stderr", text="careful"),
    "address of an object": output(output_type="stream", name="stdout", text="<X at 0x7f00ab12>"),
    "path of this machine": output(output_type="stream", name="stdout", text="/home/x/y"),
    "ends with ';'": replaced("plot()", "plot();"),
}


def test_nothing_is_wrong_with_the_good_one():
    assert lint.check(good()) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_each_rule_finds_its_fault(fault):
    notebook = copy.deepcopy(good())
    FAULTS[fault](notebook)
    assert any(fault in found for found in lint.check(notebook)), lint.check(notebook)


def test_size_and_stored_form_are_checked(tmp_path, monkeypatch):
    path = tmp_path / "07_right.ipynb"
    nbformat.write(good(), path)
    monkeypatch.setattr(lint, "LARGEST", 100)
    faults = "\n".join(lint.check_file(path))
    assert (
        "KiB; at most" in faults and "not in the stored form; run: python run.py refresh" in faults
    )


@pytest.mark.parametrize("path", notebooks.numbered(), ids=lambda path: path.stem)
def test_the_notebooks_have_the_form_that_they_should(path):
    assert lint.check_file(path) == []


def test_the_code_has_one_style():
    assert lint.style(), f"run: python run.py lint, in {ROOT.name}"
