"""Layers that are not trained: those nearest the image.

`d_optimizer.freeze` counts the first layers of D (FreezeD, arXiv:2002.10964),
`g_optimizer.freeze` the last ones of G (arXiv:2002.11810). They make sense in networks
that were trained before: `--init_from`. StyleGAN2's generator has no order of layers.
"""

import dataclasses

import jax
from jaxtyping import PyTree

from ganjax.errors import UserError
from ganjax.gan import Gan
from ganjax.gans.standard import require_standard

Layers = list[list[str]]
PLAYERS = {"generator": "g_optimizer", "discriminator": "d_optimizer"}


def freeze_layers(gan: Gan) -> Gan:
    """The GAN with the names of the parameters that its optimizers leave as they are.

    Raises:
      UserError: more layers than the network has, or another kind of GAN or network.
    """
    frozen = {}
    for i, (network, field) in enumerate(PLAYERS.items()):
        optimizer = getattr(gan, field)
        num, what = optimizer.freeze, f"config.{field}.freeze={optimizer.freeze}"
        if not num:
            continue
        require_standard(gan, what)
        found = layers(gan)[i]
        if ["synthesis"] in found:
            raise UserError(f"{what}: expected 0 for the generator of StyleGAN2")
        if num > len(found):
            raise UserError(
                f"{what}: expected at most {len(found)}, the number of layers of the "
                f"{network} ({', '.join(names[0] for names in found)})"
            )
        nearest = found[:num] if network == "discriminator" else found[-num:]
        names = tuple(name for layer in nearest for name in layer)
        frozen[field] = dataclasses.replace(optimizer, frozen=names)
    return dataclasses.replace(gan, **frozen)


def layers(gan: Gan) -> tuple[Layers, Layers]:
    """The layers of G and of D, in the order in which a call of the network has them.

    Each is a list of names in the network's parameters, as --mode=summary shows them.
    """
    found: list[Layers] = []

    def init() -> None:
        # Here names are in the order of the call; what a traced function returns has
        # them in that of the alphabet.
        found.extend(group(v["params"]) for v in gan.init(jax.random.key(0)))

    jax.eval_shape(init)
    g, d = found
    return g, d


def group(params: dict[str, PyTree]) -> Layers:
    """Names of parameters, a list for each layer.

    A layer begins where there is a matrix, of a kernel or an embedding. Normalization,
    which has vectors only, belongs to the layer before it.
    """
    grouped: Layers = []
    for name, tree in params.items():
        if not grouped or any(x.ndim > 1 for x in jax.tree.leaves(tree)):
            grouped.append([])
        grouped[-1].append(name)
    return grouped
