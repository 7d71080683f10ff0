"""The results of a tuned study as a table for the terminal, and as a JSON document."""

import math
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from backend.strict_json import finite_or_none
from backend.tuning.results import Result
from backend.tuning.study_file import StudyFile

CAPTION = (
    "rates chosen by mean validation accuracy of the tuning seeds; test: mean ± half of Student's "
    "95 % interval over the other seeds; difference of test: paired by seed, ± half of its 95 % "
    "interval"
)


def tabulate(study: StudyFile, results: Sequence[Result], console: Console) -> None:
    """Print a row for each configuration, what must be said of some, and what the numbers are."""
    # Labels are broken where the terminal is narrow, numbers are not.
    heads = ("rate", "validation", "test", "difference", "seeds")
    columns = [Column("", overflow="fold"), *(Column(escape(head), no_wrap=True) for head in heads)]
    table = Table(*columns, box=None, pad_edge=False)
    for result in results:
        table.add_row(*map(escape, _cells(result)))
    console.print(table)
    for result in results:
        if note := _note(study, result):
            console.print(f"{result.label}: {note}", highlight=False, markup=False)
    console.print(f"{CAPTION}; from {study.baseline}", style="dim", highlight=False, markup=False)


def _cells(result: Result) -> list[str]:
    sample, comparison = result.sample, result.difference
    difference = ""
    if comparison is not None:
        difference = f"{comparison.difference:+.4f}{_spread(comparison.half_width)}"
    rate = "–" if result.choice.rate is None else f"{result.choice.rate:g}"
    return [
        result.label,
        rate,
        _number(result.choice.accuracy),
        f"{_number(sample.mean)}{_spread(result.half_width)}",
        difference,
        str(sample.count),
    ]


def _note(study: StudyFile, result: Result) -> str:
    """What must be said beside the numbers; may be empty."""
    diverged = len(result.test) - result.sample.count
    lost = f"{diverged} of {len(study.seeds)} seeds diverged" if diverged else ""
    return "; ".join(filter(None, [result.choice.note, lost]))


def _number(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "–"


def _spread(half: float) -> str:
    return f" ± {half:.4f}" if math.isfinite(half) else ""


def document(
    study: StudyFile, results: Sequence[Result], runs: Sequence[dict[str, Any]], notes: list[str]
) -> dict[str, Any]:
    """Everything, for a file: the study, the results, every run that they come from."""
    return {
        "study": study.model_dump(mode="json"),
        "notes": [CAPTION, *notes],
        "results": [_entry(result) for result in results],
        "runs": list(runs),
    }


def _entry(result: Result) -> dict[str, Any]:
    choice, comparison = result.choice, result.difference
    entry: dict[str, Any] = {
        "label": result.label,
        "rate": choice.rate,
        "note": choice.note,
        "validation": finite_or_none(choice.accuracy),
        "curve": [{"rate": r, "validation": finite_or_none(v)} for r, v in choice.curve.items()],
        "test": [finite_or_none(value) for value in result.test],
        "mean": finite_or_none(result.sample.mean),
        "half_width": finite_or_none(result.half_width),
        "seeds": result.sample.count,
        "difference": None,
    }
    if comparison is not None:
        entry["difference"] = {
            "mean": finite_or_none(comparison.difference),
            "low": finite_or_none(comparison.low),
            "high": finite_or_none(comparison.high),
            "larger": comparison.first_larger,
            "pairs": comparison.pairs,
        }
    return entry
