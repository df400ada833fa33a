"""C-RNN-GAN: losses against NumPy, freezing, devices, resume, samples, scores."""

import shutil
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, assert_identical, changed
from PIL import Image
from test_models_recurrent import perturbed
from test_music import read_midi

import ganjax
from ganjax import parallel, sampling
from ganjax.data import chorales
from ganjax.errors import UserError
from ganjax.gan import Keys
from ganjax.gans.crnn_gan import Generated
from ganjax.music import Notes, decode, encode

pytestmark = pytest.mark.slow

T, F = 6, 3
SMALL = {
    "batch_size": 4,
    "data.image_shape": (T, F),
    "generator.hidden": (5, 4),
    "discriminator.hidden": (6, 4),
    "prior.z_dim": 2,
}
SGD = {"name": "sgd", "learning_rate": 0.1}


def small_config(setting="relativistic", **overrides):
    dotted = {name.replace("__", "."): value for name, value in overrides.items()}
    return ganjax.load_config(f"crnn_gan:{setting}", SMALL | dotted)


def small_gan(setting="relativistic", **overrides):
    return ganjax.make_gan(small_config(setting, **overrides))


def without_next_note(*arguments, **overrides):
    return replace(small_gan(*arguments, **overrides), next_note=0.0)


def random_notes(num, length=T):
    rng = np.random.default_rng(num)
    gaps = rng.choice([0, 2, 4], (num, length))
    pitch, duration = rng.integers(50, 75, gaps.shape), rng.choice([2, 4], gaps.shape)
    gaps[:, 0] = 0
    return encode(Notes(pitch, np.cumsum(gaps, axis=1), duration))


def dataset(length=T):
    """Five random pieces: four for training, one for testing."""
    pieces = [decode(notes) for notes in random_notes(5, 50)]
    return chorales.make(pieces, length)


def keys(seed=0):
    return Keys(*jax.random.split(jax.random.key(seed), 5))


# --- losses --------------------------------------------------------------------------


def softplus(x):
    return np.log1p(np.exp(x))


@partial(jax.jit, static_argnames="gan")
def discriminate(gan, d, notes):
    return gan.discriminator.apply({"params": d["params"]}, notes)


def outputs_of(gan, d, notes):
    logits, outputs = discriminate(gan, d, notes)
    return np.array(logits, np.float64), np.array(outputs, np.float64)


def setting(gan, next_note=False):
    """A state with other parameters than the first, real and generated notes."""
    state = perturbed_state(gan)
    real = jnp.asarray(random_notes(4))
    generated, _ = jax.jit(gan.generate)(state.g.variables, real, keys())
    assert (generated.predicted is not None) == next_note
    return state.d.variables, real, generated


def perturbed_state(gan, seed=0):
    state = ganjax.init_state(gan, jax.random.key(0))
    g, d = (p.replace(params=perturbed(p.params, seed)) for p in (state.g, state.d))
    return state.replace(g=g, d=d, g_ema=g.variables)


