"""StyleGAN2's networks against NumPy, their randomness, and style mixing."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import (
    assert_close,
    small_config,
    small_gan,
    step_on_one_and_on_two_devices,
    trained,
)

import ganjax
from ganjax.errors import UserError
from ganjax.models import DISCRIMINATORS, GENERATORS
from ganjax.models.modulated import modulated_conv
from ganjax.models.stylegan import Randomness, rms
from ganjax.models.stylegan_discriminator import group_deviation
from ganjax.priors import sphere
from ganjax.state import abstract_state

Z = jax.random.normal(jax.random.key(1), (3, 5))
LABELS = jnp.array([2, 0, 1])
IMAGES = jax.random.normal(jax.random.key(2), (4, 8, 8, 2))
G = {"channels": (4, 3), "w_dim": 6}
# XLA's own convolutions compile faster.
GIVEN = {"image_shape": (8, 8, 2), "num_classes": 3, "conv": "library"}
SMALL = {
    "data__image_shape": (8, 8, 1),
    "generator": {"name": "stylegan", "channels": (4, 3), "w_dim": 6},
    "discriminator": {"name": "stylegan", "channels": (3, 4), "group": 2},
    "prior__distribution": "sphere",
    "conv": "library",
}


def init(module, inputs, labels=None):
    """Variables with noise on all parameters: some start at 0."""

    @jax.jit
    def make():
        variables = module.init(jax.random.key(0), inputs, labels=labels)
        return jax.tree.map(
            lambda p: p + 0.2 * jax.random.normal(jax.random.key(p.size), p.shape),
            variables,
        )

    return make()


@partial(jax.jit, static_argnums=0)
def sampled(module, variables, inputs, labels=None):
    """Outputs outside of training."""
    return module.apply(variables, inputs, train=False, labels=labels)


@pytest.fixture(scope="module")
def generator():
    module = GENERATORS["stylegan"](**G, **GIVEN)
    return module, init(module, Z, LABELS)


# --- NumPy --------------------------------------------------------------------------


def correlate(x, kernel):
    """[B, H, W, I], [k, k, I, O] -> [B, H - k + 1, W - k + 1, O]."""
    view = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:2], axis=(1, 2))
    return np.einsum("bhwikl,klio->bhwo", view, kernel)


def pad(x, size):
    return np.pad(x, ((0, 0), (size, size), (size, size), (0, 0)))


def low_pass(x):
    """[1, 3, 3, 1] in both directions, of each feature alone; sums to 1."""
    taps = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64
    return correlate(x, taps[:, :, None, None] * np.eye(x.shape[-1]))


def stuffed(x):
    """Zeros between pixels."""
    b, h, w, c = x.shape
    y = np.zeros((b, 2 * h - 1, 2 * w - 1, c))
    y[:, ::2, ::2] = x
    return y


def lrelu(x):
    return np.where(x > 0, x, 0.2 * x) * np.sqrt(2)


def dense(x, params, rate=1.0):
    kernel, bias = np.asarray(params["kernel"]), np.asarray(params["bias"])
    return x @ kernel * rate / np.sqrt(len(kernel)) + rate * bias


def scaled(params):
    kernel = np.asarray(params["kernel"], np.float64)
    return kernel / np.sqrt(np.prod(kernel.shape[:3]))


def modulated(x, kernel, style, up):
    """Equations 1 to 3 for each sample, then the filter, as in the authors' code."""
    outputs = []
    for image, s in zip(x, style, strict=True):
        own = s[:, None] * kernel
        own = own / np.sqrt((own**2).sum((0, 1, 2)) + 1e-8)
        padded = pad(stuffed(image[None]), 3) if up else pad(image[None], 1)
        y = correlate(padded, own)
        outputs.append(4 * low_pass(y) if up else y)
    return np.concatenate(outputs)


def mapped(params, z, labels):
    """w without truncation."""
    code = np.asarray(params["Embed_0"]["embedding"])[labels]
    x = np.concatenate(
        [v / np.sqrt((v**2).mean(1, keepdims=True) + 1e-8) for v in (z, code)], axis=1
    )
    for i in range(2):
        x = lrelu(dense(x, params[f"EqualDense_{i}"], rate=0.01))
    return x


def synthesized(params, w, noise):
    """Images of a w for each of four layers."""

    def layer(x, i, up):
        own = params[f"StyledConv_{i}"]
        style = dense(w[i], own["EqualDense_0"])
        y = modulated(x, scaled(own), style, up)
        y = y + float(own["noise_strength"]) * np.asarray(noise[i])
        return lrelu(y + np.asarray(own["bias"]))

    def to_image(x, r):
        own = params[f"ToImage_{r}"]
        style = dense(w[2 * r + 1], own["EqualDense_0"])
        return x * style[:, None, None] @ scaled(own)[0, 0] + np.asarray(own["bias"])

    x = np.repeat(np.asarray(params["constant"]), len(w[0]), axis=0)
    x = layer(x, 0, up=False)
    image = to_image(x, 0)
    x = layer(layer(x, 1, up=True), 2, up=False)
    return 4 * low_pass(pad(stuffed(image), 2)) + to_image(x, 1)


