"""Several processes of one job, on this machine: gloo is JAX's back end on CPUs."""

import os
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest
from helpers import ROOT, assert_close, smallest_config
from PIL import Image

import ganjax
from ganjax import distributed
from ganjax.writers import read_jsonl

CONFIG = """
from helpers import smallest_config

def get_config():
    sgd = {"name": "sgd", "learning_rate": 0.01}
    return smallest_config(
        g_optimizer=sgd, d_optimizer=sgd, log_every=2,
        sample_every=0, checkpoint_every=4, data__name="image_folder"
    )
"""
# ganjax.main, which after its n-th device call gets a signal.
CHILD = """
import os, sys

from ganjax import distributed, main

number, last = (int(sys.argv.pop(1)) for _ in range(2))
requested, calls = distributed.StopSignal.requested, []

def count(self):
    calls.append(None)
    if len(calls) == last:
        os.kill(os.getpid(), number)
    return requested(self)

distributed.StopSignal.requested = count
distributed.HEARTBEAT = 10
main.run()
"""


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """A function that starts the processes of a job and waits for them."""
    folder = tmp_path_factory.mktemp("job")
    (folder / "config.py").write_text(CONFIG)
    images = np.random.default_rng(0).integers(0, 256, (40, 28, 28), np.uint8)
    (folder / "images").mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / "images" / f"{i}.png")

    def start(workdir, processes, devices, num_steps, signals=None, slurm=False):
        # Data are streamed to several processes, and resident in one.
        budget = 0 if processes > 1 else 1024
        port = 20_000 + os.getpid() % 10_000
        children = []
        for i in range(processes):
            flags = [
                f"--config={folder / 'config.py'}",
                f"--config.data.manual_dir={folder / 'images'}",
                f"--config.data.data_dir={folder}",
                f"--config.data.device_budget_mb={budget}",
                f"--config.num_steps={num_steps}",
                f"--workdir={workdir}",
            ]
            variables = {}
            if slurm:
                flags.append("--coordinator=auto")
                variables = {
                    "SLURM_JOB_ID": str(os.getpid()),  # JAX derives the port from it
                    "SLURM_STEP_NODELIST": "localhost",
                    "SLURM_NTASKS": str(processes),
                    "SLURM_PROCID": str(i),
                    "SLURM_LOCALID": str(i),
                }
            elif processes > 1:
                flags += [
                    f"--coordinator=127.0.0.1:{port}",
                    f"--num_processes={processes}",
                    f"--process_id={i}",
                ]
            number, calls = (signals or {}).get(i, (0, 0))
            xla_flags = f"--xla_force_host_platform_device_count={devices}"
            xla_flags += " --xla_backend_optimization_level=0"
            children.append(
                subprocess.Popen(
                    [sys.executable, "-c", CHILD, str(number), str(calls), *flags],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    cwd=ROOT,
                    env={
                        **os.environ,
                        **variables,
                        "XLA_FLAGS": xla_flags,
                        "PYTHONPATH": str(ROOT / "tests"),
                    },
                )
            )
        outputs = [child.communicate() for child in children]
        return [child.returncode for child in children], outputs

    return start


def numbers(state):
    """All numbers of a state but its key."""
    return jax.tree.map(np.asarray, state.replace(key=np.zeros(())))


@pytest.mark.slow
@pytest.mark.subprocess
def test_two_processes_train_as_one_and_their_checkpoint_is_for_any_number(
    job, tmp_path
):
    codes, outputs = job(tmp_path / "two", processes=2, devices=2, num_steps=8)
    assert codes == [0, 0], outputs
    assert "4 devices of 2 processes" in outputs[0][0]
    assert "done: step 8/8" in outputs[0][0] and "done" not in outputs[1][0]
    assert "step/s" in outputs[0][1] and "step/s" not in outputs[1][1]
    codes, outputs = job(tmp_path / "one", processes=1, devices=4, num_steps=8)
    assert codes == [0], outputs
    two, one = (ganjax.load_run(tmp_path / name)[1] for name in ("two", "one"))
    assert int(two.step) == 8
    assert_close(numbers(two), numbers(one), rtol=1e-5, atol=1e-6)
    rows = {n: read_jsonl(tmp_path / n / "metrics.jsonl") for n in ("two", "one")}
    assert [row["step"] for row in rows["two"]] == [2, 4, 6, 8]
    for a, b in zip(rows["two"], rows["one"], strict=True):
        assert a["d_loss"] == pytest.approx(b["d_loss"], rel=1e-5)
    assert len(list((tmp_path / "two").glob("events.*"))) == 1

    # Four devices wrote it, two devices of one process go on; and the reverse.
    codes, outputs = job(tmp_path / "two", processes=1, devices=2, num_steps=12)
    assert codes == [0] and "resuming from step 8" in outputs[0][0], outputs
    codes, outputs = job(tmp_path / "one", processes=2, devices=1, num_steps=12)
    assert codes == [0, 0] and "resuming from step 8" in outputs[0][0], outputs
    two, one = (ganjax.load_run(tmp_path / name)[1] for name in ("two", "one"))
    assert_close(numbers(two), numbers(one), rtol=1e-5, atol=1e-6)


