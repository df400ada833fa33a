"""What metrics take and what they return."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int, UInt8

Images = UInt8[np.ndarray, "num height width channels"]
Features = Float32[np.ndarray, "num features"]
Logits = Float32[np.ndarray, "num channels 10"]  # of a digit classifier
Labels = Int[np.ndarray, "num ..."]

PIXELS = "pixels"  # the `features` of metrics that need no features


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """Images with what an extractor computes from them (see features.py)."""

    images: Images
    features: Features
    logits: Logits | None  # of each channel, if the extractor is a digit classifier
    labels: Labels | None = None  # the classes the images have or were generated for

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: slice | np.ndarray) -> "FeatureSet":
        """The same of some of the images, by a slice or int [K]."""
        logits, labels = (
            None if x is None else x[rows] for x in (self.logits, self.labels)
        )
        return FeatureSet(self.images[rows], self.features[rows], logits, labels)

    @property
    def digit_logits(self) -> np.ndarray:
        """float32 [N, 10]. Raises ValueError for images of more than one channel."""
        logits = self.channel_logits
        if logits.shape[1] != 1:
            raise ValueError(f"logits={logits.shape}: expected [N, 1, 10]")
        return logits[:, 0]

    @property
    def channel_logits(self) -> np.ndarray:
        """float32 [N, C, 10]. Raises ValueError where no classifier computed them."""
        if self.logits is None:
            raise ValueError("logits=None: expected features of the digit classifier")
        return self.logits


class Halves(NamedTuple):
    """Random halves of all real images, training and test images together."""

    compared: FeatureSet  # what generated images are compared with
    reference: FeatureSet  # what is compared in place of generated images


@dataclass(frozen=True, eq=False)
class RealData:
    """The training and the test images that generated images are compared with."""

    train: FeatureSet
    test: FeatureSet
    features: str  # fingerprint of the extractor
    suffix: str = ""  # of the names of FID and KID
    halves: Halves | None = None  # where the test images are too few

    @property
    def compared(self) -> FeatureSet:
        """What the distribution of generated images is compared with."""
        return self.halves.compared if self.halves else self.test

    @property
    def against(self) -> str:
        """What a protocol says about it; "" for the test images."""
        return "; reals: half of train and test" if self.halves else ""

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
    features: str  # fingerprint of the extractor, or `PIXELS`
    details: Any = None  # by-products, for figures


class Evaluation(NamedTuple):
    """All that is measured of a run."""

    estimates: dict[str, Estimate]
    references: dict[str, Estimate]  # the same of real data, or of another method
    figures: dict[str, np.ndarray]  # images uint8 [H, W, C] by file name


Metric = Callable[[FeatureSet, RealData], dict[str, Estimate]]
Suite = tuple[Metric, ...]
