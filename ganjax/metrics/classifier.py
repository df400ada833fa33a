"""The digit classifier whose features stand in for Inception's on MNIST.

A metric on learned features depends on the features: `fingerprint` names them, and
every result carries the name. Numbers of two classifiers must not be compared
(arXiv:1801.01973 shows it for Inception).
"""

import hashlib
import json
import os
import tempfile
import warnings
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import optax
from flax.traverse_util import flatten_dict, unflatten_dict

Params = dict[str, Any]
Array = npt.NDArray[Any]

NUM_CLASSES = 10
NUM_FEATURES = 128


class Recipe(NamedTuple):
    """Everything but data and seed that decides the parameters."""

    widths: tuple[int, int] = (32, 64)  # channels of the two convolutions
    batch_size: int = 64
    images_seen: int = 300_000  # with repetition: 5 epochs of MNIST
    learning_rate: float = 2e-3  # peak of a one-cycle cosine schedule
    weight_decay: float = 1e-4
    max_shift: int = 1  # pixels, each image by itself


RECIPE = Recipe()


class StridedConv(nn.Module):
    """A 4x4 convolution with stride 2 as space-to-depth and one matrix product.

    Same arithmetic as `nn.Conv(features, (4, 4), 2, padding=1)`; on the CPU its
    gradient takes half the time.
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

    widths: tuple[int, int] = RECIPE.widths

    @nn.compact
    def __call__(self, images: jax.Array) -> tuple[jax.Array, jax.Array]:
        x = images.astype(jnp.float32) / 255.0
        for width in self.widths:
            x = nn.relu(StridedConv(width)(x))
        x = x.reshape(x.shape[0], -1)
        dense = nn.Dense(NUM_FEATURES, kernel_init=nn.initializers.he_normal())
        features = nn.relu(dense(x))
        return features, nn.Dense(NUM_CLASSES)(features)


def train_classifier(
    images: npt.ArrayLike,
    labels: npt.ArrayLike,
    seed: int = 0,
    recipe: Recipe = RECIPE,
) -> Params:
    """Trains on uint8 [N, 28, 28, 1] and integer labels [N] in 0..9.

    Pure in data, seed and recipe.

    One jitted call a step: inside `lax.scan` XLA's CPU code is many times slower.
    Raises ValueError on wrong shapes, dtype or labels.
    """
    images, labels = _check_images(images), np.asarray(labels)
    if labels.shape != images.shape[:1] or len(labels) == 0:
        raise ValueError(f"labels {labels.shape} do not fit images {images.shape}")
    if labels.min() < 0 or labels.max() >= NUM_CLASSES:
        raise ValueError(f"labels outside 0..9: {labels.min()}..{labels.max()}")
    batch = min(recipe.batch_size, len(images))
    num_steps = max(recipe.images_seen // batch, 10)
    init_key, shift_key = jax.random.split(jax.random.key(seed))
    params = _init(recipe, init_key)
    opt_state = _optimiser(recipe, num_steps).init(params)
    step = _make_step(recipe, num_steps)
    data = jnp.asarray(images), jnp.asarray(labels, jnp.int32)
    per_epoch = len(images) // batch
    for i in range(num_steps):
        epoch, position = divmod(i, per_epoch)
        if position == 0:
            order = np.random.default_rng([seed, epoch]).permutation(len(images))
        indices = order[position * batch : (position + 1) * batch]
        key = jax.random.fold_in(shift_key, i)
        params, opt_state = step(params, opt_state, data, indices, key)
    trained: Params = jax.device_get(params)
    return trained


def features_and_logits(
    params: Params, images: npt.ArrayLike, batch_size: int = 1000
) -> tuple[Array, Array]:
    """Features float32 [N, 128] and logits float32 [N, 10] of uint8 [N, 28, 28, 1]."""
    images = _check_images(images)
    features, logits = [], []
    for start in range(0, len(images), batch_size):
        block = images[start : start + batch_size]
        short = min(batch_size, len(images)) - len(block)
        padded = np.pad(block, ((0, short), (0, 0), (0, 0), (0, 0)))  # one compilation
        f, y = _apply(params, padded)
        features.append(np.asarray(f)[: len(block)])
        logits.append(np.asarray(y)[: len(block)])
    return np.concatenate(features), np.concatenate(logits)


def fingerprint(params: Params) -> str:
    """Twelve hexadecimal digits that name the parameters (rounded to 1e-4).

    Two machines that train from the same seed differ in the last bits, grow apart,
    and get two names: rightly, since their FIDs differ too.
    """
    digest = hashlib.sha256()
    for path, leaf in sorted(flatten_dict(params, sep="/").items()):
        rounded = np.round(np.asarray(leaf, np.float64) * 1e4).astype("<i8")
        digest.update(f"{path}{rounded.shape}".encode() + rounded.tobytes())
    return digest.hexdigest()[:12]


def load_classifier(
    images: npt.ArrayLike,
    labels: npt.ArrayLike,
    data_id: str,
    seed: int = 0,
    cache_dir: str | os.PathLike[str] | None = None,
) -> Params:
    """The trained classifier from the cache, or trained now (about a minute) and kept.

    `data_id` names the training images in the cache. A corrupt file is trained anew
    with one line of warning; a folder that cannot be written costs only the cache.
    """
    identity = json.dumps([data_id, np.shape(images), seed, RECIPE])
    name = hashlib.sha256(identity.encode()).hexdigest()[:12]
    path = cache_folder(cache_dir) / f"classifier_{name}.npz"
    if path.exists():
        try:
            return _read(path, RECIPE)
        except Exception as error:  # zip, key, shape, value: all mean the same
            warnings.warn(f"{path} is corrupt ({error}): trained anew", stacklevel=2)
    params = train_classifier(images, labels, seed, RECIPE)
    flat = flatten_dict(params, sep="/")
    write_atomically(path, lambda file: np.savez(file, **flat))
    return params


def cache_folder(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """`cache_dir`, else $GANJAX_CACHE, else ~/.cache/ganjax."""
    return Path(
        cache_dir or os.environ.get("GANJAX_CACHE") or "~/.cache/ganjax"
    ).expanduser()


def write_atomically(path: Path, write: Callable[[Any], None]) -> None:
    """Calls `write` with an open binary file; readers see all of it or none."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".tmp_")
    except OSError as error:
        warnings.warn(f"{path} not cached: {error}", stacklevel=3)
        return
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
        os.replace(temporary, path)
    except OSError as error:
        warnings.warn(f"{path} not cached: {error}", stacklevel=3)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _check_images(images: npt.ArrayLike) -> Array:
    x = np.asarray(images)
    if x.dtype != np.uint8 or x.shape[1:] != (28, 28, 1) or len(x) == 0:
        raise ValueError(f"need uint8 [N, 28, 28, 1], got {x.dtype} {list(x.shape)}")
    return x


