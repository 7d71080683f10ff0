"""Every point of some runs as a table, as CSV or as Parquet."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from backend.figures.data.source import PointsLike, RunLike, SeriesLike, Source
from backend.figures.reference import Reference
from backend.sharing.allowed import config

HEADER = (
    "run", "number", "name", "metric", "layer", "estimator", "unit", "step", "value", "rounding",
)  # fmt: skip
"""The columns; `rounding` is 1 where the value compares with an exact gradient that is rounding, so
that it means nothing, else 0."""
BLOCK = 10_000
"""Rows of one piece of CSV."""
BYTE_ORDER_MARK = "\ufeff"


def csv_rows(source: Source, run_ids: Sequence[str], *, mark: bool = True) -> Iterator[str]:
    """CSV text in pieces of up to BLOCK rows, the header first, after a byte-order mark.

    Spreadsheets take a file without the `mark` for one in their computer's own encoding. A text
    that a spreadsheet would run as a formula starts with an apostrophe. Values are written so
    that they read back exactly; NaN, Infinity and -Infinity in words.
    """
    yield BYTE_ORDER_MARK * mark + _line(HEADER)
    for run_id in run_ids:
        run, exact = source.run(run_id), Reference(source, run_id)
        for series in source.series(run_id):
            yield from _blocks(
                source, exact, series, _line(_key(run_id, run, series)).rstrip("\r\n")
            )


def _blocks(source: Source, exact: Reference, series: SeriesLike, prefix: str) -> Iterator[str]:
    for points in source.pieces(series.id):
        rounding = exact.rounded(series, points.steps).astype(int)
        for start in range(0, len(points.steps), BLOCK):
            place = slice(start, start + BLOCK)
            columns = (points.steps, points.values, rounding)
            block = zip(*(column[place].tolist() for column in columns), strict=True)
            yield "".join(
                f"{prefix},{step},{_number(value)},{bad}\r\n" for step, value, bad in block
            )


def _key(run_id: str, run: RunLike, series: SeriesLike) -> tuple[str | int, ...]:
    texts = [series.metric, series.layer, series.estimator, series.unit]
    return (_cell(run_id), run.number or 0, *(_cell(text) for text in (run.name, *texts)))


def _cell(text: str) -> str:
    return "'" + text if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else text


def _number(value: float) -> str:
    if value != value:
        return "NaN"
    return repr(value).replace("inf", "Infinity")


def _line(cells: Sequence[str | int]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue()


def parquet(source: Source, run_ids: Sequence[str], path: Path | str) -> None:
    """Write every point; the runs' configurations are in the file's metadata (`gradlab`, JSON)."""
    # Here: loading pyarrow would slow the start of a server that may never export.
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = pa.dictionary(pa.int32(), pa.string())
    kinds = {"number": pa.int64(), "step": pa.int64(), "value": pa.float64(), "rounding": pa.int8()}
    about = {run_id: config(source.run(run_id)) for run_id in run_ids}
    schema = pa.schema([(name, kinds.get(name, text)) for name in HEADER])
    schema = schema.with_metadata({"gradlab": json.dumps(about)})
    with pq.ParquetWriter(path, schema) as writer:
        for run_id in run_ids:
            run, exact = source.run(run_id), Reference(source, run_id)
            for series in source.series(run_id):
                for points in source.pieces(series.id):
                    columns = _columns(points, run_id, run, series, text)
                    rounding = exact.rounded(series, points.steps).astype(np.int8)
                    columns["rounding"] = pa.array(rounding)
                    writer.write_table(pa.table(columns, schema))


def _columns(
    points: PointsLike, run_id: str, run: RunLike, series: SeriesLike, text: Any
) -> dict[str, Any]:
    import pyarrow as pa

    zeros = pa.array(np.zeros(len(points.steps), np.int32))
    words = (run_id, run.name, series.metric, series.layer, series.estimator, series.unit)
    names = [name for name in HEADER if name not in ("number", "step", "value", "rounding")]
    columns = {
        name: pa.DictionaryArray.from_arrays(zeros, pa.array([word], pa.string())).cast(text)
        for name, word in zip(names, words, strict=True)
    }
    number = pa.repeat(pa.scalar(run.number, pa.int64()), len(points.steps))
    return {**columns, "number": number, "step": points.steps, "value": points.values}
