"""What the sections of a report share."""

import shlex
from collections.abc import Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element

from ganjax.report.html import Child, element
from ganjax.run_folder import RunFolder

# Of Okabe and Ito, distinct for the color-blind; one for each run.
COLORS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#000000",
    "#8c6bb1",
)


class Section(NamedTuple):
    """A part of the page with a title."""

    id: str
    title: str
    content: Sequence[Child]

    def render(self) -> Element:
        """The element."""
        return element("section", element("h2", self.title), *self.content, id=self.id)


def color(runs: Sequence[RunFolder], run: RunFolder) -> str:
    """The color of a run in all figures."""
    return COLORS[runs.index(run)]


def run_label(runs: Sequence[RunFolder], run: RunFolder) -> Element:
    """The name of a run, with its color if there are several."""
    if len(runs) == 1:
        return element("span", run.name)
    swatch = element("i", class_="swatch", style=f"background: {color(runs, run)}")
    return element("span", swatch, run.name)


def missing(run: RunFolder, what: str) -> Element:
    """A sentence about what a run lacks."""
    return element("p", element("b", run.name), f" {what}", class_="missing")


def evaluate_command(run: RunFolder) -> Element:
    """The command that scores a run."""
    folder = shlex.quote(str(run.path))
    return element("code", f"python -m ganjax.main --mode=evaluate --workdir={folder}")
