"""One look for all figures: a style, six colours that everyone can tell apart, a few drawings.

Functions draw on the Axes that they are given, or on new ones, and return them.
"""

from __future__ import annotations

import numpy as np

# Petroff's six-colour cycle (arXiv:2107.02270), made for colour-blind readers, a little darker so
# that every line stands out from white three to one (WCAG 2.2, 1.4.11). A test measures both.
COLOURS = ("#4a86f7", "#da7b00", "#c4162a", "#9a3f90", "#929298", "#5f0fbd")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
# The paper's or the exact line, drawn over ours.
REFERENCE = {"color": "black", "linestyle": (0, (4, 3)), "linewidth": 1.5, "zorder": 3}

STYLE = {
    "figure.dpi": 100,
    "figure.figsize": (6.4, 3.8),
    "figure.constrained_layout.use": True,
    "savefig.dpi": 100,
    "font.size": 10,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "grid.color": "#e3e3e6",
    "grid.linewidth": 0.6,
    "lines.linewidth": 2.0,
    "lines.markersize": 5,
    "legend.frameon": False,
    "image.cmap": "viridis",
}


def use_style() -> None:
    """Give all figures from here on the look of the notebooks.

    Examples
    --------
    >>> import matplotlib as mpl
    >>> with mpl.rc_context():
    ...     use_style()
    ...     mpl.rcParams["lines.linewidth"]
    2.0
    """
    import matplotlib as mpl
    from cycler import cycler

    mpl.rcParams.update(STYLE)
    mpl.rcParams["axes.prop_cycle"] = cycler(color=COLOURS) + cycler(linestyle=LINES)


def moments(found, exact=None, *, error=None, names=None, label="exact", axes=None):
    """Draw moments over time, and the exact ones over them (Fig. 2b-e).

    Parameters
    ----------
    found : DataArray (time, moment)
        Drawn as dots.
    exact : DataArray (time, moment), optional
        Drawn as black dashes.
    error : DataArray (time, moment), optional
        Standard errors; bars of twice that length.
    names : sequence of str, optional
        The moments to draw; default all.
    label : str
        What the dashed lines are.
    axes : Axes, optional

    Returns
    -------
    Axes
    """
    axes = _axes(axes)
    names, shown = list(found.moment.values) if names is None else list(names), {}
    for place, name in enumerate(names):
        colour, values = COLOURS[place % len(COLOURS)], found.sel(moment=name)
        bars = None if error is None else 2 * error.sel(moment=name)
        mark = "osD^vX"[place % 6]
        dots = axes.errorbar(found.time, values, bars, fmt=mark, color=colour, capsize=2)
        shown[name] = dots
        if exact is not None:
            shown[label] = axes.plot(exact.time, exact.sel(moment=name), **REFERENCE)[0]
    shown = {name: shown[name] for name in (*names, *([] if exact is None else [label]))}
    axes.set(xlabel="time", ylabel="molecules, to the power of the moment")
    axes.legend(shown.values(), shown)
    return axes


def joint_probability(table, *, limits=None, axes=None, top=None):
    """Draw p(n_1, n_2) at one time as an image (Fig. 3).

    Parameters
    ----------
    table : DataArray with two dimensions, one a species
    limits : (int, int), optional
        Largest counts shown.
    axes : Axes, optional
    top : float, optional
        Probability at the upper end of the colours, so that several images compare.

    Returns
    -------
    Axes
        ``axes.images[0]`` is what a colour bar needs.

    Raises
    ------
    ValueError
        If the table does not have two dimensions.
    """
    if table.ndim != 2:
        raise ValueError(
            f"a joint probability over {table.ndim} dimensions; sum over all species but two first"
        )
    axes = _axes(axes)
    ends = [size - 1 for size in table.shape] if limits is None else limits
    shown = np.zeros((ends[0] + 1, ends[1] + 1))
    part = table.values[: ends[0] + 1, : ends[1] + 1]
    shown[: part.shape[0], : part.shape[1]] = part
    axes.imshow(
        shown, origin="lower", aspect="auto", vmin=0.0, vmax=top, interpolation="nearest",
        extent=(-0.5, ends[1] + 0.5, -0.5, ends[0] + 0.5),
    )  # fmt: skip
    axes.grid(False)
    axes.set(xlabel=f"$n_{{{table.dims[1]}}}$", ylabel=f"$n_{{{table.dims[0]}}}$")
    return axes


