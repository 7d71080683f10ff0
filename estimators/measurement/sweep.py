"""`sweep`: the same measurement at several values of one field of the estimators, of the batch
size, or of the network.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as field_
from typing import Any

from torch import nn

from estimators.measurement.draws.stream import Source
from estimators.measurement.inputs.fields import described, has, names, vary
from estimators.measurement.inputs.subject import (
    Batch,
    Estimator,
    Estimators,
    Loss,
    Progress,
    named_estimators,
    subject,
    whole,
)
from estimators.measurement.measure import measure_subject
from estimators.measurement.results.measurement import Measurement
from estimators.measurement.results.table import Table
from estimators.measurement.results.tables import SHOWN, measure_rows, note

BATCH_SIZE = "batch_size"
Network = nn.Module | Callable[[Any], nn.Module]
"""A module, or a function that makes one from the value of its field."""


@dataclass(frozen=True, repr=False)
class Sweep:
    """A measurement at each value of a field."""

    field: str
    """`batch_size`, a field of the estimators, or the name of what the network is made from."""
    values: tuple[Any, ...]
    measurements: tuple[Measurement, ...]
    """One at each of the values."""
    of_network: bool = False
    """Whether a network was made from each value."""
    parameters: tuple[int, ...] = ()
    """Trainable parameters of each network."""
    described: dict[str, dict[str, Any]] = field_(default_factory=dict)
    """{label: the estimator's name and fields}."""

    def values_of(self, metric: str, estimator: str, layer: str = "") -> list[float]:
        """A measure at each value. Raises KeyError with the names that there are."""
        return [m.value(metric, estimator, layer) for m in self.measurements]

    def table(self, layer: str = "") -> Table:
        """The measures of a layer, one row for each value."""
        rows = []
        first = self.measurements[0]
        for label in first.values:
            for value, measurement in zip(self.values, self.measurements, strict=True):
                for row in measure_rows(measurement, label, measurement.place(layer), SHOWN):
                    rows.append([row[1], str(value) if row[0] else "", *row[2 : 2 + len(SHOWN)]])
        heads = [metric.replace("_", " ") for metric in SHOWN]
        where = layer or "the network"
        title = f"{where}, {first.draws} draws at each value of {self.field}"
        rounded = any(each.is_rounding(layer) for each in self.measurements)
        below = note(first, sources=self._sources(), hatched=rounded)
        head = ["estimator", self.field, *heads]
        return Table(title, head, rows, below, notices=self.notices)

    @property
    def notices(self) -> tuple[str, ...]:
        """What the reader must know about the objectives."""
        return tuple(dict.fromkeys(notice for m in self.measurements for notice in m.notices))

    def _sources(self) -> dict[str, str]:
        """{label: honest or oracle}. Where only some values were drawn honestly, they get a key
        that names them."""
        sources = {}
        for label in self.measurements[0].values:
            pairs = list(zip(self.values, self.measurements, strict=True))
            honest = [str(v) for v, at in pairs if at.sources.get(label) == "honest"]
            if len(honest) < len(pairs):
                sources[label] = "oracle"
            if honest:
                where = f" at {self.field} {', '.join(honest)}" if label in sources else ""
                sources[label + where] = "honest"
        return sources

    def __str__(self) -> str:
        return str(self.table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


def sweep(
    module: Network,
    loss: Loss,
    batch: Batch,
    estimators: Estimators,
    field: str,
    values: Sequence[Any],
    draws: int = 64,
    seed: int = 0,
    *,
    source: Source = "honest",
    separable: bool | None = None,
    progress: Progress | None = None,
) -> Sweep:
    """Measure at each of `values` of one field, with everything else kept as it is.

    Args:
        module: the network; or a function that makes one from a value, and then `field` may be any
            name: `sweep(mlp, …, field="width", values=[16, 64])`.
        loss, estimators, draws, seed, separable, progress: as for `measure`.
        batch: (x, y).
        field: a field of the estimators (`tangents`; `inner.eps` of a nested estimator; estimators
            without it are left out), or `batch_size` (the first examples of `batch`).
        values: two or more values, each once.
        source: as for `measure`, for each value by itself.

    Raises:
        ValueError: for a field or values that do not fit; else as `measure` does.

    >>> sweep(net, loss, (x, y), [SPSA()], "pairs", [1, 4, 16])  # doctest: +SKIP
    """
    whole("draws", draws)
    named, measurements, sizes = named_estimators(estimators), [], []
    makes_network = not isinstance(module, nn.Module) and callable(module)
    kept = named if makes_network or field == BATCH_SIZE else _with(named, field)
    ordered = _ordered(values)
    for value in ordered:
        here = {label: e if kept is named else vary(e, field, value) for label, e in kept.items()}
        network = module(value) if makes_network else module
        cut = field == BATCH_SIZE and not makes_network
        examples = _first_examples(batch, value) if cut else batch
        measured = subject(network, loss, examples, here, seed, separable)  # type: ignore[arg-type]
        sizes.append(sum(p.numel() for p in measured.params.values()))
        before = f"{field} {value}, "
        measurements.append(
            measure_subject(measured, draws, seed, progress, before, source, redrawn=False)
        )
    fields = {label: described(e) for label, e in kept.items()}
    return Sweep(field, tuple(ordered), tuple(measurements), makes_network, tuple(sizes), fields)


def _with(named: Mapping[str, Estimator], field: str) -> dict[str, Estimator]:
    """The estimators that have the field."""
    kept = {label: estimator for label, estimator in named.items() if has(estimator, field)}
    if not kept:
        allowed = dict.fromkeys(name for estimator in named.values() for name in names(estimator))
        raise ValueError(
            f"field is {field!r}; allowed are {', '.join([*allowed, BATCH_SIZE])}, or a function "
            "that makes the network of a value in place of the module"
        )
    return kept


def _ordered(values: Any) -> list[Any]:
    """The values, numbers in ascending order. Raises ValueError for a value that comes twice."""
    if isinstance(values, str) or not isinstance(values, Sequence) or len(values) < 2:
        raise ValueError(f"values is {values!r}; a list of two or more is allowed")
    given = list(values)
    if any(value in given[:i] for i, value in enumerate(given)):
        raise ValueError(f"values is {values!r}; each may come once")
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in given)
    if numbers and not all(math.isfinite(v) for v in given):
        raise ValueError(f"values is {values!r}; finite numbers are allowed")
    return sorted(given) if numbers else given


def _first_examples(batch: Batch, size: Any) -> Batch:
    x, y = batch
    if not 1 <= whole("batch_size", size) <= len(x):
        raise ValueError(f"batch_size is {size}; from 1 to the batch's {len(x)} is allowed")
    return x[:size], y[:size]
