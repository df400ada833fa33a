"""The wheel: what is in it, and that it works in any folder without the checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from helpers import ROOT, run_python

pytestmark = [pytest.mark.slow, pytest.mark.subprocess]
NOWHERE = "http://127.0.0.1:9"
NOT_COPIED = (".*", "__pycache__", "build", "dist", "runs", "*.egg-info")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A copy of the checkout, in which nothing was built before."""
    folder = tmp_path_factory.mktemp("checkout") / "ganjax"
    patterns = shutil.ignore_patterns(*NOT_COPIED)

    def ignore(parent: str, names: list[str]) -> set[str]:
        links = {name for name in names if Path(parent, name).is_symlink()}
        return patterns(parent, names) | links

    return shutil.copytree(ROOT, folder, ignore=ignore)


@pytest.fixture(scope="module")
def wheel(checkout) -> Path:
    """The wheel of the checkout."""
    pip("wheel", "--no-build-isolation", "--wheel-dir", checkout / "dist", checkout)
    (file,) = (checkout / "dist").glob("*.whl")
    return file


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory) -> Path:
    """A folder of installed packages that has nothing but the wheel."""
    folder = tmp_path_factory.mktemp("site")
    pip("install", "--target", folder, wheel)
    return folder


def pip(command: str, *arguments: object) -> None:
    result = run_python("-m", "pip", command, "--quiet", "--no-deps", *arguments)
    assert result.returncode == 0, result.stderr


def test_wheel_has_all_files_of_the_package_and_no_others(wheel, checkout):
    files = [*checkout.glob("ganjax/**/*"), *checkout.glob("configs/*")]
    names = [str(f.relative_to(checkout)) for f in files if f.is_file()]
    expected = {n.replace("configs/", "ganjax/configs/", 1) for n in names}
    packed = zipfile.ZipFile(wheel).namelist()
    assert {n for n in packed if ".dist-info/" not in n} == expected
    assert {"ganjax/py.typed", "ganjax/configs/mnist.py"} < expected


def test_installed_package_trains_in_any_folder(site, tmp_path):
    train = ["--config", "mnist", "--config.num_steps=2", "--config.sample_every=0"]
    ganjax(site, tmp_path, *train, "--config.data.data_dir=data")
    assert (tmp_path / "runs/mnist/samples.png").stat().st_size > 1000
    sample = ["--config=mnist", "--mode=sample", "--workdir=runs/mnist", "--num=4"]
    assert "samples of step 2" in ganjax(site, tmp_path, *sample)


def ganjax(site: Path, cwd: Path, *flags: str) -> str:
    """What the installed command prints."""
    result = subprocess.run(
        [sys.executable, site / "bin/ganjax", *flags],
        cwd=cwd,
        # Without a network: the embedded digits, at once.
        env={**os.environ, "PYTHONPATH": str(site), "https_proxy": NOWHERE},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_configs_of_the_wheel_are_found_by_name(site, tmp_path):
    code = (
        "import ganjax; print(ganjax.load_config('mnist').num_steps); "
        "import ganjax.configs; print(ganjax.__file__, ganjax.configs.__path__[0])"
    )
    result = run_python("-c", code, cwd=tmp_path, PYTHONPATH=str(site))
    assert result.stdout.splitlines() == [
        "8000",
        f"{site}/ganjax/__init__.py {site}/ganjax/configs",
    ], result.stderr
