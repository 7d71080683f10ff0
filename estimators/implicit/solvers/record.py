"""`recording_solves`: what the solves of equilibria report, whichever estimator makes them."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from estimators.implicit.solvers.contract import Solution

Kind = Literal["forward", "backward"]
"""forward: a solve for z*; backward: a solve of the linear equations of its derivatives."""


@dataclass(eq=False)
class SolveRecord:
    """The solves of one pass or estimate.

    A network may be run several times for one estimate, so the largest numbers of all solves are
    kept and not their sums.
    """

    numbers: dict[str, float] = field(
        default_factory=lambda: {"not_converged": 0.0, "not_finite": 0.0}
    )
    """The most examples of one solve that ended before they converged (`not_converged`), also those
    that met a number that is not finite (`not_finite`), and by kind of solve the most iterations
    (`forward_iterations`) and the largest relative and absolute residual of an example
    (`forward_residual`, `forward_absolute_residual`)."""
    unconverged: dict[Kind, int] = field(default_factory=dict)
    """`not_converged` by kind of solve, for those that made any."""
    examples: int = 0
    """Examples of the largest solve."""
    means: dict[nn.Module, Tensor] = field(default_factory=dict)
    """Of each stage that keeps a warm start, the mean state of the examples that converged in its
    first solve: z*, without the batch axis."""

    @property
    def converged(self) -> bool:
        """Whether every example of every solve converged."""
        return not self.numbers["not_converged"]

    @property
    def not_finite(self) -> int:
        """The most examples of one solve that met a number that is not finite."""
        return int(self.numbers["not_finite"])

    def add(self, kind: Kind, solution: Solution, warm: nn.Module | None = None) -> None:
        """Take in a solve; `warm` is its stage, if that keeps a warm start."""
        if solution.z.is_meta:
            return
        with torch.no_grad(), torch._C.DisableTorchFunction():
            z, iterations, absolute, relative, converged, finite = map(_plain, solution)
            lost = ~converged
            row = (lost.sum(), (~finite).sum(), iterations.max(), relative.max(), absolute.max())
            # One copy from the device for all numbers.
            numbers = torch.stack([number.double() for number in row]).tolist()
            if warm is not None and warm not in self.means and numbers[0] < len(lost):
                self.means[warm] = _plain(z[converged].mean(0))
        names = ("iterations", "residual", "absolute_residual")
        keys = ("not_converged", "not_finite", *(f"{kind}_{name}" for name in names))
        for key, number in zip(keys, numbers, strict=True):
            self.numbers[key] = max(self.numbers.get(key, 0.0), number)
        self.unconverged[kind] = max(self.unconverged.get(kind, 0), int(numbers[0]))
        self.examples = max(self.examples, len(lost))

    def info(self, like: Tensor) -> dict[str, Tensor]:
        """As an estimate reports them: scalars."""
        return {name: like.new_tensor(number) for name, number in self.numbers.items()}


_open: ContextVar[tuple[SolveRecord, ...]] = ContextVar("solve_records", default=())


@contextmanager
def recording_solves() -> Iterator[SolveRecord]:
    """While this is open, every solve of an equilibrium is recorded.

    The adjoint stays what it is. A solve is added to all records that are open when its forward
    pass runs, so that a record may be opened inside another; the solves of the backward pass follow
    that forward pass, even after the record was closed.
    """
    record = SolveRecord()
    token = _open.set((*_open.get(), record))
    try:
        yield record
    finally:
        _open.reset(token)


def open_records() -> tuple[SolveRecord, ...]:
    """The records that are open, the outermost first."""
    return _open.get()


def _plain(t: Tensor) -> Tensor:
    """A tensor without the wrappers of torch.func, whose numbers can be read."""
    functorch, t = torch._C._functorch, t.detach()  # type: ignore[attr-defined]
    while functorch.is_functorch_wrapped_tensor(t):
        t = functorch.get_unwrapped(t)
    return t
