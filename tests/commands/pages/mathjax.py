"""MathJax as it lies in a Python package, so that no page asks a server for it."""

import importlib.util
from pathlib import Path

FILE = "tex-svg.js"  # one file with its own fonts: it asks for nothing more
OPTIONS = {
    "tex": {
        "inlineMath": [["\\(", "\\)"], ["$", "$"]],
        "displayMath": [["\\[", "\\]"], ["$$", "$$"]],
        "processEscapes": True,
    },
    # The menu would load parts that are not there; MathML for screen readers stays.
    "options": {"enableMenu": False, "enableAssistiveMml": True},
}


def path():
    """Return the path of the script in the package django-static-mathjax.

    Raises
    ------
    SystemExit
        If the package is not installed.
    """
    found = importlib.util.find_spec("mathjax")  # the name under which that package installs
    for folder in found.submodule_search_locations if found else []:
        script = Path(folder, "static", "mathjax", "es5", FILE)
        if script.exists():
            return script
    raise SystemExit(
        "chemnb: MathJax is not installed, so that equations could not be shown without a network; "
        "install it with: pip install django-static-mathjax"
    )
