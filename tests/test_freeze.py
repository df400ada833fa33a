"""Layers that are not trained."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import (
    assert_close,
    assert_identical,
    changed,
    small_config,
    smallest_config,
    step_on_one_and_on_two_devices,
)

import ganjax
from ganjax.gans.freeze import layers
from ganjax.optim import make_optimizer
from ganjax.state import abstract_state

# For images of 8x8 pixels, with their layers but for the last.
NETWORKS = {
    "dcgan": ({"channels": (2, 3), "hidden": (5,)}, ["Conv_0", "Conv_1", "Dense_0"]),
    "mlp": ({"hidden": (5, 4)}, ["Dense_0", "Dense_1"]),
    "maxout": ({"hidden": (3, 2)}, ["Dense_0", "Dense_1"]),
    "resnet": ({"channels": (2,), "norm": "none"}, ["DownBlock_0", "DownBlock_1"]),
}
SGD = {"name": "sgd", "learning_rate": 0.1}


def config(discriminator, freeze=0, **overrides):
    """A GAN with the smallest generator."""
    settings = {
        "data__image_shape": (8, 8, 1),
        "loss": "hinge",
        "penalties": {},
        "discriminator": discriminator,
        "d_optimizer": {"name": "adam", "learning_rate": 0.1, "freeze": freeze},
    }
    return smallest_config(**settings | overrides)


@pytest.mark.parametrize("name", NETWORKS)
def test_frozen_layers_stay_and_the_others_change(name):
    options, expected = NETWORKS[name]
    num = len(expected) - 1
    gan = ganjax.make_gan(config({"name": name} | options, freeze=num))
    assert gan.d_optimizer.frozen == tuple(expected[:num])
    assert layers(gan)[1] == [[layer] for layer in [*expected, "Logit_0"]]
    before = state = ganjax.init_state(gan, jax.random.key(0))
    images = np.random.default_rng(0).integers(0, 256, (3, 4, 8, 8, 1), np.uint8)
    for batch in images:
        state, _ = ganjax.d_step(gan, state, batch)
    assert int(state.d.updates) == 3
    for layer, params in before.d.params.items():
        after = state.d.params[layer]
        if layer in expected[:num]:
            assert_identical(after, params)
        else:
            assert changed(after, params)


def test_layers_are_in_the_order_of_the_call_and_take_their_normalization_along():
    pair = {
        "generator": {"name": "dcgan", "hidden": (8,), "channels": (4, 2)},
        "discriminator": {"name": "dcgan", "norm": "batch", "hidden": (8,)},
        "penalties": {},
        "num_classes": 3,
    }
    gan = ganjax.make_gan(small_config(**pair, g_optimizer__freeze=2))
    assert layers(gan) == (
        [
            ["WithLabel_0"],
            ["Dense_0", "Norm_0"],
            ["Dense_1", "Norm_1"],
            ["ConvTranspose_0", "Norm_2"],
            ["ConvTranspose_1"],
        ],
        [["Conv_0"], ["Conv_1", "Norm_0"], ["Dense_0", "Norm_1"], ["Logit_0"]],
    )
    # Those of G nearest the image are its last.
    assert gan.g_optimizer.frozen == ("ConvTranspose_0", "Norm_2", "ConvTranspose_1")
    assert gan.d_optimizer.frozen == ()
    parts = gan.g_optimizer.label(abstract_state(gan).g.params)
    stay = {name for name, part in parts.items() if part == "freeze"}
    assert stay == set(gan.g_optimizer.frozen) and len(parts) == 8


def test_spectral_normalization_does_not_change_which_layers_there_are():
    spectral = {"name": "resnet", "channels": (2, 3), "norm": "spectral", "blocks": ()}
    gan = ganjax.make_gan(config(spectral, freeze=1))
    assert gan.d_optimizer.frozen == ("DownBlock_0",)


def test_frozen_gradients_do_not_count_and_frozen_weights_are_not_clipped():
    """A norm of 5 without the frozen 12, cut to 1; decay and clipping of the rest."""
    spec = SGD | {"max_grad_norm": 1.0, "weight_decay": 0.5, "clip_weights": 2.9}
    network = {"name": "mlp", "hidden": (5,)}
    gan = ganjax.make_gan(config(network, d_optimizer=spec | {"freeze": 1}))
    tx = gan.d_optimizer.transformation()
    params = {"Dense_0": jnp.array([7.0]), "Logit_0": jnp.array([3.0, -0.2])}
    grads = {"Dense_0": jnp.array([12.0]), "Logit_0": jnp.array([3.0, 4.0])}
    updates, _ = tx.update(grads, tx.init(params), params)
    np.testing.assert_array_equal(updates["Dense_0"], [0.0])
    # 3 - 0.1 (3/5 + 0.5 · 3) = 2.79; -0.2 - 0.1 (4/5 - 0.5 · 0.2) = -0.27
    np.testing.assert_allclose(updates["Logit_0"], [-0.21, -0.07], rtol=1e-5)
    # Adam keeps no averages of what does not change.
    gan = ganjax.make_gan(config(network, freeze=2))
    shapes = [x.shape for x in jax.tree.leaves(abstract_state(gan).d.opt_state)]
    assert shapes == [()]


def test_zero_freezes_nothing_and_is_the_same_gan():
    plain = smallest_config()
    assert plain.d_optimizer.freeze == 0
    with_field = ganjax.make_gan(plain)
    without = plain.to_dict()
    del without["d_optimizer"]["freeze"], without["g_optimizer"]["freeze"]
    assert ganjax.make_gan(without) == with_field


@pytest.mark.parametrize(
    "network,num,message",
    [
        ("dcgan", 5, "at most 4, .* discriminator \\(Conv_0, Conv_1, Dense_0, Logit_0"),
        ("maxout", 4, "at most 3, .* discriminator \\(Dense_0, Dense_1, Logit_0\\)$"),
        ("mlp", -1, "an integer >= 0 and <= 100"),
    ],
)
def test_impossible_numbers_of_layers_are_refused(network, num, message):
    options, _ = NETWORKS[network]
    with pytest.raises(
        ganjax.UserError, match=f"^config.d_optimizer.freeze={num}: expected {message}"
    ):
        ganjax.make_gan(config({"name": network} | options, freeze=num))


def test_other_gans_and_optimizers_without_a_gan_are_refused():
    cyclegan = ganjax.load_config("cyclegan", {"d_optimizer.freeze": 1})
    message = "^config.d_optimizer.freeze=1: expected .* config.gan='standard', got Cyc"
    with pytest.raises(ganjax.UserError, match=message):
        ganjax.make_gan(cyclegan)
    tx = make_optimizer(SGD | {"freeze": 1}, "config.x").transformation()
    with pytest.raises(ValueError, match="^freeze=1: expected a GAN from make_gan$"):
        tx.init({"Dense_0": jnp.zeros(1)})


def test_two_devices_train_as_one_with_frozen_layers_and_other_networks():
    network = {"name": "mlp", "hidden": (5, 4)}
    gan = ganjax.make_gan(
        config(network, d_optimizer=SGD | {"freeze": 1}, g_optimizer=SGD)
    )
    new, other = (ganjax.init_state(gan, jax.random.key(i)) for i in (1, 2))
    state, rest = ganjax.init_from(new, other)
    assert rest == []
    images = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 1), np.uint8)
    one, two = step_on_one_and_on_two_devices(gan, state, images)
    assert_close((two.g, two.d), (one.g, one.d), rtol=1e-4, atol=1e-6)
    for trained in (one, two):
        same = other.d.params["Dense_0"]
        np.testing.assert_array_equal(
            trained.d.params["Dense_0"]["kernel"], same["kernel"]
        )
        assert changed(trained.d.params["Dense_1"], other.d.params["Dense_1"])
