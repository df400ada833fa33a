"""Networks by name. A generator maps z to images, a discriminator images to logits.

Both are Linen modules called as `module(inputs, train=…, labels=…)`, where labels are
int32 [B], or None for an unconditional GAN. A generator has a field `image_shape`; a
discriminator returns float32 logits of shape [B]; a pair that can be conditional has a
field `num_classes`.
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
