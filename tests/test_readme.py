"""The README's Python runs as it stands."""

import re

import jax
import numpy as np
from conftest import ROOT


def test_research_example(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    (example,) = re.findall(
        r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S
    )
    namespace: dict = {}
    with jax.debug_key_reuse(True):
        exec(example, namespace)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "relativistic",
        "non_saturating",
    ]
    assert namespace["images"].shape == (16, 28, 28, 1)
    assert namespace["images"].std() > 0
    assert np.isfinite(float(namespace["metrics"]["d_loss"]))
