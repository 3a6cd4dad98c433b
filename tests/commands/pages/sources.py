"""What Sphinx reads: the front page, the notebooks as stored, a glossary, and the API."""

import hashlib
import inspect
import re
from pathlib import Path

import nbformat

from tests.commands import navigation, notebooks
from tests.commands.environment import ROOT
from tests.commands.pages import frames

ROOMS = {
    "networks": "Reaction networks",
    "models": "Reaction networks",
    "equations": "Equations and their solution",
    "sampling": "Sampling",
    "projection": "Exact probabilities",
    "learning": "Learning from data",
    "reduction": "Reduction",
    "sbml": "Files of other tools",
}


def write(folder, drawn):
    """Write the whole source tree; files that are right already are left alone.

    Parameters
    ----------
    folder : path
    drawn : frames.Frames
        With the figures of all explorers.
    """
    folder, kept = Path(folder), set()

    def put(name, content):
        data = content if isinstance(content, bytes) else content.encode("utf-8")
        path = folder / name
        kept.add(path)
        if not path.exists() or path.read_bytes() != data:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    for path in notebooks.numbered():
        notebook = page(path, drawn, put)
        put(f"notebooks/{path.name}", notebooks.dumps(notebook))
        put(f"notebooks/files/{path.name}", path.read_bytes())
    for path in others():
        put(f"notebooks/{path.name}", path.read_bytes())
    for path in sorted((notebooks.FOLDER / "figures").glob("*.png")):
        put(f"notebooks/figures/{path.name}", path.read_bytes())
    put("index.md", front_page())
    for name, text in api().items():
        put(name, text)
    for path in folder.rglob("*"):
        if path.is_file() and path not in kept:
            path.unlink()


def others():
    """Return the pages beside the numbered notebooks, such as a glossary."""
    found = [*notebooks.FOLDER.glob("*.md"), *notebooks.FOLDER.glob("*.ipynb")]
    return sorted(set(found) - set(notebooks.numbered()))


# --- the notebooks ---------------------------------------------------------------------------


def page(path, drawn, put):
    """Return a stored notebook as a page: without its own links, with its explorers drawn."""
    notebook = notebooks.read(path)
    inner = [cell for cell in notebook.cells if navigation.MARK not in notebooks.tags(cell)]
    download = (
        f"{{download}}`Download this notebook <files/{path.name}>`, or run all of them: "
        "`python run.py lab`."
    )
    notebook.cells = [inner[0], nbformat.v4.new_markdown_cell(download, id="download"), *inner[1:]]

    def link(name, png):
        file = f"{name}-{hashlib.sha256(png).hexdigest()[:12]}.png"
        put(f"_static/frames/{file}", png)
        return f"../_static/frames/{file}"

    for cell in notebook.cells:
        if alt := cell.metadata.get("alt"):
            cell.metadata["mystnb"] = {"image": {"alt": alt}}
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(notebooks.RECORDS, None)  # the table beside it says the same
    return with_frames(notebook, drawn, link)


def with_frames(notebook, drawn, link):
    """Return the notebook with the figures of each explorer where its sliders would be."""
    names = frames.explorers()
    for cell in notebooks.code_cells(notebook):
        if name := frames.shown_in(cell.source, names):
            block = {"text/html": drawn.block(name, link), "text/plain": name}
            cell.outputs = [nbformat.v4.new_output("display_data", block)]
    return notebook


def explorers(paths):
    """Return the names of the explorers that some notebooks show."""
    names = frames.explorers()
    cells = [cell for path in paths for cell in notebooks.code_cells(notebooks.read(path))]
    return sorted({frames.shown_in(cell.source, names) for cell in cells} - {None})


# --- the pages around them -------------------------------------------------------------------


def front_page():
    """Return the README with the list of all pages; its links work as they are."""
    readme = (ROOT / "README.md").read_text("utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", readme):
        if "://" not in target and not target.startswith("notebooks/"):
            readme = re.sub(rf"\[([^\]]+)\]\({re.escape(target)}\)", r"\1", readme)
    lessons = [f"notebooks/{path.stem}" for path in notebooks.numbered()]
    rest = [f"notebooks/{path.stem}" for path in others()]
    return "\n".join(
        [readme, *toctree("Notebooks", lessons), *toctree("Reference", [*rest, "api"])]
    )


def toctree(caption, pages):
    return ["", "```{toctree}", ":hidden:", f":caption: {caption}", "", *pages, "```"]


def api():
    """Return the pages of the public names: one a room, and the list of all."""
    import chemnb

    rooms = {}
    for name in chemnb.__all__:
        thing = getattr(chemnb, name)
        if inspect.ismodule(thing):
            continue
        room = ROOMS[thing.__module__.split(".")[1]]
        rooms.setdefault(room, []).append(name)
    order = list(dict.fromkeys(ROOMS.values()))
    pages, list_of_pages = {}, []
    for room in sorted(rooms, key=order.index):
        slug = "api/" + room.lower().replace(" ", "_")
        pages[slug + ".rst"] = room_page(room, rooms[room])
        list_of_pages.append(slug)
    for name in modules():
        pages[f"api/{name}.rst"] = module_page(name)
        list_of_pages.append(f"api/{name}")
    summaries = [
        "\n".join([f".. rubric:: {room}", "", *summary(names)])
        for room, names in sorted(rooms.items(), key=lambda pair: order.index(pair[0]))
    ]
    pages["api.rst"] = "\n".join(
        ["The public names", "================", "", "All are found under ``import chemnb as cn``.",
         "", ".. toctree::", "   :hidden:", "", *("   " + page for page in list_of_pages), "",
         *summaries]
    )  # fmt: skip
    return pages


def modules():
    """Return the names of the public modules."""
    import chemnb

    return [name for name in chemnb.__all__ if inspect.ismodule(getattr(chemnb, name))]


def summary(names):
    entries = (f"   {name}" for name in sorted(names, key=str.lower))
    return [".. currentmodule:: chemnb", "", ".. autosummary::", "", *entries, ""]


def room_page(room, names):
    import chemnb

    lines = [room, "=" * len(room), "", ".. currentmodule:: chemnb", ""]
    for name in sorted(names, key=str.lower):
        thing = getattr(chemnb, name)
        kind = "function"
        if inspect.isclass(thing):
            kind = "exception" if issubclass(thing, Exception) else "class"
        lines += [f".. auto{kind}:: {name}", *(["   :members:"] * (kind == "class")), ""]
    return "\n".join(lines)


def module_page(name):
    title = f"chemnb.{name}"
    return "\n".join([title, "=" * len(title), "", f".. automodule:: {title}", "   :members:", ""])
