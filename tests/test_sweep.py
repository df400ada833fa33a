"""Sweeps: settings from flags, resumption, ranking."""

import json
import os

import numpy as np
import pytest
from helpers import small_config

from experiments import common, sweep, sweep_runs
from experiments.sweep_report import Ranking, Result, interval, plot, table
from experiments.sweep_settings import (
    Setting,
    make_settings,
    parse_grid,
    parse_random,
)
from ganjax.meter import Diverged

FILE = """
from helpers import smallest_config

def get_config():
    config = smallest_config(data__name="random", num_steps=3)
    config.unlock()
    return config
"""


# --- settings -----------------------------------------------------------------------


def test_grid_is_the_product_of_its_values():
    rates = parse_grid("g_optimizer.b1,d_optimizer.b1=0,0.5")
    losses = parse_grid("config.loss=hinge,wgan")
    settings = make_settings([rates, losses], [], trials=7, seed=0)
    assert [setting.values for setting in settings] == [
        {"*.b1": 0, "loss": "hinge"},
        {"*.b1": 0, "loss": "wgan"},
        {"*.b1": 0.5, "loss": "hinge"},
        {"*.b1": 0.5, "loss": "wgan"},
    ]
    both = {"g_optimizer.b1": 0.5, "d_optimizer.b1": 0.5}
    assert settings[3].overrides == both | {"loss": "wgan"}


def test_dimensions_of_the_same_label_are_named_by_their_fields():
    grid = [
        parse_grid("generator.momentum,discriminator.momentum=0.5"),
        parse_grid("g_optimizer.momentum,d_optimizer.momentum=0.1"),
    ]
    (setting,) = make_settings(grid, [], trials=1, seed=0)
    assert list(setting.values.values()) == [0.5, 0.1]
    assert "generator.momentum+discriminator.momentum" in setting.values


def test_values_are_python_literals_or_text():
    values = parse_grid("x=2,1e-4,True,(64,),(8, 4),none,{'start': 1.0}").values
    assert values == (2, 1e-4, True, (64,), (8, 4), "none", {"start": 1.0})
    assert type(values[2]) is bool


def test_random_settings_depend_on_seed_and_number_alone():
    config = small_config()
    random = [
        parse_random("penalties.r1=log:0.01:10", config),
        parse_random("batch_size=uniform:8:24", config),
        parse_random("loss=hinge,wgan", config),
    ]

    def draws(trials, seed):
        return [s.values for s in make_settings([], random, trials, seed)]

    found = draws(200, seed=1)
    assert draws(20, seed=1) == found[:20]
    assert draws(20, seed=2) != found[:20]
    r1 = np.log10([values["penalties.r1"] for values in found])
    assert -2 <= r1.min() < -1.9 and 0.9 < r1.max() <= 1
    assert abs(r1.mean() + 0.5) < 4 * 3 / 12**0.5 / 200**0.5  # standard errors
    sizes = [values["batch_size"] for values in found]
    assert all(type(size) is int and 8 <= size <= 24 for size in sizes)
    assert len(set(sizes)) == 17
    assert {values["loss"] for values in found} == {"hinge", "wgan"}
    few = parse_random("loss=hinge,wgan", config)
    assert len(make_settings([], [few], 200, seed=0)) == 2
    assert float(f"{found[0]['penalties.r1']:.3g}") == found[0]["penalties.r1"]


