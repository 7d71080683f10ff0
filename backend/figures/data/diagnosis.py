"""What a diagnosis reads of a run: its latest probes, and the newest variance split of its
weights."""

from collections.abc import Mapping, Sequence
from typing import Any

from backend.figures.data.select import estimators
from backend.figures.data.source import RunLike, Source
from backend.figures.reference import Reference
from estimators.statistics.probes import MEASURES, SLOPE

NONFINITE, UNCONVERGED = "draw/nonfinite", "draw/not_converged"
ROUNDING, DIFFERENCE = "draw/rounding", "draw/difference"
OF_THE_RUN = "exact/norm"
"""The one measure that belongs to no estimator."""
PARTS = ("anatomy/estimator", "anatomy/fixed", "anatomy/fixed_se")


def members(run: RunLike) -> dict[str, list[str]]:
    """{layer: its tensors}, in network order, for the whole network ("") and each stage."""
    layers: dict[str, list[str]] = {"": []}
    for row in run.facts.get("layers", ()):
        layers[""].append(row["name"])
        layers.setdefault(row["stage"], []).append(row["name"])
    return layers


def question(
    source: Source, run_id: str, label: str, window: int, layers: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """The question about one estimator, for `estimators.statistics.findings`; without an anatomy.

    From the latest `window` probes, of those of `layers` ({layer: its tensors}) that have all
    measures. `probes` is their number; those of a layer at which the exact gradient is rounding are
    left out there, and counted.
    """
    run = source.run(run_id)
    count, layer_probes = _probes(source, run_id, label, window, layers)
    return {
        "draws": int((run.config.get("probe") or {}).get("draws", 16)),
        "probes": count,
        "layers": layer_probes,
        "coverage": _coverage(run, label),
        "anatomy": None,
        "estimators": len(estimators(run)),
        "unbiased": run.facts.get("unbiased", {}).get(label, False),
        "rounding": _rounding(source, run_id, label),
    }


def anatomy(source: Source, run_id: str, label: str) -> dict[str, Any] | None:
    """The variance split of one estimator by a microscope's run; None where it has none."""
    population, layers = None, {}
    for series in source.series(run_id):
        if not series.count:
            continue
        if series.metric == "anatomy/population":
            population = int(source.points(series.id, newest=1).values[-1])
        elif series.metric in PARTS and series.estimator == label:
            part = series.metric.removeprefix("anatomy/")
            value = float(source.points(series.id, newest=1).values[-1])
            layers.setdefault(series.layer, {})[part] = value
    complete = {name: parts for name, parts in layers.items() if {"estimator", "fixed"} <= {*parts}}
    if not complete:
        return None
    batch = int(source.run(run_id).config["batch_size"])
    return {"batch": batch, "layers": complete, "population": population}


def _probes(
    source: Source, run_id: str, label: str, window: int, layers: Mapping[str, Sequence[str]]
) -> tuple[int, dict[str, dict[str, Any]]]:
    """How many probes are read, and what they measured in these layers."""
    series_ids = {
        (s.metric, s.layer): s.id
        for s in source.series(run_id)
        if s.metric in (*MEASURES, SLOPE, NONFINITE, UNCONVERGED)
        and s.estimator == ("" if s.metric == OF_THE_RUN else label)
    }
    whole = series_ids.get(("relative_variance", ""))
    steps = source.points(whole, newest=window).steps if whole else None
    if steps is None or not len(steps):
        return 0, {}
    first, count = int(steps[0]), len(steps)
    exact = Reference(source, run_id)
    rounded = {layer: exact.rounded_at("relative_variance", layer, steps) for layer in layers}

    def read(name: str, layer: str) -> list[float]:
        values = source.points(series_ids[name, layer], first=first).values[:count]
        return values[~rounded[layer][: len(values)]].tolist()

    def total(name: str, layer: str) -> int:
        """Draws with a fault; a layer without any has no such series."""
        if (name, layer) not in series_ids:
            return 0
        points = source.points(series_ids[name, layer], first=first, last=int(steps[-1]))
        return int(points.values.sum())

    return count, {
        layer: {
            "members": list(tensors),
            "probes": {
                name: read(name, layer)
                for name in (*MEASURES, SLOPE)
                if (name, layer) in series_ids  # runs of before do not have the slope
            },
            "rounded": int(rounded[layer].sum()),
            "nonfinite": total(NONFINITE, layer),
            "unconverged": total(UNCONVERGED, ""),
        }
        for layer, tensors in layers.items()
        if all((name, layer) in series_ids for name in MEASURES)
    }


def _rounding(source: Source, run_id: str, label: str) -> dict[str, float] | None:
    """The rounding of the loss at the latest probe beside the differences that a draw takes; None
    for an estimator without differences."""
    newest = {
        series.metric: float(source.points(series.id, newest=1).values[-1])
        for series in source.series(run_id)
        if series.metric in (ROUNDING, DIFFERENCE) and series.estimator == label and series.count
    }
    if len(newest) < 2:
        return None
    return {"floor": newest[ROUNDING], "difference": newest[DIFFERENCE]}


def _coverage(run: RunLike, label: str) -> dict[str, str] | None:
    """How each parameter's gradient comes about, which is on record for the driver alone."""
    if label != run.labels.get("driver"):
        return None
    rows = run.facts.get("layers", ())
    return {row["name"]: row["coverage"] for row in rows if "coverage" in row}
