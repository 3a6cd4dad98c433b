"""``python run.py lint``: the code style by ruff, and the form of the notebooks by the rules below."""

import re
import statistics
import subprocess
import sys

from tests.commands import navigation, normal, notebooks
from tests.commands.environment import ROOT

LARGEST = 400 * 1024
NOISE = {
    r"0x[0-9a-f]{6,}": "the address of an object",
    r"/(?:home|root|tmp|Users|work)/": "a path of this machine",
    r"\bWall time\b|\bCPU times\b": "an elapsed time",
}


def prose(notebook):
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def lengths(notebook):
    """Return the number of lines that are not blank of every code cell."""
    return [
        sum(bool(line.strip()) for line in cell.source.splitlines())
        for cell in notebooks.code_cells(notebook)
    ]


def explorers(notebook):
    """Return the cells that draw an explorer of the package, once plainly or under sliders."""
    return [cell for cell in notebooks.code_cells(notebook) if "cn.explorers." in cell.source]


def is_map(notebook):
    """Whether this is the first notebook, which has the table of contents and a lighter form."""
    return navigation.BEGIN in prose(notebook)


# --- what a notebook must have: each rule yields what is wrong -------------------------------


def title_is_a_question(notebook):
    tops = [text for level, text, _ in navigation.headings(notebook) if level == 1]
    if len(tops) != 1:
        yield f"it has {len(tops)} headings of the first level; give it one, its title"
    elif not tops[0].endswith("?"):
        yield f"the title '{tops[0]}' is no question"


def box_is_complete(notebook):
    missing = {"learn", "need", "time", "run time", "seed", "paper"} - navigation.box(
        notebook
    ).keys()
    if missing:
        yield f"the box below the title lacks the rows: {', '.join(sorted(missing))}"


def notation_is_told(notebook):
    if not re.search(r"^\|\s*paper\s*\|\s*code\s*\|", prose(notebook), flags=re.MULTILINE):
        yield "there is no notation table; its head begins with | paper | code |"


def one_cell_imports(notebook):
    found = [
        index
        for index, cell in enumerate(notebook.cells)
        if cell.cell_type == "code" and re.search(r"^(?:import|from) ", cell.source, re.MULTILINE)
    ]
    if len(found) != 1:
        yield f"{len(found)} cells import ({found}); let one do so"


def one_cell_has_the_parameters(notebook):
    count = sum("parameters" in notebooks.tags(cell) for cell in notebooks.code_cells(notebook))
    if count != 1:
        yield f"{count} cells have the tag 'parameters'; one must have it"


def cells_are_few_and_short(notebook):
    lines, least = lengths(notebook), 4 if is_map(notebook) else 12
    own = len(lines) - len(explorers(notebook))
    if not least <= own <= 20:
        yield f"{own} code cells besides explorers; {least} to 20 are good to read"
    if lines and max(lines) > 25:
        yield f"a code cell of {max(lines)} lines; split it at 25"
    if lines and statistics.median(lines) > 8:
        yield f"the median code cell has {statistics.median(lines)} lines; at most 8"


def figures_are_described(notebook):
    for index, cell in enumerate(notebook.cells):
        kinds = {kind for output in cell.get("outputs", []) for kind in output.get("data", {})}
        if "image/svg+xml" in kinds:
            yield f"cell {index}: an SVG; store figures as PNG"
        if "image/png" not in kinds:
            continue
        if not cell.metadata.get("alt"):
            yield f"cell {index}: a figure without 'alt' in the metadata of its cell"
        after = notebook.cells[index + 1] if index + 1 < len(notebook.cells) else None
        if after is None or after.cell_type != "markdown":
            yield f"cell {index}: no caption; say in the next cell what is to be seen"


def figures_are_numbered(notebook):
    captions = re.findall(
        r"^\*\*Figure (\d+)(?:\.\*\*|\*\* \()", prose(notebook), flags=re.MULTILINE
    )
    if captions != [str(number) for number in range(1, len(captions) + 1)]:
        yield f"captions are numbered {', '.join(captions)}; they begin with **Figure 1.**"
    shown = [cell for cell in notebook.cells if cell.metadata.get("alt")]
    if len(captions) < len(shown):
        yield f"{len(shown)} figures and {len(captions)} captions that begin with **Figure N.**"
    for cell in shown:
        if len(cell.metadata["alt"].split()) < 8:
            yield f"'{cell.metadata['alt']}' describes no figure; say what is seen, in a sentence"


def headings_are_in_order(notebook):
    level = 0
    for deeper, text, _ in navigation.headings(notebook):
        if deeper > level + 1:
            yield f"the heading '{text}' is of level {deeper} below one of level {level}"
        level = deeper


def objectives_are_verbs(notebook):
    learn = navigation.box(notebook).get("learn", "")
    if len(re.findall(r"\*\w+\*", learn)) < 3:
        yield "the row 'You will learn' has no three verbs in italics: to *derive* ..."