@pytest.mark.parametrize(
    "flags,message",
    [
        ([], "--grid or --random is missing"),
        (["--grid", "loss"], "--grid='loss': expected FIELD=VALUES"),
        (["--grid", "losses=hinge"], "config.losses: expected one of the fields"),
        (["--grid", "loss=hinges"], "config.loss='hinges': expected one of"),
        (["--grid", "loss=wgan,wgan"], "expected each value once"),
        (["--grid", "n_dis=1,0"], "config.n_dis=0: expected an integer >= 1"),
        (["--grid", "n_dis=1,a"], "config.n_dis='a': expected an integer"),
        (["--grid", "n_dis=1", "--random", "n_dis=2"], "n_dis: expected once in"),
        (["--grid", "seed=1,2"], "expected --seeds"),
        (["--grid", "batch_size=8,7"], "batch_size=7: expected a multiple of"),
        (["--grid", "num_examples=1,33"], "num_examples=33: expected at most 32"),
        (["--random", "n_dis=log:0:2"], "expected 0 < LOW < HIGH"),
        (["--random", "n_dis=uniform:2:1"], "expected LOW < HIGH"),
        (["--random", "n_dis=uniform:1"], "expected uniform:LOW:HIGH"),
        (["--random", "n_dis=normal:1:2"], "='normal': expected one of log, uniform"),
        (["--grid", "n_dis=1", "--seeds", "0"], "--seeds=0: expected at least 1"),
        (["--grid", "n_dis=1", "--num", "19"], "--num=19: expected at least 20"),
        (["--grid", "n_dis=1", "--metric", "psnr"], "--metric='psnr': expected one"),
    ],
)
def test_bad_flags_end_in_one_line_before_training(
    flags, message, tmp_path, monkeypatch, random_digits
):
    monkeypatch.setattr(sweep_runs, "make_scorer", lambda *_: lambda images: {"fid": 1})
    monkeypatch.setattr(sweep, "run_setting", pytest.fail)
    monkeypatch.setattr(sweep, "use_compilation_cache", lambda: None)
    sweep_runs.load_scorer.cache_clear()
    (tmp_path / "file.py").write_text(FILE)
    command = ["--config", f"{tmp_path}/file.py", "--out", f"{tmp_path}/out", *flags]
    with pytest.raises(SystemExit) as error:
        sweep.main(command)
    text = str(error.value)
    assert text.startswith("error: ") and message in text and "\n" not in text


# --- the sweep ----------------------------------------------------------------------


@pytest.fixture
def run_sweep(tmp_path, monkeypatch, random_digits):
    """Runs a sweep; returns the results, and n_dis and seed of what was trained."""
    trained = []
    real_train = common.train

    def train(config, workdir):
        if len(trained) == int(os.environ.get("DIE_AFTER", 99)):
            raise KeyboardInterrupt
        trained.append((config.n_dis, config.seed))
        if config.n_dis == 3:
            write = json.dumps({"data": random_digits.identity.to_dict()})
            metadata = {"config": common.to_json(config)} | json.loads(write)
            common.files.write_text(workdir / "config.json", json.dumps(metadata))
            raise Diverged("d_loss is nan", 1)
        return real_train(config, workdir)

    monkeypatch.setattr(common, "train", train)
    monkeypatch.setattr(sweep, "use_compilation_cache", lambda: None)
    scorer = lambda images: {"fid": float(images.mean())}  # noqa: E731
    monkeypatch.setattr(sweep_runs, "make_scorer", lambda *_: scorer)
    sweep_runs.load_scorer.cache_clear()
    (tmp_path / "file.py").write_text(FILE)

    def run(*flags, name="out"):
        trained.clear()
        out = tmp_path / name
        flags = ["--seeds=2", "--num=20", f"--out={out}", *flags]
        sweep.main([f"--config={tmp_path}/file.py", *flags])
        return json.loads((out / "sweep.json").read_text())["results"], list(trained)

    return run


