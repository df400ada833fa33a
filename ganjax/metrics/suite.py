"""Suites: tuples of metrics that are computed and reported together."""

from collections.abc import Mapping
from typing import Any

from ganjax.metrics.class_kl import class_kl
from ganjax.metrics.fid import fid
from ganjax.metrics.inception_score import inception_score
from ganjax.metrics.kid import kid
from ganjax.metrics.nearest_neighbors import nearest_neighbors
from ganjax.metrics.prdc import prdc
from ganjax.metrics.sliced_wasserstein import sliced_wasserstein
from ganjax.metrics.stacked import modes
from ganjax.metrics.types import Estimate, FeatureSet, RealData, Suite

Results = dict[str, dict[str, Any]]

DIGITS: Suite = (fid, kid, prdc, inception_score, class_kl, nearest_neighbors)
STACKED: Suite = (fid, kid, prdc, modes, nearest_neighbors)
IMAGES: Suite = (fid, kid, prdc, sliced_wasserstein, nearest_neighbors)
MIN_IMAGES = 20  # of each kind: what the intervals need


def computable(suite: Suite, num: int, real: RealData) -> tuple[Suite, list[str]]:
    """The metrics that so many images determine, and a line about each other one.

    FID by the digit classifier is always computed: its interval tells how few they are.
    """
    dimensions, least = real.train.features.shape[1], min(num, len(real.compared))
    lines = {}
    if real.suffix and least <= dimensions:
        lines[fid] = (
            f"fid{real.suffix}: not computed, since {least} images do not determine "
            f"the covariance of {dimensions} features: see kid{real.suffix}"
        )
    if len(real.test) < MIN_IMAGES:
        lines[nearest_neighbors] = (
            f"memorization: not computed, since {len(real.test)} test images are too "
            f"few to compare with: expected {MIN_IMAGES}"
        )
    kept = tuple(metric for metric in suite if metric not in lines)
    return kept, [line for metric, line in lines.items() if metric in suite]


def score(
    fake: FeatureSet, real: RealData, suite: Suite = DIGITS
) -> dict[str, Estimate]:
    """All metrics of a suite by name.

    Raises:
      ValueError: fewer than 20 images of a kind, or different numbers of channels.
    """
    smallest = min(len(fake), len(real.train), len(real.compared))
    if smallest < MIN_IMAGES:
        raise ValueError(f"images: expected {MIN_IMAGES} or more, got {smallest}")
    channels = {x.images.shape[-1] for x in (fake, real.train, real.test)}
    if len(channels) > 1:
        raise ValueError(f"images: expected equal channels, got {sorted(channels)}")
    estimates: dict[str, Estimate] = {}
    for metric in suite:
        estimates.update(metric(fake, real))
    return estimates


def make_results(
    estimates: Mapping[str, Estimate], references: Mapping[str, Estimate]
) -> Results:
    """Estimates beside their reference values, as in metrics.json.

    Without a reference value (label accuracy for unlabeled data) `reference` is NaN.
    """
    results = {}
    for name, estimate in estimates.items():
        reference = references.get(name)
        results[name] = {
            "value": estimate.value,
            "reference": reference.value if reference else float("nan"),
            "ci95": [estimate.low, estimate.high],
            "n_real": estimate.n_real,
            "n_fake": estimate.n_fake,
            "n_reference": reference.n_fake if reference else 0,
            "protocol": estimate.protocol,
            "features": estimate.features,
        }
    return results


def compare(a: Results, b: Results) -> Results:
    """Differences b - a of shared metrics; `resolved`: the intervals are disjoint.

    Raises ValueError where features, protocol or counts differ: FID above all can't be
    compared across classifiers, and its bias depends on the number of images.
    """
    differences: Results = {}
    for name in (key for key in a if key in b):
        x, y = a[name], b[name]
        for field in ("features", "protocol", "n_real", "n_fake"):
            if x[field] != y[field]:
                raise ValueError(
                    f"{name} is not comparable: {field} {x[field]!r} and {y[field]!r}"
                )
        (low_x, high_x), (low_y, high_y) = x["ci95"], y["ci95"]
        differences[name] = {
            "difference": y["value"] - x["value"],
            "resolved": bool(high_x < low_y or high_y < low_x),
        }
    return differences


def table(results: Results) -> str:
    """A Markdown table, one metric per line."""
    lines = [
        "| metric | value | 95% interval | reference | fake / real | features |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for name, r in results.items():
        low, high = r["ci95"]
        lines.append(
            f"| {name} | {r['value']:.4g} | {low:.4g} .. {high:.4g} "
            f"| {r['reference']:.4g} | {r['n_fake']} / {r['n_real']} "
            f"| {r['features']} |"
        )
    return "\n".join(lines)
