"""What is marked on the curves of a run at its step: spikes, plateaus, rises, layers that died."""

from collections.abc import Mapping, Sequence

from backend.figures.data.query import Query
from backend.figures.data.select import Line, is_microscope
from backend.figures.data.source import Source
from backend.figures.findings import layers, losses
from backend.figures.findings.losses import Signal
from backend.figures.findings.run import stages_of

MOST_RUNS = 4
"""Most runs whose curves are looked at: the marks of more would stand upon each other."""


def signals(source: Source, query: Query, drawn: Sequence[Line]) -> Mapping[str, list[Signal]]:
    """{run: what its curves do, in order of steps}: its losses, or the layers of its measures.

    Args:
        source: where the runs are.
        query: of a figure; its layer is the one that is drawn.
        drawn: its lines.
    """
    is_loss = any(line.series.metric in losses.NAMES for line in drawn)
    of_estimators = bool(drawn) and all(line.series.estimator for line in drawn)
    if len(query.runs) > MOST_RUNS:
        return {}
    made: dict[str, list[Signal]] = {}
    for run_id in query.runs:
        if is_microscope(source.run(run_id)):
            continue
        if is_loss:
            made[run_id] = losses.marks(source, run_id)
        elif of_estimators:
            made[run_id] = _deaths(source, run_id, query.layer)
    return made


def _deaths(source: Source, run_id: str, layer: str) -> list[Signal]:
    """Since when the layer's gradient is zero; of the whole network, any stage's."""
    wanted = [layer] if layer else stages_of(source.run(run_id))
    return [
        Signal(finding.step, "dead layer", finding.title)
        for finding in layers.dead(source, run_id, wanted)
        if finding.step is not None
    ]
