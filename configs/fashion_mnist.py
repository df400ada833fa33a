"""Class-conditional Fashion-MNIST (arXiv:1708.07747): ten kinds of clothes.

python -m ganjax.main --config configs/fashion_mnist.py

The networks and the schedules of `mnist_best.py`, on images of the same size: its times
are those of this config, half an hour on 2 CPU cores or two minutes on an NVIDIA H100.
A shorter run has the same schedules (`--config.num_steps=5000`). `--mode=evaluate` uses
a classifier that it trains on these clothes, so that FIDs can't be compared with those
of digits. Quality is not measured.
"""

from ml_collections import ConfigDict

from ganjax.configs import mnist_best


def get_config() -> ConfigDict:
    c = mnist_best.get_config()
    c.data.name = "fashion_mnist"
    c.sample_scale = 1.0  # that of mnist_best.py was chosen for digits
    return c
