"""Implicit models: phantom gradients, exact adjoints and forward mode, beside torchdeq

A network 3 → 48 channels → equilibrium → pooling → 10 classes, 16×16 images, batch 32. Its cell is
φ(norm(W ∗ z + x)), ReLU, groups of 8 channels, W scaled to a spectral radius of ∂f/∂z below 0.6.
Both libraries solve to a relative residual ‖f(z) − z‖/‖f(z)‖ of 1e-6, forward and backward, in the
same network, in turns, in CPU time of one thread. A step is the loss and its gradient; a backward
pass is repeated on the graph of one loss.

What differs: torchdeq stops when all examples of a batch are within the tolerance at once, and
solves backward from zero, after an evaluation of the cell more. Its Broyden keeps U and V, with
the memory of ours, 20. Its Anderson adds a ridge of 1e-4 to products of residuals, whatever their
size; with 1e-20 it takes as few iterations as ours, and both are shown.
"""

from collections.abc import Callable, Iterator
from functools import partial
from time import process_time
from typing import Any

import torch
import torchdeq
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call
from torchdeq.solver import anderson_solver, broyden_solver, register_solver

from backend.training.networks.implicit_conv import ImplicitConv
from benchmarks.mezo import peak
from benchmarks.table import Row, interleaved
from estimators import Anderson, Broyden, Equilibrium, FixedPoint, stream
from estimators.implicit._adjoints import (
    Adjoint,
    ImplicitFunctionTheorem,
    UnrolledSteps,
    differentiating_by,
)
from estimators.implicit.solvers.contract import Solver

CHANNELS, SIDE, BATCH, CLASSES = 48, 16, 32, 10
TOLERANCE, LIMIT, MEMORY = 1e-6, 200, 20
GAIN, SLOW_GAIN = 2.6, 6.0
"""Of the convolution W: a spectral radius of ∂f/∂z below 0.6, and one near 1."""
STEPS, DAMPING = 5, 0.5
ROUNDS = 7
EXACT, PHANTOM = ImplicitFunctionTheorem(), UnrolledSteps(STEPS, DAMPING)

register_solver("anderson, ridge 1e-4", anderson_solver)
register_solver("anderson, ridge 1e-20", partial(anderson_solver, lam=1e-20))
register_solver("broyden", partial(broyden_solver, LBFGS_thres=MEMORY))
SOLVERS: dict[str, tuple[Solver, str]] = {
    "Anderson": (Anderson(TOLERANCE, LIMIT), "anderson, ridge 1e-20"),
    "Anderson, torchdeq's ridge": (Anderson(TOLERANCE, LIMIT), "anderson, ridge 1e-4"),
    "Broyden": (Broyden(TOLERANCE, LIMIT, MEMORY), "broyden"),
}


