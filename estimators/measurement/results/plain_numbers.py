"""Observations as a table of plain numbers."""

import math
from collections.abc import Iterable

from torch import Tensor

from estimators.core.contract import Coverage
from estimators.measurement.draws.recorded import drawn
from estimators.measurement.estimates.diagnosis import diagnose
from estimators.measurement.estimates.observation import Observation
from estimators.measurement.estimates.verdicts import LEAST
from estimators.measurement.results.measurement import Ends, Measurement


def measured(found: Iterable[Observation]) -> Measurement:
    """All that is known of the observations that `found` gives, each as it is at the end.

    Takes what `observe` yields, or finished observations. Raises ValueError without any.
    """
    last = {one.label: one for one in found}
    if not last:
        raise ValueError("no observation was given; a measurement is made of at least one")
    at = next(iter(last.values())).at
    told = {
        label: o.verdicts() for label, o in last.items() if o.sketch is not None and len(o) >= LEAST
    }
    return Measurement(
        draws=max(map(len, last.values())),
        loss=at.loss,
        layers=at.layers,
        exact_norm=tuple(at.norms.tolist()),
        values={label: _plain(o.values()) for label, o in last.items()},
        nonfinite={label: o.moments.nonfinite for label, o in last.items()},
        intervals={
            label: {m: _ends(*both) for m, both in o.intervals().items()}
            for label, o in last.items()
        },
        laws={label: _plain(laws) for label, o in last.items() if (laws := o.theory())},
        lamps={
            label: {m: tuple(each) for m, each in lamps.items()}
            for label, o in last.items()
            if (lamps := o.lamps())
        },
        targets={label: _target(o) for label, o in last.items()},
        findings={
            label: diagnose(
                o,
                _coverage(o),
                estimators=len(last),
                convicted=[v.layer for v in told.get(label, ()) if v.biased],
            )
            for label, o in last.items()
        },
        drawn={label: drawn(o) for label, o in last.items()},
        verdicts=told,
        sources={label: o.source for label, o in last.items()},
    )


def _target(of: Observation) -> bool:
    return of.estimator.target(of.at.objective, of.at.params, of.state) is not None


def _coverage(of: Observation) -> dict[str, Coverage]:
    return of.estimator.coverage(of.at.objective, of.at.params)


def _plain(found: dict[str, Tensor]) -> dict[str, tuple[float, ...]]:
    return {metric: tuple(x.tolist()) for metric, x in found.items()}


def _ends(low: Tensor, high: Tensor) -> tuple[Ends | None, ...]:
    pairs = zip(low.tolist(), high.tolist(), strict=True)
    return tuple((a, b) if math.isfinite(a) and math.isfinite(b) else None for a, b in pairs)
