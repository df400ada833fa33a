"""Reference values: the metrics of real images, which a good generator approaches."""

import hashlib
import json
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ganjax import files
from ganjax.metrics.nearest_neighbors import nearest_neighbors
from ganjax.metrics.suite import DIGITS
from ganjax.metrics.types import Estimate, FeatureSet, Metric, RealData, Suite

VERSION = 2  # of the protocols: raise it to discard cached values


def reference_values(
    real: RealData, num: int, suite: Suite = DIGITS
) -> dict[str, Estimate]:
    """The metrics of a suite for `num` real images in place of generated ones.

    These are random training images, without those for validation; for
    `nearest_neighbors` they are the odd test images, since a training image is its own
    nearest neighbor. Of halved data they are the other half. Cached by metric, data,
    features and `num`.
    """
    folder, key = files.cache_folder(), _key(real, num)
    values: dict[str, Estimate] = {}
    for metric in suite:
        name = f"{metric.__module__}.{metric.__name__}"
        path = folder / f"reference_{name}_{key}.json"
        estimates = _read(path)
        if not estimates:
            estimates = _measure(metric, real, num)
            try:
                rows = {**estimates, "checksum": _checksum(estimates)}
                files.write_text(path, json.dumps(rows))
            except OSError as error:
                warnings.warn(f"{path} is not cached: {error}", stacklevel=2)
        values.update(estimates)
    return values


def _read(path: Path) -> dict[str, Estimate]:
    """The estimates in a file; none if it is missing or damaged."""
    if not path.exists():
        return {}
    try:
        rows = json.loads(path.read_text())
        checksum = rows.pop("checksum", None)  # None: of versions without checksums
        if checksum not in (None, _checksum(rows)):
            raise ValueError("wrong checksum")
        return {name: Estimate(*row) for name, row in rows.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        warnings.warn(f"{path} is damaged ({error}): computing again", stacklevel=3)
        return {}


def _checksum(rows: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(rows, sort_keys=True).encode())


def _measure(metric: Metric, real: RealData, num: int) -> dict[str, Estimate]:
    order = np.random.default_rng(0).permutation(real.validation_start)
    sample: FeatureSet = real.train[order[:num]]
    if real.halves:
        sample = real.halves.reference[:num]
    if metric is nearest_neighbors:
        sample = real.test[1::2]  # the metric compares with the others
    return {k: e._replace(details=None) for k, e in metric(sample, real).items()}


def _key(real: RealData, num: int) -> str:
    identity = [VERSION, real.features + real.against, num]
    digest = hashlib.sha256(json.dumps(identity).encode())
    for part in (real.train, real.test):
        for array in (part.images, part.labels):
            if array is not None:
                digest.update(f"{array.dtype}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:12]
