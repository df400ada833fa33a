"""What `import ganjax` gives, and what it costs."""

import types

import pytest
from helpers import run_python

import ganjax

FRESH = """
import sys
import ganjax

assert not {"jax", "flax", "numpy", "tensorflow"} & set(sys.modules)
assert ganjax.losses.LOSSES["hinge"].g is sys.modules["ganjax.losses"].LOSSES["hinge"].g
assert ganjax.make_gan is ganjax.gans.make_gan
assert "ganjax.train" not in sys.modules
"""


def test_importing_is_free_and_modules_load_on_first_use():
    result = run_python("-c", FRESH)
    assert result.returncode == 0, result.stderr


def test_public_names_are_what_their_modules_define():
    for name in ganjax.__all__:
        if isinstance(getattr(ganjax, name), types.ModuleType):
            continue
        assert getattr(ganjax, name).__module__.startswith("ganjax."), name
        assert getattr(ganjax, name).__name__ == name


def test_other_attributes_are_refused():
    with pytest.raises(AttributeError, match="No ganjax attribute nonsense"):
        _ = ganjax.nonsense
    assert not hasattr(ganjax, "__wrapped__")
