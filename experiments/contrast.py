"""How do a GAN, a VAE and a diffusion model compare under one set of metrics?

Command: python -m experiments.contrast [--seeds 2] [--runs runs]

MNIST, and about the same seconds of training on 2 CPU cores for each: the GAN of
configs/mnist.py, a VAE of the same networks (vae.py) and a DDPM with a small U-Net
(ddpm.py, diffusion.py). All three average their parameters over the last steps. 10,000
samples against the 10,000 test images; mean ± sample standard deviation over seeds.
Seconds are those of the median call times the number of calls, without compilation.

VAE and DDPM have lower bounds of the test images' log-likelihood. Both have one for
8-bit pixels, in nats and in the bits per dimension that papers on normalizing flows
report (arXiv:1810.01367); the VAE also has that of binarized digits, as in
arXiv:1509.00519. A GAN has no likelihood, and the Parzen estimate is not one.

A model and seed that is done is not repeated. Prints a table and writes contrast.md,
contrast.png (FID against denoising steps) and contrast_samples.png.

Result: see results/contrast.md.
"""

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import ganjax
from experiments import common
from experiments.contrast_models import (
    CONFIG,
    DDIM_STEPS,
    DDPM,
    NUM,
    VAE,
    Images,
    Row,
    Scorer,
    first_digits,
    run_ddpm,
    run_gan,
    run_vae,
)
from ganjax import files
from ganjax.data import Dataset
from ganjax.images import grid

Rows = dict[str, list[Row]]  # by model, one per seed
RUNS = ("VAE", VAE, run_vae), ("DDPM", DDPM, run_ddpm)
COLUMNS = {
    "fid": ("FID", 1),
    "precision": ("precision", 3),
    "recall": ("recall", 3),
    "parzen_ll": ("Parzen, nats", 0),
}


def run_once(
    folder: Path, identity: dict[str, Any], run: Callable[[], tuple[Row, Images]]
) -> tuple[Row, Images]:
    """What `run` returns, or what it returned before for the same identity."""
    study, images = folder / "study.json", folder / "images.npz"
    identity = json.loads(json.dumps(identity))  # lists, as they will be read
    if study.exists():
        saved = json.loads(study.read_text())
        if saved["identity"] == identity:
            with np.load(images) as arrays:
                return saved["row"], dict(arrays)
    print(f"\n{folder}", flush=True)
    row, shown = run()
    files.write_file(images, lambda file: np.savez_compressed(file, **shown))
    files.write_text(study, json.dumps({"identity": identity, "row": row}) + "\n")
    return row, shown


def run_all(seeds: int, runs: Path, dataset: Dataset) -> tuple[Rows, dict[str, Images]]:
    """Rows of every seed, and images of the first, by model."""
    scorer = Scorer(dataset)
    rows: Rows = {"GAN": [], "VAE": [], "DDPM": []}
    images: dict[str, Images] = {}
    for seed in range(seeds):
        results = {"GAN": run_gan(dataset, seed, common.run_folder(runs, CONFIG, seed))}
        for name, recipe, run in RUNS:
            identity = {"recipe": repr(recipe), "num": NUM, "seed": seed}
            identity["data"] = dataset.identity.sha256
            folder = runs / f"contrast-{name.lower()}-seed{seed}"
            results[name] = run_once(
                folder, identity, partial(run, dataset, scorer, seed)
            )
        for name, (row, shown) in results.items():
            rows[name].append(row)
            images.setdefault(name, shown)
    return rows, images


# --- results ------------------------------------------------------------------------


def table_rows(rows: Rows) -> Rows:
    """The rows of the table: one per model, of the DDPM one per sampler in it."""
    result = {name: rows[name] for name in ("GAN", "VAE")}
    for sampler, scores in rows["DDPM"][0]["samplers"].items():
        if "metrics" in scores:
            # The bound is that of the reverse process with noise in every step.
            dropped = () if "ancestral" in sampler else ("nats",)
            result[f"DDPM, {sampler}"] = [
                {k: v for k, v in row.items() if k not in dropped}
                | row["samplers"][sampler]
                for row in rows["DDPM"]
            ]
    return result


