"""Decoded arrays on disk: later runs need no decoding and no TensorFlow.

The folder of a data set holds `NAME.npy` and `test_NAME.npy` for each array, and
`identity.json`.
"""

import contextlib
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from ganjax.data.dataset import Dataset, Identity, make_arrays_dataset
from ganjax.files import write_folder


def cached(
    folder: Path, make: Callable[[], Dataset], manual: Mapping[str, str]
) -> Dataset:
    """The data set in `folder`, or that of `make()`, which is then written there.

    `manual` is the sha256 by name of the original files. A cache made from other files
    is replaced; without files any cache is used.
    """
    dataset = _read(folder, manual)
    if dataset is None:
        dataset = make()
        if not dataset.has_records():  # which are in files already
            with contextlib.suppress(OSError):  # a full disk: decode again next time
                _write(folder, dataset)
    return dataset


def _read(folder: Path, manual: Mapping[str, str]) -> Dataset | None:
    if not folder.exists():
        return None
    try:
        identity = Identity(**json.loads((folder / "identity.json").read_text()))
        if manual and manual != identity.manual:
            return None
        arrays = {file.stem: np.load(file) for file in folder.glob("*.npy")}
        dataset = make_arrays_dataset(
            {k: x for k, x in arrays.items() if not k.startswith("test_")},
            {k[5:]: x for k, x in arrays.items() if k.startswith("test_")},
            name=identity.name,
            source=identity.source,
            manual=identity.manual,
        )
        if dataset.identity == identity:
            return dataset
    except Exception:  # NumPy raises errors of many types for damaged files
        pass
    print(f"{folder} is damaged: decoding again", file=sys.stderr, flush=True)
    return None


def _write(folder: Path, dataset: Dataset) -> None:
    identity = json.dumps(dataset.identity.to_dict(), indent=2)
    with write_folder(folder) as new:
        for name, array in dataset.train.items():
            np.save(new / f"{name}.npy", array)
            np.save(new / f"test_{name}.npy", dataset.test[name])
        (new / "identity.json").write_text(identity)
