"""Do images show what their sentence says: digit, color, thickness and slant?"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import numpy.typing as npt

from ganjax.data import Dataset, captions, strokes
from ganjax.metrics.classifier import Params, extract, fingerprint, load_classifier
from ganjax.metrics.estimates import fraction_estimate
from ganjax.metrics.sharpness import sharpness
from ganjax.metrics.types import Evaluation

Images = npt.NDArray[np.uint8]
BLOCK = 500  # images drawn at once
PROTOCOL = "attribute recognized; ci: Wilson, images as independent"
THICKNESSES, SLANTS = (0, 2), (0, 1, 3)  # those that have a word
# Between the words: what is nearer to the other one is not recognized.
MIDDLE = (captions.THIN + captions.THICK) / 2
MIDDLE_LEFT = (captions.LEFT - captions.UPRIGHT) / 2
MIDDLE_RIGHT = (captions.RIGHT + captions.UPRIGHT) / 2


def evaluate_captions(
    draw: Callable[..., Any], dataset: Dataset, num: int, seed: int
) -> Evaluation:
    """Scores of `num` images of random sentences that name every attribute.

    Args:
      draw: sentences int32 [B, L] and a key to images uint8 [B, H, W, 3].
      dataset: of ganjax/data/captions.py.
      num: number of images.
      seed: of sentences and noise.

    Returns:
      The fractions of images in which `digit`, `color`, `thickness`, `slant` and `all`
      four are recognized; `unseen_...` of combinations of digit and color that are not
      in the training data; `sharpness`. The references are those of real test images.
    """
    wanted = random_attributes(num, seed)
    images = draw_images(draw, wanted, seed)
    labels = dataset.train["digits"]
    identity = f"{dataset.identity.sha256}-shapes"
    classifier = load_classifier(shapes(dataset.train["images"]), labels, identity)
    test = dataset.test
    real = captions.Attributes(
        test["digits"], test["colors"], test["thickness"], test["slants"]
    )
    named = np.isin(real.thickness, THICKNESSES) & np.isin(real.slant, SLANTS)
    real = captions.Attributes(*(x[named] for x in real))
    unseen = captions.held_out(wanted.digit, wanted.color)
    hits = recognize(classifier, images, wanted)
    real_hits = recognize(classifier, test["images"][named], real)
    features = fingerprint(classifier)
    estimates, references = {}, {}
    for prefix, rows in (("", ~unseen), ("unseen_", unseen)):
        for name, hit in hits.items():
            estimates[prefix + name] = fraction_estimate(hit[rows], PROTOCOL, features)
            references[prefix + name] = fraction_estimate(
                real_hits[name], PROTOCOL, features
            )
    estimates["sharpness"] = sharpness(images)
    references["sharpness"] = sharpness(test["images"][:num])
    return Evaluation(estimates, references, {})


def random_attributes(num: int, seed: int) -> captions.Attributes:
    """Attributes that each have a word, uniform and independent."""
    rng = np.random.default_rng(seed)
    options = (range(10), range(len(captions.COLORS)), THICKNESSES, SLANTS)
    return captions.Attributes(*(rng.choice(x, num).astype(np.int32) for x in options))


def draw_images(
    draw: Callable[..., Any], wanted: captions.Attributes, seed: int
) -> Images:
    """An image for each row of attributes, in varied wording."""
    num, rng = len(wanted.digit), np.random.default_rng(seed)
    wording = rng.integers(0, len(captions.WORDINGS), num)
    texts = [
        captions.WORDINGS[wording[i]](*captions.words(wanted, i)) for i in range(num)
    ]
    tokens = captions.encode(texts)
    keys = jax.random.split(jax.random.key(seed), -(-num // BLOCK))
    parts = [
        np.asarray(draw(tokens[i * BLOCK : (i + 1) * BLOCK], key))
        for i, key in enumerate(keys)
    ]
    return np.concatenate(parts)


def recognize(
    classifier: Params, images: Images, wanted: captions.Attributes
) -> dict[str, npt.NDArray[np.bool_]]:
    """Whether each attribute is that of the image, bool [N] each."""
    gray = shapes(images)
    width, slope = strokes.thickness(gray[..., 0]), strokes.slant(gray[..., 0])
    slant = np.select([slope < MIDDLE_LEFT, slope > MIDDLE_RIGHT], [0, 3], 1)
    hits = {
        "digit": extract(classifier, gray).digit_logits.argmax(1) == wanted.digit,
        "color": nearest_color(images) == wanted.color,
        "thickness": np.where(width < MIDDLE, 0, 2) == wanted.thickness,
        "slant": slant == wanted.slant,
    }
    return hits | {"all": np.all(list(hits.values()), axis=0)}


def shapes(images: Images) -> Images:
    """Digits without color, uint8 [N, H, W, 1]: the largest channel, at full contrast.

    Red and blue inks are not equally bright in their largest channel.
    """
    gray = images.max(-1, keepdims=True).astype(np.float32)
    peak = np.maximum(gray.max((1, 2, 3), keepdims=True), 1)
    return np.round(gray / peak * 255).astype(np.uint8)


def nearest_color(images: Images) -> npt.NDArray[np.int64]:
    """The ink nearest to the mean color of an image, int [N].

    Both have a largest channel of 1, since thin strokes are dim.
    """
    mean = images.astype(np.float64).mean((1, 2))
    mean /= np.maximum(mean.max(1, keepdims=True), 1e-9)
    inks = np.array(list(captions.COLORS.values()), np.float64)
    inks /= inks.max(1, keepdims=True)
    return ((mean[:, None] - inks) ** 2).sum(-1).argmin(1)
