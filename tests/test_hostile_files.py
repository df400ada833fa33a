"""Damaged and hostile files: refused in one line, or skipped by name; nothing waits."""

import io
import json
import os
import zipfile

import numpy as np
import pytest
from PIL import Image

import ganjax
from ganjax import samples
from ganjax.data import DataOptions, tfds
from ganjax.images import save_gif, save_png
from ganjax.run_folder import sample_files
from ganjax.writers import Writer, read_jsonl

SHAPE = (28, 28, 1)
HEADER = {"descr": "|u1", "fortran_order": False}
FLOATS = np.full((20, *SHAPE), np.nan, np.float32)
HOSTILE_ARRAYS = {
    "objects": {"images": np.array([None] * 20)},
    "a pickle in the right shape": {"images": np.full((20, *SHAPE), None)},
    "NaN": {"images": FLOATS},
    "a number": {"images": np.uint8(3)},
    "no rows": {"images": np.zeros((0, *SHAPE), np.uint8)},
    "flat": {"images": np.zeros((20, 784), np.uint8)},
    "signed": {"images": FLOATS.astype(bool).astype(np.int8)},
    "text": {"images": np.full((20, *SHAPE), "x")},
    "records": {"images": np.zeros((20, *SHAPE), [("x", np.uint8)])},
    "labels that are objects": {"labels": np.array([None] * 20)},
    "labels that are NaN": {"labels": np.full(20, np.nan)},
    "labels of another length": {"labels": np.zeros(19, int)},
    "labels of two dimensions": {"labels": np.zeros((20, 1), int)},
}


@pytest.mark.parametrize("name", HOSTILE_ARRAYS)
def test_hostile_arrays_are_refused_in_one_line(name, tmp_path):
    arrays = {"images": np.zeros((20, *SHAPE), np.uint8)} | HOSTILE_ARRAYS[name]
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(ganjax.UserError, match="^--samples=.*: expected .*, got") as e:
        samples.read_samples(tmp_path / "x.npz", SHAPE)
    assert "\n" not in str(e.value)


