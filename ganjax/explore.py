"""What `--mode=latent` writes: one function for each tool."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ganjax import files, latent, metrics, plots, projection, styles
from ganjax.data import DataOptions, Dataset
from ganjax.data.folder import Files
from ganjax.data.resize import Resize
from ganjax.errors import UserError
from ganjax.features import load_extractor, load_real
from ganjax.gans.standard import Standard, require_standard
from ganjax.images import grid, save_animation
from ganjax.metrics.prdc import prdc
from ganjax.metrics.suite import MIN_IMAGES
from ganjax.priors import uniform
from ganjax.run import Wanted, load_data, load_run
from ganjax.samples import read_samples
from ganjax.state import TrainState

STEPS = 16  # images from one sample to the next
MOVES = (-6, -4, -2, 0, 2, 4, 6)  # along a direction; z has standard deviation 1
NUM_DIRECTIONS = 10
SHOWN = (0, 1, 2, 4, 8, 16)  # steps of a projection
SCALES = tuple(round(0.1 * i, 1) for i in range(3, 13))


@dataclass(frozen=True)
class Task:
    """What to do with a run."""

    out: Path  # a folder, or for animations a file
    seed: int = 0
    num: int | None = None  # samples; None: as the tool has them
    labels: Sequence[str] | None = None
    images: Path | None = None  # to project; None: test images
    data: DataOptions | None = None  # where the data are, if they have moved


@dataclass(frozen=True)
class Trained:
    """A run that tools work on."""

    gan: Standard
    state: TrainState
    metadata: dict[str, Any]

    def labels(self, task: Task, num: int) -> np.ndarray | None:
        """Labels of `num` samples: those asked for, or those of `ganjax.sample`."""
        if task.labels is not None:
            return self.gan.parse_labels(task.labels)
        return self.gan.condition(num)

    def points(self, task: Task, num: int) -> latent.Points:
        """What `--mode=sample` makes `num` samples of."""
        z = latent.draw(self.gan, jax.random.key(task.seed), num)
        return latent.Points(z, latent.one_hot(self.gan, self.labels(task, num)))

    def dataset(self, task: Task) -> Dataset:
        """The training and test data."""
        return load_data(self.metadata, task.data).in_memory()


def explore(tool: str, workdir: Path, task: Task, scale: float | None = None) -> None:
    """Writes what a tool finds out about the newest checkpoint.

    Raises:
      UserError: no checkpoint, a GAN that has no space of z, or a task that does not
        fit the tool or the GAN.
    """
    gan, state, metadata = load_run(workdir)
    gan = Wanted(scale=scale).scaled(gan)
    gan = require_standard(gan, "--mode=latent")
    if task.images is not None and tool != "project":
        raise UserError(f"--images={task.images}: expected none with --tool={tool}")
    movie = tool in ("walk", "morph") and task.out.suffix in (".gif", ".mp4")
    if task.out.suffix and not movie:
        raise UserError(f"--out={task.out}: expected a folder")
    if not movie:
        files.make_folder(task.out, "--out")
    TOOLS[tool](Trained(gan, state, metadata), task)
    print(f"step {int(state.step)}: {tool} in {task.out}")


def walk(run: Trained, task: Task) -> None:
    """From each sample to the next, and from the last to the first."""
    points = run.points(task, task.num or 9)
    num, model = len(points.z), (run.gan, run.state.g_ema)
    # A line does not leave the cube of a uniform prior, a circle may.
    path = "lerp" if run.gan.prior.distribution is uniform else "slerp"
    walks = {
        name: latent.walk(*model, points, STEPS, fn)
        for name, fn in latent.PATHS.items()
        if name == path or not task.out.suffix
    }
    loops = walks[path][:, :-1].reshape(num * STEPS, *walks[path].shape[2:])
    # Each cell is in another place of the same loop; the first frame is the samples.
    frames = [np.roll(loops, -i, 0)[::STEPS] for i in range(len(loops))]
    write_frames(task.out, "walk", frames)
    if not task.out.suffix:
        images = np.stack([w[:, :: STEPS // 8] for w in walks.values()], axis=1)
        rows = [
            f"{i + 1} to {(i + 1) % num + 1}, {fn}" for i in range(num) for fn in walks
        ]
        columns = [f"{i}/8" for i in range(9)]
        images = images.reshape(len(rows), *images.shape[2:])
        plots.plot_images(task.out / "walk.png", images, rows, columns)


def morph(run: Trained, task: Task) -> None:
    """From each class to the next with the same z."""
    if not run.gan.num_classes:
        raise UserError("--tool=morph: expected a class-conditional GAN")
    z = latent.draw(run.gan, jax.random.key(task.seed), task.num or 9)
    labels = np.arange(run.gan.num_classes)
    if task.labels is not None:
        labels = run.gan.parse_labels(task.labels)
    legs = latent.morph(run.gan, run.state.g_ema, z, labels, STEPS)
    write_frames(task.out, "morph", legs[:, :-1].reshape(-1, *legs.shape[2:]))
    if not task.out.suffix:
        rows = [f"{a} to {b}" for a, b in zip(labels, np.roll(labels, -1), strict=True)]
        columns = [f"{i}/8" for i in range(9)]
        images = legs[:, :: STEPS // 8, 0]
        plots.plot_images(task.out / "morph.png", images, rows, columns)


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """An .npz."""
    files.write_file(path, lambda file: np.savez_compressed(file, **arrays))


def write_frames(out: Path, name: str, frames: Iterable[np.ndarray]) -> None:
    """An animation of grids of images [N, H, W, C], as `out` or in this folder."""
    file = out if out.suffix else out / f"{name}.gif"
    save_animation(file, np.stack([grid(x) for x in frames]), scale=2)


def project(run: Trained, task: Task) -> None:
    """The images that the generator makes most like given ones."""
    images, labels = read_targets(run, task)
    gan, g, key = run.gan, run.state.g_ema, jax.random.key(task.seed)
    found = projection.project(gan, g, images, key, labels)
    steps = [*SHOWN, found.path.shape[1] - 1]

    def decode(z: np.ndarray) -> np.ndarray:
        chosen = None if found.labels is None else jnp.asarray(found.labels)
        return np.asarray(latent.decode(gan, g, jnp.asarray(z), chosen))

    path = np.stack([decode(found.path[:, step]) for step in steps], axis=1)
    arrays = {"images": images, "projections": path[:, -1]}
    arrays |= {"z": found.z, "rms": found.rms}
    arrays |= {} if found.labels is None else {"labels": found.labels}
    write_arrays(task.out / "projection.npz", arrays)
    shown = slice(min(len(images), 20))
    table = np.concatenate([images[:, None], path[:, -1:], path[:, :-1]], axis=1)
    rows = [f"RMS {rms:.1f}" for rms in found.rms[shown]]
    columns = ["image", "projection", *(f"step {step}" for step in SHOWN)]
    plots.plot_images(task.out / "projection.png", table[shown], rows, columns)
    norm = np.linalg.norm(found.z, axis=1)
    print(
        f"{len(images)} images: RMS difference {np.median(found.rms):.2f} gray levels "
        f"of 255 (median), {found.rms.max():.2f} (largest); norm of z "
        f"{np.median(norm):.1f} (median), {run.gan.prior.z_dim**0.5:.1f} of samples"
    )


def read_targets(run: Trained, task: Task) -> tuple[np.ndarray, np.ndarray | None]:
    """Images to project, with their labels as far as they are known."""
    shape, place, labels = tuple(run.gan.generator.image_shape), task.images, None
    if place is None:
        test = run.dataset(task).test
        images, labels = test["images"], test.get("labels")
    elif place.suffix == ".npz":
        images, labels = read_samples(place, shape, least=1, flag="--images")
    else:
        decoded = Files(place, Resize(shape)).decode(least=1, field="--images")
        images = np.stack([image for _, image in decoded])
    num = task.num or (8 if place is None else len(images))
    images = images[:num]
    if task.labels is not None:
        labels = run.gan.parse_labels(task.labels)
    if labels is None or not run.gan.num_classes:
        return images, None
    try:
        run.gan.check_condition(labels[:num], len(images))
    except ValueError as error:
        raise UserError(f"labels of {len(images)} images: {error}") from error
    return images, labels[:num]


def directions(run: Trained, task: Task) -> None:
    """What the generator's first layer reacts to most."""
    found = latent.directions(run.gan, run.state.g_ema)
    write_arrays(task.out / "directions.npz", found._asdict())
    num, samples = min(NUM_DIRECTIONS, run.gan.prior.z_dim), task.num or 2
    start = latent.draw(run.gan, jax.random.key(task.seed), samples)
    moves = np.multiply.outer(found.vectors[:num], MOVES).swapaxes(1, 2)  # [R, M, Z]
    z = np.asarray(start)[None, :, None] + moves[:, None]
    labels = run.labels(task, samples)
    if labels is not None:
        labels = np.broadcast_to(labels[:, None], z.shape[:3]).ravel()
    flat = z.reshape(-1, z.shape[-1]).astype(np.float32)
    images = projection.decode_blocks(run.gan, run.state.g_ema, flat, labels)
    table = images.reshape(num, -1, *images.shape[1:])
    rows = [f"{i + 1}: {found.strengths[i]:.1f}" for i in range(num)]
    columns = [f"{move:+d}" if move else "0" for move in MOVES] * samples
    plots.plot_images(task.out / "directions.png", table, rows, columns)


