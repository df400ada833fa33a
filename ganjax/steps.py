"""The update functions: (gan, state, batch) -> (state, metrics). Pure, jitted, public.

Called from a notebook they take plain arrays and donate nothing. Inside a `pmap` they
take this device's share of the batch and the name of the axis; gradients, statistics
and metrics are averaged over it. Noise is drawn for the global batch and sliced, so the
result does not depend on the number of devices.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.nn import sigmoid, softplus

from ganjax.gan import Gan
from ganjax.state import PyTree, TrainState

Metrics = dict[str, jax.Array]

# One tag for each use of randomness: no key is ever used twice.
D_NOISE, D_DROPOUT, D_PENALTY, G_NOISE, G_DROPOUT = range(5)


@partial(jax.jit, static_argnames=("gan", "axis_name"))
def d_step(
    gan: Gan, state: TrainState, batch: jax.Array, *, axis_name: str | None = None
) -> tuple[TrainState, Metrics]:
    """One discriminator update; changes `d_*` only, bit for bit.

    Args:
      gan: from `make_gan`.
      state: the current state; not donated.
      batch: uint8 [B, H, W, C], real images.
      axis_name: the pmap axis to average over, if any.

    Raises:
      ValueError: the batch is not uint8, or logits are not of shape [B].
    """
    key = jax.random.fold_in(state.key, state.d_updates)
    real = to_float(gan, batch)
    noise = jax.random.fold_in(key, D_NOISE)
    if gan.reuse_fakes:
        noise = jax.random.fold_in(jax.random.fold_in(state.key, state.step), G_NOISE)
    z = draw_z(gan, noise, len(batch), axis_name)
    fake, _ = generate(gan, state.g_params, state.g_stats, z, axis_name)
    dropout = local_key(jax.random.fold_in(key, D_DROPOUT), axis_name)

    def objective(params: PyTree) -> tuple[jax.Array, tuple[PyTree, Metrics]]:
        real_logits, fake_logits, stats = discriminate_both(
            gan, params, state.d_stats, (real, fake), dropout, axis_name
        )
        loss = jnp.mean(gan.loss.d(real_logits, fake_logits))
        metrics = {"d_loss": loss} | diagnose(gan, real_logits, fake_logits, axis_name)

        def d_fn(images: jax.Array) -> jax.Array:
            logits, _ = discriminate(
                gan, params, state.d_stats, images, dropout, axis_name
            )
            return logits

        for i, (name, penalty, weight) in enumerate(gan.penalties):
            penalty_key = jax.random.fold_in(jax.random.fold_in(key, D_PENALTY), i)
            value = jnp.mean(
                penalty(d_fn, real, fake, local_key(penalty_key, axis_name))
            )
            loss += weight(state.step) * value
            metrics[name] = value
        return loss, (stats, metrics)

    grads, (stats, metrics) = jax.grad(objective, has_aux=True)(state.d_params)
    grads, stats, metrics = average((grads, stats, metrics), axis_name)
    updates, opt = gan.d_tx.update(grads, state.d_opt, state.d_params)
    metrics["d_grad_norm"] = optax.tree.norm(grads)
    state = state.replace(
        d_updates=state.d_updates + 1,
        d_params=optax.apply_updates(state.d_params, updates),
        d_stats=stats,
        d_opt=opt,
    )
    return state, metrics


@partial(jax.jit, static_argnames=("gan", "axis_name"))
def g_step(
    gan: Gan, state: TrainState, batch: jax.Array, *, axis_name: str | None = None
) -> tuple[TrainState, Metrics]:
    """One generator update and its moving average; changes `g_*` and `step` only.

    `batch`, uint8 [B, H, W, C], sets the number of fakes; its pixels matter to
    relativistic losses and to the L1 term alone. Arguments and errors as in `d_step`.
    """
    key = jax.random.fold_in(state.key, state.step)
    real = to_float(gan, batch)
    z = draw_z(gan, jax.random.fold_in(key, G_NOISE), len(batch), axis_name)
    dropout = local_key(jax.random.fold_in(key, G_DROPOUT), axis_name)

    def objective(params: PyTree) -> tuple[jax.Array, tuple[PyTree, Metrics]]:
        fake, stats = generate(gan, params, state.g_stats, z, axis_name)
        real_logits, fake_logits, _ = discriminate_both(
            gan, state.d_params, state.d_stats, (real, fake), dropout, axis_name
        )
        loss = jnp.mean(gan.loss.g(real_logits, fake_logits))
        metrics = {"g_loss": loss}
        if gan.l1:
            # Unpaired: its minimiser is the pixelwise median, whatever z is.
            metrics["l1"] = jnp.mean(jnp.abs(fake - real))
            loss += gan.l1 * metrics["l1"]
        return loss, (stats, metrics)

    grads, (stats, metrics) = jax.grad(objective, has_aux=True)(state.g_params)
    grads, stats, metrics = average((grads, stats, metrics), axis_name)
    updates, opt = gan.g_tx.update(grads, state.g_opt, state.g_params)
    params = optax.apply_updates(state.g_params, updates)
    images = len(batch) * axis_size(axis_name)
    ema = update_ema(
        gan, state, {"params": params, "batch_stats": stats}, images_per_step=images
    )
    metrics["g_grad_norm"] = optax.tree.norm(grads)
    state = state.replace(
        step=state.step + 1, g_params=params, g_stats=stats, g_opt=opt, g_ema=ema
    )
    return state, metrics


@partial(jax.jit, static_argnames=("gan", "axis_name"))
def train_step(
    gan: Gan, state: TrainState, batches: jax.Array, *, axis_name: str | None = None
) -> tuple[TrainState, Metrics]:
    """k discriminator updates, then one of the generator: 1406.2661, Algorithm 1.

    With `order="g_first"` the generator meets the discriminator as it was, and the
    discriminator the fakes of the generator as it was.

    Args:
      gan: from `make_gan`.
      state: the current state; not donated.
      batches: uint8 [k, B, H, W, C], one fresh mini-batch for each discriminator
        update; the last one also serves the generator's (relativistic) loss.
      axis_name: the pmap axis to average over, if any.

    Returns:
      The new state and both players' metrics, the discriminator's averaged over k.
    """

    def update(state: TrainState, batch: jax.Array) -> tuple[TrainState, Metrics]:
        return d_step(gan, state, batch, axis_name=axis_name)

    # Unrolled: k is small, and a loop would hide the k steps from the compiler.
    after_d, d_metrics = lax.scan(update, state, batches, unroll=True)
    before_g = state if gan.g_first else after_d
    after_g, g_metrics = g_step(gan, before_g, batches[-1], axis_name=axis_name)
    # Each player's fields from its own step: with G first, D has met G's old fakes.
    state = after_g.replace(
        d_updates=after_d.d_updates,
        d_params=after_d.d_params,
        d_stats=after_d.d_stats,
        d_opt=after_d.d_opt,
    )
    return state, jax.tree.map(jnp.mean, d_metrics) | g_metrics


# --- the pieces ---------------------------------------------------------------------


def to_float(gan: Gan, images: jax.Array) -> jax.Array:
    """uint8 pixels to float32 in the generator's range."""
    if images.dtype != jnp.uint8:
        raise ValueError(f"batches must be uint8 images, not {images.dtype}")
    low, high = gan.pixel_range
    return images.astype(jnp.float32) * ((high - low) / 255) + low


