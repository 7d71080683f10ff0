"""The table of a study, live: a row for each variant, as markdown, for the terminal and as JSON.

Only fields that differ have a column; the others are said once, above the table.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, overload

from backend.strict_json import finite_or_none
from backend.studies.measure import Measure
from backend.studies.tuning_notes import names
from backend.studies.tuning_plan import Choice
from backend.studies.verdicts import Verdict
from estimators.statistics.student import Sample, half_width

if TYPE_CHECKING:
    from rich.console import Group

State = Literal["missing", "queued", "running", "finished", "diverged", "failed", "cancelled"]
ENDED_WITHOUT: tuple[State, ...] = ("diverged", "failed", "cancelled")
"""States in which a cell has ended and has no value."""
LONGEST = 80
"""Most characters of a reason or of a field's value in a text."""
SENTENCES = ("notes", "verdict")
"""Heads of the columns of sentences."""
_MARKUP = re.compile(r"([\\|*`\[<])")


@dataclass(frozen=True)
class Cell:
    """A variant with one seed."""

    seed: int
    state: State
    value: float | None = None
    reason: str = ""
    """Why there is no value, for a run that failed."""
    run: str = ""
    """The run's id."""


@dataclass(frozen=True)
class Row:
    """A variant."""

    label: str
    fields: Mapping[str, Any]
    """{dotted field: value}; objects may also be nested."""
    cells: Sequence[Cell]
    choice: Choice | None = None
    """Its tuned value."""
    verdict: Verdict | None = None
    """Against the baseline, or the best mean."""
    place: str = ""
    """Its rank, or the ranks that it shares: `1–3`."""

    @cached_property
    def flat(self) -> dict[str, Any]:
        """{dotted field: value}, every object taken into its fields."""
        return dict(_flattened(self.fields))

    @cached_property
    def sample(self) -> Sample:
        """The values of the seeds that have one."""
        return Sample.from_values(
            cell.value for cell in self.cells if cell.state == "finished" and cell.value is not None
        )

    @property
    def half_width(self) -> float:
        """Half of Student's 95 % interval of the mean over seeds; NaN for fewer than two."""
        return half_width(self.sample.count) * self.sample.standard_error

    def mean_text(self, measure: Measure) -> str:
        """`91.6 ± 0.4 %`, of at least two seeds with half of the interval; "" without a value."""
        half, count = self.half_width, self.sample.count
        spread = f" ± {measure.number(half, half)}" if count > 1 else ""
        return f"{measure.number(self.sample.mean, half)}{spread}{measure.suffix}" if count else ""

    @property
    def notes(self) -> list[str]:
        """`seed 3 diverged`, `seeds 4, 5 failed: out of memory`, `2 running`, `1 missing`."""
        seeds: dict[tuple[str, str], list[int]] = {}
        pending: Counter[str] = Counter()
        for cell in self.cells:
            if cell.state in ENDED_WITHOUT:
                reason = f": {_clipped(cell.reason)}" if cell.reason else ""
                seeds.setdefault((cell.state, reason), []).append(cell.seed)
            elif cell.state != "finished":
                pending[cell.state] += 1
            elif cell.value is None:
                seeds.setdefault(("has no value", ""), []).append(cell.seed)
        ended = [
            f"seed{'s' if len(some) > 1 else ''} {', '.join(map(str, some))} {state}{reason}"
            for (state, reason), some in seeds.items()
        ]
        return [*ended, *(f"{count} {state}" for state, count in pending.items())]


@dataclass(frozen=True)
class StudyTable:
    """The rows of a study, and which of their fields differ."""

    measure: Measure
    rows: Sequence[Row]

    @cached_property
    def constant(self) -> dict[str, Any]:
        """{dotted field: its value in every row}."""
        if not self.rows:
            return {}
        first, *others = (row.flat for row in self.rows)
        return {
            name: value
            for name, value in first.items()
            if all(name in other and _same(other[name], value) for other in others)
        }

    @cached_property
    def columns(self) -> list[str]:
        """The dotted fields that differ, or that some rows lack."""
        union = dict.fromkeys(name for row in self.rows for name in row.flat)
        return [name for name in union if name not in self.constant]

    @property
    def above(self) -> str:
        """What is the same in every row; "" without any."""
        if not self.constant:
            return ""
        pairs = [f"{name} {_shown(value)}" for name, value in self.constant.items()]
        return f"the same for all: {', '.join(pairs)}"

    @property
    def below(self) -> str:
        """What the numbers are."""
        return f"{self.measure.title}: mean over seeds ± half of Student's 95 % interval"

    def text(self) -> tuple[list[str], list[list[str]]]:
        """(heads, rows) in words; a column in which nothing stands is left out."""
        heads = ["variant", *_heads(self.columns), *self._tuned, self.measure.title, "place",
                 "seeds", *SENTENCES]  # fmt: skip
        rows = [self._texts(row) for row in self.rows]
        kept = [at for at in range(len(heads)) if at < 1 or any(row[at] for row in rows)]
        return [heads[at] for at in kept], [[row[at] for at in kept] for row in rows]

    def words(self) -> dict[str, Any]:
        """`{above, heads, rows, below}`: the table in words, as `terminal` draws it."""
        heads, rows = self.text()
        return {"above": self.above, "heads": heads, "rows": rows, "below": self.below}

    @property
    def _tuned(self) -> list[str]:
        choice = next((row.choice for row in self.rows if row.choice), None)
        fields = [choice.field, choice.also_field] if choice else []
        return [names(name)[0].removeprefix("value of ") for name in fields if name]

    def _texts(self, row: Row) -> list[str]:
        fields = [_shown(row.flat[name]) if name in row.flat else "–" for name in self.columns]
        chosen = [row.choice.value, row.choice.also] if row.choice else [None, None]
        tuned = ["–" if value is None else _shown(value) for value in chosen[: len(self._tuned)]]
        note = [row.choice.note] if row.choice and row.choice.note else []
        return [
            row.label, *fields, *tuned, row.mean_text(self.measure), row.place,
            f"{row.sample.count} of {len(row.cells)}", "; ".join([*row.notes, *note]),
            row.verdict.sentence if row.verdict else "",
        ]  # fmt: skip

    def document(self) -> dict[str, Any]:
        """As JSON: numbers in full, reasons whole, None for what there is not."""
        return {
            "metric": self.measure.name,
            "higher_is_better": self.measure.higher_is_better,
            "constant": self.constant,
            "columns": self.columns,
            "rows": [_entry(row) for row in self.rows],
        }


