"""The configuration of a training run and of a microscope: the models that all programs share.

It needs pydantic and nothing heavier. A component (an estimator, a network, …) is a name with any
fields here; `backend.catalogue.validation` checks the fields where torch is imported.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from estimators.statistics.adjoint_grid import (
    DEFAULT_DAMPING,
    DEFAULT_FACTORS,
    DEFAULT_SOLVERS,
    DEFAULT_STEPS,
    AdjointGrid,
    checked,
)


def printable(text: str) -> str:
    """Return `text` if it has no control character. Raises ValueError."""
    control = next((c for c in text if unicodedata.category(c) == "Cc"), None)
    if control is not None:
        raise ValueError(f"it holds the control character {control!r}; give text of one line")
    return text


def with_seed(config: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """A run's configuration with a seed, which its name says: runs of a study are told apart."""
    ending = f", seed {seed}"
    name = f"{config['name'][: MAX_NAME_LENGTH - len(ending)]}{ending}"
    return {**config, "seed": seed, "name": name}


def _not_one(draws: Any) -> Any:
    """Return `draws` unless it is 1. Raises ValueError."""
    if draws == 1 and draws is not True:
        raise ValueError("one draw has no variance; give at least 2")
    return draws


MAX_NAME_LENGTH = 200
PRINTABLE = r"[^\x00-\x1f\x7f-\x9f]"
"""A character that `printable` allows, for OpenAPI."""
ONE_LINE = Field(json_schema_extra={"pattern": f"^{PRINTABLE}*$"})
Text = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=MAX_NAME_LENGTH),
    AfterValidator(printable),
    ONE_LINE,
]
Id = Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9_-]+$")]
"""The id of a run, study, dashboard or link."""
MAX_SHADOWS = 15
IMPORT_SECONDS = 5.0
"""For the import of one plug-in file, after which it is left out."""
COMPONENTS = ("dataset", "loss", "network", "estimator", "optimizer")


class Strict(BaseModel):
    """A model without unknown fields, whose field docstrings are the help text."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Component(BaseModel):
    """A component of the catalogue: its name, and any of its fields."""

    model_config = ConfigDict(extra="allow")

    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]

    @property
    def fields(self) -> dict[str, Any]:
        """The fields without the name."""
        return dict(self.model_extra or {})


class Probe(Strict):
    """When and how often the gradient estimators are measured during the run."""

    draws: Annotated[int, Field(ge=2, le=4096), BeforeValidator(_not_one)] = 16
    """Draws of each estimator in one probe (K). More draws give narrower intervals."""
    budget: Annotated[float, Field(ge=0, le=1, title="Time budget")] = 0.1
    """Time that probes may add, as a share of the run's time without them; 0 switches probes off.
    Probes come at steps 0, 2, 4, 8 and so on, then by budget: a run of a few seconds has few."""
    every: Annotated[int | None, Field(ge=1, le=10_000_000, title="Probe every")] = None
    """Steps from one probe to the next, whatever they cost. Empty: the time budget decides."""

    @property
    def possible(self) -> bool:
        """Whether there are any probes."""
        return self.budget > 0 or self.every is not None


class RunConfig(Strict):
    """A training run: the body of `POST /api/runs`, and the content of a YAML file."""

    name: Text = ""
    """The name of the run in lists and legends."""
    dataset: Component
    loss: Component = Component.model_validate({"name": "cross_entropy"})
    """The loss to minimise: cross-entropy of classes, or InfoNCE between views."""
    network: Component
    estimator: Component
    """The driver: the estimator whose gradient the optimiser follows."""
    shadows: Annotated[list[Component], Field(max_length=MAX_SHADOWS)] = []
    """Further estimators, measured at the same weights and batches."""
    optimizer: Component = Component.model_validate({"name": "sgd", "lr": 0.01})
    steps: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """Optimiser steps. Give steps or epochs."""
    epochs: Annotated[float, Field(gt=0, le=100_000)] | None = None
    """Passes over the training examples. Give steps or epochs."""
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] = 64
    """Examples in a batch."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Determines the split, the initial weights, the batches and all random numbers."""
    device: Annotated[str, StringConstraints(pattern=r"^(auto|cpu|cuda:\d{1,3})$")] = "auto"
    """auto, cpu or cuda:N."""
    on_unconverged_solve: Annotated[Literal["warn", "stop"], Field(title="Unconverged solves")] = (
        "warn"
    )
    """What happens when a solve of an equilibrium does not converge. warn: the run goes on, and a
    finding says so. stop: the run ends before that update, with a checkpoint."""
    probe: Probe = Probe()
    shown_examples: Annotated[int, Field(ge=0, le=64)] = 0
    """Validation examples, from the first on, whose predicted class is recorded along the run."""

    @model_validator(mode="after")
    def _one_length(self) -> "RunConfig":
        if self.steps is None and self.epochs is None:
            self.steps = 2000
        elif self.steps is not None and self.epochs is not None:
            raise ValueError("give steps or epochs, not both")
        return self


