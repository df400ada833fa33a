"""The update functions: ownership, order, randomness, devices, averages."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import (
    assert_close,
    assert_identical,
    relative_error,
    small_gan,
    small_sgd_gan,
)
from flax import linen as nn

import ganjax
from ganjax import parallel
from ganjax.models.layers import Logit
from ganjax.penalties import r1
from ganjax.steps import blur, diagnose, flip, g_fakes, player, to_float, to_uint8

BATCHES = np.random.default_rng(0).integers(0, 256, (2, 8, 28, 28, 1), np.uint8)
G_FIELDS = ("g_params", "g_stats", "g_opt", "g_ema", "step")
D_FIELDS = ("d_params", "d_stats", "d_opt", "d_updates")
RATE = 0.1  # of small_sgd_gan
DENSE = {  # players without norms, for exact relations between parameters
    "generator": {"name": "mlp", "hidden": (8,), "norm": "none"},
    "discriminator": {"name": "mlp", "hidden": (8,)},
}


@pytest.fixture(scope="module")
def gan():
    return small_gan()


@pytest.fixture(scope="module")
def state(gan):
    return ganjax.init_state(gan, jax.random.key(0))


def changed(before, after, field):
    pairs = zip(
        jax.tree.leaves(getattr(before, field)),
        jax.tree.leaves(getattr(after, field)),
        strict=True,
    )
    return any(bool((x != y).any()) for x, y in pairs)


@pytest.mark.parametrize(
    "step,own,others",
    [
        (ganjax.d_step, ("d_params", "d_opt", "d_updates"), G_FIELDS),
        (ganjax.g_step, G_FIELDS, D_FIELDS),
    ],
)
def test_a_step_touches_its_own_player_only(gan, state, step, own, others):
    after, _ = step(gan, state, BATCHES[0])
    for field in others:
        assert_identical(getattr(state, field), getattr(after, field))
    assert_identical(state.key, after.key)
    for field in own:
        assert changed(state, after, field), field


def test_discriminator_with_batch_statistics_owns_them(state):
    gan = small_gan(discriminator__norm="batch", penalties={})
    state = ganjax.init_state(gan, jax.random.key(0))
    after_d, _ = ganjax.d_step(gan, state, BATCHES[0])
    after_g, _ = ganjax.g_step(gan, state, BATCHES[0])
    assert changed(state, after_d, "d_stats")
    assert not changed(state, after_d, "g_stats")
    assert changed(state, after_g, "g_stats")
    assert not changed(state, after_g, "d_stats")


def test_train_step_is_k_discriminator_steps_then_one_of_the_generator():
    gan = small_sgd_gan()
    state = ganjax.init_state(gan, jax.random.key(0))
    actual, _ = ganjax.train_step(gan, state, BATCHES)
    expected = state
    for batch in BATCHES:
        expected, _ = ganjax.d_step(gan, expected, batch)
    expected, _ = ganjax.g_step(gan, expected, BATCHES[-1])
    assert int(actual.step) == 1 and int(actual.d_updates) == 2
    for field in ("g_params", "d_params", "g_ema"):
        a, b = getattr(actual, field), getattr(expected, field)
        assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_noise_is_fresh_in_every_discriminator_update(gan, state):
    """Same state but for the counter of updates: other fakes, other metrics."""
    later = state.replace(d_updates=state.d_updates + 1)
    _, first = ganjax.d_step(gan, state, BATCHES[0])
    _, second = ganjax.d_step(gan, later, BATCHES[0])
    assert float(first["d_fake"]) != float(second["d_fake"])
    _, again = ganjax.d_step(gan, state, BATCHES[0])
    assert_identical(first, again)


@pytest.mark.parametrize("loss,classes", [("relativistic", 0), ("non_saturating", 4)])
def test_two_devices_compute_what_one_does(loss, classes):
    """A forgotten pmean, local batch statistics, noise or labels would all show."""
    assert jax.local_device_count() == 2
    gan = small_sgd_gan(loss=loss, num_classes=classes)
    state = ganjax.init_state(gan, jax.random.key(0))
    images = np.random.default_rng(1).integers(0, 256, (32, 28, 28, 1), np.uint8)
    labels = np.arange(32, dtype=np.int32) % classes if classes else None
    indices = np.random.default_rng(2).permutation(32).reshape(2, 2, 8)
    one = state
    for row in indices:
        told = None if labels is None else labels[row]
        one, _ = ganjax.train_step(gan, one, images[row], told)
    train_chunk = parallel.make_train_chunk(gan, chunk=3)
    two, _ = train_chunk(
        parallel.replicate(state),
        parallel.replicate((images, labels)),
        parallel.shard_indices(indices, 3),
        2,
    )
    assert int(two.step) == int(one.step) == 2
    for field in ("g_params", "g_stats", "g_ema", "d_params"):
        assert_close(getattr(two, field), getattr(one, field), rtol=1e-3, atol=1e-5)


def test_chunks_group_steps_without_changing_a_bit():
    gan = small_gan()
    images = parallel.replicate((BATCHES[0], None))
    indices = np.tile(np.arange(8, dtype=np.int32), (4, 1, 1))
    train_chunk = parallel.make_train_chunk(gan, chunk=4)

    def run(groups):
        state = parallel.replicate(ganjax.init_state(gan, jax.random.key(3)))
        for n in groups:
            rows = parallel.shard_indices(indices[:n], 4)
            state, _ = train_chunk(state, images, rows, n)
        return state

    assert_identical(run([4]), run([1, 0, 2, 1]))


def test_average_forgets_half_in_a_half_life():
    """8 images a step, half-life 8: e ← e/2 + x/2; the ramp-up allows less at first.

    That is of parameters and of batch statistics.
    """
    gan = small_gan(ema_half_life=8.0, ema_rampup=1.0)
    state = ganjax.init_state(gan, jax.random.key(0))
    after, _ = ganjax.g_step(gan, state, BATCHES[0])
    new = {"params": after.g_params, "batch_stats": after.g_stats}
    assert changed(state, after, "g_stats")
    middle = jax.tree.map(lambda old, x: (old + x) / 2, state.g_ema, new)
    assert_close(after.g_ema, middle, rtol=0, atol=1e-6)
    gan = small_gan(ema_half_life=8.0, ema_rampup=0.0)
    after, _ = ganjax.g_step(gan, state, BATCHES[0])
    new = {"params": after.g_params, "batch_stats": after.g_stats}
    assert_identical(after.g_ema, new)


def test_penalty_enters_the_discriminators_gradient_with_its_weight():
    """A weight w moves gradient descent by another −rate·w·∇r1; it may fall, or not."""
    fall = {"name": "linear", "init_value": 2.0, "end_value": 0.0}
    fall |= {"transition_steps": 2}
    falling = small_sgd_gan(**DENSE, penalties={"r1": fall})
    constant = small_sgd_gan(**DENSE, penalties={"r1": 3.0})
    state = ganjax.init_state(falling, jax.random.key(0))

    def params_after(gan, step):
        at = state.replace(step=jnp.int32(step))  # with the same noise, as always
        return ganjax.d_step(gan, at, BATCHES[0])[0].d_params

    def penalty(params):
        def d_fn(images):
            return falling.discriminator.apply({"params": params}, images)

        real = to_float(falling, BATCHES[0])
        return jnp.mean(r1(d_fn, real, real, jax.random.key(0)))

    plain = params_after(falling, step=2)
    slope = jax.grad(penalty)(state.d_params)
    for gan, step, weight in ((falling, 0, 2), (falling, 1, 1), (constant, 0, 3)):
        moved = jax.tree.map(jnp.subtract, params_after(gan, step), plain)
        expected = jax.tree.map(lambda g, w=weight: -RATE * w * g, slope)
        assert relative_error(moved, expected) < 1e-3


def test_pixels_make_the_round_trip():
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    for output, low, high in (("tanh", -1, 1), ("sigmoid", 0, 1)):
        gan = small_gan(generator__output=output, data__image_shape=(16, 16, 1))
        floats = to_float(gan, every)
        np.testing.assert_allclose([floats.min(), floats.max()], [low, high], atol=1e-6)
        np.testing.assert_array_equal(to_uint8(gan, floats), every)
        np.testing.assert_array_equal(to_uint8(gan, floats * 3)[0, -1, -1], 255)


def test_wrong_shapes_and_types_are_refused_at_the_door(gan, state):
    with pytest.raises(ValueError, match="must be uint8.* not float32"):
        ganjax.d_step(gan, state, BATCHES[0].astype(np.float32))
    for batches, shape in ((BATCHES[:, :, 1:], "8, 27, 28, 1"), (BATCHES[0], "28, ")):
        message = rf"\[B, \*\(28, 28, 1\)\], not uint8 \[{shape}"
        with pytest.raises(ValueError, match=message):
            ganjax.train_step(gan, state, batches)

    class Column(nn.Module):
        axis_name: str | None = None

        @nn.compact
        def __call__(self, x, train=True, labels=None):
            return nn.Dense(1)(x.reshape(len(x), -1))

    column = dataclasses.replace(gan, discriminator=Column())
    state = ganjax.init_state(column, jax.random.key(0))
    with pytest.raises(ValueError, match=r"not \[B\]"):
        ganjax.d_step(column, state, BATCHES[0])


def test_public_functions_donate_nothing(gan, state):
    ganjax.train_step(gan, state, BATCHES)
    assert np.isfinite(jax.tree.leaves(state.g_params)[0]).all()


def test_generator_first_meets_the_discriminator_as_it_was():
    """Both players' steps from the same state, on the very same fakes."""
    gan = small_sgd_gan(order="g_first", reuse_fakes=True)
    state = ganjax.init_state(gan, jax.random.key(0))
    actual, metrics = ganjax.train_step(gan, state, BATCHES[:1])
    after_d, d_metrics = ganjax.d_step(gan, state, BATCHES[0])
    after_g, g_metrics = ganjax.g_step(gan, state, BATCHES[0])
    assert_close(
        (actual.g_params, actual.d_params, metrics),
        (after_g.g_params, after_d.d_params, d_metrics | g_metrics),
        rtol=1e-4,
        atol=1e-6,
    )
    # Relativistic losses mirror each other: equal losses mean equal fakes.
    shared = abs(float(d_metrics["d_loss"]) - mirrored(gan, state, BATCHES[0]))
    assert shared < 1e-5
    apart = small_sgd_gan(order="g_first")
    _, d_metrics = ganjax.d_step(apart, state, BATCHES[0])
    assert abs(float(d_metrics["d_loss"]) - mirrored(gan, state, BATCHES[0])) > 1e-5


