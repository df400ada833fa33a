"""Full and read-only disks, and folders that are deleted while a run writes to them.

Each ends in one line; afterwards the same command resumes from the last checkpoint.
"""

import shutil
import subprocess
import time

import pytest
from helpers import assert_identical
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from test_kill import temporary_files, train

import ganjax
from ganjax import plots, writers
from ganjax import train as training
from ganjax.checkpoint import Checkpoints
from ganjax.writers import Writer, read_jsonl

FULL = "No space left on device: free some space; the same command resumes from the"
STEPS = [2, 4, 6, 8, 10, 12]


def mount(*arguments):
    """Runs `mount`, which needs rights that not every test machine gives."""
    result = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    if result.returncode:
        pytest.skip(f"nothing can be mounted here: {result.stderr.strip()}")


@pytest.fixture
def disk(tmp_path):
    """A disk of 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder))
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The final state of an undisturbed run."""
    return train(tmp_path_factory.mktemp("whole"))


def fill(folder, name="filler"):
    """Appends to a file until the disk is full."""
    with pytest.raises(OSError, match="No space left"):
        with open(folder / name, "ab", buffering=0) as file:
            while file.write(b" " * 4096):
                pass


def before(monkeypatch, moment, action):
    """Calls `action` before the first call of a function that fulfills a condition."""
    owner, name, *conditions = moment
    function, calls = getattr(owner, name), []

    def replacement(*args, **kwargs):
        if not calls and all(condition(*args) for condition in conditions):
            calls.append(args)
            action(*args)
        return function(*args, **kwargs)

    monkeypatch.setattr(owner, name, replacement)


def assert_resumes(workdir, whole):
    """Trains to the end and compares with an undisturbed run."""
    assert_identical(train(workdir), whole)
    assert_identical(ganjax.load_run(workdir)[1], whole)
    assert not temporary_files(workdir)
    assert [row["step"] for row in read_jsonl(workdir / "metrics.jsonl")] == STEPS
    events = EventAccumulator(str(workdir)).Reload()
    assert [event.step for event in events.Scalars("Loss/real")] == STEPS
    assert (workdir / "progress.gif").exists() and (workdir / "curves.png").exists()


def checkpoints(workdir):
    """The steps of complete checkpoints."""
    names = (path.name for path in (workdir / "checkpoints").glob("*"))
    return sorted(int(name) for name in names if name.isdecimal())


def at_step_8(_, step, *args):
    return step == 8


MOMENTS = {  # the first file that can't be written, and the call that writes it
    "config.json": (training, "write_text"),
    "metrics.jsonl": (Writer, "_append", at_step_8),
    "samples/step_000008.png": (
        writers,
        "save_png",
        lambda path, *_: path.name == "step_000008.png",
    ),
    "events": (writers.TensorBoardWriter, "image", at_step_8),
    "checkpoints": (Checkpoints, "save", at_step_8),
    "progress.gif": (writers, "save_gif"),
    "curves.png": (plots, "plot_curves"),
}


@pytest.mark.slow
@pytest.mark.parametrize("file", MOMENTS)
def test_a_full_disk_costs_steps_but_changes_nothing(
    file, disk, whole, monkeypatch, capfd
):
    workdir = disk / "run"
    last = {"config.json": [], "progress.gif": [8, 12], "curves.png": [8, 12]}
    complete = last.get(file, [4])

    def use_up(*args):
        while complete != checkpoints(workdir):  # they are written in the background
            time.sleep(0.01)
        fill(disk)
        if file == "metrics.jsonl":  # its last block has space left
            fill(workdir, file)

    with monkeypatch.context() as patch:
        before(patch, MOMENTS[file], use_up)
        with pytest.raises(ganjax.UserError, match=FULL) as error:
            train(workdir)
    assert str(error.value).startswith(f"{workdir}/{file}")
    assert "\n" not in str(error.value) and "Traceback" not in capfd.readouterr().err
    assert checkpoints(workdir) == complete
    (disk / "filler").unlink()
    assert_resumes(workdir, whole)


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", (40, 150, 260, 370))
def test_a_disk_of_any_size_is_reported_in_one_line(kilobytes, disk, whole, capfd):
    mount("-o", f"remount,size={kilobytes}k", str(disk))
    with pytest.raises(ganjax.UserError, match=FULL) as error:
        train(disk / "run")
    assert "\n" not in str(error.value) and "Traceback" not in capfd.readouterr().err
    mount("-o", "remount,size=8m", str(disk))
    assert_resumes(disk / "run", whole)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["checkpoints", "metrics.jsonl", "samples"])
def test_a_folder_that_becomes_read_only_is_named(
    moment, disk, whole, monkeypatch, capfd
):
    workdir, moments = disk / "run", {**MOMENTS, "samples": MOMENTS["events"]}
    workdir.mkdir()

    def protect(*args):
        mount("--bind", str(workdir), str(workdir))
        mount("-o", "remount,ro,bind", str(workdir))

    with monkeypatch.context() as patch:
        before(patch, moments[moment], protect)
        with pytest.raises(
            ganjax.UserError, match="Read-only.*: make it writ"
        ) as error:
            train(workdir)
        with pytest.raises(ganjax.UserError, match="^--workdir=.*Read-only"):
            train(workdir)
    assert str(error.value).startswith(str(workdir))
    assert "Traceback" not in capfd.readouterr().err
    subprocess.run(["umount", str(workdir)], check=True)
    assert_resumes(workdir, whole)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["metrics.jsonl", "samples/step_000008.png", "save"])
def test_a_deleted_work_folder_is_not_made_again(moment, tmp_path, monkeypatch, capfd):
    """Otherwise the run would go on in a folder that lacks its first half."""
    workdir, moments = tmp_path / "run", {**MOMENTS, "save": (training, "save")}

    def delete(*args):
        while workdir.exists():  # a checkpoint is being written to it
            shutil.rmtree(workdir, ignore_errors=True)

    with monkeypatch.context() as patch:
        before(patch, moments[moment], delete)
        with pytest.raises(ganjax.UserError, match="^.*run/") as error:
            train(workdir)
    assert "the same command resumes" in str(error.value)
    assert "\n" not in str(error.value) and "Traceback" not in capfd.readouterr().err
