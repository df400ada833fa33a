"""The command as a user types it: each mistake gets one line and a non-zero exit."""

import os
import re
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest
from helpers import ROOT, SMALL, run_python

import ganjax
from ganjax import main

pytestmark = pytest.mark.slow

TRAIN = ("--config=configs/mnist.py",)


def flags_of(overrides: dict[str, object]) -> list[str]:
    return [f"--config.{name}={value}" for name, value in overrides.items()]


def command(*flags: object) -> list[str]:
    return [sys.executable, "-m", "ganjax.main", *map(str, flags)]


def run(*flags: object) -> subprocess.CompletedProcess:
    return subprocess.run(command(*flags), cwd=ROOT, capture_output=True, text=True)


@pytest.fixture
def place(tmp_path: Path, data_place: dict[str, str], mnist) -> list[str]:
    """Flags for a small run in a folder of its own."""
    return [
        *TRAIN,
        *flags_of(SMALL),
        f"--workdir={tmp_path / 'run'}",
        *flags_of(data_place),
    ]


@pytest.mark.subprocess
@pytest.mark.parametrize(
    "flags,message",
    [
        (
            ["--config=configs/absent.py"],
            "absent.py: expected a file or one of celeba64, cifar10, cnn",
        ),
        ([], "--config is missing"),
        (
            [*TRAIN, "--config.bogus=1"],
            "--config.*bogus.*: unknown; configs/default.py tells where",
        ),
        ([*TRAIN, "--config.seed=x"], "config.seed=x"),
        (["--config=configs/loss.py:bogus"], "'bogus': expected one of dragan, hinge"),
        ([*TRAIN, "--bogus"], "Unknown command line flag 'bogus'"),
        ([*TRAIN, "bogus"], "unexpected argument 'bogus'"),
        ([*TRAIN, "--config.seed=-1"], "config.seed=-1: expected an integer >= 0"),
        ([*TRAIN, f"--config.seed={2**32}"], "seed=4294967296: expected an integer"),
        (["--mode=sample", f"--sample_seed={2**32}"], "sample_seed"),
        (
            [*TRAIN, "--config.sample_num=0"],
            "config.sample_num=0: expected an integer >= 1",
        ),
        (
            [*TRAIN, "--config.loss=bogus"],
            "config.loss='bogus': expected one of dragan|hinge",
        ),
        ([*TRAIN, "--config.n_dis=0"], "config.n_dis=0: expected an integer >= 1"),
        (
            [*TRAIN, "--config.discriminator.norm=batch"],
            "norm='batch': expected 'none' or",
        ),
        (
            [*TRAIN, "--workdir=/proc/ganjax"],
            "--workdir=/proc/ganjax: expected a folder that can be",
        ),
        (
            ["--mode=sample", "--workdir=/proc"],
            "--workdir=/proc: expected a folder with a checkpoint",
        ),
    ],
)
def test_mistakes_get_one_line(flags, message):
    result = run(*flags)
    assert result.returncode == 1
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("error: ")
    assert re.search(message, line), line


@pytest.mark.subprocess
def test_configs_are_found_from_any_folder(tmp_path):
    flags = ["--config=mnist", "--config.loss=bogus"]
    result = run_python("-m", "ganjax.main", *flags, cwd=tmp_path)
    assert "config.loss='bogus': expected one of" in result.stderr
    assert ganjax.load_config("mnist") == ganjax.load_config(f"{ROOT}/configs/mnist.py")


BUGS = {  # what a user's config may contain -> the last line of the traceback
    "{}['smal']": "KeyError: 'smal'",
    "None.bit_length()": "AttributeError: 'NoneType' object has no attribute",
    "__import__('nosuchmodule')": "ModuleNotFoundError: No module named 'nosuchmodule'",
    "open('/no/such/file')": "FileNotFoundError: [Errno 2] No such file",
}