def test_the_losses_of_the_paper():
    """Cross-entropy of mean probabilities; feature matching; next-note error."""
    gan = small_gan("paper", feature_matching=2.0, freeze=0.0, adversarial=0.25)
    gan = replace(gan, next_note=0.5)
    d, real, generated = setting(gan, next_note=True)
    (real_logits, real_r), (fake_logits, fake_r) = (
        outputs_of(gan, d, x) for x in (real, generated.notes)
    )
    step = jnp.zeros((), jnp.int32)
    loss, (_, metrics) = jax.jit(gan.d_loss)(d, real, generated, keys(), step)
    expected = np.mean(softplus(-real_logits) + softplus(fake_logits))
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    np.testing.assert_allclose(metrics["d_loss"], expected, rtol=1e-5)
    loss, metrics = jax.jit(gan.g_loss)(d, real, generated, keys(), step)
    adversarial = np.mean(softplus(-fake_logits))
    matching = np.sum((real_r.mean(axis=(0, 1)) - fake_r.mean(axis=(0, 1))) ** 2)
    next_note = np.mean((np.array(generated.predicted) - np.array(real)) ** 2)
    found = [metrics[k] for k in ("g_loss", "feature_matching", "next_note")]
    np.testing.assert_allclose(found, [adversarial, matching, next_note], rtol=1e-4)
    expected = 0.25 * adversarial + 2 * matching + 0.5 * next_note
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_the_relativistic_loss_and_its_penalty():
    """The penalty's gradient is checked by finite differences."""
    gan = without_next_note(penalties__r1_r2=2.0)
    d, real, generated = setting(gan)
    real_logits, fake_logits = (
        outputs_of(gan, d, x)[0] for x in (real, generated.notes)
    )
    step = jnp.zeros((), jnp.int32)
    squares = 0.0
    shifts = 1e-2 * np.eye(T * F, dtype=np.float32).reshape(T * F, 1, T, F)
    for notes in (real, generated.notes):
        up, down = (
            outputs_of(gan, d, (notes[None] + s * shifts).reshape(-1, T, F))[0]
            for s in (1, -1)
        )
        slopes = ((up - down) / 2e-2).reshape(T * F, len(notes))
        squares += np.mean(np.sum(slopes**2, axis=0)) / 2
    loss, (_, metrics) = jax.jit(gan.d_loss)(d, real, generated, keys(), step)
    np.testing.assert_allclose(metrics["r1_r2"], squares, rtol=5e-3)
    expected = np.mean(softplus(fake_logits - real_logits)) + 2 * squares
    np.testing.assert_allclose(loss, expected, rtol=5e-3)
    loss, _ = jax.jit(gan.g_loss)(d, real, generated, keys(), step)
    expected = np.mean(softplus(real_logits - fake_logits))
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


@pytest.mark.parametrize("ahead", ["d", "g", "neither"])
def test_a_player_that_is_ahead_is_not_trained(ahead):
    overrides = {"g_optimizer": SGD, "d_optimizer": SGD, "freeze": 0.7}
    gan = without_next_note("paper", **overrides)
    state = ganjax.init_state(gan, jax.random.key(0))
    # Logits near 0 give losses of 2 log 2 and log 2. Near 1.2 they are 1.73 and 0.26,
    # relative to these 1.25 and 0.38.
    real = jnp.asarray(random_notes(4))
    bias = {"g": 1.2, "neither": 0.0, "d": 0.0}[ahead]
    params = jax.tree.map(jnp.copy, state.d.params)
    params["decision"]["bias"] = params["decision"]["bias"] + bias
    if ahead == "d":
        for _ in range(200):
            free = replace(gan, freeze=0.0)
            state, metrics = ganjax.d_step(free, state, real)
        assert metrics["d_loss"] < 0.3
    else:
        state = state.replace(d=state.d.replace(params=params))
    after_d, d_metrics = ganjax.d_step(gan, state, real)
    after_g, g_metrics = ganjax.g_step(gan, state, real)
    assert d_metrics["d_trained"] == (ahead != "d")
    assert g_metrics["g_trained"] == (ahead != "g")
    assert changed(state.d.params, after_d.d.params) == (ahead != "d")
    assert changed(state.g.params, after_g.g.params) == (ahead != "g")


def test_pretraining_fades_and_the_adversarial_loss_rises():
    fade = {"name": "exponential", "start": 1.0, "end": 0.01}
    rise = {"name": "linear", "start": 1.0, "end": 1.0, "warmup": 0.5}
    gan = small_gan(num_steps=100, next_note=fade, adversarial=rise)
    d, real, generated = setting(gan, next_note=True)
    g_loss = jax.jit(gan.g_loss)
    for step, weights in ((0, (0, 1)), (25, (0.5, 0.1**0.5)), (100, (1, 0.01))):
        loss, metrics = g_loss(d, real, generated, keys(), jnp.asarray(step))
        expected = weights[0] * metrics["g_loss"] + weights[1] * metrics["next_note"]
        np.testing.assert_allclose(loss, expected, rtol=1e-5)


