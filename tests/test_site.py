"""The site and the single pages: complete, with every figure described, and nothing from a server."""

import json
import re
import subprocess
import sys
import types
import zlib
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest

import chemnb
from tests.commands import app, export, navigation, notebooks, site
from tests.commands.environment import ROOT
from tests.commands.pages import frames, mathjax, offline, sources

NUMBERED = notebooks.numbered()
pytestmark = pytest.mark.filterwarnings("ignore::sphinx.deprecation.RemovedInSphinx11Warning")


class Page(HTMLParser):
    """What a page asks for, where it leads, its figures and the places in it."""

    LOADS = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}

    def __init__(self, path):
        super().__init__()
        self.loads, self.links, self.images, self.places, self.text = [], [], [], set(), ""
        self.frames = []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if found.get("id"):
            self.places.add(found["id"])
        if tag in self.LOADS and found.get(self.LOADS[tag]):
            if found.get("rel") not in ("next", "prev", "index", "search", "genindex"):
                self.loads.append(found[self.LOADS[tag]])
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if tag == "img":
            self.images.append(found)
        if "frames" in (found.get("class") or "").split():
            self.frames.append(found["data-frames"])

    def handle_data(self, data):
        self.text += data

    def link_to(self, ending):
        (address,) = [link for link in self.links if link.endswith(ending)]
        return address


def is_away(address):
    return re.match(r"[a-z]+:|//", address) is not None


def png(colour):
    """Return a picture of one point."""

    def chunk(kind, data):
        body = kind + data
        return len(data).to_bytes(4) + body + zlib.crc32(body).to_bytes(4)

    head = (1).to_bytes(4) + (1).to_bytes(4) + bytes([8, 2, 0, 0, 0])
    line = zlib.compress(bytes([0, colour, colour, colour]))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", line) + chunk(b"IEND", b"")


class Control:
    """Stands for a slider of the package."""

    label, readout = "", ""

    def __init__(self, default, options):
        self.default, self.options = default, options

    def ticks(self, count):
        return self.options[:count] if self.default in self.options[:count] else self.options


class Spiral:
    """Stands for an explorer; it fails in one corner."""

    name, alt = "spiral", 'A "spiral" & its arms.'
    controls = {"arms": Control(2, [1, 2, 3, 4, 5]), "twist": Control("none", ["none", "some"])}

    def png(self, arms, twist):
        if (arms, twist) == (1, "some"):
            raise ValueError("one arm has no twist")
        return png(10 * arms + (twist == "some"))


@pytest.fixture
def spiral(monkeypatch):
    module = types.ModuleType("chemnb.explorers")
    module.ALL = (Spiral(),)
    monkeypatch.setitem(sys.modules, "chemnb.explorers", module)
    monkeypatch.setattr(chemnb, "explorers", module, raising=False)


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    """The whole site, with few figures of each explorer."""
    patch = pytest.MonkeyPatch()
    patch.setattr(frames, "MOST", 4)
    failed, page = site.build(tmp_path_factory.mktemp("site"))
    patch.undo()
    assert not failed, "Sphinx warned; see above"
    return page.parent


@pytest.fixture(scope="module")
def pages(html):
    return {path: Page(path) for path in sorted(html.rglob("*.html"))}


# --- the site --------------------------------------------------------------------------------


def test_every_notebook_has_a_page_and_the_front_page_leads_to_it(html, pages):
    front = pages[html / "index.html"]
    for path in NUMBERED:
        address = f"notebooks/{path.stem}.html"
        assert address in front.links
        assert navigation.title(notebooks.read(path)) in pages[html / address].text
        file = html / "notebooks" / pages[html / address].link_to(".ipynb")
        assert file.read_bytes() == path.read_bytes()


def test_nothing_is_loaded_from_elsewhere_and_nothing_is_missing(pages):
    for path, page in pages.items():
        assert page.loads
        for address in page.loads:
            assert not is_away(address), (path.name, address)
            assert (path.parent / unquote(address.split("?")[0])).exists(), (path.name, address)


def test_styles_load_nothing_from_elsewhere(html):
    for path in html.rglob("*.css"):
        for address in re.findall(
            r"url\(['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)", path.read_text()
        ):
            assert not is_away("".join(address)) or "".join(address).startswith("data:"), path


