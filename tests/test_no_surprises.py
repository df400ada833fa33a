"""Nothing is left behind, nothing is executed from a file, nothing asks the network."""

import os
import pickle
import re
import signal
import socket
import time

import numpy as np
import pytest
from helpers import ROOT, run_python
from test_kill import noise, train

import ganjax
from ganjax import data, evaluate, run, samples
from ganjax.data import cache, tfds
from ganjax.files import DAY, remove_scratch, write_folder
from ganjax.metrics import classifier

KILLED = """
import os, signal, sys
from pathlib import Path
from ganjax.files import write_folder
with write_folder(Path(sys.argv[1])) as new:
    (new / "half").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.subprocess
def test_what_a_killed_process_left_beside_a_cache_is_removed_after_a_day(tmp_path):
    result = run_python("-c", KILLED, tmp_path / "mnist")
    assert result.returncode == -signal.SIGKILL, result.stderr
    (left,) = tmp_path.iterdir()
    with write_folder(tmp_path / "mnist") as new:
        (new / "whole").write_text("whole")
    assert {path.name for path in tmp_path.iterdir()} == {"mnist", left.name}
    os.utime(left, (time.time() - DAY - 60,) * 2)
    with write_folder(tmp_path / "mnist") as new:
        (new / "whole").write_text("again")
    assert [path.name for path in tmp_path.iterdir()] == ["mnist"]


def test_scratch_of_others_is_kept_while_it_is_young(tmp_path):
    for name in (".a-01234567", ".b-89abcdef"):
        (tmp_path / name).touch()
    os.utime(tmp_path / ".a-01234567", (time.time() - 100,) * 2)
    remove_scratch(tmp_path, 50.0)
    assert [path.name for path in tmp_path.iterdir()] == [".b-89abcdef"]


# -- pickles ---------------------------------------------------------------------------


class Bomb:
    """An object that leaves a file where it is unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return open, (str(self.trace), "w")


@pytest.fixture
def bomb(tmp_path):
    """A pickle that would leave the file `trace`."""
    trace = tmp_path / "trace"
    pickle.loads(pickle.dumps(Bomb(trace))).close()
    assert trace.exists()  # it works
    trace.unlink()
    yield Bomb(trace)
    assert not trace.exists()


def test_no_code_reads_pickles():
    code = "\n".join(path.read_text() for path in (ROOT / "ganjax").rglob("*.py"))
    assert not re.search(
        r"allow_pickle|pickle\.|import pickle|joblib|np\.fromfile", code
    )


def test_pickles_in_caches_and_samples_are_not_read(
    bomb, tmp_path, monkeypatch, capsys
):
    objects = np.array([bomb] * 20, object)
    folder = tmp_path / "mnist"
    dataset = cache.cached(folder, noise, {})
    for name in ("images", "labels"):
        np.save(folder / f"{name}.npy", objects, allow_pickle=True)
        again = cache.cached(folder, noise, {})
        assert again.identity == dataset.identity
        assert "damaged: decoding again" in capsys.readouterr().err
    np.savez(tmp_path / "x.npz", images=objects)
    with pytest.raises(ganjax.UserError, match="^--samples="):
        samples.read_samples(tmp_path / "x.npz", (28, 28, 1))
    monkeypatch.setenv("GANJAX_CACHE", str(tmp_path / "cache"))
    params = {"Dense_0": {"kernel": np.ones((2, 2), np.float32)}}
    monkeypatch.setattr(classifier, "train_classifier", lambda *args: params)
    images, labels = noise().train["images"], noise().train["labels"]
    classifier.load_classifier(images, labels, "x")
    (file,) = (tmp_path / "cache").glob("*.npz")
    np.savez(file, **{"Dense_0/kernel": objects})
    with pytest.warns(UserWarning, match="corrupt.*trained again"):
        classifier.load_classifier(images, labels, "x")


@pytest.mark.slow
def test_pickles_in_a_checkpoint_are_not_read(bomb, tmp_path, monkeypatch):
    """Each file in turn is a pickle."""
    train(tmp_path / "run")
    content = pickle.dumps(bomb)
    for step in (8, 12):
        folder = tmp_path / f"run/checkpoints/{step}"
        for file in [path for path in folder.rglob("*") if path.is_file()]:
            before = file.read_bytes()
            file.write_bytes(content)
            try:
                ganjax.load_run(tmp_path / "run")
            except ganjax.UserError as error:
                assert "\n" not in str(error)
            assert not bomb.trace.exists()
            file.write_bytes(before)


# -- network ---------------------------------------------------------------------------


@pytest.fixture
def no_network(monkeypatch):
    """Whoever asks the network is noted and refused."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    asked = []

    def refuse(*args, **kwargs):
        asked.append(args)
        raise OSError(101, "Network is unreachable")

    for owner, name in (
        (socket, "getaddrinfo"),
        (socket, "create_connection"),
        (socket.socket, "connect"),
        (socket.socket, "connect_ex"),
    ):
        monkeypatch.setattr(owner, name, refuse)
    return asked


@pytest.mark.slow
def test_only_the_download_asks_the_network(no_network, tmp_path, monkeypatch, capsys):
    options = data.DataOptions(data_dir=str(tmp_path / "data"))
    digits = data.load(options)  # the check before the download
    assert "5,000 embedded MNIST digits" in capsys.readouterr().err
    assert [args[0] for args in no_network] == [("storage.googleapis.com", 443)]
    no_network.clear()
    monkeypatch.setattr(tfds, "check_network", lambda: refuse_download())
    cached = data.load(options)
    assert cached.identity == digits.identity
    workdir = tmp_path / "run"
    train(workdir)
    run.sample_run(run.load_run(workdir), tmp_path / "x.png", 4, 0)
    evaluate_on_few(digits, workdir, monkeypatch)
    assert (workdir / "metrics.json").exists() and no_network == []


def refuse_download():
    raise tfds.Unreachable("no network")


def evaluate_on_few(digits, workdir, monkeypatch):
    """--mode=evaluate of a run on noise, as if it were a run on the first digits."""
    arrays = [digits.train[k][:200] for k in ("images", "labels")]
    arrays += [digits.test[k][:200] for k in ("images", "labels")]
    few = ganjax.make_dataset(*arrays, name="mnist", source="digits")
    monkeypatch.setattr(evaluate, "load_data", lambda *args: few)
    monkeypatch.setenv("GANJAX_CACHE", str(workdir / "cache"))
    recipe = classifier.RECIPE._replace(images_seen=640)
    monkeypatch.setattr(classifier, "RECIPE", recipe)
    evaluate.evaluate_run(workdir, 40, 0, False)


def test_code_that_opens_connections_is_in_two_places():
    clients = r"urllib|import requests|http\.client|socket\.socket|\bnpm\b"
    found = {
        path.name
        for path in (ROOT / "ganjax").rglob("*.py")
        if re.search(clients, path.read_text())
    }
    assert found == {"tfds.py", "page.py"}  # MNIST; onnxruntime-web