# --- networks -----------------------------------------------------------------------


def test_parameters_are_those_of_the_layers():
    def count(module, inputs, labels):
        make = partial(module.init, jax.random.key(0), labels=labels)
        params = jax.eval_shape(make, inputs)["params"]
        return sum(x.size for x in jax.tree.leaves(params))

    # Both halves of the input, then w to w; an embedding.
    mapping = (10 + 1) * 6 + (6 + 1) * 6 + 3 * 5
    # Style, kernel, bias, and the strength of the noise of three convolutions.
    convs = (7 * 4 + 9 * 4 * 4 + 4 + 1) + (7 * 4 + 9 * 4 * 3 + 3 + 1)
    convs += 7 * 3 + 9 * 3 * 3 + 3 + 1
    images = (7 * 4 + 4 * 2 + 2) + (7 * 3 + 3 * 2 + 2)
    g = GENERATORS["stylegan"](**G, **GIVEN)
    assert count(g, Z, LABELS) == mapping + 4 * 4 * 4 + convs + images
    first, block = 2 * 3 + 3, (9 * 3 * 3 + 3) + (9 * 3 * 4 + 4) + 3 * 4
    last = (9 * (4 + 1) * 4 + 4) + (16 * 4 * 4 + 4) + (4 + 1)
    d = DISCRIMINATORS["stylegan"](channels=(3, 4))
    assert count(d, IMAGES, None) == first + block + last


@pytest.mark.parametrize("conv", ["matmul", "library"])
@pytest.mark.parametrize("up", [False, True])
def test_modulated_convolution_is_that_of_a_kernel_for_each_sample(up, conv):
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(2, 4, 6, 3)), rng.normal(size=(3, 3, 3, 2))
    style = rng.normal(size=(2, 3))
    arrays = (jnp.asarray(a, jnp.float32) for a in (x, kernel, style))
    actual = modulated_conv(*arrays, up=up, conv=conv)
    expected = modulated(x, kernel, style, up)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_demodulated_features_have_a_standard_deviation_of_one():
    """Of white noise, whatever the styles; 96² pixels of 4 samples of 8 features."""
    x_key, kernel_key, style_key = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(x_key, (4, 98, 98, 6))
    kernel = 5 * jax.random.normal(kernel_key, (3, 3, 6, 8))
    style = jnp.exp(jax.random.normal(style_key, (4, 6)))
    y = modulated_conv(x, kernel, style, False, "library")[:, 1:-1, 1:-1]
    # Each of 32 is an estimate from 96² correlated numbers, of 1/√(2·96²) if they
    # were independent; the mean is closer.
    np.testing.assert_allclose(y.std((1, 2)), 1.0, atol=0.06)
    np.testing.assert_allclose(y.std(), 1.0, atol=0.01)


def test_generator_by_hand(generator):
    module, variables = generator
    params = variables["params"]
    w = mapped(params["mapping"], np.asarray(Z), LABELS)
    mean = np.asarray(variables["batch_stats"]["w_mean"])
    psi = np.sqrt((np.asarray(Z) ** 2).mean(1, keepdims=True))
    w = mean + psi * (w - mean)
    noise = module.bind(variables).constant_noise()
    expected = synthesized(params["synthesis"], [w] * 4, noise)
    actual = sampled(module, variables, Z, LABELS)
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4)


