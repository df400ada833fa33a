"""One page of HTML about runs: samples, metrics, curves, configs, and a human test."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

import ganjax
from ganjax.errors import UserError, printable
from ganjax.files import write_text
from ganjax.report.configs import config_section, environment_section
from ganjax.report.curves import curves_section
from ganjax.report.figures import (
    comparison_section,
    neighbors_section,
    samples_section,
)
from ganjax.report.html import Child, data_block, document, element, table, web_file
from ganjax.report.metrics import metrics_section
from ganjax.report.parts import COLORS, Section, run_label
from ganjax.run_folder import RunFolder, read_run_folders

if TYPE_CHECKING:
    from ganjax.human_test import HumanTest


def write_report(folders: Sequence[Path], out: Path, human: HumanTest) -> None:
    """Writes a page about the runs in these folders, which needs no other file.

    What a run lacks is replaced by a sentence. Its newest checkpoint is only read for
    the human test.

    Raises:
      UserError: a folder without a run, too many of them, an odd number of trials, or
        another suffix than .html.
      OSError: `out` can't be written.
    """
    if out.suffix != ".html":
        raise UserError(f"--out={printable(out)}: expected FILE.html")
    if len(folders) > len(COLORS):
        raise UserError(
            f"--workdir: expected at most {len(COLORS)} folders, got {len(folders)}"
        )
    human.check()
    runs = read_run_folders(folders)
    sections = [
        summary_section(runs),
        comparison_section(runs),
        metrics_section(runs),
        curves_section(runs),
        samples_section(runs),
        neighbors_section(runs),
        human_section(runs, human),
        config_section(runs),
        environment_section(runs),
    ]
    write_text(out, page(runs, sections))
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB, on {names(runs)}")


def names(runs: Sequence[RunFolder]) -> str:
    """The names of all runs, in one line; of many runs their number."""
    return ", ".join(x.name for x in runs) if len(runs) < 4 else f"{len(runs)} runs"


def page(runs: Sequence[RunFolder], sections: Sequence[Section]) -> str:
    """The document: a title, links to the sections, and the sections."""
    title = names(runs)
    links = [element("a", s.title, href=f"#{s.id}") for s in sections]
    body: list[Child] = [
        element("header", element("h1", f"Report on {title}"), element("nav", *links)),
        element("main", *(section.render() for section in sections)),
        element("footer", f"Made with ganjax {ganjax.__version__} --mode=report"),
    ]
    return document(
        f"Report on {title}", body, web_file("report.css"), web_file("human.js")
    )


def summary_section(runs: Sequence[RunFolder]) -> Section:
    """What was trained on what, and for how long."""
    rows: list[list[Child]] = []
    for run in runs:
        speeds = [row["images_per_second"] for row in run.series("images_per_second")]
        steps = f"{run.step:,}"
        if isinstance(total := run.config.get("num_steps"), int):
            steps += f" of {total:,}"
        gan, name, source = (
            str(value)
            for value in (
                run.config.get("gan", "not recorded"),
                run.data.get("name", "not recorded"),
                run.data.get("source", ""),
            )
        )
        described = [name, element("small", source)] if source else [name]
        speed = f"{statistics.median(speeds):,.0f}" if speeds else "not recorded"
        rows.append(
            [run_label(runs, run), gan, element("span", *described), steps, speed]
        )
    head = ["run", "GAN", "training data", "steps", "images/s (median)"]
    return Section("summary", "Runs", [table(head, rows)])


def human_section(runs: Sequence[RunFolder], human: HumanTest) -> Section:
    """A test of each run that makes images from noise."""
    from ganjax.human_test import make_test_of_run
    from ganjax.run import load_run

    content: list[Child] = [
        element(
            "p",
            "The aim of arXiv:1406.2661 is a generator whose samples nobody can tell "
            "from real data. Try it, save your answers, and score those of several "
            "people together: ",
            element("code", "python -m ganjax.metrics.human human-*.json"),
        )
    ]
    for run in runs:
        part: Element
        try:
            test = make_test_of_run(load_run(run.path), run.name, human)
            part = element(
                "div",
                element("noscript", "The test needs JavaScript."),
                data_block(test, data_human_test=""),
            )
        except UserError as error:
            part = element("p", f"No test: {error}.", class_="missing")
        if len(runs) > 1:
            content.append(element("h3", run_label(runs, run)))
        content.append(part)
    return Section("human", "Human test", content)
