"""`show`: every figure of what was measured, with one call."""

from collections.abc import Callable, Mapping
from typing import Any

from backend.figures import Memory
from backend.notebook import series
from backend.notebook.views import (
    AdjointMapViews,
    AnatomyViews,
    ComparisonViews,
    MeasurementViews,
    SweepViews,
    Views,
    WhatIfViews,
)
from estimators.measurement.adjoints.result import AdjointMap
from estimators.measurement.anatomy import Anatomies
from estimators.measurement.compare import Compared
from estimators.measurement.results.measurement import Measurement
from estimators.measurement.sweep import Sweep
from estimators.measurement.what_if import WhatIfs

_KINDS: Mapping[type, tuple[Callable[[Any, str], Memory], type[Views]]] = {
    Measurement: (series.of_measurement, MeasurementViews),
    Sweep: (series.of_sweep, SweepViews),
    Anatomies: (series.of_anatomy, AnatomyViews),
    WhatIfs: (series.of_one_step, WhatIfViews),
    AdjointMap: (series.of_adjoint_map, AdjointMapViews),
    Compared: (series.of_comparison, ComparisonViews),
}


def show(result: Any, name: str = "") -> Views:
    """The figures of what `measure`, `sweep`, `compare`, `anatomy`, `what_if` or `adjoint_map`
    gave: a notebook shows them below each other; each is a method, and `save` writes all into one
    file.

    `name` stands above them. Raises TypeError for anything else.
    """
    if type(result) not in _KINDS:
        allowed = "what measure, sweep, compare, anatomy, what_if or adjoint_map returned"
        raise TypeError(f"{type(result).__name__} was given; {allowed} is allowed")
    source, views = _KINDS[type(result)]
    return views(source(result, name), result, _words(result))


def _words(result: Any) -> str:
    """What is to be said of the whole network, a line an estimator."""
    if isinstance(result, WhatIfs):
        return "\n".join(f"{label}: {what_if.text}" for label, what_if in result.by_label.items())
    if not isinstance(result, Measurement):
        return ""
    texts_of = {label: [] for label in result.values}
    for by_label in (result.findings, result.verdicts):
        for label, each in by_label.items():
            texts_of[label].append(each[0].text)
    return "\n".join(f"{label}: {'; '.join(texts)}" for label, texts in texts_of.items())
