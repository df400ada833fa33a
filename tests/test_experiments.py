"""The parts of the studies that compute: tables, head starts, drawn data."""

import json

import jax
import numpy as np
import pytest
from helpers import ROOT, assert_identical, small_config

import ganjax
from experiments import common, loss_table, networks, tips, transfer
from experiments.cartoon_faces import draw_face, draw_faces
from experiments.letters import FONTS, LETTERS, draw_letters, load_font
from ganjax.checkpoint import Checkpoints
from ganjax.configs import loss
from ganjax.state import abstract_state


def test_mean_and_sample_deviation():
    assert common.mean_sd([1.0, 3.0], 1) == "2.0 ± 1.4"
    assert common.mean_sd([1.0]) == "1.00"


def test_differences_need_twice_the_standard_error():
    assert tips.differs([1.0, 2.0, 3.0], [2.0, 3.0, 4.0]) == "no"
    assert tips.differs([11.0, 12.0, 13.0], [2.0, 3.0, 4.0]) == "worse"
    assert tips.differs([1.0, 2.0, 3.0], [12.0, 13.0, 14.0]) == "better"
    assert tips.differs([1.0], [2.0]) == ""


@pytest.mark.parametrize("row", tips.ROWS)
def test_every_tip_is_a_config(row):
    config = ganjax.load_config(f"{ROOT}/configs/mlp_l1.py", tips.ROWS[row])
    assert ganjax.make_gan(config).prior.z_dim == 96


@pytest.mark.parametrize(
    "page,table",
    [
        ("docs/results.md", "gallery.md"),
        ("docs/results.md", "loss_table.md"),
        ("docs/results.md", "contrast.md"),
        ("docs/results.md", "networks.md"),
        ("docs/gans.md", "pixel_losses.md"),
        ("docs/guides/few_images.md", "few_images.md"),
        ("docs/guides/transfer.md", "transfer.md"),
        ("docs/sweep.md", "sweep.md"),
        ("experiments/README.md", "tips.md"),
    ],
)
def test_tables_in_the_texts_are_those_of_the_results(page, table):
    written = (ROOT / "experiments/results" / table).read_text()
    assert written in (ROOT / page).read_text()


def test_table_of_losses_states_mean_and_spread():
    def row(fid):
        scores = {m: {"value": 0.5, "reference": 0.25} for m in loss_table.COLUMNS}
        return scores | {"fid": {"value": fid, "reference": 2.0}}

    search = {1: 70.0, 3: 10.0, 10: 80.0, 30: 90.0}
    table = loss_table.table({"wgan": [row(10.0), row(12.0)]}, {"wgan": search})
    lines = table.splitlines()
    others = " | 0.500 ± 0.000" * 3
    found = "70.0 | **10.0** | 80.0 | 90.0"
    assert lines[2] == f"| wgan | {found} | 11.0 ± 1.4 | 0.50 ± 0.00{others} |"
    real = "2.0 | 0.25 | 0.250 | 0.250 | 0.250"
    assert lines[3] == f"| *real images* |  |  |  |  | {real} |"


def test_learning_rates_of_the_search_include_the_configs():
    for name, setting in loss.SETTINGS.items():
        assert setting["factor"] in loss_table.FACTORS
        rate = setting["optimizer"]["learning_rate"] * setting["factor"]
        config = ganjax.load_config(f"{ROOT}/configs/loss.py:{name}")
        for player in ("g_optimizer", "d_optimizer"):
            assert config[player].learning_rate == pytest.approx(rate, rel=1e-12)


def test_run_folders_are_those_of_the_command_line(tmp_path):
    assert common.run_folder(tmp_path, "configs/mnist.py") == tmp_path / "mnist"
    wgan = common.run_folder(tmp_path, "configs/loss.py:wgan", seed=2)
    assert wgan == tmp_path / "loss-wgan-seed2"


def test_cartoon_faces_are_many_and_repeatable(tmp_path):
    first = [draw_face(np.random.default_rng(i)) for i in range(4)]
    again = [draw_face(np.random.default_rng(i)) for i in range(4)]
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert len({image.tobytes() for image in first}) == 4
    draw_faces(tmp_path, num=3)
    assert len(list(tmp_path.iterdir())) == 3


def test_letters_are_repeatable_and_differ():
    images, labels = draw_letters(40, seed=0)
    again, _ = draw_letters(40, seed=0)
    np.testing.assert_array_equal(images, again)
    np.testing.assert_array_equal(labels, np.tile(np.arange(10), 4))
    assert len({image.tobytes() for image in images}) == 40
    assert (draw_letters(10, seed=1)[0] != images[:10]).any(axis=(1, 2, 3)).all()
    # Hardly any letter reaches the border, and the background is black.
    border = np.stack([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]])
    assert (border == 0).mean() > 0.99 and images.max() == 255


def test_every_font_has_every_letter():
    for name in FONTS:
        font = load_font(name, 80)
        missing = bytes(font.getmask("\uffff"))
        drawn = [bytes(font.getmask(letter)) for letter in LETTERS]
        assert len(set(drawn)) == 10 and missing not in drawn


