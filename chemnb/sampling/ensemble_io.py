"""Ensembles in netCDF files: nothing is lost, and other tools can read them, too."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from ..equations.moments import moment_label
from ..networks.network import NetworkError, ReactionNetwork
from .ensemble import Ensemble, EnsembleError

_FORMAT = "chemnb ensemble 1"


def save_ensemble(ensemble: Ensemble, path) -> Path:
    """Write an ensemble to a netCDF-4 file; an older file is replaced at once or not at all.

    Sums are whole numbers of any size and stand as text; runs kept whole and histograms stand as
    64-bit integers; the network stands as its text, parameters and volume.

    Raises
    ------
    EnsembleError
        If there is no netCDF library, the folder is missing, or the network has no text form.
    """
    check_netcdf()
    import xarray as xr

    ensemble.check_same_job(ensemble)
    path = Path(path)
    if not path.parent.is_dir():
        raise EnsembleError(f"there is no folder '{path.parent}'; make it first")
    species, powers = ensemble.network.species, list(ensemble._powers)
    parts = np.array(ensemble.parts, dtype=np.int64).reshape(-1, 3)
    variables = {
        "initial": ("species", np.array(list(ensemble.initial.values()), dtype=np.int64)),
        "parts": (("part", "bound"), parts),
        "sum": (("time", "species"), _as_text(ensemble._sums)),
        "sum_of_products": (("time", "species", "species_2"), _as_text(ensemble._products)),
    }
    if powers:
        sums = np.stack([ensemble._powers[power] for power in powers], axis=1)
        variables["sum_of_powers"] = (("time", "power"), _as_text(sums))
        variables["exponent"] = (("power", "species"), np.array(powers, dtype=np.int64))
        names = [moment_label(power, species, "raw") for power in powers]
        variables["power_name"] = ("power", np.array(names, dtype=object))
    if ensemble._kept:
        variables["paths"] = (("run", "time", "species"), np.concatenate(ensemble._kept))
    groups = []
    for row, tables in ensemble._histograms.items():
        for picks, table in tables.items():
            name = f"histogram_{len(groups)}"
            groups.append([row, list(picks)])
            dims = [f"{name}_{species[i]}" for i in picks]
            attrs = {"time": float(ensemble.times[row]), "species": ", ".join(dims)}
            variables[name] = (dims, table, attrs)
    attrs = {
        "format": _FORMAT, "network": str(ensemble.network),
        "parameters": json.dumps(ensemble.network.parameters), "volume": ensemble.network.volume,
        "method": ensemble.method, "stop": json.dumps(ensemble.stop), "keep": str(ensemble._keep),
        "seed": json.dumps(ensemble.seed), "first_run": str(ensemble._first),
        "histograms": json.dumps(groups),
    }  # fmt: skip
    if _network(attrs, species) != ensemble.network:
        raise EnsembleError("this network does not come back from its text; it cannot be saved")
    coords = {"time": ensemble.times, "species": np.array(species, dtype=object)}
    encoding = {
        name: {"zlib": True, "complevel": 1}
        for name, (_, values, *_) in variables.items()
        if values.dtype != object and values.size > 1000
    }
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        data = xr.Dataset(variables, coords=coords, attrs=attrs)
        data.to_netcdf(draft, engine="netcdf4", encoding=encoding)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def load_ensemble(path) -> Ensemble:
    """Return an ensemble that `Ensemble.save` wrote: equal to the one that was saved.

    Raises
    ------
    EnsembleError
        If there is no netCDF library or no such file, or it is no ensemble.

    Examples
    --------
    >>> import tempfile
    >>> from chemnb import sample
    >>> data = sample(ReactionNetwork("A -> 0 ; 1"), {"A": 9}, [0, 1], runs=50, seed=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     data.save(folder + "/decay.nc")
    ...     load_ensemble(folder + "/decay.nc") == data
    True
    """
    check_netcdf()
    import xarray as xr

    path = Path(path)
    if not path.is_file():
        raise EnsembleError(f"there is no file '{path}'")
    try:
        # times are numbers and stay numbers, whatever their name
        with xr.open_dataset(path, engine="netcdf4", decode_times=False) as data:
            data = data.load()
        if data.attrs["format"] != _FORMAT:
            raise EnsembleError(
                f"'{path}' has the format '{data.attrs['format']}'; this version of chemnb reads "
                f"'{_FORMAT}'"
            )
        return _restored(data)
    except (OSError, KeyError, NetworkError, json.JSONDecodeError) as error:
        raise EnsembleError(
            f"'{path}' is no ensemble that Ensemble.save wrote, or it is damaged: {error}"
        ) from None


def check_netcdf() -> None:
    """Raise an EnsembleError if netCDF files cannot be written here."""
    try:
        import netCDF4  # noqa: F401
    except ImportError:
        raise EnsembleError(
            "files need the netCDF library: install chemnb[netcdf], or the package netcdf4"
        ) from None


def _restored(data) -> Ensemble:
    attrs = data.attrs
    species = tuple(str(name) for name in data.species.values)
    histograms: dict[int, list[tuple[int, ...]]] = {}
    for row, picks in json.loads(attrs["histograms"]):
        histograms.setdefault(row, []).append(tuple(picks))
    ensemble = Ensemble(
        _network(attrs, species), data.initial.values, data.time.values,
        json.loads(attrs["seed"]), keep=int(attrs["keep"]), histograms=histograms,
        method=attrs["method"], stop=json.loads(attrs["stop"]), first_run=int(attrs["first_run"]),
    )  # fmt: skip
    ensemble._sums = _as_numbers(data["sum"].values)
    ensemble._products = _as_numbers(data["sum_of_products"].values)
    if "exponent" in data:
        sums = _as_numbers(data["sum_of_powers"].values)
        powers = [tuple(index) for index in data["exponent"].values.tolist()]
        ensemble._powers = {power: sums[:, i].copy() for i, power in enumerate(powers)}
    if "paths" in data:
        ensemble._kept = [data["paths"].values]
    for number, (row, picks) in enumerate(json.loads(attrs["histograms"])):
        ensemble._histograms[row][tuple(picks)] = data[f"histogram_{number}"].values
    parts = tuple(tuple(part) for part in data["parts"].values.tolist())
    ensemble.runs = sum(end - begin for _, begin, end in parts)
    if len(parts) > 1:
        ensemble._joined = parts
        seeds = tuple(dict.fromkeys(seed for seed, _, _ in parts))
        ensemble.seed = seeds if len(seeds) > 1 else seeds[0]
    return ensemble


def _network(attrs, species) -> ReactionNetwork:
    return ReactionNetwork(
        attrs["network"], json.loads(attrs["parameters"]), volume=float(attrs["volume"]),
        species=species,
    )  # fmt: skip


def _as_text(numbers: np.ndarray) -> np.ndarray:
    return np.frompyfunc(str, 1, 1)(numbers)


def _as_numbers(texts: np.ndarray) -> np.ndarray:
    return np.frompyfunc(int, 1, 1)(texts)