def mirrored(gan, state, batch):
    """The discriminator's loss on the generator's fakes, from the generator's side."""
    swapped = dataclasses.replace(gan, loss=gan.loss._replace(g=gan.loss.d))
    return float(ganjax.g_step(swapped, state, batch)[1]["g_loss"])


def test_l1_term_enters_the_generators_gradient_with_its_weight():
    """A weight w moves gradient descent by another −rate·w·∇ mean |G(z) − x|."""
    gans = {w: small_sgd_gan(**DENSE, l1=float(w)) for w in (0, 10, 100)}
    state = ganjax.init_state(gans[0], jax.random.key(0))
    after = {w: ganjax.g_step(gan, state, BATCHES[0]) for w, gan in gans.items()}
    fakes = g_fakes(gans[0], state, BATCHES[0], None, None)
    apart = fakes.images - to_float(gans[0], BATCHES[0])
    (slope,) = fakes.pull(jnp.sign(apart) / apart.size)
    for w in (10, 100):
        params, metrics = after[w][0].g_params, after[w][1]
        np.testing.assert_allclose(metrics["l1"], np.abs(apart).mean(), rtol=1e-5)
        moved = jax.tree.map(jnp.subtract, params, after[0][0].g_params)
        expected = jax.tree.map(lambda g, w=w: -RATE * w * g, slope)
        assert relative_error(moved, expected) < 1e-3


