"""A delayed estimate, as in asynchronous training."""

from dataclasses import dataclass
from typing import Annotated, Any

from torch import Generator

from estimators.core.bounds import Ge, Le, Unit
from estimators.core.contract import (
    Claim,
    Estimate,
    Estimator,
    Law,
    Params,
    Signals,
    UnsupportedError,
)
from estimators.core.laws import certain
from estimators.core.objective import Objective
from estimators.core.wrapper import KeepingPast
from estimators.feedback.backprop import Backprop


@dataclass(frozen=True)
class Stale(KeepingPast, Estimator[Objective, dict[str, Any]]):
    """Returns the inner estimate of n steps ago.

    ĝ_t = ĝ'_{t−n}, with ĝ' the inner estimate, taken at the weights and on the batch of that step.
    In the first n steps it is the oldest estimate.

    Use it as a control: a biased method should be worth more than a gradient that is merely late.

    Biased; exact where weights and batch do not change and the inner estimator is exact. Costs
    what the inner estimator costs, and the memory of n gradients.

    Source: the delayed gradients of asynchronous training, Langford, Smola and Zinkevich (2009),
    arXiv:0911.0491.

    Example:
        >>> estimator = Stale(inner=Backprop(), steps=2)
        >>> measured = measure(net, loss, batch, [estimator])
    """

    title = "Stale gradient"

    inner: Estimator = Backprop()  # noqa: RUF009, it is frozen
    """The estimator whose estimates are delayed."""
    steps: Annotated[int, Ge(1), Le(64), Unit("steps")] = 1
    """Length of the delay (n)."""

    def claim(self, objective: Objective, /) -> Claim:
        return Claim.BIASED

    def init(self, objective: Objective, params: Params, rng: Generator, /) -> dict[str, Any]:
        return {"inner": self.inner.init(objective, params, rng), "waiting": []}

    def estimate(
        self, objective: Objective, params: Params, state: dict[str, Any], rng: Generator, /
    ) -> Estimate:
        grads, loss, inner, info = self.inner.estimate(objective, params, state["inner"], rng)
        waiting = [*state["waiting"], dict(grads)]
        following = {**state, "inner": inner, "waiting": waiting[-self.steps :]}
        return Estimate(waiting[0], loss, following, info)

    def signals(
        self, objective: Objective, params: Params, state: dict[str, Any], rng: Generator, /
    ) -> Signals | None:
        """The inner signals of n steps ago, row by row those of that step's batch.

        They wait beside the gradients, so that each kind is as old as the steps on which it was
        asked for. Raises UnsupportedError if the batch had another size.
        """
        sent = self.inner.signals(objective, params, state["inner"], rng)
        if sent is None:
            return None
        waiting = [*state.get("signals", []), dict(sent.values)]
        for name, signal in sent.values.items():
            if waiting[0][name].shape != signal.shape:
                raise UnsupportedError(
                    f"the signal of {self.steps} steps ago at {name} has the shape "
                    f"{tuple(waiting[0][name].shape)}, and the activation there is now "
                    f"{tuple(signal.shape)}: a stale signal needs batches of one size"
                )
        following = {**state, "inner": sent.state, "signals": waiting[-self.steps :]}
        return Signals(waiting[0], following, sent.info)

    def law(
        self, objective: Objective, params: Params, state: dict[str, Any], exact: Params, /
    ) -> Law | None:
        if state["waiting"]:
            return certain(state["waiting"][0], "it was drawn some steps ago and has no noise left")
        return self.inner.law(objective, params, state["inner"], exact)
