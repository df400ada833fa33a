"""Folders of image files."""

import dataclasses

import numpy as np
import pytest
from helpers import load_folder as load
from PIL import Image, ImageOps

import ganjax
from experiments.cartoon_faces import draw_faces
from ganjax import data
from ganjax.data import DataOptions


@pytest.fixture
def faces(tmp_path):
    return draw_faces(tmp_path / "faces", num=30)


def test_image_files_become_a_data_set(faces):
    dataset = load(faces)
    images = dataset.train["images"]
    assert images.shape == (27, 32, 32, 3) and len(dataset.test["images"]) == 3
    # The first file, resized by hand: its colors survive, its shape is the target's.
    first = Image.open(sorted(faces.iterdir())[0]).resize((32, 32))
    difference = np.abs(np.asarray(first, float) - images[0])
    assert difference.mean() < 6 < np.abs(images[0] - 128.0).mean()
    gray = load(faces, (16, 16, 1)).train["images"]
    assert gray.shape == (27, 16, 16, 1) and gray.std() > 10
    assert dataset.describe() == f"image_folder from {faces}, 27 training images"


def test_every_tenth_file_is_a_test_image(tmp_path):
    for i in range(25):
        Image.new("L", (4, 4), i).save(tmp_path / f"{i:02}.png")
    dataset = load(tmp_path, (4, 4, 1))
    np.testing.assert_array_equal(dataset.test["images"][:, 0, 0, 0], [9, 19])
    rest = [i for i in range(25) if i not in (9, 19)]
    np.testing.assert_array_equal(dataset.train["images"][:, 0, 0, 0], rest)


def test_wide_images_are_cropped_about_the_center(tmp_path):
    stripes = np.zeros((20, 60, 3), np.uint8)
    stripes[:, 20:40] = 200
    for i in range(20):
        Image.fromarray(stripes).save(tmp_path / f"{i}.png")
    images = load(tmp_path, (20, 20, 3)).train["images"]
    np.testing.assert_array_equal(images, 200)


@pytest.mark.parametrize("crop,size,box", [(4, 4, (2, 3, 6, 7)), (9, 8, (0, 0, 8, 9))])
def test_a_square_about_the_center_is_cut_out_first(tmp_path, crop, size, box):
    """Images that are smaller than the square are not extended."""
    pixels = np.random.default_rng(0).integers(0, 256, (10, 8, 3), np.uint8)
    for i in range(20):
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    shape = (size, size, 3)
    options = DataOptions("image_folder", image_shape=shape, crop=crop)
    options = dataclasses.replace(options, manual_dir=str(tmp_path))
    found = data.load(options).train["images"]
    expected = ImageOps.fit(Image.fromarray(pixels).crop(box), (size, size))
    np.testing.assert_array_equal(found, np.stack([expected] * 18))


def test_height_and_width_are_not_exchanged(tmp_path):
    ramp = np.tile(np.arange(0, 240, 10, dtype=np.uint8)[:, None], (1, 8))
    for i in range(20):
        Image.fromarray(ramp).save(tmp_path / f"{i}.png")
    images = load(tmp_path, (24, 8, 1)).train["images"]
    np.testing.assert_array_equal(images, np.stack([ramp[..., None]] * 18))


def test_transparency_becomes_white(tmp_path):
    for i in range(20):
        Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / f"{i}.png")
    np.testing.assert_array_equal(load(tmp_path, (4, 4, 3)).train["images"], 255)


def test_a_transparent_gray_value_becomes_white(tmp_path):
    ramp = np.arange(16, dtype=np.uint8).reshape(4, 4)
    for i in range(20):
        Image.fromarray(ramp).save(tmp_path / f"{i}.png", transparency=5)
    expected = np.where(ramp == 5, 255, ramp)[..., None]
    images = load(tmp_path, (4, 4, 1)).train["images"]
    np.testing.assert_array_equal(images, np.stack([expected] * 18))


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    ramp = np.linspace(0, 65535, 20 * 20).astype(np.uint16).reshape(20, 20)
    for i in range(10):
        Image.fromarray(ramp).save(tmp_path / f"{i}.png")
        Image.fromarray((ramp >> 8).astype(np.uint8)).save(tmp_path / f"{i}_8.ppm")
    images = load(tmp_path, (20, 20, 1)).train["images"]
    np.testing.assert_array_equal(images, np.stack([ramp[..., None] >> 8] * 18))


