"""The runs of a sweep: configs, folders, and training and scoring each of them once."""

import hashlib
import json
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import jax
from ml_collections import ConfigDict

import ganjax
from experiments import seeds as together
from experiments.common import (
    QUIET,
    Metrics,
    is_finished,
    load_data,
    run_once,
    save_study,
)
from experiments.sweep_settings import Setting
from ganjax import data, parallel
from ganjax.config import to_json
from ganjax.data import DataOptions
from ganjax.evaluate import make_scorer
from ganjax.gan import Gan
from ganjax.meter import Diverged
from ganjax.options import build, option_names
from ganjax.state import abstract_state
from ganjax.train import Run, count_examples

Score = Callable[[ganjax.TrainState, int], Metrics]  # of that many samples


def make_config(
    path: str, setting: Setting, steps: int | None, seed: int
) -> ConfigDict:
    """The config of a run.

    Raises:
      UserError: an unknown field or a value of the wrong type.
    """
    steps_given = {} if steps is None else {"num_steps": steps}
    fields = QUIET | steps_given | setting.overrides | {"seed": seed}
    return ganjax.load_config(path, fields)


def check(config: ConfigDict) -> None:
    """Checks all that can be checked without training.

    Raises:
      UserError: a bad value, data that do not fit, or data without metrics.
    """
    run = build(Run, {name: config[name] for name in option_names(Run)})
    parallel.check_batch_size(run.batch_size)
    gan = ganjax.make_gan(config)
    abstract_state(gan)
    count_examples(gan.examples(load_data(config)), run.num_examples)
    make_score(config)


def run_folder(runs: Path, config: ConfigDict, setting: Setting) -> Path:
    """The folder of a run, named after its setting and a hash of its config."""
    content = to_json(config)
    seed = content.pop("seed")
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    text = "-".join(f"{k.split('.')[-1]}-{v}" for k, v in setting.values.items())
    name = re.sub(r"[^\w.]+", "-", text).strip("-")[:60]
    return runs / f"{name}-{digest[:8]}-seed{seed}"


@lru_cache(maxsize=1)
def load_scorer(options: DataOptions, features: str) -> Callable[..., dict[str, float]]:
    """The metrics of images of a data set."""
    return make_scorer(data.load(options), features)


def make_score(config: ConfigDict) -> Score:
    """The metrics of a run: those of its GAN, else those of images.

    Raises:
      UserError: there are none for these data.
    """
    gan, key = ganjax.make_gan(config), jax.random.key(0)
    if type(gan).evaluate is Gan.evaluate:
        options = build(DataOptions, config.data, "config.data")
        scorer = load_scorer(options, config.features)
        return lambda state, num: scorer(ganjax.sample(gan, state, num=num, key=key))
    dataset = load_data(config).in_memory()

    def score(state: ganjax.TrainState, num: int) -> Metrics:
        evaluation = gan.evaluate(state.g_ema, dataset, num, seed=0)
        assert evaluation is not None
        return {name: x.value for name, x in evaluation.estimates.items()}

    return score


def run_setting(configs: dict[Path, ConfigDict], num: int, stack: int) -> list[Metrics]:
    """The scores of all seeds of a setting; those that exist are not repeated.

    Args:
      configs: by the folder of the run.
      num: samples that are scored.
      stack: seeds in one program.
    """
    config = next(iter(configs.values()))
    score = make_score(config)
    missing = [p for p, c in configs.items() if not is_finished(c, p, num)]
    stack = stack if together.can_stack(config, load_data(config)) else 1
    for start in range(0, len(missing), stack):
        group = {path: configs[path] for path in missing[start : start + stack]}
        if len(group) > 1:
            print("", *group, sep="\n", flush=True)
            outcomes = together.train_seeds(group, load_data(config))
            for path, end in outcomes.items():
                lost = isinstance(end, Diverged)
                scores = {"diverged": end.what} if lost else score(end, num)
                save_study(group[path], path, num, scores)
            continue
        for path, one in group.items():
            try:
                run_once(one, path, num, lambda state: score(state, num))
            except Diverged as error:
                save_study(one, path, num, {"diverged": error.what})
    studies = [json.loads((path / "study.json").read_text()) for path in configs]
    return [study["metrics"] for study in studies]
