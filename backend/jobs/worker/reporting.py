"""`forward`: what a run yields as calls of its reporter."""

from collections.abc import Iterable

from backend.jobs.worker.reporter import Reporter
from backend.training.records import Ended, Event, Facts, Points, Progress, Record

_REMEDY = "take a smaller batch, a smaller network or fewer draws."
_TRACEBACK_CHARACTERS = 50_000
"""Characters of a traceback in a report."""
_SENTENCE_CHARACTERS = 1000


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


def explained(error: str) -> str:
    """The sentence of a failure and its traceback; of one for lack of memory, what to do."""
    sentence, _, trace = error.partition("\n")
    if "OutOfMemoryError" in sentence or "CUDA out of memory" in sentence:
        sentence = f"The device ran out of memory: {_REMEDY}"
    elif sentence.startswith("MemoryError") or "can't allocate memory" in sentence:
        sentence = f"The machine ran out of memory: {_REMEDY}"
    sentence = sentence[:_SENTENCE_CHARACTERS] or "no reason was given"
    trace = trace.lstrip("\n")[-_TRACEBACK_CHARACTERS:]
    return f"{sentence}\n\n{trace}" if trace.strip() else sentence
