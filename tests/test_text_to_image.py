"""Text to image: the encoder by hand, both losses, captions, devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import (
    SMALL_TEXT_TO_IMAGE,
    assert_close,
    step_on_one_and_on_two_devices,
)

import ganjax
from ganjax.data import captions
from ganjax.gans.text_to_image import Captioned
from ganjax.metrics.captions import nearest_color, shapes
from ganjax.metrics.sharpness import sharpness
from ganjax.models.text import TextEncoder
from ganjax.steps import D_TAGS, G_TAGS, update_keys

TEXTS = ["a red seven", "this one is blue and thin", "two", "an upright white eight"]
OTHERS = ["seven in red", "one in blue", "a two", "eight, upright"]
TOKENS = np.stack([captions.encode(TEXTS), captions.encode(OTHERS)], axis=1)
BATCH = Captioned(
    np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8), TOKENS
)
SMALL = SMALL_TEXT_TO_IMAGE | {"batch_size": 4}


def small_gan(**overrides):
    return ganjax.make_gan(ganjax.load_config("text_to_image", SMALL | overrides))


@pytest.fixture(scope="module")
def gan():
    return small_gan(l1=0.5)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_codes_are_the_last_states_of_a_gated_recurrent_unit():
    """arXiv:1406.1078, equations 5 to 8, with the reset gate after the product."""
    encoder = TextEncoder(num_words=9, embedding=3, features=2)
    tokens = jnp.array([[4, 2, 7, 0, 0], [8, 0, 0, 0, 0]])
    params = jax.jit(encoder.init)(jax.random.key(0), tokens)["params"]
    params = jax.tree.map(
        lambda p: p + jax.random.normal(jax.random.key(p.size), p.shape) / 3, params
    )
    cell = jax.tree.map(np.asarray, params["GRUCell_0"])

    def affine(name, x):
        return x @ cell[name]["kernel"] + cell[name].get("bias", 0.0)

    codes = encoder.apply({"params": params}, tokens)
    for row, code in zip(np.asarray(tokens), codes, strict=True):
        h = np.zeros(2)
        for token in row[row > 0]:
            x = np.asarray(params["Embed_0"]["embedding"])[token]
            r = sigmoid(affine("ir", x) + affine("hr", h))
            update = sigmoid(affine("iz", x) + affine("hz", h))
            n = np.tanh(affine("in", x) + r * affine("hn", h))
            h = (1 - update) * n + update * h
        np.testing.assert_allclose(code, h, rtol=1e-5, atol=1e-6)


def test_discriminator_loss_counts_wrong_sentences_as_generated(gan, state):
    """arXiv:1605.05396, Algorithm 1, with the relativistic loss."""
    batch = gan.normalize(jax.tree.map(jnp.asarray, BATCH))
    keys = update_keys(state.key, state.d.updates, D_TAGS)
    generated, _ = jax.jit(gan.generate)(state.g.variables, batch, keys)
    tokens = np.asarray(generated.tokens)
    for row, wordings in zip(tokens, TOKENS, strict=True):
        assert row.tolist() in wordings.tolist()

    apply = jax.jit(gan.discriminator.apply)

    def d(images, tokens):
        inputs = {"params": state.d.params}, images, jnp.asarray(tokens)
        return np.asarray(apply(*inputs), np.float64)

    real, fake = d(batch.images, tokens), d(generated.images, tokens)
    wrong = d(batch.images, np.roll(tokens, -1, axis=0))
    losses = np.log1p(np.exp(fake - real)) + np.log1p(np.exp(wrong - real))
    loss, (_, metrics) = jax.jit(gan.d_loss)(
        state.d.variables, batch, generated, keys, state.step
    )
    np.testing.assert_allclose(metrics["d_loss"], losses.mean() / 2, rtol=1e-4)
    expected = losses.mean() / 2 + 0.5 * metrics["r1_r2"]
    np.testing.assert_allclose(loss, expected, rtol=1e-4)


def test_generator_loss_is_adversarial_and_l1(gan, state):
    batch = gan.normalize(jax.tree.map(jnp.asarray, BATCH))
    keys = update_keys(state.key, state.g.updates, G_TAGS)
    generated, _ = jax.jit(gan.generate)(state.g.variables, batch, keys)
    apply = jax.jit(gan.discriminator.apply)
    logits = [
        np.asarray(apply({"params": state.d.params}, x, generated.tokens))
        for x in (batch.images, generated.images)
    ]
    gap = np.abs(np.asarray(generated.images - batch.images)).mean()
    expected = np.log1p(np.exp(logits[0] - logits[1])).mean() + 0.5 * gap
    players = state.d.variables, batch, generated
    loss, _ = jax.jit(gan.g_loss)(*players, keys, state.step)
    np.testing.assert_allclose(loss, expected, rtol=1e-4)


@pytest.mark.long
def test_two_devices_do_what_one_does():
    sgd = {"name": "sgd", "learning_rate": 0.05}
    gan = small_gan(g_optimizer=sgd, d_optimizer=sgd)
    state = ganjax.init_state(gan, jax.random.key(0))
    one, two = step_on_one_and_on_two_devices(gan, state, BATCH)
    assert_close((two.g, two.d), (one.g, one.d), rtol=1e-3, atol=1e-5)


def test_sentences_change_the_image_and_interpolation_joins_them(gan, state):
    key = jax.random.key(0)
    first, last = (gan.parse_condition(t, 1) for t in ("a red seven", "a thick two"))
    a = ganjax.sample(gan, state, num=3, key=key, condition=first.repeat(3, 0))
    b = ganjax.sample(gan, state, num=3, key=key, condition=last.repeat(3, 0))
    assert (a != b).any(axis=(1, 2, 3)).all()
    z = jnp.tile(gan.prior.sample(key, 1), (5, 1))
    between = gan.interpolate(state.g_ema, z, jnp.asarray(first), jnp.asarray(last))
    for image, tokens in ((between[0], first), (between[-1], last)):
        expected = gan.generator.apply(
            {"params": state.g_ema["params"]}, z[:1], jnp.asarray(tokens)
        )
        np.testing.assert_allclose(image, expected[0], rtol=1e-4, atol=1e-5)
    with pytest.raises(ganjax.UserError, match="'purple' is unknown"):
        gan.parse_condition("a purple seven", 1)


def test_grids_have_a_row_per_digit(gan):
    condition = gan.condition(30, grid=True)
    assert len(condition) == 30
    for i, row in enumerate(condition):
        words = [captions.VOCABULARY[token] for token in row]
        assert captions.DIGITS[i // 3] in words
        assert len(set(words) & set(captions.COLORS)) == 1


def test_attributes_are_recognized_in_drawn_images():
    """A bar in each color, also when it is dim."""
    for i, color in enumerate(captions.COLORS.values()):
        image = np.zeros((1, 28, 28, 3), np.uint8)
        image[0, 4:24, 12:16] = color
        for brightness in (1.0, 0.8):
            dim = (image * brightness).astype(np.uint8)
            assert nearest_color(dim) == [i]
            assert shapes(dim).max() == 255


def test_blur_lowers_sharpness():
    image = np.zeros((2, 28, 28, 3), np.uint8)
    image[:, 4:24, 12:16] = 255
    blurred = image.copy()
    blurred[:, 4:24, 11] = blurred[:, 4:24, 16] = 127
    blurred[:, 3] = blurred[:, 24] = blurred[:, 4] // 2
    assert sharpness(image).value == 1
    assert sharpness(blurred).value == pytest.approx(128 / 255)
