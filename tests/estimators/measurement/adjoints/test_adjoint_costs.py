"""Time and memory of the adjoints: what is timed, what is kept, what the table shows."""

from itertools import count, pairwise

import pytest

from estimators.measurement.adjoints import gradients
from estimators.statistics.adjoint_grid import nearest
from tests.estimators.implicit.setup_implicit import (
    LinearCell,
    TanhCell,
    network,
)
from tests.estimators.measurement.adjoints.setup_adjoints import (
    map_of,
)


def test_npg_keeps_as_much_for_any_k_and_upg_in_proportion():
    net = network(TanhCell)
    measured = map_of(
        net, factors=[1.0], steps=[1, 2, 4, 8], damping=[1.0], solvers=["anderson", "broyden"]
    )
    rows = {(row.solver, row.kind, row.steps): row for row in measured.costs}
    assert len(rows) == 2 * (2 * 4 + 2) + 1
    for solver in ("anderson", "broyden"):
        kept = {k: rows[solver, "npg", k].saved for k in (1, 2, 4, 8)}
        assert len(set(kept.values())) == 1
        assert kept[1] == rows[solver, "ift", None].saved
        steps = [rows[solver, "upg", k].saved for k in (1, 2, 4, 8)]
        # Each step keeps tanh's output alone, which is the next step's input: (6, 5) numbers.
        assert [b - a for a, b in pairwise(steps)] == [240, 480, 960]
        exact = rows[solver, "ift", None]
        assert exact.relative_error < 1e-11
        assert exact.seconds > 0
        assert exact.forward_seconds > 0
    # 2 · 6 states of Anderson, 20 + 1 of Broyden, of 6 × 5 numbers of 8 bytes.
    assert rows["anderson", "npg", 2].history == 12 * 240
    assert rows["broyden", "npg", 2].history == 21 * 240
    assert rows["fixed_point", "unrolled", None].history == 0


def test_the_loss_and_the_gradients_are_timed_in_turns(monkeypatch):
    """On a clock whose n-th timing takes n seconds."""
    calls = count()

    def clock():
        timing, is_end = divmod(next(calls), 2)
        return float(timing * (timing + 1) // 2 + is_end * (timing + 1))

    monkeypatch.setattr(gradients, "process_time", clock)
    measured = map_of(
        network(), factors=[1.0], steps=[2], damping=[0.5], solvers=["broyden"], repeats=5
    )
    kinds = [row.kind for row in measured.costs]
    assert kinds == ["ift", "jfb", "npg", "upg", "unrolled"]
    loss = measured.costs[0].forward_seconds
    for place, row in enumerate(measured.costs, 1):
        # A turn is the loss and five gradients; the quartiles are those of turns 2 and 4.
        assert (row.forward_seconds_low, row.forward_seconds) == (loss - 6, loss)
        assert row.forward_seconds_high == loss + 6
        assert (row.seconds_low, row.seconds, row.seconds_high) == (
            loss - 6 + place, loss + place, loss + 6 + place,
        )  # fmt: skip
        assert row.repeats == 5
    assert measured.costs[1].ratio == pytest.approx((loss + 2) / (loss + 1))
    assert f"({1000 * (loss - 6):.3g}–{1000 * (loss + 6):.3g})" in str(measured.cost_table())


def test_a_cost_is_measured_at_the_network_as_it_is():
    measured = map_of(
        network(LinearCell), factors=[0.5], steps=[2], damping=[0.5], solvers=["broyden"]
    )
    at_one = map_of(network(LinearCell), factors=[1.0], steps=[2], damping=[0.5])
    row = next(row for row in measured.costs if row.kind == "npg")
    wanted = at_one.value("npg", 2, 0.5, quantity="relative_error")
    assert row.relative_error == pytest.approx(wanted, abs=1e-11)
    assert {r.factor for r in measured.cells.values()} == {0.5}


def test_the_table_of_costs_has_the_best_damping_of_each_k():
    measured = map_of(network(), factors=[1.0], solvers=["anderson"])
    for row in nearest(measured.costs):
        others = [
            other.relative_error
            for other in measured.costs
            if (other.kind, other.steps) == (row.kind, row.steps)
        ]
        assert row.relative_error == min(others)
    assert len(nearest(measured.costs)) == 2 * 3 + 2 + 1
    assert "ms of a" in str(measured.cost_table())
