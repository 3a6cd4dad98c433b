"""The site and a single page in Chromium without a network: complete, quiet, and wide as the screen."""

import functools
import http.server
import sys
import threading
import types

import pytest

from tests.commands import export, notebooks, site
from tests.commands.pages import frames, sources
from tests.test_site import Spiral

pytestmark = pytest.mark.filterwarnings("ignore::sphinx.deprecation.RemovedInSphinx11Warning")
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
PAGES = ["index", "api", "api/sampling", *(f"notebooks/{p.stem}" for p in notebooks.numbered())]  # fmt: skip
# The right edges of all that is wider than the page and lies in nothing that scrolls.
WIDER = """() => [...document.querySelectorAll('body *')].filter((element) => {
  if (element.getBoundingClientRect().right <= innerWidth + 1) return false;
  for (let box = element; (box = box.parentElement);)
    if (['auto', 'scroll', 'hidden'].includes(getComputedStyle(box).overflowX)) return false;
  return true;
}).map((element) => element.outerHTML.slice(0, 80))"""


@pytest.fixture
def browser(chromium):
    """One browser for all tests: Playwright runs once in a process."""
    return chromium


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setattr(frames, "MOST", 4)
    failed, page = site.build(tmp_path_factory.mktemp("site"))
    patch.undo()
    assert not failed
    return page.parent


class Visit:
    """A page that was opened with the network off, and what Chromium had to say about it."""

    def __init__(self, browser, address, size, **options):
        self.context = browser.new_context(viewport=size, offline=True, **options)
        self.page, self.said = self.context.new_page(), []
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("requestfailed", lambda request: self.said.append(f"missing: {request.url}"))
        self.page.goto(address)
        if options.get("java_script_enabled", True):
            self.page.evaluate("() => window.MathJax && MathJax.startup.promise")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_complete_quiet_and_no_wider_than_the_screen(browser, html, name, size):
    with Visit(browser, (html / f"{name}.html").as_uri(), size) as visit:
        assert visit.said == []
        assert visit.page.evaluate("() => document.documentElement.scrollWidth") <= size["width"]
        assert visit.page.evaluate(WIDER) == []
        pictures = "() => [...document.images].filter((image) => !image.naturalWidth).length"
        assert visit.page.evaluate(pictures) == 0
        if name.startswith("notebooks/0") and "scaling" not in name:
            assert visit.page.locator("mjx-container svg").count() > 5
            assert visit.page.locator("[data-mjx-error]").count() == 0


def test_the_search_finds_pages_from_a_file(browser, html):
    with Visit(browser, (html / "search.html").as_uri() + "?q=gillespie", DESK) as visit:
        visit.page.locator("#search-results li a").first.wait_for()
        assert visit.page.locator("#search-results a[href*='02_gillespie']").count() >= 1
        assert visit.said == []


def test_the_search_finds_functions_with_excerpts_from_a_server(browser, html):
    handler = functools.partial(Silent, directory=html)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/index.html")
        page.locator("input[name=q]").fill("finite_state_projection")
        page.keyboard.press("Enter")
        page.locator("#search-results li a[href*='api/']").first.wait_for()
        page.locator("#search-results p.context").first.wait_for()
        page.close()
        server.shutdown()


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def stepped(monkeypatch, tmp_path):
    """A page with an explorer of ten settings, one of which cannot be drawn."""
    module = types.ModuleType("chemnb.explorers")
    module.ALL = (Spiral(),)
    monkeypatch.setitem(sys.modules, "chemnb.explorers", module)
    monkeypatch.setattr("chemnb.explorers", module, raising=False)
    make = notebooks.nbformat.v4
    cells = [
        make.new_markdown_cell("# Arms $x^2$"),
        make.new_code_cell("explorers.spiral.sliders()"),
    ]
    notebooks.write(make.new_notebook(cells=cells), tmp_path / "arms.ipynb")
    monkeypatch.setattr(site, "FOLDER", tmp_path)
    assert sources.explorers([tmp_path / "arms.ipynb"]) == ["spiral"]
    (target,) = export.export([tmp_path / "arms.ipynb"], tmp_path)
    return target


def test_the_sliders_step_through_the_figures(browser, stepped):
    with Visit(browser, stepped.as_uri(), PHONE) as visit:
        image, seen = visit.page.locator(".frames img"), set()
        arms, twist = (visit.page.locator(".frames input").nth(i) for i in range(2))
        for _ in range(4):
            seen.add(image.get_attribute("src"))
            arms.press("ArrowRight")
        assert len(seen) == 4 and "(arms = 5, twist = none)" in image.get_attribute("alt")
        before = image.get_attribute("src")
        arms.press("Home")
        twist.press("ArrowRight")
        assert "one arm has no twist" in visit.page.locator(".frames-wrong").inner_text()
        arms.press("End")
        assert visit.page.locator(".frames-wrong").inner_text() == ""
        assert image.get_attribute("src") not in (*seen, before)
        assert visit.said == []


def test_without_javascript_there_is_the_figure(browser, stepped):
    with Visit(browser, stepped.as_uri(), PHONE, java_script_enabled=False) as visit:
        assert visit.page.locator(".frames img").is_visible()
        assert visit.page.locator(".frames noscript").count() == 1


def test_a_single_page_is_complete_without_a_network(browser, tmp_path):
    patch = pytest.MonkeyPatch()
    patch.setattr(frames, "MOST", 4)
    (target,) = export.export(notebooks.numbered()[1:2], tmp_path)
    patch.undo()
    for size in (DESK, PHONE):
        with Visit(browser, target.as_uri(), size) as visit:
            assert visit.said == []
            assert visit.page.locator("mjx-container svg").count() > 20
            assert (
                visit.page.evaluate("() => document.documentElement.scrollWidth") <= size["width"]
            )
