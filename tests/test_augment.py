"""Augmentation in the training step: D∘T, its penalties, ADA's state."""

import contextlib
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import (
    assert_close,
    assert_identical,
    small_gan,
    small_sgd_gan,
    smallest_config,
    step_on_one_and_on_two_devices,
)
from test_steps import BATCHES, DENSE

import ganjax
from ganjax.augment import STATE, Augment, Bound, mean_sign
from ganjax.checkpoint import Checkpoints
from ganjax.losses import LOSSES
from ganjax.networks import discriminate
from ganjax.options import build, option_names
from ganjax.resume import restore_or_init, save
from ganjax.steps import D_TAGS, G_TAGS, update_keys
from ganjax.train import Run, run_metadata
from ganjax.transformations import draw, transform

PLAIN = {**DENSE, "loss": "non_saturating"}


def state_of(probability, signs=0.0, updates=0.0):
    values = {"probability": probability, "signs": signs, "updates": updates}
    return {name: jnp.float32(value) for name, value in values.items()}


def new_state(gan):
    return ganjax.init_state(gan, jax.random.key(0))


def test_both_players_see_transformed_images():
    """Losses, the penalty and G's gradient by hand, through D(T(x)).

    The penalty is that of x ↦ D(T(x)) at the image before its transformation.
    """
    gan = small_gan(**PLAIN, augment__probability=0.7)
    state = new_state(gan)
    real, fake = (gan.normalize(jnp.asarray(batch)) for batch in BATCHES)
    amounts, key = Augment().amounts, jax.random.key(1)

    def expected(tags):
        keys = update_keys(state.key, state.d.updates, tags)
        pair_key = jax.random.split(jax.random.fold_in(keys.noise, 2))
        draws = [draw(k, 8) for k in pair_key]

        def d(x, i):
            seen = transform(x, draws[i], 0.7, amounts, gan.pixel_range)
            network = gan.discriminator, gan.dtype, state.d.variables
            return discriminate(*network, seen, None, key)[0]

        real_logits, fake_logits = d(real, 0), d(fake, 1)
        slopes = (jax.grad(lambda x, i=i: d(x, i).sum())(x)
                  for i, x in enumerate((real, fake)))  # fmt: skip
        penalty = sum((slope**2).sum() for slope in slopes) / 8 / 2
        d_loss = jax.nn.softplus(-real_logits) + jax.nn.softplus(fake_logits)
        g_slope = jax.grad(lambda x: jax.nn.softplus(-d(x, 1)).mean())(fake)
        return d_loss.mean(), penalty, g_slope

    d_loss, penalty, _ = jax.jit(expected, static_argnums=0)(D_TAGS)
    _, metrics = ganjax.d_step(gan, state, real, fake)
    np.testing.assert_allclose(metrics["d_loss"], d_loss, rtol=1e-5)
    np.testing.assert_allclose(metrics["r1_r2"], penalty, rtol=1e-5)
    _, plain = ganjax.d_step(small_gan(**PLAIN), state, real, fake)
    assert abs(plain["d_loss"] / d_loss - 1) > 1e-3
    assert abs(plain["r1_r2"] / penalty - 1) > 1e-3

    _, _, g_slope = jax.jit(expected, static_argnums=0)(G_TAGS)
    keys = update_keys(state.key, state.g.updates, G_TAGS)
    actual = jax.jit(jax.grad(
        lambda x: gan.g_loss(state.d.variables, real, x, keys, state.step)[0]
    ))(fake)  # fmt: skip
    np.testing.assert_allclose(actual, g_slope, rtol=1e-4, atol=1e-7)
    assert float(jnp.abs(g_slope).max()) > 1e-3


