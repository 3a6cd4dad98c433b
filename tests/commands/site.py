"""``python run.py site``: the stored notebooks as pages to read without a kernel or a network."""

import sys
import time

from tqdm import tqdm

from tests.commands import notebooks
from tests.commands.environment import ROOT
from tests.commands.pages import frames, sources

FOLDER = ROOT / "build" / "site"


def build(folder=FOLDER):
    """Build the site and return how many warnings there were and where its front page lies."""
    from sphinx.cmd.build import build_main

    drawn = frames.Frames(folder / "frames")
    drawn.prepare(sources.explorers(notebooks.numbered()), progress=bar)
    sources.write(folder / "source", drawn)
    conf = ROOT / "tests" / "commands" / "pages"
    failed = build_main(
        ["-q", "-W", "--keep-going", "-b", "html", "-c", str(conf), "-d",
         str(folder / "doctrees"), str(folder / "source"), str(folder / "html")]
    )  # fmt: skip
    return failed, folder / "html" / "index.html"


def bar(items, total):
    return tqdm(items, total=total, desc="figures of the explorers", unit="figure", leave=False)


def main():
    start = time.perf_counter()
    failed, page = build()
    if not failed:
        print(f"The site is ready after {time.perf_counter() - start:.0f} s; open {page}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
