"""`Solver`: what finds z = F(z), and `Solution`: what it found and how near it came.

Every example of a batch is an equation of its own. Its iterates are made of its own numbers, and
it is left alone from the iteration on at which it has converged, so that its solution does not
depend on the other examples: a loss that is separable stays so.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch
from torch import Tensor

from estimators.core.bounds import Ge, Gt, Le, Lt, Unit
from estimators.implicit.solvers.room import NoRoomError, require_room, too_large

Function = Callable[[Tensor], Tensor]
"""z ↦ F(z), both (B, ...)."""

Step = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(z, F(z), F(z) − z) -> the next z, all (B, n), without a change to the arguments."""

FEWEST_UNITS = 4
"""Units of least precision that a relative residual may have at least."""


class Solution(NamedTuple):
    """The best iterate of each example, and how near it is to a solution."""

    z: Tensor
    """(B, ...): of each example the iterate with the smallest relative residual."""
    iterations: Tensor
    """(B,): evaluations of F until the example was left alone."""
    absolute: Tensor
    """(B,): ‖F(z) − z‖."""
    relative: Tensor
    """(B,): ‖F(z) − z‖ / ‖F(z)‖; infinite if no iterate was finite."""
    converged: Tensor
    """(B,), bool: whether the relative residual is within the tolerance."""
    finite: Tensor
    """(B,), bool: False for an example whose solve was ended by a number that is not finite."""


@dataclass(frozen=True)
class Solver(ABC):
    """Base of the solvers: a frozen dataclass with the stopping rule; `stepping` is the method.

    Raises:
        ValueError: A field is out of its bounds.
    """

    tolerance: Annotated[float, Gt(0), Lt(1)] = 1e-5
    """Largest relative residual ‖F(z) − z‖ / ‖F(z)‖ of a solution in single precision. In double
    precision it is 2⁻²⁹ times that, as its numbers are: a comparison of derivatives in double
    precision then sees the derivatives and not the solver."""
    limit: Annotated[int, Ge(1), Le(100_000), Unit("iterations")] = 200
    """Iterations after which an example that has not converged is given up."""

    def __post_init__(self) -> None:
        if not 0 < self.tolerance < 1:
            raise ValueError(f"tolerance is {self.tolerance}; it must be above 0 and below 1")
        if self.limit < 1:
            raise ValueError(f"limit is {self.limit}; it must be at least 1")

    @abstractmethod
    def stepping(self, like: Tensor, /) -> Step:
        """A new function that makes the iterates of one solve, for z like this one, (B, n).

        It is called once an iteration. It may remember; a row must depend on the same row alone.
        """

    @property
    def name(self) -> str:
        """The method and its memory, for messages: "Broyden(memory=20)"."""
        memory = getattr(self, "memory", None)
        return type(self).__name__ + ("" if memory is None else f"(memory={memory})")

    @property
    def kept(self) -> int:
        """States of each example that a solve keeps beside its iterates."""
        return 0

    def tolerance_in(self, dtype: torch.dtype) -> float:
        """The largest relative residual of a solution in numbers of this type."""
        eps, single = torch.finfo(dtype).eps, torch.finfo(torch.float32).eps
        return max(self.tolerance * min(1.0, eps / single), FEWEST_UNITS * eps)

    @torch.no_grad()
    def solve(self, function: Function, start: Tensor) -> Solution:
        """Iterate from `start`, (B, ...), until every example has converged or was given up.

        A tensor without numbers (on the device "meta") is evaluated once, without a history.

        Raises NoRoomError if the device has no memory for what the solver keeps.
        """
        z, shape = start.detach().reshape(len(start), -1), start.shape
        progress = Progress(z, self.tolerance_in(z.dtype))
        if z.is_meta:
            function(start)
            return progress.solution(shape)
        step = self._stepping_with_room(z)
        for _ in range(self.limit):
            f = function(z.view(shape)).reshape(z.shape)
            residual = f - z
            if not progress.take(z, f, residual):
                break
            z = progress.moved(z, step(z, f, residual))
        return progress.solution(shape)

    def _stepping_with_room(self, z: Tensor) -> Step:
        require_room(self.name, self.kept, z)
        try:
            return self.stepping(z)
        except RuntimeError as error:  # the allocator's: what is free may be in pieces
            raise NoRoomError(
                too_large(self.name, self.kept, z, "no such block is free")
            ) from error


def at_least_single(t: Tensor) -> Tensor:
    """In float32, if it is of half precision: torch has no linear solves there."""
    return t.float() if t.itemsize < 4 else t


class Progress:
    """How near each example is to its solution, and which ones go on."""

    def __init__(self, z: Tensor, tolerance: float) -> None:
        self._tolerance = tolerance
        self._best = z
        rows = (len(z), 1)
        self.active = torch.ones(rows, dtype=torch.bool, device=z.device)
        """(B, 1): the examples that go on."""
        self._all_active = True
        self._finite = self.active
        self._converged = torch.zeros_like(self.active)
        self._iterations = torch.zeros(rows, dtype=torch.int64, device=z.device)
        self._absolute = self._relative = z.new_full(rows, torch.inf)

    def take(self, z: Tensor, f: Tensor, residual: Tensor) -> bool:
        """Take in an iterate, F(z) and F(z) − z, all (B, n); whether any example goes on."""
        absolute = torch.linalg.vector_norm(residual, dim=1, keepdim=True)
        size = torch.linalg.vector_norm(f, dim=1, keepdim=True)
        relative = torch.where(absolute == 0, absolute, absolute / size)
        finite = absolute.isfinite() & size.isfinite()
        better = self.active & finite & (relative < self._relative)
        self._absolute = torch.where(better, absolute, self._absolute)
        self._relative = torch.where(better, relative, self._relative)
        self._iterations = self._iterations + self.active
        self._finite = self._finite & (finite | ~self.active)
        self._converged = self._converged | (self.active & finite & (relative <= self._tolerance))
        self.active = self.active & finite & ~self._converged
        # One transfer from the device for three answers.
        answers = torch.stack([better.all(), self.active.all(), self.active.any()])
        all_better, self._all_active, goes_on = answers.tolist()
        self._best = z if all_better else torch.where(better, z, self._best)
        return goes_on

    def moved(self, z: Tensor, onwards: Tensor) -> Tensor:
        """`onwards` for the examples that go on, z for the others; both (B, n)."""
        # Most iterations move every example: they need no copy.
        return onwards if self._all_active else torch.where(self.active, onwards, z)

    def solution(self, shape: torch.Size) -> Solution:
        rows = self._iterations, self._absolute, self._relative, self._converged, self._finite
        return Solution(self._best.view(shape), *(row.squeeze(1) for row in rows))