def to_uint8(gan: Gan, images: jax.Array) -> jax.Array:
    """The inverse of `to_float`; values outside the range are clipped."""
    low, high = gan.pixel_range
    scaled = (images - low) * (255 / (high - low))
    return jnp.clip(jnp.round(scaled), 0, 255).astype(jnp.uint8)


def generate(
    gan: Gan, params: PyTree, stats: PyTree, z: jax.Array, axis_name: str | None
) -> tuple[jax.Array, PyTree]:
    """G(z) in training mode, and the updated batch statistics."""
    images, updated = gan.generator.clone(axis_name=axis_name).apply(
        {"params": params, "batch_stats": stats}, z, train=True, mutable=["batch_stats"]
    )
    return images, updated.get("batch_stats", stats)


def discriminate(
    gan: Gan,
    params: PyTree,
    stats: PyTree,
    images: jax.Array,
    dropout: jax.Array,
    axis_name: str | None,
) -> tuple[jax.Array, PyTree]:
    """Logits float32 [B] in training mode, and the updated batch statistics."""
    logits, updated = gan.discriminator.clone(axis_name=axis_name).apply(
        {"params": params, "batch_stats": stats},
        images,
        train=True,
        rngs={"dropout": dropout},
        mutable=["batch_stats"],
    )
    if logits.shape != images.shape[:1]:  # [B] against [B, 1] broadcasts to [B, B]
        raise ValueError(
            f"the discriminator returned {logits.shape}, not [B] = {images.shape[:1]}"
        )
    return logits, updated.get("batch_stats", stats)


