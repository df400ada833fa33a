"""From a config to a `Gan`: every option looked up once, here and nowhere else."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from ganjax.config import FREE
from ganjax.errors import UserError, at_least, check_known, choose
from ganjax.losses import LOSSES, Loss, smooth, weigh
from ganjax.models import DISCRIMINATORS, GENERATORS
from ganjax.models.layers import ACTIVATIONS, CONV, NORMS, RANGES
from ganjax.penalties import PENALTIES, PenaltyFn
from ganjax.priors import PRIORS, PriorFn

SCHEDULES = {
    "cosine": optax.cosine_decay_schedule,
    "exponential": optax.exponential_decay,
    "linear": optax.linear_schedule,
    "warmup_cosine": optax.warmup_cosine_decay_schedule,
}
TABLES = (LOSSES, PENALTIES, PRIORS, GENERATORS, DISCRIMINATORS)  # notebooks add theirs
LEAST = {
    **dict.fromkeys(("batch_size", "n_dis", "z_dim"), 1),
    **dict.fromkeys(("ema_half_life", "ema_rampup", "l1", "num_classes"), 0),
    **dict.fromkeys(("label_smoothing", "label_flip", "d_warmup", "g_warmup"), 0),
    **dict.fromkeys(("instance_noise", "instance_noise_steps", "sample_scale"), 0),
}
LEAST_OF_PLAYER = {
    **dict.fromkeys(("channels", "hidden", "kernel", "stride", "pieces"), 1),
    **dict.fromkeys(("output_kernel", "dropout", "input_dropout"), 0),
}
# Fields that leave the GAN itself unchanged, and so no part of the cache's key.
APART = {"seed", *FREE} - {"conv", "sample_scale"}
ORDERS = {"d_first": False, "g_first": True}
DTYPES = {name: jnp.dtype(name) for name in ("float32", "bfloat16")}
OPTIMIZERS = {"adam": optax.adam, "rmsprop": optax.rmsprop, "sgd": optax.sgd}


@dataclass(frozen=True, eq=False)
class Gan:
    """Everything about a GAN that is not an array. Hashable: a static argument of jit.

    Equal configs give the very same object (`make_gan` caches), hence no recompiling.
    To swap a part that no config names, `dataclasses.replace(gan, loss=…)`, once: every
    new object compiles anew.
    """

    generator: nn.Module
    discriminator: nn.Module
    loss: Loss
    penalties: tuple[tuple[str, PenaltyFn, optax.Schedule], ...]
    g_tx: optax.GradientTransformation
    d_tx: optax.GradientTransformation
    prior: PriorFn
    z_dim: int
    pixel_range: tuple[float, float]  # what uint8 0 and 255 become
    ema_half_life: float  # in images
    ema_rampup: float  # the half-life is at most this share of the images seen
    l1: float  # weight of mean |G(z) − x| in the generator's loss
    g_first: bool  # the generator moves first; D then trains on its old fakes
    reuse_fakes: bool  # D sees the very fakes that G is updated on
    num_classes: int  # 0: unconditional
    dtype: jnp.dtype  # of the networks' arithmetic; everything else is float32
    instance_noise: float  # σ at the start, on the scale of the pixel range
    instance_noise_steps: int  # over which it falls to zero; 0: it stays
    sample_scale: float  # of z in samples, beside that of training
    label_flip: float  # share of pairs that D's loss sees swapped
    d_warmup: int  # first steps in which only the discriminator learns
    g_warmup: int  # or only the generator


def make_gan(config: Mapping[str, Any]) -> Gan:
    """The GAN that a config describes.

    Args:
      config: an `ml_collections.ConfigDict` as `load_config` returns it, or a mapping
        of the same shape.

    Raises:
      UserError: an unknown name, a bad value, or options that contradict each other.
    """
    plain = config.to_dict() if hasattr(config, "to_dict") else dict(config)
    plain = {k: v for k, v in plain.items() if k not in APART}
    plain["data"] = {"image_shape": plain["data"]["image_shape"]}
    tables = tuple(tuple(table.items()) for table in TABLES)
    return _make_gan(json.dumps(plain, sort_keys=True), jax.default_backend(), tables)


@cache
def _make_gan(config_json: str, backend: str, tables: tuple) -> Gan:
    config = json.loads(config_json)
    try:
        used = {k: v for k, v in config["penalties"].items() if v != 0}
        config["penalties"] = used  # a weight of 0 costs nothing
        _check(config)
        return _build(config, backend)
    except KeyError as error:
        raise UserError(
            f"config.{error.args[0]} is missing: configs/default.py has every field, "
            "and a checkpoint of another version may lack some"
        ) from error


def _build(config: dict[str, Any], backend: str) -> Gan:
    conv = check_known(("auto", *CONV), config["conv"], "config.conv")
    if conv == "auto":  # GPUs and TPUs have convolution units, CPUs matrix units
        conv = "matmul" if backend == "cpu" else "library"
    image_shape = tuple(config["data"]["image_shape"])
    generator = _module(
        GENERATORS, config, "generator", conv=conv, image_shape=image_shape
    )
    output = getattr(generator, "output", "tanh")
    loss = choose(LOSSES, config["loss"], "config.loss")
    return Gan(
        generator=generator,
        discriminator=_module(DISCRIMINATORS, config, "discriminator", conv=conv),
        loss=weigh(smooth(loss, config["label_smoothing"]), *config["d_weights"]),
        penalties=tuple(
            (
                name,
                choose(PENALTIES, name, "config.penalties"),
                schedule(weight, f"config.penalties.{name}"),
            )
            for name, weight in sorted(config["penalties"].items())
        ),
        g_tx=optimizer(config["g_optimizer"], "config.g_optimizer"),
        d_tx=optimizer(config["d_optimizer"], "config.d_optimizer", config["n_dis"]),
        prior=choose(PRIORS, config["prior"], "config.prior"),
        z_dim=config["z_dim"],
        pixel_range=choose(RANGES, output, "config.generator.output"),
        ema_half_life=config["ema_half_life"],
        ema_rampup=config["ema_rampup"],
        l1=config["l1"],
        g_first=choose(ORDERS, config["order"], "config.order"),
        reuse_fakes=config["reuse_fakes"],
        num_classes=config["num_classes"],
        dtype=choose(DTYPES, config["dtype"], "config.dtype"),
        instance_noise=config["instance_noise"],
        instance_noise_steps=config["instance_noise_steps"],
        sample_scale=config["sample_scale"],
        label_flip=config["label_flip"],
        d_warmup=config["d_warmup"],
        g_warmup=config["g_warmup"],
    )


def _check(config: dict[str, Any]) -> None:
    at_least(config, LEAST)
    for name in ("label_smoothing", "label_flip"):
        if config[name] > 1:
            raise UserError(f"config.{name} = {config[name]} is a share: at most 1")
    if config["d_warmup"] and config["g_warmup"]:
        raise UserError(
            "config.d_warmup and config.g_warmup together would hold both players: "
            "choose one"
        )
    shape = config["data"]["image_shape"]
    if len(shape) != 3 or min(shape) < 1:
        raise UserError(
            f"config.data.image_shape = {tuple(shape)} must be height, width, channels"
        )
    if len(config["d_weights"]) != 2 or min(config["d_weights"]) < 0:
        raise UserError(
            f"config.d_weights = {config['d_weights']} must be two weights, real and "
            "fake, neither negative"
        )
    if config["reuse_fakes"] and config["n_dis"] > 1:
        raise UserError("config.reuse_fakes shares one batch of fakes: n_dis must be 1")
    if config["penalties"] and config["d_optimizer"].get("clip_weights"):
        raise UserError(
            "config.d_optimizer.clip_weights contradicts config.penalties: both bound "
            "the critic's slope; choose one"
        )
    if config["penalties"] and config["discriminator"].get("norm") == "batch":
        raise UserError(
            "config.discriminator.norm must not be 'batch' with a gradient penalty: "
            "batch statistics tie samples together, and no gradient is of one alone"
        )


def _module(
    table: dict[str, type[nn.Module]], config: dict[str, Any], where: str, **extra: Any
) -> nn.Module:
    spec = config[where]
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in spec.items()}
    cls = choose(table, str(options.pop("name")), f"config.{where}.name")
    known = {field.name for field in fields(cls)} - {"parent", "name"}
    for option in options:
        check_known(known, option, f"a field of config.{where}")
    norms = getattr(cls, "NORMS", NORMS)
    names: dict[str, Collection[str]] = {"norm": norms}
    names |= {"activation": ACTIVATIONS, "output": RANGES}
    for option in options.keys() & names.keys():
        check_known(names[option], str(options[option]), f"config.{where}.{option}")
    sizes: dict[str, Any] = {
        f"{where}.{k}": min(v, default=1) if isinstance(v, tuple) else v
        for k, v in options.items()
    }
    least = {f"{where}.{k}": v for k, v in LEAST_OF_PLAYER.items() if k in options}
    at_least(sizes, least)
    for rate in sizes.keys() & {f"{where}.dropout", f"{where}.input_dropout"}:
        if sizes[rate] >= 1:
            raise UserError(f"config.{rate} = {sizes[rate]} must be below 1")
    extra["num_classes"] = config["num_classes"]
    if config["num_classes"] and "num_classes" not in known:
        raise UserError(f"config.{where}.name = {spec['name']!r} can't take labels")
    return cls(**{k: v for k, v in extra.items() if k in known} | options)


def schedule(spec: float | dict[str, Any], where: str) -> optax.Schedule:
    """A number, or `{"name": "cosine", "init_value": …, …}` with optax's arguments."""
    if isinstance(spec, int | float):
        if spec < 0:
            raise UserError(f"{where} = {spec} must not be negative")
        return optax.constant_schedule(spec)
    options = dict(spec)
    make = choose(SCHEDULES, options.pop("name", ""), f"{where}.name")
    for name, value in options.items():
        if isinstance(value, int | float) and value < 0:
            raise UserError(f"{where}.{name} = {value} must not be negative")
    return _call(make, options, where)


