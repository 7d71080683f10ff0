"""How far the exact gradient is off by rounding, and how much the activations grow.

The rounding of a gradient is measured, not bounded: the same gradient is computed in another
precision. Bounds of rounding, such as ε times the sum of absolute terms, are too large by orders of
magnitude in deep networks, and miss what underflows.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from estimators.autodiff.calculus import value_and_grad
from estimators.core.contract import Params
from estimators.core.objective import Chain, Objective
from estimators.measurement.inputs.nearby import MAX_DOUBLE


def rounding_floor(objective: Objective, params: Params, exact: Mapping[str, Tensor]) -> Tensor:
    """‖g_l − g_l'‖ of each tensor l, g' being the gradient in double precision: (T,), float64.

    Of a network in double precision, g' is computed in single precision, and the difference is
    multiplied by the ratio of the two precisions: rounding is of first order in ε. It is one more
    forward and backward pass. NaN where g' cannot be computed: for other objectives than chains,
    networks that do not run in another precision, that draw random numbers (those of another
    precision are others), of more than 2²⁴ parameters, or where it does not fit in memory.
    """
    unknown = torch.full((len(exact),), torch.nan, dtype=torch.float64, device=_device(exact))
    small = sum(p.numel() for p in params.values()) <= MAX_DOUBLE
    dtypes = {g.dtype for g in exact.values() if g.numel()}
    if not isinstance(objective, Chain) or objective.replays or not small or len(dtypes) != 1:
        return unknown
    (dtype,) = dtypes
    double = dtype is torch.float64
    other = torch.float32 if double else torch.float64
    scale = torch.finfo(dtype).eps / torch.finfo(other).eps if double else 1.0
    try:
        _, again = value_and_grad(*objective.in_precision(params, other))
    except Exception:  # what a foreign module raises at another precision is not known
        return unknown
    differences = [(g.double() - again[n].double()).norm() for n, g in exact.items()]
    floors = scale * torch.stack(differences)
    return torch.where(floors.isfinite(), floors, torch.nan)


def growth_of_stages(objective: Objective, params: Params) -> dict[str, Tensor]:
    """{stage: the root mean square of its output over that of its input}, () each.

    Of the stages with parameters, but for the first and the last: the first one reads the data,
    whose unit is arbitrary, the last one gives logits. One forward pass; none of objectives other
    than chains, or of stages that pass on other things than tensors of floating-point numbers.
    """
    growths: dict[str, Tensor] = {}
    if not isinstance(objective, Chain):
        return growths
    trained = {objective.stage_of(name) for name in params}
    between = [stage for stage in objective.stages if stage in trained][1:-1]
    if not between:
        return growths
    names = {stage: n for n, stage in objective.module.named_children() if n in between}

    def run(stage: nn.Module, h: Tensor) -> Tensor:
        before = _root_mean_square(h)
        output = stage(h)
        after = _root_mean_square(output)
        if stage in names and before is not None and after is not None:
            growths[names[stage]] = after / before
        return output

    with torch.no_grad():
        objective.forward(params, run_stage=run)
    return growths


def _root_mean_square(value: object) -> Tensor | None:
    """Of a tensor of floating-point numbers, in double precision."""
    if not isinstance(value, Tensor) or not value.is_floating_point() or not value.numel():
        return None
    return value.double().square().mean().sqrt()


def _device(tensors: Mapping[str, Tensor]) -> torch.device:
    return next(iter(tensors.values())).device