def test_steps_to_an_fid_are_counted_without_those_that_miss_it():
    falling = {100: 150.0, 200: 60.0, 300: 40.0, 1500: 50.0}
    flat = {100: 150.0, 200: 150.0, 300: 150.0, 1500: 60.0}
    lines = transfer.table({"a": [falling, flat]}, 3.0).splitlines()
    titles = " | ".join(f"steps to FID {level}" for level in (200, 100, 50))
    assert titles in lines[0]
    cells = ["a", "100 ± 0", "850 ± 919", "300 (1 of 2)"]
    cells += ["55.0 ± 7.1", "50.0 ± 14.1"]
    assert lines[2] == f"| {' | '.join(cells)} |"


# --- runs ---------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("row", tips.HEAD_STARTS)
def test_head_start_trains_one_player_and_then_both(
    tmp_path, monkeypatch, random_digits, row
):
    """The state of step 0 has the updates of one player; training goes on from it."""
    update, _ = tips.HEAD_STARTS[row]
    monkeypatch.setitem(tips.HEAD_STARTS, row, (update, 3))
    config = small_config(num_steps=2, sample_every=0, checkpoint_every=0)
    gan = ganjax.make_gan(config)
    tips.give_head_start(config, tmp_path, random_digits, row)

    initial = ganjax.init_state(gan, jax.random.key(config.seed))
    gan, state, metadata = ganjax.load_run(tmp_path)
    early, late = ("d", "g") if update is ganjax.d_step else ("g", "d")
    assert int(state.step) == 0
    assert metadata["data"]["sha256"] == random_digits.identity.sha256
    assert int(getattr(state, early).updates) == 3
    assert_identical(getattr(state, late), getattr(initial, late))

    trained = ganjax.train_and_evaluate(config, tmp_path, random_digits)
    assert int(trained.step) == 2
    assert int(getattr(trained, early).updates) == 5
    assert int(getattr(trained, late).updates) == 2
    tips.give_head_start(config, tmp_path, random_digits, row)  # nothing is left to do
    assert Checkpoints(tmp_path).latest == 2


def test_head_start_sees_the_first_batches(tmp_path, monkeypatch, random_digits):
    row = ("other", "D alone for 200 steps")
    monkeypatch.setitem(tips.HEAD_STARTS, row, (ganjax.d_step, 2))
    config = small_config(batch_size=16)
    tips.give_head_start(config, tmp_path, random_digits, row)
    gan, state, _ = ganjax.load_run(tmp_path)
    expected = ganjax.init_state(gan, jax.random.key(config.seed))
    rows = ganjax.data.batch_indices(config.seed, 0, (2, 1, 16), 32)
    assert sorted(rows.ravel().tolist()) == list(range(32))
    for batch in rows[:, 0]:
        images = random_digits.train["images"][batch]
        expected, _ = ganjax.d_step(gan, expected, images)
    assert_identical(state.d.params, expected.d.params)


@pytest.mark.slow
def test_finished_runs_are_not_repeated(tmp_path, random_digits):
    """A run is repeated if its config, its data or the number of samples changed."""
    scored = []

    def run(num=5, **overrides):
        config = small_config(data__name="random", num_steps=1, **overrides)
        return common.run_once(config, tmp_path, num, score)

    def score(state):
        scored.append(int(state.step))
        return {"fid": float(len(scored))}

    assert run() == run() == {"fid": 1.0}
    assert run(num=6) == {"fid": 2.0}
    assert run(num=6, log_every=7) == {"fid": 3.0}
    study = json.loads((tmp_path / "study.json").read_text())
    (tmp_path / "study.json").write_text(json.dumps(study | {"data": "of others"}))
    assert run(num=6, log_every=7) == {"fid": 4.0}
    assert scored == [1, 1, 1, 1]


def test_table_of_networks_states_mean_and_spread_over_seeds():
    def row(steps, fid):
        sizes = {"g_parameters": 1234, "d_parameters": 567, "rate": 0.003}
        return sizes | {"ms_per_step": 34.4, "steps": steps, "fid": fid}

    rows = {"dcgan": [row(90, 10.0), row(110, 12.0)], "*real images*": [{"fid": 2.32}]}
    lines = networks.table(rows).splitlines()
    numbers = "34 ± 0 | 100 ± 14 | 11.0 ± 1.4"
    assert lines[2] == f"| dcgan | 1,234 | 567 | 0.0030 | {numbers} |"
    assert lines[3] == "| *real images* |  |  |  |  |  | 2.3 |"


@pytest.mark.parametrize("dataset", networks.PAIRS)
@pytest.mark.parametrize("name", networks.NETWORKS)
def test_every_pair_of_networks_is_a_config(name, dataset, monkeypatch, tmp_path):
    monkeypatch.setattr(networks, "draw_faces", lambda folder, num: folder)
    config = networks.make_config(dataset, name, 1e-3, 0, tmp_path)
    state = abstract_state(ganjax.make_gan(config))
    has_attention = ["SelfAttention_0" in x.params for x in (state.g, state.d)]
    assert has_attention == [name == "attention"] * 2
