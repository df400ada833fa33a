"""Bach's four-part chorales, from the corpus inside the package music21."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from ganjax.data.cache import cached
from ganjax.data.dataset import DataOptions, Dataset, make_arrays_dataset
from ganjax.errors import UserError
from ganjax.music import FEATURES, GRID, Notes, encode, import_package

VOICES = 4
TRAIN_STRIDE = 4  # windows of training pieces start a quarter of a window apart
TEST_EVERY = 5  # every fifth piece is for testing
RUN = 32  # notes in a row that no two pieces have in common


def load(options: DataOptions) -> Dataset:
    """Sequences of `image_shape[0]` notes, float32 [N, T, 3] as `music.encode` says.

    Array `notes` with `piece`, int32 [N], the number of the chorale it is cut from.
    Pieces are parsed once (a minute) and cached.

    Raises:
      UserError: music21 is not installed, or a bad shape.
    """
    shape = tuple(options.image_shape)
    if len(shape) != 2 or shape[-1] != len(FEATURES):
        raise UserError(
            f"config.data.image_shape={shape}: expected (number of notes, "
            f"{len(FEATURES)}), whose features are {', '.join(FEATURES)}"
        )
    folder = options.cache_folder(f"chorales-{shape[0]}")
    return cached(folder, lambda: make(parse_corpus(), shape[0]), {})


def parse_corpus(num: int | None = None) -> list[Notes]:
    """The chorales of the corpus, or those among its first `num`, in its order.

    The order is Riemenschneider's, whose 371 numbers are 350 scores. Scores with more
    than four parts, of chorales with instruments, are left out.

    Raises:
      UserError: music21 is not installed.
    """
    import_package("music21", "for the chorales")
    from music21 import corpus

    names = dict.fromkeys(corpus.chorales.Iterator(returnType="filename"))
    scores = (corpus.parse(name) for name in list(names)[:num])
    return [to_notes(score) for score in scores if len(score.parts) == VOICES]


def to_notes(score: Any) -> Notes:
    """The notes of a music21 score, transposed to a signature without accidentals.

    In the order of onsets, and from low to high where several start together. Tied
    notes are one note. All pieces are moved by -5 to 6 semitones, so that major is C
    major and minor is A minor: with a few hundred pieces, no key has enough of its own,
    and a network that starts anywhere in a piece need not find out its key.
    """
    signature = next(iter(score.recurse().getElementsByClass("KeySignature")), None)
    sharps = signature.sharps if signature else 0
    transposition = (-7 * sharps + 5) % 12 - 5
    rows = sorted(
        (
            round(float(element.offset) * GRID),
            pitch.midi + transposition,
            max(round(float(element.quarterLength) * GRID), 1),
        )
        for part in score.parts
        for element in part.flatten().stripTies().notes
        for pitch in element.pitches
        if element.quarterLength  # grace notes have no duration
    )
    onset, pitch, duration = np.array(rows, np.int64).reshape(-1, 3).T
    return Notes(pitch, onset, duration)


def make(pieces: Iterable[Notes], length: int) -> Dataset:
    """The data set of these pieces: windows of `length` notes.

    The split is by piece. Every fifth is for testing, in windows that do not overlap;
    those of training pieces start a quarter of their length apart.
    """
    ordered = without_duplicates(pieces)

    def split(test: bool) -> dict[str, np.ndarray]:
        stride = length if test else max(length // TRAIN_STRIDE, 1)
        chosen = [
            (window, number)
            for number, notes in enumerate(ordered)
            if (number % TEST_EVERY == TEST_EVERY - 1) == test
            for window in cut(notes, length, stride)
        ]
        if not chosen:
            raise UserError(
                f"config.data.image_shape={(length, len(FEATURES))}: expected shorter "
                "sequences, no piece has so many notes"
            )
        windows, numbers = zip(*chosen, strict=True)
        return {"notes": np.stack(windows), "piece": np.array(numbers, np.int32)}

    return make_arrays_dataset(
        split(False), split(True), name="chorales", source="music21's corpus"
    )


def without_duplicates(pieces: Iterable[Notes]) -> list[Notes]:
    """The pieces that have no run of 32 notes in common with one before them.

    The corpus has some chorales twice, in other keys or slightly changed.
    """
    kept, seen = [], set[bytes]()
    for notes in pieces:
        runs = {window.tobytes() for window in cut(notes, RUN, 1)}
        if not runs & seen:
            kept.append(notes)
        seen |= runs
    return kept


def cut(notes: Notes, length: int, stride: int) -> list[np.ndarray]:
    """Encoded windows of a piece, each float32 [length, 3].

    A window starts with the lowest note of a chord, at least `stride` notes after the
    start of the window before.
    """
    windows: list[np.ndarray] = []
    chords = np.flatnonzero(np.diff(notes.onset, prepend=-1))
    earliest = 0
    for start in chords:
        if start >= earliest and start + length <= len(notes.pitch):
            rows = slice(start, start + length)
            windows.append(encode(Notes(*(x[rows] for x in notes))))
            earliest = int(start) + stride
    return windows
