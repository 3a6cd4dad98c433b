"""``python -m tests.commands.measured``: the benchmarks as they were measured, where texts show them.

It stores the records in ``build/benchmarks.json``, which ``python run.py bench`` leaves, with the
machine in ``tests/benchmarks/measured.json``, and makes the table in the README anew. Notebook 02
reads the same file. ``--table`` makes the table from the stored numbers and stores nothing.
"""

import importlib.metadata
import json
import os
import platform
import sys
from pathlib import Path

from tests.commands import records
from tests.commands.environment import ROOT

STORED = ROOT / "tests" / "benchmarks" / "measured.json"
BEGIN = "<!-- benchmarks: made by python -m tests.commands.measured -->"
END = "<!-- end of benchmarks -->"
PEERS = ("numpy", "numba", "rebop", "gillespy2", "distributed")
W1, W2, W3 = "the skin cells of Fig. 2 (W1)", "the gene network of Eq. 15 (W2)", "rings (W3)"
# record -> what it says to a reader
SHOWN = {
    "bench.w1.over_rebop_core": f"{W1}: events a core-second over rebop's compiled core",
    "bench.w1.over_rebop_api": "the same over rebop as documented, a call a run",
    "bench.w1.over_gillespy2": "the same over GillesPy2's C++ solver",
    "bench.w1.over_cpp_lockstep": "our time over that of a C++ loop written for this network alone",
    "bench.w1.cost": "an event",
    "bench.w2.over_rebop_core": f"{W2}: events a core-second over rebop's compiled core",
    "bench.w2.over_gillespy2": "the same over GillesPy2's C++ solver",
    "bench.w3.over_rebop_sparse_1000": f"{W3} of 1000 species: events a core-second over rebop's sparse mode",
    "bench.w3.growth": "cost of an event with 1000 over 100 species",
    "bench.w4.first_answer_seconds_cold": "import, a new network and 100 runs, nothing compiled yet",
    "bench.w4.first_answer_seconds_warm": "the same with the compiled kernels on disk",
    "bench.memory_mb": "largest memory of a process with 10^6 runs of W1 and four joint histograms",
    "bench.memory_mb.1e7": "the same with 10^7 runs",
    "bench.threads.two_over_one": "speed of two threads over one, W1",
    "bench.dask.two_workers_over_two_threads": "speed of two Dask workers over two threads, W1",
    "bench.lanes.over_scalar": "many runs side by side over one after the other, W1",
    "bench.fsp.over_expm_multiply": "exact p(n, t) of 20,000 states: time of SciPy's expm_multiply over ours",
    "bench.device.w1.over_all_cores": "W1 on a GPU over all cores of its machine",
    "bench.device.w2.over_all_cores": "W2 on a GPU over all cores of its machine",
    "bench.lessons.tau_leap_over_exact.10": "tau-leaping over exact sampling, time of a run, 2 A <-> B from 10 molecules",
    "bench.lessons.tau_leap_over_exact.30": "the same from 30 molecules",
    "bench.lessons.tau_leap_over_exact.100": "the same from 100 molecules",
    "bench.lessons.tau_leap_over_exact.skin": "the same on W1, from 10 cells",
    "bench.lessons.samples_over_distribution": "10^6 exact runs over the exact p(n, t), processor time, W1 at t = 20",
}
MODULES = {"threads": "kernels", "lanes": "kernels", "memory_mb": "kernels", "dask": "cluster"}


def main(words):
    """Store the numbers, unless only the table is wanted, and make the README's table anew."""
    if [word for word in words if word != "--table"]:
        raise SystemExit(f"'{' '.join(words)}' is not understood; use --table or nothing.")
    if "--table" not in words:
        found = records.load("benchmarks")
        if not found:
            raise SystemExit("There are no numbers yet; run: python run.py bench")
        records.write_json(measured(found), STORED)
        missing = [name for name in SHOWN if name not in found]
        print(f"stored: {len(found)} records" + (f"; not there: {missing}" if missing else ""))
    path = ROOT / "README.md"
    path.write_text(with_table(path.read_text("utf-8"), load()), "utf-8", newline="\n")
    return 0


def load(path=None):
    """Return what is stored: ``machine`` and ``records``."""
    return json.loads(Path(path or STORED).read_text("utf-8"))


def measured(found):
    """Return what is stored of records: themselves, and on what they were measured."""
    return {
        "machine": machine(),
        "records": {name: entry.as_dict() for name, entry in sorted(found.items())},
    }


def machine():
    """Return a line on the processor, Python and the packages that matter."""
    versions = []
    for name in PEERS:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return (
        f"{os.cpu_count()} cores of {processor()}, {platform.system()}, "
        f"Python {platform.python_version()}, {', '.join(versions)}"
    )


def processor():
    """Return the name of the processor as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def rows(stored):
    """Return (what, measured, range of the repeats, command) of each record to show."""
    found = []
    for name, what in SHOWN.items():
        if name not in stored["records"]:
            continue
        record = records.as_record(stored["records"][name])
        unit = f" {record.unit}" if record.unit else ""
        spread = "" if record.low is None else f"{short(record.low)} to {short(record.high)}"
        module = name.split(".")[1]
        found.append((what, short(record.value) + unit, spread,
                      f"bench ONLY={MODULES.get(module, module)}"))  # fmt: skip
    return found


def short(number):
    """Return a number with three digits at most, without an exponent.

    >>> short(0.4567), short(12.34), short(203.4), short(1234.5)
    ('0.457', '12.3', '203', '1234')
    """
    digits = 0 if abs(number) >= 100 else 1 if abs(number) >= 10 else 2 if abs(number) >= 1 else 3
    return f"{number:.{digits}f}"


def table(stored):
    """Return the Markdown table between its two marks."""
    lines = ["| what | measured | repeats | `python run.py` |", "|---|---|---|---|"]
    lines += [
        f"| {what} | {value} | {spread} | `{command}` |"
        for what, value, spread, command in rows(stored)
    ]
    return "\n".join([BEGIN, "", f"Measured on {stored['machine']}.", "", *lines, "", END])


def with_table(text, stored):
    """Return a text with the table between its marks, as it is where it has no marks."""
    if BEGIN not in text or END not in text:
        return text
    before, rest = text.split(BEGIN, 1)
    return before + table(stored) + rest.split(END, 1)[1]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
