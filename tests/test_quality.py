"""A short real training: samples far better than an untrained generator's."""

import jax
import numpy as np
import pytest
from conftest import MNIST_CONFIG

import ganjax
from ganjax import train
from ganjax.metrics.classifier import Recipe, features_and_logits, train_classifier
from ganjax.metrics.frechet import frechet_distance
from ganjax.metrics.scores import classifier_score

NUM = 1000


@pytest.fixture(scope="module")
def judge(mnist):
    """Fréchet distance to test digits and classifier score, by a small classifier."""
    params = train_classifier(
        mnist.images[:10_000], mnist.labels[:10_000], recipe=Recipe(images_seen=40_000)
    )
    real, _ = features_and_logits(params, mnist.test_images[:NUM])

    def score(images):
        features, logits = features_and_logits(params, images)
        return frechet_distance(features, real), classifier_score(logits, 1).mean()

    return score


def test_a_few_hundred_steps_make_digits(mnist, judge, data_place, tmp_path):
    budget = {"num_steps": 600, "sample_every": 0}
    config = ganjax.load_config(MNIST_CONFIG, data_place | budget)
    gan, key = ganjax.make_gan(config), jax.random.key(1)
    untrained = ganjax.init_state(gan, jax.random.key(0))
    trained = train.train_and_evaluate(config, tmp_path)
    before_fid, before_is = judge(ganjax.sample(gan, untrained, num=NUM, key=key))
    images = ganjax.sample(gan, trained, num=NUM, key=key)
    after_fid, after_is = judge(images)
    real_fid, real_is = judge(mnist.images[:NUM])
    print(f"FID {before_fid:.0f} -> {after_fid:.0f}, real images {real_fid:.1f}")
    print(f"score {before_is:.2f} -> {after_is:.2f}, real images {real_is:.2f}")
    assert real_fid < after_fid < before_fid / 4
    assert before_is < 2.5 < 4 < after_is < real_is
    # Ink like the data's, and pictures that differ from each other.
    ink = images.mean() / mnist.images[:NUM].mean()
    assert 0.7 < ink < 1.4
    spread = images.std(axis=0).mean() / mnist.images[:NUM].std(axis=0).mean()
    assert 0.7 < spread < 1.3
    assert len(np.unique(images.reshape(NUM, -1), axis=0)) == NUM
