"""The configuration of a run: what a client chooses, and what determines its numbers.

Pydantic and nothing heavier: the server, the CLI, the workers and a notebook share it. The
fields of a component (an estimator, a network, ...) are checked where torch may be imported,
by `backend.jobs.inspect`; here a component is a name and its fields.
"""

import unicodedata
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)


def printable(text: str) -> str:
    """`text`, if no character of it is a control character. Raises ValueError."""
    found = next((c for c in text if unicodedata.category(c) == "Cc"), None)
    if found is not None:
        raise ValueError(f"it holds the control character {found!r}; give text of one line")
    return text


def several(draws: Any) -> Any:
    """`draws`, unless it is one. Raises ValueError."""
    if draws == 1 and draws is not True:
        raise ValueError("one draw has no variance; give at least 2")
    return draws


Text = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=200), AfterValidator(printable)
]
COMPONENTS = ("dataset", "loss", "network", "estimator", "optimizer")


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Component(BaseModel):
    """A catalogue entry by its name, with its fields."""

    model_config = ConfigDict(extra="allow")

    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]

    @property
    def fields(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class Probe(Strict):
    """When and how often the gradient estimators are measured along the run."""

    draws: Annotated[int, BeforeValidator(several), Field(ge=2, le=4096)] = 16
    """Draws of each estimator at one probe (K): the more, the narrower the intervals."""
    budget: Annotated[float, Field(ge=0, le=1, title="Time budget")] = 0.1
    """Time that probes may add, as a share of what the run takes without; 0 switches them off.
    They come at steps 0, 2, 4, 8 and so on, then as often as fits: a run of seconds has few."""
    every: Annotated[int | None, Field(ge=1, le=10_000_000, title="Probe every")] = None
    """Steps from one probe to the next, whatever they cost: so a short run has as many as you
    like. Empty: the time budget decides."""


class RunConfig(Strict):
    """One training run, whole: the body of `POST /api/runs` and a YAML file's content."""

    name: Text = ""
    """What the run is called in lists and legends."""
    dataset: Component
    loss: Component = Component.model_validate({"name": "cross_entropy"})
    """What is made small: the cross-entropy of classes, or InfoNCE between views."""
    network: Component
    estimator: Component
    """The driver: the estimator whose gradient the optimiser follows."""
    shadows: Annotated[list[Component], Field(max_length=15)] = []
    """Further estimators, measured at the driving run's weights and batch."""
    optimizer: Component = Component.model_validate({"name": "sgd", "lr": 0.01})
    steps: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """Optimiser steps. Give steps or epochs."""
    epochs: Annotated[float, Field(gt=0, le=100_000)] | None = None
    """Passes over the training part. Give steps or epochs."""
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] = 64
    """Examples a step."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Determines the split, the initial weights, the batches and all noise."""
    device: Annotated[str, StringConstraints(pattern=r"^(auto|cpu|cuda:\d{1,3})$")] = "auto"
    """auto, cpu or cuda:N."""
    probe: Probe = Probe()

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


class Sweep(Strict):
    """The same measurement at several values of one field."""

    field: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    """A field of the estimators (of a held one: inner.tangents), of the network (network.width;
    each value at its initialisation), or batch_size."""
    values: Annotated[list[bool | int | float | str], Field(min_length=2, max_length=32)]
    """In the order of the curve; numbers are sorted."""

    @model_validator(mode="after")
    def _ordered(self) -> "Sweep":
        self.values = [_whole(v) for v in self.values]
        if len({str(v) for v in self.values}) < len(self.values):
            raise ValueError("a value comes twice; give each once")
        if not any(isinstance(v, bool | str) for v in self.values):
            self.values = sorted(self.values, key=float)
        return self

    @property
    def steps(self) -> list[int]:
        """Where the points of each value stand: at the value if all are whole, else its index."""
        whole = [int(v) for v in self.values if type(v) is int and 0 <= v < 2**53]
        return whole if len(whole) == len(self.values) else list(range(len(self.values)))


Draws = Annotated[int, BeforeValidator(several), Field(ge=2, le=100_000)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


class Anatomy(Strict):
    """Where variance comes from: draws at several batches of the training set."""

    batches: Annotated[int, Field(ge=2, le=1024)] = 16
    """Batches of the run's size (J), each drawn anew from the whole training set."""

    @property
    def checks(self) -> int:
        """Gradients by which the prediction is checked."""
        return 2 * self.batches


CHECK_DRAWS = 2
"""Draws of each gradient by which an anatomy's prediction is checked."""
Rate = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]


