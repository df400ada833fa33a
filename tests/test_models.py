"""Networks and their parts by hand: activations, maxout, dropout, norms."""

from functools import partial
from math import erf

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from helpers import assert_close

from ganjax.models import DISCRIMINATORS, GENERATORS
from ganjax.models.layers import ACTIVATIONS, INITIALIZERS, ConvTranspose, Norm

IMAGES = jax.random.normal(jax.random.key(9), (16, 8, 8, 1))
VALUES = np.array([-2.0, -0.5, 0.0, 1.0, 3.0], np.float32)
CURVES = {
    "relu": [0.0, 0.0, 0.0, 1.0, 3.0],
    "leaky_relu": [-0.4, -0.1, 0.0, 1.0, 3.0],
    "keras_leaky_relu": [-0.6, -0.15, 0.0, 1.0, 3.0],
    # x Φ(x): the exact form, where that of tanh has .841192 at 1.
    "gelu": [x * (1 + erf(x / 2**0.5)) / 2 for x in VALUES.tolist()],
    "tanh": [-0.9640276, -0.4621172, 0.0, 0.7615942, 0.9950548],
    "linear": [-2.0, -0.5, 0.0, 1.0, 3.0],
}


def test_activations():
    assert set(ACTIVATIONS) == set(CURVES)
    for name, expected in CURVES.items():
        actual = ACTIVATIONS[name](VALUES)
        np.testing.assert_allclose(actual, expected, rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(ACTIVATIONS["gelu"](1.0), 0.841345, atol=1e-6)


def affine(x, params):
    return np.asarray(x) @ np.asarray(params["kernel"]) + np.asarray(params["bias"])


def test_maxout_takes_the_largest_of_its_pieces():
    """Two layers of two units of three pieces each, arXiv:1302.4389, equation 1."""
    module = DISCRIMINATORS["maxout"](hidden=(2, 2), pieces=3, init_scale=0.5)
    variables = module.init(jax.random.key(0), IMAGES, train=False)
    params = variables["params"]
    x = IMAGES.reshape(16, -1)
    for layer in ("Dense_0", "Dense_1"):
        pieces = affine(x, params[layer])
        x = np.stack([pieces[:, :3].max(1), pieces[:, 3:].max(1)], axis=1)
    expected = affine(x, params["Logit_0"]["Dense_0"])[:, 0]
    actual = module.apply(variables, IMAGES, train=False)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


# --- dropout ------------------------------------------------------------------------

DROPPING = {  # options that train without dropout, with it, and the rate of each layer
    "dcgan": (
        {"channels": (8, 8), "hidden": (64,)},
        {"dropout": 0.3},
        [0.3, 0.3, 0.3],
    ),
    "mlp": ({"hidden": (64, 64)}, {"dropout": 0.3}, [0.3, 0.3]),
    "maxout": (
        {"hidden": (64, 64), "input_dropout": 0.0, "dropout": 0.0},
        {"input_dropout": 0.2, "dropout": 0.5},
        [0.2, 0.5, 0.5],
    ),
}


@pytest.mark.parametrize("name", DROPPING)
def test_dropout_drops_its_rate_and_scales_the_rest(name):
    """What enters a layer of dropout comes out as 0 or divided by 1 − rate."""
    options, dropout, rates = DROPPING[name]
    plain = DISCRIMINATORS[name](**options)
    dropping = DISCRIMINATORS[name](**options | dropout)
    variables = jax.jit(plain.init)(jax.random.key(0), IMAGES)
    seen = []

    def look(call, args, kwargs, context):
        result = call(*args, **kwargs)
        if isinstance(context.module, nn.Dropout):
            seen.append((np.asarray(args[0]), np.asarray(result)))
        return result

    def logits(module, key, train):
        rngs = {"dropout": jax.random.key(key)}
        return module.apply(variables, IMAGES, train=train, rngs=rngs)

    with nn.intercept_methods(look):
        first = logits(dropping, key=1, train=True)
    for (before, after), rate in zip(seen, rates, strict=True):
        alive = before != 0
        kept = after[alive] != 0
        error = (rate * (1 - rate) / kept.size) ** 0.5
        np.testing.assert_allclose(kept.mean(), 1 - rate, atol=4 * error)
        expected = before[alive][kept] / (1 - rate)
        np.testing.assert_allclose(after[alive][kept], expected, rtol=1e-5)
    assert (first != logits(dropping, key=2, train=True)).all()
    np.testing.assert_array_equal(first, logits(dropping, key=1, train=True))
    whole = plain.apply(variables, IMAGES, train=False)
    np.testing.assert_array_equal(logits(dropping, key=1, train=False), whole)


# --- norms --------------------------------------------------------------------------


def test_spectral_layers_have_one_as_their_largest_singular_value():
    """After enough power iterations D is the plain one with W / σ(W) for every W."""
    options = {"channels": (3, 4), "hidden": (5,), "num_classes": 3}
    plain = DISCRIMINATORS["dcgan"](**options)
    spectral = DISCRIMINATORS["dcgan"](**options, norm="spectral")
    labels = jnp.arange(16) % 3
    variables = jax.jit(spectral.init)(jax.random.key(0), IMAGES, labels=labels)
    params = variables["params"]

    def iterate(_, stats):
        variables = {"params": params, "batch_stats": stats}
        return spectral.apply(
            variables, IMAGES, labels=labels, mutable=["batch_stats"]
        )[1]["batch_stats"]

    stats = jax.jit(partial(jax.lax.fori_loop, 0, 200, iterate))(
        variables["batch_stats"]
    )

    def divide(w):
        if w.ndim == 1:
            return w
        return w / np.linalg.svd(w.reshape(-1, w.shape[-1]), compute_uv=False)[0]

    apply = jax.jit(plain.apply)
    divided = {"params": jax.tree.map(divide, params)}
    expected = apply(divided, IMAGES, labels=labels)
    variables = {"params": params, "batch_stats": stats}
    actual = spectral.apply(variables, IMAGES, train=False, labels=labels)
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4)
    undivided = apply({"params": params}, IMAGES, labels=labels)
    assert np.abs(undivided - expected).max() > 0.1  # which is some way


