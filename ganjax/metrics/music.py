"""Statistics of sequences of notes: those of arXiv:1611.09904 and distances.

The paper (section 4) defines four of a sequence in words; where they leave something
open, the authors' program is followed: the scales, and repetitions as pairs.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64, Int

from ganjax.metrics.intervals import normal_interval
from ganjax.metrics.types import Estimate
from ganjax.music import GRID, LONGEST, Notes

PerSequence = Float64[np.ndarray, " N"]
Pitches = Int[np.ndarray, "N T"]

SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 8, 11))
FEATURES = "notes"  # the `features` of the estimates
BLOCK = 500  # sequences compared at once: bounds memory


def polyphony(onset: Int[np.ndarray, "N T"]) -> PerSequence:
    """How often two or more tones start at exactly the same time.

    The fraction of the distinct onsets of a sequence that have at least two tones.
    Tones that sound together but do not start together do not count.
    """
    first = np.diff(onset, axis=1, prepend=onset[:, :1] - 1) != 0
    last = np.diff(onset, axis=1, append=onset[:, -1:] + 1) != 0
    distinct = first.sum(axis=1)
    alone = (first & last).sum(axis=1)
    return 1 - alone / distinct


def scale_consistency(pitch: Pitches) -> PerSequence:
    """The fraction of tones in the best matching scale.

    Of the major, the natural minor and the harmonic minor scale on all twelve tones.
    """
    histogram = pitch_classes(pitch)
    members = np.zeros((12, 12 * len(SCALES)))
    for i, scale in enumerate(SCALES):
        for tonic in range(12):
            members[(np.array(scale) + tonic) % 12, 12 * i + tonic] = 1
    return (histogram @ members).max(axis=1) / pitch.shape[1]


def repetitions(pitch: Pitches, length: int = 3) -> PerSequence:
    """Pairs of equal subsequences of `length` tones that do not overlap.

    Of the tones and their order alone, not their timing: the number of pairs i < j with
    j >= i + length and equal tones at i, i + 1, ... and j, j + 1, ...
    """
    counts = []
    for block in np.split(pitch, range(BLOCK, len(pitch), BLOCK)):
        windows = np.lib.stride_tricks.sliding_window_view(block, length, axis=1)
        num = windows.shape[1]
        equal = np.ones((len(block), num, num), bool)
        for k in range(length):
            equal &= windows[:, :, None, k] == windows[:, None, :, k]
        counts.append(np.triu(equal, length).sum(axis=(1, 2)))
    return np.concatenate(counts).astype(np.float64)


def tone_span(pitch: Pitches) -> PerSequence:
    """Semitones between the lowest and the highest tone."""
    return np.ptp(pitch, axis=1).astype(np.float64)


def pitch_classes(pitch: Pitches) -> Int[np.ndarray, "N 12"]:
    """Histogram of pitches modulo octaves."""
    return histograms(pitch % 12, 12)


def durations(notes: Notes) -> Int[np.ndarray, "N bins"]:
    """Histogram of durations in sixteenth notes."""
    return histograms(notes.duration, LONGEST + 1)


def steps(notes: Notes) -> Int[np.ndarray, "N bins"]:
    """Histogram of two successive notes: their interval, and the time between them.

    The interval is in semitones, up to two octaves up or down; the time is none, up to
    an eighth note, or more.
    """
    interval = np.clip(np.diff(notes.pitch, axis=1), -24, 24) + 24
    gap = np.diff(notes.onset, axis=1)
    kind = (gap > 0).astype(np.int64) + (gap > GRID // 2)
    return histograms(3 * interval + kind, 3 * 49)


def histograms(values: Int[np.ndarray, "N T"], bins: int) -> Int[np.ndarray, "N bins"]:
    """A histogram of each row of integers in [0, bins)."""
    rows = np.arange(len(values))[:, None] * bins
    counts = np.bincount((rows + values).ravel(), minlength=len(values) * bins)
    return counts.reshape(len(values), bins)


def total_variation(
    fake: Int[np.ndarray, "N bins"], real: Int[np.ndarray, "M bins"]
) -> tuple[float, float]:
    """½ Σ |p − q| of the distributions of all fake and all real notes, and its error.

    The error is the jackknife's over generated sequences: how much the value changes
    when one is left out. The real sequences count as given.
    """
    target = real.sum(axis=0) / real.sum()

    def distance(counts: np.ndarray) -> np.ndarray:
        p = counts / counts.sum(axis=-1, keepdims=True)
        return np.abs(p - target).sum(axis=-1) / 2

    total, num = fake.sum(axis=0), len(fake)
    without = distance(total - fake)
    error = np.sqrt((num - 1) * np.mean((without - without.mean()) ** 2))
    return float(distance(total)), float(error)


STATISTICS: dict[str, Callable[[Notes], PerSequence]] = {
    "polyphony": lambda notes: polyphony(notes.onset),
    "scale_consistency": lambda notes: scale_consistency(notes.pitch),
    "repetitions": lambda notes: repetitions(notes.pitch),
    "tone_span": lambda notes: tone_span(notes.pitch),
}
DISTANCES: dict[str, Callable[[Notes], Int[np.ndarray, "N bins"]]] = {
    "tv_pitch_class": lambda notes: pitch_classes(notes.pitch),
    "tv_duration": durations,
    "tv_step": steps,
}


def score_notes(notes: Notes, heldout: Notes, prefix: str = "") -> dict[str, Estimate]:
    """All statistics of N sequences and their distances to M held-out ones, by name.

    A statistic is the mean over sequences. Intervals treat these as independent draws.

    Raises:
      ValueError: fewer than two sequences.
    """
    num, num_real = len(notes.pitch), len(heldout.pitch)
    if num < 2:
        raise ValueError(f"notes: expected two or more sequences, got {num}")
    estimates = {}
    for name, statistic in STATISTICS.items():
        values = statistic(notes)
        value, error = float(values.mean()), float(values.std(ddof=1) / num**0.5)
        low, high = normal_interval(value, error, low=0.0)
        protocol = "mean over sequences; interval: sequences"
        estimates[prefix + name] = Estimate(
            value, low, high, num, 0, protocol, FEATURES
        )
    for name, histogram in DISTANCES.items():
        value, error = total_variation(histogram(notes), histogram(heldout))
        low, high = normal_interval(value, error, 0.0, 1.0)
        protocol = "total variation to held-out pieces; interval: generated sequences"
        estimates[prefix + name] = Estimate(
            value, low, high, num, num_real, protocol, FEATURES
        )
    return estimates


def reference_notes(train: Notes, heldout: Notes) -> dict[str, Estimate]:
    """Statistics of the held-out pieces, and distances of training pieces to them."""
    distances = score_notes(train, heldout)
    return score_notes(heldout, heldout) | {name: distances[name] for name in DISTANCES}
