"""README.md: its length, its quotation of `d_step`, its example."""

import ast
import re

import jax
import numpy as np
import pytest
from helpers import ROOT

README = (ROOT / "README.md").read_text()
QUOTATION, EXAMPLE = re.findall(r"```python\n(.*?)```", README, re.S)


def without_docstring(source: str, function: str) -> str:
    """The lines of a top-level function, with its decorators, without its docstring."""
    nodes = ast.parse(source).body
    (node,) = (
        n for n in nodes if isinstance(n, ast.FunctionDef) and n.name == function
    )
    first = node.decorator_list[0].lineno
    docstring = node.body[0]
    lines = source.splitlines(keepends=True)
    return "".join(lines[first - 1 : docstring.lineno - 1]) + "".join(
        lines[docstring.end_lineno : node.end_lineno]
    )


def test_readme_fits_on_150_lines():
    assert len(README.splitlines()) <= 150


def test_d_step_is_quoted_verbatim():
    source = (ROOT / "ganjax/steps.py").read_text()
    assert without_docstring(source, "d_step") == QUOTATION


@pytest.mark.parametrize(
    "start", ["pip install -e . && ", "pip install -e '.[test]' && "]
)
def test_installing_is_one_command(start):
    commands = re.findall(r"```sh\n([^\n]*)\n```", README)
    assert sum(start in command for command in commands) == 1


def test_example_runs(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)  # configs are found by name from any folder
    namespace: dict = {}
    with jax.debug_key_reuse(True):
        exec(EXAMPLE, namespace)
    printed = capsys.readouterr().out.splitlines()
    losses = [line.split()[0] for line in printed]
    assert losses == ["relativistic", "non_saturating"]
    assert len(set(line.partition(" ")[2] for line in printed)) == 2
    assert namespace["images"].shape == (16, 28, 28, 1)
    assert namespace["images"].std() > 0
    assert np.isfinite(float(namespace["metrics"]["d_loss"]))
