"""Observations as a measurement: plain numbers without tensors of parameters."""

import math
from collections.abc import Iterable, Mapping

from torch import Tensor

from estimators.measurement.estimates.bias_test import MIN_DRAWS
from estimators.measurement.estimates.diagnosis import diagnose
from estimators.measurement.estimates.observation import Observation
from estimators.measurement.results.data import Ends
from estimators.measurement.results.draw_record import record
from estimators.measurement.results.measurement import Measurement


def measurement_of(observations: Iterable[Observation], *, redrawn: bool = False) -> Measurement:
    """The measurement that consists of these observations.

    `observations` are those that `observe` yields (the last one of each label counts), or finished
    ones; `redrawn` adds the null by redrawing feedback. Raises ValueError without any.
    """
    last = {observation.label: observation for observation in observations}
    if not last:
        raise ValueError("no observation was given; a measurement is made of at least one")
    at = next(iter(last.values())).at
    verdicts = {
        label: o.verdicts()
        for label, o in last.items()
        if o.sketch is not None and len(o) >= MIN_DRAWS
    }
    laws = {label: values for label, o in last.items() if (values := o.theory())}
    return Measurement(
        draws=max(map(len, last.values())),
        loss=at.loss,
        layers=at.layers,
        exact_norm=tuple(at.norms.tolist()),
        values={label: _tuples(o.values()) for label, o in last.items()},
        nonfinite={label: o.moments.nonfinite for label, o in last.items()},
        lost={label: o.lost() for label, o in last.items()},
        not_converged={
            label: n for label, o in last.items() if (n := o.solves.unconverged) is not None
        },
        reference_not_converged=at.not_converged,
        exact_floor=() if at.floors is None else tuple(at.floors.tolist()),
        growth=dict(at.growth),
        rounding={label: r for label, o in last.items() if (r := o.rounding()) is not None},
        redrawn={
            label: _tuples(null._asdict())
            for label, o in last.items()
            if redrawn and (null := o.redrawn()) is not None
        },
        heavy={label: o.heavy_tails() for label, o in last.items()},
        intervals={
            label: {m: _ends(*ends) for m, ends in o.intervals().items()}
            for label, o in last.items()
        },
        laws={label: _tuples(values) for label, values in laws.items()},
        law_checks={
            label: {m: tuple(checks) for m, checks in last[label].law_checks(values).items()}
            for label, values in laws.items()
        },
        targets={label: _has_target(o) for label, o in last.items()},
        findings={
            label: diagnose(
                o,
                o.estimator.coverage(o.at.objective, o.at.params),
                estimators=len(last),
                biased=[v.layer for v in verdicts.get(label, ()) if v.biased],
            )
            for label, o in last.items()
        },
        drawn={label: record(o) for label, o in last.items()},
        verdicts=verdicts,
        sources={label: o.source for label, o in last.items()},
    )


def _has_target(observation: Observation) -> bool:
    """Whether it estimates something else than the exact gradient."""
    at = observation.at
    return observation.estimator.target(at.objective, at.params, observation.state) is not None


def _tuples(values: Mapping[str, Tensor]) -> dict[str, tuple[float, ...]]:
    return {metric: tuple(x.tolist()) for metric, x in values.items()}


def _ends(low: Tensor, high: Tensor) -> tuple[Ends | None, ...]:
    pairs = zip(low.tolist(), high.tolist(), strict=True)
    return tuple((a, b) if math.isfinite(a) and math.isfinite(b) else None for a, b in pairs)
