"""Whether an objective is a function: the same loss whatever the random number generators hold."""

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from estimators.core.contract import Params
from estimators.core.objective import Chain
from estimators.measurement.inputs.modules import Call, calls_of, first_that_differs, tensors_in

PASSES, MORE_PASSES = 2, 16
"""Passes that are compared; more where one draws from a generator, which can be without effect."""
AGAIN, FAR = 3, 4
"""Passes with the same generators, and how much further others must be from the first one."""
ROUNDING = 64
"""Units of least precision by which two sums of the same numbers in another order may differ, as
some kernels of a GPU add them."""


class RandomObjectiveError(ValueError):
    """The network or its loss draws random numbers at every pass."""


def refuse_random(chain: Chain, params: Params) -> None:
    """Raise RandomObjectiveError if network or loss is random, naming the module if it is one.

    The loss is computed with the generators of torch, numpy and Python in several states, and has
    to be the same; the generators are left as they were. A module's update of its buffers
    (BatchNorm in training mode) is not random: each pass begins with the same buffers.
    """
    with generators_kept(chain.x), torch.no_grad():
        first, draws = _drawn(chain, params)
        count = MORE_PASSES if draws else PASSES
        others = (_pass(chain, params, seed) for seed in range(1, count))
        other = next((p for p in others if _differ(first, p)), None)
        if other is None or not _random(chain, params, first, other):
            return
        where = _where(chain, params)
    a, b = (p[-1].double().mean().item() for p in (first, other))
    remedy = (
        "draw from the global generators of torch, Python or numpy, which are set back before each "
        "pass; one of its own is not"
        if chain.replays
        else "call module.eval(), or draw it with the batch"
    )
    raise RandomObjectiveError(
        f"the loss is {a:.6g}, and {b:.6g} on the same batch again: something in {where} is "
        f"random; {remedy}"
    )


def _drawn(chain: Chain, params: Params) -> tuple[list[Tensor], bool]:
    """The first pass, and whether it drew from a generator."""
    seed_generators(0, chain.x)
    before = generator_states(chain.x)
    tensors = _values(chain, params)
    return tensors, not all(map(same_state, before, generator_states(chain.x)))


def _random(chain: Chain, params: Params, first: list[Tensor], other: list[Tensor]) -> bool:
    """Whether the difference follows the generators, or is larger than rounding.

    The same generators can give other bits: sums are in another order, by the memory that they
    happen to lie in on a CPU, by the threads on a GPU.
    """
    # Not the first pass itself, which may draw more: what is worked out once is worked out there.
    base, *again = (_pass(chain, params, 0) for _ in range(AGAIN))
    rounding = max(_distance(base, tensors) for tensors in again)
    far = min(_distance(base, other), _distance(first, other)) > FAR * rounding
    return far or any(not _close(a, b) for a, b in zip(first, other, strict=True))


def _distance(first: list[Tensor], other: list[Tensor]) -> float:
    """The largest difference, each tensor relative to its largest entry; infinite for shapes."""
    distances = [0.0]
    for a, b in zip(first, other, strict=True):
        if a.shape != b.shape:
            return float("inf")
        if not a.numel() or _same(a, b):
            continue
        off = (a.double() - b.double()).abs().nan_to_num(0.0).max().item()
        size = a.double().abs().nan_to_num(0.0).max().item()
        distances.append(off / size if size else float("inf"))
    return max(distances)


def _pass(chain: Chain, params: Params, seed: int) -> list[Tensor]:
    seed_generators(seed, chain.x)
    return _values(chain, params)


def _values(chain: Chain, params: Params) -> list[Tensor]:
    """The tensors of the output, and the losses behind them."""
    output = chain.forward(params)
    return [*tensors_in(output), chain.losses(output)]


def _differ(first: Any, other: Any) -> bool:
    a, b = tensors_in(first), tensors_in(other)
    return len(a) != len(b) or not all(_same(*pair) for pair in zip(a, b, strict=True))


def _same(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape:
        return False
    return bool(((a == b) | ((a != a) & (b != b))).all())


def _close(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape or not a.is_floating_point():
        return _same(a, b)
    finite = a.isfinite() & b.isfinite()
    if not finite.any():
        return True
    size = a[finite].abs().max()
    return bool(((a - b)[finite].abs() <= ROUNDING * torch.finfo(a.dtype).eps * size).all())


def _where(chain: Chain, params: Params) -> str:
    runs: list[list[Call]] = []
    for seed in range(MORE_PASSES):
        seed_generators(seed, chain.x)
        runs.append(calls_of(chain, params))
        named = first_that_differs(runs[0], runs[-1], _differ)
        if named:
            return named
    return "the loss"


@contextmanager
def generators_kept(x: Tensor) -> Iterator[None]:
    """Leave the global generators of torch, Python and numpy, where it is loaded, as they are."""
    numpy, python = sys.modules.get("numpy"), random.getstate()
    state = numpy.random.get_state() if numpy else None
    try:
        with torch.random.fork_rng([x.device] if x.is_cuda else []):
            yield
    finally:
        random.setstate(python)
        if numpy:
            numpy.random.set_state(state)


def generator_states(x: Tensor) -> tuple[Any, ...]:
    """The states of the global generators; of a GPU's if x lies there."""
    numpy = sys.modules.get("numpy")
    return (
        torch.default_generator.get_state(),
        torch.cuda.get_rng_state(x.device) if x.is_cuda else None,
        random.getstate(),
        tuple(numpy.random.get_state()[2:]) if numpy else None,  # its position moves with each draw
    )


def same_state(a: Any, b: Any) -> bool:
    """Whether two entries of `generator_states` are equal."""
    return torch.equal(a, b) if isinstance(a, Tensor) else a == b


def seed_generators(seed: int, x: Tensor) -> None:
    """Seed the global generators of torch, Python and numpy, where it is loaded."""
    torch.default_generator.manual_seed(seed)
    if x.is_cuda:
        with torch.cuda.device(x.device):
            torch.cuda.manual_seed(seed)
    random.seed(seed)
    numpy = sys.modules.get("numpy")
    if numpy:
        numpy.random.seed(seed)