def test_discriminator_by_hand():
    module = DISCRIMINATORS["stylegan"](channels=(3, 4), group=2, conv="library")
    variables = init(module, IMAGES)
    params, x = variables["params"], np.asarray(IMAGES, np.float64)

    def conv(x, params):
        return correlate(x, scaled(params)) + np.asarray(params.get("bias", 0.0))

    block = params["DownBlock_0"]
    x = lrelu(conv(x, params["EqualConv_0"]))
    y = lrelu(conv(pad(x, 1), block["EqualConv_0"]))
    y = lrelu(conv(low_pass(pad(y, 2)), block["EqualConv_1"])[:, ::2, ::2])
    x = conv(low_pass(pad(x, 1))[:, ::2, ::2], block["EqualConv_2"])
    x = (x + y) / np.sqrt(2)
    deviation = [np.sqrt(x[i : i + 2].var(0) + 1e-8).mean() for i in (0, 2)]
    feature = np.broadcast_to(
        np.repeat(deviation, 2)[:, None, None, None], (4, 4, 4, 1)
    )
    x = lrelu(conv(pad(np.concatenate([x, feature], -1), 1), params["EqualConv_1"]))
    x = lrelu(dense(x.reshape(4, -1), params["EqualDense_0"]))
    expected = dense(x, params["EqualDense_1"])[:, 0]
    actual = sampled(module, variables, IMAGES)
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("size,widths", [(28, 3), (32, 4), (64, 5)])
def test_resolutions_follow_from_the_widths(size, widths):
    shape, widths = (size, size, 3), (4,) * widths
    g = GENERATORS["stylegan"](image_shape=shape, channels=widths)
    make = partial(g.init_with_output, jax.random.key(0))
    images, variables = jax.eval_shape(make, Z)
    assert images.shape == (3, *shape)
    start = variables["params"]["synthesis"]["constant"].shape
    assert start == (1, *((7, 7) if size == 28 else (4, 4)), 4)
    d = DISCRIMINATORS["stylegan"](channels=widths)
    variables = jax.eval_shape(partial(d.init, jax.random.key(0)), images)
    assert variables["params"]["EqualConv_1"]["kernel"].shape == (3, 3, 5, 4)
    last = variables["params"]["EqualDense_0"]["kernel"].shape
    assert last == (start[1] * start[2] * 4, 4)


def test_labels_change_images_and_logits(generator):
    options = {"channels": (3, 4), "group": 1, "num_classes": 3, "conv": "library"}
    d = DISCRIMINATORS["stylegan"](**options)
    pairs = (generator, Z), ((d, init(d, IMAGES[:3], LABELS)), IMAGES[:3])
    for (module, variables), inputs in pairs:
        zeros = sampled(module, variables, inputs, LABELS * 0)
        own = sampled(module, variables, inputs, LABELS)
        changed = [(a != b).any() for a, b in zip(zeros, own, strict=True)]
        assert changed == [True, False, True]  # labels 2, 0, 1


@pytest.mark.parametrize("name,channels", [("stylegan", 1), ("stylegan:faces", 3)])
def test_configs_make_networks_that_fit_their_data(name, channels):
    gan = ganjax.make_gan(ganjax.load_config(name))
    assert gan.prior.distribution is sphere
    state = abstract_state(gan)
    assert state.g.params["synthesis"]["ToImage_0"]["bias"].shape == (channels,)
    assert state.d.params["EqualConv_0"]["kernel"].shape == (1, 1, channels, 8)
    lowest = state.g.params["synthesis"]["constant"].shape[1:3]
    assert lowest == ((7, 7) if name == "stylegan" else (4, 4))
    first, _ = state.d.params["EqualDense_0"]["kernel"].shape
    assert first == lowest[0] * lowest[1] * gan.discriminator.channels[-1]


# --- randomness ---------------------------------------------------------------------


@partial(jax.jit, static_argnums=0)
def train_images(module, variables, key):
    """Images in training, and the new mean of w."""
    images, new = module.apply(
        variables, Z, labels=LABELS, rngs={"noise": key}, mutable=["batch_stats"]
    )
    return images, new["batch_stats"]["w_mean"]


def test_noise_is_random_in_training_and_constant_otherwise(generator):
    module, variables = generator
    module = module.clone(style_mixing=0.0)
    a, b = (train_images(module, variables, jax.random.key(i))[0] for i in range(2))
    assert (a != b).any(axis=(1, 2, 3)).all()

    def without_noise(path, x):
        return 0 * x if path[-1].key == "noise_strength" else x

    silent = jax.tree_util.tree_map_with_path(without_noise, variables)
    a, b = (train_images(module, silent, jax.random.key(i))[0] for i in range(2))
    np.testing.assert_array_equal(a, b)
    # In training z has a norm of its own no longer.
    directions = sampled(module, silent, Z / rms(Z), LABELS)
    np.testing.assert_allclose(a, directions, rtol=1e-5, atol=1e-6)
    plain = sampled(module, silent, Z, LABELS)
    assert (plain != directions).any(axis=(1, 2, 3)).all()
    noisy = sampled(module, variables, Z, LABELS)
    again = sampled(module, variables, Z[::-1], LABELS[::-1])
    np.testing.assert_allclose(noisy, again[::-1], rtol=1e-5, atol=1e-6)
    assert (noisy != plain).any(axis=(1, 2, 3)).all()


