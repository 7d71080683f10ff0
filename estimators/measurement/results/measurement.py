"""The result of a probe: every measure, for every layer and estimator."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import NamedTuple, TypeVar

from estimators.measurement.draws.recorded import Drawn
from estimators.measurement.estimates.diagnosis import Finding
from estimators.measurement.estimates.variance_split import Anatomy
from estimators.measurement.estimates.verdicts import Verdict
from estimators.measurement.results.table import Table
from estimators.measurement.results.tabulated import findings_table, measures_table

Ends = tuple[float, float]
"""Low and high end of an interval."""
LEVELS = ("stage", "tensor")
DEEP = 20
"""Layers beyond which only the whole network is printed, unless a table is asked for."""
T = TypeVar("T")


class Row(NamedTuple):
    """One number. `layer` is "" for the network, a stage's name or a tensor's."""

    metric: str
    layer: str
    estimator: str
    value: float


@dataclass(frozen=True, repr=False)
class Measurement:
    """Draws of several estimators at one point, held against the exact gradient there."""

    draws: int
    """Draws of each estimator (K)."""
    loss: float
    """The loss at the point."""
    layers: tuple[str, ...]
    """"" (the whole network), the stages, the tensors."""
    exact_norm: tuple[float, ...]
    """‖g‖ of each layer."""
    values: dict[str, dict[str, tuple[float, ...]]]
    """{estimator's label: {metric: one number for each layer}}."""
    nonfinite: dict[str, int]
    """{label: draws with an infinite or undefined entry}; left out of the layers they are in."""
    intervals: dict[str, dict[str, tuple[Ends | None, ...]]] = field(default_factory=dict)
    """{label: {metric: its 95 % interval in each layer, None where none is drawn}}."""
    laws: dict[str, dict[str, tuple[float, ...]]] = field(default_factory=dict)
    """{label: {metric: what the law says, for each layer; NaN where it says nothing}}."""
    lamps: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    """{label: {metric: agrees, disagrees, no law or too few draws, for each layer}}."""
    verdicts: dict[str, tuple[Verdict, ...]] = field(default_factory=dict)
    """{label: whether it is biased, for each layer}; from 512 draws on."""
    targets: dict[str, bool] = field(default_factory=dict)
    """{label: whether the verdict is held against a target of its own, not the exact gradient}."""
    findings: dict[str, tuple[Finding, ...]] = field(default_factory=dict)
    """{label: what is wrong, for each layer}."""
    drawn: dict[str, Drawn] = field(default_factory=dict)
    """{label: its draws one by one}."""
    sources: dict[str, str] = field(default_factory=dict)
    """{label: honest or oracle}, how the draws came about."""

    def rows(self) -> Iterator[Row]:
        """Every number, as it becomes a point of a series."""
        for layer, norm in zip(self.layers, self.exact_norm, strict=True):
            yield Row("exact/norm", layer, "", norm)
        for label, metrics in self.values.items():
            for metric, numbers in metrics.items():
                for layer, number in zip(self.layers, numbers, strict=True):
                    yield Row(metric, layer, label, number)

    def value(self, metric: str, estimator: str, layer: str = "") -> float:
        """One number. Raises KeyError, saying what there is."""
        metrics = _known("estimator", estimator, self.values)
        numbers = _known("metric", metric, metrics)
        return numbers[self.place(layer)]

    def place(self, layer: str) -> int:
        """Where a layer's numbers are. Raises KeyError, saying which there are."""
        return _known("layer", layer, {name: i for i, name in enumerate(self.layers)})

    def table(self, level: str = "stage") -> Table:
        """Measures with their intervals, laws, lamps and verdicts: of the network and its stages,
        or (`level="tensor"`) of all tensors too.
        """
        return measures_table(self, self._shown(level))

    def why(self, level: str = "stage", anatomies: Mapping[str, Anatomy] | None = None) -> Table:
        """Why is mine bad? What is wrong in each layer, and what would mend it, in sentences.

        With {label: its anatomy} (`anatomy(…).of`) also whether a larger batch would.
        """
        return findings_table(self, self._shown(level), anatomies or {})

    def _shown(self, level: str) -> list[int]:
        if level not in LEVELS:
            raise ValueError(f"level is {level!r}; allowed are {', '.join(LEVELS)}")
        tensors = self.tensors if level == "stage" else ()
        return [i for i, layer in enumerate(self.layers) if layer not in tensors]

    @property
    def tensors(self) -> tuple[str, ...]:
        """The layers that are tensors: those behind the whole network and the stages."""
        wholes = next((len(one.layers) for one in self.drawn.values()), len(self.layers))
        return self.layers[wholes:]

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON: what is not a finite number becomes None."""
        return {
            "draws": self.draws,
            "loss": _plain(self.loss),
            "nonfinite": self.nonfinite,
            "rows": [self._plain_row(row) for row in self.rows()],
            "verdicts": {
                label: [{**asdict(v), "bias": _plain(v.bias), "bound": _plain(v.bound)} for v in of]
                for label, of in self.verdicts.items()
            },
            "findings": {
                label: [asdict(one) for one in found] for label, found in self.findings.items()
            },
        }

    def _plain_row(self, row: Row) -> dict[str, object]:
        i = self.layers.index(row.layer)
        plain = {**row._asdict(), "value": _plain(row.value)}
        ends = self.intervals.get(row.estimator, {}).get(row.metric)
        law = self.laws.get(row.estimator, {}).get(row.metric)
        lamp = self.lamps.get(row.estimator, {}).get(row.metric)
        if ends is not None:
            plain["interval"] = ends[i]
        if law is not None:
            plain["law"] = _plain(law[i])
        if lamp is not None:
            plain["lamp"] = lamp[i]
        if row.estimator:
            plain["source"] = self.sources.get(row.estimator, "honest")
        return plain

    def __str__(self) -> str:
        return str(self._brief())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self._brief()._repr_html_()

    def _brief(self) -> Table:
        """The table; of a deep network, of the whole alone."""
        shown = self._shown("stage")
        return measures_table(self, shown if len(shown) <= DEEP else [0])


def _known(what: str, name: str, held: dict[str, T]) -> T:
    if name not in held:
        there = ", ".join(repr(one) for one in held)
        raise KeyError(f"there is no {what} {name!r}; there are {there}")
    return held[name]


def _plain(x: float) -> float | None:
    return x if math.isfinite(x) else None
