"""What is looked at: the checkpoint, its estimators, and what of them is asked."""

from collections.abc import Iterator, Sequence
from typing import Any

from backend.config import MicroscopeConfig
from backend.training.assemble import Assembly, Labelled
from backend.training.drawing import Drawing
from backend.training.records import Event, another_file
from backend.training.specimen import Specimen
from estimators.core.objective import Chain
from estimators.measure.observation import Point


class Scene:
    """A specimen and the estimators that draw at it."""

    def __init__(self, config: MicroscopeConfig, assembly: Assembly, specimen: Specimen) -> None:
        self.of, self.specimen = config.microscope, specimen
        self.estimators: Sequence[Labelled] = (assembly.driver, *assembly.shadows)

    def events(self) -> Iterator[Event]:
        """Which of the estimators start with nothing learned, and why."""
        for label in self.of.fresh:
            yield another_file(0, label)
        known, fresh = self.specimen.states, []
        for one in self.estimators:
            if one.label not in known and self.state(one, self.specimen.chain) is not None:
                fresh.append(one.label)
        if fresh:
            text = f"{', '.join(fresh)}: not in the run, so with nothing learned yet"
            yield Event(0, "state", text)

    def state(self, one: Labelled, chain: Chain, *, learned: bool = True) -> Any:
        """What it had learned in the run, unless its plug-in has changed since."""
        return self.specimen.state(one, chain, learned=learned and one.label not in self.of.fresh)

    def drawing(
        self, one: Labelled, at: Point, *, learned: bool = True, along: bool = False
    ) -> Drawing:
        """As many draws of one estimator as are asked for, none made yet."""
        assert isinstance(at.objective, Chain)
        state, of = self.state(one, at.objective, learned=learned), self.of
        return Drawing(one, at, state, of.draws, of.seed, of.step, along=along)
