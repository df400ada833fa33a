"""Figures: what is in them where it can be read off."""

import numpy as np
import pytest
from PIL import Image

from ganjax import plots
from ganjax.images import grid
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


def test_cells_of_a_table_are_the_images(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 28, 20, 3), np.uint8)
    plots.plot_images(tmp_path / "x.png", images, ["a", "b"], ["1", "2", "3"])
    with Image.open(tmp_path / "x.png") as opened:
        picture = np.asarray(opened.convert("RGB"))
    canvas = grid(images.reshape(6, 28, 20, 3), 3).repeat(2, 0).repeat(2, 1)
    assert picture.shape == (30 + len(canvas), 90 + canvas.shape[1], 3)
    np.testing.assert_array_equal(picture[30:, 90:], canvas)
    assert (picture[:30, 90:] < 128).any() and (picture[30:, :90] < 128).any()  # text


def test_truncation_is_drawn(tmp_path):
    results = {
        f"{scale:g}": {
            name: {"value": value, "ci95": [value - 0.1, value + 0.1]}
            for name, value in (("precision", 1 - scale / 2), ("recall", scale / 2))
        }
        for scale in (0.5, 1.0)
    }
    plots.plot_truncation(tmp_path / "x.png", results, "1")
    with Image.open(tmp_path / "x.png") as opened:
        pixels = np.asarray(opened.convert("RGB")).reshape(-1, 3)
    for color in ((31, 119, 180), (255, 127, 14)):  # of the two curves
        assert (np.abs(pixels.astype(int) - color).max(1) < 8).sum() > 50
