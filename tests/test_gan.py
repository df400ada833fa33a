"""From config to GAN: lookups, and values and combinations that are refused."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import small_config

import ganjax
from ganjax.gans import make_gan
from ganjax.losses import LOSSES


def test_equal_configs_give_equal_gans():
    assert make_gan(small_config()) == make_gan(small_config())
    assert hash(make_gan(small_config())) == hash(make_gan(small_config()))
    assert make_gan(small_config()) != make_gan(small_config(loss="hinge"))


def test_equal_gans_share_compiled_programs():
    gans = [make_gan(small_config(label_flip=0.125)) for _ in range(2)]
    batch = np.zeros((8, 28, 28, 1), np.uint8)
    state = ganjax.init_state(gans[0], jax.random.key(0))
    before = ganjax.d_step._cache_size()
    for gan in gans:
        ganjax.d_step(gan, state, batch)
    assert ganjax.d_step._cache_size() == before + 1


FALLING_BELOW = {"name": "linear", "start": 1.0, "end": -1.0}


@pytest.mark.parametrize(
    "change,message",
    [
        ({"loss": "huber"}, "config.loss='huber': expected one of hinge, "),
        ({"n_dis": -1}, "config.n_dis=-1: expected an integer >= 1"),
        ({"penalties__r1_r2": -1.0}, "r1_r2=-1.0: expected a number >= 0"),
        (
            {"prior__distribution": "cauchy"},
            "prior.distribution='cauchy': expected one of normal, sphere, uniform",
        ),
        ({"generator__output": "relu"}, "expected one of linear, sigmoid, tanh"),
        (
            {"d_optimizer__learning_rate": 0.0},
            "learning_rate=0.0: expected a number > 0",
        ),
        (
            {"discriminator__norm": "batch"},
            "norm='batch': expected 'none' or 'spectral' with",
        ),
        ({"discriminator__norm": "layer"}, "expected one of batch, none, spectral"),
        (
            {"generator__norm": "spectral"},
            "generator.norm='spectral': expected one of batch, none",
        ),
        ({"generator__activation": "swish"}, "expected one of gelu, keras_leaky_relu"),
        ({"conv": "fft"}, "config.conv='fft': expected one of auto, library"),
        ({"generator__stride": 0}, "generator.stride=0: expected an integer >= 1"),
        ({"discriminator__hidden": (8, 0)}, "hidden=0: expected an integer >= 1"),
        ({"discriminator__dropout": 1.5}, "dropout=1.5: expected a number >= 0 and <"),
        ({"penalties__r1": FALLING_BELOW}, "r1.end=-1.0: expected a number >= 0"),
    ],
)
def test_bad_values_are_refused_before_anything_compiles(change, message):
    with pytest.raises(ganjax.UserError, match=message):
        make_gan(small_config(**change))


def test_clipping_and_a_penalty_exclude_each_other():
    config = small_config(d_optimizer__clip_weights=0.01)
    with pytest.raises(
        ganjax.UserError, match="clip_weights=0.01: expected 0 with config.penalties"
    ):
        make_gan(config)
    config.penalties.r1_r2 = 0.0
    assert make_gan(config).penalties == ()


def test_penalty_of_weight_zero_is_none():
    config = small_config(penalties__r1_r2=0.0, discriminator__norm="batch")
    assert make_gan(config).penalties == ()


def test_a_replaced_loss_makes_another_gan(monkeypatch):
    """As when a notebook cell that defines a loss is run again."""
    before = make_gan(small_config())
    zero = LOSSES["relativistic"]._replace(g=lambda real, fake: 0 * fake)
    with monkeypatch.context() as notebook:
        notebook.setitem(LOSSES, "relativistic", zero)
        assert make_gan(small_config()).loss.g is zero.g
        assert make_gan(small_config()) != before
    assert make_gan(small_config()) == before
    assert before.loss.g is LOSSES["relativistic"].g


def test_seed_cadences_and_place_of_data_do_not_change_the_gan():
    other = {"seed": 3, "log_every": 7, "num_steps": 5, "data__data_dir": "elsewhere"}
    assert make_gan(small_config()) == make_gan(small_config(**other))


def test_a_mapping_replaces_a_number_or_all_options():
    fall = {"name": "linear", "start": 1.0, "end": 0.0}
    config = small_config(penalties__r1_r2=fall, d_optimizer={"name": "sgd"})
    gan = make_gan(small_config(penalties__r1_r2=fall, num_steps=10))
    ((name, _, weight),) = gan.penalties
    assert (name, float(weight(jnp.int32(5)))) == ("r1_r2", 0.5)
    assert config.d_optimizer.to_dict() == {"name": "sgd"}
    with pytest.raises(
        ganjax.UserError, match="config.penalties.r3: expected one of the fields"
    ):
        small_config(penalties__r3=fall)
    for field, value in (("seed.x", fall), ("seed.x", True), ("seed.x.y", 1.0)):
        with pytest.raises(ganjax.UserError, match=f"config.{field}: expected one of"):
            ganjax.load_config("mnist", {field: value})


def test_unknown_fields_of_networks_are_named():
    config = small_config().unlock()
    config.generator.widht = 3
    with pytest.raises(
        ganjax.UserError, match="config.generator='widht': .* activation"
    ):
        make_gan(config)


@pytest.mark.parametrize(
    "change,message",
    [
        ({"generator__channels": ()}, "config.generator.channels="),
        ({"discriminator__channels": ()}, "config.discriminator.channels="),
        ({"generator__kernel": 1}, "expected at least stride="),
        ({"generator__output_kernel": 1}, "expected at least stride="),
        ({"discriminator__stride": 5}, "expected at least stride="),
        ({"data__image_shape": (28, 28)}, "expected height, width and channels"),
        (
            {"generator__channels": (8, 4, 4)},
            "expected height and width divisible by 8",
        ),
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
        params = {"params": ganjax.init_state(gan, jax.random.key(0)).d.params}
        logits[conv] = gan.discriminator.apply(params, images)
    np.testing.assert_allclose(*logits.values(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "change,message",
    [
        ({"label_smoothing": float("nan")}, "label_smoothing=nan: expected a number"),
        ({"prior": {"z_dim": None}}, "prior.z_dim=None: expected an integer"),
        ({"updates": "simultaneous", "n_dis": 2}, "config.n_dis=2: expected 1"),
        ({"label_flip": 1.5}, "label_flip=1.5: expected a number >= 0 and <= 1"),
        ({"instance_noise": -0.1}, "instance_noise=-0.1: expected a number >= 0"),
    ],
)
def test_numbers_out_of_range_are_refused(change, message):
    with pytest.raises(ganjax.UserError, match=message):
        make_gan(small_config(**change))
