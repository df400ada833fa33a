"""Scores of translation between domains whose counterparts are drawn."""

import numpy as np
import pytest

from ganjax.data import make_arrays_dataset
from ganjax.data.inks import DOMAINS, render
from ganjax.metrics import domains

RNG = np.random.default_rng(0)


@pytest.fixture
def dataset():
    """Thirty bars of two and four pixels."""
    sources = np.zeros((30, 28, 28, 1), np.uint8)
    for i, image in enumerate(sources):
        image[4:24, 12 - i % 2 : 14 + i % 2] = 255
    labels = RNG.integers(0, 9, 30).astype(np.int32)
    arrays = {
        "images": render(sources, labels),
        "labels": labels,
        "digits": labels % 3,
        "sources": sources,
    }
    return make_arrays_dataset(arrays, arrays, name="bars", source="NumPy")


@pytest.mark.parametrize("right", [True, False])
def test_reached_domains_are_those_of_the_nearest_counterpart(
    dataset, right, monkeypatch
):
    """A translation that draws the counterpart, or that of the next domain."""
    monkeypatch.setattr(domains, "load_classifier", lambda *args: None)
    estimate = domains.mean_l1(dataset.test["images"], dataset.test["images"])
    monkeypatch.setattr(domains, "accuracy", lambda *args: estimate)
    monkeypatch.setattr(domains, "BLOCK", 7)
    sources = iter(np.split(dataset.test["sources"], range(7, 30, 7)))

    def translate(images, targets):
        wanted = targets if right else (targets + 1) % len(DOMAINS)
        return render(next(sources), wanted)

    estimates, references, _ = domains.evaluate_domains(translate, dataset, 30, seed=0)
    assert estimates["domain_reached"].value == float(right)
    # The inputs are never in the domain that is asked for.
    assert references["domain_reached"].value == 0
    assert (estimates["l1"].value == 0) == right
    assert references["l1"].value > 0.01
