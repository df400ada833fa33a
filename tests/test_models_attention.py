"""Self-attention: against NumPy, at its start, with spectral norm, where it applies."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import (
    assert_identical,
    relative_error,
    small_sgd_gan,
    step_on_one_and_on_two_devices,
)
from test_models_resnet import IMAGES, Z, count, randomized, shapes

import ganjax
from ganjax.errors import UserError
from ganjax.models import DISCRIMINATORS, GENERATORS
from ganjax.models.attention import SelfAttention, max_pool

INIT = jax.nn.initializers.he_normal()
X = jax.random.normal(jax.random.key(4), (2, 4, 6, 16))


def attention(x, kernels, gamma):
    """arXiv:1805.08318, equations 1 to 3, with the authors' pooling; pixel by pixel."""
    f, g, h, o = kernels  # of keys, queries, values and outputs
    y = np.array(x)
    for b in range(len(x)):
        squares = [
            (slice(i, i + 2), slice(j, j + 2))
            for i in range(0, x.shape[1], 2)
            for j in range(0, x.shape[2], 2)
        ]
        keys = np.array([(x[b][s] @ f).max((0, 1)) for s in squares])
        values = np.array([(x[b][s] @ h).max((0, 1)) for s in squares])
        for i, j in np.ndindex(x.shape[1:3]):
            weights = np.exp(keys @ (x[b, i, j] @ g))
            y[b, i, j] += gamma * (weights / weights.sum()) @ values @ o
    return y


def test_attention_by_hand():
    x = X[:, :3]  # of an odd height
    module = SelfAttention("none", INIT)
    variables = randomized(
        jax.jit(partial(module.init, train=True))(jax.random.key(0), x)
    )
    params = jax.tree.map(np.asarray, variables["params"])
    queries, keys, values, outputs = (params[f"Dense_{i}"]["kernel"] for i in range(4))
    assert queries.shape == keys.shape == (16, 2) and values.shape == (16, 8)
    kernels = keys, queries, values, outputs
    expected = attention(np.asarray(x, np.float64), kernels, params["gamma"])
    actual = module.apply(variables, x, True)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)
    assert np.abs(actual - x).max() > 0.1


def test_maxima_of_odd_sizes():
    x = jnp.arange(15.0).reshape(1, 3, 5, 1) - 20
    np.testing.assert_array_equal(
        max_pool(x)[0, :, :, 0], [[-14, -12, -11], [-9, -7, -6]]
    )


@pytest.mark.parametrize(
    "player", ["generator", pytest.param("discriminator", marks=pytest.mark.long)]
)
def test_networks_with_attention_start_as_those_without(player):
    if player == "generator":
        make, inputs, height = GENERATORS["resnet"], Z, 4
        options = {"image_shape": (8, 8, 2), "channels": (8, 8, 4)}
    else:
        make, inputs, height = DISCRIMINATORS["resnet"], IMAGES, 4
        options = {"channels": (8, 8), "blocks": (8,)}
    outputs = {}
    for attention in (0, height):
        module = make(**options, attention=attention)
        variables = jax.jit(module.init)(jax.random.key(0), inputs)
        apply = jax.jit(partial(module.apply, train=False))
        outputs[attention] = apply(variables, inputs)
    assert_identical(outputs[0], outputs[height])
    params = variables["params"]
    assert params["SelfAttention_0"]["gamma"] == 0
    added = 2 * 8 * 1 + 8 * 4 + 4 * 8 + 1  # by hand: f and g, h, output, gamma
    assert count(module, inputs) - count(make(**options), inputs) == added
    params["SelfAttention_0"]["gamma"] = jnp.float32(1)
    changed = apply(variables, inputs)
    assert jnp.abs(changed - outputs[0]).max() > 1e-4


def test_spectral_norm_applies_to_all_kernels():
    """Kernels times 10 change nothing after the iterations have converged."""
    module = SelfAttention("spectral", INIT)
    variables = jax.jit(partial(module.init, train=True))(jax.random.key(0), X)
    variables["params"]["gamma"] = jnp.float32(1)

    @jax.jit
    def iterate(variables):
        y, new = module.apply(variables, X, True, mutable=["batch_stats"])
        return y, variables | new

    def converged(variables):
        for _ in range(200):
            y, variables = iterate(variables)
        return y

    expected = converged(variables)
    kernels = [name for name in variables["params"] if name.startswith("Dense")]
    assert len(kernels) == 4
    scaled = jax.tree.map(lambda p: 10 * p if p.ndim else p, variables["params"])
    np.testing.assert_allclose(
        converged(variables | {"params": scaled}), expected, rtol=1e-3, atol=1e-3
    )
    plain = SelfAttention("none", INIT)
    assert jnp.abs(plain.apply({"params": scaled}, X, True) - expected).max() > 1


def test_spectral_generator_normalizes_every_kernel():
    """SAGAN's G (arXiv:1805.08318, section 4.1): dense, 3x3, 1x1, attention, output."""
    module = GENERATORS["resnet"](
        image_shape=(8, 8, 2), channels=(8, 4), spectral=True, attention=4
    )
    _, variables = shapes(module, jnp.zeros((2, 6)))
    kernels = [
        path
        for path, _ in jax.tree_util.tree_leaves_with_path(variables["params"])
        if path[-1].key == "kernel"
    ]
    paths = jax.tree_util.tree_leaves_with_path(variables["batch_stats"])
    sigmas = [path for path, _ in paths if "sigma" in jax.tree_util.keystr(path)]
    assert len(sigmas) == len(kernels) == 1 + 3 + 4 + 1


@pytest.mark.parametrize(
    "module,inputs,message",
    [
        (
            GENERATORS["resnet"](
                image_shape=(28, 28, 1), channels=(8,) * 3, attention=4
            ),
            jnp.zeros((2, 6)),
            r"config.generator.attention=4: expected 0 or .* feature map: 7, 14, 28",
        ),
        (
            DISCRIMINATORS["resnet"](channels=(8, 8), attention=28),
            jnp.zeros((2, 28, 28, 1)),
            r"config.discriminator.attention=28: expected 0 or .* feature map: 14, 7",
        ),
    ],
)
def test_other_heights_are_refused(module, inputs, message):
    with pytest.raises(UserError, match=message):
        shapes(module, inputs)


@pytest.mark.long
def test_two_devices_train_as_one():
    """BatchNorm, spectral norm and attention in both networks, two steps."""
    g = {"name": "resnet", "channels": (8, 4), "spectral": True, "attention": 4}
    d = {"name": "resnet", "channels": (8,), "blocks": (), "attention": 4}
    gan = small_sgd_gan(
        data__image_shape=(8, 8, 1),
        generator=g,
        discriminator=d,
        loss="hinge",
        penalties__r1_r2=0.0,
    )
    state = ganjax.init_state(gan, jax.random.key(0))
    batch = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 1), np.uint8)
    one, two = step_on_one_and_on_two_devices(gan, state, batch, steps=2)
    for player in ("g", "d"):
        before, a, b = (getattr(x, player) for x in (state, one, two))
        moved = jax.tree.map(jnp.subtract, a.params, before.params)
        again = jax.tree.map(jnp.subtract, b.params, before.params)
        assert relative_error(again, moved) < 1e-3
        assert relative_error(b.batch_stats, a.batch_stats) < 1e-4
        assert moved["SelfAttention_0"]["gamma"] != 0
