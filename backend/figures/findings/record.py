"""Findings that a run recorded itself, such as solves that did not converge, and how it ended."""

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from backend.figures.data.source import EventLike, RunLike
from backend.figures.findings.finding import FAILURE, FAULT, Action, Finding
from backend.figures.words.names import capital, one_line
from backend.figures.words.sentences import fitting

FINDING = "finding"
"""The kind of the events that make a run's numbers doubtful."""


class _Known(NamedTuple):
    """A finding of which a run has a sentence of its own, and what is said of it here."""

    pattern: re.Pattern[str]
    """The beginning of the run's sentence, up to what the text repeats (its group 1)."""
    kind: str
    title: str
    remedy: str
    action: Action = ""


_KNOWN = (
    _Known(
        re.compile(r"([\d,]+ of [\d,]+ examples?) did not converge in a solve"), "solver",
        "a solve of an equilibrium did not converge",
        "Raise the limit of iterations or take another solver.",
    ),
    _Known(
        re.compile(r"([\d,]+ of [\d,]+ examples?) met a number that is not finite in a solve"),
        "solver", "a solve of an equilibrium met numbers that are not finite",
        "Lower the learning rate, or scale the cell's weights down.",
    ),
    _Known(
        re.compile(r"(the spectral radius of .*?):"), "spectral radius",
        "a spectral radius is 1 or more: the Neumann series does not converge",
        "Lower the learning rate, or add weight decay.",
    ),
    _Known(
        re.compile(r"(the \w+ loss was .*?);"), "rise",
        "the loss ended far above its first value", "Lower the learning rate.", "lower rate",
    ),
)  # fmt: skip
_SO_FAR = re.compile(r"\(([\d,]+ such steps) so far\)")


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
            finding = replace(finding, step=earlier.step, last=event.step)
        by_title[finding.title] = finding
    return list(by_title.values())


def _of_event(event: EventLike) -> Finding:
    words = one_line(event.text)
    for each in _KNOWN:
        if match := each.pattern.match(words):
            so_far = _SO_FAR.search(words)
            many = f", {so_far[1]} so far" if so_far else ""
            text = f"{capital(match[1])}{many}. {each.remedy}"
            shown = fitting(each.title)
            return Finding(
                each.kind, FAULT, shown, text, event.step, where="setup", action=each.action
            )
    shown = fitting(words, re.split(r"[:;(]", words)[0])
    text = "" if words.rstrip(".") == shown.rstrip(".") else f"{capital(words.rstrip('.'))}."
    return Finding("recorded", FAULT, shown, text, event.step, where="setup")


def _said(step: int | None) -> str:
    """What the title of a run whose loss broke says already."""
    return f"the loss was not finite at step {step:,}" if step is not None else ""


def end(run: RunLike, step: int | None, broken: int | None) -> list[Finding]:
    """Why a run that failed or diverged ended, and what to do.

    Args:
        run: the run; one of the store has its `error` and its `step`.
        step: the step that it reached, if it is each.
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
