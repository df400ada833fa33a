"""Networks by name: a generator maps z to images, a discriminator images to logits.

Both are Linen modules called as `module(inputs, train=..., labels=...)`, where labels
are int32 [B], or None for an unconditional GAN. A generator has a field `image_shape`
and may have a field `output`, whose `range` is that of its images ([-1, 1] without
one). A discriminator returns float32 logits [B]. A conditional pair has a field
`num_classes`. With BatchNorm, a field `axis_name` says over which devices to average. A
generator that needs noise in training has it from `make_rng("noise")`.

To add a network, write the module and one line here; its fields are its options.
"""

from flax import linen as nn

from ganjax.models import (
    dcgan,
    mlp,
    r3gan,
    resnet,
    stylegan,
    stylegan_discriminator,
)

GENERATORS: dict[str, type[nn.Module]] = {
    "dcgan": dcgan.Generator,
    "mlp": mlp.Generator,
    "r3gan": r3gan.Generator,
    "resnet": resnet.Generator,
    "stylegan": stylegan.Generator,
}
DISCRIMINATORS: dict[str, type[nn.Module]] = {
    "dcgan": dcgan.Discriminator,
    "maxout": mlp.MaxoutDiscriminator,
    "mlp": mlp.Discriminator,
    "r3gan": r3gan.Discriminator,
    "resnet": resnet.Discriminator,
    "stylegan": stylegan_discriminator.Discriminator,
}
