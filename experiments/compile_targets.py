"""Accelerators to compile for without having them, and their published numbers."""

from dataclasses import dataclass
from typing import Any

from jax.experimental import topologies

# A GPU as XLA describes it: https://github.com/openxla/xla, stream_executor/
# device_description.proto. Limits that no instruction of a GAN comes near are left out.
GPU = """
gpu_device_info {{
  threads_per_block_limit: 1024
  threads_per_warp: 32
  shared_memory_per_block: 49152
  shared_memory_per_core: {shared}
  shared_memory_per_block_optin: {block}
  threads_per_core_limit: {threads}
  core_count: {cores}
  fpus_per_core: {fpus}
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  memory_bandwidth: {bandwidth}
  l2_cache_size: {cache}
  clock_rate_ghz: {clock}
  device_memory_size: {memory}
  cuda_compute_capability {{ {capability} }}
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 8 }}
runtime_version {{ major: 12 minor: 8 }}
device_description_str: "{name}"
"""
T4 = GPU.format(
    name="Tesla T4",
    capability="major: 7 minor: 5",
    cores=40,
    fpus=64,
    threads=1024,
    shared=65_536,
    block=65_536,
    cache=4 * 2**20,
    clock=1.59,
    memory=16 * 10**9,
    bandwidth=320 * 10**9,
)
H100 = GPU.format(
    name="NVIDIA H100 80GB HBM3",
    capability="major: 9",
    cores=132,
    fpus=128,
    threads=2048,
    shared=233_472,
    block=232_448,
    cache=50 * 2**20,
    clock=1.98,
    memory=80 * 10**9,
    bandwidth=3352 * 10**9,
)


@dataclass(frozen=True)
class Target:
    """Devices to compile for, and the numbers of one of them."""

    platform: str
    options: dict[str, Any]  # of get_topology_desc
    flops: dict[str, float]  # per second, by dtype of the networks
    bandwidth: float  # bytes per second
    memory: float  # bytes

    @property
    def compiler(self) -> str:
        """The module that has it."""
        return {"tpu": "libtpu", "cuda": "jax_cuda12_plugin"}[self.platform]

    @property
    def backend(self) -> str:
        """JAX's name for it."""
        return {"tpu": "tpu", "cuda": "gpu"}[self.platform]

    def devices(self) -> list[Any]:
        """Devices that can be compiled for and nothing else."""
        description = topologies.get_topology_desc(
            platform=self.platform, **self.options
        )
        return list(description.devices)


def tpu(name: str, hosts: tuple[int, int, int]) -> dict[str, Any]:
    """A slice of a pod; `hosts` are the chips of a host."""
    return {"topology_name": name, "chips_per_host_bounds": hosts}


def gpus(config: str, num: int) -> dict[str, Any]:
    """GPUs of one host."""
    return {"target_config": config, "topology": f"1x1x{num}"}


# On a TPU float32 products are of numbers rounded to bfloat16, on an H100 to TF32, by
# default (jax_default_matmul_precision); a T4 has no bfloat16.
V5E: dict[str, Any] = {
    "flops": {"float32": 197e12, "bfloat16": 197e12},
    "bandwidth": 819e9,
    "memory": 16e9,
}
TARGETS = {
    "v5e-1": Target("tpu", tpu("v5e:1x1", (1, 1, 1)), **V5E),
    # A device is one of the two cores of a chip.
    "v2-8": Target(
        "tpu",
        tpu("v2:2x2", (2, 2, 1)),
        flops={"float32": 23e12, "bfloat16": 23e12},
        bandwidth=350e9,
        memory=8 * 2**30,
    ),
    "v5e-16": Target("tpu", tpu("v5e:4x4", (2, 2, 1)), **V5E),
    "T4": Target(
        "cuda",
        gpus(T4, 1),
        flops={"float32": 8.1e12, "bfloat16": 8.1e12},
        bandwidth=320e9,
        memory=16e9,
    ),
    "H100-8": Target(
        "cuda",
        gpus(H100, 8),
        flops={"float32": 495e12, "bfloat16": 989e12},
        bandwidth=3352e9,
        memory=80e9,
    ),
}