def test_links_within_the_site_lead_somewhere(pages):
    for path, page in pages.items():
        for link in page.links:
            if not is_away(link):
                file, _, place = link.partition("#")
                target = (path.parent / unquote(file)).resolve() if file else path
                assert target.exists(), (path.name, link)
                if place and target in pages:
                    assert unquote(place) in pages[target].places, (path.name, link)


def test_every_figure_is_there_and_described(html, pages):
    found = 0
    for path in NUMBERED:
        cells = notebooks.code_cells(notebooks.read(path))
        stored = [
            cell.metadata["alt"]
            for cell in cells
            for output in cell.outputs
            if "image/png" in output.get("data", {})
        ]
        page = pages[html / "notebooks" / f"{path.stem}.html"]
        own = [image["alt"] for image in page.images if "/frames/" not in image["src"]]
        assert [alt for alt in own if alt in stored] == stored
        assert all(image.get("alt") for image in page.images)
        found += len(stored)
    assert found > len(NUMBERED)


def test_every_explorer_of_a_notebook_is_on_its_page(html, pages):
    for path in NUMBERED:
        page = pages[html / "notebooks" / f"{path.stem}.html"]
        assert len(page.frames) == len(sources.explorers([path]))


def test_equations_are_shown_by_a_script_that_lies_in_the_site(html):
    page = (html / "notebooks" / f"{NUMBERED[1].stem}.html").read_text("utf-8")
    assert page.count('class="math') > 20
    assert f"_static/mathjax/{mathjax.FILE}" in page
    assert (html / "_static" / "mathjax" / mathjax.FILE).stat().st_size > 10**6
    assert '"processHtmlClass": "math|text_html"' in page


def test_every_public_name_is_documented_once(pages):
    places = [place for page in pages.values() for place in page.places]
    for name in chemnb.__all__:
        kind = "module-chemnb." if name in sources.modules() else "chemnb."
        assert places.count(kind + name) == 1, name


def test_the_search_knows_words_of_notebooks_and_names_of_functions(html):
    index = (html / "searchindex.js").read_text("utf-8")
    assert '"gillespi' in index or "gillespi:" in index
    assert "finite_state_projection" in index


def test_a_glossary_beside_the_notebooks_is_a_page(monkeypatch, tmp_path):
    (tmp_path / "glossary.md").write_text("# Words\n", "utf-8")
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path)
    assert "\nnotebooks/glossary\napi\n" in sources.front_page()
    assert sources.others() == [tmp_path / "glossary.md"]


def test_links_of_the_readme_to_other_files_become_text(monkeypatch, tmp_path):
    (tmp_path / "README.md").write_text("# x\n[how](CITATION.cff), [here](notebooks/a.ipynb)\n")
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    assert "\nhow, [here](notebooks/a.ipynb)\n" in sources.front_page()


# --- explorers -------------------------------------------------------------------------------


def test_as_many_settings_are_drawn_as_there_may_be_figures(monkeypatch):
    controls = {
        "a": Control(1, list(range(9))),
        "b": Control(0, [0, 1]),
        "c": Control(1, [0, 1, 2]),
    }
    for most, sizes in ((4, [2, 2, 2]), (12, [3, 2, 2]), (40, [5, 2, 3])):
        monkeypatch.setattr(frames, "MOST", most)
        assert [len(values) for values in frames.settings(controls).values()] == sizes


def test_an_explorer_becomes_its_figure_and_what_the_sliders_need(spiral, tmp_path):
    drawn = frames.Frames(tmp_path)
    drawn.prepare(["spiral"], workers=1)
    block = tmp_path / "block.html"
    block.write_text(drawn.block("spiral", frames.embedded), "utf-8")
    page = Page(block)
    (image,) = page.images
    assert image == {"src": frames.embedded("", png(20)), "alt": Spiral.alt}
    data = json.loads(page.frames[0])
    assert [control["values"] for control in data["controls"]] == [list("12345"), ["none", "some"]]
    assert [control["start"] for control in data["controls"]] == [1, 0]
    assert data["frames"][0] == {"src": frames.embedded("", png(10))}
    assert data["frames"][1] == {"wrong": "ValueError: one arm has no twist"}
    assert len(data["frames"]) == 10


