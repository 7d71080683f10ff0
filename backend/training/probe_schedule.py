"""When to probe: at multiples of 2^m, where m only grows and follows from the time budget."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median, median_low
from typing import Any

EARLY_SHARE = 0.25  # of the allowance: for the early, log-spaced probes
MAX_COLD_SHARE = 0.5  # of the allowance: charged at most for first calls, which load and compile
RECENT = 8  # the median of so many measurements predicts the next


@dataclass
class ProbeSchedule:
    """Decides at each step whether to probe.

    The first probe is at step 0. The budget b allows probes b·T seconds, T being the expected
    time of the run without them: the training so far and the remaining steps at their recent
    pace. The steady stride is the smallest 2^k, k ≥ m, for which the probes
    spent and those to come fit. Until m has reached k, probes come at 2, 4, 8, ... (m grows
    by one at each), as long as these early ones stay within a quarter of the allowance; then
    m jumps to k. If not even one more fits, there is none. With `every`, the stride is that
    many steps, whatever it costs.

    A run of the planned length therefore takes at most 1 + b times as long as without probes,
    with two exceptions: the probe at step 0 if it alone exceeds the budget, and first calls
    (`cold`) beyond half the allowance, so that a slow start does not leave a run without probes.
    """

    steps: int
    budget: float
    every: int | None = None
    m: int = 0
    times: list[float] = field(default_factory=list)
    """Seconds of each recent probe."""
    paces: list[float] = field(default_factory=list)
    """Training seconds a step, between recent decisions."""
    cold: float = 0.0
    """Seconds that the first probes took beyond their usual time."""

    def __post_init__(self) -> None:
        self._mark: tuple[int, float] | None = None

    @property
    def stride(self) -> int:
        """The present number of steps between probes."""
        return self.every or 1 << self.m

    def due(self, step: int, training: float, probes: float) -> bool:
        """Whether to probe at `step`; `training` and `probes` are seconds spent so far."""
        if self.every is not None or self.budget == 0:
            return self.every is not None and step % self.every == 0
        if step % self.stride:
            return False
        if not self.times:
            return True  # step 0, or the first probe of a fork whose parent had none
        self._note_pace(step, training)
        return bool(self.paces) and self._decide(step, training, probes)

    def fired(self, seconds: float, cold: float = 0.0) -> None:
        """Note the seconds of a probe, and those that its first calls took besides (`cold`)."""
        self.times = [*self.times, seconds][-RECENT:]
        self.cold += cold

    def state(self) -> dict[str, Any]:
        """The schedule, for a checkpoint."""
        recent = {"times": list(self.times), "paces": list(self.paces)}
        return {"m": self.m, "cold": self.cold, **recent}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned."""
        self.m, self.times, self.paces = state["m"], list(state["times"]), list(state["paces"])
        self.cold = state.get("cold", 0.0)  # older checkpoints have none

    def _note_pace(self, step: int, training: float) -> None:
        # An attempt's first step loads and allocates, so its time is not typical.
        if self._mark is not None:
            then, before = self._mark
            self.paces = [*self.paces, (training - before) / (step - then)][-RECENT:]
        self._mark = (step, training)

    def _decide(self, step: int, training: float, probes: float) -> bool:
        cost = median(self.times)
        planned = training + median_low(self.paces) * (self.steps - step)
        allowance = self.budget * planned
        charged = probes - max(0.0, self.cold - MAX_COLD_SHARE * allowance)
        steady = self._steady(step, cost, allowance - charged)
        early = probes - self.cold + cost <= EARLY_SHARE * allowance
        if self.m < steady and early and charged + cost <= allowance:
            self.m += 1
            return True
        self.m = max(self.m, steady)
        return step % self.stride == 0

    def _steady(self, step: int, cost: float, left: float) -> int:
        """The smallest k ≥ m whose probes fit; if none does, one beyond the end of the run."""
        for k in range(self.m, self.steps.bit_length()):
            to_come = (self.steps - 1 >> k) - (step - 1 >> k)
            if cost * to_come <= left:
                return k
        return self.steps.bit_length()


FIRST_HORIZON = 512
"""Steps that a loop of unsaid length is taken to have at its start."""


@dataclass
class OpenEndedSchedule(ProbeSchedule):
    """The schedule of a loop that is taken to go on for as long again as it has gone.

    The steady rate of probes is then that of the budget at any time. Since the loop may end at any
    time, a probe is left out that would take the probes so far, first calls among them, beyond the
    budget for the training so far, of `FIRST_HORIZON` steps at least.
    """

    def due(self, step: int, training: float, probes: float) -> bool:
        self.steps = max(FIRST_HORIZON, 2 * step)
        return super().due(step, training, probes)

    def _decide(self, step: int, training: float, probes: float) -> bool:
        so_far = training + median_low(self.paces) * max(0, FIRST_HORIZON - step)
        within = probes + median(self.times) <= self.budget * so_far
        return super()._decide(step, training, probes) and within