def truncation(run: Trained, task: Task) -> None:
    """Precision and recall of samples by the scale of z."""
    if task.labels is not None:
        raise UserError("--labels: expected none with --tool=truncation")
    num = task.num or 10_000
    if num < MIN_IMAGES:
        raise UserError(f"--num={num}: expected at least {MIN_IMAGES}")
    dataset = run.dataset(task)
    extractor = load_extractor(dataset)
    real = load_real(extractor, dataset)
    g, own = run.state.g_ema, run.gan.sample_scale
    unit = dataclasses.replace(run.gan, sample_scale=1.0)
    z, labels = latent.draw(unit, jax.random.key(task.seed), num), unit.condition(num)
    results, shown = {}, []
    for scale in sorted({*SCALES, own}):
        images = projection.decode_blocks(unit, g, scale * np.asarray(z), labels)
        estimates = prdc(metrics.extract(extractor, images, labels), real)
        results[f"{scale:g}"] = metrics.make_results(estimates, {})
        shown.append(images[:10])
    text = json.dumps(results, indent=2) + "\n"
    files.write_text(task.out / "truncation.json", text)
    plots.plot_truncation(task.out / "truncation.png", results, f"{own:g}")
    rows = [f"scale {scale}" for scale in results]
    plots.plot_images(task.out / "scales.png", np.stack(shown), rows, [""] * 10)


TOOLS: dict[str, Callable[[Trained, Task], None]] = {
    "walk": walk,
    "morph": morph,
    "project": project,
    "directions": directions,
    "truncation": truncation,
    "mix": styles.write_mix,
}
