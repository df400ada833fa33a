"""Files of weights: the same numbers, the same bytes, and nothing that is run."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_identical, small_config, smallest_config, trained
from safetensors.numpy import save

import ganjax
from ganjax.config import to_json
from ganjax.weights import read_weights, write_weights


@pytest.fixture(scope="module", params=[0, 3])
def run(request, tmp_path_factory):
    """A GAN without or with classes, its state and config, and its file of weights."""
    config = to_json(
        smallest_config(num_classes=request.param, generator__norm="batch")
    )
    gan = ganjax.make_gan(config)
    state = trained(gan)
    file = tmp_path_factory.mktemp("weights") / "generator.safetensors"
    write_weights(file, state.g_ema, 7, config)
    return gan, state, config, file


def test_weights_come_back_bit_for_bit(run):
    gan, state, config, file = run
    again, read, read_config = read_weights(file, "--pretrained")
    assert again == gan and read_config == config
    assert_identical(read.g_ema, state.g_ema)
    assert_identical(read.g.variables, state.g_ema)
    initial = ganjax.init_state(gan, jax.random.key(0))
    assert_identical(read.d, initial.d)
    assert int(read.step) == 7


def test_state_of_read_weights_can_be_trained(run):
    gan, _, _, file = run
    _, state, _ = read_weights(file, "--pretrained")
    images = np.zeros((1, 8, 28, 28, 1), np.uint8)
    labels = np.zeros((1, 8), np.int32)
    batch = ganjax.Batch(images, labels) if gan.num_classes else images
    trained_on, _ = ganjax.train_step(gan, state, batch)
    assert int(trained_on.step) == 8


def test_files_of_weights_are_reproducible_and_name_no_folder(run, tmp_path):
    _, state, config, file = run
    place = {"data_dir": "/home/me", "manual_dir": "/home/me/mnist"}
    elsewhere = config | {"data": config["data"] | place}
    write_weights(tmp_path / "a.safetensors", state.g_ema, 7, elsewhere)
    content = (tmp_path / "a.safetensors").read_bytes()
    assert content == file.read_bytes()


def test_weights_beyond_the_range_of_float16_are_refused(run, tmp_path):
    _, state, config, _ = run
    g = jax.tree.map(lambda x: 1e5 * jnp.ones_like(x), state.g_ema)
    with pytest.raises(ValueError, match="bias: .*that are finite in float16"):
        write_weights(tmp_path / "a.safetensors", g, 7, config, "float16")
    assert not list(tmp_path.iterdir())


def metadata_of(**changes):
    """Weights without arrays, whose metadata are these."""
    return save({}, {"ganjax": json.dumps(changes)})


@pytest.mark.parametrize(
    "content,message",
    [
        (b"", "got SafetensorError"),
        (b"\xff" * 100, "got SafetensorError"),
        (metadata_of(), "got KeyError: 'config'"),
        (metadata_of(config={}, step=2**40), "got OverflowError"),
        (metadata_of(config={}, step="x"), "got TypeError|got ValueError"),
        (metadata_of(config=[], step=1), "config.gan=''"),
        (metadata_of(config={}, step=1), "config.gan=''"),
        (
            metadata_of(config=to_json(small_config()), step=1),
            "--pretrained=.*another architecture",
        ),
    ],
)
def test_files_that_are_no_weights_end_in_one_line(content, message, tmp_path):
    file = tmp_path / "a.safetensors"
    file.write_bytes(content)
    with pytest.raises(ganjax.UserError, match=message) as caught:
        ganjax.load_pretrained(str(file))
    assert len(str(caught.value).splitlines()) == 1
