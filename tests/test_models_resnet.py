"""The residual pair: layers of the paper, blocks by hand, sizes, labels, starts."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close
from test_models_translation import convolve

from ganjax.errors import UserError
from ganjax.models import DISCRIMINATORS, GENERATORS

Z = jax.random.normal(jax.random.key(1), (3, 6))
IMAGES = jax.random.normal(jax.random.key(2), (3, 8, 8, 2))


def randomized(variables):
    """Variables with noise on all parameters: some start at 0."""
    return variables | {
        "params": jax.tree.map(
            lambda p: p + 0.2 * jax.random.normal(jax.random.key(p.size), p.shape),
            variables["params"],
        )
    }


def shapes(module, inputs, error=None):
    """Shapes of outputs and of variables, or None after an error that is expected."""
    run = partial(module.init_with_output, jax.random.key(0))
    if error:
        with pytest.raises(error):
            jax.eval_shape(run, inputs)
        return None
    return jax.eval_shape(run, inputs)


def count(module, inputs):
    """The number of parameters."""
    _, variables = shapes(module, inputs)
    return sum(x.size for x in jax.tree.leaves(variables["params"]))


def conv(inputs, outputs, kernel=3):
    """Weights and biases of a convolution; of kernel 1 also of a dense layer."""
    return (kernel**2 * inputs + 1) * outputs


def up(inputs, outputs):
    """A block of G: 3x3 and 1x1 convolutions, BatchNorm before both of 3x3."""
    norms = 2 * inputs + 2 * outputs
    return (
        norms
        + conv(inputs, outputs)
        + conv(outputs, outputs)
        + conv(inputs, outputs, 1)
    )


def down(inputs, outputs, shortcut=True):
    """A block of D, whose first convolution keeps the width."""
    convs = conv(inputs, inputs) + conv(inputs, outputs)
    return convs + shortcut * conv(inputs, outputs, 1)


def first(outputs):
    """The first block of D, on colors."""
    return conv(3, outputs) + conv(outputs, outputs) + conv(3, outputs, 1)


# arXiv:1802.05957, tables 4 and 5: image size, widths, parameters by hand.
TABLES = {
    32: (
        {"channels": (256,) * 4},
        conv(128, 4 * 4 * 256, 1) + 3 * up(256, 256) + 2 * 256 + conv(256, 3),
        {"channels": (128, 128), "blocks": (128, 128)},
        first(128) + down(128, 128) + 2 * down(128, 128, False) + conv(128, 1, 1),
        (4_276_739, 1_053_825),
    ),
    48: (
        {"channels": (512, 256, 128, 64)},
        conv(128, 6 * 6 * 512, 1)
        + (up(512, 256) + up(256, 128) + up(128, 64) + 2 * 64 + conv(64, 3)),
        {"channels": (64, 128, 256, 512), "blocks": (1024,)},
        first(64)
        + (down(64, 128) + down(128, 256) + down(256, 512) + down(512, 1024))
        + conv(1024, 1, 1),
        (4_878_083, 10_141_441),
    ),
}


@pytest.mark.parametrize("size", TABLES)
def test_networks_of_the_paper_have_its_layers(size):
    g, g_count, d, d_count, totals = TABLES[size]
    shape = size, size, 3
    g = GENERATORS["resnet"](image_shape=shape, **g)
    d = DISCRIMINATORS["resnet"](**d)
    z, images = jnp.zeros((2, 128)), jnp.zeros((2, *shape))
    counts = count(g, z), count(d, images)
    assert counts == (g_count, d_count) == totals


def layer(x, params):
    """A convolution of kernel 3 or 1 with its bias."""
    kernel = np.asarray(params["kernel"])
    y = convolve(x, kernel) if len(kernel) == 3 else x @ kernel[0, 0]
    return y + np.asarray(params["bias"])


def batch_norm(x, params):
    axes = tuple(range(x.ndim - 1))
    y = (x - x.mean(axes)) / np.sqrt(x.var(axes) + 1e-5)
    return y * np.asarray(params["scale"]) + np.asarray(params["bias"])


def double(x):
    return x.repeat(2, 1).repeat(2, 2)


def relu(x):
    return np.maximum(x, 0)


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_generator_by_hand(norm):
    """Dense, two blocks, [BatchNorm,] ReLU, convolution, tanh: arXiv:1802.05957."""
    module = GENERATORS["resnet"](image_shape=(8, 8, 2), channels=(4, 3, 3), norm=norm)
    variables = randomized(jax.jit(module.init)(jax.random.key(0), Z))
    params = variables["params"]

    def finish(x, params):
        return relu(batch_norm(x, params["BatchNorm_0"]) if norm == "batch" else x)

    dense = params["Dense_0"]
    x = (np.asarray(Z) @ np.asarray(dense["kernel"]) + np.asarray(dense["bias"])) * 1.0
    x = x.reshape(3, 2, 2, 4)
    for i in range(2):
        block = params[f"UpBlock_{i}"]
        norms = [block.get(f"Norm_{j}") for j in range(2)]
        y = layer(double(finish(x, norms[0])), block["Conv_0"])
        y = layer(finish(y, norms[1]), block["Conv_1"])
        x = layer(double(x), block["Conv_2"]) + y
    expected = np.tanh(layer(finish(x, params.get("Norm_0")), params["Conv_0"]))
    apply = jax.jit(partial(module.apply, mutable=["batch_stats"]))
    actual, _ = apply(variables, Z)
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4)


def test_discriminator_by_hand():
    """A halving block, one at the same resolution, ReLU, mean, dense layer."""
    module = DISCRIMINATORS["resnet"](channels=(4, 5), blocks=(5,), norm="none")
    variables = randomized(jax.jit(module.init)(jax.random.key(0), IMAGES))
    params = variables["params"]
    x = np.asarray(IMAGES)
    for i in range(3):
        block = params[f"DownBlock_{i}"]
        y = layer(x if i == 0 else relu(x), block["Conv_0"])
        y = layer(relu(y), block["Conv_1"])
        x = (layer(x, block["Conv_2"]) if i < 2 else x) + y
        if i < 2:
            b, h, w, c = x.shape
            x = x.reshape(b, h // 2, 2, w // 2, 2, c).mean((2, 4))
    dense = params["Logit_0"]["Dense_0"]
    expected = relu(x).mean((1, 2)) @ np.asarray(dense["kernel"])[:, 0]
    expected += np.asarray(dense["bias"])
    np.testing.assert_allclose(
        jax.jit(module.apply)(variables, IMAGES), expected, rtol=1e-3, atol=1e-3
    )


def test_blocks_without_a_norm_start_as_their_shortcuts():
    module = DISCRIMINATORS["resnet"](channels=(4,), blocks=(4,), norm="none")
    variables = jax.jit(module.init)(jax.random.key(0), IMAGES)
    for i in range(2):
        last = variables["params"][f"DownBlock_{i}"]["Conv_1"]
        assert not jnp.any(last["kernel"]) and not jnp.any(last["bias"])


def test_spectral_kernels_have_one_as_their_largest_singular_value():
    """After enough power iterations D is the plain one with W / σ(W) for every W.

    But it sums over the last 4x4 pixels, where the plain one has the mean.
    """
    options = {"channels": (4,), "blocks": (4,)}
    spectral = DISCRIMINATORS["resnet"](**options)
    plain = DISCRIMINATORS["resnet"](**options, norm="none")
    variables = jax.jit(spectral.init)(jax.random.key(0), IMAGES)

    @jax.jit
    def iterate(variables):
        _, new = spectral.apply(variables, IMAGES, mutable=["batch_stats"])
        return variables | new

    for _ in range(100):
        variables = iterate(variables)

    def normalize(path, p):
        if path[-1].key != "kernel":
            return p
        return p / np.linalg.norm(np.asarray(p).reshape(-1, p.shape[-1]), 2)

    params = jax.tree_util.tree_map_with_path(normalize, variables["params"])
    bias = params["Logit_0"]["Dense_0"]["bias"]
    mean = jax.jit(plain.apply)({"params": params}, IMAGES)
    expected = 16 * (mean - bias) + bias
    actual = jax.jit(partial(spectral.apply, train=False))(variables, IMAGES)
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("size,stages,start", [(28, 3, 7), (32, 4, 4), (64, 5, 4)])
def test_resolutions_follow_from_the_widths(size, stages, start):
    g = GENERATORS["resnet"](image_shape=(size, size, 3), channels=(8,) * stages)
    d = DISCRIMINATORS["resnet"](channels=(8,) * (stages - 1))
    images, variables = shapes(g, jnp.zeros((3, 6)))
    assert images.shape == (3, size, size, 3)
    assert variables["params"]["Dense_0"]["kernel"].shape == (6, start * start * 8)
    assert shapes(d, jnp.zeros((3, size, size, 3)))[0].shape == (3,)
    assert shapes(d, jnp.zeros((3, 30, 30, 3)), UserError) is None


def test_labels_change_images_and_logits():
    given = {"num_classes": 3}
    g = GENERATORS["resnet"](image_shape=(8, 8, 2), channels=(4, 4), **given)
    d = DISCRIMINATORS["resnet"](channels=(4,), norm="none", **given)
    for module, inputs in ((g, Z), (d, IMAGES)):
        zeros, ones = jnp.zeros(3, jnp.int32), jnp.ones(3, jnp.int32)
        variables = jax.jit(module.init)(jax.random.key(0), inputs, labels=zeros)
        apply = jax.jit(partial(module.apply, train=False))
        outputs = [
            apply(variables, inputs, labels=labels) for labels in (zeros, ones, zeros)
        ]
        assert jnp.any(outputs[0] != outputs[1])
        assert_close(outputs[0], outputs[2], rtol=1e-6, atol=1e-6)


def test_sizes_that_do_not_fit_are_refused():
    generator = GENERATORS["resnet"](image_shape=(28, 28, 1), channels=(4,) * 4)
    with pytest.raises(UserError, match="expected height and width divisible by 8"):
        generator.init(jax.random.key(0), Z)
    discriminator = DISCRIMINATORS["resnet"](channels=(4,) * 4)
    with pytest.raises(UserError, match="8x8 pixels to be divisible by 16"):
        discriminator.init(jax.random.key(0), IMAGES)
