"""Networks by name. A generator maps z to images, a discriminator images to logits.

Both are Linen modules called as `module(inputs, train=…, labels=…)`, where labels are
int32 [B], or None for an unconditional GAN. Both have a field `axis_name: str | None`,
the devices that a BatchNorm averages over. A generator has fields `image_shape` and
`output`, a key of `layers.RANGES` (images are in [-1, 1] without it); a discriminator
returns float32 logits of shape [B]; a pair that can be conditional has a field
`num_classes`. A class attribute `NORMS` names the values of a field `norm`.
"""

from flax import linen as nn

from ganjax.models import dcgan, mlp

GENERATORS: dict[str, type[nn.Module]] = {
    "dcgan": dcgan.Generator,
    "mlp": mlp.Generator,
}
DISCRIMINATORS: dict[str, type[nn.Module]] = {
    "dcgan": dcgan.Discriminator,
    "maxout": mlp.MaxoutDiscriminator,
    "mlp": mlp.Discriminator,
}
