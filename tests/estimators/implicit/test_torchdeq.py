"""The same states and gradients as torchdeq 0.1.0, of Geng et al., on the same cells.

Both libraries solve to a relative residual of 1e-12. States then err by 1e-12 ‖z‖ / (1 − ‖J‖), and
gradients by that times the second derivatives and by the same again for the linear equation: with
norms up to 10 and ‖J‖ ≤ 0.7, by less than 2e-10.
"""

import warnings
from functools import partial

import pytest
import torch
from torch import nn

from estimators import Anderson, Broyden, Equilibrium, FixedPoint, ImplicitAdjoint, stream
from estimators.core.objective import Chain
from tests.estimators.implicit.setup_implicit import SINGLE, TanhCell, batch, network

with warnings.catch_warnings():
    # Escape sequences in its docstrings, if it was installed without being compiled.
    warnings.simplefilter("ignore", (DeprecationWarning, SyntaxWarning))
    import torchdeq
    from torchdeq.solver import anderson_solver, register_solver

RESIDUAL = 1e-12
CLOSE = {"rtol": 0, "atol": 2e-10}
SOLVERS = {
    "anderson": Anderson(tolerance=RESIDUAL / SINGLE),
    "broyden": Broyden(tolerance=RESIDUAL / SINGLE),
    "fixed_point_iter": FixedPoint(tolerance=RESIDUAL / SINGLE),
}
LIMIT = 300

# torchdeq adds its ridge to products of residuals: its own 1e-4 leaves plain averages of the last
# iterates once residuals are below 1e-2.
register_solver("anderson", partial(anderson_solver, lam=1e-20))


class ConvolutionalCell(nn.Module):
    """f(z, x) = tanh(norm(W ∗ z + x)), the normalisation that of two groups of channels."""

    def __init__(self, channels: int = 4) -> None:
        super().__init__()
        self.recurrent = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.GroupNorm(2, channels)

    def forward(self, z, x):
        return torch.tanh(self.norm(self.recurrent(z) + x))


def mlp(solver):
    return network(TanhCell, solver), batch()[0]


def convolutional(solver):
    with torch.random.fork_rng():
        torch.manual_seed(7)
        cell = ConvolutionalCell()
        head = nn.Sequential(nn.Flatten(), nn.Linear(4 * 9, 3))
        net = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), Equilibrium(cell, solver), head)
        x = torch.randn(6, 2, 3, 3)
    with torch.no_grad():
        cell.recurrent.weight.mul_(0.25)  # ‖J‖ below 0.7
    return net.double(), x.double()


NETWORKS = {"mlp": mlp, "convolutional": convolutional}


def equilibrium(net):
    return next(m for m in net.modules() if isinstance(m, Equilibrium))


class Peer(nn.Module):
    """torchdeq in the place of a stage, with the same cell."""

    def __init__(self, cell, solver, **fields):
        super().__init__()
        self.cell = cell
        self.deq = torchdeq.get_deq(
            core="indexing", f_solver=solver, b_solver=solver, f_tol=RESIDUAL, b_tol=RESIDUAL,
            f_stop_mode="rel", b_stop_mode="rel", f_max_iter=LIMIT, b_max_iter=LIMIT, **fields,
        )  # fmt: skip

    def forward(self, x):
        (z,), self.report = self.deq(lambda z: self.cell(z, x), torch.zeros_like(x))
        return z


def peer_gradients(name, solver, **fields):
    net, x = NETWORKS[name](SOLVERS[solver])
    for stage in net.modules():
        for key, part in list(stage.named_children()):
            if isinstance(part, Equilibrium):
                setattr(stage, key, Peer(part.cell, solver, **fields))
    loss = nn.functional.cross_entropy(net(x), batch()[1])
    return loss.detach(), torch.autograd.grad(loss, list(net.parameters()))


def our_gradients(name, solver, **fields):
    net, x = NETWORKS[name](SOLVERS[solver])
    params = {n: p.detach() for n, p in net.named_parameters()}
    chain = Chain(net, x, batch()[1])
    found = ImplicitAdjoint(**fields).estimate(chain, params, None, stream(0, "estimator"))
    assert not found.info["not_converged"]
    return found.loss, list(found.grads.values())


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("name", NETWORKS)
def test_fixed_points_are_the_same(name, solver):
    net, x = NETWORKS[name](SOLVERS[solver])
    stage, z = equilibrium(net), net[0](x).detach()
    peer = Peer(stage.cell, solver).eval()
    with torch.no_grad():
        theirs, ours = peer(z), stage(z)
    assert peer.report["rel_lowest"].max() <= RESIDUAL
    torch.testing.assert_close(ours, theirs, **CLOSE)
    assert ours.norm() > 1


@pytest.mark.parametrize("solver", ["anderson", "broyden"])
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"adjoint": "ift"}, {"ift": True}),
        ({"adjoint": "ift"}, {"hook_ift": True}),
        ({"adjoint": "jfb"}, {"grad": 1, "tau": 1.0}),
        *(
            ({"adjoint": "upg", "steps": k, "damping": d}, {"grad": k, "tau": d})
            for k, d in ((1, 0.5), (3, 1.0), (5, 0.5), (8, 0.7))
        ),
    ],
    ids=str,
)
def test_gradients_are_the_same(name, solver, ours, theirs):
    loss, grads = our_gradients(name, solver, **ours)
    peer_loss, peer_grads = peer_gradients(name, solver, **theirs)
    torch.testing.assert_close(loss, peer_loss, **CLOSE)
    for own, other in zip(grads, peer_grads, strict=True):
        torch.testing.assert_close(own, other, **CLOSE)
        assert other.abs().max() > 1e-4