# --- training ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [pytest.param("paper", marks=pytest.mark.long), "relativistic"]
)
def test_training_changes_both_players_and_stays_finite(name):
    gan = small_gan(name, freeze=0.0)
    state = start = ganjax.init_state(gan, jax.random.key(0))
    for _ in range(2):
        state, metrics = ganjax.train_step(gan, state, random_notes(4)[None])
    assert changed(start.g.params, state.g.params)
    assert changed(start.d.params, state.d.params)
    for metric, value in metrics.items():
        assert np.isfinite(value), metric


def test_pretraining_teaches_the_next_note():
    """Of a scale upwards: prediction by the mean note would have an error of 0.19."""
    gan = replace(small_gan(generator__hidden=(16,)), next_note=1.0, adversarial=0.0)
    scale = np.zeros((4, T, F), np.float32)
    scale[..., 0] = np.linspace(-1, 1, T) + np.array([[0.0], [0.3], [-0.3], [0.6]])
    state = ganjax.init_state(gan, jax.random.key(0))
    for _ in range(300):
        state, metrics = ganjax.g_step(gan, state, scale)
    assert metrics["next_note"] < 0.05


@pytest.mark.parametrize(
    "name", [pytest.param("paper", marks=pytest.mark.long), "relativistic"]
)
def test_steps_do_not_depend_on_the_number_of_devices(name):
    one_layer = {"generator__hidden": (5,), "discriminator__hidden": (6,)}
    sgd = {"g_optimizer": SGD, "d_optimizer": SGD}
    gan = small_gan(name, freeze=0.1, **sgd, **one_layer)
    state = perturbed_state(gan)
    notes = random_notes(8)
    one, _ = ganjax.train_step(gan, state, notes[None])
    chunk = parallel.make_train_chunk(gan, 1)
    rows = parallel.shard_indices(np.arange(8).reshape(1, 1, 8), 1)
    two, _ = chunk(parallel.replicate(state), parallel.replicate(notes), rows, 1)
    assert_close((two.g, two.d), (one.g, one.d), rtol=1e-4, atol=1e-6)


@pytest.mark.long
def test_a_resumed_run_is_the_same_bit_for_bit(tmp_path, capsys):
    config = small_config(
        num_steps=5,
        checkpoint_every=2,
        max_to_keep=3,
        sample_every=0,
        generator__hidden=(5,),
        discriminator__hidden=(6,),
    )
    whole = ganjax.train_and_evaluate(config, tmp_path, dataset())
    for step in (4, 5):
        shutil.rmtree(tmp_path / f"checkpoints/{step}")
    capsys.readouterr()
    resumed = ganjax.train_and_evaluate(config, tmp_path, dataset())
    assert "resuming from step 2" in capsys.readouterr().out
    assert_identical(resumed, whole)


def test_arithmetic_may_be_bfloat16():
    gan = small_gan(dtype="bfloat16")
    state = ganjax.init_state(gan, jax.random.key(0))
    real = jnp.asarray(random_notes(4))
    generated, _ = jax.jit(gan.generate)(state.g.variables, real, keys())
    exact_gan = replace(gan, dtype=jnp.dtype("float32"))
    exact, _ = jax.jit(exact_gan.generate)(state.g.variables, real, keys())
    assert generated.notes.dtype == jnp.float32
    np.testing.assert_allclose(generated.notes, exact.notes, atol=0.02)
    assert changed(generated.notes, exact.notes)


