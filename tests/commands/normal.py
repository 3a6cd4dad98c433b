"""The one form in which notebooks are stored: used by ``refresh``, checked by ``lint``."""

import re

import nbformat

WIDGET = "application/vnd.jupyter.widget-view+json"
CELL_METADATA = ("alt", "figure", "nbgrader", "tags")
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "pygments_lexer": "ipython3",
    },
}
# Names that libraries draw at random for the parts of a page (xarray, pandas' Styler).
RANDOM_NAME = re.compile(
    r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\bT_[0-9a-f]{5}(?![0-9a-f])"
)


def normalise(notebook):
    """Return a copy without what changes from run to run; applying it twice changes nothing more."""
    notebook = nbformat.from_dict(notebook)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    notebook.metadata = nbformat.from_dict(METADATA)
    count = 0
    for position, cell in enumerate(notebook.cells):
        cell.id = f"c{position:02d}"
        cell.metadata = {key: cell.metadata[key] for key in CELL_METADATA if cell.metadata.get(key)}
        if cell.cell_type != "code":
            continue
        if cell.execution_count is not None:
            count += 1
            cell.execution_count = count
        cell.outputs = merge_streams(
            out for out in cell.outputs if WIDGET not in out.get("data", {})
        )
        for output in cell.outputs:
            settle_output(output, cell.execution_count, position)
    return nbformat.from_dict(notebook)


def merge_streams(outputs):
    """Join neighbouring pieces of one stream: where a kernel cuts them is chance."""
    merged = []
    for output in outputs:
        last = merged[-1] if merged else None
        if last and output.output_type == "stream" == last.output_type and output.name == last.name:
            last.text += output.text
        else:
            merged.append(output)
    return merged


def settle_output(output, count, position):
    """Give one output the form that every run gives it."""
    output.pop("transient", None)
    if output.output_type == "execute_result":
        output.execution_count = count
    if output.output_type == "error":  # the frames of a traceback name folders of this machine
        output.traceback = [f"{output.ename}: {output.evalue}"]
    names = {}
    for kind, text in output.get("data", {}).items():
        if isinstance(text, str) and not kind.startswith("image/"):
            output.data[kind] = RANDOM_NAME.sub(
                lambda match: names.setdefault(
                    match[0], stable_name(match[0], position, len(names))
                ),
                text,
            )


def stable_name(name, position, index):
    if name.startswith("T_"):
        return f"T_{position % 256:02x}{index % 4096:03x}"
    return f"00000000-0000-4000-8000-{position:06x}{index:06x}"