# --- conditional --------------------------------------------------------------------


def test_conditional_players_hear_their_labels():
    gan = small_gan(num_classes=3)
    state = ganjax.init_state(gan, jax.random.key(0))
    labels = np.arange(8, dtype=np.int32) % 3
    _, told = ganjax.d_step(gan, state, BATCHES[0], labels)
    _, otherwise = ganjax.d_step(gan, state, BATCHES[0], (labels + 1) % 3)
    assert float(told["d_real"]) != float(otherwise["d_real"])
    same, different = np.zeros(4, np.int32), np.arange(4) % 3
    key = jax.random.key(1)
    a = ganjax.sample(gan, state, num=4, key=key, labels=same)
    b = ganjax.sample(gan, state, num=4, key=key, labels=different)
    np.testing.assert_array_equal(a[[0, 3]], b[[0, 3]])
    assert (a[[1, 2]] != b[[1, 2]]).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("step,own,other", [("d_step", 1, 0), ("g_step", 0, 1)])
def test_only_the_embeddings_of_the_labels_at_hand_matter(step, own, other):
    """All labels are 1: of three rows of each embedding, that one alone."""
    gan = small_sgd_gan(**DENSE, num_classes=3)
    state = ganjax.init_state(gan, jax.random.key(0))
    places = [("g_params", "WithLabel_0"), ("d_params", "Logit_0")]
    update = partial(getattr(ganjax, step), gan)
    ones = np.ones(8, np.int32)

    def embedding(state, player):
        field, layer = places[player]
        return getattr(state, field)[layer]["Embed_0"]["embedding"]

    def with_embedding(player, table):
        field, layer = places[player]
        params = getattr(state, field) | {layer: dict(getattr(state, field)[layer])}
        params[layer]["Embed_0"] = {"embedding": table}
        return state.replace(**{field: params})

    after, metrics = update(state, BATCHES[0], ones)
    moved = (embedding(after, own) != embedding(state, own)).any(axis=1)
    np.testing.assert_array_equal(moved, [False, True, False])
    for row in range(3):
        table = embedding(state, other).at[row].add(1.0)
        _, otherwise = update(with_embedding(other, table), BATCHES[0], ones)
        same = all(metrics[name] == otherwise[name] for name in metrics)
        assert same == (row != 1)


