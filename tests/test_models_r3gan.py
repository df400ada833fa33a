"""R3GAN's networks: layers of the paper, blocks by hand, resampling, labels, starts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from helpers import assert_close
from test_models_resnet import Z, convolve, count, randomized, shapes

from ganjax.errors import UserError
from ganjax.models import DISCRIMINATORS, GENERATORS
from ganjax.models.layers import Conv
from ganjax.models.r3gan import Block
from ganjax.models.resampling import downsample, upsample

IMAGES = jax.random.normal(jax.random.key(2), (3, 8, 8, 2))
G = GENERATORS["r3gan"]
D = DISCRIMINATORS["r3gan"]


def block(width, expansion=2, group=16):
    """1x1, 3x3 in groups, 1x1 convolutions; biases before the two activations."""
    e = expansion * width
    return width * e + e + 9 * group * e + e + e * width


def test_networks_of_the_paper_have_its_layers():
    """arXiv:2501.05441 and its code: CIFAR-10 with z of 64; FFHQ of 64x64 pixels."""
    blocks = 8 * block(768)  # of cardinality 96
    assert blocks == 8 * 2_583_552
    z = jnp.zeros((2, 64))
    g = G(image_shape=(32, 32, 3), channels=(768,) * 4, blocks=2)
    basis = 4 * 4 * 768
    assert count(g, z) == 64 * 768 + basis + blocks + 768 * 3 == 20_732_160
    d = D(channels=(768,) * 4, blocks=2)
    images = jnp.zeros((2, 32, 32, 3))
    assert count(d, images) == 3 * 768 + blocks + basis + 768 == 20_683_776
    larger = blocks + 2 * block(384) + 768 * 384
    g = G(image_shape=(64, 64, 3), channels=(768,) * 4 + (384,), blocks=2)
    assert count(g, z) == 64 * 768 + basis + larger + 384 * 3
    d = D(channels=(384, *(768,) * 4), blocks=2)
    assert count(d, jnp.zeros((2, 64, 64, 3))) == 3 * 384 + larger + basis + 768


@pytest.mark.parametrize("size,stages", [(28, 3), (32, 4), (64, 5)])
def test_resolutions_follow_from_the_widths(size, stages):
    g = G(image_shape=(size, size, 3), channels=(8,) * stages)
    images, variables = shapes(g, jnp.zeros((3, 6)))
    assert images.shape == (3, size, size, 3)
    start = size // 2 ** (stages - 1)
    assert variables["params"]["basis"].shape == (start, start, 8)
    logits, variables = shapes(D(channels=(8,) * stages), jnp.zeros(images.shape))
    assert logits.shape == (3,)
    assert variables["params"]["basis"].shape == (start, start, 8)


def activate(x):
    return np.where(x > 0, x, 0.2 * x)


def run_block(x, params, group):
    """x + 1x1(3x3 in groups(1x1(x))), with one convolution for each group."""
    first, middle, last = (params[k] for k in ("Dense_0", "Conv_0", "Dense_1"))
    y = activate(x @ first["kernel"] + first["bias"])
    parts = [
        convolve(y[..., i : i + group], middle["kernel"][..., i : i + group])
        for i in range(0, y.shape[-1], group)
    ]
    y = activate(np.concatenate(parts, -1) + middle["bias"])
    assert last.keys() == {"kernel"}
    return x + y @ last["kernel"]


def resample(x, axis, up):
    """One axis filtered with [1, 3, 3, 1] by NumPy, between or without zeros."""

    def line(x):
        if not up:
            return np.convolve(np.pad(x, 1), [1, 3, 3, 1], "valid")[::2] / 8
        spread = np.zeros(2 * len(x) + 3)
        spread[2:-1:2] = x
        return np.convolve(spread, [1, 3, 3, 1], "valid") / 4

    return np.apply_along_axis(line, axis, x)


@pytest.mark.parametrize("up", [True, False])
def test_resampling_is_a_filter(up):
    x = np.asarray(IMAGES)[:, :6]
    expected = resample(resample(x, 1, up), 2, up)
    actual = (upsample if up else downsample)(IMAGES[:, :6])
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)


def test_generator_by_hand():
    module = G(image_shape=(8, 8, 2), channels=(4, 4, 2), group_width=2, blocks=1)
    variables = randomized(jax.jit(module.init)(jax.random.key(0), Z))
    params = jax.tree.map(np.asarray, variables["params"])
    dense = [params[f"Dense_{i}"]["kernel"] for i in range(3)]
    x = params["basis"] * (np.asarray(Z) @ dense[0])[:, None, None]
    x = run_block(x, params["Block_0"], 2)
    x = run_block(resample(resample(x, 1, True), 2, True), params["Block_1"], 2)
    x = resample(resample(x @ dense[1], 1, True), 2, True)
    expected = run_block(x, params["Block_2"], 2) @ dense[2]
    actual = jax.jit(module.apply)(variables, Z)
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("num_classes", [0, 3])
def test_discriminator_by_hand(num_classes):
    module = D(channels=(2, 4), group_width=4, num_classes=num_classes)
    labels = jnp.array([2, 0, 1]) if num_classes else None
    variables = jax.jit(module.init)(jax.random.key(0), IMAGES, labels=labels)
    variables = randomized(variables)
    params = jax.tree.map(np.asarray, variables["params"])
    dense = [params[f"Dense_{i}"]["kernel"] for i in range(3)]
    x = run_block(np.asarray(IMAGES) @ dense[0], params["Block_0"], 4)
    x = resample(resample(x, 1, False), 2, False) @ dense[1]
    x = run_block(x, params["Block_1"], 4)
    outputs = np.einsum("bhwc,hwc->bc", x, params["basis"]) @ dense[2]
    if num_classes:
        embedding = params["Embed_0"]["embedding"][[2, 0, 1]]
        expected = (outputs * embedding).sum(-1)
    else:
        expected = outputs[:, 0]
    logits = jax.jit(module.apply)(variables, IMAGES, labels=labels)
    np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-3)


def test_blocks_start_as_the_identity_with_scaled_weights():
    """Standard deviations: a gain √(2/1.04), L^(-1/4) for L blocks, fan-in."""
    x = jax.random.normal(jax.random.key(0), (2, 4, 4, 64))
    module = Block(num_blocks=16, expansion=2, group_width=32, conv="library")
    y, variables = jax.jit(module.init_with_output)(jax.random.key(1), x)
    assert (y == x).all()
    params = variables["params"]
    for name, fan_in in (("Dense_0", 64), ("Conv_0", 9 * 32)):
        expected = np.sqrt(2 / 1.04) / 2 / np.sqrt(fan_in)
        kernel = params[name]["kernel"]
        assert float(kernel.std()) == pytest.approx(expected, rel=0.03)
        assert float(jnp.abs(kernel).max()) > 2.6 * expected  # not truncated


def test_labels_change_images_and_logits():
    g = G(image_shape=(8, 8, 2), channels=(8, 8), num_classes=3)
    d = D(channels=(8,), num_classes=3)
    for module, inputs in ((g, Z), (d, IMAGES)):
        zeros, ones = jnp.zeros(3, jnp.int32), jnp.ones(3, jnp.int32)
        variables = jax.jit(module.init)(jax.random.key(0), inputs, labels=zeros)
        apply = jax.jit(module.apply)
        outputs = [
            apply(variables, inputs, labels=labels) for labels in (zeros, ones, zeros)
        ]
        assert jnp.abs(outputs[0] - outputs[1]).max() > 1e-3
        assert_close(outputs[0], outputs[2], rtol=1e-6, atol=1e-6)
    init = jax.jit(nn.Module.init, static_argnums=0)
    params = init(g, jax.random.key(0), jnp.zeros((3, 64)), labels=zeros)["params"]
    scale = params["WithLabel_0"]["Embed_0"]["embedding"].std()
    assert float(scale) == pytest.approx(1 / np.sqrt(3), rel=0.25)


def test_grouped_convolutions_are_those_of_flax():
    """Values, gradients, and gradients of a penalty on the gradient."""
    flax = nn.Conv(6, (3, 3), feature_group_count=3)
    x = jax.random.normal(jax.random.key(0), (2, 4, 5, 12))
    params = flax.init(jax.random.key(1), x)
    names = "matmul", "patches"

    def penalised(module):
        def scalar(params, x):
            y = jnp.tanh(module.apply(params, x))
            return jnp.sum(y * jnp.cos(jnp.arange(y.size).reshape(y.shape)))

        def penalty(params, x):
            return jnp.sum(jax.grad(scalar, 1)(params, x) ** 2)

        return (
            module.apply(params, x),
            jax.grad(scalar, argnums=(0, 1))(params, x),
            jax.grad(penalty, argnums=(0, 1))(params, x),
        )

    @jax.jit
    def all_of_them():
        ours = [penalised(Conv(6, 3, 1, name, groups=3)) for name in names]
        library = Conv(6, 3, 1, "library", groups=3).apply(params, x)
        return penalised(flax), ours, library

    expected, ours, library = all_of_them()
    for actual in ours:
        assert_close(actual, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(library, expected[0])


@pytest.mark.parametrize(
    "module,inputs,message",
    [
        (G(image_shape=(8, 8, 1), channels=()), (2, 6), r"generator.channels=\(\)"),
        (
            G(image_shape=(28, 28, 1), channels=(8,) * 4),
            (2, 6),
            "expected height and width divisible by 8, 2 to the power",
        ),
        (
            D(channels=(8, 8, 8, 8)),
            (2, 28, 28, 1),
            "expected images of 28x28 pixels to be divisible by 8",
        ),
        (
            D(channels=(8, 12)),
            (2, 8, 8, 1),
            "config.discriminator.group_width=16: expected a divisor of 24",
        ),
    ],
)
def test_sizes_that_do_not_fit_are_refused(module, inputs, message):
    with pytest.raises(UserError, match=message):
        shapes(module, jnp.zeros(inputs))
