"""Arrays that stay on disk: rows of an array_record file, read when they are indexed.

`stored` keeps a data set whose images are too many for memory: `images.array_record`
with the bytes of one image per record, `test_images.array_record`, labels as .npy, and
`identity.json`.
"""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ganjax.data.dataset import (
    Array,
    Dataset,
    Identity,
    Records,
    make_arrays_dataset,
)
from ganjax.errors import UserError
from ganjax.files import write_folder

OPTIONS = "group_size:1,uncompressed"  # for random access
READ_OPTIONS = "readahead_buffer_size:0,max_parallelism:0"
RECORD_ERRORS = (OSError, RuntimeError)  # array_record raises the second
IMAGES = {"train": "images.array_record", "test": "test_images.array_record"}
LABELS = {"train": "labels.npy", "test": "test_labels.npy"}

Put = Callable[[str, np.ndarray], None]  # writes an image of "train" or of "test"
Labels = dict[str, np.ndarray]  # int32 [N] of "train" and [M] of "test"


@dataclass(frozen=True)
class Origin:
    """What stored records were made from; others are made if the key differs."""

    name: str
    source: str  # for messages
    key: str
    manual: dict[str, str] = field(default_factory=dict)  # sha256 of original files


def stored(
    folder: Path, origin: Origin, shape: tuple[int, ...], make: Callable[[Put], Labels]
) -> Dataset:
    """The data set in `folder`; `make` writes it if it is not there or is out of date.

    Args:
      folder: of the records.
      origin: what they are made from.
      shape: of an image, uint8.
      make: calls its argument with every image, and returns the labels of each split.

    Raises:
      UserError: the folder can't be written, e.g. since the disk is full.
    """
    dataset = _read(folder, origin.key, shape)
    if dataset is not None:
        return dataset
    try:
        with write_folder(folder) as new:
            labels = _write_images(new, make)
            for split, file in LABELS.items():
                np.save(new / file, labels[split])
            # Reads and hashes all that was written.
            written = make_arrays_dataset(
                *_open(new, shape),
                name=origin.name,
                source=origin.source,
                manual=origin.manual,
            )
            content = {
                "key": origin.key,
                "stamps": _stamps(new),
                "identity": written.identity.to_dict(),
            }
            (new / "identity.json").write_text(json.dumps(content, indent=2))
    except RECORD_ERRORS as error:
        raise UserError(
            f"config.data.data_dir={str(folder.parents[1])!r}: expected a folder with "
            f"space for the decoded images, got {_line(error)}"
        ) from error
    return Dataset(*_open(folder, shape), written.identity)


@contextlib.contextmanager
def record_writer(path: Path) -> Iterator[Callable[[np.ndarray], None]]:
    """A function that appends an array as a record to a new array_record file."""
    from array_record.python.array_record_module import ArrayRecordWriter

    with contextlib.closing(ArrayRecordWriter(str(path), OPTIONS)) as writer:
        yield lambda array: writer.write(array.tobytes())


def open_records(path: Path, shape: tuple[int, ...]) -> Records:
    """The rows uint8 [N, *shape] of an array_record file.

    Raises:
      RuntimeError: the file is damaged. Reading a damaged record is a UserError.
    """
    from array_record.python.array_record_module import ArrayRecordReader

    # Several threads may use one reader; it reads the records of a list in parallel.
    reader = ArrayRecordReader(str(path), READ_OPTIONS, file_reader_buffer_size=2**15)

    def read(rows: np.ndarray) -> np.ndarray:
        try:
            content = b"".join(reader.read(rows.tolist()) if len(rows) else ())
            return np.frombuffer(content, np.uint8).reshape(len(rows), *shape)
        except (RuntimeError, ValueError) as error:
            raise UserError(
                f"{path} is damaged ({_line(error)}): delete its folder, and the same "
                "command makes it again"
            ) from error

    return Records((reader.num_records(), *shape), np.dtype(np.uint8), read)


def _read(folder: Path, key: str, shape: tuple[int, ...]) -> Dataset | None:
    if not folder.exists():
        return None
    try:
        content = json.loads((folder / "identity.json").read_text())
        if content["key"] != key:
            print(f"{folder} is out of date: decoding again", file=sys.stderr)
            return None
        dataset = Dataset(*_open(folder, shape), Identity(**content["identity"]))
        if _is_whole(dataset, content["stamps"] == _stamps(folder)):
            return dataset
    except Exception:  # NumPy, JSON and array_record raise errors of many types
        pass
    print(f"{folder} is damaged: decoding again", file=sys.stderr, flush=True)
    return None


def _is_whole(dataset: Dataset, unchanged: bool) -> bool:
    """Whether a data set is that of its identity.

    Files with their old sizes and times are not read in full: each record has a
    checksum, which is compared when it is read.
    """
    expected = dataset.identity
    if not unchanged:
        arrays = dataset.train, dataset.test
        found = make_arrays_dataset(*arrays, name="", source="").identity
        return found.sha256 == expected.sha256
    lengths = [len(x["images"]) for x in (dataset.train, dataset.test)]
    return lengths == [expected.num_train, expected.num_test]


def _write_images(folder: Path, make: Callable[[Put], Labels]) -> Labels:
    with (
        record_writer(folder / IMAGES["train"]) as train,
        record_writer(folder / IMAGES["test"]) as test,
    ):
        writers = {"train": train, "test": test}
        return make(lambda split, image: writers[split](image))


def _open(
    folder: Path, shape: tuple[int, ...]
) -> tuple[dict[str, Array], dict[str, Array]]:
    """The training and the test arrays."""
    train, test = (
        {
            "images": open_records(folder / IMAGES[split], shape),
            "labels": np.load(folder / LABELS[split]),
        }
        for split in ("train", "test")
    )
    return train, test


def _stamps(folder: Path) -> dict[str, list[int]]:
    """Size and time of every file of arrays."""
    stats = {f: (folder / f).stat() for f in (*IMAGES.values(), *LABELS.values())}
    return {f: [stat.st_size, stat.st_mtime_ns] for f, stat in stats.items()}


def _line(error: object) -> str:
    return " ".join(str(error).split())[:120]
