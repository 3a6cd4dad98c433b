"""Sphinx: how the pages of ``python run.py site`` are made. Nothing in them asks for a server."""

import re
import shutil
from pathlib import Path

from sphinx.ext import autosummary

import chemnb
from tests.commands.pages import mathjax

project, author = "chemnb", "The chemnb developers"
project_copyright = "the chemnb developers. Code under the MIT licence, text under CC BY 4.0"
version = release = chemnb.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
]
exclude_patterns = ["notebooks/files/*"]
language = "en"

nb_execution_mode = "off"  # the outputs are those that the test suite compares
nb_mime_priority_overrides = [("html", "text/latex", 5), ("html", "text/html", 6)]
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
myst_update_mathjax = False  # its class names are in the options below

mathjax_path = f"mathjax/{mathjax.FILE}"
mathjax3_config = mathjax.OPTIONS | {
    "options": mathjax.OPTIONS["options"]
    | {"ignoreHtmlClass": "body", "processHtmlClass": "math|text_html"}
}

napoleon_google_docstring = False
napoleon_use_rtype = napoleon_use_param = False
napoleon_custom_sections = [("Attributes", "params_style")]  # not once more beside the members
default_role = "autolink"  # `Ensemble` is a link, `times` is not
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autosummary_generate = False
autosummary.WELL_KNOWN_ABBREVIATIONS += ("Eq.", "Eqs.", "Fig.", "Figs.")  # no end of a sentence
add_module_names = False
toc_object_entries = False

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'DejaVu Sans', sans-serif"
html_theme = "alabaster"
html_theme_options = {
    "description": "Machine learning and multiscale modelling of chemical reactions",
    "fixed_sidebar": False,
    "page_width": "1160px",
    "sidebar_width": "260px",
    "font_family": FONT,
    "head_font_family": FONT,
    "font_size": "16px",
    "show_powered_by": False,
    "show_relbars": False,
    "show_relbar_bottom": True,
}
html_sidebars = {"**": ["about.html", "searchfield.html", "navigation.html"]}
html_static_path, templates_path = ["static"], ["templates"]
html_css_files = ["chemnb.css"]
html_js_files = ["search.js", "frames.js"]
html_show_sourcelink = False
html_copy_source = False
html_title = "chemnb"


# Docstrings are written for readers of the source: these marks mean nothing more in them.
REFERENCE = re.compile(r"(?:(?<=^\.\. )|(?<=\s))\[(\d)\](_?)(?=[\s.,;:)]|$)")
LITERAL = re.compile(r"(`[^`]*`_?|``.*?``|^\s*(?:>>>|\.\.\.).*$|^\.\. .*$)")
MARKS = re.compile(r"\||(?<=\w)_(?=\W|$)|(?<![\w*])\*{1,2}(?=\w)(?![^*]*\w\*)")

TABLE = re.compile(r"<table\b.*?</table>", flags=re.DOTALL)
EMPTY_HEAD = re.compile(
    r"<thead>\s*<tr[^>]*>(?:\s*<th[^>]*>(?:\s|</?p>)*</th>)+\s*</tr>\s*</thead>"
)


def setup(app):
    app.connect("builder-inited", _bring_files)
    app.connect("autodoc-process-docstring", _as_written, priority=100)
    app.connect("html-page-context", _settle_tables)


def _as_written(app, what, name, thing, options, lines):
    """Escape what reStructuredText would read as a mark; make the numbers of references unique."""
    for i, line in enumerate(lines):
        pieces = LITERAL.split(REFERENCE.sub(rf"[#{name.replace('.', '-')}-\1]\2", line))
        if line.lstrip().startswith((">>>", "...")):
            continue
        pieces[::2] = [MARKS.sub(r"\\\g<0>", piece) for piece in pieces[::2]]
        lines[i] = "".join(pieces)


def _settle_tables(app, page, template, context, tree):
    """Put every table into a frame of its own, which scrolls where it is wider than a phone."""
    if "body" in context:
        body = EMPTY_HEAD.sub("", context["body"])
        context["body"] = TABLE.sub(r'<div class="wide" tabindex="0">\g<0></div>', body)


def _bring_files(app):
    target = Path(app.outdir, "_static", "mathjax")
    target.mkdir(parents=True, exist_ok=True)
    shutil.copy(mathjax.path(), target)
    figures = Path(app.srcdir, "_static", "frames")
    if figures.exists():
        shutil.copytree(figures, Path(app.outdir, "_static", "frames"), dirs_exist_ok=True)
