"""Stages whose gradient an estimator computes exactly: they improve its whole-network measures.

Exactness is read from the probes, so that it is known for any estimator.
"""

from collections.abc import Iterable
from itertools import takewhile

from backend.figures.data.select import layers
from backend.figures.data.source import Floats, SeriesLike, Source
from backend.figures.drawing.cells import EXACT
from backend.figures.drawing.text import clipped

SHOWN = 4
"""Most stages or estimators named in one sentence."""


def words(source: Source, run_id: str, window: int) -> str:
    """A sentence on stages where an estimator is exact that is not exact everywhere; else ""."""
    stages = layers(source, source.run(run_id), run_id, "cosine", "stage")
    exact_stages = _exact(source, run_id, stages, window)
    labels_of: dict[tuple[str, ...], list[str]] = {}
    for label, exact in exact_stages.items():
        # Exact everywhere, as backpropagation is, it owes its place to no single stage.
        if exact and len(exact) < len(stages):
            labels_of.setdefault(tuple(exact), []).append(label)
    sentences = [
        f"{_list(exact)} is exact for {_list(labels)}" for exact, labels in labels_of.items()
    ]
    hint = "choose a layer where none is exact for a fair comparison"
    return f"{'; '.join(sentences)}: {hint}" if sentences else ""


def _exact(source: Source, run_id: str, stages: list[str], window: int) -> dict[str, list[str]]:
    """Exact stages by estimator, from both ends: cosine 1 and no variance in the latest probes."""
    series = {(s.metric, s.layer, s.estimator): s for s in source.series(run_id) if s.count}
    labels = dict.fromkeys(key[2] for key in series if key[0] == "cosine")
    first = _since(source, (s for key, s in series.items() if key[0] == "cosine"), window)

    def all_of(name: str, stage: str, label: str) -> Floats | None:
        one_series = series.get((name, stage, label))
        return source.points(one_series.id, first=first).values if one_series else None

    def is_exact(stage: str, label: str) -> bool:
        cosine = all_of("cosine", stage, label)
        if cosine is None or not len(cosine) or not (cosine >= EXACT).all():
            return False
        variance = all_of("relative_variance", stage, label)
        return variance is None or bool((variance <= 1 - EXACT).all())

    def at_the_ends(label: str) -> list[str]:
        # From either end to the first that is not: a read a stage and estimator would cost more
        # than the rest of the figure, and estimates begin or stop somewhere along the network.
        last = list(takewhile(lambda stage: is_exact(stage, label), reversed(stages)))
        rest = stages[: len(stages) - len(last)]
        return [*takewhile(lambda stage: is_exact(stage, label), rest), *reversed(last)]

    return {label: at_the_ends(label) for label in labels}


def _since(source: Source, series: Iterable[SeriesLike], window: int) -> int:
    """The first step of the latest `window` probes, which are the same for all series."""
    for each in series:
        return int(source.points(each.id).steps[-window:][0])
    return 0


def _list(names: Iterable[str]) -> str:
    all_of = [clipped(name) for name in names]
    more = f" and {len(all_of) - SHOWN} more" if len(all_of) > SHOWN else ""
    return ", ".join(all_of[:SHOWN]) + more
