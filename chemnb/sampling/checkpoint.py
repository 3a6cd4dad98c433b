"""A job's state in a folder, so that an interrupted job goes on where it was."""

from __future__ import annotations

import time as clock
from pathlib import Path

from .ensemble import Ensemble, EnsembleError
from .ensemble_io import check_netcdf, load_ensemble, save_ensemble

SECONDS_BETWEEN = 10.0
_SHARE = 20  # saving takes at most one part in so many of the time


class Checkpoint:
    """Saves an ensemble while it grows, and once more at the end or when the job is interrupted.

    A kill that nothing can catch loses the runs since the last save: ten seconds, or twenty
    times as long as a save takes.

    Parameters
    ----------
    folder : path
        It is made if it is missing. It holds one file, ``ensemble.nc``.
    """

    def __init__(self, folder) -> None:
        check_netcdf()
        self.path = Path(folder) / "ensemble.nc"
        if self.path.parent.exists() and not self.path.parent.is_dir():
            raise EnsembleError(f"checkpoint='{folder}' is a file; name a folder")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._ensemble: Ensemble | None = None
        self._saved_runs, self._saved_at, self._patience = 0, clock.monotonic(), SECONDS_BETWEEN

    def restore(self, ensemble: Ensemble, runs: int) -> Ensemble:
        """Return what was saved of the job of an empty ensemble, or that ensemble itself.

        Raises
        ------
        EnsembleError
            If what was saved is another job, or has more runs than are asked for now.
        """
        self._ensemble = ensemble
        if not self.path.exists():
            return ensemble
        saved = load_ensemble(self.path)
        try:
            ensemble.check_same_job(saved)
        except EnsembleError as error:
            raise EnsembleError(f"{self._another_job()}: {error}") from None
        own = {"seed": ensemble.seed, "first_run": ensemble.first_run, "keep": ensemble._keep}
        its = {"seed": saved.seed, "first_run": saved.first_run, "keep": saved._keep}
        for name, value in own.items():
            if its[name] != value:
                raise EnsembleError(f"{self._another_job()}: {name}={its[name]}, not {value}")
        if len(saved.parts) > 1 or saved.runs > runs:
            raise EnsembleError(
                f"the checkpoint '{self.path.parent}' has {saved.runs} runs already, more than "
                f"runs={runs}; ask for as many or more, or use another folder"
            )
        self._ensemble, self._saved_runs = saved, saved.runs
        return saved

    def save_now_and_then(self, ensemble: Ensemble) -> None:
        """Save if the last time is long ago."""
        if clock.monotonic() - self._saved_at >= self._patience:
            self._save(ensemble)

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *_) -> None:
        ensemble = self._ensemble
        # an interrupt in the middle of an addition leaves half of it: what was saved is right
        if ensemble is not None and ensemble.is_whole and ensemble.runs > self._saved_runs:
            self._save(ensemble)

    def _save(self, ensemble: Ensemble) -> None:
        began = clock.monotonic()
        save_ensemble(ensemble, self.path)
        self._saved_at, self._saved_runs = clock.monotonic(), ensemble.runs
        self._patience = max(SECONDS_BETWEEN, _SHARE * (self._saved_at - began))

    def _another_job(self) -> str:
        return f"the checkpoint '{self.path.parent}' is one of another job; use another folder"
