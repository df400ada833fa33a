"""Draws the letters A to J in many fonts: a data set like MNIST with other content.

Command: python -m experiments.letters FILE.png [--num 100]

White on black, 28x28 pixels, ten classes. Font (of those that come with matplotlib),
size, thickness, slant, rotation and place vary independently, all drawn from a seed.
Pillow draws them large and reduces them.
"""

import argparse
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ganjax.data import Dataset, make_dataset
from ganjax.images import grid, save_png, shrink_pixels

LETTERS = "ABCDEFGHIJ"
SIDE, FACTOR = 28, 4
BIG = SIDE * FACTOR  # pixels: drawn large and reduced, for smooth edges
DEJAVU = ["", "-Bold", "-Oblique", "-BoldOblique"]
FONTS = [
    *(f"DejaVuSans{style}" for style in DEJAVU),
    *(f"DejaVuSansMono{style}" for style in DEJAVU),
    *(f"DejaVuSerif{s}" for s in ("", "-Bold", "-Italic", "-BoldItalic")),
    *(f"STIXGeneral{s}" for s in ("", "Bol", "Italic", "BolIta")),
    *("cmb10", "cmmi10", "cmr10", "cmss10", "cmti10", "cmtt10"),
]


@cache
def load_font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """A font that comes with matplotlib."""
    folder = Path(matplotlib.get_data_path()) / "fonts/ttf"
    return ImageFont.truetype(folder / f"{name}.ttf", size)


def draw_letter(letter: str, rng: np.random.Generator) -> np.ndarray:
    """One letter, uint8 [BIG, BIG]."""
    font = load_font(str(rng.choice(FONTS)), int(rng.integers(74, 99)))
    stroke = int(rng.integers(0, 4))  # added on both sides
    slant, turn = rng.normal(0, 0.12), rng.normal(0, 0.12)  # radians, both
    place = rng.uniform(-6, 6, 2)
    # The middle of the box around the letter goes to the middle of the image.
    left, top, right, bottom = font.getbbox(letter, stroke_width=stroke)
    middle = BIG / 2
    image = Image.new("L", (BIG, BIG))
    corner = middle - (left + right) / 2, middle - (top + bottom) / 2
    ImageDraw.Draw(image).text(
        corner, letter, fill=255, font=font, stroke_width=stroke, stroke_fill=255
    )
    # From each pixel of the result to where it is in the drawing.
    cos, sin, shear = np.cos(turn), np.sin(turn), np.tan(slant)
    matrix = np.array([[1, shear], [0, 1]]) @ np.array([[cos, sin], [-sin, cos]])
    offset = middle - matrix @ (middle + place)
    data = (*matrix[0], offset[0], *matrix[1], offset[1])
    bilinear = Image.Resampling.BILINEAR
    return np.asarray(
        image.transform(image.size, Image.Transform.AFFINE, data, bilinear)
    )


def draw_letters(num: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [num, 28, 28, 1], classes in turn, and their labels int32 [num]."""
    labels = np.arange(num, dtype=np.int32) % len(LETTERS)
    drawn = [
        draw_letter(LETTERS[label], np.random.default_rng([seed, i]))
        for i, label in enumerate(labels)
    ]
    return shrink_pixels(np.stack(drawn)[..., None], FACTOR), labels


def make_letters(num_train: int = 5000, num_test: int = 5000) -> Dataset:
    """A data set of letters; those for testing are of another seed."""
    train, test = draw_letters(num_train, 0), draw_letters(num_test, 1)
    source = "fonts of matplotlib"
    return make_dataset(*train, *test, name="letters", source=source)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--num", type=int, default=100)
    flags = parser.parse_args()
    images, _ = draw_letters(flags.num, 0)
    save_png(flags.file, grid(images), scale=2)
    print(f"{flags.num} letters in {flags.file}")


if __name__ == "__main__":
    main()
