"""`require`: whether an estimator supports an objective, and if not, what is missing."""

from collections.abc import Callable

import torch

from estimators.autodiff.forward_mode import weights_move
from estimators.core.contract import Estimator, Need, Params, UnsupportedError
from estimators.core.names import label
from estimators.core.objective import Chain, Objective


def require(estimator: Estimator, objective: Objective, params: Params | None = None) -> None:
    """Raise `UnsupportedError` if the objective does not meet a need of `estimator`.

    The message names the need and what would meet it. `Estimator.check` is called as well, for
    fields that do not fit the objective. `params` default to those of the objective's module;
    without either, differentiability is assumed.
    """
    if params is None and isinstance(objective, Chain):
        params = dict(objective.module.named_parameters())
    for need in estimator.needs():
        if missing := _CHECKS[need](objective, params or {}):
            text = f"{label(estimator)} needs {need.value}; {missing}"
            raise UnsupportedError(text, network=need is not Need.DIFFERENTIABLE)
    estimator.check(objective, params or {})


def _differentiable(objective: Objective, params: Params) -> str:
    leaves = {name: p.detach().requires_grad_() for name, p in params.items()}
    with torch.enable_grad():
        if not leaves or objective(leaves).requires_grad:
            return ""
    return "this loss has no derivative: choose an estimator that only computes it, such as spsa"


def _forward_mode(objective: Objective, params: Params) -> str:
    try:
        weights_move(objective, params)
    except UnsupportedError as error:
        return str(error)
    return ""


def _sites(objective: Objective, params: Params) -> str:
    if isinstance(objective, Chain) and objective.places:
        return ""
    return "this one marks none: put Site() before each non-linearity"


def _stages(objective: Objective, params: Params) -> str:
    if isinstance(objective, Chain) and objective.boundaries:
        return ""
    return "this one has a single stage with parameters: make it an nn.Sequential of several"


def _separable(objective: Objective, params: Params) -> str:
    if objective.separable:
        return ""
    return (
        "this one couples examples: use LayerNorm or GroupNorm, or BatchNorm in evaluation mode, "
        "and a loss with one value for each example"
    )


_CHECKS: dict[Need, Callable[[Objective, Params], str]] = {
    Need.LOSS: lambda objective, params: "",
    Need.DIFFERENTIABLE: _differentiable,
    Need.FORWARD_MODE: _forward_mode,
    Need.SITES: _sites,
    Need.STAGES: _stages,
    Need.SEPARABLE: _separable,
}
"""What is missing, and what would meet the need; empty where it is met."""