def per_step(schedule: optax.Schedule, updates: int) -> optax.Schedule:
    """A schedule over steps, for an optimiser that counts its own updates."""
    return lambda count: schedule(count // updates)


def clip_weights(limit: float) -> optax.GradientTransformation:
    """Keeps every parameter within ±limit: arXiv:1701.07875, Algorithm 1."""

    def update(updates: Any, state: Any, params: Any) -> tuple[Any, Any]:
        def project(u: jax.Array, p: jax.Array) -> jax.Array:
            return jnp.clip(p + u, -limit, limit) - p

        return jax.tree.map(project, updates, params), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


# Around the optimiser, in this order; a field of its spec each, absent or 0 for none.
BEFORE = {
    "max_grad_norm": optax.clip_by_global_norm,  # of the loss alone, as in PyTorch
    "weight_decay": optax.add_decayed_weights,  # L2 inside the gradient, likewise
}
AFTER = {"clip_weights": clip_weights}


def optimizer(
    spec: dict[str, Any], where: str, updates: int = 1
) -> optax.GradientTransformation:
    """`{"name": "adam", "learning_rate": number or schedule, …}`, optax's arguments.

    Any of optax's numbers may be a schedule, over training steps of so many updates
    each: both players reach its end together, whatever n_dis is, but for one that a
    warm-up holds. `weight_decay`, `max_grad_norm` and `clip_weights` may stand beside
    them.
    """
    options = dict(spec)
    around = {}
    for name, transform in (BEFORE | AFTER).items():
        value = options.pop(name, 0.0)
        if not isinstance(value, int | float):
            raise UserError(f"{where}.{name} = {value} must be a number")
        if value < 0:
            raise UserError(f"{where}.{name} = {value} must not be negative")
        around[name] = transform(value) if value else optax.identity()
    make: Any = choose(OPTIMIZERS, options.pop("name", ""), f"{where}.name")
    rate = options.get("learning_rate", 0.0)
    if not isinstance(rate, dict) and not (isinstance(rate, int | float) and rate > 0):
        raise UserError(f"{where}.learning_rate = {rate} must be positive")
    for name, value in options.items():
        if isinstance(value, dict):
            options[name] = per_step(schedule(value, f"{where}.{name}"), updates)
            make = optax.inject_hyperparams(OPTIMIZERS[spec["name"]])
    return optax.chain(
        *(around[name] for name in BEFORE),
        _call(make, options, where),
        *(around[name] for name in AFTER),
    )


def _call(make: Any, options: dict[str, Any], where: str) -> Any:
    try:
        return make(**options)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: {error}") from error
