"""A source that reads everything once: for an answer that needs the same series many times."""

from collections.abc import Iterator, Mapping, Sequence

from backend.figures.data.source import (
    ColumnsLike,
    EventLike,
    MemoryPoints,
    PointsLike,
    RunLike,
    SeriesLike,
    Source,
)

MOST = 4096
"""Points of an answer that is kept: those of long series would take much memory."""
WHOLE = 20_000
"""Points up to which a series is kept whole, whatever part of it is asked for first: measures of
probes are much shorter."""


class ReadOnce:
    """A `Source` over another one, of which the answers must not change meanwhile: a snapshot."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._runs: dict[str, RunLike] = {}
        self._series: dict[str, Sequence[SeriesLike]] = {}
        self._counts: dict[int, int] = {}
        self._whole: dict[int, MemoryPoints] = {}
        self._points: dict[tuple[int | None, ...], PointsLike] = {}

    def run(self, run_id: str, /) -> RunLike:
        if run_id not in self._runs:
            self._runs[run_id] = self._source.run(run_id)
        return self._runs[run_id]

    def series(self, run_id: str, /) -> Sequence[SeriesLike]:
        if run_id not in self._series:
            self._series[run_id] = self._source.series(run_id)
            self._counts |= {each.id: each.count for each in self._series[run_id]}
        return self._series[run_id]

    def marked_events(self, run_ids: Sequence[str], /) -> Mapping[str, Sequence[EventLike]]:
        return self._source.marked_events(run_ids)

    def points(
        self,
        series_id: int,
        /,
        *,
        max: int | None = None,
        first: int | None = None,
        last: int | None = None,
        newest: int | None = None,
    ) -> PointsLike:
        if max is None and self._counts.get(series_id, WHOLE + 1) <= WHOLE:
            kept = self._kept_whole(series_id).within(first, last)
            return kept if newest is None else kept.newest(newest)
        key = (series_id, max, first, last, newest)
        if key in self._points:
            return self._points[key]
        points = self._source.points(series_id, max=max, first=first, last=last, newest=newest)
        if len(points.steps) <= MOST:
            self._points[key] = points
        return points

    def _kept_whole(self, series_id: int) -> MemoryPoints:
        if series_id not in self._whole:
            points = self._source.points(series_id)
            self._whole[series_id] = MemoryPoints(points.steps, points.values, points.count)
        return self._whole[series_id]

    def columns(
        self,
        series_ids: Sequence[int],
        most: int,
        /,
        *,
        first: int | None = None,
        last: int | None = None,
    ) -> ColumnsLike:
        return self._source.columns(series_ids, most, first=first, last=last)

    def pieces(self, series_id: int, /) -> Iterator[PointsLike]:
        return self._source.pieces(series_id)
