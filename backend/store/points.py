"""Writing points: append, delete from a step on, merge small rows into large ones."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from backend.store.chunks import FULL, SMALL, Packed, Steps, Values, join, pack, split, unpack
from backend.store.summaries import SUMMARISED, summarise, width
from backend.store.tables import Chunk, ChunkSummary, Series

_chunk = Chunk.__table__.c  # type: ignore[attr-defined]
_series = Series.__table__.c  # type: ignore[attr-defined]
COLUMNS = (_chunk.first_step, _chunk.last_step, _chunk.count, _chunk.steps, _chunk["values"])

Key = tuple[str, str, str]
"""(metric, layer, estimator)."""


@dataclass(frozen=True)
class SeriesPoints:
    """New points of one series."""

    metric: str
    layer: str
    estimator: str
    unit: str
    steps: Steps
    values: Values

    @property
    def key(self) -> Key:
        return self.metric, self.layer, self.estimator


def series_ids(
    connection: Connection, run_id: str, series: Iterable[SeriesPoints]
) -> dict[Key, int]:
    """The ids of the run's series; those that are new in `series` are created."""
    existing = _existing(connection, run_id)
    new = {f.key: f for f in series if f.key not in existing}
    if not new:
        return existing
    rows = [
        {"run": run_id, "metric": m, "layer": layer, "estimator": e, "unit": f.unit}
        for (m, layer, e), f in new.items()
    ]
    connection.execute(insert(Series), rows)
    return _existing(connection, run_id)


def _existing(connection: Connection, run_id: str) -> dict[Key, int]:
    query = select(_series.metric, _series.layer, _series.estimator, _series.id)
    rows = connection.execute(query.where(_series.run == run_id))
    return {(metric, layer, estimator): id for metric, layer, estimator, id in rows}


def append(
    connection: Connection, ids: dict[Key, int], attempt: int, series: Iterable[SeriesPoints]
) -> None:
    """Write one row for each series. Raises ValueError if its steps decrease."""
    rows = [pack(f.steps, f.values).row(ids[f.key], attempt) for f in series]
    if rows:
        connection.execute(insert(Chunk), rows)


def _of_run(run_id: str) -> Any:
    return _chunk.series.in_(select(_series.id).where(_series.run == run_id))


def cut(connection: Connection, run_id: str, step: int) -> None:
    """Delete the run's points from `step` on."""
    straddling = (_chunk.first_step < step) & (_chunk.last_step >= step)
    query = select(_chunk.id, _chunk.series, _chunk.attempt, *COLUMNS)
    rows = connection.execute(query.where(_of_run(run_id), straddling)).all()
    connection.execute(delete(Chunk).where(_of_run(run_id), _chunk.last_step >= step))
    kept = [_head(Packed(*row[3:]), step).row(row.series, row.attempt) for row in rows]
    _insert(connection, kept)


def _head(packed: Packed, step: int) -> Packed:
    steps, values = join([packed])
    keep = steps < step
    return pack(steps[keep], values[keep])


def merge(connection: Connection, run_id: str, below: int = FULL, at_least: int = 2) -> int:
    """Join the run's rows of fewer than `below` points; returns how many rows fewer there are.

    With `below=SMALL` large rows stay as they are, so that a long run rewrites each point only a
    few times. The default packs a finished run into as few rows as possible.
    """
    ids = mergeable(connection, run_id, below, at_least)
    return sum(merge_series(connection, series, below) for series in ids)


def mergeable(
    connection: Connection, run_id: str, below: int = FULL, at_least: int = 2
) -> Sequence[int]:
    """The run's series with several rows of fewer than `below` points."""
    small = _of_run(run_id) & (_chunk.count < below)
    query = select(_chunk.series).where(small).group_by(_chunk.series)
    return connection.execute(query.having(func.count() >= at_least)).scalars().all()


def merge_series(connection: Connection, series: int, below: int) -> int:
    """Join neighbours alone: rows on both sides of a large one would overlap it."""
    here = _chunk.series == series
    order = (_chunk.first_step, _chunk.id)
    counts = connection.execute(select(_chunk.count).where(here).order_by(*order)).scalars()
    query = select(_chunk.id, _chunk.attempt, *COLUMNS).where(here, _chunk.count < below)
    rows = iter(connection.execute(query.order_by(*order)).all())
    deleted, inserted = [], []
    for small, group in groupby(counts, lambda count: count < below):
        neighbours = list(islice(rows, len(list(group)))) if small else []
        packed = split(*join([Packed(*row[2:]) for row in neighbours]))
        if len(packed) < len(neighbours):
            deleted += [{"deleted": row.id} for row in neighbours]
            inserted += [p.row(series, max(row.attempt for row in neighbours)) for p in packed]
    if deleted:
        connection.execute(delete(Chunk).where(_chunk.id == bindparam("deleted")), deleted)
        _insert(connection, inserted)
    return len(deleted) - len(inserted)


def _insert(connection: Connection, rows: Iterable[dict[str, Any]]) -> None:
    """Insert chunks with the summaries of those that have many points."""
    for row in rows:
        key = connection.execute(insert(Chunk).values(row)).inserted_primary_key
        if row["count"] >= SUMMARISED and key is not None:
            add_summary(connection, key[0], Packed(**{k: row[k] for k in Packed.__slots__}))


def add_summary(connection: Connection, chunk: int, packed: Packed) -> None:
    """Store the summary of a chunk."""
    size = width(packed.first_step, packed.last_step, packed.count)
    blocks = summarise(*unpack(packed), size).tobytes()
    connection.execute(insert(ChunkSummary), {"chunk": chunk, "blocks": blocks})


__all__ = ["SMALL", "SeriesPoints", "append", "cut", "merge", "series_ids"]
