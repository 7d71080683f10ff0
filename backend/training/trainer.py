"""The training itself: weights, optimiser and estimators' states, one update at a time."""

import inspect
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from backend.training.clock import Clock
from backend.training.components.assemble import Assembly, Labelled
from backend.training.estimator_roles import EstimatorRoles
from backend.training.evaluation.batch_norm import RunningStatistics
from estimators.core.contract import Estimate, Estimator
from estimators.core.noise import stream
from estimators.core.objective import Chain

Make = Callable[[Any], Estimator]
"""From an estimator's description to the estimator."""


class Trainer:
    """What a checkpoint holds, and how one update changes it."""

    def __init__(
        self, assembly: Assembly, batch: tuple[Tensor, Tensor], steps: int, seed: int, clock: Clock
    ) -> None:
        self._seed, self._steps, self._clock = seed, steps, clock
        self._device = batch[0].device
        self.module = assembly.module(seed).to(self._device)
        self.named = list(self.module.named_parameters())
        # The same storage as the parameters, so that an update is seen without a copy.
        self.params: Mapping[str, Tensor] = {n: p.detach() for n, p in self.named}
        self.chain = assembly.chain(self.module, batch)
        self._running = RunningStatistics(self.module)
        self.lineup = EstimatorRoles(assembly.driver, assembly.shadows)
        self._schedule = assembly.optimizer.schedule
        self.lr = assembly.optimizer.lr
        self._optimizer = assembly.optimizer.build(self.module.parameters())
        self._step = _plain_step(self._optimizer)
        self.states = self._first_states()
        self._watch()

    def objective(self, batch: tuple[Tensor, Tensor]) -> Chain:
        """The loss on `batch`."""
        return self.chain.on(*batch)

    def update(self, step: int, objective: Chain) -> Estimate:
        """Make one update and advance the states; returns the driver's estimate."""
        label, estimator = self.lineup.driver
        rng = stream(self._seed, "estimator", step, device=self._device)
        estimate = estimator.estimate(objective, self.params, self.states[label], rng)
        if self._watching:
            self._advance(step, objective)
        self._running.update(objective.x)
        self._apply(estimate.grads, self.rate(step))
        self.states[label] = estimate.state
        return estimate

    def _apply(self, grads: Mapping[str, Tensor], rate: float) -> None:
        for name, parameter in self.named:
            parameter.grad = grads[name]
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        with torch.no_grad():
            self._step()
        for _, parameter in self.named:
            parameter.grad = None  # the next gradient then takes its place in the cache

    def rate(self, step: int) -> float:
        """The learning rate of update `step`."""
        return self.lr * self._schedule.factor(step, self._steps)

    def measured(self) -> dict[str, tuple[Estimator, Any]]:
        """Driver and shadows with their present states, by label."""
        return {e.label: (e.estimator, self.states[e.label]) for e in self.lineup.members}

    def switch(self, step: int, new: Labelled) -> None:
        """Let another estimator drive from `step` on; the former one is watched.

        A newcomer's state begins as that of a shadow with its label, at the present weights.
        """
        if new.label not in self.states:
            rng = stream(self._seed, "estimator", "init", new.label, device=self._device)
            self.states[new.label] = new.estimator.init(self.chain, self.params, rng)
        self.lineup.switch(step, new)
        self._watch()

    def state(self) -> dict[str, Any]:
        """All that the next update depends on, but the step itself."""
        return {
            "module": dict(self.module.state_dict()),
            "optimizer": self._optimizer.state_dict(),
            "estimators": dict(self.states),
            "lr": self.lr,
            "lineup": self.lineup.state(),
        }

    def load(self, state: Mapping[str, Any], make: Make) -> None:
        """Go on from what `state` gave; `make` makes an estimator that joined in mid-run."""
        self.module.load_state_dict(state["module"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.states, self.lr = dict(state["estimators"]), state["lr"]
        if "lineup" in state:  # an older checkpoint's run never changed its driver
            self.lineup.load(state["lineup"], make)
        self._watch()

    def adopt(self, state: Mapping[str, Any], fresh: Collection[str] = ()) -> bool:
        """Begin with the weights of another run of this network, at its checkpoint.

        Its optimiser's state is taken over if that has the same fields, the learning rate
        aside; an estimator's, if it has the same label, unless that is to begin `fresh`.
        Whether the optimiser's was.
        """
        self.module.load_state_dict(state["module"])
        mine = _hyperparameters(self._optimizer.state_dict())
        same = mine == _hyperparameters(state["optimizer"])
        if same:
            self._optimizer.load_state_dict(state["optimizer"])
        held = {k: v for k, v in state["estimators"].items() if k in self.states.keys() - {*fresh}}
        self.states = {**self._first_states(), **held}
        return same

    def _watch(self) -> None:
        self._watching = [s for s in self.lineup.shadows if _has_state(s.estimator)]

    def _first_states(self) -> dict[str, Any]:
        states = {}
        for place, (label, estimator) in enumerate(self.lineup.members):
            # Keyed by the place only for shadows: a driver draws the same beside any shadows.
            key = ("init", label) if place else ("init",)
            rng = stream(self._seed, "estimator", *key, device=self._device)
            states[label] = estimator.init(self.chain, self.params, rng)
        return states

    def _advance(self, step: int, objective: Chain) -> None:
        with self._clock.probing():
            for label, estimator in self._watching:
                rng = stream(self._seed, "estimator", step, label, device=self._device)
                state = self.states[label]
                self.states[label] = estimator.advance(objective, self.params, state, rng)


def _plain_step(optimizer: torch.optim.Optimizer) -> Callable[[], object]:
    """The optimiser's step without what torch wraps around it; call it without gradients.

    The wrappers label the step for torch's profiler and look for hooks; together they take
    longer than the fused step of a small network.
    """
    return partial(inspect.unwrap(type(optimizer).step), optimizer)


def _hyperparameters(state: Mapping[str, Any]) -> list[dict[str, Any]]:
    left_out = ("params", "lr")
    return [{k: v for k, v in g.items() if k not in left_out} for g in state["param_groups"]]


def _has_state(estimator: Estimator) -> bool:
    return type(estimator).advance is not Estimator.advance