def test_deep_images_are_scaled_and_those_of_floats_skipped(tmp_path, capsys):
    ramp = np.linspace(0, 65535, 20 * 20).astype(np.int32).reshape(20, 20)
    for i in range(10):
        Image.fromarray(ramp).save(tmp_path / f"{i}.tiff")
        Image.fromarray(ramp >> 8).save(tmp_path / f"{i}_8.tiff")
    Image.fromarray(ramp.astype(np.float32)).save(tmp_path / "float.tiff")
    images = load(tmp_path, (20, 20, 1)).train["images"]
    np.testing.assert_array_equal(images, np.stack([ramp[..., None] >> 8] * 18))
    assert "not a readable image: " + str(tmp_path / "float.tiff") in (
        capsys.readouterr().err
    )


def test_subfolders_are_labels(faces):
    for name in ("b", "a"):
        draw_faces(faces / name, num=20)
    for file in faces.glob("*.png"):
        file.unlink()
    labels = load(faces).train["labels"]
    np.testing.assert_array_equal(np.bincount(labels), [18, 18])
    assert (np.diff(labels) >= 0).all()  # a before b, as sorted
    draw_faces(faces, num=10)  # directly in the folder: one class together
    np.testing.assert_array_equal(np.bincount(load(faces).train["labels"]), [9, 18, 18])


def test_folders_below_subfolders_are_no_labels(tmp_path):
    for i in range(20):
        file = tmp_path / "ab"[i // 10] / "xy"[i % 2] / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4)).save(file)
    labels = load(tmp_path, (4, 4, 1)).train["labels"]
    np.testing.assert_array_equal(np.bincount(labels), [9, 9])


def test_rotations_in_exif_data_are_applied(tmp_path):
    pixels = np.array([[10, 20, 30], [40, 50, 60]], np.uint8).repeat(3, 0).repeat(3, 1)
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: to be shown turned by 90 degrees clockwise
    for i in range(20):
        Image.fromarray(pixels).save(tmp_path / f"{i}.png", exif=exif)
    images = load(tmp_path, (9, 6, 1)).train["images"]
    expected = np.array([[40, 10], [50, 20], [60, 30]]).repeat(3, 0).repeat(3, 1)
    np.testing.assert_array_equal(images, np.stack([expected[..., None]] * 18))


def test_unreadable_files_are_listed_and_skipped(faces, capsys):
    (faces / "broken.png").write_bytes(b"not an image")
    whole = (faces / "face_00003.png").read_bytes()
    (faces / "cut.png").write_bytes(whole[: len(whole) // 2])
    (faces / "notes.txt").write_text("no image, and does not claim to be")
    dataset = load(faces)
    assert len(dataset.train["images"]) + len(dataset.test["images"]) == 30
    printed = capsys.readouterr().err
    assert "broken.png" in printed and "cut.png" in printed
    assert "notes.txt" not in printed


def test_long_lists_of_unreadable_files_are_shortened(faces, capsys):
    for i in range(13):
        (faces / f"broken_{i:02}.png").write_bytes(b"not an image")
    load(faces)
    printed = capsys.readouterr().err
    assert printed.count("broken_") == 10 and "skipped 3 more files" in printed


@pytest.mark.parametrize("shape", [(32,), (32, 32), (32, 32, 2), (2, 32, 32, 3)])
def test_shapes_that_are_not_of_images_are_refused(faces, shape):
    with pytest.raises(ganjax.UserError, match=r"config.data.image_shape=\("):
        load(faces, shape)


def test_unsuitable_folders_are_refused(tmp_path):
    with pytest.raises(ganjax.UserError, match="manual_dir=FOLDER"):
        load("")
    with pytest.raises(ganjax.UserError, match="manual_dir='.*nowhere': expected a"):
        load(tmp_path / "nowhere")
    with pytest.raises(ganjax.UserError, match="20 or more readable images, got 0"):
        load(tmp_path)
