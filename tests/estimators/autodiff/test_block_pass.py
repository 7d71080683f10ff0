"""Tangents through one block: batched, and one by one where an operation cannot be batched."""

import pytest
import torch
from torch import nn

from estimators import Chain, GuessAndTarget, require, stream
from estimators.autodiff.block_pass import parts_of, push, push_to_losses
from tests.estimators.guess.setup_guess import UNITS, begun, close


class Cube(torch.autograd.Function):
    """x³, with a rule for forward mode and none for vmap."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 3 * x**2 * g

    @staticmethod
    def jvp(ctx, t):
        (x,) = ctx.saved_tensors
        return 3 * x**2 * t


class Cubed(nn.Module):
    def forward(self, x):
        return Cube.apply(x)


class Powers(nn.Module):
    """The same function of operations that can all be batched."""

    def forward(self, x):
        return x * x * x


def chain_with(activation):
    torch.manual_seed(0)
    x = torch.randn(5, 4, dtype=torch.float64)
    module = nn.Sequential(
        nn.Linear(4, 4), nn.Sequential(activation, nn.Linear(4, 4)), nn.Linear(4, 3)
    )
    chain = Chain(module.double(), x, torch.arange(5) % 3)
    return chain, {n: p.detach() for n, p in module.named_parameters()}


def test_the_operation_is_one_that_vmap_refuses():
    x = torch.randn(2, 3)
    with pytest.raises(RuntimeError, match=r"functorch|vmap|setup_context"):
        torch.func.vmap(Cube.apply)(x)


@pytest.mark.parametrize("count", [1, 3])
def test_tangents_are_those_of_operations_that_can_be_batched(count):
    pushed = []
    for activation in (Cubed(), Powers()):
        chain, params = chain_with(activation)
        tangents = torch.randn(count, 5, 4, generator=stream(0, "data"), dtype=torch.float64)
        middle, last = parts_of(chain)[1:]
        moved = push(middle, params, chain.x, chain.y, tangents)
        pushed.append(
            {"block": moved, "losses": push_to_losses(last, params, chain.x, chain.y, moved)}
        )
    close(*pushed, 1e-12)
    assert pushed[0]["losses"].shape == (count, 5)


@pytest.mark.parametrize("unit", UNITS)
def test_honest_guesses_on_such_a_network_are_those_of_the_oracle(unit):
    chain, params = chain_with(Cubed())
    estimates = []
    for source in ("honest", "oracle"):
        estimator = GuessAndTarget(guess="local", unit=unit, source=source)
        require(estimator, chain, params)
        state = begun(estimator, chain, params)
        estimates.append(estimator.estimate(chain, params, state, stream(0, "estimator")).grads)
    close(*estimates, 1e-10)
