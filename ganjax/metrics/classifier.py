"""The digit classifier, whose features replace those of Inception on MNIST."""

import hashlib
import json
import warnings
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax
from flax.traverse_util import flatten_dict, unflatten_dict

from ganjax import files
from ganjax.metrics import features
from ganjax.metrics.features import Extractor
from ganjax.metrics.types import FeatureSet

Params = dict[str, Any]

NUM_CLASSES = 10
NUM_FEATURES = 128


class Recipe(NamedTuple):
    """Hyperparameters of the training."""

    batch_size: int = 64
    images_seen: int = 300_000  # with repetition: 5 epochs of MNIST
    learning_rate: float = 2e-3  # peak of a one-cycle cosine schedule
    weight_decay: float = 1e-4
    max_shift: int = 1  # pixels, drawn for each image


RECIPE = Recipe()


class StridedConv(nn.Module):
    """A 4x4 convolution with stride 2 as space-to-depth and one matrix product.

    Same arithmetic as `nn.Conv(features, (4, 4), 2, padding=1)`; on the CPU its
    gradient takes half the time. Not `models.layers.Conv`, which computes the same: its
    kernel has another name, shape and order, hence other initial values, and published
    results name the fingerprint of a classifier with these.
    """

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        b, h, w, c = x.shape
        x = x.reshape(b, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5)
        x = x.reshape(b, h // 2, w // 2, 4 * c)
        corners = (x[:, :-1, :-1], x[:, :-1, 1:], x[:, 1:, :-1], x[:, 1:, 1:])
        patches = jnp.concatenate(corners, axis=-1).reshape(-1, 16 * c)
        y = nn.Dense(self.features, kernel_init=nn.initializers.he_normal())(patches)
        return y.reshape(b, h // 2 - 1, w // 2 - 1, self.features)


class Classifier(nn.Module):
    """uint8 [B, 28, 28, 1] -> features float32 [B, 128] (>= 0), logits [B, 10]."""

    @nn.compact
    def __call__(self, images: jax.Array) -> tuple[jax.Array, jax.Array]:
        x = images.astype(jnp.float32) / 255.0
        for width in (32, 64):
            x = nn.relu(StridedConv(width)(x))
        x = x.reshape(x.shape[0], -1)
        dense = nn.Dense(NUM_FEATURES, kernel_init=nn.initializers.he_normal())
        features = nn.relu(dense(x))
        return features, nn.Dense(NUM_CLASSES)(features)


def digit_extractor(classifier: Params, batch_size: int = 1000) -> Extractor:
    """The activations before the logits, of all channels side by side."""
    apply, name = partial(_apply, classifier), fingerprint(classifier)
    return Extractor(apply, name, size=(28, 28), batch_size=batch_size)


def extract(
    classifier: Params,
    images: npt.ArrayLike,
    labels: npt.ArrayLike | None = None,
    batch_size: int = 1000,
) -> FeatureSet:
    """Features and logits of images uint8 [N, 28, 28, C], channel by channel.

    Raises:
      ValueError: images of another type or shape, or not as many labels.
    """
    return features.extract(digit_extractor(classifier, batch_size), images, labels)


def train_classifier(
    images: npt.ArrayLike,
    labels: npt.ArrayLike,
    seed: int = 0,
    recipe: Recipe = RECIPE,
) -> Params:
    """Trains on uint8 [N, 28, 28, 1] and integer labels [N] in 0..9.

    A pure function of its arguments. One jitted call per step: inside `lax.scan` XLA's
    CPU code is many times slower. Raises ValueError on wrong labels.
    """
    x, y = np.asarray(images), np.asarray(labels)
    if y.shape != x.shape[:1] or y.min() < 0 or y.max() >= NUM_CLASSES:
        raise ValueError(
            f"labels: expected [{len(x)}] in 0..9, got {list(y.shape)} in "
            f"{y.min()}..{y.max()}"
        )
    batch = min(recipe.batch_size, len(x))
    num_steps = max(recipe.images_seen // batch, 10)
    schedule = optax.cosine_onecycle_schedule(
        num_steps, recipe.learning_rate, pct_start=0.2, div_factor=10.0
    )
    optimizer = optax.adamw(schedule, weight_decay=recipe.weight_decay)

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(
        params: Params, opt_state: Any, data: Any, indices: jax.Array, key: jax.Array
    ) -> tuple[Params, Any]:
        x, y = data[0][indices], data[1][indices]
        x = _shift(x, recipe.max_shift, key)

        def loss(params: Params) -> jax.Array:
            _, logits = Classifier().apply({"params": params}, x)
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, y)
            return losses.mean()

        updates, opt_state = optimizer.update(jax.grad(loss)(params), opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    init_key, shift_key = jax.random.split(jax.random.key(seed))
    params = Classifier().init(init_key, x[:1])["params"]
    opt_state = optimizer.init(params)
    data = jnp.asarray(x), jnp.asarray(y, jnp.int32)
    per_epoch = len(x) // batch
    for i in range(num_steps):
        epoch, position = divmod(i, per_epoch)
        if position == 0:
            order = np.random.default_rng([seed, epoch]).permutation(len(x))
        indices = order[position * batch : (position + 1) * batch]
        key = jax.random.fold_in(shift_key, i)
        params, opt_state = step(params, opt_state, data, indices, key)
    return jax.device_get(params)


def fingerprint(classifier: Params) -> str:
    """Twelve hexadecimal digits that identify the parameters (rounded to 1e-4).

    Trained from one seed on two machines, classifiers may differ: rounding differs in
    the last bits and training amplifies it. Their FIDs differ too.
    """
    digest = hashlib.sha256()
    for path, leaf in sorted(flatten_dict(classifier, sep="/").items()):
        rounded = np.round(np.asarray(leaf, np.float64) * 1e4).astype("<i8")
        digest.update(f"{path}{rounded.shape}".encode() + rounded.tobytes())
    return digest.hexdigest()[:12]


def load_classifier(
    images: npt.ArrayLike, labels: npt.ArrayLike, data_id: str, seed: int = 0
) -> Params:
    """The trained classifier from the cache, or trained now (about a minute).

    `data_id` identifies the training images in the cache. Warns of a corrupt file,
    which is replaced, and of a cache folder that can't be written to.
    """
    identity = json.dumps([data_id, np.shape(images), seed, RECIPE])
    name = hashlib.sha256(identity.encode()).hexdigest()[:12]
    path = files.cache_folder() / f"classifier_{name}.npz"
    if path.exists():
        try:
            with np.load(path) as arrays:
                params = unflatten_dict(dict(arrays), sep="/")
            jax.eval_shape(_apply, params, np.asarray(images)[:1])  # checks the names
            return params
        except Exception as error:  # NumPy and zipfile raise many kinds
            warnings.warn(f"{path} is corrupt ({error}): trained again", stacklevel=2)
    params = train_classifier(images, labels, seed, RECIPE)
    flat = flatten_dict(params, sep="/")
    files.remove_scratch(path.parent, files.DAY)
    try:
        files.write_file(path, lambda file: np.savez(file, **flat))
    except OSError as error:
        warnings.warn(f"{path} is not cached: {error}", stacklevel=2)
    return params


def _shift(images: jax.Array, pixels: int, key: jax.Array) -> jax.Array:
    """Moves each image by up to `pixels` in both directions and fills with zeros."""
    border = ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0))
    offsets = jax.random.randint(key, (len(images), 2), 0, 2 * pixels + 1)

    def crop(image: jax.Array, offset: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice(image, (offset[0], offset[1], 0), (28, 28, 1))

    return jax.vmap(crop)(jnp.pad(images, border), offsets)


@jax.jit
def _apply(classifier: Params, images: jax.Array) -> tuple[jax.Array, jax.Array]:
    """[B, 28, 28, C] -> features [B, 128 C], logits [B, C, 10]."""
    channels = [
        Classifier().apply({"params": classifier}, images[..., c : c + 1])
        for c in range(images.shape[-1])
    ]
    features, logits = zip(*channels, strict=True)
    return jnp.concatenate(features, axis=1), jnp.stack(logits, axis=1)
