"""How many draws, and whether the exact gradient, rest on a solve that did not converge."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from estimators.autodiff.calculus import value_and_grad
from estimators.core.contract import BatchedDraws, Params
from estimators.core.objective import Chain, Objective
from estimators.core.structure import PerNetwork
from estimators.implicit.equilibrium import equilibria
from estimators.implicit.solvers.record import SolveRecord, recording_solves


class DrawnSolves:
    """The solves of the equilibria of a network, draw by draw; nothing for other objectives."""

    def __init__(self, objective: Objective) -> None:
        self.any = _has_equilibria(objective)
        """Whether there is anything to solve."""
        self._unconverged = 0
        self._records: list[SolveRecord] = []

    @contextmanager
    def drawing(self) -> Iterator[None]:
        """To be open while one draw is made."""
        if not self.any:
            yield
            return
        with recording_solves() as record:
            yield
        self._records.append(record)

    def counted(self, batch: BatchedDraws) -> BatchedDraws:
        """The same draws, made one by one where there are solves: a solve that did not converge
        would else be of all draws of a batch."""
        if not self.any:
            return batch

        def one_by_one(count: int) -> Params:
            made = []
            for _ in range(count):
                with self.drawing():
                    made.append(batch(1))
            return made[0] if count == 1 else {n: torch.cat([d[n] for d in made]) for n in made[0]}

        return one_by_one

    @property
    def unconverged(self) -> int | None:
        """Draws that rest on at least one solve that did not converge; None without solves.

        Read it when the gradients of the draws are made: a gradient may be solved for late.
        """
        self._unconverged += sum(not record.converged for record in self._records)
        self._records = []
        return self._unconverged if self.any else None

    def merge(self, other: "DrawnSolves") -> None:
        """Add the draws of another, of the same objective."""
        self._unconverged += other.unconverged or 0


def exact_gradient(
    objective: Objective, params: Params
) -> tuple[Tensor, dict[str, Tensor], int | None]:
    """The loss, the exact gradient, and the most examples of a solve of it that did not converge;
    None for a network without equilibria."""
    if not _has_equilibria(objective):
        return *value_and_grad(objective, params), None
    with recording_solves() as record:
        loss, exact = value_and_grad(objective, params)
    return loss, exact, int(record.numbers["not_converged"])


def _has_equilibria(objective: Objective) -> bool:
    if not isinstance(objective, Chain):
        return False
    return _ANY.get_or_make(objective, (), lambda: bool(equilibria(objective.module)))


_ANY = PerNetwork[bool]()
"""Whether a network has an equilibrium: asked for every estimator of every probe."""
