"""What theory says at every (k, λ): ‖Bᵏ‖₂ and the descent condition."""

from collections.abc import Iterator
from math import nan

from torch import Tensor

from estimators.core.contract import Params
from estimators.core.objective import Chain
from estimators.measurement.adjoints.descent import Singular, singular_values
from estimators.measurement.adjoints.gradients import Reference
from estimators.measurement.adjoints.powers import (
    MOST_ITERATED,
    Linearisation,
    PowerNorm,
    norms_of_powers,
)
from estimators.measurement.adjoints.records import Bound, Sensitivity
from estimators.statistics.adjoint_grid import AdjointGrid

MOST_ROWS = 2048
"""Most rows of all matrices J that are looked at: 8 examples of 256 states."""


def conditions(
    chain: Chain, params: Params, at: Reference, grid: AdjointGrid, examples: int
) -> Iterator[Sensitivity | Bound]:
    """Of the first `examples` examples of the batch, stage by stage."""
    doubled, doubles = chain.in_double_precision(params)
    for name, whole in at.at.items():
        most = max(1, MOST_ROWS // whole.states) if whole.dense else MOST_ITERATED
        near = at.first(name, min(examples, most, len(whole.z)), chain, params)
        reason = _reason(near)
        singular = None
        if not reason:
            singular = singular_values(doubled, doubles, name, whole.z, at.factor, len(near.z))
            if not singular.gram.isfinite().all():
                singular, reason = None, "not evaluated: ∂f/∂θ is not finite"
            elif not singular.gram.any():
                singular, reason = None, "not evaluated: ∂f/∂θ is 0, no trained parameter moves f"
        yield _sensitivity(at.factor, name, singular, reason)
        for power in norms_of_powers(near, grid.steps, grid.damping):
            yield _bound(at.factor, name, power, singular)


def _reason(near: Linearisation) -> str:
    """Why the descent condition is not evaluated; "" if it can be."""
    if not near.dense:
        return f"not evaluated: {near.states:,} states"
    if not near.matrix.isfinite().all():
        return "not evaluated: ∂f/∂z is not finite"
    return ""


def _sensitivity(factor: float, name: str, singular: Singular | None, reason: str) -> Sensitivity:
    if singular is None:
        return Sensitivity(factor, name, 0, reason, nan, 0, nan, nan, nan, nan)
    return Sensitivity(
        factor, name, len(singular.smallest), "", singular.smallest.min().item(),
        int((singular.smallest == 0).sum()),
        *_ends(singular.allowed, lowest=True), *_ends(singular.simple, lowest=True),
    )  # fmt: skip


def _bound(factor: float, name: str, power: PowerNorm, singular: Singular | None) -> Bound:
    left = left_median = met = met_simple = nan
    if singular is not None and power.power is not None:
        left, left_median = _ends(singular.left(power.power))
        met, met_simple = (m.double().mean().item() for m in singular.met(power))
    largest, median = _ends(power.norms)
    return Bound(
        factor, name, power.steps, power.damping, largest, median, power.converged,
        len(power.norms), left, left_median, met, met_simple,
    )  # fmt: skip


def _ends(values: Tensor, lowest: bool = False) -> tuple[float, float]:
    """The largest (or smallest) of the examples, and their median."""
    end = values.min() if lowest else values.max()
    return end.item(), values.double().quantile(0.5).item()
