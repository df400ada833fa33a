"""Metrics of runs beside their references, with 95% intervals."""

from collections.abc import Sequence
from typing import Any
from xml.etree.ElementTree import Element

from ganjax.metrics.suite import compare
from ganjax.report.html import Child, element, table
from ganjax.report.parts import Section, color, evaluate_command, run_label
from ganjax.run_folder import RunFolder

STRIP = 150  # pixels, the width of the figure of intervals
LANE = 14  # pixels, its height for each run


def metrics_section(runs: Sequence[RunFolder]) -> Section:
    """A table of metrics for each kind of GAN."""
    content: list[Child] = []
    kinds: dict[str, list[RunFolder]] = {}
    for run in runs:
        if run.metrics:
            kinds.setdefault(str(run.config.get("gan")), []).append(run)
        else:
            text = element("p", element("b", run.name), " has no metrics.json. Run ")
            text.append(evaluate_command(run))
            text.set("class", "missing")
            content.append(text)
    if kinds:
        about = (
            "Each with its 95% interval. The reference is the same metric of real "
            "images in place of generated ones, or of what the protocol names; it is "
            "the dashed line in the figure."
        )
        content.insert(0, element("p", about))
    for group in kinds.values():
        names = list(dict.fromkeys(name for run in group for name in run.metrics))
        rows = [metric_row(runs, group, name) for name in names]
        labels = [run_label(runs, run) for run in group]
        counted = table(*counts(runs, group, names))
        summary = element("summary", "Numbers of images, and features")
        content.append(table(["metric", *labels, "reference", "figure"], rows))
        content.append(element("details", summary, counted))
    return Section("metrics", "Metrics", content)


def metric_row(
    runs: Sequence[RunFolder], group: Sequence[RunFolder], name: str
) -> list[Child]:
    """Name and protocol, a value for each run of a group, the reference, a figure."""
    entries = {run.name: run.metrics[name] for run in group if name in run.metrics}
    first, *others = entries.values()
    about: list[Child] = [name, element("small", first["protocol"])]
    for other in others:
        try:
            compare({name: first}, {name: other})
        except ValueError as error:
            about.append(element("small", str(error), class_="warning"))
            break
    values = [
        estimate(entries[run.name]) if run.name in entries else "–" for run in group
    ]
    references = list(dict.fromkeys(entry["reference"] for entry in entries.values()))
    known: list[Child] = [number(x) for x in references if x == x]
    lines = [element("span", x, class_="line") for x in known or ["none"]]
    return [
        element("span", *about),
        *values,
        element("span", *lines),
        strip([(color(runs, r), entries[r.name]) for r in group if r.name in entries]),
    ]


def number(value: float) -> Element:
    """Four digits for people, and all of them in the attribute `value`."""
    return element("data", f"{value:.4g}", value=repr(value))


def estimate(entry: dict[str, Any]) -> Element:
    """A value above its interval."""
    low, high = (number(x) for x in entry["ci95"])
    interval = element("small", low, " to ", high)
    return element("span", number(entry["value"]), interval, class_="estimate")


def strip(entries: Sequence[tuple[str, dict[str, Any]]]) -> Element:
    """Intervals of runs, in their colors, and references on a common axis."""
    values = [e["value"] for _, e in entries]
    values += [x for _, e in entries for x in (*e["ci95"], e["reference"])]
    finite = [x for x in values if abs(x) < 1e100]
    low, high = min(finite, default=0.0), max(finite, default=0.0)

    def place(x: float) -> str:
        part = (x - low) / (high - low) if high > low else 0.5
        return f"{6 + min(max(part, 0.0), 1.0) * (STRIP - 12):.1f}"

    height = LANE * len(entries) + 6
    marks = []
    for reference in dict.fromkeys(e["reference"] for _, e in entries):
        if reference == reference:
            x = place(reference)
            line = {"x1": x, "x2": x, "y1": 1, "y2": height - 1, "class_": "reference"}
            marks.append(element("line", **line))
    for lane, (stroke, e) in enumerate(entries):
        y, (left, right) = LANE * lane + LANE // 2 + 3, map(place, e["ci95"])
        line = {"x1": left, "x2": right, "y1": y, "y2": y, "stroke": stroke}
        marks.append(element("line", **line, class_="interval"))
        marks.append(element("circle", cx=place(e["value"]), cy=y, r=3.5, fill=stroke))
    size = {"width": STRIP, "height": height, "viewBox": f"0 0 {STRIP} {height}"}
    return element("svg", *marks, **size, aria_hidden="true")


def counts(
    runs: Sequence[RunFolder], group: Sequence[RunFolder], names: Sequence[str]
) -> tuple[list[Child], list[list[Child]]]:
    """Head and rows: of how many images each metric is, and of which features."""
    head: list[Child] = ["metric", "run", "generated", "real", "reference", "features"]
    rows: list[list[Child]] = []
    for name in names:
        for run in group:
            if name in run.metrics:
                entry = run.metrics[name]
                numbers = (entry[f"n_{kind}"] for kind in ("fake", "real", "reference"))
                texts = [f"{n:,}" if n else "–" for n in numbers]
                rows.append([name, run_label(runs, run), *texts, entry["features"]])
    return head, rows
