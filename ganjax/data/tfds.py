"""Image data sets of TensorFlow Datasets (TFDS).

TensorFlow is imported only where a data set is prepared for the first time.
"""

import hashlib
import io
import json
import math
import os
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ganjax.data.dataset import MEGABYTE, DataOptions, Dataset, make_arrays_dataset
from ganjax.data.records import Labels, Origin, Put, stored
from ganjax.data.resize import Resize
from ganjax.errors import UserError

FORMAT = "array_record"  # the format of TFDS that is read without TensorFlow
UNPREPARED = "TFDS could not prepare it"
UNWRITABLE = re.compile(  # TensorFlow's errors have no errno
    "Permission denied|Read-only file system|No space left on device|quota exceeded",
    re.IGNORECASE,
)
HOST = "https://storage.googleapis.com"  # where TFDS keeps MNIST and most data sets


class Unreachable(Exception):
    """There is no network, or the download or the preparation failed."""


def load(options: DataOptions, manual: Mapping[str, str]) -> Dataset:
    """The training and test images of a TFDS data set, prepared if need be.

    Images of another shape than `image_shape` are cropped and resized, as `Resize`
    says. Labels are the feature "label", or 0. Images of more bytes than
    `device_budget_mb` are decoded once into records.

    Args:
      options: `name`, `data_dir`, `manual_dir`, `image_shape`, `crop`.
      manual: from `manual_files`.

    Raises:
      Unreachable: it is not prepared, and can't be.
      UserError: an unknown or unsuitable data set, or bad files in `manual_dir`.
    """
    folder, prepared = builder_folder(options)
    if not prepared and not options.manual_dir:
        check_network()
    builder = _builder(options, folder)
    if options.manual_dir:
        _check_manual(builder, options.manual_folder(), manual)
    if not builder.is_prepared():
        size = sum(info.size for info in builder.url_infos.values()) // MEGABYTE
        print(f"preparing {options.name}, {size} MB, in {folder}", flush=True)
        _prepare(builder, options)
    if not {"train", "test"} <= set(builder.info.splits):
        splits = ", ".join(builder.info.splits)
        raise UserError(
            f"config.data.name={options.name!r}: expected the splits train and test, "
            f"got {splits}"
        )
    source, resize = f"TFDS {builder.info.full_name}", Resize.of(options)
    examples = partial(_examples, builder, resize)
    num = builder.info.splits["train"].num_examples
    if num * math.prod(resize.shape) > options.device_budget_mb * MEGABYTE:
        origin = Origin(options.name, source, f"{source} {resize}", dict(manual))
        folder = options.cache_folder(f"{cache_name(options)}-records")
        return stored(folder, origin, resize.shape, partial(_write, builder, examples))
    train, test = (_decode(examples(split)) for split in ("train", "test"))
    return make_arrays_dataset(
        train, test, name=options.name, source=source, manual=manual
    )


def cache_name(options: DataOptions) -> str:
    """The folder of the decoded images: name and form, as in mnist-28x28x1."""
    name = options.name.replace("/", "-").replace(":", "-")
    return f"{name}-{Resize.of(options)}"


def original_files(options: DataOptions) -> list[str]:
    """The names of the files that TFDS downloads, which may be in `manual_dir`."""
    infos = _builder(options, builder_folder(options)[0]).url_infos.values()
    return sorted({info.filename for info in infos})


def builder_folder(options: DataOptions) -> tuple[Path, bool]:
    """TFDS's folder for a data set, and whether the data set is prepared there.

    It is `data_dir`, or data_dir/ganjax/tfds if that has the data set in a format that
    only TensorFlow reads: TFDS refuses two formats in one folder.
    """
    for folder in (Path(options.data_dir).expanduser(), options.cache_folder("tfds")):
        infos = (folder / options.name.split(":")[0]).glob("*/dataset_info.json")
        formats = {_file_format(file) for file in infos}
        if formats <= {FORMAT}:
            break
    return folder, bool(formats)


def _file_format(info: Path) -> str | None:
    try:
        return json.loads(info.read_bytes())["fileFormat"]
    except KeyError:
        return None
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{info} is damaged ({_line(error)}): delete its folder, so that the data "
            "set is prepared again"
        ) from error


