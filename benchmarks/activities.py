"""One estimate of activity perturbation against one `.backward()`, batch 64, one thread"""

import torch
from torch import nn

from backend.training.networks.cnn import CNN
from backend.training.networks.contract import Network
from backend.training.networks.mlp import MLP
from benchmarks.table import Row, interleaved
from estimators import ActivityForwardGradient, Chain, Estimator, stream
from estimators.autodiff.perturbed_engines import DualNumbers
from estimators.perturbation._activities.noise_sharing import NoiseSharing
from estimators.perturbation.node_perturbation import NodePerturbation

MANY = 16
NETWORKS: dict[str, tuple[Network, tuple[int, ...], int]] = {
    "MLP 64-128-128-10": (MLP(width=128, depth=2), (64,), 10),
    "MLP 784-1024-1024-10": (MLP(width=1024, depth=2), (784,), 1),
    "CNN on 1×8×8": (CNN(), (1, 8, 8), 2),
}
BUDGETS = {"MLP 64-128-128-10": 1.2, "MLP 784-1024-1024-10": 1.2, "CNN on 1×8×8": 1.5}


def rows() -> list[Row]:
    torch.set_num_threads(1)  # what a slot of a small machine has; and steadier
    return [row for name in NETWORKS for row in _one(name)]


def _one(name: str) -> list[Row]:
    network, shape, inner = NETWORKS[name]
    module: nn.Sequential = network.build(shape, 10, stream(0, "init"))
    x, y = torch.randn(64, *shape), torch.randint(10, (64,))
    chain = Chain(module, x, y)
    params = {k: p.detach() for k, p in module.named_parameters()}
    rng, grain = stream(0, "estimator"), NoiseSharing("rademacher", batch=False, unit="")

    def peer() -> None:
        module.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(module(x), y).backward()

    def call(estimator: Estimator):
        return lambda: estimator.estimate(chain, params, None, rng)

    def by_duals() -> None:
        found = DualNumbers().run(chain, params, grain.draw(chain, 1, rng), 1)
        found.pull_back(grain.signals(chain, found))

    base, one, many, duals, nodes = interleaved(
        peer,
        call(ActivityForwardGradient()),
        call(ActivityForwardGradient(tangents=MANY)),
        by_duals,
        call(NodePerturbation()),
        rounds=40,
        inner=inner,
    )

    def note(seconds: float) -> str:
        return f"{seconds * 1e3:.2f} ms beside {base * 1e3:.2f} ms"

    return [
        Row(f"{name}: activity forward gradient", one / base, BUDGETS[name], note=note(one)),
        Row(f"{name}: the same by dual numbers", duals / base, None, note=note(duals)),
        Row(f"{name}: node perturbation", nodes / base, None, note=note(nodes)),
        Row(f"{name}: {MANY} tangents", many / base, None, note=note(many)),
        Row(
            f"{name}: {MANY} tangents against a loop of one",
            MANY * one / many,
            1.0,
            at_most=False,
            note=f"{many * 1e3:.2f} ms beside {MANY * one * 1e3:.2f} ms",
        ),
    ]
