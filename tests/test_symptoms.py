"""Signs of a failed training are reported once, and only if they last."""

import pytest

from ganjax.symptoms import PATIENCE, Watch

FAILED = {
    "every real": {"d_accuracy": 1.0},
    "D gets no gradient": {"d_grad_norm": 0.0},
    "G gets no gradient": {"g_grad_norm": 1e-9},
}
HEALTHY = {"d_accuracy": 0.8, "d_grad_norm": 0.3, "g_grad_norm": 0.01, "class_kl": 0.1}


@pytest.mark.parametrize("words", FAILED)
def test_a_lasting_symptom_is_reported_once(words):
    watch, row = Watch(0), HEALTHY | FAILED[words]
    assert watch.look(PATIENCE - 1, row) == []
    (message,) = watch.look(PATIENCE, row)
    assert message.startswith(f"step {PATIENCE}: ") and words in message
    assert watch.look(10 * PATIENCE, row) == []


def test_recovery_starts_the_patience_anew():
    watch, failed = Watch(100), {"d_accuracy": 1.0}
    assert watch.look(100 + PATIENCE - 10, failed) == []
    assert watch.look(100 + PATIENCE, HEALTHY) == []
    assert watch.look(2 * PATIENCE + 90, failed) == []
    assert len(watch.look(2 * PATIENCE + 100, failed)) == 1


def test_mode_collapse_is_reported_at_once():
    assert "mode collapse" in Watch(0).look(10, {"fid": 900.0, "class_kl": 2.3})[0]
    assert Watch(0).look(10, {"fid": 5.0, "class_kl": 0.01}) == []


def test_rows_without_a_metric_say_nothing_about_it():
    assert Watch(0).look(10 * PATIENCE, {"fid": 5.0}) == []


def test_a_critic_may_be_right_about_every_image():
    row = HEALTHY | {"d_accuracy": 1.0, "distance": 3.0}
    assert Watch(0).look(10 * PATIENCE, row) == []
