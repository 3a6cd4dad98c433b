"""``python run.py refresh [NN ...]``: run notebooks from a clean kernel and store their outputs."""

import sys

from tests.commands import navigation, normal, notebooks
from tests.commands.environment import ROOT


def main(words):
    chosen, failed = notebooks.select(words), []
    for path in chosen:
        run = notebooks.execute(path)
        if run.error:
            failed.append(run.error)
            print(f"not stored: {run.error}")
            continue
        notebooks.write(normal.normalise(navigation.update(run.notebook, path)), path)
        print(f"stored: {path.name}, {run.seconds:.1f} s, peak {run.peak_mb:.0f} MB")
    # A new title or a new notebook shows in its neighbours and in the table of contents.
    for path in notebooks.numbered():
        if not any(error.startswith(path.name + ",") for error in failed):
            old = notebooks.read(path)
            new = normal.normalise(navigation.update(old, path))
            if notebooks.dumps(new) != path.read_text("utf-8"):
                notebooks.write(new, path)
                print(f"links made anew: {path.name}")
            for name, image in navigation.figures(new):
                (notebooks.FOLDER / "figures").mkdir(exist_ok=True)
                (notebooks.FOLDER / "figures" / name).write_bytes(image)
    (ROOT / "README.md").write_text(navigation.readme(), "utf-8", newline="\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
