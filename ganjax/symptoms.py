"""Signs of a failed training in the metrics that are recorded anyway."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

Row = Mapping[str, float]
PATIENCE = 1000  # steps for which a sign is seen without a break before it is reported


class Symptom(NamedTuple):
    """Something that a healthy training does not show for long."""

    seen: Callable[[Row], bool]
    message: str
    patience: int = PATIENCE


SYMPTOMS = (
    Symptom(
        # A critic, which has a distance, may be right about all: its slope is limited.
        lambda row: row.get("d_accuracy", 0.0) > 0.999 and "distance" not in row,
        "D has told every real from every generated image, so G may get no gradient: "
        "add a penalty (--config.penalties.r1_r2=1), lower D's learning rate, or try "
        "another loss",
    ),
    Symptom(
        lambda row: row.get("d_grad_norm", 1.0) < 1e-8,
        "D gets no gradient any more: lower its learning rate, or start again with "
        "another seed",
    ),
    Symptom(
        lambda row: row.get("g_grad_norm", 1.0) < 1e-8,
        "G gets no gradient any more: D is too far ahead; add a penalty "
        "(--config.penalties.r1_r2=1) or lower D's learning rate",
    ),
    Symptom(
        # Half of the classes missing, the rest equally frequent: log 2.
        lambda row: row.get("class_kl", 0.0) > 0.69,
        "most samples are of a few classes (mode collapse): add a penalty "
        "(--config.penalties.r1_r2=1), or lower both learning rates",
        patience=0,
    ),
)


class Watch:
    """Reports each symptom once."""

    def __init__(self, step: int):
        self._healthy = dict.fromkeys(SYMPTOMS, step)  # the last step without it
        self._reported: set[Symptom] = set()

    def look(self, step: int, row: Row) -> list[str]:
        """Messages about symptoms that have lasted for their patience at `step`."""
        messages = []
        for symptom in SYMPTOMS:
            if not symptom.seen(row):
                self._healthy[symptom] = step
                continue
            lasted = step - self._healthy[symptom]
            if lasted >= symptom.patience and symptom not in self._reported:
                self._reported.add(symptom)
                messages.append(f"step {step}: {symptom.message}")
        return messages
