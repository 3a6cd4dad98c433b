"""One progress bar for everything that takes longer than a glance."""

from __future__ import annotations

import os


def progress_bar(total: int, description: str, unit: str, enabled: bool = True):
    """Return a tqdm bar that shows itself only after two seconds.

    It stays silent if ``enabled`` is false or the environment sets ``CHEMNB_PROGRESS=0``
    (tests and notebooks that are executed without a reader).
    """
    from tqdm.auto import tqdm

    silent = not enabled or os.environ.get("CHEMNB_PROGRESS") == "0"
    return tqdm(
        total=total, desc=description, unit=unit, unit_scale=True, delay=2, leave=False,
        disable=silent,
    )  # fmt: skip
