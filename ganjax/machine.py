"""What a run is made with: versions of packages, and devices."""

import importlib.metadata

import jax

import ganjax


def versions() -> dict[str, str]:
    """Versions of what determines the result of a training, and the devices."""
    packages = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
    kind = jax.local_devices()[0].device_kind
    return {
        "ganjax": ganjax.__version__,
        **{name: importlib.metadata.version(name) for name in packages},
        "devices": f"{jax.device_count()} {kind}",
    }


def describe_devices() -> str:
    """Versions, and the back end, kind and number of the devices."""
    kind, num = jax.local_devices()[0].device_kind, jax.device_count()
    plural, processes = "s" if num > 1 else "", jax.process_count()
    several = f" of {processes} processes" if processes > 1 else ""
    return (
        f"ganjax {ganjax.__version__}, jax {jax.__version__} on "
        f"{jax.default_backend().upper()}: {num} device{plural}{several} ({kind})"
    )