def intervals(tables, *, true=None, axes=None):
    """Draw estimates with their intervals, one row a rate, one colour a method (Table I).

    Parameters
    ----------
    tables : mapping of method -> DataFrame
        Indexed by rate, with the columns "value", "lower", "upper".
    true : mapping of rate -> float, optional
        Estimates are then drawn relative to it, in per cent; rates whose true value is zero
        are left out.

    Returns
    -------
    Axes
    """
    axes = _axes(axes)
    first = next(iter(tables.values()))
    names = [name for name in first.index if true is None or true.get(name)]
    for place, (method, table) in enumerate(tables.items()):
        values = table.loc[names, ["value", "lower", "upper"]].to_numpy(float)
        if true is not None:
            scale = np.array([[true[name]] for name in names])
            values = 100 * (values / scale - 1)
        rows = np.arange(len(names)) + (place - (len(tables) - 1) / 2) * 0.8 / len(tables)
        reach = np.abs(values[:, 1:] - values[:, :1]).T
        axes.errorbar(
            values[:, 0], rows, xerr=reach, fmt="osD^vx"[place % 6], capsize=2,
            color=COLOURS[place % len(COLOURS)], linestyle="none", label=method,
        )  # fmt: skip
    axes.axvline(0.0, **REFERENCE) if true is not None else None
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel("value" if true is None else "deviation from the true value (%)")
    # above the axes: inside, it would hide the bar of some rate
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=min(len(tables), 3))
    return axes


def profile(found, *, axes=None):
    """Draw a profile likelihood, its limit, and the parabola that the standard error stands for.

    Parameters
    ----------
    found : Profile
        From `ODENet.profile`.
    axes : Axes, optional

    Returns
    -------
    Axes
    """
    axes = _axes(axes)
    table = found.table[np.isfinite(found.table["difference"])]
    axes.plot(table.index, table["difference"], label="others refitted")
    if 0 < found.standard_error < np.inf:
        z = (table.index - found.estimate) / found.standard_error
        axes.plot(table.index, z**2, label="from the standard error", **REFERENCE)
    axes.axhline(found.threshold, color=COLOURS[4], linestyle=":", label=f"{found.level:.0%} limit")
    ends = [end for end in (found.lower, found.upper) if np.isfinite(end)]
    if ends:
        axes.axvspan(
            max(found.lower, table.index.min()), min(found.upper, table.index.max()),
            color="#e3e3e6", zorder=0,
        )  # fmt: skip
    axes.set(xlabel=found.name, ylabel="rise of chi-square")
    axes.set_ylim(0, 2.5 * found.threshold)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    return axes


def time_scales(scales, *, axes=None):
    """Draw the rates of all modes along a run: fast ones solid, slow ones dashed, the gap shaded.

    Parameters
    ----------
    scales : TimeScales
    axes : Axes, optional

    Returns
    -------
    Axes
    """
    axes = _axes(axes)
    rates = np.abs(scales.eigenvalues.where(scales.eigenvalues.time > 0, drop=True))
    for mode in rates.mode.values:
        fast = mode <= scales.modes
        axes.plot(
            rates.time, rates.sel(mode=mode), linestyle=LINES[0] if fast else LINES[1],
            color=COLOURS[(mode - 1) % len(COLOURS)], label=f"{'fast' if fast else 'slow'} {mode}",
        )  # fmt: skip
    if scales.modes:
        edges = (rates.sel(mode=scales.modes + step) for step in (1, 0))
        axes.fill_between(rates.time, *edges, color="#e3e3e6", zorder=0, label="gap")
    axes.set(xscale="log", yscale="log", xlabel="time", ylabel="rate of the mode (1/time)")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return axes


def concentrations(found, exact=None, *, names=None, axes=None):
    """Draw concentrations over time, and the exact ones over them (Fig. 4b-e).

    Parameters
    ----------
    found : DataArray (time, species)
        Drawn as lines.
    exact : DataArray (time, species), optional
        Drawn as black dashes.
    names : sequence of str, optional
        The species to draw; default all.
    axes : Axes, optional

    Returns
    -------
    Axes
    """
    axes = _axes(axes)
    names = list(found.species.values) if names is None else list(names)
    for place, name in enumerate(names):
        colour = COLOURS[place % len(COLOURS)]
        axes.plot(found.time, found.sel(species=name), linestyle="-", color=colour, label=name)
        if exact is not None:
            label = "full network" if name == names[-1] else None
            axes.plot(exact.time, exact.sel(species=name), label=label, **REFERENCE)
    axes.set(xlabel="time", ylabel="concentration")
    axes.legend()
    return axes


def deviations(tables, species, *, axes=None):
    """Draw how far reduced models are from the full network, one line a model (below Fig. 4).

    Parameters
    ----------
    tables : mapping of model -> DataArray (time, species)
        In per cent, as `chemnb.ReducedModel.compare` gives them.
    species : str
    axes : Axes, optional

    Returns
    -------
    Axes
        With the absolute values on a logarithmic scale.
    """
    axes = _axes(axes)
    for place, (model, table) in enumerate(tables.items()):
        axes.plot(
            table.time, np.abs(table.sel(species=species)), label=model,
            color=COLOURS[place % len(COLOURS)], linestyle=LINES[place % len(LINES)],
        )  # fmt: skip
    axes.set(yscale="log", xlabel="time", ylabel=f"deviation of {species} (%)")
    axes.legend()
    return axes


def _axes(axes):
    if axes is not None:
        return axes
    import matplotlib.pyplot as plt

    return plt.subplots()[1]