@pytest.mark.long
@pytest.mark.subprocess
def test_all_end_when_one_is_lost_and_the_restarted_job_resumes(job, tmp_path):
    killed = {1: (signal.SIGKILL, 6)}  # after the call for steps 11 and 12
    codes, outputs = job(tmp_path, 2, 1, num_steps=10**6, signals=killed)
    assert codes[1] == -signal.SIGKILL and codes[0] != 0
    # One that gets SIGTERM stops both, at the same step; as Slurm starts them.
    terminated = {1: (signal.SIGTERM, 3)}
    codes, outputs = job(tmp_path, 2, 1, 10**6, signals=terminated, slurm=True)
    assert codes == [0, 0], outputs
    text = outputs[0][0]
    first = int(text.split("resuming from step ")[1].split()[0])
    assert first in (4, 8)  # that of step 8 may not have been complete
    assert f"stopped; the same command resumes: step {first + 6}/" in text
    assert int(ganjax.load_run(tmp_path)[1].step) == first + 6


def test_configs_and_data_must_be_the_same_in_all_processes(monkeypatch):
    distributed.check_same("anything", "config")  # a single process
    monkeypatch.setattr(jax, "process_count", lambda: 3)

    def gather(x):
        return np.stack([x, x, x + np.uint8(1)])

    monkeypatch.setattr(distributed.multihost_utils, "process_allgather", gather)
    with pytest.raises(ganjax.UserError, match=r"config: .* differs in \[2\]"):
        distributed.check_same("anything", "config")


@pytest.fixture
def recent_jax(monkeypatch):
    """The lowest version of JAX for several processes, which also has its options."""
    monkeypatch.setattr(jax, "__version_info__", distributed.JAX)
    monkeypatch.setattr(jax.config, "update", lambda name, value: None)


@pytest.mark.parametrize(
    "coordinator,num,index,message",
    [
        ("host", 2, 0, "expected HOST:PORT or auto"),
        ("host:port", 2, 0, "expected HOST:PORT or auto"),
        ("host:1", None, 0, "expected --num_processes and --process_id"),
        ("host:1", 2, None, "expected --num_processes and --process_id"),
        ("host:1", 2, 2, "--process_id=2: expected at least 0 and less than --num_p"),
        ("host:1", 2, -1, "--process_id=-1: expected at least 0 and less than --num_"),
        ("auto", None, None, "no job"),  # not in a cluster
    ],
)
def test_impossible_jobs_are_refused(recent_jax, coordinator, num, index, message):
    with pytest.raises(ganjax.UserError, match=message):
        distributed.initialize(coordinator, num, index)


def test_old_versions_of_jax_are_refused(monkeypatch):
    monkeypatch.setattr(jax, "__version_info__", (0, 9, 2))
    with pytest.raises(ganjax.UserError, match=r"host:1: expected jax 0\.10 or newer"):
        distributed.initialize("host:1", 2, 0)


def test_numbers_of_a_job_may_be_in_the_environment(monkeypatch, recent_jax):
    given = []
    initialize = lambda *arguments, **options: given.append(arguments)  # noqa: E731
    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    monkeypatch.setenv("JAX_NUM_PROCESSES", "3")
    monkeypatch.setenv("JAX_PROCESS_ID", "2")
    distributed.initialize("host:1")
    distributed.initialize("host:1", 4, 1)
    assert given == [("host:1", 3, 2), ("host:1", 4, 1)]
    monkeypatch.setenv("JAX_PROCESS_ID", "first")
    with pytest.raises(ganjax.UserError, match="JAX_PROCESS_ID=first: expected a num"):
        distributed.initialize("host:1")


def test_what_the_first_process_says_is_passed_on_in_a_single_process():
    assert distributed.is_first()
    assert distributed.from_first({"fid": 0.1}) == {"fid": 0.1}
    assert distributed.first_before_others(lambda: 3) == 3
    state = ganjax.init_state(ganjax.make_gan(smallest_config()), jax.random.key(0))
    assert distributed.to_global(state) is distributed.to_local(state) is state
