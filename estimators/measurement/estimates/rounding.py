"""Are the differences of the loss that an estimator takes larger than the loss's rounding?"""

from dataclasses import fields, is_dataclass

import torch

from estimators.core.contract import Estimator, Params
from estimators.statistics.rounding import Rounding


def rounding_of(
    estimator: Estimator, params: Params, exact_norm: float, loss: float, dtype: torch.dtype
) -> Rounding | None:
    """The rounding of the loss, and a typical difference that one draw takes: h‖g‖.

    The loss is rounded at ε|L|, ε of the coarsest of its own type and those of the weights, in
    which the network is computed. None for an estimator without differences of the loss.

    Args:
        estimator: or a wrapper of one.
        params: {name: tensor}.
        exact_norm: ‖g‖.
        loss: L(θ).
        dtype: the type in which it is computed.
    """
    step = difference_step(estimator, params)
    if step is None:
        return None
    types = [dtype, *(p.dtype for p in params.values())]
    coarsest = max(types, key=lambda dtype: torch.finfo(dtype).eps)
    name = str(coarsest).removeprefix("torch.")
    return Rounding(torch.finfo(coarsest).eps * abs(loss), step * exact_norm, name)


def difference_step(estimator: Estimator, params: Params) -> float | None:
    """The step of an estimator's differences, or that of the estimator that it wraps."""
    step = estimator.difference_step(params)
    if step is not None or not is_dataclass(estimator):
        return step
    for field in fields(estimator):
        inner = getattr(estimator, field.name)
        if isinstance(inner, Estimator):
            step = difference_step(inner, params)
            if step is not None:
                return step
    return None
