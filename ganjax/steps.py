"""The update functions: (gan, state, batch) -> (state, metrics). Pure, jitted, public.

Called from a notebook they take plain arrays and donate nothing. Inside a `pmap` they
take this device's share of the batch and the name of the axis; gradients, statistics
and metrics are averaged over it. Noise is drawn for the global batch and sliced, so the
result does not depend on the number of devices, but for dropout and the penalties that
interpolate (`local_key`).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax import lax
from jax.nn import sigmoid, softplus

from ganjax.gan import Gan
from ganjax.state import PyTree, TrainState

Metrics = dict[str, jax.Array]
Pair = tuple[jax.Array, jax.Array]  # of reals and fakes
Sampler = Callable[[jax.Array, int], jax.Array]

# One tag for each use of randomness: no key is ever used twice.
D_Z, D_DROPOUT, D_PENALTY, D_BLUR, D_FLIP, G_Z, G_DROPOUT, G_BLUR = range(8)


@partial(jax.jit, static_argnames=("gan", "axis_name"))
def d_step(
    gan: Gan,
    state: TrainState,
    batch: jax.Array,
    labels: jax.Array | None = None,
    *,
    axis_name: str | None = None,
) -> tuple[TrainState, Metrics]:
    """One discriminator update; changes `d_*` only, bit for bit.

    Args:
      gan: from `make_gan`.
      state: the current state; not donated.
      batch: uint8 [B, H, W, C], real images.
      labels: int32 [B], their classes, where `gan.num_classes` asks for them. As many
        fakes are made of each class.
      axis_name: the pmap axis to average over, if any.

    Raises:
      ValueError: the batch is not uint8, labels are missing, or logits are not [B].
    """
    fake = d_fakes(gan, state, batch, labels, axis_name)
    return update_d(gan, state, batch, fake, labels, axis_name)


@partial(jax.jit, static_argnames=("gan", "axis_name"))
def g_step(
    gan: Gan,
    state: TrainState,
    batch: jax.Array,
    labels: jax.Array | None = None,
    *,
    axis_name: str | None = None,
) -> tuple[TrainState, Metrics]:
    """One generator update and its moving average; changes `g_*` and `step` only.

    `batch`, uint8 [B, H, W, C], sets the number of fakes; its pixels matter to
    relativistic losses and to the L1 term alone. Arguments and errors as in `d_step`.
    """
    fakes = g_fakes(gan, state, batch, labels, axis_name)
    return update_g(gan, state, batch, fakes, labels, axis_name)


@partial(jax.jit, static_argnames=("gan", "axis_name"))
def train_step(
    gan: Gan,
    state: TrainState,
    batches: jax.Array,
    labels: jax.Array | None = None,
    *,
    axis_name: str | None = None,
) -> tuple[TrainState, Metrics]:
    """k discriminator updates, then one of the generator: 1406.2661, Algorithm 1.

    With `order="g_first"` the generator meets the discriminator as it was, and the
    discriminator the fakes of the generator as it was. During a warm-up one player
    keeps still; the steps count all the same.

    Args:
      gan: from `make_gan`.
      state: the current state; not donated.
      batches: uint8 [k, B, H, W, C], one fresh mini-batch for each discriminator
        update; the last one also serves the generator's (relativistic) loss.
      labels: int32 [k, B], their classes, where `gan.num_classes` asks for them.
      axis_name: the pmap axis to average over, if any.

    Returns:
      The new state and both players' metrics, the discriminator's averaged over k.
    """
    last = None if labels is None else labels[-1]
    fakes = g_fakes(gan, state, batches[-1], last, axis_name)

    def update(
        state: TrainState, inputs: tuple[jax.Array, jax.Array | None]
    ) -> tuple[TrainState, Metrics]:
        batch, labels = inputs
        if gan.reuse_fakes:  # G's forward pass is shared, too
            fake = fakes.images
        else:
            fake = d_fakes(gan, state, batch, labels, axis_name)
        return update_d(gan, state, batch, fake, labels, axis_name)

    # Unrolled: k is small, and a loop would hide the k steps from the compiler.
    after_d, d_metrics = lax.scan(update, state, (batches, labels), unroll=True)
    before_g = state if gan.g_first else after_d
    after_g, g_metrics = update_g(gan, before_g, batches[-1], fakes, last, axis_name)
    # Each player's fields from its own step: with G first, D has met G's old fakes.
    after = after_g.replace(**player(after_d, "d_"))
    for still, steps in (("g_", gan.d_warmup), ("d_", gan.g_warmup)):
        if steps:  # the other player learns alone
            held = partial(jnp.where, state.step < steps)
            fields = jax.tree.map(held, player(state, still), player(after, still))
            after = after.replace(**fields)
    return after, jax.tree.map(jnp.mean, d_metrics) | g_metrics


# --- the two updates ----------------------------------------------------------------


class Fakes(NamedTuple):
    """What G made of noise, and the way back."""

    images: jax.Array  # float32 [B, H, W, C]
    stats: PyTree  # G's batch statistics, updated
    pull: Callable[[jax.Array], tuple[PyTree]]  # gradient at images -> at parameters


def d_fakes(
    gan: Gan,
    state: TrainState,
    batch: jax.Array,
    labels: jax.Array | None,
    axis_name: str | None,
) -> jax.Array:
    """Fakes of a discriminator update: of fresh noise, or of the generator's own."""
    if gan.reuse_fakes:
        return g_fakes(gan, state, batch, labels, axis_name).images
    key = jax.random.fold_in(state.key, state.d_updates)
    z = draw_z(gan, jax.random.fold_in(key, D_Z), len(batch), axis_name)
    variables = {"params": state.g_params, "batch_stats": state.g_stats}
    return generate(gan, variables, z, labels, axis_name)[0]


