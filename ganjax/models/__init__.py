"""Networks by name. A generator maps z to images, a discriminator images to logits.

Both are Linen modules with a `train` argument. A generator has a field `image_shape`;
a discriminator returns float32 logits of shape [B].
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
