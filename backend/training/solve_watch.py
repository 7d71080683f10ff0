"""What a run says of the solves of its equilibria: reports, findings, and when it ends for them."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from backend.training.records import Event
from estimators.implicit.solvers.record import SolveRecord
from estimators.implicit.spectral_radius import SpectralRadius
from estimators.statistics.formatting import counted

Policy = Literal["warn", "stop"]
REMEDY = (
    "raise the limit or take another solver; if it converged earlier in the run, a lower learning "
    "rate or weight decay helps as well"
)
NONFINITE_REMEDY = "lower the learning rate, or scale the cell's weights down"
RADIUS_REMEDY = "lower the learning rate, add weight decay, or scale the cell's weights down"


class SolveWatch:
    """Follows a driver's solves and the spectral radii of its probes.

    The first step with a solve that did not converge is told, then the 10th, the 100th and so on;
    the same of solves that met a number that is not finite. With the policy `stop` the first of
    either ends the run.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._unconverged = self._not_finite = 0
        self._told_radii: list[str] = []
        self.end = ""
        """Why the run ends before the update of the step that was looked at last; "": it does
        not."""

    def reports(self, info: Mapping[str, Any], record: SolveRecord | None) -> Mapping[str, Any]:
        """What the driver reports, with the numbers of its solves."""
        return info if record is None else {**record.numbers, **info}

    def look(self, step: int, record: SolveRecord | None) -> Iterator[Event]:
        """Findings on the solves of an estimate."""
        if record is None or record.converged:
            return
        self._unconverged += 1
        text, count = _unconverged(step, record), self._unconverged
        if record.not_finite:
            self._not_finite += 1
            text, count = _not_finite(step, record), self._not_finite
        if self._policy == "stop":
            self.end = f"{text}. The run ends there, before the update (on_unconverged_solve: stop)"
        elif _is_power_of_ten(count):
            more = f" ({count:,} such steps so far)" if count > 1 else ""
            yield Event(step, "finding", text + more)

    def look_at_radii(self, step: int, radii: Mapping[str, SpectralRadius]) -> Iterator[Event]:
        """A finding for each equilibrium at the first probe at which the radius is 1 or more."""
        for layer, radius in radii.items():
            largest = largest_of(radius)
            if layer not in self._told_radii and largest >= 1:
                self._told_radii.append(layer)
                yield Event(step, "finding", _radius(step, layer, largest, radius))

    def state(self) -> dict[str, Any]:
        """What was told, for a checkpoint."""
        counts = {"unconverged": self._unconverged, "not finite": self._not_finite}
        return {**counts, "radii": list(self._told_radii)}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned."""
        self._unconverged = state.get("unconverged", 0)
        self._not_finite = state.get("not finite", 0)
        self._told_radii = list(state.get("radii", ()))


def largest_of(radius: SpectralRadius) -> float:
    """The largest spectral radius of the examples; infinite if one is not finite."""
    return radius.estimate.nan_to_num(nan=float("inf")).max().item()


def _unconverged(step: int, record: SolveRecord) -> str:
    solves = [
        f"{counted(int(record.numbers[f'{kind}_iterations']), f'{kind} iteration')}, relative "
        f"residual up to {record.numbers[f'{kind}_residual']:.2g}"
        for kind, lost in record.unconverged.items()
        if lost
    ]
    return (
        f"{_examples(int(record.numbers['not_converged']), record)} did not converge in a solve of "
        f"an equilibrium at step {step:,} ({'; '.join(solves)}), so that the estimate is not that "
        f"of the equilibrium: {REMEDY}"
    )


def _not_finite(step: int, record: SolveRecord) -> str:
    return (
        f"{_examples(record.not_finite, record)} met a number that is not finite in a solve of an "
        f"equilibrium at step {step:,}: {NONFINITE_REMEDY}"
    )


def _examples(lost: int, record: SolveRecord) -> str:
    return f"{lost:,} of {counted(record.examples, 'example')}"


def _radius(step: int, layer: str, largest: float, radius: SpectralRadius) -> str:
    reached = f"the spectral radius of ∂f/∂z in {layer or 'the network'} "
    if radius.converged[radius.estimate.nan_to_num(nan=float("inf")).argmax()]:
        reached += f"reached {largest:.3g} at step {step:,}"
    else:
        reached += f"is about {largest:.3g} at step {step:,} by an estimate that did not converge"
    return (
        f"{reached}: the Neumann series does not converge there, and phantom gradients need not; "
        f"{RADIUS_REMEDY}"
    )


def _is_power_of_ten(count: int) -> bool:
    return str(count).rstrip("0") == "1"
