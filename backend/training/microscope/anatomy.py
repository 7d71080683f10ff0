"""The anatomy of the variance: the noise of the data, and that of the estimator.

What it predicts for another batch size is measured there as well.
"""

from collections.abc import Iterator, Mapping

from torch import Tensor

from backend.config import CHECK_DRAWS, Anatomy
from backend.series import anatomy as series
from backend.series.points import Points
from backend.training.components.assemble import Labelled
from backend.training.microscope.draw_loop import DrawLoop
from backend.training.microscope.setup import Setup
from backend.training.records import Event, Record
from estimators.measurement.draws.moments import Moments
from estimators.measurement.draws.nested import Means, Nested, standard_error, zeros
from estimators.measurement.draws.stream import draws
from estimators.measurement.draws.summary import layer_groups
from estimators.statistics.variance_split import data_share

CHECK_FACTOR = 4
"""The prediction is checked at batches so many times as large, if there are examples enough."""


def run_anatomy(setup: Setup, loop: DrawLoop, request: Anatomy) -> Iterator[Record]:
    """`anatomy/*` after 2, 3, 4, 6, 8, … batches; then `anatomy/check/*` against the prediction."""
    measured = NestedDraws(setup)
    yield from measured.start()
    for number in range(request.batches):
        yield from measured.visit(number, loop)
        if loop.end:
            break
        if _is_milestone(number + 1) or number + 1 == request.batches:
            yield from measured.parts()
    if loop.end:
        yield from measured.parts()  # of whole batches: nothing that was measured is lost
        return
    yield from loop.flush()
    for number in range(request.checks):
        yield from measured.check(request.batches + number, loop)
        if loop.end:
            break
    yield from measured.checks()


def _is_milestone(batches: int) -> bool:
    """2, 3, 4, 6, 8, 12, 16, 24, …"""
    power = 2 ** (batches.bit_length() - 1)
    return batches > 1 and batches in (power, power + power // 2)


class NestedDraws:
    """Draws of all estimators at several batches, and at a part of each batch."""

    def __init__(self, setup: Setup) -> None:
        self._setup, run = setup, setup.run
        self._whole = setup.batches(setup.batch_size)
        self._small = setup.batches(setup.small_batch_size)
        self._layers, self._groups = layer_groups(run.chain, list(run.params))
        self._nested = [self._begin(labelled) for labelled in setup.estimators]
        self._means = [Means(run.params) for _ in setup.estimators]
        self._reported: dict[str, int] = {}
        self._made = 0

    def _begin(self, labelled: Labelled) -> Nested:
        setup, run = self._setup, self._setup.run
        return Nested(
            run.params, labelled.estimator, setup.state(labelled, run.chain), setup.request.draws,
            setup.request.seed, labelled.label, setup.chunk_size(labelled),
        )  # fmt: skip

    @property
    def _ratio(self) -> float:
        """The size of a batch over that of its part."""
        return self._setup.batch_size / self._setup.small_batch_size

    @property
    def _check_size(self) -> int:
        """Examples of a batch at which the prediction is checked."""
        size, examples = self._setup.batch_size, self._setup.examples
        if size < examples:
            return min(CHECK_FACTOR * size, examples)
        return max(1, size // CHECK_FACTOR)

    def start(self) -> Iterator[Record]:
        """How many examples there are, and where the prediction will be checked."""
        yield series.population(self._setup.examples)
        yield from series.check_setting(self._check_size, CHECK_DRAWS)
        if self._setup.batch_size == self._setup.examples:
            text = "a batch is the whole training set: the data have no noise"
            yield Event(0, "anatomy", text)

    def visit(self, number: int, loop: DrawLoop) -> Iterator[Record]:
        """Draw at one more batch with every estimator."""
        whole, small = self._whole.at(number), self._small.at(number)
        for nested in self._nested:
            for made in nested.take(whole, small):
                yield from self._count(made, loop)
                if loop.end:
                    return

    def check(self, number: int, loop: DrawLoop) -> Iterator[Record]:
        """Make one more gradient of every estimator at the batch size and draws of the check."""
        chain = self._setup.batches(self._check_size).at(number)
        for nested, means in zip(self._nested, self._means, strict=True):
            inner = Moments(zeros(nested.params))
            # Two seeds further: the small batches took the next.
            for chunk in draws(
                chain, nested.params, nested.estimator, nested.state, CHECK_DRAWS,
                nested.seed + 2, number, label=nested.label, chunk=nested.chunk,
            ):  # fmt: skip
                inner.add(chunk)
                yield from self._count(len(next(iter(chunk.values()))), loop)
            means.add(inner)
            if loop.end:
                return

    def _count(self, made: int, loop: DrawLoop) -> Iterator[Record]:
        """Count draws, and flush if it is time."""
        self._made += made
        loop.step = self._made // len(self._nested)
        if loop.due:
            yield from loop.flush()

    def parts(self) -> Iterator[Points]:
        """The parts of the variance by the whole batches so far, where there are new ones."""
        for nested in self._nested:
            batches = len(nested)
            if batches < 2 or self._reported.get(nested.label) == batches:
                continue
            self._reported[nested.label] = batches
            values = _lists(vars(nested.parts(self._groups, self._ratio)))
            yield from series.parts(nested.label, self._layers, values, batches, nested.nonfinite)

    def checks(self) -> Iterator[Points]:
        """The variance predicted at the check, and the one measured there."""
        size, check = self._setup.batch_size, self._check_size
        share = data_share(check, size, self._setup.examples)
        for nested, means in zip(self._nested, self._means, strict=True):
            if len(means) < 2:
                continue
            parts = nested.parts(self._groups, self._ratio)
            views = nested.predicted(self._groups, share, check / size, CHECK_DRAWS, self._ratio)
            values = {
                "predicted": parts.variance(share, check / size, CHECK_DRAWS),
                "measured": means.spread(self._groups)[0],
                "predicted_se": standard_error(views),
                "measured_se": standard_error(means.innovations(self._groups)),
            }
            yield from series.check(
                nested.label, self._layers, _lists(values), len(nested), len(means)
            )


def _lists(values: Mapping[str, Tensor]) -> dict[str, list[float]]:
    return {name: tensor.tolist() for name, tensor in values.items()}
