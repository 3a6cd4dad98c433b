"""``python run.py reproduce [NN ...]``: run the notebooks in order, print the paper beside ours."""

import base64
import re
import sys

from nbconvert import HTMLExporter
from tqdm import tqdm

from tests.commands import normal, notebooks, records

BUILD = records.BUILD
NO_ALT = 'alt="No description has been provided for this image"'


def figures(notebook):
    """Yield (PNG as base64, its description) of every figure in the notebook."""
    for cell in notebooks.code_cells(notebook):
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                yield output.data["image/png"], cell.metadata.get("alt", "")


def save_figures(notebook, stem):
    (BUILD / "figures").mkdir(parents=True, exist_ok=True)
    for index, (image, _) in enumerate(figures(notebook), 1):
        (BUILD / "figures" / f"{stem}_{index}.png").write_bytes(base64.b64decode(image))


def save_html(notebook, stem):
    """Write the page of a notebook: links go from page to page, figures carry their description."""
    page, _ = HTMLExporter().from_notebook_node(notebook)
    for _, description in figures(notebook):
        words = description.replace("&", "&amp;").replace('"', "&quot;")
        page = page.replace(NO_ALT, f'alt="{words}"', 1)
    page = re.sub(r'href="(\d\d\w*)\.ipynb"', r'href="\1.html"', page)
    (BUILD / "html").mkdir(parents=True, exist_ok=True)
    (BUILD / "html" / f"{stem}.html").write_text(page, "utf-8")


def records_of(notebook):
    """Return the records that the cells of a notebook give out as data."""
    found = {}
    for cell in notebooks.code_cells(notebook):
        for output in cell.outputs:
            found |= output.get("data", {}).get(notebooks.RECORDS, {})
    return {name: records.as_record(dict(entry)) for name, entry in found.items()}


def cost(run, number):
    return {
        f"notebook.{number}.seconds": records.Record(run.seconds, "s", "run from a new kernel"),
        f"notebook.{number}.peak_mb": records.Record(
            run.peak_mb, "MB", "peak memory of the kernel"
        ),
    }


def main(words):
    chosen, errors = notebooks.select(words), []
    found = records.load("reproduction") if words else {}
    (BUILD / "notebooks").mkdir(parents=True, exist_ok=True)
    with tqdm(chosen, desc="notebooks", unit="notebook") as bar:
        for path in bar:
            run = notebooks.execute(path, position=1)
            if run.error:
                errors.append(run.error)
            notebook = normal.normalise(run.notebook)
            notebooks.write(notebook, BUILD / "notebooks" / path.name)
            save_html(notebook, path.stem)
            save_figures(notebook, path.stem)
            found |= records_of(notebook) | cost(run, path.stem.split("_")[0])
            records.store(
                "reproduction", found
            )  # after each, so that a stop loses one notebook only
    print(f"\n{records.table(found)}\n" if found else "")
    print(f"The numbers:            {BUILD / 'reproduction.json'}")
    for name, what in (
        ("notebooks", "Executed notebooks:"),
        ("html", "Pages:"),
        ("figures", "Figures:"),
    ):
        print(f"{what:<23} {BUILD / name}")
    for error in errors:
        print(f"FAILED {error}")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
