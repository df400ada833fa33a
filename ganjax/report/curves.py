"""Curves of all metrics that were recorded during training."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from ganjax.plots import Line, lines_svg
from ganjax.report.html import Child, element, embedded, figure
from ganjax.report.parts import Section, color, missing, run_label
from ganjax.rows import averaged
from ganjax.run_folder import RunFolder

POINTS = 300  # of a curve
STYLES = ("-", "--")


class Panel(NamedTuple):
    """Metrics that share axes, by name, with their labels in the legend."""

    title: str
    metrics: dict[str, str]
    marks: dict[str, float]


PANELS = (
    Panel(
        "D's loss, as cross-entropy, in nats",
        {"real_loss": "real", "fake_loss": "generated"},
        {"log 2: D at chance": math.log(2)},
    ),
    Panel(
        "D's probability of being real",
        {"d_real": "D(x)", "d_fake": "D(G(z))"},
        {"chance": 0.5},
    ),
)
TITLES = {
    "augment_probability": "probability of a transformation of what D sees",
    "d_accuracy": "accuracy of D",
    "d_grad_norm": "norm of D's gradient",
    "d_loss": "loss of D",
    "d_real_sign": "mean sign of D(x), which ADA holds",
    "distance": "critic's Wasserstein distance, up to a factor",
    "fid": "FID during training",
    "fid_random": "FID of random features during training",
    "g_grad_norm": "norm of G's gradient",
    "g_loss": "loss of G",
    "images_per_second": "images per second",
}


def curves_section(runs: Sequence[RunFolder]) -> Section:
    """A small figure for each metric, with a line for each run."""
    content: list[Child] = []
    recorded = dict.fromkeys(name for run in runs for row in run.rows for name in row)
    if recorded:
        key = [run_label(runs, run) for run in runs] if len(runs) > 1 else []
        figures = [draw(runs, panel) for panel in panels(list(recorded))]
        content = [
            element("p", "Means of consecutive rows of metrics.jsonl.", class_="note"),
            element("p", *key, class_="key"),
            element("div", *figures, class_="panels"),
        ]
    content += [missing(r, "has no rows in metrics.jsonl.") for r in runs if not r.rows]
    return Section("curves", "Curves", content)


def panels(recorded: Sequence[str]) -> list[Panel]:
    """The panels of these metrics, those that share axes first."""
    shared = [p for p in PANELS if all(name in recorded for name in p.metrics)]
    shown = {"step", *(name for panel in shared for name in panel.metrics)}
    return shared + [
        Panel(TITLES.get(name, name), {name: ""}, {})
        for name in recorded
        if name not in shown
    ]


def draw(runs: Sequence[RunFolder], panel: Panel) -> Child:
    """The figure of a panel."""
    lines = []
    for run in runs:
        for (name, label), style in zip(panel.metrics.items(), STYLES, strict=False):
            if not (rows := run.series(name)):
                continue
            rows = averaged(rows, POINTS)
            step, value = ([row[k] for row in rows] for k in ("step", name))
            once = label if run is runs[0] else ""
            lines.append(Line(step, value, color(runs, run), style, once))
    source = embedded(lines_svg(lines, panel.marks), "image/svg+xml")
    return figure(source, panel.title, f"{panel.title} against steps")