def test_projection_adds_the_embedding_times_the_features():
    """arXiv:1802.05637, equation 4, by hand on the last layer alone."""
    x = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    labels = np.array([0, 2, 1, 1, 0])
    plain, told = Logit(), Logit(num_classes=3)
    variables = told.init(jax.random.key(0), x, labels)
    embedding = variables["params"]["Embed_0"]["embedding"]
    dense = {"params": {"Dense_0": variables["params"]["Dense_0"]}}
    expected = plain.apply(dense, x, None) + (embedding[labels] * x).sum(1)
    np.testing.assert_allclose(told.apply(variables, x, labels), expected, rtol=1e-5)


def test_softmax_over_two_classes_is_a_difference_of_logits():
    x = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    variables = Logit(softmax=True).init(jax.random.key(0), x, None)
    p = variables["params"]["Dense_0"]
    share = jax.nn.softmax(x @ p["kernel"] + p["bias"])[:, 0]
    logits = Logit(softmax=True).apply(variables, x, None)
    np.testing.assert_allclose(jax.nn.sigmoid(logits), share, rtol=1e-5)


def test_labels_are_asked_for_and_not_ignored(gan, state):
    told = small_gan(num_classes=3)
    with pytest.raises(ValueError, match="num_classes = 3 needs labels"):
        ganjax.g_step(told, ganjax.init_state(told, jax.random.key(0)), BATCHES[0])
    with pytest.raises(ValueError, match="num_classes = 0 takes no labels"):
        ganjax.d_step(gan, state, BATCHES[0], np.zeros(8, np.int32))
    with pytest.raises(ValueError, match="2 labels for 2 of 0 classes"):
        ganjax.sample(gan, state, num=2, key=jax.random.key(0), labels=np.zeros(2))


# --- precision ----------------------------------------------------------------------


def test_bfloat16_is_the_arithmetic_of_the_networks_alone():
    gans = {dtype: small_sgd_gan(dtype=dtype) for dtype in ("float32", "bfloat16")}
    state = ganjax.init_state(gans["float32"], jax.random.key(0))
    after, metrics = {}, {}
    for dtype, gan in gans.items():
        after[dtype], metrics[dtype] = ganjax.train_step(gan, state, BATCHES[:1])
        program = str(jax.make_jaxpr(partial(ganjax.d_step, gan))(state, BATCHES[0]))
        assert ("bf16" in program) == (dtype == "bfloat16")
    wide, narrow = after["float32"], after["bfloat16"]
    assert {x.dtype for x in jax.tree.leaves(narrow.g_params)} == {jnp.dtype("float32")}
    for name, value in metrics["float32"].items():
        assert metrics["bfloat16"][name].dtype == jnp.float32
        np.testing.assert_allclose(metrics["bfloat16"][name], value, rtol=0.05)
    # Updates agree to the eight bits that bfloat16 has, and no better.
    for field in ("g_params", "d_params"):
        updates = [
            np.concatenate([np.ravel(x) for x in jax.tree.leaves(getattr(s, field))])
            for s in (state, wide, narrow)
        ]
        exact, rounded = updates[1] - updates[0], updates[2] - updates[0]
        error = np.linalg.norm(exact - rounded) / np.linalg.norm(exact)
        assert 1e-4 < error < 0.1, field


# --- noise and warm-up --------------------------------------------------------------


