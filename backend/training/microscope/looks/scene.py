"""What is looked at: the checkpoint, its estimators, and what of them is asked."""

from collections.abc import Iterator, Sequence
from typing import Any

from backend.config import MicroscopeConfig
from backend.training.batches import Batches
from backend.training.components.assemble import Assembly, Labelled
from backend.training.microscope.drawing import Drawing
from backend.training.microscope.frozen_run import FrozenRun
from backend.training.records import Event, another_file
from estimators.core.objective import Chain
from estimators.measurement.draws.nested import part_of
from estimators.measurement.draws.stream import FIRST, MOST
from estimators.measurement.estimates.observation import Point

WORK = 512
"""Forward passes of a chunk: between two chunks a cancellation is heard."""


class Scene:
    """A specimen and the estimators that draw at it."""

    def __init__(self, config: MicroscopeConfig, assembly: Assembly, specimen: FrozenRun) -> None:
        self._config, self._assembly = config, assembly
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
        return Drawing(one, at, state, of.draws, of.seed, of.step, along=along, source=of.source)

    def batches(self, size: int) -> "Fresh":
        """Batches of so many examples, by the seed of the draws."""
        return Fresh(self._assembly.batches(self.specimen.part, size, self.of.seed), self.specimen)

    @property
    def examples(self) -> int:
        """Of the training part."""
        return len(self.specimen.part.y)

    @property
    def batch_size(self) -> int:
        return self._config.batch_size

    @property
    def small(self) -> int:
        """Examples of the part of a batch that shows what falls as 1/B."""
        return part_of(self.batch_size, self._assembly.loss.least)

    @property
    def learning_rate(self) -> float:
        """What the run's next update would have multiplied its gradient with."""
        optimizer, config = self._assembly.optimizer, self._config
        steps = config.steps or Batches(self.specimen.part, config.batch_size, config.seed).steps(
            config.epochs or 1
        )
        return self.specimen.lr * optimizer.schedule.factor(self.of.step, steps)

    def chunk(self, one: Labelled) -> int:
        """Draws that fit into memory at once, and after which a cancellation is heard."""
        size = sum(p.numel() for p in self.specimen.params.values())
        work = max(1.0, one.estimator.cost(self.specimen.chain).forward_equivalents)
        return max(1, min(FIRST, MOST // max(1, size), int(WORK / work)))


class Fresh:
    """Batches that are independent of each other: each the beginning of a permutation of all
    examples. A smaller batch of the same place is in a larger."""

    def __init__(self, batches: Batches, specimen: FrozenRun) -> None:
        self._batches, self._specimen = batches, specimen

    def at(self, place: int) -> Chain:
        """The loss on one of them."""
        return self._specimen.chain.on(*self._batches.at(place * self._batches.per_epoch))
