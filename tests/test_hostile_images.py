"""Damaged and hostile files in a folder of images: skipped by name; nothing waits."""

import os
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers import load_folder as load
from PIL import Image

from experiments.cartoon_faces import draw_faces


@pytest.fixture
def faces(tmp_path):
    return draw_faces(tmp_path / "faces", num=30)


def png(width, height, rows=b""):
    """A PNG whose header has these sizes."""

    def chunk(kind, content):
        crc = zlib.crc32(kind + content).to_bytes(4, "big")
        return len(content).to_bytes(4, "big") + kind + content + crc

    sizes = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", sizes + bytes([8, 0, 0, 0, 0]))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


HOSTILE_FILES = {
    "zero bytes": b"",
    "signature": b"\x89PNG\r\n\x1a\n",
    "no rows": png(8, 8),
    "no width": png(0, 8, bytes(8)),
    "no height": png(8, 0),
    "bomb of Pillow's warning": png(10_000, 10_000, bytes(10**6)),
    "bomb of Pillow's error": png(30_000, 30_000, bytes(10**6)),
    "bomb of all bits": png(2**31 - 1, 2**31 - 1),
    "no pixels": b"P5 0 0 255\n",
    "huge pixmap": b"P6 99999999999 99999999999 255\n",
    "program": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n{} loop\n",
    "page": b"<html>not found</html>",
    "zip": b"PK\x03\x04" + bytes(100),
    "binary": bytes(range(256)) * 9,
}


@pytest.mark.parametrize("name", HOSTILE_FILES)
def test_hostile_files_are_skipped_by_name(name, faces, capsys):
    for suffix in ("png", "jpg", "tiff", "gif", "bmp", "ico", "webp"):
        (faces / f"hostile.{suffix}").write_bytes(HOSTILE_FILES[name])
    with warnings.catch_warnings():
        warnings.simplefilter("always")  # as in the command, where none is an error
        assert count(load(faces)) == 30
    printed = capsys.readouterr().err.splitlines()
    assert len(printed) == 7
    assert all("not a readable image" in x and "hostile." in x for x in printed)


def count(dataset):
    return dataset.identity.num_train + dataset.identity.num_test


def test_truncated_files_of_any_format_are_skipped_or_whole(tmp_path, capsys):
    """At 9 lengths of 8 formats; some formats allow an end anywhere."""
    draw_faces(tmp_path / "faces", num=20)
    face = Image.open(tmp_path / "faces/face_00000.png").convert("RGB")
    formats = ("png", "jpg", "gif", "bmp", "tiff", "webp", "ico", "ppm")
    for suffix in formats:
        whole = tmp_path / f"whole.{suffix}"
        face.save(whole)
        content = whole.read_bytes()
        for i in range(9):
            part = content[: len(content) * i // 9]
            (tmp_path / f"faces/cut_{i}.{suffix}").write_bytes(part)
        whole.unlink()
    dataset = load(tmp_path / "faces")
    printed = capsys.readouterr().err
    read = count(dataset) - 20
    skipped = printed.count("not a readable image") + int(
        printed.split("skipped ")[-1].split()[0]
    )
    assert read + skipped == 72 and read < 20
    assert "Traceback" not in printed


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_images_of_every_mode_are_read(mode, tmp_path):
    """A red image; gray, its luminance is 76 of 255, and white where 1 bit."""
    for i in range(20):
        image = Image.new("RGB", (8, 8), (255, 0, 0)).convert(mode)
        image.save(tmp_path / f"{i}.tiff")
    pixel = load(tmp_path, (8, 8, 3)).train["images"].mean((0, 1, 2))
    expected = {"L": [76] * 3, "LA": [76] * 3}.get(mode, [255, 0, 0])
    if mode == "1":
        assert 0 < pixel[0] < 255 and np.ptp(pixel) == 0  # dithered
    else:
        np.testing.assert_allclose(pixel, expected, atol=2)


def test_very_wide_images_are_read(tmp_path):
    for i in range(20):
        Image.new("L", (30_000, 2), 7).save(tmp_path / f"{i}.png")
    np.testing.assert_array_equal(load(tmp_path, (8, 8, 1)).train["images"], 7)


def test_what_is_no_file_is_skipped_and_nothing_waits(faces, capsys):
    os.mkfifo(faces / "pipe.png")
    (faces / "folder.png").mkdir()
    (faces / "loop.png").symlink_to(faces / "loop.png")
    (faces / "nowhere.png").symlink_to(faces / "missing")
    (faces / "device.png").symlink_to("/dev/zero")
    (faces / "cycle").symlink_to(faces, target_is_directory=True)
    result = []
    thread = threading.Thread(target=lambda: result.append(load(faces)), daemon=True)
    thread.start()
    thread.join(60)
    assert result and count(result[0]) == 30
    printed = capsys.readouterr().err.splitlines()
    assert len(printed) == 5
    for name in ("pipe", "folder", "loop", "nowhere", "device"):
        assert any(f"{name}.png" in line for line in printed)


def test_files_without_permission_are_skipped(faces, capsys, monkeypatch):
    original = Path.is_file

    def is_file(self):
        if self.name == "face_00003.png":
            raise PermissionError(13, "Permission denied", str(self))
        return original(self)

    monkeypatch.setattr(Path, "is_file", is_file)
    assert count(load(faces)) == 29
    assert "face_00003.png" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["é", "数字", "цифра", "a b", "a\nb", "\udcff", "🙂", "-"]
)
def test_names_in_any_script(name, tmp_path, capsys):
    folder = draw_faces(tmp_path / name, num=10)
    for subfolder in (name, f"{name}2"):
        draw_faces(folder / subfolder, num=10)
    (folder / f"{name}.png").write_bytes(b"no image")
    dataset = load(folder)
    np.testing.assert_array_equal(np.bincount(dataset.train["labels"]), [9, 9, 9])
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1 and "not a readable image" in printed
    source = dataset.describe().encode()  # an error for a half of a surrogate pair
    assert b"\n" not in source
