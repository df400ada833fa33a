"""Class-conditional MNIST: the generator is told which digit to draw.

python -m ganjax.main --config configs/conditional.py

The label's embedding joins z (arXiv:1411.1784); the discriminator projects its features
on another embedding of it (arXiv:1802.05637). Grids have a row for each digit, and
`--mode=evaluate` measures how many samples are of the digit that was asked for.
"""

from ml_collections import ConfigDict

from configs import default


def get_config() -> ConfigDict:
    c = default.get_config()
    c.num_classes = 10
    c.sample_num = 100
    return c
