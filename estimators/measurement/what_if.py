"""`what_if`: what one step of each estimator would do to anybody's network, before it is taken."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from estimators.core.contract import Estimator
from estimators.measurement.draws.one_step import PILOT, Ground, Lottery, ground
from estimators.measurement.estimates.one_step import WhatIf, grid
from estimators.measurement.inputs.subject import Batch, Estimators, Loss, Progress, subject, whole
from estimators.measurement.results.table import Table
from estimators.measurement.results.tabulated import short


@dataclass(frozen=True, repr=False)
class WhatIfs:
    """One-step lotteries of each estimator, at the same learning rates."""

    of: dict[str, WhatIf]
    """{label: its lotteries}."""

    @property
    def first(self) -> WhatIf:
        """One of them, for what they share."""
        return next(iter(self.of.values()))

    def __getitem__(self, label: str) -> WhatIf:
        if label not in self.of:
            there = ", ".join(map(repr, self.of))
            raise KeyError(f"there is no estimator {label!r}; there are {there}")
        return self.of[label]

    def table(self) -> Table:
        """A row an estimator."""
        rows = []
        for label, found in self.of.items():
            rate, decrease = found.best_rate, found.expected_decrease
            ends = found.decrease_interval
            half = f" ± {(ends[1] - ends[0]) / 2:.2g}" if ends and ends[0] < ends[1] else ""
            fell = found.text.partition("; best")[0]
            rows.append([
                label, short(found.slope), short(found.curvature),
                "–" if rate is None else short(rate),
                "–" if decrease is None else short(decrease) + half, fell,
            ])  # fmt: skip
        head = ["estimator", "slope ⟨Eĝ, g⟩", "curvature E ĝᵀHĝ", "best learning rate",
                "expected decrease", "in words"]  # fmt: skip
        one = self.first
        title = f"one step from loss {one.loss:.4g}: {len(one.slopes)} draws, each at "
        title += f"{len(one.rates)} learning rates"
        note = "to second order, on this batch; ± half the 95 % interval's width, from 64 draws on"
        return Table(title, head, rows, note, words=1, sentence=True)

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
    separable: bool | None = None,
    progress: Progress | None = None,
) -> WhatIfs:
    """Take every one of `draws` draws as a step −η ĝ at each of `rates`, and tell the change of the
    loss; without `rates`, at those about the best.

    One Hessian-vector product a draw, and one forward pass a rate. The module is left as it is.
    Raises as `measure` does, UnsupportedError for a loss that cannot be differentiated twice, ValueError
    for fewer than 2 draws or a rate that is not above 0.
    """
    whole("draws", draws, 2)
    of = subject(module, loss, batch, estimators, seed, separable)
    at = ground(of.chain, of.params)
    chosen = _checked(rates) if rates is not None else _about(at, of.watched, draws, seed)
    found = {}
    for label, (estimator, state) in of.watched.items():
        if progress:
            progress(f"{label}: {draws} draws at {len(chosen)} learning rates")
        found[label] = _taken(Lottery(at, estimator, state, draws, chosen, seed, label))
    return WhatIfs(found)


def _about(
    at: Ground, watched: dict[str, tuple[Estimator, Any]], draws: int, seed: int
) -> Sequence[float]:
    """Rates about the best of all, as a few draws have them."""
    few = [
        _taken(Lottery(at, estimator, state, min(PILOT, draws), (), seed, label))
        for label, (estimator, state) in watched.items()
    ]
    return grid([one.slope / one.curvature for one in few if min(one.slope, one.curvature) > 0], [])


def _taken(lottery: Lottery) -> WhatIf:
    for _ in lottery.take():
        pass
    return lottery.found()


def _checked(rates: Sequence[float]) -> tuple[float, ...]:
    if isinstance(rates, str) or not isinstance(rates, Sequence) or not rates:
        raise ValueError(f"rates is {rates!r}; a list of learning rates above 0 is allowed")
    for one in rates:
        if isinstance(one, bool) or not isinstance(one, int | float) or not 0 < one < float("inf"):
            raise ValueError(f"a learning rate is {one!r}; finite numbers above 0 are allowed")
    return tuple(sorted({float(one) for one in rates}))
