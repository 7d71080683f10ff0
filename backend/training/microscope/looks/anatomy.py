"""The noise of the data apart from the estimator's, and whether what is predicted comes true."""

from collections.abc import Iterator, Mapping

import numpy as np
from torch import Tensor

from backend.config import CHECK_DRAWS, Anatomy
from backend.training.components.assemble import Labelled
from backend.training.microscope.looks.pace import Pace
from backend.training.microscope.looks.scene import Scene
from backend.training.records import Event, Points, Record
from estimators.measurement.draws.moments import Moments
from estimators.measurement.draws.nested import Means, Nested, standard_error, zeros
from estimators.measurement.draws.stream import draws
from estimators.measurement.draws.summary import layer_groups
from estimators.statistics.variance_split import MIN_BATCHES, data_share

TIMES = 4
"""The prediction is checked at batches so many times as large, where there are examples enough."""


def anatomy(scene: Scene, pace: Pace, of: Anatomy) -> Iterator[Record]:
    """`anatomy/*` after 2, 3, 4, 6, 8, … batches; then the check of what they predict."""
    subject = Subject(scene)
    yield from subject.facts()
    for place in range(of.batches):
        yield from subject.visit(place, pace)
        if pace.end:
            break
        if _shown(place + 1) or place + 1 == of.batches:
            yield from subject.parts()
    if pace.end:
        yield from subject.parts()  # of whole batches: nothing that was measured is lost
        return
    yield from pace.flush()
    for place in range(of.checks):
        yield from subject.check(of.batches + place, pace)
        if pace.end:
            break
    yield from subject.checks()


def _shown(batches: int) -> bool:
    """2, 3, 4, 6, 8, 12, 16, 24, …"""
    power = 2 ** (batches.bit_length() - 1)
    return batches > 1 and batches in (power, power + power // 2)


class Subject:
    """All estimators, dissected side by side."""

    def __init__(self, scene: Scene) -> None:
        self._scene, held = scene, scene.specimen
        self._whole, self._small = (scene.batches(size) for size in (scene.batch_size, scene.small))
        self._layers, self._groups = layer_groups(held.chain, list(held.params))
        self._nested = [self._begun(one) for one in scene.estimators]
        self._means = [Means(held.params) for _ in scene.estimators]
        self._told: dict[str, int] = {}
        self._made = 0

    def _begun(self, one: Labelled) -> Nested:
        of, held = self._scene.of, self._scene.specimen
        return Nested(
            held.params, one.estimator, self._scene.state(one, held.chain), of.draws, of.seed,
            one.label, self._scene.chunk(one),
        )  # fmt: skip

    @property
    def _ratio(self) -> float:
        """A batch over its part."""
        return self._scene.batch_size / self._scene.small

    @property
    def _checked(self) -> int:
        """Examples of a batch by which the prediction is checked."""
        size, all_ = self._scene.batch_size, self._scene.examples
        return min(TIMES * size, all_) if size < all_ else max(1, size // TIMES)

    def facts(self) -> Iterator[Record]:
        """How many examples there are, and where the prediction will be checked."""
        told = {
            "anatomy/population": self._scene.examples,
            "anatomy/check/batch": self._checked,
            "anatomy/check/draws": CHECK_DRAWS,
        }
        for metric, value in told.items():
            yield Points(metric, "", "", "", *_at(0, value))
        if self._scene.batch_size == self._scene.examples:
            text = "a batch is the whole training set: the data have no noise"
            yield Event(0, "anatomy", text)

    def visit(self, place: int, pace: Pace) -> Iterator[Record]:
        """One more batch for every estimator."""
        whole, small = self._whole.at(place), self._small.at(place)
        for nested in self._nested:
            for made in nested.take(whole, small):
                yield from self._breath(made, pace)
                if pace.end:
                    return

    def check(self, place: int, pace: Pace) -> Iterator[Record]:
        """One more gradient of every estimator at the batch and draws of the check."""
        chain = self._scene.batches(self._checked).at(place)
        for nested, means in zip(self._nested, self._means, strict=True):
            inner = Moments(zeros(nested.params))
            # Two seeds further: the small batches took the next.
            for chunk in draws(
                chain, nested.params, nested.estimator, nested.state, CHECK_DRAWS,
                nested.seed + 2, place, label=nested.label, chunk=nested.chunk,
            ):  # fmt: skip
                inner.add(chunk)
                yield from self._breath(len(next(iter(chunk.values()))), pace)
            means.add(inner)
            if pace.end:
                return

    def _breath(self, made: int, pace: Pace) -> Iterator[Record]:
        self._made += made
        pace.step = self._made // len(self._nested)
        if pace.due:
            yield from pace.flush()

    def parts(self) -> Iterator[Points]:
        """What the whole batches so far tell of every estimator."""
        for nested in self._nested:
            count = len(nested)
            if count < 2 or self._told.get(nested.label) == count:
                continue
            self._told[nested.label] = count
            found = vars(nested.parts(self._groups, self._ratio))
            kept = {k: v for k, v in found.items() if not k.endswith("_se") or _holds(count)}
            yield from self._rows(nested, {f"anatomy/{k}": v for k, v in kept.items()}, count)
            lost = float(nested.nonfinite)
            yield Points("anatomy/nonfinite", "", nested.label, "", *_at(count, lost))

    def checks(self) -> Iterator[Points]:
        """What was predicted at the check, and what was measured there."""
        size = self._scene.batch_size
        of_data = data_share(self._checked, size, self._scene.examples)
        for nested, means in zip(self._nested, self._means, strict=True):
            if len(means) < 2:
                continue
            views = nested.predicted(
                self._groups, of_data, self._checked / size, CHECK_DRAWS, self._ratio
            )
            parts = nested.parts(self._groups, self._ratio)
            told = {
                "predicted": parts.variance(of_data, self._checked / size, CHECK_DRAWS),
                "measured": means.spread(self._groups)[0],
            }
            if _holds(len(nested)):
                told["predicted_se"] = standard_error(views)
                told["measured_se"] = standard_error(means.innovations(self._groups))
            yield from self._rows(
                nested, {f"anatomy/check/{k}": v for k, v in told.items()}, len(means)
            )

    def _rows(self, nested: Nested, found: Mapping[str, Tensor], step: int) -> Iterator[Points]:
        for metric, values in found.items():
            for layer, value in zip(self._layers, values.tolist(), strict=True):
                if np.isfinite(value):
                    yield Points(metric, layer, nested.label, "", *_at(step, value))


def _holds(batches: int) -> bool:
    """Whether standard errors over so many batches mean what they say."""
    return batches >= MIN_BATCHES


def _at(step: int, value: float) -> tuple[np.ndarray, np.ndarray]:
    return np.array([step], dtype=np.int64), np.array([float(value)])
