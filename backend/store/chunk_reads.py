"""Reading the chunks of one series: their points, their summaries, or the newest points alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import select
from sqlmodel import Session

from backend.store import summaries
from backend.store.chunks import Packed, Steps, Values, join, unpack
from backend.store.summaries import BLOCK_POINTS, Blocks
from backend.store.tables import Chunk, ChunkSummary

_chunk = Chunk.__table__.c  # type: ignore[attr-defined]
_summary = ChunkSummary.__table__.c  # type: ignore[attr-defined]
_BOUNDS = (_chunk.first_step, _chunk.last_step, _chunk.count)
_POINTS = (*_BOUNDS, _chunk.steps, _chunk["values"])


IDS = 1000
"""Series that one statement names."""


class Range(NamedTuple):
    """The steps asked for, both ends included; None is no bound."""

    first: int | None = None
    last: int | None = None

    def places(self, steps: Steps) -> slice:
        """Where ascending steps lie within the range."""
        start = 0 if self.first is None else int(np.searchsorted(steps, self.first, "left"))
        end = len(steps) if self.last is None else int(np.searchsorted(steps, self.last, "right"))
        return slice(start, end)

    def share(self, first_step: int, last_step: int) -> float:
        """About which share of a chunk's points lies within the range."""
        first = first_step if self.first is None else max(first_step, self.first)
        last = last_step if self.last is None else min(last_step, self.last)
        return max(0, last - first + 1) / (last_step - first_step + 1)


def _query(series: int | Sequence[int], asked: Range, *columns: Any) -> Any:
    here = _chunk.series == series if isinstance(series, int) else _chunk.series.in_(series)
    query = select(*columns).where(here)
    if asked.first is not None:
        query = query.where(_chunk.last_step >= asked.first)
    if asked.last is not None:
        query = query.where(_chunk.first_step <= asked.last)
    return query.order_by(_chunk.first_step, _chunk.id)


def points(session: Session, series_id: int, asked: Range) -> tuple[Steps, Values]:
    """The points of a series within a range."""
    rows = [Packed(*row) for row in session.execute(_query(series_id, asked, *_POINTS))]
    steps, values = join(rows)
    kept = asked.places(steps)
    # Of a long chunk a short range is copied, or it would keep the chunk in memory.
    short = kept.stop - kept.start < len(steps) // 2
    return (steps[kept].copy(), values[kept].copy()) if short else (steps[kept], values[kept])


def newest(session: Session, series_id: int, asked: Range, count: int) -> tuple[Steps, Values]:
    """The last `count` points within a range, from as few chunks as hold them."""
    bounds = session.execute(_query(series_id, asked, *_BOUNDS)).all()
    missing, first = count, asked.first
    for first_step, last_step, size in reversed(bounds):
        # A chunk beyond an end of the range holds too few of its points.
        inside = asked.last is None or last_step <= asked.last
        missing -= size if inside and (asked.first is None or first_step >= asked.first) else 0
        if missing <= 0:
            first = first_step if first is None else max(first, first_step)
            break
    steps, values = points(session, series_id, Range(first, asked.last))
    return steps[-count:], values[-count:]


def spans(session: Session, series_id: int, size: int) -> list[tuple[int, int]]:
    """Ranges of steps that follow each other and hold about `size` points or one chunk each."""
    ranges: list[tuple[int, int]] = []
    held = 0
    for first, last, count in session.execute(_query(series_id, Range(), *_BOUNDS)):
        if ranges and (first <= ranges[-1][1] or held + count <= size):
            ranges[-1] = (ranges[-1][0], max(last, ranges[-1][1]))
            held += count
        else:
            ranges.append((first, last))
            held = count
    return ranges


@dataclass(frozen=True, slots=True)
class _Row:
    """A chunk without its points."""

    id: int
    first_step: int
    last_step: int
    count: int

    @property
    def unit(self) -> int:
        """The steps of its blocks."""
        return summaries.width(self.first_step, self.last_step, self.count)


