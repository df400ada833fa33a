"""Networks from images to images, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import correlate2d

from ganjax.errors import UserError
from ganjax.models.translation import (
    ConvBlock,
    EncoderDecoder,
    PatchDiscriminator,
    ResidualBlock,
)

X = jax.random.normal(jax.random.key(3), (2, 6, 6, 3))


def convolve(x, kernel):
    """A 3x3 convolution with zero padding, channel by channel."""
    out = np.zeros((*x.shape[:3], kernel.shape[-1]))
    for b, i, o in np.ndindex(len(x), x.shape[-1], kernel.shape[-1]):
        out[b, :, :, o] += correlate2d(x[b, :, :, i], kernel[:, :, i, o], "same")
    return out


def instance_norm(x, params):
    """Each channel of each image to mean 0 and variance 1, arXiv:1607.08022."""
    mean, var = x.mean((1, 2), keepdims=True), x.var((1, 2), keepdims=True)
    return (x - mean) / np.sqrt(var + 1e-6) * params["scale"] + params["bias"]


def test_residual_block_adds_two_convolutions_with_instance_norm():
    module = ResidualBlock()
    params = jax.jit(module.init)(jax.random.key(0), X)["params"]
    params = jax.tree.map(
        lambda p: p + 0.1 * jax.random.normal(jax.random.key(p.size), p.shape), params
    )
    y = np.asarray(X)
    for name in ("ConvBlock_0", "ConvBlock_1"):
        layer = params[name]
        y = convolve(y, np.asarray(layer["Conv_0"]["kernel"]))
        y = instance_norm(y, jax.tree.map(np.asarray, layer["InstanceNorm_0"]))
        y = np.maximum(y, 0) if name == "ConvBlock_0" else y
    actual = module.apply({"params": params}, X)
    np.testing.assert_allclose(actual, X + y, rtol=1e-3, atol=1e-4)


def test_blocks_halve_and_double_the_resolution():
    """A constant image stays constant inside: each output pixel sees as many inputs."""
    half = ConvBlock(1, 4, 2, norm="none", activation="none")
    double = ConvBlock(1, 4, 2, transpose=True, norm="none", activation="none")
    x = jnp.ones((1, 8, 8, 1))
    for module, size, taps in ((half, 4, 16), (double, 16, 4)):
        variables = module.init(jax.random.key(0), x)
        ones = jax.tree.map(jnp.ones_like, variables)
        y = module.apply(ones, x)
        assert y.shape == (1, size, size, 1)
        np.testing.assert_allclose(y[0, 1:-1, 1:-1, 0], taps + 1)  # and the bias


def count(module, x):
    variables = jax.eval_shape(module.init, jax.random.key(0), x)
    return sum(p.size for p in jax.tree.leaves(variables))


def test_layers_are_those_of_the_papers():
    """c3s1-k, d2k, R2k three times, uk, c3s1-3 and C32-C64 with their sizes by hand."""

    def conv(kernel, i, o):
        return kernel**2 * i * o + 2 * o  # and scale and bias of the norm

    k, x = 24, jnp.zeros((1, 28, 28, 3))
    expected = conv(3, 3, k) + conv(4, k, 2 * k) + 6 * conv(3, 2 * k, 2 * k)
    expected += conv(4, 2 * k, k) + 9 * k * 3 + 3
    assert count(EncoderDecoder(out_channels=3), x) == expected
    trunk = 16 * 3 * 32 + 32 + conv(4, 32, 64) + 9 * 64 + 1
    assert count(PatchDiscriminator(), x) == trunk
    classes = 7 * 7 * 64 * 5 + 5
    assert count(PatchDiscriminator(num_classes=5), x) == trunk + classes


def test_a_logit_of_the_patch_discriminator_depends_on_its_patch_alone():
    """18x18 pixels: 4 + 3 * 2 after two layers, and two more of 4 pixels on each side.

    Without instance norm, whose statistics are of the whole image.
    """
    module = PatchDiscriminator(channels=(4, 8), norm="none")
    x = jax.random.normal(jax.random.key(0), (1, 28, 28, 1))
    variables = jax.jit(module.init)(jax.random.key(1), x)
    slope = jax.jit(jax.grad(lambda x: module.apply(variables, x)[0][0, 3, 3]))(x)
    rows, columns = np.nonzero(np.asarray(slope)[0, :, :, 0])
    assert rows.max() - rows.min() + 1 == columns.max() - columns.min() + 1 == 18


def test_sizes_that_can_not_be_halved_are_refused():
    module = EncoderDecoder(out_channels=1, halvings=3)
    with pytest.raises(UserError, match="28x28 pixels to be divisible by 8"):
        module.init(jax.random.key(0), jnp.zeros((1, 28, 28, 1)))
