"""A trial: one setting of an estimator on one case, with the draws that its checks share."""

import time
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

DEFAULT_DRAWS, OTHER_DRAWS = 300, 150
"""Draws that a check begins with, at the defaults and at any other setting."""
FEWEST_DRAWS = 40
"""Draws that are made however slow an estimator is."""
PATIENCE = 4.0
"""Seconds of processor time after which a trial makes no more draws one by one."""


class Trial:
    """An estimator on a case. Draws are made once and shared by all checks."""

    def __init__(
        self, estimator: Estimator, case: Case, few: int = DEFAULT_DRAWS, seed: int = 2
    ) -> None:
        self.estimator, self.case, self.few, self.seed = estimator, case, few, seed
        self._rng = stream(seed, "estimator")
        self._drawn: list[Tensor] = []
        self._spent = 0.0

    @property
    def name(self) -> str:
        """The setting and the case, in words."""
        return f"{label(self.estimator)} on {self.case.name}"

    @property
    def default(self) -> bool:
        """Whether the setting is the class's default."""
        return self.estimator == type(self.estimator)()

    def fresh_state(self) -> Any:
        """A state for the first step, equal at each call."""
        return self.estimator.init(self.case.chain, self.case.params, stream(0, "init", "state"))

    @cached_property
    def state(self) -> Any:
        """The state that all draws share."""
        return self.fresh_state()

    def estimate(self, params: Mapping[str, Tensor], state: Any, rng: Generator) -> Estimate:
        """One estimate on the case's batch."""
        return self.estimator.estimate(self.case.chain, params, state, rng)

    @cached_property
    def first(self) -> Estimate:
        """The draw for the checks that look at a single one."""
        return self.again()

    def again(self) -> Estimate:
        """The draw of `first`, computed again."""
        return self.estimate(self.case.params, self.fresh_state(), stream(0, "estimator"))

    @cached_property
    def exact(self) -> Tensor:
        """The exact gradient of the loss, (d,)."""
        return self.flat(value_and_grad(self.case.chain, self.case.params)[1])

    @cached_property
    def expected(self) -> Tensor:
        """What EXACT and UNBIASED promise: the estimator's target, else the gradient, (d,)."""
        target = self.estimator.target(self.case.chain, self.case.params, self.state)
        return self.exact if target is None else self.flat(target)

    @cached_property
    def law(self) -> Law | None:
        """The estimator's law at the shared state."""
        exact = value_and_grad(self.case.chain, self.case.params)[1]
        try:
            return self.estimator.law(self.case.chain, self.case.params, self.state, exact)
        except UnsupportedError:
            return None

    def draws(self, count: int) -> Tensor:
        """(≤ count, d): the first `count` draws from the shared state; fewer if they are slow."""
        began = time.process_time()
        while len(self._drawn) < count:
            if len(self._drawn) >= FEWEST_DRAWS and self._seconds(began) > PATIENCE:
                break
            estimate = self.estimate(self.case.params, self.state, self._rng)
            self._drawn.append(self.flat(estimate.grads).detach())
        self._spent = self._seconds(began)
        return torch.stack(self._drawn[:count])

    def _seconds(self, began: float) -> float:
        return self._spent + time.process_time() - began

    def tensors(self, flat: Tensor) -> dict[str, Tensor]:
        """The tensors, by name, of a vector that `flat` made."""
        pieces = flat.split([p.numel() for p in self.case.params.values()])
        shapes = self.case.params.items()
        return {name: t.view(p.shape) for (name, p), t in zip(shapes, pieces, strict=True)}

    def flat(self, grads: Mapping[str, Tensor]) -> Tensor:
        """The gradients as one vector, (d,), in the order of the parameters."""
        return torch.cat([grads[name].reshape(-1) for name in self.case.params])


def trials(estimators: Sequence[Estimator], seed: int = 2) -> Iterator[Trial]:
    """Yield the first estimator on every case it supports, and each other one on one case."""
    for place, estimator in enumerate(estimators):
        supported = [case for case in every_case() if served(estimator, case)]
        if place == 0:
            yield from (Trial(estimator, case, seed=seed) for case in supported)
        elif supported:
            yield Trial(estimator, supported[place % len(supported)], OTHER_DRAWS, seed)


def trials_of(cls: type[Estimator], seed: int = 2) -> list[Trial]:
    """The trials of a class, over all its settings."""
    return list(trials(list(settings(cls)), seed))


def draw(estimator: Estimator, case: Case, seed: int = 0) -> Estimate:
    """One estimate from a fresh state."""
    trial = Trial(estimator, case)
    return trial.estimate(case.params, trial.state, stream(seed, "estimator"))


@contextmanager
def one_thread() -> Iterator[None]:
    """Run with one thread: on networks this small, a second one slows torch down."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
