"""Guesses and targets: ResNet-18 in 8 blocks, 32×32, batch 32, one thread"""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from backend.training.networks.resnet import ResNet
from benchmarks.mezo import peak
from benchmarks.table import Row, interleaved
from estimators import Backprop, Chain, GuessAndTarget, LocalLosses, stream
from estimators.guess import _slopes

BATCH, BLOCKS = 32, 8
ROUNDS = 5
Parts = tuple[Chain, dict[str, Tensor]]
GUESSES: tuple[Any, ...] = ("normal", "local")
UNITS: tuple[Any, ...] = ("output_and_example", "tensor")


def rows() -> list[Row]:
    torch.set_num_threads(1)
    parts = _parts()
    return [*honest(parts), *oracle(parts), *memory(parts)]


def _parts() -> Parts:
    rng = torch.Generator().manual_seed(0)
    module = ResNet(width=64).build((3, 32, 32), 10, rng)
    x = torch.randn(BATCH, 3, 32, 32, generator=rng)
    y = torch.randint(10, (BATCH,), generator=rng)
    return Chain(module, x, y), {n: p.detach() for n, p in module.named_parameters()}


def _call(parts: Parts, estimator: Any) -> Callable[[], object]:
    chain, params = parts
    state = estimator.init(chain, params, stream(0, "init"))
    return lambda: estimator.estimate(chain, params, state, stream(0, "estimator"))


def honest(parts: Parts) -> list[Row]:
    """A scalar for each block output and example, in forward passes; stacked, and in a loop."""
    chain, params = parts

    @torch.no_grad()
    def forward() -> Tensor:
        return chain(params)

    found = []
    for guess in GUESSES:
        estimate = _call(parts, GuessAndTarget(guess=guess, auxiliary="cnn"))
        looped = _looped(estimate)
        once, stacked, loop = _timed(forward, estimate, looped)
        name = f"honest, {guess} guesses"
        found += [
            Row(f"{name} / forward pass", stacked / once, (1 + BLOCKS) * 1.3),
            Row(f"{name}: stacked tangents / one after the other", stacked / loop, 1.0),
        ]
    return found


def _looped(estimate: Callable[[], object]) -> Callable[[], object]:
    def run() -> None:
        most, _slopes.MAX_STACKED = _slopes.MAX_STACKED, 0
        try:
            estimate()
        finally:
            _slopes.MAX_STACKED = most

    return run


def oracle(parts: Parts) -> list[Row]:
    """Beside backprop, or backprop and the backward passes of all local losses."""
    backprop = _call(parts, Backprop())
    local = _call(parts, LocalLosses(Backprop(), auxiliary="cnn", auxiliary_norm="layer"))
    found = []
    for guess in GUESSES:
        for unit in UNITS:
            fields = {"guess": guess, "unit": unit, "auxiliary": "cnn", "source": "oracle"}
            exact, theirs, ours = _timed(backprop, local, _call(parts, GuessAndTarget(**fields)))
            # Local losses run the network forwards too, which the estimate does once.
            beside = exact + (max(theirs - exact / 3, 0) if guess == "local" else 0)
            what = "backprop" if guess == "normal" else "(backprop + local backward)"
            found.append(Row(f"oracle, {guess} guess, {unit} / {what}", ours / beside, 1.25))
    return found


def _timed(*calls: Callable[[], object]) -> list[float]:
    return interleaved(*calls, rounds=ROUNDS, warm=1, clock=time.process_time)


def memory(parts: Parts) -> list[Row]:
    """Peak memory of an estimate, in outputs of all guessed blocks."""
    chain, params = parts
    outputs: list[Tensor] = []

    def keep(_: int, h: Tensor) -> Tensor:
        outputs.append(h)
        return h

    with torch.no_grad():
        chain.forward(params, at_stage=keep)
    size = sum(h.numel() * h.element_size() for h in outputs)
    estimate = _call(parts, GuessAndTarget(guess="normal"))
    rows = {"one after the other": _looped(estimate), "stacked": estimate}
    return [
        Row(f"honest, {name}: peak memory / all blocks' outputs", peak(call) / size, None)
        for name, call in rows.items()
    ]
