"""`wrap_optimizer`: a class of `torch.optim.Optimizer` made an `Optimizer` of the catalogue."""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, make_dataclass
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field

from backend.training.optimizers import Optimizer, Schedule
from backend.training.optimizers.contract import Parameters, WithRates
from backend.training.schedules.constant import Constant
from backend.training.wrapping.constructor import read_constructor
from estimators.core.bounds import Ge, Gt, Le, Lt

IMPLEMENTATION = ("foreach", "fused", "capturable", "differentiable", "maximize")
"""Parameters that are no hyperparameters: they stay at their default."""
RATE = 0.01
"""The learning rate of a class whose constructor has no default for it."""
_BETA = (Ge(0.0), Lt(1.0))
BOUNDS: dict[str, tuple[Any, ...]] = {
    "lr": (Gt(0.0), Le(1000.0)), "momentum": (Ge(0.0),), "weight_decay": (Ge(0.0),),
    "eps": (Ge(0.0),), "beta": _BETA,
}  # fmt: skip
"""Of parameters with the usual names, whose annotation has none; `beta` stands for `beta1`, …"""


@dataclass(frozen=True)
class TorchOptimizer(WithRates):
    """Base of the optimisers that are made of a class of torch's."""

    wrapped: ClassVar[type[torch.optim.Optimizer]]
    tuples: ClassVar[dict[str, tuple[str, ...]]]
    """{parameter: the fields that hold its numbers}."""

    def build(self, params: Parameters, /) -> torch.optim.Optimizer:
        own = {item.name: getattr(self, item.name) for item in fields(self)}
        del own["schedule"], own["rates"]
        for name, parts in self.tuples.items():
            own[name] = tuple(own.pop(part) for part in parts)
        return self.wrapped(params, **own)


def wrap_optimizer(cls: type) -> type[Optimizer] | None:
    """An optimiser made of a class of `torch.optim.Optimizer`; None for other classes.

    Its fields are the parameters of the constructor with a default of a simple type; a tuple of
    numbers is one field each. Raises TypeError, in a sentence, for a class that cannot serve.
    """
    if not issubclass(cls, torch.optim.Optimizer):
        return None
    parameters = inspect.signature(cls.__init__).parameters
    _refuse_unusable(cls, parameters)
    tuples = {name: _parts(name, p.default) for name, p in parameters.items() if _is_numbers(p)}
    of_weights = list(parameters)[1]
    given = {of_weights, "lr", *IMPLEMENTATION, *tuples}
    constructor = read_constructor(cls, given, {*dir(TorchOptimizer), "schedule"}, BOUNDS)
    own = [*_numbers(tuples, parameters), *constructor.fields()]
    made = make_dataclass(
        cls.__name__, [_rate(parameters["lr"].default), *own, _SCHEDULE],
        bases=(TorchOptimizer,), frozen=True,
        namespace={"wrapped": cls, "tuples": tuples, "__doc__": cls.__doc__ or f"{cls.__name__}."},
    )  # fmt: skip
    made.__module__ = cls.__module__
    return made


_Field = tuple[str, Any, Any]
_SCHEDULE: _Field = (
    "schedule",
    Annotated[Schedule, Field(description="How the learning rate changes over the run.")],
    field(default_factory=Constant),
)


def _refuse_unusable(
    cls: type[torch.optim.Optimizer], parameters: Mapping[str, inspect.Parameter]
) -> None:
    if "lr" not in parameters:
        raise TypeError(
            f"the constructor of {cls.__name__} has no parameter lr, the learning rate that a "
            "schedule multiplies"
        )
    _, *of_step = inspect.signature(cls.step).parameters.values()
    if needed := [p.name for p in of_step if p.default is p.empty and p.kind is not p.VAR_KEYWORD]:
        raise TypeError(
            f"{cls.__name__}.step needs {', '.join(needed)}; the lab calls step() without "
            "arguments, since the gradient is an estimate"
        )


def _rate(default: Any) -> _Field:
    rate = float(default) if isinstance(default, int | float) else RATE
    hint = Annotated[float, *BOUNDS["lr"], Field(description="Learning rate.")]
    return "lr", hint, field(default=rate)


def _is_numbers(parameter: inspect.Parameter) -> bool:
    default = parameter.default
    return isinstance(default, tuple) and all(type(number) in (int, float) for number in default)


def _parts(name: str, default: tuple[float, ...]) -> tuple[str, ...]:
    """`betas` of two numbers -> beta1, beta2."""
    return tuple(f"{name.removesuffix('s')}{i}" for i in range(1, len(default) + 1))


def _numbers(
    tuples: Mapping[str, tuple[str, ...]], parameters: Mapping[str, inspect.Parameter]
) -> Iterator[_Field]:
    """The fields of the tuples of numbers."""
    for name, parts in tuples.items():
        bounds = BOUNDS.get(name.removesuffix("s"), ())
        for part, number in zip(parts, parameters[name].default, strict=True):
            help = Field(description=f"One of {name}.")
            yield part, Annotated[float, *bounds, help], field(default=float(number))
