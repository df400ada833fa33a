"""Which examples a training step sees: index arithmetic, without state."""

from functools import lru_cache

import numpy as np


@lru_cache(maxsize=4)
def permutation(seed: int, epoch: int, num_examples: int) -> np.ndarray:
    """The order of the examples in one epoch, int32 [num_examples]."""
    order = np.random.default_rng([seed, epoch]).permutation(num_examples)
    return order.astype(np.int32)


def batch_indices(
    seed: int, step: int, shape: tuple[int, int, int], num_examples: int
) -> np.ndarray:
    """The examples of the training steps `step`, `step` + 1, and so on.

    A pure function of (seed, step), so a resumed run needs no state of the data. Each
    example occurs once per epoch; a batch may contain the end of one epoch and the
    beginning of the next.

    Args:
      seed: the run's seed.
      step: the first of the steps.
      shape: (n, k, B): steps, discriminator updates per step, batch size.
      num_examples: size of the training set.

    Returns:
      int32 array of that shape.

    >>> batch_indices(0, 0, (2, 1, 4), 8).shape
    (2, 1, 4)
    >>> sorted(batch_indices(0, 0, (2, 1, 4), 8).ravel().tolist())
    [0, 1, 2, 3, 4, 5, 6, 7]
    """
    n, k, batch = shape
    start, stop = step * k * batch, (step + n) * k * batch
    epochs = range(start // num_examples, (stop - 1) // num_examples + 1)
    parts = []
    for epoch in epochs:
        first = epoch * num_examples
        order = permutation(seed, epoch, num_examples)
        parts.append(order[max(start - first, 0) : stop - first])
    return np.concatenate(parts).reshape(shape)
