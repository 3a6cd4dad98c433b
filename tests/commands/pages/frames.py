"""Explorers without a kernel: their figures drawn beforehand, and sliders that step through them."""

import ast
import base64
import builtins
import hashlib
import html
import itertools
import json
import math
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from pathlib import Path

from tests.commands.environment import ROOT

MOST, FINEST = 36, 5  # figures of one explorer, values of one slider
STATIC = Path(__file__).parent / "static"


def explorers():
    """Return the explorers of the package by name."""
    try:
        from chemnb import explorers
    except ImportError:
        return {}
    return {explorer.name: explorer for explorer in explorers.ALL}


def shown_in(source, names):
    """Return the name of the explorer whose sliders a code cell shows, or None.

    Examples
    --------
    >>> shown_in("cn.explorers.wells.sliders()", ["wells"])
    'wells'
    >>> shown_in("cn.explorers.wells()", ["wells"]) is None
    True
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr == "sliders":
            name = getattr(node.value, "attr", getattr(node.value, "id", None))
            if name in names:
                return name
    return None


def settings(controls):
    """Return the values of each control that are drawn: as many as stay within `MOST` figures."""
    counts = dict.fromkeys(controls, 2)
    values = {name: control.ticks(2) for name, control in controls.items()}
    growing = list(controls)
    while growing:
        name = min(growing, key=counts.get)
        more = controls[name].ticks(counts[name] + 1)
        rest = math.prod(len(values[other]) for other in values if other != name)
        too_many = counts[name] == FINEST or len(more) * rest > MOST
        if too_many or len(more) == len(values[name]):
            growing.remove(name)
        else:
            counts[name], values[name] = counts[name] + 1, more
    return values


def combinations(controls):
    """Return every setting of the sliders as a dictionary, the last control moving fastest."""
    chosen = settings(controls)
    return [
        dict(zip(chosen, values, strict=True)) for values in itertools.product(*chosen.values())
    ]


def draw(name, values):
    """Return the figure as a PNG, or what went wrong in words: the notebook shows that, too."""
    from matplotlib import rc_context

    from chemnb import plots

    with rc_context():
        plots.use_style()
        try:
            return explorers()[name].png(**values)
        except Exception as error:
            return f"{type(error).__name__}: {error}"


def sources():
    """Return a digest of the package: drawn figures are kept until it changes."""
    paths = sorted((ROOT / "chemnb").rglob("*.py"))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()[:16]


class Frames:
    """The drawn figures of explorers, kept in a folder.

    Parameters
    ----------
    folder : path
        Where the figures are kept; those of an older state of the package are not used.
    """

    def __init__(self, folder):
        self.folder = Path(folder) / sources()

    def prepare(self, names, workers=2, progress=lambda items, total: items):
        """Draw what is not there yet, with a bar if ``progress`` makes one."""
        wanted = [
            (name, values) for name in names for values in combinations(explorers()[name].controls)
        ]
        missing = [pair for pair in wanted if not self.path(*pair).exists()]
        if not missing:
            return
        with ProcessPoolExecutor(workers) if workers > 1 else nullcontext() as pool:
            drawn = (pool or builtins).map(draw, *zip(*missing, strict=True))
            for pair, figure in zip(missing, progress(drawn, len(missing)), strict=True):
                path = self.path(*pair)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(figure if isinstance(figure, bytes) else figure.encode())

    def path(self, name, values):
        words = json.dumps(values, sort_keys=True, default=float)
        return self.folder / name / f"{hashlib.sha256(words.encode()).hexdigest()[:12]}.png"

    def figure(self, name, values):
        """Return (PNG, None) or (None, what went wrong)."""
        data = self.path(name, values).read_bytes()
        return (data, None) if data.startswith(b"\x89PNG") else (None, data.decode())

    def block(self, name, link):
        """Return the explorer as HTML: the figure at its defaults, and what the sliders need.

        Parameters
        ----------
        link : function (name, PNG) -> str
            The address of a figure in the page.
        """
        explorer = explorers()[name]
        frames = []
        for values in combinations(explorer.controls):
            png, wrong = self.figure(name, values)
            frames.append({"wrong": wrong} if png is None else {"src": link(name, png)})
        controls = [
            {
                "label": explorer.controls[key].label or key,
                "values": [_text(explorer.controls[key], value) for value in values],
                "start": values.index(explorer.controls[key].default),
            }
            for key, values in settings(explorer.controls).items()
        ]
        start = 0
        for control in controls:
            start = start * len(control["values"]) + control["start"]
        data = html.escape(json.dumps({"controls": controls, "frames": frames}), quote=True)
        return (
            f'<div class="frames" data-frames="{data}">'
            f'<img src="{frames[start]["src"]}" alt="{html.escape(explorer.alt, quote=True)}">'
            "<noscript><p>With JavaScript there are sliders here; this is the figure at their "
            "first setting.</p></noscript></div>"
        )


def _text(control, value):
    readout = getattr(control, "readout", "")
    if readout:
        return format(value, readout)
    return f"{value:g}" if isinstance(value, float) else str(value)


def embedded(name, png):
    """Return a figure as an address that holds the figure itself."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def script():
    return (STATIC / "frames.js").read_text("utf-8")