def test_a_sweep_that_was_stopped_resumes(run_sweep, monkeypatch, tmp_path):
    monkeypatch.setenv("DIE_AFTER", "3")
    with pytest.raises(SystemExit, match="stopped; the same command resumes"):
        run_sweep("--grid=n_dis=1,2,3")
    part = json.loads((tmp_path / "out/sweep.json").read_text())
    assert [row["setting"] for row in part["results"]] == [{"n_dis": 1}]
    monkeypatch.delenv("DIE_AFTER")
    rows, trained = run_sweep("--grid=n_dis=1,2,3")
    assert trained == [(2, 1), (3, 0), (3, 1)]
    assert part["results"][0] in rows
    assert sorted(row["setting"]["n_dis"] for row in rows[:2]) == [1, 2]
    assert rows[2]["setting"] == {"n_dis": 3} and rows[2]["mean"] is None
    again, trained = run_sweep("--grid=n_dis=1,2,3")
    assert trained == [] and str(again) == str(rows)
    _, trained = run_sweep("--grid=n_dis=1,2", "--seeds=3")
    assert trained == [(1, 2), (2, 2)]
    lines = (tmp_path / "out/sweep.md").read_text().splitlines()
    assert len(lines) == 4


def test_sweep_with_seeds_in_one_program_has_the_same_scores(run_sweep):
    rows, _ = run_sweep("--grid=n_dis=1", name="separate")
    together, trained = run_sweep("--grid=n_dis=1", "--stack=2")
    assert trained == []  # by `common.train`
    for a, b in zip(rows[0]["scores"], together[0]["scores"], strict=True):
        assert a["fid"] == pytest.approx(b["fid"], rel=1e-3)
    assert rows[0]["scores"][0] != rows[0]["scores"][1]
    _, trained = run_sweep("--grid=n_dis=1")
    assert trained == []  # a run is the same in both ways


# --- report -------------------------------------------------------------------------


def make_results():
    def result(rate, loss, *fids):
        scores = [
            {"diverged": "nan"} if x is None else {"fid": x, "is": 9} for x in fids
        ]
        return Result(Setting({"rate": rate, "loss": loss, "n_dis": 1}, {}), scores)

    return [
        result(1e-3, "hinge", 20.0, 22.0),
        result(1e-2, "hinge", 5.0, None),
        result(1e-3, "wgan", 12.0, 13.0),
        result(1e-2, "wgan", None, None),
    ]


def test_ranking_is_by_the_mean_and_diverged_settings_are_last():
    results = make_results()
    order = Ranking("fid").sort(results)
    assert [results.index(result) for result in order] == [2, 0, 1, 3]
    order = Ranking("fid", highest=True).sort(results)
    assert [results.index(result) for result in order] == [0, 2, 1, 3]


def test_table_states_intervals_and_divergence():
    lines = table(make_results(), Ranking("fid")).splitlines()
    assert lines[0] == "| # | rate | loss | fid | is | diverged |"
    # Student's t with one degree of freedom is 12.706; the standard error of the mean
    # of two values is half of their difference.
    assert lines[2] == "| 1 | 0.001 | wgan | 12.5 ± 6.4 | 9 |  |"
    assert lines[3] == "| 2 | 0.001 | hinge | 21 ± 13 | 9 |  |"
    assert lines[4] == "| 3 | 0.01 | hinge | 5 | 9 | 1 of 2: nan |"
    assert lines[5] == "| 4 | 0.01 | wgan |  |  | 2 of 2: nan |"
    # t of three degrees of freedom: 3.182; sd of 1, 2, 3, 4: 1.291.
    assert interval([1.0, 2.0, 3.0, 4.0]) == f"2.5 ± {3.182 * 1.291 / 2:.1f}"


def test_figure_has_a_panel_for_each_field_that_varies():
    left, right = plot(make_results(), Ranking("fid")).axes
    assert left.get_yscale() == left.get_xscale() == "log"
    assert left.get_xlabel() == "rate" and right.get_xlabel() == "loss"
    means = {line.get_label(): line.get_xydata().tolist() for line in left.lines}
    assert means["loss = hinge"] == [[1e-3, 21.0]]
    assert means["loss = wgan"] == [[1e-3, 12.5]]
    crosses = [line for line in left.lines if line.get_marker() == "x"]
    assert [list(line.get_xdata()) for line in crosses] == [[1e-2], [1e-2], []]
    assert [t.get_text() for t in right.get_xticklabels()] == ["hinge", "wgan"]
