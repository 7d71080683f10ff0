"""One setting on one case, with the draws that its checks share."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import torch
from torch import Generator, Tensor

from estimators.autodiff.calculus import value_and_grad
from estimators.conformance.cases import Case, every_case, served
from estimators.conformance.settings import settings
from estimators.core.contract import Estimate, Estimator, Law, UnsupportedError
from estimators.core.names import label
from estimators.core.noise import stream

FIRST, FEW = 300, 150
"""Draws at a first look, at the defaults and at any other setting."""


class Trial:
    """An estimator on a case. What is drawn is drawn once, for all checks."""

    def __init__(self, estimator: Estimator, case: Case, first: int = FIRST) -> None:
        self.estimator, self.case, self.first = estimator, case, first
        self._rng = stream(2, "estimator")
        self._drawn: list[Tensor] = []

    @property
    def name(self) -> str:
        """The setting and the case, for people."""
        return f"{label(self.estimator)} on {self.case.name}"

    @property
    def default(self) -> bool:
        """Whether the setting is the class's own."""
        return self.estimator == type(self.estimator)()

    def fresh_state(self) -> Any:
        """A state for a first step, the same each time."""
        return self.estimator.init(self.case.chain, self.case.params, stream(0, "init", "state"))

    @cached_property
    def state(self) -> Any:
        """The state that all draws share."""
        return self.fresh_state()

    def estimate(self, params: Mapping[str, Tensor], state: Any, rng: Generator) -> Estimate:
        """One estimate on the case's batch."""
        return self.estimator.estimate(self.case.chain, params, state, rng)

    @cached_property
    def one(self) -> Estimate:
        """A draw for the checks that look at a single one."""
        return self.again()

    def again(self) -> Estimate:
        """The draw of `one`, made anew."""
        return self.estimate(self.case.params, self.fresh_state(), stream(0, "estimator"))

    @cached_property
    def exact(self) -> Tensor:
        """The exact gradient of the loss, (d,)."""
        return self.flat(value_and_grad(self.case.chain, self.case.params)[1])

    @cached_property
    def law(self) -> Law | None:
        """What the estimator says of its moments at the shared state."""
        exact = value_and_grad(self.case.chain, self.case.params)[1]
        try:
            return self.estimator.law(self.case.chain, self.case.params, self.state, exact)
        except UnsupportedError:
            return None

    def draws(self, count: int) -> Tensor:
        """(count, d): the first `count` draws from the shared state."""
        while len(self._drawn) < count:
            estimate = self.estimate(self.case.params, self.state, self._rng)
            self._drawn.append(self.flat(estimate.grads))
        return torch.stack(self._drawn[:count])

    def tensors(self, flat: Tensor) -> dict[str, Tensor]:
        """What `flat` made one vector of."""
        pieces = flat.split([p.numel() for p in self.case.params.values()])
        shapes = self.case.params.items()
        return {name: t.view(p.shape) for (name, p), t in zip(shapes, pieces, strict=True)}

    def flat(self, grads: Mapping[str, Tensor]) -> Tensor:
        """(d,), in the order of the parameters."""
        return torch.cat([grads[name].reshape(-1) for name in self.case.params])


def trials(estimators: Sequence[Estimator]) -> Iterator[Trial]:
    """The first estimator on every case that it serves, the others in turn on one each."""
    for place, estimator in enumerate(estimators):
        serves = [case for case in every_case() if served(estimator, case)]
        if place == 0:
            yield from (Trial(estimator, case) for case in serves)
        elif serves:
            yield Trial(estimator, serves[place % len(serves)], FEW)


def trials_of(cls: type[Estimator]) -> list[Trial]:
    """The trials that a class is held to."""
    return list(trials(list(settings(cls))))


def draw(estimator: Estimator, case: Case, seed: int = 0) -> Estimate:
    """One estimate from a fresh state."""
    trial = Trial(estimator, case)
    return trial.estimate(case.params, trial.state, stream(seed, "estimator"))


@contextmanager
def one_thread() -> Iterator[None]:
    """On networks this small, a second thread only waits: many times slower on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
