"""The explorers: every figure at both ends of every slider, and the sliders themselves."""

import base64
import re

import matplotlib.pyplot as plt
import numpy as np
import pytest

import chemnb as cn
from chemnb.explorers.controls import Choice, LogSlider, Slider
from chemnb.explorers.experiments import averages
from chemnb.explorers.explorer import Explorer
from chemnb.explorers.sparsity import path
from chemnb.explorers.wells import rests
from chemnb.explorers.workers import speed_up

ALL = cn.explorers.ALL
NAMES = [explorer.name for explorer in ALL]


@pytest.fixture(autouse=True)
def clean_figures():
    plt.close("all")
    yield
    plt.close("all")


def children(box):
    *knobs, picture, said = box.children
    return knobs, picture, said


# --- every explorer ------------------------------------------------------------------------------


@pytest.mark.parametrize("explorer", ALL, ids=NAMES)
def test_the_default_figure_is_labelled(explorer):
    figure = explorer()
    for axes in figure.axes:
        assert axes.get_xlabel() or axes.get_ylabel() or axes.get_title()
    assert len(explorer.alt.split()) > 15 and explorer.__doc__.startswith("Draw ")


@pytest.mark.parametrize("explorer", ALL, ids=NAMES)
def test_it_is_drawn_at_both_ends_of_every_slider(explorer):
    default = explorer.png()
    for setting in explorer.extremes():
        image = explorer.png(**setting)
        assert image[:4] == b"\x89PNG"
        at_default = setting.items() <= explorer.defaults.items()
        assert (image == default) == at_default, setting
    assert plt.get_fignums() == []


@pytest.mark.parametrize("explorer", ALL, ids=NAMES)
def test_the_same_setting_gives_the_same_figure(explorer):
    assert explorer.png() == explorer.png()


@pytest.mark.parametrize("explorer", ALL, ids=NAMES)
def test_sliders_redraw_when_they_are_let_go(explorer):
    knobs, picture, said = children(explorer.sliders())
    before, height = picture.value, picture.layout.min_height
    assert explorer.alt.split()[0] in picture.value and said.value == ""
    assert all(knob.continuous_update is False for knob in knobs)
    name, control = next(iter(explorer.controls.items()))
    knobs[0].value = next(value for value in control.ends if value != control.default)
    assert picture.value != before and picture.layout.min_height == height and said.value == ""
    shown = base64.b64decode(re.search(r"base64,([^\"]+)", picture.value)[1])
    assert shown == explorer.png(**{name: knobs[0].value})


# --- the mechanism -------------------------------------------------------------------------------


def curve(a, b):
    """Draw a line."""
    if a == 3:
        raise ValueError("no line <here>")
    figure, axes = plt.subplots()
    axes.plot([0, a, b])
    return figure


LINE = Explorer(curve, "a line", {"a": Slider(1, 0, 3), "b": LogSlider(1.0, 0.1, 10.0, 0.5)})


def test_an_error_is_said_in_place_and_the_last_figure_stays():
    knobs, picture, said = children(LINE.sliders())
    before = picture.value
    knobs[0].value = 3
    assert picture.value == before
    assert "ValueError: no line &lt;here&gt;" in said.value and 'role="alert"' in said.value
    knobs[0].value = 2
    assert picture.value != before and said.value == ""


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"c": 1}, "curve has no slider 'c'.*there are a, b|curve has no slider 'c'"),
        ({"a": 4}, "a=4 lies outside of the slider; it goes from 0 to 3"),
        ({"a": "1"}, "a='1' lies outside"),
        ({"a": True}, "a=True lies outside"),
        ({"b": 0.01}, "b=0.01 lies outside of the slider; it goes from 0.1 to 10.0"),
    ],
)
def test_values_that_no_slider_has_are_refused(values, message):
    with pytest.raises(cn.explorers.ExplorerError, match=message):
        LINE(**values)


def test_a_choice_has_only_its_options():
    with pytest.raises(cn.explorers.ExplorerError, match="volume=7 cannot be chosen"):
        cn.explorers.volume(volume=7)


@pytest.mark.parametrize(
    ("control", "ticks"),
    [
        (Slider(5, 0, 20), [0, 5, 10, 15, 20]),
        (Slider(2.0, 0.5, 4.0, 0.5), [0.5, 2.0, 2.5, 3.0, 4.0]),
        (LogSlider(1.0, 0.1, 100.0, 0.5), [0.1, 1.0, 3.16227766017, 10.0, 100.0]),
        (Choice("b", ("a", "b", "c")), ["a", "b", "c"]),
    ],
)
def test_ticks_go_from_end_to_end_by_way_of_the_default(control, ticks):
    found = control.ticks(5)
    assert found == ticks and control.default in found
    assert (found[0], found[-1]) == tuple(control.ends)


def test_nothing_is_computed_again_that_did_not_change(monkeypatch):
    from chemnb.explorers import landscape

    module = __import__("sys").modules["chemnb.explorers.landscape"]
    landscape.png()
    monkeypatch.setattr(module, "finite_state_projection", None)  # it would fail if it were called
    landscape.png(time=20)
    with pytest.raises(TypeError):
        module._law.cache_clear()
        landscape.png(time=20)


# --- the science behind them ---------------------------------------------------------------------


def test_averages_are_those_of_the_moment_equations():
    network, times = cn.models.single_progenitor(), np.linspace(0, 20, 41)
    exact = cn.integrate(cn.moment_equations(network, order=1), {"A": 2, "B": 30}, times)
    assert np.allclose(averages(2, 30), exact, rtol=1e-6)


def test_more_clones_leave_the_true_terms_for_more_penalties():
    true = {("A", "A"), ("B", "A"), ("B", "B")}
    right = {}
    for clones in (1000, 1_000_000):
        tables = [path("two", clones, draw) for draw in range(3)]
        kept = [set(t.columns[row != 0]) for t in tables for row in t.values]
        right[clones] = np.mean([terms == true for terms in kept])
    assert right[1_000_000] > 0.4 > right[1000]


def test_schloegl_rests_where_its_rate_equation_does():
    for feed in (2.0, 4.0, 6.0):
        network = cn.models.schloegl(feed=feed, volume=1.0)
        for rest in rests(feed):
            later = cn.integrate(network, {"A": rest}, [0.5]).item()
            assert later == pytest.approx(rest, abs=1e-5)


def test_more_workers_bring_no_more_than_the_two_limits():
    assert speed_up(1, overhead=0.0) == pytest.approx(1.0)
    assert speed_up(4096) < 2.0 / 0.002  # the scheduler
    assert speed_up(4096, block=36.0, overhead=0.0) < 100 * 1.2  # the blocks
    assert speed_up(64, even=True) > speed_up(64)
