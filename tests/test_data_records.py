"""Images in record files: written once, checked, and read a few at a time."""

import os
import tracemalloc
import types

import numpy as np
import pytest
import tensorflow_datasets
from helpers import load_folder
from PIL import Image
from test_data_tfds import DecodedBuilder, png

import ganjax
from ganjax import data
from ganjax.data import DataOptions, Records, folder, make_dataset, tfds
from ganjax.data.records import Origin, stored
from ganjax.data.resize import Resize

SHAPE = (5, 4, 3)


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (70, *SHAPE), np.uint8)


class Maker:
    """Stores images, every tenth for testing, and counts how often it is asked to."""

    def __init__(self, images):
        self.images, self.count = images, 0
        self.labels = np.arange(len(images), dtype=np.int32) % 7

    def __call__(self, put):
        self.count += 1
        test = np.arange(len(self.images)) % 10 == 9
        for i, image in enumerate(self.images):
            put("test" if test[i] else "train", image)
        return {"train": self.labels[~test], "test": self.labels[test]}

    def in_memory(self):
        test = np.arange(len(self.images)) % 10 == 9
        x, y = self.images, self.labels
        names = {"name": "small", "source": "a test"}
        return make_dataset(x[~test], y[~test], x[test], y[test], **names)


def load(place, maker, key="k"):
    return stored(place, Origin("small", "a test", key), SHAPE, maker)


def test_records_are_the_array_row_by_row(tmp_path, images):
    maker = Maker(images)
    expected = maker.in_memory()
    for _ in range(2):
        found = load(tmp_path / "small", maker)
        assert found.identity == expected.identity
        x, array = found.train["images"], expected.train["images"]
        assert isinstance(x, Records)
        assert (x.shape, x.dtype, x.ndim, x.nbytes, len(x)) == (
            array.shape,
            array.dtype,
            array.ndim,
            array.nbytes,
            len(array),
        )
        for rows in (
            slice(None),
            slice(3, 9, 2),
            slice(60, 99),
            slice(0, 0),
            np.array([5, 0, 5]),
            np.array([[1, 2], [62, 0]]),
            np.arange(0),
        ):
            np.testing.assert_array_equal(x[rows], array[rows])
        with pytest.raises(ganjax.UserError, match="images.array_record is damaged"):
            x[np.array([63])]
        np.testing.assert_array_equal(found.train["labels"], expected.train["labels"])
        np.testing.assert_array_equal(found.test["images"][:], expected.test["images"])
    assert maker.count == 1


def flip(file, place, keep_time=False):
    """Changes one byte of a file."""
    stat, content = file.stat(), bytearray(file.read_bytes())
    content[place] ^= 255
    file.write_bytes(content)
    if keep_time:
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize(
    "file,damage",
    [
        ("images.array_record", lambda file: flip(file, 5000)),
        ("test_images.array_record", lambda file: flip(file, 200)),
        ("images.array_record", lambda file: file.write_bytes(b"")),
        ("images.array_record", lambda file: os.truncate(file, 70_000)),
        ("labels.npy", lambda file: flip(file, -1)),
        ("test_labels.npy", lambda file: file.unlink()),
        ("test_images.array_record", lambda file: file.unlink()),
        ("identity.json", lambda file: file.write_text("{}")),
        ("identity.json", lambda file: file.write_text("[1")),
    ],
)
def test_damaged_records_are_made_again(tmp_path, images, file, damage, capsys):
    maker, place = Maker(images), tmp_path / "small"
    load(place, maker)
    damage(place / file)
    found = load(place, maker)
    assert capsys.readouterr().err == f"{place} is damaged: decoding again\n"
    assert maker.count == 2
    expected = maker.in_memory()
    assert found.identity == expected.identity
    for split in ("train", "test"):
        for name, array in getattr(expected, split).items():
            np.testing.assert_array_equal(getattr(found, split)[name][:], array)


def test_copies_of_records_are_checked_and_used(tmp_path, images, capsys):
    """Their files have other times: they are read in full, once per start."""
    maker, place = Maker(images), tmp_path / "small"
    load(place, maker)
    for file in place.iterdir():
        os.utime(file, ns=(0, 0))
    load(place, maker)
    assert maker.count == 1 and capsys.readouterr().err == ""


def test_a_damaged_record_is_never_trained_on(tmp_path, images):
    """Bits that flip on the disk change no time: the record's own checksum fails."""
    maker, place = Maker(images), tmp_path / "small"
    load(place, maker)
    content = (place / "images.array_record").read_bytes()
    flip(place / "images.array_record", content.index(images[3].tobytes()) + 7, True)
    x = load(place, maker).train["images"]
    np.testing.assert_array_equal(x[4:6], images[4:6])
    with pytest.raises(ganjax.UserError, match=r"damaged \(.*hash mismatch.*: delete"):
        x[np.array([5, 3])]


def test_records_of_other_files_are_replaced(tmp_path, images, capsys):
    place = tmp_path / "small"
    load(place, Maker(images))
    maker = Maker(images[:40])
    for count in (1, 1):
        assert load(place, maker, key="other").identity == maker.in_memory().identity
        assert maker.count == count
    assert capsys.readouterr().err == f"{place} is out of date: decoding again\n"


def test_folders_without_space_are_reported(tmp_path, images):
    (tmp_path / "data").write_text("not a folder")
    with pytest.raises(ganjax.UserError, match="data_dir='.*data': expected a folder"):
        load(tmp_path / "data" / "ganjax" / "small", Maker(images))


# --- image folders ------------------------------------------------------------------