def test_the_mean_of_w_moves_toward_that_of_the_batch(generator):
    module, variables = generator
    w = mapped(variables["params"]["mapping"], np.asarray(Z), LABELS)
    old = np.asarray(variables["batch_stats"]["w_mean"])
    _, new = train_images(module, variables, jax.random.key(0))
    np.testing.assert_allclose(new - old, 0.005 * (w.mean(0) - old), atol=1e-6)
    far = np.asarray(Z * 0)
    psi = 1e-4  # the root of what keeps z / ‖z‖ finite
    actual = module.apply(variables, jnp.asarray(far), LABELS, method="styles")
    np.testing.assert_allclose(actual, np.tile(old, (3, 1)), atol=10 * psi)


def test_mixed_samples_change_their_w_at_a_random_layer():
    """Layer i of four has another w with probability p i / 3; 4000 samples."""
    p, num = 0.6, 4000
    module = GENERATORS["stylegan"](**G, image_shape=(8, 8, 2), style_mixing=p)
    variables = init(module, Z)
    z = sphere(jax.random.key(3), (num, 5))
    keys = Randomness(*jax.random.split(jax.random.key(4), 4))
    w = module.apply(variables, z, method="styles")
    layers = module.apply(variables, keys, w, z, None, method="mix")
    other = np.stack([(layer != w).any(1) for layer in layers], axis=1)
    expected = p * np.arange(4) / 3
    np.testing.assert_allclose(other.mean(0), expected, atol=4 * 0.5 / num**0.5)
    assert (np.diff(other.astype(int)) >= 0).all()  # no return to the first
    last = np.asarray(layers[3])[other[:, 3]]
    # Another draw from the same distribution, independent of the first.
    np.testing.assert_allclose(last.mean(0), w.mean(0), atol=0.1)
    np.testing.assert_allclose(last.std(0), w.std(0), rtol=0.1)
    both = np.corrcoef(last.T, np.asarray(w)[other[:, 3]].T)[:6, 6:]
    assert np.abs(both).max() < 0.1


@pytest.mark.long
def test_two_devices_train_as_one():
    """With noise, mixed styles, the mean of w and deviations within groups."""
    sgd = {"name": "sgd", "learning_rate": 0.1}
    parts = {
        "generator": SMALL["generator"] | {"channels": (4,)},
        "discriminator": SMALL["discriminator"] | {"channels": (4,)},
        "g_optimizer": sgd,
        "d_optimizer": sgd,
    }
    gan = small_gan(**SMALL | parts)
    noisy = trained(gan).g_ema
    state = ganjax.init_state(gan, jax.random.key(0))
    state = state.replace(g=state.g.replace(params=noisy["params"]))
    batch = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 1), np.uint8)
    one, two = step_on_one_and_on_two_devices(gan, state, batch)
    for player in ("g", "d"):
        a, b = getattr(one, player), getattr(two, player)
        assert_close(b.params, a.params, rtol=1e-3, atol=1e-5)
        assert_close(b.batch_stats, a.batch_stats, rtol=1e-3, atol=1e-6)
    assert (one.g.batch_stats["w_mean"] != 0).all()


def test_groups_are_of_real_or_of_generated_samples():
    """The samples of a group differ by 0 and by 2 σ; stacked batches stay apart."""
    x = jnp.zeros((4, 2, 2, 3)).at[2].set(1.0).at[3].set(5.0)
    feature = group_deviation(x, 2)[..., -1]
    np.testing.assert_allclose(feature[:2], 1e-4, rtol=1e-5)
    np.testing.assert_allclose(feature[2:], 2.0, rtol=1e-5)
    np.testing.assert_array_equal(group_deviation(x, 2)[..., :-1], x)


# --- errors -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "player,options,message",
    [
        ("generator", {"channels": ()}, "generator.channels=()"),
        ("generator", {"channels": (4,) * 5}, "divisible by 16"),
        ("generator", {"mapping_layers": 0}, "generator.mapping_layers=0"),
        ("generator", {"style_mixing": 1.5}, "generator.style_mixing=1.5"),
        ("discriminator", {"channels": ()}, "discriminator.channels=()"),
        ("discriminator", {"channels": (4,) * 5}, "8x8 pixels to be divisible by 16"),
        ("discriminator", {"group": 0}, "discriminator.group=0"),
        ("discriminator", {"group": 3}, "discriminator.group=3: expected a divisor"),
    ],
)
def test_mistakes_are_refused_in_one_line(player, options, message):
    config = small_config(**SMALL | {player: SMALL[player] | options})
    batch = jnp.zeros((1, 8, 8, 8, 1), jnp.uint8)

    def train():
        gan = ganjax.make_gan(config)
        state = ganjax.init_state(gan, jax.random.key(0))
        return ganjax.train_step(gan, state, batch)

    with pytest.raises(UserError) as error:
        jax.eval_shape(train)
    assert message in str(error.value) and "\n" not in str(error.value)