def g_fakes(
    gan: Gan,
    state: TrainState,
    batch: jax.Array,
    labels: jax.Array | None,
    axis_name: str | None,
) -> Fakes:
    """Fakes of a generator update, from noise of this step."""
    key = jax.random.fold_in(state.key, state.step)
    z = draw_z(gan, jax.random.fold_in(key, G_Z), len(batch), axis_name)

    def images(params: PyTree) -> tuple[jax.Array, PyTree]:
        variables = {"params": params, "batch_stats": state.g_stats}
        return generate(gan, variables, z, labels, axis_name)

    fake, pull, stats = jax.vjp(images, state.g_params, has_aux=True)
    return Fakes(fake, stats, pull)


def update_d(
    gan: Gan,
    state: TrainState,
    batch: jax.Array,
    fake: jax.Array,
    labels: jax.Array | None,
    axis_name: str | None,
) -> tuple[TrainState, Metrics]:
    """One step of the discriminator on reals, uint8, and fakes, float32."""
    key = jax.random.fold_in(state.key, state.d_updates)
    blur_key = jax.random.fold_in(key, D_BLUR)
    pair = blur(gan, blur_key, (to_float(gan, batch), fake), state.step, axis_name)
    dropout = local_key(jax.random.fold_in(key, D_DROPOUT), axis_name)

    def objective(params: PyTree) -> tuple[jax.Array, tuple[PyTree, Metrics]]:
        variables = {"params": params, "batch_stats": state.d_stats}
        logits, stats = discriminate_both(
            gan, variables, pair, labels, dropout, axis_name
        )
        metrics = diagnose(gan, logits, axis_name)
        logits = flip(gan, jax.random.fold_in(key, D_FLIP), logits, axis_name)
        loss = jnp.mean(gan.loss.d(*logits))
        metrics["d_loss"] = loss

        def d_fn(images: jax.Array) -> jax.Array:
            return discriminate(gan, variables, images, labels, dropout, axis_name)[0]

        for i, (name, penalty, weight) in enumerate(gan.penalties):
            penalty_key = jax.random.fold_in(jax.random.fold_in(key, D_PENALTY), i)
            value = jnp.mean(penalty(d_fn, *pair, local_key(penalty_key, axis_name)))
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


def update_g(
    gan: Gan,
    state: TrainState,
    batch: jax.Array,
    fakes: Fakes,
    labels: jax.Array | None,
    axis_name: str | None,
) -> tuple[TrainState, Metrics]:
    """One step of the generator: G∘D as one network, with an image as hidden layer."""
    key = jax.random.fold_in(state.key, state.step)
    real = to_float(gan, batch)
    dropout = local_key(jax.random.fold_in(key, G_DROPOUT), axis_name)
    d_variables = {"params": state.d_params, "batch_stats": state.d_stats}

    def objective(fake: jax.Array) -> tuple[jax.Array, Metrics]:
        blur_key = jax.random.fold_in(key, G_BLUR)
        pair = blur(gan, blur_key, (real, fake), state.step, axis_name)
        # Two passes: D(real) needs no gradient, and is dropped where no loss uses it.
        logits = [
            discriminate(gan, d_variables, images, labels, dropout_key, axis_name)[0]
            for images, dropout_key in zip(pair, jax.random.split(dropout), strict=True)
        ]
        loss = jnp.mean(gan.loss.g(*logits))
        metrics = {"g_loss": loss}
        if gan.l1:
            # Unpaired: its minimiser is the pixelwise median, whatever z is.
            metrics["l1"] = jnp.mean(jnp.abs(fake - real))
            loss += gan.l1 * metrics["l1"]
        return loss, metrics

    slope, metrics = jax.grad(objective, has_aux=True)(fakes.images)
    (grads,) = fakes.pull(slope)
    grads, stats, metrics = average((grads, fakes.stats, metrics), axis_name)
    updates, opt = gan.g_tx.update(grads, state.g_opt, state.g_params)
    params = optax.apply_updates(state.g_params, updates)
    images = len(real) * axis_size(axis_name)
    ema = update_ema(
        gan, state, {"params": params, "batch_stats": stats}, images_per_step=images
    )
    metrics["g_grad_norm"] = optax.tree.norm(grads)
    state = state.replace(
        step=state.step + 1, g_params=params, g_stats=stats, g_opt=opt, g_ema=ema
    )
    return state, metrics


