"""What is said of a run beside its charts: what went wrong, and what its estimators are like."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from backend.figures.drawing.names import distinct
from backend.figures.words.names import one_line
from backend.figures.words.sentences import counted, joined

FAILURE, FAULT, REMARK = 3, 2, 1
"""Severities: the run ended for it; numbers are wrong or training is in vain; good to know."""
LAYER = 24
"""Most characters of a layer's name in a sentence."""
NAMED = 2
"""Most layers that a sentence names."""
Where = Literal["", "variance", "layers", "microscope", "setup"]
"""The tab of the run's page that shows it; "" for the first."""
Action = Literal["", "lower rate", "duplicate"]
"""What the page offers a button for."""


@dataclass(frozen=True)
class Finding:
    """One thing that a reader of a run must know, with the step at which it began."""

    kind: str
    severity: int
    title: str
    """A sentence of at most 90 characters."""
    text: str = ""
    """One or two short sentences: how much, and what to do."""
    step: int | None = None
    last: int | None = None
    estimator: str = ""
    """The label of the estimator that it is about; "" for the run."""
    layer: str = ""
    where: Where = ""
    action: Action = ""

    def __str__(self) -> str:
        return f"{self.title} {self.text}".rstrip()


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """The most severe first, then by step; what has no step comes after what has one."""
    return sorted(findings, key=lambda each: (-each.severity, each.step is None, each.step or 0))


def serious(findings: Iterable[Finding]) -> int:
    """How many of them are more than a remark."""
    return sum(each.severity >= FAULT for each in findings)


def places(layers: Sequence[str], total: int) -> str:
    """Where something is the case: `in hidden1 and head`, `in 5 of 12 layers`, `in every layer`;
    "" for the whole network.

    Args:
        layers: the layers concerned, in network order.
        total: how many layers there are.
    """
    named = [layer for layer in layers if layer]
    if not named:
        return ""
    if len(named) == total > 1:
        return "in every layer"
    if len(named) > NAMED:
        return f"in {len(named):,} of {counted(total, 'layer')}"
    return f"in {joined(short_layers(named))}"


def short_layers(layers: Sequence[str]) -> list[str]:
    """Names of layers as sentences have them, all different."""
    clean = [one_line(layer) for layer in layers]
    shown = distinct(tuple(dict.fromkeys(clean)), LAYER)
    return [shown[layer] for layer in clean]
