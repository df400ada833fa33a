"""Data sets as arrays, in memory or in files, and the arithmetic of batch indices.

`load` asks the source of that name in `SOURCES`. Any other name is one of TensorFlow
Datasets (TFDS): decoded arrays cached by an earlier run, else what TFDS has prepared,
makes from the files in `manual_dir` or downloads, else the fallback.
"""

import dataclasses
from collections.abc import Callable

from ganjax.data import (
    captions,
    chorales,
    domains,
    embedded,
    folder,
    inks,
    photos,
    stacked,
    tfds,
)
from ganjax.data.batches import batch_indices as batch_indices
from ganjax.data.cache import cached
from ganjax.data.dataset import DataOptions as DataOptions
from ganjax.data.dataset import Dataset as Dataset
from ganjax.data.dataset import Identity as Identity
from ganjax.data.dataset import Records as Records
from ganjax.data.dataset import make_arrays_dataset as make_arrays_dataset
from ganjax.data.dataset import make_dataset as make_dataset
from ganjax.errors import UserError


def load(options: DataOptions) -> Dataset:
    """The data set that the options name.

    Raises:
      UserError: no such data, files missing or corrupt, or images of another shape.
    """
    dataset = SOURCES.get(options.name, _tfds_or_fallback)(options)
    expected = tuple(options.image_shape)
    shape = dataset.train["images"].shape[1:] if "images" in dataset.train else expected
    if shape != expected:
        raise UserError(
            f"config.data.image_shape={expected}: expected {shape}, the shape of "
            f"{dataset.identity.name}'s images"
        )
    return dataset


def _from_mnist(
    make: Callable[[Dataset], Dataset], store: bool = False
) -> Callable[..., Dataset]:
    """A data set that is made of MNIST; with `store` kept for the next time."""

    def load_digits(options: DataOptions) -> Dataset:
        mnist = dataclasses.replace(
            options,
            name="mnist",
            image_shape=(28, 28, 1),
            device_budget_mb=DataOptions.device_budget_mb,  # so that it is in memory
        )
        digits = load(mnist)
        if not store:
            return make(digits)
        identity = digits.identity.sha256[:12]
        folder = options.cache_folder(f"{options.name}-{identity}")
        return cached(folder, lambda: make(digits), {})

    return load_digits


def _tfds_or_fallback(options: DataOptions) -> Dataset:
    manual = tfds.manual_files(options)
    cache = options.cache_folder(tfds.cache_name(options))
    try:
        return cached(cache, lambda: tfds.load(options, manual), manual)
    except tfds.Unreachable as error:
        return embedded.fall_back(options, error)


# By `config.data.name`. A data set of your own is an entry: a function of DataOptions.
SOURCES: dict[str, Callable[[DataOptions], Dataset]] = {
    "chorales": chorales.load,
    "captioned_digits": _from_mnist(captions.captioned_digits, store=True),
    "colored_strokes": _from_mnist(inks.colored_strokes, store=True),
    "image_folder": folder.load,
    "photos": photos.load,
    "stacked_mnist": _from_mnist(stacked.stack),
    "styled_mnist": _from_mnist(domains.styled_digits),
    "uci_to_mnist": _from_mnist(domains.uci_digits, store=True),
}
