"""The images of the human test: which, how many of each, and in which order."""

import base64
import io

import jax
import numpy as np
import pytest
from helpers import smallest_config
from PIL import Image

import ganjax
from ganjax import human_test, train
from ganjax.human_test import HumanTest, make_test, make_test_of_run


def images(num, value):
    """Images of one gray level, told apart by their first pixel."""
    made = np.full((num, 6, 4, 1), value, np.uint8)
    made[:, 0, 0, 0] = np.arange(num)
    return made


def test_order_is_balanced_random_and_the_same_for_a_seed():
    tests = [make_test(images(20, 255), images(20, 0), seed) for seed in (0, 0, 1, 2)]
    orders = [test["real"] for test in tests]
    assert [sum(order) for order in orders] == [20] * 4
    assert tests[0] == tests[1]
    assert len({tuple(order) for order in orders}) == 3
    # Neither kind comes first: the mean position in 20 orders is near the middle.
    places = [
        np.flatnonzero(make_test(images(20, 255), images(20, 0), s)["real"]).mean()
        for s in range(20)
    ]
    assert 18.5 < np.mean(places) < 20.5


def test_sprite_has_every_image_once_in_the_order_of_the_test():
    test = make_test(images(20, 255), images(20, 1), seed=3)
    content = base64.b64decode(test["sprite"].removeprefix("data:image/png;base64,"))
    sprite = np.asarray(Image.open(io.BytesIO(content)))
    assert sprite.shape == (4 * 6, 10 * 4) and test["tile"] == [6, 4]
    tiles = sprite.reshape(4, 6, 10, 4).swapaxes(1, 2).reshape(40, 6, 4)
    assert (tiles[:, 3, 2] == 255).astype(int).tolist() == test["real"]
    for kind in (0, 1):
        firsts = tiles[np.array(test["real"]) == kind, 0, 0]
        assert sorted(firsts.tolist()) == list(range(20))


def test_images_that_differ_in_number_are_refused():
    with pytest.raises(ValueError, match="expected two equal shapes"):
        make_test(images(2, 0), images(3, 0), 0)


@pytest.mark.slow
def test_human_test_of_a_run_shows_its_samples_and_test_images(
    data_place, mnist, tmp_path, monkeypatch
):
    config = smallest_config(num_steps=1, sample_every=0, **data_place)
    train.train_and_evaluate(config, tmp_path / "run", mnist)
    seen = {}

    def record(real, fake, seed):
        seen.update(real=real, fake=fake)
        return {"seed": seed}

    monkeypatch.setattr(human_test, "make_test", record)
    test = make_test_of_run(ganjax.load_run(tmp_path / "run"), "mine", HumanTest(6, 5))
    gan, state, metadata = ganjax.load_run(tmp_path / "run")
    fake = ganjax.sample(gan, state, num=3, key=jax.random.key(5))
    assert (seen["fake"] == fake).all()
    rows = mnist.test["images"].reshape(len(mnist.test["images"]), -1)
    found = [(rows == x.reshape(-1)).all(1).any() for x in seen["real"]]
    assert found == [True] * 3
    assert {k: test[k] for k in ("name", "step", "data", "seed", "version")} == {
        "name": "mine",
        "step": 1,
        "data": mnist.identity.sha256,
        "seed": 5,
        "version": ganjax.__version__,
    }