@pytest.mark.subprocess
@pytest.mark.parametrize("bug", BUGS)
def test_bugs_in_a_config_keep_their_traceback(bug, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(f"def get_config():\n    return {bug}\n")
    result = run_python("-m", "ganjax.main", f"--config={file}")
    assert result.returncode == 1
    assert f'File "{file}", line 2, in get_config' in result.stderr
    assert result.stderr.strip().splitlines()[-1].startswith(BUGS[bug])


class Flags(types.SimpleNamespace):
    """Flags by attribute, and by item."""

    def __init__(self, items, **values):
        super().__init__(**values)
        self._items = items

    def __getitem__(self, name):
        return self._items[name]


@pytest.mark.parametrize(
    "error,message",
    [
        (FileNotFoundError(2, "No such file or directory", "font.ttf"), "font.ttf: No"),
        (OSError(28, "No space left on device"), "No space left on device"),
    ],
)
def test_operating_system_errors_are_reported_as_they_are(
    error, message, monkeypatch, capsys
):
    def fail():
        raise error

    flags = {"verbosity": types.SimpleNamespace(present=True)}
    namespace = Flags(flags, mode="train", workdir="w")
    monkeypatch.setattr(main, "FLAGS", namespace)
    monkeypatch.setattr(main, "use_compilation_cache", lambda: None)
    monkeypatch.setitem(main.MODES, "train", fail)
    with pytest.raises(SystemExit):
        main.main(["main"])
    err = capsys.readouterr().err
    assert message in err and "checkpoint" not in err and len(err.splitlines()) == 1


@pytest.mark.subprocess
def test_batch_must_divide_over_devices(place, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=3")
    result = run(*place)
    assert result.returncode == 1
    assert "config.batch_size=8: expected a multiple of the 3 devices" in result.stderr


@pytest.mark.subprocess
def test_divergence_ends_with_one_line_and_no_checkpoint(place, tmp_path):
    result = run(
        *place, "--config.num_steps=40", "--config.d_optimizer.learning_rate=1e30"
    )
    assert result.returncode == 1
    assert "error: training diverged" in result.stderr
    assert "Traceback" not in result.stderr
    assert not list((tmp_path / "run/checkpoints").glob("[0-9]*"))


@pytest.mark.subprocess
def test_sigterm_writes_a_checkpoint_and_the_same_command_resumes(place, tmp_path):
    flags = [*place, "--config.num_steps=100000", "--config.sample_every=0"]
    process = subprocess.Popen(
        command(*flags), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    log, deadline = tmp_path / "run/metrics.jsonl", time.time() + 300
    while time.time() < deadline and not (log.exists() and log.read_text()):
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert b"stopped; the same command resumes" in out
    (checkpoint,) = [int(p.name) for p in (tmp_path / "run/checkpoints").glob("[0-9]*")]
    result = run(*flags[:-2], f"--config.num_steps={checkpoint + 10}")
    assert result.returncode == 0, result.stderr
    assert f"resuming from step {checkpoint} " in result.stdout


@pytest.mark.subprocess
def test_warm_start_imports_no_tensorflow(place):
    script = (
        "import sys, runpy\n"
        "sys.argv = ['main'] + sys.argv[1:]\n"
        "try:\n    runpy.run_module('ganjax.main', run_name='__main__')\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, *place, "--config.num_steps=2"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ,
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.subprocess
def test_summary_shows_every_field_and_counts_parameters():
    result = run_python("-m", "ganjax.main", *TRAIN, "--mode=summary")
    assert result.returncode == 0, result.stderr
    for line in ("  half_life: 50000.0", "num_steps: 8000", "  z_dim: 32"):
        assert line in result.stdout.splitlines()
    # 32 -> 128 -> 7 x 7 x 32 -> 4 x 4 x 16 -> 4 x 4 x 1, each with its bias.
    generator = 33 * 128 + 129 * 1568 + (512 * 16 + 16) + (256 + 1)
    assert f"Total Parameters: {generator:,}" in result.stdout


@pytest.mark.subprocess
def test_a_report_is_of_all_folders_and_flags_may_follow_them(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.jsonl").touch()
    flags = ["--mode=report", "--workdir", "a", "b", "c", "--out=x.html", "--num=6"]
    result = run_python("-m", "ganjax.main", *flags, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "x.html" in result.stdout
    assert "<h1>Report on a, b, c</h1>" in (tmp_path / "x.html").read_text()
    result = run_python("-m", "ganjax.main", *flags[:-2], "--num=5", cwd=tmp_path)
    assert "error: --num=5: expected an even number" in result.stderr
