"""Metrics of generated images: one per file, with intervals and reference values.

A metric is a function of generated and of real images; a suite is a tuple of them:

    classifier = metrics.load_classifier(images, labels, data_id)
    extractor = metrics.digit_extractor(classifier)
    real = metrics.extract_real(extractor, dataset.train, dataset.test)
    fake = metrics.extract(extractor, samples)
    estimates = metrics.score(fake, real, metrics.DIGITS)

Each file also has the numerical functions on plain arrays that its metric is made of,
as in `from ganjax.metrics.fid import fid, frechet_distance`.
"""

from ganjax.metrics.classifier import digit_extractor, load_classifier
from ganjax.metrics.features import Extractor, extract, extract_real
from ganjax.metrics.reference import reference_values
from ganjax.metrics.suite import (
    DIGITS,
    IMAGES,
    STACKED,
    compare,
    make_results,
    score,
    table,
)
from ganjax.metrics.types import (
    Estimate,
    Evaluation,
    FeatureSet,
    Metric,
    RealData,
    Suite,
)

__all__ = [
    "DIGITS",
    "IMAGES",
    "STACKED",
    "Estimate",
    "Evaluation",
    "Extractor",
    "FeatureSet",
    "Metric",
    "RealData",
    "Suite",
    "compare",
    "digit_extractor",
    "extract",
    "extract_real",
    "load_classifier",
    "make_results",
    "reference_values",
    "score",
    "table",
]
