"""Checkpoints: other device counts, other architectures, damage, and bugs."""

import contextlib
import json
import shutil

import jax
import numpy as np
import pytest
from helpers import assert_identical, run_python, small_config

import ganjax
from ganjax import parallel
from ganjax.checkpoint import Checkpoints, DamagedError
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
        return checkpoints.restore(abstract_state(gan))


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


def flip(place, bit):
    """One bit, at a fraction of the length of a file."""

    def damage(file):
        content = bytearray(file.read_bytes())
        content[int(place * len(content))] ^= 1 << bit
        file.write_bytes(content)

    return damage


def flip_many(file):
    """A bit in every 500 bytes: parts of a file are not read."""
    content = bytearray(file.read_bytes())
    for place in range(len(content) % 500 // 2, len(content), 500):
        content[place] ^= 8
    file.write_bytes(content)


def cut(keep):
    return lambda file: file.write_bytes(file.read_bytes()[:keep])


def delete(file):
    file.unlink()


DAMAGE = {
    "one bit": flip(0.5, 0),
    "many bits": flip_many,
    "empty": cut(0),
    "deleted": delete,
}


def files_of(folder):
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def largest(folder):
    return max(files_of(folder), key=lambda file: file.stat().st_size)


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_found_or_harmless_in_every_file(saved, damage):
    """Orbax does not verify the bytes of arrays: changed numbers must be noticed."""
    gan, state, folder = saved
    found = set()
    for file in files_of(folder / "checkpoints/0"):
        content = file.read_bytes()
        damage(file)
        try:
            assert_identical(restore(gan, folder), state)
        except DamagedError:
            found.add(file)
        file.write_bytes(content)
    assert folder / "checkpoints/0/metadata/metadata" in found
    assert folder / "checkpoints/0/state/manifest.ocdbt" in found
    if damage in (flip_many, delete):
        assert any(file.parent.match("ocdbt.process_0/d") for file in found)  # arrays
    assert_identical(restore(gan, folder), state)


@pytest.fixture
def two_saved(saved):
    """The same, and a checkpoint of step 5 with other numbers."""
    gan, state, folder = saved
    newer = parallel.replicate(ganjax.init_state(gan, jax.random.key(4)))
    save_again(folder, newer)
    return gan, state, newer, folder


def save_again(folder, state):
    """Saves a state as step 5 with the metadata of step 0."""
    with contextlib.closing(Checkpoints(folder, create=False)) as checkpoints:
        metadata = checkpoints.metadata()
    with contextlib.closing(Checkpoints(folder)) as checkpoints:
        checkpoints.save(5, state, metadata | {"fid": 3.0})


def spoil_json(folder):
    file = folder / "metadata/metadata"
    file.write_text(file.read_text().replace('"seed": 0', '"seed": 1'))


SPOIL = {
    "flipped bits": lambda folder: flip_many(largest(folder)),
    "truncated file": lambda folder: cut(100)(largest(folder)),
    "missing file": lambda folder: largest(folder).unlink(),
    "bad JSON": lambda folder: cut(-1)(folder / "metadata/metadata"),
    "changed JSON": spoil_json,
    "missing state": lambda folder: shutil.rmtree(folder / "state"),
    "missing metadata": lambda folder: shutil.rmtree(folder / "metadata"),
    "empty folder": lambda folder: [shutil.rmtree(folder), folder.mkdir()],
}


@pytest.mark.parametrize("spoil", SPOIL.values(), ids=SPOIL)
def test_an_older_checkpoint_replaces_a_damaged_one(two_saved, spoil, capfd):
    gan, state, newer, folder = two_saved
    step, aside = folder / "checkpoints/5", folder / "checkpoints-damaged"
    spoil(step)
    damaged = [(p.relative_to(step), p.read_bytes()) for p in files_of(step)]

    # Whoever only reads moves nothing.
    _, restored, metadata = ganjax.load_run(folder)
    assert_identical(restored, state)
    assert "fid" not in metadata
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"warning: {step} is damaged (")
    assert line.endswith("): using step 0")
    assert step.exists() and not aside.exists()

    assert_identical(restore(gan, folder), state)
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"warning: {step} is damaged (")
    assert line.endswith(f"): using step 0; the damaged files are now in {aside / '5'}")
    assert not step.exists()
    kept = files_of(aside / "5")
    assert [(p.relative_to(aside / "5"), p.read_bytes()) for p in kept] == damaged

    save_again(folder, newer)
    assert_identical(restore(gan, folder), newer)
    assert not capfd.readouterr().err


