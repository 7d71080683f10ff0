"""`recording_solves`: what it notes of every estimator's solves, and what it leaves as it is."""

import pytest
import torch

from estimators import (
    SPSA,
    ActivityForwardGradient,
    Anderson,
    Backprop,
    FixedPoint,
    ForwardGradient,
    ImplicitAdjoint,
    MeanOfDraws,
    stream,
)
from estimators.autodiff.calculus import value_and_grad
from estimators.implicit._adjoints import Neumann, differentiating_by
from estimators.implicit.solvers.record import open_records, recording_solves
from tests.estimators.implicit.setup_implicit import chain_of, flat, network

FORWARD = {"forward_iterations", "forward_residual", "forward_absolute_residual"}
BACKWARD = {"backward_iterations", "backward_residual", "backward_absolute_residual"}
LOST = {"not_converged", "not_finite"}


def recorded(estimator, chain, params):
    with recording_solves() as record:
        estimate = estimator.estimate(chain, params, None, stream(0, "estimator"))
    return record, estimate


@pytest.mark.parametrize(
    ("estimator", "backward"),
    [
        (Backprop(), True),
        (ForwardGradient(tangents=2), True),
        (ActivityForwardGradient(), True),
        (SPSA(), False),
    ],
    ids=str,
)
def test_every_estimator_s_solves_are_recorded(estimator, backward):
    chain, params = chain_of(network(sites=True))
    record, estimate = recorded(estimator, chain, params)
    assert set(record.numbers) == LOST | FORWARD | (BACKWARD if backward else set())
    assert record.converged
    assert record.examples == 6
    assert 3 < record.numbers["forward_iterations"] < 100
    assert 0 < record.numbers["forward_residual"] <= 2e-14
    assert set(estimate.info) & set(record.numbers) == set()


def test_the_numbers_are_the_largest_of_the_solve():
    chain, params = chain_of(network())
    record, _ = recorded(Backprop(), chain, params)
    stage = chain.module[1][0]
    solution = stage._solve(chain.module[0](chain.x))
    assert record.numbers["forward_iterations"] == solution.iterations.max()
    assert record.numbers["forward_residual"] == solution.relative.max()
    z, x = solution.z, chain.module[0](chain.x)
    lengths = torch.linalg.vector_norm(stage.cell(z, x) - z, dim=1)
    absolute = record.numbers["forward_absolute_residual"]
    # The length of a difference of 1e-14 between states of length 2 is rounded at 4e-16.
    assert absolute == pytest.approx(lengths.max().item(), abs=2e-15)
    assert absolute > solution.absolute.min()


def test_recording_changes_no_bit():
    chain, params = chain_of(network())
    before = value_and_grad(chain, params)
    with recording_solves():
        after = value_and_grad(chain, params)
    assert torch.equal(before[0], after[0])
    assert torch.equal(flat(before[1]), flat(after[1]))


def test_a_record_inside_another_gives_its_numbers_to_both():
    chain, params = chain_of(network())
    outer, estimate = recorded(ImplicitAdjoint(adjoint="ift"), chain, params)
    assert outer.numbers == {name: float(number) for name, number in estimate.info.items()}
    with recording_solves() as outer:
        Backprop().estimate(chain, params, None, stream(0, "estimator"))
        with differentiating_by(Neumann(1, 1.0)) as inner:
            value_and_grad(chain, params)
    assert set(inner.numbers) == LOST | FORWARD  # a Neumann series solves nothing
    assert set(outer.numbers) == LOST | FORWARD | BACKWARD
    with recording_solves() as outer, recording_solves() as inner:
        pass
    assert open_records() == ()
    assert set(outer.numbers) == set(inner.numbers) == LOST


def test_an_adjoint_inside_a_recorded_block_stays_the_adjoint():
    chain, params = chain_of(network())
    estimator = ImplicitAdjoint(adjoint="jfb")
    _, estimate = recorded(estimator, chain, params)
    alone = estimator.estimate(chain, params, None, stream(0, "estimator"))
    assert torch.equal(flat(estimate.grads), flat(alone.grads))


def test_the_backward_solves_of_a_pass_go_to_the_records_of_its_forward_pass():
    chain, params = chain_of(network())
    leaves = {n: p.requires_grad_() for n, p in params.items()}
    with recording_solves() as record:
        loss = chain(leaves)
    assert set(record.numbers) == LOST | FORWARD
    with recording_solves() as later:
        torch.autograd.grad(loss, list(leaves.values()))
    assert set(record.numbers) == LOST | FORWARD | BACKWARD
    assert set(later.numbers) == LOST


@pytest.mark.parametrize("limits", [(3, 200), (200, 3)], ids=["forward", "backward"])
def test_what_did_not_converge_is_told_by_kind(limits):
    forward, backward = (Anderson(limit=n) for n in limits)
    chain, params = chain_of(network(solver=forward, linear_solver=backward))
    record, _ = recorded(Backprop(), chain, params)
    assert not record.converged
    assert record.numbers["not_converged"] == 6
    kinds = ("forward", "backward") if limits[0] == 3 else ("backward", "forward")
    assert record.unconverged == {kinds[0]: 6, kinds[1]: 0}


def test_examples_that_are_not_finite_are_counted_apart():
    """Two of six examples with an input of NaN; the others converge."""
    chain, params = chain_of(network())
    x = chain.x.clone()
    x[1:3] = torch.nan
    record, _ = recorded(Backprop(), chain.on(x, chain.y), params)
    assert record.numbers["not_finite"] == 2
    assert record.unconverged["forward"] == 2
    assert record.not_finite == 2
    slow = chain_of(network(solver=FixedPoint(limit=3)))
    record, _ = recorded(Backprop(), *slow)
    assert (record.numbers["not_finite"], record.numbers["not_converged"]) == (0, 6)


def test_the_largest_of_several_solves_is_kept():
    """A later solve that converges does not hide one that did not."""
    chain, params = chain_of(network(solver=FixedPoint(limit=60)))
    far = {n: 3 * p if "recurrent" in n else p for n, p in params.items()}
    with recording_solves() as record, torch.no_grad():
        chain(far)
        hard = dict(record.numbers)
        chain(params)
    assert hard["not_converged"] > 0
    assert record.numbers == hard


def test_solves_inside_functorch_are_recorded():
    chain, params = chain_of(network())
    tangents = {n: torch.ones_like(p) for n, p in params.items()}
    with recording_solves() as record:
        torch.func.jvp(chain, (params,), (tangents,))
    assert set(record.numbers) == LOST | FORWARD | BACKWARD


def test_a_wrapper_s_draws_are_all_recorded():
    chain, params = chain_of(network())
    record, _ = recorded(MeanOfDraws(inner=ForwardGradient(), draws=3), chain, params)
    assert record.numbers["backward_iterations"] > 3
