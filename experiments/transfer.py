"""How many steps does a run save that starts from the networks of another one?

Command: python -m experiments.transfer [--runs runs]

From digits to letters: configs/mnist.py on 5,000 images of experiments/letters.py, from
new networks; from a run of the same config on MNIST, 2,500 steps, seed 0
(`--init_from`); from the same with the first layers of D frozen
(`d_optimizer.freeze`, arXiv:2002.10964); and from the averaged generator alone of that
run, as from a pretrained name. All seeds start from the same run. Every 100 steps 2,000
samples of the averaged generator are compared with 5,000 test letters, by a classifier
of letters. An FID is reached at the first of these steps that has at most this value,
without interpolation. Writes transfer.json, transfer.md, transfer.png and
transfer_samples.png to experiments/results.

Result: see results/transfer.md. FID 100 takes half of the steps, 50 seven tenths,
whether or not layers are frozen; most of it comes with the generator.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

import ganjax
from experiments.common import (
    QUIET,
    make_parser,
    markdown_table,
    mean_sd,
    save_figure,
    save_table,
    train,
)
from experiments.letters import make_letters
from ganjax import files, metrics
from ganjax.config import to_json
from ganjax.data import Dataset
from ganjax.features import load_extractor
from ganjax.metrics.fid import frechet_distance
from ganjax.rows import read_jsonl
from ganjax.weights import write_weights

CONFIG = "configs/mnist.py"
SOURCE_STEPS, STEPS, EVERY, NUM = 2500, 1500, 100, 2000
LEVELS = (200.0, 100.0, 50.0)  # of FID
SHOWN = (0, 100, 300, 700, 1500)  # steps of the figure of samples
COLORS = ("black", "tab:blue", "tab:orange", "tab:red", "tab:green")
Curve = dict[int, float]  # FID by step


class Start(NamedTuple):
    """Where the networks of a run come from."""

    place: str = ""  # in the folder of the source; "-": new networks
    freeze: int = 0  # layers of D


STARTS = {
    "new networks": Start("-"),
    "both networks": Start(),
    "both, 1 layer of D frozen": Start(freeze=1),
    "both, 2 layers of D frozen": Start(freeze=2),
    "the generator": Start("generator.safetensors"),
}


def train_source(runs: Path) -> Path:
    """The folder of the run on MNIST, with the weights of its generator."""
    folder = runs / "mnist"
    config = ganjax.load_config(CONFIG, QUIET | {"num_steps": SOURCE_STEPS})
    state = train(config, folder)
    file = folder / "generator.safetensors"
    write_weights(file, state.g_ema, int(state.step), to_json(config))
    return folder


def run_folder(runs: Path, name: str, seed: int) -> Path:
    """The folder of a run on letters."""
    return runs / f"{name.replace(', ', '-').replace(' ', '_')}-seed{seed}"


def train_letters(name: str, seed: int, runs: Path, dataset: Dataset) -> Curve:
    """Trains on letters, as far as it was not done before, and returns the FIDs."""
    start, folder = STARTS[name], run_folder(runs, name, seed)
    overrides = {
        "seed": seed,
        "num_steps": STEPS,
        "sample_every": EVERY,
        "evaluate_every": EVERY,
        "evaluate_num": NUM,
        "d_optimizer.freeze": start.freeze,
    }
    config = ganjax.load_config(CONFIG, QUIET | overrides)
    place = None if start.place == "-" else runs / "mnist" / start.place
    train(config, folder, dataset=dataset, init_from=place)  # or its checks alone
    return read_curve(folder)


def read_curve(folder: Path) -> Curve:
    """The FIDs of a run by step."""
    rows = read_jsonl(folder / "metrics.jsonl")
    return {row["step"]: row["fid"] for row in rows if "fid" in row}


def steps_to(curve: Curve, level: float) -> int | None:
    """The first step whose FID is at most this; None if there is none.

    >>> steps_to({100: 9.0, 200: 5.0, 300: 6.0}, 5.0)
    200
    """
    return min((step for step, fid in curve.items() if fid <= level), default=None)


def table(curves: dict[str, list[Curve]], reference: float) -> str:
    """Steps to each FID, and the FIDs after STEPS, as mean and sample deviation."""
    rows = []
    for name, runs in curves.items():
        cells = [name]
        for level in LEVELS:
            found = [steps_to(curve, level) for curve in runs]
            reached = [step for step in found if step is not None]
            cell = mean_sd(reached, 0) if reached else ""
            if len(reached) < len(found):
                cell = f"{cell} ({len(reached)} of {len(found)})".strip()
            cells.append(cell)
        lowest = [min(curve.values()) for curve in runs]
        rows.append(
            [*cells, mean_sd([curve[STEPS] for curve in runs], 1), mean_sd(lowest, 1)]
        )
    rows.append(["*training images*", *[""] * len(LEVELS), f"{reference:.1f}", ""])
    levels = [f">steps to FID {level:.0f}" for level in LEVELS]
    titles = ["starts from", *levels, f">FID after {STEPS:,}", ">lowest FID"]
    return markdown_table(titles, rows)


def reference_fid(dataset: Dataset) -> float:
    """The FID of NUM training images."""
    extractor = load_extractor(dataset, "digits")
    train, test = (
        metrics.extract(extractor, images).features
        for images in (dataset.train["images"][:NUM], dataset.test["images"])
    )
    return frechet_distance(train, test)


def plot(curves: dict[str, list[Curve]], reference: float) -> Figure:
    """The FID over the steps, a line for each seed."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axis = figure.subplots()
    for color, (name, runs) in zip(COLORS, curves.items(), strict=True):
        for i, curve in enumerate(runs):
            label = name if i == 0 else None
            axis.plot(*zip(*curve.items(), strict=True), color=color, lw=1, label=label)
    axis.axhline(reference, color="gray", ls="--", lw=1, label="training images")
    axis.set(yscale="log", xlabel="step", ylabel="FID", xlim=(0, STEPS))
    axis.legend(title="starts from")
    return figure