class SeriesReader:
    """One series within a range, of which parts are read when they are needed."""

    def __init__(
        self, session: Session, series_id: int, asked: Range, rows: Sequence[_Row]
    ) -> None:
        self._session, self._series, self._asked, self._rows = session, series_id, asked, rows

    @classmethod
    def readers(
        cls, session: Session, series_ids: Sequence[int], asked: Range
    ) -> "list[SeriesReader]":
        """A reader for each series."""
        rows: dict[int, list[_Row]] = {id: [] for id in series_ids}
        for start in range(0, len(series_ids), IDS):
            query = _query(
                series_ids[start : start + IDS], asked, _chunk.series, _chunk.id, *_BOUNDS
            )
            for series, *row in session.execute(query):
                rows[series].append(_Row(*row))
        return [cls(session, id, asked, rows[id]) for id in series_ids]

    @property
    def about(self) -> float:
        """About how many points there are."""
        return sum(r.count * self._asked.share(r.first_step, r.last_step) for r in self._rows)

    @property
    def about_blocks(self) -> float:
        """About how many blocks there are."""
        return self.about / BLOCK_POINTS

    @property
    def ends(self) -> tuple[int, int] | None:
        """Bounds of the steps within the range; None without points."""
        if not self._rows:
            return None
        first, last = self._rows[0].first_step, max(row.last_step for row in self._rows)
        if self._asked.first is not None:
            first = max(first, self._asked.first)
        return first, last if self._asked.last is None else min(last, self._asked.last)

    @property
    def unit(self) -> int:
        """The steps of the widest blocks: each block lies within one multiple of them."""
        return max((row.unit for row in self._rows), default=1)

    def steps(self) -> Steps:
        """The steps, without reading the values."""
        query = _query(self._series, self._asked, *_BOUNDS, _chunk.steps)
        rows = self._session.execute(query)
        parts = [
            unpack(Packed(first, last, count, blob, b""))[0] for first, last, count, blob in rows
        ]
        parts = [steps[self._asked.places(steps)] for steps in parts]
        steps = np.concatenate(parts) if parts else np.empty(0, np.int64)
        # Chunks seldom overlap, and sorting is slow.
        return steps if (np.diff(steps) > 0).all() else np.unique(steps)

    def points(self) -> tuple[Steps, Values]:
        """Steps and values."""
        return points(self._session, self._series, self._asked)

    def blocks(self) -> Blocks:
        """The points in blocks: from summaries; from the points where there is no summary, and of
        chunks that lie only partly within the range."""
        parts = list(self._blocks())
        if not parts:
            return np.empty(0, summaries.BLOCK)
        blocks = np.concatenate(parts)
        if (np.diff(blocks["first_step"]) >= 0).all():
            return blocks
        return blocks[np.argsort(blocks["first_step"], kind="stable")]

    def _blocks(self) -> Iterator[Blocks]:
        stored = self._summaries()
        for row in self._rows:
            blocks = summaries.blocks_from(stored[row.id]) if row.id in stored else None
            whole = self._asked.share(row.first_step, row.last_step) == 1
            if whole and blocks is not None:
                yield blocks
            else:
                yield from self._made(row, blocks)

    def _made(self, row: _Row, stored: Blocks | None) -> Iterator[Blocks]:
        """The blocks of a chunk by its points: all of them, or beside the `stored` ones that lie
        within the range."""
        query = select(*_POINTS).where(_chunk.id == row.id)
        steps, values = join([Packed(*self._session.execute(query).one())])
        kept = self._asked.places(steps)
        low, high, inside = kept.stop, kept.stop, None
        if stored is not None:
            first, last = steps[kept][[0, -1]] if kept.start < kept.stop else (1, 0)
            inside = stored[(stored["first_step"] >= first) & (stored["last_step"] <= last)]
        if inside is not None and len(inside):
            low = int(np.searchsorted(steps, inside["first_step"][0], "left"))
            high = int(np.searchsorted(steps, inside["last_step"][-1], "right"))
        yield summaries.summarise(steps[kept.start : low], values[kept.start : low], row.unit)
        if inside is not None:
            yield inside
        yield summaries.summarise(steps[high : kept.stop], values[high : kept.stop], row.unit)

    def _summaries(self) -> dict[int, bytes]:
        query = _query(self._series, self._asked, _chunk.id, _summary.blocks)
        joined = query.join_from(Chunk, ChunkSummary, _summary.chunk == _chunk.id)
        return {row.id: row.blocks for row in self._session.execute(joined)}
