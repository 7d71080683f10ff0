"""An estimate that comes late, as in asynchronous training."""

from dataclasses import dataclass
from typing import Annotated, Any

from torch import Generator

from estimators.core.bounds import Ge, Le, Unit
from estimators.core.contract import Claim, Estimate, Estimator, Law, Params
from estimators.core.laws import certain
from estimators.core.objective import Objective
from estimators.core.wrapper import Wrapping
from estimators.feedback.backprop import Backprop


@dataclass(frozen=True)
class Stale(Wrapping, Estimator[Objective, dict[str, Any]]):
    """The inner estimate of n steps ago, taken at the weights and on the batch of that step.

    Until there have been n steps, the oldest that there is. n estimates are kept. Exact where
    the weights and the batch stand still and the inner estimator is.
    """

    title = "Stale gradient"

    inner: Estimator = Backprop()  # noqa: RUF009, it is frozen
    """Whose estimates come late."""
    steps: Annotated[int, Ge(1), Le(64), Unit("steps")] = 1
    """How late they come (n)."""

    def claim(self, objective: Objective, /) -> Claim:
        return Claim.BIASED

    def init(self, objective: Objective, params: Params, rng: Generator, /) -> dict[str, Any]:
        return {"inner": self.inner.init(objective, params, rng), "waiting": []}

    def target(
        self, objective: Objective, params: Params, state: dict[str, Any], /
    ) -> Params | None:
        return self.inner.target(objective, params, state["inner"])

    def estimate(
        self, objective: Objective, params: Params, state: dict[str, Any], rng: Generator, /
    ) -> Estimate:
        grads, loss, inner, info = self.inner.estimate(objective, params, state["inner"], rng)
        waiting = [*state["waiting"], dict(grads)]
        following = {"inner": inner, "waiting": waiting[-self.steps :]}
        return Estimate(waiting[0], loss, following, info)

    def advance(
        self, objective: Objective, params: Params, state: dict[str, Any], rng: Generator, /
    ) -> dict[str, Any]:
        return self.estimate(objective, params, state, rng).state

    def law(
        self, objective: Objective, params: Params, state: dict[str, Any], exact: Params, /
    ) -> Law | None:
        if state["waiting"]:
            return certain(state["waiting"][0], "drawn some steps ago: it has no noise left")
        return self.inner.law(objective, params, state["inner"], exact)
