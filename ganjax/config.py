"""Configs outside absl: `load_config` for notebooks, and what makes two runs equal."""

import importlib.util
import json
import sys
from collections.abc import Mapping
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from ganjax.errors import UserError

# Fields that may differ between a checkpoint and the run that resumes it.
FREE = (
    *("num_steps", "log_every", "sample_every", "sample_num", "checkpoint_every"),
    *("keep", "evaluate_every", "evaluate_num", "sample_scale"),
    *("steps_per_call", "conv", "data.data_dir", "data.manual_dir", "data.fallback"),
)


def load_config(path: str, overrides: Mapping[str, Any] | None = None) -> ConfigDict:
    """Reads a config file as `--config` does, without flags: made for notebooks.

    Args:
      path: `configs/NAME.py`, or `configs/NAME.py:ARGUMENT`.
      overrides: values by dotted field name, e.g. `{"data.name": "fashion_mnist"}`.

    Returns:
      A locked ConfigDict.

    Raises:
      UserError: no such file, an unknown field, or a value of the wrong type.
    """
    name, _, argument = path.partition(":")
    file = Path(name)
    if not file.is_file():
        raise UserError(f"{name} does not exist: run from the root of the checkout")
    root = str(file.resolve().parent.parent)  # children import configs.default
    if root not in sys.path:
        sys.path.insert(0, root)
    spec = importlib.util.spec_from_file_location(f"_config_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise UserError(f"{name} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.get_config(argument) if argument else module.get_config()
    config.lock()
    for field, value in (overrides or {}).items():
        override(config, field, value)
    return config


def override(config: ConfigDict, field: str, value: Any) -> None:
    """Sets one dotted field of a locked config.

    A mapping replaces what is there: a schedule a number, other options all options.
    """
    *path, last = field.split(".")
    try:
        node = reduce(getitem, path, config)
        if isinstance(value, Mapping):
            node[last]  # a KeyError if there is no such field
            with node.ignore_type():
                node[last] = ConfigDict(value)
        else:
            config.update_from_flattened_dict({field: value})
    except (KeyError, AttributeError) as error:
        known = ", ".join(sorted(flatten(config.to_dict())))
        raise UserError(f"config.{field} is unknown; fields: {known}") from error
    except (TypeError, ValueError) as error:
        raise UserError(f"config.{field} = {value!r}: {error}") from error


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings to one level with dotted keys.

    >>> flatten({"a": {"b": 1}, "c": 2})
    {'a.b': 1, 'c': 2}
    """
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def plain(config: ConfigDict) -> dict[str, Any]:
    """The config as it will be read back: JSON has no tuples."""
    return json.loads(json.dumps(config.to_dict()))


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Where two plain configs differ in mathematics, as lines `field: old -> new`.

    >>> difference({"seed": 0, "num_steps": 5}, {"seed": 1, "num_steps": 9})
    ['seed: 0 -> 1']
    """
    before, after = flatten(old), flatten(new)
    fields = sorted((before | after).keys() - set(FREE))
    return [
        f"{field}: {before.get(field, 'absent')} -> {after.get(field, 'absent')}"
        for field in fields
        if before.get(field) != after.get(field)
    ]
