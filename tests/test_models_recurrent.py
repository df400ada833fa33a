"""Recurrent networks against an LSTM in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ganjax.models import recurrent

T, F = 6, 3


def random_notes(num):
    return np.random.default_rng(0).normal(size=(num, T, F)).astype(np.float32)


def perturbed(variables, seed=0):
    """Other parameters: initial biases are zero."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda x: x + 0.3 * rng.normal(size=x.shape).astype(np.float32), variables
    )


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(params, state, x):
    """One step: the equations of Hochreiter and Schmidhuber with a forget gate."""
    c, h = state

    def gate(name):
        hidden = params[f"h{name}"]
        return x @ params[f"i{name}"]["kernel"] + h @ hidden["kernel"] + hidden["bias"]

    c = sigmoid(gate("f")) * c + sigmoid(gate("i")) * np.tanh(gate("g"))
    h = sigmoid(gate("o")) * np.tanh(c)
    return (c, h), h


def as_numpy(tree):
    return jax.tree.map(lambda x: np.asarray(x, np.float64), tree)


def unroll(params, z, given=None):
    """The generator, step by step."""
    widths = (5, 4)
    states = [(np.zeros((len(z), w)), np.zeros((len(z), w))) for w in widths]
    note, notes = np.zeros((len(z), F)), []
    for t in range(z.shape[1]):
        x = np.concatenate([z[:, t], note], axis=1)
        for i in range(len(widths)):
            states[i], x = lstm(params[f"OptimizedLSTMCell_{i}"], states[i], x)
        notes.append(x @ params["Dense_0"]["kernel"] + params["Dense_0"]["bias"])
        note = notes[-1] if given is None else given[:, t]
    return np.stack(notes, axis=1)


def test_the_generator_is_a_stack_of_lstms_that_reads_its_own_output():
    network = recurrent.Generator(hidden=(5, 4))
    z = jax.random.normal(jax.random.key(1), (3, T, 2))
    variables = perturbed(jax.jit(network.init)(jax.random.key(0), z))
    params = as_numpy(variables["params"]["step"])
    notes = network.apply(variables, z)
    np.testing.assert_allclose(notes, unroll(params, np.array(z)), rtol=1e-4, atol=1e-5)
    real = random_notes(3)
    predicted = network.apply(variables, z, jnp.asarray(real))
    expected = unroll(params, np.array(z), real)
    np.testing.assert_allclose(predicted, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(predicted - notes).max() > 0.01


def bidirectional(params, x):
    """A layer: its outputs forwards and backwards, side by side."""
    outputs = []
    for name, order in (("forward_rnn", 1), ("backward_rnn", -1)):
        cell = params[name]["cell"]
        width = cell["hi"]["bias"].size
        state, hs = (np.zeros((len(x), width)),) * 2, []
        for t in range(x.shape[1])[::order]:
            state, h = lstm(cell, state, x[:, t])
            hs.append(h)
        outputs.append(np.stack(hs[::order], axis=1))
    return np.concatenate(outputs, axis=-1)


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_the_discriminator_reads_both_ways_and_averages_over_time(average):
    network = recurrent.Discriminator(hidden=(6, 4), average=average)
    notes = random_notes(3)
    variables = perturbed(jax.jit(network.init)(jax.random.key(0), notes))
    params = as_numpy(variables["params"])
    logits, outputs = network.apply(variables, jnp.asarray(notes))
    x = bidirectional(params["layers_1"], bidirectional(params["layers_0"], notes))
    np.testing.assert_allclose(outputs, x, rtol=1e-4, atol=1e-5)
    steps = (x @ params["decision"]["kernel"] + params["decision"]["bias"])[..., 0]
    if average == "logits":
        np.testing.assert_allclose(logits, steps.mean(axis=1), rtol=1e-4, atol=1e-5)
    else:
        probability = sigmoid(steps).mean(axis=1)
        np.testing.assert_allclose(sigmoid(np.array(logits)), probability, rtol=1e-5)


def test_mean_probabilities_do_not_saturate():
    logits = jnp.array([[50.0, 50.0], [-90.0, -90.0], [200.0, 1.0], [0.0, 0.0]])
    found = recurrent.logit_of_mean(logits)
    # Third: the mean is (1 + σ(1)) / 2, so 1 minus it is σ(-1) / 2.
    fake = sigmoid(-1.0) / 2
    np.testing.assert_allclose(found, [50, -90, np.log((1 - fake) / fake), 0], 1e-5)
