"""The README's Python runs as it stands."""

import re

import jax
import numpy as np
import pytest
from conftest import ROOT

from ganjax.data import SOURCES

README = (ROOT / "README.md").read_text()
RESEARCH, OWN_ARRAYS = re.findall(r"```python\n(.*?)```", README, re.S)


@pytest.fixture(autouse=True)
def checkout(monkeypatch, tmp_path):
    """A place with the configs, whose runs/ nobody misses."""
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)


def run(example: str) -> dict:
    namespace: dict = {}
    with jax.debug_key_reuse(True):
        exec(example, namespace)
    return namespace


def test_research_example(capsys):
    namespace = run(RESEARCH)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "relativistic",
        "non_saturating",
    ]
    assert namespace["images"].shape == (16, 28, 28, 1)
    assert namespace["images"].std() > 0
    assert np.isfinite(float(namespace["metrics"]["d_loss"]))


def test_own_arrays(monkeypatch, capsys):
    monkeypatch.setitem(SOURCES, "mine", None)  # restored afterwards
    namespace = run(OWN_ARRAYS)
    assert int(namespace["state"].step) == namespace["config"].num_steps > 0
    assert "data: mine from a notebook, 512 training images" in capsys.readouterr().out
