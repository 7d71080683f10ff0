"""What each estimator of a run is like, in a sentence: by its diagnosis, layer by layer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backend.figures.data import diagnosis as asked
from backend.figures.data import plane
from backend.figures.data.query import WINDOW, parse
from backend.figures.data.select import estimators
from backend.figures.data.source import RunLike, Source
from backend.figures.findings.finding import FAULT, REMARK, Finding, places, short_layers
from backend.figures.summary.exact import exact_stages
from backend.figures.summary.scoreboard import BACKPROP_PASSES
from backend.figures.words.names import capital, one_line, short_names
from backend.figures.words.numbers import percent, two_digits
from backend.figures.words.sentences import MIN_PROBES, fitting, joined, too_early
from estimators.statistics.findings import diagnose

MOST_DRAWS = 1_000_000
"""A crossing at more draws is of no use."""
MANY_DRAWS = 20
"""Draws from which on the error of one draw is nearly 1, so that to bring it to 0.5 halves it."""
ACTIVE = ("running", "paused")
"""The states of a run that may still make probes."""
ORDER = ("not finite", "rounding", "uphill", "direction", "variance", "no signal", "unknown",
         "scale")  # fmt: skip
"""Causes of which a finding tells, the gravest first."""


@dataclass(frozen=True)
class Diagnosed:
    """One estimator with its causes."""

    label: str
    name: str
    """Its short name."""
    whole: Mapping[str, Any]
    """The diagnosis of the whole network."""
    stages: Mapping[str, Mapping[str, Any]]
    """Those of its stages, in network order."""
    exact: Sequence[str]
    """Stages in which it is the exact gradient, where it is not in all."""
    unbiased: bool
    along: Mapping[str, float]
    """The mean cosine with the exact gradient in the other stages."""

    @property
    def judged(self) -> dict[str, str]:
        """{layer: cause} of the layers that count: of the whole network alone, without stages."""
        causes = {layer: _cause(found) for layer, found in self.stages.items()}
        return causes or {"": _cause(self.whole)}


def findings(source: Source, run_id: str, run: RunLike, stages: Sequence[str]) -> list[Finding]:
    """At most one finding an estimator; one for all of them while there are too few probes."""
    labels, members = estimators(run), asked.members(run)
    layers = {layer: members[layer] for layer in ("", *stages) if layer in members}
    names, exact = short_names(labels), exact_stages(source, run_id, WINDOW)
    made, fewest = [], 0
    for label in labels:
        question = asked.question(source, run_id, label, WINDOW, layers)
        if question["probes"] < MIN_PROBES:
            fewest = max(fewest, question["probes"])
            continue
        by_layer = {each["layer"]: each for each in diagnose(question)}
        whole = by_layer.pop("", None)
        if whole is None:
            continue
        own = exact.get(label, [])
        rest = [layer for layer in by_layer if layer not in own]
        along = _along(source, run_id, label, rest if own else [])
        case = Diagnosed(label, names[label], whole, by_layer, own, question["unbiased"], along)
        made += _finding(case)
    if not made and run.status in ACTIVE and _is_early(source, run_id, labels):
        return [Finding("early", REMARK, too_early(fewest), where="")]
    return made


def _is_early(source: Source, run_id: str, labels: Sequence[str]) -> bool:
    """Whether a run that measures its estimators has made fewer than `MIN_PROBES` probes."""
    counts = [
        s.count
        for s in source.series(run_id)
        if s.metric == "relative_variance" and not s.layer and s.estimator in labels
    ]
    return bool(counts) and max(counts) < MIN_PROBES


def _cause(finding: Mapping[str, Any]) -> str:
    """The cause of a diagnosis; a direction that raises the loss is a cause of its own, also where
    it is that of the parameters which a signal reaches."""
    if finding["cause"] in ("direction", "no signal") and "points uphill" in finding["text"]:
        return "uphill"
    return str(finding["cause"])


def _along(source: Source, run_id: str, label: str, layers: Sequence[str]) -> dict[str, float]:
    means = {}
    for series in source.series(run_id):
        if (series.metric, series.estimator) == ("cosine", label) and series.layer in layers:
            values = source.points(series.id, newest=WINDOW).values
            finite = values[np.isfinite(values)]
            if len(finite):
                means[series.layer] = float(finite.mean())
    return {layer: means[layer] for layer in layers if layer in means}


def _finding(case: Diagnosed) -> list[Finding]:
    causes = case.judged
    gravest = next((cause for cause in ORDER if cause in causes.values()), "")
    if not gravest:
        return []
    layers = [layer for layer, cause in causes.items() if cause == gravest]
    if case.exact and gravest in ("uphill", "direction", "unknown", "no signal"):
        return [_right_in(case, gravest)]
    return [_SENTENCES[gravest](case, layers, places(layers, len(case.stages)))]


def _right_in(case: Diagnosed, gravest: str) -> Finding:
    """Exact in some layers, and without a part of the gradient in the others."""
    inside = (
        joined(short_layers(case.exact)) if len(case.exact) <= 2 else f"{len(case.exact)} layers"
    )
    title = fitting(
        f"{case.name} is right in {inside} alone", f"{case.name} is right in few layers"
    )
    text = _points(case.along)
    if gravest in ("uphill", "direction"):
        text += " It is biased: more draws cannot help."
    layer = next(iter(case.along), "")
    return Finding("right in some", REMARK, title, text.strip(), None, None, case.label, layer,
                   "layers")  # fmt: skip


def _points(along: Mapping[str, float]) -> str:
    """`hidden1 and hidden2 point −1.4 and 7.6 % along.`"""
    if not along:
        return ""
    if len(along) > 3:
        low, high = min(along.values()), max(along.values())
        return f"The other {len(along)} layers point {percent(low)} to {percent(high)} along."
    verb = "points" if len(along) == 1 else "point"
    shares = [percent(value).removesuffix(" %") for value in along.values()]
    return f"{joined(short_layers([*along]))} {verb} {joined(shares)} % along."


def _not_finite(case: Diagnosed, layers: Sequence[str], where: str) -> Finding:
    title = fitting(f"draws of {case.name} are not finite {where}", f"{case.name} is not finite")
    text = _first(case, layers).split(";")[0]
    text = f"{capital(text)}. A lower learning rate keeps the weights smaller."
    return _made("not finite", FAULT, title, text, case, layers)


def _rounding(case: Diagnosed, layers: Sequence[str], where: str) -> Finding:
    title = fitting(f"the loss is too coarse for the differences of {case.name}")
    text = f"{capital(_first(case, layers))}."
    return _made("rounding", FAULT, title, text, case, layers, "variance")


def _uphill(case: Diagnosed, layers: Sequence[str], where: str) -> Finding:
    is_whole = _cause(case.whole) == "uphill"
    title = fitting(
        f"{case.name} points uphill {'' if is_whole else where}", f"{case.name} points uphill"
    )
    text = "A step along it raises the loss, whatever the number of draws."
    if case.unbiased:
        text += " It promises the exact gradient, so its sign is wrong."
    severity = FAULT if is_whole or case.unbiased else REMARK
    return _made("uphill", severity, title, text, case, layers)


def _direction(case: Diagnosed, layers: Sequence[str], where: str) -> Finding:
    title = fitting(
        f"{case.name} points across the gradient {where}", f"{case.name} points across it"
    )
    text = "It is biased: more draws cannot help."
    if case.unbiased:
        text = "It promises the exact gradient, so that this is a fault of its code."
    return _made("direction", FAULT if case.unbiased else REMARK, title, text, case, layers)


def _variance(case: Diagnosed, layers: Sequence[str], where: str) -> Finding:
    draws = case.whole["draws"] if _cause(case.whole) == "variance" else None
    which = "would halve its error"
    if draws is None:
        draws = max((case.stages[layer]["draws"] or 0 for layer in layers if layer), default=0)
        which = "would halve the error of every layer"
    if draws < MANY_DRAWS:
        title = f"{case.name} scatters {where}"
        text = f"Averaging {draws:,} draws brings its error to one half." if draws else ""
    else:
        title = f"{case.name} fails by variance" + (f", {where}" if where else "")
        text = f"{draws:,} draws {which}."
    if case.exact:
        text += f" It is exact in {joined(short_layers(case.exact[:2]))}."
    shown = fitting(title, f"{case.name} fails by variance")
    return _made("variance", REMARK, shown, text.strip(), case, layers, "variance")


def _no_signal(case: Diagnosed, layers: Sequence[str], where: str) -> Finding:
    is_part = "for the rest" in _first(case, layers)
    to = "at all" if where == "in every layer" else where.replace("in ", "to ", 1)
    whole, part = (
        f"{case.name} sends no signal {to}",
        f"{case.name} sends no signal to some weights",
    )
    title = fitting(f"{part} {where}", part) if is_part else fitting(whole, part)
    text = "Those weights do not train while it drives."
    return _made("no signal", REMARK, title, text, case, layers)


def _unknown(case: Diagnosed, layers: Sequence[str], where: str) -> Finding:
    title = fitting(
        f"no descent of {case.name} is seen {where}", f"no descent of {case.name} is seen"
    )
    text = "Its variance may hide one: more draws at a probe would tell."
    return _made("unknown", REMARK, title, text, case, layers, "variance")


def _scale(case: Diagnosed, layers: Sequence[str], where: str) -> Finding:
    title = fitting(
        f"{case.name} has the wrong length {where}", f"{case.name} has the wrong length"
    )
    text = "Its direction is sound: another learning rate corrects it."
    return _made("scale", REMARK, title, text, case, layers, "variance")


def _first(case: Diagnosed, layers: Sequence[str]) -> str:
    """The diagnosis in words of the first of these layers."""
    return one_line(str((case.stages.get(layers[0]) or case.whole)["text"]))


def _made(
    kind: str,
    severity: int,
    title: str,
    text: str,
    case: Diagnosed,
    layers: Sequence[str],
    where: Any = "layers",
) -> Finding:
    layer = layers[0] if len(layers) == 1 else ""
    return Finding(kind, severity, title, text, None, None, case.label, layer, where)


_SENTENCES = {
    "not finite": _not_finite, "rounding": _rounding, "uphill": _uphill, "direction": _direction,
    "variance": _variance, "no signal": _no_signal, "unknown": _unknown, "scale": _scale,
}  # fmt: skip


def crossing(source: Source, run_id: str, run: RunLike) -> list[Finding]:
    """From how many draws on the mean of a noisy estimator is better than a biased one.

    The crossing at the fewest draws, in errors at the best learning rate of each.
    """
    spots = {
        probes.line.label: spot
        for probes in plane.read(source, parse({"runs": run_id}))
        if (spot := plane.pooled(probes, WINDOW, scaled=True)).finite and spot.probes >= MIN_PROBES
    }
    crossings = [
        (draws, noisy, biased)
        for noisy, first in spots.items()
        for biased, second in spots.items()
        if plane.may_overtake(first, second) and (draws := plane.overtakes(first, second))
    ]
    if not crossings or min(crossings)[0] > MOST_DRAWS:
        return []
    draws, noisy, biased = min(crossings)
    names = short_names([noisy, biased])
    title = fitting(f"{names[noisy]} overtakes {names[biased]} at {draws:,} draws")
    text = "The mean of so many has the smaller error, each at its best rate."
    cost = run.facts.get("cost", {}).get(noisy)
    if cost:
        share = two_digits(float(cost) / BACKPROP_PASSES)
        text += f" It costs {share} {'backprop' if share == '1' else 'backprops'} a draw."
    return [Finding("crossing", REMARK, title, text, None, None, noisy, "", "variance")]
