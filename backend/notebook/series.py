"""A measurement as the series that a microscope reports, so that the same figures draw it."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from backend.figures import Memory, MemoryRun
from estimators.measurement.results.draw_record import DrawRecord
from estimators.measurement.results.measurement import Measurement
from estimators.statistics.law_check import LAW, RECORD
from estimators.statistics.student import half_width

RUN = "measurement"
"""The id of the one run that the source holds."""


def source(of: Measurement, name: str = "") -> Memory:
    """A source of one run, `RUN`, with every series that a microscope's run would have."""
    held = Memory()
    held.add_run(RUN, run(of, name))
    for layer, norm in zip(of.layers, of.exact_norm, strict=True):
        held.add(RUN, "exact/norm", [0], [norm], layer=layer)
    for label in of.values:
        found = of.drawn.get(label)
        if found is not None:
            _draws(held, label, found)
            _course(held, of, label, found)
        _last(held, of, label)
        _verdicts(held, of, label)
    return held


def run(of: Measurement, name: str = "", **asked: Any) -> MemoryRun:
    """A microscope's run, as far as figures ask; `asked` is what it was asked to look for."""
    driver, *shadows = of.values
    wholes = [layer for layer in of.layers if layer not in of.tensors]
    rows = [
        {"name": tensor, "stage": stage if (stage := tensor.partition(".")[0]) in wholes else ""}
        for tensor in of.tensors
    ]
    return MemoryRun(
        None,
        name or f"{of.draws:,} draws at loss {of.loss:.4g}",
        config={"microscope": {"step": None, "draws": of.draws, "sweep": None, **asked}},
        labels={"driver": driver, "shadows": shadows},
        facts={"layers": rows},
    )


def _draws(held: Memory, label: str, found: DrawRecord) -> None:
    columns = {"cosine": found.cosine, "norm_ratio": found.norm_ratio, "along": found.along}
    for name, table in columns.items():
        for layer, values in zip(found.layers, table.T.tolist(), strict=True):
            held.add(RUN, f"draw/{name}", range(len(values)), values, layer=layer, estimator=label)
    if found.across is not None:
        values = found.across.tolist()
        held.add(RUN, "draw/across", range(len(values)), values, estimator=label)


def _course(held: Memory, of: Measurement, label: str, found: DrawRecord) -> None:
    """The measures at 8, 16, 32, … draws."""
    steps = list(found.course)
    for name in of.values[label]:
        kept = [k for k in steps if name in found.course[k]]
        for i, layer in enumerate(of.layers if kept else ()):
            values = [found.course[k][name][i] for k in kept]
            held.add(RUN, name, kept, values, layer=layer, estimator=label)


def _last(held: Memory, of: Measurement, label: str) -> None:
    """What is known of all draws: standard errors, laws, how many were lost."""
    for name, values in known(of, label).items():
        for layer, value in zip(of.layers, values, strict=True):
            if math.isfinite(value):
                held.add(RUN, name, [of.draws], [value], layer=layer, estimator=label)
    held.add(RUN, "draw/nonfinite", [of.draws], [of.nonfinite[label]], estimator=label)
    if "oracle" in of.sources.values():
        by_oracle = float(of.sources[label] == "oracle")
        held.add(RUN, "draw/oracle", [0], [by_oracle], estimator=label)


def known(of: Measurement, label: str) -> dict[str, Sequence[float]]:
    """Standard errors where a 95 % interval holds, laws and law checks, for each layer; else
    NaN."""
    told: dict[str, Sequence[float]] = {}
    for name, ends in of.intervals.get(label, {}).items():
        if name != "relative_squared_bias":  # which has its own
            told[f"{name}_se"] = [_half(each, of.draws) for each in ends]
    for name, checks in of.law_checks.get(label, {}).items():
        told[RECORD + name] = [check.record for check in checks]
    return told | {LAW + name: law for name, law in of.laws.get(label, {}).items()}


def _half(ends: tuple[float, float] | None, draws: int) -> float:
    """The standard error that an interval is made of."""
    if ends is None:
        return math.nan
    return (ends[1] - ends[0]) / (2 * half_width(max(2, draws)))


def _verdicts(held: Memory, of: Measurement, label: str) -> None:
    if of.verdicts.get(label):
        target = float(of.targets.get(label, False))
        held.add(RUN, "verdict/target", [of.draws], [target], estimator=label)
    for one in of.verdicts.get(label, ()):
        told = np.nan if one.biased is None else float(one.biased)
        for name, value in {"biased": told, "bias": one.bias, "bound": one.bound}.items():
            held.add(RUN, f"verdict/{name}", [of.draws], [value], layer=one.layer, estimator=label)
