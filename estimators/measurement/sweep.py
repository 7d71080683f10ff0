"""`sweep`: the same measurement at several values of one field of the estimators, of the batch's
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
from estimators.measurement.measure import of_subject
from estimators.measurement.results.measurement import Measurement
from estimators.measurement.results.table import Table
from estimators.measurement.results.tabulated import SHOWN, measure_rows, note

BATCH_SIZE = "batch_size"
Network = nn.Module | Callable[[Any], nn.Module]
"""A module; or what makes one of each value of a field of its own."""


@dataclass(frozen=True, repr=False)
class Sweep:
    """A measurement at each value of a field."""

    field: str
    """`batch_size`, an estimator's field, or the network's: what its maker is called with."""
    values: tuple[Any, ...]
    measurements: tuple[Measurement, ...]
    """At each of the values."""
    of_network: bool = False
    """Whether another network was made at each value."""
    parameters: tuple[int, ...] = ()
    """Numbers that each network learns."""
    described: dict[str, dict[str, Any]] = field_(default_factory=dict)
    """{label: the estimator's name and fields, but for the one that is swept}."""

    def of(self, metric: str, estimator: str, layer: str = "") -> list[float]:
        """A measure at each value. Raises KeyError, saying what there is."""
        return [one.value(metric, estimator, layer) for one in self.measurements]

    def table(self, layer: str = "") -> Table:
        """The measures of a layer, a row a value."""
        rows = []
        first = self.measurements[0]
        for label in first.values:
            for value, one in zip(self.values, self.measurements, strict=True):
                for row in measure_rows(one, label, one.place(layer), SHOWN):
                    rows.append([row[1], str(value) if row[0] else "", *row[2 : 2 + len(SHOWN)]])
        heads = [metric.replace("_", " ") for metric in SHOWN]
        where = layer or "the network"
        title = f"{where}, {first.draws} draws at each value of {self.field}"
        told = note(first, sources=self._sources())
        return Table(title, ["estimator", self.field, *heads], rows, told)

    def _sources(self) -> dict[str, str]:
        """{label: honest or oracle}; values that differ from its others have a key of their own."""
        found = {}
        for label in self.measurements[0].values:
            pairs = list(zip(self.values, self.measurements, strict=True))
            honest = [str(v) for v, one in pairs if one.sources.get(label) == "honest"]
            if len(honest) < len(pairs):
                found[label] = "oracle"
            if honest:
                where = f" at {self.field} {', '.join(honest)}" if label in found else ""
                found[label + where] = "honest"
        return found

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
    """Measure at each of `values` of `field`, everything else held still.

    `field` is one of the estimators' (`tangents`; `inner.eps` of a held one; those without it are
    left out), `batch_size` (the first examples of `batch`), or, where `module` is a function that
    makes a network of one value, any name: `sweep(mlp, …, field="width", values=[16, 64])`. The
    `source` is `measure`'s, for each value by itself. Raises as `measure` does.

    >>> sweep(net, loss, (x, y), [SPSA()], "pairs", [1, 4, 16])  # doctest: +SKIP
    """
    whole("draws", draws)
    named, found, sizes = named_estimators(estimators), [], []
    made = not isinstance(module, nn.Module) and callable(module)
    kept = named if made or field == BATCH_SIZE else _with(named, field)
    for value in (ordered := _values(values)):
        here = {label: e if kept is named else vary(e, field, value) for label, e in kept.items()}
        network = module(value) if made else module
        one = _first(batch, value) if field == BATCH_SIZE and not made else batch
        of = subject(network, loss, one, here, seed, separable)  # type: ignore[arg-type]
        sizes.append(sum(p.numel() for p in of.params.values()))
        found.append(of_subject(of, draws, seed, progress, f"{field} {value}, ", source))
    told = {label: described(e) for label, e in kept.items()}
    return Sweep(field, tuple(ordered), tuple(found), made, tuple(sizes), told)


def _with(named: Mapping[str, Estimator], field: str) -> dict[str, Estimator]:
    """Those that have the field."""
    found = {label: one for label, one in named.items() if has(one, field)}
    if not found:
        there = dict.fromkeys(name for one in named.values() for name in names(one))
        raise ValueError(
            f"field is {field!r}; allowed are {', '.join([*there, BATCH_SIZE])}, or a function "
            "that makes the network of a value in place of the module"
        )
    return found


def _values(values: Any) -> list[Any]:
    """Each once, numbers in order."""
    if isinstance(values, str) or not isinstance(values, Sequence) or len(values) < 2:
        raise ValueError(f"values is {values!r}; a list of two or more is allowed")
    found = list(values)
    if any(one in found[:i] for i, one in enumerate(found)):
        raise ValueError(f"values is {values!r}; each may come once")
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in found)
    if numbers and not all(math.isfinite(v) for v in found):
        raise ValueError(f"values is {values!r}; finite numbers are allowed")
    return sorted(found) if numbers else found


def _first(batch: Batch, size: Any) -> Batch:
    x, y = batch
    if not 1 <= whole("batch_size", size) <= len(x):
        raise ValueError(f"batch_size is {size}; from 1 to the batch's {len(x)} is allowed")
    return x[:size], y[:size]
