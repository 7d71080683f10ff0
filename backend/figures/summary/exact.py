"""Stages in which an estimate is the exact gradient, which the mean over the network hides."""

from collections.abc import Iterable
from itertools import takewhile

from backend.figures.data.select import layers
from backend.figures.data.source import Floats, SeriesLike, Source
from backend.figures.drawing.cells import EXACT


def exact_stages(source: Source, run_id: str, window: int) -> dict[str, list[str]]:
    """{label: its exact stages, in network order}, for estimators that are exact in some stages and
    not in all: at either end of the network, cosine 1 and no variance in the latest probes."""
    stages = layers(source, source.run(run_id), run_id, "cosine", "stage")
    exact = _exact(source, run_id, stages, window)
    # Exact everywhere, as backpropagation is, an estimator owes its place to no single stage.
    return {label: own for label, own in exact.items() if own and len(own) < len(stages)}


def _exact(source: Source, run_id: str, stages: list[str], window: int) -> dict[str, list[str]]:
    series = {(s.metric, s.layer, s.estimator): s for s in source.series(run_id) if s.count}
    labels = dict.fromkeys(key[2] for key in series if key[0] == "cosine")
    first = _since(source, (s for key, s in series.items() if key[0] == "cosine"), window)

    def all_of(name: str, stage: str, label: str) -> Floats | None:
        own = series.get((name, stage, label))
        return source.points(own.id, first=first).values if own else None

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
        return int(source.points(each.id, newest=window).steps[0])
    return 0
