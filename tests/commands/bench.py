"""``python run.py bench [ONLY=name] [--fresh]``: the comparisons in ``tests/benchmarks``."""

import sys

from tests.commands import studies

if __name__ == "__main__":
    sys.exit(studies.main("benchmarks", "benchmarks", sys.argv[1:]))
