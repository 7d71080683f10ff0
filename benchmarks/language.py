"""One step of MeZO against two forward passes, gpt with a million weights, 16 texts of 128

A step is an estimate and the update θ ← θ − lr ĝ, tensor by tensor. A forward pass has no graph.
The time is the processor's, so that other processes count little.
"""

import time

import torch

from backend.training.networks.gpt import GPT
from benchmarks.table import Row, interleaved
from estimators import Backprop, Chain, Estimator, MeZO, stream, token_cross_entropy

NETWORK, CONTEXT, VOCABULARY, BATCH = GPT(width=128, heads=4, depth=5), 128, 73, 16
BUDGETS = {"MeZO": 1.15, "MeZO, signs": 1.15, "backprop": None}
METHODS: dict[str, Estimator] = {
    "MeZO": MeZO(),
    "MeZO, signs": MeZO(noise="rademacher"),
    "backprop": Backprop(),
}


def rows() -> list[Row]:
    torch.set_num_threads(1)
    module = NETWORK.build((CONTEXT,), VOCABULARY, stream(0, "init"))
    text = torch.randint(VOCABULARY, (BATCH, CONTEXT + 1), generator=stream(0, "data"))
    chain = Chain(module, text[:, :-1], text[:, 1:], token_cross_entropy)
    params = {name: p.detach() for name, p in module.named_parameters()}

    def step(estimator: Estimator) -> None:
        grads = estimator.estimate(chain, params, None, stream(0, "estimator")).grads
        for name, p in params.items():
            p.sub_(grads[name], alpha=1e-9)

    calls = [lambda e=estimator: step(e) for estimator in METHODS.values()]
    passed, *taken = interleaved(
        torch.no_grad()(lambda: chain(params)), *calls, rounds=15, clock=time.process_time
    )
    return [
        Row(
            f"{name}, a step, of two forward passes", seconds / (2 * passed), BUDGETS[name],
            note=f"{seconds * 1e3:.0f} ms beside {2 * passed * 1e3:.0f} ms",
        )
        for name, seconds in zip(METHODS, taken, strict=True)
    ]  # fmt: skip
