"""All findings of a run, from its losses, layers, estimators, law checks and log."""

from backend.figures.data.read_once import ReadOnce
from backend.figures.data.select import estimators as selected
from backend.figures.data.select import is_microscope
from backend.figures.data.source import RunLike, Source
from backend.figures.drawing.names import side_by_side
from backend.figures.findings import estimators, layers, losses, record
from backend.figures.findings.finding import Finding, ordered

MOST_STAGES = 24
"""Most stages that are looked at one by one: of a deeper network, the whole alone is, since every
layer costs some reads and the page asks every few seconds."""


def findings_of(source: Source, run_id: str) -> list[Finding]:
    """The findings of a run, the most severe first, then by step.

    Give a snapshot of a store that is written to. Raises LookupError for a run that is not there.
    """
    source = ReadOnce(source)
    run = source.run(run_id)
    of_log = record.recorded(source.marked_events([run_id]).get(run_id, ()))
    if is_microscope(run):
        return ordered([*record.end(run, None, None), *of_log])
    stages = stages_of(run)
    with side_by_side([selected(run), stages]):
        return ordered(_all(source, run_id, run, stages, of_log))


def _all(
    source: Source, run_id: str, run: RunLike, stages: list[str], of_log: list[Finding]
) -> list[Finding]:
    of_losses = losses.findings(source, run_id, run)
    if any(finding.kind == "rise" for finding in of_losses) or run.status == "diverged":
        # The log tells the same at the end, without the step since when.
        of_log = [finding for finding in of_log if finding.kind != "rise"]
    return [
        *record.end(run, None, losses.broken(source, run_id)),
        *of_log,
        *of_losses,
        *layers.dead(source, run_id, stages),
        *layers.theory(source, run_id, run, stages),
        *estimators.findings(source, run_id, run, stages),
        *estimators.crossing(source, run_id, run),
    ]


def stages_of(run: RunLike) -> list[str]:
    """The stages of a run's network, in their order; none where there are too many to look at."""
    rows = [row for row in run.facts.get("layers", ()) if isinstance(row, dict)]
    stages = list(dict.fromkeys(str(row["stage"]) for row in rows if row.get("stage")))
    return stages if len(stages) <= MOST_STAGES else []
