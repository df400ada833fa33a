"""Notes as numbers, as MIDI files and as a figure.

A generator of notes produces real numbers. `decode` is the one place where they are
rounded to semitones and to a grid of sixteenth notes.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8

from ganjax.errors import UserError
from ganjax.files import write_file

FEATURES = ("pitch", "duration", "gap")  # the last axis of a sequence of notes
GRID = 4  # grid steps in a quarter note
MIDDLE_C = 60  # as a MIDI pitch
LONGEST = 16 * GRID  # of durations and gaps, grid steps: four whole notes
TICKS = 480  # MIDI ticks in a quarter note
VELOCITY = 80  # of every note, 0 to 127
TEMPO = 90  # quarter notes in a minute
INSTALL = "pip install 'ganjax[music]'"
VOICES = ("#c0392b", "#e59a1c", "#2e8b57", "#2c5aa0")  # colors, from the highest


class Notes(NamedTuple):
    """Sequences of T notes in the order of their onsets."""

    pitch: Int[np.ndarray, "... T"]  # MIDI: semitones, 60 is middle C
    onset: Int[np.ndarray, "... T"]  # sixteenth notes since the first onset
    duration: Int[np.ndarray, "... T"]  # sixteenth notes, at least 1


def encode(notes: Notes) -> Float[np.ndarray, "... T 3"]:
    """Notes as float32 features of similar scale.

    Pitch in octaves above middle C; duration as log2 of quarter notes, which makes
    steps from eighth to quarter to half note equal; gap, the time since the onset of
    the previous note, in eighth notes. The first gap is 0.
    """
    gap = np.diff(notes.onset, axis=-1, prepend=notes.onset[..., :1])
    features = [
        (notes.pitch - MIDDLE_C) / 12,
        np.log2(notes.duration / GRID),
        gap / (GRID / 2),
    ]
    return np.stack(features, axis=-1).astype(np.float32)


def decode(features: Float[np.ndarray, "... T 3"]) -> Notes:
    """The nearest notes on the grid: the inverse of `encode`.

    Pitches are clipped to MIDI's 0 to 127, durations to a sixteenth to four whole
    notes, gaps to 0 to four whole notes. The first gap is ignored.
    """
    pitch, duration, gap = np.moveaxis(np.asarray(features, np.float64), -1, 0)
    steps = GRID * 2.0 ** np.clip(duration, -16, 16)
    gaps = np.clip(np.rint(gap * (GRID / 2)), 0, LONGEST).astype(np.int64)
    gaps[..., :1] = 0
    return Notes(
        np.clip(np.rint(12 * pitch + MIDDLE_C), 0, 127).astype(np.int64),
        np.cumsum(gaps, axis=-1),
        np.clip(np.rint(steps), 1, LONGEST).astype(np.int64),
    )


def write_midi(path: Path, notes: Notes) -> None:
    """Writes one sequence of notes as a MIDI file for piano.

    Where two notes of one pitch overlap, the first ends where the second starts, since
    MIDI can't tell them apart; of two that start together the longer one stays.

    Raises:
      UserError: the package mido is not installed.
    """
    mido = import_package("mido", "to write MIDI files")
    events = []
    for pitch in np.unique(notes.pitch):
        rows = notes.pitch == pitch
        starts, first = np.unique(notes.onset[rows], return_inverse=True)
        lengths = np.zeros_like(starts)
        np.maximum.at(lengths, first, notes.duration[rows])
        ends = np.minimum(starts + lengths, np.append(starts[1:], np.iinfo(int).max))
        events += [(time, 1, int(pitch)) for time in starts]
        events += [(time, 0, int(pitch)) for time in ends]
    events.sort()  # at one time notes end before others start
    track, before = mido.MidiTrack(), 0
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(TEMPO)))
    for time, on, pitch in events:
        kind = "note_on" if on else "note_off"
        ticks = int(time - before) * TICKS // GRID
        track.append(mido.Message(kind, note=pitch, velocity=VELOCITY, time=ticks))
        before = time
    file = mido.MidiFile(ticks_per_beat=TICKS, tracks=[track])
    write_file(path, lambda opened: file.save(file=opened))


def import_package(name: str, purpose: str) -> Any:
    """A package of the optional extra `music`.

    Raises:
      UserError: it is not installed.
    """
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(f"{name} is needed {purpose}: {INSTALL}") from error


def voices(notes: Notes) -> Int[np.ndarray, " T"]:
    """For each of T notes, how many higher ones sound at its onset.

    In four-part music: 0 for the soprano to 3 for the bass, while voices do not cross.
    """
    start, end = notes.onset, notes.onset + notes.duration
    sounding = (start <= start[:, None]) & (start[:, None] < end)
    return (sounding & (notes.pitch > notes.pitch[:, None])).sum(axis=1)


def piano_rolls(
    notes: Notes, titles: list[str], columns: int = 2
) -> UInt8[np.ndarray, "height width 3"]:
    """A figure of N sequences [N, T]: pitch upwards, time to the right.

    A bar is a note, as long as it sounds; its color is its place among the notes that
    sound with it, from red for the highest to blue for the fourth and below. All have
    the same axes: three octaves or more, and the time of the longest sequence but at
    most 32 quarter notes.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure  # slow to import

    rows = -(-len(titles) // columns)
    figure = Figure(figsize=(5 * columns, 2.2 * rows + 0.3), layout="constrained")
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    low, high = min(notes.pitch.min(), 45), max(notes.pitch.max(), 81)
    length = min((notes.onset + notes.duration).max() / GRID, 32)
    octaves = np.arange(-(-low // 12) * 12, high + 1, 12)
    for axis in axes.flat[len(titles) :]:
        axis.set_axis_off()
    for i, (axis, title) in enumerate(zip(axes.flat, titles, strict=False)):
        one = Notes(*(x[i] for x in notes))
        axis.barh(
            one.pitch,
            one.duration / GRID,
            height=0.9,
            left=one.onset / GRID,
            color=[VOICES[min(v, 3)] for v in voices(one)],
            edgecolor="white",
            linewidth=0.5,
        )
        axis.set(xlim=(0, length), ylim=(low - 1, high + 1))
        axis.set_yticks(octaves, [f"C{octave // 12 - 1}" for octave in octaves])
        axis.set_title(title, fontsize=9)
        axis.grid(axis="y", linewidth=0.5)
        axis.set_axisbelow(True)
    for axis in axes[-1]:
        axis.set_xlabel("quarter notes")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]
