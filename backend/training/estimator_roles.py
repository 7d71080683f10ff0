"""Who drives a run and who is watched beside it. The roles may change in mid-run."""

from collections.abc import Callable, Mapping
from typing import Any

from backend.training.components.assemble import Labelled
from backend.training.components.resolve import describe
from estimators.core.contract import Estimator


class EstimatorRoles:
    """A driver and its shadows; an estimator keeps its label whichever it is."""

    def __init__(self, driver: Labelled, shadows: tuple[Labelled, ...] = ()) -> None:
        self.driver, self.shadows = driver, shadows
        self.drives: list[tuple[int, str]] = [(0, driver.label)]
        """Since which step which label drives."""

    @property
    def members(self) -> tuple[Labelled, ...]:
        """The driver, then the shadows."""
        return (self.driver, *self.shadows)

    @property
    def labels(self) -> dict[str, Any]:
        return {"driver": self.driver.label, "shadows": [s.label for s in self.shadows]}

    def find(self, label: str) -> Estimator | None:
        """The member of that label."""
        return dict(self.members).get(label)

    def switch(self, step: int, new: Labelled) -> None:
        """Let `new` drive from `step` on. The former driver takes its place, or the last one."""
        if new.label == self.driver.label:
            return
        former, held = self.driver, [s.label for s in self.shadows]
        shadows = [former if s.label == new.label else s for s in self.shadows]
        if new.label not in held:
            shadows.append(former)
        self.driver, self.shadows = new, tuple(shadows)
        # A driver of no step, where two changes fell on one, never drove.
        self.drives = [*(d for d in self.drives if d[0] < step), (step, new.label)]

    def state(self) -> dict[str, Any]:
        """The roles, with every estimator's description."""
        members = [{"label": e.label, "estimator": describe(e.estimator)} for e in self.members]
        return {"members": members, "drives": list(self.drives)}

    def load(self, state: Mapping[str, Any], make: Callable[[Any], Estimator]) -> None:
        """Go on from what `state` gave; `make` makes those that the configuration has not."""
        held = [
            Labelled(one["label"], self.find(one["label"]) or make(one["estimator"]))
            for one in state["members"]
        ]
        self.driver, self.shadows = held[0], tuple(held[1:])
        self.drives = [(step, label) for step, label in state["drives"]]
