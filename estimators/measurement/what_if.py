"""`what_if`: how one step of each estimator would change the loss."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from estimators.core.contract import Estimator
from estimators.measurement.draws.one_step import (
    PILOT_DRAWS,
    OneStepDraws,
    StartingPoint,
    starting_point,
)
from estimators.measurement.estimates.one_step import WhatIf, grid
from estimators.measurement.inputs.subject import Batch, Estimators, Loss, Progress, subject, whole
from estimators.measurement.results.table import Table
from estimators.statistics.formatting import short


@dataclass(frozen=True, repr=False)
class WhatIfs:
    """One-step draws of each estimator, at the same learning rates."""

    by_label: dict[str, WhatIf]
    """{label: its one-step draws}."""
    notices: tuple[str, ...] = ()
    """What the reader must know about the objective."""

    @property
    def first(self) -> WhatIf:
        """The first of them. All have the same starting point and learning rates."""
        return next(iter(self.by_label.values()))

    def __getitem__(self, label: str) -> WhatIf:
        if label not in self.by_label:
            labels = ", ".join(map(repr, self.by_label))
            raise KeyError(f"there is no estimator {label!r}; there are {labels}")
        return self.by_label[label]

    def table(self) -> Table:
        """One row for each estimator."""
        rows = []
        for label, result in self.by_label.items():
            rate, decrease = result.best_rate, result.expected_decrease
            ends = result.decrease_interval
            half = f" ± {(ends[1] - ends[0]) / 2:.2g}" if ends and ends[0] < ends[1] else ""
            fell = result.text.partition("; best")[0]
            rows.append([
                label, short(result.slope), short(result.curvature),
                "–" if rate is None else short(rate),
                "–" if decrease is None else short(decrease) + half, fell,
            ])  # fmt: skip
        head = ["estimator", "slope ⟨Eĝ, g⟩", "curvature E ĝᵀHĝ", "best learning rate",
                "expected decrease", "in words"]  # fmt: skip
        first = self.first
        title = f"one step from loss {first.loss:.4g}: {len(first.slopes)} draws, each at "
        title += f"{len(first.rates)} learning rates"
        note = "to second order, on this batch; ±: half the 95 % interval's width, from 64 draws on"
        return Table(title, head, rows, note, words=1, sentence=True, notices=self.notices)

    def depth_table(self) -> Table:
        """The depth utility: the mean change of the loss when only the layers up to a stage are
        updated, one row for each stage."""
        first = self.first
        rows = [
            [stage, *(short(result.utility[stage]) for result in self.by_label.values())]
            for stage in first.depths
        ]
        title = f"change of the loss by a step of the layers up to …, at η = {first.depth_rate:.3g}"
        note = f"mean of {len(first.slopes)} draws, on this batch; below 0 the loss falls"
        return Table(title, ["up to", *self.by_label], rows, note, words=1, notices=self.notices)

    def __str__(self) -> str:
        return str(self.table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


def what_if(
    module: nn.Module,
    loss: Loss,
    batch: Batch,
    estimators: Estimators,
    draws: int = 64,
    seed: int = 0,
    *,
    rates: Sequence[float] | None = None,
    depth_rate: float | None = None,
    separable: bool | None = None,
    progress: Progress | None = None,
) -> WhatIfs:
    """Take each draw as a step −η ĝ at several learning rates η, and measure the change of the
    loss.

    Each draw costs one Hessian-vector product, and one forward pass for each rate. The module is
    left as it is.

    Args:
        module, loss, batch, estimators, draws, seed, separable, progress: as for `measure`.
        rates: the learning rates, above 0; None: rates around the best one of each estimator.
        depth_rate: the learning rate, above 0, of the steps of the first layers alone, whose
            changes of the loss are the depth utility (`depth_table`); None: the middle one of
            `rates`.

    Raises:
        UnsupportedError: for a loss that cannot be differentiated twice.
        ValueError: for fewer than 2 draws or a rate that is not above 0; else as `measure` does.
    """
    whole("draws", draws, 2)
    if depth_rate is not None:
        _checked([depth_rate])
    measured = subject(module, loss, batch, estimators, seed, separable)
    start = starting_point(measured.chain, measured.params)
    chosen = (
        _checked(rates) if rates is not None else _around_best(start, measured.watched, draws, seed)
    )
    results = {}
    for label, (estimator, state) in measured.watched.items():
        if progress:
            progress(f"{label}: {draws} draws at {len(chosen)} learning rates")
        rate = chosen[len(chosen) // 2] if depth_rate is None else depth_rate
        steps = OneStepDraws(start, estimator, state, draws, chosen, seed, label, depth_rate=rate)
        results[label] = _finished(steps)
    return WhatIfs(results, measured.notices)


def _around_best(
    start: StartingPoint, watched: dict[str, tuple[Estimator, Any]], draws: int, seed: int
) -> Sequence[float]:
    """Rates around the best rates of all estimators, by a few draws of each."""
    pilots = [
        _finished(OneStepDraws(start, estimator, state, min(PILOT_DRAWS, draws), (), seed, label))
        for label, (estimator, state) in watched.items()
    ]
    return grid([p.slope / p.curvature for p in pilots if min(p.slope, p.curvature) > 0], [])


def _finished(steps: OneStepDraws) -> WhatIf:
    for _ in steps.take():
        pass
    return WhatIf.from_draws(steps)


def _checked(rates: Sequence[float]) -> tuple[float, ...]:
    if isinstance(rates, str) or not isinstance(rates, Sequence) or not rates:
        raise ValueError(f"rates is {rates!r}; a list of learning rates above 0 is allowed")
    for rate in rates:
        number = isinstance(rate, int | float) and not isinstance(rate, bool)
        if not number or not 0 < rate < float("inf"):
            raise ValueError(f"a learning rate is {rate!r}; finite numbers above 0 are allowed")
    return tuple(sorted({float(rate) for rate in rates}))
