"""When probes fire: on multiples of 2^m, where m only grows and the budget chooses it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median, median_low
from typing import Any

RAMP = 0.25  # of the allowance: what the early, log-spaced probes may take
SPARED = 0.5  # of the allowance: the most that is charged for first calls, which load and compile
RECENT = 8  # measurements whose median stands for what is to come


@dataclass
class Stride:
    """Decides at each step whether a probe fires.

    The first probe is at step 0. The budget b allows probes b·T seconds, T being the expected
    time of the run without them: the training so far and the remaining steps at their recent
    pace. The steady stride is the smallest 2^k, k ≥ m, for which the probes
    spent and those to come fit. Until m has reached k, probes come at 2, 4, 8, ... (m grows
    by one at each), as long as these early ones stay within a quarter of the allowance; then
    m jumps to k. If not even one more fits, none fires. With `every`, that many steps is the
    stride, whatever it costs.

    A run as long as planned therefore takes at most 1 + b times as long as without probes, but
    for what the probe at step 0 takes where that alone exceeds it, and for first calls (`cold`)
    beyond half the allowance: a slow start must not leave a run without probes.
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
    """Seconds that the first probes took beyond what they take once warm."""

    def __post_init__(self) -> None:
        self._mark: tuple[int, float] | None = None

    @property
    def stride(self) -> int:
        """Steps between probes at present."""
        return self.every or 1 << self.m

    def due(self, step: int, training: float, probes: float) -> bool:
        """Whether a probe fires at `step`.

        training, probes: seconds spent so far on each.
        """
        if self.every is not None or self.budget == 0:
            return self.every is not None and step % self.every == 0
        if step % self.stride:
            return False
        if not self.times:
            return True  # step 0; or the first one here of a fork whose parent was not probed
        self._note_pace(step, training)
        return bool(self.paces) and self._decide(step, training, probes)

    def fired(self, seconds: float, cold: float = 0.0) -> None:
        """Take note of what a probe took, and what its first calls took besides."""
        self.times = [*self.times, seconds][-RECENT:]
        self.cold += cold

    def state(self) -> dict[str, Any]:
        held = {"times": list(self.times), "paces": list(self.paces)}
        return {"m": self.m, "cold": self.cold, **held}

    def load(self, state: Mapping[str, Any]) -> None:
        self.m, self.times, self.paces = state["m"], list(state["times"]), list(state["paces"])
        self.cold = state.get("cold", 0.0)  # checkpoints of old have none

    def _note_pace(self, step: int, training: float) -> None:
        # An attempt's first step loads and allocates; it says nothing about the others.
        if self._mark is not None:
            then, before = self._mark
            self.paces = [*self.paces, (training - before) / (step - then)][-RECENT:]
        self._mark = (step, training)

    def _decide(self, step: int, training: float, probes: float) -> bool:
        cost = median(self.times)
        planned = training + median_low(self.paces) * (self.steps - step)
        allowance = self.budget * planned
        charged = probes - max(0.0, self.cold - SPARED * allowance)
        steady = self._steady(step, cost, allowance - charged)
        early = probes - self.cold + cost <= RAMP * allowance
        if self.m < steady and early and charged + cost <= allowance:
            self.m += 1
            return True
        self.m = max(self.m, steady)
        return step % self.stride == 0

    def _steady(self, step: int, cost: float, left: float) -> int:
        """The smallest k ≥ m whose probes fit; where none does, one beyond the run's end."""
        for k in range(self.m, self.steps.bit_length()):
            to_come = (self.steps - 1 >> k) - (step - 1 >> k)
            if cost * to_come <= left:
                return k
        return self.steps.bit_length()
