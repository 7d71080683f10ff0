"""`require`: whether an estimator supports an objective, and if not, what is missing."""

from collections.abc import Callable

import torch
from torch import Tensor

from estimators.autodiff.refusal import BACKWARD, refusing
from estimators.autodiff.trial_passes import (
    loss_goes_back,
    sites_go_back,
    stages_go_back,
    weights_move,
)
from estimators.core.contract import Estimator, Need, Params, UnsupportedError
from estimators.core.names import label
from estimators.core.objective import Chain, Objective
from estimators.core.stateless import ImpureError
from estimators.implicit.equilibrium import equilibria


def require(estimator: Estimator, objective: Objective, params: Params | None = None) -> None:
    """Raise `UnsupportedError` if the objective does not meet a need of `estimator`.

    The message names the need and what would meet it. `Estimator.check` is called as well, for
    fields that do not fit the objective. `params` default to those of the objective's module;
    without either, differentiability is assumed.
    """
    if params is None and isinstance(objective, Chain):
        params = dict(objective.module.named_parameters())
    _refuse_unusual(params or {})
    for need in estimator.needs():
        if missing := _CHECKS[need](objective, params or {}):
            text = f"{label(estimator)} needs {need.value}; {missing}"
            raise UnsupportedError(text, network=need is not Need.DIFFERENTIABLE)
    with refusing(objective.module if isinstance(objective, Chain) else None, BACKWARD):
        try:
            estimator.check(objective, params or {})
        except ImpureError as error:
            text = f"{label(estimator)} needs to run parts of the network: {error}"
            raise UnsupportedError(text, network=True) from error


def _refuse_unusual(params: Params) -> None:
    """Raise UnsupportedError for parameters that are no plain tensors of real numbers."""
    for name, p in params.items():
        if p.is_complex():
            raise UnsupportedError(
                f"{name} is complex ({p.dtype}), and estimators take real numbers: keep "
                "torch.view_as_real of it as the parameter, and call torch.view_as_complex on "
                "that in the forward pass",
                network=True,
            )
        if p.is_nested or p.layout is not torch.strided:
            raise UnsupportedError(
                f"{name} is {'nested' if p.is_nested else p.layout}, and estimators take plain "
                "(strided) tensors",
                network=True,
            )
    if params and not any(p.numel() for p in params.values()):
        raise UnsupportedError(f"the parameters ({', '.join(params)}) hold no numbers")


def _tried(trial: Callable[..., None]) -> Callable[..., str]:
    """The reason why a trial pass fails; empty where it does not."""

    def missing(objective: Objective, params: Params) -> str:
        try:
            trial(objective, params)
        except UnsupportedError as error:
            return str(error)
        return ""

    return missing


def _differentiable(objective: Objective, params: Params) -> str:
    return _tried(loss_goes_back)(objective, params) if params else ""


def _sites(objective: Objective, params: Params) -> str:
    try:
        if isinstance(objective, Chain) and objective.places:
            return _tried(sites_go_back)(objective, params)
    except ValueError as error:  # a site is passed by something else than a tensor
        return str(error)
    return "this one marks none: put Site() before each non-linearity"


def _stages(objective: Objective, params: Params) -> str:
    try:
        if not isinstance(objective, Chain) or not objective.boundaries:
            return (
                "this one has a single stage with parameters: make it an nn.Sequential of several"
            )
    except ValueError as error:  # a stage puts out something else than a tensor
        return str(error)
    with torch.no_grad():
        output = objective.forward({})
    if not isinstance(output, Tensor):
        return (
            f"this one's output is a {type(output).__name__}, and signals start from one tensor, "
            "(B, ...): return that alone"
        )
    return _tried(stages_go_back)(objective, params)


def _equilibrium(objective: Objective, params: Params) -> str:
    if isinstance(objective, Chain) and equilibria(objective.module):
        return ""
    return "this one has none: put an Equilibrium(cell) into it"


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
    Need.FORWARD_MODE: _tried(weights_move),
    Need.SITES: _sites,
    Need.STAGES: _stages,
    Need.EQUILIBRIUM: _equilibrium,
    Need.SEPARABLE: _separable,
}
"""What is missing, and what would meet the need; empty where it is met."""
