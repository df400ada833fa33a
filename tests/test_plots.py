"""Figures: what is in them where it can be read off."""

import numpy as np
import pytest
from PIL import Image

from ganjax import plots
from ganjax.metrics.nearest_neighbors import memorization_test


def test_critics_have_a_third_panel(tmp_path):
    row = {"real_loss": 0.5, "fake_loss": 0.9, "d_real": 0.6, "d_fake": 0.4}
    rows = [row | {"step": step} for step in (1, 2)]
    plots.plot_curves(tmp_path / "two.png", rows)
    plots.plot_curves(tmp_path / "three.png", [r | {"distance": -1.0} for r in rows])
    with Image.open(tmp_path / "two.png") as two:
        with Image.open(tmp_path / "three.png") as three:
            assert three.width == pytest.approx(1.5 * two.width, abs=1)
            assert three.height == two.height


@pytest.fixture
def found():
    """Constant images: each query's neighbors are those of the nearest gray values."""
    train = np.arange(0, 250, 10, dtype=np.uint8).repeat(4).reshape(-1, 2, 2, 1)
    fake, heldout = train[[20, 3, 12]] + np.uint8(2), train[5:7] + np.uint8(4)
    return memorization_test(fake, train, heldout, k=2), train


def test_neighbors_follow_their_sample(found):
    image = plots.neighbors_grid(*found, rows=1, columns=2)
    assert image.shape == (6, 26, 1)  # 6 tiles of 2 pixels in gaps of 2
    assert image[2, 2::4, 0].tolist() == [202, 200, 210, 32, 30, 40]
    image = plots.neighbors_grid(*found, rows=3, columns=1)
    assert image[2::4, 2, 0].tolist() == [202, 32, 122]


def test_distances_of_copies_can_be_plotted(found, tmp_path):
    memorization, train = found
    copies = memorization_test(train[:3], train, train[:3])
    for name, result in (("new", memorization), ("copies", copies)):
        plots.plot_distances(tmp_path / f"{name}.png", result)
        with Image.open(tmp_path / f"{name}.png") as figure:
            colors = figure.convert("RGB").getcolors(1 << 20)
            assert len(colors) > 20  # bars, text and their antialiasing
