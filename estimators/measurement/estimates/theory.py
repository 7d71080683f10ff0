"""The values that an estimator's law, its moments in closed form, gives for the measures."""

from typing import Any

import torch
from torch import Tensor

from estimators.core.contract import Estimator, Law, Params, UnsupportedError
from estimators.core.laws import squares
from estimators.core.objective import Objective
from estimators.measurement.draws.summary import grouped, ratio


def law_of(
    estimator: Estimator, objective: Objective, params: Params, state: Any, exact: Params
) -> Law | None:
    """The moments of one draw in closed form; None if the estimator has no law here."""
    try:
        return estimator.law(objective, params, state, exact)
    except UnsupportedError:  # a law may need more than the estimator: a separable loss
        return None


def theory(law: Law, exact: Params, groups: Tensor) -> dict[str, Tensor]:
    """The measures of one draw that follow from a law, for each group of tensors, (G,).

    NaN where the law does not cover a tensor of the group.
    """
    g2 = along = size = list(squares(exact).values())
    if law.mean is not None:
        along = [(law.mean[name].double() * g.double()).sum().item() for name, g in exact.items()]
        size = list(squares({name: law.mean[name] for name in exact}).values())
    spread = [law.variance.get(name, float("nan")) for name in exact]
    columns = torch.tensor([g2, along, size, spread], dtype=torch.float64)
    g2, along, size, spread = grouped(columns, groups)
    safe = torch.where(g2 > 0, g2, torch.nan)
    second = size + spread
    bias = (size - 2 * along + g2).clamp(min=0)
    return {
        "relative_variance": spread / safe,
        "relative_squared_bias": bias / safe,
        "relative_mse": (spread + bias) / safe,
        "scaled_error": 1 - ratio(along.clamp(min=0).square(), safe * second),
        "snr": size / spread,
    }