@pytest.fixture
def photos(tmp_path):
    """47 images in two classes, and a file that is none."""
    rng = np.random.default_rng(0)
    for i in range(47):
        file = tmp_path / "photos" / "ab"[i // 30] / f"{i:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8)).save(file)
    (tmp_path / "photos/a/05b.png").write_bytes(b"not an image")
    return tmp_path / "photos"


def budget(photos, budget_mb=0, **options):
    place = {"data_dir": str(photos.parent), "manual_dir": str(photos)}
    options = {"image_shape": (8, 8, 3), "device_budget_mb": budget_mb, **options}
    return DataOptions(name="image_folder", **place, **options)


@pytest.fixture
def decoded(monkeypatch):
    """The files that are decoded."""
    files, read = [], folder.Files._read

    def listed(self, file):
        files.append(file)
        return read(self, file)

    monkeypatch.setattr(folder.Files, "_read", listed)
    return files


def test_large_folders_are_decoded_once(photos, decoded, capsys):
    expected = load_folder(photos, (8, 8, 3))
    assert not expected.has_records() and len(decoded) == 48
    for _ in range(2):
        found = data.load(budget(photos))
        assert found.identity == expected.identity
        assert isinstance(found.train["images"], Records)
        np.testing.assert_array_equal(found.train["labels"], [0] * 27 + [1] * 16)
        whole = found.in_memory()
        for split in ("train", "test"):
            for name, array in getattr(expected, split).items():
                np.testing.assert_array_equal(getattr(whole, split)[name], array)
    assert len(decoded) == 2 * 48
    err = capsys.readouterr().err
    assert "decoding: " in err and err.count("05b.png") == 2
    assert not data.load(budget(photos, budget_mb=1)).has_records()


def test_many_files_are_decoded_once_whatever_their_size(photos, decoded, monkeypatch):
    monkeypatch.setattr(folder, "MAX_DECODED", 47)
    for _ in range(2):
        assert data.load(budget(photos, budget_mb=1000)).has_records()
    assert len(decoded) == 48


def test_changed_folders_and_shapes_are_decoded_again(photos, decoded, capsys):
    first = data.load(budget(photos))
    small = data.load(budget(photos, image_shape=(4, 4, 1)))
    assert small.train["images"].shape == (43, 4, 4, 1)
    crop = data.load(budget(photos, crop=5))
    assert crop.identity.sha256 not in (first.identity.sha256, small.identity.sha256)
    assert data.load(budget(photos)).identity == first.identity
    assert len(decoded) == 3 * 48 and "out of date" not in capsys.readouterr().err
    Image.new("RGB", (9, 9)).save(photos / "a" / "00.png")
    second = data.load(budget(photos))
    assert len(decoded) == 4 * 48 and "is out of date" in capsys.readouterr().err
    assert second.identity.sha256 != first.identity.sha256
    assert second.train["images"][:1].max() == 0


def test_a_folder_without_enough_images_leaves_no_records(photos):
    for file in (photos / "a").glob("*.png"):
        file.unlink()
    with pytest.raises(ganjax.UserError, match="expected 20 or more readable images"):
        data.load(budget(photos))
    assert not any((photos.parent / "ganjax").iterdir())


def test_decoding_holds_some_images_in_memory(tmp_path, monkeypatch):
    """Images are written as they come: there are never more than those of a block."""
    for i in range(120):
        Image.new("L", (4, 4), i).save(tmp_path / f"{i:03}.png")
    monkeypatch.setattr(folder, "BLOCK", 10)
    files = folder.Files(tmp_path, Resize((64, 64, 3)))
    tracemalloc.start()
    for _ in files.decode():
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    whole = 120 * 64 * 64 * 3
    assert 10 * 64 * 64 * 3 < peak < whole / 2


# --- TFDS ---------------------------------------------------------------------------


class Builder(DecodedBuilder):
    """As much of a prepared TFDS data set as loading uses."""

    def __init__(self, examples):
        super().__init__(examples)
        self.info.full_name = "shapes/1.0.0"
        split = types.SimpleNamespace(num_examples=len(examples))
        self.info.splits = {"train": split, "test": split}

    def is_prepared(self):
        return True

    def as_data_source(self, split, decoders):
        return self.examples if split == "train" else self.examples[::-1]


def test_large_data_sets_of_tfds_become_records(tmp_path, monkeypatch, images):
    examples = [{"image": png(x), "label": i % 3} for i, x in enumerate(images)]
    monkeypatch.setattr(tfds, "check_network", lambda: None)
    monkeypatch.setattr(
        tensorflow_datasets, "builder", lambda *a, **k: Builder(examples)
    )
    options = {"name": "shapes/small", "image_shape": SHAPE}

    def load_into(name, **changes):
        place = {"data_dir": str(tmp_path / name)}
        return data.load(DataOptions(**{**options, **place, **changes}))

    expected, found = load_into("a"), load_into("b", device_budget_mb=0)
    assert found.identity == expected.identity
    assert found.has_records() and not expected.has_records()
    np.testing.assert_array_equal(found.train["images"][:], images)
    np.testing.assert_array_equal(found.test["images"][:], images[::-1])
    np.testing.assert_array_equal(found.test["labels"], expected.test["labels"])
    (made,) = (tmp_path / "b" / "ganjax").iterdir()
    assert made.name == "shapes-small-5x4x3-records"
    other = load_into("b", device_budget_mb=0, image_shape=(3, 3, 3))
    assert other.train["images"].shape == (70, 3, 3, 3)
    again = load_into("b", device_budget_mb=0, crop=4)
    assert again.identity.sha256 not in (
        expected.identity.sha256,
        other.identity.sha256,
    )
    assert load_into("b", device_budget_mb=0).identity == expected.identity
