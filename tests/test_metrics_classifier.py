"""The digit classifier: accuracy, arithmetic, cache."""

import jax
import numpy as np
import pytest

from ganjax.metrics import classifier
from ganjax.metrics.classifier import Recipe, extract, fingerprint, train_classifier

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def params(mnist):
    recipe = Recipe(images_seen=30_000)  # a tenth of the real budget
    train = mnist.train
    return train_classifier(train["images"][:4000], train["labels"][:4000], 0, recipe)


def test_classifier_reads_digits(mnist, params):
    test = extract(params, mnist.test["images"][:1000], batch_size=300)
    logits = test.digit_logits
    accuracy = (logits.argmax(1) == mnist.test["labels"][:1000]).mean()
    assert 0.945 < accuracy < 0.998
    last = params["Dense_1"]
    np.testing.assert_allclose(
        test.features @ last["kernel"] + last["bias"], logits, rtol=1e-4, atol=1e-3
    )
    assert test.features.min() == 0.0 and 0.2 < (test.features > 0).mean() < 0.9


def test_channels_are_read_one_by_one(mnist, params):
    gray = mnist.train["images"][:30]
    stacked = extract(params, np.concatenate([gray[:10], gray[10:20], gray[20:]], -1))
    alone = extract(params, gray)
    expected = alone.features.reshape(3, 10, 128).swapaxes(0, 1).reshape(10, 384)
    np.testing.assert_allclose(stacked.features, expected, rtol=1e-4, atol=1e-4)
    expected = alone.logits.reshape(3, 10, 10).swapaxes(0, 1)
    np.testing.assert_allclose(stacked.logits, expected, rtol=1e-4, atol=1e-3)
    with pytest.raises(ValueError, match=r"expected \[N, 1, 10\]"):
        _ = stacked.digit_logits


def test_rows_of_a_feature_set_stay_together(mnist, params):
    whole = extract(params, mnist.train["images"][:9], np.arange(9))
    part = whole[np.array([7, 2])]
    assert len(part) == 2 and part.labels.tolist() == [7, 2]
    np.testing.assert_array_equal(part.images, mnist.train["images"][[7, 2]])
    np.testing.assert_array_equal(part.features, whole.features[[7, 2]])
    np.testing.assert_array_equal(part.logits, whole.logits[[7, 2]])
    assert extract(params, mnist.train["images"][:9])[:4].labels is None


def test_strided_convolution_is_a_convolution():
    module = classifier.StridedConv(5)
    x = jax.random.normal(jax.random.key(0), (2, 8, 12, 3))
    variables = module.init(jax.random.key(1), x)
    dense = variables["params"]["Dense_0"]["kernel"]
    kernel = dense.reshape(2, 2, 2, 2, 3, 5).transpose(0, 2, 1, 3, 4, 5)
    expected = jax.lax.conv_general_dilated(
        x,
        kernel.reshape(4, 4, 3, 5),
        (2, 2),
        [(1, 1), (1, 1)],
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    got = np.asarray(module.apply(variables, x))
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_classifier_is_cached(mnist, tmp_path, monkeypatch):
    monkeypatch.setenv("GANJAX_CACHE", str(tmp_path))
    monkeypatch.setattr(classifier, "RECIPE", Recipe(images_seen=640))
    train = mnist.train["images"][:256], mnist.train["labels"][:256]

    def load(seed=0):
        return fingerprint(classifier.load_classifier(*train, "some digits", seed))

    name = load()
    (path,) = tmp_path.iterdir()
    with monkeypatch.context() as patch:
        patch.delattr(classifier, "train_classifier")  # so it is read from the cache
        assert load() == name
    content = path.read_bytes()
    renamed = content.replace(b"Dense_1/kernel", b"Dense_1/kerneL")
    for damaged in (content[:1000], renamed):
        path.write_bytes(damaged)
        with pytest.warns(UserWarning, match="is corrupt .* trained again"):
            assert load() == name
    assert load(seed=1) != name
    found = list(tmp_path.glob("classifier_*.npz"))
    assert len(found) == len(list(tmp_path.iterdir())) == 2


def test_cache_that_cannot_be_written_costs_a_warning(mnist, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("GANJAX_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(classifier, "RECIPE", Recipe(images_seen=640))
    train = mnist.train["images"][:64], mnist.train["labels"][:64]
    with pytest.warns(UserWarning, match="is not cached"):
        loaded = classifier.load_classifier(*train, "some digits")
    trained = train_classifier(*train, recipe=classifier.RECIPE)
    assert fingerprint(loaded) == fingerprint(trained)


def test_classifier_refuses_wrong_input(params):
    with pytest.raises(ValueError, match=r"uint8 \[N, 28, 28, C\], got float32"):
        extract(params, np.zeros((2, 28, 28, 1), np.float32))
    with pytest.raises(ValueError, match=r"labels: expected 2, got \[3\]"):
        extract(params, np.zeros((2, 28, 28, 1), np.uint8), [1, 2, 3])
    with pytest.raises(ValueError, match=r"expected \[2\] in 0\.\.9.* in 0\.\.10"):
        train_classifier(np.zeros((2, 28, 28, 1), np.uint8), [0, 10])
