"""The parts of the studies that reckon: tables, verdicts and drawn data."""

import numpy as np
import pytest

import ganjax
from experiments import loss_table, runs, tips
from experiments.cartoon_faces import draw_face, draw_faces


def test_mean_and_sample_deviation():
    assert runs.mean_sd([1.0, 3.0], 1) == "2.0 ± 1.4"
    assert runs.mean_sd([1.0]) == "1.00"


def test_verdicts_need_twice_the_standard_error():
    assert tips.differs([1.0, 2.0, 3.0], [2.0, 3.0, 4.0]) == "no"
    assert tips.differs([11.0, 12.0, 13.0], [2.0, 3.0, 4.0]) == "worse"
    assert tips.differs([1.0, 2.0, 3.0], [12.0, 13.0, 14.0]) == "better"
    assert tips.differs([1.0], [2.0]) == ""


@pytest.mark.parametrize("row", tips.ROWS)
def test_every_tip_is_a_config(row):
    config = ganjax.load_config("configs/mlp_l1.py", tips.ROWS[row])
    assert ganjax.make_gan(config).z_dim == 96


def test_table_of_losses_states_mean_and_spread():
    def row(fid):
        scores = {m: {"value": 0.5, "floor": 0.25} for m in loss_table.COLUMNS}
        return scores | {"fid": {"value": fid, "floor": 2.0}}

    text = loss_table.table({"wgan": [row(10.0), row(12.0)]}, {"wgan": 61.2})
    assert text.splitlines()[2].startswith("| wgan | 11.0 ± 1.4 | 0.50 ± 0.00 |")
    assert text.splitlines()[2].endswith("| 61 |")
    assert text.splitlines()[3].startswith("| *real images* | 2.0 | 0.25 |")


def test_cartoon_faces_are_many_and_repeatable(tmp_path):
    first = [draw_face(np.random.default_rng(i)) for i in range(4)]
    again = [draw_face(np.random.default_rng(i)) for i in range(4)]
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert len({image.tobytes() for image in first}) == 4
    draw_faces(tmp_path, num=3)
    assert len(list(tmp_path.iterdir())) == 3