def discriminate_both(
    gan: Gan,
    params: PyTree,
    stats: PyTree,
    images: tuple[jax.Array, jax.Array],
    dropout: jax.Array,
    axis_name: str | None,
) -> tuple[jax.Array, jax.Array, PyTree]:
    """Logits of (real, fake): one pass over both, or two where BatchNorm would mix."""
    real, fake = images
    if not stats:
        both = jnp.concatenate(images)
        logits, _ = discriminate(gan, params, stats, both, dropout, axis_name)
        return logits[: len(real)], logits[len(real) :], stats
    real_logits, stats = discriminate(gan, params, stats, real, dropout, axis_name)
    fake_logits, stats = discriminate(gan, params, stats, fake, dropout, axis_name)
    return real_logits, fake_logits, stats


def diagnose(
    gan: Gan, real_logits: jax.Array, fake_logits: jax.Array, axis_name: str | None
) -> Metrics:
    """D read as a classifier, whatever the loss: comparable curves for all of them.

    A relativistic loss leaves the level of the logits free, so there each side is
    measured from the other side's mean (arXiv:1807.00734, section 4).
    """
    if gan.loss.relativistic:
        real_mean, fake_mean = average(
            (jnp.mean(real_logits), jnp.mean(fake_logits)), axis_name
        )
        real_logits, fake_logits = real_logits - fake_mean, fake_logits - real_mean
    return {
        "real_loss": jnp.mean(softplus(-real_logits)),
        "fake_loss": jnp.mean(softplus(fake_logits)),
        "d_real": jnp.mean(sigmoid(real_logits)),
        "d_fake": jnp.mean(sigmoid(fake_logits)),
    }


def update_ema(
    gan: Gan, state: TrainState, new: PyTree, images_per_step: int
) -> PyTree:
    """Half-life in images, short at first and growing with the images seen.

    As in StyleGAN2-ADA (arXiv:2006.06676): an average that remembers the first noise
    for ten thousand images would hide all early progress.
    """
    seen = (state.step + 1) * images_per_step
    half_life = jnp.minimum(gan.ema_half_life, gan.ema_rampup * seen)
    keep = 0.5 ** (images_per_step / jnp.maximum(half_life, 1e-8))
    return jax.tree.map(lambda old, x: keep * old + (1 - keep) * x, state.g_ema, new)


def draw_z(gan: Gan, key: jax.Array, num: int, axis_name: str | None) -> jax.Array:
    """This device's `num` rows of the global batch's noise, float32 [num, z_dim]."""
    z = gan.prior(key, (num * axis_size(axis_name), gan.z_dim))
    if axis_name is None:
        return z
    return lax.dynamic_slice_in_dim(z, lax.axis_index(axis_name) * num, num)


def local_key(key: jax.Array, axis_name: str | None) -> jax.Array:
    """A key of this device's own, for dropout masks and interpolating penalties.

    These two are the only draws that depend on the number of devices.
    """
    if axis_name is None:
        return key
    return jax.random.fold_in(key, lax.axis_index(axis_name))


def axis_size(axis_name: str | None) -> int:
    """Devices along the axis; 1 outside a pmap."""
    return 1 if axis_name is None else lax.axis_size(axis_name)


def average(tree: Any, axis_name: str | None) -> Any:
    """The mean over the devices; the identity outside a pmap."""
    return tree if axis_name is None else lax.pmean(tree, axis_name)
