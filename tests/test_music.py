"""Notes as numbers, as MIDI files that are read back, and as a figure."""

import sys
from pathlib import Path

import numpy as np
import pytest

from ganjax.errors import UserError
from ganjax.music import Notes, decode, encode, piano_rolls, voices, write_midi


def test_encoding_of_a_chord_and_its_next_note():
    notes = Notes(np.array([60, 72, 54]), np.array([3, 3, 5]), np.array([4, 2, 16]))
    features = encode(notes)
    expected = [[0, 0, 0], [1, -1, 0], [-0.5, 2, 1]]
    np.testing.assert_allclose(features, expected, atol=1e-7)
    decoded = decode(features)
    assert decoded.pitch.tolist() == [60, 72, 54]
    assert decoded.onset.tolist() == [0, 0, 2]
    assert decoded.duration.tolist() == [4, 2, 16]


def test_decoding_rounds_to_the_grid_and_clips():
    features = [[0.04, 0.1, 7], [0.05, -9, 0.24], [9, 99, 0.26], [-9, 1.55, 999]]
    notes = decode(np.array(features, np.float32))
    assert notes.pitch.tolist() == [60, 61, 127, 0]
    assert notes.onset.tolist() == [0, 0, 1, 65]
    assert notes.duration.tolist() == [4, 1, 64, 12]


def read_midi(path: Path):
    """(pitch, onset, duration) of each note, in sixteenth notes, as a sorted list."""
    mido = pytest.importorskip("mido")
    file, now, started, notes = mido.MidiFile(path), 0, {}, []
    for message in file.tracks[0]:
        now += message.time
        if message.type == "note_on" and message.velocity > 0:
            assert message.note not in started
            started[message.note] = now
        elif message.type in ("note_off", "note_on"):
            begin = started.pop(message.note)
            unit = file.ticks_per_beat // 4
            notes.append((message.note, begin / unit, (now - begin) / unit))
    assert not started
    return sorted(notes)


def test_a_midi_file_has_the_notes(tmp_path):
    pytest.importorskip("mido")
    notes = Notes(
        np.array([60, 64, 67, 60]), np.array([0, 0, 2, 8]), np.array([8, 4, 1, 16])
    )
    write_midi(tmp_path / "a.mid", notes)
    expected = sorted(zip(*(x.tolist() for x in notes), strict=True))
    assert read_midi(tmp_path / "a.mid") == expected


def test_notes_of_one_pitch_do_not_overlap_in_a_midi_file(tmp_path):
    pytest.importorskip("mido")
    notes = Notes(np.full(3, 60), np.array([0, 0, 2]), np.array([1, 8, 4]))
    write_midi(tmp_path / "a.mid", notes)
    assert read_midi(tmp_path / "a.mid") == [(60, 0, 2), (60, 2, 4)]


def test_without_mido_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mido", None)
    with pytest.raises(UserError, match=r"pip install 'ganjax\[music\]'"):
        write_midi(tmp_path / "a.mid", Notes(*np.ones((3, 2), int)))


def test_a_note_has_its_place_in_the_piano_roll():
    """The higher of two notes is red, the lower one orange and half as long."""
    notes = Notes(np.array([[50, 70]]), np.array([[0, 0]]), np.array([[8, 16]]))
    assert voices(Notes(*(x[0] for x in notes))).tolist() == [1, 0]
    image = piano_rolls(notes, ["a"], columns=1).astype(int)

    def place(color):
        return np.argwhere(np.abs(image - color).sum(axis=-1) < 20)

    red, orange = place([0xC0, 0x39, 0x2B]), place([0xE5, 0x9A, 0x1C])
    assert red[:, 0].max() < orange[:, 0].min()  # higher on the page
    lengths = [np.ptp(x[:, 1]) for x in (red, orange)]
    np.testing.assert_allclose(lengths[0] / lengths[1], 2, rtol=0.03)
