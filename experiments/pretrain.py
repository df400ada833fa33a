"""The weights and the card of a generator that is installed with ganjax.

Command: python -m experiments.pretrain runs/mnist [--hardware TEXT]

Reads a run that has been evaluated (`--mode=evaluate`) and whose folder has the name of
its config, and writes ganjax/pretrained/NAME.safetensors, the averaged generator in
float16, and NAME.md, its card. All numbers of the card are read from the run or
measured: what the rounding to float16 changes is measured on 10,000 samples from the
same z. --hardware says what the run was trained on, where its checkpoint does not.
"""

import argparse
import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

import jax
import numpy as np

import ganjax
from ganjax import metrics
from ganjax.config import flatten, to_json
from ganjax.errors import UserError, choose
from ganjax.features import load_extractor
from ganjax.files import write_text
from ganjax.metrics.fid import frechet_distance
from ganjax.pretrained import FOLDER, load_pretrained
from ganjax.run import load_data
from ganjax.weights import write_weights

NUM = 10_000  # samples of the comparison
# Where the data are and how often files are written: without influence on the result.
IRRELEVANT = (
    "checkpoint_every",
    "data.data_dir",
    "data.manual_dir",
    "log_every",
    "max_to_keep",
    "sample_every",
)
SOURCES = {
    "mnist": "MNIST (Y. LeCun, C. Cortes, C. Burges; [CC BY-SA 3.0]"
    "(https://creativecommons.org/licenses/by-sa/3.0/))"
}


def command(name: str, config: dict[str, Any]) -> str:
    """The command line that trains this config: it and what was changed."""
    own = flatten(to_json(ganjax.load_config(name)))
    changed = [
        f" --config.{field}={value}"
        for field, value in flatten(config).items()
        if field not in IRRELEVANT and own.get(field) != value
    ]
    return f"python -m ganjax.main --config configs/{name}.py" + "".join(changed)


def commit() -> str:
    """The commit of the code, and whether files differ from it, but for the results."""

    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        result = subprocess.run(command, cwd=FOLDER, capture_output=True, check=True)
        return result.stdout.decode().strip()

    changed = git("status", "--porcelain", "--", ":/", ":!.")
    return git("rev-parse", "HEAD")[:12] + " with changes" * bool(changed)


def compare_samples(
    gan: ganjax.Gan, states: dict[str, ganjax.TrainState], dataset: Any
) -> list[str]:
    """Lines on samples of several states from the same z: in pixels, and by metrics."""
    extractor = load_extractor(dataset)
    real = metrics.extract(extractor, dataset.in_memory().test["images"])
    key, labels = jax.random.key(0), gan.condition(NUM)
    images, scores = {}, {}
    for name, state in states.items():
        images[name] = ganjax.sample(gan, state, num=NUM, key=key)
        fake = metrics.extract(extractor, images[name])
        scores[name] = f"FID {frechet_distance(fake.features, real.features):.4f}"
        if labels is not None:
            right = (fake.digit_logits.argmax(-1) == labels).mean()
            scores[name] += f", label accuracy {right:.4f}"
    a, b = (x.astype(int) for x in images.values())
    difference = np.abs(a - b)
    return [
        f"- largest difference of a pixel: {difference.max()} of 255 gray levels",
        f"- pixels that differ: {(difference > 0).mean():.3%}",
        *(f"- {name}: {score}" for name, score in scores.items()),
        f"- features: `{extractor.fingerprint}`",
    ]


def card(name: str, facts: dict[str, str], results: Any, rounding: list[str]) -> str:
    """Markdown."""
    return "\n".join(
        [
            f"# {name}",
            "",
            "The averaged generator of a GAN. The discriminator is not included.",
            "",
            "```python",
            "import ganjax",
            "import jax",
            "",
            f'gan, state = ganjax.load_pretrained("{name}")',
            "images = ganjax.sample(gan, state, num=64, key=jax.random.key(0))",
            "```",
            "",
            "| | |",
            "|---|---|",
            *(f"| {key} | {value} |" for key, value in facts.items()),
            "",
            "## Metrics",
            "",
            "Of the weights in float32. The reference is the metric of real images. "
            "docs/evaluation.md explains both.",
            "",
            metrics.table(results),
            "",
            "## Rounding to float16",
            "",
            f"{NUM:,} samples from the same z:",
            "",
            *rounding,
            "",
        ]
    )


def describe(
    name: str, state: ganjax.TrainState, metadata: dict[str, Any], hardware: str | None
) -> dict[str, str]:
    """Rows of the card's first table."""
    config, identity = metadata["config"], metadata["data"]
    source = choose(SOURCES, identity["name"], "config.data.name")
    versions = dict(metadata.get("made_with", {}))
    devices = versions.pop("devices", "not recorded")
    content = (FOLDER / f"{name}.safetensors").read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return {
        "data": f"{identity['num_train']:,} training images of {source}",
        "license": "Apache 2.0, as ganjax",
        "classes": str(config["num_classes"] or "none, unconditional"),
        "command": f"`{command(name, config)}`",
        "seed": str(config["seed"]),
        "steps": f"{int(state.step):,} of {config['batch_size']} images",
        "hardware": hardware or devices,
        "versions": ", ".join(map(" ".join, versions.items())) or "not recorded",
        "parameters": f"{sum(x.size for x in jax.tree.leaves(state.g_ema)):,}",
        "file": f"{len(content):,} bytes, SHA-256 `{digest}`",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--hardware", help="what the run was trained on")
    flags = parser.parse_args()

    name = flags.run.resolve().name
    written_by = f"ganjax {ganjax.__version__}, commit {commit()}"
    gan, state, metadata = ganjax.load_run(flags.run)
    scores = flags.run / "metrics.json"
    if not scores.exists():
        raise UserError(f"{scores}: expected the scores of --mode=evaluate")
    results = json.loads(scores.read_text())

    path = FOLDER / f"{name}.safetensors"
    write_weights(path, state.g_ema, int(state.step), metadata["config"], "float16")
    states = {"float32": state, "float16": load_pretrained(name)[1]}
    rounding = compare_samples(gan, states, load_data(metadata))
    facts = describe(name, state, metadata, flags.hardware)
    facts["written by"] = written_by
    write_text(path.with_suffix(".md"), card(name, facts, results, rounding))
    print(f"{path}, {path.with_suffix('.md')}")


if __name__ == "__main__":
    main()