def test_bad_options_are_reported():
    with pytest.raises(UserError, match="config.freeze=1.5: expected a number >= 0"):
        small_gan(freeze=1.5)
    with pytest.raises(UserError, match="config.discriminator.average='median'"):
        small_gan(discriminator__average="median")
    with pytest.raises(UserError, match="config.data.image_shape"):
        small_gan(data__image_shape=(28, 28, 1))
    with pytest.raises(UserError, match="SETTING='wgan': expected one of"):
        small_gan("wgan")
    with pytest.raises(UserError, match="expected sequences of 6 notes"):
        small_gan().examples(dataset(length=8))


# --- samples -----------------------------------------------------------------------


def test_sequences_of_one_state_differ_and_do_not_change():
    gan = small_gan()
    state = perturbed_state(gan)
    first, again = (
        ganjax.sample(gan, state, num=5, key=jax.random.key(1)) for _ in range(2)
    )
    assert first.shape == (5, T, F) and first.dtype == np.float32
    np.testing.assert_array_equal(first, again)
    assert all(changed(first[0], other) for other in first[1:])


def test_samples_are_exported_as_midi_arrays_and_a_figure(tmp_path):
    pytest.importorskip("mido")
    gan = small_gan()
    state = perturbed_state(gan)
    request = sampling.Request(3, jax.random.key(0))
    for name in ("midi", "a.npz", "a.png"):
        sampling.export(gan, state, tmp_path / name, request)
    with np.load(tmp_path / "a.npz") as arrays:
        arrays = dict(arrays)
    assert set(arrays) == {"notes", "pitch", "onset", "duration"}
    np.testing.assert_array_equal(decode(arrays["notes"]).pitch, arrays["pitch"])
    files = sorted((tmp_path / "midi").iterdir())
    assert [f.name for f in files] == ["000000.mid", "000001.mid", "000002.mid"]
    for i, file in enumerate(files):
        first = read_midi(file)
        starts = {(p, o) for p, o, _ in first}
        written = zip(arrays["pitch"][i], arrays["onset"][i], strict=True)
        assert starts == set(written)
    with Image.open(tmp_path / "a.png") as image:
        assert np.asarray(image).std() > 0


def test_evaluation_compares_with_held_out_pieces_and_an_untrained_network():
    gan, notes = small_gan(), dataset()
    state = perturbed_state(gan)
    evaluation = gan.evaluate(state.g_ema, notes, 20, 0)
    names = {
        "polyphony",
        "scale_consistency",
        "repetitions",
        "tone_span",
        "tv_pitch_class",
        "tv_duration",
        "tv_step",
    }
    expected = names | {f"untrained_{name}" for name in names}
    assert set(evaluation.estimates) == set(evaluation.references) == expected
    heldout = decode(notes.test["notes"])
    span = np.mean([np.ptp(pitch) for pitch in heldout.pitch])
    for prefix in ("", "untrained_"):
        np.testing.assert_allclose(
            evaluation.references[f"{prefix}tone_span"].value, span
        )
    assert evaluation.references["tv_pitch_class"].value > 0
    keys = jax.random.split(jax.random.key(0), 3)
    made = gan.sample(state.g_ema, keys[1], 20)
    span = np.mean([np.ptp(pitch) for pitch in decode(np.asarray(made)).pitch])
    np.testing.assert_allclose(evaluation.estimates["tone_span"].value, span)
    assert evaluation.figures["rolls.png"].std() > 0
    other = gan.evaluate(perturbed_state(gan, 1).g_ema, notes, 20, 0).estimates
    for name, estimate in evaluation.estimates.items():
        assert (estimate == other[name]) == name.startswith("untrained_")


def test_generated_notes_of_both_kinds_reach_the_loss():
    """Free-running and predicted notes come from the same z."""
    gan = small_gan()
    state = perturbed_state(gan)
    real = jnp.asarray(random_notes(4))
    generated, _ = jax.jit(gan.generate)(state.g.variables, real, keys())
    assert isinstance(generated, Generated)
    first = np.asarray(generated.predicted[:, 0])
    np.testing.assert_allclose(first, generated.notes[:, 0], rtol=1e-6)