# --- the pieces ---------------------------------------------------------------------


def player(state: TrainState, prefix: str) -> dict[str, PyTree]:
    """The fields of one player, `g_` or `d_`."""
    return {k: v for k, v in vars(state).items() if k.startswith(prefix)}


def check_labels(gan: Gan, labels: jax.Array | None) -> None:
    """Conditional players need classes, and others would ignore them."""
    if (labels is None) == bool(gan.num_classes):
        need = "needs labels" if labels is None else "takes no labels"
        raise ValueError(f"a GAN with num_classes = {gan.num_classes} {need}")


def to_float(gan: Gan, images: jax.Array) -> jax.Array:
    """uint8 pixels to float32 in the generator's range."""
    shape = tuple(gan.generator.image_shape)
    if images.dtype != jnp.uint8 or images.shape[1:] != shape:
        raise ValueError(
            f"a batch must be uint8 images [B, *{shape}], "
            f"not {images.dtype} {list(images.shape)}"
        )
    low, high = gan.pixel_range
    return images.astype(jnp.float32) * ((high - low) / 255) + low


def to_uint8(gan: Gan, images: jax.Array) -> jax.Array:
    """The inverse of `to_float`; values outside the range are clipped."""
    low, high = gan.pixel_range
    scaled = (images - low) * (255 / (high - low))
    return jnp.clip(jnp.round(scaled), 0, 255).astype(jnp.uint8)


def generate(
    gan: Gan,
    variables: PyTree,
    z: jax.Array,
    labels: jax.Array | None,
    axis_name: str | None,
) -> tuple[jax.Array, PyTree]:
    """G(z) or G(z, y) in training mode, and the updated batch statistics."""
    check_labels(gan, labels)
    module = on_axis(gan.generator, axis_name)
    return forward(module, gan.dtype, variables, z, labels)


