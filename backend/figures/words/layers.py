"""What a measure says of layers: of one estimator's, and of several estimators'."""

from collections.abc import Mapping, Sequence

import numpy as np

from backend.figures.data.metrics import larger_is_better, metric
from backend.figures.data.source import Floats
from backend.figures.drawing.names import distinct
from backend.figures.words.measures import LAYER, NAMED, VOICES, voice_of
from backend.figures.words.names import one_line
from backend.figures.words.sentences import MIN_PROBES, fitting, too_early

WINDOW = 8
"""The latest columns of a grid that are averaged."""
EXACT = 1 - 1e-9
"""From here on a cosine is 1 but for rounding."""


def latest(grid: Floats, window: int = WINDOW) -> Floats:
    """The mean of the last finite columns of each row (layers, steps); NaN without any."""
    newest = grid[:, -window:]
    usable = np.where(np.isfinite(newest), newest, np.nan)
    means = np.full(len(grid), np.nan)
    has_value = ~np.isnan(usable).all(axis=1)
    with np.errstate(over="ignore"):
        means[has_value] = np.nanmean(usable[has_value], axis=1)
    return means


def of_estimator(name: str, label: str, layers: Sequence[str], means: Floats, columns: int) -> str:
    """What the layers of one estimator say; "" without a value.

    Args:
        name: the metric.
        label: the estimator's short name; "" for what belongs to no estimator.
        layers: in network order.
        means: of each layer, (n,).
        columns: how many probes there are.
    """
    usable = [(layer, float(mean)) for layer, mean in zip(layers, means, strict=True)
              if np.isfinite(mean)]  # fmt: skip
    if not usable:
        return ""
    if columns < MIN_PROBES:
        return too_early(columns)
    shown = distinct(tuple(one_line(layer) for layer, _ in usable), LAYER)
    best_first = sorted(usable, key=lambda pair: pair[1], reverse=larger_is_better(name))
    said = [_said(name, shown[one_line(layer)], mean) for layer, mean in best_first]
    exact = [
        text for text, (_, mean) in zip(said, best_first, strict=True) if _is_exact(name, mean)
    ]
    head, what = (f"{label}: " if label else ""), _what(name)
    if len(said) <= NAMED:
        return fitting(
            f"{head}{', '.join(said)}{what}", f"{head}{', '.join(said)}", f"{head}{said[-1]}"
        )
    if len(exact) == len(said):
        return fitting(f"{label or 'every layer'} is exact in every layer")
    count = len(said)
    return fitting(
        f"{head}best of {count} layers {said[0]}, worst {said[-1]}{what}",
        f"{head}best {said[0]}, worst {said[-1]}",
        f"{head}worst {said[-1]}",
    )


def of_estimators(
    name: str, means: Mapping[str, Mapping[str, float]], columns: int = MIN_PROBES
) -> str:
    """What the worst layers of several estimators, {short name: {layer: mean}}, say."""
    finite = {
        label: {layer: mean for layer, mean in own.items() if np.isfinite(mean)}
        for label, own in means.items()
    }
    finite = {label: own for label, own in finite.items() if own}
    if not finite:
        return ""
    if columns < MIN_PROBES:
        return too_early(columns)
    if len(finite) == 1:
        ((label, own),) = finite.items()
        return of_estimator(name, label, [*own], np.array([*own.values()]), columns)
    largest = larger_is_better(name)
    worst = {
        label: (min if largest else max)(own.items(), key=lambda pair: pair[1])
        for label, own in finite.items()
    }
    order = sorted(worst, key=lambda label: worst[label][1], reverse=largest)
    value, what = voice_of(name).value, _what(name)
    said = [f"{label} {value(worst[label][1])}" for label in order]
    if len(said) <= NAMED:
        return fitting(
            f"in its worst layer, {', '.join(said)}{what}", f"worst layers: {', '.join(said)}",
            f"worst layer of {order[-1]}: {worst[order[-1]][0]}, {value(worst[order[-1]][1])}",
        )  # fmt: skip
    return fitting(
        f"in its worst layer, {said[0]}{what}, best of {len(said)}, worst {said[-1]}",
        f"worst layers: {said[0]} at best, {said[-1]} at worst",
        f"worst layers: {said[0]} at best",
    )


def _said(name: str, layer: str, mean: float) -> str:
    return f"{layer} exact" if _is_exact(name, mean) else f"{layer} {voice_of(name).value(mean)}"


def _is_exact(name: str, mean: float) -> bool:
    return name == "cosine" and mean >= EXACT


def _what(name: str) -> str:
    """What the numbers are, behind them."""
    if name == "cosine":
        return " along"
    if name in VOICES:
        return ""
    return f" of {metric(name).short}"
