"""Rows of a benchmark, and how they are timed."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One measured number beside its budget; `at_most` says which side is good."""

    what: str
    measured: float
    budget: float | None
    unit: str = "×"
    at_most: bool = True
    note: str = ""

    @property
    def verdict(self) -> str:
        if self.budget is None:
            return ""
        within = self.measured <= self.budget if self.at_most else self.measured >= self.budget
        return "within" if within else "MISSED"


def show(title: str, rows: list[Row], console: Console) -> None:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("what")
    table.add_column("measured", justify="right")
    table.add_column("budget", justify="right")
    table.add_column("")
    table.add_column("note")
    for row in rows:
        sign = "≤" if row.at_most else "≥"
        budget = "" if row.budget is None else f"{sign} {_number(row.budget)} {row.unit}"
        table.add_row(
            row.what, f"{_number(row.measured)} {row.unit}", budget, row.verdict, row.note
        )
    console.print(table, soft_wrap=True)


def _number(x: float) -> str:
    return f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.3g}"


def interleaved(
    *calls: Callable[[], object],
    rounds: int = 30,
    inner: int | Sequence[int] = 1,
    warm: int = 3,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Median seconds of each call, taken in turns, so that a slow minute hits them all.

    `inner` calls, the same for all or each its own, make one time. `time.process_time` as the
    clock leaves out what other processes take.
    """
    often = [inner] * len(calls) if isinstance(inner, int) else inner
    for _ in range(warm):
        for call in calls:
            call()
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, seconds, count in zip(calls, times, often, strict=True):
            start = clock()
            for _ in range(count):
                call()
            seconds.append((clock() - start) / count)
    return [statistics.median(s) for s in times]
