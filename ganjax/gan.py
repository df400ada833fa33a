"""What every GAN is: the interface between the engine (steps.py) and gans/.

The engine owns keys, gradients, averaging over devices, optimizers, the moving average
and the order of updates. A GAN says what its networks are, what the generator produces
and what each player minimizes. To add one, write a subclass in a file of its own and
one line in `ganjax.gans.GANS`.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    Self,
    TypeAlias,
)

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Key, PyTree

from ganjax import axis
from ganjax.errors import UserError
from ganjax.images import PixelRange, denormalize, normalize, save_png
from ganjax.optim import Ema, Optimizer, make_optimizers, value_at
from ganjax.options import Repeats, build, choice, given, option_names
from ganjax.penalties import Penalty, make_penalties

if TYPE_CHECKING:
    from ganjax.data import Dataset
    from ganjax.metrics.types import Evaluation

Batch: TypeAlias = PyTree  # arrays [B, ...]; uint8 arrays are pixels
Generated: TypeAlias = PyTree  # float arrays [B, ...]
Variables = dict[str, Any]  # {"params": ..., "batch_stats": ...}
Metrics = dict[str, jax.Array]  # scalars by name
DTYPES = {name: jnp.dtype(name) for name in ("float32", "bfloat16")}


class Keys(NamedTuple):
    """One typed key [] for each use of randomness in an update."""

    z: Any
    dropout: Any
    noise: Any
    penalty: Any
    labels: Any


@dataclass(frozen=True, kw_only=True)
class Gan(abc.ABC):
    """Everything about a GAN that is not an array.

    Hashable and compared by value: a static argument of jit, and equal GANs share
    compiled programs. To change a part, `dataclasses.replace(gan, loss=...)`.
    """

    g_optimizer: Optimizer
    d_optimizer: Optimizer
    ema: Ema = Ema()
    # "alternating": n_dis discriminator updates, then one of the generator.
    # "simultaneous": both from the same state and on the same generated samples.
    updates: Literal["alternating", "simultaneous"] = "alternating"
    n_dis: Repeats = 1  # discriminator updates per step: k in arXiv:1406.2661
    dtype: jnp.dtype = choice(DTYPES, "float32")  # of the networks' arithmetic
    penalties: tuple[Penalty, ...] = given(())  # of the discriminator
    axis_name: str | None = given(None)  # of the pmap, bound by parallel.py

    # Options that may change between a checkpoint and the run that resumes it.
    RESUMABLE: ClassVar[frozenset[str]] = frozenset()
    # Whether samples are made from examples, e.g. images to translate, so that sampling
    # needs the data set.
    NEEDS_DATA: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.updates == "simultaneous" and self.n_dis > 1:
            raise UserError(
                f"config.n_dis={self.n_dis}: expected 1, since simultaneous updates "
                "share one batch of generated samples"
            )

    # -- what a GAN defines -----------------------------------------------------------

    @classmethod
    @abc.abstractmethod
    def from_config(cls, config: Mapping[str, Any]) -> Gan:
        """The GAN of a config whose schedules are resolved.

        Raises:
          UserError: an unknown name, a bad value, or options that exclude each other.
        """

    @classmethod
    def from_parts(cls, config: Mapping[str, Any], **parts: Any) -> Self:
        """The GAN with the options, penalties and optimizers of a config.

        `parts` are its networks, and other fields that are not options.
        """
        options = {name: config[name] for name in option_names(cls)}
        penalties = make_penalties(config.get("penalties", {}))
        players = make_optimizers(config)
        return build(cls, options, penalties=penalties, **players, **parts)

    @property
    @abc.abstractmethod
    def pixel_range(self) -> PixelRange:
        """What the pixel values 0 and 255 become."""

    @abc.abstractmethod
    def examples(self, dataset: Dataset) -> Batch:
        """The training data, arrays or `Records` [N, ...]; a batch has B of their rows.

        Raises:
          UserError: these are not data for this GAN.
        """

    @abc.abstractmethod
    def init(self, key: Key[Array, ""]) -> tuple[Variables, Variables]:
        """Initial variables of the generator and of the discriminator."""

    @abc.abstractmethod
    def generate(
        self, g: Variables, batch: Batch, keys: Keys
    ) -> tuple[Generated, PyTree]:
        """All that the generator produces in an update, differentiable in `g`.

        Returns:
          The generated arrays and the generator's new batch statistics.
        """

    @abc.abstractmethod
    def d_loss(
        self, d: Variables, batch: Batch, generated: Generated, keys: Keys, step: Array
    ) -> tuple[Array, tuple[PyTree, Metrics]]:
        """What the discriminator minimizes, differentiable in `d`.

        Returns:
          The loss []; the discriminator's new batch statistics and its metrics.
        """

    @abc.abstractmethod
    def g_loss(
        self, d: Variables, batch: Batch, generated: Generated, keys: Keys, step: Array
    ) -> tuple[Array, Metrics]:
        """What the generator minimizes, differentiable in `generated`.

        Returns:
          The loss [] and the generator's metrics.
        """

    @abc.abstractmethod
    def sample(
        self, g: Variables, key: Key[Array, ""], num: int, condition: PyTree = None
    ) -> Generated:
        """Samples [num, ...] outside of training, usually of the averaged generator.

        Args:
          g: generator variables.
          key: typed PRNG key [].
          num: number of samples.
          condition: what is asked for, arrays [num, ...], e.g. labels; or None.
        """

    def condition(
        self, num: int, grid: bool = False, dataset: Dataset | None = None
    ) -> PyTree:
        """What to ask for when nobody says, for `num` samples or for a grid of them.

        Args:
          num: number of samples; of a grid, about this many.
          grid: whether people will look at them side by side.
          dataset: the data; None if this GAN does not need them (`NEEDS_DATA`).
        """
        return None

    def parse_condition(self, caption: str, num: int) -> PyTree:
        """`num` times what a sentence asks for.

        Raises:
          UserError: this GAN takes no sentences, or does not understand this one.
        """
        raise UserError(f"--caption={caption!r}: expected none, this GAN takes none")

    def parse_labels(self, labels: Sequence[str]) -> PyTree:
        """What labels ask for, one for each sample.

        Raises:
          UserError: this GAN takes no labels, or these are not all of its classes.
        """
        text = ",".join(labels)
        raise UserError(f"--labels={text}: expected none, this GAN has no classes")

    def check_condition(self, condition: PyTree, num: int) -> None:
        """Checks what a caller asks for.

        Raises:
          ValueError: it does not fit this GAN or is not for `num` samples.
        """
        if condition is not None:
            raise ValueError("condition: expected None, since this GAN takes none")

    @abc.abstractmethod
    def image(self, samples: PyTree, condition: PyTree = None) -> np.ndarray:
        """Samples or examples as one image for people, uint8 [H, W, C]."""

    def arrays(self, samples: PyTree, condition: PyTree) -> dict[str, np.ndarray]:
        """Samples and what was asked for as arrays [num, ...] by name, for an .npz."""
        return {"images": samples}

    def write_sample(self, path: Path, sample: PyTree) -> None:
        """Writes one sample as a file; `path` has no suffix."""
        save_png(path.with_suffix(".png"), sample)

    def evaluate(
        self, g: Variables, dataset: Dataset, num: int, seed: int
    ) -> Evaluation | None:
        """Scores with metrics of this GAN's own, of `num` samples.

        None: the samples are images like those of the data set, and the metrics of such
        images apply (evaluate.py).
        """
        return None

    def summary(self) -> str:
        """The networks as text: by default, every parameter with its shape."""
        players = jax.eval_shape(self.init, jax.random.key(0))
        lines = [
            f"{name}{jax.tree_util.keystr(path)} {list(x.shape)}"
            for name, variables in zip("GD", players, strict=True)
            for path, x in jax.tree_util.tree_leaves_with_path(variables["params"])
        ]
        return "\n".join(lines)

    # -- what all GANs share ----------------------------------------------------------

    def normalize(self, batch: Batch) -> Batch:
        """uint8 pixels to float32 in `pixel_range`; all other arrays as they are."""
        return jax.tree.map(
            lambda x: normalize(x, self.pixel_range) if x.dtype == jnp.uint8 else x,
            batch,
        )

    def export(self, generated: Generated) -> PyTree:
        """Generated samples as the data are: images as uint8 pixels."""
        return jax.tree.map(lambda x: denormalize(x, self.pixel_range), generated)

    def penalize(
        self,
        d_fn: Callable[[jax.Array], jax.Array],
        pair: tuple[Any, Any],
        keys: Keys,
        step: Array,
    ) -> tuple[Array, Metrics]:
        """The weighted sum [] of the penalties, and the mean value of each by name.

        `d_fn` maps examples [B, ...] to logits [B]; `pair` is real and generated.
        """
        total, metrics = jnp.zeros(()), {}
        for i, penalty in enumerate(self.penalties):
            key = self.local_key(jax.random.fold_in(keys.penalty, i))
            value = metrics[penalty.name] = jnp.mean(penalty.fn(d_fn, *pair, key))
            total += value_at(penalty.weight, step) * value
        return total, metrics

    def on_axis(self, axis_name: str) -> Gan:
        """The same GAN inside a pmap over this axis, its modules included."""
        modules: dict[str, Any] = {
            name: value.clone(axis_name=axis_name)
            for name, value in vars(self).items()
            if isinstance(value, nn.Module) and hasattr(value, "axis_name")
        }
        return dataclasses.replace(self, axis_name=axis_name, **modules)

    def pmean(self, tree: PyTree) -> PyTree:
        """The mean over devices."""
        return tree if self.axis_name is None else lax.pmean(tree, self.axis_name)

    def num_devices(self) -> int:
        """Devices along the axis."""
        return axis.num_devices(self.axis_name)

    def draw(
        self, sampler: Callable[[jax.Array, int], Array], key: jax.Array, num: int
    ) -> Array:
        """This device's `num` rows of what `sampler(key, n)` draws for all devices.

        Noise so drawn does not depend on the number of devices.
        """
        return axis.draw(sampler, key, num, self.axis_name)

    def gather(self, tree: PyTree) -> PyTree:
        """The rows of all devices, in their order."""
        if self.axis_name is None:
            return tree
        return lax.all_gather(tree, self.axis_name, tiled=True)

    def local_rows(self, x: Array, num: int) -> Array:
        """This device's `num` rows."""
        return axis.local_rows(x, num, self.axis_name)

    def local_key(self, key: jax.Array) -> jax.Array:
        """A key for this device: dropout and interpolating penalties depend on it."""
        if self.axis_name is None:
            return key
        return jax.random.fold_in(key, lax.axis_index(self.axis_name))
