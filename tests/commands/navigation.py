"""The generated parts of the notebooks: first and last cell, and the table of contents in 00."""

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
    """Return the row of links of one notebook: previous, contents, next, launch."""
    every = numbered(path.parent)
    here, links = every.index(path), []
    if here > 1:
        before = every[here - 1]
        links.append(f"[← {number(before)} · {title(read(before))}]({before.name})")
    if here > 0:
        links.append(f"[Contents]({every[0].name})")
    if here + 1 < len(every):
        after = every[here + 1]
        links.append(f"[{number(after)} · {title(read(after))} →]({after.name})")
    return " | ".join([*links, launch_link(path)] if launch_link(path) else links)


def first_and_last(notebook, path):
    """Return the sources of the two generated cells of a notebook."""
    links = bar(path) or "*The only notebook so far.*"
    paper = box(notebook).get("paper")
    return (f"{links}\n\n*In the paper: {paper}*" if paper else links), links


def contents(folder):
    """Return the table of contents of the notebooks after the first, from their title cells."""
    lines = ["| no. | notebook | time | run time | in the paper |", "|---|---|---|---|---|"]
    for path in numbered(folder)[1:]:
        notebook = read(path)
        rows = box(notebook)
        cells = [number(path), f"[{title(notebook)}]({path.name})"]
        lines.append(
            "| "
            + " | ".join(cells + [rows.get(key, "") for key in ("time", "run time", "paper")])
            + " |"
        )
    return "\n".join([BEGIN, "", *lines, "", END])


def update(notebook, path):
    """Return a copy of the notebook with all generated parts made anew."""
    path, notebook = Path(path), nbformat.from_dict(notebook)
    for cell in notebook.cells:
        if path == numbered(path.parent)[0] and BEGIN in cell.source and END in cell.source:
            before, rest = cell.source.split(BEGIN, 1)
            cell.source = before + contents(path.parent) + rest.split(END, 1)[1]
    inner = [cell for cell in notebook.cells if MARK not in tags(cell)]
    first, last = (
        nbformat.v4.new_markdown_cell(source, metadata={"tags": [MARK]})
        for source in first_and_last(notebook, path)
    )
    notebook.cells = [first, *inner, last]
    return notebook
