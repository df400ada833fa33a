"""Config files: finding, loading, overriding and comparing them."""

import importlib.util
import json
import sys
from collections.abc import Collection, Mapping
from functools import reduce
from importlib import resources
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from ganjax.errors import UserError, show
from ganjax.options import KINDS


def load_config(path: str, overrides: Mapping[str, Any] | None = None) -> ConfigDict:
    """Reads a config file, as `--config` does.

    Args:
      path: a file, e.g. `configs/mnist.py`, or the name of a config that comes with
        ganjax, e.g. `mnist`. `PATH:ARGUMENT` passes an argument to its `get_config`.
      overrides: values by dotted field name, e.g. `{"data.name": "fashion_mnist"}`.

    Returns:
      A locked ConfigDict.

    Raises:
      UserError: no such file, an unknown field, or a value of the wrong type. An error
        inside the file is raised as it is.
    """
    name, _, argument = path.partition(":")
    module = load_module(find_config(name))
    if not hasattr(module, "get_config"):
        raise UserError(f"--config={name}: expected a file with a function get_config")
    config = module.get_config(argument) if argument else module.get_config()
    config.lock()
    for field, value in (overrides or {}).items():
        override(config, field, value)
    return config


def find_config(name: str) -> Path:
    """The file of a config.

    Raises:
      UserError: there is none.
    """
    if Path(name).is_file():
        return Path(name)
    folder = Path(str(resources.files("ganjax.configs")))
    own = folder / f"{name}.py"
    if own.is_file():
        return own
    known = sorted(
        p.stem for p in folder.glob("*.py") if p.stem not in ("__init__", "default")
    )
    raise UserError(f"--config={name}: expected a file or one of {', '.join(known)}")


def load_module(file: Path) -> Any:
    """A Python file as a module; files beside it can be imported by it."""
    folder = str(file.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    spec = importlib.util.spec_from_file_location(f"_config_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise UserError(f"--config={file}: expected a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def config_name(path: str) -> str:
    """A name for the runs of a config: `configs/loss.py:wgan` -> `loss-wgan`.

    >>> config_name("configs/loss.py:wgan"), config_name("mnist")
    ('loss-wgan', 'mnist')
    """
    file, _, argument = path.partition(":")
    return "-".join(filter(None, (Path(file).stem, argument)))


def child(node: Any, name: str) -> Any:
    """A field of a group; KeyError if there is none, or if this is no group."""
    if not isinstance(node, ConfigDict):
        raise KeyError(name)
    return node[name]


def override(config: ConfigDict, field: str, value: Any) -> None:
    """Sets one dotted field of a locked config.

    A mapping replaces what is there: a number by a schedule, or a group as a whole.

    Raises:
      UserError: an unknown field or a value of the wrong type.
    """
    *path, last = field.split(".")
    try:
        node = reduce(child, path, config)
        if not isinstance(node, ConfigDict):
            raise KeyError(last)
        if isinstance(value, Mapping):
            node[last]  # a KeyError if there is no such field
            with node.ignore_type():
                node[last] = ConfigDict(value)
        else:
            if isinstance(value, bool) and isinstance(node[last], float):
                raise TypeError  # ConfigDict would make a number of it
            config.update_from_flattened_dict({field: value})
    except (KeyError, AttributeError) as error:
        known = ", ".join(sorted(flatten(config.to_dict())))
        raise UserError(
            f"config.{field}: expected one of the fields {known}"
        ) from error
    except (TypeError, ValueError, OverflowError) as error:
        kind = KINDS.get(type(node[last]), f"a value like {show(node[last])}")
        raise UserError(f"config.{field}={show(value)}: expected {kind}") from error


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one mapping with dotted keys.

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


def to_json(config: ConfigDict) -> dict[str, Any]:
    """The config as it will be read back: JSON has no tuples."""
    return json.loads(json.dumps(config.to_dict()))


def diff(
    old: Mapping[str, Any], new: Mapping[str, Any], fields: Collection[str]
) -> list[str]:
    """Differences of two configs in these top-level fields, as `field: old -> new`.

    >>> diff({"seed": 0, "num_steps": 5}, {"seed": 1, "num_steps": 9}, ["seed"])
    ['seed: 0 -> 1']
    """
    before, after = (
        flatten({k: v for k, v in config.items() if k in fields})
        for config in (old, new)
    )
    return [
        f"{field}: {before.get(field, 'absent')} -> {after.get(field, 'absent')}"
        for field in sorted(before | after)
        if before.get(field) != after.get(field)
    ]
