"""Why an estimator is bad, from its latest probes: the question of the API, answered."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from estimators.statistics.diagnosis import Finding, explain, with_batch, without_reference
from estimators.statistics.formatting import share_not_finite, share_unconverged
from estimators.statistics.probes import is_usable, pooled
from estimators.statistics.reference import share_rounded
from estimators.statistics.rounding import Rounding


def diagnose(question: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A finding for each layer of a question, as `backend.figures.data.diagnosis.question` asks it.

    The question's fields:
        layers: {layer: {"members": [tensor], "probes": {measure: [one number for each probe]},
            "rounded": further probes, at which its exact gradient is rounding; "nonfinite": draws
            of all probes that are not finite, "unconverged": draws that rest on a solve that
            did not converge}}.
        draws: draws of each probe.
        coverage: {tensor: how its gradient comes about}, or None.
        anatomy: None, or {"batch": examples, "population": all of them, "layers": {layer:
            {"estimator", "fixed", "fixed_se"}}}.
        estimators: how many are diagnosed together.
        unbiased: whether the exact gradient is promised on average.
        rounding: None, or {"floor", "difference"}: of the loss and of the differences of it.
    """
    anatomy = question.get("anatomy") or {"batch": 0, "layers": {}}
    findings = []
    for layer, asked in question["layers"].items():
        finding = _finding(layer, asked, question)
        if layer in anatomy["layers"]:
            parts = {**anatomy["layers"][layer], "population": anatomy.get("population")}
            finding = with_batch(finding, anatomy["batch"], **parts)
        findings.append(asdict(finding))
    return findings


def _finding(layer: str, asked: Mapping[str, Any], question: Mapping[str, Any]) -> Finding:
    rounded = int(asked.get("rounded", 0))
    count = rounded + len(next(iter(asked["probes"].values())))
    if rounded and rounded == count:
        return without_reference(layer)
    finding = _of_the_rest(layer, asked, question, count)
    words = share_rounded(rounded, count, "probe")
    return replace(finding, text=f"{words}; of the rest: {finding.text}") if words else finding


def _of_the_rest(
    layer: str, asked: Mapping[str, Any], question: Mapping[str, Any], count: int
) -> Finding:
    """The finding from the probes whose exact gradient is more than rounding, of `count` in all."""
    names, lost = [*asked["probes"]], int(asked.get("nonfinite", 0))
    unconverged = int(asked.get("unconverged", 0))
    columns = zip(*asked["probes"].values(), strict=True)
    probes = [dict(zip(names, column, strict=True)) for column in columns]
    usable = [probe for probe in probes if is_usable(probe)]
    draws = question["draws"]
    if not usable:
        dead = not any(probe["exact/norm"] > 0 for probe in probes)
        return explain(layer, {"exact": 0.0 if dead else 1.0, "count": draws * dead})
    if len(usable) == 1:
        words = "one probe is too few to tell; wait for the next"
        if lost:
            words = f"{share_not_finite(lost, draws * count)}; {words}"
        if unconverged:
            words = f"{share_unconverged(unconverged, draws * count)}; {words}"
        return Finding(layer, "not finite" if lost else "unknown", words)
    numbers, rounding = pooled(usable, draws), question.get("rounding")
    # Draws of probes without a usable measure are counted as well.
    counts = {"nonfinite": lost, "count": max(1, draws * count - lost)}
    solves = {"unconverged": unconverged, "count": draws * count} if unconverged else {}
    return explain(
        layer,
        {**numbers, **solves, **(counts if lost else {})},
        asked["members"],
        question["coverage"],
        tests=len(question["layers"]) * question.get("estimators", 1),
        unbiased=question.get("unbiased", False),
        rounding=Rounding(**rounding) if rounding else None,
    )
