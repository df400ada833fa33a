"""Style mixing: coarse styles of some samples and fine styles of others in one image.

For generators with a w for each layer (ganjax/models/stylegan.py).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from ganjax import latent, plots
from ganjax.errors import UserError
from ganjax.gan import Variables
from ganjax.gans.standard import Standard

if TYPE_CHECKING:
    from ganjax.explore import Task, Trained


@partial(jax.jit, static_argnames="gan")
def styles(
    gan: Standard, g: Variables, z: Float[Array, "N Z"], labels: Array | None = None
) -> Float[Array, "N L D"]:
    """The w of each of L layers of the images of z: the same for all layers.

    Raises:
      UserError: the generator has no styles.
    """
    generator: Any = gan.generator
    if not hasattr(generator, "styles"):
        raise UserError("config.generator: expected one with styles, e.g. 'stylegan'")
    w = generator.apply(g, z, labels, method="styles")
    return jnp.repeat(w[:, None], generator.num_layers, axis=1)


@partial(jax.jit, static_argnames="gan")
def decode_styles(
    gan: Standard, g: Variables, w: Float[Array, "N L D"]
) -> UInt8[Array, "N ..."]:
    """Images of a w for each layer."""
    images: Any = gan.generator.apply(g, w, method="synthesize")
    return gan.export(images)


def mix(
    gan: Standard,
    g: Variables,
    rows: Float[Array, "N L D"],
    columns: Float[Array, "M L D"],
    layers: slice,
) -> np.ndarray:
    """Images uint8 [N, M, ...] of each row with the w of each column in some layers."""
    images = []
    for w in columns:
        mixed = rows.at[:, layers].set(w[None, layers])
        images.append(np.asarray(decode_styles(gan, g, mixed)))
    return np.stack(images, axis=1)


def scales(num_layers: int) -> dict[str, slice]:
    """The layers of coarse, middle and fine styles: a third of the resolutions each.

    >>> [(name, part.start, part.stop) for name, part in scales(10).items()]
    [('coarse', 0, 4), ('middle', 4, 8), ('fine', 8, 10)]
    """
    parts = np.array_split(np.arange(num_layers // 2), 3)
    return {
        name: slice(2 * int(part[0]), 2 * int(part[-1]) + 2)
        for name, part in zip(("coarse", "middle", "fine"), parts, strict=True)
        if len(part)
    }


def write_mix(run: Trained, task: Task) -> None:
    """A table of images with some styles of their column and the rest of their row."""
    num = task.num or 6
    labels = run.labels(task, num)
    z = latent.draw(run.gan, jax.random.key(task.seed), num)
    model = run.gan, run.state.g_ema
    w = styles(*model, z, None if labels is None else jnp.asarray(labels))
    sources = np.asarray(decode_styles(*model, w))
    top, rows = np.concatenate([np.zeros_like(sources[:1]), sources]), ["samples"]
    table = [top[None]]
    for name, layers in scales(w.shape[1]).items():
        mixed = mix(*model, w, w, layers)
        table.append(np.concatenate([sources[:, None], mixed], axis=1))
        rows += [f"{name}, {i + 1}" for i in range(num)]
    columns = ["samples", *(f"{i + 1}" for i in range(num))]
    plots.plot_images(task.out / "mix.png", np.concatenate(table), rows, columns)
