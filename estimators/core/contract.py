"""The contract between an estimator and the code that uses it.

An estimator is a final, frozen dataclass. Its fields are its hyperparameters: bounds and units
stand in `Annotated`, the help text is the docstring under the field. What changes from step to
step is a state, which `estimate` takes and returns, so that many draws from one state are
independent draws of one distribution. An estimator is pure: it changes no argument and takes all
its noise from `rng`.
"""

import enum
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, NamedTuple, TypeVar

from torch import Generator, Tensor

from estimators.core.objective import Objective

Params = Mapping[str, Tensor]
"""Tensors by the names that `nn.Module.named_parameters` gives them."""

BatchedDraws = Callable[[int], Params]
"""k -> the gradients of the next k draws, (k, *shape) for each parameter."""

Obj = TypeVar("Obj", bound=Objective)
S = TypeVar("S")


class Claim(enum.Enum):
    """What an estimator promises of its mean. The conformance suite tests the promise."""

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
    EQUILIBRIUM = "a network with at least one equilibrium stage"
    SEPARABLE = "a loss that is a mean over examples, each depending on its own example alone"


@dataclass(frozen=True)
class Cost:
    """Cost of one estimate: passes through the whole network, and activations kept for them."""

    forwards: float = 0.0
    """Forward passes."""
    jvps: float = 0.0
    """Jacobian-vector products (forward mode), each including its own primal pass."""
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
    """The loss at the point, (); near it, if the class says so (`reports_nearby_loss`)."""
    state: Any = None
    """State for the next step: tensors in dicts and tuples, so that it can be checkpointed."""
    info: Mapping[str, Tensor | Mapping[str, Tensor]] = {}
    """Scalars, or {layer: scalar}, that become the series `estimator/<key>`."""


class Signals(NamedTuple):
    """What an estimator sends to the end of each block in the place of the exact cotangent."""

    values: Mapping[str, Tensor]
    """{boundary: cotangent of the mean loss, (B, ...), shaped as the activation there}."""
    state: Any = None
    """State for the next step, as that of `Estimate`."""
    info: Mapping[str, Tensor | Mapping[str, Tensor]] = {}
    """As that of `Estimate`."""


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
    """An estimator cannot work on this objective; the message names what is missing."""

    def __init__(self, text: str, *, network: bool = False) -> None:
        super().__init__(text)
        self.network = network
        """Whether the network lacks something, so that another network may do."""


class Estimator(ABC, Generic[Obj, S]):
    """A rule that turns an objective at `params` into an estimate of its gradient.

    A subclass defines `claim`, `cost` and `estimate`. The other methods have defaults for an
    estimator without state, without requirements and without a law.
    """

    # Pydantic, where it is installed, builds the lab's forms from the dataclass and rejects
    # unknown fields. A plain dict keeps the library free of pydantic.
    __pydantic_config__: ClassVar[dict[str, Any]] = {
        "extra": "forbid",
        "use_attribute_docstrings": True,
        "arbitrary_types_allowed": True,  # a field may hold another estimator
    }

    title: ClassVar[str] = ""
    """The name in the literature; empty where it is the class name in words."""

    control_arm: ClassVar[bool] = False
    """Whether it is a control arm, whose mean may have nothing to do with the gradient."""

    reports_nearby_loss: ClassVar[bool] = False
    """Whether the loss of an estimate is the mean of the losses that it takes on either side of the
    point, `difference_step` apart, so that no pass is made for it: L(θ) + O(h²)."""

    @abstractmethod
    def claim(self, objective: Obj, /) -> Claim:
        """What the estimator promises of its mean on this objective, with these fields."""

    def needs(self) -> tuple[Need, ...]:
        """What the objective must offer."""
        return (Need.LOSS,)

    def check(self, objective: Obj, params: Params, /) -> None:
        """Raise `UnsupportedError` if these fields do not fit the objective. `require` calls it."""

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

    def signals(
        self, objective: Obj, params: Params, state: S, rng: Generator, /
    ) -> Signals | None:
        """The cotangents of which `estimate` makes its gradients; None if it is made otherwise.

        Pulled back through the block in front of each boundary they give the gradients of
        `estimate` from the same `rng`, and the same next state. Another estimator can use them as
        its guess.
        """
        return None

    def target(self, objective: Obj, params: Params, state: S, /) -> Params | None:
        """The exact gradient of what is estimated, if that is not the loss; else None."""
        return None

    def advance(self, objective: Obj, params: Params, state: S, rng: Generator, /) -> S:
        """The next state alone, for an estimator that does not drive the training.

        Stateless estimators keep this default.
        """
        return state

    def law(self, objective: Obj, params: Params, state: S, exact: Params, /) -> Law | None:
        """The moments of `estimate` in closed form, given the exact gradient; None if unknown."""
        return None

    def difference_step(self, params: Params, /) -> float | None:
        """The h of the differences h⟨∇L, v⟩ of the loss, E vvᵀ = I, that an estimate is made of.

        The diagnosis compares them with the rounding of the loss. None if it takes none, or if they
        are not along directions in the space of the weights.
        """
        return None

    def oracle(
        self, objective: Obj, params: Params, state: S, exact: Params, rng: Generator, /
    ) -> Estimate | None:
        """The draw of `estimate` from the same `rng`, computed by projecting the exact gradient.

        It equals the estimate up to rounding. None if there is no such way.
        """
        return None

    def batched_draws(
        self, objective: Obj, params: Params, state: S, exact: Params | None, rng: Generator, /
    ) -> BatchedDraws | None:
        """Return a function that makes many draws at once; None if there is no faster way.

        `batch(k)` returns the gradients of the next k draws, stacked as (k, *shape) for each
        parameter. Draw by draw they equal, up to rounding, what repeated calls of `estimate`
        with `state` and this `rng` return, whatever the sizes of the batches. Where `exact` is
        given, the draws come from projecting that gradient, as in `oracle`. A subclass that
        overrides `estimate` or `oracle` does not inherit the hook.
        """
        return None


def batched_draws_of(
    estimator: Estimator,
    objective: Objective,
    params: Params,
    state: Any,
    exact: Params | None,
    rng: Generator,
) -> BatchedDraws | None:
    """`estimator.batched_draws`, or None if a subclass has since changed what a draw is."""
    classes = type(estimator).__mro__
    depth = {
        name: next(i for i, cls in enumerate(classes) if name in vars(cls))
        for name in ("batched_draws", "estimate", "oracle")
    }
    if depth["batched_draws"] > min(depth["estimate"], depth["oracle"]):
        return None
    return estimator.batched_draws(objective, params, state, exact, rng)
