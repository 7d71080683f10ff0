"""The takeaways of measures: read of a source what their sentences need."""

from collections.abc import Sequence

from backend.figures.data import plane
from backend.figures.data.plane import BIAS
from backend.figures.data.query import Query
from backend.figures.data.select import Line
from backend.figures.data.source import Source
from backend.figures.summary.bias import Bias, bias_of
from backend.figures.summary.exact import exact_stages
from backend.figures.summary.pooled import Pooled, pool
from backend.figures.words import bias as of_bias
from backend.figures.words import measures


def of_measure(source: Source, query: Query, name: str, lines: Sequence[Line]) -> str:
    """What a measure says of these lines, from its latest probes."""
    lines = [line for line in lines if line.series.count]
    if name == BIAS:
        return of_bias.takeaway(biases(source, query, lines), query.layer)
    pooled = [pool(source, line, query) for line in lines]
    return measures.takeaway(name, pooled, query.layer, _exact(source, query, pooled))


def _exact(source: Source, query: Query, pooled: Sequence[Pooled]) -> dict[str, list[str]]:
    """The exact stages of each estimator, where the whole network is looked at."""
    if query.layer:
        return {}
    runs = dict.fromkeys(each.line.run_id for each in pooled)
    return {
        label: stages
        for run_id in runs
        for label, stages in exact_stages(source, run_id, query.window).items()
    }


def biases(source: Source, query: Query, lines: Sequence[Line]) -> dict[str, Bias]:
    """{short name: the verdict on its bias} of these lines' estimators."""
    wanted = {line.key: line for line in lines}
    read = [probes for probes in plane.read(source, query) if probes.line.key in wanted]
    names = measures.line_names([probes.line for probes in read])
    return {names[probes.line.key]: bias_of(probes, query.window) for probes in read}
