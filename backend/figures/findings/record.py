"""Findings that a run recorded itself, such as solves that did not converge, and how it ended."""

import re
from collections.abc import Iterable

from backend.figures.data.source import EventLike, RunLike
from backend.figures.findings.finding import FAILURE, FAULT, Finding
from backend.figures.words.names import capital, one_line
from backend.figures.words.sentences import fitting

FINDING = "finding"
"""The kind of the events that make a run's numbers doubtful."""
_KINDS = (
    (re.compile(r"did not converge in a solve"), "solver",
     "a solve of an equilibrium did not converge"),
    (re.compile(r"not finite in a solve"), "solver",
     "a solve of an equilibrium met numbers that are not finite"),
    (re.compile(r"times its first value"), "rise", "the loss ended far above its first value"),
    (re.compile(r"the spectral radius of"), "spectral radius",
     "a spectral radius is 1 or more"),
)  # fmt: skip
"""What the texts of events are about: a part of the text, the kind, and the title."""
_SO_FAR = re.compile(r" \(([\d,]+) such steps so far\)")
OWN_WORDS = ("failed", "diverged", "solver", "recorded", "rise", "spectral radius")
"""Kinds whose words are a run's own, in which paths of its machine may stand."""


def recorded(events: Iterable[EventLike]) -> list[Finding]:
    """The findings among a run's events; of several about the same, the latest with its first
    step."""
    by_title: dict[str, Finding] = {}
    for event in events:
        if event.kind != FINDING:
            continue
        finding = _of_event(event)
        earlier = by_title.get(finding.title)
        if earlier:
            finding = Finding(
                finding.kind, FAULT, finding.title, finding.text, earlier.step, event.step,
                where="setup",
            )  # fmt: skip
        by_title[finding.title] = finding
    return list(by_title.values())


def _of_event(event: EventLike) -> Finding:
    words = one_line(event.text)
    match = next((each for each in _KINDS if each[0].search(words)), None)
    if match:
        kind, shown = match[1], fitting(match[2])
    else:
        kind, shown = "recorded", fitting(words, re.split(r"[:;(]", words)[0])
    text = "" if words.rstrip(".") == shown.rstrip(".") else f"{capital(words.rstrip('.'))}."
    return Finding(kind, FAULT, shown, text, event.step, where="setup")


def _said(step: int | None) -> str:
    """What the title of a run whose loss broke says already."""
    return f"the loss was not finite at step {step:,}" if step is not None else ""


def end(run: RunLike, step: int | None, broken: int | None) -> list[Finding]:
    """Why a run that failed or diverged ended, and what to do.

    Args:
        run: the run; one of the store has its `error` and its `step`.
        step: the step that it reached, if it is known.
        broken: the step from which on its loss is no number, if it is.
    """
    error = str(getattr(run, "error", None) or "").strip()
    lines = error.splitlines() or [""]
    at = getattr(run, "step", None)
    at = at if step is None else step
    if run.status == "diverged":
        where = broken if broken is not None else at
        what = "the loss became NaN" if broken is not None else "the run diverged"
        title = f"{what} at step {where:,}" if where is not None else what
        clauses = [c for c in one_line(lines[0]).rstrip(".").split("; ") if c and c != _said(where)]
        text = f"{capital('; '.join(clauses))}." if clauses else ""
        if "learning rate" not in text:
            text = f"{text} Run it again at a lower learning rate.".strip()
        return [Finding("diverged", FAILURE, fitting(title), text, where, action="lower rate")]
    if run.status == "failed":
        place = f" at step {at:,}" if at is not None else ""
        text = f"{capital(one_line(lines[-1]).rstrip('.'))}. " if error else ""
        text += "Setup & log has the whole report."
        title = fitting(f"the run failed{place}")
        return [Finding("failed", FAILURE, title, text, at, where="setup", action="duplicate")]
    return []