def table(rows: Rows) -> str:
    """Markdown: a row per model, and one of real images."""
    titles = ["training, s", "10,000 samples, s", *(t for t, _ in COLUMNS.values())]
    titles += ["8-bit pixels, nats", "bits/dim", "binarized, nats"]
    lines = ["| model | " + " | ".join(titles) + " |", "|---|" + "---:|" * len(titles)]

    def cell(values: list[float], digits: int) -> str:
        return common.mean_sd(values, digits) if values else ""

    def of(entries: list[Row], name: str, scale: float = 1.0) -> list[float]:
        return [scale * entry[name] for entry in entries if name in entry]

    for name, entries in table_rows(rows).items():
        cells = [cell(of(entries, "training"), 0), cell(of(entries, "seconds"), 2)]
        for metric, (_, digits) in COLUMNS.items():
            cells.append(cell([e["metrics"][metric]["value"] for e in entries], digits))
        cells.append(cell(of(entries, "nats"), 1))
        cells.append(cell(of(entries, "nats", -1 / (784 * math.log(2))), 3))
        cells.append(cell(of(entries, "binarized"), 1))
        lines.append("| " + " | ".join([name, *cells]) + " |")
    real = rows["GAN"][0]["metrics"]
    cells = [f"{real[m]['reference']:.{digits}f}" for m, (_, digits) in COLUMNS.items()]
    lines.append(
        "| " + " | ".join(["*real images*", "", "", *cells, "", "", ""]) + " |"
    )
    return "\n".join(lines)


def step_table(rows: Rows) -> str:
    """Markdown: FID and seconds for every number of denoising steps."""
    lines = ["| sampler | FID | 10,000 samples, s |", "|---|---:|---:|"]
    for sampler in rows["DDPM"][0]["samplers"]:
        scores = [row["samplers"][sampler] for row in rows["DDPM"]]
        fids = common.mean_sd([s["fid"] for s in scores], 1)
        seconds = common.mean_sd([s["seconds"] for s in scores], 1)
        lines.append(f"| {sampler} | {fids} | {seconds} |")
    return "\n".join(lines)


def error_lines(rows: Rows) -> str:
    """The squared errors of test digits."""
    gan, vae = (
        common.mean_sd([r["error"] for r in rows[m]], 1) for m in ("GAN", "VAE")
    )
    return (
        "Squared error of the first test image of each digit, summed over pixels in "
        f"[0, 1]: reconstructed by the VAE {vae}, nearest image of the GAN {gan}."
    )


def plot_steps(rows: Rows, path: Path) -> None:
    """FID against denoising steps, with the models of one step as lines."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for row in rows["DDPM"]:
        fids = [row["samplers"][f"{num} DDIM"]["fid"] for num in DDIM_STEPS]
        (line,) = axes.plot(DDIM_STEPS, fids, "o-", color="C0", markersize=4)
        last = list(row["samplers"])[-1]
        (point,) = axes.plot(int(last.split()[0]), row["samplers"][last]["fid"], "sC1")
    line.set_label("DDPM, DDIM sampling")
    point.set_label("DDPM, ancestral sampling")
    for name, color in (("VAE", "C2"), ("GAN", "C3")):
        fids = [row["metrics"]["fid"]["value"] for row in rows[name]]
        axes.axhline(np.mean(fids), color=color, label=f"{name}, one step")
    real = rows["GAN"][0]["metrics"]["fid"]["reference"]
    axes.axhline(real, color="gray", linestyle="--", label="real images")
    axes.set(xscale="log", yscale="log", xlabel="denoising steps", ylabel="FID")
    axes.legend(fontsize=8)
    common.save_figure(figure, path)


def plot_samples(images: dict[str, Images], dataset: Dataset, path: Path) -> None:
    """The first samples of each model, and the ten test digits with reconstructions."""
    count = len(images["GAN"]["GAN"])
    samples = {"real images": dataset.test["images"][:count]}
    samples |= {name: images[name][name] for name in ("GAN", "VAE")}
    samples |= {f"DDPM, {name}": shown for name, shown in images["DDPM"].items()}
    digits = {
        "test digits": first_digits(dataset),
        "VAE reconstructions": images["VAE"]["nearest"],
        "nearest of the GAN": images["GAN"]["nearest"],
    }
    figure = Figure(figsize=(8, 0.5 * (len(samples) + len(digits))))
    rows = samples | digits
    for axes, (name, shown) in zip(
        figure.subplots(len(rows)), rows.items(), strict=True
    ):
        axes.imshow(grid(shown, columns=count), cmap="gray")
        axes.set_axis_off()
        axes.text(-8, 16, name, ha="right", va="center", fontsize=8)
    figure.subplots_adjust(0.25, 0.01, 0.99, 0.99, hspace=0.05)
    common.save_figure(figure, path, colors=16)


def main() -> None:
    parser = common.make_parser(__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    flags = parser.parse_args()
    dataset = common.load_data(ganjax.load_config(CONFIG))
    rows, images = run_all(flags.seeds, flags.runs, dataset)
    text = f"{table(rows)}\n\n{step_table(rows)}\n\n{error_lines(rows)}"
    common.save_table(text, flags.out / "contrast.md")
    plot_steps(rows, flags.out / "contrast.png")
    plot_samples(images, dataset, flags.out / "contrast_samples.png")


if __name__ == "__main__":
    main()