def test_figures_are_drawn_once_and_anew_for_another_state_of_the_package(
    spiral, tmp_path, monkeypatch
):
    drawn = frames.Frames(tmp_path)
    drawn.prepare(["spiral"], workers=1)
    monkeypatch.setattr(frames, "draw", lambda name, values: b"\x89PNG again")
    drawn.prepare(["spiral"], workers=1)
    assert drawn.figure("spiral", {"arms": 2, "twist": "none"}) == (png(20), None)
    monkeypatch.setattr(frames, "sources", lambda: "another")
    drawn = frames.Frames(tmp_path)
    drawn.prepare(["spiral"], workers=1)
    assert drawn.figure("spiral", {"arms": 2, "twist": "none"}) == (b"\x89PNG again", None)


def test_the_cell_of_the_sliders_gets_the_figures(spiral, tmp_path):
    make = notebooks.nbformat.v4
    cells = [
        make.new_code_cell(text) for text in ("explorers.spiral()", "explorers.spiral.sliders()")
    ]
    drawn = frames.Frames(tmp_path)
    drawn.prepare(["spiral"], workers=1)
    notebook = sources.with_frames(make.new_notebook(cells=cells), drawn, frames.embedded)
    assert not notebook.cells[0].outputs
    assert 'class="frames"' in notebook.cells[1].outputs[0].data["text/html"]


# --- single pages ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setattr(frames, "MOST", 4)
    yield list(export.export(NUMBERED[:2], tmp_path_factory.mktemp("export")))
    patch.undo()


def test_a_single_page_holds_all_it_needs(single):
    for target, path in zip(single, NUMBERED, strict=False):
        page = Page(target)
        assert all(address.startswith("data:") for address in page.loads)
        assert page.images and all(image["alt"] for image in page.images)
        cells = notebooks.code_cells(notebooks.read(path))
        described = {image["alt"] for image in page.images}
        assert {cell.metadata["alt"] for cell in cells if "alt" in cell.metadata} <= described
        text = target.read_text("utf-8")
        assert mathjax.path().read_text("utf-8") in text and "require.min.js" not in text


def test_single_pages_made_together_are_linked(single):
    assert f"{NUMBERED[1].stem}.html" in Page(single[0]).links
    assert f"{NUMBERED[2].stem}.ipynb" in Page(single[1]).links


def test_nbconvert_finds_the_exporter(tmp_path):
    target = tmp_path / "page.html"
    words = ["--to", f"{offline.__name__}.OfflineHTML", "--output", str(target), str(NUMBERED[0])]
    command = [sys.executable, "-m", "nbconvert", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(address.startswith("data:") for address in Page(target).loads)


def test_any_notebook_can_be_exported(tmp_path):
    mine = tmp_path / "mine.ipynb"
    notebooks.write(notebooks.nbformat.v4.new_notebook(), mine)
    assert export.chosen([str(mine), "02"]) == [mine, NUMBERED[2]]
    assert export.chosen([]) == NUMBERED
    with pytest.raises(SystemExit, match="no notebook 'yours.ipynb'"):
        export.chosen(["yours.ipynb"])


def test_a_missing_mathjax_is_told(monkeypatch):
    monkeypatch.setattr(mathjax.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="pip install django-static-mathjax"):
        mathjax.path()


# --- the application -------------------------------------------------------------------------


def test_an_application_has_the_sliders_of_a_notebook_and_nothing_else(spiral, tmp_path):
    path, make = tmp_path / "03_arms.ipynb", notebooks.nbformat.v4
    cells = [make.new_markdown_cell("# 03 · How many arms?"), make.new_code_cell("x = 1")]
    notebooks.write(make.new_notebook(cells=cells), path)
    with pytest.raises(SystemExit, match="03_arms.ipynb shows no explorer"):
        app.application(path)
    cells.append(make.new_code_cell("cn.explorers.spiral.sliders()"))
    notebooks.write(make.new_notebook(cells=cells), path)
    made = app.application(path)
    assert [cell.source for cell in made.cells if cell.cell_type == "code"] == [
        "import chemnb as cn\n\ncn.plots.use_style()",
        "cn.explorers.spiral.sliders()",
    ]
    assert made.cells[0].source == "# How many arms?"
    assert (
        made.cells[2].source
        == f"## Stands for an explorer; it fails in one corner.\n\n{Spiral.alt}"
    )
