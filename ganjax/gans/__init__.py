"""GANs by name. Each is a file with a subclass of `ganjax.gan.Gan`."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from ganjax.data.dataset import DataOptions
from ganjax.errors import UserError, choose
from ganjax.gan import Gan
from ganjax.gans.crnn_gan import CRnnGan
from ganjax.gans.cyclegan import CycleGan
from ganjax.gans.freeze import freeze_layers
from ganjax.gans.srgan import SrGan
from ganjax.gans.standard import Standard
from ganjax.gans.stargan import StarGan
from ganjax.gans.text_to_image import TextToImage
from ganjax.optim import resolve_schedules
from ganjax.options import Count, build, check, convert, group, options

GANS: dict[str, type[Gan]] = {
    "crnn_gan": CRnnGan,
    "cyclegan": CycleGan,
    "srgan": SrGan,
    "standard": Standard,
    "stargan": StarGan,
    "text_to_image": TextToImage,
}
# Groups of a config that a GAN builds its parts from.
GROUPS = (
    "generator",
    "discriminator",
    "encoder",
    "penalties",
    "g_optimizer",
    "d_optimizer",
)


def make_gan(config: ConfigDict | Mapping[str, Any]) -> Gan:
    """The GAN that a config describes.

    Equal configs give equal GANs, and jit compiles once for all of them.

    Args:
      config: an `ml_collections.ConfigDict` as `load_config` returns it, or a mapping
        of the same shape. Options of the GAN that it lacks have their defaults.

    Raises:
      UserError: an unknown name, a bad value, or options that exclude each other.
    """
    plain = group(config, "config")
    gan = choose(GANS, plain.get("gan", ""), "config.gan")
    plain = options(gan) | plain  # older configs lack newer options
    try:
        num_steps = convert(plain["num_steps"], Count, "config.num_steps")
        plain = resolve_schedules(plain, num_steps)
        # Before `from_config` computes with any of them.
        for name in plain.keys() & set(GROUPS):
            group(plain[name], f"config.{name}")
        check(gan, plain, "config")
        data = build(DataOptions, plain["data"], "config.data")
        return freeze_layers(
            gan.from_config(plain | {"data": dataclasses.asdict(data)})
        )
    except KeyError as error:
        raise UserError(
            f"config.{error.args[0]} is missing: expected every group of "
            "configs/default.py; a checkpoint of another version may lack some"
        ) from error
