"""Style mixing, and what else is made of samples of StyleGAN2."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import small_gan, trained
from test_models_stylegan import SMALL

import ganjax
from ganjax import export, plots, styles
from ganjax.errors import UserError
from ganjax.explore import Task, Trained


@pytest.fixture(scope="module")
def gan():
    return small_gan(**SMALL)


@pytest.fixture(scope="module")
def mixed(gan):
    """A state, samples, and their w for each layer."""
    state, key = trained(gan), jax.random.key(3)
    samples = ganjax.sample(gan, state, num=3, key=key)
    z = gan.sample_scale * gan.prior.sample(jax.random.fold_in(key, 0), 3)
    return state, samples, styles.styles(gan, state.g_ema, z)


def test_a_sample_mixed_with_itself_is_the_sample(gan, mixed):
    state, samples, w = mixed
    for layers in styles.scales(4).values():
        table = styles.mix(gan, state.g_ema, w, w, layers)
        for i in range(3):
            np.testing.assert_array_equal(table[i, i], samples[i])
        assert (table[0, 1] != samples[0]).any() and (table[0, 1] != samples[1]).any()
    rows = styles.mix(gan, state.g_ema, w, w, slice(0, 0))
    columns = styles.mix(gan, state.g_ema, w, w, slice(0, 4))
    for i in range(3):
        np.testing.assert_array_equal(rows[i], samples[[i] * 3])
        np.testing.assert_array_equal(columns[i], samples)


def test_resolutions_are_coarse_middle_or_fine():
    assert styles.scales(6) == {
        "coarse": slice(0, 2),
        "middle": slice(2, 4),
        "fine": slice(4, 6),
    }
    assert styles.scales(2) == {"coarse": slice(0, 2)}


def test_the_table_has_samples_and_their_mixtures(gan, mixed, monkeypatch, tmp_path):
    state, samples, w = mixed
    tables = {}
    monkeypatch.setattr(plots, "plot_images", lambda p, *x: tables.update({p.name: x}))
    run = Trained(gan, state, {})
    styles.write_mix(run, Task(tmp_path, seed=3, num=3))
    (images, rows, columns) = tables["mix.png"]
    assert columns == ["samples", "1", "2", "3"]
    assert rows[:2] == ["samples", "coarse, 1"] and rows[-1] == "middle, 3"
    np.testing.assert_array_equal(images[0, 1:], samples)
    np.testing.assert_array_equal(images[4:, 0], samples)
    coarse = styles.mix(gan, state.g_ema, w, w, slice(0, 2))
    np.testing.assert_array_equal(images[1:4, 1:], coarse)


def test_other_generators_have_no_styles():
    gan = small_gan()
    state = trained(gan)
    with pytest.raises(UserError, match="config.generator: expected one with styles"):
        styles.styles(gan, state.g_ema, jnp.zeros((2, 4)))


def test_the_exported_program_gives_the_same_images(gan, mixed):
    state, _, _ = mixed
    generate = jax.jit(export.generator_fn(gan, state.g_ema))
    program = jax.export.export(generate)(*export.arguments(gan).values())
    z = gan.prior.sample(jax.random.key(5), 7)
    actual = np.asarray(program.call(z)).astype(int)
    expected = gan.export(gan.decode(state.g_ema, z))
    np.testing.assert_allclose(actual, expected, atol=1)
    assert actual.std() > 8
