"""Draws cartoon faces into a folder: color images to try a GAN on.

Command: python -m experiments.cartoon_faces FOLDER [--num 2000]

Hair, skin, eyes, brows, mouth, background and proportions vary independently, all
drawn by Pillow from a seed. Files differ in size, as real ones do.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SKIN = ["#f6d3b8", "#eab98f", "#c98f62", "#8d5a3b", "#fbe3d0"]
HAIR = ["#2b1d18", "#6b3f22", "#c8762f", "#e8c15a", "#d95f8f", "#4a78c2", "#5a4a8a"]
EYES = ["#3b2a20", "#2f6f4e", "#2e62a8", "#7a3f8f"]
BACKGROUND = ["#cfe8f5", "#f5e3cf", "#dff0d8", "#efe0f3", "#f7f1c7"]
BIG = 256  # pixels: drawn large and reduced, for smooth edges


def draw_face(rng: np.random.Generator) -> Image.Image:
    """One face, RGB, BIG × BIG."""
    skin, hair, eyes, background = (
        str(rng.choice(colors)) for colors in (SKIN, HAIR, EYES, BACKGROUND)
    )
    image = Image.new("RGB", (BIG, BIG), background)
    pen = ImageDraw.Draw(image)

    def oval(x: float, y: float, w: float, h: float, color: str) -> None:
        pen.ellipse((x - w, y - h, x + w, y + h), fill=color)

    x, y = rng.normal(BIG / 2, 6), rng.normal(BIG / 2 + 10, 6)
    width, height = rng.uniform(66, 82), rng.uniform(80, 96)
    if rng.random() < 0.5:  # long hair, behind the face
        pen.rounded_rectangle(
            (x - width - 20, y - 60, x + width + 20, y + 112), 40, fill=hair
        )
    oval(x, y - 26, width + 18, height, hair)
    oval(x - width, y + 4, 14, 20, skin)
    oval(x + width, y + 4, 14, 20, skin)
    oval(x, y + 8, width, height, skin)
    fringe = rng.uniform(0.5, 0.8) * height
    pen.chord(
        (x - width, y + 8 - height, x + width, y + 8 - height + 1.3 * fringe),
        180, 360, fill=hair,
    )  # fmt: skip
    apart, size, look = rng.uniform(28, 36), rng.uniform(12, 18), rng.uniform(-4, 4)
    brow = rng.uniform(-8, 8)
    for side in (-1, 1):
        ex, ey = x + side * apart, y + 6
        oval(ex, ey, size, size * 1.15, "white")
        oval(ex + look, ey + 1, size * 0.68, size * 0.8, eyes)
        oval(ex + look + 3, ey - 4, size * 0.22, size * 0.22, "white")
        inner = (ex - side * size, ey - size - 9 + brow)
        outer = (ex + side * size, ey - size - 9 - brow / 2)
        pen.line((inner, outer), fill=hair, width=6)
    pen.line((x, y + 26, x - 5, y + 38, x + 3, y + 39), fill="#a8694a", width=4)
    wide, smile = rng.uniform(16, 32), rng.uniform(-14, 26)
    box = (x - wide, y + 58 - abs(smile), x + wide, y + 58 + abs(smile))
    if smile > 0:
        pen.chord(box, 0, 180, fill="#b8433f")
    else:
        pen.arc(box, 180, 360, fill="#8f3a35", width=6)
    return image


def draw_faces(folder: Path, num: int, seed: int = 0) -> Path:
    """Writes `num` PNGs of 64 to 96 pixels, unless they exist. Returns the folder."""
    if len(list(folder.glob("*.png"))) == num:
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(num):
        rng = np.random.default_rng([seed, i])
        side = int(rng.integers(64, 97))
        draw_face(rng).resize((side, side), Image.Resampling.BOX).save(
            folder / f"face_{i:05d}.png"
        )
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--num", type=int, default=2000)
    flags = parser.parse_args()
    print(f"{flags.num} faces in {draw_faces(flags.folder, flags.num)}")


if __name__ == "__main__":
    main()
