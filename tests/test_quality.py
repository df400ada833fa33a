"""A short real training: samples far better than an untrained generator's."""

import jax
import numpy as np
import pytest
from helpers import run_python

import ganjax
from ganjax.metrics.classifier import Recipe, extract, train_classifier
from ganjax.metrics.fid import frechet_distance
from ganjax.metrics.inception_score import classifier_score

pytestmark = [pytest.mark.slow, pytest.mark.subprocess]

NUM = 1000


@pytest.fixture(scope="module")
def score(mnist):
    """Fréchet distance to test digits and classifier score, by a small classifier."""
    images, labels = mnist.train["images"][:10_000], mnist.train["labels"][:10_000]
    classifier = train_classifier(images, labels, recipe=Recipe(images_seen=20_000))
    real = extract(classifier, mnist.test["images"][:NUM])

    def score_images(images):
        fake = extract(classifier, images)
        fid = frechet_distance(fake.features, real.features)
        return fid, classifier_score(fake.digit_logits, 1).mean()

    return score_images


def test_600_steps_make_digits(mnist, score, data_place, tmp_path):
    fields = data_place | {"num_steps": 600, "sample_every": 0}
    # A process of its own trains faster than this one, where XLA does not optimize.
    command = ["-m", "ganjax.main", "--config=mnist", f"--workdir={tmp_path}"]
    flags = [f"--config.{name}={value}" for name, value in fields.items()]
    result = run_python(*command, *flags, XLA_FLAGS="")
    assert result.returncode == 0, result.stderr
    gan, trained, _ = ganjax.load_run(tmp_path)
    untrained, key = ganjax.init_state(gan, jax.random.key(0)), jax.random.key(1)
    before_fid, before_is = score(ganjax.sample(gan, untrained, num=NUM, key=key))
    images = ganjax.sample(gan, trained, num=NUM, key=key)
    after_fid, after_is = score(images)
    real_fid, real_is = score(mnist.train["images"][:NUM])
    print(f"FID {before_fid:.0f} -> {after_fid:.0f}, real images {real_fid:.1f}")
    print(f"score {before_is:.2f} -> {after_is:.2f}, real images {real_is:.2f}")
    assert real_fid < after_fid < before_fid / 4
    assert before_is < 2.5 < 4 < after_is < real_is
    # As bright as the data, and images that differ from each other.
    real = mnist.train["images"][:NUM]
    assert 0.7 < images.mean() / real.mean() < 1.4
    spread = images.std(axis=0).mean() / real.std(axis=0).mean()
    assert 0.7 < spread < 1.3
    assert len(np.unique(images.reshape(NUM, -1), axis=0)) == NUM