def discriminate(
    gan: Gan,
    variables: PyTree,
    images: jax.Array,
    labels: jax.Array | None,
    dropout: jax.Array,
    axis_name: str | None,
) -> tuple[jax.Array, PyTree]:
    """Logits float32 [n B] of n batches, and the updated batch statistics.

    Labels are those of one batch, int32 [B]: penalties look at reals, at fakes, between
    them, or at all of these together.
    """
    if labels is not None:
        labels = jnp.tile(labels, len(images) // len(labels))
    module = on_axis(gan.discriminator, axis_name)
    logits, stats = forward(module, gan.dtype, variables, images, labels, dropout)
    if logits.shape != images.shape[:1]:  # [B] against [B, 1] broadcasts to [B, B]
        raise ValueError(
            f"the discriminator returned {logits.shape}, not [B] = {images.shape[:1]}"
        )
    return logits, stats


def on_axis(module: nn.Module, axis_name: str | None) -> nn.Module:
    """The network, told the axis inside a pmap; outside it need not have the field."""
    return module if axis_name is None else module.clone(axis_name=axis_name)


def forward(
    module: nn.Module,
    dtype: jnp.dtype,
    variables: PyTree,
    inputs: jax.Array,
    labels: jax.Array | None,
    dropout: jax.Array | None = None,
) -> tuple[jax.Array, PyTree]:
    """A network in training mode, and its updated batch statistics.

    Inside it the arithmetic is of `dtype`; what goes in and comes out is float32, and
    so are batch statistics and the gradients that reach the parameters.
    """
    params = jax.tree.map(lambda p: p.astype(dtype), variables["params"])
    outputs, updated = module.apply(
        variables | {"params": params},
        inputs.astype(dtype),
        train=True,
        labels=labels,
        rngs=None if dropout is None else {"dropout": dropout},
        mutable=["batch_stats"],
    )
    stats = updated.get("batch_stats", variables["batch_stats"])
    return outputs.astype(jnp.float32), stats


def discriminate_both(
    gan: Gan,
    variables: PyTree,
    pair: Pair,
    labels: jax.Array | None,
    dropout: jax.Array,
    axis_name: str | None,
) -> tuple[Pair, PyTree]:
    """Logits of (real, fake): one pass over both, or two where BatchNorm would mix."""
    real, fake = pair
    rest = labels, dropout, axis_name
    if not variables["batch_stats"]:
        both, stats = discriminate(gan, variables, jnp.concatenate(pair), *rest)
        return (both[: len(real)], both[len(real) :]), stats
    real_logits, stats = discriminate(gan, variables, real, *rest)
    variables = variables | {"batch_stats": stats}
    fake_logits, stats = discriminate(gan, variables, fake, *rest)
    return (real_logits, fake_logits), stats


def blur(
    gan: Gan, key: jax.Array, pair: Pair, step: jax.Array, axis_name: str | None
) -> Pair:
    """Instance noise: the same Gaussian on reals and fakes (arXiv:1610.04490).

    Two distributions that share no support overlap once blurred; the noise falls
    linearly to zero, or stays if `instance_noise_steps` is 0.
    """
    if not gan.instance_noise:
        return pair
    left = 1.0 - step / gan.instance_noise_steps if gan.instance_noise_steps else 1.0
    sigma = gan.instance_noise * jnp.maximum(left, 0.0)

    def noisy(images: jax.Array, key: jax.Array) -> jax.Array:
        def normal(key: jax.Array, n: int) -> jax.Array:
            return jax.random.normal(key, (n, *images.shape[1:]))

        return images + sigma * draw(normal, key, len(images), axis_name)

    real_key, fake_key = jax.random.split(key)
    return noisy(pair[0], real_key), noisy(pair[1], fake_key)


def flip(gan: Gan, key: jax.Array, logits: Pair, axis_name: str | None) -> Pair:
    """Label flipping: a share of the pairs goes to the discriminator's loss swapped."""
    if not gan.label_flip:
        return logits
    real, fake = logits

    def coin(key: jax.Array, n: int) -> jax.Array:
        return jax.random.bernoulli(key, gan.label_flip, (n,))

    swap = draw(coin, key, len(real), axis_name)
    return jnp.where(swap, fake, real), jnp.where(swap, real, fake)


def diagnose(gan: Gan, logits: Pair, axis_name: str | None) -> Metrics:
    """D read as a classifier, whatever the loss: comparable curves for all of them.

    Relativistic losses and critics leave the level of the logits free, so there each
    side is measured from the other side's mean (arXiv:1807.00734, section 4). A
    critic's difference of means is its estimate of the Wasserstein distance, times its
    Lipschitz constant (arXiv:1701.07875, equation 3).
    """
    real, fake = (side - gan.loss.boundary for side in logits)
    metrics = {}
    if gan.loss.level_free:
        real_mean, fake_mean = average((jnp.mean(real), jnp.mean(fake)), axis_name)
        real, fake = real - fake_mean, fake - real_mean
        if gan.loss.critic:
            metrics["distance"] = real_mean - fake_mean
    return metrics | {
        "real_loss": jnp.mean(softplus(-real)),
        "fake_loss": jnp.mean(softplus(fake)),
        "d_real": jnp.mean(sigmoid(real)),
        "d_fake": jnp.mean(sigmoid(fake)),
    }


def update_ema(
    gan: Gan, state: TrainState, new: PyTree, images_per_step: int
) -> PyTree:
    """Half-life in images, short at first and growing with the images seen.

    As in StyleGAN2-ADA (arXiv:2006.06676): an average that remembers the first noise
    for ten thousand images would hide all early progress.
    """
    if not gan.ema_half_life:
        return new
    seen = (state.step + 1).astype(jnp.float32) * images_per_step  # int32 overflows
    half_life = jnp.minimum(gan.ema_half_life, gan.ema_rampup * seen)
    keep = 0.5 ** (images_per_step / half_life)
    return jax.tree.map(lambda old, x: keep * old + (1 - keep) * x, state.g_ema, new)


def draw(
    sampler: Sampler, key: jax.Array, num: int, axis_name: str | None
) -> jax.Array:
    """This device's `num` rows of what `sampler(key, n)` draws for the global batch."""
    rows = sampler(key, num * axis_size(axis_name))
    if axis_name is None:
        return rows
    return lax.dynamic_slice_in_dim(rows, lax.axis_index(axis_name) * num, num)


def draw_z(gan: Gan, key: jax.Array, num: int, axis_name: str | None) -> jax.Array:
    """This device's noise, float32 [num, z_dim]."""
    return draw(lambda k, n: gan.prior(k, (n, gan.z_dim)), key, num, axis_name)


def local_key(key: jax.Array, axis_name: str | None) -> jax.Array:
    """A key of this device's own, for dropout masks and interpolating penalties.

    These two are all that depends on the number of devices; DRAGAN also takes the
    standard deviation of its own device's share of the batch.
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
