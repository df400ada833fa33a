"""Runs that start from other networks."""

import json
import shutil
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import (
    ROOT,
    assert_identical,
    run_python,
    small_config,
    smallest_config,
)

import ganjax
from ganjax import resume, transfer
from ganjax.checkpoint import Checkpoints
from ganjax.config import to_json
from ganjax.state import abstract_state
from ganjax.train import Run
from ganjax.weights import write_weights

QUICK = {"log_every": 0, "sample_every": 0, "checkpoint_every": 0}
# Everything that a state can have: labels, batch statistics.
NORM = {"name": "mlp", "hidden": (8,), "norm": "batch", "output": "tanh"}
WIDE = {
    "generator": NORM,
    "discriminator": {"name": "mlp", "hidden": (12,)},
    "prior__z_dim": 6,
    "num_classes": 3,
}


def arrays(state):
    """The arrays of both networks and of the average, by path."""
    return {path: np.asarray(x) for path, x in transfer.networks(state).items()}


def make(config, seed=0, step=7):
    """A state in which each array has numbers of its own, also if it begins at 0."""
    state = ganjax.init_state(ganjax.make_gan(config), jax.random.key(seed))
    leaves, tree = jax.tree.flatten(state.replace(key=None))
    numbers = [x + jnp.asarray(i + 1, x.dtype) for i, x in enumerate(leaves)]
    return jax.tree.unflatten(tree, numbers).replace(
        key=state.key, step=jnp.int32(step)
    )


