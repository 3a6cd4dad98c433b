"""Every numbered notebook in JupyterLab: it runs, its sliders move its figures, its links lead on."""

import re
import time

import nbformat
import pytest

from tests.commands import navigation, notebooks

PATHS = notebooks.numbered()
SLIDER = ".widget-slider .noUi-handle"
FIGURE = ".widget-html img"


def move_a_slider(notebook, cell):
    """Push the first slider of a cell one step; return how long the figure took to change."""
    place = notebook.show(cell)
    handle, image = place.locator(SLIDER).first, place.locator(FIGURE).first
    image.wait_for(timeout=20_000)
    before, alt = image.get_attribute("src"), image.get_attribute("alt")
    begun = time.monotonic()
    handle.focus()
    notebook.page.keyboard.press("ArrowRight")
    notebook.page.wait_for_function(
        "([node, old]) => { const i = node.querySelector('.widget-html img'); return i && i.src !== old }",
        arg=[place.element_handle(), before],
        timeout=60_000,
    )
    assert alt and len(alt.split()) > 8
    return time.monotonic() - begun


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_it_runs_and_its_sliders_move(path, opened, record_property):
    notebook = opened(path.name)
    begun = time.monotonic()
    notebook.run_all()
    record_property("run all (s)", round(time.monotonic() - begun, 1))
    assert notebook.faults() == [] and notebook.cells_not_run() == []
    cells = notebook.cells_with(".sliders()")
    assert cells, "no explorer"
    for cell in cells:
        seconds = move_a_slider(notebook, cell)
        record_property(f"slider of cell {cell} (s)", round(seconds, 2))
        notebook.wait_until_idle()
    assert notebook.faults() == []


def test_links_lead_from_each_notebook_to_the_next(opened):
    notebook = opened(PATHS[0].name)
    for here, there in zip(PATHS, PATHS[1:], strict=False):
        assert notebook.path == here.name
        link = re.search(r"\[([^\]]*→)\]", navigation.bar(here))[1]
        notebook.show(0).get_by_role("link", name=link).first.click()
        notebook.page.wait_for_function(
            "name => jupyterapp.shell.currentWidget.context?.path === name", arg=there.name
        )
        notebook.wait_until_idle()
    notebook.show(0).get_by_role("link", name="Contents").first.click()
    notebook.page.wait_for_function(
        "name => jupyterapp.shell.currentWidget.context?.path === name", arg=PATHS[0].name
    )


def test_a_long_run_shows_its_progress_and_can_be_interrupted(opened, root):
    source = (
        "import chemnb as cn\n"
        "cn.sample(cn.models.single_progenitor(), {'A': 10}, range(21), 10**10, seed=1)"
    )
    kernel = {"name": "python3", "display_name": "Python 3"}  # else JupyterLab asks for one
    long = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source)], metadata={"kernelspec": kernel}
    )
    nbformat.write(long, root / "long.ipynb")
    notebook = opened("long.ipynb")
    notebook.ask("() => { jupyterapp.commands.execute('notebook:run-all-cells') }")
    bar = notebook.show(0).locator(
        ".jp-OutputArea [role=progressbar], .jp-OutputArea .progress, .jp-OutputArea .widget-hprogress"
    )
    bar.first.wait_for(timeout=60_000)
    begun = time.monotonic()
    notebook.ask("panel => panel.sessionContext.session.kernel.interrupt()")
    notebook.wait_until_idle(minutes=1)
    assert time.monotonic() - begun < 10
    assert any("KeyboardInterrupt" in fault for fault in notebook.faults())