def plot_samples(runs: Path) -> Figure:
    """Samples of seed 0 by step, a row for each start."""
    figure = Figure(figsize=(2 * len(SHOWN), 2.1 * len(STARTS)), layout="constrained")
    axes = figure.subplots(len(STARTS), len(SHOWN), squeeze=False)
    for row, name in zip(axes, STARTS, strict=True):
        row[0].set_ylabel(name.replace(", ", ",\n"))
        for axis, step in zip(row, SHOWN, strict=True):
            file = run_folder(runs, name, 0) / f"samples/step_{step:06d}.png"
            with Image.open(file) as image:
                half = image.resize((image.width // 2, image.height // 2))
            axis.imshow(np.asarray(half)[:150, :150], cmap="gray")  # 5 x 5 samples
            axis.set(xticks=[], yticks=[])
            if name == next(iter(STARTS)):
                axis.set_title(f"step {step:,}")
    return figure


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--seeds", type=int, default=3)
    flags = parser.parse_args()
    runs = flags.runs / "transfer"
    train_source(runs)
    dataset = make_letters()
    curves = {
        name: [train_letters(name, s, runs, dataset) for s in range(flags.seeds)]
        for name in STARTS
    }
    reference = reference_fid(dataset)
    result: dict[str, Any] = {
        "data": dataset.identity.to_dict(),
        "jax": jax.__version__,
        "fid": curves,
        "training_images": reference,
    }
    files.write_text(flags.out / "transfer.json", json.dumps(result) + "\n")
    save_table(table(curves, reference), flags.out / "transfer.md")
    save_figure(plot(curves, reference), flags.out / "transfer.png")
    path = flags.out / "transfer_samples.png"
    save_figure(plot_samples(runs), path, colors=256)


if __name__ == "__main__":
    main()
