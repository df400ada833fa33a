"""Several seeds in one program: equal to separate runs, and independent."""

import jax
import numpy as np
import pytest
from helpers import assert_close, small_config, smallest_config

import ganjax
from experiments import common, seeds, seeds_speed
from ganjax.meter import Diverged
from ganjax.writers import read_jsonl

SGD = {"name": "sgd", "learning_rate": 0.1}


def make_configs(folder, make_config=smallest_config, **overrides):
    common = {"data__name": "random", "num_steps": 5, "log_every": 2}
    sgd = {"g_optimizer": SGD, "d_optimizer": SGD}
    return {
        folder / str(seed): make_config(seed=seed, **common, **sgd, **overrides)
        for seed in (3, 8)
    }


NOISY = {"discriminator__dropout": 0.5, "penalties__wgan_gp": 1.0}
NETWORKS = {
    "mlp": (smallest_config, {**NOISY, "generator__norm": "batch"}),
    "convolutions": (small_config, {"penalties__r1_r2": 0.0, "n_dis": 2}),
}


@pytest.mark.parametrize(
    "network", ["mlp", pytest.param("convolutions", marks=pytest.mark.long)]
)
def test_seeds_in_one_program_equal_separate_runs(network, tmp_path, random_digits):
    make_config, changes = NETWORKS[network]
    changes = {**changes, "steps_per_call": 3}
    together = make_configs(tmp_path / "together", make_config, **changes)
    outcomes = seeds.train_seeds(together, random_digits)
    separate = make_configs(tmp_path / "separate", make_config, **changes)
    for (path, config), found in zip(separate.items(), outcomes, strict=True):
        state = ganjax.train_and_evaluate(config, path, random_digits)
        initial = ganjax.init_state(ganjax.make_gan(config), jax.random.key(8))
        _, saved, metadata = ganjax.load_run(found)
        assert metadata["config"]["seed"] == config.seed
        for player in ("g", "d"):
            expected = getattr(state, player)
            assert_close(getattr(saved, player), expected, 2e-4, 2e-6)
            repeats = config.n_dis if player == "d" else 1
            assert int(expected.updates) == 5 * repeats
            moved = getattr(initial, player).params, expected.params
            gaps = jax.tree.map(lambda a, b: float(abs(a - b).max()), *moved)
            assert max(jax.tree.leaves(gaps)) > 1e-3  # more than the tolerance
        assert_close(saved.g_ema, state.g_ema, 2e-4, 2e-6)
        rows, expected = (read_jsonl(p / "metrics.jsonl") for p in (found, path))
        assert [row["step"] for row in rows] == [2, 4, 5]
        for row, other in zip(rows, expected, strict=True):
            other["images_per_second"] = row["images_per_second"]
            assert row == pytest.approx(other, rel=1e-3)
        names = {file.name for file in path.iterdir() if "tfevents" not in file.name}
        assert names - {".lock"} == {
            file.name for file in found.iterdir() if "tfevents" not in file.name
        }


@pytest.mark.parametrize(
    "change,stacks",
    [
        ({}, True),
        ({"on_divergence": "rollback"}, False),
        ({"debug_nans": True}, False),
        ({"evaluate_every": 5}, False),
        ({"data__device_budget_mb": 0}, False),
    ],
)
def test_what_the_loop_alone_can_do_is_left_to_it(change, stacks, random_digits):
    config = smallest_config(data__name="random", **change)
    assert seeds.can_stack(config, random_digits) is stacks


def test_a_seed_that_diverges_ends_alone(tmp_path, monkeypatch, random_digits):
    init = ganjax.init_state

    def poisoned(gan, key):
        state = init(gan, key)
        if (jax.random.key_data(key) == jax.random.key_data(jax.random.key(3))).all():
            params = jax.tree.map(lambda x: x * np.nan, state.d.params)
            state = state.replace(d=state.d.replace(params=params))
        return state

    monkeypatch.setattr(ganjax, "init_state", poisoned)
    configs = make_configs(tmp_path)
    lost, kept = seeds.train_seeds(configs, random_digits).values()
    assert isinstance(lost, Diverged) and "d_loss is nan" in lost.what
    assert isinstance(kept, ganjax.TrainState) and int(kept.step) == 5
    path = tmp_path / "3"
    common.save_study(configs[path], path, 20, {"diverged": lost.what})
    assert common.is_finished(configs[path], path, 20)
    assert not common.is_finished(configs[tmp_path / "8"], tmp_path / "8", 20)


def test_the_default_on_cpus_is_one_seed_after_another():
    assert seeds.default_stack() == 1


def test_table_of_speeds_states_the_ratio_of_each_round():
    rates = {2: np.array([1500.0, 1800.0, 900.0]), 0: np.array([1000.0, 900.0, 1000.0])}
    lines = seeds_speed.table(rates).splitlines()
    assert lines[2:] == ["| 2 | 1,500 | 1,000 | 1.50 (0.90 to 2.00) |"]