def test_what_was_kept_aside_is_not_overwritten(two_saved):
    gan, _, newer, folder = two_saved
    for name in ("5", "5-1", "5-2"):
        flip_many(largest(folder / "checkpoints/5"))
        restore(gan, folder)
        file = largest(folder / "checkpoints-damaged" / name)
        file.with_name("mark").write_text(name)
        save_again(folder, newer)
    marks = (folder / "checkpoints-damaged").rglob("mark")
    assert sorted(mark.read_text() for mark in marks) == ["5", "5-1", "5-2"]


@pytest.mark.parametrize("cut", [cut(0), cut(-7)])
def test_without_an_intact_checkpoint_nothing_is_changed(two_saved, cut, capfd):
    gan, _, _, folder = two_saved
    for step in ("0", "5"):
        for file in files_of(folder / "checkpoints" / step / "state"):
            cut(file)
    before = sorted(folder.rglob("*"))
    message = "checkpoints/5: expected a complete checkpoint.*no older one is intact"
    with pytest.raises(DamagedError, match=message):
        restore(gan, folder)
    with pytest.raises(DamagedError, match=message):
        ganjax.load_run(folder)
    assert sorted(folder.rglob("*")) == before
    assert not capfd.readouterr().err


def test_another_architecture_is_not_damage(two_saved):
    _, _, _, folder = two_saved
    other = ganjax.make_gan(small_config(generator__channels=(16, 8)))
    with pytest.raises(ganjax.UserError, match="checkpoints/5.*got another one"):
        restore(other, folder)
    assert (folder / "checkpoints/5").exists()


def test_checkpoints_without_checksums_are_read(saved):
    gan, state, folder = saved
    edit_metadata(folder, lambda m: [m.pop("checksum"), m.pop("arrays")])
    assert_identical(restore(gan, folder), state)
    assert ganjax.load_run(folder)[0] == gan


@pytest.mark.parametrize("name", ["checksum", "arrays"])
def test_metadata_with_some_of_the_checksums_are_damaged(saved, name):
    gan, _, folder = saved
    edit_metadata(folder, lambda m: m.pop(name))
    with pytest.raises(DamagedError, match="wrong checksum of the metadata"):
        restore(gan, folder)


def edit_metadata(folder, edit):
    file = folder / "checkpoints/0/metadata/metadata"
    metadata = json.loads(file.read_text())
    edit(metadata)
    file.write_text(json.dumps(metadata))


@pytest.mark.parametrize("bug", [MemoryError("out of memory"), ValueError("sharding")])
def test_bugs_while_restoring_keep_their_traceback(two_saved, monkeypatch, bug):
    gan, _, _, folder = two_saved

    def fail(*args, **kwargs):
        raise bug

    with contextlib.closing(Checkpoints(folder)) as checkpoints:
        monkeypatch.setattr(checkpoints._manager, "restore", fail)
        with pytest.raises(type(bug), match=str(bug)):
            checkpoints.metadata()


def test_checkpoints_of_older_versions_are_refused(saved):
    gan, _, folder = saved
    names = ("format", "checksum", "arrays")
    edit_metadata(folder, lambda metadata: [metadata.pop(name) for name in names])
    with pytest.raises(
        ganjax.UserError, match="expected a checkpoint of format 2, got"
    ):
        restore(gan, folder)


def test_importing_does_not_change_logging():
    code = "from absl import logging; before = logging.get_verbosity(); "
    code += "import ganjax.checkpoint; assert logging.get_verbosity() == before"
    result = run_python("-c", code)
    assert result.returncode == 0, result.stderr
