"""Presets for data sets of TFDS, on data in TFDS's own format that the tests write.

The features are those of the real data sets, as TFDS itself declares them.
"""

import hashlib
import io
from pathlib import Path

import jax
import numpy as np
import pytest
import tensorflow_datasets
from helpers import ROOT, parameter_counts
from PIL import Image
from test_configs import conv, dense

import ganjax
from ganjax import data
from ganjax.data import DataOptions, tfds
from ganjax.options import build

# By config: name, Pillow's mode and format, and (width, height).
SETS = {
    "fashion_mnist": ("fashion_mnist", "L", "PNG", (28, 28)),
    "cifar10": ("cifar10", "RGB", "PNG", (32, 32)),
    "celeba64": ("celeb_a", "RGB", "JPEG", (178, 218)),
}
SPLITS = {"train": 40, "test": 20}


def encode(mode, form, size, rng):
    """The bytes of a file with a smooth image and noise."""
    small = rng.integers(0, 256, (5, 4, 3) if mode == "RGB" else (5, 4), np.uint8)
    smooth = np.asarray(Image.fromarray(small).resize(size), float)
    pixels = np.clip(smooth + rng.normal(0, 9, smooth.shape), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


def example(features, image, i):
    """An example with all features that the data set has."""
    found = {"image": image}
    if "label" in features:
        found["label"] = i % 10
    if "id" in features:
        found["id"] = f"train_{i:05}"
    for name in ("attributes", "landmarks", "identity"):
        if name in features:
            found[name] = {key: i % 2 for key in features[name]}
    return found


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A folder as TFDS prepares it, and the files in it: by config, and by split."""
    folder, rng, files = tmp_path_factory.mktemp("tfds"), np.random.default_rng(0), {}
    for config, (name, *form) in SETS.items():
        counts = SPLITS | ({"validation": 4} if name == "celeb_a" else {})
        files[config] = {
            split: [encode(*form, rng) for _ in range(num)]
            for split, num in counts.items()
        }
        place = {"data_dir": str(folder), "file_format": tfds.FORMAT}
        info = tensorflow_datasets.builder(name, **place).info
        Path(info.data_dir).mkdir(parents=True)
        # Writes in this order, and without TensorFlow, whose import takes seconds.
        writer = tensorflow_datasets.core.SequentialWriter(
            info, max_examples_per_shard=100, file_format=tfds.FORMAT
        )
        writer.initialize_splits(list(counts))
        for split, images in files[config].items():
            examples = [example(info.features, x, i) for i, x in enumerate(images)]
            writer.add_examples({split: examples})
        writer.close_all()
    return folder, files


def load(prepared, config, **changes):
    """The data of a config, with changes to its group `data`."""
    values = ganjax.load_config(f"{ROOT}/configs/{config}.py")["data"].to_dict()
    values |= {"data_dir": str(prepared[0])} | changes
    return data.load(build(DataOptions, values, "config.data"))


def images(prepared, config, split):
    return [Image.open(io.BytesIO(x)) for x in prepared[1][config][split]]


@pytest.mark.parametrize("config", ["fashion_mnist", "cifar10"])
def test_images_of_the_right_shape_are_not_touched(prepared, config):
    dataset = load(prepared, config)
    digest = hashlib.sha256()
    for split, found in (("train", dataset.train), ("test", dataset.test)):
        expected = np.stack([np.asarray(x) for x in images(prepared, config, split)])
        np.testing.assert_array_equal(found["images"].squeeze(), expected)
        labels = np.arange(len(expected), dtype=np.int32) % 10
        np.testing.assert_array_equal(found["labels"], labels)
        digest.update(expected.tobytes() + labels.tobytes())
    assert dataset.identity.sha256 == digest.hexdigest()
    assert dataset.identity.source.startswith(f"TFDS {config}/3.0.")


def test_faces_are_cut_to_a_square_and_reduced(prepared):
    """The test split is TFDS's, and its validation images are not used."""
    dataset = load(prepared, "celeba64")
    for split, found in (("train", dataset.train), ("test", dataset.test)):
        expected = [
            np.asarray(x.crop((0, 20, 178, 198)).resize((64, 64), Image.BICUBIC))
            for x in images(prepared, "celeba64", split)
        ]
        np.testing.assert_array_equal(found["images"], np.stack(expected))
        np.testing.assert_array_equal(found["labels"], [0] * len(expected))
    assert dataset.identity.source == "TFDS celeb_a/2.1.0"


@pytest.mark.parametrize(
    "changes,box,mode",
    [
        ({"crop": 108}, (35, 55, 143, 163), "RGB"),
        ({"crop": 140, "image_shape": (16, 16, 3)}, (19, 39, 159, 179), "RGB"),
        ({"crop": 108, "image_shape": (32, 32, 1)}, (35, 55, 143, 163), "L"),
        ({"crop": 200, "image_shape": (100, 89, 3)}, (0, 9, 178, 209), "RGB"),
    ],
)
def test_crop_and_shape_decide_what_is_seen(prepared, changes, box, mode):
    found = load(prepared, "celeba64", **changes)
    height, width, _ = found.train["images"].shape[1:]
    for image, pixels in zip(
        images(prepared, "celeba64", "train"), found.train["images"], strict=True
    ):
        cut = image.crop(box).convert(mode)
        expected = cut.resize((width, height), Image.BICUBIC)
        np.testing.assert_array_equal(pixels.squeeze(), expected)


def test_gray_images_become_colors(prepared):
    found = load(prepared, "fashion_mnist", image_shape=(28, 28, 3))
    expected = [np.asarray(x) for x in images(prepared, "fashion_mnist", "train")]
    for channel in range(3):
        np.testing.assert_array_equal(found.train["images"][..., channel], expected)


def test_records_are_kept_for_each_shape_and_crop(prepared, tmp_path, monkeypatch):
    """Large data are decoded once into files, and smaller ones cached as arrays."""
    (tmp_path / "celeb_a").symlink_to(prepared[0] / "celeb_a")
    decoded, resize = [], tfds.Resize.__call__

    def listed(self, image):
        decoded.append(str(self))
        return resize(self, image)

    monkeypatch.setattr(tfds.Resize, "__call__", listed)
    place = tmp_path, prepared[1]
    expected = load(prepared, "celeba64").identity
    decoded.clear()
    hashes = {expected.sha256}
    for crop in (178, 108, 178, 108):
        found = load(place, "celeba64", device_budget_mb=0, crop=crop)
        assert found.has_records()
        assert (found.identity == expected) == (crop == 178)
        hashes.add(found.identity.sha256)
    small = {"device_budget_mb": 0, "image_shape": (8, 8, 3)}
    hashes.add(load(place, "celeba64", **small).identity.sha256)
    assert len(hashes) == 3 and not load(place, "celeba64").has_records()
    forms = ("64x64x3-crop178", "64x64x3-crop108", "8x8x3-crop178", "64x64x3-crop178")
    assert decoded == [form for form in forms for _ in range(60)]
    folders = {path.name for path in (tmp_path / "ganjax").iterdir()}
    assert folders == {f"celeb_a-{f}-records" for f in forms} | {f"celeb_a-{forms[0]}"}


def test_original_files_may_have_other_names_than_their_addresses(tmp_path):
    """The addresses of CelebA end in numbers of Google Drive."""
    names = {
        "identity_CelebA.txt",
        "img_align_celeba.zip",
        "list_attr_celeba.txt",
        "list_eval_partition.txt",
        "list_landmarks_align_celeba.txt",
    }
    manual = tmp_path / "manual"
    manual.mkdir()
    options = DataOptions(
        "celeb_a", str(tmp_path), str(manual), image_shape=(64, 64, 3)
    )
    assert set(tfds.original_files(options)) == names
    with pytest.raises(ganjax.UserError, match=f"({'|'.join(names)}) is missing"):
        data.load(options)
    for name in names:
        (manual / name).write_text("no")
    with pytest.raises(ganjax.UserError, match="is corrupt: expected sha256 [0-9a-f]"):
        data.load(options)


# Numbers of parameters from the widths that the configs state.
PARAMETERS = {
    "cifar10": (
        # Embedding of the label, beside z of 64; 4x4 feature maps, then 8x8, 16x16.
        10 * 64
        + dense(64 + 64, 4 * 4 * 512)
        + (conv(512, 256) + 256 + conv(256, 128) + 128 + conv(128, 3) + 3),
        (conv(3, 128) + 128 + conv(128, 256) + 256 + conv(256, 512) + 512)
        + (dense(4 * 4 * 512, 1) + 10 * 4 * 4 * 512),
    ),
}


@pytest.mark.parametrize("config", PARAMETERS)
def test_networks_have_the_widths_of_their_config(config):
    gan = ganjax.make_gan(ganjax.load_config(f"{ROOT}/configs/{config}.py"))
    assert parameter_counts(gan) == PARAMETERS[config]


@pytest.mark.parametrize("config", SETS)
def test_steps_of_the_whole_networks_keep_all_shapes(config):
    """In bfloat16, without computing: as their commands recommend for a GPU."""
    overrides = {"dtype": "bfloat16"}
    config = ganjax.load_config(f"{ROOT}/configs/{config}.py", overrides)
    gan = ganjax.make_gan(config)
    state = jax.eval_shape(lambda: ganjax.init_state(gan, jax.random.key(0)))
    images = jax.ShapeDtypeStruct((1, 2, *config.data.image_shape), np.uint8)
    labels = jax.ShapeDtypeStruct((1, 2), np.int32)
    batches = ganjax.Batch(images, labels) if config.num_classes else images
    after, metrics = jax.eval_shape(
        lambda state, batches: ganjax.train_step(gan, state, batches), state, batches
    )
    shapes = [jax.tree.map(lambda x: (x.shape, x.dtype), x) for x in (state, after)]
    assert shapes[0] == shapes[1]
    assert {x.dtype for x in jax.tree.leaves(after.g.params)} == {np.dtype("float32")}
    assert {"d_loss", "g_loss"} <= metrics.keys()


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [
        pytest.param(name, marks=[] if name == "celeba64" else [pytest.mark.long])
        for name in SETS
    ],
)
def test_preset_trains_on_its_data(prepared, tmp_path, config):
    """Two steps with narrow networks, from the files of TFDS to a checkpoint."""
    few = {"num_steps": 2, "batch_size": 4, "data.data_dir": str(prepared[0])}
    few |= {"sample_num": 10, "data.device_budget_mb": int(config == "cifar10")}
    config = ganjax.load_config(f"{ROOT}/configs/{config}.py", few)
    for player, ends in (("generator", (4, 3)), ("discriminator", (3, 4))):
        config[player].channels = ends + (3,) * (len(config[player].channels) - 2)
        config[player].hidden = ()
    state = ganjax.train_and_evaluate(config, tmp_path)
    gan, saved, metadata = ganjax.load_run(tmp_path)
    assert int(state.step) == int(saved.step) == 2
    assert metadata["data"]["num_train"] == 40
    samples = ganjax.sample(gan, saved, num=2, key=jax.random.key(1))
    assert samples.shape == (2, *config.data.image_shape)
    assert (samples[0] != samples[1]).any()
    with Image.open(tmp_path / "comparison.png") as grid:
        assert np.asarray(grid).std() > 20  # real images are on it