def _builder(options: DataOptions, folder: Path) -> Any:
    import tensorflow_datasets as tfds

    try:
        return tfds.builder(options.name, data_dir=str(folder), file_format=FORMAT)
    except Exception as error:
        field = f"config.data.name={options.name!r}"
        raise UserError(f"{field}: {_line(error)}") from error


def manual_files(options: DataOptions) -> dict[str, str]:
    """sha256 by name of every file in `manual_dir`; none if that is ""."""
    files = sorted(options.manual_folder().iterdir()) if options.manual_dir else []
    digests = {}
    for path in files:
        if path.is_file():
            with path.open("rb") as file:
                digests[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests


def check_network(seconds: float = 4.0) -> None:
    """Check that TFDS's host answers; name resolution alone can take a minute.

    Raises:
      Unreachable: no answer within that time.
    """
    failure = ["no answer within seconds"]

    def ask() -> None:
        try:
            urllib.request.urlopen(HOST, timeout=seconds).close()
            failure[0] = ""
        except urllib.error.HTTPError:
            failure[0] = ""  # an answer, too
        except OSError as error:
            failure[0] = _line(getattr(error, "reason", error))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    if failure[0]:
        raise Unreachable(f"no network: {failure[0]}")


def _check_manual(builder: Any, folder: Path, manual: Mapping[str, str]) -> None:
    """Check the original files before TensorFlow is imported, which takes seconds."""
    # The name of a file of CelebA is another than the end of its URL.
    expected = {info.filename: info.checksum for info in builder.url_infos.values()}
    for file in expected:
        if file not in manual:
            raise UserError(
                f"config.data.manual_dir={str(folder)!r}: expected all original files, "
                f"{file} is missing"
            )
    for file, checksum in expected.items():
        if manual[file] != checksum:
            raise UserError(
                f"{folder / file} is corrupt: expected sha256 {checksum[:12]}…, "
                f"got {manual[file][:12]}…; download it again"
            )


def _prepare(builder: Any, options: DataOptions) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # silence its start-up log
    try:
        import tensorflow as tf
    except ImportError as error:
        raise Unreachable(f"TensorFlow prepares it: {_line(error)}") from error
    import tensorflow_datasets as tfds

    tf.config.set_visible_devices([], "GPU")  # it would take all their memory
    tfds.disable_progress_bar()
    manual_dir = str(options.manual_folder()) if options.manual_dir else None
    config = tfds.download.DownloadConfig(manual_dir=manual_dir)
    try:
        builder.download_and_prepare(download_config=config)
    except Exception as error:
        if found := UNWRITABLE.search(str(error)):
            raise UserError(
                f"config.data.data_dir={options.data_dir!r}: expected a folder with "
                f"space that can be written to, got {found[0]!r}"
            ) from error
        what = "the download failed" if isinstance(error, OSError) else UNPREPARED
        raise Unreachable(f"{what}: {_line(error)}") from error


def _decode(examples: Iterator[tuple[np.ndarray, int]]) -> dict[str, np.ndarray]:
    images, labels = zip(*examples, strict=True)
    return {"images": np.stack(images), "labels": np.array(labels, np.int32)}


def _write(builder: Any, examples: Callable[[str], Any], put: Put) -> Labels:
    """Decodes all images, with a progress bar."""
    from tqdm import tqdm

    labels = {}
    for split in ("train", "test"):
        found = []
        total = builder.info.splits[split].num_examples
        bar = tqdm(examples(split), f"decoding {split}", total, unit="image")
        for image, label in bar:
            put(split, image)
            found.append(label)
        labels[split] = np.array(found, np.int32)
    return labels


def _examples(
    builder: Any, resize: Resize, split: str
) -> Iterator[tuple[np.ndarray, int]]:
    """The images of a split, uint8 [H, W, C], with their labels or 0."""
    import tensorflow_datasets as tfds

    features = builder.info.features
    if "image" not in features or features["image"].np_dtype != np.uint8:
        raise UserError(
            f"config.data.name={builder.name!r}: expected 8-bit images, got "
            f"{list(features)}"
        )
    # Pillow decodes PNGs several times faster than TFDS, which does so one at a time.
    decoders = {"image": tfds.decode.SkipDecoding()}
    for example in builder.as_data_source(split=split, decoders=decoders):
        image = resize(Image.open(io.BytesIO(example["image"])))
        yield image, example.get("label", 0)


def _line(error: object) -> str:
    text = str(error).strip() or type(error).__name__
    return " ".join(text.split())[:200]