class WhatIf(Strict):
    """What one step would do: every draw is taken as a step of many lengths."""

    rates: Annotated[list[Rate], Field(min_length=1, max_length=32)] | None = None
    """Learning rates of the steps. Empty: about the best ones, and the run's own."""

    @model_validator(mode="after")
    def _ordered(self) -> "WhatIf":
        if self.rates and len(set(self.rates)) < len(self.rates):
            raise ValueError("a learning rate comes twice; give each once")
        self.rates = sorted(self.rates) if self.rates else None
        return self


class Look(Strict):
    """What is looked for at a checkpoint: the draws themselves, unless one of these is given."""

    sweep: Sweep | None = None
    """The measures at several values of one field."""
    anatomy: Anatomy | None = None
    """The noise of the data apart from the estimator's."""
    what_if: WhatIf | None = None
    """The change of the loss by one step."""

    @model_validator(mode="after")
    def _one_look(self) -> Self:
        given = [name for name in Look.model_fields if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(
                f"{' and '.join(given)} are given; a microscope takes one of sweep, anatomy and "
                "what_if, or none of them for the draws alone"
            )
        return self

    @property
    def kind(self) -> str:
        """sweep, anatomy, what_if, or draws."""
        given = [name for name in Look.model_fields if getattr(self, name) is not None]
        return given[0] if given else "draws"


class Drawn(Look):
    """How the draws of a look come about."""

    source: Literal["honest", "oracle"] = "honest"
    """honest: by the estimator itself. oracle: the same draws out of the exact gradient, of those
    estimators that have such a way; the others honestly."""

    @model_validator(mode="after")
    def _drawable(self) -> Self:
        if self.source == "oracle" and self.kind in ("anatomy", "what_if"):
            raise ValueError(
                f"source is oracle and {self.kind} is given; {self.kind} takes honest draws alone, "
                "an oracle serves the draws themselves and a sweep"
            )
        return self


USUAL_DRAWS = {"draws": 256, "sweep": 256, "anatomy": 16, "what_if": 64}
"""Draws of each estimator, where nothing is said: at each value, at each batch."""


class Microscope(Drawn):
    """Draws at a frozen checkpoint of another run."""

    run: str
    """The id of the run whose checkpoint it is."""
    step: Annotated[int, Field(ge=0, le=10_000_000)]
    """The updates that the checkpoint's weights have seen."""
    draws: Draws = 256
    """Draws of each estimator, at each value of a sweep, at each batch of an anatomy."""
    seed: Seed = 0
    """Determines the draws, and an anatomy's batches; data and weights are those of the run."""
    plugins: dict[str, str] = {}
    """SHA-256 of the plug-ins' files when the run was taken in."""
    fresh: list[str] = []
    """Labels of estimators whose plug-in is another file by now: they start anew."""

    @property
    def total(self) -> int:
        """Draws of each estimator, those at all values or batches together."""
        if self.anatomy:
            both = 2 * self.anatomy.batches * self.draws  # at the batches and at parts of them
            return both + self.anatomy.checks * CHECK_DRAWS
        return self.draws * (len(self.sweep.values) if self.sweep else 1)


class ProbeRequest(Drawn):
    """The body of `POST /api/probes`: what to look at, and how often."""

    run: Annotated[str, StringConstraints(min_length=1, max_length=40)]
    """A run's id or number; of a microscope's run, the checkpoint that it looked at."""
    step: Annotated[int, Field(ge=0, le=10_000_000)] | None = None
    """0: at initialisation. Empty: the newest checkpoint."""
    estimators: Annotated[list[Component], Field(min_length=1, max_length=16)] | None = None
    """Empty: the run's driver and shadows."""
    draws: Draws | None = None
    """Draws of each estimator, at each value of a sweep, at each batch of an anatomy. Empty: 256;
    16 at each batch; 64 of a what-if step."""
    seed: Seed = 0
    """Of the draws and of an anatomy's batches: another one draws anew."""
    name: Text = ""


class MicroscopeConfig(RunConfig):
    """The run's own configuration, with the estimators that are looked at."""

    microscope: Microscope


Kind = Literal["training", "microscope"]
Status = Literal["queued", "running", "paused", "finished", "diverged", "failed", "cancelled"]
ACTIVE: tuple[Status, ...] = ("queued", "running", "paused")
