"""Network, loss, batch and estimators, validated: the subject of a measurement.

Arguments that do not fit raise an error that says what was given and what is allowed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from estimators.core.contract import Estimator, UnsupportedError
from estimators.core.names import labels
from estimators.core.noise import stream
from estimators.core.objective import Chain
from estimators.core.stateless import ImpureError
from estimators.implicit.solvers.room import NoRoomError
from estimators.measurement.inputs.each_example import Batch, Loss
from estimators.measurement.inputs.examination import LOST, Examined, examined, needs_examples
from estimators.measurement.inputs.fields import validate
from estimators.measurement.inputs.losses import chain_of
from estimators.measurement.inputs.randomness import generators_kept
from estimators.requirements import require

Estimators = Sequence[Estimator] | Mapping[str, Estimator] | Estimator
"""Estimators, whose labels are made from their fields; or {label: estimator}."""
Progress = Callable[[str], object]
"""Called with a progress message about once a second, such as `print`."""


@dataclass(frozen=True)
class Subject:
    """A frozen point, and the estimators that are measured there."""

    chain: Chain
    params: dict[str, Tensor]
    """The parameters that require a gradient, detached."""
    watched: dict[str, tuple[Estimator, Any]]
    """{label: (estimator, its state)}."""
    notices: tuple[str, ...] = ()
    """What the reader must know about the objective."""


def subject(
    module: nn.Module,
    loss: Loss,
    batch: Batch,
    estimators: Estimators,
    seed: int = 0,
    separable: bool | None = None,
    others: Sequence[Batch] = (),
) -> Subject:
    """Check all arguments and make the subject of a measurement; the module is left as it is.

    `others` are further batches, of as many examples, that the objective is to be used on.

    Raises UnsupportedError, naming each estimator that cannot work on this network and loss and
    why; ValueError or TypeError for all else that does not fit.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed is {seed!r}; a whole number from 0 on is allowed")
    named = named_estimators(estimators)
    x, y = _pair(batch)
    params = _parameters(module)
    _check_forward(module, loss, x, y)
    batches = ((x, y), *map(_pair, others))
    chain, notices = _objective(module, loss, batches, params, named, separable)
    refused, watched = [], {}
    for label, estimator in named.items():
        try:
            require(estimator, chain, params)
        except UnsupportedError as reason:
            refused.append(str(reason))
            continue
        rng = stream(seed, "estimator", label, device=x.device)
        watched[label] = (estimator, estimator.init(chain, params, rng))
    if refused:
        raise UnsupportedError("; ".join(dict.fromkeys(refused)))
    return Subject(chain, params, watched, notices)


