"""`load`: the choice of a source, and the check of the shape."""

import dataclasses

import numpy as np
import pytest
from helpers import MNIST_DIR
from ml_collections import ConfigDict

import ganjax
from ganjax import data
from ganjax.data import DataOptions
from ganjax.options import build, options


def gaussian(options):
    """200 numbers: a source from outside of the package."""
    x = np.random.default_rng(0).normal(size=(200, *options.image_shape[:1], 1))
    x, labels = x.astype(np.float32), np.zeros(200, int)
    names = {"name": options.name, "source": "a test"}
    return data.make_dataset(x[:150], labels[:150], x[150:], labels[150:], **names)


@pytest.mark.slow
def test_wrong_image_shape_is_refused(mnist, data_dir):
    wrong = DataOptions(
        name="stacked_mnist", data_dir=str(data_dir), manual_dir=MNIST_DIR
    )
    message = r"image_shape=\(28, 28, 1\): expected \(28, 28, 3\).*stacked_mnist"
    with pytest.raises(ganjax.UserError, match=message):
        data.load(wrong)


def test_sources_can_be_added(monkeypatch):
    monkeypatch.setitem(data.SOURCES, "mine", gaussian)
    config = ConfigDict({"data": options(DataOptions, name="mine", image_shape=(3, 1))})
    loaded = data.load(build(DataOptions, config["data"], "config.data"))
    assert loaded.train["images"].shape == (150, 3, 1)
    assert loaded.describe() == "mine from a test, 150 training images"
    assert loaded.identity.num_test == 50


def test_shapes_of_float_data_are_checked(monkeypatch):
    monkeypatch.setitem(data.SOURCES, "mine", gaussian)
    message = r"image_shape=\(3,\): expected \(3, 1\), the shape of mine's"
    with pytest.raises(ganjax.UserError, match=message):
        data.load(DataOptions(name="mine", image_shape=(3,)))


def test_data_without_images_have_no_image_shape(monkeypatch):
    arrays = {"notes": np.zeros((4, 16, 4), np.float32)}
    dataset = data.make_arrays_dataset(arrays, arrays, name="music", source="a test")
    monkeypatch.setitem(data.SOURCES, "music", lambda options: dataset)
    assert data.load(DataOptions(name="music")) is dataset


def test_names_of_versions_and_variants_have_caches_of_their_own(monkeypatch, tmp_path):
    """A name of TFDS may contain what is special in paths."""

    def load(options, manual):
        rows = len(options.name)
        arrays = {"x": np.arange(rows, dtype=np.float32)}
        return data.make_arrays_dataset(arrays, arrays, name=options.name, source="t")

    monkeypatch.setattr(data.tfds, "load", load)
    empty = DataOptions(data_dir=str(tmp_path))
    for name in ("emnist", "emnist/digits", "emnist/digits:3.0.0"):
        options = dataclasses.replace(empty, name=name)
        assert data.load(options).identity.name == name
    folders = sorted(path.name for path in (tmp_path / "ganjax").iterdir())
    form = "28x28x1"
    names = ("emnist", "emnist-digits", "emnist-digits-3.0.0")
    assert folders == [f"{name}-{form}" for name in names]
