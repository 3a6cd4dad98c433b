"""Claims as data: named records of measured numbers, their files in ``build/`` and their tables."""

import json
from dataclasses import asdict, dataclass, fields
from itertools import groupby

from tests.commands.environment import ROOT

BUILD = ROOT / "build"


@dataclass
class Record:
    """One measured number.

    ``value`` in ``unit`` tells ``what``, from ``n`` repeats. ``paper`` is the number that the paper
    prints, ``paper_error`` the relative error it prints beside it (%), ``true`` the number that was
    to be found, ``low`` and ``high`` the ends of the 95 % interval.
    """

    value: float
    unit: str = ""
    what: str = ""
    n: int = 1
    paper: float | None = None
    low: float | None = None
    high: float | None = None
    true: float | None = None
    paper_error: float | None = None

    def __post_init__(self):
        for field in fields(self):
            entry = getattr(self, field.name)
            if hasattr(entry, "item"):  # a NumPy scalar, which JSON does not know
                setattr(self, field.name, entry.item())

    def as_dict(self):
        """Return the five fields of every record and those of the others that are set."""
        always = ("value", "unit", "what", "n", "paper")
        return {
            key: entry for key, entry in asdict(self).items() if key in always or entry is not None
        }

    @property
    def error(self):
        """Relative error of the value against the true number in %, None where that is unknown."""
        return None if not self.true else 100 * abs(self.value - self.true) / abs(self.true)


def as_record(entry):
    """Return a Record from a Record or a dictionary of its fields.

    Raises
    ------
    TypeError
        If the dictionary lacks ``value`` or has a field that no record has.
    """
    return entry if isinstance(entry, Record) else Record(**entry)


def load(name, folder=BUILD):
    """Return the records in ``build/<name>.json``, none if there is no such file."""
    path = folder / f"{name}.json"
    if not path.exists():
        return {}
    return {key: as_record(entry) for key, entry in json.loads(path.read_text("utf-8")).items()}


def write_json(data, path):
    """Write a JSON file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")
    fresh.replace(path)


def store(name, records, folder=BUILD):
    """Write all records of ``build/<name>.json`` and return the path."""
    path = folder / f"{name}.json"
    write_json({key: as_record(entry).as_dict() for key, entry in records.items()}, path)
    return path


def show(number, digits=4):
    """Return a number as a table shows it, '' for none."""
    if number is None or isinstance(number, str):
        return number or ""
    return str(number) if isinstance(number, bool | int) else f"{number:.{digits}g}"


def row(name, record):
    interval = f"{show(record.low)} .. {show(record.high)}" if record.low is not None else ""
    return [
        name,
        show(record.value) + (f" {record.unit}" if record.unit else ""),
        interval,
        show(record.error, 2),
        show(record.paper),
        show(record.paper_error, 3),
        record.what,
    ]


def table(records):
    """Return the records as aligned text, grouped by the first word of their names."""
    head = ["quantity", "here", "95 % interval", "error %", "paper", "paper error %", "what"]
    rows = {name: row(name, as_record(entry)) for name, entry in sorted(records.items())}
    used = [i for i in range(len(head)) if i < 2 or any(cells[i] for cells in rows.values())]
    widths = {i: max(len(cells[i]) for cells in [head, *rows.values()]) for i in used}

    def line(cells):
        return "  ".join(cells[i].ljust(widths[i]) for i in used).rstrip()

    lines = []
    for _, names in groupby(rows, key=lambda name: name.split(".")[0]):
        lines += ["", line(head), "  ".join("-" * widths[i] for i in used)]
        lines += [line(rows[name]) for name in names]
    return "\n".join(lines[1:])
