"""The contract between an estimator and whoever uses it.

An estimator is a final, frozen dataclass. Its fields are its hyperparameters (bounds by
`Annotated`, the help text is the docstring under the field); what changes from step to step
is a state that it is handed and hands back, so that many draws from one state are many
fair draws. It is pure: it mutates nothing and takes all its noise from `rng`.
"""

import enum
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, NamedTuple, TypeVar

from torch import Generator, Tensor

from estimators.core.objective import Objective

Params = Mapping[str, Tensor]
"""Tensors by the names that `nn.Module.named_parameters` gives them."""

Obj = TypeVar("Obj", bound=Objective)
S = TypeVar("S")


class Claim(enum.Enum):
    """What an estimator promises of its mean. The conformance suite holds it to this."""

    EXACT = "equals the exact gradient"
    UNBIASED = "equals the exact gradient on average"
    BIASED = "differs from the exact gradient even on average"


class Need(enum.Enum):
    """A requirement on the objective, in words that a form can show."""

    LOSS = "any differentiable or merely computable loss"
    DIFFERENTIABLE = "a loss that autograd can differentiate"
    FORWARD_MODE = "a network of operations that have forward-mode derivatives"
    SITES = "a network that marks at least one activation with Site()"
    STAGES = "a network of at least two named stages (an nn.Sequential)"
    SEPARABLE = "a loss that is a mean over examples, each depending on its own example alone"


@dataclass(frozen=True)
class Cost:
    """What one estimate costs: whole-network passes and the activations kept for them."""

    forwards: float = 0.0
    """Forward passes."""
    jvps: float = 0.0
    """Jacobian-vector products (forward mode), each with its own primal pass included."""
    vjps: float = 0.0
    """Vector-Jacobian products (backward passes)."""
    stored: str = "none"
    """Activations that must be kept: "none", "one stage" or "all"."""

    @property
    def forward_equivalents(self) -> float:
        """In units of one forward pass: a JVP counts 3 with parameter tangents, a VJP 2."""
        return self.forwards + 3.0 * self.jvps + 2.0 * self.vjps


class Estimate(NamedTuple):
    """One draw: a gradient, the loss it was taken at, and the estimator's next state."""

    grads: Params
    """Named and shaped as the network's parameters."""
    loss: Tensor
    """The loss at the point, ()."""
    state: Any = None
    """For the next step: plain data (tensors in dicts and tuples), so that it checkpoints."""
    info: Mapping[str, Tensor | Mapping[str, Tensor]] = {}
    """Scalars, or {layer: scalar}, that become the series `estimator/<key>`."""


class Law(NamedTuple):
    """The moments of one draw in closed form. A tensor that is not named has no law."""

    variance: Mapping[str, float]
    """tr Var ĝ_l of each tensor."""
    mean: Params | None = None
    """Eĝ; None where it is the exact gradient."""
    note: str = ""
    """What the law leaves out, such as terms of higher order."""


Coverage = Literal["exact", "estimated", "no signal"]
"""How a parameter's gradient comes about."""


class UnsupportedError(ValueError):
    """An estimator was asked to work on an objective that it cannot serve."""

    def __init__(self, text: str, *, network: bool = False) -> None:
        super().__init__(text)
        self.network = network
        """Whether it is the network that lacks something, so that another may do."""


class Estimator(ABC, Generic[Obj, S]):
    """A rule that turns an objective at `params` into an estimate of its gradient."""

    # A plain dict, so that the library needs no pydantic, while the lab's forms and the
    # validation of a request are drawn from the dataclass: unknown fields are refused.
    __pydantic_config__: ClassVar[dict[str, Any]] = {
        "extra": "forbid",
        "use_attribute_docstrings": True,
        "arbitrary_types_allowed": True,  # a field may hold another estimator
    }

    title: ClassVar[str] = ""
    """What the field calls it; empty where that is the class's name in words."""

    @abstractmethod
    def claim(self, objective: Obj, /) -> Claim:
        """What is promised of the mean on this objective, with these fields."""

    def needs(self) -> tuple[Need, ...]:
        """What the objective must offer."""
        return (Need.LOSS,)

    def check(self, objective: Obj, params: Params, /) -> None:
        """Raise `UnsupportedError` where these fields do not fit this objective; `require` calls it."""

    @abstractmethod
    def cost(self, objective: Obj, /) -> Cost:
        """Declared cost of one estimate."""

    def coverage(self, objective: Obj, params: Params, /) -> dict[str, Coverage]:
        """How each parameter's gradient comes about, for the table of layers."""
        exact = self.claim(objective) is Claim.EXACT
        return dict.fromkeys(params, "exact" if exact else "estimated")

    def init(self, objective: Obj, params: Params, rng: Generator, /) -> S:
        """Make the state for the first step. Stateless estimators keep this default."""
        return None  # type: ignore[return-value]

    @abstractmethod
    def estimate(self, objective: Obj, params: Params, state: S, rng: Generator, /) -> Estimate:
        """Estimate the gradient at `params`, drawing all noise from `rng`."""

    def target(self, objective: Obj, params: Params, state: S, /) -> Params | None:
        """The exact gradient of what is estimated, where that is not the loss; else None."""
        return None

    def advance(self, objective: Obj, params: Params, state: S, rng: Generator, /) -> S:
        """The next state alone, for an estimator that only watches. Stateless: unchanged."""
        return state

    def law(self, objective: Obj, params: Params, state: S, exact: Params, /) -> Law | None:
        """What the scatter of `estimate` must be, given the exact gradient; None if unknown."""
        return None

    def oracle(
        self, objective: Obj, params: Params, state: S, exact: Params, rng: Generator, /
    ) -> Estimate | None:
        """The draw that `estimate` makes of this `rng`, by projecting the exact gradient.

        None where there is no such way; it must equal the estimate but for rounding.
        """
        return None
