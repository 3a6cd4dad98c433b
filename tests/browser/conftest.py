"""What the browser tests share: one server and one browser for all of them."""

import shutil
from pathlib import Path

import pytest

from tests.browser import lab
from tests.commands import notebooks
from tests.commands.environment import ROOT


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """A copy of the notebooks, so that nothing that is clicked changes the stored ones."""
    folder = tmp_path_factory.mktemp("lab") / "notebooks"
    shutil.copytree(notebooks.FOLDER, folder)
    numbers = Path("tests", "benchmarks", "measured.json")  # notebook 02 shows them
    (folder.parent / numbers).parent.mkdir(parents=True)
    shutil.copy2(ROOT / numbers, folder.parent / numbers)
    return folder


@pytest.fixture(scope="session")
def address(root, tmp_path_factory):
    with lab.server(root, tmp_path_factory.mktemp("home")) as made:
        yield made


@pytest.fixture(scope="session")
def chromium():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=lab.browser_path(), args=lab.OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium, address):
    """A function that opens a notebook; all are closed at the end."""
    notebooks_open = []

    def open_notebook(path):
        page = chromium.new_page(viewport={"width": 1280, "height": 900})
        notebook = lab.Notebook(page, address(path, f"w{len(notebooks_open)}"))
        notebooks_open.append(notebook)
        return notebook

    yield open_notebook
    for notebook in notebooks_open:
        notebook.close()
