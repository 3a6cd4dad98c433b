"""What the paper prints, as data, and a table that sets it beside what was found here.

Yang, Peng, Zhu & Hong, J. Chem. Phys. 153, 094117 (2020), doi:10.1063/5.0015779.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .networks.expressions import closest, listing

RECORDS = "application/vnd.chemnb.records+json"

# Coefficients of Eq. 11 as printed below it.
ALPHA = {("A", "A"): 0.0079, ("B", "A"): 1.0903, ("B", "B"): -0.3094}

# Eq. 14: what its columns multiply; its rows as (coefficient, equation, term, sign); its numbers.
RATE_UNKNOWNS = ("r1*lam", "r2*lam", "k1", "k2", "lam", "Gamma")
RATE_ROWS = (
    ("alpha11", "A", "A", 1), ("alpha21", "B", "A", 1), ("alpha22", "B", "B", -1),
    ("beta11", "Var(A)", "A", 1), ("beta12", "Var(A)", "Var(A)", 1),
    ("beta21", "Var(B)", "A", 1), ("beta22", "Var(B)", "B", 1),
    ("beta31", "Cov(A, B)", "A", -1), ("beta32", "Cov(A, B)", "Var(A)", 1),
    ("beta33", "Cov(A, B)", "Cov(A, B)", 1),
)  # fmt: skip
RATE_MATRIX = np.array(
    [
        [1, -1, -1, -1, 0, 0],
        [-1, 1, 0, 1, 1, 0],
        [0, 0, 0, 0, 0, 1],
        [1, 1, 1, 1, 0, 0],
        [2, -2, -2, -2, 0, 0],
        [-1, 3, 0, 1, 1, 0],
        [0, 0, 0, 0, 0, 1],
        [0, 2, 0, 1, 0, 0],
        [-1, 1, 0, 1, 1, 0],
        [1, -1, -1, -1, 0, -1],
    ]
)

_FIELDS = (
    "value", "unit", "what", "n", "paper", "low", "high", "true", "paper_error",
)  # fmt: skip


def table1():
    """Return Table I: true and learned rate constants of Eq. 12, relative error in per cent.

    Examples
    --------
    >>> table1().loc["r2"].tolist()
    [0.0764, 0.0824, 7.85]
    """
    import pandas as pd

    return pd.DataFrame(
        {
            "true": [0.0, 0.0, 0.0836, 0.0764, 1.1, 0.31],
            "learned": [0.0123, -0.0197, 0.0831, 0.0824, 1.1059, 0.3074],
            "error %": [np.nan, np.nan, 0.60, 7.85, 0.54, 0.84],
        },
        index=pd.Index(["k1", "k2", "r1", "r2", "lam", "Gamma"], name="rate"),
    )


def table2():
    """Return Table II: correlations among the rates of change of the species of Eq. 15.

    They are those of the absolute rates, which the paper does not say.

    Examples
    --------
    >>> table2().loc["G", ["G", "GP", "GP2"]].tolist()
    [1.0, 0.9892, 0.9812]
    """
    import pandas as pd

    names = ["P", "M", "G", "GP", "GP2"]
    upper = np.eye(5)
    upper[np.triu_indices(5, 1)] = [
        0.9681, 0.5020, 0.4228, 0.4215, 0.2743, 0.1832, 0.1820, 0.9892, 0.9812, 0.9956,
    ]  # fmt: skip
    return pd.DataFrame(np.maximum(upper, upper.T), index=names, columns=names)


def table3():
    """Return Table III: the coefficients of Eq. 16 by QSSA and learned, divided by β3.

    The errors in per cent are the paper's; they refer to its rounded QSSA row (see
    `chemnb.models.gene_feedback` for the rate constants that give the exact one).

    Examples
    --------
    >>> table3().loc["a11"].tolist()
    [0.0159, 0.0163, 2.52]
    """
    import pandas as pd

    nan = np.nan
    rows = {
        "b1": (0.53, 0.54, 1.89), "b2": (0.67, 0.66, 1.49), "b3": (1.0, 1.0, nan),
        "a11": (0.0159, 0.0163, 2.52), "a21": (0.0, 0.0, nan), "a31": (0.0, 0.0, nan),
        "a12": (0.0, 0.0, nan), "a22": (0.0201, 0.020, 0.50), "a32": (0.0, 0.0, nan),
        "a13": (0.0, 0.0, nan), "a23": (0.0, 0.0, nan), "a33": (0.03, 0.03, 0.0),
    }  # fmt: skip
    columns = ["QSSA", "ODENet", "error %"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    return table.rename_axis("coefficient")


class Comparison:
    """Numbers found here beside the paper's, as a table and as data (`compare` makes it).

    Attributes
    ----------
    records : dict of str -> dict
        Numbers to six digits, as ``python run.py reproduce`` collects them.
    """

    def __init__(self, records: Mapping[str, Mapping]) -> None:
        self.records = {name: _checked(name, fields) for name, fields in records.items()}

    def table(self):
        """Return the comparison as a DataFrame of text; columns that say nothing are left out."""
        import pandas as pd

        rows = {name: _row(record) for name, record in self.records.items()}
        table = pd.DataFrame.from_dict(rows, orient="index")
        return table.loc[:, (table != "").any()]

    def __repr__(self) -> str:
        return self.table().to_string()

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict:
        shown = self.table().to_html(border=0)
        return {"text/plain": repr(self), "text/html": shown, RECORDS: self.records}


def compare(records: Mapping[str, Mapping]) -> Comparison:
    """Set numbers found here beside the paper's.

    Parameters
    ----------
    records : mapping of name -> mapping
        Each with ``value`` and any of ``unit``, ``what`` (one line), ``n`` (repeats),
        ``low`` and ``high`` (95 % interval), ``true``, ``paper``, ``paper_error`` (per cent).

    Raises
    ------
    ValueError
        If a record has no value, a value that is not finite, or a field that is unknown.

    Examples
    --------
    >>> compare({"r2": {"value": 0.0765, "true": 0.0764, "paper": 0.0824, "paper_error": 7.85}})
          here error %   paper paper error %
    r2  0.0765    0.13  0.0824          7.85
    """
    return Comparison(records)


def _checked(name: str, fields: Mapping) -> dict:
    for field in fields:
        if field not in _FIELDS:
            raise ValueError(
                f"record '{name}' has the field '{field}'{closest(field, _FIELDS)}; "
                f"there are {listing(_FIELDS)}"
            )
    record = {key: _plain(value) for key, value in fields.items() if value is not None}
    if not isinstance(record.get("value"), int | float) or not np.isfinite(record["value"]):
        raise ValueError(f"record '{name}' needs a finite number as its value")
    return record


def _plain(value):
    if isinstance(value, str):
        return value
    value = value.item() if hasattr(value, "item") else value
    return value if isinstance(value, bool | int) else float(f"{value:.6g}")


def _row(record: dict) -> dict[str, str]:
    error = ""
    if record.get("true"):
        error = f"{100 * abs(record['value'] - record['true']) / abs(record['true']):.2g}"
    unit = f" {record['unit']}" if record.get("unit") else ""
    interval = ""
    if "low" in record:
        interval = f"{record['low']:.4g} .. {record['high']:.4g}"
    return {
        "here": f"{record['value']:.4g}{unit}",
        "95 % interval": interval,
        "error %": error,
        "paper": f"{record['paper']:.4g}" if "paper" in record else "",
        "paper error %": f"{record['paper_error']:.3g}" if "paper_error" in record else "",
        "what": record.get("what", ""),
    }