def save(folder, config, state, **more):
    """A run with one checkpoint more."""
    checkpoints = Checkpoints(folder)
    data = {"sha256": "0", "source": "rng"}
    checkpoints.save(
        int(state.step), state, {"config": to_json(config), "data": data} | more
    )
    checkpoints.close()


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The folder of a run of 7 steps, and its state."""
    folder, config = tmp_path_factory.mktemp("source"), smallest_config()
    state = make(config)
    save(folder, config, state)
    return folder, state


# --- states ---------------------------------------------------------------------------


def test_matching_arrays_are_the_sources_and_all_others_as_they_were():
    gan = ganjax.make_gan(smallest_config(**WIDE))
    state = ganjax.init_state(gan, jax.random.key(1))
    source = make(smallest_config(generator=NORM))
    new, rest = ganjax.init_from(state, source)
    expected = {
        "g/params/Dense_0/kernel",  # [12, 8], of z and a label; [4, 8]
        "g/params/WithLabel_0/Embed_0/embedding",
        "d/params/Dense_0/bias",  # [12]; [8]
        "d/params/Dense_0/kernel",
        "d/params/Logit_0/Dense_0/kernel",
        "d/params/Logit_0/Embed_0/embedding",
    }
    average = {f"g_ema{path[1:]}" for path in expected if path.startswith("g/")}
    assert set(rest) == expected | average and len(rest) == len(set(rest))
    before, after, there = arrays(state), arrays(new), arrays(source)
    assert after.keys() == before.keys()
    for path, x in after.items():
        np.testing.assert_array_equal(x, (before if path in rest else there)[path])
    assert "g/batch_stats/Norm_0/BatchNorm_0/mean" in after.keys() - set(rest)
    # The raw generator is from the raw one, and the average from the average.
    last = "params/Dense_1/kernel"
    assert (after[f"g/{last}"] != after[f"g_ema/{last}"]).all()
    for field in ("step", "key"):
        assert_identical(getattr(new, field), getattr(state, field))
    for old, player in ((state.g, new.g), (state.d, new.d)):
        assert_identical(player.opt_state, old.opt_state)
        assert_identical(player.updates, old.updates)


def test_the_probability_of_augmentation_starts_anew():
    """It belongs to the training, not to the discriminator."""
    gan = ganjax.make_gan(smallest_config(augment__target=0.6))
    old, new = (ganjax.init_state(gan, jax.random.key(i)) for i in range(2))
    changes = {"probability": jnp.ones(()), "signs": jnp.ones(())}
    augment = old.d.batch_stats["augment"] | changes
    stats = old.d.batch_stats | {"augment": augment}
    old = old.replace(d=old.d.replace(batch_stats=stats))
    state, rest = ganjax.init_from(new, old)
    assert_identical(state.d.params, old.d.params)
    assert_identical(state.d.batch_stats["augment"], new.d.batch_stats["augment"])
    assert rest == []


def test_a_part_of_a_state_is_enough(source):
    _, other = source
    gan = ganjax.make_gan(smallest_config())
    state = ganjax.init_state(gan, jax.random.key(1))
    new, rest = ganjax.init_from(state, {"g": other.g, "g_ema": other.g_ema})
    assert_identical(new.g.variables, other.g.variables)
    assert_identical(new.g_ema, other.g_ema)
    assert_identical(new.d, state.d)
    assert sorted(rest) == sorted(p for p in arrays(state) if p.startswith("d/"))


def test_the_summary_names_what_is_new_and_is_short():
    new = {f"g/params/Dense_{i}/kernel": np.zeros((i + 1, 2)) for i in range(12)}
    new |= {"d/params/Dense_0/kernel": np.zeros((3, 4))}
    there = {path: np.zeros((5, 5)) for path in new}
    summary = partial(transfer.summary, new=new, source=there)
    assert summary([]) == "nothing"
    first = "g/params/Dense_0/kernel"
    assert summary([first]) == f"{first} [1, 2] (there [5, 5])"
    assert transfer.summary([first], new, {}) == f"{first} [1, 2]"
    assert summary(["d/params/Dense_0/kernel"]) == "all of the discriminator"
    many = summary([*list(new)[1:]])
    assert many.count("there") == 8 and many.endswith("(there [5, 5]), 4 more")


# --- runs -----------------------------------------------------------------------------


def start(workdir, place, **overrides):
    """What a new run, or one that resumes, starts from: state and metadata."""
    config = smallest_config(**overrides)
    checkpoints = Checkpoints(workdir)
    metadata = {"config": to_json(config), "data": {"sha256": "0", "source": "rng"}}
    run = Run(num_steps=9, init_from=place)
    try:
        gan = ganjax.make_gan(config)
        return resume.restore_or_init(gan, run, checkpoints, metadata)
    finally:
        checkpoints.close()


def test_a_run_starts_with_these_networks_and_says_so(source, tmp_path, capsys):
    folder, other = source
    state, metadata = start(tmp_path, folder)
    assert_identical(arrays(state), arrays(other))
    assert int(state.step) == int(state.d.updates) == 0
    adam = jax.tree.leaves((state.g.opt_state, state.d.opt_state))
    assert not any(x.any() for x in adam)
    assert len(state.g.params["Dense_0"]["bias"].sharding.device_set) == 2
    said = capsys.readouterr().out
    assert said == f"initialized from {folder.resolve()}, step 7; new: nothing\n"
    origin = metadata["init_from"]
    assert origin | {"sha256": ""} == {
        "source": str(folder.resolve()),
        "step": 7,
        "sha256": "",
        "new": [],
    }
    # Another number, another checksum; the optimizers are not in it.
    assert len(origin["sha256"]) == 64
    assert origin["sha256"] == transfer.checksum(other.replace(step=None))
    bias = other.d.params["Dense_0"] | {"bias": other.d.params["Dense_0"]["bias"] + 1}
    d = other.d.replace(params=other.d.params | {"Dense_0": bias})
    assert origin["sha256"] != transfer.checksum(other.replace(d=d))
    # Other widths: what is new is said and saved.
    _, metadata = start(tmp_path / "wide", folder, prior__z_dim=5)
    said = capsys.readouterr().out
    assert said.endswith("new: g/params/Dense_0/kernel [5, 8] (there [4, 8])\n")
    assert metadata["init_from"]["new"] == ["g/params/Dense_0/kernel"]


def test_without_the_flag_nothing_is_recorded(tmp_path, capsys):
    state, metadata = start(tmp_path, None)
    gan = ganjax.make_gan(smallest_config())
    assert_identical(state.g_ema, ganjax.init_state(gan, jax.random.key(0)).g_ema)
    assert "init_from" not in metadata and not capsys.readouterr().out


def test_a_run_that_resumes_goes_on_from_its_checkpoint(
    source, tmp_path, random_digits, capsys
):
    """Although its source has more steps by now."""
    folder, _ = source
    place, halves = tmp_path / "place", tmp_path / "halves"
    shutil.copytree(folder, place)
    train = partial(ganjax.train_and_evaluate, dataset=random_digits, init_from=place)
    settings = partial(smallest_config, data__name="random", **QUICK)
    whole = train(settings(num_steps=3), tmp_path / "whole")
    train(settings(num_steps=2), halves)
    config = smallest_config()
    save(place, config, make(config, seed=5, step=8))
    assert_identical(train(settings(num_steps=3), halves), whole)
    assert capsys.readouterr().out.count("initialized from") == 2
    saved = json.loads((halves / "config.json").read_text())["init_from"]
    assert saved == ganjax.load_run(halves)[2]["init_from"]
    assert saved["source"] == str(place) and saved["step"] == 7


def test_a_run_that_resumes_refuses_other_networks(source, tmp_path):
    folder, other = source
    config, place = smallest_config(), tmp_path / "place"
    shutil.copytree(folder, place)
    _, metadata = start(tmp_path / "a", place)
    origin = metadata["init_from"]
    save(tmp_path / "a", config, other, init_from=origin)
    save(tmp_path / "b", config, other)
    shutil.rmtree(place)
    # Its source, which is gone; the same networks elsewhere; and no flag.
    for same in (place, folder, None):
        assert start(tmp_path / "a", same)[1]["init_from"] == origin
    save(tmp_path / "other", config, make(config, seed=5))
    with pytest.raises(ganjax.UserError) as error:
        start(tmp_path / "a", tmp_path / "other")
    assert str(error.value) == (
        f"--init_from={tmp_path}/other: expected for the run in {tmp_path}/a {place} "
        "at step 7: leave the flag out, or pass another --workdir"
    )
    with pytest.raises(ganjax.UserError, match="/b none, since it began with new netw"):
        start(tmp_path / "b", folder)


def test_a_pretrained_generator_meets_a_new_discriminator(tmp_path, capsys):
    gan = ganjax.make_gan(ganjax.load_config("mnist"))
    new, origin = transfer.start(abstract_state(gan), "mnist")
    _, pretrained = ganjax.load_pretrained("mnist")
    assert_identical(new.g.variables, pretrained.g.variables)
    assert_identical(new.g_ema, pretrained.g_ema)
    assert new.d == abstract_state(gan).d
    said = capsys.readouterr().out
    assert said == "initialized from mnist, step 8000; new: all of the discriminator\n"
    assert origin["source"] == "mnist" and origin["step"] == 8000
    assert set(origin["new"]) == {p for p in transfer.networks(new) if p[:2] == "d/"}


def test_exported_weights_are_a_source(source, tmp_path):
    _, other = source
    file = tmp_path / "g.safetensors"
    write_weights(file, other.g_ema, 7, to_json(smallest_config()))
    state, metadata = start(tmp_path / "run", file)
    assert_identical(state.g_ema, other.g_ema)
    assert_identical(state.g.variables, other.g_ema)
    assert metadata["init_from"]["source"] == str(file)


@pytest.mark.parametrize(
    "place,message",
    [
        (
            "nowhere",
            "expected the folder of a run, or one of conditional, mnist, mnist",
        ),
        (".", "expected a folder with a checkpoint"),
        (
            "x.safetensors",
            "expected weights written by --mode=export, got FileNotFound",
        ),
    ],
)
def test_places_without_networks_get_one_line(place, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ganjax.UserError, match=f"^--init_from=.*: {message}") as error:
        start(tmp_path / "run", place)
    assert "\n" not in str(error.value)


def test_networks_of_which_nothing_matches_are_refused(source, tmp_path):
    folder, _ = source
    other = {"name": "resnet", "channels": (4,)}
    config = small_config(generator=other, discriminator=other)
    state = abstract_state(ganjax.make_gan(config))
    with pytest.raises(ganjax.UserError, match="^--init_from=.*: expected kernels"):
        transfer.start(state, folder)


@pytest.mark.slow
@pytest.mark.subprocess
def test_the_command_line_has_the_flag(tmp_path):
    flags = [f"--config={ROOT}/tests/gaussian_gan.py", "--init_from=nowhere"]
    result = run_python("-m", "ganjax.main", *flags, f"--workdir={tmp_path}")
    assert result.returncode == 1
    expected = "error: --init_from=nowhere: expected the folder of a run, or one of con"
    assert result.stderr.startswith(expected) and result.stderr.count("\n") == 1
