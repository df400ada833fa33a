"""Statistics of notes against values counted by hand."""

import numpy as np
import pytest

from ganjax.metrics.music import (
    durations,
    pitch_classes,
    polyphony,
    repetitions,
    scale_consistency,
    score_notes,
    steps,
    tone_span,
    total_variation,
)
from ganjax.music import Notes


def rows(*sequences):
    return np.array(sequences, np.int64)


def test_polyphony_is_the_fraction_of_onsets_with_two_or_more_tones():
    onsets = rows(
        [0, 0, 0, 0, 4, 6, 6, 8],  # of the onsets 0, 4, 6, 8 two are of several tones
        [0, 1, 2, 3, 4, 5, 6, 7],
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 1, 2, 3, 4, 5, 7, 7],  # one of seven
    )
    np.testing.assert_allclose(polyphony(onsets), [0.5, 0, 1, 1 / 7], rtol=1e-12)


def test_scale_consistency_is_that_of_the_best_scale():
    pitches = rows(
        [60, 62, 64, 65, 67, 69, 71, 72],  # C major
        [61, 63, 65, 66, 68, 70, 72, 73],  # C# major
        [57, 59, 60, 62, 64, 65, 68, 69],  # A harmonic minor
        [60, 61, 62, 63, 64, 65, 66, 67],  # chromatic: five of eight in a scale
    )
    np.testing.assert_allclose(scale_consistency(pitches), [1, 1, 1, 5 / 8], rtol=1e-12)


def test_repetitions_counts_pairs_of_equal_triples_that_do_not_overlap():
    pitches = rows(
        [1, 2, 3, 1, 2, 3, 9, 8, 7],  # 123 twice
        [1, 2, 3, 1, 2, 3, 1, 2, 3],  # 123: 3 pairs; 231 and 312 twice
        [5, 5, 5, 5, 5, 5, 5, 5, 5],  # starts 0 to 6, at least 3 apart: 4 + 3 + 2 + 1
        [1, 2, 3, 4, 5, 6, 7, 8, 9],
    )
    np.testing.assert_array_equal(repetitions(pitches), [1, 5, 10, 0])
    # 1231 is there twice, but overlaps; 5555 starts at 0 to 5: 2 + 1 pairs.
    np.testing.assert_array_equal(repetitions(pitches, 4), [0, 0, 3, 0])
    many = np.tile(pitches, (150, 1))  # more than one block
    np.testing.assert_array_equal(repetitions(many), [1, 5, 10, 0] * 150)


def test_tone_span_is_in_semitones():
    np.testing.assert_array_equal(tone_span(rows([60, 72, 55], [40, 40, 40])), [17, 0])


def test_histograms_of_a_short_sequence():
    notes = Notes(rows([60, 72, 64]), rows([0, 0, 2]), rows([4, 4, 2]))
    assert pitch_classes(notes.pitch).tolist() == [[2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]]
    counts = durations(notes)
    assert counts.sum() == 3 and counts[0, 4] == 2 and counts[0, 2] == 1
    # An octave up at once, then 8 semitones down after an eighth note.
    counts = steps(notes)
    assert counts.sum() == 2 and counts[0, 3 * 36] == 1 and counts[0, 3 * 16 + 1] == 1


def test_total_variation_of_known_histograms():
    fake, real = rows([3, 1, 0], [1, 3, 0]), rows([2, 0, 2])
    # (1/2, 1/2, 0) and (1/2, 0, 1/2); without one: (1/4, 3/4, 0) or (3/4, 1/4, 0).
    value, error = total_variation(fake, real)
    np.testing.assert_allclose(value, 0.5, rtol=1e-12)
    # The distances without one are 3/4 and 1/2, 1/8 from their mean.
    np.testing.assert_allclose(error, 0.125, rtol=1e-12)
    assert total_variation(fake, fake) == (0, 0)
    assert total_variation(rows([1, 0], [2, 0]), rows([0, 1])) == (1, 0)


def test_the_error_of_the_distance_is_its_spread_over_draws():
    rng = np.random.default_rng(0)
    real = rows([10, 20, 30, 40])

    def draw():
        return rng.multinomial(8, [0.4, 0.3, 0.2, 0.1], size=50)

    draws = [total_variation(draw(), real) for _ in range(400)]
    values, errors = np.array(draws).T
    np.testing.assert_allclose(errors.mean(), values.std(), rtol=0.12)


def test_scores_have_their_intervals_and_counts():
    made = Notes(rows([60, 62, 64], [60, 66, 70]), rows([0, 0, 4], [0, 2, 4]), None)
    made = made._replace(duration=rows([4, 4, 4], [4, 4, 4]))
    heldout = Notes(*(x[:1] for x in made))
    scores = score_notes(made, heldout, "untrained_")
    span = scores["untrained_tone_span"]
    assert (span.value, span.n_fake, span.n_real) == (7.0, 2, 0)
    # Spans of 4 and 10: a standard error of 3.
    np.testing.assert_allclose((span.low, span.high), (7 - 5.88, 7 + 5.88), rtol=1e-9)
    assert scores["untrained_polyphony"].value == 0.25
    assert scores["untrained_tv_duration"].value == 0
    distance = scores["untrained_tv_pitch_class"]
    assert (distance.n_fake, distance.n_real) == (2, 1)
    # Pitch classes 0, 2, 4 of the pieces; 0, 0, 2, 4, 6, 10 were made.
    np.testing.assert_allclose(distance.value, 1 / 3, rtol=1e-12)


def test_one_sequence_has_no_interval():
    one = Notes(rows([60, 62]), rows([0, 4]), rows([4, 4]))
    with pytest.raises(ValueError, match="expected two or more sequences, got 1"):
        score_notes(one, one)
