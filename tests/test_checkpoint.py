"""Checkpoints: other device counts, other architectures, damage, and bugs."""

import contextlib
import json

import jax
import numpy as np
import pytest
from helpers import assert_identical, run_python, small_config

import ganjax
from ganjax import parallel
from ganjax.checkpoint import Checkpoints
from ganjax.config import to_json
from ganjax.state import abstract_state


@pytest.fixture
def saved(tmp_path):
    """A checkpoint of step 0, its state and its folder."""
    config = small_config()
    gan = ganjax.make_gan(config)
    state = parallel.replicate(ganjax.init_state(gan, jax.random.key(3)))
    with contextlib.closing(Checkpoints(tmp_path)) as checkpoints:
        checkpoints.save(
            0, state, {"config": to_json(config), "data": {"name": "none"}}
        )
    return gan, state, tmp_path


def restore(gan, folder):
    with contextlib.closing(Checkpoints(folder)) as checkpoints:
        like, sharding = abstract_state(gan), parallel.replicated_sharding()
        return checkpoints.restore(like, sharding)


def test_restoring_gives_the_state_bit_for_bit(saved):
    gan, state, folder = saved
    assert_identical(restore(gan, folder), state)


ALONE = """
import sys
import jax
import numpy as np
import ganjax

assert jax.local_device_count() == 1
_, state, _ = ganjax.load_run(sys.argv[1])
state = state.replace(key=jax.random.key_data(state.key))
np.savez(sys.argv[2], *jax.tree.leaves(state))
"""


@pytest.mark.subprocess
def test_one_device_restores_what_two_have_written(saved, tmp_path):
    _, state, folder = saved
    assert len(state.step.sharding.device_set) == 2
    result = run_python("-c", ALONE, folder, tmp_path / "state.npz", XLA_FLAGS="")
    assert result.returncode == 0, result.stderr
    state = state.replace(key=jax.random.key_data(state.key))
    with np.load(tmp_path / "state.npz") as arrays:
        restored = jax.tree.unflatten(jax.tree.structure(state), list(arrays.values()))
        assert_identical(restored, state)


def test_another_architecture_is_refused(saved):
    _, _, folder = saved
    other = ganjax.make_gan(small_config(generator__channels=(16, 8)))
    with pytest.raises(ganjax.UserError, match="another one: pass another --workdir"):
        restore(other, folder)


@pytest.mark.parametrize("cut", [lambda content: b"", lambda content: content[:-7]])
def test_damaged_files_are_reported_and_nothing_is_deleted(saved, cut):
    gan, _, folder = saved
    for file in (folder / "checkpoints/0/state").rglob("*"):
        if file.is_file():
            file.write_bytes(cut(file.read_bytes()))
    before = sorted(folder.rglob("*"))
    with pytest.raises(ganjax.UserError, match="damaged files.*move this folder away"):
        restore(gan, folder)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("bug", [MemoryError("out of memory"), ValueError("sharding")])
def test_bugs_while_restoring_keep_their_traceback(saved, monkeypatch, bug):
    gan, _, folder = saved

    def fail(*args, **kwargs):
        raise bug

    with contextlib.closing(Checkpoints(folder)) as checkpoints:
        monkeypatch.setattr(checkpoints._manager, "restore", fail)
        with pytest.raises(type(bug), match=str(bug)):
            checkpoints.metadata()


def test_checkpoints_of_older_versions_are_refused(saved):
    gan, _, folder = saved
    (file,) = (folder / "checkpoints/0/metadata").glob("metadata")
    metadata = json.loads(file.read_text())
    del metadata["format"]
    file.write_text(json.dumps(metadata))
    with pytest.raises(
        ganjax.UserError, match="expected a checkpoint of format 2, got"
    ):
        restore(gan, folder)


def test_importing_does_not_change_logging():
    code = "from absl import logging; before = logging.get_verbosity(); "
    code += "import ganjax.checkpoint; assert logging.get_verbosity() == before"
    result = run_python("-c", code)
    assert result.returncode == 0, result.stderr
