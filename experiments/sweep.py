"""Which setting of a config is best? Grid and random search with several seeds.

Command: python -m experiments.sweep --config configs/mnist.py --steps 1000 --seeds 3
    --grid loss=hinge,relativistic
    --grid g_optimizer.learning_rate,d_optimizer.learning_rate=1e-3,2e-3,4e-3
    --random penalties.r1_r2=log:0.01:10 --trials 20 --out runs/sweep

Each point of the grid is trained with each random draw and each seed. Fields with a
comma between them get the same value. All settings are checked before the first
training. Writes to --out, after each setting: sweep.md, a ranked table with the mean
over seeds ± half of its 95% interval by Student's t; sweep.json; sweep.png; and in
runs/ a folder for each run, as of `python -m ganjax.main`. Runs that exist are not
repeated: a sweep that was stopped resumes, and one with more seeds or trials trains
only what is new. docs/sweep.md has an example.
"""

import argparse
import json
import math
from collections.abc import Sequence

import jax
from ml_collections import ConfigDict

import ganjax
from experiments.common import describe_machine, make_folder, save_figure
from experiments.seeds import default_stack
from experiments.sweep_report import HIGHEST, Ranking, Result, half_width, plot, table
from experiments.sweep_runs import (
    check,
    make_config,
    make_score,
    run_folder,
    run_setting,
)
from experiments.sweep_settings import (
    Setting,
    make_settings,
    parse_grid,
    parse_random,
)
from ganjax import files
from ganjax.errors import UserError, choose
from ganjax.machine import versions
from ganjax.main import use_compilation_cache

MIN_NUM = 20  # samples that are scored


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The flags."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], allow_abbrev=False
    )
    add = parser.add_argument
    add("--config", required=True, help="e.g. configs/mnist.py")
    add("--grid", action="append", default=[], help="FIELD[,FIELD]=VALUE,VALUE,...")
    add("--random", action="append", default=[], help="FIELD=log:LOW:HIGH, or uniform")
    add("--trials", type=int, default=10, help="draws of the --random fields")
    add("--search_seed", type=int, default=0, help="of these draws")
    add("--seeds", type=int, default=3, help="runs of each setting")
    add("--steps", type=int, help="generator updates; default: the config's")
    add("--num", type=int, default=10_000, help="samples that are scored")
    add("--metric", default="fid", help="what settings are ranked by")
    add("--highest", action="store_true", help="the highest is best (is, modes: set)")
    add("--stack", type=int, help="seeds in one program; default: 1 on CPUs, else 8")
    add("--out", default="runs/sweep", help="folder")
    return parser.parse_args(arguments)


def check_numbers(flags: argparse.Namespace) -> None:
    """Raises UserError for a number that is too small."""
    lowest = {"trials": 1, "search_seed": 0, "seeds": 1, "num": MIN_NUM, "stack": 1}
    for name, low in lowest.items():
        value = getattr(flags, name)
        if value is not None and value < low:
            raise UserError(f"--{name}={value}: expected at least {low}")


def save(results: list[Result], total: int, flags: argparse.Namespace) -> None:
    """Writes table, numbers and figure of the settings that are done."""
    ranking = Ranking(flags.metric, flags.highest or flags.metric in HIGHEST)
    out = flags.out
    text = table(results, ranking)
    files.write_text(out / "sweep.md", text + "\n")
    save_figure(plot(results, ranking), out / "sweep.png")
    rows = [
        {
            "setting": result.setting.values,
            "overrides": result.setting.overrides,
            "mean": finite(result.mean(ranking.metric)),
            "half_width": finite(half_width(result.values(ranking.metric))),
            "scores": result.scores,
        }
        for result in ranking.sort(results)
    ]
    given = {k: v for k, v in vars(flags).items() if k != "out"}
    about = {"machine": describe_machine(), "versions": versions(), "settings": total}
    content = json.dumps(given | about | {"results": rows}, indent=1)
    files.write_text(out / "sweep.json", content + "\n")
    print(f"\n{len(results)} of {total} settings are in {out}/sweep.md", flush=True)


def finite(number: float) -> float | None:
    """JSON has no NaN."""
    return number if math.isfinite(number) else None


def sweep(flags: argparse.Namespace) -> list[Result]:
    """Checks all settings, and trains and scores them in turn.

    Raises:
      UserError: a bad flag, field or value; nothing was trained.
    """
    check_numbers(flags)
    settings = read_settings(flags)
    out = flags.out = make_folder(flags.out)
    plans = []
    for setting in settings:
        configs = [
            make_config(flags.config, setting, flags.steps, seed)
            for seed in range(flags.seeds)
        ]
        check(configs[0])
        folders = [run_folder(out / "runs", config, setting) for config in configs]
        plans.append(dict(zip(folders, configs, strict=True)))
    check_metric(flags.metric, configs[0], flags.num)
    results: list[Result] = []
    with files.errors_explained(out), files.lock_folder(out, "--out"):
        for setting, plan in zip(settings, plans, strict=True):
            scores = run_setting(plan, flags.num, flags.stack or default_stack())
            results.append(Result(setting, scores))
            save(results, len(settings), flags)
    return results


def read_settings(flags: argparse.Namespace) -> list[Setting]:
    """The settings that --grid and --random describe."""
    config = ganjax.load_config(flags.config)
    grid = [parse_grid(text) for text in flags.grid]
    random = [parse_random(text, config) for text in flags.random]
    return make_settings(grid, random, flags.trials, flags.search_seed)


def check_metric(metric: str, config: ConfigDict, num: int) -> None:
    """Raises UserError if the scores of an untrained state lack this metric.

    Which there are depends on the number of samples.
    """
    state = ganjax.init_state(ganjax.make_gan(config), jax.random.key(0))
    choose(make_score(config)(state, num), metric, "--metric")


def main(arguments: Sequence[str] | None = None) -> None:
    flags = parse(arguments)
    use_compilation_cache()
    try:
        sweep(flags)
        print((flags.out / "sweep.md").read_text(), end="")
    except UserError as error:
        raise SystemExit(f"error: {error}") from error
    except KeyboardInterrupt as error:
        raise SystemExit("stopped; the same command resumes") from error


if __name__ == "__main__":
    main()
