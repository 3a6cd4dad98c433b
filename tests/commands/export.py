"""``python run.py export [NN | FILE.ipynb ...]``: notebooks as single HTML files for any browser."""

import sys
from pathlib import Path

from tests.commands import notebooks, site
from tests.commands.environment import ROOT
from tests.commands.pages import frames, sources

FOLDER = ROOT / "build" / "export"


def chosen(words):
    """Return the paths that the words name: numbers of notebooks, or any files."""
    files = [Path(word) for word in words if Path(word).suffix == ".ipynb" and Path(word).exists()]
    rest = [word for word in words if Path(word) not in files]
    return files + (notebooks.select(rest) if rest or not words else [])


def export(paths, folder=FOLDER):
    """Write each notebook as an HTML file of its own and yield where."""
    from tests.commands.pages.offline import OfflineHTML

    drawn, exporter = frames.Frames(site.FOLDER / "frames"), OfflineHTML()
    drawn.prepare(sources.explorers(paths), progress=site.bar)
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        notebook = sources.with_frames(notebooks.read(path), drawn, frames.embedded)
        name = {"metadata": {"name": path.stem, "path": str(path.parent)}}
        html, _ = exporter.from_notebook_node(notebook, resources=name)
        for other in paths:
            html = html.replace(f'href="{other.name}"', f'href="{other.stem}.html"')
        target = folder / f"{path.stem}.html"
        target.write_text(html, "utf-8")
        yield target


def main(words):
    for target in export(chosen(words)):
        print(f"{target}, {target.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
