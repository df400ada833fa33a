"""Hostile values in every field of every kind of GAN: accepted, or refused in one line.

Nothing is computed: a value is accepted if the shapes of a state follow from it.
"""

import dataclasses
import functools
import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ganjax
from ganjax.config import flatten, override
from ganjax.data import DataOptions
from ganjax.options import build, option_names
from ganjax.state import abstract_state
from ganjax.train import Run

VALUES: list[Any] = [
    *(0, 1, -1, 2, 0.5, -0.5, 1e-30, 1e30, 10**12),
    *(math.nan, math.inf, -math.inf, True, False),
    *("", "x", "0", (), (0,), (-1,), (1, 2), (10**12,), ("a",)),
    *(None, {}, {"a": 1}, [1]),
]
# A config for each GAN and for each pair of networks, with little to trace.
NARROW = {"generator.channels": (2,), "discriminator.channels": (2,)}
SHALLOW = {"generator.blocks": 1, "discriminator.channels": (2,)}
CONFIGS: dict[str, dict[str, Any]] = {
    "mnist": NARROW | {"generator.hidden": (), "discriminator.hidden": ()},
    "goodfellow2014": {"generator.hidden": (2,), "discriminator.hidden": (2,)},
    "mlp_l1": {"generator.hidden": (2,), "discriminator.hidden": (2,)},
    "crnn_gan": {"generator.hidden": (2,), "discriminator.hidden": (2,)},
    "cyclegan": SHALLOW,
    "srgan": {"generator.blocks": 0, "discriminator.channels": (2,)},
    "stargan": SHALLOW,
    "stylegan": NARROW | {"generator.w_dim": 2},
    "text_to_image": NARROW | {"generator.hidden": ()},
}


@functools.cache
def trace(gan):
    """The shapes of a state, or a UserError."""
    return abstract_state(gan)


@functools.cache
def base(name):
    """A config and the GAN that it describes."""
    config = ganjax.load_config(name, CONFIGS[name])
    return config, ganjax.make_gan(config)


def fields_of(name):
    """Dotted names of all fields and of all groups of a config."""
    config = base(name)[0].to_dict()
    groups = [field for field, value in config.items() if isinstance(value, dict)]
    return [*flatten(config), *groups]


def own_fields(name):
    """The fields that no config before it has."""
    names = list(CONFIGS)
    before = {field for x in names[: names.index(name)] for field in fields_of(x)}
    return [field for field in fields_of(name) if field not in before]


def reject(name, overrides):
    """The error that a config with these values gives; "" if it is accepted."""
    try:
        config = base(name)[0].copy_and_resolve_references()
        for field, value in overrides.items():
            override(config, field, value)
        build(Run, {option: config[option] for option in option_names(Run)})
        build(DataOptions, config.data, "config.data")
        gan = ganjax.make_gan(config)
        trace(without_numbers(gan, base(name)[1]))
        for optimizer in (gan.g_optimizer, gan.d_optimizer):
            optimizer.transformation().init({})
    except ganjax.UserError as error:
        return str(error)
    return ""


def without_numbers(gan, like):
    """The same networks: weights, rates and optimizers are those of another GAN."""
    networks = ("generator", "discriminator", "prior")
    same = {
        field.name: getattr(like, field.name)
        for field in dataclasses.fields(gan)
        if field.name not in networks
        and not isinstance(getattr(gan, field.name), int | tuple)
    }
    return dataclasses.replace(gan, **same)


def hostile(value):
    """Whether no field at all takes this value."""
    if isinstance(value, float):
        return not math.isfinite(value)
    return value is None or value == {"a": 1} or value in [(0,), (-1,), ("a",)]


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_every_value_in_every_field_is_accepted_or_refused_in_one_line(name):
    outcomes = Counter()
    for field in own_fields(name):
        for value in VALUES:
            error = reject(name, {field: value})
            outcomes["refused" if error else "accepted"] += 1
            described = f"{field}={value!r}: {error}"
            assert error or not hostile(value), described
            assert "\n" not in error and len(error) < 500, described
            assert not error or field.split(".")[-1] in error, described
    assert outcomes.total() == len(own_fields(name)) * len(VALUES)
    assert outcomes["accepted"] and outcomes["refused"] or not own_fields(name)


# Text in any script, with control characters and halves of surrogate pairs.
TEXT = st.text(st.characters(), max_size=20)
SIMPLE = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), TEXT, st.binary(max_size=5)
)
NESTED = st.recursive(
    SIMPLE,
    lambda x: st.lists(x, max_size=3) | st.dictionaries(TEXT, x, max_size=3),
    max_leaves=5,
)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.data())
def test_random_values_are_accepted_or_refused_in_one_line(data):
    name = data.draw(st.sampled_from(list(CONFIGS)))
    field = data.draw(st.sampled_from(fields_of(name)))
    value = data.draw(NESTED | st.sampled_from([10**5000, "y" * 10**6, b"\xff"]))
    error = reject(name, {field: value})
    assert "\n" not in error and len(error) < 1500


@pytest.mark.parametrize(
    "field,value,message",
    [
        ("seed", None, "seed=None: expected an integer >= 0 and <= 4294967295"),
        ("seed", {"a": 1}, "seed={'a': 1}: expected an integer >= 0 and <= 42"),
        ("l1", math.nan, "l1=nan: expected a number >= 0"),
        ("l1", {"a": 1}, "l1={'a': 1}: expected a number >= 0"),
        ("l1", True, "l1=True: expected a number"),
        ("l1", "x", "l1='x': expected a number"),
        ("n_dis", 1.5, "n_dis=1.5: expected an integer"),
        ("updates", 3, "updates=3: expected a string"),
        ("penalties", None, "penalties=None: expected a group of options"),
        (
            "penalties.r1",
            {},
            "penalties.r1={}: expected a schedule with a start",
        ),
        (
            "g_optimizer.b2",
            1.0,
            "g_optimizer.b2=1.0: expected a number >= 0 and",
        ),
        (
            "generator.kernel",
            10**12,
            "generator.kernel=1000000000000: expected an",
        ),
        (
            "data.image_shape",
            (2**13, 2**13, 1),
            "data.image_shape=(8192, 8192, 1): expected values with a product <=",
        ),
        (
            "generator.hidden",
            (2**20, 2**20),
            "generator: expected at most 2,147",
        ),
    ],
)
def test_messages_name_the_field_the_value_and_what_is_expected(field, value, message):
    assert f"config.{message}" in reject("mnist", {field: value})


def test_load_config_refuses_as_override_does():
    with pytest.raises(ganjax.UserError, match="config.n_dis='x': expected an integer"):
        ganjax.load_config("mnist", {"n_dis": "x"})
