"""``python run.py browser``: the notebooks in JupyterLab and a real browser (further words go to pytest)."""

import sys

import pytest

from tests.browser.lab import NAMES, browser_path
from tests.commands.environment import ROOT

MISSING = f"""No browser was found: none of {", ".join(NAMES)} is on the path.
On Debian and Ubuntu this brings one: apt-get install chromium
Nothing was checked."""


def main(words):
    if browser_path() is None:
        print(MISSING, file=sys.stderr)
        return 1
    options = ["-o", "addopts=--strict-markers", "-p", "no:nbval", "--durations=0"]
    return pytest.main([*options, str(ROOT / "tests" / "browser"), *words])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
