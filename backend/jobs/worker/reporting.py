"""`forward`: what a run yields as calls of its reporter."""

from collections.abc import Iterable

from backend.jobs.worker.reporter import Reporter
from backend.training.records import Ended, Event, Facts, Points, Progress, Record

_REMEDY = "take a smaller batch, a smaller network or fewer draws."
_TRACEBACK_CHARACTERS = 50_000
"""Characters of a traceback in a report."""


def forward(records: Iterable[Record], reporter: Reporter, device: str) -> None:
    """Pass records on to the reporter; every flush is on disk before the training goes on."""
    for record in records:
        match record:
            case Points(metric, layer, estimator, unit, steps, values):
                reporter.points((metric, layer, estimator, unit), steps, values)
            case Progress(step, steps, rate, seconds, status, overhead):
                reporter.progress(step, steps, rate, seconds, overhead)
                reporter.commit(status)
            case Event(step, kind, text):
                reporter.event(step, kind, text)
            case Facts():
                reporter.facts({**record.to_dict(), "device": device, "hardware": record.device})
                reporter.commit("running")
            case Ended("failed", _, error):
                reporter.commit("failed", explained(error or ""))
            case Ended(status, _, error):
                reporter.commit(status, error)


def explained(trace: str) -> str:
    """A traceback below a first line that says what to do."""
    lines = [line for line in trace.splitlines() if line and not line[0].isspace()]
    last = lines[-1] if lines else "no reason was given"
    if "OutOfMemoryError" in last or "CUDA out of memory" in last:
        last = f"The device ran out of memory: {_REMEDY}"
    elif last.startswith("MemoryError") or "can't allocate memory" in last:
        last = f"The machine ran out of memory: {_REMEDY}"
    return f"{last[:1000]}\n\n{trace[-_TRACEBACK_CHARACTERS:]}" if trace.strip() != last else last
