"""From config to Gan: lookups, contradictions, and what surrounds an optimiser."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import small_config
from jax.nn import softplus

import ganjax
from ganjax.gan import make_gan, optimizer, schedule
from ganjax.losses import LOSSES


def test_equal_configs_give_the_same_object():
    assert make_gan(small_config()) is make_gan(small_config())
    assert make_gan(small_config()) is not make_gan(small_config(loss="hinge"))


FALLING_BELOW = {"name": "linear", "init_value": 1.0, "end_value": -1.0}
FALLING_BELOW |= {"transition_steps": 10}


@pytest.mark.parametrize(
    "change,message",
    [
        ({"loss": "huber"}, "config.loss = 'huber' is unknown; choose from: hinge, "),
        ({"n_dis": -1}, "config.n_dis = -1 must be at least 1"),
        ({"penalties__r1_r2": -1.0}, "r1_r2 = -1.0 must not be negative"),
        ({"prior": "cauchy"}, "choose from: normal, sphere, uniform"),
        ({"generator__output": "relu"}, "choose from: linear, sigmoid, tanh"),
        ({"d_optimizer__learning_rate": 0.0}, "learning_rate = 0.0 must be positive"),
        (
            {"discriminator__norm": "batch"},
            "must not be 'batch' with a gradient penalty",
        ),
        ({"discriminator__norm": "layer"}, "choose from: batch, none, spectral"),
        ({"generator__norm": "spectral"}, "generator.norm = 'spectral' is unknown"),
        ({"generator__activation": "swish"}, "choose from: gelu, keras_leaky_relu"),
        ({"conv": "fft"}, "config.conv = 'fft' is unknown"),
        ({"generator__stride": 0}, "generator.stride = 0 must be at least 1"),
        ({"discriminator__hidden": (8, 0)}, "hidden = 0 must be at least 1"),
        ({"discriminator__dropout": 1.5}, "dropout = 1.5 must be below 1"),
        ({"penalties__r1": FALLING_BELOW}, "end_value = -1.0 must not be negative"),
    ],
)
def test_bad_values_are_refused_before_anything_compiles(change, message):
    with pytest.raises(ganjax.UserError, match=message):
        make_gan(small_config(**change))


def test_clipping_contradicts_a_penalty():
    config = small_config(d_optimizer__clip_weights=0.01)
    with pytest.raises(ganjax.UserError, match="clip_weights contradicts"):
        make_gan(config)
    config.penalties.r1_r2 = 0.0
    assert make_gan(config).penalties == ()


def test_penalty_of_weight_zero_is_none():
    config = small_config(penalties__r1_r2=0.0, discriminator__norm="batch")
    assert make_gan(config).penalties == ()


def test_a_loss_that_was_replaced_makes_another_gan(monkeypatch):
    """A notebook defines its own loss anew until it likes it."""
    before = make_gan(small_config())
    zero = LOSSES["relativistic"]._replace(g=lambda real, fake: 0 * fake)
    with monkeypatch.context() as notebook:
        notebook.setitem(LOSSES, "relativistic", zero)
        assert make_gan(small_config()).loss.g is zero.g
        assert make_gan(small_config()) is make_gan(small_config())
    assert make_gan(small_config()) is before
    assert before.loss.g is LOSSES["relativistic"].g


def test_seed_cadence_and_place_of_data_make_no_other_gan():
    other = {"seed": 3, "log_every": 7, "num_steps": 5, "data__data_dir": "elsewhere"}
    assert make_gan(small_config()) is make_gan(small_config(**other))


def test_smoothing_and_weights_go_together():
    """Target .9 on reals, whatever the weights of the halves."""
    gan = make_gan(
        small_config(
            **{"loss": "non_saturating", "label_smoothing": 0.1},
            d_weights=(0.9, 0.2),
        )
    )
    real, fake = jnp.array([0.7]), jnp.array([-0.4])
    expected = 0.9 * (0.9 * softplus(-0.7) + 0.1 * softplus(0.7)) + 0.2 * softplus(-0.4)
    np.testing.assert_allclose(gan.loss.d(real, fake), [expected], rtol=1e-6)


def test_a_mapping_replaces_a_number_or_all_options():
    fall = {"name": "linear", "init_value": 1.0, "end_value": 0.0}
    fall |= {"transition_steps": 10}
    config = small_config(penalties__r1_r2=fall, d_optimizer={"name": "sgd"})
    ((name, _, weight),) = make_gan(small_config(penalties__r1_r2=fall)).penalties
    assert (name, float(weight(5))) == ("r1_r2", 0.5)
    assert config.d_optimizer.to_dict() == {"name": "sgd"}
    with pytest.raises(ganjax.UserError, match="config.penalties.r3 is unknown"):
        small_config(penalties__r3=fall)


def test_unknown_fields_of_players_and_optimisers_are_named():
    with pytest.raises(ganjax.UserError, match="unexpected keyword argument 'beta'"):
        optimizer({"name": "adam", "learning_rate": 1.0, "beta": 0.5}, "config.x")
    config = small_config().unlock()
    config.generator.widht = 3
    with pytest.raises(ganjax.UserError, match="'widht' is unknown; choose from: act"):
        make_gan(config)


def step(spec, params, grads):
    tx = optimizer(spec, "config.x")
    updates, _ = tx.update(grads, tx.init(params), params)
    return params + updates


def test_what_surrounds_an_optimiser():
    params, grads = jnp.array([3.0, -0.2]), jnp.array([3.0, 4.0])
    sgd = {"name": "sgd", "learning_rate": 0.1}
    np.testing.assert_allclose(step(sgd, params, grads), [2.7, -0.6], rtol=1e-6)
    # L2 enters the gradient: g + λp.
    decayed = step(sgd | {"weight_decay": 0.5}, params, grads)
    np.testing.assert_allclose(decayed, [2.55, -0.59], rtol=1e-6)
    # A norm of 5 is cut to 1.
    cut = step(sgd | {"max_grad_norm": 1.0}, params, grads)
    np.testing.assert_allclose(cut, [2.94, -0.28], rtol=1e-6)
    # The cut is of the loss's gradient, as in PyTorch; decay comes on top.
    both = step(sgd | {"max_grad_norm": 1.0, "weight_decay": 0.5}, params, grads)
    np.testing.assert_allclose(both, [2.79, -0.27], rtol=1e-6)
    # Weights end inside ±.25, wherever they were.
    clipped = step(sgd | {"clip_weights": 0.25}, params, grads)
    np.testing.assert_allclose(clipped, [0.25, -0.25], rtol=1e-6)


def test_schedules_are_data():
    fall = schedule(
        {"name": "linear", "init_value": 1.0, "end_value": 0.0}
        | {"transition_steps": 10},
        "config.x",
    )
    np.testing.assert_allclose([fall(0), fall(5), fall(20)], [1.0, 0.5, 0.0], atol=1e-6)
    with pytest.raises(ganjax.UserError, match="config.x.name = 'zigzag' is unknown"):
        schedule({"name": "zigzag"}, "config.x")


def test_schedules_of_both_players_end_together():
    """A rate over 4 steps, of one update each and of two."""
    rate = {"name": "linear", "init_value": 1.0, "end_value": 0.0}
    spec = {"name": "sgd", "learning_rate": rate | {"transition_steps": 4}}
    for updates, expected in ((1, [1, 0.75, 0.5]), (2, [1, 1, 0.75, 0.75, 0.5, 0.5])):
        tx = optimizer(spec, "config.x", updates)
        state, moves = tx.init(jnp.zeros(1)), []
        for _ in expected:
            move, state = tx.update(jnp.ones(1), state)
            moves.append(-float(move[0]))
        np.testing.assert_allclose(moves, expected, rtol=1e-6)
    gan = make_gan(small_config(n_dis=2, d_optimizer=spec))
    state = gan.d_tx.init(jnp.zeros(1))
    for expected in (1, 1, 0.75):
        move, state = gan.d_tx.update(jnp.ones(1), state)
        np.testing.assert_allclose(move, [-expected], rtol=1e-6)


@pytest.mark.parametrize(
    "change,message",
    [
        ({"generator__channels": ()}, "config.generator: channels"),
        ({"discriminator__channels": ()}, "config.discriminator: channels"),
        ({"generator__kernel": 1}, "not be smaller than stride"),
        ({"generator__output_kernel": 1}, "not be smaller than stride"),
        ({"discriminator__stride": 5}, "not be smaller than stride"),
        ({"generator__channels": (8, 4, 4)}, "28x28 images can't shrink 3 times"),
    ],
)
def test_networks_that_do_not_fit_are_refused(change, message):
    gan = make_gan(small_config(**change))
    with pytest.raises(ganjax.UserError, match=message):
        ganjax.init_state(gan, jax.random.key(0))


@pytest.mark.parametrize("conv", ["matmul", "library"])
def test_bfloat16_reaches_as_many_products_under_spectral_norm(conv):
    images = np.zeros((4, 28, 28, 1), np.uint8)
    products = {}
    for norm in ("none", "spectral"):
        options = {"dtype": "bfloat16", "conv": conv, "discriminator__norm": norm}
        gan = make_gan(small_config(**options))
        state = ganjax.init_state(gan, jax.random.key(0))
        program = str(jax.make_jaxpr(lambda s: ganjax.d_step(gan, s, images))(state))  # noqa: B023
        products[norm] = len(re.findall(r":bf16\S* = (?:dot|conv)_general", program))
    assert products["spectral"] >= products["none"] > 10


def test_discriminators_need_not_halve_evenly():
    """28 -> 14 -> 7 -> 4 pixels, by either implementation of the same mathematics."""
    deep = {"discriminator__channels": (4, 4, 8)}
    images = jax.random.normal(jax.random.key(1), (3, 28, 28, 1))
    logits = {}
    for conv in ("matmul", "library"):
        gan = make_gan(small_config(**deep, conv=conv))
        params = {"params": ganjax.init_state(gan, jax.random.key(0)).d_params}
        logits[conv] = gan.discriminator.apply(params, images)
    np.testing.assert_allclose(*logits.values(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "change,message",
    [
        ({"data__image_shape": (28, 28)}, "must be height, width, channels"),
        ({"label_flip": 1.5}, "label_flip = 1.5 is a share: at most 1"),
        ({"instance_noise": -0.1}, "instance_noise = -0.1 must be at least 0"),
        ({"d_warmup": 5, "g_warmup": 5}, "would hold both players: choose one"),
    ],
)
def test_bad_shares_and_warm_ups_are_refused(change, message):
    with pytest.raises(ganjax.UserError, match=message):
        make_gan(small_config(**change))


def test_config_of_another_version_is_named_as_such():
    config = small_config().unlock()
    del config["label_flip"]
    with pytest.raises(ganjax.UserError, match="config.label_flip is missing"):
        make_gan(config)
