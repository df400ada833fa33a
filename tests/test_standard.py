"""The GAN from noise to images: L1 term, labels, precision, noise, metrics."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, relative_error, small_config, small_gan, small_sgd_gan
from test_steps import BATCHES, DENSE, RATE

import ganjax
from ganjax import parallel
from ganjax.gans.standard import Batch, balanced_labels
from ganjax.losses import diagnostics
from ganjax.models.layers import Logit
from ganjax.steps import G_TAGS, update_keys


@pytest.fixture(scope="module")
def gan():
    return small_gan()


# d/dy of |y| and y²
SLOPES = {"l1": (jnp.abs, jnp.sign), "l2": (jnp.square, lambda y: 2 * y)}


@pytest.mark.parametrize("name", SLOPES)
def test_l1_and_l2_terms_enter_the_generator_gradient_with_their_weight(name):
    """A weight w moves gradient descent by another −rate·w·∇ mean f(G(z) − x)."""
    distance, derivative = SLOPES[name]
    weights = (0, 10, 100)
    gans = {w: small_sgd_gan(**DENSE, **{name: float(w)}) for w in weights}
    gan = gans[0]
    state = ganjax.init_state(gan, jax.random.key(0))
    after = {w: ganjax.g_step(g, state, BATCHES[0]) for w, g in gans.items()}
    real = gan.normalize(jnp.asarray(BATCHES[0]))
    keys = update_keys(state.key, state.g.updates, G_TAGS)

    def generate(params):
        return gan.generate({"params": params, "batch_stats": {}}, real, keys)[0]

    fake, vjp_fn = jax.vjp(generate, state.g.params)
    difference = fake - real
    (slope,) = vjp_fn(derivative(difference) / difference.size)
    for w in (10, 100):
        params, metrics = after[w][0].g.params, after[w][1]
        np.testing.assert_allclose(
            metrics[name], distance(difference).mean(), rtol=1e-5
        )
        moved = jax.tree.map(jnp.subtract, params, after[0][0].g.params)
        expected = jax.tree.map(lambda g, w=w: -RATE * w * g, slope)
        assert relative_error(moved, expected) < 1e-3


# --- labels -------------------------------------------------------------------------


def test_labels_affect_d_and_g():
    gan = small_gan(num_classes=3)
    state = ganjax.init_state(gan, jax.random.key(0))
    labels = np.arange(8, dtype=np.int32) % 3
    _, right = ganjax.d_step(gan, state, Batch(BATCHES[0], labels))
    _, other = ganjax.d_step(gan, state, Batch(BATCHES[0], (labels + 1) % 3))
    assert float(right["d_real"]) != float(other["d_real"])
    same, different = np.zeros(4, np.int32), np.arange(4, dtype=np.int32) % 3
    key = jax.random.key(1)
    a = ganjax.sample(gan, state, num=4, key=key, condition=same)
    b = ganjax.sample(gan, state, num=4, key=key, condition=different)
    np.testing.assert_array_equal(a[[0, 3]], b[[0, 3]])
    assert (a[[1, 2]] != b[[1, 2]]).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("step,own,other", [("d_step", "d", "g"), ("g_step", "g", "d")])
def test_only_the_embeddings_of_the_batch_labels_matter(step, own, other):
    """All labels are 1: of three rows of each embedding, only that one."""
    gan = small_sgd_gan(**DENSE, num_classes=3)
    state = ganjax.init_state(gan, jax.random.key(0))
    layers = {"g": "WithLabel_0", "d": "Logit_0"}
    update = partial(getattr(ganjax, step), gan)
    ones = np.ones(8, np.int32)

    def embedding(state, player):
        layer = getattr(state, player).params[layers[player]]
        return layer["Embed_0"]["embedding"]

    def with_embedding(player, table):
        before = getattr(state, player)
        layer = dict(before.params[layers[player]]) | {"Embed_0": {"embedding": table}}
        params = before.params | {layers[player]: layer}
        return state.replace(**{player: before.replace(params=params)})

    after, metrics = update(state, Batch(BATCHES[0], ones))
    moved = (embedding(after, own) != embedding(state, own)).any(axis=1)
    np.testing.assert_array_equal(moved, [False, True, False])
    for row in range(3):
        table = embedding(state, other).at[row].add(1.0)
        _, changed = update(with_embedding(other, table), Batch(BATCHES[0], ones))
        same = all(metrics[name] == changed[name] for name in metrics)
        assert same == (row != 1)


def test_projection_adds_the_embedding_times_the_features():
    """arXiv:1802.05637, equation 4, by hand on the last layer alone."""
    x = jax.random.normal(jax.random.key(1), (5, 7))
    labels = jnp.array([0, 2, 1, 1, 0])
    plain, conditional = Logit(), Logit(num_classes=3)
    variables = conditional.init(jax.random.key(0), x, labels)
    embedding = variables["params"]["Embed_0"]["embedding"]
    dense = {"params": {"Dense_0": variables["params"]["Dense_0"]}}
    expected = plain.apply(dense, x, None) + (embedding[labels] * x).sum(1)
    np.testing.assert_allclose(
        conditional.apply(variables, x, labels), expected, rtol=1e-5
    )


def test_softmax_over_two_classes_is_a_difference_of_logits():
    x = jax.random.normal(jax.random.key(1), (5, 7))
    variables = Logit(softmax=True).init(jax.random.key(0), x, None)
    p = variables["params"]["Dense_0"]
    probability = jax.nn.softmax(x @ p["kernel"] + p["bias"][None])[:, 0]
    logits = Logit(softmax=True).apply(variables, x, None)
    np.testing.assert_allclose(jax.nn.sigmoid(logits), probability, rtol=1e-5)


def test_labels_are_required_and_never_ignored(gan, state):
    conditional = small_gan(num_classes=3)
    with pytest.raises(ValueError, match=r"expected Batch\(images, labels\).*es=3"):
        first = ganjax.init_state(conditional, jax.random.key(0))
        ganjax.g_step(conditional, first, BATCHES[0])
    with pytest.raises(ValueError, match="expected images alone.*num_classes=0"):
        ganjax.d_step(gan, state, Batch(BATCHES[0], np.zeros(8, np.int32)))
    with pytest.raises(ValueError, match=r"expected labels \[2\] of 0 classes"):
        zeros = np.zeros(2, np.int32)
        ganjax.sample(gan, state, num=2, key=jax.random.key(0), condition=zeros)


def test_every_prefix_of_whole_rounds_of_labels_is_balanced():
    labels = balanced_labels(4, 23)
    for num in (4, 12, 20):
        np.testing.assert_array_equal(np.bincount(labels[:num]), [num // 4] * 4)
    assert len(labels) == 23 and (labels[:4] != labels[4:8]).any()


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
    assert {x.dtype for x in jax.tree.leaves(narrow.g.params)} == {jnp.dtype("float32")}
    for name, value in metrics["float32"].items():
        assert metrics["bfloat16"][name].dtype == jnp.float32
        np.testing.assert_allclose(metrics["bfloat16"][name], value, rtol=0.05)
    # Updates agree to the eight bits that bfloat16 has, and no better.
    for player in ("g", "d"):
        updates = [
            np.concatenate(
                [np.ravel(x) for x in jax.tree.leaves(getattr(s, player).params)]
            )
            for s in (state, wide, narrow)
        ]
        exact, rounded = updates[1] - updates[0], updates[2] - updates[0]
        error = np.linalg.norm(exact - rounded) / np.linalg.norm(exact)
        assert 1e-4 < error < 0.1, player


# --- noise --------------------------------------------------------------------------


def test_instance_noise_is_added_to_both_sides_and_decays(gan, state):
    images = jnp.zeros((8, 28, 28, 1))
    pair = (images, images + 1)
    decay = {"name": "linear", "start": 0.5}
    noisy = small_gan(instance_noise=decay, num_steps=10)
    for step, sigma in ((0, 0.5), (6, 0.2), (10, 0.0), (11, 0.0)):
        key = jax.random.key(0)
        real, fake = noisy.add_instance_noise(key, pair, jnp.int32(step))
        np.testing.assert_allclose(np.std(real), sigma, rtol=0.05, atol=1e-6)
        np.testing.assert_allclose(np.std(fake), sigma, rtol=0.05, atol=1e-6)
        np.testing.assert_allclose(np.mean(fake) - np.mean(real), 1.0, atol=0.03)
        assert sigma == 0 or (real != fake - 1).any()  # two draws, not one
    constant = small_gan(instance_noise=0.5)
    key, step = jax.random.key(0), jnp.int32(1000)
    real, _ = constant.add_instance_noise(key, pair, step)
    np.testing.assert_allclose(np.std(real), 0.5, rtol=0.05)
    assert gan.add_instance_noise(jax.random.key(0), pair, step) is pair
    _, without = ganjax.d_step(gan, state, BATCHES[0])
    _, with_noise = ganjax.d_step(noisy, state, BATCHES[0])
    assert float(without["d_loss"]) != float(with_noise["d_loss"])


def test_label_flips_swap_pairs_and_nothing_else():
    logits = jnp.arange(1000.0), -jnp.arange(1000.0) - 1
    gan = small_gan(label_flip=0.3)
    real, fake = gan.flip_some_labels(jax.random.key(0), logits)
    np.testing.assert_array_equal(real + fake, logits[0] + logits[1])
    assert abs(np.mean(np.asarray(real) < 0) - 0.3) < 0.06
    real, fake = small_gan(label_flip=1.0).flip_some_labels(jax.random.key(0), logits)
    np.testing.assert_array_equal((fake, real), logits)


@pytest.mark.parametrize("option", ["instance_noise", "label_flip"])
def test_noise_of_options_does_not_depend_on_the_number_of_devices(option):
    gan = small_sgd_gan(**{option: 0.5})
    state = ganjax.init_state(gan, jax.random.key(0))
    one, _ = ganjax.train_step(gan, state, BATCHES[:1])
    train_chunk = parallel.make_train_chunk(gan, chunk=2)
    rows = parallel.shard_indices(np.arange(8).reshape(1, 1, 8), 2)
    data = parallel.replicate(BATCHES[0])
    two, _ = train_chunk(parallel.replicate(state), data, rows, 1)
    pairs = (two.d.params, two.g.params), (one.d.params, one.g.params)
    assert_close(*pairs, rtol=1e-3, atol=1e-5)


def test_dropout_is_active_in_training():
    """In both players' steps; it has no parameters, so that states are the same."""
    options = DENSE["discriminator"] | {"dropout": 0.5}
    plain = small_gan(**DENSE)
    dropping = small_gan(**DENSE | {"discriminator": options})
    state = ganjax.init_state(plain, jax.random.key(0))
    for step, loss in ((ganjax.d_step, "d_loss"), (ganjax.g_step, "g_loss")):
        _, every = step(plain, state, BATCHES[0])
        _, some = step(dropping, state, BATCHES[0])
        assert abs(float(every[loss]) - float(some[loss])) > 1e-4, loss


