"""`Stateless`: a module run with other tensors in the place of its parameters and buffers."""

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, Self, TypeVar

import torch
from torch import Tensor, nn

from estimators.core.memory_order import InMemoryOrder
from estimators.core.plain_pass import Keep
from estimators.core.replay import rewind

T = TypeVar("T")
Slot = tuple[dict[str, Any], str]
"""A dict of a module, and the key of a tensor in it."""


class ImpureError(ValueError):
    """A forward pass changes what it may only read; the message names it and says what to do."""


class Stateless:
    """A module whose parameters can be replaced for the time of one call.

    `torch.func.functional_call` does the same; it works the names out again at every call, which
    costs as much as the forward pass of a small network. Buffers, and tensors that are plain
    attributes (the `weight` that pruning computes), are replaced by copies, so that an update
    (BatchNorm's running statistics) changes nothing outside the call.
    """

    def __init__(self, module: nn.Module) -> None:
        self._slots = _parameter_slots(module)
        self._buffers = [*_buffer_slots(module)]
        self._dtype: torch.dtype | None = None
        self.inspected = False
        """Whether `inspect` was called."""
        self._copies = False
        """Whether a group normalisation reads an input that is not in memory order."""

    def cast(self, dtype: torch.dtype) -> Self:
        """The same, with all buffers and all other parameters in another precision."""
        other = copy.copy(self)
        other._dtype = dtype
        return other

    def inspect(self, run: Callable[[], object]) -> None:
        """Call `run()` at copies of all parameters, to learn how it is to be called.

        Raises ImpureError if it changes a parameter.
        """
        own = {name: places[0] for name, places in self._slots.items()}
        if any(place[key].is_meta for place, key in own.values()):
            self.inspected = True  # without numbers, only shapes are asked for
            return
        before = {name: self._copy(place[key]) for name, (place, key) in own.items()}
        copies = {name: p.clone() for name, p in before.items()}
        devices = {p.device for p in copies.values() if p.is_cuda}
        with torch.no_grad(), torch.random.fork_rng(devices), InMemoryOrder() as mode:
            self.call(copies, run)
        for name, p in before.items():
            if not _same_numbers(p, copies[name]):
                raise ImpureError(
                    f"a forward pass changes the parameter {name} in place, and an objective only "
                    "reads its parameters: change it after each optimiser step instead"
                )
        self.inspected, self._copies = True, mode.copied

    @contextmanager
    def holding(self, params: Mapping[str, Tensor]) -> Iterator[None]:
        """While this is open, `params` are in the module, for what reads them after a call.

        A checkpointed function is run again during the backward pass.
        """
        slots = [(s, p) for name, p in params.items() for s in self._slots.get(name, ())]
        before = [(place, key, place[key]) for (place, key), _ in slots]
        try:
            for (place, key), p in slots:
                place[key] = p
            yield
        finally:
            for place, key, p in before:
                place[key] = p

    def call(
        self, params: Mapping[str, Tensor], run: Callable[[], T], keep: Keep | None = None
    ) -> T:
        """`run()`, with `params` in the module; `keep` gets the buffers as the call leaves them.

        Raises ValueError at an unknown name.
        """
        before: list[tuple[dict[str, Any], str, Any]] = []
        try:
            for name, tensor in params.items():
                for place, key in self._slots[name]:
                    before.append((place, key, place[key]))
                    place[key] = tensor
            for place, key in self._not_given(params):
                before.append((place, key, place[key]))
                place[key] = place[key].detach().to(self._dtype)
            for place, key in self._buffers:
                before.append((place, key, place[key]))
                place[key] = self._copy(place[key])
            rewind()
            with InMemoryOrder() if self._copies else nullcontext():
                value = run()
            if keep is not None and self._dtype is None:
                keep([(place, key, place[key]) for place, key in self._buffers])
            return value
        except KeyError as error:
            if error.args and error.args[0] in set(params) - set(self._slots):
                raise ValueError(
                    f"the network has no parameter {error.args[0]!r}; it has {list(self._slots)}"
                ) from error
            raise
        finally:
            for place, key, tensor in reversed(before):
                place[key] = tensor

    def _not_given(self, params: Mapping[str, Tensor]) -> list[Slot]:
        """The parameters that are to be cast: all that the caller does not give."""
        if self._dtype is None:
            return []
        return [s for name, slots in self._slots.items() if name not in params for s in slots]

    def _copy(self, buffer: Tensor) -> Tensor:
        buffer = buffer.detach()
        if self._dtype is None or not buffer.is_floating_point():
            return buffer.clone()
        return buffer.to(self._dtype, copy=True)


def _same_numbers(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a, b) or torch.equal(torch.nan_to_num(a), torch.nan_to_num(b))


def _buffer_slots(module: nn.Module) -> Iterator[Slot]:
    """The places of buffers and of tensors that are plain attributes."""
    for m in module.modules():
        for place in (m._buffers, m.__dict__):
            yield from ((place, key) for key, t in place.items() if isinstance(t, Tensor))


@contextmanager
def kept_buffers(module: nn.Module) -> Iterator[None]:
    """While this is open, the module has copies of its buffers, which may be updated."""
    before = [(place, key, place[key]) for place, key in _buffer_slots(module)]
    try:
        for place, key, buffer in before:
            place[key] = buffer.detach().clone()
        yield
    finally:
        for place, key, buffer in before:
            place[key] = buffer


def _parameter_slots(module: nn.Module) -> dict[str, list[Slot]]:
    """The places of each parameter; a tied one has several, under its first name."""
    names = {id(p): name for name, p in module.named_parameters()}
    slots: dict[str, list[Slot]] = {name: [] for name in names.values()}
    for m in module.modules():
        for key, p in m._parameters.items():
            if p is not None:
                slots[names[id(p)]].append((m._parameters, key))
    return slots
