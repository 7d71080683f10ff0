"""`replaying`: every pass of a network begins with the same state of the random generators.

An objective has to be a function of the weights. A network that draws (dropout in training mode) is
one if each of its passes draws the same: the generators are set back before each.
"""

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

PARTS_DIFFER = (
    "the network draws random numbers at every pass (dropout), which a part of it or of the batch "
    "would draw otherwise than the whole: call model.eval() before the measurement, set the "
    "probability of dropout to 0, or choose an estimator that runs the network as a whole"
)
"""Why there is no pass of a part while a `replaying` is open."""


class Generators:
    """The state of the global generators of torch (on the CPU and `device`), Python and numpy,
    where it is loaded, at the moment when this is made."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._numpy = device, sys.modules.get("numpy")
        self._torch = torch.default_generator.get_state()
        self._cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        self._python: Any = random.getstate()
        self._numpys = self._numpy.random.get_state() if self._numpy else None

    @classmethod
    def seeded(cls, number: int, device: torch.device) -> "Generators":
        """The state that seeding all of them with `number` gives; the generators stay as they are.

        Raises ValueError for a number below 0.
        """
        if number < 0:
            raise ValueError(f"the seed is {number}; a whole number from 0 on is allowed")
        made = cls(device)
        made._torch = torch.Generator().manual_seed(number).get_state()
        if made._cuda is not None:
            made._cuda = torch.Generator(device).manual_seed(number).get_state()
        made._python = random.Random(number).getstate()
        if made._numpy:
            made._numpys = made._numpy.random.RandomState(number % 2**32).get_state()
        return made

    def restore(self) -> None:
        """Set the generators to that state."""
        torch.default_generator.set_state(self._torch)
        if self._cuda is not None:
            torch.cuda.set_rng_state(self._cuda, self._device)
        random.setstate(self._python)
        if self._numpy:
            self._numpy.random.set_state(self._numpys)

    def moved(self) -> bool:
        """Whether anything was drawn since."""
        now = Generators(self._device)
        return not (
            _same(self._torch, now._torch)
            and _same(self._cuda, now._cuda)
            and self._python == now._python
            and _position(self._numpys) == _position(now._numpys)
        )


_START: ContextVar[Generators | None] = ContextVar("start", default=None)


@contextmanager
def replaying(start: Generators) -> Iterator[None]:
    """While this is open, the generators are set to `start` before every pass of a network."""
    token = _START.set(start)
    try:
        yield
    finally:
        _START.reset(token)


@contextmanager
def replaying_alone(start: Generators | None, device: torch.device) -> Iterator[None]:
    """`replaying`, with the generators afterwards as they were; nothing, if there is no start."""
    if start is None:
        yield
        return
    before = Generators(device)
    try:
        with replaying(start):
            yield
    finally:
        before.restore()


def is_replaying() -> bool:
    """Whether a `replaying` is open."""
    return _START.get() is not None


def rewind() -> None:
    """Set the generators back, if a `replaying` is open."""
    start = _START.get()
    if start is not None:
        start.restore()


def _position(state: Any) -> Any:
    """Of numpy's generator: what moves with each draw."""
    return None if state is None else tuple(state[2:])


def _same(a: Tensor | None, b: Tensor | None) -> bool:
    return a is b or (a is not None and b is not None and torch.equal(a, b))
