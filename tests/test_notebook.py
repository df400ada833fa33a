"""experiments/colab.ipynb: runs from top to bottom on any number of devices."""

import base64
import io
import re
import shutil
from typing import Any

import nbformat
import numpy as np
import pytest
from conftest import CACHE
from helpers import ROOT, run_python
from PIL import Image

from ganjax.files import cache_folder

NOTEBOOK = ROOT / "experiments/colab.ipynb"
STEPS = 4
SHORT_CLASSIFIER = """
from ganjax.metrics import classifier

classifier.RECIPE = classifier.RECIPE._replace(images_seen=12_000)
"""


def code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(notebook: Any) -> str:
    """All that the cells printed or returned."""
    outputs = [output for cell in code(notebook) for output in cell.outputs]
    texts = [o.get("text") or o.get("data", {}).get("text/plain", "") for o in outputs]
    return "\n".join(texts)


def images(notebook: Any) -> list[np.ndarray]:
    """All that the cells have shown."""
    outputs = [output for cell in code(notebook) for output in cell.outputs]
    files = [
        o["data"]["image/png"] for o in outputs if "image/png" in o.get("data", {})
    ]
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(f)))) for f in files]


@pytest.fixture(scope="module", params=[pytest.param(1, marks=pytest.mark.long), 8])
def executed(request, tmp_path_factory) -> tuple[int, Any]:
    """A number of devices, and the notebook after a short run on them."""
    devices = request.param
    folder = tmp_path_factory.mktemp("notebook")
    copied = shutil.copy(NOTEBOOK, folder)  # whose folder is the current one
    startup = folder / ".ipython/profile_default/startup/classifier.py"
    startup.parent.mkdir(parents=True)
    startup.write_text(SHORT_CLASSIFIER)
    command = "from nbclient.cli import main; main()"
    result = run_python(
        *("-c", command, "--output", folder / "executed.ipynb", copied),
        cwd=folder,
        HOME=str(folder),
        PYTHONPATH=str(ROOT),
        GANJAX_CACHE=str(cache_folder()),
        GANJAX_NOTEBOOK_STEPS=str(STEPS),
        JAX_COMPILATION_CACHE_DIR=str(CACHE),
        XLA_FLAGS="--xla_backend_optimization_level=0 "
        f"--xla_force_host_platform_device_count={devices}",
        https_proxy="http://127.0.0.1:9",  # no network: the embedded digits
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return devices, nbformat.read(folder / "executed.ipynb", as_version=4)


@pytest.mark.slow
@pytest.mark.subprocess
def test_all_cells_run(executed):
    devices, notebook = executed
    text = printed(notebook)
    assert f"CpuDevice(id={devices - 1})" in text and f"id={devices})" not in text
    assert f"on CPU: {devices} device" in text
    assert f"done: step {STEPS}/{STEPS}" in text
    assert f"resuming from step {STEPS}" in text
    assert f"done: step {2 * STEPS}/{2 * STEPS}" in text


@pytest.mark.slow
@pytest.mark.subprocess
def test_evaluation_is_of_few_steps(executed):
    (fid, reference) = re.findall(
        r"\| fid \| ([\d.]+) \| [\d. ]+ \| ([\d.]+) \|", printed(executed[1])
    )[0]
    assert 100 < float(fid) < 30_000 and 1 < float(reference) < 10  # real digits: 3


@pytest.mark.slow
@pytest.mark.subprocess
def test_losses_and_samples_are_shown(executed):
    comparison, curves, own_curves, own, digit, loss_curves, loss = images(executed[1])
    assert comparison.std() > 20 and curves.std() > 10
    assert own.shape == loss.shape == (302, 152)  # 10 digits x 5 samples
    assert digit.shape == (62, 482)
    assert own_curves.std() > 10 and loss_curves.std() > 10
    assert (own != loss).any()  # both start from the same parameters


def test_committed_outputs_are_small_and_of_one_run():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    counts = [cell.execution_count for cell in code(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    assert NOTEBOOK.stat().st_size < 300_000
    assert len(images(notebook)) == 7
