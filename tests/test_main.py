"""The command as a user types it: each mistake gets one line and a non-zero exit."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT, SMALL

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


@pytest.mark.parametrize(
    "flags,message",
    [
        (["--config=configs/absent.py"], "configs/absent.py can't be read"),
        ([], "say what to train"),
        ([*TRAIN, "--config.bogus=1"], "unknown config field.*bogus"),
        ([*TRAIN, "--config.seed=x"], "config.seed=x"),
        (["--config=configs/loss.py:bogus"], "loss.py:bogus: choose from minimax"),
        ([*TRAIN, "--bogus"], "Unknown command line flag 'bogus'"),
        ([*TRAIN, "bogus"], "unexpected argument 'bogus'"),
        ([*TRAIN, "--config.seed=-1"], "config.seed = -1 must be at least 0"),
        ([*TRAIN, f"--config.seed={2**32}"], "seed = 4294967296 must be below 2"),
        (["--mode=sample", f"--sample_seed={2**32}"], "sample_seed"),
        ([*TRAIN, "--config.sample_num=0"], "config.sample_num = 0 must be at least 1"),
        ([*TRAIN, "--config.loss=bogus"], "config.loss = 'bogus' is unknown; choose"),
        ([*TRAIN, "--config.n_dis=0"], "config.n_dis = 0 must be at least 1"),
        ([*TRAIN, "--config.discriminator.norm=batch"], "must not be 'batch' with"),
        ([*TRAIN, "--workdir=/proc/ganjax"], "/proc/ganjax can't be written to"),
        (["--mode=sample", "--workdir=/proc"], "/proc holds no checkpoint"),
    ],
)
def test_mistakes_get_one_line(flags, message):
    result = run(*flags)
    assert result.returncode == 1
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("error: ")
    assert re.search(message, line), line


def test_configs_are_found_from_the_checkout_only(tmp_path):
    flag = f"--config={ROOT / 'configs/mnist.py'}"
    result = subprocess.run(command(flag), cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 1
    assert "run from the root of the checkout" in result.stderr.splitlines()[-1]


def test_batch_must_be_shared_out_evenly(place, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=3")
    result = run(*place)
    assert result.returncode == 1
    assert "config.batch_size = 8 is not divisible by the 3 devices" in result.stderr


def test_divergence_ends_with_one_line_and_no_checkpoint(place, tmp_path):
    result = run(
        *place, "--config.num_steps=40", "--config.d_optimizer.learning_rate=1e30"
    )
    assert result.returncode == 1
    assert "error: training diverged" in result.stderr
    assert "Traceback" not in result.stderr
    assert not list((tmp_path / "run/checkpoints").glob("[0-9]*"))


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
    assert b"stopped; repeat to resume" in out
    (checkpoint,) = [int(p.name) for p in (tmp_path / "run/checkpoints").glob("[0-9]*")]
    result = run(*flags[:-2], f"--config.num_steps={checkpoint + 10}")
    assert result.returncode == 0, result.stderr
    assert f"resuming from step {checkpoint} " in result.stdout


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
