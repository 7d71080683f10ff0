"""Which estimator drives a run, and which are measured beside it. The roles may change."""

from collections.abc import Callable, Mapping
from typing import Any

from backend.training.components.assemble import Labelled
from backend.training.components.resolve import describe
from estimators.core.contract import Estimator


class EstimatorRoles:
    """A driver and its shadows; an estimator keeps its label in either role."""

    def __init__(self, driver: Labelled, shadows: tuple[Labelled, ...] = ()) -> None:
        self.driver, self.shadows = driver, shadows
        self.drives: list[tuple[int, str]] = [(0, driver.label)]
        """(step, label) pairs: from which step on each driver drove."""

    @property
    def members(self) -> tuple[Labelled, ...]:
        """The driver, then the shadows."""
        return (self.driver, *self.shadows)

    @property
    def labels(self) -> dict[str, Any]:
        """`{"driver": label, "shadows": [labels]}`."""
        return {"driver": self.driver.label, "shadows": [s.label for s in self.shadows]}

    def find(self, label: str) -> Estimator | None:
        """The member with that label, or None."""
        return dict(self.members).get(label)

    def switch(self, step: int, new: Labelled) -> None:
        """Let `new` drive from `step` on.

        The former driver takes its place among the shadows, or the last place if it had none.
        """
        if new.label == self.driver.label:
            return
        former, labels = self.driver, [s.label for s in self.shadows]
        shadows = [former if s.label == new.label else s for s in self.shadows]
        if new.label not in labels:
            shadows.append(former)
        self.driver, self.shadows = new, tuple(shadows)
        # If two changes fall on one step, the first driver never drove.
        self.drives = [*(pair for pair in self.drives if pair[0] < step), (step, new.label)]

    def state(self) -> dict[str, Any]:
        """The roles with every estimator's description, for a checkpoint."""
        members = [{"label": e.label, "estimator": describe(e.estimator)} for e in self.members]
        return {"members": members, "drives": list(self.drives)}

    def load(self, state: Mapping[str, Any], make: Callable[[Any], Estimator]) -> None:
        """Go on from what `state` returned; `make` builds estimators that are not members yet."""
        members = [
            Labelled(each["label"], self.find(each["label"]) or make(each["estimator"]))
            for each in state["members"]
        ]
        self.driver, self.shadows = members[0], tuple(members[1:])
        self.drives = [(step, label) for step, label in state["drives"]]
