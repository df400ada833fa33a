"""Data that are read while training: the same results as with resident data."""

import jax
import numpy as np
import pytest
from helpers import ROOT, assert_identical, run_python, small_config

import ganjax
from ganjax import data, parallel, stream, train
from ganjax.data import Records

QUIET = {"log_every": 5, "sample_every": 0, "checkpoint_every": 0}
NUM = 90


class Source:
    """Records of an array; counts the rows that are read at once."""

    def __init__(self, array):
        self.array, self.most = array, 0
        self.records = Records(array.shape, array.dtype, self.read)

    def read(self, rows):
        self.most = max(self.most, len(rows))
        return self.array[rows]


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (NUM, 28, 28, 1), np.uint8)
    labels = rng.permutation(np.arange(NUM) % 3).astype(np.int32)
    return images, labels


def make_data(images, labels):
    return ganjax.make_dataset(
        images, labels, images[:20], labels[:20], name="noise", source="a test"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"n_dis": 2, "num_classes": 3, "steps_per_call": 4},
        {"num_examples": 50, "steps_per_call": 1},
    ],
)
def test_streaming_trains_the_same_parameters(arrays, tmp_path, overrides, capsys):
    dataset = make_data(*arrays)
    settings = {**QUIET, "num_steps": 23, **overrides}
    resident = train.train_and_evaluate(
        small_config(**settings), tmp_path / "resident", dataset
    )
    assert "streaming 0 MB" not in capsys.readouterr().out
    settings["data.device_budget_mb"] = 0
    config = small_config(**settings)
    streamed = train.train_and_evaluate(config, tmp_path / "streamed", dataset)
    assert "streaming 0 MB of training data" in capsys.readouterr().out
    assert_identical(resident, streamed)
    records = make_data(Source(arrays[0]).records, arrays[1])
    assert records.identity == dataset.identity
    again = train.train_and_evaluate(config, tmp_path / "records", records)
    assert_identical(resident, again)