class Peer(nn.Module):
    """torchdeq in the place of an `Equilibrium`."""

    def __init__(self, cell: nn.Module, solver: str, **fields: Any) -> None:
        super().__init__()
        self.cell, self.steps = cell, {}
        self.deq = torchdeq.get_deq(
            core="indexing", f_solver=solver, b_solver=solver, f_tol=TOLERANCE, b_tol=TOLERANCE,
            f_stop_mode="rel", b_stop_mode="rel", f_max_iter=LIMIT, b_max_iter=LIMIT, **fields,
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        def backward(report: dict[str, Tensor]) -> None:
            self.steps["backward"] = int(report["nstep"].max())

        (z,), report = self.deq(
            lambda z: self.cell(z, x), torch.zeros_like(x), backward_writer=backward
        )
        self.steps["forward"] = int(report["nstep"].max())
        return z


class Problem:
    """The network, its batch, and the same weights around any stage."""

    def __init__(self, gain: float) -> None:
        network = ImplicitConv(channels=CHANNELS, stride=1, scale=gain)
        self.net = network.build((3, SIDE, SIDE), CLASSES, stream(0, "init"))
        self.cell = self.net.get_submodule("equilibrium.layer").cell
        rng = torch.Generator().manual_seed(0)
        self.x = torch.randn(BATCH, 3, SIDE, SIDE, generator=rng)
        self.y = torch.randint(CLASSES, (BATCH,), generator=rng)
        self.weights = list(self.net.parameters())
        self.solves: dict[str, float] = {}

    def ours(self, solver: Solver, adjoint: Adjoint) -> Callable[[], Tensor]:
        stage = Equilibrium(self.cell, solver)

        def loss() -> Tensor:
            with differentiating_by(adjoint) as record:
                self.solves = record.numbers  # a backward pass adds its own
                return self._loss(stage)

        return loss

    def peer(self, solver: str, **fields: Any) -> tuple[Callable[[], Tensor], Peer]:
        stage = Peer(self.cell, solver, **fields)
        return lambda: self._loss(stage), stage

    def _loss(self, stage: nn.Module) -> Tensor:
        hidden = stage(self.net.get_submodule("input")(self.x))
        return nn.functional.cross_entropy(self.net.get_submodule("head")(hidden), self.y)

    def gradient(self, loss: Tensor, again: bool = False) -> Tensor:
        grads = torch.autograd.grad(loss, self.weights, retain_graph=again)
        return torch.cat([g.reshape(-1) for g in grads])

    def injected(self) -> Tensor:
        """What the cell receives beside z, (B, channels, side, side)."""
        return self.net.get_submodule("input")(self.x).detach()


def rows() -> list[Row]:
    torch.set_num_threads(1)
    problem = Problem(GAIN)
    found = [Row("largest spectral radius of ∂f/∂z in the batch", _radius(problem), 0.6, unit="")]
    for name, (solver, peer) in SOLVERS.items():
        found += _against(problem, name, solver, peer)
    for name in ("Anderson", "Broyden"):
        found += _dual(problem, name, SOLVERS[name][0])
    return [*found, *_memory(Problem(SLOW_GAIN))]


def _against(problem: Problem, name: str, solver: Solver, peer: str) -> Iterator[Row]:
    """Steps and backward passes of both libraries, exact and phantom."""
    ours = [problem.ours(solver, adjoint) for adjoint in (EXACT, PHANTOM)]
    peers = [problem.peer(peer, **f) for f in ({"ift": True}, {"grad": STEPS, "tau": DAMPING})]
    losses = [*ours, *(loss for loss, _ in peers)]
    grads = [problem.gradient(loss()) for loss in losses]
    graphs = [loss() for loss in losses]
    steps = [lambda loss=loss: problem.gradient(loss()) for loss in losses]
    backward = [lambda g=graph: problem.gradient(g, again=True) for graph in graphs]
    times = interleaved(*steps, *backward, rounds=ROUNDS, warm=1, clock=process_time)
    exact, phantom, peer_exact, peer_phantom = times[:4]
    back, phantom_back, peer_back, _ = times[4:]
    problem.gradient(ours[0]())
    iterations = (
        f"iterations {problem.solves['forward_iterations']:.0f} forward, "
        f"{problem.solves['backward_iterations']:.0f} backward; torchdeq's "
        f"{peers[0][1].steps['forward']}, {peers[0][1].steps['backward']}"
    )
    yield Row(f"{name}: cosine of the phantom gradient", _cosine(*grads[:2]), 0.98, "",
              at_most=False, note=f"torchdeq's {_cosine(*grads[2:]):.4f}; of the exact ones of "
              f"both {_cosine(grads[0], grads[2]):.6f}")  # fmt: skip
    yield _ratio(
        f"{name}: torchdeq's IFT / our phantom, backward", peer_back, phantom_back, 4, False
    )
    yield _ratio(f"{name}: torchdeq's IFT / our phantom, step", peer_exact, phantom, 1.5, False)
    yield _ratio(f"{name}: our IFT / torchdeq's, step", exact, peer_exact, 1, note=iterations)
    yield _ratio(f"{name}: our phantom / torchdeq's, step", phantom, peer_phantom, 1)
    yield _ratio(f"{name}: our IFT / our phantom, backward", back, phantom_back)
    yield _ratio(f"{name}: our IFT / our phantom, step", exact, phantom)


def _dual(problem: Problem, name: str, solver: Solver) -> Iterator[Row]:
    """A pass with one tangent of all parameters and of the input, beside one without."""
    stage, x = Equilibrium(problem.cell, solver), problem.injected()
    weights = {n: p.detach() for n, p in stage.named_parameters()}
    moves = {n: torch.randn_like(p) for n, p in weights.items()}
    moved = torch.randn_like(x)

    @torch.no_grad()
    def solve() -> Tensor:
        return stage(x)

    @torch.no_grad()
    def dual() -> None:
        with forward_ad.dual_level():
            pairs = {n: forward_ad.make_dual(p, moves[n]) for n, p in weights.items()}
            functional_call(stage, pairs, (forward_ad.make_dual(x, moved),))

    alone, whole = interleaved(solve, dual, rounds=ROUNDS, warm=1, clock=process_time)
    yield _ratio(f"{name}: a dual pass / the forward solve", whole, alone, 3.5)


def _memory(problem: Problem) -> Iterator[Row]:
    """Peak memory of an exact step that iterates to its limit, 80 iterations beside 20."""
    for kind, memory in ((Anderson, 6), (Broyden, 10)):
        used = []
        for limit in (20, 80):
            solver = kind(1e-30, limit, memory)
            used.append(peak(lambda s=solver: problem.gradient(problem.ours(s, EXACT)())))
            assert problem.solves["forward_iterations"] == limit
            assert problem.solves["backward_iterations"] == limit
        note = f"{used[1] / 2**20:.1f} MiB beside {used[0] / 2**20:.1f} MiB"
        what = f"{kind.__name__}({memory}): peak memory, 80 iterations / 20"
        yield Row(what, used[1] / used[0], 1.001, note=note)


def _radius(problem: Problem, products: int = 100) -> float:
    """The largest spectral radius of an example: its growth in the last half of the products."""
    x = problem.injected()
    z = FixedPoint(TOLERANCE).solve(lambda z: problem.cell(z, x), torch.zeros_like(x)).z
    f = problem.cell(z.requires_grad_(), x)
    u, growth = torch.randn_like(z), []
    for _ in range(products):
        u = torch.autograd.grad(f, z, u, retain_graph=True)[0]
        lengths = u.flatten(1).norm(dim=1)
        u = u / lengths.view(-1, 1, 1, 1)
        growth.append(lengths.log())
    return torch.stack(growth[products // 2 :]).mean(0).exp().max().item()


def _cosine(a: Tensor, b: Tensor) -> float:
    return torch.cosine_similarity(a, b, dim=0).item()


def _ratio(
    what: str, above: float, below: float, budget: float | None = None, at_most: bool = True,
    note: str = "",
) -> Row:  # fmt: skip
    beside = f"{above * 1e3:.0f} ms beside {below * 1e3:.0f} ms"
    return Row(
        what, above / below, budget, at_most=at_most, note="; ".join(filter(None, (beside, note)))
    )
