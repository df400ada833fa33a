"""Data that are read while training: the same results as with resident data."""

import dataclasses

import numpy as np
import pytest
from helpers import assert_identical, smallest_config

import ganjax
from ganjax import data, features, stream, train
from ganjax.data import Records

NUM = 90


class Source:
    """Records of an array; counts the rows that are read at once."""

    def __init__(self, array):
        self.array, self.most = array, 0
        self.records = Records(array.shape, array.dtype, self.read)

    def read(self, rows):
        self.most = max(self.most, len(rows))
        return self.array[rows]


# --- batches ------------------------------------------------------------------------


def order(step, n):
    """n steps of two updates with batches of four of the 90 examples."""
    return data.batch_indices(0, step, (n, 2, 4), NUM)


def rows_of(call):
    """What the devices train on: an array [n, k, B, ...]."""
    examples, indices, n = call
    parts = [np.asarray(x)[i[:n]] for x, i in zip(examples["x"], indices, strict=True)]
    return np.concatenate(parts, axis=2)


@pytest.mark.parametrize("block_steps", [1, 5, 100])
def test_streamed_batches_are_those_of_their_steps(monkeypatch, block_steps):
    """In calls of any length, from any step on and back to it."""
    monkeypatch.setattr(stream, "MAX_BLOCK_STEPS", block_steps)
    array = np.arange(NUM * 3, dtype=np.uint8).reshape(NUM, 3)
    source = Source(array)
    streamed = stream.Streamed({"x": source.records}, order, chunk=4)
    for step, n in [(0, 1), (0, 4), (4, 3), (7, 4), (11, 2), (40, 4), (44, 4), (2, 4)]:
        while n:
            call = streamed(step, n)
            done = call[2]
            assert 0 < done <= n and (done == n or (step + done) % block_steps == 0)
            np.testing.assert_array_equal(rows_of(call), array[order(step, done)])
            step, n = step + done, n - done
    streamed.close()
    assert source.most == 8 * block_steps


def test_blocks_are_bounded_in_bytes(monkeypatch):
    monkeypatch.setattr(stream, "MAX_BLOCK_BYTES", 8 * 5 * 16)
    examples = {"x": np.zeros((NUM, 4), np.float32), "y": np.zeros(NUM, np.uint8)}
    assert stream.row_bytes(examples) == 17
    assert stream.Streamed(examples, order, chunk=4).steps == 4
    monkeypatch.setattr(stream, "MAX_BLOCK_BYTES", 1)
    assert stream.Streamed(examples, order, chunk=4).steps == 1


def test_the_budget_is_that_of_the_examples_in_use(capsys):
    examples = np.zeros((64, 2**15), np.uint8)  # 2 MB
    for num, budget_mb, streamed in ((64, 2, False), (64, 1, True), (32, 1, False)):
        batches = stream.make_batches(examples, num, order, 4, budget_mb)
        assert batches.streamed == streamed
        said = "streaming 2 MB of training data: more than config.data.device_budget_mb"
        assert (said in capsys.readouterr().out) == streamed


def test_an_error_of_reading_ends_the_training(tmp_path):
    def read(rows):
        if len(rows) > 64:  # not the figure of real images
            raise ganjax.UserError("images.array_record is damaged")
        return np.zeros((len(rows), 28, 28, 1), np.uint8)

    images = Records((NUM, 28, 28, 1), np.dtype(np.uint8), read)
    settings = {"data.device_budget_mb": 0, "sample_num": 4}
    with pytest.raises(ganjax.UserError, match="images.array_record is damaged"):
        train.train_and_evaluate(
            smallest_config(**settings), tmp_path, make_data(images, np.zeros(NUM, int))
        )


# --- runs ---------------------------------------------------------------------------


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (NUM, 28, 28, 1), np.uint8)
    return images, rng.permutation(np.arange(NUM) % 3)


def make_data(images, labels):
    test = np.zeros((20, 28, 28, 1), np.uint8), np.zeros(20, int)
    return ganjax.make_dataset(images, labels, *test, name="noise", source="a test")


def run(folder, dataset, budget_mb, **overrides):
    settings = {"log_every": 5, "sample_every": 0, "checkpoint_every": 0}
    settings |= {"num_steps": 23, "data.device_budget_mb": budget_mb}
    config = smallest_config(**settings | overrides)
    return train.train_and_evaluate(config, folder, dataset)


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"n_dis": 2, "num_classes": 3, "steps_per_call": 4},
        {"num_examples": 50, "steps_per_call": 1},
    ],
)
def test_streaming_trains_the_same_parameters(arrays, tmp_path, overrides):
    """From memory and from records; their hash is the same, too."""
    images, labels = arrays
    dataset, records = (make_data(x, labels) for x in (images, Source(images).records))
    assert records.identity == dataset.identity and records.has_records()
    expected = run(tmp_path / "resident", dataset, 1024, **overrides)
    assert_identical(run(tmp_path / "streamed", dataset, 0, **overrides), expected)
    assert_identical(run(tmp_path / "records", records, 0, **overrides), expected)
    assert_identical(run(tmp_path / "small", records, 1024, **overrides), expected)


@pytest.mark.slow
def test_streaming_resumes_exactly(arrays, tmp_path, capsys):
    """Also what was trained with resident data, and the reverse."""
    dataset = make_data(Source(arrays[0]).records, arrays[1])
    whole = run(tmp_path / "whole", dataset, 0, n_dis=2)
    for name, first, second in (("same", 0, 0), ("down", 1024, 0), ("up", 0, 1024)):
        run(tmp_path / name, dataset, first, n_dis=2, num_steps=11)
        resumed = run(tmp_path / name, dataset, second, n_dis=2)
        assert "resuming from step 11" in capsys.readouterr().out
        assert_identical(resumed, whole)


# --- evaluation ---------------------------------------------------------------------


def test_evaluation_reads_evenly_spaced_examples(arrays):
    images, labels = arrays
    source = Source(images)
    dataset = make_data(source.records, labels)
    source.most = 0
    few = dataset.in_memory(20)
    rows = np.arange(20) * NUM // 20
    np.testing.assert_array_equal(few.train["images"], images[rows])
    np.testing.assert_array_equal(few.train["labels"], labels[rows])
    assert source.most == 20 and few.identity == dataset.identity
    whole = dataset.in_memory()
    np.testing.assert_array_equal(whole.train["images"], images)
    assert whole.in_memory(20) is whole


def test_the_classifier_of_records_is_that_of_the_images(arrays, monkeypatch):
    given = []
    monkeypatch.setattr(features.metrics, "load_classifier", lambda *x: given.append(x))
    for images in (arrays[0], Source(arrays[0]).records):
        features.load_classifier(make_data(images, arrays[1]))
    for a, b in zip(*given, strict=True):
        np.testing.assert_array_equal(a, b)
    large = Records((10**7, 64, 64, 3), np.dtype(np.uint8), None)  # reads nothing
    dataset = dataclasses.replace(make_data(*arrays), train={"images": large})
    with pytest.raises(ganjax.UserError, match="expected uint8 images of 28x28"):
        features.load_classifier(dataset)
