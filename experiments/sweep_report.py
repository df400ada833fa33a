"""What a sweep found: settings in order, as a table, as JSON and as a figure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from scipy import stats

from experiments.common import Metrics, markdown_table
from experiments.sweep_settings import Setting

HIGHEST = ("is", "modes")  # metrics of which the highest value is the best
COLUMNS = 3  # panels in a row of the figure
MAX_LINES = 6  # in a panel
MARKS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)  # labels of a logarithmic axis in each decade


@dataclass(frozen=True)
class Result:
    """The scores of a setting, one for each seed; {"diverged": how} if it has none."""

    setting: Setting
    scores: list[Metrics]

    @property
    def diverged(self) -> list[str]:
        """How seeds diverged."""
        return [row["diverged"] for row in self.scores if "diverged" in row]

    def values(self, metric: str) -> list[float]:
        """A metric of the seeds that did not diverge."""
        return [row[metric] for row in self.scores if metric in row]

    def mean(self, metric: str) -> float:
        """The mean over these seeds; NaN if there are none."""
        values = self.values(metric)
        return float(np.mean(values)) if values else math.nan


@dataclass(frozen=True)
class Ranking:
    """The metric that orders settings, and its direction."""

    metric: str
    highest: bool = False

    def sort(self, results: Sequence[Result]) -> list[Result]:
        """The best first; behind all others those of which a seed diverged."""
        sign = -1 if self.highest else 1

        def key(result: Result) -> tuple[int, float]:
            mean = result.mean(self.metric)
            return len(result.diverged), math.inf if math.isnan(mean) else sign * mean

        return sorted(results, key=key)


def half_width(values: Sequence[float]) -> float:
    """Half of the 95% interval of the mean, by Student's t; NaN for one value."""
    n = len(values)
    if n < 2:
        return math.nan
    return float(stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / n**0.5)


def varying(results: Sequence[Result]) -> dict[str, list[Any]]:
    """The values of each dimension that has several, in their order of occurrence."""
    found: dict[str, list[Any]] = {}
    for result in results:
        for label, value in result.setting.values.items():
            values = found.setdefault(label, [])
            if value not in values:
                values.append(value)
    return {label: values for label, values in found.items() if len(values) > 1}


def table(results: Sequence[Result], ranking: Ranking) -> str:
    """Markdown, the best setting first: mean ± half of the 95% interval over seeds."""
    labels = list(varying(results))
    scored = [row for r in results for row in r.scores if "diverged" not in row]
    others = [name for name in (scored[0] if scored else {}) if name != ranking.metric]
    rows = []
    for i, result in enumerate(ranking.sort(results), 1):
        cells = [str(i), *(show(result.setting.values[label]) for label in labels)]
        cells += [interval(result.values(name)) for name in (ranking.metric, *others)]
        seeds = f"{len(result.diverged)} of {len(result.scores)}: "
        cells.append(seeds + result.diverged[0] if result.diverged else "")
        rows.append(cells)
    metrics = [f">{name}" for name in (ranking.metric, *others)]
    return markdown_table([">#", *labels, *metrics, "diverged"], rows)


def interval(values: Sequence[float]) -> str:
    """`mean ± half of the 95% interval`, to two significant digits of the latter.

    >>> interval([20.0, 22.0]), interval([20.0])
    ('21 ± 13', '20')
    """
    if not values:
        return ""
    mean, half = float(np.mean(values)), half_width(values)
    if not half > 0:  # one value, or equal ones
        return f"{mean:.4g}"
    decimals = max(1 - math.floor(math.log10(half)), 0)
    return f"{mean:.{decimals}f} ± {half:.{decimals}f}"


def show(value: Any) -> str:
    """A value of a field in a table or a figure."""
    return f"{value:g}" if isinstance(value, float) else str(value).replace("|", "\\|")


def plot(results: Sequence[Result], ranking: Ranking) -> Figure:
    """A panel for each dimension: every seed, and the best mean at each value.

    Of two dimensions of a grid, a line for each value of the other one.
    """
    dimensions = varying(results) or {"setting": []}
    columns = min(len(dimensions), COLUMNS)
    rows = -(-len(dimensions) // columns)
    size = (4.5 * columns, 3.6 * rows)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for axis, label in zip(axes, dimensions, strict=False):
        others = [other for other in dimensions if other != label]
        few = len(others) == 1 and len(dimensions[others[0]]) <= MAX_LINES
        panel(axis, label, others[0] if few else None, results, ranking)
    for axis in axes[len(dimensions) :]:
        axis.set_axis_off()
    positive = all(x > 0 for r in results for x in r.values(ranking.metric))
    if positive and not ranking.highest:
        log_axis(axes[0], "y")
    for axis in axes[::columns]:
        axis.set_ylabel({"fid": "FID"}.get(ranking.metric, ranking.metric))
    return figure


def panel(
    axis: Axes,
    label: str,
    other: str | None,
    results: Sequence[Result],
    ranking: Ranking,
) -> None:
    """The panel of one dimension, with a line for each value of another one."""
    values = varying(results).get(label, [])
    numeric = all(type(value) in (int, float) for value in values)
    if numeric:
        values = sorted(values)
        if values and values[0] > 0 and values[-1] / values[0] >= 8:
            log_axis(axis, "x")
    place = {show(v): v if numeric else i for i, v in enumerate(values)}
    if len(values) <= 8:
        axis.set_xticks([*place.values()], [*place])
        axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel(label)

    def x(result: Result) -> float:
        return place[show(result.setting.values[label])] if values else 0.0

    lines: dict[str, list[Result]] = {}
    for result in results:
        name = show(result.setting.values[other]) if other else ""
        lines.setdefault(name, []).append(result)
    for i, (name, members) in enumerate(lines.items()):
        color, best = f"C{i}", {}
        for result in reversed(ranking.sort(members)):
            seeds = result.values(ranking.metric)
            axis.plot([x(result)] * len(seeds), seeds, ".", color=color, alpha=0.4)
            if not result.diverged:
                best[x(result)] = result.mean(ranking.metric)
        points = sorted(best.items())
        repeated = other or len(points) < len(members)
        title = f"{other} = {name}" if other else "best mean" if repeated else ""
        if points and repeated:
            axis.plot(*zip(*points, strict=True), "o-", color=color, label=title)
        lost = [x(result) for result in members if result.diverged]
        top = axis.get_xaxis_transform()
        height = 0.97 - 0.04 * i
        if lost:
            axis.plot(lost, [height] * len(lost), "x", color=color, transform=top)
    if any(result.diverged for result in results):
        axis.plot([], [], "x", color="gray", label="a seed diverged")
    if axis.get_legend_handles_labels()[0]:
        axis.legend(fontsize=8)


def log_axis(axis: Axes, name: str) -> None:
    """A logarithmic axis with plain numbers."""
    axis.set(**{f"{name}scale": "log"})
    one = getattr(axis, f"{name}axis")
    one.set_major_locator(LogLocator(subs=MARKS))
    one.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    one.set_minor_locator(NullLocator())
