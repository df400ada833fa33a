"""Chorales: parsing against the score, the split by piece, the cache."""

import sys

import numpy as np
import pytest

from ganjax import data
from ganjax.data import DataOptions, chorales
from ganjax.errors import UserError
from ganjax.music import Notes, decode

LENGTH = 8


def piece(seed, num=40):
    """A random piece of `num` notes, some of which start together."""
    rng = np.random.default_rng(seed)
    gaps = np.where(rng.random(num) < 0.5, 0, rng.integers(1, 9, num))
    gaps[0] = 0
    return Notes(
        rng.integers(40, 80, num), np.cumsum(gaps), rng.choice([1, 2, 4, 8], num)
    )


PIECES = [piece(seed) for seed in range(12)]


def sources(windows):
    """For each window, the pieces that contain it."""
    found = []
    for window in windows:
        notes = decode(window)
        found.append(
            [
                i
                for i, whole in enumerate(PIECES)
                for start in range(len(whole.pitch) - LENGTH + 1)
                if (whole.pitch[start : start + LENGTH] == notes.pitch).all()
            ]
        )
    return found


def test_the_split_is_by_piece():
    dataset = chorales.make(PIECES, LENGTH)
    for split, expected in ((dataset.train, False), (dataset.test, True)):
        assert split["notes"].dtype == np.float32
        assert split["notes"].shape == (len(split["piece"]), LENGTH, 3)
        for pieces, number in zip(sources(split["notes"]), split["piece"], strict=True):
            assert pieces == [number]
            assert (number % 5 == 4) == expected
    assert set(dataset.train["piece"]) | set(dataset.test["piece"]) == set(range(12))


def test_the_same_pieces_give_the_same_data():
    first, second = (chorales.make(PIECES, LENGTH).identity for _ in range(2))
    assert first == second
    assert chorales.make(PIECES[1:], LENGTH).identity != first


def test_windows_start_with_a_chord_and_cover_the_piece():
    notes = Notes(
        np.arange(60, 70), np.array([0, 0, 4, 4, 4, 8, 10, 12, 12, 12]), np.full(10, 4)
    )
    starts = [decode(window).pitch[0] - 60 for window in chorales.cut(notes, 3, 1)]
    assert starts == [0, 2, 5, 6, 7]
    starts = [decode(window).pitch[0] - 60 for window in chorales.cut(notes, 3, 3)]
    assert starts == [0, 5]
    windows = chorales.cut(notes, 3, 3)
    np.testing.assert_array_equal(decode(windows[1]).onset, [0, 2, 4])


def test_pieces_that_share_a_passage_are_left_out():
    copy = Notes(*(x[4:] for x in PIECES[0]))
    copy = copy._replace(onset=copy.onset - copy.onset[0])
    kept = chorales.without_duplicates([PIECES[0], PIECES[1], copy])
    assert [x.pitch.tolist() for x in kept] == [x.pitch.tolist() for x in PIECES[:2]]
    changed = copy._replace(pitch=copy.pitch + (np.arange(36) % 12 == 0))
    assert len(chorales.without_duplicates([PIECES[0], changed])) == 2


def test_too_long_sequences_are_reported():
    with pytest.raises(UserError, match="no piece has so many notes"):
        chorales.make(PIECES, 41)


def test_a_score_becomes_notes_by_hand():
    """Two parts in D major, with a tie over the bar line and a grace note."""
    stream = pytest.importorskip("music21.stream")
    from music21 import key, note, tie

    upper, lower = stream.Part(), stream.Part()
    upper.append([key.KeySignature(2), note.Note("F#4", quarterLength=1)])
    tied = note.Note("A4", quarterLength=0.5)
    tied.tie = tie.Tie("start")
    rest_of_it = note.Note("A4", quarterLength=1)
    rest_of_it.tie = tie.Tie("stop")
    upper.append([tied, rest_of_it])
    upper.insert(1.0, note.Note("G4").getGrace())
    lower.append([key.KeySignature(2), note.Note("D3", quarterLength=2)])
    lower.append(note.Note("E3", quarterLength=0.5))
    notes = chorales.to_notes(stream.Score([upper, lower]))
    # D major is moved down by two semitones to C major.
    assert notes.pitch.tolist() == [48, 64, 67, 50]
    assert notes.onset.tolist() == [0, 0, 4, 8]
    assert notes.duration.tolist() == [8, 4, 6, 2]


@pytest.mark.parametrize(
    ("sharps", "moved"), [(0, 0), (1, 5), (-1, -5), (3, 3), (6, 6)]
)
def test_pieces_are_moved_as_little_as_possible(sharps, moved):
    stream = pytest.importorskip("music21.stream")
    from music21 import key, note

    part = stream.Part([key.KeySignature(sharps), note.Note("C4")])
    notes = chorales.to_notes(stream.Score([part]))
    assert notes.pitch.tolist() == [60 + moved]


def test_the_first_chorale_of_the_corpus():
    pytest.importorskip("music21")
    first, *others = chorales.parse_corpus(3)
    assert len(others) == 2
    # Riemenschneider 1, BWV 269 in G, starts with its tonic: G B D G, here C E G C.
    assert first.pitch[:4].tolist() == [48, 64, 67, 72]
    assert len(first.pitch) > 200 and first.onset[:4].tolist() == [0, 0, 0, 0]
    scale = np.isin(first.pitch % 12, [0, 2, 4, 5, 7, 9, 11])
    assert scale.mean() > 0.9


def test_data_are_parsed_once(tmp_path, monkeypatch):
    monkeypatch.setattr(chorales, "parse_corpus", lambda: PIECES)
    options = DataOptions(
        name="chorales", data_dir=str(tmp_path), image_shape=(LENGTH, 3)
    )
    parsed = data.load(options)

    def fail():
        raise AssertionError("parsed again")

    monkeypatch.setattr(chorales, "parse_corpus", fail)
    assert data.load(options).identity == parsed.identity
    assert parsed.describe().startswith("chorales from music21's corpus, ")


def test_without_music21_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "music21", None)
    options = DataOptions(name="chorales", data_dir=str(tmp_path), image_shape=(8, 3))
    with pytest.raises(UserError) as error:
        data.load(options)
    assert "pip install 'ganjax[music]'" in str(error.value)
    assert "\n" not in str(error.value)


def test_images_are_no_sequences(tmp_path):
    options = DataOptions(name="chorales", data_dir=str(tmp_path))
    with pytest.raises(UserError, match=r"image_shape=\(28, 28, 1\): expected"):
        data.load(options)