@overload
def render(table: StudyTable, form: Literal["markdown"]) -> str: ...
@overload
def render(table: StudyTable, form: Literal["terminal"]) -> "Group": ...
@overload
def render(table: StudyTable, form: Literal["json"]) -> dict[str, Any]: ...
def render(table: StudyTable, form: Literal["markdown", "terminal", "json"]) -> Any:
    """The table as markdown, as a renderable of rich, or as JSON; the numbers are the same."""
    if form == "json":
        return table.document()
    return _markdown(table) if form == "markdown" else terminal(table.words())


def _markdown(table: StudyTable) -> str:
    heads, rows = table.text()
    lines = [heads, ["---"] * len(heads), *([_escaped(text) for text in row] for row in rows)]
    drawn = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return "\n\n".join(filter(None, [_escaped(table.above), drawn, table.below]))


def terminal(words: Mapping[str, Any]) -> "Group":
    """`StudyTable.words` as a renderable of rich."""
    # Here, since a server that answers in JSON needs no terminal.
    from rich.console import Group
    from rich.table import Column, Table
    from rich.text import Text

    heads, rows = words["heads"], words["rows"]
    # Sentences go below: in a column, a narrow terminal would break them at every word.
    short = [at for at, head in enumerate(heads) if head not in SENTENCES]
    columns = [Column(Text(heads[at]), overflow="fold", no_wrap=at > 0) for at in short]
    columns[0].min_width = min(12, max((len(row[0]) for row in rows), default=0))
    drawn = Table(*columns, box=None, pad_edge=False)
    said = []
    for row in rows:
        drawn.add_row(*(Text(row[at]) for at in short))
        sentences = "; ".join(text for at, text in enumerate(row) if at not in short and text)
        said += [Text(f"{row[0]}: {sentences}")] if sentences else []
    above = [Text(words["above"], style="dim")] if words["above"] else []
    return Group(*above, drawn, *said, Text(words["below"], style="dim"))


def _entry(row: Row) -> dict[str, Any]:
    return {
        "label": row.label,
        "fields": row.flat,
        "mean": finite_or_none(row.sample.mean),
        "half_width": finite_or_none(row.half_width),
        "place": row.place,
        "count": row.sample.count,
        "seeds": len(row.cells),
        "cells": [{**vars(c), "value": _number(c.value)} for c in row.cells],
        "choice": row.choice.document() if row.choice else None,
        "verdict": row.verdict.document() if row.verdict else None,
    }


def _number(value: float | None) -> float | None:
    return None if value is None else finite_or_none(value)


def _flattened(fields: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for name, value in fields.items():
        if isinstance(value, Mapping):
            flat += _flattened(value, f"{prefix}{name}.")
        else:
            flat.append((f"{prefix}{name}", value))
    return flat


def _same(first: Any, second: Any) -> bool:
    return first == second and isinstance(first, bool) == isinstance(second, bool)


def _heads(paths: Sequence[str]) -> list[str]:
    """The last part of each path, or the whole of it where two end alike: `estimator`, `width`."""
    bare = [path.removesuffix(".name") for path in paths]
    ends = Counter(path.rpartition(".")[2] for path in bare)
    return [end if ends[end := path.rpartition(".")[2]] == 1 else path for path in bare]


def _shown(value: Any) -> str:
    """A field's value in a text."""
    if isinstance(value, float):
        return f"{value:g}"
    return _clipped(value if isinstance(value, str) else json.dumps(value, default=str))


def _clipped(text: str) -> str:
    line = next(iter(text.strip().splitlines()), "")
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def _escaped(text: str) -> str:
    """The text so that markdown shows it literally, in one line."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))
