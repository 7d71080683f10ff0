"""`ImplicitNetwork`: the base of networks with an equilibrium, and the fields of its solver."""

from abc import ABC
from dataclasses import dataclass
from typing import Annotated, Literal

from torch import nn

from backend.training.networks.contract import Network
from estimators.core.bounds import Ge, Gt, Le, Lt, Unit, UsedIf
from estimators.implicit.equilibrium import SOLVERS, Equilibrium
from estimators.implicit.solvers.fixed_point import FixedPoint

SolverName = Literal["anderson", "broyden", "fixed_point"]


@dataclass(frozen=True)
class ImplicitNetwork(Network, ABC):
    """Base of networks with an equilibrium: a frozen dataclass with the fields of its solver."""

    solver: SolverName = "anderson"
    """What finds the equilibrium, and solves the linear equations of its derivatives."""
    tolerance: Annotated[float, Gt(0), Lt(1)] = 1e-5
    """Largest relative residual of the equilibrium, ‖f(z) − z‖ / ‖f(z)‖, in single precision; in
    double precision it is 2⁻²⁹ times that."""
    linear_tolerance: Annotated[float, Gt(0), Lt(1)] = 1e-5
    """The same of the linear equations of its derivatives."""
    limit: Annotated[int, Ge(1), Le(10_000), Unit("iterations")] = 200
    """Iterations after which a solve is given up."""
    memory: Annotated[
        int, Ge(0), Le(1000), Unit("states"), UsedIf(solver=("anderson", "broyden"))
    ] = 0
    """Iterates that Anderson's method combines, or updates that Broyden's keeps; 0 is the usual
    number, 6 and 20. It takes the memory of twice as many states with Anderson's, of one more with
    Broyden's."""
    warm_start: bool = False
    """Whether a solve begins at the mean of the previous update's states instead of zeros. It may
    need fewer iterations, and gives the same answer within the tolerance."""

    def equilibrium(self, cell: nn.Module) -> Equilibrium:
        """The stage whose output is a fixed point of `cell`, with this network's solvers."""
        kind = SOLVERS[self.solver]
        kept = {"memory": self.memory} if self.memory and kind is not FixedPoint else {}
        solver = kind(self.tolerance, self.limit, **kept)
        linear_solver = kind(self.linear_tolerance, self.limit, **kept)
        return Equilibrium(cell, solver, linear_solver, warm_start=self.warm_start)