def write_npz(file, shape, content=b"", compression=zipfile.ZIP_DEFLATED):
    """An .npz whose only array has a header for this shape, and this content."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, HEADER | {"shape": shape})
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("images.npy", header.getvalue() + content)


def test_files_that_ask_for_more_memory_than_they_have_are_refused(
    tmp_path, monkeypatch
):
    file = tmp_path / "x.npz"
    for num in (21, 10**12, 10**30):
        write_npz(file, (num, *SHAPE), bytes(20 * 784))
        with pytest.raises(ganjax.UserError, match=f"asks for {num * 784:,} bytes$"):
            samples.read_samples(file, SHAPE)
    monkeypatch.setattr(samples, "MAX_BYTES", 10**7)
    write_npz(file, (13_000, *SHAPE), bytes(13_000 * 784))  # a zip bomb
    assert file.stat().st_size < 20_000
    with pytest.raises(ganjax.UserError, match="asks for 10,192,000 bytes$"):
        samples.read_samples(file, SHAPE)
    write_npz(file, (12_000, *SHAPE), bytes(12_000 * 784))
    assert samples.read_samples(file, SHAPE)[0].shape == (12_000, *SHAPE)


def test_damaged_files_are_refused_in_one_line(tmp_path):
    file, rng = tmp_path / "x.npz", np.random.default_rng(0)
    np.savez_compressed(file, images=rng.integers(0, 256, (20, *SHAPE), np.uint8))
    whole = np.frombuffer(file.read_bytes(), np.uint8)
    refused = 0
    for place in rng.integers(0, len(whole), 100):
        damaged = whole.copy()
        damaged[place : place + 20] = rng.integers(0, 256, len(damaged[place:][:20]))
        file.write_bytes(damaged.tobytes())
        try:
            images, _ = samples.read_samples(file, SHAPE)
            assert images.shape == (20, *SHAPE)
        except ganjax.UserError as error:
            refused += 1
            assert "\n" not in str(error) and len(str(error)) < 600
    assert refused > 90


def test_pipes_and_folders_are_no_samples(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "loop.npz").symlink_to(tmp_path / "loop.npz")
    for name in ("pipe", "folder", "loop"):
        with pytest.raises(ganjax.UserError, match=f"{name}.npz: expected an .npz"):
            samples.read_samples(tmp_path / f"{name}.npz", SHAPE)


# -- metrics.jsonl ---------------------------------------------------------------------

GOOD = [b'{"step": 10, "d_loss": 0.5}', b'{"step": 20, "d_loss": 1}']
BAD_ROWS = [
    b"",
    b"{",
    b'{"step": 15, "d_lo',
    b"[]",
    b"[[10, 0.5]]",
    b"15",
    b"null",
    b'"step"',
    b"{}",
    b'{"d_loss": 0.5}',
    b'{"step": null}',
    b'{"step": "15"}',
    b'{"step": 15.0}',
    b'{"step": true}',
    b'{"step": NaN}',
    b'{"step": [15]}',
    b'{"step": 15, "d_loss": NaN}',
    b'{"step": 15, "d_loss": -Infinity}',
    b'{"step": 15, "d_loss": 1e999}',
    b'{"step": 15, "d_loss": 1' + b"0" * 400 + b"}",
    b'{"step": 15, "d_loss": 1' + b"0" * 5000 + b"}",
    b'{"step": 15, "d_loss": "0.5"}',
    b'{"step": 15, "d_loss": {}}',
    b'{"step": 15, "d_loss": null}',
    b"\x00\xff\xfe\x80",
    bytes(range(14, 256)),
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"x" * 10**7,
]


@pytest.mark.parametrize("row", BAD_ROWS, ids=lambda row: repr(row[:30]))
def test_damaged_rows_are_counted_and_dropped(row, tmp_path, capsys):
    file = tmp_path / "metrics.jsonl"
    file.write_bytes(b"\n".join([GOOD[0], row, GOOD[1]]))
    expected = [{"step": 10, "d_loss": 0.5}, {"step": 20, "d_loss": 1}]
    assert read_jsonl(file) == expected
    printed = capsys.readouterr().err
    assert printed == f"{file}: skipped {len(row.splitlines()) or 1} damaged rows\n"
    with Writer(tmp_path, 20, 20, 1):  # what a run does that resumes
        pass
    assert read_jsonl(file) == expected
    assert file.read_text() == "".join(json.dumps(row) + "\n" for row in expected)


def test_a_line_of_ten_megabytes_is_a_row(tmp_path):
    file = tmp_path / "metrics.jsonl"
    file.write_text(json.dumps({"step": 1, "x" * 10**7: 2.0}) + "\n")
    assert [row["step"] for row in read_jsonl(file)] == [1]


def test_other_files_among_samples_are_no_frames(tmp_path):
    names = ("x", "", "1.5", "-1", "\u00b2", "000003", "000001", "1_0")
    (tmp_path / "samples").mkdir()
    for name in names:
        (tmp_path / f"samples/step_{name}.png").touch()
    with Writer(tmp_path, 9, 9, 1):
        assert list(sample_files(tmp_path)) == [1, 3]


def test_damaged_frames_are_skipped_by_name(tmp_path, capsys):
    frames = [tmp_path / f"{i}.png" for i in range(5)]
    for i in (0, 3):
        save_png(frames[i], np.full((4, 4, 1), 40 * i, np.uint8))
    frames[1].write_bytes(frames[0].read_bytes()[:40])
    frames[2].touch()  # and the last one is missing
    save_gif(tmp_path / "x.gif", frames)
    with Image.open(tmp_path / "x.gif") as animation:
        assert animation.n_frames == 2
    printed = capsys.readouterr().err.splitlines()
    assert [line[-5:] for line in printed] == ["1.png", "2.png", "4.png"]
    save_gif(tmp_path / "none.gif", frames[1:3])
    assert not (tmp_path / "none.gif").exists()


# -- data sets of TFDS -----------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"3", b"\xff\xfe", b"x"]
)
def test_damaged_descriptions_of_data_sets_are_named(content, tmp_path):
    file = tmp_path / "mnist/3.0.1/dataset_info.json"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    with pytest.raises(ganjax.UserError, match="dataset_info.json is damaged") as error:
        tfds.builder_folder(DataOptions(data_dir=str(tmp_path)))
    assert "\n" not in str(error.value)
    file.write_bytes(b"{}")
    folder, prepared = tfds.builder_folder(DataOptions(data_dir=str(tmp_path)))
    assert not prepared and folder == tmp_path / "ganjax/tfds"
