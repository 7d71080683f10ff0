"""Summaries and grids: exact where they say so, and read without the points."""

import math

import numpy as np
import pytest
from sqlalchemy import text

from backend.store import summaries
from backend.store.chunks import FULL
from backend.store.columns import Held, of_points
from backend.store.points import SeriesPoints
from backend.store.reports import WorkerReport

LONG = 140_000
"""Points of a series that a grid draws from summaries."""


def with_odd_values(rng, count):
    values = rng.normal(3.0, 2.0, count)
    values[rng.integers(0, count, count // 50)] = np.nan
    values[rng.integers(0, count, count // 50)] = np.inf
    values[rng.integers(0, count, count // 50)] = -np.inf
    return values


def check_block(block, steps, values):
    finite = values[np.isfinite(values)]
    assert (block["first_step"], block["last_step"]) == (steps[0], steps[-1])
    np.testing.assert_array_equal([block["first"], block["last"]], values[[0, -1]])
    assert (block["count"], block["odd"]) == (len(values), len(values) - len(finite))
    if not len(finite):
        assert np.isnan([block[name] for name in ("low", "high", "mean", "m2")]).all()
        return
    assert (block["low"], block["high"]) == (finite.min(), finite.max())
    assert values[steps == block["low_step"]] == finite.min()
    assert values[steps == block["high_step"]] == finite.max()
    # Sums of n terms of size s are exact to n machine epsilons of n s.
    bound = len(finite) * np.finfo(float).eps
    mean = math.fsum(finite) / len(finite)
    squares = math.fsum((finite - mean) ** 2)
    assert abs(block["mean"] - mean) <= bound * np.abs(finite).max()
    assert abs(block["m2"] - squares) <= bound * (squares + finite.max() ** 2)


@pytest.mark.parametrize("seed", range(4))
def test_a_block_is_of_its_points_however_often_it_was_merged(seed):
    rng = np.random.default_rng(seed)
    steps = np.cumsum(rng.integers(1, 4, 600))
    values = with_odd_values(rng, 600)
    values[100:140] = np.nan  # whole blocks without a finite point
    starts = np.arange(0, 600, 20)
    blocks = summaries.of_points(steps, values, starts)
    for at, block in zip(starts, blocks, strict=True):
        check_block(block, steps[at : at + 20], values[at : at + 20])
    twice = summaries.merge(summaries.merge(blocks, np.arange(0, 30, 3)), np.array([0, 4]))
    check_block(twice[0], steps[:240], values[:240])
    check_block(twice[1], steps[240:], values[240:])


def test_blocks_do_not_depend_on_how_a_series_was_cut():
    steps, values = 8 * np.arange(5000), np.random.default_rng(0).normal(size=5000)
    size = summaries.width(0, int(steps[-1]), 5000)
    assert size == 8 * summaries.BLOCK_POINTS
    whole = summaries.summarise(steps, values, size)
    parts = [
        summaries.summarise(steps[a:b], values[a:b], size) for a, b in ((0, 1700), (1700, 5000))
    ]
    firsts = np.concatenate([part["first_step"] for part in parts])
    assert set(whole["first_step"]) <= set(firsts)
    assert len(firsts) <= len(whole) + 1


def naive(rows, most):
    """The grid by its definition, cell by cell: every point read."""
    steps = np.unique(np.concatenate([s for s, _ in rows]))
    edges = steps[np.unique(np.linspace(0, len(steps) - 1, most).round().astype(int))]
    cells = []
    for at, values in rows:
        place = np.searchsorted(edges, at, "right") - 1
        cells.append([values[place == column] for column in range(len(edges))])
    return edges, cells


def test_a_grid_of_points_is_as_defined():
    rng = np.random.default_rng(1)
    rows = [(np.sort(rng.choice(900, n, False)), rng.normal(size=n)) for n in (300, 7, 1, 450)]
    rows[3][1][5:9] = np.nan
    grid = of_points([Held(*row) for row in rows], 40)
    edges, cells = naive(rows, 40)
    assert grid.steps.tolist() == edges.tolist()
    for at, row in enumerate(cells):
        for column, values in enumerate(row):
            assert grid.has_point[at, column] == bool(len(values))
            if len(values):
                np.testing.assert_array_equal(grid.values[at, column], values[0])
                if np.isfinite(values).any():
                    assert grid.low[at, column] == np.nanmin(values)
                    assert grid.high[at, column] == np.nanmax(values)
    every = np.concatenate([values for _, values in rows])
    assert (grid.count, grid.odd) == (758, 4)
    assert grid.mean == pytest.approx(np.nanmean(every), abs=758 * np.finfo(float).eps)
    assert grid.sd == pytest.approx(np.nanstd(every), rel=758 * np.finfo(float).eps)


def test_a_grid_of_nothing():
    grid = of_points([], 10)
    assert grid.values.shape == (0, 0)
    grid = of_points([Held(np.empty(0, np.int64), np.empty(0))], 10)
    assert (grid.count, grid.values.shape) == (0, (1, 0))
    assert math.isnan(grid.mean)


@pytest.fixture
def long_run(store, run):
    """Three layers of many points, the third one probed half as often; returns ids and points."""
    rng = np.random.default_rng(2)
    rows = [(s, with_odd_values(rng, len(s))) for s in (8 * np.arange(LONG),) * 2]
    rows.append((16 * np.arange(LONG // 2), rng.normal(size=LONG // 2)))
    for sequence in range(7):
        place = slice(sequence * 20_000, (sequence + 1) * 20_000)
        series = [
            SeriesPoints("cosine", f"s{i}", "b", "", s[place], v[place])
            for i, (s, v) in enumerate(rows)
            if len(s[place])
        ]
        store.report(WorkerReport(run.id, 1, sequence, "running", series))
    store.report(WorkerReport(run.id, 1, 7, "finished"))
    return [series.id for series in store.series(run.id)], rows


def forget_values(store):
    """Overwrite the stored values of every chunk that has a summary."""
    with store.writing() as session:
        session.execute(
            text(
                'UPDATE chunk SET "values" = zeroblob(8 * count) '
                "WHERE id IN (SELECT chunk FROM chunk_summary)"
            )
        )


@pytest.mark.parametrize(("first", "last"), [(None, None), (801, None), (30_000, 1_100_001)])
def test_a_grid_of_summaries_holds_every_point(store, long_run, first, last):
    ids, rows = long_run
    grid = store.columns(ids, 100, first=first, last=last)
    assert 50 < len(grid.steps) <= 100
    inside = [(s >= (first or 0)) & (s <= (8 * LONG if last is None else last)) for s, _ in rows]
    assert grid.count == sum(each.sum() for each in inside)
    ends = [*grid.steps[1:], 8 * LONG]
    for at, ((steps, values), mine) in enumerate(zip(rows, inside, strict=True)):
        for column, (start, end) in enumerate(zip(grid.steps, ends, strict=True)):
            cell = values[mine & (steps >= start) & (steps < end)]
            np.testing.assert_array_equal(grid.values[at, column], cell[0])
            finite = cell[np.isfinite(cell)]
            assert (grid.low[at, column], grid.high[at, column]) == (finite.min(), finite.max())
    every = np.concatenate([values[mine] for (_, values), mine in zip(rows, inside, strict=True)])
    finite = every[np.isfinite(every)]
    assert grid.odd == len(every) - len(finite)
    bound = len(finite) * np.finfo(float).eps
    assert grid.mean == pytest.approx(finite.mean(), rel=bound)
    assert grid.sd == pytest.approx(finite.std(), rel=bound)


def test_a_grid_of_many_points_reads_no_point(store, long_run):
    ids, _ = long_run
    before = store.columns(ids, 100)
    forget_values(store)
    after = store.columns(ids, 100)
    np.testing.assert_array_equal(before.values, after.values)
    np.testing.assert_array_equal(before.high, after.high)


def test_a_short_range_of_a_long_run_shows_its_points(store, long_run):
    ids, rows = long_run
    grid = store.columns(ids, 100, first=801, last=1200)
    assert grid.steps.tolist() == list(range(808, 1201, 8))
    np.testing.assert_array_equal(grid.values[0], rows[0][1][101:151])
    assert grid.has_point[2].tolist() == [step % 16 == 0 for step in grid.steps]


def test_chunks_without_a_summary_are_summarised_when_they_are_read(store, long_run):
    ids, _ = long_run
    before = store.columns(ids, 100)
    with store.writing() as session:
        session.execute(text("DELETE FROM chunk_summary"))
    after = store.columns(ids, 100)
    np.testing.assert_array_equal(before.values, after.values)
    assert (before.count, before.odd, before.mean) == (after.count, after.odd, after.mean)


def test_a_curve_of_many_points_is_thinned_by_its_summaries(store, long_run):
    ids, rows = long_run
    steps, values = rows[2]
    forget_values(store)
    shown = store.points(ids[2], max=100)
    assert shown.count == len(steps)
    assert len(shown.steps) <= 100
    assert {values.min(), values.max(), values[0], values[-1]} <= set(shown.values)
    at = np.searchsorted(steps, shown.steps)
    np.testing.assert_array_equal(steps[at], shown.steps)
    np.testing.assert_array_equal(values[at], shown.values)


def test_a_curve_with_points_that_are_not_finite_shows_them(store, long_run):
    ids, rows = long_run
    shown = store.points(ids[0], max=200)
    for is_kind in (np.isnan, np.isposinf, np.isneginf):
        first = rows[0][0][is_kind(rows[0][1])][0]
        assert first in shown.steps


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [({}, slice(-5, None)), ({"last": 8 * 70_000 + 3}, slice(69_996, 70_001)),
     ({"last": 8 * (FULL + 1)}, slice(FULL - 3, FULL + 2)),
     ({"first": 8 * (LONG - 3)}, slice(-3, None)), ({"last": -1}, slice(0, 0))],
)  # fmt: skip
def test_the_newest_points(store, long_run, asked, wanted):
    ids, rows = long_run
    got = store.points(ids[0], newest=5, **asked)
    assert got.steps.tolist() == rows[0][0][wanted].tolist()
    np.testing.assert_array_equal(got.values, rows[0][1][wanted])


def test_the_newest_points_of_small_chunks(pen):
    for k in range(0, 40, 3):
        pen.write(range(k, k + 3), range(k, k + 3))
    assert pen.read(newest=7).steps.tolist() == list(range(35, 42))
    assert pen.read(newest=100).steps.tolist() == list(range(42))
    assert pen.read(newest=4, first=40).steps.tolist() == [40, 41]


def test_pieces_hold_every_point_once(store, long_run, monkeypatch):
    from backend.store import reads

    monkeypatch.setattr(reads, "PIECE", 30_000)
    ids, rows = long_run
    pieces = list(store.pieces(ids[1]))
    assert len(pieces) > 2
    np.testing.assert_array_equal(np.concatenate([p.steps for p in pieces]), rows[1][0])
    np.testing.assert_array_equal(np.concatenate([p.values for p in pieces]), rows[1][1])
