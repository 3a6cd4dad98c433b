"""``python run.py app [NN]``: the explorers of a notebook as an application, without its text and code."""

import sys

import nbformat

from tests.commands import navigation, normal, notebooks
from tests.commands.environment import ROOT
from tests.commands.pages import frames, sources

FOLDER = ROOT / "build" / "app"
FIRST = "import chemnb as cn\n\ncn.plots.use_style()"


def application(path):
    """Return a notebook of nothing but the explorers of another one.

    Raises
    ------
    SystemExit
        If that one has none.
    """
    names, make = sources.explorers([path]), nbformat.v4
    if not names:
        raise SystemExit(f"chemnb: {path.name} shows no explorer; take another notebook.")
    title = navigation.title(notebooks.read(path))
    cells = [make.new_markdown_cell(f"# {title}"), make.new_code_cell(FIRST)]
    for name in names:
        about = frames.explorers()[name]
        cells += [
            make.new_markdown_cell(f"## {about.__doc__.strip().splitlines()[0]}\n\n{about.alt}"),
            make.new_code_cell(f"cn.explorers.{name}.sliders()"),
        ]
    return normal.normalise(make.new_notebook(cells=cells))


def main(words):
    from voila.app import Voila

    path = notebooks.select(words or ["01"])[0]
    FOLDER.mkdir(parents=True, exist_ok=True)
    target = FOLDER / path.name
    notebooks.write(application(path), target)
    print("It opens after half a minute, once for every visitor; Ctrl-C ends it.")
    Voila.launch_instance([str(target)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