def test_a_training_step_at_probability_0_is_that_without_augmentation():
    """The probability of ADA is 0 at first; in 2**31 images it does not rise."""
    off = small_sgd_gan(**DENSE)
    ada = small_sgd_gan(**DENSE, augment__target=0.9, augment__rise=2**31 - 1)
    state, adapted = new_state(off), new_state(ada)
    batches = BATCHES[:1]
    for _ in range(2):
        state, metrics = ganjax.train_step(off, state, batches)
        adapted, more = ganjax.train_step(ada, adapted, batches)
    assert set(more) - set(metrics) == {"augment_probability", "d_real_sign"}
    assert_identical(adapted.g, state.g)
    assert_identical(adapted.g_ema, state.g_ema)
    assert_identical(adapted.d.params, state.d.params)
    assert_identical(metrics, {name: more[name] for name in metrics})


# --- ADA ----------------------------------------------------------------------------


def test_sign_of_real_logits_by_hand():
    """Relativistic losses leave the level of the logits open: from the fakes' mean."""
    logits = jnp.array([2.0, 0.25, -1.0, 5.0]), jnp.array([1.0, 2.0, 0.0, 9.0])
    for loss, expected in (
        ("non_saturating", (1 + 1 - 1 + 1) / 4),
        ("lsgan", (1 - 1 - 1 + 1) / 4),  # undecided at 0.5
        ("relativistic", (-1 - 1 - 1 + 1) / 4),  # mean of the fakes: 3
        ("wgan", (-1 - 1 - 1 + 1) / 4),
    ):
        assert float(mean_sign(LOSSES[loss], logits, lambda x: x)) == expected, loss


def test_probability_moves_every_fourth_update_towards_the_target():
    """8 images an update, 0 to 1 in 320: steps of 4 * 8 / 320 = 0.1."""
    gan = small_gan(**PLAIN, augment__target=0.5, augment__rise=320)
    logits = {sign: (jnp.full(8, sign), jnp.zeros(8)) for sign in (1.0, -1.0)}
    adapt = jax.jit(lambda s, x: Bound(gan, s, None).adapt(x))

    def run(start, signs):
        state, seen = state_of(start), []
        for sign in signs:
            after, metrics = adapt(state, logits[sign])
            assert float(metrics["d_real_sign"]) == sign
            assert metrics["augment_probability"] == state["probability"]
            state = after[STATE]
            seen.append(float(state["probability"]))
        return seen

    up, down = [1.0] * 4, [-1.0] * 4
    # A mean of 1, then of −1, then of exactly the target, then of 0.
    seen = run(0.2, up + down + [1.0, 1.0, 1.0, -1.0] + [1.0, 1.0, -1.0, -1.0])
    expected = [0.2] * 3 + [0.3] * 4 + [0.2] * 8 + [0.1]
    np.testing.assert_allclose(seen, expected, atol=1e-6)
    np.testing.assert_allclose(run(0.0, up * 12)[3::4], [*np.arange(1, 11) / 10, 1, 1],
                               atol=1e-6)  # fmt: skip
    np.testing.assert_allclose(run(0.95, up + down)[3::4], [1.0, 0.9], atol=1e-6)
    np.testing.assert_allclose(run(0.05, down + up)[3::4], [0.0, 0.1], atol=1e-6)


def test_the_defaults_of_ada_take_500_000_images_from_0_to_1():
    gan, p = small_gan(**PLAIN, augment__target=0.6), 0.0
    logits = jnp.ones(64), jnp.zeros(64)
    after, _ = Bound(gan, state_of(p, 3.0, 3.0), None).adapt(logits)
    np.testing.assert_allclose(after[STATE]["probability"], 256 / 500_000, rtol=1e-5)


@pytest.fixture(scope="module")
def ada():
    return small_sgd_gan(
        **DENSE,
        augment__probability=0.5,
        augment__target=0.6,
        augment__rise=100,
        discriminator__norm="batch",
        penalties={},
    )


