"""A trained generator for programs that do not have ganjax.

One folder with the weights (safetensors), the generator for JAX (StableHLO) and for
other runtimes (ONNX), and generator.json, which says how to call it.
"""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import export
from jaxtyping import Array, Float, Int, UInt8

import ganjax
from ganjax.errors import UserError
from ganjax.files import make_folder, write_bytes
from ganjax.gan import Gan, Variables
from ganjax.gans.standard import Standard, require_standard
from ganjax.images import denormalize
from ganjax.state import TrainState
from ganjax.weights import write_weights

PLATFORMS = ("cpu", "cuda", "tpu")
OUTPUT = "images"
FILES = {
    "weights": "generator.safetensors",
    "stablehlo": "generator.stablehlo",
    "onnx": "generator.onnx",
}
CARD = "generator.json"


def generator_fn(gan: Standard, g: Variables) -> Callable[..., UInt8[Array, "B H W C"]]:
    """The generator as a pure function `(z, labels=None) -> images`.

    z is float32 [B, z_dim] as the network takes it: a draw from the prior times
    `sample_scale`. labels are int [B] in [0, num_classes), of class-conditional GANs.
    Images are uint8. Convolutions are those of the library, on every back end.
    """
    generator: Any = gan.generator
    if any(field.name == "conv" for field in dataclasses.fields(generator)):
        generator = generator.clone(conv="library")
    # A state is on all local devices; the export must not need as many.
    variables = jax.tree.map(jnp.asarray, jax.device_get(g))
    pixel_range = gan.pixel_range

    def generate(
        z: Float[Array, "B Z"], labels: Int[Array, " B"] | None = None
    ) -> UInt8[Array, "B H W C"]:
        images = generator.apply(variables, z, train=False, labels=labels)
        return denormalize(images, pixel_range)

    return generate


def arguments(gan: Standard) -> dict[str, jax.ShapeDtypeStruct]:
    """Names, shapes and types of the generator's arguments, for a batch of any size."""
    (b,) = export.symbolic_shape("b")
    inputs = {"z": jax.ShapeDtypeStruct((b, gan.prior.z_dim), jnp.float32)}
    if gan.num_classes:
        inputs["labels"] = jax.ShapeDtypeStruct((b,), jnp.int32)
    return inputs


def export_generator(
    gan: Gan, state: TrainState, config: dict[str, Any], out: Path
) -> None:
    """Writes the averaged generator in all formats to the folder `out`.

    Everything is computed before the first file is written, and each file is written
    whole.

    Raises:
      UserError: another kind of GAN than from noise to images, a missing package, or a
        folder that can't be written to.
    """
    gan = require_standard(gan, "--mode=export")
    try:
        from ganjax.onnx_graph import to_onnx
    except ModuleNotFoundError as error:
        raise UserError(
            f"--mode=export needs the package {error.name}: pip install "
            "'ganjax[export]'"
        ) from error
    make_folder(out, "--out")
    generate = generator_fn(gan, state.g_ema)
    inputs, step = arguments(gan), int(state.step)
    exported = export.export(jax.jit(generate), platforms=PLATFORMS)
    card = json.dumps(describe(gan, step, inputs), indent=2)
    contents = {
        FILES["stablehlo"]: bytes(exported(*inputs.values()).serialize()),
        FILES["onnx"]: to_onnx(generate, inputs, OUTPUT).SerializeToString(),
        CARD: f"{card}\n".encode(),
    }
    write_weights(out / FILES["weights"], state.g_ema, step, config)
    for name, content in contents.items():
        write_bytes(out / name, content)
    print(f"generator of step {step} in {out}: {', '.join((*FILES.values(), CARD))}")


def describe(
    gan: Standard, step: int, inputs: dict[str, jax.ShapeDtypeStruct]
) -> dict[str, Any]:
    """What a program needs to know to call the generator."""

    def array(name: str, shape: tuple[Any, ...], dtype: Any) -> dict[str, Any]:
        sizes = [d if isinstance(d, int) else str(d) for d in shape]
        return {"name": name, "shape": sizes, "dtype": jnp.dtype(dtype).name}

    shape = ("b", *gan.generator.image_shape)
    return {
        "inputs": [array(name, x.shape, x.dtype) for name, x in inputs.items()],
        "output": array(OUTPUT, shape, jnp.uint8) | {"range": [0, 255]},
        "num_classes": gan.num_classes,
        "prior": {
            "distribution": gan.prior.distribution.__name__,
            "z_dim": gan.prior.z_dim,
            "scale": gan.sample_scale,
        },
        "step": step,
        "ganjax": ganjax.__version__,
        "files": FILES,
    }
