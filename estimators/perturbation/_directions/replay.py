"""Directions that are drawn again instead of stored: a seed and a coefficient represent each.

`Direction` stores the generator's state, a few kilobytes on a CPU, and draws a tensor when it is
read. `LazyGradient` is a weighted sum of directions, made tensor by tensor. `perturbed` puts
θ + ε v into a network one stage at a time.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Generator, Tensor, nn
from torch.utils.hooks import RemovableHandle

from estimators.core.contract import Params
from estimators.core.noise import noise
from estimators.core.objective import Chain, Objective

Entries = Literal["normal", "rademacher"]
"""Noise that can be drawn tensor by tensor; a sphere would need all tensors first."""

Make = Callable[[str], Tensor]
"""A parameter's name -> the tensor in its place."""


class Direction(Mapping[str, Tensor]):
    """A direction v in the space of `like`, one tensor at a time; its noise continues `rng`.

    Normals equal those of `noise.tangents` in bits, given the same state of the generator. Read
    in order, each tensor is drawn once; reading an earlier one draws again from the first.
    """

    def __init__(self, like: Params, kind: Entries, rng: Generator) -> None:
        self._like, self._names = like, list(like)
        self._places = {name: place for place, name in enumerate(like)}
        self._kind: Entries = kind
        self._seed, self._rng = rng.get_state(), Generator(rng.device)
        self._rewind()

    def __getitem__(self, name: str) -> Tensor:
        place = self._places[name]
        if place < self._next:
            self._rewind()
        while self._next < place:
            self._draw()
        return self._draw()

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def finish(self, rng: Generator) -> None:
        """Advance `rng` to the end of this direction."""
        while self._next < len(self):
            self._draw()
        rng.set_state(self._rng.get_state())

    def _rewind(self) -> None:
        self._rng.set_state(self._seed)
        self._next = 0

    def _draw(self) -> Tensor:
        self._next += 1
        return noise(self._like[self._names[self._next - 1]], self._kind, self._rng)


class LazyGradient(Mapping[str, Tensor]):
    """1/K Σ_k c_k v_k. Each tensor is made when it is read, and not stored."""

    def __init__(self, directions: Sequence[Direction], coefficients: Sequence[Tensor]) -> None:
        self._terms = list(zip(directions, coefficients, strict=True))

    def __getitem__(self, name: str) -> Tensor:
        (v, c), *others = self._terms
        total = v[name].mul_(c)
        for v, c in others:
            total.add_(v[name].mul_(c))
        return total.div_(len(self._terms)) if others else total

    def __iter__(self) -> Iterator[str]:
        return iter(self._terms[0][0])

    def __len__(self) -> int:
        return len(self._terms[0][0])


class _LazyParams(Mapping[str, Tensor]):
    """Parameters that are made when they are read."""

    def __init__(self, names: Params, make: Make) -> None:
        self._names, self._make = names, make

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._names:
            raise KeyError(name)
        return self._make(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def losses_at_pairs(
    objective: Objective, params: Params, kind: Entries, eps: float, count: int, rng: Generator
) -> tuple[list[Direction], Tensor]:
    """Draw K directions; return them and the losses at θ + ε v_k and θ − ε v_k, (K, 2)."""
    directions: list[Direction] = []
    losses: list[Tensor] = []
    for _ in range(count):
        v = Direction(params, kind, rng)
        losses += [loss_along(objective, params, v, step) for step in (eps, -eps)]
        v.finish(rng)
        directions.append(v)
    return directions, torch.stack(losses).view(count, 2)


def loss_along(objective: Objective, params: Params, v: Direction, eps: float) -> Tensor:
    """L(θ + ε v), (), with no more than one stage of θ + ε v in memory at a time."""

    def make(name: str) -> Tensor:
        moved = v[name]
        return torch.add(params[name], moved, alpha=eps, out=moved)

    if not isinstance(objective, Chain) or _takes_no_hooks(objective):
        return objective(_LazyParams(params, make))
    with perturbed(objective, params, make):
        return objective({})


@contextmanager
def perturbed(chain: Chain, params: Params, make: Make) -> Iterator[None]:
    """While a stage of the network runs, `make(name)` replaces each of its parameters.

    A tied parameter is made again in each stage that uses it.
    """
    names = {id(p): name for name, p in chain.module.named_parameters()}
    handles: list[RemovableHandle] = []
    try:
        for name in chain.stages:
            stage = chain.module.get_submodule(name)
            slots = [s for s in _slots(stage, names) if s[2] in params]
            if slots:
                handles += _swapping(stage, slots, make)
        yield
    finally:
        for handle in handles:
            handle.remove()


def _takes_no_hooks(chain: Chain) -> bool:
    """Whether a stage is scripted, so that its parameters cannot be swapped when it is called."""
    stages = (chain.module.get_submodule(name) for name in chain.stages)
    return any(isinstance(stage, torch.jit.ScriptModule) for stage in stages)


Slot = tuple[nn.Module, str, str]
"""A module, its own name for a parameter, and the network's name for it."""


def _slots(stage: nn.Module, names: Mapping[int, str]) -> list[Slot]:
    return [
        (m, key, names[id(p)])
        for m in stage.modules()
        for key, p in m._parameters.items()
        if p is not None
    ]


def _swapping(stage: nn.Module, slots: list[Slot], make: Make) -> list[RemovableHandle]:
    kept: list[tuple[nn.Module, str, nn.Parameter | None]] = []

    def put(*_: object) -> None:
        made = {name: make(name) for name in dict.fromkeys(name for *_, name in slots)}
        for m, key, name in slots:
            kept.append((m, key, m._parameters[key]))
            m._parameters[key] = made[name]  # type: ignore[assignment]

    def restore(*_: object) -> None:
        while kept:
            m, key, p = kept.pop()
            m._parameters[key] = p

    return [
        stage.register_forward_pre_hook(put, prepend=True),
        stage.register_forward_hook(restore, always_call=True),
    ]
