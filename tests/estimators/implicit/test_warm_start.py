"""Warm starts of an equilibrium: the same answer, from a state that only `begin_at` moves."""

import copy

import pytest
import torch
from torch import nn

from estimators import Backprop, Equilibrium, FixedPoint, ImplicitAdjoint, measure, stream
from estimators.autodiff.calculus import value_and_grad
from estimators.implicit.solvers.record import recording_solves
from tests.estimators.implicit.setup_implicit import (
    SOLVERS,
    TanhCell,
    batch,
    chain_of,
    flat,
    network,
)


def warm(solver=None, size=0.7) -> nn.Sequential:
    """`network`, with a warm start."""
    net = network(solver=solver, size=size)
    net[1][0] = Equilibrium(net[1][0].cell, solver, warm_start=True).double()
    return net


def learned(net) -> torch.Tensor:
    """The mean state of a pass, at which the next one is to begin."""
    with recording_solves() as record, torch.no_grad():
        net(batch()[0])
    return record.means[net[1][0]]


@pytest.mark.parametrize("name", SOLVERS)
def test_the_answer_is_the_same_in_fewer_iterations(name):
    net = warm(SOLVERS[name])
    chain, params = chain_of(net)
    with recording_solves() as cold:
        before = value_and_grad(chain, params)
    x = net[0](chain.x).detach()
    with torch.no_grad():
        state = net[1][0](x)
        net[1][0].begin_at(state[0])  # exact for the first example
        torch.testing.assert_close(net[1][0](x), state, rtol=0, atol=1e-12)
    assert net[1][0]._solve(x).iterations[0] <= 2
    with recording_solves() as after:
        warmed = value_and_grad(chain, params)
    torch.testing.assert_close(warmed[0], before[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(flat(warmed[1]), flat(before[1]), rtol=0, atol=1e-10)
    assert cold.converged
    assert after.converged


def test_what_is_recorded_is_the_mean_of_the_states_that_converged():
    net = warm()
    states = net[1][0]._solve(net[0](batch()[0])).z
    torch.testing.assert_close(learned(net), states.mean(0), rtol=0, atol=1e-15)
    x = batch()[0].clone()
    x[2:] = torch.nan
    with recording_solves() as record, torch.no_grad():
        net(x)
    torch.testing.assert_close(record.means[net[1][0]], states[:2].mean(0), rtol=0, atol=1e-15)
    with recording_solves() as record, torch.no_grad():
        net(x[2:])
    assert record.means == {}
    with recording_solves() as record, torch.no_grad():
        network()(batch()[0])
    assert record.means == {}


def test_of_several_passes_the_mean_is_that_of_the_first():
    """An estimate may make several, at other weights."""
    net = warm()
    with recording_solves() as record, torch.no_grad():
        net(batch()[0])
        net(2 * batch()[0])
    assert torch.equal(record.means[net[1][0]], learned(warm()))


def test_a_mean_recorded_under_functorch_is_a_plain_tensor():
    net = warm()
    chain, params = chain_of(net)
    with recording_solves() as record:
        torch.func.jvp(chain, (params,), ({n: torch.ones_like(p) for n, p in params.items()},))
    mean = record.means[net[1][0]]
    assert not torch._C._functorch.is_functorch_wrapped_tensor(mean)
    net[1][0].begin_at(mean)
    torch.testing.assert_close(net[1][0].mean, learned(warm()), rtol=0, atol=1e-12)


def test_examples_stay_independent():
    net = warm()
    net[1][0].begin_at(learned(net))
    x, _ = batch()
    with torch.no_grad():
        whole = net(x)
        torch.testing.assert_close(net(x[2:3]), whole[2:3], rtol=0, atol=1e-14)


def test_nothing_but_begin_at_moves_it():
    net = warm()
    net[1][0].begin_at(learned(net))
    chain, params = chain_of(net)
    before = {n: t.clone() for n, t in net.state_dict().items()}
    for estimator in (Backprop(), ImplicitAdjoint(), ImplicitAdjoint(adjoint="unrolled")):
        estimator.estimate(chain, params, None, stream(0, "estimator"))
    measure(net, nn.CrossEntropyLoss(), batch(), [Backprop(), ImplicitAdjoint()], draws=4)
    net(batch()[0]).sum().backward()
    after = net.state_dict()
    assert set(after) == set(before)
    assert all(torch.equal(after[n], t) for n, t in before.items())


def test_full_unrolling_begins_at_zeros():
    net = warm(FixedPoint(damping=0.5, limit=2000))
    chain, params = chain_of(net)
    unrolled = ImplicitAdjoint(adjoint="unrolled", damping=0.5)
    cold = unrolled.estimate(chain, params, None, stream(0, "estimator"))
    net[1][0].begin_at(learned(net))
    warmed = unrolled.estimate(chain, params, None, stream(0, "estimator"))
    assert cold.info["forward_iterations"] == warmed.info["forward_iterations"]
    assert torch.equal(flat(cold.grads), flat(warmed.grads))


def test_a_state_dict_holds_it():
    net = warm()
    assert net.state_dict()["1.0.mean"].shape == (0,)
    net[1][0].begin_at(learned(net))
    stored = copy.deepcopy(net.state_dict())
    other = warm()
    other.load_state_dict(stored)
    assert torch.equal(other[1][0].mean, learned(warm()))
    with torch.no_grad():
        assert torch.equal(other(batch()[0]), net(batch()[0]))
    other.load_state_dict(warm().state_dict())
    assert other[1][0].mean.shape == (0,)


def test_without_it_nothing_is_kept():
    net = network()
    assert "1.0.mean" not in net.state_dict()
    warm().load_state_dict(warm().state_dict())
    with pytest.raises(ValueError, match=r"no warm start; make it with warm_start=True"):
        net[1][0].begin_at(torch.zeros(5))


def test_a_start_of_another_shape_is_left_aside():
    stage = Equilibrium(TanhCell(), warm_start=True)
    stage.begin_at(torch.zeros(7))
    x = torch.randn(3, 5, generator=torch.Generator().manual_seed(0))
    cold = Equilibrium(stage.cell)
    with torch.no_grad():
        assert torch.equal(stage(x), cold(x))


def test_it_takes_the_precision_of_its_stage():
    net = warm().float()
    net[1][0].begin_at(torch.ones(5, dtype=torch.float64))
    assert net[1][0].mean.dtype == torch.float32
    chain, params = chain_of(net)
    single = type(chain)(net, chain.x.float(), chain.y)
    precise, theta = single.in_double_precision(params)
    assert precise(theta).dtype == torch.float64
