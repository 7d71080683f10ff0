"""Rehearsals: some hundred steps from the checkpoint at a few rates, to see which can be kept up.

The best rate of one step lowers the loss most in that step; kept up, it often diverges. A rehearsal
takes steps of plain SGD (θ ← θ − η ĝ) on the batches that follow the checkpoint. Each loss is
compared with that of the checkpoint's weights on the same batch, so that the noise of the batches
cancels: d_t = L_t(θ_t) − L_t(θ_0).
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from math import inf, isfinite
from statistics import fmean

import torch

from backend.series import one_step as series
from backend.training.components.assemble import Labelled
from backend.training.microscope.draw_loop import DrawLoop
from backend.training.microscope.setup import Setup
from backend.training.records import Event, Record
from estimators.core.noise import stream

STEPS, WINDOW = 200, 50
"""Steps at each rate, and those over which the loss is averaged."""
FACTORS = (1.0, 0.3, 0.1, 0.03, 0.01)
"""Rates to try as multiples of the best one, the largest first, until one can be kept up."""
MAX_PASSES = 50_000
"""Forward passes of all rehearsals of an estimator; fewer rates are tried of a costly one."""


@dataclass
class Rehearsal:
    """The steps of one estimator at one rate."""

    rate: float
    changes: list[float] = field(default_factory=list)
    """d_t of each step so far."""

    @property
    def windows(self) -> list[float]:
        """The mean change in each window; infinity in one that a loss that is not finite ends."""
        whole, rest = divmod(len(self.changes), WINDOW)
        means = [fmean(self.changes[i * WINDOW : (i + 1) * WINDOW]) for i in range(whole)]
        return [*means, inf] if rest and self.diverged_at is not None else means

    @property
    def diverged_at(self) -> int | None:
        """The step whose loss was not finite; None if all were."""
        return next((t for t, d in enumerate(self.changes) if not isfinite(d)), None)

    @property
    def holds(self) -> bool:
        """Whether every loss was finite, and the mean change in the last window is at most 0."""
        finished = len(self.changes) > STEPS and self.diverged_at is None
        return finished and self.windows[-1] <= 0

    @property
    def words(self) -> str:
        """How it ended."""
        if self.diverged_at is not None:
            return f"at {self.rate:.3g} the loss was not finite after {self.diverged_at} steps"
        return f"at {self.rate:.3g} the mean loss changed by {self.windows[-1]:+.3g}"


def rehearse(setup: Setup, labelled: Labelled, best: float, loop: DrawLoop) -> Iterator[Record]:
    """`what_if/rehearsal/<rate>` of each rate that was tried, `what_if/kept_rate`, and an event.

    It ends early where `loop` says so.
    """
    tried: list[Rehearsal] = []
    passes = STEPS * (labelled.estimator.cost(setup.run.chain).forward_equivalents + 2)
    for factor in FACTORS[: int(MAX_PASSES // passes)]:
        rehearsal = yield from _steps(setup, labelled, float(f"{factor * best:.3g}"), loop)
        if loop.end:
            return
        tried.append(rehearsal)
        yield series.rehearsal(rehearsal.rate, rehearsal.windows, WINDOW, labelled.label)
        if rehearsal.holds:
            break
    kept = tried[-1].rate if tried and tried[-1].holds else None
    yield series.kept_rate(kept, labelled.label)
    yield Event(loop.step, "rehearsal", f"{labelled.label}: {_words(tried, kept, passes)}")


def _steps(
    setup: Setup, labelled: Labelled, rate: float, loop: DrawLoop
) -> Generator[Record, None, Rehearsal]:
    run, (label, estimator), result = setup.run, labelled, Rehearsal(rate)
    params, state = dict(run.params), setup.state(labelled, run.chain)
    seed, device = setup.request.seed, run.chain.x.device
    for step in range(STEPS + 1):
        objective = setup.later(step)
        with torch.no_grad():
            result.changes.append(float(objective(params)) - float(objective(run.params)))
        if not isfinite(result.changes[-1]) or step == STEPS or loop.end:
            break
        rng = stream(seed, "probe", "rehearsal", label, step, device=device)
        estimate = estimator.estimate(objective, params, state, rng)
        state = estimate.state
        params = {n: p - rate * estimate.grads[n].detach() for n, p in params.items()}
        if loop.due:
            yield from loop.flush()
    return result


def _words(tried: list[Rehearsal], kept: float | None, passes: float) -> str:
    if not tried:
        return (
            f"no rate was rehearsed: {STEPS} steps take {passes:,.0f} forward passes, more than "
            f"{MAX_PASSES:,}"
        )
    outcomes = ", ".join(each.words for each in tried)
    cost = f"{len(tried) * passes:,.0f} forward passes"
    if kept is None:
        rates = "no rate that was tried can be kept up"
    else:
        rates = f"{kept:.3g} is the largest rate tried that can be kept up"
    return f"{rates} for {STEPS} steps of plain SGD: {outcomes} ({cost})"
