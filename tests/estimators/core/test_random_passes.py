"""Under dropout, an estimator draws what it draws of the network with the masks as constants."""

import pytest
import torch
from torch import nn

from estimators.core.contract import UnsupportedError
from estimators.core.noise import stream
from estimators.core.objective import Chain
from estimators.core.replay import Generators, replaying
from estimators.core.site import Site
from estimators.feedback.backprop import Backprop
from estimators.perturbation.forward_gradient import ForwardGradient
from estimators.registry import discover
from estimators.requirements import require

CPU = torch.device("cpu")
START = Generators.seeded(7, CPU)


class Masked(nn.Module):
    """h ↦ m ⊙ h."""

    def __init__(self, mask):
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, h):
        return h * self.mask


def network(first, second):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Sequential(nn.Linear(6, 8), Site(), nn.Tanh(), first),
        nn.Sequential(nn.Linear(8, 8), Site(), nn.ReLU(), second),
        nn.Linear(8, 3),
    )


@pytest.fixture(scope="module")
def chains():
    """The network with dropout, and the same with its masks as constants."""
    torch.manual_seed(1)
    x, y = torch.randn(5, 6), torch.randint(3, (5,))
    with replaying(START):
        random = Chain(network(nn.Dropout(0.5), nn.Dropout(0.5)), x, y)
        START.restore()
        masks = [nn.functional.dropout(torch.ones(5, 8), 0.5, True) for _ in range(2)]
    return random.drawing_from(START), Chain(network(*map(Masked, masks)), x, y)


def params(chain):
    return {name: p.detach() for name, p in chain.module.named_parameters()}


ESTIMATORS = {
    **{name: entry.cls for name, entry in discover().estimators.items()},
    "three tangents": lambda: ForwardGradient(tangents=3),
}
PARTS = {"local_losses", "guess_and_target"}
NEITHER = {"implicit_adjoint"}


@pytest.mark.parametrize("name", sorted(ESTIMATORS.keys() - NEITHER))
def test_an_estimate_is_that_at_fixed_masks(chains, name):
    estimator, both = ESTIMATORS[name](), [(chain, params(chain)) for chain in chains]
    if name in PARTS:
        with pytest.raises(UnsupportedError, match="needs to run parts of the network"):
            require(estimator, *both[0])
        return
    require(estimator, *both[0])
    states = [estimator.init(*pair, stream(0, "estimator")) for pair in both]
    for step in range(2):
        drawn, fixed = (
            estimator.estimate(*pair, state, stream(0, "estimator", step))
            for pair, state in zip(both, states, strict=True)
        )
        assert drawn.loss == pytest.approx(fixed.loss.item(), rel=1e-5)
        for key, g in fixed.grads.items():
            torch.testing.assert_close(drawn.grads[key], g, rtol=1e-4, atol=1e-5)
        states = [drawn.state, fixed.state]


def test_a_pass_leaves_the_generators_as_they_were(chains):
    chain, before = chains[0], Generators(CPU)
    Backprop().estimate(chain, params(chain), None, stream(0, "estimator"))
    assert not before.moved()


def test_a_seeded_start_is_that_of_seeding(chains):
    torch.manual_seed(7)
    want = torch.rand(3)
    START.restore()
    assert torch.equal(torch.rand(3), want)
    with pytest.raises(ValueError, match="from 0 on is allowed"):
        Generators.seeded(-1, CPU)
