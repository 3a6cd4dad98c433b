"""The look of all figures: colours that everyone can tell apart, and lines that differ as well."""

from itertools import combinations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from chemnb import plots

# What readers see who lack one kind of cone, on linear RGB: Machado, Oliveira and Fernandes (2009),
# doi:10.1109/TVCG.2009.113, at full severity.
SIGHT = {
    "all cones": np.eye(3),
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}  # fmt: skip
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colour):
    c = np.array(mpl.colors.to_rgb(colour))
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def contrast_with_white(colour):
    return 1.05 / (linear(colour) @ TO_XYZ[1] + 0.05)


def lab(rgb):
    x = TO_XYZ @ np.clip(rgb, 0, 1) / [0.9505, 1, 1.089]
    f = np.where(x > 0.008856, np.cbrt(x), 7.787 * x + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("colour", plots.COLOURS)
def test_every_colour_stands_out_from_white(colour):
    assert contrast_with_white(colour) >= 3


@pytest.mark.parametrize("sight", SIGHT)
def test_no_two_colours_look_alike_to_anyone(sight):
    seen = [lab(np.array(SIGHT[sight]) @ linear(colour)) for colour in plots.COLOURS]
    # a difference of 2.3 is just noticeable
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 20


def test_lines_differ_without_their_colours_too():
    assert len(set(map(str, plots.LINES))) == len(plots.COLOURS) == len(set(plots.COLOURS))
    with mpl.rc_context():
        plots.use_style()
        figure, axes = plt.subplots()
        lines = [axes.plot([0, place])[0] for place in range(6)]
        assert len({(line.get_color(), str(line.get_linestyle())) for line in lines}) == 6
        assert len({str(line._dash_pattern) for line in lines}) == 6
        plt.close(figure)


def test_the_text_of_figures_stands_out():
    with mpl.rc_context():
        plots.use_style()
        assert contrast_with_white(mpl.rcParams["text.color"]) >= 4.5
        assert contrast_with_white(mpl.rcParams["axes.labelcolor"]) >= 4.5