def whole(name: str, value: Any, least: int = 1) -> int:
    """`value`, if it is a whole number of at least `least`. Raises ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} is {value!r}; a whole number from {least} on is allowed")
    return value


def named_estimators(given: Estimators) -> dict[str, Estimator]:
    """{label: estimator}; equal ones are numbered: `spsa`, `spsa #2`.

    Raises TypeError or ValueError for what is not an estimator.
    """
    listed = [given] if isinstance(given, Estimator) else given
    if isinstance(listed, str) or not isinstance(listed, Mapping | Sequence):
        raise TypeError(f"estimators is {_kind(listed)}; a list such as [SPSA()] is allowed")
    if not listed:
        raise ValueError("estimators is empty; at least one is needed, such as ForwardGradient()")
    for estimator in listed.values() if isinstance(listed, Mapping) else listed:
        if isinstance(estimator, type) and issubclass(estimator, Estimator):
            raise TypeError(f"{estimator.__name__} is a class; write {estimator.__name__}()")
        if not isinstance(estimator, Estimator):
            raise TypeError(f"{estimator!r} is no estimator; write one such as SPSA()")
        validate(estimator)
    if not isinstance(listed, Mapping):
        return dict(zip(labels(listed), listed, strict=True))
    for label in listed:
        if not isinstance(label, str) or not label:
            raise ValueError(f"the label {label!r} names no estimator; some text is allowed")
    return dict(listed)


def _pair(batch: Any) -> Batch:
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        many = f" of {len(batch)}" if isinstance(batch, tuple | list) else ""
        raise ValueError(f"batch is {_kind(batch)}{many}; a pair of tensors (x, y) is allowed")
    for name, part in zip("xy", batch, strict=True):
        if not isinstance(part, Tensor):
            raise TypeError(f"{name} is {_kind(part)}; a torch.Tensor is allowed")
    x, y = batch
    if x.ndim == 0 or len(x) == 0:
        raise ValueError(f"x has the shape {tuple(x.shape)}; at least one example is needed")
    # A tensor made in inference mode cannot be part of a graph.
    return tuple(t.clone() if t.is_inference() else t for t in (x, y))  # type: ignore[return-value]


def _parameters(module: Any) -> dict[str, Tensor]:
    if not isinstance(module, nn.Module):
        raise TypeError(f"module is {_kind(module)}; an nn.Module is allowed")
    named = dict(module.named_parameters())
    lazy = [n for n, p in named.items() if isinstance(p, nn.UninitializedParameter)]
    if lazy:
        raise ValueError(f"{lazy[0]} has no shape yet; call the module once on x beforehand")
    params = {n: p.detach() for n, p in named.items() if p.requires_grad}
    if not params:
        why = f"all {len(named)} are frozen" if named else "it has none"
        raise ValueError(f"no parameter of the module requires a gradient ({why}): nothing to do")
    return params


def _check_forward(module: nn.Module, loss: Loss, x: Tensor, y: Tensor) -> None:
    """One forward pass, so that what does not fit is reported before anything is measured."""
    if not callable(loss):
        raise TypeError(f"loss is {_kind(loss)}; a function loss(output, y) is allowed")
    chain = Chain(module, x, y, loss, separable=False)
    with torch.no_grad(), generators_kept(x):
        try:
            output = chain.forward({})
        except (ImpureError, NoRoomError):  # x is not what does not fit
            raise
        except Exception as error:
            first = next(module.parameters())
            raise ValueError(
                f"the network does not take x of {words(x)}, its weights being {first.dtype} on "
                f"{first.device}: {_line(error)}"
            ) from error
        try:
            value = loss(output, y)
        except Exception as error:
            raise ValueError(
                f"the loss does not take the output, {words(output)}, with y of {words(y)}: "
                f"{_line(error)}"
            ) from error
    if not isinstance(value, Tensor) or not value.is_floating_point():
        given = words(value)
        raise TypeError(f"the loss gives {given}; a tensor of floating-point numbers is allowed")
    if not value.double().mean().isfinite():
        mean = value.double().mean().item()
        raise ValueError(f"the loss is {mean} at these weights; a finite one is needed")
    if value.ndim and value.shape != (len(x),):
        raise ValueError(
            f"the loss gives the shape {tuple(value.shape)}; one number, (), or one for each "
            f"example, ({len(x)},), is allowed: take the mean over the other axes"
        )


def _objective(
    module: nn.Module,
    loss: Loss,
    batches: Sequence[Batch],
    params: dict[str, Tensor],
    named: Mapping[str, Estimator],
    separable: bool | None,
) -> Examined:
    """The objective, examined, and what is lost where its loss does not split into examples."""
    batch, *others = batches
    with generators_kept(batch[0]):
        chain, why = chain_of(module, loss, *batch, separable, others)
    if why and separable:
        raise ValueError(f"separable is True, and {why}; False or None is allowed")
    result = examined(chain, params, named)
    if separable and not result.chain.separable:
        raise ValueError(f"separable is True, and {result.notices[0].partition('. ')[0]}")
    if not why or not needs_examples(named):
        return result
    return result._replace(notices=(f"{why}. {LOST}", *result.notices))


def words(value: Any) -> str:
    """A tensor in words: its dtype, shape and, elsewhere than on the CPU, its device."""
    if not isinstance(value, Tensor):
        return _kind(value)
    where = "" if value.device.type == "cpu" else f" on {value.device}"
    return f"{value.dtype} {tuple(value.shape)}{where}"


def _kind(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
