"""`Trainer`: weights, optimiser and estimators' states, and how one update changes them."""

import inspect
from collections.abc import Callable, Collection, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor

from backend.training.checkpoints.files import stored_roles
from backend.training.clock import Clock
from backend.training.components.assemble import Assembly, Labelled
from backend.training.estimator_roles import EstimatorRoles
from backend.training.evaluation.batch_norm import RunningStatistics
from backend.training.optimizers.groups import GroupedOptimizer
from backend.training.random_passes import at_step
from estimators.core.contract import Estimate, Estimator
from estimators.core.noise import stream
from estimators.core.objective import Chain
from estimators.implicit.equilibrium import Equilibrium, equilibria
from estimators.implicit.solvers.record import SolveRecord, recording_solves
from estimators.measurement.inputs.examination import examined
from estimators.requirements import require

Make = Callable[[Any], Estimator]
"""Builds an estimator from its description."""


class Trainer:
    """The state that a checkpoint holds, and the update that changes it."""

    def __init__(
        self, assembly: Assembly, batch: tuple[Tensor, Tensor], steps: int, seed: int, clock: Clock
    ) -> None:
        self._seed, self._steps, self._clock = seed, steps, clock
        self._device = batch[0].device
        self.module = assembly.module(seed).to(self._device)
        self.named = list(self.module.named_parameters())
        # These share storage with the parameters, so updates need no copy.
        self.params: Mapping[str, Tensor] = {n: p.detach() for n, p in self.named}
        self.chain, self.notices = assembly.examined(self.module, batch, seed, 0)
        self._running = RunningStatistics(self.module)
        self._has_equilibria = bool(equilibria(self.module))
        self.solves: SolveRecord | None = None
        """The solves of the last estimate; None in a network without equilibria."""
        self.roles = EstimatorRoles(assembly.driver, assembly.shadows)
        self._schedule = assembly.optimizer.schedule
        self.lr = assembly.optimizer.lr
        self._optimizer = GroupedOptimizer(assembly.optimizer, self.module)
        self._step = plain_step(self._optimizer.torch)
        self.states = self._first_states()
        self._find_stateful_shadows()

    def objective(self, batch: tuple[Tensor, Tensor], step: int) -> Chain:
        """The loss on the batch of `step`."""
        return at_step(self.chain.on(*batch), self._seed, step)

    def update(self, step: int, objective: Chain) -> Estimate:
        """Make one update and advance the states; returns the driver's estimate."""
        estimate = self.estimate(step, objective)
        self.apply(step, objective, estimate)
        return estimate

    def estimate(self, step: int, objective: Chain) -> Estimate:
        """The driver's estimate for update `step`, which is not made yet; `solves` are its own."""
        label, estimator = self.roles.driver
        rng = stream(self._seed, "estimator", step, device=self._device)
        recording = recording_solves() if self._has_equilibria else nullcontext()
        with self._running.watching(objective, self.params), recording as self.solves:
            return estimator.estimate(objective, self.params, self.states[label], rng)

    def apply(self, step: int, objective: Chain, estimate: Estimate) -> None:
        """Make update `step` with what `estimate` returned, and advance the states."""
        if self._stateful_shadows:
            self._advance(step, objective)
        self._running.update(objective)
        self._apply(estimate.grads, self.rate(step))
        self.states[self.roles.driver.label] = estimate.state
        for stage, mean in self.solves.means.items() if self.solves else ():
            assert isinstance(stage, Equilibrium)
            stage.begin_at(mean)

    def _apply(self, grads: Mapping[str, Tensor], rate: float) -> None:
        for name, parameter in self.named:
            parameter.grad = grads[name]
        self._optimizer.set_rate(rate)
        with torch.no_grad():
            self._step()
        for _, parameter in self.named:
            parameter.grad = None  # frees its memory for the next gradient

    def rate(self, step: int) -> float:
        """The learning rate of update `step`."""
        return self.lr * self._schedule.factor(step, self._steps)

    def measured(self) -> dict[str, tuple[Estimator, Any]]:
        """{label: (estimator, its present state)} of driver and shadows."""
        return {e.label: (e.estimator, self.states[e.label]) for e in self.roles.members}

    def refuse(self, new: Labelled) -> None:
        """Raise UnsupportedError if an estimator that is to drive cannot work on the objective."""
        require(new.estimator, self.chain, self.params)
        examined(self.chain, self.params, {new.label: new.estimator})

    def switch(self, step: int, new: Labelled) -> None:
        """Let another estimator drive from `step` on; the former driver becomes a shadow.

        The state of an estimator that was not there before is initialised at the present weights.
        """
        if new.label not in self.states:
            rng = stream(self._seed, "estimator", "init", new.label, device=self._device)
            self.states[new.label] = new.estimator.init(self.chain, self.params, rng)
        self.roles.switch(step, new)
        self._find_stateful_shadows()

    def state(self) -> dict[str, Any]:
        """Everything that the next update depends on besides the step, for a checkpoint."""
        return {
            "module": dict(self.module.state_dict()),
            "optimizer": self._optimizer.torch.state_dict(),
            "optimizer_names": self._optimizer.names,
            "estimators": dict(self.states),
            "lr": self.lr,
            "roles": self.roles.state(),
        }

    def load(self, state: Mapping[str, Any], make: Make) -> None:
        """Go on from what `state` returned; `make` builds estimators that joined during the run."""
        self.module.load_state_dict(state["module"])
        self._optimizer.torch.load_state_dict(state["optimizer"])
        self.states, self.lr = dict(state["estimators"]), state["lr"]
        roles = stored_roles(state)
        if roles is not None:  # the oldest checkpoints are of runs that never changed their driver
            self.roles.load(roles, make)
        self._find_stateful_shadows()

    def adopt(
        self, state: Mapping[str, Any], fresh: Collection[str] = (), same_optimizer: bool = True
    ) -> bool:
        """Begin with the weights of another run of this network; returns whether the optimiser's
        state was taken over too.

        That requires an optimiser of the same code (`same_optimizer`) with the same fields,
        learning rates aside. The state of an estimator is taken over if it has the same label and
        is not in `fresh`.
        """
        self.module.load_state_dict(state["module"])
        # Checkpoints without names are older than groups: their order is the network's.
        names = state.get("optimizer_names", [name for name, _ in self.named])
        same = same_optimizer and self._optimizer.adopt(state["optimizer"], names)
        kept = self.states.keys() - {*fresh}
        adopted = {label: s for label, s in state["estimators"].items() if label in kept}
        self.states = {**self._first_states(), **adopted}
        return same

    def _find_stateful_shadows(self) -> None:
        self._stateful_shadows = [s for s in self.roles.shadows if _has_state(s.estimator)]

    def _first_states(self) -> dict[str, Any]:
        states = {}
        for place, (label, estimator) in enumerate(self.roles.members):
            # Only shadows are keyed by label, so that a driver draws the same beside any shadows.
            key = ("init", label) if place else ("init",)
            rng = stream(self._seed, "estimator", *key, device=self._device)
            states[label] = estimator.init(self.chain, self.params, rng)
        return states

    def _advance(self, step: int, objective: Chain) -> None:
        with self._clock.probing():
            for label, estimator in self._stateful_shadows:
                rng = stream(self._seed, "estimator", step, label, device=self._device)
                state = self.states[label]
                self.states[label] = estimator.advance(objective, self.params, state, rng)


def plain_step(optimizer: torch.optim.Optimizer) -> Callable[[], object]:
    """The optimiser's `step` without torch's wrappers; call it under `torch.no_grad`.

    The wrappers add profiler labels and hooks, which take longer than the fused step of a
    small network.
    """
    return partial(inspect.unwrap(type(optimizer).step), optimizer)


def _has_state(estimator: Estimator) -> bool:
    return type(estimator).advance is not Estimator.advance
