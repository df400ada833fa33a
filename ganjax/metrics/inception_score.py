"""Inception score (arXiv:1606.03498 section 4) by the digit classifier."""

import numpy as np
import numpy.typing as npt

from ganjax.metrics.types import Estimate, FeatureSet, RealData

SPLITS = 10
T_9 = 2.262  # 97.5% quantile of Student's t with 9 degrees of freedom
PROTOCOL = "IS, 10 interleaved splits; ci: Student's t over splits"


def inception_score(fake: FeatureSet, real: RealData) -> dict[str, Estimate]:
    """Inception score, named "is": between 1 and the number of classes."""
    scores = classifier_score(fake.digit_logits, SPLITS)
    value, error = float(scores.mean()), float(scores.std(ddof=1) / np.sqrt(SPLITS))
    low, high = value - T_9 * error, value + T_9 * error
    return {"is": Estimate(value, low, high, len(fake), 0, PROTOCOL, real.features)}


def classifier_score(
    logits: npt.ArrayLike, splits: int = SPLITS
) -> npt.NDArray[np.float64]:
    """float64 [splits]: exp(mean KL(p(y|x) || p(y))), of which the mean is the score.

    Split i holds logits[i::splits], so that each is balanced even if the samples are
    sorted by label. Raises ValueError for fewer samples than splits.
    """
    x = np.asarray(logits, np.float64)
    if x.ndim != 2 or len(x) < splits:
        raise ValueError(f"logits: expected [N >= {splits}, classes], got {x.shape}")
    x = x - x.max(1, keepdims=True)
    log_p = x - np.log(np.exp(x).sum(1, keepdims=True))
    scores = []
    for i in range(splits):
        part = log_p[i::splits]
        p = np.exp(part)
        marginal = p.mean(0)
        log_marginal = np.log(np.where(marginal > 0, marginal, 1.0))
        scores.append(np.exp((p * (part - log_marginal)).sum(1).mean()))
    return np.asarray(scores)
