"""Captions: words from measurements, wordings, encoding, combinations held out."""

import numpy as np
import pytest

import ganjax
from ganjax.data import captions, make_dataset, strokes
from ganjax.data.captions import VOCABULARY, Attributes

RNG = np.random.default_rng(0)


def bars(num):
    """Vertical bars of 2 to 6 pixels, uint8 [num, 28, 28, 1]."""
    images = np.zeros((num, 28, 28, 1), np.uint8)
    for i, image in enumerate(images):
        width = 2 + i % 5
        image[4:24, 14 - width // 2 : 14 - width // 2 + width] = 255
    return images


@pytest.fixture(scope="module")
def dataset():
    images, labels = bars(600), np.arange(600) % 10
    mnist = make_dataset(
        images, labels, images[:200], labels[:200], name="mnist", source="bars"
    )
    return captions.captioned_digits(mnist)


def text(tokens):
    return " ".join(VOCABULARY[token] for token in tokens if token)


@pytest.mark.parametrize(
    "number,words,expected",
    [
        (0, ("seven", "red", "thin", "slanted"), "a thin slanted red seven"),
        (0, ("eight", "", "", "upright"), "an upright eight"),
        (1, ("one", "blue", "thick", ""), "one in blue, thick"),
        (1, ("two", "", "thin", "leaning"), "two, thin and leaning"),
        (2, ("six", "green", "", ""), "the digit six, green"),
        (
            3,
            ("nine", "white", "thick", "upright"),
            "a white nine with thick strokes, upright",
        ),
        (3, ("eight", "", "thin", ""), "an eight with thin strokes"),
        (4, ("three", "red", "", "slanted"), "this slanted three is red"),
        (4, ("three", "", "", ""), "this three"),
        (5, ("four", "yellow", "thin", ""), "write a thin four in yellow ink"),
    ],
)
def test_wordings(number, words, expected):
    assert captions.WORDINGS[number](*words) == expected


def test_sentences_are_encoded_word_by_word():
    (row,) = captions.encode(["A thin, slanted red 7."])
    assert text(row) == "a thin slanted red seven"
    assert row.tolist()[5:] == [0] * (captions.LENGTH - 5)
    with pytest.raises(ganjax.UserError, match="'fat' is unknown, expected words of a"):
        captions.encode(["a fat seven"])
    with pytest.raises(ganjax.UserError, match="expected at most 12 words"):
        captions.encode(["a red seven " * 5])


def test_every_wording_fits_and_is_known():
    for wording in captions.WORDINGS:
        row = captions.encode([wording("seven", "yellow", "thick", "leaning")])
        assert {"seven", "yellow", "thick", "leaning"} <= set(text(row[0]).split())


def test_words_follow_from_measurements(dataset):
    """Thickness and slant measured on the final image, in color."""
    for split in (dataset.train, dataset.test):
        gray = split["images"].max(-1)
        width, slope = strokes.thickness(gray), strokes.slant(gray)
        assert (width[split["thickness"] == 0] < captions.THIN).all()
        assert (width[split["thickness"] == 2] > captions.THICK).all()
        between = width[split["thickness"] == 1]
        assert ((between >= captions.THIN) & (between <= captions.THICK)).all()
        assert (slope[split["slants"] == 0] < captions.LEFT).all()
        assert (np.abs(slope[split["slants"] == 1]) < captions.UPRIGHT).all()
        assert (slope[split["slants"] == 3] > captions.RIGHT).all()
        for name, size in (("thickness", 3), ("slants", 4), ("colors", 5)):
            assert len(np.unique(split[name])) == size


def test_sentences_say_nothing_that_the_image_does_not_show(dataset):
    train = dataset.train
    attributes = Attributes(
        train["digits"], train["colors"], train["thickness"], train["slants"]
    )
    neutral = set("a an and digit in ink is strokes the this with write".split())
    said = []
    for i, rows in enumerate(train["tokens"]):
        true = set(captions.words(attributes, i))
        for row in rows:
            claims = set(text(row).split()) - neutral
            assert captions.DIGITS[train["digits"][i]] in claims
            assert claims <= true
            said.append(tuple(captions.COLORS)[train["colors"][i]] in claims)
    # The color is said in four of five sentences; four standard errors.
    np.testing.assert_allclose(np.mean(said), 0.8, atol=4 * (0.16 / len(said)) ** 0.5)


def test_ten_of_fifty_combinations_are_in_the_test_images_only(dataset):
    digit, color = np.divmod(np.arange(50), 5)
    assert captions.held_out(digit, color).sum() == 10
    train, test = dataset.train, dataset.test
    assert not captions.held_out(train["digits"], train["colors"]).any()
    assert captions.held_out(test["digits"], test["colors"]).any()


def test_shear_moves_each_image_by_its_slope():
    moved = strokes.shear(
        np.repeat(bars(1)[..., 0] / 255.0, 2, 0), np.array([0.3, -0.2])
    )
    pixels = np.round(255 * moved).astype(np.uint8)
    np.testing.assert_allclose(strokes.slant(pixels), [0.3, -0.2], atol=0.01)