def _init(recipe: Recipe, key: jax.Array) -> Params:
    example = jnp.zeros((1, 28, 28, 1), jnp.uint8)
    params: Params = Classifier(recipe.widths).init(key, example)["params"]
    return params


def _optimiser(recipe: Recipe, num_steps: int) -> optax.GradientTransformation:
    schedule = optax.cosine_onecycle_schedule(
        num_steps, recipe.learning_rate, pct_start=0.2, div_factor=10.0
    )
    return optax.adamw(schedule, weight_decay=recipe.weight_decay)


@lru_cache(maxsize=4)
def _make_step(recipe: Recipe, num_steps: int) -> Callable[..., tuple[Params, Any]]:
    model, optimiser = Classifier(recipe.widths), _optimiser(recipe, num_steps)

    def step(
        params: Params, opt_state: Any, data: Any, indices: jax.Array, key: jax.Array
    ) -> tuple[Params, Any]:
        images, labels = data[0][indices], data[1][indices]
        images = _shift(images, recipe.max_shift, key)

        def loss(params: Params) -> jax.Array:
            _, logits = model.apply({"params": params}, images)
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
            return losses.mean()

        updates, opt_state = optimiser.update(jax.grad(loss)(params), opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    return jax.jit(step, donate_argnums=(0, 1))


def _shift(images: jax.Array, pixels: int, key: jax.Array) -> jax.Array:
    """Moves each image by up to `pixels` in both directions, zeros outside."""
    border = ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0))
    offsets = jax.random.randint(key, (len(images), 2), 0, 2 * pixels + 1)

    def crop(image: jax.Array, offset: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice(image, (offset[0], offset[1], 0), (28, 28, 1))

    return jax.vmap(crop)(jnp.pad(images, border), offsets)


@jax.jit
def _apply(params: Params, images: jax.Array) -> tuple[jax.Array, jax.Array]:
    outputs: Any = Classifier().apply({"params": params}, images)
    return outputs


def _read(path: Path, recipe: Recipe) -> Params:
    """Parameters of the expected shapes and finite, or an exception."""
    expected = flatten_dict(
        jax.eval_shape(lambda: _init(recipe, jax.random.key(0))), sep="/"
    )
    with np.load(path) as file:
        flat = {name: file[name] for name in file.files}
    shapes = {name: leaf.shape for name, leaf in flat.items()}
    if shapes != {name: leaf.shape for name, leaf in expected.items()}:
        raise ValueError(f"unexpected arrays {sorted(flat)}")
    if not all(np.isfinite(leaf).all() for leaf in flat.values()):
        raise ValueError("non-finite parameters")
    params: Params = unflatten_dict(flat, sep="/")
    return params
