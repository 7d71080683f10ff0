"""The numbers of a measurement: every measure, for every layer and estimator."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal, NamedTuple, TypeVar

from estimators.measurement.estimates.bias_test import BiasVerdict
from estimators.measurement.results.draw_record import DrawRecord
from estimators.statistics.diagnosis import Finding
from estimators.statistics.direction import points_uphill
from estimators.statistics.law_check import LawCheck
from estimators.statistics.reference import OF_THE_REFERENCE, is_rounding, null_band
from estimators.statistics.rounding import Rounding
from estimators.statistics.tails import UNAFFECTED

Ends = tuple[float, float]
"""Low and high end of an interval."""
T = TypeVar("T")


class Row(NamedTuple):
    """One number. `layer` is "" for the network, else a stage's name or a tensor's."""

    metric: str
    layer: str
    estimator: str
    value: float


class Null(NamedTuple):
    """What an estimator would give if its noise or feedback had nothing to do with the gradient."""

    cosine: tuple[float, float]
    """The ends between which 95 % of the cosines lie."""
    scaled_error: float
    """What 95 % of the scaled errors exceed."""
    redrawn: Literal["feedback", "signs"]
    """What is redrawn: the feedback itself, or the signs of the units' parts."""


@dataclass(frozen=True, repr=False)
class MeasurementData:
    """Draws of several estimators at one point, compared with the exact gradient there."""

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
    """{label: draws with an infinite or undefined entry}; each is left out of the layers that have
    such an entry."""
    lost: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """{label: draws with such an entry in each layer}."""
    not_converged: dict[str, int] = field(default_factory=dict)
    """{label: draws that rest on at least one solve of an equilibrium that did not converge}; empty
    for a network without equilibria. These draws count in the measures."""
    reference_not_converged: int | None = None
    """The most examples of a solve that did not converge for the exact gradient; None for a network
    without equilibria."""
    exact_floor: tuple[float, ...] = ()
    """The rounding error of the exact gradient in each layer, NaN where it is not known."""
    growth: dict[str, float] = field(default_factory=dict)
    """{stage: how much the activations grow in it}."""
    redrawn: dict[str, dict[str, tuple[float, ...]]] = field(default_factory=dict)
    """{label: {cosine, cosine_sd, scaled_error: of the estimator with its feedback redrawn, in each
    layer}}; of those with feedback."""
    heavy: dict[str, tuple[bool | None, ...]] = field(default_factory=dict)
    """{label: whether the draws are heavy-tailed in each layer, so that intervals are too narrow};
    None for fewer than 256 draws."""
    intervals: dict[str, dict[str, tuple[Ends | None, ...]]] = field(default_factory=dict)
    """{label: {metric: its 95 % interval in each layer, None where there is none}}."""
    rounding: dict[str, Rounding] = field(default_factory=dict)
    """{label: the rounding of the loss beside the differences of it that the estimator takes}."""
    laws: dict[str, dict[str, tuple[float, ...]]] = field(default_factory=dict)
    """{label: {metric: the law's value for each layer, NaN where it gives none}}."""
    law_checks: dict[str, dict[str, tuple[LawCheck, ...]]] = field(default_factory=dict)
    """{label: {metric: whether measure and law agree, for each layer}}."""
    verdicts: dict[str, tuple[BiasVerdict, ...]] = field(default_factory=dict)
    """{label: whether it is biased, for each layer}; from 512 draws on."""
    targets: dict[str, bool] = field(default_factory=dict)
    """{label: whether the verdict is about a target of its own, not the exact gradient}."""
    findings: dict[str, tuple[Finding, ...]] = field(default_factory=dict)
    """{label: what is wrong, for each layer}."""
    drawn: dict[str, DrawRecord] = field(default_factory=dict)
    """{label: its draws one by one}."""
    sources: dict[str, str] = field(default_factory=dict)
    """{label: honest or oracle}: how the draws were made."""
    notices: tuple[str, ...] = ()
    """What the reader must know about the objective, such as that its examples are coupled."""

    def rows(self) -> Iterator[Row]:
        """Every number, one row each."""
        for layer, norm in zip(self.layers, self.exact_norm, strict=True):
            yield Row("exact/norm", layer, "", norm)
        for layer, floor in zip(self.layers, self.exact_floor, strict=False):
            if math.isfinite(floor):
                yield Row("reference/floor", layer, "", floor)
        for stage, growth in self.growth.items():
            yield Row("reference/growth", stage, "", growth)
        for label, metrics in self.values.items():
            for metric, numbers in metrics.items():
                for layer, number in zip(self.layers, numbers, strict=True):
                    yield Row(metric, layer, label, number)
        for label, metrics in self.redrawn.items():
            for metric, numbers in metrics.items():
                for layer, number in zip(self.layers, numbers, strict=True):
                    yield Row(f"redrawn/{metric}", layer, label, number)

    def value(self, metric: str, estimator: str, layer: str = "") -> float:
        """One number. Raises KeyError with the names that there are."""
        metrics = _item("estimator", estimator, self.values)
        numbers = _item("metric", metric, metrics)
        return numbers[self.place(layer)]

    def place(self, layer: str) -> int:
        """The index of a layer. Raises KeyError with the names that there are."""
        return _item("layer", layer, {name: i for i, name in enumerate(self.layers)})

    def is_rounding(self, layer: str = "") -> bool:
        """Whether the exact gradient of a layer is below 10 times its rounding error, so that what
        is measured against it means nothing."""
        i = self.place(layer)
        return bool(self.exact_floor) and is_rounding(self.exact_norm[i], self.exact_floor[i])

    def null(self, estimator: str, layer: str = "") -> Null:
        """What chance gives: by redrawing feedback where there is some, else the signs of units."""
        values, i = _item("estimator", estimator, self.values), self.place(layer)
        if estimator in self.redrawn:
            redrawn = {name: numbers[i] for name, numbers in self.redrawn[estimator].items()}
            band = null_band(redrawn["cosine"], redrawn["cosine_sd"])
            return Null(band, redrawn["scaled_error"], "feedback")
        band = null_band(0.0, values["cosine_null"][i])
        return Null(band, values["scaled_error_null"][i], "signs")

    def points_uphill(self, estimator: str, layer: str = "") -> bool:
        """Whether the mean of the draws points uphill, by more than their noise explains.

        Of a gradient that is rounding, no slope is one.
        """
        values, i = self.values[estimator], self.place(layer)
        if "along" not in values or self.is_rounding(layer):
            return False
        lost = self.lost[estimator][i] if estimator in self.lost else 0
        return points_uphill(values["along"][i], values["along_se"][i], self.draws - lost - 1)

    @property
    def tensors(self) -> tuple[str, ...]:
        """The layers that are tensors: those after the whole network and the stages."""
        wholes = next((len(record.layers) for record in self.drawn.values()), len(self.layers))
        return self.layers[wholes:]

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON: what is not a finite number becomes None."""
        return {
            "draws": self.draws,
            "loss": _finite(self.loss),
            "nonfinite": self.nonfinite,
            "not_converged": self.not_converged,
            "reference_not_converged": self.reference_not_converged,
            "notices": list(self.notices),
            "rows": [self._row_dict(row) for row in self.rows()],
            "verdicts": {
                label: [
                    {**asdict(v), "bias": _finite(v.bias), "bound": _finite(v.bound)}
                    for v in verdicts
                ]
                for label, verdicts in self.verdicts.items()
            },
            "findings": {
                label: [asdict(finding) for finding in findings]
                for label, findings in self.findings.items()
            },
        }

    def _row_dict(self, row: Row) -> dict[str, object]:
        i = self.layers.index(row.layer)
        plain = {**row._asdict(), "value": _finite(row.value)}
        ends = self.intervals.get(row.estimator, {}).get(row.metric)
        law = self.laws.get(row.estimator, {}).get(row.metric)
        checks = self.law_checks.get(row.estimator, {}).get(row.metric)
        if ends is not None:
            plain["interval"] = ends[i]
            if row.metric not in UNAFFECTED:
                plain["heavy_tail"] = self.heavy[row.estimator][i] if self.heavy else None
        if law is not None:
            plain["law"] = _finite(law[i])
        if checks is not None:
            plain["law_check"] = checks[i].words
        if row.metric in OF_THE_REFERENCE and self.is_rounding(row.layer):
            plain["rounding"] = True
        if row.estimator:
            plain["source"] = self.sources.get(row.estimator, "honest")
        return plain


def _item(kind: str, name: str, items: Mapping[str, T]) -> T:
    if name not in items:
        names = ", ".join(map(repr, items))
        raise KeyError(f"there is no {kind} {name!r}; there are {names}")
    return items[name]


def _finite(x: float) -> float | None:
    return x if math.isfinite(x) else None
