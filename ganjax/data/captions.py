"""Digits with sentences that say what they look like, from measurements.

Each digit is drawn in one of five colors, with other strokes and another slant than
MNIST has; thickness and slant are then measured on the image, and the words follow from
the measurements: "a thin slanted red seven". Images between thin and thick, or between
upright and slanted, have no word for it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ganjax.data import strokes
from ganjax.data.dataset import Dataset, make_arrays_dataset
from ganjax.errors import UserError

COLORS = {
    "red": (255, 60, 50),
    "green": (60, 220, 80),
    "blue": (80, 120, 255),
    "yellow": (250, 220, 50),
    "white": (255, 255, 255),
}
DIGITS = "zero one two three four five six seven eight nine".split()
THICKNESS = ("thin", "", "thick")  # "" is in between
THIN, THICK = 2.2, 3.4  # pixels: below and above, measured
SLANTS = ("leaning", "upright", "", "slanted")  # to the left, not, a little, right
LEFT, UPRIGHT, RIGHT = -0.2, 0.1, 0.25  # below, within ± and above, measured
SENTENCES = 4  # for each image
LENGTH = 12  # words of a sentence, filled up with 0
VOCABULARY = (
    "",  # of the places after the end
    *"a an and digit in ink is strokes the this with write".split(),
    *COLORS,
    *DIGITS,
    *filter(None, THICKNESS),
    *filter(None, SLANTS),
)
NUMBER = {word: i for i, word in enumerate(VOCABULARY)}


class Attributes(NamedTuple):
    """What a sentence says, int32 [N] each: places in the tables above."""

    digit: np.ndarray
    color: np.ndarray
    thickness: np.ndarray
    slant: np.ndarray


def held_out(digit: np.ndarray, color: np.ndarray) -> np.ndarray:
    """Whether a combination of digit and color never occurs in training, bool [N].

    Ten of fifty: each digit lacks one color, and each color two digits.
    """
    return np.asarray(digit) % len(COLORS) == np.asarray(color)


def captioned_digits(mnist: Dataset) -> Dataset:
    """Arrays "images" uint8 [N, 28, 28, 3], "tokens" int32 [N, 4, 12], "digits", ...

    "digits", "colors", "thickness" and "slants" are the attributes, int32 [N]. The test
    images have all combinations of digit and color, the training images those that are
    not held out.
    """
    rng = np.random.default_rng(0)
    splits = []
    for split, all_combinations in ((mnist.train, False), (mnist.test, True)):
        images, labels = split["images"], split["labels"]
        color = rng.integers(0, len(COLORS), len(labels))
        if not all_combinations:
            color = np.where(held_out(labels, color), (color + 1) % len(COLORS), color)
        drawn = draw(images, color, rng)
        attributes = measure(drawn, labels, color)
        splits.append(
            {
                "images": drawn,
                "tokens": np.stack(
                    [encode(sentences(attributes, rng)) for _ in range(SENTENCES)], 1
                ),
                "digits": attributes.digit,
                "colors": attributes.color,
                "thickness": attributes.thickness,
                "slants": attributes.slant,
            }
        )
    source = mnist.identity.source
    return make_arrays_dataset(*splits, name="captioned_digits", source=source)


def draw(images: np.ndarray, color: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Digits uint8 [N, 28, 28, 1] in color, thinner or thicker and sheared."""
    num = len(images)
    shapes = strokes.shift_edges(images[..., 0], rng.uniform(-0.8, 0.9, num))
    shapes = strokes.shear(shapes / 255.0, rng.uniform(-0.45, 0.3, num))
    inks = np.array(list(COLORS.values()))[color][:, None, None]
    return np.round(shapes[..., None] * inks).astype(np.uint8)


def measure(images: np.ndarray, digit: np.ndarray, color: np.ndarray) -> Attributes:
    """The attributes of images uint8 [N, H, W, 3]; thickness and slant are measured."""
    shapes = images.max(-1)
    width, slope = strokes.thickness(shapes), strokes.slant(shapes)
    thickness = np.select([width < THIN, width > THICK], [0, 2], 1)
    slant = np.select(
        [slope < LEFT, np.abs(slope) < UPRIGHT, slope > RIGHT], [0, 1, 3], 2
    )
    return Attributes(
        *(np.asarray(x, np.int32) for x in (digit, color, thickness, slant))
    )


def sentences(attributes: Attributes, rng: np.random.Generator) -> list[str]:
    """A sentence for each image, in one of several wordings.

    The digit is always named, every other attribute in four of five sentences.
    """
    num = len(attributes.digit)
    wording = rng.integers(0, len(WORDINGS), num)
    said = rng.random((num, 3)) < 0.8
    texts = []
    for i in range(num):
        digit, *others = words(attributes, i)
        shown = [w if keep else "" for w, keep in zip(others, said[i], strict=True)]
        texts.append(WORDINGS[wording[i]](digit, *shown))
    return texts


def words(attributes: Attributes, i: int) -> tuple[str, str, str, str]:
    """The words for digit, color, thickness and slant of image i."""
    digit, color, thickness, slant = (int(x[i]) for x in attributes)
    return DIGITS[digit], tuple(COLORS)[color], THICKNESS[thickness], SLANTS[slant]


def join(separator: str, *parts: str) -> str:
    """The parts that are not empty.

    >>> join(" and ", "thin", "", "slanted")
    'thin and slanted'
    """
    return separator.join(filter(None, parts))


def with_article(text: str) -> str:
    """`a` or `an` before a noun phrase."""
    return f"{'an' if text[0] in 'aeiou' else 'a'} {text}"


def clause(before: str, word: str, after: str = "") -> str:
    """A word between others; nothing without the word."""
    return join(" ", before, word, after) if word else ""


# Functions of the words for digit, color, thickness and slant; "" is not said.
WORDINGS = (
    lambda d, c, t, s: with_article(join(" ", t, s, c, d)),
    lambda d, c, t, s: join(", ", join(" ", d, clause("in", c)), join(" and ", t, s)),
    lambda d, c, t, s: join(", ", f"the digit {d}", s, t, c),
    lambda d, c, t, s: join(
        ", ",
        join(" ", with_article(join(" ", c, d)), clause("with", t, "strokes")),
        s,
    ),
    lambda d, c, t, s: join(" ", "this", s, d, clause("is", join(" and ", c, t))),
    lambda d, c, t, s: join(
        ", ",
        join(" ", "write", with_article(join(" ", t, d)), clause("in", c, "ink")),
        s,
    ),
)


def encode(texts: Sequence[str]) -> np.ndarray:
    """Sentences as word numbers, int32 [N, 12], with 0 after the end.

    Punctuation and capital letters do not matter, and "7" is "seven".

    Raises:
      UserError: an unknown word, or too many words.
    """
    tokens = np.zeros((len(texts), LENGTH), np.int32)
    for row, text in zip(tokens, texts, strict=True):
        found = [
            DIGITS[int(word)] if word.isdecimal() and int(word) < 10 else word
            for word in text.lower().replace(",", " ").replace(".", " ").split()
        ]
        for word in found:
            if word not in NUMBER:
                raise UserError(
                    f"--caption={text!r}: {word!r} is unknown, expected words of "
                    f"{', '.join(VOCABULARY[1:])}"
                )
        if len(found) > LENGTH:
            raise UserError(f"--caption={text!r}: expected at most {LENGTH} words")
        row[: len(found)] = [NUMBER[word] for word in found]
    return tokens
