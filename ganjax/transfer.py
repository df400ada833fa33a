"""Starting a run from the networks of another one.

Each array of the new run that has one of the same path and shape in the other takes its
numbers: D and G from D and G, and the averaged generator from the averaged one, as in
StyleGAN2-ADA (arXiv:2006.06676) and FreezeD (arXiv:2002.10964). D was trained against
G, not against its average, and `Ema.rampup` makes a new average follow G closely.
Both networks help, D the more (arXiv:1805.01677); a pretrained name has only a
generator, an averaged one. Optimizers, step and key are those of a new run.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, PyTree

from ganjax import pretrained
from ganjax.damage import paths
from ganjax.errors import UserError, printable
from ganjax.run import load_run
from ganjax.state import TrainState

MAX_NAMES = 8  # in a message
TRAINING_STATE = ("augment", "history", "seen")  # in batch_stats: ADA's, CycleGAN's
PLAYERS = {"g": "the generator", "d": "the discriminator"}


class Source(NamedTuple):
    """Networks to start from."""

    name: str  # absolute path of the run or of the file; pretrained name
    step: int
    state: PyTree  # as `init_from` takes it


def init_from(state: TrainState, source: PyTree) -> tuple[TrainState, list[str]]:
    """A state with the networks of another one, as far as they match.

    Args:
      state: the new one, e.g. from `init_state`. Its step, key, optimizers and counts
        of updates stay.
      source: a state, e.g. from `load_run`, or a part of one: `{"g": ..., "g_ema":
        ...}` of a pretrained generator.

    Returns:
      The state, and the paths of the arrays of its networks that stay, since `source`
      has none of that path, shape and type.
    """
    given, own = networks(source), networks(state)
    taken = {
        path: given[path]
        for path, x in own.items()
        if path in given
        and (given[path].shape, given[path].dtype) == (x.shape, x.dtype)
    }
    values = [taken.get(path, x) for path, x in paths(state).items()]
    new = jax.tree.unflatten(jax.tree.structure(state), values)
    return new, [path for path in own if path not in taken]


def networks(state: PyTree) -> dict[str, Array]:
    """Parameters and batch statistics by path, such as "g/params/Dense_0/kernel"."""

    def is_network(path: str) -> bool:
        match path.split("/"):
            case [_, "params", *_]:
                return True
            case [_, "batch_stats", name, *_]:
                return name not in TRAINING_STATE
        return False

    return {path: x for path, x in paths(state).items() if is_network(path)}


def start(state: TrainState, place: str | Path) -> tuple[TrainState, dict[str, Any]]:
    """A new run's state with networks from elsewhere, and what the metadata say of it.

    Prints which arrays are not from there.

    Raises:
      UserError: there are no networks, or none of their arrays matches.
    """
    source = load(place)
    new, rest = init_from(state, source.state)
    own = networks(state)
    matrices = {path for path, x in own.items() if x.ndim > 1}
    if matrices <= set(rest):  # a bias alone matches by coincidence
        raise UserError(
            f"--init_from={place}: expected kernels with the names and shapes of those "
            "of the config, got none"
        )
    # Those of the averaged generator are the generator's.
    rest = [path for path in rest if not path.startswith("g_ema/")]
    others = summary(rest, own, networks(source.state))
    name = printable(source.name)
    print(f"initialized from {name}, step {source.step}; new: {others}", flush=True)
    sha256 = checksum(source.state)
    origin = {"source": source.name, "step": source.step, "sha256": sha256}
    return new, origin | {"new": rest}


def check_origin(
    place: str | Path, origin: Mapping[str, Any] | None, workdir: Path
) -> None:
    """Checks that a run began with networks from this place, as its metadata say.

    By now the place may have later steps or be empty, and a copy may be elsewhere.

    Raises:
      UserError: the run began with others.
    """
    expected = "none, since it began with new networks"
    if origin is not None:
        if locate(place) == origin["source"]:
            return
        if checksum(load(place).state) == origin["sha256"]:
            return
        expected = f"{printable(origin['source'])} at step {origin['step']}"
    raise UserError(
        f"--init_from={place}: expected for the run in {workdir} {expected}: leave the "
        "flag out, or pass another --workdir"
    )


def load(place: str | Path) -> Source:
    """The networks of a run's newest checkpoint, or a trained generator.

    Raises:
      UserError: there is neither.
    """
    name, flag = locate(place), "--init_from"
    generators = pretrained.files()
    if name in generators or name.endswith(".safetensors"):
        _, state, _ = pretrained.load(name, flag)
        return Source(name, int(state.step), {"g": state.g, "g_ema": state.g_ema})
    if not Path(name).is_dir():
        raise UserError(
            f"{flag}={place}: expected the folder of a run, or one of "
            f"{', '.join(generators)}"
        )
    _, state, _ = load_run(name, flag)
    return Source(name, int(state.step), state)


def locate(place: str | Path) -> str:
    """The absolute path of a folder or a file, or the name of a trained generator."""
    path = Path(place).expanduser()
    if str(place) in pretrained.files() and not path.is_dir():
        return str(place)
    return str(path.resolve())


def checksum(source: PyTree) -> str:
    """SHA-256 of networks: of the names, types, shapes and bytes of their arrays."""
    digest = hashlib.sha256()
    for path, x in sorted(networks(source).items()):
        digest.update(f"{path}{x.dtype}{x.shape}".encode())
        digest.update(np.ascontiguousarray(x).tobytes())
    return digest.hexdigest()


def summary(
    rest: list[str], new: Mapping[str, Array], source: Mapping[str, Array]
) -> str:
    """The arrays of a new run's networks that are not from a source, in a few words."""
    parts = []
    for player, title in PLAYERS.items():
        own = [path for path in new if path.startswith(f"{player}/")]
        here = [path for path in own if path in rest]
        if here and here == own:
            parts.append(f"all of {title}")
            continue
        for path in here:
            there = f" (there {list(source[path].shape)})" if path in source else ""
            parts.append(f"{path} {list(new[path].shape)}{there}")
    if len(parts) > MAX_NAMES:
        parts = [*parts[:MAX_NAMES], f"{len(parts) - MAX_NAMES} more"]
    return ", ".join(parts) or "nothing"
