"""Flax modules in training mode: mixed precision, batch statistics, dropout keys."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int, Key, PyTree

Variables = dict[str, Any]
Labels = Int[Array, " B"] | None
Images = Float[Array, "B ..."]


def apply_in(
    module: nn.Module, dtype: jnp.dtype, params: PyTree, *inputs: Array
) -> Any:
    """Outputs float32 of a module without batch statistics or dropout.

    The arithmetic inside is of `dtype`; inputs of integers stay as they are.
    """

    def cast(tree: PyTree, dtype: Any) -> PyTree:
        return jax.tree.map(
            lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.inexact) else x,
            tree,
        )

    outputs = module.apply({"params": cast(params, dtype)}, *cast(inputs, dtype))
    return cast(outputs, jnp.float32)


def apply_train(
    module: nn.Module,
    dtype: jnp.dtype,
    variables: Variables,
    inputs: Float[Array, "B ..."],
    labels: Labels,
    rngs: dict[str, Key[Array, ""]],
) -> tuple[Array, PyTree]:
    """A module's outputs in training mode, and its new batch statistics.

    The arithmetic inside is of `dtype`. Inputs, outputs, batch statistics and the
    gradients that reach the parameters are float32. `rngs` are keys by the name of
    their use, for modules that have one.
    """
    params = jax.tree.map(lambda p: p.astype(dtype), variables["params"])
    outputs, updated = module.apply(
        variables | {"params": params},
        inputs.astype(dtype),
        train=True,
        labels=labels,
        rngs=rngs,
        mutable=["batch_stats"],
    )
    stats = updated.get("batch_stats", variables["batch_stats"])
    return outputs.astype(jnp.float32), stats


def discriminate(
    module: nn.Module,
    dtype: jnp.dtype,
    variables: Variables,
    images: Float[Array, "nB ..."],
    labels: Labels,
    dropout: Key[Array, ""],
) -> tuple[Float[Array, " nB"], PyTree]:
    """Logits [n B] of n batches stacked, and the new batch statistics.

    `labels` are those of one batch, int [B], and are repeated for the others.

    Raises:
      ValueError: the logits are not of one dimension.
    """
    if labels is not None:
        labels = jnp.tile(labels, len(images) // len(labels))
    rngs = {"dropout": dropout}
    logits, stats = apply_train(module, dtype, variables, images, labels, rngs)
    if logits.shape != images.shape[:1]:  # [B] with [B, 1] would broadcast to [B, B]
        raise ValueError(
            f"discriminator: expected logits {images.shape[:1]}, got {logits.shape}"
        )
    return logits, stats


def discriminate_both(
    module: nn.Module,
    dtype: jnp.dtype,
    variables: Variables,
    pair: tuple[Images, Images],
    labels: Labels,
    dropout: Key[Array, ""],
) -> tuple[tuple[Array, Array], PyTree]:
    """Logits [B] of real and of fake images, and the new batch statistics.

    One pass over both, but two with BatchNorm, which would mix them.
    """
    real, fake = pair
    if not variables["batch_stats"]:
        both = jnp.concatenate(pair)
        logits, stats = discriminate(module, dtype, variables, both, labels, dropout)
        return (logits[: len(real)], logits[len(real) :]), stats
    keys = jax.random.split(dropout)
    real_logits, stats = discriminate(module, dtype, variables, real, labels, keys[0])
    variables = variables | {"batch_stats": stats}
    fake_logits, stats = discriminate(module, dtype, variables, fake, labels, keys[1])
    return (real_logits, fake_logits), stats
