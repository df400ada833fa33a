"""Whether people can tell generated from real images (the aim of arXiv:1406.2661).

python -m ganjax.metrics.human ANSWERS.json [ANSWERS.json ...]

Each file holds the answers of one person to the test in the page of --mode=report.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ganjax.errors import UserError, printable
from ganjax.metrics.estimates import fraction_estimate
from ganjax.metrics.types import PIXELS, Estimate

CHANCE = 0.5  # as many real as generated images are shown
MAX_BYTES = 2**24
SAME = ("config", "step", "data")  # of files that may be pooled
PROTOCOL = "answers correct, chance 0.5; ci: Wilson, answers as independent"


@dataclass(frozen=True, eq=False)
class Answers:
    """What one person said about images."""

    about: dict[str, Any]  # name, config, step, data, seed, version
    real: npt.NDArray[np.bool_]  # [N], whether an image was real
    answer: npt.NDArray[np.bool_]  # [N], whether the person said so


def read_answers(file: Path) -> Answers:
    """The answers in a file that the page saved.

    Raises:
      UserError: it is not such a file.
    """
    where = f"{printable(file)}: expected answers saved by the human test"
    try:
        if file.stat().st_size > MAX_BYTES:
            raise ValueError("more than 16 MiB")
        content = json.loads(file.read_bytes())
        trials = content.pop("trials")
        pairs = [(trial["real"], trial["answer"]) for trial in trials]
    except OSError as error:
        raise UserError(f"{printable(file)}: {error.strerror}") from error
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{where}, got {type(error).__name__}") from error
    if not pairs or not all(type(x) is int and x in (0, 1) for p in pairs for x in p):
        raise UserError(f"{where}, with trials whose real and answer are 0 or 1")
    real, answer = np.array(pairs, np.bool_).T
    return Answers(content, real, answer)


def human_accuracy(answers: Sequence[Answers]) -> Estimate:
    """The fraction of correct answers of all people together.

    0.5 is chance: nobody can tell. `details` is the p-value of an exact binomial test
    against it. Since as many real as generated images are shown, who always gives the
    same answer is right in exactly half of the cases: intervals are rather too long.
    """
    from scipy.stats import binomtest

    real = np.concatenate([x.real for x in answers])
    hits = np.concatenate([x.real == x.answer for x in answers])
    estimate = fraction_estimate(hits, PROTOCOL, PIXELS)
    return estimate._replace(
        n_fake=int((~real).sum()),
        n_real=int(real.sum()),
        details=float(binomtest(int(hits.sum()), len(hits), CHANCE).pvalue),
    )


def mistaken_for_real(answers: Sequence[Answers]) -> Estimate:
    """The fraction of generated images that people said were real."""
    taken = np.concatenate([x.answer[~x.real] for x in answers])
    protocol = "generated images called real; ci: Wilson, answers as independent"
    return fraction_estimate(taken, protocol, PIXELS)


def check_poolable(files: Sequence[Path], answers: Sequence[Answers]) -> None:
    """Checks that all answers are about one generator, and none counts twice.

    Raises:
      UserError: they are not, or the same answers are there twice.
    """
    seen: dict[bytes, Path] = {}
    for file, one in zip(files, answers, strict=True):
        for field in SAME:
            value, first = one.about.get(field), answers[0].about.get(field)
            if value != first:
                raise UserError(
                    f"{printable(file)}: expected {field}={first!r}, as in "
                    f"{printable(files[0])}, got {value!r}: score them one by one"
                )
        content = file.read_bytes()
        if content in seen:
            raise UserError(
                f"{printable(file)}: expected other answers than in "
                f"{printable(seen[content])}, got the same"
            )
        seen[content] = file


def report(files: Sequence[Path]) -> str:
    """A Markdown table of each file's answers and of all together.

    Raises:
      UserError: a file that can't be read, or files that don't belong together.
    """
    answers = [read_answers(file) for file in files]
    check_poolable(files, answers)
    lines = [
        "| answers | correct | fraction | 95% interval | p against chance "
        "| generated called real |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    parts = [
        (printable(file.name), [one]) for file, one in zip(files, answers, strict=True)
    ]
    if len(files) > 1:
        parts.append(("**all**", answers))
    for name, group in parts:
        estimate, mistaken = human_accuracy(group), mistaken_for_real(group)
        total = estimate.n_fake + estimate.n_real
        lines.append(
            f"| {name} | {round(estimate.value * total)} / {total} "
            f"| {estimate.value:.3f} | {estimate.low:.3f} .. {estimate.high:.3f} "
            f"| {estimate.details:.2g} | {mistaken.value:.3f} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """The command; 1 after a mistake, which is reported in one line."""
    try:
        if not arguments:
            raise UserError(
                "expected files of answers: python -m ganjax.metrics.human FILE..."
            )
        print(report([Path(name).expanduser() for name in arguments]))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