def test_instance_noise_blurs_reals_and_fakes_and_dies_away(gan, state):
    images = np.zeros((8, 28, 28, 1), np.float32)
    pair = (images, images + 1)
    noisy = small_gan(instance_noise=0.5, instance_noise_steps=10)
    for step, sigma in ((0, 0.5), (6, 0.2), (10, 0.0), (11, 0.0)):
        real, fake = blur(noisy, jax.random.key(0), pair, step, None)
        np.testing.assert_allclose(np.std(real), sigma, rtol=0.05, atol=1e-6)
        np.testing.assert_allclose(np.std(fake), sigma, rtol=0.05, atol=1e-6)
        np.testing.assert_allclose(np.mean(fake) - np.mean(real), 1.0, atol=0.03)
        assert sigma == 0 or (real != fake - 1).any()  # two draws, not one
    lasting = small_gan(instance_noise=0.5)
    real, _ = blur(lasting, jax.random.key(0), pair, 1000, None)
    np.testing.assert_allclose(np.std(real), 0.5, rtol=0.05)
    assert blur(gan, jax.random.key(0), pair, 0, None) is pair
    _, still = ganjax.d_step(gan, state, BATCHES[0])
    _, shaken = ganjax.d_step(noisy, state, BATCHES[0])
    assert float(still["d_loss"]) != float(shaken["d_loss"])


def test_flipped_labels_swap_pairs_and_nothing_else():
    logits = np.arange(1000.0), -np.arange(1000.0) - 1
    gan = small_gan(label_flip=0.3)
    real, fake = flip(gan, jax.random.key(0), logits, None)
    np.testing.assert_array_equal(real + fake, logits[0] + logits[1])
    assert abs(np.mean(np.asarray(real) < 0) - 0.3) < 0.06
    real, fake = flip(small_gan(label_flip=1.0), jax.random.key(0), logits, None)
    np.testing.assert_array_equal((fake, real), logits)


@pytest.mark.parametrize("still,moving", [("g", "d"), ("d", "g")])
def test_warm_up_holds_one_player_still(still, moving):
    gan = small_gan(**{f"{moving}_warmup": 2})
    state = ganjax.init_state(gan, jax.random.key(0))
    for step in range(3):
        after, _ = ganjax.train_step(gan, state, BATCHES[:1])
        assert int(after.step) == step + 1
        held = [k for k in player(state, f"{still}_") if changed(state, after, k)]
        assert bool(held) == (step == 2), held
        assert changed(state, after, f"{moving}_params")
        state = after


@pytest.mark.parametrize("option", ["instance_noise", "label_flip"])
def test_noise_of_the_options_does_not_depend_on_the_devices(option):
    gan = small_sgd_gan(**{option: 0.5})
    state = ganjax.init_state(gan, jax.random.key(0))
    one, _ = ganjax.train_step(gan, state, BATCHES[:1])
    train_chunk = parallel.make_train_chunk(gan, chunk=2)
    rows = parallel.shard_indices(np.arange(8).reshape(1, 1, 8), 2)
    data = parallel.replicate((BATCHES[0], None))
    two, _ = train_chunk(parallel.replicate(state), data, rows, 1)
    pairs = (two.d_params, two.g_params), (one.d_params, one.g_params)
    assert_close(*pairs, rtol=1e-3, atol=1e-5)


def test_dropout_is_at_work_while_training():
    """In both players' steps; it has no parameters, so that states are the same."""
    options = DENSE["discriminator"] | {"dropout": 0.5}
    plain, dropping = (
        small_gan(**DENSE),
        small_gan(**DENSE | {"discriminator": options}),
    )
    state = ganjax.init_state(plain, jax.random.key(0))
    for step, loss in ((ganjax.d_step, "d_loss"), (ganjax.g_step, "g_loss")):
        _, every = step(plain, state, BATCHES[0])
        _, some = step(dropping, state, BATCHES[0])
        assert abs(float(every[loss]) - float(some[loss])) > 1e-4, loss


def test_least_squares_discriminator_is_undecided_at_one_half():
    gan = small_gan(loss="lsgan")
    half = jnp.full(4, 0.5)
    metrics = diagnose(gan, (half, half), None)
    np.testing.assert_allclose(metrics["d_real"], 0.5)
    np.testing.assert_allclose(metrics["real_loss"], np.log(2), rtol=1e-6)


def test_critic_reports_the_distance_of_the_means():
    gan = small_gan(loss="wgan", penalties={})
    real, fake = np.array([3.0, 5.0]), np.array([1.0, -4.0])
    metrics = diagnose(gan, (real, fake), None)
    np.testing.assert_allclose(metrics["distance"], 4.0 - -1.5)
    assert "distance" not in diagnose(small_gan(), (real, fake), None)
