"""A GAN of one's own trains, resumes and samples by the ordinary command."""

import json

import jax
import numpy as np
import pytest
from gaussian_gan import MEAN, STD
from helpers import ROOT, assert_close, run_python
from PIL import Image

import ganjax
from ganjax import parallel
from ganjax.writers import read_jsonl

pytestmark = pytest.mark.slow

CONFIG = str(ROOT / "tests/gaussian_gan.py")


def run(*flags):
    result = run_python("-m", "ganjax.main", f"--config={CONFIG}", *flags)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a run."""
    folder = tmp_path_factory.mktemp("whole")
    run(f"--workdir={folder}")
    return folder


@pytest.mark.subprocess
def test_a_gan_from_outside_the_package_trains_resumes_and_samples(whole, tmp_path):
    halves = f"--workdir={tmp_path / 'halves'}"
    run(halves, "--config.num_steps=900")
    assert "resuming from step 900" in run(halves)
    for name, workdir in (("whole", f"--workdir={whole}"), ("halves", halves)):
        run(workdir, "--mode=sample", f"--out={tmp_path}/{name}.npz", "--num=5000")
    samples = [np.load(tmp_path / f"{n}.npz")["images"] for n in ("whole", "halves")]
    np.testing.assert_array_equal(*samples)
    assert samples[0].dtype == np.float32 and samples[0].shape == (5000, 1)
    # Four standard errors of 5,000 samples are 0.04.
    np.testing.assert_allclose(samples[0].mean(), MEAN, atol=0.15)
    np.testing.assert_allclose(samples[0].std(), STD, atol=0.15)
    rows = read_jsonl(tmp_path / "halves/metrics.jsonl")
    assert [row["step"] for row in rows] == list(range(100, 2001, 100))
    assert "r1" in rows[0]
    with Image.open(whole / "comparison.png") as image:
        assert np.asarray(image).std() > 0
    config = json.loads((whole / "config.json").read_text())
    assert config["data"]["name"] == "numbers"


def test_its_steps_do_not_depend_on_the_number_of_devices():
    sgd = {"name": "sgd", "learning_rate": 0.1}
    overrides = {"g_optimizer": sgd, "d_optimizer": sgd}
    gan = ganjax.make_gan(ganjax.load_config(CONFIG, overrides))
    state = ganjax.init_state(gan, jax.random.key(0))
    numbers = np.random.default_rng(0).normal(size=(8, 1)).astype(np.float32)
    one, _ = ganjax.train_step(gan, state, numbers[None])
    chunk = parallel.make_train_chunk(gan, 1)
    rows = parallel.shard_indices(np.arange(8).reshape(1, 1, 8), 1)
    two, _ = chunk(parallel.replicate(state), parallel.replicate(numbers), rows, 1)
    assert_close((two.g, two.d), (one.g, one.d), rtol=1e-4, atol=1e-6)


@pytest.mark.subprocess
def test_without_its_file_the_gan_is_unknown(whole):
    result = run_python("-m", "ganjax.main", "--mode=sample", f"--workdir={whole}")
    assert "config.gan='gaussian': expected one of crnn_gan, cyclegan" in result.stderr
