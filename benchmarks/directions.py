"""16 directions at once against a loop of torch.func.jvp; one against backprop: batch 64, signs"""

import torch
from torch import nn
from torch.func import functional_call, jvp

from backend.training.networks.bacho_cnn import BachoCNN
from backend.training.networks.cnn import CNN
from backend.training.networks.local_mixer import LocalMixer
from backend.training.networks.mlp import MLP
from benchmarks.table import Row, interleaved
from estimators import (
    BlockForwardGradient,
    Chain,
    Estimator,
    ForwardGradient,
    LowRankForwardGradient,
    SparseForwardGradient,
    stream,
)
from estimators.core.noise import stacked_tangents, tangents
from estimators.perturbation._directions.slopes import portions, slopes

K, BATCH = 16, 64
NETWORKS = {
    "MLP 64-128-128-10": (MLP(width=128, depth=2), (64,), 4.0, 30),
    "MLP 784-1024-1024-10": (MLP(width=1024, depth=2), (784,), 2.0, 5),
    "CNN on 1×8×8": (CNN(), (1, 8, 8), 1.0, 10),
    "CNN with group norm on 1×8×8": (CNN(normalisation="group"), (1, 8, 8), 1.0, 10),
    "shallow CNN on 1×28×28": (BachoCNN(), (1, 28, 28), 1.0, 2),
    "LocalMixer on 1×28×28": (LocalMixer(), (1, 28, 28), 1.0, 5),
}
"""Network, shape of an example, how many times faster than the loop, rounds."""
SINGLE = {
    "signs": ForwardGradient(),
    "normal": ForwardGradient(noise="normal"),
    "projected": ForwardGradient(scale="projected"),
    "sparse": SparseForwardGradient(),
    "one tensor": BlockForwardGradient(),
    "rank 1": LowRankForwardGradient(),
    "one an example": ForwardGradient(per="example"),
}


def rows() -> list[Row]:
    torch.set_num_threads(1)  # what a slot of a small machine has; and steadier
    many = [_many(name, *settings) for name, settings in NETWORKS.items()]
    return [row for rows in many for row in rows] + _single("MLP 784-1024-1024-10")


def _many(name, network, shape, budget, rounds) -> list[Row]:
    chain, params, module = _on(network, shape)
    rng = stream(0, "estimator")

    def estimate(estimator: Estimator):
        return lambda: estimator.estimate(chain, params, None, rng)

    v = stacked_tangents(params, "rademacher", rng, K)
    loop, mean, span, push_loop, push = interleaved(
        lambda: _loop(module, params, chain, rng),
        estimate(ForwardGradient(tangents=K)),
        estimate(ForwardGradient(tangents=K, combine="orthogonal")),
        lambda: _push_loop(module, params, chain, v),
        lambda: [slopes(chain, params, part) for part in _parts(v, chain, params)],
        rounds=rounds,
        warm=1,
    )
    note = f"{mean * 1e3:.2f} ms beside {loop * 1e3:.2f} ms"
    return [
        Row(f"{name}: {K} directions, mean", loop / mean, budget, at_most=False, note=note),
        Row(f"{name}: {K} directions, derivatives alone", push_loop / push, budget, at_most=False),
        Row(f"{name}: {K} directions, orthogonal", loop / span, None, at_most=False),
    ]


def _loop(module, params, chain, rng) -> dict[str, torch.Tensor]:
    """The mean of K forward gradients, as one writes it with torch.func; the same signs."""

    loss = _loss(module, chain)
    total = {name: torch.zeros_like(p) for name, p in params.items()}
    for _ in range(K):
        v = dict(zip(params, tangents(params, "rademacher", rng), strict=True))
        slope = jvp(loss, (params,), (v,))[1]
        for name, t in v.items():
            total[name].add_(t * (slope / K))
    return total


def _push_loop(module, params, chain, v) -> list[torch.Tensor]:
    loss = _loss(module, chain)
    return [jvp(loss, (params,), (dict(zip(params, one)),))[1] for one in zip(*v)]  # noqa: B905


def _parts(v, chain, params) -> list[list[torch.Tensor]]:
    pieces = [t.split(list(portions(K, chain, params))) for t in v]
    return [list(part) for part in zip(*pieces, strict=True)]


def _loss(module, chain):
    return lambda p: nn.functional.cross_entropy(functional_call(module, p, (chain.x,)), chain.y)


def _single(name) -> list[Row]:
    network, shape, _, rounds = NETWORKS[name]
    chain, params, module = _on(network, shape)

    def peer() -> None:
        module.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(module(chain.x), chain.y).backward()

    def call(estimator: Estimator):
        rng = stream(0, "estimator")
        return lambda: estimator.estimate(chain, params, None, rng)

    base, *times = interleaved(peer, *map(call, SINGLE.values()), rounds=2 * rounds)
    budgets = {"signs": 1.4, "normal": 2.6}
    return [
        Row(f"{name}: {kind}, against backprop", seconds / base, budgets.get(kind))
        for kind, seconds in zip(SINGLE, times, strict=True)
    ]


def _on(network, shape):
    module = network.build(shape, 10, stream(0, "init"))
    x, y = torch.randn(BATCH, *shape), torch.randint(10, (BATCH,))
    return Chain(module, x, y), {k: p.detach() for k, p in module.named_parameters()}, module
