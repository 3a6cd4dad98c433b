"""The assignments as they are kept: which there are, what each cell is for, which names are asked for."""

import ast
import re

import nbformat

from tests.commands.environment import ROOT

FOLDER = ROOT / "notebooks" / "assignments"
SOLUTION = re.compile(r"^[ \t]*### BEGIN SOLUTION\n.*?^[ \t]*### END SOLUTION *$", re.M | re.S)
HIDDEN = re.compile(
    r"^[ \t]*### BEGIN HIDDEN TESTS\n.*?^[ \t]*### END HIDDEN TESTS *\n?", re.M | re.S
)

UNANSWERED = "Your answer here."  # what stands in a cell for words until a student writes there


def names():
    """Return the names of all assignments in their order."""
    return sorted(path.parent.name for path in FOLDER.glob("*/*.ipynb"))


def read(name):
    """Return the notebook of an assignment with its solutions and hidden tests."""
    return nbformat.read(FOLDER / name / f"{name}.ipynb", as_version=4)


def role(cell):
    """Return what a cell is for: 'given', 'solution', 'test', 'text', or '' for a student's own."""
    marks = cell.metadata.get("nbgrader")
    if not marks:
        return ""
    if marks["solution"]:
        return "text" if marks["grade"] else "solution"
    return "test" if marks["grade"] else "given"


def cell_id(cell):
    return cell.metadata.get("nbgrader", {}).get("grade_id", "")


def points(notebook, *roles):
    """Return the sum of the points of all cells with one of these roles."""
    return sum(c.metadata.nbgrader.points for c in notebook.cells if role(c) in roles)


def assigned(code):
    """Return the names that a piece of code binds at its top level."""
    found = set()
    for node in ast.parse(code).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
            continue
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                found.add(inner.id)
    return found


def used(code):
    """Return the names that a piece of code reads."""
    return {
        node.id
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }


def answers(source):
    """Return the names that an assignment asks for: those which its solution cells bind."""
    return set().union(*(assigned(c.source) for c in source.cells if role(c) == "solution"))


def rebuild(submitted, source):
    """Put what a student wrote into a fresh copy of an assignment.

    From the submission come the text of the cells that were to be filled, and further cells, each
    behind the cell that it followed. Everything else is the assignment's own: cells that were
    edited, deleted, copied, moved or renamed are as they should be again.
    """
    known = {cell_id(cell): cell for cell in source.cells}
    texts = {" ".join(cell.source.split()) for cell in source.cells}
    written, own, last = {}, {}, None
    for cell in submitted.cells:
        name = cell_id(cell)
        if name in known:
            last = name
            if role(known[name]) in ("solution", "text"):
                written.setdefault(name, cell.source)
        elif cell.cell_type in ("code", "markdown") and cell.source.strip():
            if " ".join(cell.source.split()) not in texts:
                own.setdefault(last, []).append(cell)
    notebook = nbformat.v4.new_notebook(metadata=source.metadata)
    notebook.cells = [fresh(cell) for cell in own.get(None, [])]
    for name, original in known.items():
        cell = nbformat.from_dict(original)
        if role(cell) in ("solution", "text"):
            unwritten = UNANSWERED if role(cell) == "text" else ""
            cell.source = written.get(name, "").strip("\n") or unwritten
        notebook.cells += [cell, *(fresh(extra) for extra in own.get(name, []))]
    return notebook


def fresh(cell):
    """Return a copy of a cell with nothing but its text."""
    new = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}
    return new[cell.cell_type](cell.source)


def recognise(notebook):
    """Return the assignment that a notebook was made from, None for none: by its cells, not its name."""
    present = {cell_id(cell) for cell in notebook.cells} - {""}
    shared = {
        name: len(present & {cell_id(c) for c in read(name).cells} - {""}) for name in names()
    }
    best = max(shared, key=shared.get, default=None)
    return best if best and shared[best] else None
