"""A source that reads each series once, for questions that many parts ask of one run."""

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

LONG = 20_000
"""Points up to which a series is kept whole: measures of probes are much shorter."""


class Remembered:
    """What a source answered; give a snapshot, since it is not asked again."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._runs: dict[str, RunLike] = {}
        self._series: dict[str, Sequence[SeriesLike]] = {}
        self._counts: dict[int, int] = {}
        self._points: dict[int, MemoryPoints] = {}

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
        if max is not None or self._counts.get(series_id, LONG + 1) > LONG:
            return self._source.points(series_id, max=max, first=first, last=last, newest=newest)
        if series_id not in self._points:
            whole = self._source.points(series_id)
            self._points[series_id] = MemoryPoints(whole.steps, whole.values, whole.count)
        kept = self._points[series_id].within(first, last)
        return kept if newest is None else kept.newest(newest)

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