def test_momentum_is_the_weight_of_old_statistics():
    """From mean 0 and variance 1, by PyTorch's 0.1, which is 0.9 here, and 0.8."""
    x = 3 + 2 * jax.random.normal(jax.random.key(8), (50, 4))
    for momentum in (0.9, 0.8):
        module = Norm(momentum)
        variables = module.init(jax.random.key(0), x, train=True)
        y, new = module.apply(variables, x, train=True, mutable=["batch_stats"])
        stats = jax.device_get(new["batch_stats"]["BatchNorm_0"])
        new_weight = 1 - momentum
        np.testing.assert_allclose(stats["mean"], new_weight * x.mean(0), rtol=1e-4)
        expected = momentum + new_weight * x.var(0)
        np.testing.assert_allclose(stats["var"], expected, rtol=1e-4)
        # Training uses the statistics of the batch, sampling the running ones.
        np.testing.assert_allclose(y.std(0), 1, rtol=1e-3)
        y = module.apply(variables | new, x, train=False)
        expected = (np.asarray(x) - stats["mean"]) / np.sqrt(stats["var"] + 1e-5)
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["dcgan", "mlp"])
@pytest.mark.parametrize("table", [GENERATORS, DISCRIMINATORS])
def test_momentum_reaches_batchnorm(table, name):
    """Statistics move four times as far with 0.6 as with 0.9."""
    options = {"hidden": (5,)} | ({"channels": (4, 4)} if name == "dcgan" else {})
    inputs = IMAGES
    if table is GENERATORS:
        options |= {"image_shape": (8, 8, 1)}
        inputs = IMAGES[:, 0, :, 0]
    moves = []
    for momentum in (0.6, 0.9):
        module = table[name](**options, norm="batch", momentum=momentum)
        variables = jax.jit(module.init)(jax.random.key(0), inputs)
        apply = jax.jit(partial(module.apply, mutable=["batch_stats"]))
        _, new = apply(variables, inputs)
        old = variables["batch_stats"]
        moves.append(jax.tree.map(jnp.subtract, new["batch_stats"], old))
    assert_close(moves[0], jax.tree.map(lambda x: 4 * x, moves[1]), 1e-3, 1e-5)
    assert min(float(jnp.abs(x).max()) for x in jax.tree.leaves(moves[1])) > 1e-3


def test_an_activation_of_dense_layers_comes_before_batch_norm():
    """Dense, ReLU, BatchNorm with a large epsilon, activation: by hand."""
    module = GENERATORS["dcgan"](
        image_shape=(4, 4, 1),
        channels=(3,),
        hidden=(),
        epsilon=0.5,
        dense_activation=nn.relu,
        activation=jnp.tanh,
    )
    z = jax.random.normal(jax.random.key(1), (6, 5))
    variables = jax.jit(module.init)(jax.random.key(0), z)
    bias = jax.random.normal(jax.random.key(2), (12,))
    variables["params"]["Dense_0"]["bias"] = bias
    seen = []

    def look(call, args, kwargs, context):
        if isinstance(context.module, ConvTranspose):
            seen.append(np.asarray(args[0]))
        return call(*args, **kwargs)

    with nn.intercept_methods(look):
        module.apply(variables, z, mutable=["batch_stats"])
    x = np.maximum(affine(z, variables["params"]["Dense_0"]), 0).reshape(-1, 3)
    x = (x - x.mean(0)) / np.sqrt(x.var(0) + 0.5)
    expected = np.tanh(x).reshape(6, 2, 2, 3)
    np.testing.assert_allclose(seen[0], expected, rtol=1e-4, atol=1e-5)


# Standard deviation of kernels from the number of inputs and outputs of a neuron:
# arXiv:1502.01852, equation 10, and Glorot and Bengio (2010), equation 16. The last
# layer of a discriminator has no activation behind it.
SPREAD = {
    "he_normal": lambda i, o, last: (1 / i if last else 2 / i) ** 0.5,
    "glorot_uniform": lambda i, o, last: (2 / (i + o)) ** 0.5,
}


@pytest.mark.parametrize("name", INITIALIZERS)
def test_kernels_start_with_the_spread_of_their_initializer(name):
    init = INITIALIZERS[name]
    networks = {
        GENERATORS["dcgan"](image_shape=(8, 8, 1), kernel_init=init): (16, 64),
        DISCRIMINATORS["dcgan"](kernel_init=init): IMAGES.shape,
    }
    assert SPREAD.keys() == INITIALIZERS.keys()
    for module, shape in networks.items():
        init = jax.jit(module.init)
        params = init(jax.random.key(0), jnp.zeros(shape))["params"]
        for path, kernel in jax.tree_util.tree_leaves_with_path(params):
            if kernel.ndim == 1:
                continue
            area = kernel[..., 0, 0].size
            inputs, outputs = (area * n for n in kernel.shape[-2:])
            last = "Logit" in jax.tree_util.keystr(path)
            expected = SPREAD[name](inputs, outputs, last)
            error = 3 / (2 * kernel.size) ** 0.5  # three standard errors, relative
            np.testing.assert_allclose(np.std(kernel), expected, rtol=error)
            if name == "glorot_uniform":
                assert np.abs(kernel).max() <= 3**0.5 * expected
