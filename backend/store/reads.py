"""Reading the series, points and events of runs: no more than what is asked for needs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import func, select
from sqlmodel import Session

from backend.store import chunk_reads, columns
from backend.store.base import Base, MissingError
from backend.store.chunk_reads import Range, SeriesReader
from backend.store.chunks import Steps, Values
from backend.store.columns import Columns
from backend.store.downsample import downsample
from backend.store.summaries import Blocks
from backend.store.tables import Chunk, Event, Series

_chunk = Chunk.__table__.c  # type: ignore[attr-defined]
_series = Series.__table__.c  # type: ignore[attr-defined]

CANDIDATES = 4
"""Points that downsampling chooses among, for each that is shown (the ratio of MinMaxLTTB)."""
EVERY_POINT = 128_000
"""A grid reads every point of rows of up to so many points, else their summaries."""
PIECE = 262_144
"""About how many points a piece of an export holds."""


@dataclass(frozen=True)
class SeriesInfo:
    """One series, without its points."""

    id: int
    run: str
    metric: str
    layer: str
    estimator: str
    unit: str
    count: int


@dataclass(frozen=True)
class Points:
    """Points of a series by step; `count` is the number of points in the requested range."""

    steps: Steps
    values: Values
    count: int


class Reads(Base):
    """Series and points, for figures, charts and exports."""

    def series(self, run_id: str) -> list[SeriesInfo]:
        """The series of a run, with the number of their points."""
        query = (
            select(
                _series.id, _series.run, _series.metric, _series.layer, _series.estimator,
                _series.unit, func.coalesce(func.sum(_chunk.count), 0),
            )
            .outerjoin(Chunk, _chunk.series == _series.id)
            .where(_series.run == run_id)
            .group_by(_series.id)
            .order_by(_series.id)
        )  # fmt: skip
        with self.reading() as session:
            return [SeriesInfo(*row) for row in session.execute(query)]

    def points(
        self,
        series_id: int,
        *,
        max: int | None = None,
        first: int | None = None,
        last: int | None = None,
        newest: int | None = None,
    ) -> Points:
        """Points with first <= step <= last, downsampled to at most `max` (10 or more) of them.

        Downsampling keeps the extrema. With `newest`, the last so many points of the range alone.
        Raises MissingError if there is no such series.
        """
        asked = Range(first, last)
        with self.reading() as session:
            if newest is not None:
                steps, values = chunk_reads.newest(session, series_id, asked, newest)
            elif max is not None and (blocks := _summary_for(session, series_id, asked, max)):
                return blocks
            else:
                steps, values = chunk_reads.points(session, series_id, asked)
            if not len(steps):
                _require_series(session, series_id)
        return _shown(steps, values, len(steps), max)

    def columns(
        self,
        series_ids: Sequence[int],
        most: int,
        *,
        first: int | None = None,
        last: int | None = None,
    ) -> Columns:
        """A grid of series, a row each, of at most `most` columns; see `columns.Columns`."""
        asked = Range(first, last)
        with self.reading() as session:
            rows = SeriesReader.readers(session, series_ids, asked)
            if any(row.about > EVERY_POINT for row in rows):
                return columns.of_blocks(rows, most)
            return columns.of_points(rows, most)

    def pieces(self, series_id: int) -> Iterator[Points]:
        """Every point of a series that is there now, in pieces by step, for exports."""
        with self.reading() as session:
            spans = chunk_reads.spans(session, series_id, PIECE)
        for first, last in spans:
            yield self.points(series_id, first=first, last=last)

    def series_run(self, series_id: int) -> str:
        """The id of the run that a series belongs to. Raises MissingError."""
        with self.reading() as session:
            return _require_series(session, series_id).run

    def latest(self, run_id: str) -> dict[int, tuple[int, float]]:
        """The last point (step, value) of each series of a run that has points."""
        newest = (
            select(_chunk.series, func.max(_chunk.last_step).label("step"))
            .join(Series, _series.id == _chunk.series)
            .where(_series.run == run_id)
            .group_by(_chunk.series)
            .subquery()
        )
        query = select(_chunk.series, _chunk.last_step, _chunk["values"]).join(
            newest, (newest.c.series == _chunk.series) & (newest.c.step == _chunk.last_step)
        ).order_by(_chunk.id)  # fmt: skip
        with self.reading() as session:
            # Row by row: together the chunks of many series are large.
            return {
                series: (step, float(np.frombuffer(blob[-8:], "<f8")[0]))
                for series, step, blob in session.execute(query.execution_options(yield_per=16))
            }

    def events(self, run_id: str, limit: int = 1000) -> list[Event]:
        """The last `limit` events of a run, oldest first."""
        column = Event.__table__.c  # type: ignore[attr-defined]
        query = select(Event).where(column.run == run_id).order_by(column.id.desc()).limit(limit)
        with self.reading() as session:
            return list(session.scalars(query))[::-1]


def _require_series(session: Session, series_id: int) -> Series:
    series = session.get(Series, series_id)
    if series is None:
        raise MissingError(f"there is no series {series_id}")
    return series


def _shown(steps: Steps, values: Values, count: int, most: int | None) -> Points:
    if most is not None and len(steps) > most:
        chosen = downsample(steps, values, most)
        steps, values = steps[chosen], values[chosen]
    return Points(steps, values, count)


def _summary_for(session: Session, series_id: int, asked: Range, most: int) -> Points | None:
    """Downsampled from the extrema of blocks, where there are enough blocks for that.

    None where the points themselves are needed: of few blocks, and where some are not finite.
    """
    (row,) = SeriesReader.readers(session, [series_id], asked)
    # Two extrema a block.
    if row.about_blocks < CANDIDATES // 2 * most:
        return None
    blocks = row.blocks()
    if len(blocks) < CANDIDATES // 2 * most or blocks["odd"].any():
        return None
    steps, values = _extrema(blocks)
    return _shown(steps, values, int(blocks["count"].sum()), most)


def _extrema(blocks: Blocks) -> tuple[Steps, Values]:
    """The first and last point of all, and the lowest and highest of each block, by step."""
    steps = [blocks["first_step"][:1], blocks["last_step"][-1:]]
    values = [blocks["first"][:1], blocks["last"][-1:]]
    steps += [blocks["low_step"], blocks["high_step"]]
    values += [blocks["low"], blocks["high"]]
    at, extrema = np.concatenate(steps), np.concatenate(values)
    order = np.argsort(at, kind="stable")
    new = np.diff(at[order], prepend=-1) > 0
    return at[order][new], extrema[order][new]