def links_lead_somewhere(notebook):
    for target in re.findall(r"\]\(([\w./-]+\.(?:ipynb|md|png))\)", prose(notebook)):
        if not (notebooks.FOLDER / target).exists():
            yield f"the link to {target} leads nowhere"


def has_checkpoints(notebook):
    if not any(
        re.search(r"^assert\b", c.source, re.MULTILINE) for c in notebooks.code_cells(notebook)
    ):
        yield "no checkpoint: no cell asserts a number"


def has_an_explorer(notebook):
    sources = [cell.source for cell in explorers(notebook)]
    moved = [name for source in sources for name in re.findall(r"(\w+)\.sliders\(\)", source)]
    if not moved:
        yield "no explorer: no cell shows cn.explorers.NAME.sliders()"
    for name in moved:
        if not any(f"explorers.{name}(" in source for source in sources):
            yield f"the explorer {name} has no plain call before its sliders"


def sections_are_there(notebook):
    titles = " / ".join(text for level, text, _ in navigation.headings(notebook) if level == 2)
    wanted = ["Summary", "References"]
    if not is_map(notebook):
        wanted += ["The paper and here", "Pitfalls", "Exercises"]
    for name in wanted:
        if name not in titles:
            yield f"there is no section '{name}'"


def exercises_have_folded_solutions(notebook):
    text = prose(notebook)
    if is_map(notebook):
        return
    for kind in ("Predict", "Try it", "Think", "Dig deeper"):
        if kind not in text:
            yield f"no item of the kind '{kind}'"
    if "<details>" not in text or text.count("<details>") != text.count("</details>"):
        yield "solutions must be folded, each between <details> and </details>"


def references_have_dois(notebook):
    if "doi.org/" not in prose(notebook).split("References")[-1]:
        yield "the references have no link to a DOI"


def versions_are_told(notebook):
    if not any("__version__" in cell.source for cell in notebooks.code_cells(notebook)):
        yield "no cell prints the versions"


# --- what a notebook must not have -----------------------------------------------------------


def outputs_are_clean(notebook):
    counts = [cell.execution_count for cell in notebooks.code_cells(notebook)]
    if counts != list(range(1, len(counts) + 1)):
        yield "cells were not run once, in order, from a clean kernel"
    for index, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                yield f"cell {index}: an error in the output"
            if output.get("name") == "stderr":
                yield f"cell {index}: warnings or messages in the output: {output.text[:60]!r}"
            text = output.get("text", "") + str(output.get("data", {}).get("text/plain", ""))
            yield from (
                f"cell {index}: {what} in the output"
                for pattern, what in NOISE.items()
                if re.search(pattern, text)
            )


def no_trailing_semicolon(notebook):
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "code" and cell.source.rstrip().endswith(";"):
            yield f"cell {index}: ends with ';'; end with plt.show() or _ = instead"


RULES = [
    title_is_a_question, box_is_complete, notation_is_told, one_cell_imports,
    one_cell_has_the_parameters, cells_are_few_and_short, figures_are_described, figures_are_numbered,
    headings_are_in_order, objectives_are_verbs, links_lead_somewhere, has_checkpoints, has_an_explorer,
    sections_are_there, exercises_have_folded_solutions, references_have_dois, versions_are_told,
    outputs_are_clean, no_trailing_semicolon,
]  # fmt: skip


def check(notebook):
    """Return all that is wrong with the content of a notebook."""
    return [fault for rule in RULES for fault in rule(notebook)]


def check_file(path):
    """Return all that is wrong with a notebook and the file it is in."""
    notebook, text = notebooks.read(path), path.read_text("utf-8")
    faults = check(notebook)
    if len(text.encode()) > LARGEST:
        faults.append(f"{len(text.encode()) // 1024} KiB; at most {LARGEST // 1024}")
    if notebooks.dumps(normal.normalise(navigation.update(notebook, path))) != text:
        faults.append("not in the stored form; run: python run.py refresh")
    for name, image in navigation.figures(notebook):
        copy = path.parent / "figures" / name
        if not copy.exists() or copy.read_bytes() != image:
            faults.append(f"figures/{name} is not its figure; run: python run.py refresh")
    return [f"{path.name}: {fault}" for fault in faults]


def style():
    """Run ruff over code and notebooks and return whether it found nothing."""
    ruff = [sys.executable, "-m", "ruff"]
    results = [
        subprocess.call([*ruff, *words, str(ROOT)], cwd=ROOT)
        for words in (["check", "--quiet"], ["format", "--check", "--quiet"])
    ]
    if any(results):
        print("ruff found something; this mends most of it: ruff check --fix . && ruff format .")
    return not any(results)


def main():
    clean = style()
    faults = [fault for path in notebooks.numbered() for fault in check_file(path)]
    if navigation.readme() != (ROOT / "README.md").read_text("utf-8"):
        faults.append("README.md: its table of notebooks is old; run: python run.py refresh")
    print("\n".join(faults) if faults else "The notebooks have the form that they should.")
    return 0 if clean and not faults else 1


if __name__ == "__main__":
    sys.exit(main())
