"""Images that a run wrote, in the page."""

from collections.abc import Callable, Sequence
from xml.etree.ElementTree import Element

from ganjax.errors import printable
from ganjax.report.html import Child, element, embedded_file, figure
from ganjax.report.parts import Section, evaluate_command, missing, run_label
from ganjax.rows import evenly_spaced
from ganjax.run_folder import RunFolder, sample_files

FRAMES = 6  # of a run over time
FRAME_SIDE = 500  # pixels
KNOWN = {"samples", "comparison", "curves", "neighbors", "distances", "real"}

Part = Callable[[RunFolder], list[Child]]


def comparison_section(runs: Sequence[RunFolder]) -> Section:
    """Real training data beside samples of the last recorded step."""

    def part(run: RunFolder) -> list[Child]:
        text = "Training data on the left, samples on the right."
        shown = png(run, "comparison", text)
        shown = shown or png(run, "samples", "Samples; there is no comparison.png.")
        return shown or [missing(run, "has no readable comparison.png.")]

    return each_run("comparison", "Real beside generated", runs, part)


def samples_section(runs: Sequence[RunFolder]) -> Section:
    """Samples from the same noise over the course of training."""

    def part(run: RunFolder) -> list[Child]:
        frames = []
        for step, file in evenly_spaced(list(sample_files(run.path).items()), FRAMES):
            source = embedded_file(file, FRAME_SIDE)
            if source is not None:
                text = f"step {step:,}"
                frames.append(figure(source, text, f"samples at {text}"))
        if not frames:
            return [missing(run, "has no readable images in samples/.")]
        return [element("div", *frames, class_="film")]

    return each_run("samples", "Samples over time", runs, part)


def neighbors_section(runs: Sequence[RunFolder]) -> Section:
    """Samples beside their nearest training images, and other figures of a run."""

    def part(run: RunFolder) -> list[Child]:
        shown = png(
            run,
            "neighbors",
            "Each row has two samples, each followed by its nearest training images "
            "(L2 distance of pixels). A sample that copies one would look the same.",
        ) + png(
            run,
            "distances",
            "Distances to the nearest training image: of copies they are near 0.",
        )
        if not shown and run.metrics:
            shown = [missing(run, "has none: its metrics do not look for them.")]
        elif not shown:
            line = missing(run, "has no neighbors.png. Of digits it is written by ")
            line.append(evaluate_command(run))
            shown = [line]
        others = {file.stem for file in run.path.glob("*.png")} - KNOWN
        for name in sorted(others):
            shown += png(run, name, f"{printable(name)}.png")
        return shown

    return each_run("neighbors", "Nearest training images", runs, part)


def each_run(id: str, title: str, runs: Sequence[RunFolder], part: Part) -> Section:
    """A section with a part for each run, under its name if there are several."""
    content: list[Child] = []
    for run in runs:
        if len(runs) > 1:
            content.append(element("h3", run_label(runs, run)))
        content += part(run)
    return Section(id, title, content)


def png(run: RunFolder, name: str, caption: str) -> list[Child]:
    """One of the run's images as a figure; nothing if it can't be read."""
    source = embedded_file(run.path / f"{name}.png")
    if source is None:
        return []
    made: Element = figure(source, caption, f"{name} of {run.name}", "wide")
    return [made]
