"""Adjoints of equilibria as estimators: phantom gradients and their like, of Geng et al. (2021)."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from torch import Generator

from estimators.autodiff.calculus import value_and_grad
from estimators.core.bounds import Ge, Gt, Le, Unit, UsedIf
from estimators.core.contract import (
    Claim,
    Cost,
    Coverage,
    Estimate,
    Estimator,
    Law,
    Need,
    Params,
    UnsupportedError,
)
from estimators.core.laws import mean_of
from estimators.core.objective import Chain, Objective
from estimators.core.wrapper import Wrapping
from estimators.feedback.backprop import Backprop
from estimators.implicit._adjoints import (
    Adjoint,
    FullUnrolling,
    ImplicitFunctionTheorem,
    Neumann,
    UnrolledSteps,
    differentiating_by,
)
from estimators.implicit.equilibrium import equilibria

USUAL_ITERATIONS = 20
"""Evaluations of the cell that a solve is taken to need, for the declared cost."""


AdjointName = Literal["upg", "npg", "jfb", "ift", "unrolled"]


@dataclass(frozen=True)
class ImplicitAdjoint(Wrapping, Estimator[Objective, Any]):
    """Differentiates the equilibria of a network in another way, within any estimator.

    ĝ is the inner estimate with (∂f/∂θ)ᵀ M ∂L/∂z as the gradient through z* = f(z*, x; θ), where M
    takes the place of (I − J)⁻ᵀ, J = ∂f/∂z at z*. With B = λJ + (1 − λ)I, M is

    - `ift`: (I − J)⁻ᵀ itself, by the stage's solver of linear equations;
    - `npg`: λ Σ_{t<k} (Bᵀ)ᵗ, the Neumann phantom gradient;
    - `jfb`: I, the Jacobian-free one, which is `npg` with k = 1 and λ = 1;
    - `upg`: the unrolled phantom gradient: k damped steps z ← (1 − λ)z + λf(z) from a detached z*
      are differentiated. It is `npg` where z* is exact and J the same along the steps;
    - `unrolled`: all steps of the damped iteration from zero are differentiated.

    In forward mode, the transpose of M stands before the derivative of f. The network keeps
    nothing of it: a driver and its shadows may differ.

    Use it to train with a phantom gradient, or to see what one costs in alignment. If the spectral
    radius of B is near 1, k steps do not reach far, and the estimate points elsewhere.

    Biased with `upg`, `npg` and `jfb`: the error of M is −(I − J)⁻ᵀ (Bᵀ)ᵏ. With `ift` and
    `unrolled` the claim is the inner estimator's, to the tolerance of the solvers. It adds no
    variance. `upg` and `unrolled` also change the value of the loss, by as much as z* is inexact.

    Costs what the inner estimator costs; a phantom gradient spends k products with the Jacobian in
    the place of a solve, which is taken to have 20. Reports the largest number of iterations and
    the largest relative and absolute residual of its solves, forward and backward, and the largest
    numbers of examples in a solve that did not converge and that met a number that is not finite.

    Raises ValueError if a field is out of its bounds.

    Source: Geng, Zhang, Bai, Wang and Lin (2021), arXiv:2111.05177. `jfb`: Fung et al. (2022),
    arXiv:2103.12803. `ift`: Bai, Kolter and Koltun (2019), arXiv:1909.01377.

    Example:
        >>> estimator = ImplicitAdjoint(adjoint="npg", steps=5, damping=0.5)
        >>> measured = measure(implicit_net, loss, batch, [estimator])
    """

    adjoint: AdjointName = "upg"
    """How the equilibria are differentiated: by unrolled steps from the solution (upg), a Neumann
    series (npg), without the Jacobian (jfb), exactly (ift), or through the whole iteration
    (unrolled)."""
    steps: Annotated[int, Ge(1), Le(1000), Unit("steps"), UsedIf(adjoint=("upg", "npg"))] = 5
    """Damped steps or terms of the series (k), of upg and npg."""
    damping: Annotated[float, Gt(0), Le(1), UsedIf(adjoint=("upg", "npg", "unrolled"))] = 0.5
    """Share of f in a step (λ), of upg, npg and unrolled; 1 is no damping."""
    inner: Estimator = Backprop()  # noqa: RUF009, it is frozen
    """The estimator that differentiates the network."""

    def __post_init__(self) -> None:
        choices = get_args(AdjointName)
        if self.adjoint not in choices:
            raise ValueError(f"adjoint is {self.adjoint!r}; it must be one of {', '.join(choices)}")
        if not isinstance(self.steps, int) or self.steps < 1:
            raise ValueError(f"steps is {self.steps!r}; it must be a whole number, at least 1")
        if not isinstance(self.damping, int | float) or not 0 < self.damping <= 1:
            raise ValueError(
                f"damping is {self.damping!r}; it must be a number above 0 and at most 1"
            )

    @property
    def _through(self) -> Adjoint:
        return {
            "upg": UnrolledSteps(self.steps, self.damping),
            "npg": Neumann(self.steps, self.damping),
            "jfb": Neumann(1, 1.0),
            "ift": ImplicitFunctionTheorem(),
            "unrolled": FullUnrolling(self.damping),
        }[self.adjoint]

    def needs(self) -> tuple[Need, ...]:
        return (Need.EQUILIBRIUM, *self.inner.needs())

    def claim(self, objective: Objective, /) -> Claim:
        return self.inner.claim(objective) if self._through.exact else Claim.BIASED

    def check(self, objective: Any, params: Params, /) -> None:
        with differentiating_by(self._through):
            self.inner.check(objective, params)

    def cost(self, objective: Objective, /) -> Cost:
        inner = self.inner.cost(objective)
        if self._through.exact:
            return inner
        steps = 1 if self.adjoint == "jfb" else self.steps
        share = steps / USUAL_ITERATIONS
        forwards = inner.forwards + inner.jvps  # a JVP solves as well
        if self.adjoint == "upg":
            forwards *= 1 + share
        return Cost(forwards, share * inner.jvps, share * inner.vjps, inner.stored)

    def coverage(self, objective: Any, params: Params, /) -> dict[str, Coverage]:
        """What lies behind the last equilibrium has the inner estimator's gradient."""
        inner = self.inner.coverage(objective, params)
        if self._through.exact:
            return inner
        behind = _stages_behind(objective)
        return {
            n: "estimated" if c == "exact" and objective.stage_of(n) not in behind else c
            for n, c in inner.items()
        }

    def init(self, objective: Any, params: Params, rng: Generator, /) -> Any:
        with differentiating_by(self._through):
            return self.inner.init(objective, params, rng)

    def estimate(
        self, objective: Objective, params: Params, state: Any, rng: Generator, /
    ) -> Estimate:
        with differentiating_by(self._through) as record:
            found = self.inner.estimate(objective, params, state, rng)
        return found._replace(info={**found.info, **record.info(found.loss)})

    def advance(self, objective: Any, params: Params, state: Any, rng: Generator, /) -> Any:
        with differentiating_by(self._through):
            return self.inner.advance(objective, params, state, rng)

    def target(self, objective: Any, params: Params, state: Any, /) -> Params | None:
        with differentiating_by(self._through):
            return self.inner.target(objective, params, state)

    def law(self, objective: Objective, params: Params, state: Any, exact: Params, /) -> Law | None:
        """The inner estimator's law about the gradient that this adjoint gives."""
        if self._through.exact:
            return self.inner.law(objective, params, state, exact)
        with differentiating_by(self._through):
            own = value_and_grad(objective, params)[1]
            law = self.inner.law(objective, params, state, own)
        return law and law._replace(mean=mean_of(law, own))


def _stages_behind(chain: Chain) -> set[str]:
    """The stages behind the last one that holds an equilibrium."""
    held = {chain.stage_of(name) for name in equilibria(chain.module)}
    if not held:
        raise UnsupportedError(
            "implicit_adjoint differentiates equilibria, and this network has none: put an "
            "Equilibrium(cell) into it, or take an implicit network"
        )
    last = max(chain.stages.index(stage) for stage in held)
    return {*chain.stages[last + 1 :]}