def _whole(value: Any) -> Any:
    """A float without a fraction as the integer that it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


BATCH_SIZE = "batch_size"
"""The swept field that belongs to the run; others belong to the estimators or the network."""
NETWORK_PREFIX = "network."
"""What the name of a swept field of the network begins with."""


def sweep_steps(values: Sequence[Any]) -> list[int]:
    """Where the points of each value stand: at the value if all are whole, else at its index."""
    whole = [int(v) for v in values if type(v) is int and 0 <= v < 2**53]
    return whole if len(whole) == len(values) else list(range(len(values)))


class Sweep(Strict):
    """The same measurement at several values of one field."""

    field: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    """A field of the estimators (inner.tangents for that of a wrapped one), of the network
    (network.width: each value at its initialisation), or batch_size."""
    values: Annotated[list[bool | int | float | str], Field(min_length=2, max_length=32)]
    """The values, in the order of the curve; numbers are sorted."""

    @field_validator("values")
    @classmethod
    def _ordered(cls, given: list[bool | int | float | str]) -> list[bool | int | float | str]:
        values = [_whole(value) for value in given]
        if len({str(value) for value in values}) < len(values):
            raise ValueError("a value comes twice; give each once")
        mixed = any(isinstance(value, bool | str) for value in values)
        return values if mixed else sorted(values, key=float)

    @property
    def steps(self) -> list[int]:
        """Where the points of each value stand; see `sweep_steps`."""
        return sweep_steps(self.values)

    @property
    def network_field(self) -> str | None:
        """The network's field that is varied: `width` for `network.width`; None for others."""
        if not self.field.startswith(NETWORK_PREFIX):
            return None
        return self.field.removeprefix(NETWORK_PREFIX)


Draws = Annotated[int, Field(ge=2, le=100_000), BeforeValidator(_not_one)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class Anatomy(Strict):
    """Where the variance comes from: draws at several batches of the training set."""

    batches: Annotated[int, Field(ge=2, le=1024)] = 16
    """Batches of the run's size (J), each drawn from the whole training set."""

    @property
    def checks(self) -> int:
        """Gradients with which the prediction is checked."""
        return 2 * self.batches


CHECK_DRAWS = 2
"""Draws in each gradient with which an anatomy's prediction is checked."""
Rate = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]


class WhatIf(Strict):
    """One-step draws: how the loss would change if each draw were taken as an update."""

    rates: Annotated[list[Rate], Field(min_length=1, max_length=32)] | None = None
    """Learning rates of the updates. Empty: rates about the best one, and the run's own."""

    @field_validator("rates")
    @classmethod
    def _ordered(cls, rates: list[float] | None) -> list[float] | None:
        if rates and len(set(rates)) < len(rates):
            raise ValueError("a learning rate comes twice; give each once")
        return sorted(rates) if rates else None


class AdjointMap(Strict):
    """How near every adjoint of the network's equilibria comes to the exact gradient."""

    steps: list[int] = [*DEFAULT_STEPS]
    """Damped steps, or terms of the Neumann series (k), of the phantom gradients."""
    damping: list[float] = [*DEFAULT_DAMPING]
    """Share of f in a step (λ); 1 is no damping."""
    factors: list[float] = [*DEFAULT_FACTORS]
    """Factors (c) of all weights that multiply the state: each cell becomes f(c z, x)."""
    solvers: list[str] = [*DEFAULT_SOLVERS]
    """Solvers whose time and memory are compared: fixed_point, anderson, broyden."""

    @field_validator("steps", "damping", "factors", "solvers")
    @classmethod
    def _checked(cls, values: list[Any], info: ValidationInfo) -> list[Any]:
        # Checked field by field, so that an error has the place of its field.
        return [*checked(info.field_name or "", values)]

    @model_validator(mode="after")
    def _small_enough(self) -> "AdjointMap":
        _ = self.grid
        return self

    @property
    def grid(self) -> AdjointGrid:
        """The settings. Raises ValueError for those that are not allowed."""
        return AdjointGrid(**{name: tuple(values) for name, values in self.model_dump().items()})


