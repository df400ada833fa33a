"""Convolutional GAN on MNIST.

python -m ganjax.main --config configs/mnist.py
"""

from ml_collections import ConfigDict

from configs import default


def get_config() -> ConfigDict:
    return default.get_config()
