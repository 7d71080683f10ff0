"""Reading the series, points and events of runs."""

from dataclasses import dataclass

import numpy as np
from sqlalchemy import func, select

from backend.store.base import Base, MissingError
from backend.store.chunks import Packed, Steps, Values, join
from backend.store.downsample import downsample
from backend.store.tables import Chunk, Event, Series

_chunk = Chunk.__table__.c  # type: ignore[attr-defined]
_series = Series.__table__.c  # type: ignore[attr-defined]


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
    ) -> Points:
        """Points with first <= step <= last, downsampled to at most `max` (10 or more) of them.

        Downsampling keeps the extrema. Raises MissingError if there is no such series.
        """
        rows = self._chunks(series_id, first, last)
        steps, values = _within(*join(rows), first, last)
        count = len(steps)
        if max is not None and count > max:
            chosen = downsample(steps, values, max)
            steps, values = steps[chosen], values[chosen]
        return Points(steps, values, count)

    def series_run(self, series_id: int) -> str:
        """The id of the run that a series belongs to. Raises MissingError."""
        with self.reading() as session:
            series = session.get(Series, series_id)
        if series is None:
            raise MissingError(f"there is no series {series_id}")
        return series.run

    def _chunks(self, series_id: int, first: int | None, last: int | None) -> list[Packed]:
        query = (
            select(
                _chunk.first_step, _chunk.last_step, _chunk.count, _chunk.steps, _chunk["values"]
            )
            .where(_chunk.series == series_id)
            .order_by(_chunk.first_step, _chunk.id)
        )
        if first is not None:
            query = query.where(_chunk.last_step >= first)
        if last is not None:
            query = query.where(_chunk.first_step <= last)
        with self.reading() as session:
            rows = [Packed(*row) for row in session.execute(query)]
            if not rows and session.get(Series, series_id) is None:
                raise MissingError(f"there is no series {series_id}")
        return rows

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
            rows = session.execute(query).all()
        return {
            series: (step, float(np.frombuffer(blob[-8:], "<f8")[0])) for series, step, blob in rows
        }

    def events(self, run_id: str, limit: int = 1000) -> list[Event]:
        """The last `limit` events of a run, oldest first."""
        column = Event.__table__.c  # type: ignore[attr-defined]
        query = select(Event).where(column.run == run_id).order_by(column.id.desc()).limit(limit)
        with self.reading() as session:
            return list(session.scalars(query))[::-1]


def _within(
    steps: Steps, values: Values, first: int | None, last: int | None
) -> tuple[Steps, Values]:
    start = 0 if first is None else int(np.searchsorted(steps, first, "left"))
    stop = len(steps) if last is None else int(np.searchsorted(steps, last, "right"))
    return steps[start:stop], values[start:stop]
