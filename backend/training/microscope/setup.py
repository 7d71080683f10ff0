"""`Setup`: the frozen run, the estimators that draw there, and what was asked for."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from backend.config import MicroscopeConfig
from backend.training.batches import Batches
from backend.training.components.assemble import Assembly, Labelled
from backend.training.microscope.estimator_draws import EstimatorDraws, chunk_size
from backend.training.microscope.frozen_run import FrozenRun
from backend.training.random_passes import at_step
from backend.training.records import Event, changed_component, changed_plugin
from estimators.core.objective import Chain
from estimators.measurement.draws.nested import part_of
from estimators.measurement.estimates.observation import Point


class Setup:
    """What the four kinds of measurement share."""

    def __init__(self, config: MicroscopeConfig, assembly: Assembly, run: FrozenRun) -> None:
        self._config, self._assembly = config, assembly
        self.request, self.run = config.microscope, run
        self.estimators: Sequence[Labelled] = (assembly.driver, *assembly.shadows)

    def events(self) -> Iterator[Event]:
        """What the reader must know about the objective, and which estimators start with an
        initial state rather than the run's, and why."""
        yield from (Event(0, "objective", text) for text in self.run.notices)
        for label in self.request.fresh:
            yield changed_plugin(0, label)
        files, before = self._assembly.index.plugin_files, self.request.plugins
        for kind, component in self._assembly.task.items():
            if any(before.get(name, sha) != sha for name, sha in files([component]).items()):
                yield changed_component(0, kind)
        initial = [
            labelled.label
            for labelled in self.estimators
            if labelled.label not in self.run.states
            and self.state(labelled, self.run.chain) is not None
        ]
        if initial:
            text = f"{', '.join(initial)}: not in the run, so with nothing learned yet"
            yield Event(0, "state", text)

    def state(self, labelled: Labelled, chain: Chain, *, learned: bool = True) -> Any:
        """The estimator's state in the run, unless its plug-in file has changed since."""
        unchanged = labelled.label not in self.request.fresh
        return self.run.state(labelled, chain, learned=learned and unchanged)

    def draws(
        self,
        labelled: Labelled,
        at: Point,
        *,
        learned: bool = True,
        each_draw: bool = False,
        prefix: str = "",
    ) -> EstimatorDraws:
        """The draws asked for of one estimator; none is made yet."""
        assert isinstance(at.objective, Chain)
        request, state = self.request, self.state(labelled, at.objective, learned=learned)
        return EstimatorDraws(
            labelled, at, state, request.draws, request.seed, request.step,
            each_draw=each_draw, source=request.source, prefix=prefix,
        )  # fmt: skip

    def batches(self, size: int) -> "IndependentBatches":
        """Batches of `size` examples, fixed by the seed of the draws."""
        batches = self._assembly.batches(self.run.part, size, self.request.seed)
        return IndependentBatches(batches, self.run, self.request.seed)

    def later(self, steps: int) -> Chain:
        """The loss on the run's batch that comes `steps` after that of the checkpoint."""
        step = self.request.step + steps
        chain = self.run.chain.on(*self._run_batches.at(step))
        return at_step(chain, self._config.seed, step)

    @cached_property
    def _run_batches(self) -> Batches:
        config = self._config
        return self._assembly.batches(self.run.part, config.batch_size, config.seed)

    @property
    def examples(self) -> int:
        """The number of training examples."""
        return len(self.run.part)

    @property
    def batch_size(self) -> int:
        """Examples of one of the run's batches."""
        return self._config.batch_size

    @property
    def small_batch_size(self) -> int:
        """Examples of the part of a batch that shows what falls as 1/B."""
        return part_of(self.batch_size, self._assembly.loss.min_batch_size)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the run's next update."""
        optimizer, config = self._assembly.optimizer, self._config
        batches = Batches(self.run.part, config.batch_size, config.seed)
        steps = config.steps or batches.steps(config.epochs or 1)
        return self.run.lr * optimizer.schedule.factor(self.request.step, steps)

    def chunk_size(self, labelled: Labelled) -> int:
        """Draws of the estimator that are made at once."""
        return chunk_size(labelled.estimator, self.run.chain, self.run.params)


class IndependentBatches:
    """Batches that are independent of each other: the start of a fresh permutation each.

    A smaller batch of the same number is contained in a larger one.
    """

    def __init__(self, batches: Batches, run: FrozenRun, seed: int) -> None:
        self._batches, self._run, self._seed = batches, run, seed

    def at(self, number: int) -> Chain:
        """The loss on batch `number`."""
        chain = self._run.chain.on(*self._batches.at(number * self._batches.per_epoch))
        return at_step(chain, self._seed, number)
