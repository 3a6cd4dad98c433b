"""Deliberate breaks in a copy of the project: each must turn the suite red, or it guards nothing."""

import os
import shutil
import subprocess
import sys

import nbformat
import pytest

from tests.commands.environment import ROOT

NOTEBOOK = "notebooks/01_chemical_master_equation.ipynb"
LAST = "printed = {"  # the cell that compares Eq. 13 by hand, by chemnb and in print
SLIDERS = "tests/test_explorers.py::test_sliders_redraw_when_they_are_let_go[workers]"


def replace(name, old, new):
    def change(copy):
        text = (copy / name).read_text("utf-8")
        assert old in text, f"{name} has changed; choose another break"
        (copy / name).write_text(text.replace(old, new), "utf-8")

    return change


BREAKS = {
    "nothing": (lambda copy: None, NOTEBOOK),
    "a helper": (
        replace(
            "chemnb/projection/state_distribution.py", "one = slice(i, i + 1)", "one = slice(1)"
        ),
        NOTEBOOK,
    ),
    "an equation": (
        replace("chemnb/equations/derivation.py", "choose(index, part) * prod(", "prod("),
        NOTEBOOK,
    ),
    "a stored value": (replace(NOTEBOOK, "loss of (2, 3): ", "loss of (2, 3):  "), NOTEBOOK),
    "an explorer's callback": (
        replace("chemnb/explorers/explorer.py", "picture.value = self._image(png)", "pass"),
        SLIDERS,
    ),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project with the compiled code, and the first part of one notebook."""
    copy = tmp_path_factory.mktemp("project")
    for name in ("chemnb", "tests"):
        shutil.copytree(ROOT / name, copy / name)
    for name in ("pyproject.toml", "conftest.py"):
        shutil.copy2(ROOT / name, copy / name)
    notebook = nbformat.read(ROOT / NOTEBOOK, as_version=4)
    last = next(i for i, cell in enumerate(notebook.cells) if LAST in cell.source)
    notebook.cells = notebook.cells[: last + 1]
    (copy / "notebooks").mkdir()
    nbformat.write(notebook, copy / NOTEBOOK)
    return copy


@pytest.mark.parametrize("name", BREAKS)
def test_the_suite_sees(name, project, tmp_path):
    copy = tmp_path / "broken"
    shutil.copytree(project, copy)
    change, target = BREAKS[name]
    change(copy)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", target],
        cwd=copy, env=os.environ | {"PYTHONPATH": str(copy)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == (0 if name == "nothing" else 1), done.stdout[-3000:]
