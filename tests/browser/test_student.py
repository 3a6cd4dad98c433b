"""The way of a student: open an assignment, read what is wrong, fill in, see the check pass."""

import re
import subprocess
import sys

import nbformat

from tests.commands.environment import ROOT

NAME, TASK = "01_master_equation", "a01_propensity"


def cell_with(notebook, grade_id):
    """Return the number and the source of a cell by its name in nbgrader."""
    return next(
        (number, cell.source)
        for number, cell in enumerate(notebook.cells)
        if cell.metadata.get("nbgrader", {}).get("grade_id") == grade_id
    )


def errors_of(notebook, cell):
    return notebook.ask(
        """(panel, i) => panel.content.model.cells.get(i).outputs.toJSON()
        .filter(out => out.output_type === 'error').map(out => out.evalue)""",
        cell,
    )


def test_a_task_is_filled_in_and_its_check_passes(opened, root, tmp_path):
    command = [sys.executable, "-m", "tests.commands.assignments", "release"]
    subprocess.run([*command, f"--only={NAME}", f"--folder={tmp_path}"], cwd=ROOT, check=True)
    (stub,) = tmp_path.rglob(f"release/**/{NAME}*.ipynb")
    (root / "work").mkdir()
    (root / "work" / "mine.ipynb").write_bytes(stub.read_bytes())
    (source,) = (ROOT / "notebooks" / "assignments" / NAME).glob("*.ipynb")
    _, solution = cell_with(nbformat.read(source, 4), TASK)
    number, _ = cell_with(nbformat.read(stub, 4), TASK)

    notebook = opened("work/mine.ipynb")
    notebook.run_all()
    assert errors_of(notebook, number + 1), "the check of the empty task must say what is wrong"

    editor = notebook.show(number).locator(".cm-content")
    editor.click()
    notebook.page.keyboard.press("Control+A")
    notebook.page.keyboard.insert_text(re.sub(r" *### (BEGIN|END) SOLUTION\n?", "", solution))
    for _ in ("the task", "its check"):
        notebook.page.keyboard.press("Shift+Enter")
        notebook.wait_until_idle()
    assert errors_of(notebook, number) == errors_of(notebook, number + 1) == []
