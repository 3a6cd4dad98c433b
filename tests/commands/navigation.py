"""What is generated from the notebooks: their first and last cell, the tables of contents in 00 and
in the README, and the figures that pages outside of the notebooks show."""

import base64
import re
import tomllib
from pathlib import Path

import nbformat

from tests.commands.environment import ROOT
from tests.commands.notebooks import numbered, read, tags

MARK = "navigation"  # the tag of both generated cells
BEGIN, END = "<!-- contents: made by python run.py refresh -->", "<!-- end of contents -->"
LABELS = {
    "learn": "learn",
    "you will learn": "learn",
    "need": "need",
    "you need": "need",
    "time": "time",
    "run time": "run time",
    "seed": "seed",
    "paper": "paper",
}


def headings(notebook):
    """Return (level, text, cell index) of every Markdown heading outside of code blocks."""
    found = []
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            prose = re.sub(r"^```.*?^```", "", cell.source, flags=re.DOTALL | re.MULTILINE)
            for marks, text in re.findall(r"^(#{1,6}) +(.+?)[ #]*$", prose, flags=re.MULTILINE):
                found.append((len(marks), text, index))
    return found


def title(notebook):
    """Return the text of the first top heading without a leading number, '' for none."""
    tops = [text for level, text, _ in headings(notebook) if level == 1]
    return re.sub(r"^\d+\w?\s*[.:·–-]*\s+", "", tops[0]) if tops else ""


def box(notebook):
    """Return the rows of the learn/need/time table, one Markdown table with a label in each row."""
    for cell in notebook.cells:
        rows = {}
        for label, text in re.findall(
            r"^\|([^|\n]*)\|(.*)\|[ ]*$", cell.source, flags=re.MULTILINE
        ):
            key = LABELS.get(label.strip(" *_:").lower())
            if key and cell.cell_type == "markdown":
                rows[key] = text.strip()
        if {"learn", "time"} <= rows.keys():
            return rows
    return {}


def repository():
    """Return the ``owner/name`` of the public repository that pyproject.toml names, or None."""
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"].get("urls", {})
    for url in urls.values():
        found = re.match(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?$", url)
        if found:
            return found[1]
    return None


def launch_link(path):
    if not repository():
        return ""
    target = (
        f"https://mybinder.org/v2/gh/{repository()}/HEAD?urlpath=lab/tree/notebooks/{path.name}"
    )
    return f"[Launch on Binder]({target})"


def number(path):
    return path.stem.split("_")[0]


def bar(path):
    """Return the row of links of one notebook: previous, contents, glossary, next, launch."""
    every = numbered(path.parent)
    here, links = every.index(path), []
    if here > 1:
        before = every[here - 1]
        links.append(f"[← {number(before)} · {title(read(before))}]({before.name})")
    if here > 0:
        links.append(f"[Contents]({every[0].name})")
    links.append("[Glossary](glossary.md)")
    if here + 1 < len(every):
        after = every[here + 1]
        links.append(f"[{number(after)} · {title(read(after))} →]({after.name})")
    return " | ".join([*links, launch_link(path)] if launch_link(path) else links)


def first_and_last(notebook, path):
    """Return the sources of the two generated cells of a notebook."""
    links = bar(path) or "*The only notebook so far.*"
    paper = box(notebook).get("paper")
    return (f"{links}\n\n*In the paper: {paper}*" if paper else links), links


def contents(paths, prefix=""):
    """Return the table of contents of some notebooks, from their title cells."""
    lines = ["| no. | notebook | time | run time | in the paper |", "|---|---|---|---|---|"]
    for path in paths:
        notebook = read(path)
        rows = box(notebook)
        cells = [number(path), f"[{title(notebook)}]({prefix}{path.name})"]
        lines.append(
            "| "
            + " | ".join(cells + [rows.get(key, "") for key in ("time", "run time", "paper")])
            + " |"
        )
    return "\n".join([BEGIN, "", *lines, "", END])


def with_contents(text, table):
    """Return a text with the table between its two marks, as it is where it has no marks."""
    if BEGIN not in text or END not in text:
        return text
    before, rest = text.split(BEGIN, 1)
    return before + table + rest.split(END, 1)[1]


def readme(root=ROOT):
    """Return the README with its table of notebooks made anew."""
    paths = numbered(root / "notebooks")
    return with_contents((root / "README.md").read_text("utf-8"), contents(paths, "notebooks/"))


def figures(notebook):
    """Yield (file name, PNG) of the cells that lend their figure to pages outside the notebook."""
    for cell in notebook.cells:
        if name := cell.metadata.get("figure"):
            images = [out.data["image/png"] for out in cell.outputs if "image/png" in out.data]
            yield name, base64.b64decode(images[0])


def update(notebook, path):
    """Return a copy of the notebook with all generated parts made anew."""
    path, notebook = Path(path), nbformat.from_dict(notebook)
    every = numbered(path.parent)
    for cell in notebook.cells:
        if path == every[0] and cell.cell_type == "markdown":
            cell.source = with_contents(cell.source, contents(every[1:]))
    inner = [cell for cell in notebook.cells if MARK not in tags(cell)]
    first, last = (
        nbformat.v4.new_markdown_cell(source, metadata={"tags": [MARK]})
        for source in first_and_last(notebook, path)
    )
    notebook.cells = [first, *inner, last]
    return notebook