def test_probability_is_a_part_of_the_discriminator(ada):
    """Beside its batch statistics; changed by its updates alone, and not averaged."""
    state = new_state(ada)
    assert_identical(state.d.batch_stats[STATE], state_of(0.5))
    after_d, metrics = ganjax.d_step(ada, state, BATCHES[0])
    assert_identical(after_d.replace(d=state.d), state)
    sign = metrics["d_real_sign"]
    assert_identical(after_d.d.batch_stats[STATE], state_of(0.5, sign, 1.0))
    assert set(after_d.d.batch_stats) == {STATE, "Norm_0"}
    after_g, _ = ganjax.g_step(ada, after_d, BATCHES[0])
    assert_identical(after_g.d, after_d.d)
    assert set(after_g.g_ema["batch_stats"]) == set(state.g.batch_stats)


def test_two_devices_draw_and_adapt_as_one_does(ada):
    batch = np.concatenate(BATCHES)
    one, two = step_on_one_and_on_two_devices(ada, new_state(ada), batch, steps=5)
    assert_identical(one.d.batch_stats[STATE], two.d.batch_stats[STATE])
    p = float(one.d.batch_stats[STATE]["probability"])
    assert abs(abs(p - 0.5) - 0.5) < 1e-6  # one step of 4 * 16 / 100 = 0.64, clipped
    pairs = (two.d.params, two.g.params), (one.d.params, one.g.params)
    assert_close(*pairs, rtol=1e-3, atol=1e-5)


# --- options and resuming -----------------------------------------------------------


def resume(config, folder, dataset, change=lambda metadata: metadata):
    """The state after saving one with a probability of 0.25, and what it is next."""
    gan = ganjax.make_gan(config)
    metadata, state = run_metadata(config, dataset), new_state(gan)
    if gan.augment.target:
        stats = state.d.batch_stats | {STATE: state_of(0.25, 1.5, 2.0)}
        state = state.replace(d=state.d.replace(batch_stats=stats))
    run = build(Run, {name: config[name] for name in option_names(Run)})
    with contextlib.closing(Checkpoints(folder)) as checkpoints:
        if checkpoints.latest is None:
            save(checkpoints, state, change(metadata))
            checkpoints.wait()
        return state, restore_or_init(gan, run, checkpoints, metadata)[0]


def test_ada_resumes_with_its_probability(tmp_path, random_digits):
    saved, restored = resume(
        smallest_config(augment__target=0.6), tmp_path, random_digits
    )
    assert_identical(restored, saved)
    assert float(restored.d.batch_stats[STATE]["probability"]) == 0.25


def test_checkpoints_of_versions_without_the_option_resume(
    tmp_path, random_digits, capsys
):
    """Quietly if it is off; as a changed field if it is not."""

    def older(metadata):
        config = json.loads(json.dumps(metadata["config"]))
        del config["augment"], config["d_optimizer"]["freeze"]
        del config["ema"]["rampup"]
        config["generator"]["momentum"] = 0.9  # the default, which the run leaves out
        return metadata | {"config": config}

    saved, restored = resume(smallest_config(), tmp_path, random_digits, older)
    assert_identical(restored, saved)
    assert ganjax.load_run(tmp_path)[0].augment == Augment()
    assert capsys.readouterr().err == ""
    with pytest.raises(
        ganjax.UserError, match=r"\(augment.probability: 0.0 -> 1.0\): undo the change"
    ):
        resume(smallest_config(augment__probability=1.0), tmp_path, random_digits)


def test_augmentation_without_a_transformation_and_of_points_is_refused():
    nothing = {f"augment__{name}": 0.0 for name in ("translation", "cutout", "color")}
    with pytest.raises(ganjax.UserError, match="expected a transformation with an"):
        small_gan(**nothing, augment__target=0.6)
    assert not small_gan(**nothing).augment.active
    assert small_gan(**nothing, augment__flip=True, augment__probability=1.0)
    with pytest.raises(ganjax.UserError, match=r"examples \[2\] are no images"):
        small_gan(**DENSE, augment__probability=1.0, data__image_shape=(2,))