class MicroscopeKind(Strict):
    """What to measure at a checkpoint: the draws themselves, unless one of these is given."""

    sweep: Sweep | None = None
    """The measures at several values of one field."""
    anatomy: Anatomy | None = None
    """The noise of the data and that of the estimator, separately."""
    what_if: WhatIf | None = None
    """The change of the loss in one update."""
    adjoint_map: AdjointMap | None = None
    """The adjoints of an equilibrium beside the exact gradient."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = self._given()
        if len(given) > 1:
            raise ValueError(
                f"{' and '.join(given)} are given; a microscope takes one of sweep, anatomy, "
                "what_if and adjoint_map, or none of them for the draws alone"
            )
        return self

    @property
    def kind(self) -> str:
        """sweep, anatomy, what_if, adjoint_map, or draws."""
        return next(iter(self._given()), "draws")

    def _given(self) -> list[str]:
        return [name for name in MicroscopeKind.model_fields if getattr(self, name) is not None]


class MicroscopeOptions(MicroscopeKind):
    """What to measure, and how the draws are made."""

    source: Literal["honest", "oracle"] = "honest"
    """honest: by the estimator itself. oracle: the same draws made of the exact gradient, where the
    estimator offers this; the others honestly."""

    @model_validator(mode="after")
    def _oracle_possible(self) -> Self:
        if self.source == "oracle" and self.kind in ("anatomy", "what_if", "adjoint_map"):
            raise ValueError(
                f"source is oracle and {self.kind} is given; {self.kind} takes honest draws alone; "
                "an oracle is possible for draws and sweeps"
            )
        return self


DEFAULT_DRAWS = {"draws": 256, "sweep": 256, "anatomy": 16, "what_if": 64, "adjoint_map": 5}
"""Draws of each estimator (at each value, at each batch) by kind of measurement."""


class Microscope(MicroscopeOptions):
    """A validated request: measurements at a checkpoint of another run."""

    run: str
    """The id of the run that wrote the checkpoint."""
    step: Annotated[int, Field(ge=0, le=10_000_000)]
    """The step of the checkpoint."""
    draws: Draws = 256
    """Draws of each estimator, at each value of a sweep, at each batch of an anatomy; of an adjoint
    map, the gradients over which the median of a time is taken."""
    seed: Seed = 0
    """Determines the draws and an anatomy's batches; data and weights are the run's."""
    plugins: dict[str, str] = {}
    """SHA-256 of each plug-in file when the parent run was queued."""
    fresh: list[str] = []
    """Labels of estimators whose plug-in file has changed since; their states start anew."""

    @property
    def total(self) -> int:
        """Draws of each estimator, at all values or batches together; the measurements of a map."""
        if self.adjoint_map:
            return self.adjoint_map.grid.measurements(self.draws)
        if self.anatomy:
            both = 2 * self.anatomy.batches * self.draws  # at the batches and at parts of them
            return both + self.anatomy.checks * CHECK_DRAWS
        return self.draws * (len(self.sweep.values) if self.sweep else 1)


class ProbeRequest(MicroscopeOptions):
    """The body of `POST /api/probes`: what to measure, where, and with how many draws."""

    run: Annotated[str, StringConstraints(min_length=1, max_length=40)]
    """A run's id or number; a microscope's run stands for the checkpoint that it measured at."""
    step: Annotated[int, Field(ge=0, le=10_000_000)] | None = None
    """The step of the checkpoint; 0: the initialisation. Empty: the newest."""
    estimators: Annotated[list[Component], Field(min_length=1, max_length=16)] | None = None
    """Empty: the run's driver and shadows. An adjoint map takes none."""
    draws: Draws | None = None
    """Draws of each estimator, at each value of a sweep, at each batch of an anatomy. Empty: 256;
    16 at each batch; 64 of a what-if step. Of an adjoint map: gradients over which the median of a
    time is taken; empty: 5."""
    seed: Seed = 0
    """Determines the draws and an anatomy's batches; another seed gives new ones."""
    name: Text = ""
    """The name of the new run. Empty: a description."""

    @model_validator(mode="after")
    def _estimators_possible(self) -> Self:
        if self.adjoint_map and self.estimators is not None:
            raise ValueError(
                f"{len(self.estimators)} estimators are given; adjoint_map measures every adjoint "
                "of the network's equilibria and takes no estimators"
            )
        return self


class MicroscopeConfig(RunConfig):
    """The parent run's configuration, with the estimators to measure and the request."""

    microscope: Microscope


Kind = Literal["training", "microscope", "attached"]
Status = Literal["queued", "running", "paused", "finished", "diverged", "failed", "cancelled"]
ACTIVE: tuple[Status, ...] = ("queued", "running", "paused")

FORMER_DEFAULTS: dict[str, dict[str, Any]] = {
    "activity_forward_gradient": {"masked_noise": False},
    "node_perturbation": {"masked_noise": False},
}
"""Fields that stored descriptions of an older version lack, and what that version did."""


def with_former_defaults(description: Any) -> Any:
    """A stored estimator's description, with the fields that it lacks as they were before.

    Descriptions are stored with every field, so that one without such a field is an older one.
    """
    if not isinstance(description, dict):
        return description
    given = {key: with_former_defaults(value) for key, value in description.items()}
    return {**given, **{
        key: value
        for key, value in FORMER_DEFAULTS.get(str(given.get("name")), {}).items()
        if key not in given
    }}  # fmt: skip
