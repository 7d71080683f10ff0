"""A loss that runs the network by itself, `loss(model, batch)`, as an objective."""

import copy
from collections.abc import Callable, Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from estimators.core.contract import Estimator, UnsupportedError
from estimators.core.noise import stream
from estimators.core.objective import Chain, Replace, RunStage
from estimators.measurement.inputs.examination import LOST, examined, needs_examples
from estimators.measurement.inputs.randomness import generators_kept
from estimators.measurement.inputs.subject import Subject
from estimators.requirements import require

ClosureLoss = Callable[[nn.Module, Any], Tensor]
"""loss(model, batch): one number, ()."""


class BatchRefusedError(ValueError):
    """The loss raises on the batch."""


class ClosureChain(Chain):
    """L(θ) = loss(model at θ, batch), one number that is not split into examples.

    Stages name the layers alone. Nothing can be put between them, since the loss runs the network
    as it likes.
    """

    def __init__(self, module: nn.Module, loss: ClosureLoss, batch: Any) -> None:
        device = next(module.parameters()).device
        row = torch.zeros(1, device=device)
        super().__init__(module, row, row, lambda output, _: output, separable=False)
        self._boundaries = {}
        self._closure, self.batch = loss, batch
        self._whole_module = lambda _: self._closure(self.module, self.batch)  # type: ignore[assignment]

    def on_batch(self, batch: Any) -> Self:
        """The same on another batch."""
        other = copy.copy(self)
        other.batch = batch
        other._whole_module = lambda _: other._closure(other.module, other.batch)  # type: ignore[assignment]
        return other

    def _run(self, at_stage: Replace | None, run_stage: RunStage | None) -> Tensor:
        if run_stage is not None:
            raise UnsupportedError(
                "the loss runs the network by itself, loss(model, batch), so that its stages "
                "cannot be run one by one: give a loss(output, y) and batches (x, y)",
                network=True,
            )
        return super()._run(at_stage, None)

    def in_double_precision(self, params: Mapping[str, Tensor]) -> tuple[Self, dict[str, Tensor]]:
        chain, moved = super().in_double_precision(params)
        return chain.on_batch(tree_map(_double, self.batch)), moved


def closure_subject(
    module: nn.Module,
    loss: ClosureLoss,
    batch: Any,
    estimators: Mapping[str, Estimator],
    seed: int = 0,
) -> Subject:
    """The subject of a measurement of estimators on a loss that runs the network by itself.

    Raises UnsupportedError, ValueError or TypeError for what does not fit.
    """
    chain = ClosureChain(module, loss, batch)
    params = {n: p.detach() for n, p in module.named_parameters() if p.requires_grad}
    _check(chain)
    refused, watched = [], {}
    chain, notices = examined(chain, params, estimators)
    for label, estimator in estimators.items():
        try:
            require(estimator, chain, params)
        except UnsupportedError as reason:
            refused.append(str(reason))
            continue
        rng = stream(seed, "estimator", label, device=chain.x.device)
        watched[label] = (estimator, estimator.init(chain, params, rng))
    if refused:
        raise UnsupportedError("; ".join(dict.fromkeys(refused)))
    if needs_examples(estimators):
        notices = (f"the loss is taken of the model and the batch. {LOST}", *notices)
    return Subject(chain, params, watched, notices)


def _check(chain: ClosureChain) -> None:
    """One pass, so that what does not fit is reported before anything is measured."""
    with torch.no_grad(), generators_kept(chain.x):
        try:
            value = chain.forward({})
        except Exception as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            text = f"loss(model, batch) does not take this batch: {first}"
            raise BatchRefusedError(text) from error
    if not isinstance(value, Tensor) or value.ndim or not value.is_floating_point():
        what = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise TypeError(f"loss(model, batch) gives {what}; one number, (), is allowed")
    if not value.isfinite():
        raise ValueError(f"the loss is {value.item()} at these weights; a finite one is needed")


def _double(value: Any) -> Any:
    # A single number, such as a count, stays: a loss that computes in single precision whatever
    # it is given would seem to be in double precision by its type.
    if isinstance(value, Tensor) and value.is_floating_point() and value.ndim:
        return value.double()
    return value