# --- diagnostics --------------------------------------------------------------------


def test_least_squares_discriminator_is_undecided_at_one_half():
    half = jnp.full(4, 0.5)
    metrics = diagnostics(small_gan(loss="lsgan").loss, half, half)
    np.testing.assert_allclose(metrics["d_real"], 0.5)
    np.testing.assert_allclose(metrics["real_loss"], np.log(2), rtol=1e-6)


def test_critic_reports_the_distance_of_the_means():
    real, fake = jnp.array([3.0, 5.0]), jnp.array([1.0, -4.0])
    critic = small_gan(loss="wgan", penalties={}).loss
    np.testing.assert_allclose(diagnostics(critic, real, fake)["distance"], 4.0 - -1.5)
    assert "distance" not in diagnostics(small_gan().loss, real, fake)


def test_smoothing_and_weights_go_together():
    """Target 0.9 on reals, whatever the weights of the two terms."""
    options = {"loss": "non_saturating", "label_smoothing": 0.1, "penalties": {}}
    gan = ganjax.make_gan(small_config(**DENSE, **options, d_weights=(0.9, 0.2)))
    state = ganjax.init_state(gan, jax.random.key(0))
    real, fake = (gan.normalize(jnp.asarray(b)) for b in BATCHES)
    _, metrics = ganjax.d_step(gan, state, real, fake)
    r, f = (
        np.asarray(gan.discriminator.apply(state.d.variables, x)) for x in (real, fake)
    )

    def softplus(x):
        return np.log1p(np.exp(x))

    expected = 0.9 * (0.9 * softplus(-r) + 0.1 * softplus(r)) + 0.2 * softplus(f)
    np.testing.assert_allclose(metrics["d_loss"], expected.mean(), rtol=1e-5)
