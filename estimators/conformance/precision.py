"""A check that an estimate in double precision is computed in double precision throughout."""

from statistics import median

import torch
from torch import Tensor

from estimators.conformance.trial import Trial
from estimators.core.noise import stream

DRAWS = 24
"""Draws whose entries are looked at."""
DISTINCT = 20
"""Different values of a tensor from which chance cannot explain that all fit in float32: a number
of double precision does with odds of 2⁻²⁹."""
SMALL, LARGE = 1e-11, 1e-4
"""Changes of the weights, relative to 1: one below the resolution of float32, one above it."""
WAYS = 3
"""Directions of the small change."""
RESPONSE = 1e-3
"""Share of the expected response to the small change below which something was rounded away."""


def keeps_double_precision(trial: Trial) -> None:
    """In float64, no tensor is rounded to float32, and a change of 1e-11 of the weights shows."""
    if any(p.dtype is not torch.float64 for p in trial.case.params.values()):
        return
    rows = trial.draws(DRAWS)
    entries = [trial.tensors(row) for row in rows]
    for name in trial.case.params:
        _assert_not_rounded(name, torch.stack([tensors[name] for tensors in entries]))
    _assert_responsive(trial)


def _assert_not_rounded(name: str, values: Tensor) -> None:
    magnitudes = values.abs()
    distinct = magnitudes[magnitudes > 0].unique()
    if len(distinct) >= DISTINCT and torch.equal(distinct, distinct.float().double()):
        raise AssertionError(
            f"every entry of {name} is a number of float32, although the parameters are float64: "
            "compute in the type of the parameters"
        )


def _assert_responsive(trial: Trial) -> None:
    """A smooth estimate moves by 1e-7 of what it moves by when the weights move 1e7 times as far.

    Entries that a large change leaves as they are (signs, zeros) say nothing, and a tensor whose
    median entry is one of these is skipped. So is one of which only the rounding of larger numbers
    is left, such as a slope along (1, 1, 1) of logits, which is zero.
    """
    base, large = (trial.tensors(_moved_estimate(trial, length, 0)) for length in (0.0, LARGE))
    small = [trial.tensors(_moved_estimate(trial, SMALL, way)) for way in range(WAYS)]
    largest = max(g.abs().max().item() for g in base.values() if g.numel())
    for name, g in base.items():
        expected = (large[name] - g).abs().median().item() * SMALL / LARGE
        # A number may lie at the border between two of float32, and a change may happen to leave
        # one as it is: rarely in most ways.
        response = median((moved[name] - g).abs().median().item() for moved in small)
        rounding = 8 * torch.finfo(g.dtype).eps * largest
        assert expected <= rounding or response >= RESPONSE * expected, (
            f"{name} does not respond to a relative change of the weights by {SMALL:.0e}, although "
            f"it responds to one by {LARGE:.0e}: something is rounded to float32 on the way"
        )


def _moved_estimate(trial: Trial, length: float, way: int) -> Tensor:
    """The estimate from the same noise at weights moved in a fixed direction, (d,)."""
    rng = stream(way, "probe", "precision")
    params = {
        name: p * (1 + length * torch.empty_like(p).normal_(generator=rng))
        for name, p in trial.case.params.items()
    }
    return trial.flat(trial.estimate(params, trial.state, stream(4, "estimator")).grads).detach()
