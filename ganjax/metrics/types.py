"""What metrics take and what they return."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int, UInt8

Images = UInt8[np.ndarray, "num height width channels"]
Features = Float32[np.ndarray, "num features"]
Logits = Float32[np.ndarray, "num channels 10"]
Labels = Int[np.ndarray, "num ..."]

PIXELS = "pixels"  # the `features` of metrics that need no classifier


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """Images with what the digit classifier computes from them (see features.py)."""

    images: Images
    features: Features  # of all channels, side by side
    logits: Logits  # of each channel
    labels: Labels | None = None  # the classes the images have or were generated for

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: slice | np.ndarray) -> "FeatureSet":
        """The same of some of the images, by a slice or int [K]."""
        labels = None if self.labels is None else self.labels[rows]
        return FeatureSet(
            self.images[rows], self.features[rows], self.logits[rows], labels
        )

    @property
    def digit_logits(self) -> np.ndarray:
        """float32 [N, 10]. Raises ValueError for images of more than one channel."""
        if self.logits.shape[1] != 1:
            raise ValueError(f"logits={self.logits.shape}: expected [N, 1, 10]")
        return self.logits[:, 0]


@dataclass(frozen=True, eq=False)
class RealData:
    """The training and the test images that generated images are compared with."""

    train: FeatureSet
    test: FeatureSet
    classifier: str  # fingerprint of the classifier

    @property
    def validation_start(self) -> int:
        """The first training image that is for validation: 50,000 of 60,000."""
        return len(self.train) * 5 // 6


class Estimate(NamedTuple):
    """A metric with its 95% interval."""

    value: float
    low: float
    high: float
    n_fake: int
    n_real: int  # 0 for a metric of generated images alone
    protocol: str  # the variant, and what the interval treats as random
    features: str  # fingerprint of the classifier, or `PIXELS`
    details: Any = None  # by-products, for figures


class Evaluation(NamedTuple):
    """All that is measured of a run."""

    estimates: dict[str, Estimate]
    references: dict[str, Estimate]  # the same of real data, or of another method
    figures: dict[str, np.ndarray]  # images uint8 [H, W, C] by file name


Metric = Callable[[FeatureSet, RealData], dict[str, Estimate]]
Suite = tuple[Metric, ...]
