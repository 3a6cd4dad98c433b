"""``python run.py validate [ONLY=name] [--fresh]``: the many-seed studies in ``tests/studies``."""

import sys

from tests.commands import studies

if __name__ == "__main__":
    sys.exit(studies.main("studies", "validation", sys.argv[1:]))
