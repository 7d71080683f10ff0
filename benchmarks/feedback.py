"""One estimate of each feedback method against one estimate of backprop, batch 64"""

import torch
from torch import nn

from backend.training.networks.cnn import CNN
from backend.training.networks.mlp import MLP
from benchmarks.table import Row, interleaved
from estimators import Backprop, Chain, Estimator, stream
from estimators.feedback.brsf import BRSF
from estimators.feedback.direct_feedback_alignment import DirectFeedbackAlignment
from estimators.feedback.dkp import DKP
from estimators.feedback.fdfa import FDFA
from estimators.feedback.feedback_alignment import FeedbackAlignment
from estimators.feedback.frsf import FRSF
from estimators.feedback.kolen_pollack import KolenPollack
from estimators.feedback.usf import USF
from estimators.feedback.weight_mirror import WeightMirror

NETWORKS = {
    "MLP 64-128-128-10": (MLP(width=128, depth=2), (64,)),
    "MLP 784-1024-1024-10": (MLP(width=1024, depth=2), (784,)),
    "CNN on 1×8×8": (CNN(), (1, 8, 8)),
    "CNN on 3×32×32": (CNN(), (3, 32, 32)),
}
METHODS = {
    "feedback alignment": FeedbackAlignment(),
    "uSF": USF(),
    "brSF": BRSF(),
    "frSF": FRSF(),
    "weight mirror": WeightMirror(),
    "Kolen–Pollack": KolenPollack(),
    "direct feedback alignment": DirectFeedbackAlignment(),
    "DKP": DKP(),
    "FDFA, average": FDFA(),
    "FDFA, average, Rademacher": FDFA(noise="rademacher"),
    "FDFA, Adam": FDFA(learning="adam"),
}


def rows() -> list[Row]:
    torch.set_num_threads(1)  # what a slot of a small machine has; and steadier
    return [
        row for name, (network, shape) in NETWORKS.items() for row in _one(name, network, shape)
    ]


def _one(name, network, shape) -> list[Row]:
    module: nn.Sequential = network.build(shape, 10, stream(0, "init"))
    chain = Chain(module, torch.randn(64, *shape), torch.randint(10, (64,)))
    params = {k: p.detach() for k, p in module.named_parameters()}

    def call(estimator: Estimator):
        """Estimates one behind the other, so that what is reported now and then counts."""
        rng = stream(0, "estimator")
        state = estimator.init(chain, params, rng)

        def step() -> None:
            nonlocal state
            state = estimator.estimate(chain, params, state, rng).state

        return step

    base, *times = interleaved(*map(call, [Backprop(), *METHODS.values()]), rounds=40)
    return [
        Row(
            f"{name}: {method}",
            seconds / base,
            1.8 if "FDFA" in method else None,
            note=f"{seconds * 1e3:.2f} ms beside {base * 1e3:.2f} ms",
        )
        for method, seconds in zip(METHODS, times, strict=True)
    ]
